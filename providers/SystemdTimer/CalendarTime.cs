using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Providers.SystemdTimer;

/// <summary>Calendar times of systemd (systemd.time(7)), as far as they can be judged without a host: there systemd-analyze has the last
/// word. Pure.</summary>
public static class CalendarTime
{
    /// <summary>How it is written.</summary>
    public const string Remedy = "write it as systemd.time(7) has it: Sun 01:00, Mon..Sat 01:00, \"*-*-* 00/6:00\", daily";

    private static readonly string[] s_days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

    private static readonly string[] s_longDays = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

    // With a bound of the days between two of them.
    private static readonly Dictionary<string, int> s_words = new(StringComparer.Ordinal)
    {
        ["minutely"] = 1,
        ["hourly"] = 1,
        ["daily"] = 1,
        ["weekly"] = 7,
        ["monthly"] = 31,
        ["quarterly"] = 92,
        ["semiannually"] = 184,
        ["yearly"] = 366,
        ["annually"] = 366,
    };

    /// <summary>Why it is no calendar time; null where it can be one.</summary>
    public static string? Problem(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Trim().Length == 0 || text != text.Trim())
        {
            return "it is empty, or has spaces around it";
        }

        if (
            text.FirstOrDefault(letter => !char.IsAsciiLetterOrDigit(letter) && !" *:,.-/~_+".Contains(letter, StringComparison.Ordinal))
            is var wrong
                and not '\0'
        )
        {
            return $"'{wrong}' cannot stand in it";
        }

        var words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (s_words.ContainsKey(words[0].ToLowerInvariant()))
        {
            return null;
        }

        if (char.IsAsciiLetter(words[0][0]))
        {
            var unknown = words[0].Split([",", ".."], StringSplitOptions.None).FirstOrDefault(day => DayOf(day) is null);
            if (unknown is not null)
            {
                return $"'{unknown}' is no day of the week";
            }
        }

        // A week-day alone is midnight, of each of them.
        return
            words.Length > 1
            || char.IsAsciiLetter(words[0][0])
            || words[0].Contains(':', StringComparison.Ordinal)
            || words[0].Contains('-', StringComparison.Ordinal)
            ? null
            : "it has neither a day nor a time";
    }

    /// <summary>The most days that lie between two of these times, taken together; of such that name dates, a month or more.</summary>
    public static int LongestGap(IEnumerable<string> times)
    {
        ArgumentNullException.ThrowIfNull(times);
        var days = new bool[s_days.Length];
        var gap = 31;
        foreach (var words in times.Select(time => time.ToLowerInvariant().Split(' ', StringSplitOptions.RemoveEmptyEntries)))
        {
            if (s_words.TryGetValue(words[0], out var apart))
            {
                gap = Math.Min(gap, apart);
            }
            else if (words.Any(word => word.Contains('-', StringComparison.Ordinal) && word != "*-*-*"))
            {
                continue;
            }
            else if (!char.IsAsciiLetter(words[0][0]))
            {
                gap = 1;
            }
            else
            {
                foreach (var day in words[0].Split(',').SelectMany(Days))
                {
                    days[day] = true;
                }
            }
        }

        var named = Enumerable.Range(0, days.Length).Where(day => days[day]).ToList();
        return named.Count == 0
            ? gap
            : Math.Min(gap, named.Select((day, at) => at + 1 < named.Count ? named[at + 1] - day : named[0] + days.Length - day).Max());
    }

    private static IEnumerable<int> Days(string range)
    {
        var ends = range.Split("..");
        if (DayOf(ends[0]) is not { } from || DayOf(ends[^1]) is not { } to)
        {
            yield break;
        }

        for (var day = from; ; day = (day + 1) % s_days.Length)
        {
            yield return day;
            if (day == to)
            {
                yield break;
            }
        }
    }

    private static int? DayOf(string word)
    {
        var day = word.ToLowerInvariant();
        var at = Math.Max(Array.IndexOf(s_days, day), Array.IndexOf(s_longDays, day));
        return at < 0 ? null : at;
    }
}
