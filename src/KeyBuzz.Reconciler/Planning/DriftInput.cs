using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>The inputs of drift detection.</summary>
/// <param name="Records">What was last applied.</param>
/// <param name="Observe">What the hosts hold of a resource as <see cref="DriftFinder.Applied(ResourceRecord)"/> hands it out; null when
/// it was not read.</param>
/// <param name="HostErrors">Hosts that could not be read, with the reason.</param>
/// <param name="Hosts">The hosts that were looked at.</param>
/// <param name="Targets">Only these; empty for all.</param>
/// <param name="Ignored">What is shown and not counted.</param>
public sealed record DriftInput(
    IReadOnlyDictionary<Address, ResourceRecord> Records,
    Func<Resource, Observation?> Observe,
    ImmutableSortedDictionary<string, string> HostErrors,
    ImmutableArray<string> Hosts,
    ImmutableArray<AddressPattern> Targets,
    ImmutableArray<IgnoreRule> Ignored
)
{
    /// <summary>How the members of a group as <see cref="DriftFinder.Applied(GroupPolicy, IEnumerable{ResourceRecord})"/> hands it out were
    /// found; null when none was read.</summary>
    public Func<GroupPolicy, Observation?> ObserveGroup { get; init; } = _ => null;

    /// <summary>Whether a resource or a group is looked at.</summary>
    internal bool IsTarget(Address address) => Targets.IsEmpty || Targets.Any(target => target.Matches(address));

    /// <summary>The rule that ignores an attribute, or a resource as a whole; null for none.</summary>
    internal IgnoreRule? Ignoring(Address address, string? attribute) =>
        Ignored.FirstOrDefault(rule => rule.Address.Matches(address) && rule.Covers(attribute));
}
