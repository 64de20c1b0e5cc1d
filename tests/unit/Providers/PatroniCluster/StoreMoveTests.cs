using System.Collections.Immutable;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Etcd;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using KeyBuzz.Reconciler.Tests.Applying;
using static KeyBuzz.Reconciler.Tests.Providers.PatroniCluster.PatroniAnswers;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

/// <summary>The move of a cluster from etcd to RAFT: where each member is, and what is done to it in which order.</summary>
[TestFixture]
internal sealed class StoreMoveTests
{
    private const string Folder = "/opt/patroni/";
    private const string Data = "/opt/data";

    private static readonly FileRead s_raftFile = new(Folder + "patroni.yml");
    private static readonly FileRead s_etcdFile = new(Folder + "patroni-etcd.yml");

    [Test]
    public void A_plan_shows_the_move_as_one_stop_of_all_members_with_its_cost()
    {
        var policy = Policy();
        var observed = (Observation.Present)policy.Rules.Observe(policy, Answers());
        var forecast = policy.Rules.Forecast(policy, All, [observed.Outlook!])!;
        Assert.That(forecast.Summary, Does.StartWith("restart of all 3 members at once, about "));
        Assert.That(forecast.Steps.Single().Note, Is.EqualTo("from etcd to RAFT; db-1 stops last, starts first and leads"));
    }

    [Test]
    public async Task The_replicas_stop_before_the_primary_and_no_container_stays_when_the_first_starts()
    {
        var access = new Access(Answers());
        Assert.That(await NextAsync(access), Is.EqualTo("go on db-1"));
        Assert.That(
            access.Done,
            Is.EqualTo(
                new[]
                {
                    "db-1 sql",
                    "db-1 sql",
                    "db-2 clear",
                    "db-3 clear",
                    "db-1 clear",
                    "db-2 stop",
                    "db-3 stop",
                    "db-1 stop",
                    "db-2 remove",
                    "db-3 remove",
                    "db-1 remove",
                }
            ),
            "commits wait for the replicas first"
        );
        Assert.That(access.Lowered, Is.Empty);
        Assert.That(access.Report.Lines, Is.EqualTo(new[] { "RestartTogether db-2 db-3 db-1" }));
    }

    [TestCase("db-2", "clear", "")]
    [TestCase("db-2", "stop", "db-2 stop|db-3 stop|db-2 start|db-3 start|db-1 start")]
    [TestCase("db-1", "stop", "db-2 stop|db-3 stop|db-1 stop|db-2 start|db-3 start|db-1 start")]
    [TestCase("db-3", "remove", "db-2 stop|db-3 stop|db-1 stop|db-2 remove|db-3 remove|db-1 remove")]
    public async Task No_member_starts_with_the_declared_store_while_another_may_start_with_the_former(
        string host,
        string fails,
        string expected
    )
    {
        var access = new Access(Answers()) { Fails = $"{host} {fails}" };
        var said = await NextAsync(access);
        Assert.That(said, Does.StartWith($"stop {host}: it is broken"));
        Assert.That(
            said.Contains("every member is stopped until kbr apply, run again, goes on", StringComparison.Ordinal),
            Is.EqualTo(fails == "remove"),
            said
        );
        Assert.That(
            access.Done.Where(done => done.Split(' ')[1] is not ("sql" or "clear")),
            Is.EqualTo(expected.Split('|', StringSplitOptions.RemoveEmptyEntries))
        );
        Assert.That(access.Lowered, Is.EqualTo(new[] { "db-1" }), "commits do not wait for every replica any more");
    }

    [Test]
    public async Task A_fence_that_could_not_be_lowered_is_named()
    {
        var access = new Access(Answers()) { Fails = "db-2 stop", KeepsFence = true };
        Assert.That(
            await NextAsync(access),
            Does.StartWith("stop db-2: it is broken")
                .And.Contain("; commits on db-1 may wait for every replica, until the next kbr apply, or ALTER SYSTEM RESET")
        );
        Assert.That(
            await Policy().Rules.WithdrawAsync(Policy(), access),
            Does.StartWith("commits on db-1 may wait for every replica"),
            "also where the stop of all was withdrawn"
        );
        Assert.That(await Policy().Rules.WithdrawAsync(Policy(), new Access(Answers())), Is.Null);
    }

    [Test]
    public async Task A_fence_that_could_be_neither_raised_nor_lowered_is_named()
    {
        var access = new Access(Answers()) { Fails = "db-1 sql", ExitCode = 124 };
        var failure = await Assert.ThrowsAsync<ChangeFailedException>(() => NextAsync(access));
        Assert.That(failure!.Message, Does.Contain("; commits on db-1 may wait for every replica, until the next kbr apply"));
    }

    [Test]
    public async Task Members_run_as_before_when_a_move_is_aborted_while_one_stops()
    {
        using var abort = new CancellationTokenSource();
        var access = new Access(Answers()) { Aborts = ("db-2 stop", abort) };
        Assert.That(await NextAsync(access, abort.Token), Is.EqualTo("stop db-2: aborted; the members run as before"));
        Assert.That(
            access.Done.Where(done => done.Split(' ')[1] is "start"),
            Is.EqualTo(new[] { "db-2 start", "db-3 start", "db-1 start" })
        );
        Assert.That(access.Lowered, Is.EqualTo(new[] { "db-1" }));
    }

    [Test]
    public async Task A_move_that_was_cut_off_goes_on_with_the_member_of_the_newest_data()
    {
        // Shut down as a replica; as a primary of an earlier timeline; as the last primary.
        var answers = Answers(running: []);
        Gone("db-1", 2, timeline: 3, checkpoint: 90);
        Gone("db-2", 1, timeline: 2, checkpoint: 99);
        Gone("db-3", 1, timeline: 3, checkpoint: 80);
        var access = new Access(answers);
        Assert.That(await NextAsync(access), Is.EqualTo("go on db-3"));

        // It has the declared store now, and RAFT has no leader without the others.
        answers["db-3"] = answers["db-3"].With(ProviderBench.Snapshot((new ContainerRead("patroni"), Container("patroni.yml", true))));
        Assert.That(await NextAsync(access, "db-1", "db-2"), Is.EqualTo("go on db-1 db-2"));

        void Gone(string name, int state, uint timeline, ulong checkpoint)
        {
            var control = new byte[100];
            BitConverter.TryWriteBytes(control.AsSpan(0), 7UL);
            BitConverter.TryWriteBytes(control.AsSpan(16), state);
            BitConverter.TryWriteBytes(control.AsSpan(32), checkpoint);
            BitConverter.TryWriteBytes(control.AsSpan(48), timeline);
            answers[name] = answers[name]
                .With(
                    ProviderBench.Snapshot(
                        (new ContainerRead("patroni"), new DockerAnswer(404, "")),
                        (MemberIdentity.ControlFile(Data), new FileContent(control))
                    )
                );
        }
    }

    [Test]
    public async Task A_member_that_cannot_be_reached_ends_it_before_anything_stops()
    {
        var answers = Answers();
        answers.Remove("db-3");
        var access = new Access(answers);
        Assert.That(
            await NextAsync(access),
            Does.Contain("all members move from etcd to RAFT together, which needs a healthy cluster: db-3").Or.Contain("db-3: the host")
        );
        Assert.That(access.Done, Is.Empty);
    }

    [TestCase("patroni:0", "sha256:b", 200, TestName = "Another image is refused before anything stops")]
    [TestCase("patroni:1", "sha256:b", 200, TestName = "Another image of the same name is refused before anything stops")]
    [TestCase("patroni:0", "sha256:b", 404, TestName = "Another image is refused where the declared one is not there yet")]
    public async Task A_move_beside_another_image_is_refused(string name, string id, int status)
    {
        var access = WithImage(name, id, status);
        Assert.That(
            await NextAsync(access),
            Does.StartWith("stop the cluster moves from etcd to RAFT, which stops all members, and db-2 would start with another image: ")
        );
        Assert.That(access.Done, Is.Empty);
        Assert.That(access.Asked, Does.Contain(new ImageRead("patroni:1")));
    }

    [Test]
    public void A_plan_asks_for_the_declared_image()
    {
        var policy = Policy();
        Assert.That(policy.Rules.Reads(policy), Does.Contain(new ImageRead("patroni:1")));
    }

    [TestCase("patroni:0", "sha256:a", 200, TestName = "Another name of the same image keeps no cluster from moving")]
    [TestCase("patroni:1", "sha256:a", 404, TestName = "The same name keeps no cluster from moving where the image is not there yet")]
    public async Task The_same_image_keeps_no_cluster_from_moving(string name, string id, int status) =>
        Assert.That(await NextAsync(WithImage(name, id, status)), Is.EqualTo("go on db-1"));

    [Test]
    public void A_container_that_kbr_did_not_make_is_refused_as_before()
    {
        var policy = Policy();
        var answers = Answers();
        var json = Container("patroni-etcd.yml", true).Json.Replace("kbr.address", "other", StringComparison.Ordinal);
        answers["db-2"] = answers["db-2"].With(ProviderBench.Snapshot((new ContainerRead("patroni"), new DockerAnswer(200, json))));
        Assert.That(
            (policy.Rules.Observe(policy, answers) as Observation.Unknown)?.Reason,
            Is.EqualTo("db-2 uses the consensus store etcd, and cluster.yaml asks for RAFT")
        );
    }

    [Test]
    public void RAFT_keeps_what_it_held_aside_and_etcd_forgets_its_prefix_only()
    {
        var folder = System.IO.Directory.CreateTempSubdirectory("kbr-raft-").FullName;
        var policy = ProviderBench.Policy(new PatroniGroup(), ("raft_directory", folder));
        File.WriteAllText(folder + "/journal", "old");
        foreach (var content in new[] { "old", "newer" })
        {
            File.WriteAllText(folder + "/journal", content);
            ProviderBench.Output(new RaftStore().Clear(policy)!.Text);
            Assert.That(System.IO.Directory.GetFileSystemEntries(folder), Is.Empty);
            Assert.That(File.ReadAllText(folder + ".former/journal"), Is.EqualTo(content));
        }

        ProviderBench.Output(new RaftStore().Clear(policy)!.Text);
        Assert.That(File.Exists(folder + ".former/journal"), "one that was cut off runs again");
        Assert.That(new EtcdStore().Clear(policy)!.Text, Does.Contain("etcdctl del --prefix \"$prefix\""));
        System.IO.Directory.Delete(folder, true);
        System.IO.Directory.Delete(folder + ".former", true);
    }

    private static RolloutState All => new([.. Names], []);

    private static GroupPolicy Policy() =>
        ProviderBench.Policy(
            new PatroniGroup(),
            ("patroni_file", s_raftFile.Path),
            ("image", "patroni:1"),
            ("data_directory", Data),
            ("raft_directory", "/opt/raft"),
            ("unit", "patroni.service")
        );

    private static Task<string> NextAsync(Access access, params string[] pending) => NextAsync(access, CancellationToken.None, pending);

    private static async Task<string> NextAsync(Access access, CancellationToken cancellationToken, params string[] pending)
    {
        var policy = Policy();
        var state = pending.Length == 0 ? All : new RolloutState([.. pending], []);
        return await policy.Rules.NextAsync(policy, state, access, cancellationToken) switch
        {
            RolloutTurn.Go go => $"go {(go.Continues ? "on " : "")}{string.Join(' ', go.Hosts)}",
            RolloutTurn.Wait wait => "wait " + wait.Reason,
            RolloutTurn.Stop stop => "stop " + stop.Reason,
            _ => throw new InvalidOperationException(),
        };
    }

    // The container of db-2 has that image; the declared one, patroni:1, has the id sha256:a where it is there.
    private static Access WithImage(string name, string id, int status)
    {
        var answers = Answers();
        answers["db-2"] = answers["db-2"]
            .With(
                ProviderBench.Snapshot(
                    (new ContainerRead("patroni"), Container("patroni-etcd.yml", true, name, id)),
                    (new ImageRead("patroni:1"), new DockerAnswer(status, """{"Id": "sha256:a"}"""))
                )
            );
        return new Access(answers);
    }

    private static DockerAnswer Container(string file, bool runs, string name = "patroni:1", string id = "sha256:a") =>
        new DockerAnswer(
            200,
            $$$$"""
            {"State": {"Running": {{{{(runs ? "true" : "false")}}}}}, "Image": "{{{{id}}}}", "Config": {"Image": "{{{{name}}}}",
              "Cmd": ["patroni", "/etc/patroni/{{{{file}}}}"], "Labels": {"kbr.address": "container.patroni@db-1"}}}
            """
        );

    // A healthy cluster on etcd, whose files for RAFT are there.
    private static Dictionary<string, Snapshot> Answers(string[]? running = null) =>
        Names.ToDictionary(
            name => name,
            name =>
                PatroniAnswers.Snapshot(
                    !(running ?? Names).Contains(name) ? ""
                        : name == "db-1" ? Leader(name)
                        : Replica(name),
                    (new ContainerRead("patroni"), Container("patroni-etcd.yml", true)),
                    (new ImageRead("patroni:1"), new DockerAnswer(200, """{"Id": "sha256:a"}""")),
                    (s_etcdFile, new FileContent(Encoding.UTF8.GetBytes("scope: pg\netcd3:\n"))),
                    (s_raftFile, new FileContent(Encoding.UTF8.GetBytes("scope: pg\nraft:\n"))),
                    (
                        new RaftRead("patroni"),
                        (running ?? Names).Contains(name) ? new ToolAnswer(0, "null\n") : new ToolAnswer(1, "the container is not running")
                    ),
                    (new StatRead(Data + "/PG_VERSION"), new FileStat("regular file", 999, 999, "postgres", "postgres", "0600", default)),
                    (new FileRead(Data + "/PG_VERSION"), new FileContent("17\n"u8.ToArray())),
                    (MemberIdentity.ControlFile(Data), null),
                    (new PortRead("127.0.0.1", 5432), (running ?? Names).Contains(name) ? PortState.Answered : PortState.Refused),
                    (RecoveryJournal.Read("pg"), null),
                    (RestoreJournal.Read("pg"), null),
                    (FenceMark.Read, null),
                    (
                        new UnitRead("patroni.service"),
                        new UnitState(ImmutableDictionary<string, string>.Empty.Add("ActiveState", "inactive"))
                    )
                ),
            StringComparer.Ordinal
        );

    private sealed class Access(Dictionary<string, Snapshot> answers) : IGroupAccess
    {
        private readonly Lock _lock = new();

        public List<string> Done { get; } = [];

        /// <summary>The servers that took the fence back out of their running configuration.</summary>
        public List<string> Lowered { get; } = [];

        /// <summary>What is cut off by a second signal.</summary>
        public (string At, CancellationTokenSource Abort) Aborts { get; init; }

        public HashSet<Read> Asked { get; } = [];

        public string Fails { get; init; } = "";

        public int ExitCode { get; init; } = 1;

        public bool KeepsFence { get; init; }

        public StepLog Report { get; } = new();

        IStepReport IGroupAccess.Report => Report;

        public ImmutableArray<Host> Members { get; } =
        [.. Names.Select((name, index) => new Host(name, "db", $"10.0.0.{index + 1}", new SshEndpoint(name, 22, "root", false)))];

        public TimeProvider Time => TimeProvider.System;

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken)
        {
            lock (_lock)
            {
                Asked.UnionWith(reads);
            }

            return !answers.TryGetValue(host, out var snapshot)
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
                                                """[{"in_recovery": false, "waited_for": 2, "flushed": "0/3000060", "stored": ""}]""",
                                                ""
                                            )
                                    )
                                ),
                        ])
                    )
                );
        }

        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken)
        {
            var what =
                $"{host} "
                + (
                    script.Text.Contains("synchronous_standby_names", StringComparison.Ordinal) ? "sql"
                    : script.Text.Contains("docker rm", StringComparison.Ordinal) ? "remove"
                    : script.Text.Contains(".former", StringComparison.Ordinal) ? "clear"
                    : script.Text.Contains("systemctl stop", StringComparison.Ordinal) ? "stop"
                    : script.Text.Contains("systemctl start", StringComparison.Ordinal) ? "start"
                    : script.Text
                );
            lock (_lock)
            {
                Done.Add(what);
                if (
                    script.Text.Contains("RESET synchronous_standby_names", StringComparison.Ordinal)
                    && script.Text.Contains("pg_reload_conf", StringComparison.Ordinal)
                )
                {
                    Lowered.Add(host);
                }
            }

            if (what == Aborts.At)
            {
                Aborts.Abort.Cancel();
            }

            cancellationToken.ThrowIfCancellationRequested();

            var isKept =
                KeepsFence
                && script.Text.Contains("RESET synchronous_standby_names", StringComparison.Ordinal)
                && script.Text.Contains("pg_reload_conf", StringComparison.Ordinal);
            return Task.FromResult(
                what == Fails || isKept ? new ScriptResult(ExitCode, "", "it is broken\n") : new ScriptResult(0, "", "")
            );
        }

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }
}
