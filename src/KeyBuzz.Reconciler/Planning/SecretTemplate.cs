using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>A text of which everything is known but the secrets, as a record keeps it: what stands around them can be compared, and what
/// cannot be told from a secret is not shown. A secret is taken to be a part of one line.</summary>
internal sealed class SecretTemplate
{
    private const string HiddenLine = "(line not shown: it may hold a secret)";

    private readonly string _text;
    private readonly ImmutableArray<string[]> _lines;

    /// <summary>Takes the text with <see cref="SecretText.Mask"/> in place of each secret.</summary>
    public SecretTemplate(string masked)
    {
        _text = masked;
        _lines = [.. masked.Split('\n').Select(line => line.Split(SecretText.Mask))];
    }

    /// <summary>Whether there is a line that is nothing but a secret: then its secret may be many lines, and what stands around it cannot
    /// be found.</summary>
    public bool IsOpaque => _lines.Any(line => line.Length > 1 && line.All(part => part.Length == 0));

    /// <summary>Whether a text is this one with anything in place of the secrets.</summary>
    public bool Fits(string text)
    {
        var lines = text.Split('\n');
        return lines.Length == _lines.Length && lines.Zip(_lines).All(pair => Fits(pair.First, pair.Second));
    }

    /// <summary>The text as far as it may be shown: a line that is one of these, its secrets masked; any other hidden.</summary>
    public AttributeValue Redact(string text) => AttributeValue.OfText(string.Join('\n', text.Split('\n').Select(Shown)));

    /// <summary>The text with its secrets masked.</summary>
    public AttributeValue Masked => AttributeValue.OfText(_text);

    private string Shown(string line) =>
        (_lines.FirstOrDefault(known => known.Length == 1 && known[0] == line) ?? _lines.FirstOrDefault(known => Fits(line, known)))
            is { } same
            ? string.Join(SecretText.Mask, same)
            : HiddenLine;

    // The parts between the secrets, in their order, from one end to the other.
    private static bool Fits(string line, string[] parts)
    {
        if (parts.Length == 1)
        {
            return line == parts[0];
        }

        if (
            line.Length < parts[0].Length + parts[^1].Length
            || !line.StartsWith(parts[0], StringComparison.Ordinal)
            || !line.EndsWith(parts[^1], StringComparison.Ordinal)
        )
        {
            return false;
        }

        var end = line.Length - parts[^1].Length;
        var at = parts[0].Length;
        foreach (var part in parts.AsSpan()[1..^1])
        {
            var found = line.IndexOf(part, at, end - at, StringComparison.Ordinal);
            if (found < 0)
            {
                return false;
            }

            at = found + part.Length;
        }

        return true;
    }
}
