using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Monitoring;

/// <summary>The exporters, and the host with Prometheus and Alertmanager.</summary>
/// <param name="Image">The image of all of them.</param>
/// <param name="Login">The role that the exporters of PostgreSQL log in as.</param>
/// <param name="Ports">Where each listens.</param>
public sealed record MonitoringSettings(ServiceImage Image, PostgresUser Login, MonitoringPorts Ports)
{
    /// <summary>The login that exporters, Prometheus and Alertmanager ask for; null for none.</summary>
    public PostgresUser? Access { get; init; }

    /// <summary>Whether each member has an exporter of PostgreSQL.</summary>
    public bool ExportsPostgres { get; init; }

    /// <summary>Whether each proxy has an exporter of PgBouncer.</summary>
    public bool ExportsPgBouncer { get; init; }

    /// <summary>Whether members and proxies have an exporter of the host.</summary>
    public bool ExportsHosts { get; init; }

    /// <summary>The host with Prometheus and Alertmanager; null for none.</summary>
    public Host? Server { get; init; }

    /// <summary>How often Prometheus asks.</summary>
    public TimeSpan Interval { get; init; }

    /// <summary>How much Prometheus keeps, in bytes.</summary>
    public long Storage { get; init; }

    /// <summary>How old a transaction may become.</summary>
    public TimeSpan MaxTransaction { get; init; }

    /// <summary>How long a transaction may be idle.</summary>
    public TimeSpan MaxIdleInTransaction { get; init; }

    /// <summary>Where Alertmanager sends alerts: its kind of receiver, and the secret URL.</summary>
    public ImmutableArray<(string Kind, SecretText Url)> Receivers { get; init; } = [];

    /// <summary>The hosts with an exporter of the host, each once. That of Prometheus has one for the figures of kbr status.</summary>
    public IEnumerable<Host> HostsOf(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        var own = ExportsHosts ? topology.Members.Concat(topology.Proxies) : [];
        return (Server is { } server ? own.Append(server) : own).DistinctBy(host => host.Name);
    }
}

/// <summary>Where exporters, Prometheus and Alertmanager listen, on the private address of their host.</summary>
/// <param name="Postgres">The exporter of PostgreSQL.</param>
/// <param name="PgBouncer">The exporter of PgBouncer.</param>
/// <param name="Host">The exporter of the host.</param>
/// <param name="Prometheus">Prometheus.</param>
/// <param name="Alertmanager">Alertmanager.</param>
public sealed record MonitoringPorts(int Postgres, int PgBouncer, int Host, int Prometheus, int Alertmanager);
