using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Monitoring;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Etcd;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>A cluster with <c>store: etcd</c>: its resources, its groups, and the refusal of another store on running hosts.</summary>
[TestFixture]
internal sealed class EtcdTests : BlueprintFixture
{
    private const string Member = "db-slave-01";
    private const string Image = "registry.example/kbr/etcd:3.5.16@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";

    [SetUp]
    public void Secrets()
    {
        Environment["PATRONI_ETCD_PASS"] = "canary-of-etcd";
        Environment["ETCD_ROOT_PASS"] = "canary-of-root";
    }

    private Cluster LoadEtcd(string more = "") => Load(With($"store: {{ etcd: {{ image: '{Image}'{more} }} }}"));

    [Test]
    public void It_is_a_container_of_its_own_with_its_data_on_the_volume()
    {
        var cluster = LoadEtcd(", quota: 256MiB");
        var container = Find(cluster, "container.etcd@" + Member);
        Assert.Multiple(() =>
        {
            Assert.That(container.Group, Is.EqualTo("keybuzz-pg-etcd"));
            Assert.That(container.Spec.String("image"), Is.EqualTo(Image));
            Assert.That(
                container.Spec.List("mounts"),
                Is.EqualTo(new[] { "/opt/keybuzz/etcd:/etc/etcd:ro", "/opt/keybuzz/postgres/etcd:/opt/keybuzz/postgres/etcd" })
            );
            Assert.That(container.Spec.List("ports"), Is.EqualTo(new[] { "tcp/2379", "tcp/2380" }));
            Assert.That(container.Spec.Map("environment")["ETCD_QUOTA_BACKEND_BYTES"], Is.EqualTo("268435456"));
            Assert.That(container.Spec.Map("environment").Values, Has.None.Contains("canary"));
            Assert.That(Find(cluster, $"directory.postgres-etcd@{Member}").Spec.String("owner"), Is.EqualTo("998"));
            Assert.That(Find(cluster, $"directory.postgres-data@{Member}").Spec.List("set_aside_keeps"), Does.Contain("etcd"));
            Assert.That(Content(cluster, $"config_file.etcd-root-password@{Member}"), Is.EqualTo("canary-of-root\n"));
            Assert.That(
                Find(cluster, $"config_file.etcd-password@{Member}").Spec.Text("content")!.ToString(),
                Does.Not.Contain("canary"),
                "it is masked"
            );
        });
    }

    [Test]
    public void Patroni_uses_it_by_its_own_user_starts_after_it_and_has_nothing_of_RAFT()
    {
        var cluster = LoadEtcd();
        var patroni = Find(cluster, "container.patroni@" + Member);
        Assert.Multiple(() =>
        {
            Assert.That(
                Content(cluster, $"config_file.patroni-etcd@{Member}"),
                Does.Contain("\netcd3:\n  hosts:\n    - '10.0.0.120:2379'\n")
                    .And.Contain("\n  username: 'keybuzz-pg'\n  password: 'canary-of-etcd'\n")
                    .And.Not.Contain("raft")
            );
            Assert.That(patroni.After, Does.Contain(GroupPolicy.AddressOf("keybuzz-pg-etcd")));
            Assert.That(patroni.Spec.List("ports"), Is.EqualTo(new[] { "tcp/5432", "tcp/8008" }));
            Assert.That(patroni.Spec.List("mounts"), Has.None.Contains("etcd"));
            Assert.That(
                Content(cluster, $"config_file.etcd-access@{Member}"),
                Is.EqualTo("user='keybuzz-pg' prefix='/service/keybuzz-pg/'\n")
            );
            Assert.That(FindPolicy(cluster, "keybuzz-pg").After, Does.Contain(GroupPolicy.AddressOf("keybuzz-pg-etcd")));
            Assert.That(
                OpenAccess.Of(cluster.Model<PostgresTopology>()!),
                Has.Some.StartsWith("Open: etcd, without TLS, on ports 2379 and 2380")
            );
            Assert.That(
                ClusterLoader.ReadCredentialsNeeded(File, RealSyntax).Names,
                Does.Contain("ETCD_ROOT_PASS").And.Not.Contain("PATRONI_RAFT_PASS")
            );
        });
    }

    [Test]
    public void Each_store_has_a_patroni_yml_of_its_own_and_etcd_goes_after_the_cluster_is_healthy_without_it()
    {
        var (raft, etcd) = (Load(Minimal), LoadEtcd());
        Assert.Multiple(() =>
        {
            Assert.That(
                Find(raft, "container.patroni@" + Member).Spec.List("command"),
                Is.EqualTo(new[] { "patroni", "/etc/patroni/patroni.yml" })
            );
            Assert.That(
                Find(etcd, "container.patroni@" + Member).Spec.List("command"),
                Is.EqualTo(new[] { "patroni", "/etc/patroni/patroni-etcd.yml" })
            );
            Assert.That(
                Find(etcd, "container.patroni@" + Member).Requires,
                Does.Contain(new Address("config_file", "patroni-etcd", Member)).And.Contain(new Address("systemd_unit", "etcd", Member)),
                "etcd stays while a member that uses it waits for its window"
            );
            Assert.That(
                Find(etcd, "config_file.patroni-etcd@" + Member).Spec.String("reload"),
                Does.Contain("*/patroni-etcd.yml]) docker kill --signal HUP patroni ;; esac"),
                "a Patroni that still uses the other file is not asked to load it"
            );
            Assert.That(
                Find(etcd, "patroni_config.keybuzz-pg@keybuzz-pg").Requires,
                Does.Contain(new Address("systemd_unit", "etcd", Member)),
                "removals go after what required them"
            );
            Assert.That(Find(raft, "patroni_config.keybuzz-pg@keybuzz-pg").Requires, Is.Empty);
        });
    }

    // Patroni demotes a primary that cannot renew its lease, unless every member tells it that it may go on.
    [TestCase("", "true")]
    [TestCase("dynamic: { failsafe_mode: false }", "false")]
    public void The_primary_outlives_a_pause_of_etcd_unless_cluster_yaml_says_otherwise(string line, string expected)
    {
        var store = $"store: {{ etcd: {{ image: '{Image}' }} }}";
        var cluster = line.Length == 0 ? Load(With(store)) : Load(With(store, line));
        Assert.That(cluster.Model<PostgresTopology>()!.Settings["failsafe_mode"], Is.EqualTo(expected));
        Assert.That(Load(Minimal).Model<PostgresTopology>()!.Settings.Keys, Does.Not.Contain("failsafe_mode"), "RAFT stays as it was");
    }

    [Test]
    public void Prometheus_asks_each_member_and_every_alert_has_its_line_in_the_documentation()
    {
        var topology = LoadEtcd().Model<PostgresTopology>()!;
        Assert.That(
            PrometheusFiles.ScrapeConfiguration(topology),
            Does.Contain("job_name: 'etcd-keybuzz-pg'").And.Contain("targets: ['10.0.0.121:2379']")
        );
        var page = System.IO.File.ReadAllText(Path.Combine(Cli.JsonSchemas.Root, "docs/monitoring.md"));
        var rules = AlertRules.Of(topology).Single(group => group.Group == "etcd").Rules;
        Assert.That(rules, Has.Length.EqualTo(5));
        foreach (var rule in rules)
        {
            Assert.That(page, Does.Contain($"<a id=\"{rule.Name.ToLowerInvariant()}\"></a>`{rule.Name}`"));
            Assert.That(rule.Expression, Does.Contain("job=\"etcd-keybuzz-pg\""));
        }

        Assert.That(AlertRules.Of(Load(Minimal).Model<PostgresTopology>()!).Select(group => group.Group), Has.None.EqualTo("etcd"));
    }

    // Without it, the member that may initialise is never started with an empty directory.
    [Test]
    public void A_member_whose_etcd_answers_is_in_the_declared_namespace()
    {
        var policy = FindPolicy(LoadEtcd(), "keybuzz-pg");
        var store = new EtcdStore();
        const string Answer = """[{"Endpoint":"http://10.0.0.1:2379","Status":{"header":{"member_id":1},"leader":1,"raftTerm":2}}]""";
        Assert.That(store.NamespaceOf(policy, Answered(new ToolAnswer(0, Answer))), Is.EqualTo("/service/"));
        Assert.That(store.NamespaceOf(policy, Answered(new ToolAnswer(1, "Container 5aec is not running"))), Is.Null);

        static Snapshot Answered(ToolAnswer answer) =>
            PatroniAnswers.Snapshot(PatroniAnswers.Leader("db-1"), (new EtcdRead("etcd", false), answer));
    }

    // Patroni's roll-out names members that leave by their addresses in etcd.
    [TestCase(null, 2380)]
    [TestCase(2390, 2390)]
    public void Its_members_are_found_at_the_declared_port(int? declared, int expected)
    {
        var cluster = declared is null
            ? LoadEtcd()
            : Load(With($"store: {{ etcd: {{ image: '{Image}' }} }}", $"ports: {{ etcd_peer: {declared} }}"));
        var store = new EtcdStore();
        var host = cluster.Model<PostgresTopology>()!.Members[0];
        foreach (
            var resource in new IDeclared[] { FindPolicy(cluster, "keybuzz-pg"), Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg") }
        )
        {
            Assert.That(store.AddressOf(resource, host), Is.EqualTo($"{host.Address}:{expected}"));
            Assert.That(store.AddressOf(resource, host), Is.EqualTo(cluster.Model<PostgresTopology>()!.Store.AddressOf(host)));
            Assert.That(store.ListenerOf(resource, host), Is.EqualTo(new PortRead(host.Address, expected)));
            Assert.That(resource.Spec.Has("etcd_peer_port"), Is.EqualTo(declared is not null), "a default adds nothing to the records");
        }
    }

    [Test]
    public void A_changed_store_is_refused_at_its_line()
    {
        var policy = FindPolicy(LoadEtcd(), "keybuzz-pg");
        var line =
            System.IO.File.ReadAllText(File).Split('\n').ToList().FindIndex(text => text.Contains("store:", StringComparison.Ordinal)) + 1;
        Assert.That(policy.Places!["store"].Line, Is.EqualTo(line));
    }

    [Test]
    public void A_cluster_with_RAFT_has_no_service_no_group_and_no_order_of_it()
    {
        var cluster = Load(Minimal);
        Assert.That(cluster.Policies.Select(policy => policy.Group), Is.EqualTo(new[] { "keybuzz-pg", "keybuzz-pg-proxies" }));
        Assert.That(Find(cluster, "container.patroni@" + Member).After, Is.Empty);
        Assert.That(cluster.Resources.Select(resource => resource.Address.ToString()), Has.None.Contains("etcd"));
    }

    [TestCase("store: etcd", "etcd has no image")]
    [TestCase("store: { etcd: { image: IMAGE, quuota: 1GiB } }", "unknown key 'quuota' in 'etcd'")]
    [TestCase("store: { etcd: { image: IMAGE }, raft: {} }", "'store' must name one store")]
    [TestCase("store: { consul: {} }", "unknown key 'consul' in 'store'")]
    [TestCase("store: { etcd: { image: 'etcd:3.5.16' } }", "is not pinned by digest")]
    public void What_is_wrong_with_it_is_said(string line, string message) =>
        Assert.That(
            Assert
                .Throws<KeyBuzz.Reconciler.Diagnostics.DiagnosticException>(() =>
                    Load(With(line.Replace("IMAGE", $"'{Image}'", StringComparison.Ordinal)))
                )!
                .Diagnostics.Select(finding => finding.Summary),
            Has.Some.Contains(message)
        );

    [Test]
    public void A_password_with_a_space_is_refused_because_etcdctl_would_cut_it()
    {
        Environment["ETCD_ROOT_PASS"] = "canary of root";
        Assert.That(
            Assert.Throws<KeyBuzz.Reconciler.Diagnostics.DiagnosticException>(() => LoadEtcd())!.Diagnostics.Single().Summary,
            Is.EqualTo("secret ETCD_ROOT_PASS holds a space or another character than etcd's client takes")
        );
    }

    [TestCase("raft:\n  data_dir: '/x'\n", true)]
    [TestCase("scope: pg\netcd3:\n  hosts: []\n", false)]
    [TestCase("scope: pg\n", false)]
    public void Another_store_on_a_host_than_the_declared_one_is_refused(string patroniFile, bool refused)
    {
        // The scope of the recorded answers.
        var policy = FindPolicy(Load(With($"store: {{ etcd: {{ image: '{Image}' }} }}", "scope: pg")), "pg");
        var file = new FileRead("/opt/keybuzz/patroni/patroni.yml");
        Assert.That(policy.Rules.Reads(policy), Does.Contain(file));
        var answers = new Dictionary<string, Snapshot>
        {
            ["db-1"] = PatroniAnswers.Snapshot(
                PatroniAnswers.Leader("db-1"),
                (file, new FileContent(System.Text.Encoding.UTF8.GetBytes(patroniFile))),
                (new EtcdRead("etcd", false), new ToolAnswer(1, "")),
                (new ContainerRead("patroni"), new DockerAnswer(200, """{"State": {"Running": true}}"""))
            ),
        };
        var observed = policy.Rules.Observe(policy, answers);
        Assert.That(
            observed
                is Observation.Unknown
                {
                    Remedy: not null,
                    Setting: "store",
                    Reason: "db-1 uses the consensus store RAFT, and cluster.yaml asks for etcd"
                },
            Is.EqualTo(refused),
            $"{observed}"
        );
    }

    [Test]
    public void Other_passwords_or_ports_than_those_of_the_container_are_refused()
    {
        var before = LoadEtcd();
        var mark = Find(before, "container.etcd@" + Member).Spec.Map("labels")["kbr.store-settings"];
        Assert.That(mark, Does.Not.Contain("canary"));
        Assert.That(ObserveWith(FindPolicy(before, "keybuzz-pg-etcd")), Is.InstanceOf<Observation.Present>());

        var moved = Load(With($"store: {{ etcd: {{ image: '{Image}' }} }}", "ports: { etcd_peer: 2390 }"));
        Assert.That(ObserveWith(FindPolicy(moved, "keybuzz-pg-etcd")), Is.InstanceOf<Observation.Unknown>());
        var elsewhere = Load(With($"store: {{ etcd: {{ image: '{Image}' }} }}", "namespace: /other/"));
        Assert.That(ObserveWith(FindPolicy(elsewhere, "keybuzz-pg-etcd")), Is.InstanceOf<Observation.Unknown>());
        Environment["PATRONI_ETCD_PASS"] = "canary-number-two";
        Assert.That(
            ((Observation.Unknown)ObserveWith(FindPolicy(LoadEtcd(), "keybuzz-pg-etcd"))).Reason,
            Is.EqualTo("db-1: etcd was set up with other passwords, ports or another namespace")
        );

        Observation ObserveWith(GroupPolicy policy) =>
            policy.Rules.Observe(
                policy,
                new Dictionary<string, Snapshot>
                {
                    ["db-1"] = PatroniAnswers.Snapshot(
                        PatroniAnswers.Leader("db-1"),
                        (new EtcdRead("etcd", true), new ToolAnswer(1, "")),
                        (
                            new ContainerRead("etcd"),
                            new DockerAnswer(
                                200,
                                """{"State": {"Running": true}, "Config": {"Labels": {"kbr.store-settings": "MARK"}}}""".Replace(
                                    "MARK",
                                    mark,
                                    StringComparison.Ordinal
                                )
                            )
                        )
                    ),
                }
            );
    }
}
