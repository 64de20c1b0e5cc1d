using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Init;

/// <summary>Names of hosts as cluster.yaml takes them, and host patterns as Ansible writes them.</summary>
public static class HostNames
{
    // More is a typo.
    private const int MostInRange = 1000;

    /// <summary>The name of a host: the first part of a DNS name, in lower case; of an address the role and a number.</summary>
    /// <param name="text">The name or address as given.</param>
    /// <param name="role">The role, such as <c>db</c>.</param>
    /// <param name="number">Its place among those of the role, from 1.</param>
    public static string Of(string text, string role, int number)
    {
        ArgumentNullException.ThrowIfNull(text);
        var first = NetworkAddress.TryParse(text, out _) ? "" : text.Split('.')[0];
        var name = new string([.. first.ToLowerInvariant().Select(letter => char.IsAsciiLetterOrDigit(letter) ? letter : '-')]).Trim('-');
        return ValueSyntax.IsLabel(name) && name != "all" ? name : $"{role}-{number}";
    }

    /// <summary>The names that a pattern such as <c>db[01:03]</c> stands for; null when it cannot be read.</summary>
    public static IReadOnlyList<string>? Expand(string pattern)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        var from = pattern.IndexOf('[', StringComparison.Ordinal);
        var to = from < 0 ? -1 : pattern.IndexOf(']', from);
        if (from < 0)
        {
            return [pattern];
        }

        if (to < 0 || Range(pattern[(from + 1)..to]) is not { } middle || Expand(pattern[(to + 1)..]) is not { } rest)
        {
            return null;
        }

        return middle.Count * rest.Count > MostInRange
            ? null
            : [.. middle.SelectMany(one => rest.Select(end => pattern[..from] + one + end))];
    }

    // [01:03], [1:9:2], [a:c]: the width of the first number is kept.
    private static List<string>? Range(string text)
    {
        var parts = text.Split(':');
        var step = 1;
        if (parts.Length is not (2 or 3) || (parts.Length == 3 && (!int.TryParse(parts[2], out step) || step < 1)))
        {
            return null;
        }

        if (parts[0] is [>= 'a' and <= 'z' or >= 'A' and <= 'Z'] && parts[1] is [var last] && char.IsAsciiLetter(last))
        {
            return [.. Numbers(parts[0][0], last, step).Select(letter => ((char)letter).ToString())];
        }

        return
            IsNumber(parts[0])
            && IsNumber(parts[1])
            && int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture)
                - int.Parse(parts[0], System.Globalization.CultureInfo.InvariantCulture)
                < MostInRange
            ?
            [
                .. Numbers(
                        int.Parse(parts[0], System.Globalization.CultureInfo.InvariantCulture),
                        int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture),
                        step
                    )
                    .Select(number => number.ToString(System.Globalization.CultureInfo.InvariantCulture).PadLeft(parts[0].Length, '0')),
            ]
            : null;
    }

    private static bool IsNumber(string text) => text.Length is > 0 and <= 6 && text.All(char.IsAsciiDigit);

    private static IEnumerable<int> Numbers(int from, int to, int step)
    {
        for (var number = from; number <= to; number += step)
        {
            yield return number;
        }
    }
}
