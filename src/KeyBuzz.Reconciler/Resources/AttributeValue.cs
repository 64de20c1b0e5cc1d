using System.Globalization;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>A value as the planner compares it: always a string in one canonical form.</summary>
/// <param name="Value">The canonical form, secrets included; equal strings are equal values.</param>
public sealed record AttributeValue(string Value)
{
    // Most resources have some of these.
    private static readonly AttributeValue s_empty = new("");
    private static readonly AttributeValue s_true = new("true");
    private static readonly AttributeValue s_false = new("false");
    private static readonly AttributeValue s_root = new("root");
    private static readonly AttributeValue s_no = new("no");
    private static readonly AttributeValue s_host = new("host");
    private static readonly AttributeValue s_forOwner = new("0600");
    private static readonly AttributeValue s_forGroup = new("0750");
    private static readonly AttributeValue s_readByAll = new("0644");
    private static readonly AttributeValue s_openToAll = new("0755");

    /// <summary>For a text, its parts with the secrets marked; null when the value holds no secret.</summary>
    public SecretText? Secret { get; init; }

    /// <summary>Whether it is a text of several lines, shown as a unified diff.</summary>
    public bool IsText { get; init; }

    /// <summary>Makes a text value.</summary>
    public static AttributeValue OfText(SecretText text) => new(text.Reveal()) { IsText = true, Secret = text.HasSecret ? text : null };

    /// <summary>Makes a text value without secrets.</summary>
    public static AttributeValue OfText(string text) => new(text) { IsText = true };

    /// <summary>Makes a value of one line.</summary>
    public static AttributeValue OfWord(string text) =>
        text switch
        {
            "" => s_empty,
            "no" => s_no,
            "root" => s_root,
            "host" => s_host,
            "0600" => s_forOwner,
            "0750" => s_forGroup,
            "0644" => s_readByAll,
            "0755" => s_openToAll,
            _ => new(text),
        };

    /// <summary>The canonical form of a bound value (see <see cref="AttributeSet"/>).</summary>
    public static AttributeValue Of(object value) =>
        value switch
        {
            string text => OfWord(text),
            SecretText text => OfText(text),
            bool truth => truth ? s_true : s_false,
            long number => new(number.ToString(CultureInfo.InvariantCulture)),
            IReadOnlyList<string> { Count: 0 } or IReadOnlyDictionary<string, string> { Count: 0 } => s_empty,
            IReadOnlyList<string> list => new(string.Join('\n', list)),
            IReadOnlyDictionary<string, string> map => new(
                string.Join('\n', map.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{pair.Key}={pair.Value}"))
            ),
            _ => throw new ArgumentException($"no canonical form for {value.GetType()}", nameof(value)),
        };
}

/// <summary>Attributes by name, sorted, ready to compare.</summary>
public static class Comparable
{
    /// <summary>No attributes.</summary>
    public static readonly SortedMap<AttributeValue> None = SortedMap<AttributeValue>.Empty;
}
