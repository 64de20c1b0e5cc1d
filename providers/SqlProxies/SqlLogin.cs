using System.Net.Sockets;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;
using Npgsql;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>Logs in through a proxy as an application does, by the connection of this run.</summary>
/// <param name="user">The user.</param>
/// <param name="password">Its password.</param>
/// <param name="database">The database.</param>
internal sealed class SqlLogin(string user, string password, string database)
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
        try
        {
            var tunnel = await group.OpenTunnelAsync(host, address, port, cancellationToken).ConfigureAwait(false);
            await using (tunnel.ConfigureAwait(false))
            {
                var settings = new NpgsqlConnectionStringBuilder
                {
                    Host = "127.0.0.1",
                    Port = tunnel.Port,
                    Username = user,
                    Password = password,
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
        catch (PostgresException exception)
        {
            return (null, "", exception.MessageText);
        }
        catch (Exception exception)
            when (exception is NpgsqlException or SocketException or TimeoutException or IOException or HostException)
        {
            return (null, "", exception.Message);
        }
    }
}
