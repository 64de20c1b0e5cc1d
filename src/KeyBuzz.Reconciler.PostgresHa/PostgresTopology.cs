using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Monitoring;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>The <c>postgres</c> section of cluster.yaml with every default filled in: services, hosts, ports and users.</summary>
public sealed record PostgresTopology
{
    /// <summary>The container that PostgreSQL and Patroni run in, on every member.</summary>
    public const string PatroniContainer = ClusterDefaults.Container;

    /// <summary>The container of HAProxy, on every proxy host.</summary>
    public const string HaproxyContainer = ConnectionPools.HaproxyContainer;

    /// <summary>The container of PgBouncer, on every proxy host.</summary>
    public const string PgBouncerContainer = "pgbouncer";

    /// <summary>The container of keepalived, on every proxy host of a cluster with a virtual address.</summary>
    public const string KeepalivedContainer = "keepalived";

    /// <summary>Where HAProxy's configuration is, inside its container.</summary>
    public const string HaproxyConfiguration = "/usr/local/etc/haproxy/haproxy.cfg";

    /// <summary>HAProxy's backend of all members, of which one at most is up.</summary>
    public const string HaproxyPrimaryBackend = "primary";

    /// <summary>HAProxy's backend of the replicas that are near enough for reads.</summary>
    public const string HaproxyReadBackend = "replicas";

    /// <summary>HAProxy's backend of all PgBouncers.</summary>
    public const string HaproxyPooledBackend = "pgbouncer";

    /// <summary>Where HAProxy has its admin socket, inside its container.</summary>
    public const string HaproxyAdminSocket = ConnectionPools.HaproxyAdminSocket;

    /// <summary>Where PostgreSQL has its unix socket, inside its container.</summary>
    public const string PostgresSocketDirectory = "/var/run/postgresql";

    /// <summary>Where PgBouncer has its unix socket, inside its container; its own user is let in there as <c>pgbouncer</c>, the
    /// administrator, without a password.</summary>
    public const string PgBouncerSocketDirectory = "/run/pgbouncer";

    /// <summary>The name that Patroni and kbr know the cluster by, and the group that cluster-wide resources are placed on.</summary>
    public required string Scope { get; init; }

    /// <summary>The cluster's name in cluster.yaml, by which its records and its history are kept on the hosts.</summary>
    public string Cluster { get; init; } = "";

    /// <summary>The path in the consensus store that the cluster lies under, as Patroni knows it.</summary>
    public required string Namespace { get; init; }

    /// <summary>The group that the proxies are.</summary>
    public string ProxyGroup => Scope + "-proxies";

    /// <summary>PostgreSQL's major version.</summary>
    public required int Version { get; init; }

    /// <summary>The hosts with Patroni and PostgreSQL, in the order of the file.</summary>
    public required ImmutableArray<Host> Members { get; init; }

    /// <summary>The hosts with HAProxy and PgBouncer, in the order of the file.</summary>
    public required ImmutableArray<Host> Proxies { get; init; }

    /// <summary>The load balancer for applications; null for none.</summary>
    public required LoadBalancer? LoadBalancer { get; init; }

    /// <summary>The address that the proxies hold in turn; null for none. There is no load balancer then.</summary>
    public VirtualAddress? VirtualAddress { get; init; }

    /// <summary>What applications connect to.</summary>
    public EntryPoint Entry =>
        LoadBalancer is { } balancer ? new EntryPoint([balancer.Address], balancer.Port, balancer.PooledPort)
        : VirtualAddress is { } held ? new EntryPoint([held.Address], Haproxy.Port, Haproxy.PooledPort)
        : new EntryPoint([.. Proxies.Select(proxy => proxy.Address)], Haproxy.Port, Haproxy.PooledPort);

    /// <summary>The ports on the members.</summary>
    public required MemberPorts Ports { get; init; }

    /// <summary>The image of the members.</summary>
    public required ServiceImage Image { get; init; }

    /// <summary>The uid that PostgreSQL runs as in that image.</summary>
    public required long Uid { get; init; }

    /// <summary>The gid that PostgreSQL runs as in that image.</summary>
    public required long Gid { get; init; }

    /// <summary>The size of /dev/shm in the members' containers, in bytes.</summary>
    public required long SharedMemory { get; init; }

    /// <summary>Whether the root file system of the members' containers is read-only; those of the proxies always are.</summary>
    public required bool ReadOnly { get; init; }

    /// <summary>Drop-ins of the units of this section that may be on the hosts.</summary>
    public required ImmutableArray<string> DropIns { get; init; }

    /// <summary>How long PostgreSQL is given to stop.</summary>
    public required TimeSpan StopTimeout { get; init; }

    /// <summary>The directory on every host that the directories of this section lie in.</summary>
    public required string BaseDirectory { get; init; }

    /// <summary>The volume of each member.</summary>
    public required DataVolume Volume { get; init; }

    /// <summary>The directories on the members.</summary>
    public required MemberDirectories Directories { get; init; }

    /// <summary>The member that makes the database when there is none: only its patroni.yml has the bootstrap section.</summary>
    public required string FirstLeader { get; init; }

    /// <summary>The member that is to lead when all is well; null for any.</summary>
    public required string? PreferredLeader { get; init; }

    /// <summary>How the lead is handed over.</summary>
    public SwitchoverSettings Switchover { get; init; } = SwitchoverSettings.Default;

    /// <summary>Whether the pools wait while the lead is handed over. Those of whole sessions could only wait for these to end.</summary>
    public bool PausesPools => Switchover.Patience > TimeSpan.Zero && PgBouncer.PoolMode != "session" && !Proxies.IsEmpty;

    /// <summary>The locale that the database is made with.</summary>
    public required string Locale { get; init; }

    /// <summary>Networks beside the proxies that may log in to PostgreSQL directly, in CIDR notation.</summary>
    public required ImmutableArray<string> Networks { get; init; }

    /// <summary>The times that decide how long a failover takes.</summary>
    public required FailoverTimes Times { get; init; }

    /// <summary>Whether a commit waits for a standby.</summary>
    public required SynchronousMode Synchronous { get; init; }

    /// <summary>Patroni's dynamic configuration by flat key, such as <c>ttl</c> or <c>postgresql.parameters.max_connections</c>.</summary>
    public required ImmutableSortedDictionary<string, string> Settings { get; init; }

    /// <summary>The superuser, made by initdb.</summary>
    public required PostgresUser Superuser { get; init; }

    /// <summary>From where the superuser may log in.</summary>
    public SuperuserLogin SuperuserLogin { get; init; }

    /// <summary>The user that replicas stream as, made by Patroni.</summary>
    public required PostgresUser Replication { get; init; }

    /// <summary>The application's user.</summary>
    public required PostgresUser Application { get; init; }

    /// <summary>Users beside these, second logins among them.</summary>
    public required ImmutableArray<PostgresUser> Users { get; init; }

    /// <summary>Names of users that are to be dropped.</summary>
    public ImmutableArray<string> DroppedUsers { get; init; } = [];

    /// <summary>The databases, the application's first.</summary>
    public required ImmutableArray<PostgresDatabase> Databases { get; init; }

    /// <summary>The extensions.</summary>
    public required ImmutableArray<PostgresExtension> Extensions { get; init; }

    /// <summary>The login of the unsafe parts of Patroni's REST API.</summary>
    public required PostgresUser Rest { get; init; }

    /// <summary>The consensus store.</summary>
    public required StoreSettings Store { get; init; }

    /// <summary>The name of the members' patroni.yml: each store has its own.</summary>
    public required string PatroniFileName { get; init; }

    /// <summary>The login of PgBouncer's statistics.</summary>
    public required PostgresUser PoolerStatistics { get; init; }

    /// <summary>How HAProxy is set up.</summary>
    public required HaproxySettings Haproxy { get; init; }

    /// <summary>How PgBouncer is set up.</summary>
    public required PgBouncerSettings PgBouncer { get; init; }

    /// <summary>Where WAL and backups go; null where the cluster has none.</summary>
    public BackupSettings? Backup { get; init; }

    /// <summary>The local files with the authorities of the repositories' servers, by the name that each has on the members.</summary>
    public ImmutableSortedDictionary<string, SecretText> BackupFiles { get; init; } = ImmutableSortedDictionary<string, SecretText>.Empty;

    /// <summary>The exporters and Prometheus; null for none.</summary>
    public MonitoringSettings? Monitoring { get; init; }

    /// <summary>How the cluster speaks TLS; null where it does not.</summary>
    public TlsSettings? Tls { get; init; }

    /// <summary>The health limits.</summary>
    public required HealthBounds Health { get; init; }

    /// <summary>The member whose database a recovery, or a restore that leaves lost members out, brings up; null for neither.</summary>
    public string? Recovers { get; init; }

    /// <summary>The cluster with one of its members only, until the others are rebuilt. It is none that makes a database.</summary>
    public PostgresTopology Alone(string member)
    {
        ImmutableArray<Host> members = [.. Members.Where(host => host.Name == member)];
        return this with { Members = members, PreferredLeader = null, Store = Store.Of(members), Recovers = member };
    }

    /// <summary>The cluster without members that are lost, until an apply makes them replicas.</summary>
    /// <param name="lost">The lost members.</param>
    /// <param name="first">The member whose database goes on. It is the one that may initialise: it has the data, so nobody does.</param>
    public PostgresTopology Without(ImmutableArray<string> lost, string first)
    {
        ImmutableArray<Host> members = [.. Members.Where(host => !lost.Contains(host.Name))];
        return this with { Members = members, PreferredLeader = null, FirstLeader = first, Store = Store.Of(members), Recovers = first };
    }

    /// <summary>The application's database.</summary>
    public PostgresDatabase ApplicationDatabase => Databases[0];

    /// <summary>The users that may connect through PgBouncer; each has one and the same verifier there and in PostgreSQL.</summary>
    public IEnumerable<PostgresUser> PooledUsers =>
        [
            .. SuperuserLogin == SuperuserLogin.Proxies ? [Superuser] : Array.Empty<PostgresUser>(),
            Application,
            .. Users.Where(user => user.Pooled),
        ];
}

/// <summary>The address that applications connect to, in front of the proxies.</summary>
/// <param name="Address">Its private address; no host has it.</param>
/// <param name="Port">Read-write SQL.</param>
/// <param name="PooledPort">The same through PgBouncer.</param>
public sealed record LoadBalancer(string Address, int Port, int PooledPort)
{
    /// <summary>The port of read-write SQL where cluster.yaml says nothing; HAProxy's too.</summary>
    public const int DefaultPort = 5432;

    /// <summary>The port through PgBouncer where cluster.yaml says nothing; HAProxy's too.</summary>
    public const int DefaultPooledPort = 6432;
}

/// <summary>What applications connect to: the load balancer, the virtual address, or else every proxy.</summary>
/// <param name="Addresses">That one address, or that of each proxy: the client tries them in turn.</param>
/// <param name="Port">Read-write SQL.</param>
/// <param name="PooledPort">The same through PgBouncer.</param>
public sealed record EntryPoint(ImmutableArray<string> Addresses, int Port, int PooledPort);

/// <summary>From where the superuser may log in.</summary>
public enum SuperuserLogin
{
    /// <summary>Like any user: through the load balancer, the proxies and PgBouncer, and from the networks with direct access, as the
    /// runbook's checks need.</summary>
    Proxies,

    /// <summary>From the members only: Patroni, pg_rewind and kbr.</summary>
    Members,
}

/// <summary>The ports on the members, beside those of the consensus store.</summary>
/// <param name="Postgres">PostgreSQL.</param>
/// <param name="Rest">Patroni's REST API.</param>
public sealed record MemberPorts(int Postgres, int Rest);

/// <summary>The block device that a member keeps its data on.</summary>
/// <param name="Devices">The device by member.</param>
/// <param name="MountPoint">Where it is mounted.</param>
/// <param name="MountOptions">Mount options, or null for the volume type's own.</param>
/// <param name="PreventDestroy">Whether a plan that would delete it is refused.</param>
public sealed record DataVolume(
    ImmutableSortedDictionary<string, string> Devices,
    string MountPoint,
    string? MountOptions,
    bool PreventDestroy
)
{
    /// <summary>The size of the file that takes room on it, to be given back when it is full; null for none.</summary>
    public long? Ballast { get; init; }

    /// <summary>That file; null for none.</summary>
    public string? BallastPath => Ballast is null ? null : MountPoint.TrimEnd('/') + "/kbr-ballast";
}

/// <summary>The directories on a member, the same inside its container, beside those of the consensus store.</summary>
/// <param name="Data">The parent of the data directory. The container mounts it, so that Patroni may rename and remove the data directory
/// in it.</param>
/// <param name="DataDirectory">PostgreSQL's data directory (PGDATA).</param>
/// <param name="Archive">For archived WAL.</param>
/// <param name="Configuration">The directory of patroni.yml.</param>
public sealed record MemberDirectories(string Data, string DataDirectory, string Archive, string Configuration);

/// <summary>Whether a commit waits until one standby, which Patroni chooses, has it.</summary>
public enum SynchronousMode
{
    /// <summary>It does not: writes that no replica has received are lost with the primary.</summary>
    Off,

    /// <summary>It does while a standby streams; without one, the primary continues alone, and no replica is elected.</summary>
    On,

    /// <summary>It does in any case: where no standby streams, no write is committed.</summary>
    Strict,
}

/// <summary>Patroni's three times, in seconds.</summary>
/// <param name="Ttl">How long the leader's lease holds.</param>
/// <param name="LoopWait">How often Patroni looks.</param>
/// <param name="RetryTimeout">How long it retries before it gives up the lease.</param>
public sealed record FailoverTimes(int Ttl, int LoopWait, int RetryTimeout)
{
    /// <summary>The least ttl that Patroni uses; a smaller one is stored and silently replaced.</summary>
    public const int LeastTtl = 20;

    /// <summary>The longest gap in writes when the leader dies without a word: its lease has just been renewed, and the new leader promotes
    /// in about three seconds (measured on the lab).</summary>
    public TimeSpan WorstCase => TimeSpan.FromSeconds(Ttl + 3);

    /// <summary>Why Patroni would silently use other times, or null.</summary>
    public string? Problem =>
        Ttl < LeastTtl ? $"ttl is {Ttl} s, less than Patroni's minimum of {LeastTtl} s"
        : LoopWait < 1 ? $"loop_wait is {LoopWait} s, less than Patroni's minimum of 1 s"
        : RetryTimeout < 3 ? $"retry_timeout is {RetryTimeout} s, less than Patroni's minimum of 3 s"
        : LoopWait + (2 * RetryTimeout) > Ttl
            ? $"loop_wait + 2 × retry_timeout is {LoopWait + (2 * RetryTimeout)} s, more than the ttl of {Ttl} s"
        : null;
}

/// <summary>A login.</summary>
/// <param name="Name">The name.</param>
/// <param name="Password">The password.</param>
public sealed record PostgresUser(string Name, SecretText Password)
{
    /// <summary>Whether the user may connect through PgBouncer.</summary>
    public bool Pooled { get; init; }

    /// <summary>The name of the secret that is the password.</summary>
    public string Secret { get; init; } = "";

    /// <summary>For the second of two logins that are used in turn: the first one, which it acts as. Null for a user of its own.</summary>
    public string? ActsAs { get; init; }
}

/// <summary>A database.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Owner">The role that owns it.</param>
public sealed record PostgresDatabase(string Name, string Owner)
{
    /// <summary>Whether it can be reached through PgBouncer.</summary>
    public bool Pooled { get; init; } = true;
}

/// <summary>An extension in a database.</summary>
/// <param name="Name">Its name, for example <c>vector</c>.</param>
/// <param name="Database">The database.</param>
/// <param name="Version">The version wanted; null for the image's default.</param>
public sealed record PostgresExtension(string Name, string Database, string? Version);

/// <summary>How HAProxy is set up.</summary>
/// <param name="Image">Its image.</param>
/// <param name="Uid">The uid it runs as.</param>
/// <param name="Gid">The gid it runs as.</param>
/// <param name="Port">Where read-write SQL comes in.</param>
/// <param name="PooledPort">Where pooled SQL comes in.</param>
/// <param name="StatsPort">The statistics page.</param>
/// <param name="ReadPort">Where SQL for replicas comes in; null for nowhere.</param>
/// <param name="ReadMaxLag">How far a replica may be behind to be read from, in bytes.</param>
/// <param name="MaxConnections">Connections it takes at one time.</param>
/// <param name="Inter">Time between two checks of a server that is up.</param>
/// <param name="FastInter">The same while a server is changing state.</param>
/// <param name="DownInter">The same while a server is down.</param>
/// <param name="Fall">Failed checks until a server is down.</param>
/// <param name="Rise">Good checks until it is up.</param>
/// <param name="ConnectTimeout">How long connecting to a server may take.</param>
/// <param name="CheckTimeout">How long a check waits for an answer once it is connected.</param>
/// <param name="Retries">Further attempts to connect.</param>
/// <param name="IdleTimeout">How long a session may be silent.</param>
public sealed record HaproxySettings(
    ServiceImage Image,
    long Uid,
    long Gid,
    int Port,
    int PooledPort,
    int StatsPort,
    int? ReadPort,
    long ReadMaxLag,
    long MaxConnections,
    TimeSpan Inter,
    TimeSpan FastInter,
    TimeSpan DownInter,
    long Fall,
    long Rise,
    TimeSpan ConnectTimeout,
    TimeSpan CheckTimeout,
    long Retries,
    TimeSpan IdleTimeout
)
{
    /// <summary>The most connections of the statistics, beside those of the other ports.</summary>
    public const long StatisticsConnections = 100;

    /// <summary>The most connections of the process: every port full, and the statistics still answer, where kbr and keepalived ask. With
    /// those of <see cref="ReadPort"/> also where there is none, so that adding it stays a reload.</summary>
    public long ProcessConnections => (3 * MaxConnections) + StatisticsConnections;

    /// <summary>The open files that these need: a connection to the client and one to the server each; listeners, checks, and three for
    /// each thread, of which there may be 64.</summary>
    public long OpenFiles => (2 * ProcessConnections) + 500;

    /// <summary>The login of the statistics from other machines; null for none required.</summary>
    public PostgresUser? StatisticsLogin { get; init; }

    /// <summary>Whether the statistics port also has metrics for Prometheus.</summary>
    public bool Metrics { get; init; }

    /// <summary>Whether sessions are ended when their server is marked down, on the ways in to the primary.</summary>
    public bool EndsSessions { get; init; } = true;

    /// <summary>The same on the way in to the replicas.</summary>
    public bool EndsReads { get; init; } = true;

    /// <summary>How long a client may be silent, where that is another time than <see cref="IdleTimeout"/>.</summary>
    public TimeSpan? ClientTimeout { get; init; }

    /// <summary>How long a server may be silent, where that is another time than <see cref="IdleTimeout"/>.</summary>
    public TimeSpan? ServerTimeout { get; init; }

    /// <summary>Further timeouts, by HAProxy's own name for each.</summary>
    public SortedMap<TimeSpan> Timeouts { get; init; } = SortedMap<TimeSpan>.Empty;
}

/// <summary>How PgBouncer is set up; the settings have PgBouncer's own names and meanings.</summary>
/// <param name="Image">Its image.</param>
/// <param name="Uid">The uid it runs as.</param>
/// <param name="Gid">The gid it runs as.</param>
/// <param name="Port">Where it listens.</param>
/// <param name="PoolMode">session, transaction or statement.</param>
/// <param name="MaxClientConnections">Clients at one time.</param>
/// <param name="DefaultPoolSize">Server connections for each user and database.</param>
/// <param name="MinPoolSize">How many of them are kept.</param>
/// <param name="ReservePoolSize">More of them for clients that wait too long.</param>
/// <param name="ReservePoolTimeout">How long a client waits for those, in seconds.</param>
/// <param name="MaxDatabaseConnections">Server connections for each database.</param>
/// <param name="MaxUserConnections">Server connections for each user.</param>
public sealed record PgBouncerSettings(
    ServiceImage Image,
    long Uid,
    long Gid,
    int Port,
    string PoolMode,
    long MaxClientConnections,
    long DefaultPoolSize,
    long MinPoolSize,
    long ReservePoolSize,
    long ReservePoolTimeout,
    long MaxDatabaseConnections,
    long MaxUserConnections
)
{
    /// <summary>Further settings of PgBouncer's file by name; they go before what kbr sets by default.</summary>
    public ImmutableSortedDictionary<string, string> Settings { get; init; } =
        ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal);
}

/// <summary>The health limits.</summary>
/// <param name="MaxLag">How far a replica may be behind, in bytes.</param>
/// <param name="GateTimeout">How long kbr waits for the cluster to become healthy after a step.</param>
public sealed record HealthBounds(long MaxLag, TimeSpan GateTimeout)
{
    /// <summary>How full a member's volume may be where nothing else is said, in per cent.</summary>
    public const long DefaultMaxVolumeUsed = 85;

    /// <summary>How full a member's volume may be, in per cent of its space and of its inodes.</summary>
    public long MaxVolumeUsed { get; init; } = DefaultMaxVolumeUsed;
}

/// <summary>How the lead of a cluster is handed over when that is planned.</summary>
/// <param name="Patience">How long transactions of the pools are waited for; zero: the pools are not paused.</param>
/// <param name="RequiresPause">Whether it is put off when they take longer.</param>
public sealed record SwitchoverSettings(TimeSpan Patience, bool RequiresPause)
{
    /// <summary>The settings where none are declared.</summary>
    public static readonly SwitchoverSettings Default = new(TimeSpan.FromSeconds(5), RequiresPause: false);
}
