using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Tests.Providers.ConsensusStore;

[TestFixture]
internal sealed class RaftStoreTests
{
    private readonly RaftStore _store = new();
    private readonly PatroniGroup _provider = new();

    [Test]
    public void Raft_is_read_from_its_status_and_judged_by_the_view_of_its_leader()
    {
        const string status = """
            {"version": "0.3.14", "self": "10.0.0.120:7000", "state": 2, "leader": "10.0.0.120:7000", "has_quorum": true, "partner_nodes_count": 2,
             "partner_node_status_server_10.0.0.121:7000": 2, "partner_node_status_server_10.0.0.122:7000": 0, "log_len": 3, "uptime": 7}
            """;
        var leading = RaftStatus.Parse(
            new ToolAnswer(0, "DeprecationWarning: something\n" + status.ReplaceLineEndings(" ")),
            out var trouble
        )!;
        Assert.That(trouble, Is.Null);
        Assert.That(
            leading.Partners.Select(pair => (pair.Key, pair.Value)),
            Is.EqualTo(new[] { ("10.0.0.121:7000", true), ("10.0.0.122:7000", false) })
        );

        Dictionary<string, ToolAnswer> answers = new()
        {
            ["db-1"] = PatroniAnswers.Raft("db-1", "db-3"),
            ["db-2"] = PatroniAnswers.Raft("db-2", "db-1"),
        };
        var raft = RaftHealth.Judge(answers, []);
        Assert.That((raft.Leader, raft.Connected, raft.Partners), Is.EqualTo(("db-1", 1, 2)));
        Assert.That(
            raft.Problems.Select(problem => problem.Text),
            Is.EqualTo(new[] { "RAFT's leader db-1 is not connected to 10.0.0.3:7000" })
        );
        Assert.That(raft.Outside, Is.Empty, "it was not asked");
        Assert.That(
            RaftHealth.Judge(answers, ["10.0.0.3:7000"]).Problems.Select(problem => problem.Text),
            Is.Empty,
            "it was taken down for good"
        );

        answers["db-3"] = PatroniAnswers.Raft("db-3");
        Assert.That(
            RaftHealth.Judge(answers, []).Problems.Select(problem => problem.Text),
            Is.EqualTo(new[] { "db-3: RAFT's leader db-1 is not connected to it" })
        );
        Assert.That(RaftHealth.Judge(answers, []).Outside, Is.EqualTo(new[] { "db-3" }));

        answers["db-1"] = answers["db-1"] with
        {
            Output = answers["db-1"].Output.Replace("\"has_quorum\": true", "\"has_quorum\": false", StringComparison.Ordinal),
        };
        Assert.That(
            RaftHealth.Judge(answers, []).Problems.Select(problem => problem.Text),
            Is.EqualTo(new[] { "RAFT has no leader with a quorum" })
        );
        Assert.That(
            RaftHealth.Judge(new Dictionary<string, ToolAnswer> { ["db-1"] = new(0, "null") }, []).Problems.Select(problem => problem.Text),
            Is.Empty,
            "another store"
        );
    }

    [TestCase(0, "null", null)]
    [TestCase(0, "{\"self\": \"x", "RAFT's status query failed: {\"self\": \"x")]
    [TestCase(
        1,
        "Traceback …\npysyncobj.utility.UtilityException: connection lost\n",
        "RAFT's status query failed: pysyncobj.utility.UtilityException: connection lost"
    )]
    [TestCase(124, "", "RAFT's status query failed (exit status 124)")]
    public void Unused_raft_and_silent_raft_are_distinguished(int exit, string output, string? reason)
    {
        Assert.That(RaftStatus.Parse(new ToolAnswer(exit, output), out var trouble), Is.Null);
        Assert.That(trouble, Is.EqualTo(reason));
    }

    [TestCase(4, 4, null)]
    [TestCase(5, 4, "db-1")]
    [TestCase(4, 5, "db-2")]
    public void Of_two_that_lead_the_later_elected_one_counts_and_of_one_election_they_are_a_problem(int first, int second, string? leader)
    {
        var other = PatroniAnswers
            .Raft("db-2")
            .Output.Replace(
                $"\"leader\": \"{PatroniAnswers.Address("db-1")}\"",
                $"\"leader\": \"{PatroniAnswers.Address("db-2")}\"",
                StringComparison.Ordinal
            );
        var health = RaftHealth.Judge(
            new Dictionary<string, ToolAnswer>
            {
                ["db-1"] = Elected(PatroniAnswers.Raft("db-1").Output, first),
                ["db-2"] = Elected(other, second),
            },
            []
        );
        Assert.That(health.Leader, Is.EqualTo(leader));
        Assert.That(health.Counted, leader is null ? Is.Empty : Has.Count.EqualTo(3));
        Assert.That(
            health.Problems.Select(problem => problem.Text),
            leader is null ? Is.EqualTo(new[] { "db-1 and db-2 both claim to be RAFT's leader" }) : Is.Empty
        );

        static ToolAnswer Elected(string status, int term) =>
            new(0, status.Replace("\"self\":", $"\"raft_term\": {term}, \"self\":", StringComparison.Ordinal));
    }

    [Test]
    public void A_follower_reports_the_counted_members_while_the_leader_was_not_read()
    {
        var health = RaftHealth.Judge(new Dictionary<string, ToolAnswer> { ["db-2"] = PatroniAnswers.Raft("db-2", "db-3") }, []);
        Assert.That(health.Leader, Is.Null);
        Assert.That(
            health.Counted.Select(pair => (pair.Key, pair.Value)),
            Is.EqualTo(new[] { ("10.0.0.1:7000", true), ("10.0.0.2:7000", true), ("10.0.0.3:7000", false) })
        );
    }

    [Test]
    public void Addresses_are_host_and_port_with_brackets_around_IPv6()
    {
        var endpoint = new SshEndpoint("db-1", 22, "root", false);
        var resource = Resource(("raft_port", 7001L));
        Assert.That(_store.AddressOf(resource, new Host("db-1", "db", "10.0.0.1", endpoint)), Is.EqualTo("10.0.0.1:7001"));
        Assert.That(_store.AddressOf(resource, new Host("db-1", "db", "fd00::1", endpoint)), Is.EqualTo("[fd00::1]:7001"));
        Assert.That(_store.ListenerOf(resource, new Host("db-1", "db", "fd00::1", endpoint)), Is.EqualTo(new PortRead("fd00::1", 7001)));
    }

    [Test]
    public void Members_are_added_and_forgotten_by_the_leaders_own_command_in_its_container()
    {
        var resource = Resource(("container", "other"));
        Assert.That(
            _store.Add(resource, "10.0.0.3:7000").Text,
            Does.Contain("docker exec -i 'other'").Or.Contain("docker exec -i other").And.Contain("""["add", "10.0.0.3:7000"]""")
        );
        Assert.That(_store.Forget(resource, "10.0.0.3:7000").Text, Does.Contain("""["remove", "10.0.0.3:7000"]"""));
        Assert.That(_store.Reads(resource), Is.EqualTo(new[] { new RaftRead("other") }));
    }

    [TestCase("wanted", "wanted", null, true)]
    [TestCase("wanted", "other", null, false)]
    [TestCase("none", null, false, true)]
    [TestCase("none", null, true, false)]
    [TestCase("wanted", null, false, false)]
    [TestCase("wanted", null, true, null)]
    [TestCase("wanted", null, null, null)]
    [TestCase(null, "other", null, null)]
    public void The_label_identifies_the_password_and_without_a_label_the_member_reports_it(
        string? wanted,
        string? label,
        bool? has,
        bool? expected
    )
    {
        var resource = wanted is null ? Resource() : Resource(("raft_password", wanted));
        var labels = label is null ? "null" : $$"""{"kbr.raft-password": "{{label}}"}""";
        var said = has is null ? "null" : $$"""{"self": "10.0.0.1:7000", "kbr_password": {{(has.Value ? "true" : "false")}}}""";
        var member = ProviderBench.Snapshot(
            (
                new ContainerRead("patroni"),
                new DockerAnswer(200, $$$"""{"State": {"Running": true}, "Config": {"Labels": {{{labels}}} }}""")
            ),
            (new RaftRead("patroni"), new ToolAnswer(0, said))
        );
        Assert.That(_store.HasDesiredPassword(resource, member), Is.EqualTo(expected));
        Assert.That(_store.MustTellPassword(resource, member), Is.EqualTo(wanted is not null && label is null));
    }

    [Test]
    public void The_namespace_is_what_the_member_reports_and_null_if_it_was_not_read()
    {
        var asked = ProviderBench.Snapshot((new RaftRead("patroni"), PatroniAnswers.Raft("db-1")));
        Assert.That(_store.NamespaceOf(Resource(), asked), Is.EqualTo("/service/"));
        Assert.That(_store.NamespaceOf(Resource(), ProviderBench.Snapshot()), Is.Null);
    }

    private GroupPolicy Resource(params (string Name, object Value)[] values) => ProviderBench.Policy(_provider, values);
}
