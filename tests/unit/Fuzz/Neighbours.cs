using System.Globalization;

namespace KeyBuzz.Reconciler.Tests.Fuzz;

/// <summary>Values that stand where another one stood: of its type, just beside it, or at the edge of what a type holds.</summary>
internal static class Neighbours
{
    private static readonly string[] s_units = ["B", "KiB", "MiB", "GiB", "TiB", "kB", "MB", "ms", "s", "m", "h", "min", "d"];

    private static readonly string[] s_texts =
    [
        "",
        " ",
        "é",
        "ß\u0301",
        "\U0001F600",
        "\u202Ebad",
        "\u0085",
        "\u00A0",
        "'",
        "\"",
        "\\",
        "$",
        "${",
        "${secret.KBR_KEY}",
        "${host.name}",
        "$${x}",
        "%",
        "#",
        "a b",
        "a\tb",
        "a\nb",
        "\u0001",
        "\u007F",
        "null",
        "~",
        "yes",
        "off",
        "0x10",
        "1e9",
        "-0",
        "NaN",
        "2026-11-28",
        "..",
        "/",
        "/a/../b",
        "//a",
        "a/",
        "/a b",
        "all",
        "db",
        "@",
        "*",
        "?",
        "[",
        "{",
        "&a",
        "!!int",
    ];

    /// <summary>One that most likely is as good as the one that was there.</summary>
    public static string Near(Dice dice, string value)
    {
        if (value.Length == 0)
        {
            return dice.Any(["", "a", "0"]);
        }

        if (long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number))
        {
            return (
                dice.Below(6) switch
                {
                    0 => number + 1,
                    1 => Math.Max(1, number - 1),
                    2 => number * 2 % 60_000,
                    _ => number,
                }
            ).ToString(CultureInfo.InvariantCulture);
        }

        if (value is "true" or "false" or "on" or "off" or "yes" or "no")
        {
            return value switch
            {
                "true" => "false",
                "false" => "true",
                "on" => "off",
                "off" => "on",
                "yes" => "no",
                _ => "yes",
            };
        }

        var digits = value.TakeWhile(char.IsAsciiDigit).Count();
        if (digits is > 0 and < 10 && s_units.Contains(value[digits..]))
        {
            return (long.Parse(value[..digits], CultureInfo.InvariantCulture) + dice.Below(3)).ToString(CultureInfo.InvariantCulture)
                + value[digits..];
        }

        var end = value.Length - value.Reverse().TakeWhile(char.IsAsciiDigit).Count();
        return end is > 0 && end < value.Length && value.Length - end < 9
            ? value[..end]
                + (long.Parse(value[end..], CultureInfo.InvariantCulture) + (dice.OneIn(6) ? 1 : 0))
                    .ToString(CultureInfo.InvariantCulture)
                    .PadLeft(value.Length - end, '0')
            : dice.Below(24) switch
            {
                0 => value + "a",
                1 => value + "-1",
                2 => value + ".x",
                _ => value,
            };
    }

    /// <summary>One that may be anything.</summary>
    public static string Far(Dice dice, string value) =>
        dice.Below(8) switch
        {
            0 => dice.Any([
                "0",
                "-1",
                "1",
                "65535",
                "65536",
                "2147483647",
                "2147483648",
                "9223372036854775807",
                "9223372036854775808",
                "-9223372036854775809",
                "1" + new string('0', 40),
                "1.5",
                "00",
                "+1",
            ]),
            1 => dice.Any([
                "0B",
                "1KiB",
                "-1MiB",
                "1.5GiB",
                "9999999999999TiB",
                "8388608TiB",
                "1 MiB",
                "0s",
                "1ms",
                "9999999999h",
                "24855d",
                "-5s",
                "1h30m",
            ]),
            2 => dice.Any([
                "256.1.1.1",
                "10.0.0.1/33",
                "::1",
                "fe80::1%eth0",
                "10.0.0",
                "0.0.0.0/0",
                "10.0.0.1:99999",
                "localhost",
                "example.com.",
                "a..b",
            ]),
            3 => value + value,
            4 => value.Length > 1 ? value[..(value.Length / 2)] : value,
            5 => value.ToUpperInvariant(),
            6 => dice.OneIn(20) ? new string('a', 20_000) : value + dice.Any(s_texts),
            _ => dice.Any(s_texts),
        };

    /// <summary>Mostly a near one.</summary>
    public static string Of(Dice dice, string value) => dice.OneIn(12) ? Far(dice, value) : Near(dice, value);
}
