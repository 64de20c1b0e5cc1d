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
    private const ulong SegmentBytes = 1 << 24;

    /// <summary>The ranges that are missing between the oldest backup and the last segment, in words. Each timeline of the present database
    /// is expected from where it forks to where the next one does. Without a history, only what is missing within a timeline is
    /// certain.</summary>
    /// <param name="names">The segments that are there.</param>
    /// <param name="from">The first one that the oldest backup needs.</param>
    /// <param name="history">The timelines of the present database; null where it cannot be read.</param>
    public static ImmutableArray<string> Gaps(IEnumerable<string> names, string from, TimelineHistory? history)
    {
        ArgumentNullException.ThrowIfNull(names);
        if (Parse(from) is not { } first)
        {
            return [];
        }

        var found = names
            .Select(Parse)
            .OfType<(long Timeline, long Number)>()
            .Where(segment => segment.Number >= first.Number && segment.Timeline >= first.Timeline)
            .ToHashSet();
        return found.Count == 0 ? [AllFrom(first)]
            : history is { IsKnown: true } && IsOf(history, first) ? GapsAlong(history, found, first)
            : GapsWithin(found, first);
    }

    // What comes after the last segment that is there may not be archived yet.
    private static ImmutableArray<string> GapsAlong(
        TimelineHistory history,
        HashSet<(long Timeline, long Number)> found,
        (long Timeline, long Number) first
    )
    {
        var gaps = ImmutableArray.CreateBuilder<string>();
        var next = first.Number;
        foreach (
            var (_, number) in found.Where(segment => segment.Timeline == TimelineAt(history, segment.Number)).OrderBy(one => one.Number)
        )
        {
            if (number > next)
            {
                gaps.Add(Range((TimelineAt(history, next), next), (TimelineAt(history, number - 1), number - 1)));
            }

            next = number + 1;
        }

        if (next == first.Number && !found.Contains(first))
        {
            gaps.Add(AllFrom(first));
        }

        return gaps.ToImmutable();
    }

    private static ImmutableArray<string> GapsWithin(HashSet<(long Timeline, long Number)> found, (long Timeline, long Number) first)
    {
        var gaps = ImmutableArray.CreateBuilder<string>();
        if (found.All(segment => segment.Timeline != first.Timeline))
        {
            gaps.Add(Range(first, first));
        }

        foreach (var timeline in found.GroupBy(segment => segment.Timeline).OrderBy(group => group.Key))
        {
            var next = timeline.Key == first.Timeline ? first.Number : timeline.Min(segment => segment.Number);
            foreach (var number in timeline.Select(segment => segment.Number).Order())
            {
                if (number > next)
                {
                    gaps.Add(Range((timeline.Key, next), (timeline.Key, number - 1)));
                }

                next = number + 1;
            }
        }

        return gaps.ToImmutable();
    }

    private static bool IsOf(TimelineHistory history, (long Timeline, long Number) segment) =>
        segment.Timeline == history.Timeline
        || history.Ends.Any(end => end.Timeline == segment.Timeline && segment.Number <= NumberOf(end.Position));

    // The segment in which a timeline ends is of the next one.
    private static long TimelineAt(TimelineHistory history, long number) =>
        history.Ends.FirstOrDefault(end => number < NumberOf(end.Position))?.Timeline ?? history.Timeline;

    private static long NumberOf(ulong position) => (long)(position / SegmentBytes);

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

    private static string AllFrom((long Timeline, long Number) segment) => $"{Name(segment)} and all after it";

    private static string Range((long Timeline, long Number) from, (long Timeline, long Number) to) =>
        from == to ? Name(from) : $"{Name(from)} to {Name(to)}";

    private static string Name((long Timeline, long Number) segment) =>
        string.Create(CultureInfo.InvariantCulture, $"{segment.Timeline:X8}{segment.Number / PerLog:X8}{segment.Number % PerLog:X8}");

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
