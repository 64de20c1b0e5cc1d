using System.Collections.Immutable;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>An approved change that is still to be made and that the plan under the locks does not make.</summary>
/// <param name="Change">The change as it was approved.</param>
/// <param name="Reason">Why it is not made, with the host.</param>
public sealed record DroppedChange(PlannedChange Change, string Reason);

/// <summary>Compares the approved plan with the one that is carried out. Pure.</summary>
public static class DroppedChanges
{
    /// <summary>The approved changes that would be neither applied nor reported: their host was lost, or they can no longer be planned. A
    /// change that is already in effect on a host that answers does not count.</summary>
    /// <param name="approved">The plan that the operator approved.</param>
    /// <param name="current">The plan made under the locks.</param>
    /// <param name="placesOf">The hosts that hold a resource.</param>
    public static ImmutableArray<DroppedChange> Between(Plan approved, Plan current, Func<Address, IEnumerable<string>> placesOf)
    {
        ArgumentNullException.ThrowIfNull(approved);
        ArgumentNullException.ThrowIfNull(current);
        ArgumentNullException.ThrowIfNull(placesOf);
        var now = current.Changes.ToDictionary(change => change.Address);
        var blocked = current.Blocked.ToDictionary(one => one.Address, one => one.Reason);
        return
        [
            .. from change in approved.Effective
            let reason = now.TryGetValue(change.Address, out var planned) ? ReasonOfLess(change, planned)
            : blocked.TryGetValue(change.Address, out var why) ? why
            : ReasonUnseen(current, [.. placesOf(change.Address)])
            where reason is not null
            select new DroppedChange(change, reason),
        ];
    }

    // Forgetting is less than deleting, unless the resource is gone.
    private static string? ReasonOfLess(PlannedChange approved, PlannedChange planned) =>
        approved.Action == ResourceAction.Delete && planned is { Action: ResourceAction.Forget, Cause: not Cause.AlreadyGone }
            ? planned.Note ?? "it would now only be removed from the records"
            : null;

    // A change that the new plan does not contain is already done, if a host with its record was read.
    private static string? ReasonUnseen(Plan current, ImmutableArray<string> places) =>
        places.IsEmpty ? "no host with its record could be read after the locks were taken"
        : places.All(current.HostErrors.ContainsKey)
            ? $"{places[0]} became unreachable after the locks were taken: {current.HostErrors[places[0]]}"
        : null;
}
