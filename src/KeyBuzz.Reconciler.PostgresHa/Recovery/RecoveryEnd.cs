using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.PostgresHa.Recovery;

/// <summary>What ends a recovery for good. Pure.</summary>
public abstract record RecoveryEnd
{
    private RecoveryEnd() { }

    /// <summary>The cluster is healthy: what was kept aside, and every copy of the journal, is removed.</summary>
    public sealed record Confirm : RecoveryEnd;

    /// <summary>Its members have gone on by themselves, and its survivor never ran as the recovery would have started it: nothing of it is
    /// needed.</summary>
    public sealed record GiveUp : RecoveryEnd;

    /// <summary>Decides. Throws <see cref="DiagnosticException"/> with the reason where the recovery may still be needed.</summary>
    /// <param name="scope">The cluster, for messages.</param>
    /// <param name="journal">The recovery.</param>
    /// <param name="members">All members.</param>
    /// <param name="storeLeader">A member that leads the consensus store with a quorum, or says that there is one; null for none.</param>
    /// <param name="problems">Why the cluster is not healthy; empty where it is.</param>
    public static RecoveryEnd Of(
        string scope,
        RecoveryJournal journal,
        IReadOnlyCollection<RecoveryMember> members,
        string? storeLeader,
        IReadOnlyCollection<string> problems
    )
    {
        ArgumentNullException.ThrowIfNull(journal);
        ArgumentNullException.ThrowIfNull(members);
        ArgumentNullException.ThrowIfNull(problems);
        var wasStarted = members.FirstOrDefault(member => member.Name == journal.Survivor)?.HasDesiredPassword != false;
        var primary = members.FirstOrDefault(member => member.IsPrimary)?.Name;
        if (!journal.IsDone && !wasStarted && primary is not null && storeLeader is not null)
        {
            return new GiveUp();
        }

        if (problems.Count == 0)
        {
            return new Confirm();
        }

        if (journal.IsDone)
        {
            throw Refused(
                $"{scope} is not healthy, and what was kept aside may still be needed: {string.Join("; ", problems)}",
                null,
                "kbr apply rebuilds the members; then run this again"
            );
        }

        var unfinished = $"the recovery of {scope} from {journal.Survivor} is unfinished";
        throw wasStarted
            ? Refused(
                $"{unfinished}, and {journal.Survivor} may have taken writes since",
                string.Join('\n', problems),
                "run kbr recover again with the same options, which goes on"
                    + (primary is null || primary == journal.Survivor ? "" : $". Stop {primary}'s Patroni first")
            )
            : Refused(
                $"{unfinished}, and the members have not elected a primary by themselves",
                string.Join('\n', problems),
                "run kbr recover again with the same options, which goes on; or bring the lost members back"
            );
    }

    private static DiagnosticException Refused(string summary, string? detail, string remedy) =>
        new(Diagnostic.Error(summary, detail: detail, remedy: remedy));
}
