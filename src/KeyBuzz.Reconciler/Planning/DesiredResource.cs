using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>A desired resource with its record.</summary>
/// <param name="Node">The resource with its edges.</param>
/// <param name="Values">The desired values of its attributes.</param>
/// <param name="Record">What was last applied; null for nothing.</param>
internal readonly record struct DesiredResource(ResourceGraph.Node Node, SortedMap<AttributeValue> Values, ResourceRecord? Record)
{
    /// <summary>The resource.</summary>
    public Resource Resource => Node.Resource;

    /// <summary>Its address.</summary>
    public Address Address => Node.Resource.Address;

    /// <summary>Whether a complete apply recorded it.</summary>
    public bool IsApplied => Record is { Pending: false };
}
