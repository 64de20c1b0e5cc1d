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

    /// <summary>A change was skipped.</summary>
    void Skipped(PlannedChange change, string reason);
}

/// <summary>How an apply ended.</summary>
/// <param name="Done">The finished changes.</param>
/// <param name="Failed">The failed changes, each with its reason.</param>
/// <param name="Skipped">The skipped changes, each with its reason.</param>
public sealed record ApplyResult(
    IReadOnlyList<PlannedChange> Done,
    IReadOnlyList<(PlannedChange Change, string Reason)> Failed,
    IReadOnlyList<(PlannedChange Change, string Reason)> Skipped
)
{
    /// <summary>Groups whose roll-out stopped, with the reason; the last gate, after the last member, included.</summary>
    public ImmutableSortedDictionary<string, string> StoppedRollouts { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Errors of the applied plan: their resources were not planned.</summary>
    public ImmutableArray<Diagnostic> Errors { get; init; } = [];

    /// <summary>Whether every approved change was applied.</summary>
    public bool Succeeded => Failed.Count == 0 && Skipped.Count == 0 && StoppedRollouts.IsEmpty;
}
