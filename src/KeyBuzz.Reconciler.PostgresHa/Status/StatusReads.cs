using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.PostgresHa.Restore;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Providers.Certificate;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniConfig;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>The reads of the status: one script per host.</summary>
internal sealed class StatusReads(PostgresTopology topology, Resource configuration)
{
    private static readonly PatroniConfigProvider s_configuration = new();

    public const string Patroni = PostgresTopology.PatroniContainer;
    public const string Haproxy = PostgresTopology.HaproxyContainer;
    public const string PgBouncer = PostgresTopology.PgBouncerContainer;

    public const string Keepalived = PostgresTopology.KeepalivedContainer;

    /// <summary>The dynamic configuration as it is declared.</summary>
    public Resource ConfigurationResource => configuration;

    public HttpRead HaproxyTable => new("127.0.0.1", topology.Haproxy.StatsPort, "/stats;csv");

    public static HaproxyCheckRead HaproxyCheck => new(Haproxy, PostgresTopology.HaproxyConfiguration);

    public PoolerRead Pools => new(PgBouncer, PostgresTopology.PgBouncerSocketDirectory, topology.PgBouncer.Port, PoolerTable.Pools);

    public PoolerRead PoolerConfig =>
        new(PgBouncer, PostgresTopology.PgBouncerSocketDirectory, topology.PgBouncer.Port, PoolerTable.Config);

    /// <summary>How far each replica has replayed what the leader has written, and which of them a commit waits for; on a replica no
    /// rows.</summary>
    public SqlRead Replication =>
        Sql(
            "postgres",
            """
            SELECT application_name AS name, state, sync_state,
                   CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint END AS lag
            FROM pg_stat_replication WHERE application_name <> 'pg_basebackup'
            """
        );

    /// <summary>How many connections of replicas there are, and how many of them use TLS.</summary>
    public SqlRead EncryptedStreams =>
        Sql(
            "postgres",
            """
            SELECT count(*) AS streams, count(*) FILTER (WHERE s.ssl) AS encrypted
            FROM pg_stat_replication r JOIN pg_stat_ssl s USING (pid) WHERE r.application_name <> 'pg_basebackup'
            """
        );

    /// <summary>The certificate of the service on a host.</summary>
    public FileRead Certificate(Host host) =>
        new(
            topology.Members.Contains(host)
                ? $"{topology.Directories.Configuration}/{TlsSettings.FileName}"
                : $"{topology.BaseDirectory}/pgbouncer/{TlsSettings.FileName}"
        );

    /// <summary>What the service on a host serves.</summary>
    public TlsRead Served(Host host) =>
        new(host.Address, topology.Members.Contains(host) ? topology.Ports.Postgres : topology.PgBouncer.Port);

    /// <summary>The archiver of WAL, whose times count from now; a replica's archives nothing.</summary>
    public SqlRead Archiver => ArchivedWal.Read(topology);

    /// <summary>The scheduled backups of each kind, by their reads on each member.</summary>
    public IEnumerable<(BackupKind Kind, UnitRead Timer, UnitRead Service, FileRead Log, StatRead LogStat)> ScheduledBackups =>
        (topology.Backup?.Schedule?.Times ?? [])
            .Select(each => each.Kind)
            .Select(kind =>
                (
                    kind,
                    new UnitRead(BackupSection.Unit(kind) + ".timer"),
                    new UnitRead(BackupSection.Unit(kind) + ".service"),
                    new FileRead(BackupSection.Log(kind)),
                    new StatRead(BackupSection.Log(kind))
                )
            );

    /// <summary>How near a member is to its limits.</summary>
    public SqlRead Vitals => Sql("postgres", MemberVitals.Query);

    /// <summary>The volume of a member.</summary>
    public DiskSpaceRead Volume => new(topology.Directories.Data);

    /// <summary>The ballast of a member's volume; null where none is declared.</summary>
    public StatRead? Ballast => topology.Volume.BallastPath is { } path ? new StatRead(path) : null;

    /// <summary>The kernel's counters since it booted, the processes that it killed for lack of memory among them.</summary>
    public static FileRead KernelCounters => new("/proc/vmstat");

    /// <summary>The last change that kbr made on the host.</summary>
    public HistoryRead LastApply => new(topology.Cluster) { IsLastLine = true };

    /// <summary>The timer and the service of scheduled proofs on each member, and what the last one printed; none without a
    /// schedule.</summary>
    public IEnumerable<Read> ScheduledProof => topology.Backup?.Proof is null ? [] : [ProofTimer, ProofService, ProofLog, ProofLogStat];

    public static UnitRead ProofTimer => new(ProofProgram.Unit + ".timer");

    public static UnitRead ProofService => new(ProofProgram.Unit + ".service");

    public static FileRead ProofLog => new(ProofProgram.Log);

    public static StatRead ProofLogStat => new(ProofProgram.Log);

    public SqlRead Extensions(string database) => Sql(database, "SELECT extname AS name, extversion AS version FROM pg_extension");

    public SqlRead Available => Sql("postgres", "SELECT name, default_version AS version FROM pg_available_extensions");

    /// <summary>The dynamic configuration, compared as in a plan: declared and found.</summary>
    public (SortedMap<AttributeValue> Declared, Observation Found) Configuration(IReadOnlyDictionary<string, Snapshot> members) =>
        (s_configuration.Desired(configuration), s_configuration.Observe(configuration, members));

    /// <summary>The health of the consensus store, from the members that answer.</summary>
    /// <param name="members">Their answers.</param>
    /// <param name="fenced">Members that are down on purpose.</param>
    public StoreHealth Store(IReadOnlyDictionary<string, Snapshot> members, ImmutableArray<Host> fenced) =>
        topology.Store.Kind.Judge(configuration, members, [.. fenced.Select(host => topology.Store.Kind.AddressOf(configuration, host))]);

    /// <summary>The path in the consensus store that a member uses; null if it does not report it.</summary>
    public string? NamespaceOf(Snapshot member) => topology.Store.Kind.NamespaceOf(configuration, member);

    /// <summary>A distance between two vectors, computed where it is asked.</summary>
    public SqlRead Vector(string database) =>
        Sql(database, "SELECT pg_is_in_recovery() AS in_recovery, ('[1,2,3]'::vector <-> '[3,2,1]'::vector)::float8 AS distance");

    public PostgresExtension? VectorExtension => topology.Extensions.FirstOrDefault(extension => extension.Name == "vector");

    /// <summary>The ports that must answer, as seen from a proxy: the members' and the proxies' own.</summary>
    public IEnumerable<(Host Host, int Port, string What)> Listeners =>
        [
            .. topology.Members.SelectMany(host =>
                new[] { (host, topology.Ports.Postgres, "PostgreSQL"), (host, topology.Ports.Rest, "Patroni") }.Concat(
                    topology.Store.Ports.Select(port => (host, port.Number, port.Name))
                )
            ),
            .. topology.Proxies.SelectMany(host =>
                new[]
                {
                    (host, topology.Haproxy.Port, "HAProxy"),
                    (host, topology.Haproxy.PooledPort, "HAProxy, pooled"),
                    (host, topology.Haproxy.StatsPort, "HAProxy statistics"),
                    (host, topology.PgBouncer.Port, "PgBouncer"),
                }
            ),
            .. topology.Haproxy.ReadPort is { } reads ? topology.Proxies.Select(host => (host, reads, "HAProxy, reads")) : [],
        ];

    public IReadOnlyCollection<Read> For(Host host)
    {
        var reads = new HashSet<Read> { LastApply };
        if (topology.Tls is not null)
        {
            reads.Add(Certificate(host));
            reads.Add(Served(host));
            if (topology.Members.Contains(host))
            {
                reads.Add(EncryptedStreams);
            }
        }

        if (topology.Members.Contains(host))
        {
            reads.UnionWith([
                new UnitRead(Patroni + ".service"),
                new ContainerRead(Patroni),
                .. topology.Store.Service is { } store
                    ? new Read[] { new UnitRead(store.Name + ".service"), new ContainerRead(store.Name) }
                    : [],
                .. topology.Store.Kind.Reads(configuration),
                Replication,
                Available,
                Vitals,
                Volume,
                KernelCounters,
                .. Ballast is { } ballast ? [ballast] : Array.Empty<Read>(),
                .. PatroniHealth.Reads(topology.Ports.Rest),
                .. s_configuration.Reads(configuration),
            ]);
            if (topology.Backup is not null)
            {
                reads.Add(RestoreJournal.Read(topology.Scope));
                reads.Add(ProofRecord.Read(topology.Scope));
                reads.Add(CheckRecord.Read(topology.Scope));
                reads.UnionWith(ScheduledProof);
                reads.UnionWith(BackupLook.Reads(topology));
                reads.UnionWith(ScheduledBackups.SelectMany(one => new Read[] { one.Timer, one.Service, one.Log, one.LogStat }));
            }

            reads.UnionWith(topology.Extensions.Select(extension => Extensions(extension.Database)));
            if (VectorExtension is { } vector)
            {
                reads.Add(Vector(vector.Database));
            }
        }

        if (topology.Proxies.Contains(host))
        {
            reads.UnionWith([
                new UnitRead(Haproxy + ".service"),
                new UnitRead(PgBouncer + ".service"),
                new ContainerRead(Haproxy),
                new ContainerRead(PgBouncer),
                HaproxyTable,
                HaproxyCheck,
                Pools,
                PoolerConfig,
            ]);
            if (topology.VirtualAddress is not null)
            {
                reads.UnionWith([new UnitRead(Keepalived + ".service"), new ContainerRead(Keepalived), LocalAddresses.Read]);
            }

            reads.UnionWith(Listeners.Select(listener => new PortRead(listener.Host.Address, listener.Port)));
        }

        return reads;
    }

    private SqlRead Sql(string database, string query) => new(Patroni, topology.Superuser.Name, database, topology.Ports.Postgres, query);
}
