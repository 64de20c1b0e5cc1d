using KeyBuzz.Reconciler.Configuration;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>The names in the credentials file: the operator's own, and those that kbr adds.</summary>
internal static class PostgresCredentials
{
    public const string ScopeName = "PATRONI_CLUSTER_NAME";
    public const string SuperuserPassword = "POSTGRES_SUPERPASS";
    public const string ReplicationPassword = "POSTGRES_REPL_PASS";
    public const string ApplicationPassword = "POSTGRES_APP_PASS";
    public const string RestPassword = "PATRONI_REST_PASS";
    public const string PoolerStatisticsPassword = "PGBOUNCER_STATS_PASS";
    public const string MonitoringPassword = "MONITORING_PASS";

    /// <summary>The authority that kbr makes, with its private key.</summary>
    public const string TlsAuthority = "TLS_AUTHORITY";

    public static readonly CredentialNeeded Scope = new(ScopeName);
    public static readonly CredentialNeeded Superuser = new("POSTGRES_SUPERUSER", "kb_admin");
    public static readonly CredentialNeeded Replication = new("POSTGRES_REPL_USER", "kb_repl");
    public static readonly CredentialNeeded Application = new("POSTGRES_APP_USER", "kb_app");
    public static readonly CredentialNeeded Database = new("POSTGRES_DB", "keybuzz");
    public static readonly CredentialNeeded Rest = new("PATRONI_REST_USER", "patroni");
    public static readonly CredentialNeeded PoolerStatistics = new("PGBOUNCER_STATS_USER", "pgbouncer_stats");
    public static readonly CredentialNeeded Monitoring = new("MONITORING_USER", "kb_monitor");

    /// <summary>The names of a repository's secrets: <c>BACKUP_S3_KEY</c> of the first, <c>BACKUP2_S3_KEY</c> of the second.</summary>
    public static (string Key, string Secret, string Cipher, string SftpKey) OfRepository(int number)
    {
        var prefix = number == 1 ? "BACKUP" : $"BACKUP{number}";
        return (prefix + "_S3_KEY", prefix + "_S3_SECRET", prefix + "_CIPHER_KEY", prefix + "_SFTP_KEY");
    }

    /// <summary>The names whose values are no secrets.</summary>
    public static readonly IReadOnlyList<CredentialNeeded> Plain =
    [
        Scope,
        Superuser,
        Replication,
        Application,
        Database,
        Rest,
        PoolerStatistics,
    ];

    /// <summary>The names of which only a cluster with monitoring has values.</summary>
    public static readonly IReadOnlyList<CredentialNeeded> OfMonitoring = [Monitoring, new(MonitoringPassword)];

    /// <summary>The names whose values are secrets, with those of the consensus store among them.</summary>
    public static IEnumerable<string> Passwords(IEnumerable<string> ofStore) =>
        [SuperuserPassword, ReplicationPassword, ApplicationPassword, RestPassword, .. ofStore, PoolerStatisticsPassword];
}
