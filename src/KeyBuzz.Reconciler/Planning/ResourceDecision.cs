using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>What the planner decides of one resource: a change, or the reason why nothing can be planned.</summary>
/// <param name="Change">The change, a no-op included; null where it is blocked.</param>
/// <param name="Blocked">Why nothing can be planned; null where there is a change.</param>
/// <param name="Diagnostics">What the operator is told.</param>
internal readonly record struct ResourceDecision(PlannedChange? Change, string? Blocked, ImmutableArray<Diagnostic> Diagnostics)
{
    /// <summary>The resource is changed, or stays as it is.</summary>
    public static ResourceDecision Of(PlannedChange change) => new(change, null, []);

    /// <summary>Nothing can be planned, for a reason that is reported elsewhere.</summary>
    public static ResourceDecision Blocking(string reason) => new(null, reason, []);

    /// <summary>Nothing can be planned, and the operator is told why.</summary>
    public static ResourceDecision Refused(string reason, Diagnostic diagnostic) => new(null, reason, [diagnostic]);

    /// <summary>It cannot be told how the resource is.</summary>
    public static ResourceDecision Unknown(Resource resource, string reason) =>
        Refused(
            reason,
            Diagnostic.Error(
                $"{resource.Address}: {reason}",
                resource.Location,
                host: resource.Address.Host,
                address: resource.Address.ToString()
            )
        );

    /// <summary>The same decision, with something that the operator is told first.</summary>
    public ResourceDecision After(IReadOnlyCollection<Diagnostic> first) =>
        first.Count == 0 ? this : this with { Diagnostics = [.. first, .. Diagnostics] };
}
