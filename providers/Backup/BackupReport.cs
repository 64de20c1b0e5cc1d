using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>What the repositories hold of a cluster, as one member sees them.</summary>
/// <param name="Trouble">Why the tool could not be asked; null where it was.</param>
/// <param name="IsSetUp">Whether the tool and its configuration are on the member.</param>
/// <param name="Repositories">The repositories by their number, from 1.</param>
public sealed record BackupReport(string? Trouble, bool IsSetUp, ImmutableSortedDictionary<long, RepositoryReport> Repositories);

/// <summary>What a repository holds of a cluster.</summary>
/// <param name="State">Whether it is ready for the cluster.</param>
/// <param name="Message">The tool's own words on the state.</param>
/// <param name="SystemIdentifier">The system identifier of the database that it was last prepared for; null for none.</param>
public sealed record RepositoryReport(RepositoryState State, string Message, string? SystemIdentifier);

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
