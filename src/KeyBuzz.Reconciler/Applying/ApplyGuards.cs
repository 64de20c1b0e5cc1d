using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Planning;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Compares the plan made under the locks with the approved one, and refuses to begin where the operator has to decide again.
/// Pure.</summary>
internal static class ApplyGuards
{
    /// <summary>Throws <see cref="DiagnosticException"/> where an approved removal is no longer possible: the operator decides about
    /// resources on a lost host, before anything else is removed.</summary>
    public static void RefuseDroppedRemovals(Plan current, ImmutableArray<DroppedChange> dropped)
    {
        if (dropped.FirstOrDefault(one => one.Change.Action is ResourceAction.Delete or ResourceAction.Forget) is { } first)
        {
            throw new DiagnosticException([
                Diagnostic.Error(
                    $"nothing was changed: {first.Change.Address} can no longer be removed",
                    detail: first.Reason,
                    remedy: "review the new plan",
                    host: first.Change.Address.Host,
                    address: first.Change.Address.ToString()
                ),
                .. current.Errors,
            ]);
        }
    }

    /// <summary>Throws <see cref="DiagnosticException"/> where the plan works on a host that answers and was not locked.</summary>
    /// <param name="current">The plan made under the locks.</param>
    /// <param name="places">Where its steps work.</param>
    /// <param name="isUnlocked">Whether a host answers and is not locked.</param>
    public static void RefuseUnlocked(Plan current, Placement places, Func<string, bool> isUnlocked)
    {
        var unlocked = places.StepsOn(current, isUnlocked).ToList();
        if (unlocked.Count > 0)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    "a host without planned changes has changed since the plan was shown; nothing was applied",
                    detail: "changed since: " + string.Join(", ", unlocked),
                    remedy: "review the new plan and apply it"
                )
            );
        }
    }
}
