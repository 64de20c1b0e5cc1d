using System.Globalization;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>What <c>pg_settings</c> says of a parameter on one member.</summary>
/// <param name="Name">Its name in lower case.</param>
/// <param name="Setting">Its value in its own unit.</param>
/// <param name="Unit">The unit of a number without one: <c>8kB</c>, <c>kB</c>, <c>MB</c>, <c>ms</c>, <c>s</c>, <c>min</c> …; null for
/// none.</param>
/// <param name="Kind"><c>bool</c>, <c>integer</c>, <c>real</c>, <c>enum</c> or <c>string</c>.</param>
/// <param name="Context"><c>postmaster</c> where a change needs a restart.</param>
/// <param name="Source">Where the value comes from, in PostgreSQL's words.</param>
/// <param name="PendingRestart">Whether the file says something else, which counts after a restart.</param>
internal sealed record Parameter(string Name, string Setting, string? Unit, string Kind, string Context, string Source, bool PendingRestart)
{
    /// <summary>The value that the server has loaded, in its own unit; null where it is not told. A session may be shown another one: the
    /// archive command as <c>(disabled)</c>, keep-alives of a Unix socket as 0.</summary>
    public string? Loaded { get; init; }

    /// <summary>The value that the configuration files give it, as it is written there; null for none.</summary>
    public string? InFile { get; init; }

    /// <summary>Why PostgreSQL cannot use what the files say; null when it can.</summary>
    public string? FileError { get; init; }

    /// <summary>The value that it has where Patroni stores none; null where it is not told.</summary>
    public string? Fallback { get; init; }

    /// <summary>The file that gives it its value; null for none.</summary>
    public string? SourceFile { get; init; }

    /// <summary>Whether it is in the file that Patroni writes, not only in the one of initdb.</summary>
    public bool IsInPatronisFile =>
        Source == "configuration file" && (SourceFile is null || SourceFile.EndsWith("/postgresql.conf", StringComparison.Ordinal));

    /// <summary>Whether the running server has it from an ALTER SYSTEM, which may have been reset in the file since.</summary>
    public bool IsFromAlterSystem => SourceFile?.EndsWith("/postgresql.auto.conf", StringComparison.Ordinal) == true;

    /// <summary>The value that holds for the server: where the session has one for itself, the one in the files.</summary>
    public string? Effective => IsOfSession ? InFile : Loaded ?? Setting;

    /// <summary>Whether the server has the wanted value; so it is taken where nothing tells.</summary>
    public bool Has(string wanted) => Effective is not { } value || Same(Rounded(value), Rounded(wanted)) || IsWorkedOut(wanted);

    /// <summary>Whether the session that read it has a value of its own, so that it says nothing about the server's.</summary>
    public bool IsOfSession => Source is "client" or "session" or "user" or "database" or "database user";

    /// <summary>Whether two ways to write a value mean the same to PostgreSQL.</summary>
    public bool Same(string left, string right) => ParameterValue.Same(this, left, right);

    /// <summary>The value as people write it, with its unit.</summary>
    public string Shown =>
        Kind is "integer" or "real" && Unit is { } unit ? ParameterValue.Readable(Effective ?? Setting, unit) : Effective ?? Setting;

    // PostgreSQL works these out at its start, and shows what came of it as its own choice. A value of the files' is shown as theirs.
    private bool IsWorkedOut(string wanted) =>
        Source is "default" or "override"
        && (Name, ParameterValue.Number(wanted, Unit))
            is
                ("wal_buffers", -1d)
                or
                ("commit_timestamp_buffers" or "subtransaction_buffers" or "transaction_buffers", 0d);

    // pg_settings tells six digits of a fraction.
    private string Rounded(string text) =>
        Kind == "real" && ParameterValue.Number(text, Unit) is { } number ? number.ToString("G6", CultureInfo.InvariantCulture) : text;
}

/// <summary>Values of parameters as PostgreSQL understands them (https://www.postgresql.org/docs/current/config-setting.html).</summary>
public static class ParameterValue
{
    // Bytes and microseconds.
    private static readonly Dictionary<string, double> s_memory = new(StringComparer.Ordinal)
    {
        ["B"] = 1,
        ["kB"] = 1024,
        ["MB"] = 1 << 20,
        ["GB"] = 1 << 30,
        ["TB"] = 1L << 40,
    };

    private static readonly Dictionary<string, double> s_time = new(StringComparer.Ordinal)
    {
        ["us"] = 1,
        ["ms"] = 1e3,
        ["s"] = 1e6,
        ["min"] = 60e6,
        ["h"] = 3600e6,
        ["d"] = 86400e6,
    };

    /// <summary>Whether two ways to write a value of the parameter mean the same.</summary>
    internal static bool Same(Parameter parameter, string left, string right) =>
        left == right
        || parameter.Kind switch
        {
            "bool" => Boolean(left) is { } truth && truth == Boolean(right),
            "integer" => Number(left, parameter.Unit) is { } a
                && Number(right, parameter.Unit) is { } b
                && Math.Round(a, MidpointRounding.ToEven).Equals(Math.Round(b, MidpointRounding.ToEven)),
            "real" => Number(left, parameter.Unit) is { } a
                && Number(right, parameter.Unit) is { } b
                && Math.Abs(a - b) <= 1e-9 * Math.Max(Math.Abs(a), Math.Abs(b)),
            "enum" => Word(parameter.Name, left) == Word(parameter.Name, right),
            _ => ParameterText.Same(parameter.Name, left, right),
        };

    /// <summary>Whether a unit is one of memory.</summary>
    public static bool IsMemory(string unit) => Factor(unit, s_memory) is not null;

    /// <summary>The word that PostgreSQL takes an undocumented one of an enumeration for; null when it is none.</summary>
    public static string? Alias(string name, string text) =>
        (name, text.Trim().ToLowerInvariant()) switch
        {
            ("wal_level", "archive" or "hot_standby") => "replica",
            ("client_min_messages" or "log_min_messages" or "log_min_error_statement", "debug") => "debug2",
            _ => null,
        };

    /// <summary>The value as a number in the parameter's own unit; null when it is none.</summary>
    public static double? Number(string text, string? baseUnit)
    {
        text = text.Trim();
        var length = text.Length;
        while (length > 0 && char.IsAsciiLetter(text[length - 1]))
        {
            length--;
        }

        // In 0x1F and 1e3 the letters belong to the number.
        if (Plain(text) is { } plain)
        {
            return plain;
        }

        var unit = text[length..];
        if (Plain(text[..length].TrimEnd()) is not { } number || baseUnit is null)
        {
            return null;
        }

        var factors = s_memory.ContainsKey(unit) ? s_memory : s_time;
        return factors.TryGetValue(unit, out var factor) && Factor(baseUnit, factors) is { } own ? number * factor / own : null;
    }

    /// <summary>A number and its unit in the largest unit that keeps it whole.</summary>
    public static string Readable(string setting, string unit)
    {
        var factors =
            unit.TrimStart('0', '1', '2', '3', '4', '5', '6', '7', '8', '9') is var name && s_memory.ContainsKey(name) ? s_memory : s_time;
        if (Plain(setting) is not { } number || number <= 0 || Factor(unit, factors) is not { } own)
        {
            return setting;
        }

        var total = number * own;
        var (largest, factor) = factors.Where(pair => Math.Abs(total % pair.Value) < 1e-9).MaxBy(pair => pair.Value);
        return largest is null ? setting : string.Create(CultureInfo.InvariantCulture, $"{total / factor}{largest}");
    }

    /// <summary>A truth in any of PostgreSQL's spellings; null when it is none.</summary>
    public static bool? Boolean(string text)
    {
        text = text.Trim().ToLowerInvariant();
        return text switch
        {
            "" or "o" => null,
            "1" => true,
            "0" => false,
            _ when "true".StartsWith(text, StringComparison.Ordinal) || "yes".StartsWith(text, StringComparison.Ordinal) || text == "on" =>
                true,
            _ when "false".StartsWith(text, StringComparison.Ordinal)
                    || "no".StartsWith(text, StringComparison.Ordinal)
                    || "off".StartsWith(text, StringComparison.Ordinal) => false,
            _ => null,
        };
    }

    // "8kB" and "16MB" are units too: blocks and segments.
    private static double? Factor(string unit, Dictionary<string, double> factors)
    {
        var digits = unit.TakeWhile(char.IsAsciiDigit).Count();
        return factors.TryGetValue(unit[digits..], out var factor)
            ? factor * (digits == 0 ? 1 : double.Parse(unit[..digits], CultureInfo.InvariantCulture))
            : null;
    }

    private static double? Plain(string text)
    {
        var (sign, digits) = text.StartsWith('-') ? (-1, text[1..]) : (1, text);
        if (digits.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
        {
            return long.TryParse(digits.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var hexadecimal)
                ? sign * hexadecimal
                : null;
        }

        if (digits.Length > 1 && digits[0] == '0' && digits.All(digit => digit is >= '0' and <= '7'))
        {
            return sign * digits.Aggregate(0d, (value, digit) => (value * 8) + (digit - '0'));
        }

        return
            double.TryParse(text, NumberStyles.Float & ~NumberStyles.AllowThousands, CultureInfo.InvariantCulture, out var number)
            && double.IsFinite(number)
            ? number
            : null;
    }

    // Many enumerations take on and off in all the spellings of a truth; wal_compression shows the method that "on" stands for.
    private static string Word(string name, string text)
    {
        var word = Alias(name, text) ?? text.Trim().ToLowerInvariant();
        word =
            word is "true" or "yes" or "1" ? "on"
            : word is "false" or "no" or "0" ? "off"
            : word;
        return (name, word) is ("wal_compression", "on") ? "pglz" : word;
    }
}
