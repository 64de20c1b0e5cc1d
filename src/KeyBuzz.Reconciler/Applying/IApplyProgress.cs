using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Planning;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Told what an apply does, as it does it; from several threads at once.</summary>
public interface IApplyProgress
{
    /// <summary>A step began.</summary>
    void Started(IPlannedStep step);

    /// <summary>A step is done.</summary>
    void Done(IPlannedStep step, TimeSpan elapsed);

    /// <summary>A step failed; the reason is already free of secrets.</summary>
    void Failed(IPlannedStep step, TimeSpan elapsed, string reason);

    /// <summary>A step was skipped.</summary>
    void Skipped(IPlannedStep step, string reason);
}

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
    /// <summary>The groups that were brought to health.</summary>
    public IReadOnlyList<PlannedGroup> BroughtToHealth { get; init; } = [];

    /// <summary>Groups whose roll-out stopped, with the reason; the last gate, after the last member, included.</summary>
    public ImmutableSortedDictionary<string, string> StoppedRollouts { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Errors of the applied plan: their resources were not planned.</summary>
    public ImmutableArray<Diagnostic> Errors { get; init; } = [];

    /// <summary>Whether every approved change was applied.</summary>
    public bool Succeeded => Failed.Count == 0 && Skipped.Count == 0 && StoppedRollouts.IsEmpty;
}
