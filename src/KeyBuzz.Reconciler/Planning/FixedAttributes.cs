using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Attributes that cannot change once they were applied, such as the superuser's name of a cluster. A configuration with another
/// value must not reach a single host.</summary>
internal static class FixedAttributes
{
    /// <summary>An error for each fixed attribute that is declared with another value than was applied.</summary>
    public static ImmutableArray<Diagnostic> Refusals(PlanInput input, ProviderRegistry providers)
    {
        var refused = ImmutableArray.CreateBuilder<Diagnostic>();
        var stable = providers
            .All.SelectMany(provider => provider.Schema.Attributes.Select(attribute => (provider.Schema.Type, Attribute: attribute)))
            .Where(pair => pair.Attribute.FixedBecause is not null)
            .ToLookup(pair => pair.Type, pair => pair.Attribute, StringComparer.Ordinal);
        foreach (var resource in input.Graph.Nodes.Select(node => node.Resource).Where(one => stable.Contains(one.Address.Type)))
        {
            if (input.Records.GetValueOrDefault(resource.Address) is not { Pending: false } record)
            {
                continue;
            }

            foreach (var attribute in stable[resource.Address.Type])
            {
                var (was, wanted) = (record.Spec[attribute.Name], resource.Spec[attribute.Name]);
                if (was is not null && wanted is not null && !was.Equals(wanted))
                {
                    refused.Add(
                        Diagnostic.Error(
                            $"{resource.Address}: {attribute.Name} was applied as '{was}' and cannot change to '{wanted}'; nothing is planned",
                            resource.Location,
                            detail: attribute.FixedBecause,
                            remedy: $"restore '{was}'; if an import recorded a wrong value, run 'kbr state rm "
                                + $"{resource.Address}' and import again",
                            address: resource.Address.ToString()
                        )
                    );
                }
            }
        }

        return refused.ToImmutable();
    }
}
