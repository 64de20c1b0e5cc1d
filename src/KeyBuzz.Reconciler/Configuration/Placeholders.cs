using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>Finds values of the cluster file that stand for one still to be written, such as <c>REPLACE-ME</c>.</summary>
public static class Placeholders
{
    private static readonly string[] s_words = ["REPLACE-ME", "REPLACE_ME", "REPLACEME", "CHANGE-ME", "CHANGE_ME", "CHANGEME", "TODO"];

    // Free text, in which any of them may be meant.
    private static readonly string[] s_text = ["content", "command", "parameters", "settings", "environment", "labels"];

    /// <summary>Notes each of them, with what belongs there. Nothing else is said of their places.</summary>
    /// <param name="root">The file.</param>
    /// <param name="blueprints">They know what belongs into their sections.</param>
    /// <param name="findings">Where to note it.</param>
    public static void Check(SectionReader root, IReadOnlyCollection<IBlueprint> blueprints, Findings findings)
    {
        var open = new Stack<(YamlNode Node, string[] Path)>([(root.Map, [])]);
        while (open.TryPop(out var next))
        {
            switch (next.Node)
            {
                case YamlScalar scalar when PlaceholderOf(scalar.Value) is { } found:
                    var remedy = blueprints.Select(blueprint => blueprint.PlaceholderRemedy(next.Path)).OfType<string>().FirstOrDefault();
                    findings.Error(
                        $"'{string.Join('.', next.Path)}' is still the placeholder {found}",
                        scalar.At,
                        null,
                        remedy ?? OwnRemedy(next.Path)
                    );
                    findings.Settle(scalar.At);
                    break;
                case YamlSequence sequence:
                    sequence.Items.ForEach(item => open.Push((item, next.Path)));
                    break;
                case YamlMapping mapping:
                    foreach (var (key, value) in mapping.Entries.Where(entry => !s_text.Contains(entry.Key.Value)))
                    {
                        open.Push((value, [.. next.Path, key.Value]));
                    }

                    break;
            }
        }
    }

    /// <summary>The part of a value that is a placeholder, as it is shown; null for a value that is meant.</summary>
    public static string? PlaceholderOf(string value)
    {
        var text = value.Trim();
        if (text.StartsWith('<') && text.EndsWith('>') && text.Length > 2 && IsName(text[1..^1]))
        {
            return text;
        }

        // More than one word is a sentence, a list or a command.
        if (text.Length == 0 || text.Any(char.IsWhiteSpace))
        {
            return null;
        }

        return s_words.FirstOrDefault(word => HasWord(text, word)) ?? ZeroDigest(text) ?? Gap(text) ?? InBrackets(text);
    }

    private static string OwnRemedy(string[] path) =>
        path switch
        {
            ["hosts", var host, "address"] => $"write the private address of {host}",
            ["hosts", var host, _, "host"] => $"write the name or address that {host} is reached at",
            _ => "write the real value",
        };

    // Of a longer word it is a part like any other: todos, /srv/changemenu.
    private static bool HasWord(string text, string word)
    {
        var at = text.IndexOf(word, StringComparison.OrdinalIgnoreCase);
        return at >= 0
            && (word != "TODO" || text[at..(at + 4)] == word)
            && (at == 0 || !char.IsAsciiLetterOrDigit(text[at - 1]))
            && (at + word.Length == text.Length || !char.IsAsciiLetterOrDigit(text[at + word.Length]));
    }

    private static string? ZeroDigest(string text)
    {
        const string Algorithm = "sha256:";
        var at = text.IndexOf(Algorithm, StringComparison.Ordinal);
        return at >= 0 && text.Length >= at + Algorithm.Length + 8 && text[(at + Algorithm.Length)..].All(letter => letter == '0')
            ? $"{Algorithm}{text[(at + Algorithm.Length)..][..4]}… of zeros"
            : null;
    }

    private static string? Gap(string text) =>
        text.Contains('…') ? "…"
        : text.Contains("...", StringComparison.Ordinal) ? "..."
        : null;

    private static string? InBrackets(string text)
    {
        var from = text.IndexOf('<', StringComparison.Ordinal);
        var to = from < 0 ? -1 : text.IndexOf('>', from);
        return to > from + 1 && IsName(text[(from + 1)..to]) ? text[from..(to + 1)] : null;
    }

    private static bool IsName(string text) =>
        char.IsAsciiLetter(text[0]) && text.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' or ' ' or '.');
}
