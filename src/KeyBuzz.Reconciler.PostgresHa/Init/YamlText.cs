using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.PostgresHa.Init;

/// <summary>Scalars as YAML reads them back, also inside of braces.</summary>
public static class YamlText
{
    private static readonly string[] s_words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];

    /// <summary>The text of a value: plain where every reader takes it for the same string, and in double quotes otherwise.</summary>
    public static string Scalar(string value)
    {
        ArgumentNullException.ThrowIfNull(value);
        var isPlain =
            value.Length > 0
            && (char.IsAsciiLetterOrDigit(value[0]) || value[0] is '/' || value.StartsWith("~/", StringComparison.Ordinal))
            && value
                .TrimStart('~')
                .All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '_' or '/' or '-' or ':' or '@' or '+')
            && !value.EndsWith(':')
            && !s_words.Contains(value, StringComparer.OrdinalIgnoreCase);
        return isPlain ? value : Quoted(value);
    }

    /// <summary>One line for a comment.</summary>
    public static string Comment(string text) =>
        new([.. (text ?? "").Select(letter => char.IsControl(letter) || letter is '\u0085' or '\u2028' or '\u2029' ? ' ' : letter)]);

    private static string Quoted(string value)
    {
        var text = new StringBuilder("\"");
        foreach (var letter in value)
        {
            text.Append(
                letter switch
                {
                    '"' => "\\\"",
                    '\\' => "\\\\",
                    _ when char.IsControl(letter) || letter is '\u0085' or '\u2028' or '\u2029' or '\uFEFF' || char.IsSurrogate(letter) =>
                        "\\u" + ((int)letter).ToString("x4", CultureInfo.InvariantCulture),
                    _ => letter.ToString(),
                }
            );
        }

        return text.Append('"').ToString();
    }
}
