using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>Records as one-line JSON documents, of the version of <see cref="RecordFormat"/>.</summary>
public static class RecordJson
{
    /// <summary>The version this program writes.</summary>
    public static int FormatVersion => RecordFormat.Default.Current;

    /// <summary>Writes a record.</summary>
    public static string Write(ResourceRecord record, string cluster)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("format_version", FormatVersion);
            json.WriteString("cluster", cluster);
            json.WriteString("address", record.Address.ToString());
            json.WriteBoolean("created", record.Created);
            json.WriteBoolean("pending", record.Pending);
            json.WriteBoolean("prevent_destroy", record.PreventDestroy);
            if (record.Group is { } group)
            {
                json.WriteString("group", group);
            }

            if (record.Serial > 0)
            {
                json.WriteNumber("serial", record.Serial);
            }

            if (record.AppliedAt is { } at)
            {
                json.WriteString("applied_at", at.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture));
            }

            json.WriteStartArray("requires");
            foreach (var required in record.Requires)
            {
                json.WriteStringValue(required.ToString());
            }

            json.WriteEndArray();
            json.WriteStartObject("fingerprints");
            foreach (var (name, value) in record.Fingerprints)
            {
                json.WriteString(name, value);
            }

            json.WriteEndObject();
            if (!record.Intended.IsEmpty)
            {
                json.WriteStartArray("intended");
                foreach (var name in record.Intended)
                {
                    json.WriteStringValue(name);
                }

                json.WriteEndArray();
            }

            json.WriteStartObject("spec");
            foreach (var name in record.Spec.Names.Order(StringComparer.Ordinal))
            {
                json.WritePropertyName(name);
                WriteValue(json, record.Spec[name]!);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>Reads a record of any version; null for one of an older version that says nothing any more. Throws
    /// <see cref="FormatException"/> for one that is damaged, of another cluster, or newer than this program, and for one of a resource
    /// that cluster.yaml could not declare, because kbr acts on records as root.</summary>
    /// <param name="text">The record.</param>
    /// <param name="cluster">The cluster that it must be of.</param>
    /// <param name="providers">The resource types.</param>
    /// <param name="format">The versions of the format; null for those of this program.</param>
    /// <param name="texts">What keeps the texts of several records; null for one alone.</param>
    public static ResourceRecord? Read(
        string text,
        string cluster,
        ProviderRegistry providers,
        RecordFormat? format = null,
        TextPool? texts = null
    )
    {
        texts ??= new TextPool([]);
        try
        {
            using var document = (format ?? RecordFormat.Default).Parse(text, providers);
            if (document is null)
            {
                return null;
            }

            var root = document.RootElement;
            var owner = root.GetProperty("cluster");
            if (!owner.ValueEquals(cluster))
            {
                throw new FormatException($"it is of the cluster '{owner.GetString()}', not '{cluster}'");
            }

            if (!Address.TryParse(root.GetProperty("address").GetString(), out var address))
            {
                throw new FormatException("its address is invalid");
            }

            var provider = providers.Find(address.Type) ?? throw new FormatException($"it is of the unknown type '{address.Type}'");
            var schema = provider.Schema;
            address = texts.Of(address with { Type = schema.Type });
            var spec = new List<KeyValuePair<string, object>>();
            foreach (var property in root.GetProperty("spec").EnumerateObject())
            {
                if (schema.Find(property.Name) is { } definition)
                {
                    spec.Add(new(definition.Name, ReadValue(property.Value, definition.Kind, texts)));
                }
            }

            var record = new ResourceRecord(
                address,
                root.GetProperty("created").GetBoolean(),
                root.GetProperty("pending").GetBoolean(),
                FingerprintsOf(root.GetProperty("fingerprints"), schema, texts),
                texts.Of(address, new AttributeSet(spec)),
                RequiresOf(root.GetProperty("requires"), texts),
                root.GetProperty("prevent_destroy").GetBoolean()
            )
            {
                AppliedAt = root.TryGetProperty("applied_at", out var at) ? at.GetDateTimeOffset() : null,
                Group = root.TryGetProperty("group", out var group) && group.GetString() is { } name ? texts.Of(name) : null,
                Intended = root.TryGetProperty("intended", out var intended)
                    ? [.. intended.EnumerateArray().Select(one => one.GetString()!)]
                    : [],
                Serial = root.TryGetProperty("serial", out var serial) ? serial.GetInt64() : 0,
            };
            return RecordRules.Problem(record, provider, texts.IsConfigured(address, record.Spec)) is { } problem
                ? throw new FormatException($"{problem}; check it, and move it away to adopt the resource again")
                : record;
        }
        catch (Exception exception)
            when (exception is JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException)
        {
            throw new FormatException("it is damaged: " + exception.Message, exception);
        }
    }

    private static void WriteValue(Utf8JsonWriter json, object value)
    {
        switch (value)
        {
            case bool truth:
                json.WriteBooleanValue(truth);
                break;
            case long number:
                json.WriteNumberValue(number);
                break;
            case IReadOnlyList<string> list:
                json.WriteStartArray();
                foreach (var item in list)
                {
                    json.WriteStringValue(item);
                }

                json.WriteEndArray();
                break;
            case IReadOnlyDictionary<string, string> map:
                json.WriteStartObject();
                foreach (var (key, item) in map.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                {
                    json.WriteString(key, item);
                }

                json.WriteEndObject();
                break;
            default:
                // A SecretText masks itself here.
                json.WriteStringValue(value.ToString());
                break;
        }
    }

    private static SortedMap<string> FingerprintsOf(JsonElement element, ResourceSchema schema, TextPool texts)
    {
        var fingerprints = new SortedMap<string>.Builder(element.GetPropertyCount());
        foreach (var property in element.EnumerateObject())
        {
            fingerprints.Add(NameOf(property, schema), texts.Of(Text(property.Value)));
        }

        return fingerprints.ToMap();
    }

    private static ImmutableArray<Address> RequiresOf(JsonElement element, TextPool texts)
    {
        var addresses = ImmutableArray.CreateBuilder<Address>(element.GetArrayLength());
        foreach (var one in element.EnumerateArray())
        {
            addresses.Add(
                Address.TryParse(one.GetString(), out var required)
                    ? texts.Of(required)
                    : throw new FormatException("one of its dependencies is not an address")
            );
        }

        return addresses.MoveToImmutable();
    }

    // The name as the schema has it; of a computed attribute, as the record does.
    private static string NameOf(JsonProperty property, ResourceSchema schema)
    {
        foreach (var attribute in schema.Attributes)
        {
            if (property.NameEquals(attribute.Name))
            {
                return attribute.Name;
            }
        }

        return property.Name;
    }

    private static object ReadValue(JsonElement element, AttributeKind kind, TextPool texts) =>
        kind switch
        {
            AttributeKind.Boolean => element.GetBoolean(),
            AttributeKind.Integer or AttributeKind.Size => element.GetInt64(),
            AttributeKind.Text => SecretText.Plain(texts.Of(Text(element))),
            AttributeKind.StringList => element.EnumerateArray().Select(Text).ToImmutableArray() as IReadOnlyList<string>,
            AttributeKind.StringMap => SortedMap.Of<string>(
                element.EnumerateObject().Select(p => KeyValuePair.Create(p.Name, Text(p.Value)))
            ),
            _ => texts.Of(Text(element)),
        };

    private static string Text(JsonElement element) => element.GetString() ?? throw new FormatException("one of its texts is null");
}
