using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Whether a disruptive step of this run may begin now. Once it was closed it stays so until the run ends: no step goes on a part
/// of which was left for later.</summary>
/// <param name="window">What waits for a maintenance window; null for a run without one.</param>
/// <param name="time">The clock.</param>
internal sealed class DisruptionGate(WindowOutlook? window, TimeProvider time)
{
    private volatile string? _closed;

    /// <summary>Why it may not; null where it may.</summary>
    public string? ClosedBecause => window is null ? null : _closed ??= window.Windows.ClosedBecause(time.GetUtcNow());

    /// <summary>Whether a change waits while it is closed.</summary>
    public bool Holds(Address change) => window?.Disruptive.Contains(change) == true;
}
