using System.Collections.Immutable;
using System.Text;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using static KeyBuzz.Reconciler.Tests.Providers.PatroniCluster.PatroniAnswers;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

[TestFixture]
internal sealed class ClusterIdentityTests
{
    private const string Data = "/opt/data/pgdata";
    private const string Root = "/opt";

    private readonly PatroniGroup _provider = new();

    [TestCase("db", "/db/")]
    [TestCase("/db", "/db/")]
    [TestCase("//db//a/", "/db/a/")]
    [TestCase("/", "/")]
    public void A_namespace_has_one_spelling(string written, string normal) =>
        Assert.That(ClusterIdentity.Normal(written), Is.EqualTo(normal));

    [Test]
    public void A_cluster_in_another_namespace_is_refused_with_the_setting_that_makes_it_fit()
    {
        var found = Refused(Answers(name => (Own(name), "/db/")));
        Assert.That(found.Reason, Is.EqualTo("db-1, db-2 and db-3 are in Patroni's namespace /db/, not in /service/"));
        Assert.That(found.Remedy, Is.EqualTo("set postgres.namespace: /db/"));
        Assert.That(found.Detail, Does.Contain("second, empty database"));
        Assert.That(
            _provider.Observe(Cluster("db"), Answers(name => (Own(name), "/db/"))),
            Is.InstanceOf<Observation.Present>(),
            "as the file says it"
        );
        Assert.That(
            Refused(Answers(name => (Own(name), "/service/")), Cluster("/db/")).Remedy,
            Is.EqualTo("set postgres.namespace: /service/"),
            "the other way round, too"
        );
    }

    [Test]
    public void A_cluster_of_another_scope_is_refused_and_one_such_member_is_named()
    {
        Assert.That(
            Refused(
                Answers(name =>
                    (Own(name).Replace("\"scope\": \"pg\"", "\"scope\": \"postgres-cluster\"", StringComparison.Ordinal), "/service/")
                )
            ),
            Has.Property("Reason")
                .EqualTo("db-1, db-2 and db-3 are in Patroni's scope postgres-cluster, not in pg")
                .And.Property("Remedy")
                .EqualTo("set postgres.scope: postgres-cluster")
        );
        var one = Refused(
            Answers(name =>
                (
                    name != "db-3"
                        ? Own(name)
                        : Leader(name)
                            .Replace("\"scope\": \"pg\"", "\"scope\": \"temporal\"", StringComparison.Ordinal)
                            .Replace("7711228701456285717", "7", StringComparison.Ordinal),
                    "/service/"
                )
            )
        );
        Assert.That(
            (one.Reason, one.Remedy),
            Is.EqualTo(
                (
                    "db-3 is in Patroni's scope temporal, not in pg",
                    "remove db-3 from 'postgres.members' if it belongs to another cluster; set postgres.scope: "
                        + "temporal where all of them should"
                )
            )
        );
    }

    [Test]
    public void Two_databases_under_one_name_are_two_primaries_and_never_no_primary()
    {
        var two = Answers(name =>
            (name == "db-2" ? Leader(name).Replace("7711228701456285717", "42", StringComparison.Ordinal) : Own(name), "/service/")
        );
        var found = Refused(two);
        Assert.That(found.Reason, Is.EqualTo("the members of pg hold different databases"));
        Assert.That(
            found.Detail,
            Does.StartWith("db-1: system identifier 7711228701456285717, a primary")
                .And.Contain("db-2: system identifier 42, a primary")
                .And.Contain("db-3: system identifier 7711228701456285717, a replica")
        );

        var health = Judge(two);
        Assert.That(
            health.Problems.Select(problem => problem.Text),
            Has.Some.EqualTo("db-1 (system identifier 7711228701456285717) and db-2 (system identifier 42) accept writes: 2 primaries")
        );
        Assert.That(
            health.Problems.Select(problem => problem.Text),
            Has.Some.StartsWith("the members have different databases: db-1 7711228701456285717, db-2 42")
                .And.None.EqualTo("no member is the primary")
        );
        var steps = ClusterOutlook.Of(health, null).Forecast(GroupPolicy.AddressOf("pg"), ["db-1", "db-2", "db-3"], []);
        Assert.That(steps!.Steps.Select(step => step.Note), Has.None.EqualTo("not running"));
    }

    [Test]
    public void Data_of_another_major_version_is_refused_and_no_data_of_a_new_member_is_not()
    {
        var answers = Answers(name => (Own(name), "/service/"));
        answers["db-2"] = answers["db-2"]
            .With(ProviderBench.Snapshot((new FileRead(Data + "/PG_VERSION"), new FileContent(Encoding.UTF8.GetBytes("16\n")))));
        answers["db-3"] = answers["db-3"].With(ProviderBench.Snapshot((new FileRead(Data + "/PG_VERSION"), null)));
        GroupPolicy Version(long version) => Cluster() with { Spec = Cluster().Spec.With("version", version) };

        Assert.That(_provider.Observe(Version(16), answers), Is.InstanceOf<Observation.Present>());
        var refused = Refused(answers, Version(17));
        Assert.That(refused.Reason, Is.EqualTo("db-2 holds data of PostgreSQL 16, not 17"));
        Assert.That(refused.Detail, Does.StartWith($"it is in {Data}. "));
        Assert.That(refused.Remedy, Does.StartWith("set postgres.version: 16 "));
        Assert.That(_provider.Reads(Version(17)), Does.Contain(new FileRead(Data + "/PG_VERSION")));
    }

    [Test]
    public void A_member_that_does_not_run_and_holds_another_database_is_refused_by_its_directory()
    {
        var answers = Answers(name => (name == "db-3" ? "" : Own(name), "/service/"));
        Assert.That(_provider.Observe(Cluster(), answers), Is.InstanceOf<Observation.Present>(), "no data");
        answers["db-3"] = answers["db-3"]
            .With(ProviderBench.Snapshot((MemberIdentity.ControlFile(Data), new FileContent(BitConverter.GetBytes(42UL)))));
        Assert.That(Refused(answers).Detail, Does.Contain($"db-3: system identifier 42, in {Data}, not running"));
        answers["db-3"] = answers["db-3"]
            .With(
                ProviderBench.Snapshot((MemberIdentity.ControlFile(Data), new FileContent(BitConverter.GetBytes(7711228701456285717UL))))
            );
        Assert.That(_provider.Observe(Cluster(), answers), Is.InstanceOf<Observation.Present>());
        var stopped = Answers(_ => ("", null), ("db-2", 42), ("db-3", 43));
        Assert.That(Refused(stopped).Reason, Is.EqualTo("the members of pg hold different databases"), "also while nobody runs");
    }

    [Test]
    public void A_host_that_runs_no_Patroni_is_named_and_a_server_of_its_own_is_refused()
    {
        var answers = Answers(name => (name == "db-3" ? "" : Own(name), "/service/"));
        answers["db-3"] = answers["db-3"]
            .With(ProviderBench.Snapshot((new ContainerRead("patroni"), new DockerAnswer(404, "{}")), (Listener, PortState.Refused)));
        Assert.That(
            ((Observation.Present)_provider.Observe(Cluster(), answers)).Warnings["db-3"],
            Does.StartWith("db-3 runs no Patroni: it would become a new member of pg, with a copy of its data")
        );
        answers["db-3"] = answers["db-3"].With(ProviderBench.Snapshot((Listener, PortState.Answered)));
        Assert.That(
            Refused(answers).Reason,
            Is.EqualTo("db-3 is listed as a member, but its port 5432 is used by a server outside Patroni")
        );
        answers["db-3"] = Answers(name => (Own(name), "/service/"))["db-3"]
            .With(ProviderBench.Snapshot((new ContainerRead("patroni"), new DockerAnswer(404, "{}"))));
        Assert.That(
            Refused(answers).Reason,
            Is.EqualTo("db-3 is listed as a member, but its Patroni does not run in the container 'patroni'")
        );
    }

    [Test]
    public async Task A_roll_out_stops_before_anybody_when_the_members_are_another_cluster()
    {
        Assert.That(
            await NextAsync(Answers(name => (Own(name), "/service/"))),
            Is.EqualTo(new RolloutTurn.Go(["db-2"])).Using<RolloutTurn>((one, other) => Shown(one) == Shown(other))
        );
        Assert.That(
            Shown(await NextAsync(Answers(name => (Own(name), "/db/")))),
            Does.StartWith("stop db-1, db-2 and db-3 are in Patroni's namespace /db/")
        );
        Assert.That(
            Shown(
                await NextAsync(
                    Answers(name => (Own(name).Replace("\"scope\": \"pg\"", "\"scope\": \"other\"", StringComparison.Ordinal), "/service/"))
                )
            ),
            Does.StartWith("stop db-1, db-2 and db-3 are in Patroni's scope other")
        );
        Assert.That(
            Shown(await NextAsync(Answers(name => (name == "db-2" ? Leader(name) : Own(name), "/service/")))),
            Does.StartWith("wait db-1 (system identifier 7711228701456285717) and db-2"),
            "as after a cut"
        );
        var mute = Answers(name =>
            (
                name == "db-1" ? ""
                : name == "db-2" ? Leader(name)
                : Own(name),
                name == "db-1" ? null : "/db/"
            )
        );
        Assert.That(
            Shown(await NextAsync(mute, "db-1")),
            Does.StartWith("stop db-2 and db-3 are in Patroni's namespace /db/"),
            "a leader is visible, and it is none that the bootstrap member would join"
        );
    }

    [Test]
    public async Task The_bootstrap_member_is_not_started_beside_a_leader_that_does_not_say_its_namespace()
    {
        var mute = Answers(name =>
            (
                name == "db-1" ? ""
                : name == "db-2" ? Leader(name)
                : Own(name),
                null
            )
        );
        Assert.That(
            Shown(await NextAsync(mute, "db-1")),
            Is.EqualTo("wait db-1 could create a new database: the namespace of the primary db-2 is unknown")
        );
        var known = Answers(name =>
            (
                name == "db-1" ? ""
                : name == "db-2" ? Leader(name)
                : Own(name),
                name == "db-1" ? null : "/service/"
            )
        );
        Assert.That(Shown(await NextAsync(known, "db-1")), Is.EqualTo("go db-1"));
    }

    private static string Shown(RolloutTurn turn) =>
        turn switch
        {
            RolloutTurn.Go go => "go " + string.Join(' ', go.Hosts),
            RolloutTurn.Wait wait => "wait " + wait.Reason,
            RolloutTurn.Stop stop => "stop " + stop.Reason,
            _ => throw new AssertionException("no such turn"),
        };

    private async Task<RolloutTurn> NextAsync(Dictionary<string, Snapshot> answers, params string[] toCome) =>
        await _provider.NextAsync(
            Cluster(),
            new RolloutState([.. toCome.Length > 0 ? toCome : Names], []),
            new Answering(answers),
            CancellationToken.None
        );

    private Observation.Unknown Refused(Dictionary<string, Snapshot> answers, GroupPolicy? resource = null)
    {
        var found = (Observation.Unknown)_provider.Observe(resource ?? Cluster(), answers);
        Assert.That(found.Remedy, Is.Not.Null);
        return found;
    }

    private static string Own(string name) => name == "db-1" ? Leader(name) : Replica(name);

    private static PortRead Listener => new("127.0.0.1", 5432);

    private GroupPolicy Cluster(string name = "/service/") =>
        ProviderBench.Policy(_provider, ("namespace", name), ("bootstrap_host", "db-1"), ("data_directory", Data), ("mount_point", Root));

    // What each member's Patroni answers, and the namespace in its file; a member without either has a container that does not run.
    private static Dictionary<string, Snapshot> Answers(
        Func<string, (string Body, string? Namespace)> of,
        params (string Name, ulong Identifier)[] held
    ) =>
        Names.ToDictionary(
            name => name,
            name =>
            {
                var (body, found) = of(name);
                return Snapshot(
                    body,
                    (
                        new RaftRead("patroni"),
                        found is null
                            ? new ToolAnswer(1, "container is not running")
                            : new ToolAnswer(0, Raft(name).Output.Replace("/service/", found, StringComparison.Ordinal))
                    ),
                    (
                        new ContainerRead("patroni"),
                        new DockerAnswer(200, $$"""{"State": {"Running": {{(body.Length > 0 ? "true" : "false")}} } }""")
                    ),
                    (Listener, PortState.Refused),
                    (new StatRead(Root + "/PG_VERSION"), null),
                    (new StatRead(Data + "/PG_VERSION"), null),
                    (new MountsRead(), (IReadOnlyList<MountEntry>)[new MountEntry(Root, "/dev/sdb", "8:16", "xfs", "rw")]),
                    (new UnitRead("patroni.service"), new UnitState(ImmutableDictionary<string, string>.Empty)),
                    (
                        MemberIdentity.ControlFile(Data),
                        held.Any(pair => pair.Name == name)
                            ? new FileContent(BitConverter.GetBytes(held.First(pair => pair.Name == name).Identifier))
                            : null
                    )
                );
            }
        );

    private sealed class Answering(Dictionary<string, Snapshot> answers) : IGroupAccess
    {
        public ImmutableArray<Host> Members { get; } =
        [.. Names.Select((name, index) => new Host(name, "db", $"10.0.0.{index + 1}", new SshEndpoint(name, 22, "root", false)))];

        public TimeProvider Time => TimeProvider.System;

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            Task.FromResult(
                answers[host]
                    .With(
                        ProviderBench.Snapshot([.. reads.OfType<SqlRead>().Select(read => ((Read)read, (object?)new SqlAnswer("[]", "")))])
                    )
            );

        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }
}
