using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Certificate;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>The answer of a port to a client that asks for TLS.</summary>
/// <param name="From">The proxy that the client connected from.</param>
/// <param name="Service">The service that listens there, for example <c>PgBouncer</c>.</param>
/// <param name="Address">The address.</param>
/// <param name="Port">The port.</param>
/// <param name="Served">The protocol and cipher suite for a client that has TLS 1.3.</param>
/// <param name="Certificate">The certificate; null without TLS.</param>
/// <param name="Error">The reason for a missing answer; null for an answer.</param>
public sealed record TlsPort(
    string From,
    string Service,
    string Address,
    int Port,
    ServedTls Served,
    X509Certificate? Certificate,
    string? Error
)
{
    /// <summary>The problem of its certificate; null for none.</summary>
    /// <param name="settings">The cluster's settings of TLS; null without TLS.</param>
    /// <param name="now">The time.</param>
    public string? Problem(TlsSettings? settings, DateTimeOffset now) =>
        Error is not null || settings is null ? null
        : Certificate is not { } certificate ? "no TLS"
        : now >= certificate.NotAfter ? "expired"
        : now >= settings.AuthorityEnd ? "of an authority that has expired"
        : X509Certificate.Find(settings.AuthorityCertificate) is { } authority && !certificate.IsSignedBy(authority)
            ? "of another authority"
        : !certificate.Names.Contains(Address) ? "for other names"
        : null;
}

/// <summary>Asks every port that PostgreSQL's clients connect to, and the servers behind them, from a proxy. Changes nothing, and logs in
/// nowhere.</summary>
public static class TlsPortProbe
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    /// <summary>Asks all of them.</summary>
    /// <param name="topology">The cluster.</param>
    /// <param name="proxy">The proxy.</param>
    /// <param name="connection">The connection to it.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<ImmutableArray<TlsPort>> ProbeAsync(
        PostgresTopology topology,
        Host proxy,
        IHostConnection connection,
        TimeProvider time,
        CancellationToken cancellationToken
    )
    {
        ArgumentNullException.ThrowIfNull(topology);
        ArgumentNullException.ThrowIfNull(proxy);
        ArgumentNullException.ThrowIfNull(connection);
        return
        [
            .. await Task.WhenAll(Ports(topology, proxy).Select(port => AskAsync(port, connection, time, cancellationToken)))
                .ConfigureAwait(false),
        ];
    }

    private static IEnumerable<TlsPort> Ports(PostgresTopology topology, Host proxy)
    {
        var (haproxy, entry) = (topology.Haproxy, topology.Entry);
        foreach (var member in topology.Members)
        {
            yield return Of("PostgreSQL", member.Address, topology.Ports.Postgres);
        }

        yield return Of("PgBouncer", proxy.Address, topology.PgBouncer.Port);
        yield return Of("HAProxy", proxy.Address, haproxy.Port);
        yield return Of("HAProxy", proxy.Address, haproxy.PooledPort);
        if (entry.Addresses[0] != proxy.Address && topology.Proxies.All(other => other.Address != entry.Addresses[0]))
        {
            yield return Of("entry", entry.Addresses[0], entry.Port);
            yield return Of("entry", entry.Addresses[0], entry.PooledPort);
        }

        TlsPort Of(string service, string address, int port) => new(proxy.Name, service, address, port, ServedTls.None, null, null);
    }

    // The certificate stands in the clear only in TLS 1.2.
    private static async Task<TlsPort> AskAsync(
        TlsPort port,
        IHostConnection connection,
        TimeProvider time,
        CancellationToken cancellationToken
    )
    {
        using var deadline = new CancellationTokenSource(s_patience, time);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
        try
        {
            var newest = await OnceAsync(withTls13: true).ConfigureAwait(false);
            var older = await OnceAsync(withTls13: false).ConfigureAwait(false);
            return port with { Served = newest, Certificate = X509Certificate.Read(older.Certificate.ToArray()) };
        }
        catch (Exception exception) when (exception is HostException or SocketException or IOException)
        {
            return port with { Error = exception.Message };
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return port with { Error = string.Create(CultureInfo.InvariantCulture, $"no answer within {s_patience.TotalSeconds} s") };
        }

        async Task<ServedTls> OnceAsync(bool withTls13)
        {
            await using var tunnel = await connection.OpenTunnelAsync(port.Address, port.Port, limit.Token).ConfigureAwait(false);
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, tunnel.Port), limit.Token).ConfigureAwait(false);
            await using var stream = new NetworkStream(socket);
            return await ServedTls.AskAsync(stream, withTls13, limit.Token).ConfigureAwait(false);
        }
    }
}
