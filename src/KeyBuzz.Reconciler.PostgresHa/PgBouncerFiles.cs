using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>Renders a proxy's pgbouncer.ini and userlist.txt (https://www.pgbouncer.org/config.html).</summary>
internal static class PgBouncerFiles
{
    /// <summary>The name of pgbouncer.ini in the container.</summary>
    public const string Path = "/etc/pgbouncer/pgbouncer.ini";

    /// <summary>The name of userlist.txt in the container.</summary>
    private const string UserList = "/etc/pgbouncer/userlist.txt";

    /// <summary>The reload, run on the host: over the admin console, which says when it fails.</summary>
    public static string Reload(string container, PgBouncerSettings settings) => string.Create(
        CultureInfo.InvariantCulture,
        $"docker exec {container} psql -X -q -h {PostgresTopology.PgBouncerSocketDirectory} -p {settings.Port} -U pgbouncer -d pgbouncer -c RELOAD");

    public static string Render(PostgresTopology topology, Host proxy)
    {
        var settings = topology.PgBouncer;
        return string.Create(CultureInfo.InvariantCulture,
            $"""
            ; Written by kbr for {proxy.Name}; a change by hand is drift.
            [databases]
            {string.Join('\n', topology.Databases.Select(database => Database(topology, database)))}

            [pgbouncer]
            listen_addr = {proxy.Address}
            listen_port = {settings.Port}
            unix_socket_dir = {PostgresTopology.PgBouncerSocketDirectory}
            auth_type = scram-sha-256
            auth_file = {UserList}
            stats_users = {topology.PoolerStatistics.Name}
            pool_mode = {settings.PoolMode}
            max_client_conn = {settings.MaxClientConnections}
            default_pool_size = {settings.DefaultPoolSize}
            min_pool_size = {settings.MinPoolSize}
            reserve_pool_size = {settings.ReservePoolSize}
            reserve_pool_timeout = {settings.ReservePoolTimeout}
            max_db_connections = {settings.MaxDatabaseConnections}
            max_user_connections = {settings.MaxUserConnections}
            max_prepared_statements = 200
            ; What drivers send at the start and PgBouncer does not track.
            ignore_startup_parameters = extra_float_digits,options
            ; After a failover the next attempt comes soon.
            server_connect_timeout = 5
            server_login_retry = 1
            tcp_keepalive = 1
            tcp_keepidle = 60
            tcp_keepintvl = 10
            tcp_keepcnt = 6
            log_connections = 0
            log_disconnections = 0

            """);
    }

    /// <summary>The users and their verifiers: the same text as in PostgreSQL, since only then PgBouncer can log in with what the client proved.</summary>
    public static SecretText RenderUserList(PostgresTopology topology, RoleVerifier verifier) => ConfigText.Join(
        topology.PooledUsers.Append(topology.PoolerStatistics).OrderBy(user => user.Name, StringComparer.Ordinal).Select(user => ConfigText.Of($"\"{user.Name}\" \"{verifier.Of(user)}\"\n")));

    private static string Database(PostgresTopology topology, PostgresDatabase database) =>
        $"{database.Name} = host={topology.LoadBalancer.Address} port={topology.LoadBalancer.Port} dbname={database.Name}";
}
