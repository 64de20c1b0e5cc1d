using System.Text;

namespace KeyBuzz.Reconciler.Providers.PostgreSql;

/// <summary>Names and strings as PostgreSQL's SQL writes them.</summary>
internal static class SqlText
{
    /// <summary>The longest name in bytes (NAMEDATALEN - 1); PostgreSQL silently cuts longer ones.</summary>
    public const int LongestName = 63;

    /// <summary>A name, always quoted.</summary>
    public static string Identifier(string name) => "\"" + name.Replace("\"", "\"\"", StringComparison.Ordinal) + "\"";

    /// <summary>A string that means the same whatever <c>standard_conforming_strings</c> is, and holds no semicolon.</summary>
    public static string Literal(string text)
    {
        if (text.IndexOfAny(['\\', ';']) < 0)
        {
            return "'" + text.Replace("'", "''", StringComparison.Ordinal) + "'";
        }

        var literal = new StringBuilder("E'");
        foreach (var letter in text)
        {
            literal.Append(
                letter switch
                {
                    '\\' => "\\\\",
                    '\'' => "''",
                    ';' => "\\x3B",
                    _ => letter.ToString(),
                }
            );
        }

        return literal.Append('\'').ToString();
    }

    /// <summary>Why it cannot be a name, or null.</summary>
    public static string? Problem(string name) =>
        name.Length == 0 ? "a name may not be empty"
        : Encoding.UTF8.GetByteCount(name) > LongestName ? $"a name has at most {LongestName} bytes"
        : name.Any(char.IsControl) ? "a name has no control characters"
        : null;
}
