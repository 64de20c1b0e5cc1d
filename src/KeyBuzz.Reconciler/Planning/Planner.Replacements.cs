using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <content>Resources that are replaced because the operator asked for it.</content>
public sealed partial class Planner
{
    // A request that cannot be met is a mistake of the command line: nothing is planned.
    private void RefuseReplacements(PlanInput input, Func<Address, bool> selected)
    {
        if (input.Options is { Destroy: true, Replace.IsEmpty: false })
        {
            throw new DiagnosticException(Diagnostic.Error("--replace and --destroy exclude each other", remedy: "choose one of them"));
        }

        var refused = input.Options.Replace.Select(address => RefusalOf(address, input, selected)).OfType<Diagnostic>().ToImmutableArray();
        if (refused.Length > 0)
        {
            throw new DiagnosticException(refused);
        }
    }

    private Diagnostic? RefusalOf(Address address, PlanInput input, Func<Address, bool> selected)
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

        var provider = _providers.Get(address.Type);
        if (provider is not IReplaceable)
        {
            var types = _providers.All.Where(one => one is IReplaceable).Select(one => one.Schema.Type).Order(StringComparer.Ordinal);
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

        return selected(address)
            ? null
            : Diagnostic.Error($"--replace {address}: --target excludes it", remedy: $"add --target '{address}', or drop --target");
    }

    private static void FailUnmanagedReplacement(Work work, Resource resource)
    {
        work.Diagnostics.Add(
            Diagnostic.Error(
                $"--replace {resource.Address}: it exists and was not created by kbr",
                resource.Location,
                remedy: $"record it first: kbr import '{resource.Address}'",
                host: resource.Address.Host,
                address: resource.Address.ToString()
            )
        );
        work.Block(resource.Address, "it exists and was not created by kbr");
    }

    // What can be told only after something else has changed cannot be replaced in the same apply.
    private static void FailOpenReplacements(Work work)
    {
        foreach (var address in work.Input.Options.Replace)
        {
            if (
                work.Changes.GetValueOrDefault(address) is { Action: not (ResourceAction.Replace or ResourceAction.Create) } other
                && !work.Blocked.ContainsKey(address)
            )
            {
                work.Diagnostics.Add(
                    Diagnostic.Error(
                        $"--replace {address}: it cannot be replaced yet",
                        other.Resource.Location,
                        detail: other.Note,
                        remedy: "apply without --replace first",
                        host: address.Host,
                        address: address.ToString()
                    )
                );
            }
        }
    }
}
