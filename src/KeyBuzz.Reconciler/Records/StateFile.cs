using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text.Json;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>The operator's copy of the records, <c>state/CLUSTER.json</c>: written as a whole after each apply, and read for unreachable
/// hosts. Its loss loses no other data.</summary>
public static class StateFile
{
    /// <summary>The version this program writes.</summary>
    public const int FormatVersion = 1;

    /// <summary>Where the copy of a cluster is: beside the cluster file.</summary>
    /// <param name="directory">The folder of the cluster file.</param>
    /// <param name="cluster">The cluster's name.</param>
    public static string PathOf(string directory, string cluster) => Path.Combine(directory, "state", cluster + ".json");

    /// <summary>Writes the copy: beside, synced, renamed. The lineage of an existing copy stays, its serial goes up by one. Answers the
    /// serial.</summary>
    public static long Write(string path, string cluster, IEnumerable<ResourceRecord> records)
    {
        var (lineage, serial) = Previous(path);
        MakeDirectory(path);
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
        return serial + 1;
    }

    /// <summary>Reads the copy; one that is not there says nothing, and one that is damaged says nothing with a warning, since the hosts
    /// have the records. Throws <see cref="DiagnosticException"/> for one that is newer than this program or of another cluster: writing
    /// would do away with it.</summary>
    public static StateCopy Read(string path, string cluster, ProviderRegistry providers)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            var root = document.RootElement;
            if (root.GetProperty("format_version").GetInt32() is var version && version > FormatVersion)
            {
                throw new DiagnosticException(
                    Diagnostic.Error(
                        $"{path} has format version {version}; this kbr reads up to {FormatVersion}",
                        remedy: "use a newer kbr, or move the file away: the records are on the hosts"
                    )
                );
            }

            if (root.GetProperty("cluster").GetString() is var owner && owner != cluster)
            {
                throw new DiagnosticException(
                    Diagnostic.Error(
                        $"{path} is of the cluster '{owner}', not of '{cluster}'",
                        remedy: "move the file away: the records are on the hosts"
                    )
                );
            }

            var reader = new RecordReader(cluster, providers, RecordFormat.Default, new KnownResources([], new TextPool()));
            return new StateCopy(
                root.GetProperty("serial").GetInt64(),
                [
                    .. root.GetProperty("records")
                        .EnumerateArray()
                        .Select(record => reader.Read(JsonMarshal.GetRawUtf8Value(record)))
                        .OfType<ResourceRecord>(),
                ],
                []
            );
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            return new StateCopy(0, [], []);
        }
        catch (Exception exception)
            when (exception
                    is JsonException
                        or KeyNotFoundException
                        or FormatException
                        or InvalidOperationException
                        or IOException
                        or UnauthorizedAccessException
            )
        {
            return new StateCopy(
                0,
                [],
                [
                    Diagnostic.Warning(
                        $"{path} cannot be used",
                        detail: exception.Message,
                        remedy: "the file is only a copy; kbr state pull writes it again from the hosts"
                    ),
                ]
            );
        }
    }

    private static void MakeDirectory(string path)
    {
        var directory = Path.GetDirectoryName(path)!;
        try
        {
            Directory.CreateDirectory(directory);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            var target = new FileInfo(directory).LinkTarget is { } link ? $"; it is a link to {link}" : "";
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{path} cannot be written: its directory cannot be created",
                    detail: exception.Message + target,
                    remedy: "create that directory, then run kbr state pull; the records are on the hosts"
                )
            );
        }
    }

    private static (Guid Lineage, long Serial) Previous(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            return (document.RootElement.GetProperty("lineage").GetGuid(), document.RootElement.GetProperty("serial").GetInt64());
        }
        catch (Exception exception)
            when (exception
                    is IOException
                        or UnauthorizedAccessException
                        or JsonException
                        or KeyNotFoundException
                        or FormatException
                        or InvalidOperationException
            )
        {
            // The hosts hold the records; a copy that is missing or damaged is begun anew.
            return (Guid.NewGuid(), 0);
        }
    }
}
