using System.Net.Sockets;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Role;
using KeyBuzz.Reconciler.Resources;
using Npgsql;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>Logs in through a proxy as an application does, by the connection of this run.</summary>
/// <param name="user">The user.</param>
/// <param name="password">Its password.</param>
/// <param name="database">The database.</param>
/// <param name="tls">How to log in with TLS; null where servers have none.</param>
/// <param name="requiresTls">Whether they refuse a login without. Otherwise it is without, inside of SSH; where a server still refuses it,
/// with TLS.</param>
public sealed class SqlLogin(string user, string password, string database, TlsLogin? tls, bool requiresTls)
{
    private const int TimeoutSeconds = 5;

    /// <summary>The server's answer: whether it is a replica, and the client address that it sees. Without an answer, the reason.</summary>
    public async Task<(bool? InRecovery, string Client, string Trouble)> AskAsync(
        IGroupAccess group,
        string host,
        string address,
        int port,
        CancellationToken cancellationToken
    )
    {
        ArgumentNullException.ThrowIfNull(group);
        var trouble = "";
        try
        {
            if (!requiresTls)
            {
                return await WithoutTlsAsync(group, host, address, port, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (PostgresException exception)
        {
            trouble = exception.MessageText;
        }
        catch (Exception exception)
            when (exception is NpgsqlException or SocketException or TimeoutException or IOException or HostException)
        {
            return (null, "", exception.Message);
        }

        if (tls is null)
        {
            return (null, "", trouble);
        }

        try
        {
            var read = new TlsLoginRead(tls, address, port);
            var answer = (await group.ReadAsync(host, [read], cancellationToken).ConfigureAwait(false)).Get(read);
            return TlsLoginRead.Values(answer) is { } values ? (values[0] == "true", values[3], "")
                : trouble.Length > 0 ? (null, "", trouble)
                : (null, "", answer.Output.Trim());
        }
        catch (HostException exception)
        {
            return (null, "", exception.Message);
        }
    }

    private async Task<(bool? InRecovery, string Client, string Trouble)> WithoutTlsAsync(
        IGroupAccess group,
        string host,
        string address,
        int port,
        CancellationToken cancellationToken
    )
    {
        var tunnel = await group.OpenTunnelAsync(host, address, port, cancellationToken).ConfigureAwait(false);
        await using (tunnel.ConfigureAwait(false))
        {
            var settings = new NpgsqlConnectionStringBuilder
            {
                Host = "127.0.0.1",
                Port = tunnel.Port,
                Username = user,
                Password = SaslPrep.Prepare(password),
                Database = database,
                ApplicationName = "kbr",
                SslMode = SslMode.Disable,
                GssEncryptionMode = GssEncryptionMode.Disable,
                Pooling = false,
                Timeout = TimeoutSeconds,
                CommandTimeout = TimeoutSeconds,
            };
            await using var source = new NpgsqlSlimDataSourceBuilder(settings.ConnectionString)
                .ConfigureTypeLoading(types => types.EnableTypeLoading(false))
                .Build();
            await using var connection = await source.OpenConnectionAsync(cancellationToken).ConfigureAwait(false);
            await using var command = new NpgsqlCommand(
                "SELECT pg_is_in_recovery()::text, coalesce(host(inet_client_addr()), '')",
                connection
            );
            await using var reader = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
            await reader.ReadAsync(cancellationToken).ConfigureAwait(false);
            return (reader.GetString(0) == "true", reader.GetString(1), "");
        }
    }
}
