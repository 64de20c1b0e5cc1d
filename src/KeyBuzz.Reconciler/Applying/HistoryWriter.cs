using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Writes what an apply did into the history of every host that it touched, under the locks that it still holds.</summary>
/// <param name="cluster">The cluster's name.</param>
/// <param name="version">The version of kbr.</param>
/// <param name="mask">Masks the secrets in a text.</param>
public sealed class HistoryWriter(string cluster, string version, Func<string, string> mask)
{
    /// <summary>The entry of an apply; null for one that touched nothing. Pure but for its random word.</summary>
    /// <param name="result">What came of it.</param>
    /// <param name="holder">Who applied it, and from where.</param>
    /// <param name="begun">When its changes began.</param>
    /// <param name="ended">When they ended.</param>
    /// <param name="hosts">The hosts that it touched.</param>
    public HistoryEntry? EntryOf(
        ApplyResult result,
        LockHolder holder,
        DateTimeOffset begun,
        DateTimeOffset ended,
        ImmutableArray<string> hosts
    )
    {
        ArgumentNullException.ThrowIfNull(result);
        ArgumentNullException.ThrowIfNull(holder);
        var done = result.Done.Count + result.BroughtToHealth.Count;
        if (hosts.IsEmpty)
        {
            return null;
        }

        return new HistoryEntry(
            Guid.NewGuid().ToString("n"),
            begun,
            ended,
            holder.Command,
            Word(holder.User),
            Word(holder.Machine),
            version,
            result.Succeeded && result.LeftHalfway.Count == 0 ? HistoryResult.Done
                : done > 0 || result.LeftHalfway.Count > 0 ? HistoryResult.Partly
                : HistoryResult.Failed
        )
        {
            Hosts = hosts,
            DoneCount = done,
            FailedCount = result.Failed.Count,
            SkippedCount = result.Skipped.Count,
            Done =
            [
                .. result
                    .Done.OrderBy(change => change.Address)
                    .Select(change => $"{change.Action.Word()} {change.Address}")
                    .Concat(result.BroughtToHealth.Select(group => $"{PlannedGroup.Word} {group.Address}"))
                    .Concat(result.LeftHalfway.Select(step => $"begin {step.Address}, left for a maintenance window"))
                    .Take(HistoryEntry.MostListed)
                    .Select(Word),
            ],
            Failed =
            [
                .. result
                    .Failed.OrderBy(one => one.Step.Address)
                    .Take(HistoryEntry.MostListed)
                    .Select(one => Word($"{one.Step.Address}: {one.Reason}")),
            ],
        };
    }

    /// <summary>Appends the entry on these hosts. One that cannot be written to is a warning: the change itself is made and
    /// recorded.</summary>
    public async Task<ImmutableArray<Diagnostic>> WriteAsync(HistoryEntry entry, IReadOnlyDictionary<string, IHostWriter> writers)
    {
        ArgumentNullException.ThrowIfNull(entry);
        var script = HistoryScript.Append(cluster, entry);
        var warnings = await Task.WhenAll(
                entry.Hosts.Select(async host =>
                {
                    try
                    {
                        // It is written of an apply that was aborted, too.
                        var result = await writers[host].RunAsync(script, CancellationToken.None).ConfigureAwait(false);
                        return result.ExitCode == 0 ? null : Warning(host, result.Error.Trim());
                    }
                    catch (HostException exception)
                    {
                        return Warning(host, exception.InFull);
                    }
                })
            )
            .ConfigureAwait(false);
        return [.. warnings.OfType<Diagnostic>()];
    }

    private Diagnostic Warning(string host, string why) =>
        Diagnostic.Warning(
            $"{host}: the history could not be written",
            detail: mask(why),
            remedy: $"its file is {HistoryScript.PathOf(cluster)}; what was applied is recorded all the same",
            host: host
        );

    private string Word(string text) => HistoryEntry.Word(mask(text));
}
