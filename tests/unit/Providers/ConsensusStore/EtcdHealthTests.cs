using System.Collections.Immutable;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Etcd;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers.ConsensusStore;

/// <summary>What etcd 3.5.16 said on the lab, as its health and as the turns of a roll-out.</summary>
[TestFixture]
public sealed class EtcdHealthTests
{
    private static readonly PatroniHealth s_none = new([], []);

    private const string Warning =
        """{"level":"warn","ts":"2026-11-29T17:09:33.420562Z","logger":"etcd-client","msg":"retrying of unary invoker failed"}""";

    private const string Members = """
        {"header":{"cluster_id":583707082297853821,"member_id":2785245155508022325,"raft_term":3},"members":[{"ID":2785245155508022325,"name":"db-1","peerURLs":["http://10.0.0.1:2380"],"clientURLs":["http://10.0.0.1:2379"]},{"ID":11604258557299225784,"name":"db-2","peerURLs":["http://10.0.0.2:2380"],"clientURLs":["http://10.0.0.2:2379"]},{"ID":16630788664404524792,"name":"db-3","peerURLs":["http://10.0.0.3:2380"],"clientURLs":["http://10.0.0.3:2379"]}]}
        """;

    private const string First = """
        {"Endpoint":"http://10.0.0.1:2379","Status":{"header":{"cluster_id":583707082297853821,"member_id":2785245155508022325,"revision":3,"raft_term":3},"version":"3.5.16","dbSize":20480,"leader":16630788664404524792,"raftIndex":59,"raftTerm":3,"raftAppliedIndex":59,"dbSizeInUse":16384}}
        """;

    private const string Second = """
        {"Endpoint":"http://10.0.0.2:2379","Status":{"header":{"cluster_id":583707082297853821,"member_id":11604258557299225784,"revision":3,"raft_term":3},"version":"3.5.16","dbSize":1572864,"leader":16630788664404524792,"raftIndex":59,"raftTerm":3,"raftAppliedIndex":59,"dbSizeInUse":16384}}
        """;

    private const string Third = """
        {"Endpoint":"http://10.0.0.3:2379","Status":{"header":{"cluster_id":583707082297853821,"member_id":16630788664404524792,"revision":3,"raft_term":3},"version":"3.5.16","dbSize":20480,"leader":16630788664404524792,"raftIndex":59,"raftTerm":3,"raftAppliedIndex":59,"dbSizeInUse":16384}}
        """;

    private const string Alone =
        """[{"Endpoint":"http://127.0.0.1:2379","Status":{"header":{"cluster_id":583707082297853821,"member_id":2785245155508022325,"revision":3,"raft_term":3},"version":"3.5.16","dbSize":20480,"raftIndex":61,"raftTerm":3,"raftAppliedIndex":61,"errors":["etcdserver: no leader"],"dbSizeInUse":16384}}]""";

    private const string Stopped = "Error response from daemon: Container 5aec1ea92aaf is not running";

    private static string Statuses(params string[] all) => $"[{string.Join(',', all.Select(one => one.Trim()))}]";

    private static string Answer(string members, params string[] statuses) =>
        string.Join('\n', "quota 268435456", members.Trim(), Warning, Statuses(statuses));

    private static EtcdView View(params (string Host, string Output)[] answers) =>
        new(answers.Select(one => KeyValuePair.Create(one.Host, new ToolAnswer(0, one.Output))));

    private static StoreHealth Judge(params (string Host, string Output)[] answers) => EtcdHealth.Judge(View(answers), []);

    [Test]
    public void A_whole_cluster_has_a_leader_its_partners_and_an_account()
    {
        var health = Judge(("db-1", Answer(Members, First, Second, Third)));
        Assert.Multiple(() =>
        {
            Assert.That((health.Leader, health.Connected, health.Partners), Is.EqualTo(("db-3", 2, 2)), "one member tells of all");
            Assert.That(health.Problems, Is.Empty);
            Assert.That(health.Account, Is.EqualTo("etcd 3.5.16, database 1.5 MiB of 256 MiB"));
            Assert.That(health.Counted.Keys, Is.EqualTo(new[] { "10.0.0.1:2380", "10.0.0.2:2380", "10.0.0.3:2380" }));
            Assert.That(
                health.OwnMembers!.Select(pair => $"{pair.Key} {pair.Value}"),
                Is.EqualTo(new[] { "db-1 True", "db-2 True", "db-3 True" })
            );
        });
    }

    [Test]
    public void A_stopped_member_is_named_with_its_reason_and_the_quorum_stays()
    {
        var health = Judge(("db-1", Answer(Members, First, Third)), ("db-2", Stopped), ("db-3", Answer(Members, First, Third)));
        Assert.That((health.Leader, health.Connected, health.Partners), Is.EqualTo(("db-3", 1, 2)));
        Assert.That(health.OwnMembers!["db-2"], Is.False);
        Assert.That(
            health.Problems.Select(problem => (problem.Member, problem.Text)),
            Is.EqualTo(new[] { ("db-2", "db-2: etcd does not run") })
        );
        Assert.That(
            EtcdHealth.Judge(View(("db-1", Answer(Members, First, Third))), ["10.0.0.2:2380"]).Problems,
            Is.Empty,
            "it is gone for good"
        );
    }

    [Test]
    public void Without_a_majority_there_is_no_leader()
    {
        var health = Judge(("db-1", "quota 268435456\n" + Alone), ("db-2", Stopped), ("db-3", Stopped));
        Assert.That(health.Leader, Is.Null);
        Assert.That(
            health.Problems.Select(problem => problem.Text),
            Is.EqualTo(new[] { "db-2: etcd does not run", "db-3: etcd does not run", "etcd has no leader with a quorum" })
        );
        Assert.That(Judge(("db-3", Answer(Members, Third))).Leader, Is.Null, "a leader that nobody follows any more");
    }

    [Test]
    public void A_learner_does_not_count_and_an_alarm_is_a_problem()
    {
        var learner = Members.Replace("\"name\":\"db-2\"", "\"name\":\"db-2\",\"isLearner\":true", StringComparison.Ordinal);
        var full = Third.Replace(
            "\"dbSizeInUse\"",
            "\"errors\":[\"memberID:16630788664404524792 alarm:NOSPACE \"],\"dbSizeInUse\"",
            StringComparison.Ordinal
        );
        var health = Judge(("db-1", Answer(learner, First, Second, full)));
        Assert.That((health.Leader, health.Connected, health.Partners), Is.EqualTo(("db-3", 1, 1)));
        Assert.That(health.OwnMembers!.Keys, Is.EqualTo(new[] { "db-1", "db-3" }));
        Assert.That(
            health.Problems.Select(problem => problem.Text),
            Is.EqualTo(new[] { "db-2: etcd does not count it yet, it is a learner", "etcd has raised the alarm NOSPACE" })
        );
        Assert.That(View(("db-1", Answer(Members, First))).Members[2].HexId, Is.EqualTo("e6cc6e2d346cbef8"), "as etcdctl takes it");
    }

    [Test]
    public void A_new_cluster_starts_together_and_only_when_no_host_may_hold_data()
    {
        var state = new RolloutState(["db-1", "db-2", "db-3"], []);
        EtcdHost[] empty = [new("db-1", false, false), new("db-2", false, false), new("db-3", false, false)];
        var nothing = Judge(("db-1", Stopped));
        Assert.That(((RolloutTurn.Go)EtcdTurn.Decide(empty, nothing, state, s_none)).Hosts, Is.EqualTo(new[] { "db-1", "db-2", "db-3" }));
        Assert.That(EtcdTurn.IsNew(empty), Is.True);

        EtcdHost[] unread = [empty[0], empty[1], new("db-3", false, null)];
        Assert.That(EtcdTurn.Decide(unread, nothing, state, s_none), Is.InstanceOf<RolloutTurn.Wait>());
        Assert.That(EtcdTurn.IsNew(unread), Is.False);

        EtcdHost[] lost = [empty[0], empty[1], new("db-3", false, true)];
        Assert.That(EtcdTurn.IsNew(lost), Is.False, "the two without data join the one that has it");
        Assert.That(EtcdTurn.Decide(lost, nothing, state, s_none), Is.InstanceOf<RolloutTurn.Go>());
        Assert.That(EtcdTurn.IsNew([empty[0], empty[1], new("db-3", true, false)]), Is.False, "one runs");
    }

    // etcd has one learner at a time: another one is refused, and its start fails.
    [Test]
    public void Members_without_data_join_one_after_the_other()
    {
        var state = new RolloutState(["db-1", "db-2", "db-3"], []);
        var led = Judge(("db-1", Answer(Members, First, Third)));
        EtcdHost[] hosts = [new("db-1", true, true), new("db-2", false, false), new("db-3", false, false)];
        Assert.That(Started(hosts, led), Is.EqualTo("db-2"));
        Assert.That(
            Started([hosts[0], new("db-2", true, true) { IsLearner = true }, hosts[2]], led),
            Is.EqualTo("db-3 joins etcd when db-2 has all data")
        );
        Assert.That(Started([hosts[0], hosts[1], hosts[2] with { IsLearner = true }], led), Is.EqualTo("db-3"), "it was added already");
        Assert.That(Started([hosts[0], hosts[1], new("db-3", false, true)], led), Is.EqualTo("db-3"), "those with data first");
        Assert.That(
            Started([hosts[1], new("db-3", false, true), new("db-4", false, true)], Judge(("db-3", Stopped))),
            Is.EqualTo("db-3, db-4"),
            "together, for their quorum"
        );
        Assert.That(
            Started(hosts, Judge(("db-1", Stopped))),
            Is.EqualTo("db-2 has no data, and etcd has no leader with a quorum that it could join")
        );
        Assert.That(
            Started([hosts[0], hosts[1] with { IsMarked = true }, hosts[2] with { IsMarked = true }], Judge(("db-1", Stopped))),
            Is.EqualTo("db-2, db-3"),
            "an apply was cut off between two starts of a new cluster"
        );

        string Started(EtcdHost[] all, StoreHealth health) =>
            EtcdTurn.Decide(all, health, state with { ToCome = ["db-2", "db-3", "db-4"] }, s_none) switch
            {
                RolloutTurn.Go { Kind: RolloutStepKind.Start } go => string.Join(", ", go.Hosts),
                RolloutTurn.Wait wait => wait.Reason,
                var other => other.ToString()!,
            };
    }

    [Test]
    public void A_roll_out_takes_one_member_at_a_time_the_leader_last_and_none_while_another_is_away()
    {
        EtcdHost[] all = [new("db-1", true, true), new("db-2", true, true), new("db-3", true, true)];
        var whole = Judge(("db-1", Answer(Members, First, Second, Third)));
        ImmutableSortedSet<string> toCome = ["db-1", "db-2", "db-3"];
        List<string> turns = [];
        while (!toCome.IsEmpty)
        {
            var go = (RolloutTurn.Go)EtcdTurn.Decide(all, whole, new RolloutState(toCome, []), s_none);
            turns.Add(go.Hosts.Single());
            toCome = toCome.Except(go.Hosts);
        }

        Assert.That(turns, Is.EqualTo(new[] { "db-1", "db-2", "db-3" }), "db-3 leads");
        Assert.That(((RolloutTurn.Go)EtcdTurn.Decide(all, whole, new RolloutState([], []), s_none)).Hosts, Is.Empty, "the last gate");

        var away = Judge(("db-1", Answer(Members, First, Third)));
        Assert.That(EtcdTurn.Decide(all, away, new RolloutState(["db-1"], []), s_none), Is.InstanceOf<RolloutTurn.Wait>(), "db-2 is away");
        Assert.That(
            ((RolloutTurn.Go)EtcdTurn.Decide(all, away, new RolloutState(["db-1", "db-2"], []), s_none)).Hosts,
            Is.EqualTo(new[] { "db-2" })
        );
        Assert.That(EtcdTurn.Decide(all, away, new RolloutState([], []), s_none), Is.InstanceOf<RolloutTurn.Wait>());
    }

    // The primary's lease: another pause of etcd while it is late would demote it.
    [TestCase(60, 5, true, null, TestName = "Patroni reached etcd after the last restart, a loop ago")]
    [TestCase(10, 3, true, "Patroni's next loop", TestName = "Patroni's loop since the last restart is not over")]
    [TestCase(60, 60, true, "db-1: Patroni reached etcd 60 s ago", TestName = "Patroni has not reached etcd since the last restart")]
    [TestCase(900, 30, true, "db-1: Patroni reached etcd 30 s ago", TestName = "Patroni is late although the last restart is long ago")]
    [TestCase(900, 1, false, "no PostgreSQL member is the primary", TestName = "no primary")]
    public void A_member_is_restarted_only_after_Patroni_has_renewed_its_lease(int uptime, int age, bool leads, string? awaited)
    {
        EtcdHost[] all =
        [
            new("db-1", true, true) { Uptime = TimeSpan.FromHours(2) },
            new("db-2", true, true) { Uptime = TimeSpan.FromSeconds(uptime) },
            new("db-3", true, true) { Uptime = TimeSpan.FromHours(1) },
        ];
        var patroni = new PatroniHealth(
            [
                new("db-1")
                {
                    Answers = true,
                    Leads = leads,
                    DcsAge = TimeSpan.FromSeconds(age),
                },
                new("db-2"),
            ],
            []
        );
        var turn = EtcdTurn.Decide(all, Judge(("db-1", Answer(Members, First, Second, Third))), new RolloutState(["db-1"], []), patroni);
        if (awaited is null)
        {
            Assert.That(((RolloutTurn.Go)turn).Hosts, Is.EqualTo(new[] { "db-1" }));
        }
        else
        {
            Assert.That(((RolloutTurn.Wait)turn).Reason, Does.StartWith(awaited));
        }
    }

    [Test]
    public void The_lead_moves_to_a_member_that_had_its_turn_before_the_leader_is_restarted()
    {
        var view = View(("db-1", Answer(Members, First, Second, Third)));
        Assert.That(SuccessorOf(["db-3"], "db-3"), Is.EqualTo("db-1"), "all others had their turn");
        Assert.That(SuccessorOf(["db-1", "db-3"], "db-3"), Is.EqualTo("db-2"), "db-1 comes later");
        Assert.That(SuccessorOf(["db-1", "db-3"], "db-1"), Is.Null, "it does not lead");
        Assert.That(EtcdTurn.SuccessorOf(view, new RolloutTurn.Go(["db-3"]) { Kind = RolloutStepKind.Start }, ["db-3"]), Is.Null);

        string? SuccessorOf(ImmutableSortedSet<string> toCome, string turn) =>
            EtcdTurn.SuccessorOf(view, new RolloutTurn.Go([turn]), toCome)?.Name;
    }

    [Test]
    public void An_alarm_keeps_no_member_from_the_restart_that_may_end_it()
    {
        var full = Third.Replace(
            "\"dbSizeInUse\"",
            "\"errors\":[\"memberID:16630788664404524792 alarm:NOSPACE \"],\"dbSizeInUse\"",
            StringComparison.Ordinal
        );
        var view = View(("db-1", Answer(Members, First, Second, full)));
        Assert.That(EtcdHealth.Judge(view, []).Problems, Has.Length.EqualTo(1));
        Assert.That(EtcdHealth.Judge(view, [], withAlarms: false).Problems, Is.Empty);
    }
}
