using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using System.Text;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.Role;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using KeyBuzz.Reconciler.Tests.Applying;
using static KeyBuzz.Reconciler.Tests.Providers.PatroniCluster.PatroniAnswers;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

[TestFixture]
internal sealed class PatroniGroupTests
{
    private const string Data = "/opt/data";
    private const string Former = "/opt/former";

    private readonly PatroniGroup _provider = new();

    [Test]
    public void A_healthy_cluster_has_no_difference_whichever_member_leads()
    {
        Assert.That(Observed(Healthy()), Is.EqualTo(("all running", "one", (string?)null)));
        Assert.That(
            Observed(Healthy(("db-1", Replica("db-1")), ("db-2", Leader("db-2")))),
            Is.EqualTo(("all running", "one", (string?)null))
        );
        var desired = _provider.Desired(Resource());
        Assert.That((desired["members"].Value, desired["leader"].Value), Is.EqualTo(("all running", "one")));
    }

    [Test]
    public void Members_that_do_not_run_are_named_with_their_state()
    {
        var answers = Healthy(("db-2", Replica("db-2").Replace("\"running\"", "\"start failed\"", StringComparison.Ordinal)), ("db-3", ""));
        Assert.That(Observed(answers), Is.EqualTo(("db-2: start failed, db-3: not answering", "one", (string?)null)));
        Assert.That(Observed(Healthy(("db-1", Replica("db-1")))).Leader, Is.EqualTo("none"));
        Assert.That(Observed(Healthy(("db-2", Leader("db-2")))).Leader, Is.EqualTo("two"));
    }

    [Test]
    public void A_fenced_member_is_held_and_not_missed()
    {
        var answers = Healthy(("db-3", ""));
        answers["db-3"] = answers["db-3"].With(ProviderBench.Snapshot((FenceMark.Read, new FileContent("{}"u8.ToArray()))));

        var observed = (Observation.Present)_provider.Observe(Resource(), answers);

        Assert.That(Observed(answers), Is.EqualTo(("all running", "one", (string?)null)));
        Assert.That(
            observed.Held,
            Is.EquivalentTo(new[] { KeyValuePair.Create("db-3", new HeldMember("db-3 is fenced", "kbr unfence db-3 brings it back")) })
        );
        var forecast = ((ClusterOutlook)observed.Outlook!).Forecast(GroupPolicy.AddressOf("pg"), ["db-2"], []);
        Assert.That(forecast!.Summary, Does.Contain("refused: db-3 is fenced"));
    }

    [Test]
    public void A_cluster_after_an_interrupted_apply_is_planned_further()
    {
        var begun = Healthy(("db-1", Replica("db-1")), ("db-2", ""));
        Assert.That(Observed(begun).Leader, Is.EqualTo("none"));
    }

    [Test]
    public void A_pause_is_an_undeclared_setting_and_silence_everywhere_is_absence()
    {
        var paused = (Observation.Present)
            _provider.Observe(
                Resource(),
                Healthy(("db-1", Leader("db-1").Replace("\"timeline\": 1", "\"pause\": true", StringComparison.Ordinal)))
            );
        Assert.That(paused.Foreign.Select(one => (one.Name, one.IsTrouble)), Is.EqualTo(new[] { ("pause", true) }));
        Assert.That(_provider.Observe(Resource(), Healthy(("db-1", ""), ("db-2", ""), ("db-3", ""))), Is.InstanceOf<Observation.Absent>());
    }

    // A member that is started meanwhile would run on one database while the others get another.
    [TestCase(RestorePhase.Exchange, ExpectedResult = true)]
    [TestCase(RestorePhase.Return, ExpectedResult = true)]
    [TestCase(RestorePhase.Look, ExpectedResult = false)]
    [TestCase(RestorePhase.Open, ExpectedResult = false)]
    [TestCase(RestorePhase.Kept, ExpectedResult = false)]
    public bool Nothing_is_planned_while_a_restore_exchanges_the_data(RestorePhase phase)
    {
        var journal = new RestoreJournal("20261128T211000Z", "latest", "db-1", "db-1", phase);
        var json = journal.Write("keybuzz-pg").Text.Split('\'').First(part => part.StartsWith('{'));
        var scope = Resource().Group;
        var answers = Healthy();
        answers["db-2"] = answers["db-2"]
            .With(ProviderBench.Snapshot((RestoreJournal.Read(scope), new FileContent(System.Text.Encoding.UTF8.GetBytes(json)))));
        return _provider.Observe(Resource(), answers) is Observation.Unknown { Remedy: { } remedy }
            && remedy.StartsWith("run kbr restore", StringComparison.Ordinal);
    }

    // A member that was left out must not be started with the others before they have the new password: only the restore's apply may.
    [TestCase(RestorePhase.Open, false, ExpectedResult = "a restore of pg without db-3 is not complete")]
    [TestCase(RestorePhase.Reopen, false, ExpectedResult = "a restore of pg without db-3 is not complete")]
    [TestCase(RestorePhase.Open, true, ExpectedResult = "planned")]
    [TestCase(RestorePhase.Exchange, true, ExpectedResult = "a restore of pg is exchanging the members' data directories")]
    [TestCase(RestorePhase.Kept, false, ExpectedResult = "planned")]
    public string Members_of_a_restore_without_a_lost_one_are_started_by_it_alone(RestorePhase phase, bool isItself)
    {
        var policy = Resource();
        policy = isItself ? policy with { Spec = policy.Spec.With("recovers", "db-1") } : policy;
        var journal = new RestoreJournal("20261128T211000Z", "latest", "db-1", "db-1", phase) { Lost = ["db-3"] };
        var json = journal.Write(policy.Group).Text.Split('\'').First(part => part.StartsWith('{'));
        var answers = Healthy();
        answers["db-2"] = answers["db-2"]
            .With(ProviderBench.Snapshot((RestoreJournal.Read(policy.Group), new FileContent(System.Text.Encoding.UTF8.GetBytes(json)))));
        return _provider.Observe(policy, answers) is Observation.Unknown unknown ? unknown.Reason : "planned";
    }

    // Also where the returned members have elected a primary of their own.
    [Test]
    public void Members_that_were_lost_and_came_back_are_set_aside_before_anything_else()
    {
        var two = PatroniHealth.Judge(8008, Healthy(("db-2", Leader("db-2"))), ["db-1", "db-2", "db-3"], long.MaxValue);
        var journal = new RecoveryJournal("20261128T211000Z", "db-1", ["db-2", "db-3"], IsDone: true);
        var view = new ClusterView(["db-1", "db-2", "db-3"], two) { Recovery = new RecoveryVerdict.Known(journal, ["db-2"]) };
        Assert.That(two.Leaders, Has.Length.EqualTo(2));
        Assert.That(
            ClusterPolicy.Next(view, new ClusterIntent(["db-2"], [])),
            Is.InstanceOf<ClusterStep.SetAside>().With.Property("Members").EqualTo(new[] { "db-2" })
        );
    }

    [Test]
    public void A_recovery_refuses_older_credentials_and_names_returned_members_as_work_ahead_but_not_to_itself()
    {
        var answers = Labelled([("db-1", "new"), ("db-2", "old"), ("db-3", "old")]);
        var scope = Resource().Group;
        var journal = new RecoveryJournal("20261128T211000Z", "db-1", ["db-2", "db-3"], IsDone: true);
        var json = journal.Write(scope).Split('\'').First(part => part.StartsWith('{'));
        answers["db-1"] = answers["db-1"]
            .With(ProviderBench.Snapshot((RecoveryJournal.Read(scope), new FileContent(System.Text.Encoding.UTF8.GetBytes(json)))));

        var known = _provider.Observe(WithPassword("new"), answers);
        Assert.That(known.Ahead, Is.EqualTo(new[] { "db-2", "db-3" }));
        Assert.That(((Observation.Present)known).Warnings["db-2"], Does.Contain("db-2 was lost when"));

        var older = (Observation.Unknown)_provider.Observe(WithPassword("old"), answers);
        Assert.That(older.Reason, Does.Contain("the credentials file is older than the recovery"));
        Assert.That(older.Remedy, Does.StartWith("use the credentials file that kbr recover wrote"));

        var recovering = WithPassword("old");
        recovering = recovering with { Spec = recovering.Spec.With("recovers", "db-1") };
        Assert.That(_provider.Observe(recovering, answers).Ahead, Is.Empty);
    }

    [Test]
    public void A_member_that_RAFT_lost_is_named_although_it_says_that_it_streams()
    {
        Assert.That(_provider.Desired(Resource())["raft"].Value, Is.EqualTo("all connected"));
        Assert.That(Raft(Healthy()), Is.EqualTo("all connected"));

        var cut = Healthy();
        cut["db-1"] = cut["db-1"].With(ProviderBench.Snapshot((new RaftRead("patroni"), PatroniAnswers.Raft("db-1", "db-3"))));
        Assert.That(Raft(cut), Is.EqualTo("db-3: outside"));

        var otherPassword = Healthy();
        otherPassword["db-2"] = otherPassword["db-2"]
            .With(ProviderBench.Snapshot((new RaftRead("patroni"), new ToolAnswer(1, "RAFT does not answer on port 7000"))));
        Assert.That(Raft(otherPassword), Is.EqualTo("db-2: outside"));
        Assert.That(Raft(Healthy(("db-3", ""))), Is.EqualTo("all connected"), "that it does not run is said once");

        string Raft(Dictionary<string, Snapshot> answers) =>
            ((Observation.Present)_provider.Observe(Resource(), answers)).Attributes["raft"].Value;
    }

    [Test]
    public async Task Where_nothing_runs_yet_all_members_start_together() =>
        Assert.That(await NextAsync(Group(stopped: Names), Names), Is.EqualTo("go db-1 db-2 db-3"));

    [Test]
    public async Task The_empty_bootstrap_member_is_not_started_while_others_have_data_and_none_leads()
    {
        var turn = await NextAsync(Group(stopped: Names, data: ["db-2"], unreachable: ["db-3"]), ["db-1", "db-2"]);
        Assert.That(
            turn,
            Does.StartWith("stop db-1 has no data, db-2 has, and no primary is visible").And.Contain("would initialise an empty cluster")
        );
        Assert.That(
            await NextAsync(Group(stopped: Names, data: ["db-2"]), Names),
            Is.EqualTo("go db-2 db-3"),
            "a majority with the data elects a leader without it"
        );
        Assert.That(
            await NextAsync(Group(stopped: ["db-1"], data: ["db-2"]), ["db-1"]),
            Does.StartWith("wait db-1 has no data, db-2 has, and no primary is visible"),
            "they have just been started"
        );
        Assert.That(await NextAsync(Group(stopped: Names, data: ["db-1"]), Names), Is.EqualTo("go db-1 db-2 db-3"), "it has data itself");
        Assert.That(
            await NextAsync(Group(stopped: Names, data: ["db-2"]), ["db-2", "db-3"]),
            Is.EqualTo("go db-2 db-3"),
            "the others may start"
        );
        Assert.That(
            await NextAsync(Group(stopped: Names, unreachable: ["db-3"]), ["db-1", "db-2"]),
            Does.StartWith("stop db-1 has no data").And.Contain("db-3")
        );

        var others = Healthy(("db-1", ""), ("db-2", Leader("db-2")));
        Assert.That(
            await NextAsync(Group(others, stopped: ["db-1"], data: ["db-2", "db-3"]), ["db-1"]),
            Is.EqualTo("go db-1"),
            "it copies from the leader it sees"
        );
    }

    [Test]
    public async Task Replicas_go_one_at_a_time_the_least_behind_first()
    {
        var behind = Replica("db-2").Replace("67108960", "67108000", StringComparison.Ordinal);
        Assert.That(await NextAsync(Group(Healthy(("db-2", behind))), Names), Is.EqualTo("go db-3"));
        Assert.That(await NextAsync(Group(Healthy()), ["db-1", "db-2"]), Is.EqualTo("go db-2"));
        Assert.That(await NextAsync(Group(Healthy()), []), Is.EqualTo("go "), "the last gate is open");
    }

    [Test]
    public async Task No_member_is_disrupted_while_the_cluster_is_unhealthy()
    {
        var starting = Replica("db-3").Replace("\"running\"", "\"starting\"", StringComparison.Ordinal);
        Assert.That(
            await NextAsync(Group(Healthy(("db-3", starting))), ["db-1", "db-2"]),
            Is.EqualTo("wait db-3: PostgreSQL is not running (starting)")
        );
        Assert.That(
            await NextAsync(Group(Healthy(("db-3", starting))), []),
            Is.EqualTo("wait db-3: PostgreSQL is not running (starting)"),
            "the last gate is shut"
        );
        Assert.That(
            await NextAsync(Group(Healthy(), lost: "db-3"), ["db-2"]),
            Is.EqualTo("wait db-3: RAFT's leader db-1 is not connected to it")
        );
    }

    [Test]
    public async Task Under_synchronous_replication_only_a_synchronous_standby_takes_over()
    {
        Assert.That(await NextAsync(Group(Synchronous(Healthy())), ["db-2"]), Is.EqualTo("wait db-1 has no synchronous standby"));

        var answers = Synchronous(Healthy(("db-3", SyncStandby("db-3"))));
        Assert.That(await NextAsync(Group(answers), ["db-1", "db-2"]), Is.EqualTo("go db-2"));
        Assert.That(await SwitchoverAsync(answers), Does.Contain("\"candidate\":\"db-3\""));
        Assert.That(await SwitchoverAsync(Healthy()), Does.Contain("\"candidate\":\"db-2\""));
    }

    // What is asked of Patroni's REST API when the leader is the last to come.
    private async Task<string> SwitchoverAsync(Dictionary<string, Snapshot> answers)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var asked = Task.Run(async () =>
        {
            using var client = await listener.AcceptTcpClientAsync();
            await using var stream = client.GetStream();
            var request = new byte[4096];
            var read = 0;
            do
            {
                read += await stream.ReadAsync(request.AsMemory(read));
            } while (request[read - 1] != '}');
            await stream.WriteAsync("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"u8.ToArray());
            return Encoding.UTF8.GetString(request, 0, read);
        });
        var group = Group(answers);
        group.TunnelPort = ((IPEndPoint)listener.LocalEndpoint).Port;
        Assert.That(await NextAsync(group, ["db-1"]), Does.StartWith("wait switch over from db-1 to"));
        Assert.That(group.Report.Lines.Single(), Does.Match("^Switchover db-1 db-[23]$"), "it is a step that the operator sees");
        return await asked.WaitAsync(TimeSpan.FromSeconds(30));
    }

    [Test]
    public async Task A_member_that_is_down_anyway_goes_first_and_only_the_others_have_to_be_well()
    {
        var failed = Replica("db-3").Replace("\"running\"", "\"start failed\"", StringComparison.Ordinal);
        Assert.That(await NextAsync(Group(Healthy(("db-3", failed))), ["db-2", "db-3"]), Is.EqualTo("go db-3"));
        Assert.That(await NextAsync(Group(Healthy(("db-3", "")), stopped: ["db-3"]), ["db-2", "db-3"]), Is.EqualTo("go db-3"));
        var lagging = Replica("db-2").Replace("67108960", "1", StringComparison.Ordinal);
        Assert.That(
            await NextAsync(Group(Healthy(("db-2", lagging), ("db-3", failed))), ["db-3"]),
            Does.StartWith("wait db-2: its lag is 67108959 bytes")
        );
    }

    [Test]
    public async Task A_member_silent_at_one_read_is_not_down_without_a_leader_or_while_others_rejoin_RAFT()
    {
        var late = Healthy(("db-1", ""));
        Assert.That(await NextAsync(Group(late), Names), Does.StartWith("wait db-1: Patroni does not answer"), "it may lead");
        Assert.That(
            await NextAsync(
                Group(Healthy(("db-1", Leader("db-1").Replace("\"running\"", "\"unknown\"", StringComparison.Ordinal)))),
                Names
            ),
            Does.StartWith("wait db-1: PostgreSQL is not running (unknown)")
        );
        var starting = Replica("db-3").Replace("\"running\"", "\"starting\"", StringComparison.Ordinal);
        Assert.That(
            await NextAsync(Group(Healthy(("db-1", ""), ("db-3", starting))), ["db-1"]),
            Does.StartWith("wait db-1: Patroni does not answer")
        );
        Assert.That(
            await NextAsync(Group(Healthy(("db-2", "")), lost: "db-3"), ["db-2"]),
            Is.EqualTo("wait db-3: RAFT's leader db-1 is not connected to it")
        );
        Assert.That(
            await NextAsync(Group(Healthy(("db-2", "")), lost: "db-2"), ["db-2"]),
            Is.EqualTo("go db-2"),
            "the others can do without it"
        );

        var longAgo = TimeSpan.FromSeconds(20);
        Assert.That(await NextAsync(Group(late), Names, waited: longAgo), Is.EqualTo("go db-1"), "perhaps its change mends it");
        var shortGate = ProviderBench.Policy(_provider, ("gate_timeout", 10L));
        Assert.That(
            await NextAsync(Group(late), Names, resource: shortGate, waited: TimeSpan.FromSeconds(6)),
            Is.EqualTo("go db-1"),
            "before the gate's time is over"
        );
        var broken = Replica("db-1").Replace("\"running\"", "\"start failed\"", StringComparison.Ordinal);
        Assert.That(await NextAsync(Group(Healthy(("db-1", broken))), ["db-1"]), Is.EqualTo("go db-1"), "it does not come by itself");
    }

    [Test]
    public async Task While_Patroni_is_paused_no_member_is_disrupted_and_the_plan_says_so()
    {
        var paused = Healthy(
            ("db-1", Leader("db-1").Replace("\"timeline\": 1", "\"timeline\": 1, \"pause\": true", StringComparison.Ordinal))
        );
        Assert.That(await NextAsync(Group(paused), Names), Does.StartWith("stop Patroni is paused").And.Contain("patronictl resume"));
        Assert.That(
            await NextAsync(Group(paused, stopped: ["db-3"]), ["db-3"]),
            Does.StartWith("stop Patroni is paused"),
            "it would not be started"
        );
        Assert.That(await NextAsync(Group(paused), ["db-3"], leaving: ["db-3"]), Is.EqualTo("go db-3"), "it does not come back anyway");
        Assert.That(
            ClusterOutlook.Of(Judge(paused), null).Forecast(Resource().Address, [.. Names], [])!.Summary,
            Is.EqualTo("3 rolling restarts, 1 switchover, refused while Patroni is paused")
        );
        Assert.That(
            ClusterOutlook.Of(Judge(paused), null).ForecastServer(Resource().Address, ["db-1"], primaryFirst: true)!.Summary,
            Is.EqualTo("1 restart, refused while Patroni is paused")
        );
        Assert.That(
            ClusterOutlook.Of(Judge(paused), null).Forecast(Resource().Address, ["db-3"], ["db-3"])!.Summary,
            Does.Not.Contain("refused")
        );
    }

    [Test]
    public async Task A_member_whose_volume_is_not_mounted_may_have_the_data()
    {
        var resource = Resource() with { Spec = Resource().Spec.With("mount_point", "/opt") };
        Assert.That(
            await NextAsync(Group(stopped: Names, mounted: Names), ["db-1", "db-2"], resource: resource),
            Is.EqualTo("go db-1 db-2"),
            "empty"
        );
        Assert.That(
            await NextAsync(Group(stopped: Names, mounted: ["db-1", "db-2"]), ["db-1", "db-2"], resource: resource),
            Does.StartWith("stop db-1 has no data, no primary is visible, and it is unknown whether db-3 has any")
                .And.Contain("mount their volumes")
        );
    }

    [Test]
    public async Task A_new_replication_password_is_set_before_the_first_member_is_started_that_uses_it()
    {
        var verifier = ScramVerifier.Make("new", new byte[16]);
        var resource = Resource() with
        {
            Spec = Resource()
                .Spec.With("replication_role", "kb_repl")
                .With("replication_password", Secret("new"))
                .With("replication_verifier", Secret(verifier)),
        };
        var group = Group(Healthy(), stored: ScramVerifier.Make("old", new byte[16]));
        Assert.That(await NextAsync(group, Names, resource: resource), Is.EqualTo("go db-2"));
        Assert.That(group.Sql, Is.EqualTo(new[] { $"db-1: ROLE \"kb_repl\" PASSWORD '{verifier}'" }));

        var refused = Replica("db-2").Replace("\"replication_state\": \"streaming\",", "", StringComparison.Ordinal);
        var stuck = Group(Healthy(("db-2", refused)), stored: ScramVerifier.Make("old", new byte[16]));
        Assert.That(await NextAsync(stuck, ["db-3"], resource: resource), Does.StartWith("wait db-2: it does not stream"));
        Assert.That(stuck.Sql, Has.Count.EqualTo(1), "also where a replica waits for it");

        var settled = Group(
            Healthy(),
            stored: ScramVerifier.Make("new", new byte[16] { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 })
        );
        Assert.That(await NextAsync(settled, Names, resource: resource), Is.EqualTo("go db-2"));
        Assert.That(settled.Sql, Is.Empty, "any verifier of it will do");
    }

    private static SecretText Secret(string value) => new([new SecretText.Part(value, true)]);

    [Test]
    public async Task Just_after_the_leader_was_lost_its_successor_is_waited_for_where_the_others_can_elect_one()
    {
        var leaderless = Healthy(("db-1", ""));
        Assert.That(
            await NextAsync(Group(leaderless, stopped: ["db-1"], data: ["db-2", "db-3"]), ["db-1"]),
            Does.StartWith("wait db-1 has no data")
        );
        Assert.That(
            await NextAsync(Group(Healthy(("db-1", ""), ("db-3", "")), stopped: ["db-1"], data: ["db-2", "db-3"]), ["db-1"]),
            Does.StartWith("wait db-1 has no data"),
            "db-3 may just have been started"
        );
        Assert.That(
            await NextAsync(Group(Healthy(("db-1", ""), ("db-3", "")), stopped: ["db-1", "db-3"], data: ["db-2", "db-3"]), ["db-1"]),
            Does.StartWith("stop db-1 has no data")
        );
    }

    [TestCase(null, "", "stop db-3: the host could not be read; no other member is disrupted until then")]
    [TestCase(
        "patroni.service",
        "failed",
        "stop db-3: patroni.service does not run, and this apply does not start it; no other member is disrupted until then"
    )]
    [TestCase(
        "patroni.service",
        "inactive",
        "stop db-3: patroni.service does not run, and this apply does not start it; no other member is disrupted until then"
    )]
    [TestCase("patroni.service", "activating", "wait db-3: Patroni does not answer on port 8008")]
    public async Task A_member_that_nothing_brings_back_is_not_waited_for(string? unit, string state, string turn)
    {
        var group = Group(Healthy(("db-3", "")), unreachable: unit is null ? ["db-3"] : [], unit: ("db-3", state));
        var resource = unit is null ? Resource() : ProviderBench.Policy(_provider, ("unit", unit));

        Assert.That(await NextAsync(group, ["db-2"], resource: resource), Is.EqualTo(turn));

        if (turn.StartsWith("stop", StringComparison.Ordinal))
        {
            var failure = await Assert.ThrowsAsync<ChangeFailedException>(() =>
                _provider.BringToHealthAsync(resource, group, CancellationToken.None)
            );
            Assert.That(failure!.Message, Does.Contain(" cannot become healthy: db-3: ").And.Not.Contain("majority"));
        }
    }

    [Test]
    public void Lost_members_are_the_whole_trouble_only_when_nothing_else_is_wrong_that_may_still_pass()
    {
        var lost = ImmutableSortedDictionary<string, string>.Empty.Add("db-3", "db-3: gone");
        Assert.That(LostMembers.Verdict(Judge(Healthy(("db-3", ""))), lost), Is.EqualTo("db-3: gone"));
        Assert.That(
            LostMembers.Verdict(Judge(Healthy(("db-1", Replica("db-1")), ("db-3", ""))), lost),
            Is.Null,
            "the other two elect a primary"
        );
        Assert.That(LostMembers.Verdict(Judge(Healthy(("db-2", ""), ("db-3", ""))), lost), Is.Null, "db-2 may come");
        Assert.That(
            LostMembers.Verdict(Judge(Healthy(("db-1", Replica("db-1")), ("db-2", ""), ("db-3", ""))), lost.Add("db-2", "db-2: gone")),
            Does.StartWith("db-2: gone; db-3: gone; without them there is no majority")
        );
        Assert.That(LostMembers.Verdict(Judge(Healthy()), lost), Is.Null);
    }

    [Test]
    public async Task Removing_so_many_members_that_no_majority_stays_is_refused_and_a_former_one_is_not_missed()
    {
        Assert.That(
            await NextAsync(Group(Healthy()), ["db-2", "db-3"], leaving: ["db-2", "db-3"]),
            Does.StartWith("stop db-2 and db-3 would leave 1 of 3 members, and 2 are needed")
        );
        Assert.That(await NextAsync(Group(Healthy()), ["db-3"], leaving: ["db-3"]), Is.EqualTo("go db-3"));
        Assert.That(await NextAsync(Group(Healthy(("db-3", "")), lost: "db-3"), [], leaving: ["db-3"]), Is.EqualTo("go "));
    }

    [Test]
    public async Task A_member_that_joins_after_others_have_left_counts_only_where_RAFT_counts_it()
    {
        var cluster = MembersOf("db-1", "db-3");
        var state = new RolloutState(["db-2"], ["db-2"]) { Later = ["db-1", "db-3"] };
        async Task<string> TurnAsync(FakeGroup group) => Shown(await _provider.NextAsync(cluster, state, group, CancellationToken.None));

        // Of two members in RAFT, the one that stays is no majority.
        var answers = Healthy()
            .ToDictionary(pair => pair.Key, pair => pair.Value.With(ProviderBench.Snapshot((new RaftRead("patroni"), Two(pair.Key)))));
        Assert.That(await TurnAsync(Group(answers, stopped: ["db-3"], open: true)), Does.StartWith("stop db-2 would leave 1 of 2 members"));
        Assert.That(await TurnAsync(Group(Healthy(), stopped: ["db-3"])), Does.StartWith("wait db-3"), "it was lost, and still counts");

        static ToolAnswer Two(string name) =>
            new(0, Raft(name).Output.Replace($", \"partner_node_status_server_{Address("db-3")}\": 2", "", StringComparison.Ordinal));
    }

    [TestCase(1, "wait db-3: Patroni does not answer on port 8008")]
    [TestCase(60, "stop db-3 does not run, and starts only after db-2 has left")]
    public async Task A_stopped_member_that_starts_after_a_removal_is_not_said_to_be_left_out(int waited, string turn)
    {
        var cluster = MembersOf("db-1", "db-3");
        cluster = cluster with { Spec = cluster.Spec.With("unit", "patroni.service") };
        var state = new RolloutState(["db-2"], ["db-2"]) { Later = ["db-3"], Waited = TimeSpan.FromSeconds(waited) };
        var group = Group(Healthy(), stopped: ["db-3"], unit: ("db-3", "inactive"));
        Assert.That(Shown(await _provider.NextAsync(cluster, state, group, CancellationToken.None)), Does.StartWith(turn));
    }

    [Test]
    public void Addresses_that_RAFT_counts_besides_the_members_are_a_difference_and_active_ones_outsiders()
    {
        var (present, desired) = (Membership(Healthy(), "db-1", "db-2"), _provider.Desired(MembersOf("db-1", "db-2")));
        Assert.That(desired["raft_members"].Value, Is.EqualTo("10.0.0.1:7000, 10.0.0.2:7000"));
        Assert.That(present.Attributes["raft_members"].Value, Is.EqualTo("10.0.0.1:7000, 10.0.0.2:7000, 10.0.0.3:7000"));
        Assert.That(present.Outsiders, Is.EqualTo(new[] { new Outsider("10.0.0.3:7000", "db-3") }));

        var stopped = Healthy();
        stopped["db-1"] = stopped["db-1"].With(ProviderBench.Snapshot((new RaftRead("patroni"), PatroniAnswers.Raft("db-1", "db-3"))));
        Assert.That(Membership(stopped, "db-1", "db-2").Outsiders, Is.Empty, "it still counts, and takes no part");

        var leaderless = Healthy();
        leaderless["db-1"] = leaderless["db-1"]
            .With(ProviderBench.Snapshot((new RaftRead("patroni"), new ToolAnswer(1, "RAFT does not answer on port 7000"))));
        Assert.That(
            Membership(leaderless, "db-1", "db-2").Attributes["raft_members"].Value,
            Is.EqualTo("10.0.0.1:7000, 10.0.0.2:7000"),
            "it cannot be told, and 'raft' says so"
        );

        var ledByIt = Healthy()
            .ToDictionary(
                pair => pair.Key,
                pair =>
                    pair.Value.With(
                        ProviderBench.Snapshot(
                            (
                                new RaftRead("patroni"),
                                new ToolAnswer(
                                    0,
                                    PatroniAnswers
                                        .Raft(pair.Key)
                                        .Output.Replace(
                                            "\"leader\": \"10.0.0.1:7000\"",
                                            "\"leader\": \"10.0.0.3:7000\"",
                                            StringComparison.Ordinal
                                        )
                                )
                            )
                        )
                    )
            );
        Assert.That(
            Membership(ledByIt, "db-1", "db-2").Outsiders,
            Is.EqualTo(new[] { new Outsider("10.0.0.3:7000", "db-3") }),
            "also where it leads RAFT itself"
        );

        Observation.Present Membership(Dictionary<string, Snapshot> answers, params string[] members) =>
            (Observation.Present)_provider.Observe(MembersOf(members), answers.Where(pair => members.Contains(pair.Key)).ToDictionary());
    }

    [Test]
    public async Task RAFTs_leader_removes_a_former_member_and_retries_until_that_succeeds()
    {
        var group = Group(Healthy(), stopped: ["db-3"], lost: "db-3");
        group.Answers.Enqueue(new ScriptResult(1, "FAIL REMOVE 10.0.0.3:7000\n", ""));

        await _provider.LeftAsync(MembersOf("db-1", "db-2"), "db-3", group, CancellationToken.None);

        Assert.That(group.Scripts, Is.EqualTo(new[] { "db-1 remove 10.0.0.3:7000", "db-1 remove 10.0.0.3:7000" }));
        await _provider.LeftAsync(MembersOf(Names), "db-3", group, CancellationToken.None);
        Assert.That(group.Scripts, Has.Count.EqualTo(2), "it comes back: a member that was taken down to be built again");
    }

    [Test]
    public void An_apply_that_was_cut_off_while_it_had_slots_dropped_is_finished_by_the_next()
    {
        var resource = MembersOf("db-1", "db-2");
        var answers = Healthy().Where(pair => pair.Key != "db-3").ToDictionary();
        Assert.That(_provider.Desired(resource)["former_slots"].Value, Is.EqualTo("settled"));
        Assert.That(Slots(), Is.EqualTo("settled"));
        var config = new HttpRead(HttpRead.OwnAddress, 8008, "/config");
        answers["db-1"] = answers["db-1"]
            .With(ProviderBench.Snapshot((config, new HttpAnswer(200, """{"ttl": 20, "member_slots_ttl": 1}"""))));
        Assert.That(Slots(), Is.EqualTo("settled"), "a number is somebody's own");
        answers["db-1"] = answers["db-1"]
            .With(ProviderBench.Snapshot((config, new HttpAnswer(200, """{"ttl": 20, "member_slots_ttl": "1s"}"""))));
        Assert.That(Slots(), Is.EqualTo("being dropped: member_slots_ttl is 1s"));

        string Slots() => ((Observation.Present)_provider.Observe(resource, answers)).Attributes["former_slots"].Value;
    }

    [Test]
    public async Task A_former_member_that_still_counts_is_removed_before_any_member_is_disrupted()
    {
        var group = Group(Healthy(), stopped: ["db-3"], lost: "db-3", members: ["db-1", "db-2"]);
        var resource = MembersOf("db-1", "db-2");

        Assert.That(await NextAsync(group, ["db-2"], resource: resource), Is.EqualTo("wait RAFT forgets 10.0.0.3:7000: SUCCESS"));
        Assert.That(await NextAsync(group, ["db-2"], resource: resource), Is.EqualTo("go db-2"));
        Assert.That(group.Scripts, Is.EqualTo(new[] { "db-1 remove 10.0.0.3:7000" }));
    }

    [Test]
    public void The_password_of_RAFT_is_in_no_script() =>
        Assert.That(
            RaftMembership.Change("patroni", "remove", "10.0.0.3:7000").Text,
            Does.Contain("""["remove", "10.0.0.3:7000"]""").And.Contain("raft.get(\"password\")")
        );

    private GroupPolicy MembersOf(params string[] members) =>
        ProviderBench.Policy(
            _provider,
            ("raft_members", (IReadOnlyList<string>)[.. members.Select(Address)]),
            (
                "other_hosts",
                (IReadOnlyDictionary<string, string>)
                    Names.Except(members).ToImmutableSortedDictionary(Address, name => name, StringComparer.Ordinal)
            )
        );

    [Test]
    public void Members_with_another_RAFT_password_are_named_and_the_window_is_announced()
    {
        var cluster = WithPassword("new");
        Assert.That(_provider.Desired(cluster)["raft_password"].Value, Is.EqualTo("the wanted one on every member"));
        var observed = (Observation.Present)_provider.Observe(cluster, Labelled([("db-1", "old"), ("db-2", "new"), ("db-3", "old")]));
        Assert.That(observed.Attributes["raft_password"].Value, Is.EqualTo("another one on db-1, db-3"));
        Assert.That(observed.Note, Does.Contain("all of them are stopped and started together").And.Contain("writes stop for about 15 s"));
        var settled = (Observation.Present)_provider.Observe(cluster, Labelled([("db-1", "new"), ("db-2", "new"), ("db-3", null)]));
        Assert.That(
            (settled.Attributes["raft_password"].Value, settled.Note),
            Is.EqualTo(("the wanted one on every member", (string?)null)),
            "a container that does not say counts as right"
        );
    }

    [Test]
    public async Task With_another_RAFT_password_all_members_of_a_healthy_cluster_stop_together()
    {
        (string, string?)[] old = [("db-1", "old"), ("db-2", "old"), ("db-3", "old")];
        var group = Group(Labelled(old), labelled: true);
        Assert.That(await NextAsync(group, Names, resource: WithPassword("new")), Is.EqualTo("go db-1 db-2 db-3"));
        Assert.That(
            group.Sql,
            Is.EqualTo(
                new[] { "db-1: SET synchronous_standby_names = 'ANY 2 (\"db-2\", \"db-3\")'", "db-1: RESET synchronous_standby_names" }
            ),
            "every acknowledged row is on all of them, and nothing stays"
        );
        await _provider.WithdrawAsync(WithPassword("new"), group);
        Assert.That(group.Sql[2..], Is.EqualTo(new[] { "db-1: RESET synchronous_standby_names" }), "where the primary runs on after all");

        Assert.That(
            await NextAsync(Group(Labelled(old), labelled: true, lost: "db-3"), Names, resource: WithPassword("new")),
            Is.EqualTo("go db-1 db-2 db-3"),
            "RAFT cannot be asked: the file has the new password"
        );
        var dead = Labelled(old, ("db-3", ""));
        Assert.That(
            await NextAsync(Group(dead, labelled: true), Names, resource: WithPassword("new")),
            Does.StartWith("wait RAFT's password is changed on all members together, which needs a healthy cluster: db-3")
        );

        var halfway = Labelled([("db-1", "old"), ("db-2", "old"), ("db-3", "new")], ("db-3", ""));
        Assert.That(
            await NextAsync(Group(halfway, labelled: true, lost: "db-3"), ["db-1", "db-2"], resource: WithPassword("new")),
            Is.EqualTo("go db-1 db-2"),
            "cut off on the way"
        );
        Assert.That(
            await NextAsync(
                Group(Labelled([("db-1", "new"), ("db-2", "new"), ("db-3", "new")]), labelled: true),
                ["db-1", "db-2"],
                resource: WithPassword("new")
            ),
            Is.EqualTo("go db-2"),
            "another change of theirs goes one by one"
        );
    }

    [Test]
    public async Task A_member_whose_data_is_set_aside_goes_only_while_another_one_leads()
    {
        var adopted = Resource() with { Spec = Resource().Spec.With("former_data_directory", Former) };
        Assert.That(await NextAsync(Group(former: Names), Names, resource: adopted), Is.EqualTo("go db-2"), "replicas first");
        Assert.That(
            await NextAsync(Group(stopped: Names, former: Names), Names, resource: adopted),
            Does.StartWith("stop db-1 and db-2 and db-3: its data must be set aside")
                .And.Contain("there is no primary. Start PostgreSQL by hand first")
        );
        Assert.That(
            await NextAsync(Group(Healthy(("db-1", Replica("db-1"))), former: ["db-3"]), ["db-3"], resource: adopted),
            Does.StartWith("wait db-3: its data must be set aside"),
            "an election is on"
        );
        Assert.That(
            await NextAsync(Group(stopped: Names, former: ["db-2", "db-3"]), ["db-1"], resource: adopted),
            Does.StartWith("stop db-1 has no data, db-2 and db-3 have"),
            "also by itself"
        );
        Assert.That(
            await NextAsync(Group(members: ["db-1"], former: ["db-1"]), ["db-1"], resource: adopted),
            Does.StartWith("stop no replica can take over from db-1")
        );
    }

    [Test]
    public async Task Foreign_members_without_a_RAFT_password_are_distinguished_from_those_with_one()
    {
        var open = Names.ToDictionary(
            name => name,
            name =>
                Healthy()[name]
                    .With(
                        ProviderBench.Snapshot(
                            (
                                new RaftRead("patroni"),
                                new ToolAnswer(0, Raft(name).Output.TrimEnd().TrimEnd('}') + ", \"kbr_password\": false}")
                            ),
                            (
                                new ContainerRead("patroni"),
                                new DockerAnswer(200, """{"State": {"Running": true}, "Config": {"Labels": {}}}""")
                            )
                        )
                    )
        );
        Assert.That(
            ((Observation.Present)_provider.Observe(WithPassword("new"), open)).Attributes["raft_password"].Value,
            Is.EqualTo("another one on db-1, db-2, db-3")
        );
        Assert.That(
            ((Observation.Present)_provider.Observe(WithPassword("none"), open)).Attributes["raft_password"].Value,
            Is.EqualTo("the wanted one on every member")
        );
        Assert.That(
            await NextAsync(Group(open, labelled: true, open: true), Names, resource: WithPassword("new")),
            Is.EqualTo("go db-1 db-2 db-3")
        );
        Assert.That(
            await NextAsync(Group(open, labelled: true, open: true), Names, resource: WithPassword("none")),
            Is.EqualTo("go db-2"),
            "one after another"
        );
        var adopted = WithPassword("new") with { Spec = WithPassword("new").Spec.With("former_data_directory", Former) };
        Assert.That(
            await NextAsync(Group(open, labelled: true, open: true, former: Names), Names, resource: adopted),
            Does.StartWith("stop db-1 and db-2 and db-3 would be stopped together").And.Contain("'raft_password: false'")
        );
    }

    private GroupPolicy WithPassword(string password) =>
        Resource() is var resource ? resource with { Spec = resource.Spec.With("raft_password", password) } : resource;

    private static Dictionary<string, Snapshot> Labelled(
        (string Name, string? Password)[] labels,
        params (string Name, string Body)[] changed
    ) =>
        labels.ToDictionary(
            pair => pair.Name,
            pair =>
            {
                var found = pair.Password is null ? "null" : $$"""{"kbr.raft-password": "{{pair.Password}}"}""";
                return Healthy(changed)[pair.Name]
                    .With(
                        ProviderBench.Snapshot(
                            (
                                new ContainerRead("patroni"),
                                new DockerAnswer(200, $$"""{"State": {"Running": true}, "Config": {"Labels": {{found}} } }""")
                            )
                        )
                    );
            }
        );

    private async Task<string> NextAsync(
        FakeGroup group,
        string[] toCome,
        string[]? leaving = null,
        GroupPolicy? resource = null,
        TimeSpan waited = default
    ) =>
        Shown(
            await _provider.NextAsync(
                resource ?? Resource(),
                new RolloutState([.. toCome], [.. leaving ?? []]) { Waited = waited },
                group,
                CancellationToken.None
            )
        );

    private static string Shown(RolloutTurn turn) =>
        turn switch
        {
            RolloutTurn.Go go => "go " + string.Join(' ', go.Hosts),
            RolloutTurn.Wait wait => "wait " + wait.Reason,
            RolloutTurn.Stop stop => "stop " + stop.Reason,
            _ => throw new AssertionException("no such turn"),
        };

    private (string Members, string Leader, string? Note) Observed(Dictionary<string, Snapshot> answers)
    {
        var present = (Observation.Present)_provider.Observe(Resource(), answers);
        return (present.Attributes["members"].Value, present.Attributes["leader"].Value, present.Note);
    }

    private GroupPolicy Resource() => ProviderBench.Policy(_provider, ("bootstrap_host", "db-1"), ("data_directory", Data));

    private static FakeGroup Group(
        Dictionary<string, Snapshot>? answers = null,
        string[]? stopped = null,
        string[]? data = null,
        string[]? unreachable = null,
        string? lost = null,
        (string Name, string State) unit = default,
        string[]? members = null,
        bool labelled = false,
        bool open = false,
        string[]? former = null,
        string[]? mounted = null,
        string? stored = null
    ) =>
        new(
            members ?? Names,
            Names
                .Except(unreachable ?? [])
                .ToDictionary(
                    name => name,
                    name =>
                        (stopped?.Contains(name) == true ? Snapshot("") : (answers ?? Healthy())[name]).With(
                            ProviderBench.Snapshot(
                                (
                                    new RaftRead("patroni"),
                                    open ? answers![name].Get(new RaftRead("patroni"))
                                    : stopped?.Contains(name) == true
                                        ? new ToolAnswer(1, "Error response from daemon: container is not running")
                                    : Raft(name, lost is null ? [] : [lost])
                                ),
                                (
                                    new UnitRead("patroni.service"),
                                    new UnitState(
                                        ImmutableDictionary<string, string>.Empty.Add(
                                            "ActiveState",
                                            name == unit.Name ? unit.State ?? "" : "active"
                                        )
                                    )
                                ),
                                (
                                    new ContainerRead("patroni"),
                                    labelled
                                        ? answers![name].Get(new ContainerRead("patroni"))
                                        : new DockerAnswer(stopped?.Contains(name) == true ? 404 : 200, """{"State": {"Running": true}}""")
                                ),
                                (
                                    new MountsRead(),
                                    (IReadOnlyList<MountEntry>)(
                                        mounted?.Contains(name) == true ? [new MountEntry("/opt", "/dev/sdb", "8:16", "xfs", "rw")] : []
                                    )
                                ),
                                (
                                    new StatRead($"{Former}/PG_VERSION"),
                                    former?.Contains(name) == true
                                        ? new FileStat("regular file", 999, 999, "postgres", "postgres", "0600", default)
                                        : null
                                ),
                                (
                                    new StatRead($"{Data}/PG_VERSION"),
                                    data?.Contains(name) == true
                                        ? new FileStat("regular file", 999, 999, "postgres", "postgres", "0600", default)
                                        : null
                                )
                            )
                        )
                )
        )
        {
            Stored = stored,
        };

    // A script that changes RAFT succeeds, unless an answer waits for it, and is then seen in what RAFT's leader says.
    private sealed class FakeGroup(string[] members, Dictionary<string, Snapshot> snapshots) : IGroupAccess
    {
        public List<string> Scripts { get; } = [];

        /// <summary>The verifier that PostgreSQL has of any role.</summary>
        public string? Stored { get; init; }

        public Queue<ScriptResult> Answers { get; } = new();

        public ImmutableArray<Host> Members { get; } =
        [.. members.Select((name, index) => new Host(name, "db", $"10.0.0.{index + 1}", new SshEndpoint(name, 22, "root", false)))];

        public TimeProvider Time => TimeProvider.System;

        public Tests.Applying.StepLog Report { get; } = new();

        IStepReport IGroupAccess.Report => Report;

        /// <summary>What was set and reset, as <c>host: statement</c>.</summary>
        public List<string> Sql { get; } = [];

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            !snapshots.TryGetValue(host, out var snapshot)
                ? throw new HostException(host, "it could not be reached")
                : Task.FromResult(
                    snapshot.With(
                        ProviderBench.Snapshot([
                            .. reads
                                .OfType<SqlRead>()
                                .Select(read =>
                                    (
                                        (Read)read,
                                        (object?)
                                            new SqlAnswer(
                                                $$"""[{"in_recovery": false, "waited_for": 2, "flushed": "0/3000060", "stored": "{{Stored}}"}]""",
                                                ""
                                            )
                                    )
                                ),
                        ])
                    )
                );

        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken)
        {
            var statements = script
                .Text.Split('\n')
                .Where(line => line.StartsWith("ALTER ", StringComparison.Ordinal))
                .Select(line => $"{host}: {line["ALTER ".Length..].Replace("SYSTEM ", "", StringComparison.Ordinal).TrimEnd(';')}")
                .ToList();
            if (statements.Count > 0)
            {
                Sql.AddRange(statements);
                return Task.FromResult(new ScriptResult(0, "", ""));
            }

            var words = System.Text.RegularExpressions.Regex.Match(script.Text, """\["(\w+)", "([^"]+)"\]""").Groups;
            Scripts.Add($"{host} {words[1].Value} {words[2].Value}");
            if (Answers.TryDequeue(out var answer))
            {
                return Task.FromResult(answer);
            }

            var said = snapshots[host].Get(new RaftRead("patroni")).Output;
            snapshots[host] = snapshots[host]
                .With(
                    ProviderBench.Snapshot(
                        (
                            new RaftRead("patroni"),
                            new ToolAnswer(
                                0,
                                said.Replace($", \"partner_node_status_server_{words[2].Value}\": 0", "", StringComparison.Ordinal)
                            )
                        )
                    )
                );
            return Task.FromResult(new ScriptResult(0, "SUCCESS\n", ""));
        }

        public int? TunnelPort { get; set; }

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
            Task.FromResult<ITunnel>(new Tunnel(TunnelPort ?? throw new NotSupportedException()));

        private sealed record Tunnel(int Port) : ITunnel
        {
            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
