using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Monitoring;

/// <summary>What the exporters are started with. Pure.</summary>
internal static class ExporterFiles
{
    /// <summary>The directory of all files of monitoring, in each container.</summary>
    public const string Directory = "/etc/monitoring";

    /// <summary>The name of the file with the logins, as libpq's password file. It is read anew for each connection.</summary>
    public const string Logins = "pgpass";

    /// <summary>The name of the file with kbr's queries.</summary>
    public const string Queries = "queries.yaml";

    /// <summary>The name of the file with the login that is asked for. It is read anew for each request.</summary>
    public const string Access = "web.yml";

    /// <summary>Where the exporter of the host finds the figures of kbr status, in its container.</summary>
    public const string StatusDirectory = "/status";

    /// <summary>The queries of PostgreSQL's exporter: a member's own state, in one pass over each view. None reads a table of a
    /// user's.</summary>
    public const string QueriesText = """
        # Written by kbr; a change by hand is drift.
        kbr_postgres:
          query: |
            SELECT extract(epoch FROM clock_timestamp()) AS clock_seconds,
              coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0) AS transaction_seconds,
              coalesce(extract(epoch FROM clock_timestamp() - min(state_change) FILTER (WHERE state LIKE 'idle in transaction%')), 0)
                AS idle_in_transaction_seconds,
              count(*) FILTER (WHERE state = 'active') AS active,
              count(*) AS connections,
              current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS connections_limit,
              count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting_for_locks
            FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
          metrics:
            - clock_seconds: { usage: GAUGE, description: The clock of the member. }
            - transaction_seconds: { usage: GAUGE, description: The age of the oldest transaction of a client. }
            - idle_in_transaction_seconds: { usage: GAUGE, description: For how long a transaction is idle. }
            - active: { usage: GAUGE, description: Clients whose statement runs. }
            - connections: { usage: GAUGE, description: Connections of clients. }
            - connections_limit: { usage: GAUGE, description: How many there may be for all but superusers. }
            - waiting_for_locks: { usage: GAUGE, description: Clients that wait for a lock. }
        kbr_postgres_database:
          query: |
            SELECT coalesce(datname, '') AS datname, deadlocks, coalesce(checksum_failures, 0) AS checksum_failures, xact_commit AS commits,
              xact_rollback AS rollbacks, blks_read AS blocks_read, blks_hit AS blocks_hit, temp_bytes,
              coalesce(age(datfrozenxid), 0) AS xid_age
            FROM pg_stat_database LEFT JOIN pg_database USING (datname)
          metrics:
            - datname: { usage: LABEL, description: The database; empty for what all share. }
            - deadlocks: { usage: COUNTER, description: Deadlocks. }
            - checksum_failures: { usage: COUNTER, description: Pages that do not fit their checksum. }
            - commits: { usage: COUNTER, description: Transactions that were committed. }
            - rollbacks: { usage: COUNTER, description: Transactions that were rolled back. }
            - blocks_read: { usage: COUNTER, description: Pages that were read. }
            - blocks_hit: { usage: COUNTER, description: Pages that were found in memory. }
            - temp_bytes: { usage: COUNTER, description: Bytes of temporary files. }
            - xid_age: { usage: GAUGE, description: The age of the oldest transaction number. }
        kbr_postgres_archiver:
          query: |
            SELECT archived_count AS archived, failed_count AS failed,
              (coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false))::int AS failing
            FROM pg_stat_archiver
          metrics:
            - archived: { usage: COUNTER, description: WAL segments that were archived. }
            - failed: { usage: COUNTER, description: Attempts that failed. }
            - failing: { usage: GAUGE, description: 1 while the last attempt failed. }
        kbr_postgres_slot:
          query: |
            SELECT slot_name, active::int AS active, coalesce(pg_wal_lsn_diff(
              CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0)
              AS retained_bytes FROM pg_replication_slots
          metrics:
            - slot_name: { usage: LABEL, description: The slot. }
            - active: { usage: GAUGE, description: Whether somebody is connected to it. }
            - retained_bytes: { usage: GAUGE, description: The WAL that it holds. }
        kbr_postgres_replica:
          query: |
            SELECT application_name AS replica, max(coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)) AS lag_bytes
            FROM pg_stat_replication WHERE NOT pg_is_in_recovery() AND state = 'streaming' GROUP BY application_name
          metrics:
            - replica: { usage: LABEL, description: The replica. }
            - lag_bytes: { usage: GAUGE, description: How far it is behind in replay. }

        """;

    // Its own metrics ask for tables of users; kbr's queries do not.
    private static readonly string[] s_without =
    [
        "database",
        "locks",
        "replication",
        "replication_slot",
        "roles",
        "stat_bgwriter",
        "stat_database",
        "stat_user_tables",
        "statio_user_tables",
        "wal",
    ];

    private static readonly string[] s_ofHost = ["cpu", "diskstats", "loadavg", "meminfo", "netdev", "pressure", "uname", "vmstat"];

    /// <summary>The command of PostgreSQL's exporter.</summary>
    public static IReadOnlyList<string> Postgres(MonitoringSettings settings, Host member) =>
        ResourceFactory.List([
            "prometheus-postgres-exporter",
            Listen(member, settings.Ports.Postgres),
            .. AccessOption(settings),
            $"--extend.query-path={Directory}/{Queries}",
            "--disable-default-metrics",
            "--disable-settings-metrics",
            .. s_without.Select(name => "--no-collector." + name),
            "--log.level=warn",
        ]);

    /// <summary>Where it logs in: on the member itself, whose log has no statement of it that takes longer than a second.</summary>
    public static string PostgresSource(PostgresTopology topology, MonitoringSettings settings) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"postgresql://{settings.Login.Name}@127.0.0.1:{topology.Ports.Postgres}/postgres"
                + $"?sslmode=disable&connect_timeout=5&statement_timeout=1000&application_name=postgres-exporter"
        );

    /// <summary>The command of PgBouncer's exporter.</summary>
    public static IReadOnlyList<string> PgBouncer(PostgresTopology topology, MonitoringSettings settings, Host proxy) =>
        ResourceFactory.List([
            "prometheus-pgbouncer-exporter",
            Listen(proxy, settings.Ports.PgBouncer),
            .. AccessOption(settings),
            "--pgBouncer.pid-file=",
            "--log.level=warn",
            $"--pgBouncer.connectionString=postgres://{topology.PoolerStatistics.Name}@"
                + $"{ConfigText.Endpoint(proxy.Address, topology.PgBouncer.Port)}/pgbouncer"
                + $"?sslmode={(topology.Tls is null ? "disable" : "require")}&connect_timeout=5",
        ]);

    /// <summary>The command of the host's exporter.</summary>
    public static IReadOnlyList<string> OfHost(MonitoringSettings settings, Host host) =>
        ResourceFactory.List([
            "prometheus-node-exporter",
            Listen(host, settings.Ports.Host),
            .. AccessOption(settings),
            "--collector.disable-defaults",
            .. s_ofHost.Select(name => "--collector." + name),
            .. host.Name == settings.Server?.Name
                ? ["--collector.textfile", $"--collector.textfile.directory={StatusDirectory}"]
                : Array.Empty<string>(),
            "--log.level=warn",
        ]);

    /// <summary>Names the file with the login that is asked for.</summary>
    public static IEnumerable<string> AccessOption(MonitoringSettings settings) =>
        settings.Access is null ? [] : [$"--web.config.file={Directory}/{Access}"];

    /// <summary>That file. It has a hash of the password alone.</summary>
    public static SecretText AccessFile(PostgresUser login, RoleVerifier verifier) =>
        ConfigText.Of(
            $"# Written by kbr; a change by hand is drift.\nbasic_auth_users: {"{"} '{login.Name}': '{verifier.BcryptOf(login)}' {"}"}\n"
        );

    /// <summary>The logins of the exporters on a host.</summary>
    public static SecretText LoginsOn(PostgresTopology topology, MonitoringSettings settings, Host host) =>
        ConfigText.Join([
            .. settings.ExportsPostgres && topology.Members.Contains(host)
                ? [Line("127.0.0.1", topology.Ports.Postgres, settings.Login)]
                : Array.Empty<SecretText>(),
            .. settings.ExportsPgBouncer && topology.Proxies.Contains(host)
                ? [Line(host.Address, topology.PgBouncer.Port, topology.PoolerStatistics)]
                : Array.Empty<SecretText>(),
        ]);

    private static SecretText Line(string address, int port, PostgresUser user)
    {
        var password = new SecretText([.. user.Password.Parts.Select(part => part with { Value = Escaped(part.Value) })]);
        return ConfigText.Of($"{Escaped(address)}:{port}:*:{Escaped(user.Name)}:{password}\n");
    }

    // A colon separates, and a backslash escapes.
    private static string Escaped(string text) =>
        text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace(":", "\\:", StringComparison.Ordinal);

    private static string Listen(Host host, int port) => "--web.listen-address=" + ConfigText.Endpoint(host.Address, port);
}
