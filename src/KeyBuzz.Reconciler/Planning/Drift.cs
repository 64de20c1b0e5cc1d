using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>An attribute that differs from its applied value.</summary>
/// <param name="Name">The attribute.</param>
/// <param name="Applied">What was applied; null when the record does not say it.</param>
/// <param name="Actual">What the host holds; null for nothing.</param>
/// <param name="IgnoredBy">The rule by which it is not counted, or null.</param>
public sealed record DriftedAttribute(string Name, AttributeValue? Applied, AttributeValue? Actual, IgnoreRule? IgnoredBy)
{
    /// <summary>Whether it was set outside kbr: an apply keeps it.</summary>
    public bool IsForeign { get; init; }
}

/// <summary>A resource that was changed on its hosts since it was applied.</summary>
/// <param name="Address">The resource.</param>
/// <param name="Attributes">The changed attributes; empty when it was deleted.</param>
/// <param name="IgnoredBy">The rule by which the resource as a whole is not counted, or null.</param>
public sealed record DriftedResource(Address Address, ImmutableArray<DriftedAttribute> Attributes, IgnoreRule? IgnoredBy)
{
    /// <summary>Whether it is gone from its hosts.</summary>
    public bool Deleted => Attributes.IsEmpty;

    /// <summary>Whether nothing of it counts.</summary>
    public bool IsIgnored => IgnoredBy is not null || (!Deleted && Attributes.All(attribute => attribute.IgnoredBy is not null));

    /// <summary>Something the operator should know, or null.</summary>
    public string? Note { get; init; }

    /// <summary>Its place in cluster.yaml; null when it was removed there.</summary>
    public SourceLocation? Location { get; init; }
}

/// <summary>Something that was applied and could not be compared.</summary>
/// <param name="Address">The resource.</param>
/// <param name="Attribute">The attribute; null for the whole resource.</param>
/// <param name="Reason">Why.</param>
/// <param name="IsError">Whether no other finding explains it, so that the result is not "no drift".</param>
public sealed record Uncompared(Address Address, string? Attribute, string Reason, bool IsError);

/// <summary>The changes on the hosts since the last apply.</summary>
/// <param name="Compared">The resources that were compared, what they require first.</param>
/// <param name="Resources">Those that were changed, ignored ones included.</param>
/// <param name="Uncompared">What could not be compared.</param>
/// <param name="NotApplied">Resources of cluster.yaml that were never applied: they cannot be compared, and are not drift.</param>
/// <param name="Diagnostics">What was found.</param>
public sealed record Drift(
    ImmutableArray<Address> Compared,
    ImmutableArray<DriftedResource> Resources,
    ImmutableArray<Uncompared> Uncompared,
    ImmutableArray<Address> NotApplied,
    ImmutableArray<Diagnostic> Diagnostics
)
{
    /// <summary>Whether anything counts as drift.</summary>
    public bool HasDrift => Resources.Any(resource => !resource.IsIgnored);

    /// <summary>Whether an error was found, so that there may be more drift than is known.</summary>
    public bool HasErrors => Diagnostics.Any(diagnostic => diagnostic.Severity == Severity.Error);
}
