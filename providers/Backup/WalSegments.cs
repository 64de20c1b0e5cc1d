using System.Collections.Immutable;
using System.Globalization;

namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>The WAL segments of an archive, by their names. Pure.</summary>
public static class WalSegments
{
    private const int NameLength = 24;
    private const int Digits = 8;

    // Of 16 MiB each, PostgreSQL's default: 256 to a log of 4 GiB.
    private const long PerLog = 256;

    /// <summary>The ranges that are missing between the oldest backup and the last segment, in words. Each timeline's segments follow one
    /// another, and a new timeline begins at most one segment after its predecessor's last.</summary>
    /// <param name="names">The segments that are there.</param>
    /// <param name="from">The first one that the oldest backup needs.</param>
    public static ImmutableArray<string> Gaps(IEnumerable<string> names, string from)
    {
        ArgumentNullException.ThrowIfNull(names);
        if (Parse(from) is not { } first)
        {
            return [];
        }

        var gaps = ImmutableArray.CreateBuilder<string>();
        // What is expected next, on whichever timeline it comes.
        var (timeline, next) = first;
        var found = names
            .Select(Parse)
            .OfType<(long Timeline, long Number)>()
            .Where(segment => segment.Number >= first.Number && segment.Timeline >= first.Timeline)
            .Distinct()
            .GroupBy(segment => segment.Timeline)
            .OrderBy(group => group.Key);
        foreach (var group in found)
        {
            foreach (var number in group.Select(segment => segment.Number).Order())
            {
                if (number > next)
                {
                    gaps.Add(Range(timeline, next, number - 1));
                }

                (timeline, next) = (group.Key, Math.Max(number + 1, group.Key == timeline ? next : number + 1));
            }
        }

        if (next == first.Number)
        {
            gaps.Add($"{from} and all after it");
        }

        return gaps.ToImmutable();
    }

    /// <summary>Whether a segment is before another one, by their files' names; one of a later timeline comes after all of an earlier
    /// one. False where one is no segment.</summary>
    /// <param name="name">The one.</param>
    /// <param name="other">The other.</param>
    /// <param name="more">How many segments may lie between them on the same timeline for this to be false.</param>
    public static bool IsBefore(string? name, string? other, int more = 0) =>
        Parse(Segment(name)) is { } one
        && Parse(Segment(other)) is { } two
        && (one.Timeline < two.Timeline || (one.Timeline == two.Timeline && one.Number + more < two.Number));

    // A backup's history file has its name after its segment's.
    private static string Segment(string? name) => name is { Length: > NameLength } ? name[..NameLength] : name ?? "";

    private static string Range(long timeline, long from, long to) =>
        from == to ? Name(timeline, from) : $"{Name(timeline, from)} to {Name(timeline, to)}";

    private static string Name(long timeline, long number) =>
        string.Create(CultureInfo.InvariantCulture, $"{timeline:X8}{number / PerLog:X8}{number % PerLog:X8}");

    private static (long Timeline, long Number)? Parse(string name) =>
        name.Length == NameLength
        && PartOf(name, 0) is { } timeline
        && PartOf(name, Digits) is { } log
        && PartOf(name, 2 * Digits) is { } segment
            ? (timeline, (log * PerLog) + segment)
            : null;

    private static long? PartOf(string name, int at) =>
        long.TryParse(name.AsSpan(at, Digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) ? value : null;
}
