using System.Buffers;
using System.Collections.Immutable;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using KeyBuzz.Reconciler.Configuration;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>The JSON Schema (draft 7) of a cluster file, for editors. kbr validate checks more: what one value means for another.</summary>
internal static class ClusterJsonSchema
{
    private static readonly string[] s_scalars = ["string", "number", "boolean"];

    /// <summary>The schema.</summary>
    public static string Of(ClusterSchema schema, bool indented)
    {
        var buffer = new ArrayBufferWriter<byte>();
        // It is read by editors, not put into pages.
        var options = new JsonWriterOptions { Indented = indented, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        using (var json = new Utf8JsonWriter(buffer, options))
        {
            json.WriteStartObject();
            json.WriteString("$schema", "http://json-schema.org/draft-07/schema#");
            json.WriteString("title", "cluster.yaml of kbr");
            WriteMap(json, schema.Root, schema.Types.Keys);
            json.WriteStartObject("definitions");
            foreach (var (type, key) in schema.Types)
            {
                json.WriteStartObject(type);
                json.WriteString("description", key.Description);
                WriteMap(json, key.Section!, types: null, type);
                json.WriteEndObject();
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static void WriteMap(Utf8JsonWriter json, SectionSchema map, IEnumerable<string>? types = null, string? type = null)
    {
        json.WriteString("type", "object");
        json.WriteStartObject("properties");
        foreach (var key in map.Keys)
        {
            json.WriteStartObject(key.Name);
            json.WriteString("description", Described(key));
            if (types is not null && key.Section is { IsOpen: true } && key.Form == ValueForm.Sections)
            {
                WriteResources(json, types);
            }
            else if (type is not null && key.Name == "type")
            {
                WriteChoices(json, [type]);
            }
            else
            {
                WriteForms(json, key);
            }

            json.WriteEndObject();
        }

        json.WriteEndObject();
        if (!map.IsOpen)
        {
            json.WriteBoolean("additionalProperties", false);
        }

        // A text may come from a file instead, which kbr validate sees to.
        var required = map.Keys.Where(key => key.Required && !IsReplaceable(map, key)).ToImmutableArray();
        if (!required.IsEmpty)
        {
            json.WriteStartArray("required");
            foreach (var key in required)
            {
                json.WriteStringValue(key.Name);
            }

            json.WriteEndArray();
        }
    }

    private static bool IsReplaceable(SectionSchema map, SectionKey key) =>
        key.Form == ValueForm.Text && map.Find(key.Name + "_file") is not null;

    private static string Described(SectionKey key) =>
        key.Default is { Length: > 0 } preset ? $"{key.Description} Default: {preset}." : key.Description;

    private static void WriteResources(Utf8JsonWriter json, IEnumerable<string> types)
    {
        json.WriteStartArray("type");
        json.WriteStringValue("array");
        json.WriteStringValue("null");
        json.WriteEndArray();
        json.WriteStartObject("items");
        json.WriteStartArray("oneOf");
        foreach (var type in types)
        {
            json.WriteStartObject();
            json.WriteString("$ref", $"#/definitions/{type}");
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteForms(Utf8JsonWriter json, SectionKey key)
    {
        if (key.Or.IsEmpty)
        {
            WriteForm(json, key, key.Form);
            return;
        }

        json.WriteStartArray("anyOf");
        foreach (var form in key.Forms)
        {
            json.WriteStartObject();
            WriteForm(json, key, form);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void WriteForm(Utf8JsonWriter json, SectionKey key, ValueForm form)
    {
        switch (form)
        {
            case ValueForm.Word when !key.Choices.IsEmpty:
                WriteChoices(json, key.Choices);
                break;
            case ValueForm.Integer:
                WriteInteger(json, key.Minimum, null);
                break;
            case ValueForm.Port:
                WriteInteger(json, 1, 65535);
                break;
            case ValueForm.Boolean:
                json.WriteString("type", "boolean");
                break;
            case ValueForm.Duration:
                json.WriteString("type", "string");
                json.WriteString("pattern", "^[0-9]{1,9}(ms|s|m|h)$");
                break;
            case ValueForm.Words:
                json.WriteString("type", "array");
                json.WriteStartObject("items");
                WriteTypes(json, s_scalars);
                json.WriteEndObject();
                break;
            case ValueForm.Values:
                json.WriteString("type", "object");
                json.WriteStartObject("additionalProperties");
                WriteTypes(json, s_scalars);
                json.WriteEndObject();
                break;
            case ValueForm.Section:
                WriteMap(json, key.Section!);
                break;
            case ValueForm.Sections:
                json.WriteString("type", "array");
                json.WriteStartObject("items");
                // Where words may stand, they may stand between the maps, too.
                if (key.Forms.Contains(ValueForm.Words))
                {
                    json.WriteStartArray("anyOf");
                    json.WriteStartObject();
                    WriteTypes(json, s_scalars);
                    json.WriteEndObject();
                    json.WriteStartObject();
                    WriteMap(json, key.Section!);
                    json.WriteEndObject();
                    json.WriteEndArray();
                }
                else
                {
                    WriteMap(json, key.Section!);
                }

                json.WriteEndObject();
                break;
            case ValueForm.NamedSections:
                json.WriteString("type", "object");
                json.WriteStartObject("additionalProperties");
                WriteMap(json, key.Section!);
                json.WriteEndObject();
                break;
            default:
                WriteTypes(json, s_scalars);
                break;
        }
    }

    // A text that stands for a number is one, too: a reference, or digits in quotes.
    private static void WriteInteger(Utf8JsonWriter json, long? least, long? most)
    {
        WriteTypes(json, ["integer", "string"]);
        if (least is { } minimum)
        {
            json.WriteNumber("minimum", minimum);
        }

        if (most is { } maximum)
        {
            json.WriteNumber("maximum", maximum);
        }
    }

    private static void WriteTypes(Utf8JsonWriter json, IEnumerable<string> types)
    {
        json.WriteStartArray("type");
        foreach (var type in types)
        {
            json.WriteStringValue(type);
        }

        json.WriteEndArray();
    }

    // YAML reads off as false, and 1 as a number.
    private static void WriteChoices(Utf8JsonWriter json, ImmutableArray<string> choices)
    {
        json.WriteStartArray("enum");
        foreach (var choice in choices)
        {
            json.WriteStringValue(choice);
            if (long.TryParse(choice, System.Globalization.CultureInfo.InvariantCulture, out var number))
            {
                json.WriteNumberValue(number);
            }
            else if (choice == "off")
            {
                json.WriteBooleanValue(false);
            }
        }

        json.WriteEndArray();
    }
}
