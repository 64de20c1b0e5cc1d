using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.PostgresHa.Fencing;

/// <summary>What <c>kbr unfence</c> does with a member.</summary>
/// <param name="IsFenced">Whether it is fenced.</param>
/// <param name="Starts">Whether it is started: it is fenced, or an earlier unfence was cut off. A member that is down for another reason
/// stays down.</param>
public sealed record UnfenceChoice(bool IsFenced, bool Starts)
{
    private const string Unit = PostgresTopology.PatroniContainer + ".service";

    /// <summary>The reads that it is decided by, beside those of a recovery.</summary>
    /// <param name="scope">The cluster's name.</param>
    public static IEnumerable<Read> Reads(string scope) => [RestoreJournal.Read(scope), .. FenceMark.Remains(Unit)];

    /// <summary>Decides. Pure. Throws <see cref="DiagnosticException"/> with the reason where the member may not be started now: it may
    /// have the database that was lost, or directories that are being exchanged.</summary>
    /// <param name="scope">The cluster's name, for messages.</param>
    /// <param name="members">The answers of the members that could be read.</param>
    /// <param name="recovery">What a recovery that they know of means.</param>
    /// <param name="wanted">The member.</param>
    public static UnfenceChoice Of(string scope, IReadOnlyDictionary<string, Snapshot> members, RecoveryVerdict recovery, string wanted)
    {
        ArgumentNullException.ThrowIfNull(members);
        ArgumentNullException.ThrowIfNull(recovery);
        if (!members.TryGetValue(wanted, out var member))
        {
            throw Refused(wanted, $"{wanted} could not be reached", null, "run kbr status");
        }

        var choice = new UnfenceChoice(FenceMark.On(member) is not null, false);
        if (!choice.IsFenced && !FenceMark.HasRemains(member, Unit))
        {
            return choice;
        }

        switch (recovery)
        {
            case RecoveryVerdict.Refused refused:
                throw Refused(wanted, $"{refused.Reason}; {wanted} stays down", refused.Detail, refused.Remedy);
            case RecoveryVerdict.Known known when known.Returned.Contains(wanted):
                throw Refused(
                    wanted,
                    $"{wanted} was lost when {scope} was recovered from {known.Journal.Survivor}, and has the database that was lost",
                    $"the recovery began at {known.Journal.Begun:yyyy-MM-dd HH:mm:ss} UTC; nothing was changed",
                    choice.IsFenced
                        ? $"run kbr apply, which keeps its data aside; then remove {FenceMark.Path} on {wanted}, and run kbr apply again, "
                            + "which makes it a replica"
                        : "run kbr apply, which keeps its data aside and makes it a replica"
                );
        }

        return RestoreJournal.Of(scope, members.Values) is { } restore && (restore.IsExchanging || restore.IsOpening)
            ? throw Refused(
                wanted,
                $"a restore of {scope} is not complete, and {wanted} is started by it alone",
                $"it began at {restore.Begun:yyyy-MM-dd HH:mm:ss} UTC: {restore.Text}; nothing was changed",
                "run kbr restore, which goes on with it; or kbr restore undo, which goes back"
            )
            : choice with
            {
                Starts = true,
            };
    }

    private static DiagnosticException Refused(string host, string summary, string? detail, string remedy) =>
        new(Diagnostic.Error(summary, detail: detail, remedy: remedy, host: host));
}
