using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Tells which hosts a step works on.</summary>
/// <param name="cluster">The configuration.</param>
/// <param name="providers">The resource types.</param>
/// <param name="survey">The answers of the hosts, which tell where a group without a configuration has its records.</param>
public sealed class Placement(Cluster cluster, ProviderRegistry providers, Survey survey)
{
    /// <summary>The hosts that hold what an address names, and its record.</summary>
    public ImmutableArray<string> HostsOf(Address address) =>
        cluster.Groups.Any(group => group.Name == address.Host) ? cluster.HostsOf(address.Host)
        : providers.Get(address.Type) is IGroupResourceProvider ? survey.RecordedGroups.GetValueOrDefault(address.Host, [])
        : [address.Host];

    /// <summary>The hosts whose locks a change needs. Two applies must not each disrupt a member of one group: the whole group of such a
    /// change is locked.</summary>
    public IEnumerable<string> LocksOf(PlannedChange change) =>
        [.. HostsOf(change.Address), .. change.Disrupts is { } group ? cluster.HostsOf(group) : []];

    /// <summary>The hosts whose locks a plan needs; a host may occur twice.</summary>
    public IEnumerable<string> LocksOf(Plan plan)
    {
        var groups = plan
            .BroughtToHealth.Select(group => group.Policy.Group)
            .Concat(plan.Effective.Select(change => change.Disrupts))
            .Concat(plan.Effective.Select(change => change.Address.Host))
            .ToHashSet(StringComparer.Ordinal);
        return plan
            .Effective.SelectMany(LocksOf)
            .Concat(plan.BroughtToHealth.SelectMany(group => cluster.HostsOf(group.Policy.Group)))
            .Concat(plan.Groups.Where(group => !group.Ahead.IsEmpty).SelectMany(group => cluster.HostsOf(group.Policy.Group)))
            .Concat(cluster.Policies.Where(policy => groups.Contains(policy.Group)).SelectMany(policy => policy.Beside));
    }

    /// <summary>The hosts that steps have worked on, each once.</summary>
    public IEnumerable<string> TouchedBy(IEnumerable<IPlannedStep> steps) =>
        steps.SelectMany(step => step is PlannedGroup group ? cluster.HostsOf(group.Policy.Group) : HostsOf(step.Address)).Distinct();

    /// <summary>The steps of a plan that need the lock of a certain host.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="isMeant">Whether a host is meant.</param>
    public IEnumerable<string> StepsOn(Plan plan, Func<string, bool> isMeant) =>
        plan
            .Effective.Where(change => LocksOf(change).Any(isMeant))
            .Select(change => change.Address.ToString())
            .Concat(
                plan.Groups.Where(group => group.BringsToHealth || !group.Ahead.IsEmpty)
                    .Where(group => cluster.HostsOf(group.Policy.Group).Any(isMeant))
                    .Select(group => group.Policy.Group)
            );
}
