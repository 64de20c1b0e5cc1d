using System.Collections.Immutable;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Backup.Restore;

namespace KeyBuzz.Reconciler.PostgresHa.Restore;

/// <summary>The room that a second database takes on a member. Pure.</summary>
public static class RestoreRoom
{
    /// <summary>The bytes that WAL and a server need beside a database.</summary>
    public const long Spare = 1L << 30;

    /// <summary>The bytes of the largest database of a backup that can be restored; 0 where none is known.</summary>
    /// <param name="report">What the repositories hold; null where no member can say.</param>
    public static long LargestBackup(BackupReport? report) =>
        report?.Repositories.Values.SelectMany(held => held.Good).Select(backup => backup.DatabaseSize).DefaultIfEmpty(0).Max() ?? 0;

    /// <summary>The bytes that a restore needs free on each member. The database may have been larger at its point than it is
    /// now.</summary>
    /// <param name="sizes">The bytes of each member's database, and of what is free beside it.</param>
    /// <param name="report">What the repositories hold; null where no member can say.</param>
    public static long Needed(IReadOnlyDictionary<string, (long Used, long Free)> sizes, BackupReport? report)
    {
        ArgumentNullException.ThrowIfNull(sizes);
        return Math.Max(sizes.Values.Select(size => size.Used).DefaultIfEmpty(0).Max(), LargestBackup(report)) + Spare;
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
