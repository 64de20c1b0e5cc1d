using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Keeps resources with <c>lifecycle.prevent_destroy</c>, and what they depend on.</summary>
internal static class DestroyProtection
{
    /// <summary>Whether a resource may not be removed: as it is configured now; where it is not, as it was applied.</summary>
    public static bool IsProtected(PlanInput input, ResourceRecord record) =>
        input.Graph.Find(record.Address)?.Resource.PreventDestroy ?? record.PreventDestroy;

    /// <summary>The refusal to remove a protected resource.</summary>
    /// <param name="resource">The resource.</param>
    /// <param name="what">What would happen to it.</param>
    public static ResourceDecision Refusal(Resource resource, string what) =>
        ResourceDecision.Refused(
            "lifecycle.prevent_destroy",
            Diagnostic.Error(
                $"{resource.Address} would be {what}, but lifecycle.prevent_destroy protects it",
                resource.Location,
                detail: resource.Location is null ? "it was applied with prevent_destroy, and is no longer in the configuration" : null,
                remedy: resource.Location is null
                    ? "to remove it anyway: put it back without prevent_destroy, apply, then remove it"
                    : "to remove it anyway, drop prevent_destroy; or exclude it with --target",
                host: resource.Address.Host,
                address: resource.Address.ToString()
            )
        );

    /// <summary>The removals that must not happen, because a resource that stays depends on them, transitively: deleting a directory
    /// deletes everything below it.</summary>
    /// <param name="context">What the plan is made from.</param>
    /// <param name="decided">The decisions so far.</param>
    /// <param name="providers">The resource types.</param>
    public static IReadOnlyList<BlockedResource> KeptDependencies(PlanContext context, PlanDecisions decided, ProviderRegistry providers)
    {
        var kept = new List<BlockedResource>();
        var open = new Queue<(Address Address, Address Protected)>(decided.Blocked.Keys.Order().Select(address => (address, address)));
        var seen = decided.Blocked.Keys.ToHashSet();
        while (open.TryDequeue(out var next))
        {
            foreach (var below in DependenciesOf(context, next.Address, providers).Where(seen.Add))
            {
                if (decided.Changes.GetValueOrDefault(below)?.Action == ResourceAction.Delete)
                {
                    kept.Add(new BlockedResource(below, $"{next.Protected} depends on it and is kept"));
                }

                open.Enqueue((below, next.Protected));
            }
        }

        return kept;
    }

    // A resource of a group depends on no single member, but is removed with the last of them: a protected database keeps them all. An
    // unprotected one that cannot be removed, because there is no primary, does not keep a cluster from being destroyed.
    private static IEnumerable<Address> DependenciesOf(PlanContext context, Address address, ProviderRegistry providers)
    {
        var required = context.Recorded.Find(address)?.Requires ?? [];
        return
            context.Input.Records.TryGetValue(address, out var own)
            && IsProtected(context.Input, own)
            && providers.Get(address.Type) is IGroupResourceProvider
            && context.Members.IsTakenDown(address.Host)
            ? required.Concat(context.Members.RecordedOf(address.Host).Order())
            : required;
    }
}
