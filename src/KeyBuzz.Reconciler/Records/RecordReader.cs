using System.Buffers;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>Reads a record in one pass. Most records say what cluster.yaml says, and what is equal is shared with it.</summary>
/// <param name="cluster">The cluster that it must be of.</param>
/// <param name="providers">The resource types.</param>
/// <param name="format">The versions of the format.</param>
/// <param name="known">What records share.</param>
internal sealed class RecordReader(string cluster, ProviderRegistry providers, RecordFormat format, KnownResources known)
{
    private const int LongestShared = 256;

    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private const Field Needed =
        Field.Version
        | Field.Cluster
        | Field.Address
        | Field.Created
        | Field.Pending
        | Field.PreventDestroy
        | Field.Requires
        | Field.Fingerprints
        | Field.Spec;

    // Made once for all records of a host.
    private readonly Dictionary<string, NameTable<AttributeDefinition>> _attributes = new(StringComparer.Ordinal);
    private readonly List<Address> _addresses = [];
    private readonly List<KeyValuePair<string, string>> _prints = [];

    [Flags]
    private enum Field
    {
        Other = 0,
        Version = 1,
        Cluster = 2,
        Address = 4,
        Created = 8,
        Pending = 16,
        PreventDestroy = 32,
        Requires = 64,
        Fingerprints = 128,
        Spec = 256,
        Group = 512,
        Serial = 1024,
        AppliedAt = 2048,
        Intended = 4096,
    }

    // In the order in which they are written.
    private static readonly ImmutableArray<(string Name, Field Field)> s_fields =
    [
        ("format_version", Field.Version),
        ("cluster", Field.Cluster),
        ("address", Field.Address),
        ("created", Field.Created),
        ("pending", Field.Pending),
        ("prevent_destroy", Field.PreventDestroy),
        ("group", Field.Group),
        ("serial", Field.Serial),
        ("applied_at", Field.AppliedAt),
        ("requires", Field.Requires),
        ("fingerprints", Field.Fingerprints),
        ("intended", Field.Intended),
        ("spec", Field.Spec),
    ];

    private static readonly NameTable<Field> s_byName = new(s_fields);

    /// <summary>Reads a record, as <see cref="RecordJson.Read"/> does.</summary>
    public ResourceRecord? Read(ReadOnlySpan<byte> json)
    {
        try
        {
            if (VersionOf(json) != format.Current)
            {
                if (format.Bring(s_utf8.GetString(json), providers) is not { } current)
                {
                    return null;
                }

                json = s_utf8.GetBytes(current);
            }

            return ReadCurrent(json);
        }
        catch (Exception exception)
            when (exception is JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException)
        {
            throw new FormatException("it is damaged: " + exception.Message, exception);
        }
    }

    private ResourceRecord ReadCurrent(ReadOnlySpan<byte> json)
    {
        if (!Seek(json, "cluster", out var owner) || !owner.ValueTextEquals(cluster))
        {
            throw new FormatException($"it is of the cluster '{owner.GetString()}', not '{cluster}'");
        }

        if (!Seek(json, "address", out var at) || !TryAddress(in at, out var address, out var configured))
        {
            throw new FormatException("its address is invalid");
        }

        var provider = providers.Find(address.Type) ?? throw new FormatException($"it is of the unknown type '{address.Type}'");
        var (created, pending, protection) = (false, false, false);
        var fingerprints = SortedMap<string>.Empty;
        var spec = AttributeSet.Empty;
        ImmutableArray<Address> requires = [];
        ImmutableSortedSet<string> intended = [];
        DateTimeOffset? appliedAt = null;
        string? group = null;
        var serial = 0L;
        var attributes = AttributesOf(provider.Schema);
        var (seen, place) = (Field.Other, 0);
        var reader = new Utf8JsonReader(json);
        Begin(ref reader, JsonTokenType.StartObject);
        while (NextName(ref reader))
        {
            var field = s_byName.Find(in reader, ref place);
            if ((seen & field) != 0)
            {
                throw new FormatException($"it is damaged: it says '{reader.GetString()}' twice");
            }

            seen |= field;
            reader.Read();
            switch (field)
            {
                case Field.Created:
                    created = reader.GetBoolean();
                    break;
                case Field.Pending:
                    pending = reader.GetBoolean();
                    break;
                case Field.PreventDestroy:
                    protection = reader.GetBoolean();
                    break;
                case Field.Requires:
                    requires = Requires(ref reader, configured?.Requires ?? []);
                    break;
                case Field.Fingerprints:
                    fingerprints = Fingerprints(ref reader, attributes);
                    break;
                case Field.Spec:
                    spec = Spec(ref reader, attributes, configured?.Resource.Spec);
                    break;
                case Field.Group:
                    group = reader.GetString() is { } name ? known.Shared(name) : null;
                    break;
                case Field.Serial:
                    serial = reader.GetInt64();
                    break;
                case Field.AppliedAt:
                    appliedAt = reader.GetDateTimeOffset();
                    break;
                case Field.Intended:
                    intended = [.. Items(ref reader)];
                    break;
                default:
                    reader.Skip();
                    break;
            }
        }

        // Nothing may follow.
        reader.Read();
        if ((Needed & ~seen) is var missing and not Field.Other)
        {
            throw new FormatException($"it is damaged: it has no '{s_fields.First(field => missing.HasFlag(field.Field)).Name}'");
        }

        var read = new ResourceRecord(address, created, pending, fingerprints, spec, requires, protection)
        {
            AppliedAt = appliedAt,
            Group = group,
            Intended = intended,
            Serial = serial,
        };
        return RecordRules.Problem(read, provider, configured) is { } problem
            ? throw new FormatException($"{problem}; check it, and move it away to adopt the resource again")
            : read;
    }

    private static int? VersionOf(ReadOnlySpan<byte> json) =>
        Seek(json, "format_version", out var reader) && reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out var version)
            ? version
            : null;

    // Stands at the value of a field of the record. What decides how the others are read stands before them.
    private static bool Seek(ReadOnlySpan<byte> json, string field, out Utf8JsonReader reader)
    {
        reader = new Utf8JsonReader(json);
        Begin(ref reader, JsonTokenType.StartObject);
        while (NextName(ref reader))
        {
            var found = reader.ValueTextEquals(field);
            reader.Read();
            if (found)
            {
                return true;
            }

            reader.Skip();
        }

        return false;
    }

    private static void Begin(ref Utf8JsonReader reader, JsonTokenType kind)
    {
        reader.Read();
        Expect(in reader, kind);
    }

    private static void Expect(ref readonly Utf8JsonReader reader, JsonTokenType kind)
    {
        if (reader.TokenType != kind)
        {
            throw new FormatException($"it is damaged: {kind} was expected, and {reader.TokenType} is there");
        }
    }

    // Whether another name follows, or the end of the object. A reader throws for what is neither.
    private static bool NextName(ref Utf8JsonReader reader) => reader.Read() && reader.TokenType == JsonTokenType.PropertyName;

    private static bool NextItem(ref Utf8JsonReader reader) => reader.Read() && reader.TokenType != JsonTokenType.EndArray;

    private bool TryAddress(ref readonly Utf8JsonReader reader, out Address address, out KnownResource? configured)
    {
        Expect(in reader, JsonTokenType.String);
        configured = null;
        if (reader.ValueSpan.Length <= LongestShared)
        {
            Span<char> letters = stackalloc char[LongestShared];
            configured = known.Find(letters[..reader.CopyString(letters)]);
        }

        address = configured?.Resource.Address ?? default;
        return configured is not null || known.TryOther(reader.GetString()!, out address);
    }

    private string Text(ref readonly Utf8JsonReader reader, JsonTokenType kind = JsonTokenType.String)
    {
        Expect(in reader, kind);
        if (reader.ValueSpan.Length > LongestShared)
        {
            return reader.GetString()!;
        }

        Span<char> letters = stackalloc char[LongestShared];
        return known.Shared(letters[..reader.CopyString(letters)]);
    }

    // Of the configured ones the very array, where they are the same.
    private ImmutableArray<Address> Requires(ref Utf8JsonReader reader, ImmutableArray<Address> configured)
    {
        Expect(in reader, JsonTokenType.StartArray);
        _addresses.Clear();
        while (NextItem(ref reader))
        {
            _addresses.Add(
                TryAddress(in reader, out var address, out _)
                    ? address
                    : throw new FormatException("one of its dependencies is not an address")
            );
        }

        return configured.AsSpan().SequenceEqual(CollectionsMarshal.AsSpan(_addresses)) ? configured : [.. _addresses];
    }

    private SortedMap<string> Fingerprints(ref Utf8JsonReader reader, NameTable<AttributeDefinition> attributes)
    {
        Expect(in reader, JsonTokenType.StartObject);
        _prints.Clear();
        var place = 0;
        while (NextName(ref reader))
        {
            // The name as the schema has it; of a computed attribute, as the record does.
            var name = attributes.Find(in reader, ref place)?.Name ?? Text(in reader, JsonTokenType.PropertyName);
            reader.Read();
            // The value itself is that of many records; a hash is of one.
            var isValue = reader.ValueSpan.StartsWith("="u8);
            _prints.Add(
                KeyValuePair.Create(name, isValue || reader.TokenType != JsonTokenType.String ? Text(in reader) : reader.GetString()!)
            );
        }

        return SortedMap.Of<string>(_prints);
    }

    private AttributeSet Spec(ref Utf8JsonReader reader, NameTable<AttributeDefinition> attributes, AttributeSet? configured)
    {
        Expect(in reader, JsonTokenType.StartObject);
        if (configured is not null)
        {
            var same = reader;
            if (SpecComparison.Is(ref same, configured, attributes))
            {
                reader = same;
                return configured;
            }
        }

        var values = SortedMap.Of<object>(Values(ref reader, attributes));
        return new AttributeSet(values);
    }

    private List<KeyValuePair<string, object>> Values(ref Utf8JsonReader reader, NameTable<AttributeDefinition> attributes)
    {
        var values = new List<KeyValuePair<string, object>>();
        var place = 0;
        while (NextName(ref reader))
        {
            var definition = attributes.Find(in reader, ref place);
            reader.Read();
            if (definition is null)
            {
                reader.Skip();
                continue;
            }

            values.Add(new(definition.Name, Value(ref reader, definition.Kind)));
        }

        return values;
    }

    private object Value(ref Utf8JsonReader reader, AttributeKind kind)
    {
        switch (kind)
        {
            case AttributeKind.Boolean:
                return reader.GetBoolean();
            case AttributeKind.Integer or AttributeKind.Size:
                return reader.GetInt64();
            case AttributeKind.Text:
                return SecretText.Plain(Text(in reader));
            case AttributeKind.StringList:
                return Items(ref reader).ToImmutableArray() as IReadOnlyList<string>;
            case AttributeKind.StringMap:
                Expect(in reader, JsonTokenType.StartObject);
                var pairs = new List<KeyValuePair<string, string>>();
                while (NextName(ref reader))
                {
                    var name = Text(in reader, JsonTokenType.PropertyName);
                    reader.Read();
                    pairs.Add(KeyValuePair.Create(name, Text(in reader)));
                }

                return SortedMap.Of<string>(pairs);
            default:
                return Text(in reader);
        }
    }

    private List<string> Items(ref Utf8JsonReader reader)
    {
        Expect(in reader, JsonTokenType.StartArray);
        var items = new List<string>();
        while (NextItem(ref reader))
        {
            items.Add(Text(in reader));
        }

        return items;
    }

    private NameTable<AttributeDefinition> AttributesOf(ResourceSchema schema)
    {
        if (!_attributes.TryGetValue(schema.Type, out var table))
        {
            var sorted = schema.Attributes.OrderBy(attribute => attribute.Name, StringComparer.Ordinal);
            _attributes[schema.Type] = table = new NameTable<AttributeDefinition>(sorted.Select(attribute => (attribute.Name, attribute)));
        }

        return table;
    }
}
