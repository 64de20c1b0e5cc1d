using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>What the repositories hold of a cluster, as one member sees them.</summary>
/// <param name="Trouble">Why the tool could not be asked; null where it was.</param>
/// <param name="IsSetUp">Whether the tool and its configuration are on the member.</param>
/// <param name="Repositories">The repositories by their number, from 1.</param>
public sealed record BackupReport(string? Trouble, bool IsSetUp, ImmutableSortedDictionary<long, RepositoryReport> Repositories)
{
    /// <summary>The kind of the trouble.</summary>
    public RepositoryFault Fault { get; init; }

    /// <summary>The backup that this member takes now; null for none.</summary>
    public BackupProgress? Running { get; init; }

    /// <summary>Why a repository is not ready for a cluster, as this member sees it; null where it is.</summary>
    /// <param name="number">The repository's number.</param>
    /// <param name="identifier">The system identifier of the cluster.</param>
    /// <param name="tool">The tool's name.</param>
    public string? TroubleOf(long number, string identifier, string tool) =>
        Trouble
        ?? (
            Repositories.GetValueOrDefault(number) is not { } repository
                ? $"not in the configuration of {tool}"
                : repository.State switch
                {
                    RepositoryState.Unreadable => repository.Message,
                    RepositoryState.Missing => "not prepared for this cluster",
                    _ when repository.SystemIdentifier is { } other && other != identifier =>
                        $"prepared for another database (system identifier {other}, this cluster's is {identifier})",
                    _ => null,
                }
        );

    /// <summary>The kind of what <see cref="TroubleOf"/> says; what it is without trouble means nothing.</summary>
    /// <param name="number">The repository's number.</param>
    public RepositoryFault FaultOf(long number) =>
        Trouble is not null
            ? Fault
            : Repositories.GetValueOrDefault(number) switch
            {
                { State: RepositoryState.Unreadable } repository => repository.Fault,
                { State: RepositoryState.Missing } => RepositoryFault.NotPrepared,
                { State: RepositoryState.Ready } => RepositoryFault.OtherDatabase,
                _ => RepositoryFault.Other,
            };
}

/// <summary>How far a backup is.</summary>
/// <param name="Done">The bytes of the database that are copied; null while it begins or ends.</param>
/// <param name="Size">The bytes of the database; null where it is not known yet.</param>
public sealed record BackupProgress(long? Done, long? Size);

/// <summary>What a repository holds of a cluster.</summary>
/// <param name="State">Whether it is ready for the cluster.</param>
/// <param name="Message">The tool's own words on the state.</param>
/// <param name="SystemIdentifier">The system identifier of the database that it was last prepared for; null for none.</param>
public sealed record RepositoryReport(RepositoryState State, string Message, string? SystemIdentifier)
{
    /// <summary>Its backups of the database that archives now, the oldest first.</summary>
    public ImmutableArray<StoredBackup> Backups { get; init; } = [];

    /// <summary>The tool's name of the WAL archive of that database; null for none.</summary>
    public string? ArchiveId { get; init; }

    /// <summary>The first WAL segment that it holds; null for none.</summary>
    public string? FirstWal { get; init; }

    /// <summary>The last WAL segment that it holds; null for none.</summary>
    public string? LastWal { get; init; }

    /// <summary>The kind of fault, where it is not readable.</summary>
    public RepositoryFault Fault { get; init; }

    /// <summary>How it is encrypted.</summary>
    public string? Cipher { get; init; }

    /// <summary>The backups that can be restored.</summary>
    public IEnumerable<StoredBackup> Good => Backups.Where(backup => !backup.HasErrors);
}

/// <summary>Whether a repository is ready for a cluster.</summary>
public enum RepositoryState
{
    /// <summary>WAL can be archived to it.</summary>
    Ready,

    /// <summary>It knows nothing of the cluster.</summary>
    Missing,

    /// <summary>It does not answer, or its content cannot be read.</summary>
    Unreadable,
}
