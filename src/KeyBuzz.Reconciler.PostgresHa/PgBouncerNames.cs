using System.Collections.Frozen;
using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>The settings of PgBouncer's file by name (https://www.pgbouncer.org/config.html): which there are, which kbr sets itself, and
/// which need a restart.</summary>
internal static class PgBouncerNames
{
    /// <summary>Read only when PgBouncer starts: <c>changeable</c> is <c>no</c> in <c>SHOW CONFIG</c> of 1.24.</summary>
    public static FrozenSet<string> NeedRestart { get; } =
        new[]
        {
            "disable_pqexec",
            "job_name",
            "listen_backlog",
            "pkt_buf",
            "resolv_conf",
            "so_reuseport",
            "track_extra_parameters",
            "unix_socket_group",
            "unix_socket_mode",
        }.ToFrozenSet(StringComparer.Ordinal);

    /// <summary>The settings that kbr controls, and their sources.</summary>
    public static FrozenDictionary<string, string> Owned { get; } =
        new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["auth_file"] = "'users', which lists the logins",
            ["auth_hba_file"] = "'users', which lists the logins",
            ["auth_ident_file"] = "'users', which lists the logins",
            ["auth_type"] = "nothing: scram-sha-256 always",
            ["conffile"] = "nothing: its path is fixed",
            ["default_pool_size"] = "pgbouncer.default_pool_size",
            ["listen_addr"] = "the proxy's 'address' under 'hosts'",
            ["listen_port"] = "pgbouncer.port",
            ["logfile"] = "nothing: the container's log is on standard output",
            ["max_client_conn"] = "pgbouncer.max_client_conn",
            ["max_db_connections"] = "pgbouncer.max_db_connections",
            ["max_user_connections"] = "pgbouncer.max_user_connections",
            ["min_pool_size"] = "pgbouncer.min_pool_size",
            ["pidfile"] = "nothing: PgBouncer runs in the foreground",
            ["pool_mode"] = "pgbouncer.pool_mode",
            ["reserve_pool_size"] = "pgbouncer.reserve_pool_size",
            ["reserve_pool_timeout"] = "pgbouncer.reserve_pool_timeout",
            ["stats_users"] = "PGBOUNCER_STATS_USER in the credentials file",
            ["unix_socket_dir"] = "nothing: kbr reloads PgBouncer there",
            ["user"] = "pgbouncer.uid",
        }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>The settings of 1.24 and 1.25. A newer PgBouncer may have more, and checks them itself.</summary>
    public static ImmutableArray<string> Known { get; } =
    [
        .. NeedRestart,
        "admin_users",
        "application_name_add_host",
        "auth_dbname",
        "auth_query",
        "auth_user",
        "autodb_idle_timeout",
        "cancel_wait_timeout",
        "client_idle_timeout",
        "client_login_timeout",
        "client_tls_ca_file",
        "client_tls_cert_file",
        "client_tls_ciphers",
        "client_tls_dheparams",
        "client_tls_ecdhcurve",
        "client_tls_key_file",
        "client_tls_protocols",
        "client_tls_sslmode",
        "client_tls13_ciphers",
        "dns_max_ttl",
        "dns_nxdomain_ttl",
        "dns_zone_check_period",
        "idle_transaction_timeout",
        "ignore_startup_parameters",
        "log_connections",
        "log_disconnections",
        "log_pooler_errors",
        "log_stats",
        "max_db_client_connections",
        "max_packet_size",
        "max_prepared_statements",
        "max_user_client_connections",
        "peer_id",
        "query_timeout",
        "query_wait_notify",
        "query_wait_timeout",
        "sbuf_loopcnt",
        "scram_iterations",
        "server_check_delay",
        "server_check_query",
        "server_connect_timeout",
        "server_fast_close",
        "server_idle_timeout",
        "server_lifetime",
        "server_login_retry",
        "server_reset_query",
        "server_reset_query_always",
        "server_round_robin",
        "server_tls_ca_file",
        "server_tls_cert_file",
        "server_tls_ciphers",
        "server_tls_key_file",
        "server_tls_protocols",
        "server_tls_sslmode",
        "server_tls13_ciphers",
        "stats_period",
        "suspend_timeout",
        "syslog",
        "syslog_facility",
        "syslog_ident",
        "tcp_defer_accept",
        "tcp_keepalive",
        "tcp_keepcnt",
        "tcp_keepidle",
        "tcp_keepintvl",
        "tcp_socket_buffer",
        "tcp_user_timeout",
        "transaction_timeout",
        "verbose",
    ];
}
