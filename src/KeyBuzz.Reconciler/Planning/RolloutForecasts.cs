using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>How the roll-outs of a plan would go at this moment. It is shown, and nothing that plans are compared by.</summary>
internal static class RolloutForecasts
{
    /// <summary>How changes that restart members by themselves would go.</summary>
    /// <param name="input">The planner's input.</param>
    /// <param name="changes">The changes of the plan, in order.</param>
    /// <param name="providers">The resource types.</param>
    public static ImmutableArray<RolloutForecast> OfChanges(
        PlanInput input,
        ImmutableArray<PlannedChange> changes,
        ProviderRegistry providers
    )
    {
        if (!changes.Any(change => change.Disrupts is not null || change.Action.Counts()))
        {
            return [];
        }

        var forecasts = ImmutableArray.CreateBuilder<RolloutForecast>();
        foreach (var resource in input.Graph.Nodes.Select(node => node.Resource))
        {
            if (providers.Get(resource.Address.Type) is not IForecastsRollout foreseeing)
            {
                continue;
            }

            var state = Disrupted(changes, resource.Address.Host);
            var own = changes.FirstOrDefault(change => change.Address == resource.Address);
            if (state.ToCome.IsEmpty && own?.Action.Counts() != true)
            {
                continue;
            }

            var outlooks = Outlooks(input, resource.Address.Host);
            var question = new RolloutQuestion(resource, own, state.ToCome, state.Leaving, [.. outlooks]);
            if (foreseeing.Forecast(question) is { } forecast)
            {
                forecasts.Add(forecast);
            }
        }

        return forecasts.ToImmutable();
    }

    /// <summary>The groups of the plan, each with the steps of its roll-out. A group that is not looked at itself is in the plan for the
    /// members that it disrupts.</summary>
    /// <param name="input">The planner's input.</param>
    /// <param name="changes">The changes of the plan, in order.</param>
    /// <param name="planned">The groups that were looked at, by name.</param>
    public static ImmutableArray<PlannedGroup> OfGroups(
        PlanInput input,
        ImmutableArray<PlannedChange> changes,
        IReadOnlyDictionary<string, PlannedGroup> planned
    )
    {
        var groups = ImmutableArray.CreateBuilder<PlannedGroup>();
        foreach (var policy in input.Graph.Policies.Select(node => node.Policy))
        {
            var state = Disrupted(changes, policy.Group);
            if (RemovalOrder.IsLeavingFirst(changes, planned.Values, policy.Group))
            {
                state = new RolloutState(state.Leaving, state.Leaving) { Later = state.ToCome.Except(state.Leaving) };
            }

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

    // The group's own first: the others are what stands in front of it or behind it.
    private static IEnumerable<GroupOutlook> Outlooks(PlanInput input, string group)
    {
        List<GroupOutlook> others = [];
        foreach (var (address, observation) in input.Observations)
        {
            if (observation is not Observation.Present { Outlook: { } outlook })
            {
                continue;
            }

            if (address.Host == group)
            {
                yield return outlook;
            }
            else
            {
                others.Add(outlook);
            }
        }

        foreach (var other in others)
        {
            yield return other;
        }
    }
}
