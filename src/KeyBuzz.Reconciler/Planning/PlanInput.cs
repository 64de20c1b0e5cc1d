using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>What the operator asked for, beyond cluster.yaml.</summary>
public sealed record PlanOptions
{
    /// <summary>Whether everything selected is to be taken down instead of made so.</summary>
    public bool Destroy { get; init; }

    /// <summary>Only these and what they need (for destroy: and what needs them); empty for all.</summary>
    public ImmutableArray<AddressPattern> Targets { get; init; } = [];

    /// <summary>Whether the targets are planned alone, without what they need.</summary>
    public bool TargetsOnly { get; init; }

    /// <summary>What may be taken over although it exists and differs.</summary>
    public ImmutableArray<AddressPattern> Adopt { get; init; } = [];

    /// <summary>What is taken down and made anew although it need not be.</summary>
    public ImmutableArray<Address> Replace { get; init; } = [];

    /// <summary>Whether resources that hold data are deleted and not only forgotten.</summary>
    public bool DeleteData { get; init; }

    /// <summary>With <see cref="Destroy"/>: whether what hosts held that cannot be reached is given up.</summary>
    public bool ForgetUnreachable { get; init; }

    /// <summary>Whether what exists and has no record is recorded as it is, and nothing else is done. What differs is then no error any
    /// more, but a change of the next plan.</summary>
    public bool Import { get; init; }

    /// <summary>Whether a resource may be taken over although it exists and differs.</summary>
    internal bool Adopts(Address address) => Adopt.Any(pattern => pattern.Matches(address));
}

/// <summary>Everything a plan is made of.</summary>
/// <param name="Graph">The desired resources, and the policies of groups.</param>
/// <param name="Records">What was last applied.</param>
/// <param name="Observations">What the hosts hold, for desired and recorded resources, and for groups with a policy; one that is missing is
/// unknown.</param>
/// <param name="HostErrors">Hosts that could not be read or may not be touched, with the reason.</param>
/// <param name="Options">What was asked.</param>
public sealed record PlanInput(
    ResourceGraph Graph,
    IReadOnlyDictionary<Address, ResourceRecord> Records,
    IReadOnlyDictionary<Address, Observation> Observations,
    ImmutableSortedDictionary<string, string> HostErrors,
    PlanOptions Options
)
{
    /// <summary>Records of a group that are not the same on every member: they are written again.</summary>
    public ImmutableHashSet<Address> UnevenRecords { get; init; } = [];

    /// <summary>Of the hosts with an error those that could not be reached at all.</summary>
    public ImmutableHashSet<string> Unreachable { get; init; } = [];

    /// <summary>The resources that got another name.</summary>
    public ImmutableArray<MovedRule> Moved { get; init; } = [];

    /// <summary>Hosts whose error has a finding of its own beside the plan, such as a precondition that does not hold.</summary>
    public ImmutableHashSet<string> ReportedHosts { get; init; } = [];

    /// <summary>What hosts that could not be read held when they last were, in words.</summary>
    public ImmutableDictionary<string, string> LastKnown { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>What the hosts hold of a resource or a group; unknown where it was not read.</summary>
    internal Observation Observe(Address address) => Observations.GetValueOrDefault(address) ?? new Observation.Unknown("it was not read");

    /// <summary>Whether what lies under a volume can be told.</summary>
    internal bool IsMounted(Address volume) => Observe(volume).ShowsContent;
}
