using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Surveying;

/// <summary>Holds the one connection per host of a run, and reads through them. It hands out no writer by itself.</summary>
public sealed class Fleet : FleetReader
{
    private readonly HostConnections _connections;
    private int _writers;

    /// <summary>Takes what a survey needs; opens nothing yet.</summary>
    public Fleet(Cluster cluster, ProviderRegistry providers, IPreconditionChecks preconditions, IHostConnector connector, int parallelism)
        : this(cluster, providers, preconditions, new HostConnections(connector), parallelism) { }

    private Fleet(
        Cluster cluster,
        ProviderRegistry providers,
        IPreconditionChecks preconditions,
        HostConnections connections,
        int parallelism
    )
        : base(cluster, providers, preconditions, connections, parallelism) => _connections = connections;

    /// <summary>The connections that are open, by host.</summary>
    public IReadOnlyDictionary<string, IHostConnection> Connections => _connections.Open;

    /// <summary>How many writers were opened; a run that changes nothing opens none.</summary>
    public int WriterCount => _writers;

    /// <summary>How long it waits for a lock that another run holds; null to be refused at once.</summary>
    public LockPatience? LockPatience { get; set; }

    /// <summary>Takes the lock of a host that was surveyed and opens its writer.</summary>
    public Task<IHostWriter> OpenWriterAsync(string host, LockHolder holder, int parallelism, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _writers);
        return LockPatience is { } patience ? patience.TakeAsync(TakeAsync, cancellationToken) : TakeAsync();

        Task<IHostWriter> TakeAsync() => Connections[host].OpenWriterAsync(holder, parallelism, cancellationToken);
    }
}
