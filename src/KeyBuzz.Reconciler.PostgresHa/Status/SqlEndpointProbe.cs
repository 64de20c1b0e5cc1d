using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Drill;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using Npgsql;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>The answer to SQL through one endpoint.</summary>
/// <param name="From">The proxy host of the probe.</param>
/// <param name="Way">The endpoint, for example <c>load balancer 10.0.0.10:5432</c>.</param>
/// <param name="Answer">The server's answer; null for none.</param>
/// <param name="Trouble">Why there was no answer; empty otherwise.</param>
/// <param name="Measured">Whether SQL was tried: false when the host or its tunnel failed.</param>
public sealed record EndpointAnswer(string From, string Way, ServerAnswer? Answer, string Trouble, bool Measured)
{
    /// <summary>What applications connect to that this is, one of several answers where it has several addresses; null for a way behind
    /// that.</summary>
    public string? Entry { get; init; }
}

/// <summary>The facts that a PostgreSQL server reports of a session.</summary>
/// <param name="InRecovery">Whether it is a replica.</param>
/// <param name="IsReadOnly">Whether the session cannot write.</param>
/// <param name="Server">Its own address.</param>
/// <param name="Client">The client address that it sees.</param>
public sealed record ServerAnswer(bool InRecovery, bool IsReadOnly, string Server, string Client);

/// <summary>Runs SQL as the application would: with its password, through HAProxy, PgBouncer and the load balancer, from a proxy host over
/// SSH.</summary>
public static class SqlEndpointProbe
{
    /// <summary>The prefix of endpoints of the load balancer.</summary>
    public const string LoadBalancer = "load balancer ";

    /// <summary>The prefix of endpoints of the virtual address.</summary>
    public const string VirtualAddress = "virtual address ";

    private const int TimeoutSeconds = 10;

    /// <summary>What applications connect to for a pooled session, as <see cref="EndpointAnswer.Entry"/> has it.</summary>
    /// <param name="topology">The cluster.</param>
    public static string PooledEntry(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        return EntryAt(topology, topology.Entry.PooledPort);
    }

    /// <summary>Probes every endpoint from a host; of one that is no proxy there is none.</summary>
    /// <param name="topology">The cluster.</param>
    /// <param name="host">The host.</param>
    /// <param name="connection">The connection to it; null when it could not be reached.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<IReadOnlyList<EndpointAnswer>> ProbeAsync(
        PostgresTopology topology,
        Host host,
        IHostConnection? connection,
        CancellationToken cancellationToken
    )
    {
        if (!topology.Proxies.Contains(host))
        {
            return [];
        }

        return await Task.WhenAll(
                Ways(topology, host)
                    .Select(async way =>
                    {
                        var answer = await AnswerAsync(way).ConfigureAwait(false);
                        return answer with { Entry = way.Entry };
                    })
            )
            .ConfigureAwait(false);

        async Task<EndpointAnswer> AnswerAsync((Host Proxy, string Way, string Address, int Port, string? Entry) way)
        {
            if (connection is null)
            {
                return new EndpointAnswer(way.Proxy.Name, way.Way, null, "the host could not be reached", Measured: false);
            }

            try
            {
                if (ApplicationLogin.WithTls(topology) is { } login)
                {
                    return await WithTlsAsync(way, login, connection.Reader, cancellationToken).ConfigureAwait(false);
                }

                await using var tunnel = await connection.OpenTunnelAsync(way.Address, way.Port, cancellationToken).ConfigureAwait(false);
                var answer = await AskAsync(topology, tunnel.Port, cancellationToken).ConfigureAwait(false);
                return new EndpointAnswer(way.Proxy.Name, way.Way, answer, "", Measured: true);
            }
            catch (HostException exception)
            {
                return new EndpointAnswer(way.Proxy.Name, way.Way, null, exception.Message, Measured: false);
            }
            catch (Exception exception) when (DrillTable.IsSqlFailure(exception))
            {
                return new EndpointAnswer(
                    way.Proxy.Name,
                    way.Way,
                    null,
                    exception is PostgresException refused ? refused.MessageText : exception.Message,
                    Measured: true
                );
            }
        }
    }

    // The answer of a proxy whose PgBouncer does not run is that of its Docker Engine.
    private static async Task<EndpointAnswer> WithTlsAsync(
        (Host Proxy, string Way, string Address, int Port, string? Entry) way,
        TlsLogin login,
        IHostReader reader,
        CancellationToken cancellationToken
    )
    {
        var read = new TlsLoginRead(login, way.Address, way.Port);
        var answer = (await reader.ReadAsync([read], cancellationToken).ConfigureAwait(false)).Get(read);
        return TlsLoginRead.Values(answer) is { } values
            ? new EndpointAnswer(
                way.Proxy.Name,
                way.Way,
                new ServerAnswer(values[0] == "true", values[1] == "on", values[2], values[3]),
                "",
                Measured: true
            )
            : new EndpointAnswer(
                way.Proxy.Name,
                way.Way,
                null,
                answer.Output.Trim(),
                Measured: !answer.Output.Contains("from daemon", StringComparison.Ordinal)
            );
    }

    // From a proxy: its own services, and what applications connect to. Without an address in front that is HAProxy's two ports.
    private static IEnumerable<(Host Proxy, string Way, string Address, int Port, string? Entry)> Ways(
        PostgresTopology topology,
        Host proxy
    )
    {
        var (haproxy, pgbouncer, entry) = (topology.Haproxy, topology.PgBouncer, topology.Entry);
        var isShared = Shared(topology) is not null;
        yield return Own("HAProxy", haproxy.Port, isShared ? null : EntryAt(topology, haproxy.Port));
        yield return Own("PgBouncer", pgbouncer.Port, null);
        if (!isShared)
        {
            yield return Own("HAProxy-pooled", haproxy.PooledPort, EntryAt(topology, haproxy.PooledPort));
            yield break;
        }

        foreach (var port in new[] { entry.Port, entry.PooledPort })
        {
            var way = EntryAt(topology, port);
            yield return (proxy, way, entry.Addresses[0], port, way);
        }

        (Host, string, string, int, string?) Own(string service, int port, string? entry) =>
            (proxy, $"{service} {proxy.Address}:{port}", proxy.Address, port, entry);
    }

    // The kind of the address in front of the proxies; null without one.
    private static string? Shared(PostgresTopology topology) =>
        topology.LoadBalancer is not null ? LoadBalancer
        : topology.VirtualAddress is not null ? VirtualAddress
        : null;

    private static string EntryAt(PostgresTopology topology, int port) =>
        Shared(topology) is { } shared ? $"{shared}{topology.Entry.Addresses[0]}:{port}" : $"port {port} of the proxies";

    private static async Task<ServerAnswer> AskAsync(PostgresTopology topology, int port, CancellationToken cancellationToken)
    {
        var settings = ApplicationLogin.Settings(topology, port, "kbr status", TimeoutSeconds, TimeoutSeconds);
        await using var source = new NpgsqlSlimDataSourceBuilder(settings.ConnectionString).Build();
        await using var connection = await source.OpenConnectionAsync(cancellationToken).ConfigureAwait(false);
        await using var command = connection.CreateCommand();
        command.CommandText = TlsLoginRead.Query;
        await using var reader = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        await reader.ReadAsync(cancellationToken).ConfigureAwait(false);
        return new ServerAnswer(reader.GetString(0) == "true", reader.GetString(1) == "on", reader.GetString(2), reader.GetString(3));
    }
}
