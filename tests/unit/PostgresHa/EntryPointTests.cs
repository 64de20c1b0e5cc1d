using System.Text;
using KeyBuzz.Reconciler.Cli.Blueprints.Postgres;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Drill;
using KeyBuzz.Reconciler.PostgresHa.Status;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Tests.Providers;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>What applications connect to, with a load balancer and without.</summary>
internal sealed class EntryPointTests : BlueprintFixture
{
    private static string Direct => Changed("  load_balancer: { address: 10.0.0.10 }\n", "");

    [Test]
    public void The_connection_strings_name_the_load_balancer_and_no_password() =>
        Assert.That(
            Texts(Topology(Minimal + "  application: { name: \"the app\", password: \"${secret.POSTGRES_APP_PASS}\" }\n")),
            Is.EqualTo(
                new[]
                {
                    "read-write: host=10.0.0.10 port=5432 dbname=keybuzz user='the app'",
                    "pooled: host=10.0.0.10 port=6432 dbname=keybuzz user='the app'",
                }
            )
        );

    [Test]
    public void Without_a_load_balancer_they_name_every_proxy() =>
        Assert.That(
            Texts(Topology(Direct.Replace("haproxy: { image", "haproxy: { port: 5000, read_port: 5001, image", StringComparison.Ordinal))),
            Is.EqualTo(
                new[]
                {
                    "read-write: host=10.0.0.11,10.0.0.12 port=5000 dbname=keybuzz user=kb_app target_session_attrs=read-write",
                    "pooled: host=10.0.0.11,10.0.0.12 port=6432 dbname=keybuzz user=kb_app target_session_attrs=read-write",
                    "reads: host=10.0.0.11,10.0.0.12 port=5001 dbname=keybuzz user=kb_app",
                }
            )
        );

    [Test]
    public void Without_a_load_balancer_each_PgBouncer_uses_the_HAProxy_beside_it_and_no_gate_asks_for_a_balancer()
    {
        var cluster = Load(Direct);
        Assert.Multiple(() =>
        {
            Assert.That(
                Content(cluster, "config_file.pgbouncer@haproxy-02"),
                Does.Contain("keybuzz = host=10.0.0.12 port=5432 dbname=keybuzz\n")
            );
            Assert.That(FindPolicy(cluster, "keybuzz-pg-proxies").Spec.OptionalString("balancer_address"), Is.Null);
            Assert.That(cluster.Warnings, Is.Empty);
            Assert.That(
                DrillWay.Of(cluster.Model<PostgresTopology>()!).Select(way => way.Endpoint),
                Is.EqualTo(new[] { "10.0.0.11:5432", "10.0.0.11:6432" })
            );
            Assert.That(
                Content(Load(Minimal), "config_file.pgbouncer@haproxy-02"),
                Does.Contain("keybuzz = host=10.0.0.10 port=5432 dbname=keybuzz\n")
            );
        });
    }

    [TestCase("", "OK", "")]
    [TestCase("haproxy-01", "OK", "", Description = "clients go on to the other proxy")]
    [TestCase("haproxy-01 haproxy-02", "NotOk", "port 5432 of the proxies: refused; port 6432 of the proxies: refused")]
    public async Task Without_a_load_balancer_writes_are_fine_while_any_proxy_takes_them(string down, string writes, string note)
    {
        var cluster = Load(Direct);
        var topology = cluster.Model<PostgresTopology>()!;
        var probes = topology.Proxies.Select(host => SqlEndpointProbe.ProbeAsync(topology, host, null, CancellationToken.None));
        var probed = (await Task.WhenAll(probes)).SelectMany(answer => answer).ToList();
        Assert.That(
            probed.Select(answer => (answer.From, answer.Way, answer.Entry)),
            Is.EqualTo(
                new[] { ("haproxy-01", "10.0.0.11"), ("haproxy-02", "10.0.0.12") }.SelectMany(proxy =>
                    new (string, string, string?)[]
                    {
                        (proxy.Item1, $"HAProxy {proxy.Item2}:5432", "port 5432 of the proxies"),
                        (proxy.Item1, $"PgBouncer {proxy.Item2}:6433", null),
                        (proxy.Item1, $"HAProxy-pooled {proxy.Item2}:6432", "port 6432 of the proxies"),
                    }
                )
            )
        );
        Assert.That(SqlEndpointProbe.PooledEntry(topology), Is.EqualTo("port 6432 of the proxies"));
        var reads = new StatusReads(topology, Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg"));
        var answers = probed
            .Select(answer =>
                down.Contains(answer.From, StringComparison.Ordinal)
                    ? answer with
                    {
                        Measured = true,
                        Trouble = "refused",
                    }
                    : answer with
                    {
                        Measured = true,
                        Trouble = "",
                        Answer = new ServerAnswer(false, false, "10.0.0.120", "10.0.0.11"),
                    }
            )
            .ToList();

        var conclusion = new StatusJudgement(topology, reads, new Dictionary<string, (Snapshot?, string?)>(), answers).Judge().Conclusion;

        Assert.That(conclusion.Writes.ToString(), Is.EqualTo(writes).IgnoreCase);
        Assert.That(conclusion.WritesNote, Is.EqualTo(note));
    }

    [TestCase("haproxy-02", 200, StatusVerdict.Ok, "", 2)]
    [TestCase(
        "haproxy-01 haproxy-02",
        200,
        StatusVerdict.NotOk,
        "load balancer 10.0.0.10:5432: not measured; load balancer 10.0.0.10:6432: pgbouncer runs on none of 2 proxies",
        2
    )]
    [TestCase("haproxy-01 haproxy-02", 0, StatusVerdict.Unknown, "no proxy could be asked", 1, Description = "Docker Engine is silent")]
    [TestCase("haproxy-01 haproxy-02", 200, StatusVerdict.Unknown, "no proxy could be asked", 2, "haproxy-01")]
    public async Task Where_TLS_is_required_a_stopped_PgBouncer_is_wrong_and_not_unknown(
        string down,
        int docker,
        StatusVerdict writes,
        string note,
        int exitCode,
        string unread = ""
    )
    {
        var cluster = Load(With("tls: required"));
        var topology = cluster.Model<PostgresTopology>()!;
        var reads = new StatusReads(topology, Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg"));
        var probes = topology.Proxies.Select(host => SqlEndpointProbe.ProbeAsync(topology, host, null, CancellationToken.None));
        var answers = (await Task.WhenAll(probes))
            .SelectMany(answer => answer)
            .Select(answer =>
                IsDown(answer.From)
                    ? answer with
                    {
                        Trouble = "Error response from daemon: container 0a1b is not running",
                    }
                    : answer with
                    {
                        Measured = true,
                        Trouble = "",
                        Answer = new ServerAnswer(false, false, "10.0.0.120", "10.0.0.11"),
                    }
            )
            .ToList();

        var status = new StatusJudgement(
            topology,
            reads,
            topology.Proxies.ToDictionary(host => host.Name, host => (host.Name == unread ? null : Of(host), (string?)null)),
            answers
        ).Judge();

        Assert.That((status.Conclusion.Writes, status.Conclusion.WritesNote), Is.EqualTo((writes, note)));
        var sql = status with { Items = [.. status.Items.Where(item => item.Topic == StatusTopic.SqlEndpoints)] };
        Assert.That(StatusCommand.ExitCodeOf(PostgresHealth.ReportOf(sql)), Is.EqualTo(exitCode));
        Assert.That(
            sql.Items.Single(item => item.Name == "sql through PgBouncer").Measured,
            Does.EndWith(
                docker == 0
                    ? "haproxy-02: Error response from daemon: container 0a1b is not running"
                    : "from haproxy-02: not tried, since pgbouncer does not run there"
            )
        );

        bool IsDown(string host) => down.Contains(host, StringComparison.Ordinal);

        Snapshot? Of(Host host)
        {
            const string Nonce = "0123456789abcdef0123456789abcdef";
            var nothing = ReadList.Probe.Parse([.. reads.For(host)], Nonce, Encoding.UTF8.GetBytes($"\n{Nonce} end 0\n"));
            var state = $$$"""{"State": {"Status": "{{{(IsDown(host.Name) ? "exited" : "running")}}}"}}""";
            return nothing.With(
                ProviderBench.Snapshot((new ContainerRead("pgbouncer"), new DockerAnswer(docker, docker == 0 ? "" : state)))
            );
        }
    }

    [Test]
    public void A_load_balancer_without_an_address_is_an_error_and_not_none() =>
        Assert.That(OnlyError(Changed("{ address: 10.0.0.10 }", "{}")), Does.Contain("'load_balancer' has no 'address'"));

    private static string[] Texts(PostgresTopology topology) =>
        [.. ConnectionString.Of(topology, topology.Application).Select(one => $"{one.Name}: {one.Text}")];
}
