using System.Globalization;
using KeyBuzz.Reconciler.Providers.Backup;

namespace KeyBuzz.Reconciler.PostgresHa.Backups;

/// <summary>The times that a restore can go to, provided that no segment between them is missing, which <c>kbr backups check</c>
/// sees.</summary>
/// <param name="From">The first second, UTC.</param>
/// <param name="Ago">How long ago the last segment was archived; null where the primary does not know.</param>
/// <param name="LastWal">The last segment in the repository; null where it holds none.</param>
public sealed record RestorableWindow(DateTimeOffset From, TimeSpan? Ago, string? LastWal)
{
    // The tool rounds the end of a backup to a second, and takes a backup for a time only where it ended before.
    private static readonly TimeSpan s_afterBackup = TimeSpan.FromSeconds(2);

    /// <summary>In words.</summary>
    public string InWords =>
        $"restorable to any second from {BackupWords.Time(From)} to "
        + (
            Ago is { } ago ? $"{BackupWords.Age(ago)} ago"
            : LastWal is null ? "the end of the last backup"
            : $"the end of segment {LastWal}"
        );

    /// <summary>Of a repository; null where it has no backup.</summary>
    public static RestorableWindow? Of(RepositoryReport repository, ArchivedWal archived)
    {
        ArgumentNullException.ThrowIfNull(repository);
        ArgumentNullException.ThrowIfNull(archived);
        return repository.Good.MinBy(backup => backup.Ended) is { } first
            ? new RestorableWindow(first.Ended + s_afterBackup, archived.Ago, repository.LastWal)
            : null;
    }
}
