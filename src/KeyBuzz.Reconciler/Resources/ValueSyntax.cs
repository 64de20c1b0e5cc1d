using System.Globalization;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>How modes, sizes and times are written in cluster.yaml.</summary>
public static class ValueSyntax
{
    private static readonly (string Unit, long Bytes)[] s_sizes =
    [
        ("KiB", 1L << 10),
        ("MiB", 1L << 20),
        ("GiB", 1L << 30),
        ("TiB", 1L << 40),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];

    /// <summary>Reads <c>0640</c>, <c>0o640</c> or <c>640</c> into four octal digits.</summary>
    public static bool TryParseMode(string text, out string mode)
    {
        var digits = text.StartsWith("0o", StringComparison.Ordinal) ? text[2..] : text;
        mode = digits.PadLeft(4, '0');
        return digits.Length is 3 or 4 && digits.All(digit => digit is >= '0' and <= '7');
    }

    /// <summary>Reads <c>64MiB</c>, <c>1GiB</c>, <c>512MB</c> or <c>1024</c> into bytes.</summary>
    public static bool TryParseSize(string text, out long bytes)
    {
        bytes = 0;
        long factor = 1;
        foreach (var (unit, size) in s_sizes)
        {
            if (text.EndsWith(unit, StringComparison.Ordinal))
            {
                factor = size;
                text = text[..^unit.Length].TrimEnd(' ');
                break;
            }
        }

        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number > long.MaxValue / factor)
        {
            return false;
        }

        bytes = number * factor;
        return true;
    }

    /// <summary>Reads <c>500ms</c>, <c>10s</c>, <c>2m</c> or <c>1h</c>.</summary>
    public static bool TryParseDuration(string text, out TimeSpan duration)
    {
        duration = default;
        var digits = text.TakeWhile(char.IsAsciiDigit).Count();
        var milliseconds = text[digits..] switch
        {
            "ms" => 1L,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => 0,
        };
        if (milliseconds == 0 || digits is 0 or > 9)
        {
            return false;
        }

        duration = TimeSpan.FromMilliseconds(milliseconds * long.Parse(text[..digits], CultureInfo.InvariantCulture));
        return true;
    }

    /// <summary>Whether it is a whole number as YAML and people write one.</summary>
    public static bool TryParseInteger(string text, out long number) =>
        long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out number)
        && number.ToString(CultureInfo.InvariantCulture) == text;

    /// <summary>Whether it can be the name of a shell variable, and so of a secret.</summary>
    public static bool IsVariableName(string text) =>
        text.Length > 0 && !char.IsAsciiDigit(text[0]) && text.All(letter => char.IsAsciiLetterOrDigit(letter) || letter == '_');

    /// <summary>Whether it is a name of lower-case letters, digits and inner hyphens.</summary>
    public static bool IsLabel(string text) =>
        text.Length is > 0 and <= 63
        && text[0] != '-'
        && text[^1] != '-'
        && text.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter == '-');
}
