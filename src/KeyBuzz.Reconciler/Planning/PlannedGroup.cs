using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>What a plan says of a group with a policy. It has no record: nothing of it is created, adopted or deleted.</summary>
/// <param name="Policy">The policy.</param>
/// <param name="DependsOn">The steps that go first.</param>
public sealed record PlannedGroup(GroupPolicy Policy, ImmutableArray<Address> DependsOn) : IPlannedStep
{
    /// <summary>The word of <see cref="BringsToHealth"/> in JSON output, where a change has its action.</summary>
    public const string Word = "bring_to_health";

    /// <inheritdoc />
    public Address Address => Policy.Address;

    /// <summary>Whether the plan looks at its health; otherwise it is there for the members that the plan disrupts.</summary>
    public bool IsSelected { get; init; } = true;

    /// <summary>Why the group is brought to health; null when it is healthy.</summary>
    public Cause? Cause { get; init; }

    /// <summary>Whether the apply brings the group to health: what comes after the group waits for that.</summary>
    public bool BringsToHealth => Cause is not null;

    /// <summary>Members on which its policy has work before anything else changes.</summary>
    public ImmutableSortedSet<string> Ahead { get; init; } = [];

    /// <summary>How the group differs from a healthy one.</summary>
    public ImmutableArray<AttributeDifference> Differences { get; init; } = [];

    /// <summary>Something the operator should know, or null.</summary>
    public string? Note { get; init; }

    /// <summary>The steps in which the plan disrupts members, as of now; null when it disrupts no serving one.</summary>
    public RolloutForecast? Rollout { get; init; }

    /// <summary>Whether there is anything to say of it.</summary>
    public bool IsShown => BringsToHealth || Rollout is not null;
}
