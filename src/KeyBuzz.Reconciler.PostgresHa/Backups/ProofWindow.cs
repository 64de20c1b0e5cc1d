using System.Collections.Immutable;
using KeyBuzz.Reconciler.Providers.Backup;

namespace KeyBuzz.Reconciler.PostgresHa.Backups;

/// <summary>The seconds that a restore can be proven by: those whose backup is of the present database. After a restore a backup may be
/// left of the one that it has replaced, and the tool takes the last backup before a second. Pure.</summary>
public sealed class ProofWindow
{
    // As of a restorable window.
    private static readonly TimeSpan s_afterBackup = TimeSpan.FromSeconds(2);

    private readonly ImmutableArray<(DateTimeOffset From, long Seconds)> _spans;

    /// <summary>The window.</summary>
    /// <param name="repositories">What each repository holds.</param>
    /// <param name="history">The timelines of the present database.</param>
    /// <param name="end">Its end: what is later may not be archived yet.</param>
    public ProofWindow(IReadOnlyCollection<RepositoryReport> repositories, TimelineHistory history, DateTimeOffset end)
    {
        ArgumentNullException.ThrowIfNull(repositories);
        ArgumentNullException.ThrowIfNull(history);
        DateTimeOffset[] ends = [.. repositories.SelectMany(held => held.Good).Select(backup => backup.Ended).Distinct().Order()];
        _spans =
        [
            // WAL is archived up to now before a restore, so the last backup can be proven at once.
            .. ends.Select(
                    (ended, at) =>
                        (
                            From: ended + s_afterBackup,
                            To: at + 1 == ends.Length ? Max(end, ended + s_afterBackup + TimeSpan.FromSeconds(1))
                            : ends[at + 1] < end ? ends[at + 1]
                            : end,
                            ended
                        )
                )
                .Where(span => repositories.All(held => Base(held, span.ended) is not { } from || history.Has(from)))
                .Select(span => (span.From, (long)(span.To - span.From).TotalSeconds))
                .Where(span => span.Item2 > 0),
        ];
    }

    /// <summary>How many seconds it has.</summary>
    public long Seconds => _spans.Sum(span => span.Seconds);

    /// <summary>One of its seconds.</summary>
    /// <param name="number">Which, from 0.</param>
    public DateTimeOffset At(long number)
    {
        foreach (var (from, seconds) in _spans)
        {
            if (number < seconds)
            {
                return from + TimeSpan.FromSeconds(number);
            }

            number -= seconds;
        }

        throw new ArgumentOutOfRangeException(nameof(number));
    }

    private static DateTimeOffset Max(DateTimeOffset one, DateTimeOffset other) => one > other ? one : other;

    private static StoredBackup? Base(RepositoryReport held, DateTimeOffset last) =>
        held.Good.Where(backup => backup.Ended <= last).MaxBy(backup => backup.Ended);
}
