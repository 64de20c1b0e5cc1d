using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>An attribute that differs.</summary>
/// <param name="Name">The attribute.</param>
/// <param name="Before">What the host holds; null for nothing.</param>
/// <param name="After">What it will hold; null for nothing.</param>
/// <param name="Cause">Why they differ.</param>
/// <param name="Effect">What changing it costs.</param>
public sealed record AttributeDifference(string Name, AttributeValue? Before, AttributeValue? After, Cause Cause, ChangeEffect Effect);

/// <summary>The planned action of one resource.</summary>
/// <param name="Address">The resource.</param>
/// <param name="Action">What is done.</param>
/// <param name="Cause">Why.</param>
/// <param name="Resource">The resource as desired; for delete and forget, as recorded.</param>
/// <param name="Differences">What differs, by attribute.</param>
/// <param name="DependsOn">The changes that go first.</param>
public sealed record PlannedChange(
    Address Address,
    ResourceAction Action,
    Cause Cause,
    Resource Resource,
    ImmutableArray<AttributeDifference> Differences,
    ImmutableArray<Address> DependsOn
) : IPlannedStep
{
    /// <summary>The record to be written with the change; null when it is removed.</summary>
    public ResourceRecord? Record { get; init; }

    /// <summary>The record to be written before the change is begun, by which what the change sets is known as kbr's even if it is cut off
    /// or fails; null where the pending record of a creation says so, or the change and its record are one script.</summary>
    public ResourceRecord? Intent { get; init; }

    /// <summary>Whether what is changed was not made by kbr, also where kbr makes it anew.</summary>
    public bool Adopts { get; init; }

    /// <summary>For a replace that puts the resource elsewhere (another path, another name): what was there before and is removed
    /// first.</summary>
    public Resource? Former { get; init; }

    /// <summary>The address that it was recorded under until now, or null: that record goes with the change.</summary>
    public Address? MovedFrom { get; init; }

    /// <summary>For what is taken down or given up: where it is on the host, or what it is called there. Null for the others.</summary>
    public string? Place { get; init; }

    /// <summary>Something the operator should know, or null.</summary>
    public string? Note { get; init; }

    /// <summary>Whether data is deleted with it.</summary>
    public bool DeleteData { get; init; }

    /// <summary>The quorum group that a member is disrupted of by this change, or null.</summary>
    public string? Disrupts { get; init; }

    /// <summary>The later change of this plan that replaces the process which loads the resource, or null: it loads it then.</summary>
    public Address? ReplacedProcess { get; init; }

    /// <summary>The volume it lies under is not mounted: its state is unknown until then, and is checked again.</summary>
    public bool Deferred { get; init; }

    /// <summary>Whether the resource has no record, and the plan could not see whether it exists: the apply looks before it creates
    /// it.</summary>
    public bool Unseen { get; init; }
}

/// <summary>A resource for which nothing could be planned.</summary>
/// <param name="Address">The resource.</param>
/// <param name="Reason">Why.</param>
public sealed record BlockedResource(Address Address, string Reason);

/// <summary>The differences, and the planned actions.</summary>
/// <param name="Changes">One per resource looked at, no-ops included, dependencies first.</param>
/// <param name="Blocked">Resources that could not be planned.</param>
/// <param name="Diagnostics">What was found.</param>
public sealed record Plan(
    ImmutableArray<PlannedChange> Changes,
    ImmutableArray<BlockedResource> Blocked,
    ImmutableArray<Diagnostic> Diagnostics
)
{
    /// <summary>The groups that it looks at or disrupts, each after those that it comes after.</summary>
    public ImmutableArray<PlannedGroup> Groups { get; init; } = [];

    /// <summary>How changes that restart members by themselves would go now. The roll-outs of groups are in <see cref="Groups"/>.</summary>
    public ImmutableArray<RolloutForecast> Rollouts { get; init; } = [];

    /// <summary>Which steps need a maintenance window; null where none was asked for.</summary>
    public WindowOutlook? Window { get; init; }

    /// <summary>What was asked for.</summary>
    public PlanOptions Options { get; init; } = new();

    /// <summary>Hosts that could not be read or may not be touched, with the reason.</summary>
    public ImmutableSortedDictionary<string, string> HostErrors { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>The errors that were found.</summary>
    public IEnumerable<Diagnostic> Errors => Diagnostics.Where(diagnostic => diagnostic.Severity == Severity.Error);

    /// <summary>The changes that do something, records included.</summary>
    public IEnumerable<PlannedChange> Effective => Changes.Where(change => change.Action != ResourceAction.NoOp);

    /// <summary>The groups that are brought to health.</summary>
    public IEnumerable<PlannedGroup> BroughtToHealth => Groups.Where(group => group.BringsToHealth);

    /// <summary>Whether an apply of it would do anything, records included.</summary>
    public bool DoesAnything => Effective.Any() || BroughtToHealth.Any();

    /// <summary>Whether the hosts are as wanted, as far as they were looked at: nothing is to do, and nothing could not be told.</summary>
    public bool IsSettled => !DoesAnything && Blocked.IsEmpty && !HasErrors && !Changes.Any(change => change.Deferred);

    /// <summary>Whether anything counts as a change.</summary>
    public bool HasChanges => Changes.Any(change => change.Action.Counts()) || BroughtToHealth.Any();

    /// <summary>Whether an error was found.</summary>
    public bool HasErrors => Errors.Any();

    /// <summary>How many changes have that action.</summary>
    public int Count(ResourceAction action) => Changes.Count(change => change.Action == action);

    /// <summary>Whether the effect is the same: addresses, actions, and the values before and after.</summary>
    public bool DoesTheSameAs(Plan other) =>
        Effective.Select(Essence).SequenceEqual(other.Effective.Select(Essence))
        && BroughtToHealth.Select(Essence).SequenceEqual(other.BroughtToHealth.Select(Essence));

    private static string Essence(PlannedChange change) =>
        $"{change.Address}|{change.Action}|{change.MovedFrom}|{change.Place}|{Essence(change.Differences)}";

    private static string Essence(PlannedGroup group) => $"{group.Address}|{Essence(group.Differences)}";

    private static string Essence(ImmutableArray<AttributeDifference> differences) =>
        string.Join('|', differences.Select(one => $"{one.Name}\0{one.Before?.Value}\0{one.After?.Value}"));
}
