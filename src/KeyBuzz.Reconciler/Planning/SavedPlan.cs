using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>A plan to be applied later, exactly as it was shown or not at all: its options, its basis and its output. It has no secret and
/// no script; an apply plans again and continues only when nothing has changed.</summary>
/// <param name="Cluster">The cluster it is for.</param>
/// <param name="Version">The kbr that made it: only the same one would do exactly the same.</param>
/// <param name="PlannedAt">When, UTC.</param>
/// <param name="Options">What was asked.</param>
/// <param name="HasChanges">Whether anything in it counts as a change.</param>
/// <param name="Basis">What it was made from, as fingerprints.</param>
/// <param name="Document">The plan as JSON, secrets masked.</param>
/// <param name="Text">The plan as a person was shown it, secrets masked.</param>
public sealed record SavedPlan(
    string Cluster,
    string Version,
    DateTimeOffset PlannedAt,
    PlanOptions Options,
    bool HasChanges,
    PlanBasis Basis,
    string Document,
    ImmutableArray<string> Text
)
{
    /// <summary>The version of the format that this program writes.</summary>
    public const int FormatVersion = 2;

    /// <summary>The word by which a saved plan is known.</summary>
    public const string Kind = "saved_plan";

    /// <summary>The key that a saved plan is authenticated with, and its fingerprints are made under; another one than that of
    /// records.</summary>
    public static byte[] KeyOf(string secret) =>
        HKDF.DeriveKey(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes(secret), 32, info: "kbr saved plan, format 1"u8.ToArray());

    /// <summary>The file's content: one line of JSON, and below it the HMAC of that line.</summary>
    public byte[] Write(byte[] key)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("format_version", FormatVersion);
            json.WriteString("kind", Kind);
            json.WriteString("cluster", Cluster);
            json.WriteString("kbr_version", Version);
            json.WriteString("planned_at", PlannedAt.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture));
            json.WriteBoolean("has_changes", HasChanges);
            json.WritePropertyName("options");
            WriteOptions(json, Options);
            json.WriteStartObject("basis");
            WriteMap(json, "files", Basis.Files);
            WriteMap(json, "hosts", Basis.Hosts);
            WriteMaps(json, "desired", Basis.Desired);
            WriteMap(json, "records", Basis.Records);
            WriteMaps(json, "observed", Basis.Observed);
            WriteMap(json, "steps", Basis.Steps);
            json.WriteEndObject();
            json.WritePropertyName("plan");
            json.WriteRawValue(Document);
            json.WriteStartArray("text");
            foreach (var line in Text)
            {
                json.WriteStringValue(line);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return [.. buffer.WrittenSpan, (byte)'\n', .. Encoding.ASCII.GetBytes(Seal(key, buffer.WrittenSpan)), (byte)'\n'];
    }

    /// <summary>Writes what was asked as a JSON object.</summary>
    public static void WriteOptions(Utf8JsonWriter json, PlanOptions options)
    {
        ArgumentNullException.ThrowIfNull(json);
        ArgumentNullException.ThrowIfNull(options);
        json.WriteStartObject();
        json.WriteBoolean("destroy", options.Destroy);
        json.WriteBoolean("delete_data", options.DeleteData);
        json.WriteBoolean("forget_unreachable", options.ForgetUnreachable);
        WriteList(json, "targets", options.Targets);
        WriteList(json, "adopt", options.Adopt);
        WriteList(json, "replace", options.Replace);
        json.WriteEndObject();
    }

    /// <summary>Whether that is meant to be a saved plan, of whatever version and however damaged.</summary>
    public static bool IsOne(ReadOnlySpan<byte> content)
    {
        var end = content.IndexOf((byte)'\n');
        var head = Encoding.UTF8.GetString(content[..Math.Min(end < 0 ? content.Length : end, 200)]);
        return head.StartsWith('{') && head.Contains($"\"kind\":\"{Kind}\"", StringComparison.Ordinal);
    }

    /// <summary>Reads a file's content. Throws <see cref="DiagnosticException"/> for one that is not a saved plan, damaged or altered, of
    /// another cluster, or of another version of the format.</summary>
    /// <param name="content">The content.</param>
    /// <param name="file">The file, for messages.</param>
    /// <param name="cluster">The cluster it has to be for.</param>
    /// <param name="key">The key it is authenticated with; null where that is not known, and then it must not be applied.</param>
    public static SavedPlan Read(ReadOnlyMemory<byte> content, string file, string cluster, byte[]? key)
    {
        var end = content.Span.IndexOf((byte)'\n');
        if (end < 0 || !IsOne(content.Span))
        {
            throw Refused($"{file} is not a saved plan, or is truncated", "create one with kbr plan --out FILE");
        }

        try
        {
            var line = content[..end];
            using var document = JsonDocument.Parse(line);
            var root = document.RootElement;
            if (root.GetProperty("format_version").GetInt32() is var version && version != FormatVersion)
            {
                throw Refused(
                    $"{file} has format version {version}; this kbr reads version {FormatVersion} only",
                    "use the kbr that created it, or plan again"
                );
            }

            if (root.GetProperty("cluster").GetString() is var owner && owner != cluster)
            {
                throw Refused($"{file} is a plan for the cluster '{owner}', not for '{cluster}'", "name its cluster file with -c");
            }

            if (
                key is not null
                && !CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(Seal(key, line.Span) + "\n"), content.Span[(end + 1)..])
            )
            {
                throw Refused(
                    $"{file} is damaged or altered, or was created with another KBR_KEY",
                    "plan again; saved plans cannot be edited"
                );
            }

            var options = root.GetProperty("options");
            var basis = root.GetProperty("basis");
            return new SavedPlan(
                cluster,
                Word(root.GetProperty("kbr_version")),
                root.GetProperty("planned_at").GetDateTimeOffset(),
                new PlanOptions
                {
                    Destroy = options.GetProperty("destroy").GetBoolean(),
                    DeleteData = options.GetProperty("delete_data").GetBoolean(),
                    ForgetUnreachable = options.GetProperty("forget_unreachable").GetBoolean(),
                    Targets = Patterns(options.GetProperty("targets")),
                    Adopt = Patterns(options.GetProperty("adopt")),
                    // A plan of a kbr that had no such option has none.
                    Replace = options.TryGetProperty("replace", out var replace) ? Addresses(replace) : [],
                },
                root.GetProperty("has_changes").GetBoolean(),
                new PlanBasis(
                    Map(basis.GetProperty("files")),
                    Map(basis.GetProperty("hosts")),
                    Maps(basis.GetProperty("desired")),
                    Map(basis.GetProperty("records")),
                    Maps(basis.GetProperty("observed")),
                    Map(basis.GetProperty("steps"))
                ),
                root.GetProperty("plan").GetRawText(),
                [.. root.GetProperty("text").EnumerateArray().Select(Word)]
            );
        }
        catch (Exception exception)
            when (exception is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or ArgumentException)
        {
            throw Refused($"{file} is damaged: {exception.Message}", "plan again");
        }
    }

    private static DiagnosticException Refused(string summary, string remedy) => new(Diagnostic.Error(summary, remedy: remedy));

    private static string Seal(byte[] key, ReadOnlySpan<byte> line) =>
        "hmac-sha256:" + Convert.ToHexStringLower(HMACSHA256.HashData(key, line));

    private static void WriteList<T>(Utf8JsonWriter json, string name, IEnumerable<T> addresses)
        where T : notnull
    {
        json.WriteStartArray(name);
        foreach (var address in addresses)
        {
            json.WriteStringValue(address.ToString());
        }

        json.WriteEndArray();
    }

    private static void WriteMap(Utf8JsonWriter json, string name, ImmutableSortedDictionary<string, string> map)
    {
        json.WriteStartObject(name);
        foreach (var (key, value) in map)
        {
            json.WriteString(key, value);
        }

        json.WriteEndObject();
    }

    private static void WriteMaps(
        Utf8JsonWriter json,
        string name,
        ImmutableSortedDictionary<string, ImmutableSortedDictionary<string, string>> maps
    )
    {
        json.WriteStartObject(name);
        foreach (var (key, map) in maps)
        {
            WriteMap(json, key, map);
        }

        json.WriteEndObject();
    }

    private static ImmutableArray<AddressPattern> Patterns(JsonElement list) =>
        [.. list.EnumerateArray().Select(one => new AddressPattern(Word(one)))];

    private static ImmutableArray<Address> Addresses(JsonElement list) =>
        [
            .. list.EnumerateArray()
                .Select(one =>
                    Address.TryParse(Word(one), out var address) ? address : throw new FormatException($"'{one}' is no address")
                ),
        ];

    private static string Word(JsonElement element) => element.GetString() ?? throw new FormatException("one of its texts is null");

    private static ImmutableSortedDictionary<string, string> Map(JsonElement map) =>
        map.EnumerateObject().ToImmutableSortedDictionary(pair => pair.Name, pair => Word(pair.Value), StringComparer.Ordinal);

    private static ImmutableSortedDictionary<string, ImmutableSortedDictionary<string, string>> Maps(JsonElement maps) =>
        maps.EnumerateObject().ToImmutableSortedDictionary(pair => pair.Name, pair => Map(pair.Value), StringComparer.Ordinal);
}
