using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Planning;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Told what an apply does, as it does it; from several threads at once.</summary>
public interface IApplyProgress
{
    /// <summary>A change began.</summary>
    void Started(PlannedChange change);

    /// <summary>A change is done.</summary>
    void Done(PlannedChange change, TimeSpan elapsed);

    /// <summary>A change failed; the reason is already free of secrets.</summary>
    void Failed(PlannedChange change, TimeSpan elapsed, string reason);

    /// <summary>A change was not tried.</summary>
    void NotTried(PlannedChange change, string reason);
}

/// <summary>How an apply ended.</summary>
/// <param name="Done">What was done.</param>
/// <param name="Failed">What failed, and why.</param>
/// <param name="NotTried">What was not tried, and why.</param>
public sealed record ApplyResult(
    IReadOnlyList<PlannedChange> Done,
    IReadOnlyList<(PlannedChange Change, string Reason)> Failed,
    IReadOnlyList<(PlannedChange Change, string Reason)> NotTried
)
{
    /// <summary>Groups whose roll-out stopped, with the reason; the last gate, after the last member, included.</summary>
    public ImmutableSortedDictionary<string, string> StoppedRollouts { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Errors of the plan that was carried out: what they speak of was not planned.</summary>
    public ImmutableArray<Diagnostic> Errors { get; init; } = [];

    /// <summary>Whether everything that was approved was brought about.</summary>
    public bool Succeeded => Failed.Count == 0 && NotTried.Count == 0 && StoppedRollouts.IsEmpty;
}
