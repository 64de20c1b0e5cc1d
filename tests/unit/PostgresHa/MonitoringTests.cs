using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Monitoring;
using YamlDotNet.RepresentationModel;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>The files for Prometheus.</summary>
internal sealed class MonitoringTests : BlueprintFixture
{
    private static string WithMetrics => Minimal.Replace("haproxy: { ", "haproxy: { metrics: true, ", StringComparison.Ordinal);

    [Test]
    public void Each_patroni_is_scraped_and_each_haproxy_only_with_metrics()
    {
        var plain = Jobs(Minimal);
        Assert.That(plain.Keys, Is.EqualTo(new[] { "patroni-keybuzz-pg" }));
        Assert.That(plain["patroni-keybuzz-pg"], Is.EqualTo(new[] { "10.0.0.120:8008", "10.0.0.121:8008", "10.0.0.122:8008" }));
        Assert.That(Jobs(WithMetrics)["haproxy-keybuzz-pg"], Is.EqualTo(new[] { "10.0.0.11:8404", "10.0.0.12:8404" }));
        Assert.That(PrometheusFiles.ScrapeConfiguration(Topology(WithMetrics)), Does.Not.Contain("basic_auth"));
    }

    [Test]
    public void With_a_login_the_metrics_are_behind_it_and_its_password_is_in_no_file()
    {
        Environment["STATS_PASS"] = "canary-stats";
        var yaml = Minimal.Replace(
            "haproxy: { ",
            "haproxy: { metrics: true, stats_login: { name: ops, password: '${secret.STATS_PASS}' }, ",
            StringComparison.Ordinal
        );
        Assert.That(
            PrometheusFiles.ScrapeConfiguration(Topology(yaml)),
            Does.Contain("basic_auth: { username: 'ops', password_file: haproxy.password }").And.Not.Contain("canary")
        );
        var file = Content(Load(yaml), "config_file.haproxy@haproxy-01");
        Assert.That(
            file.IndexOf("http-request use-service prometheus-exporter if { path /metrics }", StringComparison.Ordinal),
            Is.GreaterThan(file.IndexOf("http-request auth realm", StringComparison.Ordinal))
                .And.LessThan(file.IndexOf("userlist statistics", StringComparison.Ordinal))
        );
        Assert.That(Content(Load(WithMetrics), "config_file.haproxy@haproxy-01"), Does.Contain("use-service prometheus-exporter"));
        Assert.That(Content(Load(Minimal), "config_file.haproxy@haproxy-01"), Does.Not.Contain("prometheus"));
    }

    [Test]
    public void Every_alert_has_a_severity_a_summary_and_a_link_to_its_line_of_the_documentation()
    {
        var topology = Topology(WithMetrics + "  tls: offered\n");
        var root = (YamlMappingNode)Parsed(PrometheusFiles.AlertFile(topology, "docs/monitoring.md#"));
        var page = System.IO.File.ReadAllText(Path.Combine(Cli.JsonSchemas.Root, "docs/monitoring.md"));
        var rules = ((YamlSequenceNode)root["groups"])
            .SelectMany(group => (YamlSequenceNode)group["rules"])
            .Cast<YamlMappingNode>()
            .ToList();
        Assert.That(rules, Has.Count.EqualTo(AlertRules.Of(topology).Sum(group => group.Rules.Length)));
        foreach (var rule in rules)
        {
            var name = $"{rule["alert"]}";
            Assert.That($"{rule["labels"]["severity"]}", Is.AnyOf("critical", "warning"), name);
            Assert.That($"{rule["annotations"]["summary"]}", Is.Not.Empty, name);
            var link = $"{rule["annotations"]["runbook_url"]}";
            Assert.That(page, Does.Contain($"<a id=\"{link.Split('#')[1]}\"></a>`{name}`"), name);
            Assert.That($"{rule["expr"]}", Does.Contain("keybuzz-pg"), "it is of this cluster alone");
        }
    }

    [Test]
    public void The_alerts_of_backups_and_of_haproxy_are_there_only_where_those_are() =>
        Assert.That(
            AlertRules.Of(Topology(Minimal)).SelectMany(group => group.Rules).Select(rule => rule.Name),
            Has.None.StartsWith("Haproxy").And.None.Contains("Backup").And.None.Contains("Certificate").And.Contains("KbrWritesFail")
        );

    [Test]
    public void Drift_is_told_by_the_resources_and_a_run_that_is_incomplete_or_late_has_an_alert_of_its_own()
    {
        var rules = AlertRules.Of(Topology(Minimal)).SelectMany(group => group.Rules).ToDictionary(rule => rule.Name);
        Assert.That(
            rules["KbrDriftFound"].Expression,
            Is.EqualTo("sum by (cluster) (kbr_drift_resources{cluster=\"keybuzz-pg\",state=~\"changed|deleted\"}) > 0"),
            "the exit code of a host that cannot be read comes before that of drift"
        );
        Assert.That(
            rules["KbrDriftUnknown"].Expression,
            Is.EqualTo(
                "kbr_drift_exit_code{cluster=~\"keybuzz-pg|\"} == 1 or "
                    + "time() - kbr_drift_last_run_timestamp_seconds{cluster=~\"keybuzz-pg|\"} > 7200"
            ),
            "also where cluster.yaml cannot be read, and not where nobody runs kbr drift"
        );
    }

    [Test]
    public void Each_exporter_is_a_container_with_a_unit_that_logs_in_by_a_file_of_its_own()
    {
        Environment["MONITORING_PASS"] = @"canary:mon\itor";
        var cluster = Load(WithExporters);
        var file = Find(cluster, "config_file.exporter-logins@db-slave-01").Spec;
        Assert.That(file.Text("content")!.Reveal(), Is.EqualTo("127.0.0.1:5432:*:kb_monitor:canary\\:mon\\\\itor\n"));
        Assert.That((file.String("owner"), file.OptionalString("mode")), Is.EqualTo(("65532", "0600")));
        Assert.That(
            Content(cluster, "config_file.exporter-logins@haproxy-02"),
            Is.EqualTo("10.0.0.12:6433:*:pgbouncer_stats:canary-of-the-statistics\n")
        );
        var containers = cluster
            .Resources.Where(resource => resource.Address is { Type: "container", Name: var name } && name.EndsWith("-exporter"))
            .ToList();
        Assert.That(
            containers.Select(one => $"{one.Address.Name}@{one.Address.Host}"),
            Is.EquivalentTo([
                .. new[] { "db-master-01", "db-slave-01", "db-slave-02" }.Select(host => $"postgres-exporter@{host}"),
                .. new[] { "haproxy-01", "haproxy-02" }.Select(host => $"pgbouncer-exporter@{host}"),
            ])
        );
        foreach (var one in containers)
        {
            string[] said = [.. one.Spec.List("command"), .. one.Spec.Map("environment").Values];
            Assert.That(string.Join(' ', said), Does.Not.Contain("canary"), "docker inspect shows it");
            Assert.That(one.Spec.List("command"), Has.One.Match("--web.listen-address=10\\.0\\.0\\.\\d+:91[28]7"));
            Assert.That(Find(cluster, $"systemd_unit.{one.Address.Name}@{one.Address.Host}").Group, Is.Null, "it disrupts no member");
            Assert.That(one.Group, Is.Null);
        }

        Assert.That(
            Find(cluster, "systemd_unit.pgbouncer-exporter@haproxy-02").After.Select(one => $"{one}"),
            Has.One.EqualTo("systemd_unit.pgbouncer@haproxy-02"),
            "it ends where nothing answers"
        );
        var role = Find(cluster, "role.kb_monitor@keybuzz-pg").Spec;
        Assert.That(role.List("member_of"), Is.EqualTo(new[] { "pg_monitor" }));
        Assert.That(role.Boolean("superuser"), Is.False);
        Assert.That(
            Content(cluster, "config_file.pgbouncer-users@haproxy-01"),
            Does.Not.Contain("kb_monitor"),
            "the pools are not its way in"
        );
    }

    [Test]
    public void Other_queries_are_another_container_since_they_are_read_at_its_start()
    {
        Environment["MONITORING_PASS"] = "canary-monitor";
        var cluster = Load(WithExporters);
        Assert.That(
            Find(cluster, "container.postgres-exporter@db-master-01").Spec.Map("labels").Keys,
            Has.One.EqualTo("kbr.start-settings")
        );
        var queries = (YamlMappingNode)Parsed(Content(cluster, "config_file.exporter-queries@db-master-01"));
        Assert.That(queries.Children, Has.Count.EqualTo(5));
        foreach (var (name, query) in queries.Children)
        {
            foreach (var metric in ((YamlSequenceNode)query["metrics"]).Cast<YamlMappingNode>())
            {
                var column = $"{metric.Children[0].Key}";
                Assert.That($"{query["query"]}", Does.Match($@"\b{column}\b"), $"{name}");
                Assert.That($"{metric[column]["usage"]}", Is.AnyOf("GAUGE", "COUNTER", "LABEL"), column);
            }
        }
    }

    [Test]
    public void The_exporters_are_scraped_and_have_alerts_only_where_they_run()
    {
        Environment["MONITORING_PASS"] = "canary-monitor";
        var jobs = Jobs(WithExporters);
        Assert.That(jobs.Keys, Is.EqualTo(new[] { "patroni-keybuzz-pg", "postgres-keybuzz-pg", "pgbouncer-keybuzz-pg" }));
        Assert.That(jobs["pgbouncer-keybuzz-pg"], Is.EqualTo(new[] { "10.0.0.11:9127", "10.0.0.12:9127" }));
        var hosts = Jobs(WithExporters.Replace("monitoring: { ", "monitoring: { exporters: [node], ports: { node: 9101 }, "));
        Assert.That(hosts.Keys, Is.EqualTo(new[] { "patroni-keybuzz-pg", "node-keybuzz-pg" }));
        Assert.That(hosts["node-keybuzz-pg"], Has.Length.EqualTo(5).And.All.EndsWith(":9101"));
        Assert.That(AlertRules.Of(Topology(WithExporters)).Select(group => group.Group), Does.Contain("postgres").And.Not.Contain("hosts"));
        Assert.That(
            AlertRules
                .Of(Topology(WithExporters.Replace("monitoring: { ", "monitoring: { max_transaction: 90s, ")))
                .SelectMany(group => group.Rules),
            Has.One.Matches<AlertRule>(rule => rule is { Name: "PostgresLongTransaction" } && rule.Expression.EndsWith(" > 90"))
        );
    }

    [Test]
    public void The_server_has_the_files_of_render_and_a_receiver_by_a_file_of_its_own()
    {
        Environment["MONITORING_PASS"] = "canary-monitor";
        Environment["HOOK"] = "https://chat.example.com/canary-hook";
        var yaml = WithExporters
            .Replace("monitoring: { ", "monitoring: { server: watch-01, receivers: { slack: '${secret.HOOK}' }, ")
            .Replace("hosts:\n", "hosts:\n  watch-01: { role: watch, address: 10.0.0.9 }\n");
        var cluster = Load(yaml);
        var topology = cluster.Model<PostgresTopology>()!;
        Assert.That(Content(cluster, "config_file.prometheus-scrapes@watch-01"), Is.EqualTo(PrometheusFiles.ScrapeConfiguration(topology)));
        Assert.That(
            Content(cluster, "config_file.prometheus-alerts@watch-01"),
            Is.EqualTo(PrometheusFiles.AlertFile(topology, PrometheusFiles.Runbooks))
        );
        var prometheus = Parsed(Content(cluster, "config_file.prometheus@watch-01"));
        Assert.That($"{prometheus["global"]["scrape_interval"]}", Is.EqualTo("15s"));
        Assert.That(Content(cluster, "config_file.prometheus@watch-01"), Does.Contain("'10.0.0.9:9093'"));
        var alertmanager = Parsed(Content(cluster, "config_file.alertmanager@watch-01"));
        Assert.That($"{alertmanager["receivers"][0]["slack_configs"][0]["api_url_file"]}", Is.EqualTo("/etc/monitoring/slack.url"));
        Assert.That(Content(cluster, "config_file.alertmanager-slack@watch-01"), Is.EqualTo("https://chat.example.com/canary-hook"));
        Assert.That(Find(cluster, "directory.monitoring-data@watch-01").Spec.Boolean("data"), Is.True, "a destroy keeps it");
        Assert.That(Jobs(yaml)["node-keybuzz-pg"], Is.EqualTo(new[] { "10.0.0.9:9100" }), "the figures of kbr status come by its exporter");
        Assert.That(
            PostgresTraffic.Of(topology).Where(one => one.Port == 9187).Select(one => one.From.Single().Name),
            Is.EqualTo(new[] { "watch-01" })
        );
    }

    [Test]
    public void With_a_login_each_asks_for_it_by_a_hash_and_Prometheus_logs_in_by_a_file()
    {
        Environment["MONITORING_PASS"] = "canary-monitor";
        Environment["WATCH_PASS"] = "canary-of-the-watch";
        var yaml = WithExporters
            .Replace("monitoring: { ", "monitoring: { server: watch-01, login: { name: watch, password: '${secret.WATCH_PASS}' }, ")
            .Replace("hosts:\n", "hosts:\n  watch-01: { role: watch, address: 10.0.0.9 }\n");
        var cluster = Load(yaml);
        foreach (var host in new[] { "db-master-01", "haproxy-02", "watch-01" })
        {
            var file = Find(cluster, $"config_file.monitoring-login@{host}").Spec;
            Assert.That(
                file.Text("content")!.Reveal(),
                Does.Match(@"\nbasic_auth_users: \{ 'watch': '\$2b\$10\$[./A-Za-z0-9]{53}' \}\n$"),
                host
            );
            Assert.That($"{file.Text("content")}", Does.Not.Contain("$2b$"), "a hash is as secret as the password");
            Assert.That(file.OptionalString("mode"), Is.EqualTo("0600"));
        }

        var containers = cluster
            .Resources.Where(one =>
                one is { Address: { Type: "container", Name: "prometheus" or "alertmanager" } }
                || one.Address is { Type: "container", Name: var name } && name.EndsWith("-exporter", StringComparison.Ordinal)
            )
            .ToList();
        Assert.That(containers, Has.Count.EqualTo(3 + 2 + 1 + 2));
        foreach (var one in containers)
        {
            Assert.That(one.Spec.List("command"), Has.One.EqualTo("--web.config.file=/etc/monitoring/web.yml"), $"{one.Address}");
            Assert.That(one.Requires.Select(need => $"{need}"), Has.One.EqualTo($"config_file.monitoring-login@{one.Address.Host}"));
        }

        const string Login = "basic_auth: { username: 'watch', password_file: monitoring.password }";
        Assert.That(PrometheusFiles.ScrapeConfiguration(Topology(yaml)).Split(Login), Has.Length.EqualTo(1 + 3), "Patroni asks for none");
        var prometheus = Parsed(Content(cluster, "config_file.prometheus@watch-01"));
        Assert.That($"{prometheus["alerting"]["alertmanagers"][0]["basic_auth"]["password_file"]}", Is.EqualTo("monitoring.password"));
        Assert.That(Content(cluster, "config_file.monitoring-password@watch-01"), Is.EqualTo("canary-of-the-watch"));
        Assert.That(cluster.Resources.Count(one => one.Address.Name == "monitoring-password"), Is.EqualTo(1));
        foreach (var name in new[] { "prometheus", "alertmanager" })
        {
            Assert.That(
                Find(cluster, $"config_file.{name}@watch-01").Spec.String("reload_confirm"),
                Does.StartWith(
                    "m=$(printf 'user = \"%s:%s\"\\n' watch \"$(sed 's/[\\\\\"]/\\\\&/g' /opt/keybuzz/monitoring/monitoring.password)\" | curl -K - -fsS "
                )
            );
            Assert.That(
                Find(cluster, $"config_file.{name}@watch-01").Requires.Select(one => $"{one}"),
                Has.One.EqualTo("config_file.monitoring-password@watch-01")
            );
        }

        Assert.That(OpenAccess.Of(Topology(yaml)), Has.None.Contains("exporters"));
        Assert.That(OpenAccess.Of(Topology(WithExporters)), Has.One.Contains("monitoring.login sets one"));
        Environment["WATCH_PASS"] = new string('x', 73);
        Assert.That(OnlyError(yaml), Does.Contain("the password of monitoring.login is longer than 72 bytes"));
    }

    // The first are Openwall's vectors; the last is what libxcrypt makes.
    [TestCase("U*U", "CCCCCCCCCCCCCCCCCCCCC.", 5, "E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")]
    [TestCase("U*U*", "CCCCCCCCCCCCCCCCCCCCC.", 5, "VGOzA784oUp/Z0DY336zx7pLYAy0lwK")]
    [TestCase("U*U*U", "XXXXXXXXXXXXXXXXXXXXXO", 5, "AcXxm9kjPGEMsLznoKqmqw7tc8WCx4a")]
    [TestCase("", "CCCCCCCCCCCCCCCCCCCCC.", 5, "7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy")]
    [TestCase("a long password: äö %/", "abcdefghijklmnopqrstuu", 10, "zPqYcqv7THN16mm1XQsj6C/UY360Ltm")]
    public void A_hash_is_that_of_every_bcrypt(string password, string salt, int cost, string hash)
    {
        // Six bits a letter.
        const string Letters = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        var bits = string.Concat(
            salt.Select(letter => Convert.ToString(Letters.IndexOf(letter, StringComparison.Ordinal), 2).PadLeft(6, '0'))
        );
        byte[] bytes = [.. Enumerable.Range(0, Bcrypt.SaltLength).Select(at => Convert.ToByte(bits.Substring(8 * at, 8), 2))];
        Assert.That(Bcrypt.Hash(password, bytes, cost), Is.EqualTo($"$2b${cost:00}${salt}{hash}"));
    }

    [TestCase("monitoring: { exporters: [postgresql], ", "there is no exporter 'postgresql'")]
    [TestCase("monitoring: { storage: 0, ", "'storage' must be at least 256MiB, not 0")]
    [TestCase("monitoring: { server: haproxy-03, ", "there is no host 'haproxy-03' for Prometheus")]
    [TestCase(
        "monitoring: { ports: { postgres: 8008 }, ",
        "the exporter of PostgreSQL and Patroni's REST API would both listen on port 8008"
    )]
    [TestCase("monitoring: { receivers: { webhook: 'https://chat.example.com' }, ", "'webhook' must be ${secret.NAME}")]
    public void A_wrong_value_is_named(string section, string error)
    {
        Environment["MONITORING_PASS"] = "canary-monitor";
        Assert.That(OnlyError(WithExporters.Replace("monitoring: { ", section)), Does.Contain(error));
    }

    private static string WithExporters => With($"monitoring: {{ image: \"registry.example.com/kbr/monitoring:2{Digest}\" }}");

    private Dictionary<string, string[]> Jobs(string yaml) =>
        ((YamlSequenceNode)Parsed(PrometheusFiles.ScrapeConfiguration(Topology(yaml)))["scrape_configs"]).ToDictionary(
            job => $"{job["job_name"]}",
            job => ((YamlSequenceNode)job["static_configs"]).Select(one => $"{((YamlSequenceNode)one["targets"])[0]}").ToArray()
        );

    private static YamlNode Parsed(string text)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(text));
        return stream.Documents[0].RootNode;
    }
}
