using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>What the planner decides of a group with a policy.</summary>
/// <param name="Group">The group in the plan; null where its health is unknown, and nothing of it can be planned.</param>
/// <param name="Diagnostics">What the operator is told.</param>
internal readonly record struct GroupDecision(PlannedGroup? Group, ImmutableArray<Diagnostic> Diagnostics)
{
    /// <summary>Decides about the health of a group, after the resources that run its members.</summary>
    /// <param name="context">What the plan is made from.</param>
    /// <param name="changes">The changes that are planned so far.</param>
    /// <param name="policy">The group's policy.</param>
    public static GroupDecision Of(PlanContext context, IReadOnlyDictionary<Address, PlannedChange> changes, GroupPolicy policy)
    {
        var (group, input, members) = (policy.Group, context.Input, context.Members);
        var observed = input.Observe(policy.Address);
        if (observed is Observation.Unknown unknown)
        {
            return new GroupDecision(
                null,
                [
                    Diagnostic.Error(
                        $"{group}: the health of the group is unknown: {unknown.Reason}",
                        policy.Location,
                        host: group,
                        address: policy.Address.ToString()
                    ),
                ]
            );
        }

        var isApplied = input.Graph.Order.Any(address => address.Host == group)
            ? input.Records.Keys.Any(address => address.Host == group)
            : members.IsRecorded(group);
        var isReconfigured =
            members.RecordedOf(group).Any(address => input.Graph.Find(address) is null)
            || members
                .DeclaredOf(group)
                .Any(address =>
                    changes.GetValueOrDefault(address)?.Cause is Cause.ConfigurationChanged or Cause.ConfigurationChangedAndDrift
                );
        var joining = members.Joining(group, changes);
        var planned = GroupHealth.Judge(
            new PlannedGroup(policy, []) { Ahead = observed.Ahead },
            observed,
            isApplied,
            joining,
            isReconfigured
        );
        return new GroupDecision(planned, observed is Observation.Present present ? [.. Notices(policy, present)] : []);
    }

    private static IEnumerable<Diagnostic> Notices(GroupPolicy policy, Observation.Present present)
    {
        var address = policy.Address.ToString();
        return present
            .Warnings.Select(pair => Diagnostic.Warning(pair.Value, host: pair.Key, address: address))
            .Concat(ForeignNotices.Of(policy.Address, present.Foreign, policy.Location));
    }
}
