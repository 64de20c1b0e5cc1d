using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Finds what a process loads that the same plan replaces. A limit, an image and a file may only fit together: the old process
/// refuses the new file, and the replacement needs it.</summary>
/// <param name="providers">The types of resources.</param>
internal sealed class ReplacedProcesses(ProviderRegistry providers)
{
    /// <summary>The changes, each with the replacement that loads it.</summary>
    public ImmutableArray<PlannedChange> In(ImmutableArray<PlannedChange> changes)
    {
        var replaced = changes
            .Where(change => change.Action == ResourceAction.Replace)
            .SelectMany(change => change.DependsOn.Select(before => (Before: before, change.Resource)))
            .ToLookup(pair => pair.Before, pair => pair.Resource);
        return replaced.Count == 0 ? changes : [.. changes.Select(change => change with { ReplacedProcess = ProcessOf(change) })];

        Address? ProcessOf(PlannedChange change) =>
            change.Action.Counts()
            && replaced.Contains(change.Address)
            && providers.Get(change.Address.Type) is ILoadedByProcess loaded
            && loaded.ProcessOf(change.Resource) is { } process
            && replaced[change.Address]
                .FirstOrDefault(one => one.Address.Host == change.Address.Host && LinksOf(one).Provides.Contains(process))
                is { } found
                ? found.Address
                : null;
    }

    private ResourceLinks LinksOf(Resource resource) => providers.Get(resource.Address.Type).Links(resource);
}
