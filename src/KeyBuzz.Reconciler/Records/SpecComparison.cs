using System.Text.Json;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>Compares a recorded spec with the configured one as it is read, without making its values.</summary>
internal static class SpecComparison
{
    /// <summary>Whether the object that a reader stands at has these values and no others, under names in their order. One that has them in
    /// another order has to be read in full.</summary>
    /// <param name="reader">The reader; behind the object where it has.</param>
    /// <param name="configured">The values.</param>
    /// <param name="attributes">The attributes of the type.</param>
    public static bool Is(ref Utf8JsonReader reader, AttributeSet configured, NameTable<AttributeDefinition> attributes)
    {
        var (before, count, place) = ("", 0, 0);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = attributes.Find(in reader, ref place)?.Name;
            reader.Read();
            if (name is null || string.CompareOrdinal(before, name) >= 0 || configured[name] is not { } value || !Is(ref reader, value))
            {
                return false;
            }

            (before, count) = (name, count + 1);
        }

        return count == configured.Count;
    }

    private static bool Is(ref Utf8JsonReader reader, object value)
    {
        switch (value)
        {
            case string text:
                return reader.TokenType == JsonTokenType.String && reader.ValueTextEquals(text);
            case SecretText { Parts: [{ IsSecret: false } only] }:
                return reader.TokenType == JsonTokenType.String && reader.ValueTextEquals(only.Value);
            case bool truth:
                return reader.TokenType == (truth ? JsonTokenType.True : JsonTokenType.False);
            case long number:
                return reader.TokenType == JsonTokenType.Number && reader.TryGetInt64(out var read) && read == number;
            case IReadOnlyList<string> list:
                return Is(ref reader, list);
            case IReadOnlyDictionary<string, string> map:
                return Is(ref reader, map);
            default:
                return false;
        }
    }

    private static bool Is(ref Utf8JsonReader reader, IReadOnlyList<string> list)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            return false;
        }

        foreach (var item in list)
        {
            if (!reader.Read() || reader.TokenType != JsonTokenType.String || !reader.ValueTextEquals(item))
            {
                return false;
            }
        }

        return reader.Read() && reader.TokenType == JsonTokenType.EndArray;
    }

    private static bool Is(ref Utf8JsonReader reader, IReadOnlyDictionary<string, string> map)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            return false;
        }

        foreach (var (key, item) in map.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            if (
                !(reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
                || !reader.ValueTextEquals(key)
                || !reader.Read()
                || reader.TokenType != JsonTokenType.String
                || !reader.ValueTextEquals(item)
            )
            {
                return false;
            }
        }

        return reader.Read() && reader.TokenType == JsonTokenType.EndObject;
    }
}
