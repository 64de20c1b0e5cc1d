using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KeyBuzz.Reconciler.Records;

/// <summary>The versions of the format of records: which one this program writes, and how one of an older version becomes one of the
/// next.</summary>
/// <param name="Current">The version that is written.</param>
/// <param name="Steps">By version: what makes a record of the next version of one of this.</param>
public sealed record RecordFormat(int Current, ImmutableDictionary<int, Func<JsonObject, JsonObject>> Steps)
{
    private static readonly JsonDocumentOptions s_strict = new() { AllowDuplicateProperties = false };

    /// <summary>The format of this program. There has been one version so far. The next one adds a step from 1 here, and old records are
    /// read as new ones from then on; each is written anew when its resource changes.</summary>
    public static readonly RecordFormat Default = new(1, ImmutableDictionary<int, Func<JsonObject, JsonObject>>.Empty);

    /// <summary>Parses a record of any version, as one of the current. Throws as <see cref="Bring"/> does, and
    /// <see cref="JsonException"/> for what is no JSON.</summary>
    public JsonDocument Parse(string text)
    {
        var document = JsonDocument.Parse(text, s_strict);
        if (
            document.RootElement is { ValueKind: JsonValueKind.Object } record
            && record.TryGetProperty("format_version", out var version)
            && version.ValueKind == JsonValueKind.Number
            && version.TryGetInt32(out var number)
            && number == Current
        )
        {
            return document;
        }

        document.Dispose();
        return JsonDocument.Parse(Bring(text), s_strict);
    }

    /// <summary>A record of any version as one of the current. Throws <see cref="FormatException"/> for one that is newer, or so old that
    /// no step is left for it.</summary>
    public string Bring(string text)
    {
        if (JsonNode.Parse(text) is not JsonObject record || record["format_version"]?.GetValueKind() != JsonValueKind.Number)
        {
            throw new FormatException("it is damaged: it has no format version");
        }

        var version = record["format_version"]!.GetValue<int>();
        if (version > Current)
        {
            throw new FormatException($"it has format version {version}; this kbr reads up to {Current}: use a newer kbr");
        }

        if (version == Current)
        {
            return text;
        }

        for (; version < Current; version++)
        {
            record = (
                Steps.GetValueOrDefault(version)
                ?? throw new FormatException(
                    $"it has format version {version}, which this kbr no longer reads: apply once with the kbr "
                        + $"that wrote it, or one in between"
                )
            )(record);
            record["format_version"] = version + 1;
        }

        return record.ToJsonString();
    }
}
