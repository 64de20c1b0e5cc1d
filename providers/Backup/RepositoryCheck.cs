using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>What a look at all that a repository holds has found.</summary>
/// <param name="Backups">How many backups were read.</param>
/// <param name="Segments">How many WAL segments are there.</param>
/// <param name="Problems">What is damaged or missing; none where all is well.</param>
/// <param name="Trouble">Why it could not be checked; null where it was.</param>
public sealed record RepositoryCheck(int Backups, int Segments, ImmutableArray<string> Problems, string? Trouble);
