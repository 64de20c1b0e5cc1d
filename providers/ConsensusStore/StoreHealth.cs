using System.Collections.Immutable;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore;

/// <summary>The health of a consensus store, combined from its members' answers.</summary>
/// <param name="Leader">The store's leader with a quorum; null for none, or if Patroni uses another store. PostgreSQL's primary may be
/// another member.</param>
/// <param name="Connected">How many partners the leader is connected to.</param>
/// <param name="Partners">How many partners it has.</param>
/// <param name="Outside">The members that answer but are not connected to the store's leader, in the order of their names.</param>
/// <param name="Mute">Those of them whose part of the store does not answer.</param>
/// <param name="Problems">The problems, a sentence each; empty for none, or if Patroni uses another store.</param>
public sealed record StoreHealth(
    string? Leader,
    int Connected,
    int Partners,
    ImmutableArray<string> Outside,
    ImmutableArray<string> Mute,
    ImmutableArray<HealthProblem> Problems
)
{
    /// <summary>What else the store says of itself, in a line, such as the size of its data; empty for nothing.</summary>
    public string Account { get; init; } = "";

    /// <summary>The addresses that count for a majority, and whether the leader is connected to each. Empty without a leader.</summary>
    public ImmutableSortedDictionary<string, bool> Counted { get; init; } =
        ImmutableSortedDictionary.Create<string, bool>(StringComparer.Ordinal);

    /// <summary>The same by the names of the hosts, where the store's members do not run inside Patroni; null where they do, and while that
    /// is not known.</summary>
    public ImmutableSortedDictionary<string, bool>? OwnMembers { get; init; }
}
