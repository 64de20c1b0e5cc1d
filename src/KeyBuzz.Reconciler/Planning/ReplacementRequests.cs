using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Checks the resources that the operator wants replaced (<c>--replace</c>).</summary>
internal static class ReplacementRequests
{
    /// <summary>An error for each request that cannot be met whatever the hosts hold. It is a mistake of the command line: nothing is
    /// planned.</summary>
    /// <param name="input">The planner's input.</param>
    /// <param name="scope">The resources that are looked at.</param>
    /// <param name="providers">The resource types.</param>
    public static ImmutableArray<Diagnostic> Refusals(PlanInput input, PlanScope scope, ProviderRegistry providers) =>
        input.Options is { Destroy: true, Replace.IsEmpty: false }
            ? [Diagnostic.Error("--replace and --destroy exclude each other", remedy: "choose one of them")]
            : [.. input.Options.Replace.Select(address => RefusalOf(address, input, scope, providers)).OfType<Diagnostic>()];

    /// <summary>The refusal to replace a resource that kbr did not create.</summary>
    public static ResourceDecision RefuseUnmanaged(Resource resource) =>
        ResourceDecision.Refused(
            "it exists and was not created by kbr",
            Diagnostic.Error(
                $"--replace {resource.Address}: it exists and was not created by kbr",
                resource.Location,
                remedy: $"record it first: kbr import '{resource.Address}'",
                host: resource.Address.Host,
                address: resource.Address.ToString()
            )
        );

    /// <summary>An error for each request that the plan does not meet: a resource that is checked again only after another change cannot
    /// be replaced in the same apply.</summary>
    /// <param name="input">The planner's input.</param>
    /// <param name="decided">The decisions about all resources.</param>
    public static IEnumerable<Diagnostic> Unmet(PlanInput input, PlanDecisions decided)
    {
        foreach (var address in input.Options.Replace)
        {
            if (
                decided.Changes.GetValueOrDefault(address) is { Action: not (ResourceAction.Replace or ResourceAction.Create) } other
                && !decided.Blocked.ContainsKey(address)
            )
            {
                yield return Diagnostic.Error(
                    $"--replace {address}: it cannot be replaced yet",
                    other.Resource.Location,
                    detail: other.Note,
                    remedy: "apply without --replace first",
                    host: address.Host,
                    address: address.ToString()
                );
            }
        }
    }

    private static Diagnostic? RefusalOf(Address address, PlanInput input, PlanScope scope, ProviderRegistry providers)
    {
        if (input.Graph.Find(address)?.Resource is not { } resource)
        {
            var near = NearName.Of(address.ToString(), input.Graph.Order.Select(known => known.ToString()));
            return Diagnostic.Error(
                $"--replace {address}: there is no such resource",
                detail: !input.Records.ContainsKey(address) ? null : "it is no longer in the configuration, so apply removes it",
                remedy: near is null ? "kbr state list shows the addresses" : $"did you mean '{near}'?"
            );
        }

        var provider = providers.Get(address.Type);
        if (provider is not IReplaceable)
        {
            var types = providers.All.Where(one => one is IReplaceable).Select(one => one.Schema.Type).Order(StringComparer.Ordinal);
            return Diagnostic.Error(
                $"--replace {address}: a resource of the type {address.Type} cannot be replaced",
                resource.Location,
                remedy: $"these types can: {string.Join(", ", types)}",
                host: address.Host,
                address: address.ToString()
            );
        }

        if (provider.HoldsData(resource))
        {
            return Diagnostic.Error(
                $"--replace {address}: it holds data, which a replacement would delete",
                resource.Location,
                remedy: $"to delete the data: kbr destroy --target '{address}' --delete-data with --confirm, then kbr apply",
                host: address.Host,
                address: address.ToString()
            );
        }

        return scope.Includes(address)
            ? null
            : Diagnostic.Error($"--replace {address}: --target excludes it", remedy: $"add --target '{address}', or drop --target");
    }
}
