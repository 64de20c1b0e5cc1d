using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Makes the records that a change writes: the one after it, and the one before it.</summary>
/// <param name="providers">The resource types.</param>
/// <param name="fingerprint">The key of fingerprints.</param>
internal sealed class RecordFactory(ProviderRegistry providers, Fingerprint fingerprint)
{
    /// <summary>The record of a resource whose desired values are applied.</summary>
    /// <param name="desired">The resource.</param>
    /// <param name="created">Whether kbr made it.</param>
    public ResourceRecord Applied(in DesiredResource desired, bool created)
    {
        var resource = desired.Resource;
        var prints = SortedMap.Of<string>(
            desired.Values.Select(pair =>
                KeyValuePair.Create(pair.Key, fingerprint.Of(resource.Address, pair.Key, pair.Value, pair.Value.Secret is not null))
            )
        );
        return new ResourceRecord(
            resource.Address,
            created,
            Pending: false,
            prints,
            resource.Spec,
            desired.Node.Requires,
            resource.PreventDestroy
        )
        {
            Group = resource.Group,
        };
    }

    /// <summary>The record of an import, in which the found values count as last applied: from then on another value is drift, and another
    /// value in cluster.yaml is a change of the configuration.</summary>
    /// <param name="desired">The resource.</param>
    /// <param name="applied">Its record, if the desired values were applied.</param>
    /// <param name="schema">Its type.</param>
    /// <param name="actual">The found values.</param>
    public ResourceRecord Imported(
        in DesiredResource desired,
        ResourceRecord applied,
        ResourceSchema schema,
        SortedMap<AttributeValue> actual
    )
    {
        var address = desired.Address;
        return applied with
        {
            Fingerprints = SortedMap.Of<string>(
                desired
                    .Values.Where(pair => actual.ContainsKey(pair.Key))
                    .Select(pair =>
                        KeyValuePair.Create(
                            pair.Key,
                            fingerprint.Of(
                                address,
                                pair.Key,
                                actual[pair.Key],
                                pair.Value.Secret is not null || MayHoldForeignSecret(schema, pair, actual)
                            )
                        )
                    )
            ),
        };
    }

    /// <summary>The record written before a change begins, by which what it sets is known as kbr's even if it is cut off. A resource of a
    /// group needs one: several steps on several hosts change it, and the record follows them. Null for the others.</summary>
    /// <param name="record">The record until now; null for none.</param>
    /// <param name="next">The record after the change.</param>
    /// <param name="differences">What the change sets and removes.</param>
    public ResourceRecord? Intent(ResourceRecord? record, ResourceRecord next, IEnumerable<AttributeDifference> differences)
    {
        var names = differences.Where(difference => difference.After is not null).Select(difference => difference.Name).ToList();
        if (names.Count == 0 || providers.Get(next.Address.Type) is not IGroupResourceProvider)
        {
            return null;
        }

        var known = record ?? next with { Fingerprints = SortedMap<string>.Empty };
        return known with { Intended = known.Intended.Union(names) };
    }

    /// <summary>Whether a record with the fingerprint of every desired value is as complete as a new one.</summary>
    /// <param name="record">The record.</param>
    /// <param name="node">The resource with its edges.</param>
    /// <param name="values">How many values are desired.</param>
    public static bool IsComplete(ResourceRecord record, ResourceGraph.Node node, int values) =>
        record.Fingerprints.Count == values
        && record.Requires.AsSpan().SequenceEqual(node.Requires.AsSpan())
        && record.PreventDestroy == node.Resource.PreventDestroy
        && record.Group == node.Resource.Group;

    // A map, such as the environment of a foreign process, may hold passwords that no credentials file knows.
    private static bool MayHoldForeignSecret(
        ResourceSchema schema,
        KeyValuePair<string, AttributeValue> desired,
        SortedMap<AttributeValue> actual
    ) =>
        actual[desired.Key].Value != desired.Value.Value
        && schema.Attributes.Any(attribute => attribute.Name == desired.Key && attribute.Kind == AttributeKind.StringMap);
}
