using System.Collections.Concurrent;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>The connections of a run, one per host. Read-only code receives it as an <see cref="IReaderSource"/>.</summary>
/// <param name="connector">Opens them.</param>
public sealed class HostConnections(IHostConnector connector) : IReaderSource
{
    private readonly ConcurrentDictionary<string, IHostConnection> _open = new(StringComparer.Ordinal);

    /// <summary>Those that are open, by host.</summary>
    public IReadOnlyDictionary<string, IHostConnection> Open => _open;

    /// <inheritdoc />
    public async Task<IHostReader> OpenAsync(Host host, CancellationToken cancellationToken)
    {
        var connection = await connector.ConnectAsync(host, cancellationToken).ConfigureAwait(false);
        _open[host.Name] = connection;
        return connection.Reader;
    }

    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_open.Values.Select(connection => connection.DisposeAsync().AsTask())).ConfigureAwait(false);
        _open.Clear();
    }
}
