using System.Collections.Immutable;
using System.Globalization;

namespace KeyBuzz.Reconciler.PostgresHa.Drill;

/// <summary>How a drill ended.</summary>
public enum DrillOutcome
{
    /// <summary>Service and cluster came back in time, and every acknowledged row is there.</summary>
    Passed,

    /// <summary>They came back, and acknowledged rows are missing, or two members acknowledged at one time.</summary>
    Lost,

    /// <summary>They did not come back in time, or what is there could not be told.</summary>
    Failed,
}

/// <summary>A stretch of time without an acknowledged write.</summary>
/// <param name="From">Its beginning: the last acknowledgement before it.</param>
/// <param name="To">Its end: the next one.</param>
/// <param name="IsOpen">Whether there was no next one until the drill ended.</param>
public sealed record Gap(TimeSpan From, TimeSpan To, bool IsOpen)
{
    /// <summary>How long it is.</summary>
    public TimeSpan Length => To - From;
}

/// <summary>A stretch of time in which one member acknowledged writes.</summary>
/// <param name="Server">The member.</param>
/// <param name="From">The first acknowledgement.</param>
/// <param name="To">The last one.</param>
/// <param name="Writes">How many.</param>
/// <param name="Lost">Whether these are missing in the end.</param>
public sealed record ServedSpan(string Server, TimeSpan From, TimeSpan To, int Writes, bool Lost);

/// <summary>The effect of a drill on clients of one endpoint.</summary>
/// <param name="Way">The way.</param>
/// <param name="Acknowledged">How many writes were acknowledged.</param>
/// <param name="Unacknowledged">How many were sent and not acknowledged.</param>
/// <param name="LongestGap">The longest time without an acknowledged write that did not end before the fault.</param>
/// <param name="Back">When a write was first acknowledged by the primary after the fault; null for never.</param>
/// <param name="Lost">The numbers that were acknowledged and are missing.</param>
/// <param name="Unexpected">The numbers that are there although they were never acknowledged. That is no fault: the answer was lost on its
/// way.</param>
/// <param name="Served">The acknowledging members, with their times.</param>
public sealed record WayReport(
    DrillWay Way,
    int Acknowledged,
    int Unacknowledged,
    Gap LongestGap,
    TimeSpan? Back,
    ImmutableArray<long> Lost,
    ImmutableArray<long> Unexpected,
    ImmutableArray<ServedSpan> Served
);

/// <summary>The result of a drill. All times count from the beginning of the fault; before it they are negative.</summary>
public sealed record DrillReport
{
    // Within a stretch of service, writes come every 50 ms.
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(1);

    /// <summary>The kind of the drill.</summary>
    public required DrillKind Kind { get; init; }

    /// <summary>The cluster's name.</summary>
    public required string Scope { get; init; }

    /// <summary>The member that led before.</summary>
    public required string Leader { get; init; }

    /// <summary>The member that acknowledged last; null for none after the fault.</summary>
    public required string? NewLeader { get; init; }

    /// <summary>The members, in the order of their addresses.</summary>
    public required ImmutableArray<string> Members { get; init; }

    /// <summary>Whether the cluster replicates synchronously.</summary>
    public required bool Synchronous { get; init; }

    /// <summary>When the first write was tried.</summary>
    public required TimeSpan Started { get; init; }

    /// <summary>When the fault was undone; null for one that ends by itself.</summary>
    public required TimeSpan? Undone { get; init; }

    /// <summary>When the cluster was healthy again, or null.</summary>
    public required TimeSpan? Whole { get; init; }

    /// <summary>When the drill ended.</summary>
    public required TimeSpan Ended { get; init; }

    /// <summary>The ways in.</summary>
    public required ImmutableArray<WayReport> Ways { get; init; }

    /// <summary>How many writes a member acknowledged that were sent after its successor had acknowledged one. More than none means that
    /// two members led at one time.</summary>
    public required int AcknowledgedByTwo { get; init; }

    /// <summary>Why the drill failed, a sentence each; empty when it did not.</summary>
    public required ImmutableArray<string> Failures { get; init; }

    /// <summary>How it ended.</summary>
    public DrillOutcome Outcome =>
        !Failures.IsEmpty ? DrillOutcome.Failed
        : AcknowledgedByTwo > 0 || Ways.Any(way => !way.Lost.IsEmpty) ? DrillOutcome.Lost
        : DrillOutcome.Passed;

    /// <summary>Makes the report. Pure.</summary>
    public static DrillReport Of(DrillMeasurement measured)
    {
        ArgumentNullException.ThrowIfNull(measured);
        var start = measured.Begun;
        var leader = measured.Members.FirstOrDefault(pair => pair.Value == measured.Leader).Key ?? measured.Leader;
        var ways = measured.Ways.Select(way => Report(way, measured, leader)).ToImmutableArray();
        var last = measured
            .Ways.SelectMany(way => way.Attempts)
            .Where(attempt => attempt.Acknowledged > measured.Made)
            .MaxBy(attempt => attempt.Acknowledged);
        return new DrillReport
        {
            Kind = measured.Kind,
            Scope = measured.Scope,
            Leader = measured.Leader,
            NewLeader = last?.Server is { } server ? Name(server, measured) : null,
            Members = [.. measured.Members.Values],
            Synchronous = measured.Synchronous,
            Started = measured.Ways.SelectMany(way => way.Attempts).Select(attempt => attempt.Sent).DefaultIfEmpty(start).Min() - start,
            Undone = measured.Undone - start,
            Whole = measured.Whole - start,
            Ended = measured.Ended - start,
            Ways = ways,
            AcknowledgedByTwo = ByTwo([.. measured.Ways.SelectMany(way => way.Attempts)]),
            Failures = [.. Failed(measured, ways)],
        };
    }

    private static IEnumerable<string> Failed(DrillMeasurement measured, ImmutableArray<WayReport> ways)
    {
        foreach (var way in ways.Where(way => way.Back is null || way.Back > measured.Timeout))
        {
            yield return string.Create(
                CultureInfo.InvariantCulture,
                $"no write through {way.Way.Endpoint} was acknowledged again within {measured.Timeout.TotalSeconds:0} s"
            );
        }

        if (measured.Whole is null)
        {
            yield return string.Create(
                CultureInfo.InvariantCulture,
                $"{measured.Scope} was not healthy again within {measured.Timeout.TotalSeconds:0} s: {string.Join("; ", measured.Problems)}"
            );
        }

        if (measured.Ways.Any(way => way.Present is null))
        {
            yield return "the rows could not be read back, so lost writes cannot be counted";
        }
    }

    private static WayReport Report(WayMeasurement way, DrillMeasurement measured, string leader)
    {
        var acknowledged = way
            .Attempts.Where(attempt => attempt.Acknowledged is not null)
            .OrderBy(attempt => attempt.Acknowledged)
            .ToList();
        var missing = way.Present is null
            ? []
            : acknowledged.Where(attempt => !way.Present.Contains(attempt.Number)).Select(attempt => attempt.Number).ToHashSet();
        return new WayReport(
            way.Way,
            acknowledged.Count,
            way.Attempts.Length - acknowledged.Count,
            Longest([.. acknowledged.Select(attempt => attempt.Acknowledged!.Value)], measured),
            DrillMeasurement.BackAt(measured.Kind, way.Attempts, leader, measured.Begun, measured.Made) - measured.Begun,
            [.. missing.Order()],
            [
                .. way
                    .Attempts.Where(attempt => attempt.Acknowledged is null && way.Present?.Contains(attempt.Number) == true)
                    .Select(attempt => attempt.Number),
            ],
            Served(acknowledged, missing, measured)
        );
    }

    // Between two acknowledgements, or from the last one to the end of the drill.
    private static Gap Longest(IReadOnlyList<TimeSpan> times, DrillMeasurement measured)
    {
        var first = times.Count > 0 ? times[0] : measured.Begun;
        var gaps = times
            .Zip(times.Skip(1))
            .Select(pair => new Gap(pair.First, pair.Second, IsOpen: false))
            .Append(new Gap(times.Count > 0 ? times[^1] : first, measured.Ended, IsOpen: true));
        var longest = gaps.Where(gap => gap.To > measured.Begun).MaxBy(gap => gap.Length)!;
        return longest with { From = longest.From - measured.Begun, To = longest.To - measured.Begun };
    }

    private static ImmutableArray<ServedSpan> Served(
        IReadOnlyList<WriteAttempt> acknowledged,
        HashSet<long> missing,
        DrillMeasurement measured
    )
    {
        var spans = ImmutableArray.CreateBuilder<ServedSpan>();
        foreach (var attempt in acknowledged)
        {
            var (at, server, lost) = (
                attempt.Acknowledged!.Value - measured.Begun,
                Name(attempt.Server ?? "", measured),
                missing.Contains(attempt.Number)
            );
            if (spans.Count > 0 && spans[^1] is var last && last.Server == server && last.Lost == lost && at - last.To <= s_pause)
            {
                spans[^1] = last with { To = at, Writes = last.Writes + 1 };
            }
            else
            {
                spans.Add(new ServedSpan(server, at, at, 1, lost));
            }
        }

        return spans.ToImmutable();
    }

    // In the order of their first acknowledgements, no member may acknowledge after the next one has begun.
    private static int ByTwo(IReadOnlyList<WriteAttempt> attempts)
    {
        var acknowledged = attempts.Where(attempt => attempt.Acknowledged is not null).ToList();
        var begun = acknowledged
            .GroupBy(attempt => attempt.Server)
            .Select(group => (Server: group.Key, At: group.Min(attempt => attempt.Acknowledged!.Value)))
            .ToList();
        return acknowledged.Count(attempt =>
            begun.Exists(other =>
                other.Server != attempt.Server && other.At < attempt.Sent && other.At > begun.First(own => own.Server == attempt.Server).At
            )
        );
    }

    private static string Name(string address, DrillMeasurement measured) => measured.Members.GetValueOrDefault(address, address);
}
