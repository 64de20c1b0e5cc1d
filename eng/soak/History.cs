using System.Collections.Immutable;
using KeyBuzz.Reconciler.PostgresHa.Drill;

namespace KeyBuzz.Reconciler.Soak;

/// <summary>What was done to the cluster in a soak, and when, on the soak's clock.</summary>
/// <param name="Number">Its number, from 1.</param>
/// <param name="Kind">Its kind, one word.</param>
/// <param name="What">What was done to whom, as a sentence.</param>
/// <param name="Begun">When it was begun.</param>
/// <param name="Healthy">When the cluster was healthy after it; null when it was not in time.</param>
/// <param name="Trouble">What went wrong with it; null when nothing did.</param>
public sealed record SoakEvent(int Number, string Kind, string What, TimeSpan Begun, TimeSpan? Healthy, string? Trouble);

/// <summary>All that was seen in a soak, before anything is made of it.</summary>
/// <param name="Seed">What the sequence of events came from.</param>
/// <param name="Synchronous">Whether commits waited for a standby.</param>
/// <param name="Ways">What was written, and what is there in the end.</param>
/// <param name="Events">The changes and faults of the run.</param>
/// <param name="Ended">When the writers ended.</param>
public sealed record SoakHistory(
    int Seed,
    bool Synchronous,
    ImmutableArray<WayMeasurement> Ways,
    ImmutableArray<SoakEvent> Events,
    TimeSpan Ended
);

/// <summary>The times without an acknowledged write on one way that began or ended in an event.</summary>
/// <param name="Longest">The longest one.</param>
/// <param name="Noticed">How many were longer than <see cref="Noticeable"/>.</param>
public sealed record WayGaps(TimeSpan Longest, int Noticed)
{
    /// <summary>What an application's user notices. A writer writes every 50 ms, and a busy machine makes it wait for some of a second now
    /// and then.</summary>
    public static TimeSpan Noticeable { get; } = TimeSpan.FromSeconds(1);
}

/// <summary>An event and the times without an acknowledged write that it cost.</summary>
/// <param name="Event">The event.</param>
/// <param name="Gaps">Those of each way, in the order of the ways.</param>
/// <param name="Lost">How many of the rows that were acknowledged during it are missing.</param>
public sealed record EventVerdict(SoakEvent Event, ImmutableArray<WayGaps> Gaps, int Lost);

/// <summary>What the history of a soak says, in the manner of Jepsen: not what the cluster says of itself, but what it answered and what is
/// there in the end. Pure.</summary>
public sealed record HistoryVerdict
{
    /// <summary>What it was made of.</summary>
    public required SoakHistory History { get; init; }

    /// <summary>How many rows were acknowledged.</summary>
    public required int Acknowledged { get; init; }

    /// <summary>How many were sent without an acknowledgement: nobody knows whether they are there.</summary>
    public required int Unknown { get; init; }

    /// <summary>How many of those are there.</summary>
    public required int UnknownThere { get; init; }

    /// <summary>The acknowledged rows that are missing, as <c>direct 17</c>.</summary>
    public required ImmutableArray<string> Lost { get; init; }

    /// <summary>What breaks the rule that one member at a time acknowledges, a sentence each.</summary>
    public required ImmutableArray<string> TwoLeaders { get; init; }

    /// <summary>Rows that nobody sent, as <c>direct 17</c>.</summary>
    public required ImmutableArray<string> Foreign { get; init; }

    /// <summary>The events with their gaps.</summary>
    public required ImmutableArray<EventVerdict> Events { get; init; }

    /// <summary>Why the soak failed, a sentence each; empty when it passed. Lost rows fail it only where commits wait for a
    /// standby.</summary>
    public required ImmutableArray<string> Failures { get; init; }

    /// <summary>Judges a history.</summary>
    public static HistoryVerdict Of(SoakHistory history)
    {
        ArgumentNullException.ThrowIfNull(history);
        var attempts = history.Ways.SelectMany(way => way.Attempts.Select(attempt => (Way: way, Attempt: attempt))).ToList();
        var acknowledged = attempts.Where(pair => pair.Attempt.Acknowledged is not null).ToList();
        var missing = acknowledged.Where(pair => pair.Way.Present is { } present && !present.Contains(pair.Attempt.Number)).ToList();
        var two = TwoLeadersOf([.. acknowledged.Select(pair => pair.Attempt)]).ToImmutableArray();
        var foreign = history
            .Ways.Where(way => way.Present is not null)
            .SelectMany(way =>
                way.Present!.Except(way.Attempts.Select(attempt => attempt.Number)).Order().Select(number => $"{way.Way.Name} {number}")
            )
            .ToImmutableArray();
        var failures = history
            .Events.Where(one => one.Trouble is not null)
            .Select(one => $"event {one.Number}, {one.What}: {one.Trouble}")
            .Concat(
                history
                    .Ways.Where(way => way.Present is null)
                    .Select(way => $"the rows written through {way.Way.Name} could not be read back")
            )
            .Concat(
                history
                    .Ways.Where(way => way.Attempts.All(attempt => attempt.Acknowledged is null))
                    .Select(way => $"no write through {way.Way.Name} was ever acknowledged")
            )
            .Concat(
                history.Synchronous && missing.Count > 0
                    ? [$"{missing.Count} acknowledged rows are missing, although commits wait for a standby"]
                    : []
            )
            .Concat(two)
            .Concat(foreign.IsEmpty ? [] : [$"{foreign.Length} rows are there that nobody sent"]);
        return new HistoryVerdict
        {
            History = history,
            Acknowledged = acknowledged.Count,
            Unknown = attempts.Count - acknowledged.Count,
            UnknownThere = attempts.Count(pair =>
                pair.Attempt.Acknowledged is null && pair.Way.Present?.Contains(pair.Attempt.Number) == true
            ),
            Lost = [.. missing.Select(pair => $"{pair.Way.Way.Name} {pair.Attempt.Number}")],
            TwoLeaders = two,
            Foreign = foreign,
            Events =
            [
                .. history.Events.Select(
                    (one, index) =>
                        Judge(
                            history,
                            one,
                            index + 1 < history.Events.Length ? history.Events[index + 1].Begun : history.Ended,
                            [.. missing.Select(pair => pair.Attempt)]
                        )
                ),
            ],
            Failures = [.. failures],
        };
    }

    // From its beginning to the beginning of the next one: a gap belongs to the event in which it begins, and what was never acknowledged
    // again is a gap to the end.
    private static EventVerdict Judge(SoakHistory history, SoakEvent one, TimeSpan until, IReadOnlyList<WriteAttempt> missing) =>
        new(
            one,
            [
                .. history.Ways.Select(way =>
                    GapsOf(
                        [.. way.Attempts.Select(attempt => attempt.Acknowledged).OfType<TimeSpan>().Order()],
                        one.Begun,
                        until,
                        history.Ended
                    )
                ),
            ],
            missing.Count(attempt => attempt.Acknowledged >= one.Begun && attempt.Acknowledged < until)
        );

    private static WayGaps GapsOf(IReadOnlyList<TimeSpan> times, TimeSpan begun, TimeSpan until, TimeSpan ended)
    {
        // The last acknowledgement before the event begins the first gap in it.
        var first = times.Where(at => at <= begun).DefaultIfEmpty(begun).Last();
        IEnumerable<TimeSpan> marks = [first, .. times.Where(at => at > begun), ended];
        var gaps = marks.Zip(marks.Skip(1)).Where(pair => pair.First < until).Select(pair => pair.Second - pair.First).ToList();
        return new WayGaps(gaps.DefaultIfEmpty(TimeSpan.Zero).Max(), gaps.Count(gap => gap > WayGaps.Noticeable));
    }

    // A takeover begins a new timeline, so that one timeline has one writer, and nobody goes on with an older one once a newer one has
    // acknowledged: a write that was sent later than that and answered from the older one means that two members took writes at one time.
    private static IEnumerable<string> TwoLeadersOf(ImmutableArray<WriteAttempt> acknowledged)
    {
        var timelines = acknowledged
            .GroupBy(attempt => attempt.Timeline)
            .OrderBy(group => group.Key)
            .Select(group =>
                (
                    Timeline: group.Key,
                    Servers: group.Select(attempt => attempt.Server).Distinct().Order(StringComparer.Ordinal).ToList(),
                    Begun: group.Min(attempt => attempt.Acknowledged!.Value),
                    Attempts: group.ToList()
                )
            )
            .ToList();
        foreach (var timeline in timelines.Where(timeline => timeline.Servers.Count > 1))
        {
            yield return $"{string.Join(" and ", timeline.Servers)} both acknowledged writes on timeline {timeline.Timeline}";
        }

        foreach (var newer in timelines)
        {
            foreach (var older in timelines.Where(older => older.Timeline < newer.Timeline))
            {
                var late = older.Attempts.Count(attempt => attempt.Sent > newer.Begun);
                if (late > 0)
                {
                    yield return $"{string.Join(" and ", older.Servers)} acknowledged {late} writes on timeline {older.Timeline} after "
                        + $"{string.Join(" and ", newer.Servers)} had begun to on timeline {newer.Timeline}";
                }
            }
        }
    }
}
