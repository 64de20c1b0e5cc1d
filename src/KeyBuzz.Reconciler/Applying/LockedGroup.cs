using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>The members of a group while one command other than an apply holds their locks: meanwhile no apply runs on them. The locks are
/// released when it is disposed.</summary>
public sealed class LockedGroup : IGroupAccess, IAsyncDisposable
{
    private readonly GroupAccess _access;
    private readonly Dictionary<string, IHostWriter> _writers;

    private LockedGroup(
        ImmutableArray<Host> members,
        IReadOnlyDictionary<string, IHostConnection> connections,
        Dictionary<string, IHostWriter> writers,
        TimeProvider time
    )
    {
        _access = new GroupAccess(members, connections, writers, time);
        _writers = writers;
    }

    /// <inheritdoc />
    public ImmutableArray<Host> Members => _access.Members;

    /// <inheritdoc />
    public TimeProvider Time => _access.Time;

    /// <summary>Takes the locks. Throws <see cref="HostLockedException"/> when an apply holds one of them, <see cref="HostException"/> when
    /// a host cannot be reached.</summary>
    /// <param name="fleet">The connections of this run; all these hosts were read through it.</param>
    /// <param name="members">The group's members.</param>
    /// <param name="others">Hosts that must not change meanwhile either.</param>
    /// <param name="wanted">Hosts of the others whose lock is taken where that is possible; one that is held refuses all.</param>
    /// <param name="holder">The holder of the locks.</param>
    /// <param name="time">The clock of this run.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public static async Task<LockedGroup> TakeAsync(
        Fleet fleet,
        ImmutableArray<Host> members,
        IEnumerable<Host> others,
        IReadOnlyCollection<Host> wanted,
        LockHolder holder,
        TimeProvider time,
        CancellationToken cancellationToken
    )
    {
        ArgumentNullException.ThrowIfNull(fleet);
        var writers = new Dictionary<string, IHostWriter>(StringComparer.Ordinal);
        try
        {
            // In the order of an apply, so that the two cannot wait for each other.
            var dispensable = wanted
                .Select(host => host.Name)
                .Except(members.Concat(others).Select(host => host.Name))
                .ToHashSet(StringComparer.Ordinal);
            foreach (var host in members.Concat(others).Concat(wanted).Select(host => host.Name).Distinct().Order(StringComparer.Ordinal))
            {
                try
                {
                    writers[host] = fleet.Connections.ContainsKey(host)
                        ? await fleet.OpenWriterAsync(host, holder, parallelism: 2, cancellationToken).ConfigureAwait(false)
                        : throw new HostException(host, "it could not be reached");
                }
                catch (HostException exception) when (exception is not HostLockedException && dispensable.Contains(host))
                {
                    // A script for this host fails later, with the reason.
                }
            }

            return new LockedGroup(members, fleet.Connections, writers, time);
        }
        catch
        {
            await ReleaseAsync(writers).ConfigureAwait(false);
            throw;
        }
    }

    /// <inheritdoc />
    public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
        _access.ReadAsync(host, reads, cancellationToken);

    /// <inheritdoc />
    public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken) =>
        _access.RunAsync(host, script, cancellationToken);

    /// <inheritdoc />
    public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
        _access.OpenTunnelAsync(host, address, port, cancellationToken);

    /// <inheritdoc />
    public ValueTask DisposeAsync() => ReleaseAsync(_writers);

    private static async ValueTask ReleaseAsync(Dictionary<string, IHostWriter> writers) =>
        await Task.WhenAll(writers.Values.Select(writer => writer.DisposeAsync().AsTask())).ConfigureAwait(false);
}
