using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Told what an apply does, as it does it; from several threads at once.</summary>
public interface IApplyProgress
{
    /// <summary>The apply begins.</summary>
    /// <param name="steps">How many steps will be done, fail or be skipped.</param>
    void Begins(int steps);

    /// <summary>A step began.</summary>
    void Started(IPlannedStep step);

    /// <summary>A step is done.</summary>
    void Done(IPlannedStep step, TimeSpan elapsed);

    /// <summary>A step failed; the reason is already free of secrets.</summary>
    void Failed(IPlannedStep step, TimeSpan elapsed, string reason);

    /// <summary>A step was skipped.</summary>
    void Skipped(IPlannedStep step, string reason);

    /// <summary>A step is left for the next maintenance window.</summary>
    void Left(IPlannedStep step, string reason);

    /// <summary>A step of a roll-out began, or of a change that restarts members by itself.</summary>
    void RolloutStepBegan(RolloutPosition position);

    /// <summary>A roll-out, a group that is brought to health, or a change of a group waits. Told again while it waits, also with another
    /// condition.</summary>
    /// <param name="address">The group, or the changed resource.</param>
    /// <param name="condition">The awaited condition.</param>
    void Waiting(Address address, string condition);

    /// <summary>The last step of a roll-out has ended, and it waits for nothing.</summary>
    /// <param name="address">The group.</param>
    void RolloutEnded(Address address);
}

/// <summary>Where a roll-out is.</summary>
/// <param name="Address">The group, or the resource whose change it is.</param>
/// <param name="Number">The number of the step, from 1.</param>
/// <param name="Total">How many steps there are by the plan's forecast; never less than the number.</param>
/// <param name="Step">The step.</param>
public sealed record RolloutPosition(Address Address, int Number, int Total, RolloutStep Step);

/// <summary>How an apply ended.</summary>
/// <param name="Done">The finished changes.</param>
/// <param name="Failed">The failed steps, each with its reason.</param>
/// <param name="Skipped">The skipped steps, each with its reason.</param>
public sealed record ApplyResult(
    IReadOnlyList<PlannedChange> Done,
    IReadOnlyList<(IPlannedStep Step, string Reason)> Failed,
    IReadOnlyList<(IPlannedStep Step, string Reason)> Skipped
)
{
    /// <summary>The steps that wait for a maintenance window, each with the reason: neither failed nor skipped.</summary>
    public IReadOnlyList<(IPlannedStep Step, string Reason)> Left { get; init; } = [];

    /// <summary>Those of <see cref="Left"/> that had begun: a part of them is made.</summary>
    public IReadOnlyList<IPlannedStep> LeftHalfway { get; init; } = [];

    /// <summary>The groups that were brought to health.</summary>
    public IReadOnlyList<PlannedGroup> BroughtToHealth { get; init; } = [];

    /// <summary>Groups whose roll-out stopped, with the reason; the last gate, after the last member, included.</summary>
    public ImmutableSortedDictionary<string, string> StoppedRollouts { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Errors of the applied plan: their resources were not planned.</summary>
    public ImmutableArray<Diagnostic> Errors { get; init; } = [];

    /// <summary>What did not work beside the changes.</summary>
    public ImmutableArray<Diagnostic> Warnings { get; init; } = [];

    /// <summary>Whether every approved change was applied that does not wait for a maintenance window.</summary>
    public bool Succeeded => Failed.Count == 0 && Skipped.Count == 0 && StoppedRollouts.IsEmpty;
}
