using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>Makes resources by the schemas of their types, defaults filled in.</summary>
/// <param name="providers">The resource types there are.</param>
internal sealed class ResourceFactory(IReadOnlyCollection<IResourceProvider> providers)
{
    private readonly Dictionary<string, ResourceSchema> _schemas = providers.ToDictionary(
        provider => provider.Schema.Type,
        provider => provider.Schema,
        StringComparer.Ordinal
    );

    /// <summary>A resource; a value that is null is left out.</summary>
    /// <param name="type">Its type.</param>
    /// <param name="name">Its name.</param>
    /// <param name="place">The host or the group.</param>
    /// <param name="at">The place in cluster.yaml that it comes from.</param>
    /// <param name="attributes">Its attributes.</param>
    public Resource Make(
        string type,
        string name,
        string place,
        SourceLocation at,
        params ReadOnlySpan<(string Name, object? Value)> attributes
    ) => new(new Address(type, name, place), SchemaDefaults.Fill(_schemas[type], Set(attributes)), at);

    /// <summary>The policy of a group; a value that is null is left out.</summary>
    /// <param name="group">The group.</param>
    /// <param name="rules">Its rules.</param>
    /// <param name="at">The place in cluster.yaml that it comes from.</param>
    /// <param name="settings">Its settings.</param>
    public static GroupPolicy Policy(
        string group,
        IGroupPolicy rules,
        SourceLocation at,
        params ReadOnlySpan<(string Name, object? Value)> settings
    ) => new(group, rules, SchemaDefaults.Fill(rules, Set(settings)), at);

    private static AttributeSet Set(ReadOnlySpan<(string Name, object? Value)> attributes)
    {
        var values = ImmutableDictionary.CreateBuilder<string, object>(StringComparer.Ordinal);
        foreach (var (key, value) in attributes)
        {
            if (value is not null)
            {
                values[key] = value;
            }
        }

        return new AttributeSet(values.ToImmutable());
    }

    /// <summary>A list of strings, as an attribute holds it.</summary>
    public static IReadOnlyList<string> List(params IEnumerable<string> items) => [.. items];

    /// <summary>A map of strings, as an attribute holds it.</summary>
    public static IReadOnlyDictionary<string, string> Map(params IEnumerable<(string Key, string Value)> items) =>
        items.ToImmutableSortedDictionary(item => item.Key, item => item.Value, StringComparer.Ordinal);
}
