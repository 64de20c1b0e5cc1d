using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>Renders a proxy's pgbouncer.ini and userlist.txt (https://www.pgbouncer.org/config.html).</summary>
internal static class PgBouncerFiles
{
    /// <summary>The name of pgbouncer.ini in the container.</summary>
    public const string Path = Folder + "/pgbouncer.ini";

    /// <summary>Its directory in the container.</summary>
    public const string Folder = "/etc/pgbouncer";

    /// <summary>The name of userlist.txt in the container.</summary>
    private const string UserList = "/etc/pgbouncer/userlist.txt";

    // kbr's defaults, which 'settings' overrides.
    private static readonly (string Comment, string Name, string Value)[] s_defaults =
    [
        ("", "max_prepared_statements", "200"),
        ("; What drivers send at the start and PgBouncer does not track.\n", "ignore_startup_parameters", "extra_float_digits,options"),
        ("; After a failover the next attempt comes soon.\n", "server_connect_timeout", "5"),
        ("", "server_login_retry", "1"),
        ("", "tcp_keepalive", "1"),
        ("", "tcp_keepidle", "60"),
        ("", "tcp_keepintvl", "10"),
        ("", "tcp_keepcnt", "6"),
        ("", "log_connections", "0"),
        ("", "log_disconnections", "0"),
    ];

    // In a container of its own, without the proxy's address: PgBouncer listens on its socket as soon as it has taken the file, and ends
    // where it does not.
    private const string Try = """
        sed 's/^listen_addr = .*/listen_addr =/' "$0" >/tmp/pgbouncer.ini || exit 1
        pgbouncer /tmp/pgbouncer.ini >/dev/null 2>/tmp/said &
        while kill -0 $! 2>/dev/null; do
            [ -S "$1" ] && exit 0
            sleep 0.1
        done
        sed -n 's/^.*\] \(ERROR .*\)/PgBouncer says: \1/p' /tmp/said | grep . >&2 || cat /tmp/said >&2
        exit 1
        """;

    /// <summary>The check of a new file, on the host: a PgBouncer of its own starts with it. A reload does not tell: PgBouncer 1.24 answers
    /// RELOAD with success, and goes on with the settings up to the first that it does not take.</summary>
    public static string Check(PgBouncerSettings settings) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"docker run --rm --pull never --network none --user {settings.Uid}:{settings.Gid} --mount "
                + $"type=bind,source=\"$(dirname \"$file\")\",target=/etc/pgbouncer,readonly "
                + $"--tmpfs {PostgresTopology.PgBouncerSocketDirectory}:uid={settings.Uid},gid={settings.Gid},mode=0700 --tmpfs /tmp "
                + $"--entrypoint timeout {settings.Image.Reference} 20 sh -c {Script.Quote(Try)} \"/etc/pgbouncer/$(basename "
                + $"\"$file\")\" {PostgresTopology.PgBouncerSocketDirectory}/.s.PGSQL.{settings.Port}"
        );

    /// <summary>The reload, run on the host, over the admin console. It is only asked for with a file that has passed
    /// <see cref="Check"/>.</summary>
    public static string Reload(string container, PgBouncerSettings settings) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"docker exec {container} psql -X -q -h {PostgresTopology.PgBouncerSocketDirectory} -p "
                + $"{settings.Port} -U pgbouncer -d pgbouncer -c RELOAD"
        );

    // In the container, a user after the other. PgBouncer can open a server connection for a user only with what a client proved to it, so
    // a login with the new password is needed once after a change. A refusal is an error; an unreachable PostgreSQL and a full pool, in
    // whose queue a query waits, are not. Such logins take 17 s together at most, and the command may take 20.
    private const string Login = """
        refused=0
        end=$(($(date +%s) + 12))
        while [ "$(date +%s)" -lt "$end" ] && IFS= read -r user && IFS= read -r database && IFS= read -r PGPASSWORD; do
            PGUSER=$user
            PGDATABASE=$database
            export PGPASSWORD PGUSER PGDATABASE
            case $database in pgbouncer) query='SHOW VERSION' ;; *) query='SELECT 1' ;; esac
            said=$(PGCONNECT_TIMEOUT=4 timeout 5 psql -X -q -A -t -w -h "$0" -p "$1" -c "$query" 2>&1 </dev/null) && continue
            case $said in *authentication*|*password*|*SASL*|*SCRAM*|*'no such user'*) echo "$user: $said" >&2; refused=1 ;; esac
        done
        exit $refused
        """;

    /// <summary>Succeeds once the users of <see cref="Logins"/>, read from standard input, can log in; run on the host.</summary>
    public static string Confirm(string container, Host proxy, PgBouncerSettings settings) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"docker exec -i {container} sh -c {Script.Quote(Login)} {proxy.Address} {settings.Port}"
        );

    /// <summary>The logins: a user, a database and the password in a line each.</summary>
    public static SecretText Logins(PostgresTopology topology) =>
        ConfigText.Join([
            .. topology.PooledUsers.Select(user => ConfigText.Of($"{user.Name}\n{topology.ApplicationDatabase.Name}\n{user.Password}\n")),
            ConfigText.Of($"{topology.PoolerStatistics.Name}\npgbouncer\n{topology.PoolerStatistics.Password}\n"),
        ]);

    public static string Render(PostgresTopology topology, Host proxy)
    {
        var settings = topology.PgBouncer;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"""
            ; Written by kbr for {proxy.Name}; a change by hand is drift.
            [databases]
            {string.Join(
                '\n',
                topology.Databases.Where(database => database.Pooled).Select(database => Database(topology, proxy, database))
            )}

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
            {Tls(topology)}{Lines(settings.Settings)}
            """
        );
    }

    // Its own defaults: servers by TLS where they offer it, and TLS 1.2 at least. Without an authority for certificates of clients, which
    // are optional, it takes none of it.
    private static string Tls(PostgresTopology topology) =>
        topology.Tls is not { } tls
            ? ""
            : $"""
                {(tls.ClientsRequired ? RefusesOthers : "client_tls_sslmode = prefer")}
                client_tls_cert_file = {Folder}/{TlsSettings.FileName}
                client_tls_key_file = {Folder}/{TlsSettings.FileName}
                client_tls_ca_file = {Folder}/{TlsSettings.AuthorityFileName}
                {(
                    tls.HopsRequired
                        ? $"server_tls_sslmode = verify-full\nserver_tls_ca_file = {Folder}/{TlsSettings.AuthorityFileName}\n"
                        : ""
                )}
                """;

    // The plan of the change shows it.
    private const string RefusesOthers = """
        ; Clients without TLS are refused at their next login; open sessions stay (docs/tls.md).
        client_tls_sslmode = require
        """;

    // Those of kbr in their order, each with the declared value where there is one, and then the other declared ones.
    private static string Lines(ImmutableSortedDictionary<string, string> declared) =>
        string.Concat(
            s_defaults
                .Select(line => $"{line.Comment}{line.Name} = {declared.GetValueOrDefault(line.Name, line.Value)}\n")
                .Concat(
                    declared.Where(pair => s_defaults.All(line => line.Name != pair.Key)).Select(pair => $"{pair.Key} = {pair.Value}\n")
                )
        );

    /// <summary>The users and their verifiers: the same text as in PostgreSQL, since PgBouncer logs in with the client's proof.</summary>
    public static SecretText RenderUserList(PostgresTopology topology, RoleVerifier verifier) =>
        ConfigText.Join(
            topology
                .PooledUsers.Append(topology.PoolerStatistics)
                .OrderBy(user => user.Name, StringComparer.Ordinal)
                .Select(user => ConfigText.Of($"{ConfigText.InQuotes(user.Name)} \"{verifier.Of(user)}\"\n"))
        );

    // Without a load balancer to the HAProxy beside it: of a list of hosts PgBouncer skips none that is down.
    private static string Database(PostgresTopology topology, Host proxy, PostgresDatabase database)
    {
        var (address, port) = topology.LoadBalancer is { } balancer
            ? (balancer.Address, balancer.Port)
            : (proxy.Address, topology.Haproxy.Port);
        return $"{database.Name} = host={address} port={port} dbname={database.Name}";
    }
}
