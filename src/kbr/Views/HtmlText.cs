using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Text of a host in HTML, SVG and their attributes.</summary>
internal static class HtmlText
{
    /// <summary>The text with nothing in it that is markup. Control characters, and those that reorder the text around them, are shown by
    /// their code.</summary>
    public static string Escape(string text)
    {
        var escaped = new StringBuilder(text.Length + 16);
        foreach (var c in text)
        {
            _ = c switch
            {
                '&' => escaped.Append("&amp;"),
                '<' => escaped.Append("&lt;"),
                '>' => escaped.Append("&gt;"),
                '"' => escaped.Append("&quot;"),
                '\'' => escaped.Append("&#39;"),
                '\n' or '\t' => escaped.Append(c),
                _ when IsHidden(c) => escaped.Append(CultureInfo.InvariantCulture, $"[U+{(int)c:X4}]"),
                _ => escaped.Append(c),
            };
        }

        return escaped.ToString();
    }

    private static bool IsHidden(char c) =>
        char.IsControl(c)
        || c is (>= '\u200B' and <= '\u200F') or (>= '\u202A' and <= '\u202E') or (>= '\u2060' and <= '\u206F') or '\uFEFF';
}
