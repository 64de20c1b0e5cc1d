using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>A look at the records of all hosts, and at the operator's copy of them. It holds no type that can change a host
/// (<c>ArchitectureTests.Drift_holds_no_type_that_can_change_a_host</c>).</summary>
internal sealed class RecordsSession(Cluster cluster, ProviderRegistry providers, FleetReader fleet) : IAsyncDisposable
{
    /// <summary>Reads the records of all hosts; of a host that cannot be read, what the operator's copy says.</summary>
    public Task<RecordsFound> ReadAsync(CancellationToken cancellationToken) =>
        ReadAsync(cluster, providers, fleet, cluster.Hosts, cancellationToken);

    /// <summary>Writes what was read into the operator's copy.</summary>
    /// <param name="found">What was read.</param>
    /// <param name="without">What is no longer kept where only the copy has it.</param>
    public (string Path, long Serial, int Count) Pull(RecordsFound found, IEnumerable<Address>? without = null) =>
        Pull(cluster, found, without);

    /// <summary>Reads the records of these hosts; of all others, and of one that cannot be read, what the operator's copy says.</summary>
    public static async Task<RecordsFound> ReadAsync(
        Cluster cluster,
        ProviderRegistry providers,
        FleetReader fleet,
        IEnumerable<Host> hosts,
        CancellationToken cancellationToken
    )
    {
        var copy = StateFile.Read(StateFile.PathOf(cluster.Directory, cluster.Name), cluster.Name, providers);
        var found = await fleet.ReadRecordsAsync(hosts, cancellationToken).ConfigureAwait(false);
        return found with
        {
            Copies =
            [
                .. found.Copies,
                .. copy.Unread(cluster.Groups, providers, found.Hosts).Select(record => new RecordCopy(null, record)),
            ],
            Diagnostics = [.. copy.Diagnostics, .. found.Diagnostics],
        };
    }

    /// <summary>The same of a cluster.</summary>
    public static (string Path, long Serial, int Count) Pull(Cluster cluster, RecordsFound found, IEnumerable<Address>? without)
    {
        var dropped = (without ?? []).ToHashSet();
        ImmutableArray<ResourceRecord> records =
        [
            .. found.ByAddress().Where(one => !one.Hosts.IsEmpty || !dropped.Contains(one.Record.Address)).Select(one => one.Record),
        ];
        var path = StateFile.PathOf(cluster.Directory, cluster.Name);
        return (path, StateFile.Write(path, cluster.Name, records), records.Length);
    }

    public ValueTask DisposeAsync() => fleet.DisposeAsync();
}
