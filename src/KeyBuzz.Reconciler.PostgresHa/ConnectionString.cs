using System.Collections.Immutable;
using System.Globalization;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>How an application connects, in libpq's keywords and without the password.</summary>
/// <param name="Name"><c>read-write</c>, <c>pooled</c> or <c>reads</c>.</param>
/// <param name="Hosts">The addresses, tried in turn.</param>
/// <param name="Port">The port of each.</param>
/// <param name="Database">The database.</param>
/// <param name="User">The user.</param>
public sealed record ConnectionString(string Name, ImmutableArray<string> Hosts, int Port, string Database, string User)
{
    /// <summary>The file that the client verifies the server by; null where the server has no TLS.</summary>
    public string? AuthorityFile { get; init; }

    /// <summary>The connection strings of a user.</summary>
    public static ImmutableArray<ConnectionString> Of(PostgresTopology topology, PostgresUser user)
    {
        ArgumentNullException.ThrowIfNull(topology);
        ArgumentNullException.ThrowIfNull(user);
        var (entry, database) = (topology.Entry, topology.ApplicationDatabase);
        var isPooled = database.Pooled && topology.PooledUsers.Any(pooled => pooled.Name == user.Name);
        var authority = topology.Tls is null ? null : TlsSettings.ClientFileOf(topology.Scope);
        return
        [
            new("read-write", entry.Addresses, entry.Port, database.Name, user.Name) { AuthorityFile = authority },
            .. isPooled
                ? [new("pooled", entry.Addresses, entry.PooledPort, database.Name, user.Name) { AuthorityFile = authority }]
                : ImmutableArray<ConnectionString>.Empty,
            .. topology.Haproxy.ReadPort is { } reads
                ? [new("reads", entry.Addresses, reads, database.Name, user.Name) { AuthorityFile = authority }]
                : ImmutableArray<ConnectionString>.Empty,
        ];
    }

    /// <summary>As libpq takes it. Of several addresses the client uses the first that takes writes.</summary>
    public string Text =>
        string.Join(
            ' ',
            [
                $"host={string.Join(',', Hosts)}",
                string.Create(CultureInfo.InvariantCulture, $"port={Port}"),
                $"dbname={Quoted(Database)}",
                $"user={Quoted(User)}",
                .. AuthorityFile is { } file ? ["sslmode=verify-full", $"sslrootcert={Quoted(file)}"] : Array.Empty<string>(),
                .. Hosts.Length > 1 && Name != "reads" ? ["target_session_attrs=read-write"] : Array.Empty<string>(),
            ]
        );

    private static string Quoted(string value) =>
        value.Length > 0 && value.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-' or '.')
            ? value
            : $"'{value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("'", "\\'", StringComparison.Ordinal)}'";
}
