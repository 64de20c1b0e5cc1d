using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>The versions of the format of records: which one this program writes, and how one of an older version becomes one of the
/// next.</summary>
/// <param name="Current">The version that is written.</param>
/// <param name="Steps">By version: what makes a record of the next version of one of this; null where the next version has none in its
/// place.</param>
public sealed record RecordFormat(int Current, ImmutableDictionary<int, Func<JsonObject, ProviderRegistry, JsonObject?>> Steps)
{
    /// <summary>The format of this program. An old record is read as a new one, and written anew when its resource changes.</summary>
    public static readonly RecordFormat Default = new(
        2,
        ImmutableDictionary<int, Func<JsonObject, ProviderRegistry, JsonObject?>>.Empty.Add(1, WithoutPolicies)
    );

    /// <summary>A record of any version as one of the current; null when that has none in its place. Throws
    /// <see cref="FormatException"/> for one that is newer, or so old that no step is left for it.</summary>
    public string? Bring(string text, ProviderRegistry providers)
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
            var step = Steps.GetValueOrDefault(version)
                ?? throw new FormatException(
                    $"it has format version {version}, which this kbr no longer reads: apply once with the kbr "
                        + $"that wrote it, or one in between"
                );
            if (step(record, providers) is not { } next)
            {
                return null;
            }

            record = next;
            record["format_version"] = version + 1;
        }

        return record.ToJsonString();
    }

    // In version 1 the health of a group was a resource, which others required. It has no record any more, and is required by none.
    private static JsonObject? WithoutPolicies(JsonObject record, ProviderRegistry providers)
    {
        if (providers.FormerPolicyTypes.Count == 0)
        {
            return record;
        }

        if (IsPolicy(record["address"]))
        {
            return null;
        }

        if (record["requires"] is JsonArray requires)
        {
            requires.RemoveAll(IsPolicy);
        }

        return record;

        bool IsPolicy(JsonNode? node) =>
            node?.GetValueKind() == JsonValueKind.String
            && Address.TryParse(node.GetValue<string>(), out var address)
            && providers.FormerPolicyTypes.Contains(address.Type);
    }
}
