using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>Patroni's dynamic configuration as flat keys: <c>ttl</c>, <c>postgresql.use_slots</c>,
/// <c>postgresql.parameters.max_connections</c>. Behind <c>postgresql.parameters.</c> stands one name, also when it has dots.</summary>
internal static class DynamicSettings
{
    /// <summary>The prefix of a parameter of PostgreSQL.</summary>
    public const string Parameters = "postgresql.parameters.";

    /// <summary>The prefix of a permanent replication slot.</summary>
    public const string Slots = "slots.";

    private const string SlotType = ".type";

    /// <summary>The slot's name, for the key that says of which type it is; null for every other key. A slot is there as long as this key
    /// is.</summary>
    public static string? SlotOf(string key) =>
        key.StartsWith(Slots, StringComparison.Ordinal)
        && key.EndsWith(SlotType, StringComparison.Ordinal)
        && key.Length > Slots.Length + SlotType.Length
            ? key[Slots.Length..^SlotType.Length]
            : null;

    /// <summary>The parameter's name in lower case, or null for a key of Patroni's own.</summary>
    public static string? ParameterOf(string key) =>
        key.StartsWith(Parameters, StringComparison.Ordinal) ? key[Parameters.Length..].ToLowerInvariant() : null;

    /// <summary>Makes it flat; a list is one value, in JSON.</summary>
    public static ImmutableSortedDictionary<string, string> Flatten(JsonElement configuration)
    {
        var flat = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        Add("", configuration);
        return flat.ToImmutable();

        void Add(string path, JsonElement element)
        {
            if (element.ValueKind != JsonValueKind.Object)
            {
                if (path.Length > 0 && element.ValueKind != JsonValueKind.Null)
                {
                    flat[path] = element.Plain();
                }

                return;
            }

            foreach (var property in element.EnumerateObject())
            {
                Add(path.Length == 0 ? property.Name : $"{path}.{property.Name}", property.Value);
            }
        }
    }

    /// <summary>The body of a PATCH that sets these keys; null takes one away.</summary>
    public static byte[] Patch(IEnumerable<KeyValuePair<string, string?>> values)
    {
        var root = new Node();
        foreach (var (key, value) in values)
        {
            // Patroni treats a slot without a type as physical, so a slot is removed as a whole.
            var path =
                ParameterOf(key) is not null ? [.. Parameters.TrimEnd('.').Split('.'), key[Parameters.Length..]]
                : value is null && SlotOf(key) is { } slot ? ["slots", slot]
                : key.Split('.');
            var node = path.Aggregate(root, (parent, name) => parent.Child(name));
            node.IsLeaf = true;
            node.Value = value;
        }

        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            root.Write(json);
        }

        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Whether two values of a key of Patroni's own mean the same.</summary>
    public static bool Same(string left, string right) =>
        left == right
        || (Word(left) is { } truth && truth == Word(right))
        || (
            left.StartsWith('[')
            && JsonAnswer.Parse(left) is { } list
            && JsonAnswer.Parse(right) is { } other
            && JsonElement.DeepEquals(list, other)
        );

    private static bool? Word(string text) =>
        text.ToLowerInvariant() switch
        {
            "true" or "on" or "yes" => true,
            "false" or "off" or "no" => false,
            _ => null,
        };

    private sealed class Node
    {
        private readonly SortedDictionary<string, Node> _children = new(StringComparer.Ordinal);

        public bool IsLeaf { get; set; }

        public string? Value { get; set; }

        public Node Child(string name) => _children.TryGetValue(name, out var child) ? child : _children[name] = new Node();

        // Numbers, truths and lists as such, as they are written in a file of Patroni's.
        public void Write(Utf8JsonWriter json)
        {
            if (!IsLeaf)
            {
                json.WriteStartObject();
                foreach (var (name, child) in _children)
                {
                    json.WritePropertyName(name);
                    child.Write(json);
                }

                json.WriteEndObject();
            }
            else if (Value is null)
            {
                json.WriteNullValue();
            }
            else if (Value is "true" or "false")
            {
                json.WriteBooleanValue(Value == "true");
            }
            else if (
                long.TryParse(Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)
                && number.ToString(CultureInfo.InvariantCulture) == Value
            )
            {
                json.WriteNumberValue(number);
            }
            else if (Value.StartsWith('[') && JsonAnswer.Parse(Value) is { } list)
            {
                list.WriteTo(json);
            }
            else
            {
                json.WriteStringValue(Value);
            }
        }
    }
}
