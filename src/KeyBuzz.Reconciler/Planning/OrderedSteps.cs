using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>The steps of a plan in the order of their dependencies. Creates and updates go after what they require; deletes go after
/// everything that required the deleted resource.</summary>
/// <param name="Changes">The changes, dependencies first.</param>
/// <param name="Groups">The groups that are looked at, by name.</param>
internal sealed record OrderedSteps(ImmutableArray<PlannedChange> Changes, IReadOnlyDictionary<string, PlannedGroup> Groups)
{
    /// <summary>The decisions in order, each with the steps that go first. Throws <see cref="DiagnosticException"/> where the desired
    /// dependencies contradict the recorded ones.</summary>
    /// <param name="context">What the plan is made from.</param>
    /// <param name="decided">The decisions.</param>
    public static OrderedSteps Of(PlanContext context, PlanDecisions decided)
    {
        var removed = decided
            .Changes.Values.Where(change => change.Action is ResourceAction.Delete or ResourceAction.Forget)
            .Select(change => change.Address)
            .ToHashSet();
        var dependents = decided
            .Changes.Keys.Where(_ => removed.Count > 0)
            .SelectMany(address =>
                (context.Recorded.Find(address)?.Requires ?? []).Where(removed.Contains).Select(required => (required, address))
            )
            .ToLookup(edge => edge.required, edge => edge.address);
        var groups = decided.Groups.Values.ToDictionary(
            group => group.Policy.Group,
            group => group with { DependsOn = Before(context, decided, group.Policy, removed) },
            StringComparer.Ordinal
        );
        var isWhole = removed.Count == 0 && IsWholeGraph(context.Input.Graph, decided);
        ImmutableArray<Address> DependsOn(Address address) =>
            removed.Contains(address) ? [.. dependents[address].Order()]
            : decided.Changes.ContainsKey(address)
                ? context.Input.Graph.Find(address) is { } node ? Before(context, decided, node, removed, allStay: false)
                    : []
            : groups[address.Host].DependsOn;

        if (isWhole)
        {
            var changes = context.Input.Graph.Nodes.Select(node =>
                Ordered(decided.Changes[node.Resource.Address], Before(context, decided, node, removed, allStay: true))
            );
            return new OrderedSteps([.. changes], groups);
        }

        var order = DependencyOrder.Of(decided.Changes.Keys.Concat(groups.Values.Select(group => group.Address)), DependsOn);
        if (!order.Left.IsEmpty)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    "the new dependencies contradict the recorded ones among "
                        + string.Join(", ", order.Left.Select(address => address.ToString()).Order(StringComparer.Ordinal)),
                    remedy: "apply the removal first, with --target"
                )
            );
        }

        return new OrderedSteps(
            [
                .. order
                    .Addresses.Select(address => decided.Changes.GetValueOrDefault(address))
                    .OfType<PlannedChange>()
                    .Select(change => Ordered(change, DependsOn(change.Address))),
            ],
            groups
        );
    }

    // With the resources and groups of the graph, all of them and no others, the order is that of the graph.
    private static bool IsWholeGraph(ResourceGraph graph, PlanDecisions decided) =>
        decided.Changes.Count == graph.Order.Length
        && graph.Order.All(decided.Changes.ContainsKey)
        && graph.Policies.All(node => decided.IsPlanned(node.Policy.Address));

    private static PlannedChange Ordered(PlannedChange change, ImmutableArray<Address> dependsOn)
    {
        var disrupts = Disrupts(change) ? change.Resource.Group : null;
        return change.DependsOn == dependsOn && change.Disrupts == disrupts
            ? change
            : change with
            {
                DependsOn = dependsOn,
                Disrupts = disrupts,
            };
    }

    // The changes that a change goes after, in the order of their addresses.
    private static ImmutableArray<Address> Before(
        PlanContext context,
        PlanDecisions decided,
        ResourceGraph.Node node,
        HashSet<Address> removed,
        bool allStay
    )
    {
        var gate =
            context.Input.Graph.PolicyOver(node.Resource.Address)?.Address is { } policy && decided.IsPlanned(policy)
                ? policy
                : (Address?)null;
        return allStay && node.Resource.AfterRemovalOf.IsEmpty && gate is null ? node.Before : Staying(decided, node, removed, gate);
    }

    private static ImmutableArray<Address> Staying(
        PlanDecisions decided,
        ResourceGraph.Node node,
        HashSet<Address> removed,
        Address? gate
    ) =>
        [
            .. node
                .Before.Where(other => (decided.Changes.ContainsKey(other) && !removed.Contains(other)) || decided.IsPlanned(other))
                .Union(node.Resource.AfterRemovalOf.Where(removed.Contains))
                .Concat(gate is null ? [] : [gate.Value])
                .Order(),
        ];

    // Making, removing or replacing what runs a member starts or stops it; of an update it depends on what is changed.
    private static bool Disrupts(PlannedChange change) =>
        change.Action switch
        {
            ResourceAction.Create or ResourceAction.Replace or ResourceAction.Delete => true,
            ResourceAction.Update => change.Differences.Any(difference => difference.Effect != ChangeEffect.InPlace),
            _ => false,
        };

    // The steps that the health of a group goes after.
    private static ImmutableArray<Address> Before(PlanContext context, PlanDecisions decided, GroupPolicy policy, HashSet<Address> removed)
    {
        var after = context.Input.Graph.Policies.First(node => node.Policy.Group == policy.Group).After;
        return
        [
            .. after
                .Where(other => (decided.Changes.ContainsKey(other) && !removed.Contains(other)) || decided.IsPlanned(other))
                .Union(policy.AfterRemovalOf.Where(removed.Contains))
                .Order(),
        ];
    }
}
