using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Surveying;

/// <summary>What all hosts were found to hold at one time.</summary>
/// <param name="Records">What was last applied.</param>
/// <param name="Observations">What is there, for desired and recorded resources, and for groups with a policy.</param>
/// <param name="HostErrors">Hosts that could not be read or may not be touched, with the reason.</param>
/// <param name="Diagnostics">Preconditions that do not hold, and records that could not be read.</param>
public sealed record Survey(
    IReadOnlyDictionary<Address, ResourceRecord> Records,
    IReadOnlyDictionary<Address, Observation> Observations,
    ImmutableSortedDictionary<string, string> HostErrors,
    ImmutableArray<Diagnostic> Diagnostics
)
{
    /// <summary>Records that are to be written again: those of a group that are not the same on every member that could be read, and one of
    /// a directory that is open to others.</summary>
    public ImmutableHashSet<Address> UnevenRecords { get; init; } = [];

    /// <summary>The hosts that each group's records were found on, also of groups that the configuration has no more.</summary>
    public IReadOnlyDictionary<string, ImmutableArray<string>> RecordedGroups { get; init; } =
        new Dictionary<string, ImmutableArray<string>>();

    /// <summary>Hosts that could not be read at all.</summary>
    public ImmutableHashSet<string> Unreachable { get; init; } = [];

    /// <summary>Files of records that say nothing any more, by host, with the copies of a group's records that a former member still has;
    /// the next apply that locks the host removes them.</summary>
    public IReadOnlyDictionary<string, ImmutableArray<string>> ObsoleteRecords { get; init; } =
        new Dictionary<string, ImmutableArray<string>>();

    /// <summary>The hosts whose records were all read.</summary>
    public ImmutableHashSet<string> RecordsRead { get; init; } = [];

    /// <summary>The serial of a group's record; 0 when it has none.</summary>
    public long SerialOf(Address address) => Records.GetValueOrDefault(address)?.Serial ?? 0;

    /// <summary>What the answers of the hosts say of a resource that was read, or is like one that was but for its secrets; null when no
    /// host that could say so was read. Only a survey of what was applied keeps the answers; of another one it is always null.</summary>
    public Func<Resource, Observation?> Observe { get; init; } = _ => null;

    /// <summary>The same of a group with a policy.</summary>
    public Func<GroupPolicy, Observation?> ObserveGroup { get; init; } = _ => null;
}
