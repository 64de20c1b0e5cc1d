using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <content>The groups with a policy: their health, the reasons for which nothing of them is planned, and the forecast of their
/// roll-outs.</content>
public sealed partial class Planner
{
    // The group is something else than the configuration describes, such as another cluster: applying the configuration would change the
    // wrong one. Destroying it as a whole is still allowed.
    private static void RefuseAnotherGroup(Work work)
    {
        var refused = work
            .Input.Graph.Policies.Select(node => node.Policy)
            .Where(policy => !work.IsTakenDown(policy.Group))
            .Select(policy => (Policy: policy, Observed: work.Input.Observations.GetValueOrDefault(policy.Address) as Observation.Unknown))
            .Where(pair => pair.Observed?.Remedy is not null)
            .Select(pair =>
                Diagnostic.Error(
                    pair.Observed!.Reason,
                    pair.Policy.Location,
                    detail: Join("nothing is planned", pair.Observed.Detail),
                    remedy: pair.Observed.Remedy,
                    address: pair.Policy.Address.ToString()
                )
            )
            .ToImmutableArray();
        if (refused.Length > 0)
        {
            throw new DiagnosticException(refused);
        }
    }

    // Who takes part in a group and is no member any more has to be stopped before anything else forgets it, such as who sends it requests.
    private static void RefuseOutsiders(Work work)
    {
        if (work.Input.Options.Destroy)
        {
            return;
        }

        var refused = ImmutableArray.CreateBuilder<Diagnostic>();
        foreach (var policy in work.Input.Graph.Policies.Select(node => node.Policy))
        {
            foreach (
                var (name, host) in (work.Input.Observations.GetValueOrDefault(policy.Address) as Observation.Present)?.Outsiders ?? []
            )
            {
                var isStopped = work.Changes.Values.Any(change =>
                    change.Address.Host == host && change.Action == ResourceAction.Delete && change.Resource.Group == policy.Group
                );
                if (isStopped)
                {
                    continue;
                }

                var (who, because, remedy) =
                    host is null
                        ? (
                            name,
                            "no host in the configuration has this address",
                            "list it under 'hosts' but not among the members, so that kbr stops it first; or stop it by hand"
                        )
                    : work.Input.HostErrors.TryGetValue(host, out var error)
                        ? ($"{host} ({name})", error, "fix that error, or stop the member by hand")
                    : (
                        $"{host} ({name})",
                        "it has no record of its service, or --target excludes it",
                        "repeat without --target; or stop the member by hand"
                    );
                refused.Add(
                    Diagnostic.Error(
                        $"{who} still takes part in {policy.Group}, is no longer a member, and cannot be stopped: "
                            + $"{because}; nothing is planned",
                        policy.Location,
                        detail: "it may be the leader, and the remaining members would lose it",
                        remedy: remedy,
                        address: policy.Address.ToString()
                    )
                );
            }
        }

        if (refused.Count > 0)
        {
            throw new DiagnosticException(refused.ToImmutable());
        }
    }

    // What changes for all members or for none, such as a password that they share. A target that leaves members out is refused as a whole;
    // members that could not be planned have errors of their own, and the roll-out does not begin.
    private static void RefuseParts(Work work, ImmutableArray<PlannedGroup> groups)
    {
        var isTargeted = !work.Input.Options.Targets.IsEmpty;
        var refused = groups
            .Where(group => group.Rollout?.Refusal is not null)
            .Select(group =>
                Diagnostic.Error(
                    $"{group.Policy.Group}: only a part of the members would change{(isTargeted ? "; nothing is planned" : "")}",
                    group.Policy.Location,
                    detail: group.Rollout!.Refusal,
                    remedy: isTargeted
                        ? "repeat without --target, or with a --target for every member"
                        : "correct the errors of the other members first",
                    address: group.Policy.Address.ToString()
                )
            )
            .ToImmutableArray();
        if (isTargeted && refused.Length > 0)
        {
            throw new DiagnosticException(refused);
        }

        work.Diagnostics.AddRange(refused);
    }

    private static bool IsTarget(PlanInput input, GroupPolicy policy) =>
        input.Options.Targets.IsEmpty || input.Options.Targets.Any(pattern => pattern.Matches(policy.Address));

    // Once: before the first resource of the group as a whole, and after all that runs its members.
    private static void PlanGroup(Work work, GroupPolicy policy)
    {
        var group = policy.Group;
        if (work.Groups.ContainsKey(group) || work.UnknownGroups.Contains(group))
        {
            return;
        }

        var observed = work.Observe(policy.Address);
        if (observed is Observation.Unknown unknown)
        {
            work.UnknownGroups.Add(group);
            work.Diagnostics.Add(
                Diagnostic.Error(
                    $"{group}: the health of the group is unknown: {unknown.Reason}",
                    policy.Location,
                    host: group,
                    address: policy.Address.ToString()
                )
            );
            return;
        }

        var isApplied = work.Input.Graph.Order.Any(address => address.Host == group)
            ? work.Input.Records.Keys.Any(address => address.Host == group)
            : work.RunningBy.Contains(group);
        var isReconfigured =
            work.RunningBy[group].Any(address => work.Input.Graph.Find(address) is null)
            || work.RunningIn[group]
                .Any(address =>
                    work.Changes.GetValueOrDefault(address)?.Cause is Cause.ConfigurationChanged or Cause.ConfigurationChangedAndDrift
                );
        work.Groups.Add(
            group,
            GroupHealth.Judge(new PlannedGroup(policy, []), observed, isApplied, work.NewMembersOf(policy.Address), isReconfigured)
        );
        if (observed is Observation.Present present)
        {
            var address = policy.Address.ToString();
            work.Diagnostics.AddRange(present.Warnings.Select(pair => Diagnostic.Warning(pair.Value, host: pair.Key, address: address)));
            work.Diagnostics.AddRange(ForeignNotices.Of(policy.Address, present.Foreign, policy.Location));
        }
    }

    // The steps that the health of a group goes after.
    private static ImmutableArray<Address> Before(Work work, GroupPolicy policy, HashSet<Address> removed)
    {
        var after = work.Input.Graph.Policies.First(node => node.Policy.Group == policy.Group).After;
        return
        [
            .. after
                .Where(other => (work.Changes.ContainsKey(other) && !removed.Contains(other)) || work.IsPlanned(other))
                .Union(policy.AfterRemovalOf.Where(removed.Contains))
                .Order(),
        ];
    }

    // A group that is not looked at itself is in the plan for the members that it disrupts.
    private static ImmutableArray<PlannedGroup> Groups(
        PlanInput input,
        ImmutableArray<PlannedChange> changes,
        IReadOnlyDictionary<string, PlannedGroup> planned
    )
    {
        var groups = ImmutableArray.CreateBuilder<PlannedGroup>();
        foreach (var policy in input.Graph.Policies.Select(node => node.Policy))
        {
            var state = Disrupted(changes, policy.Group);
            var own = planned.GetValueOrDefault(policy.Group);
            var forecast =
                state.ToCome.IsEmpty && own?.BringsToHealth != true
                    ? null
                    : policy.Rules.Forecast(policy, state, Outlooks(input, policy.Group));
            if (own is not null || forecast is not null)
            {
                groups.Add((own ?? new PlannedGroup(policy, []) { IsSelected = false }) with { Rollout = forecast });
            }
        }

        return groups.ToImmutable();
    }

    // The members of a group that changes disrupt.
    private static RolloutState Disrupted(ImmutableArray<PlannedChange> changes, string group)
    {
        var hosts = changes.Where(change => change.Disrupts == group).GroupBy(change => change.Address.Host).ToList();
        return new RolloutState(
            hosts.Select(host => host.Key).ToImmutableSortedSet(StringComparer.Ordinal),
            hosts
                .Where(host => host.All(change => change.Action == ResourceAction.Delete))
                .Select(host => host.Key)
                .ToImmutableSortedSet(StringComparer.Ordinal)
        );
    }

    private static IEnumerable<GroupOutlook> Outlooks(PlanInput input, string group) =>
        input
            .Observations.Where(pair => pair.Key.Host == group)
            .Select(pair => (pair.Value as Observation.Present)?.Outlook)
            .OfType<GroupOutlook>();
}
