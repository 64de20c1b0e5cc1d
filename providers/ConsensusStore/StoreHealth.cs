using System.Collections.Immutable;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore;

/// <summary>A consensus store's own account of itself.</summary>
/// <param name="Leader">The member that leads the store with a quorum; null when none does, or Patroni uses another store. PostgreSQL's
/// primary need not be the same.</param>
/// <param name="Connected">How many partners the leader is connected to.</param>
/// <param name="Partners">How many partners it has.</param>
/// <param name="Outside">The members that answered and do not take part, in the order of their names.</param>
/// <param name="Mute">Those of them whose part of the store does not answer.</param>
/// <param name="Problems">Why it is not whole; empty when it is, or Patroni uses another store.</param>
public sealed record StoreHealth(
    string? Leader,
    int Connected,
    int Partners,
    ImmutableArray<string> Outside,
    ImmutableArray<string> Mute,
    ImmutableArray<HealthProblem> Problems
)
{
    /// <summary>The members that count for a majority, by address, and whether the leader is connected to each. Empty when that is not
    /// known.</summary>
    public ImmutableSortedDictionary<string, bool> Counted { get; init; } =
        ImmutableSortedDictionary.Create<string, bool>(StringComparer.Ordinal);
}
