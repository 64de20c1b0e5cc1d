using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.PostgresHa.Monitoring;

/// <summary>Files for the Prometheus that a team has: what to scrape, and the alerts. Pure.</summary>
public static class PrometheusFiles
{
    /// <summary>The name of the file with what to scrape.</summary>
    public const string Scrape = "scrape.yml";

    /// <summary>The name of the file with the alerts.</summary>
    public const string Alerts = "alerts.yml";

    /// <summary>Where HAProxy shows its metrics.</summary>
    public const string HaproxyPath = "/metrics";

    /// <summary>The job of the members' Patroni.</summary>
    public static string PatroniJob(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        return $"patroni-{topology.Scope}";
    }

    /// <summary>The job of the HAProxies.</summary>
    public static string HaproxyJob(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        return $"haproxy-{topology.Scope}";
    }

    /// <summary>The section <c>scrape_configs</c>. The metrics of kbr status come from node_exporter on the machine that runs it.</summary>
    public static string ScrapeConfiguration(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        var text = new StringBuilder("# Written by kbr monitoring render: what Prometheus asks of this cluster.\nscrape_configs:\n");
        Job(PatroniJob(topology), "/metrics", topology.Members.Select(host => (host.Name, host.Address)), topology.Ports.Rest, "member");
        if (topology.Haproxy.Metrics)
        {
            Job(
                HaproxyJob(topology),
                HaproxyPath,
                topology.Proxies.Select(host => (host.Name, host.Address)),
                topology.Haproxy.StatsPort,
                "proxy_host"
            );
            if (topology.Haproxy.StatisticsLogin is { } login)
            {
                text.Append("    # The password of haproxy.stats_login, in a file that Prometheus reads.\n")
                    .Append(
                        CultureInfo.InvariantCulture,
                        $"    basic_auth: {{ username: {Quoted(login.Name)}, password_file: haproxy.password }}\n"
                    );
            }
        }

        return text.ToString();

        void Job(string name, string path, IEnumerable<(string Name, string Address)> hosts, int port, string label)
        {
            text.Append(CultureInfo.InvariantCulture, $"  - job_name: {Quoted(name)}\n")
                .Append(CultureInfo.InvariantCulture, $"    metrics_path: {path}\n    static_configs:\n");
            foreach (var host in hosts)
            {
                var target = host.Address.Contains(':', StringComparison.Ordinal) ? $"[{host.Address}]" : host.Address;
                text.Append(CultureInfo.InvariantCulture, $"      - targets: [{Quoted($"{target}:{port}")}]\n")
                    .Append(
                        CultureInfo.InvariantCulture,
                        $"        labels: {{ cluster: {Quoted(topology.Cluster)}, {label}: {Quoted(host.Name)} }}\n"
                    );
            }
        }
    }

    /// <summary>The alerts.</summary>
    /// <param name="topology">The cluster.</param>
    /// <param name="runbooks">What a link begins with; the alert's name in lower case follows.</param>
    public static string AlertFile(PostgresTopology topology, string runbooks)
    {
        var text = new StringBuilder("# Written by kbr monitoring render.\ngroups:\n");
        foreach (var (group, rules) in AlertRules.Of(topology))
        {
            text.Append(CultureInfo.InvariantCulture, $"  - name: {Quoted($"{group}-{topology.Scope}")}\n    rules:\n");
            foreach (var rule in rules)
            {
                text.Append(CultureInfo.InvariantCulture, $"      - alert: {rule.Name}\n")
                    .Append(CultureInfo.InvariantCulture, $"        expr: {Quoted(rule.Expression)}\n")
                    .Append(CultureInfo.InvariantCulture, $"        for: {rule.For}\n")
                    .Append(
                        CultureInfo.InvariantCulture,
                        $"        labels: {{ severity: {(rule.IsCritical ? "critical" : "warning")}, cluster: {Quoted(topology.Cluster)} }}\n"
                    )
                    .Append("        annotations:\n")
                    .Append(CultureInfo.InvariantCulture, $"          summary: {Quoted(rule.Summary)}\n")
                    .Append(CultureInfo.InvariantCulture, $"          runbook_url: {Quoted(runbooks + rule.Name.ToLowerInvariant())}\n");
            }
        }

        return text.ToString();
    }

    private static string Quoted(string text) => $"'{text.Replace("'", "''", StringComparison.Ordinal)}'";
}
