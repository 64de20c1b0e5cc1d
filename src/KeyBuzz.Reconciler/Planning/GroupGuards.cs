using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Refuses a plan that would change the wrong group, or would leave a participant of a group behind.</summary>
internal static class GroupGuards
{
    /// <summary>An error for each group that is something else than the configuration describes, such as another cluster: applying the
    /// configuration would change the wrong one. Destroying it as a whole is still allowed.</summary>
    public static ImmutableArray<Diagnostic> ForeignGroups(PlanContext context) =>
        [
            .. context
                .Input.Graph.Policies.Select(node => node.Policy)
                .Where(policy => !context.Members.IsTakenDown(policy.Group))
                .Select(policy =>
                    (Policy: policy, Observed: context.Input.Observations.GetValueOrDefault(policy.Address) as Observation.Unknown)
                )
                .Where(pair => pair.Observed?.Remedy is not null)
                .Select(pair =>
                    Diagnostic.Error(
                        pair.Observed!.Reason,
                        PlaceOf(pair.Policy, pair.Observed.Setting),
                        detail: PlanNote.Join("nothing is planned", pair.Observed.Detail),
                        remedy: pair.Observed.Remedy,
                        address: pair.Policy.Address.ToString()
                    )
                ),
        ];

    private static SourceLocation? PlaceOf(GroupPolicy policy, string? setting) =>
        setting is not null && policy.Places?.TryGetValue(setting, out var place) == true ? place : policy.Location;

    /// <summary>An error for each group with work ahead of everything else that a target leaves out: what is targeted may depend on
    /// it.</summary>
    public static ImmutableArray<Diagnostic> Ahead(PlanContext context)
    {
        var refused = ImmutableArray.CreateBuilder<Diagnostic>();
        foreach (var policy in context.Input.Graph.Policies.Select(node => node.Policy))
        {
            var ahead = context.Input.Options.Destroy ? [] : context.Input.Observations.GetValueOrDefault(policy.Address)?.Ahead ?? [];
            if (!ahead.IsEmpty && !context.Input.Options.Targets.IsEmpty)
            {
                refused.Add(
                    Diagnostic.Error(
                        $"{string.Join(" and ", ahead)} must be prepared before anything of {policy.Group} changes; nothing is planned",
                        policy.Location,
                        remedy: "repeat without --target",
                        address: policy.Address.ToString()
                    )
                );
            }
        }

        return refused.ToImmutable();
    }

    /// <summary>An error for each group of which a part would change, where all members change or none, such as for a password that they
    /// share. A target that leaves members out is refused as a whole; members that could not be planned have errors of their own, and the
    /// roll-out does not begin.</summary>
    /// <param name="input">The planner's input.</param>
    /// <param name="groups">The planned groups.</param>
    public static ImmutableArray<Diagnostic> Parts(PlanInput input, ImmutableArray<PlannedGroup> groups)
    {
        var isTargeted = !input.Options.Targets.IsEmpty;
        return
        [
            .. groups
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
                ),
        ];
    }

    /// <summary>An error for each participant of a group that is no member any more and is not stopped by the plan. It has to be stopped
    /// before anything else forgets it, such as a proxy that sends it requests.</summary>
    /// <param name="input">The planner's input.</param>
    /// <param name="changes">All changes of the plan.</param>
    public static ImmutableArray<Diagnostic> Outsiders(PlanInput input, IReadOnlyDictionary<Address, PlannedChange> changes)
    {
        if (input.Options.Destroy)
        {
            return [];
        }

        var refused = ImmutableArray.CreateBuilder<Diagnostic>();
        foreach (var policy in input.Graph.Policies.Select(node => node.Policy))
        {
            foreach (var (name, host) in (input.Observations.GetValueOrDefault(policy.Address) as Observation.Present)?.Outsiders ?? [])
            {
                var isStopped = changes.Values.Any(change =>
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
                    : input.HostErrors.TryGetValue(host, out var error)
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
                        detail: "it may be the primary, and the remaining members would lose it",
                        remedy: remedy,
                        address: policy.Address.ToString()
                    )
                );
            }
        }

        return refused.ToImmutable();
    }
}
