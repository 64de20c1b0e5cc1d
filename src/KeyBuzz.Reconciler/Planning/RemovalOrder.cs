using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Whether members that leave a group have their turns before all others. Pure.</summary>
public static class RemovalOrder
{
    /// <summary>Whether a change that disrupts a member of the group depends on the removal of another one. It cannot be prepared before
    /// that, so those that leave go first.</summary>
    /// <param name="changes">The changes of the plan.</param>
    /// <param name="groups">The groups of the plan.</param>
    /// <param name="group">The group.</param>
    public static bool IsLeavingFirst(IReadOnlyCollection<PlannedChange> changes, IEnumerable<PlannedGroup> groups, string group)
    {
        ArgumentNullException.ThrowIfNull(changes);
        ArgumentNullException.ThrowIfNull(groups);
        var hosts = changes.Where(change => change.Disrupts == group).ToLookup(change => change.Address.Host);
        var leaving = hosts
            .Where(host => host.All(change => change.Action == ResourceAction.Delete))
            .Select(host => host.Key)
            .ToHashSet(StringComparer.Ordinal);
        if (leaving.Count == 0 || leaving.Count == hosts.Count)
        {
            return false;
        }

        var dependents = changes
            .Select(change => (change.Address, change.DependsOn))
            .Concat(groups.Select(planned => (planned.Address, planned.DependsOn)))
            .SelectMany(step => step.DependsOn.Select(before => (before, step.Address)))
            .ToLookup(edge => edge.before, edge => edge.Address);
        var behind = new HashSet<Address>();
        var open = new Stack<Address>(leaving.SelectMany(host => hosts[host]).Select(change => change.Address));
        while (open.TryPop(out var address))
        {
            foreach (var dependent in dependents[address].Where(behind.Add))
            {
                open.Push(dependent);
            }
        }

        return changes.Any(change => change.Disrupts == group && !leaving.Contains(change.Address.Host) && behind.Contains(change.Address));
    }
}
