namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>The access that the section leaves open on the cluster's network, and the settings that close it (docs/security.md).</summary>
public static class OpenAccess
{
    /// <summary>One line for each.</summary>
    public static IEnumerable<string> Of(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        if (topology.SuperuserLogin == SuperuserLogin.Proxies)
        {
            var through =
                topology.LoadBalancer is not null ? "the load balancer"
                : topology.VirtualAddress is not null ? "the virtual address"
                : "the proxies";
            yield return $"Open: superuser {topology.Superuser.Name} can log in through {through}, on "
                + $"{topology.Entry.Port} and {topology.Entry.PooledPort} (superuser_login: members "
                + $"closes it)";
        }

        if (topology.Tls is null)
        {
            yield return "Open: PostgreSQL and PgBouncer without TLS: who reads the network reads the data (tls: offered turns it on)";
        }
        else if (!topology.Tls.HopsRequired)
        {
            yield return "Open: connections between the cluster's parts use TLS where it is offered, unverified "
                + "(tls: { hops: required } verifies it)";
        }
        else if (!topology.Tls.ClientsRequired)
        {
            yield return "Open: clients log in without TLS where they do not ask for it (tls: required refuses them)";
        }

        if (topology.Haproxy.StatisticsLogin is null)
        {
            yield return $"Open: HAProxy's statistics, without a login, on port {topology.Haproxy.StatsPort} of each proxy "
                + $"(haproxy.stats_login sets one)";
        }

        if (topology.Monitoring is { Access: null })
        {
            yield return "Open: exporters, Prometheus and Alertmanager, without a login, on the private addresses "
                + "(monitoring.login sets one; kbr check --ports has the firewall's rules)";
        }

        if (!topology.Networks.IsEmpty)
        {
            yield return $"Open: {string.Join(", ", topology.Networks)} log in to PostgreSQL directly, past the proxies (networks)";
        }

        foreach (var line in topology.Store.OpenAccess)
        {
            yield return line;
        }
    }
}
