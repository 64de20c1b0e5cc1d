using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>How kbr logs in where servers refuse a login without TLS: by psql in the container of a PgBouncer, which verifies the server.
/// kbr itself has no TLS.</summary>
/// <param name="Container">The container.</param>
/// <param name="AuthorityFile">The file in it with the certificate of the authority.</param>
/// <param name="User">The user.</param>
/// <param name="Password">Its password.</param>
/// <param name="Database">The database.</param>
public sealed record TlsLogin(string Container, string AuthorityFile, string User, SecretText Password, string Database)
{
    private const int Seconds = 8;

    // The password comes by standard input: it is on no command line.
    private static readonly string s_psql = $"""
        IFS= read -r PGPASSWORD
        export PGPASSWORD
        PGUSER=$2 PGDATABASE=$3 exec timeout {Seconds} psql -X -q -A -t -w -v ON_ERROR_STOP=1 -F "$(printf '\t')" -d "$0" -c "$1" </dev/null
        """;

    /// <summary>Shell that runs SQL through an address, and prints its rows with a tab between values.</summary>
    /// <param name="address">The address, as the container sees it.</param>
    /// <param name="port">The port.</param>
    /// <param name="name">The session's name in pg_stat_activity.</param>
    /// <param name="sql">The SQL.</param>
    /// <param name="end">A word that is no line of the password.</param>
    public string Render(string address, int port, string name, string sql, string end) =>
        $"timeout {Seconds + 4} docker exec -i {Script.Quote(Container)} sh -c {Script.Quote(s_psql)} "
        + Script.Quote(
            $"host={address} port={port} sslmode=verify-full sslrootcert={AuthorityFile} connect_timeout=5 application_name='{name}'"
        )
        + $" {Script.Quote(sql)} {Script.Quote(User)} {Script.Quote(Database)} 2>&1 <<'{end}'\n{Password.Reveal()}\n{end}\n";
}
