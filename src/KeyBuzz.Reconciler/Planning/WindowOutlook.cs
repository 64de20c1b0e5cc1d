using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Which steps of a plan need a maintenance window, and whether one is open. Pure: the one place that says which step is
/// disruptive. It is shown, and nothing that plans are compared by.</summary>
/// <param name="Windows">The windows.</param>
/// <param name="AsOf">The moment that the state of the windows is told of.</param>
/// <param name="Disruptive">The changes that disrupt a service.</param>
public sealed record WindowOutlook(MaintenanceWindows Windows, DateTimeOffset AsOf, IReadOnlySet<Address> Disruptive)
{
    /// <summary>Whether no window is open: the disruptive changes wait.</summary>
    public bool IsClosed => !Windows.IsOpen(AsOf);

    /// <summary>Looks at a plan.</summary>
    public static WindowOutlook Of(Plan plan, MaintenanceWindows windows, DateTimeOffset now) => new(windows, now, DisruptiveIn(plan));

    /// <summary>Whether a step of a roll-out disrupts a service: all but the start of a member that does not serve.</summary>
    public static bool IsDisruptive(RolloutStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        return step.Kind != RolloutStepKind.Start;
    }

    /// <summary>Whether a change waits for a window as of now.</summary>
    public bool Waits(Address address) => IsClosed && Disruptive.Contains(address);

    /// <summary>Whether a step of a roll-out does.</summary>
    public bool Waits(RolloutStep step) => IsClosed && IsDisruptive(step);

    // A change of a member that the forecast does not name as one that is started, a change that restarts members by itself, and what is
    // loaded by a process that such a change replaces: the old process may refuse it.
    private static HashSet<Address> DisruptiveIn(Plan plan)
    {
        var found = new HashSet<Address>();
        foreach (var change in plan.Changes)
        {
            if (change.Disrupts is { } group && Disrupts(change, plan.Groups.FirstOrDefault(one => one.Policy.Group == group)))
            {
                found.Add(change.Address);
            }
        }

        foreach (var rollout in plan.Rollouts)
        {
            if (rollout.Steps.Any(IsDisruptive))
            {
                found.Add(rollout.Address);
            }
        }

        foreach (var change in plan.Changes)
        {
            if (change.ReplacedProcess is { } process && found.Contains(process))
            {
                found.Add(change.Address);
            }
        }

        return found;
    }

    // Of a group whose health is unknown every member may serve. Without a forecast none serves that stays, but one that leaves may.
    private static bool Disrupts(PlannedChange change, PlannedGroup? group) =>
        group is null
        || (
            group.Rollout is { } rollout
                ? !rollout.Steps.Any(step => !IsDisruptive(step) && step.Hosts.Contains(change.Address.Host))
                : change.Action == ResourceAction.Delete
        );
}
