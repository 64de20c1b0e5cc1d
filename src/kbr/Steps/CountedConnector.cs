using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Cli.Steps;

/// <summary>Connections whose every step beyond reading is numbered.</summary>
/// <param name="inner">Opens them.</param>
/// <param name="steps">Numbers the steps.</param>
internal sealed class CountedConnector(IHostConnector inner, RemoteSteps steps) : IHostConnector
{
    /// <inheritdoc />
    public async Task<IHostConnection> ConnectAsync(Host host, CancellationToken cancellationToken) =>
        new Connection(await inner.ConnectAsync(host, cancellationToken).ConfigureAwait(false), steps);

    private sealed class Connection(IHostConnection inner, RemoteSteps steps) : IHostConnection
    {
        public Host Host => inner.Host;

        public IHostReader Reader => inner.Reader;

        public Task<IHostWriter> OpenWriterAsync(LockHolder holder, int parallelism, CancellationToken cancellationToken) =>
            steps.TakeAsync<IHostWriter>($"the lock of {Host.Name}", async () =>
                new Writer(await inner.OpenWriterAsync(holder, parallelism, cancellationToken).ConfigureAwait(false), Host.Name, steps)
            );

        public Task<bool> EndLockHolderAsync(int processId, CancellationToken cancellationToken) =>
            steps.TakeAsync($"ending the lock's holder on {Host.Name}", () => inner.EndLockHolderAsync(processId, cancellationToken));

        public Task<ITunnel> OpenTunnelAsync(string address, int port, CancellationToken cancellationToken) =>
            steps.TakeAsync($"a tunnel from {Host.Name} to {address}:{port}", () =>
                inner.OpenTunnelAsync(address, port, cancellationToken)
            );

        public Task<ScriptResult> StreamAsync(HostLog log, Action<string> take, CancellationToken cancellationToken) =>
            inner.StreamAsync(log, take, cancellationToken);

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }

    private sealed class Writer(IHostWriter inner, string host, RemoteSteps steps) : IHostWriter
    {
        public Task<ScriptResult> RunAsync(Script script, CancellationToken cancellationToken) =>
            steps.TakeAsync($"a script on {host}", () => inner.RunAsync(script, cancellationToken));

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }
}
