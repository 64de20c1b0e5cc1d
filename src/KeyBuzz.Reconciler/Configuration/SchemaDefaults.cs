using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>The default values of a schema.</summary>
public static class SchemaDefaults
{
    /// <summary>The attributes with the defaults of the schema filled in, as if they had been bound from cluster.yaml.</summary>
    /// <exception cref="ArgumentException">An attribute is not in the schema, or a required one is missing: a mistake of the program that
    /// made them.</exception>
    public static AttributeSet Fill(ResourceSchema schema, AttributeSet given) => Fill($"type {schema.Type}", schema.Attributes, given);

    /// <summary>The same of the settings of a policy.</summary>
    /// <exception cref="ArgumentException">As above.</exception>
    public static AttributeSet Fill(IGroupPolicy policy, AttributeSet given) =>
        Fill($"policy {policy.GetType().Name}", policy.Settings, given);

    private static AttributeSet Fill(string owner, IReadOnlyList<AttributeDefinition> attributes, AttributeSet given)
    {
        var values = new List<KeyValuePair<string, object>>(attributes.Count);
        foreach (var name in given.Names)
        {
            values.Add(
                attributes.Any(attribute => attribute.Name == name)
                    ? new(name, given[name]!)
                    : throw new ArgumentException($"the {owner} has no attribute '{name}'", nameof(given))
            );
        }

        foreach (var attribute in attributes.Where(attribute => !given.Has(attribute.Name)))
        {
            if (attribute.Required)
            {
                throw new ArgumentException($"the {owner} needs the attribute '{attribute.Name}'", nameof(given));
            }

            if (Of(attribute) is { } value)
            {
                values.Add(new(attribute.Name, value));
            }
        }

        return new AttributeSet(values);
    }

    /// <summary>The default of an attribute in the type that an <see cref="AttributeSet"/> holds it in, or null.</summary>
    internal static object? Of(AttributeDefinition attribute) =>
        (attribute.Kind, attribute.Default) switch
        {
            (AttributeKind.Integer or AttributeKind.Size, int number) => (long)number,
            (AttributeKind.Text, string text) => SecretText.Plain(text),
            (AttributeKind.String, string text) when attribute.MayHoldSecret => SecretText.Plain(text),
            _ => attribute.Default,
        };
}
