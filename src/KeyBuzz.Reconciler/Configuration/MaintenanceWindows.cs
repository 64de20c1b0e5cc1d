using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>Times of the week in which a service may be disrupted, such as <c>Sun 02:00-04:00 Europe/Paris</c>. A window is open while the
/// clock on the wall of its zone says so, also on a day with a change of the clocks. Pure: what it is asked for is a moment.</summary>
public sealed class MaintenanceWindows
{
    private const int MinutesOfDay = 24 * 60;
    private const string Form = "write days, a time range and a time zone, such as 'Sun 02:00-04:00 Europe/Paris'";

    // A window that a change of the clocks leaves out in one week opens in the next.
    private const int MostMinutes = 15 * MinutesOfDay;
    private static readonly string[] s_days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

    private readonly ImmutableArray<Window> _windows;

    private MaintenanceWindows(ImmutableArray<Window> windows) => _windows = windows;

    /// <summary>Reads them. Throws <see cref="DiagnosticException"/> with all that is wrong.</summary>
    /// <param name="option">How the operator gave them, for messages.</param>
    /// <param name="texts">A text for each; at least one.</param>
    public static MaintenanceWindows Parse(string option, IReadOnlyCollection<string> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        var windows = ImmutableArray.CreateBuilder<Window>();
        var wrong = new List<Diagnostic>();
        foreach (var text in texts)
        {
            try
            {
                windows.Add(Parse(text));
            }
            catch (FormatException exception)
            {
                var zone = exception as UnknownZoneException;
                wrong.Add(Diagnostic.Error($"{option} '{text}': {exception.Message}", detail: zone?.Detail, remedy: zone?.Remedy ?? Form));
            }
        }

        return wrong.Count > 0 ? throw new DiagnosticException(wrong) : new MaintenanceWindows(windows.ToImmutable());
    }

    /// <summary>Whether one of them is open.</summary>
    public bool IsOpen(DateTimeOffset now)
    {
        foreach (var window in _windows)
        {
            if (window.IsOpen(now))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Why nothing may be disrupted at a moment, for the operator; null where a window is open.</summary>
    public string? ClosedBecause(DateTimeOffset now) => IsOpen(now) ? null : $"outside {this}, which {Turn(now)}";

    /// <summary>The windows and their state at a moment, in a line.</summary>
    public string Describe(DateTimeOffset now) => $"{this}: {(IsOpen(now) ? "open" : "closed")}, {Turn(now)}";

    /// <inheritdoc />
    public override string ToString() =>
        (_windows.Length == 1 ? "the maintenance window " : "the maintenance windows ")
        + string.Join(" and ", _windows.Select(window => window.Text));

    // When it opens or closes next, by the clock of the window that does.
    private string Turn(DateTimeOffset now)
    {
        var isOpen = IsOpen(now);
        var word = isOpen ? "closes" : "opens";
        var at = now.AddTicks(-(now.Ticks % TimeSpan.TicksPerMinute));
        for (var minute = 0; minute < MostMinutes; minute++)
        {
            var before = at;
            at = at.AddMinutes(1);
            if (IsOpen(at) == isOpen)
            {
                continue;
            }

            foreach (var window in _windows)
            {
                if (window.IsOpen(isOpen ? before : at))
                {
                    var local = TimeZoneInfo.ConvertTime(at, window.Zone);
                    return $"{word} {local.ToString("ddd yyyy-MM-dd HH:mm zzz", CultureInfo.InvariantCulture)}";
                }
            }
        }

        return isOpen ? "never closes" : "never opens";
    }

    private static Window Parse(string text)
    {
        var words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var range = Array.FindIndex(words, word => word.Contains(':', StringComparison.Ordinal));
        if (range is < 0 or > 1)
        {
            throw new FormatException(words.Length == 0 ? "it is empty" : "it has no time range such as 02:00-04:00");
        }

        if (words.Length != range + 2)
        {
            throw new FormatException(
                words.Length == range + 1 ? "it has no time zone" : $"'{string.Join(' ', words[(range + 2)..])}' is too much"
            );
        }

        var times = words[range].Split('-');
        if (times.Length != 2)
        {
            throw new FormatException($"'{words[range]}' is not a time range such as 02:00-04:00");
        }

        var (from, to) = (Minute(times[0], isEnd: false), Minute(times[1], isEnd: true));
        if (from == to)
        {
            throw new FormatException($"'{words[range]}' ends when it begins; a whole day is 00:00-24:00");
        }

        return new Window(text.Trim(), Days(range == 0 ? "Mon-Sun" : words[0]), from, to < from ? to + MinutesOfDay : to, Zone(words[^1]));
    }

    private static int Minute(string text, bool isEnd)
    {
        if (
            text.Length == 5
            && text[2] == ':'
            && int.TryParse(text.AsSpan(0, 2), NumberStyles.None, CultureInfo.InvariantCulture, out var hour)
            && int.TryParse(text.AsSpan(3), NumberStyles.None, CultureInfo.InvariantCulture, out var minute)
            && minute < 60
            && (hour < 24 || (isEnd && hour == 24 && minute == 0))
        )
        {
            return (hour * 60) + minute;
        }

        throw new FormatException($"'{text}' is not a time from 00:00 to {(isEnd ? "24:00" : "23:59")}");
    }

    private static bool[] Days(string text)
    {
        var days = new bool[7];
        foreach (var part in text.Split(','))
        {
            var ends = part.Split('-');
            var (first, last) = (Day(ends[0], part), Day(ends[^1], part));
            if (ends.Length > 2)
            {
                throw new FormatException($"'{part}' is not a day, nor a range of days such as Mon-Fri");
            }

            for (var day = first; ; day = (day + 1) % 7)
            {
                days[day] = true;
                if (day == last)
                {
                    break;
                }
            }
        }

        return days;
    }

    private static int Day(string text, string part)
    {
        var day = Array.FindIndex(s_days, day => string.Equals(day, text, StringComparison.OrdinalIgnoreCase));
        return day >= 0 ? day : throw new FormatException($"'{part}' is not a day such as Sun, nor a range of days such as Mon-Fri");
    }

    private static TimeZoneInfo Zone(string name)
    {
        try
        {
            return TimeZoneInfo.FindSystemTimeZoneById(name);
        }
        // The last one for a folder of zones, such as Europe.
        catch (Exception exception)
            when (exception is TimeZoneNotFoundException or InvalidTimeZoneException or System.Security.SecurityException)
        {
            var folder = Environment.GetEnvironmentVariable("TZDIR") is { Length: > 0 } set ? set : "/usr/share/zoneinfo";
            throw new UnknownZoneException($"'{name}' is not a time zone that this machine knows", exception)
            {
                Detail = Directory.Exists(folder)
                    ? $"there is no {name} in {folder}"
                    : $"this machine has no time zones: {folder} is missing",
                Remedy = Directory.Exists(folder)
                    ? "write it as the time zone database does, such as Europe/Paris or UTC"
                    : "install the package tzdata, or write the window in UTC",
            };
        }
    }

    private sealed class UnknownZoneException(string message, Exception inner) : FormatException(message, inner)
    {
        public required string Detail { get; init; }

        public required string Remedy { get; init; }
    }

    // Minutes of the day on which it begins; the end may be in the next.
    private sealed record Window(string Text, bool[] Days, int From, int To, TimeZoneInfo Zone)
    {
        public bool IsOpen(DateTimeOffset now)
        {
            var local = TimeZoneInfo.ConvertTime(now, Zone);
            var minute = (local.Hour * 60) + local.Minute;
            var day = (int)local.DayOfWeek;
            return (Days[day] && minute >= From && minute < To) || (Days[(day + 6) % 7] && minute + MinutesOfDay < To);
        }
    }
}
