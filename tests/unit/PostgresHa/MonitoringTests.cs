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
        var topology = Topology(WithMetrics);
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
            Has.None.StartsWith("Haproxy").And.None.Contains("Backup").And.Contains("KbrWritesFail")
        );

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
