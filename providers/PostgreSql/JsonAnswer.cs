using System.Globalization;
using System.Text.Json;

namespace KeyBuzz.Reconciler.Providers.PostgreSql;

/// <summary>Looks into JSON that a host sent: a truncated, missing or differently typed value is null, never an exception.</summary>
public static class JsonAnswer
{
    /// <summary>The document, or null when it is none.</summary>
    public static JsonElement? Parse(string? text)
    {
        if (string.IsNullOrWhiteSpace(text))
        {
            return null;
        }

        try
        {
            using var document = JsonDocument.Parse(text);
            return document.RootElement.Clone();
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>The rows of a query, or null when there are none to be had.</summary>
    public static IReadOnlyList<JsonElement>? Rows(string? text) =>
        Parse(text) is { ValueKind: JsonValueKind.Array } rows ? [.. rows.EnumerateArray()] : null;

    /// <summary>The value at this path of names; null when one of them is missing or null.</summary>
    public static JsonElement? At(this JsonElement element, params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            if (element.ValueKind != JsonValueKind.Object || !element.TryGetProperty(name, out element))
            {
                return null;
            }
        }

        return element.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined ? null : element;
    }

    /// <summary>A string of that name.</summary>
    public static string? Text(this JsonElement element, string name) =>
        element.At(name) is { ValueKind: JsonValueKind.String } text ? text.GetString() : null;

    /// <summary>A truth of that name.</summary>
    public static bool? Boolean(this JsonElement element, string name) =>
        element.At(name)?.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => null,
        };

    /// <summary>A whole number of that name.</summary>
    public static long? Number(this JsonElement element, string name) =>
        element.At(name) is { ValueKind: JsonValueKind.Number } number && number.TryGetInt64(out var value) ? value : null;

    /// <summary>The strings of a list of that name.</summary>
    public static IEnumerable<string> Texts(this JsonElement element, string name) =>
        element.Items(name).Where(item => item.ValueKind == JsonValueKind.String).Select(item => item.GetString()!);

    /// <summary>The items of a list of that name.</summary>
    public static IEnumerable<JsonElement> Items(this JsonElement element, string name) =>
        element.At(name) is { ValueKind: JsonValueKind.Array } list ? list.EnumerateArray() : [];

    /// <summary>A word, number or truth as people write it.</summary>
    public static string Plain(this JsonElement element) =>
        element.ValueKind switch
        {
            JsonValueKind.String => element.GetString()!,
            JsonValueKind.True => "true",
            JsonValueKind.False => "false",
            JsonValueKind.Number when element.TryGetInt64(out var number) => number.ToString(CultureInfo.InvariantCulture),
            _ => element.GetRawText(),
        };
}
