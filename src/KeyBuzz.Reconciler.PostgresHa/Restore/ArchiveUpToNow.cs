using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Restore;

/// <summary>Gets everything that was committed until now into the archive, and a commit after it: recovery to a time ends with an error
/// where it finds no later one, as in a database that nobody writes to.</summary>
/// <param name="topology">The cluster.</param>
/// <param name="group">Its members.</param>
/// <param name="leader">The primary.</param>
/// <param name="say">Told what happens, a sentence each, for the operator.</param>
internal sealed class ArchiveUpToNow(PostgresTopology topology, IGroupAccess group, string leader, Action<string> say)
{
    private const int SegmentName = 24;
    private static readonly PollPace s_pace = new(TimeSpan.FromMilliseconds(250), TimeSpan.FromSeconds(60)) { SparesSlowHosts = true };

    private readonly RestoreScripts _scripts = new(topology, "");

    /// <summary>Waits until it is archived, and answers the last segment; what takes longer than a minute is only said, and null.</summary>
    public async Task<string?> RunAsync(CancellationToken cancellationToken)
    {
        var segment = (await RunAsync(_scripts.SwitchSegment(), cancellationToken).ConfigureAwait(false)).Trim().Split('\n')[^1];
        if (segment.Length != SegmentName || !segment.All(char.IsAsciiHexDigitUpper))
        {
            throw new DiagnosticException(Diagnostic.Error($"{leader} answers no name of a segment of WAL: {segment}", host: leader));
        }

        var archived = await Poll.UntilAsync(
                () => RunAsync(_scripts.IsArchived(segment), cancellationToken),
                answer => answer.Trim() == "t",
                s_pace,
                group.Time,
                cancellationToken
            )
            .ConfigureAwait(false);
        if (archived.Trim() != "t")
        {
            say($"{leader} has not archived {segment} within {s_pace.Deadline.TotalSeconds:0} s: the newest transactions may be missing");
            return null;
        }

        return segment;
    }

    private async Task<string> RunAsync(Script script, CancellationToken cancellationToken)
    {
        var result = await group.RunAsync(leader, script, cancellationToken).ConfigureAwait(false);
        return result.ExitCode == 0
            ? result.Output
            : throw new DiagnosticException(
                Diagnostic.Error($"{leader}: its database does not answer", detail: result.Error.Trim(), host: leader)
            );
    }
}
