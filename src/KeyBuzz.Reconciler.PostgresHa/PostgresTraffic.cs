using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>The connections that a PostgreSQL cluster needs. Pure.</summary>
public static class PostgresTraffic
{
    /// <summary>The applications, where the file does not say where they are.</summary>
    public static readonly TrafficEnd Clients = new("clients", "");

    /// <summary>Those who look at the statistics of the proxies.</summary>
    public static readonly TrafficEnd Operator = new("operator", "");

    /// <summary>All of them.</summary>
    public static IEnumerable<Traffic> Of(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        var (members, proxies) = (topology.Members, topology.Proxies);
        var haproxy = topology.Haproxy;
        yield return Traffic.Between(members, members, topology.Ports.Postgres, "PostgreSQL: replication");
        yield return Traffic.Between(members, members, topology.Ports.Rest, "Patroni's REST API");
        yield return Traffic.Between(proxies, members, topology.Ports.Postgres, "PostgreSQL: HAProxy");
        yield return Traffic.Between(proxies, members, topology.Ports.Rest, "Patroni's REST API: HAProxy's health checks");
        foreach (var port in topology.Store.Ports)
        {
            yield return Traffic.Between(members, members, port.Number, port.Name);
            yield return Traffic.Between(proxies, members, port.Number, $"{port.Name}: kbr status");
        }

        foreach (var network in topology.Networks)
        {
            yield return new Traffic(
                Traffic.Tcp,
                topology.Ports.Postgres,
                "PostgreSQL: direct logins ('networks')",
                [new TrafficEnd(network, network)],
                [.. members.Select(TrafficEnd.Of)]
            );
        }

        yield return Traffic.Between(proxies, proxies, topology.PgBouncer.Port, "PgBouncer: HAProxy");
        (int Port, string Purpose)[] ways =
        [
            (haproxy.Port, "SQL to the primary"),
            (haproxy.PooledPort, "SQL through PgBouncer"),
            .. haproxy.ReadPort is { } reads ? [(reads, "SQL to the replicas")] : Array.Empty<(int, string)>(),
        ];
        foreach (var (port, purpose) in ways)
        {
            yield return new Traffic(Traffic.Tcp, port, purpose, [ClientsOf(topology)], [.. proxies.Select(TrafficEnd.Of)]);
            yield return Traffic.Between(proxies, proxies, port, $"{purpose}: kbr status");
        }

        yield return new Traffic(Traffic.Tcp, haproxy.StatsPort, "HAProxy's statistics", [Operator], [.. proxies.Select(TrafficEnd.Of)]);
        yield return Traffic.Between(proxies, proxies, haproxy.StatsPort, "HAProxy's statistics: kbr status");
        foreach (var one in OfMonitoring(topology))
        {
            yield return one;
        }

        if (topology.VirtualAddress is not null)
        {
            yield return new Traffic(
                "vrrp",
                0,
                "keepalived: who holds the virtual address",
                [.. proxies.Select(TrafficEnd.Of)],
                [.. proxies.Select(TrafficEnd.Of)]
            );
        }

        if (topology.LoadBalancer is { } balancer)
        {
            foreach (var port in (int[])[balancer.Port, balancer.PooledPort])
            {
                yield return new Traffic(
                    Traffic.Tcp,
                    port,
                    "PgBouncer and kbr, to the load balancer",
                    [.. proxies.Select(TrafficEnd.Of)],
                    [new TrafficEnd("load balancer", balancer.Address)]
                );
            }
        }
    }

    private static IEnumerable<Traffic> OfMonitoring(PostgresTopology topology)
    {
        if (topology.Monitoring is not { } monitoring)
        {
            yield break;
        }

        var asks = monitoring.Server is { } server ? TrafficEnd.Of(server) : Operator;
        yield return Asked(topology.Members, topology.Ports.Rest, "Patroni's metrics");
        if (topology.Haproxy.Metrics)
        {
            yield return Asked(topology.Proxies, topology.Haproxy.StatsPort, "HAProxy's metrics");
        }

        if (monitoring.ExportsPostgres)
        {
            yield return Asked(topology.Members, monitoring.Ports.Postgres, "PostgreSQL's exporter");
        }

        if (monitoring.ExportsPgBouncer)
        {
            yield return Asked(topology.Proxies, monitoring.Ports.PgBouncer, "PgBouncer's exporter");
        }

        if (monitoring.ExportsHosts)
        {
            yield return Asked(monitoring.HostsOf(topology), monitoring.Ports.Host, "the host's exporter");
        }

        if (monitoring.Server is { } one)
        {
            yield return new Traffic(Traffic.Tcp, monitoring.Ports.Prometheus, "Prometheus", [Operator], [TrafficEnd.Of(one)]);
            yield return new Traffic(Traffic.Tcp, monitoring.Ports.Alertmanager, "Alertmanager", [Operator], [TrafficEnd.Of(one)]);
        }

        Traffic Asked(IEnumerable<Host> hosts, int port, string purpose) =>
            new(Traffic.Tcp, port, purpose, [asks], [.. hosts.Select(TrafficEnd.Of)]);
    }

    // The load balancer opens the connections of its clients itself.
    private static TrafficEnd ClientsOf(PostgresTopology topology) =>
        topology.LoadBalancer is { } balancer ? new TrafficEnd("load balancer", balancer.Address) : Clients;
}
