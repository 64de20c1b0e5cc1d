namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>How much of a database a backup copies.</summary>
public enum BackupKind
{
    /// <summary>All of it.</summary>
    Full,

    /// <summary>What changed since the last full one.</summary>
    Differential,

    /// <summary>What changed since the last one.</summary>
    Incremental,
}

/// <summary>The words of <see cref="BackupKind"/>.</summary>
public static class BackupKinds
{
    /// <summary>All kinds.</summary>
    public static IReadOnlyList<BackupKind> All { get; } = [BackupKind.Full, BackupKind.Differential, BackupKind.Incremental];

    /// <summary>The word for a kind.</summary>
    public static string Word(this BackupKind kind) =>
        kind switch
        {
            BackupKind.Full => "full",
            BackupKind.Differential => "differential",
            _ => "incremental",
        };

    /// <summary>The kinds that serve in its place: itself, and those that copy more.</summary>
    public static IEnumerable<BackupKind> Serving(this BackupKind kind) => All.Where(one => one <= kind);
}

/// <summary>A backup in a repository.</summary>
/// <param name="Label">The tool's name of it.</param>
/// <param name="Kind">How much it copied.</param>
/// <param name="Begun">When it began, UTC.</param>
/// <param name="Ended">When it ended; a restore can go to any time from then on, as far as WAL follows.</param>
/// <param name="DatabaseSize">The bytes of the database.</param>
/// <param name="RepositorySize">The bytes that it added to the repository.</param>
public sealed record StoredBackup(
    string Label,
    BackupKind Kind,
    DateTimeOffset Begun,
    DateTimeOffset Ended,
    long DatabaseSize,
    long RepositorySize
)
{
    /// <summary>Where its WAL begins.</summary>
    public string? StartLsn { get; init; }

    /// <summary>Where its WAL ends.</summary>
    public string? StopLsn { get; init; }

    /// <summary>The first WAL segment that a restore of it needs.</summary>
    public string? FirstWal { get; init; }

    /// <summary>The last WAL segment without which it is not consistent.</summary>
    public string? LastWal { get; init; }

    /// <summary>Whether the tool found damaged pages while it copied.</summary>
    public bool HasErrors { get; init; }

    /// <summary>The label of the backup that it builds on; null for a full one.</summary>
    public string? Prior { get; init; }
}
