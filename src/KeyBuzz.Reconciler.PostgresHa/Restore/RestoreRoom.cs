using System.Collections.Immutable;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Backup.Restore;

namespace KeyBuzz.Reconciler.PostgresHa.Restore;

/// <summary>The room that a second database takes on a member. Pure.</summary>
public static class RestoreRoom
{
    /// <summary>The bytes that WAL and a server need beside a database.</summary>
    public const long Spare = 1L << 30;

    /// <summary>The bytes of the largest database of a backup that a restore can begin with, or that the database may have grown to by its
    /// target: the first backup after that says. 0 where none is known.</summary>
    /// <param name="report">What the repositories hold; null where no member can say.</param>
    /// <param name="target">The point; null for any.</param>
    public static long LargestBackup(BackupReport? report, RestoreTarget? target)
    {
        var held = report?.Repositories.Values.ToList() ?? [];
        var newest = held.Select(one => TimelineHistory.Of(one.LastWal) ?? 0).DefaultIfEmpty(0).Max();
        return held.SelectMany(one => Met([.. one.Good.OrderBy(backup => backup.Ended)], target, newest))
            .Select(backup => backup.DatabaseSize)
            .DefaultIfEmpty(0)
            .Max();
    }

    // The last backup before the target, unless it is of a database that a restore has replaced: only one of the newest timeline is known
    // not to be.
    private static IEnumerable<StoredBackup> Met(List<StoredBackup> good, RestoreTarget? target, long newest)
    {
        if (target is null)
        {
            return good;
        }

        var last = good.FindLastIndex(backup => IsBefore(backup, target));
        var first = good.FindLastIndex(backup => IsBefore(backup, target) && (TimelineHistory.Of(backup.LastWal) ?? newest) == newest);
        return last < 0 ? [] : good.Take(last + 2).Skip(Math.Max(first, 0));
    }

    private static bool IsBefore(StoredBackup backup, RestoreTarget target) =>
        target.Kind switch
        {
            RestoreTargetKind.Time => backup.Ended < target.Time,
            RestoreTargetKind.Lsn => TimelineHistory.Position(backup.StopLsn) is not { } stop
                || stop <= TimelineHistory.Position(target.Value),
            _ => true,
        };

    /// <summary>The bytes that a restore needs free on each member. The database may have been larger at its point than it is
    /// now.</summary>
    /// <param name="sizes">The bytes of each member's database, and of what is free beside it.</param>
    /// <param name="report">What the repositories hold; null where no member can say.</param>
    /// <param name="target">Its point.</param>
    public static long Needed(IReadOnlyDictionary<string, (long Used, long Free)> sizes, BackupReport? report, RestoreTarget target)
    {
        ArgumentNullException.ThrowIfNull(sizes);
        return Math.Max(sizes.Values.Select(size => size.Used).DefaultIfEmpty(0).Max(), LargestBackup(report, target)) + Spare;
    }

    /// <summary>The members without that room: the one that the database is restored on, and those that keep a former database beside
    /// their copy of it.</summary>
    /// <param name="journal">The restore.</param>
    /// <param name="sizes">The bytes of each member's database, and of what is free beside it.</param>
    /// <param name="needed">The bytes that it needs.</param>
    public static ImmutableArray<string> MembersWithout(
        RestoreJournal journal,
        IReadOnlyDictionary<string, (long Used, long Free)> sizes,
        long needed
    )
    {
        ArgumentNullException.ThrowIfNull(journal);
        ArgumentNullException.ThrowIfNull(sizes);
        return
        [
            .. sizes
                .Where(one => one.Value.Free < needed)
                .Where(one => one.Key == journal.Member || (!journal.IsCopy && one.Value.Used > 0))
                .Select(one => one.Key)
                .Order(StringComparer.Ordinal),
        ];
    }
}
