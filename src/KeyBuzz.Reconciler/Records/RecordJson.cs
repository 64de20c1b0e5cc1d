using System.Buffers;
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
    /// <param name="known">What it may share with cluster.yaml, which changes nothing of what it says; null for nothing.</param>
    public static ResourceRecord? Read(
        string text,
        string cluster,
        ProviderRegistry providers,
        RecordFormat? format = null,
        KnownResources? known = null
    ) =>
        new RecordReader(cluster, providers, format ?? RecordFormat.Default, known ?? new KnownResources([], new TextPool())).Read(
            Encoding.UTF8.GetBytes(text)
        );

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
}
