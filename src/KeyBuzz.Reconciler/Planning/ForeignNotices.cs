using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Reports undeclared settings in plan and drift, in the same words.</summary>
internal static class ForeignNotices
{
    /// <summary>One warning for a resource; none where there is nothing to tell.</summary>
    /// <param name="address">The resource.</param>
    /// <param name="foreign">What was found.</param>
    /// <param name="location">Where the configuration speaks of the resource, or null.</param>
    public static IEnumerable<Diagnostic> Of(Address address, ImmutableArray<ForeignSetting> foreign, SourceLocation? location)
    {
        if (!foreign.IsEmpty)
        {
            yield return Diagnostic.Warning(
                $"{address}: set outside kbr, and kept: {string.Join(", ", foreign.Select(setting => setting.Name))}",
                location,
                detail: string.Join("; ", foreign.Select(setting => setting.Shown)),
                remedy: string.Join("; ", foreign.Select(setting => setting.Remedy).Distinct()),
                host: address.Host,
                address: address.ToString()
            );
        }
    }

    /// <summary>The settings that are drift. Harmless ones are only reported, as in the plan.</summary>
    /// <param name="foreign">What was found.</param>
    /// <param name="address">The resource.</param>
    /// <param name="input">The inputs of drift detection.</param>
    public static IEnumerable<DriftedAttribute> Drift(ImmutableArray<ForeignSetting> foreign, Address address, DriftInput input) =>
        foreign
            .Where(setting => setting.IsTrouble)
            .Select(setting => new DriftedAttribute(setting.Name, null, new(setting.Value), input.Ignoring(address, setting.Name))
            {
                IsForeign = true,
            });

    /// <summary>What the operator may do about settings that are drift; null where there are none.</summary>
    public static string? Remedies(ImmutableArray<ForeignSetting> foreign) =>
        foreign.IsEmpty
            ? null
            : $"apply keeps undeclared settings: {string.Join("; ", foreign.Select(setting => setting.Remedy).Distinct())}";
}
