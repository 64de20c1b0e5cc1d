using System.Text.Json;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>The operator's copy of the records, <c>state/CLUSTER.json</c>: a convenience, written whole after each apply; losing it loses nothing.</summary>
public static class StateFile
{
    /// <summary>The version this program writes.</summary>
    public const int FormatVersion = 1;

    /// <summary>Writes the copy: beside, synced, renamed. The lineage of an existing copy stays, its serial goes up by one.</summary>
    public static void Write(string path, string cluster, IEnumerable<ResourceRecord> records)
    {
        var (lineage, serial) = Previous(path);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        LocalFile.Replace(path, file =>
        {
            using var json = new Utf8JsonWriter(file, new JsonWriterOptions { Indented = true });
            json.WriteStartObject();
            json.WriteNumber("format_version", FormatVersion);
            json.WriteString("cluster", cluster);
            json.WriteString("lineage", lineage);
            json.WriteNumber("serial", serial + 1);
            json.WriteStartArray("records");
            foreach (var record in records.OrderBy(record => record.Address))
            {
                json.WriteRawValue(RecordJson.Write(record, cluster));
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static (Guid Lineage, long Serial) Previous(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            return (document.RootElement.GetProperty("lineage").GetGuid(), document.RootElement.GetProperty("serial").GetInt64());
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException or JsonException or KeyNotFoundException or FormatException or InvalidOperationException)
        {
            // The hosts hold the records; a copy that is missing or damaged is begun anew.
            return (Guid.NewGuid(), 0);
        }
    }
}
