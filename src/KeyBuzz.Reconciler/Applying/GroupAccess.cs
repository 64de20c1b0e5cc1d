using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>A group's members through the connections of this run and the writers that hold their locks.</summary>
internal sealed class GroupAccess(
    ImmutableArray<Host> members,
    IReadOnlyDictionary<string, IHostConnection> connections,
    IReadOnlyDictionary<string, IHostWriter> writers,
    TimeProvider time,
    IStepReport? report = null,
    DisruptionGate? gate = null
) : IGroupAccess
{
    public ImmutableArray<Host> Members => members;

    public TimeProvider Time => time;

    public IStepReport Report => report ?? NoStepReport.Instance;

    public string? ClosedBecause => gate?.ClosedBecause;

    public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
        Connection(host).Reader.ReadAsync(reads, cancellationToken);

    public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken) =>
        writers.TryGetValue(host, out var writer)
            ? writer.RunAsync(script, cancellationToken)
            : throw new HostException(host, "it could not be reached");

    public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
        Connection(host).OpenTunnelAsync(address, port, cancellationToken);

    private IHostConnection Connection(string host) =>
        connections.TryGetValue(host, out var connection) ? connection : throw new HostException(host, "it could not be reached");
}
