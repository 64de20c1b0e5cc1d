using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConfigFile;

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

    /// <summary>What the links of the alerts begin with where nothing else is said.</summary>
    public const string Runbooks = "docs/monitoring.md#";

    /// <summary>The name of the file with the password of HAProxy's statistics.</summary>
    public const string HaproxyPassword = "haproxy.password";

    /// <summary>The name of the file with the password that exporters, Prometheus and Alertmanager ask for.</summary>
    public const string AccessPassword = "monitoring.password";

    /// <summary>The job of PostgreSQL's exporters.</summary>
    public static string PostgresJob(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        return $"postgres-{topology.Scope}";
    }

    /// <summary>The job of PgBouncer's exporters.</summary>
    public static string PgBouncerJob(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        return $"pgbouncer-{topology.Scope}";
    }

    /// <summary>The job of the hosts' exporters.</summary>
    public static string HostJob(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        return $"node-{topology.Scope}";
    }

    /// <summary>The job of the members' Patroni.</summary>
    public static string PatroniJob(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        return $"patroni-{topology.Scope}";
    }

    /// <summary>The job of the store's own service.</summary>
    public static string StoreJob(PostgresTopology topology, string service)
    {
        ArgumentNullException.ThrowIfNull(topology);
        return $"{service}-{topology.Scope}";
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
        Job(PatroniJob(topology), topology.Members, topology.Ports.Rest, "member");
        if (topology.Store.Service is { MetricsPort: { } metrics, Name: var service })
        {
            Job(StoreJob(topology, service), topology.Members, metrics, "member");
        }

        if (topology.Monitoring is { } monitoring)
        {
            if (monitoring.ExportsPostgres)
            {
                Job(PostgresJob(topology), topology.Members, monitoring.Ports.Postgres, "member");
                Access(monitoring);
            }

            if (monitoring.ExportsPgBouncer)
            {
                Job(PgBouncerJob(topology), topology.Proxies, monitoring.Ports.PgBouncer, "proxy_host");
                Access(monitoring);
            }

            if (monitoring.HostsOf(topology).Any())
            {
                // The figures of kbr status have the labels of their cluster already.
                Job(HostJob(topology), monitoring.HostsOf(topology), monitoring.Ports.Host, "node", "    honor_labels: true\n");
                Access(monitoring);
            }
        }

        if (topology.Haproxy.Metrics)
        {
            Job(HaproxyJob(topology), topology.Proxies, topology.Haproxy.StatsPort, "proxy_host");
            if (topology.Haproxy.StatisticsLogin is { } login)
            {
                text.Append("    # The password of haproxy.stats_login, in a file that Prometheus reads.\n")
                    .Append(
                        CultureInfo.InvariantCulture,
                        $"    basic_auth: {{ username: {Quoted(login.Name)}, password_file: {HaproxyPassword} }}\n"
                    );
            }
        }

        return text.ToString();

        void Access(MonitoringSettings monitoring)
        {
            if (monitoring.Access is { } login)
            {
                text.Append(CultureInfo.InvariantCulture, $"    basic_auth: {AccessOf(login)}\n");
            }
        }

        void Job(string name, IEnumerable<Host> hosts, int port, string label, string more = "")
        {
            text.Append(CultureInfo.InvariantCulture, $"  - job_name: {Quoted(name)}\n{more}    metrics_path: {HaproxyPath}\n")
                .Append("    static_configs:\n");
            foreach (var host in hosts)
            {
                text.Append(CultureInfo.InvariantCulture, $"      - targets: [{Quoted(ConfigText.Endpoint(host.Address, port))}]\n")
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

    /// <summary>The login that exporters, Prometheus and Alertmanager ask for, in a configuration beside the password's file.</summary>
    internal static string AccessOf(PostgresUser login) => $"{{ username: {Quoted(login.Name)}, password_file: {AccessPassword} }}";

    private static string Quoted(string text) => $"'{text.Replace("'", "''", StringComparison.Ordinal)}'";
}
