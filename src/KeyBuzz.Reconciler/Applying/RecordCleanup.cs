using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Removes records that nothing reads any more, after an apply.</summary>
/// <param name="cluster">The configuration.</param>
/// <param name="writers">The writers of the locked hosts.</param>
public sealed class RecordCleanup(Cluster cluster, IReadOnlyDictionary<string, IHostWriter> writers)
{
    /// <summary>A former member keeps no copy of the group's records: it would become stale.</summary>
    public async Task RemoveFromFormerMembersAsync(ApplyResult result, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(result);
        foreach (
            var (group, host) in result
                .Done.Where(change =>
                    change is { Action: ResourceAction.Delete, Disrupts: not null }
                    && cluster.Groups.Any(known => known.Name == change.Disrupts)
                )
                .Select(change => (change.Disrupts!, change.Address.Host))
                .Distinct()
                .Where(pair => !cluster.HostsOf(pair.Item1).Contains(pair.Host) && writers.ContainsKey(pair.Host))
        )
        {
            await RunAsync(host, RecordScript.RemoveOfGroup(group, cluster.Name), cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Obsolete records are read as nothing, so a host that was lost meanwhile keeps them until the next apply.</summary>
    public async Task RemoveObsoleteAsync(Survey survey, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(survey);
        foreach (var (host, paths) in survey.ObsoleteRecords.Where(pair => writers.ContainsKey(pair.Key)))
        {
            await RunAsync(host, RecordScript.RemoveFiles(paths, cluster.Name), cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task RunAsync(string host, Script script, CancellationToken cancellationToken)
    {
        try
        {
            await writers[host].RunAsync(script, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is HostException or OperationCanceledException)
        {
            // What the apply did is done. These records do not count, and the next apply of this host removes them.
        }
    }
}
