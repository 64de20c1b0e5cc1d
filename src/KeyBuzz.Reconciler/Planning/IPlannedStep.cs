using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>One step of an apply: a <see cref="PlannedChange"/> of a resource, or a <see cref="PlannedGroup"/>.</summary>
public interface IPlannedStep
{
    /// <summary>The resource or the group.</summary>
    Address Address { get; }

    /// <summary>The steps that go first.</summary>
    ImmutableArray<Address> DependsOn { get; }
}
