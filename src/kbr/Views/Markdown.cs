using System.Text.RegularExpressions;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Text of a host as GitHub-flavoured Markdown that stays text.</summary>
internal static class Markdown
{
    private static readonly Regex s_special = new(@"[\\`*_{}\[\]<>#|&~]");
    private static readonly Regex s_backticks = new("`+");

    /// <summary>Plain text, also within a table.</summary>
    public static string Text(string text) => s_special.Replace(Line(text), @"\$0");

    /// <summary>A code span. It is closed by as many backticks as opened it; a table ends a cell at every bar that is not escaped, also
    /// within one.</summary>
    public static string Code(string text)
    {
        var line = Line(text);
        var ticks = Fence([line], shortest: 1);
        var pad = line.StartsWith('`') || line.EndsWith('`') ? " " : "";
        return line.Length == 0 ? "" : $"{ticks}{pad}{line.Replace("|", "\\|", StringComparison.Ordinal)}{pad}{ticks}";
    }

    /// <summary>A fenced block, which no line within it can end.</summary>
    /// <param name="language">The word after the fence, such as <c>diff</c>.</param>
    /// <param name="lines">The lines.</param>
    public static string Block(string language, IReadOnlyCollection<string> lines)
    {
        var fence = Fence(lines);
        return $"{fence}{language}\n{string.Join('\n', lines.Select(line => line.Replace('\r', ' ')))}\n{fence}\n";
    }

    /// <summary>The backticks around lines: more than any of them has.</summary>
    public static string Fence(IEnumerable<string> lines, int shortest = 3) =>
        new(
            '`',
            Math.Max(
                shortest,
                1 + lines.SelectMany(line => s_backticks.Matches(line)).Select(match => match.Length).DefaultIfEmpty(0).Max()
            )
        );

    private static string Line(string text) => text.ReplaceLineEndings(" ");
}
