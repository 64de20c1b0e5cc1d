using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniConfig;
using KeyBuzz.Reconciler.Providers.Preconditions;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using KeyBuzz.Reconciler.Tests.Providers;
using KeyBuzz.Reconciler.Tests.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>The seam of the consensus store: another implementation is another cluster, and nothing outside of RAFT's own says
/// RAFT.</summary>
[TestFixture]
internal sealed class StoreSeamTests : BlueprintFixture
{
    private const string Member = "db-slave-01";

    [Test]
    public void Another_store_has_its_own_directories_ports_settings_and_part_of_patroni_yml()
    {
        var cluster = LoadWith(new ConsensusStores(new LedgerStore()), With("ports: { ledger: 4003 }"));
        var topology = cluster.Model<PostgresTopology>()!;
        var container = Find(cluster, "container.patroni@" + Member);
        var group = FindPolicy(cluster, "keybuzz-pg");
        Assert.Multiple(() =>
        {
            var directory = Find(cluster, $"directory.postgres-ledger@{Member}").Spec;
            Assert.That((directory.String("path"), directory.String("mode")), Is.EqualTo(("/opt/keybuzz/postgres/ledger", "0711")));
            Assert.That(container.Spec.List("mounts"), Does.Contain("/opt/keybuzz/postgres/ledger:/opt/keybuzz/postgres/ledger"));
            Assert.That(container.Spec.List("ports"), Is.EqualTo(new[] { "tcp/5432", "tcp/8008", "tcp/4003", "tcp/4002" }));
            Assert.That(container.Spec.Has("environment"), Is.False);
            Assert.That(container.Spec.Map("labels").Keys, Is.EqualTo(new[] { "kbr.start-settings" }));
            Assert.That(
                Find(cluster, $"directory.postgres-data@{Member}").Spec.List("set_aside_keeps"),
                Is.EqualTo(new[] { "ledger", "archive" })
            );
            Assert.That(
                Content(cluster, $"config_file.patroni@{Member}"),
                Does.Contain($"\nledger:\n  peer: peer-{Member}\n  token: canary-of-the-ledger\n")
            );
            Assert.That(
                Find(cluster, $"config_file.patroni@{Member}").Spec.Text("content")!.ToString(),
                Does.Not.Contain("canary"),
                "its secret is masked"
            );
            Assert.That(group.Spec.List("ledger_peers"), Is.EqualTo(new[] { "peer-db-master-01", "peer-db-slave-01", "peer-db-slave-02" }));
            Assert.That(group.Spec.Map("other_hosts")["peer-haproxy-01"], Is.EqualTo("haproxy-01"));
            Assert.That(group.Spec.String(LedgerStore.TokenAttribute), Has.Length.EqualTo(32).And.Not.Contain("canary"));
            Assert.That(
                cluster.Preconditions.Where(one => one.Kind == "ports" && one.Host == Member).Select(one => one.Settings.Integer("port")),
                Does.Contain(4003L).And.Contain(4002L)
            );
            Assert.That(OpenAccess.Of(topology), Does.Contain("Open: Ledger"));
        });
    }

    [Test]
    public void With_another_store_no_resource_no_warning_and_no_open_access_says_RAFT()
    {
        var cluster = LoadWith(new ConsensusStores(new LedgerStore()), Minimal);
        var texts = cluster
            .Resources.Concat<IDeclared>(cluster.Policies)
            .SelectMany(resource =>
                resource.Spec.Names.Select(name => $"{name}={Text(resource.Spec[name])}").Prepend(resource.Address.ToString())
            )
            .Concat(OpenAccess.Of(cluster.Model<PostgresTopology>()!))
            .Concat(cluster.Warnings.Select(warning => warning.Summary))
            .Concat(Schemas(new ConsensusStores(new LedgerStore())));
        Assert.That(texts.Where(text => text.Contains("raft", StringComparison.OrdinalIgnoreCase)), Is.Empty);
    }

    [Test]
    public void A_section_chooses_its_store_and_has_the_keys_of_no_other()
    {
        var stores = new ConsensusStores(new RaftStore(), new LedgerStore());
        var other = FindPolicy(LoadWith(stores, With("store: ledger")), "keybuzz-pg");
        Assert.That(stores.Of(other), Is.InstanceOf<LedgerStore>());
        Assert.That(FindPolicy(LoadWith(stores, Minimal), "keybuzz-pg").Spec.Has("store"), Is.False);
        Assert.That(stores.Of(Find(LoadWith(stores, Minimal), "patroni_config.keybuzz-pg@keybuzz-pg")), Is.InstanceOf<RaftStore>());
        Assert.That(
            Assert
                .Throws<KeyBuzz.Reconciler.Diagnostics.DiagnosticException>(() =>
                    LoadWith(stores, With("store: ledger", "raft_password: false"))
                )!
                .Diagnostics.Select(finding => finding.Summary),
            Is.EqualTo(new[] { "unknown key 'raft_password' in 'postgres'" })
        );
        Assert.That(
            ClusterLoader.ReadCredentialsNeeded(File, SyntaxWith(stores)).Names,
            Does.Contain("LEDGER_TOKEN").And.Not.Contain("PATRONI_RAFT_PASS")
        );
    }

    [Test]
    public void A_running_cluster_is_observed_by_its_own_store()
    {
        var provider = new PatroniGroup(new ConsensusStores(new LedgerStore()));
        var resource = Running(provider);
        Assert.That(provider.Reads(resource), Does.Contain(LedgerStore.Question).And.None.InstanceOf<RaftRead>());
        Assert.That(provider.Desired(resource)["ledger_peers"].Value, Is.EqualTo("peer-db-1, peer-db-2, peer-db-3"));

        var present = (Observation.Present)provider.Observe(resource, Answers("db-1 peer-db-1 peer-db-2 peer-db-3 peer-db-4"));
        Assert.That(present.Attributes["ledger_peers"].Value, Is.EqualTo("peer-db-1, peer-db-2, peer-db-3, peer-db-4"));
        Assert.That(present.Outsiders.Select(outsider => outsider.Name), Is.EqualTo(new[] { "peer-db-4" }));
        Assert.That(present.Attributes.Keys, Has.None.Contains("raft"));
        Assert.That(((ClusterOutlook)present.Outlook!).View.StoreMembers!.Keys, Is.EqualTo(new[] { "db-1", "db-2", "db-3", "db-4" }));
    }

    [Test]
    public async Task A_roll_out_forgets_a_member_that_left_by_the_stores_own_script_before_it_disrupts_another()
    {
        var provider = new PatroniGroup(new ConsensusStores(new LedgerStore()));
        var group = new Group(Answers("db-1 peer-db-1 peer-db-2 peer-db-3 PEER-DB-4"));

        var turn = await provider.NextAsync(Running(provider), new RolloutState(["db-2"], []), group, CancellationToken.None);

        Assert.That(((RolloutTurn.Wait)turn).Reason, Is.EqualTo("Ledger forgets peer-db-4: done"));
        Assert.That(group.Scripts, Is.EqualTo(new[] { "db-1: ledger forget peer-db-4" }));
        group = new Group(Answers("db-1 peer-db-1 peer-db-2 peer-db-3"));
        turn = await provider.NextAsync(Running(provider), new RolloutState(["db-2"], []), group, CancellationToken.None);
        Assert.That(((RolloutTurn.Go)turn).Hosts, Is.EqualTo(new[] { "db-2" }));
    }

    // The list of stores names the class; images are built by the names of their folders.
    [Test]
    public void No_source_outside_of_its_folder_says_etcd()
    {
        string[] exempt =
        [
            "providers/ConsensusStore/Etcd/",
            "providers/ConsensusStore/ConsensusStores.cs",
            "src/kbr/Blueprints/Postgres/ImageBuild.cs",
            "src/kbr/Blueprints/Postgres/ImagesCommand.cs",
        ];
        var said = new[] { "src", "providers" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Root(), folder), "*.cs", SearchOption.AllDirectories))
            .Select(file => Path.GetRelativePath(Root(), file))
            .Where(file => !exempt.Any(start => file.StartsWith(start, StringComparison.Ordinal)))
            .Where(file => System.IO.File.ReadAllText(Path.Combine(Root(), file)).Contains("etcd", StringComparison.OrdinalIgnoreCase));
        Assert.That(said, Is.Empty);
    }

    // The list of stores names the class. A JSON Schema has a draft.
    [Test]
    public void No_source_outside_of_its_folder_says_RAFT()
    {
        string[] exempt =
        [
            "providers/ConsensusStore/Raft/",
            "providers/ConsensusStore/ConsensusStores.cs",
            // A word of etcd's answer.
            "providers/ConsensusStore/Etcd/EtcdView.cs",
        ];
        var said = new[] { "src", "providers" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Root(), folder), "*.cs", SearchOption.AllDirectories))
            .Select(file => Path.GetRelativePath(Root(), file))
            .Where(file => !exempt.Any(start => file.StartsWith(start, StringComparison.Ordinal)))
            .Where(file =>
                System
                    .IO.File.ReadAllText(Path.Combine(Root(), file))
                    .Replace("draft", "", StringComparison.Ordinal)
                    .Contains("raft", StringComparison.OrdinalIgnoreCase)
            );
        Assert.That(said, Is.Empty);
    }

    private static string Root([CallerFilePath] string path = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "../../.."));

    private Cluster LoadWith(ConsensusStores stores, string yaml)
    {
        Environment["LEDGER_TOKEN"] = "canary-of-the-ledger";
        System.IO.File.WriteAllText(File, yaml);
        return ClusterLoader.Load(File, SyntaxWith(stores), Environment);
    }

    private static ClusterSyntax SyntaxWith(ConsensusStores stores) =>
        RealSyntax with
        {
            Providers = ProvidersWith(stores),
            Blueprints = [new PostgresBlueprint(stores, TimeProvider.System)],
        };

    private static IResourceProvider[] ProvidersWith(ConsensusStores stores) =>
        [.. RealProviders.Where(provider => provider is not PatroniConfigProvider), new PatroniConfigProvider(stores)];

    private static IEnumerable<string> Schemas(ConsensusStores stores) =>
        ProvidersWith(stores)
            .SelectMany(provider => provider.Schema.Attributes)
            .Concat(new PatroniGroup(stores).Settings)
            .Select(attribute => $"{attribute.Name}: {attribute.Description} {attribute.FixedBecause}");

    private static string Text(object? value) =>
        value switch
        {
            SecretText text => text.Reveal(),
            IReadOnlyDictionary<string, string> map => string.Join(' ', map.Select(pair => $"{pair.Key}={pair.Value}")),
            IReadOnlyList<string> list => string.Join(' ', list),
            _ => value?.ToString() ?? "",
        };

    private static GroupPolicy Running(PatroniGroup provider) =>
        ProviderBench.Policy(provider, ("ledger_peers", (IReadOnlyList<string>)[.. PatroniAnswers.Names.Select(name => "peer-" + name)]));

    private static Dictionary<string, Snapshot> Answers(string ledger) =>
        PatroniAnswers.Names.ToDictionary(
            name => name,
            name =>
                PatroniAnswers.Snapshot(
                    name == "db-1" ? PatroniAnswers.Leader(name) : PatroniAnswers.Replica(name),
                    (LedgerStore.Question, new HttpAnswer(200, ledger)),
                    (new ContainerRead("patroni"), new DockerAnswer(200, """{"State": {"Running": true}}"""))
                )
        );

    private sealed class Group(Dictionary<string, Snapshot> answers) : IGroupAccess
    {
        public TimeProvider Time => TimeProvider.System;

        public List<string> Scripts { get; } = [];

        public ImmutableArray<Host> Members { get; } =
        [.. answers.Keys.Select((name, at) => new Host(name, "db", $"10.0.0.{at + 1}", new SshEndpoint(name, 22, "root", false)))];

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            Task.FromResult(answers[host]);

        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken)
        {
            Scripts.Add($"{host}: {script.Text}");
            return Task.FromResult(new ScriptResult(0, "done\n", ""));
        }

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }
}
