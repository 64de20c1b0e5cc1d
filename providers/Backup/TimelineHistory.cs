using System.Collections.Immutable;
using System.Globalization;

namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>The timelines that the database came through, of which each ends where the next one begins. What was written after that end,
/// and every backup of it, is of a database that a restore or a failover has discarded.</summary>
/// <param name="Timeline">The present timeline.</param>
/// <param name="Ends">The end of each earlier one.</param>
public sealed record TimelineHistory(long Timeline, ImmutableArray<TimelineEnd> Ends)
{
    private const int Digits = 8;

    /// <summary>Whether it was read: every timeline but the first has an earlier one.</summary>
    public bool IsKnown => Timeline == 1 || !Ends.IsEmpty;

    /// <summary>The timeline in a segment's name; null where it is none.</summary>
    public static long? Of(string? segment) =>
        segment is { Length: >= Digits }
        && long.TryParse(segment.AsSpan(0, Digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var timeline)
            ? timeline
            : null;

    /// <summary>Reads PostgreSQL's history file of a timeline: a line for each earlier one, with its number, its end, and why.</summary>
    public static TimelineHistory Parse(long timeline, string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var ends = ImmutableArray.CreateBuilder<TimelineEnd>();
        foreach (var line in text.Split('\n'))
        {
            var words = line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            if (
                words.Length >= 2
                && long.TryParse(words[0], NumberStyles.None, CultureInfo.InvariantCulture, out var earlier)
                && Position(words[1]) is { } end
            )
            {
                ends.Add(new TimelineEnd(earlier, end));
            }
        }

        return new TimelineHistory(timeline, ends.ToImmutable());
    }

    /// <summary>Whether a backup is of this database; where it does not say, it is.</summary>
    public bool Has(StoredBackup backup)
    {
        ArgumentNullException.ThrowIfNull(backup);
        return Of(backup.LastWal) is not { } timeline
            || timeline == Timeline
            || Position(backup.StopLsn) is not { } stop
            || (Ends.LastOrDefault(end => end.Timeline == timeline) is { Position: var end } && stop <= end);
    }

    /// <summary>A position in the WAL; null where it is none.</summary>
    public static ulong? Position(string? lsn) =>
        lsn?.Split('/') is [var high, var low]
        && uint.TryParse(high, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var log)
        && uint.TryParse(low, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var offset)
            ? ((ulong)log << 32) | offset
            : null;
}

/// <summary>Where an earlier timeline ended.</summary>
/// <param name="Timeline">The timeline.</param>
/// <param name="Position">The end in its WAL.</param>
public sealed record TimelineEnd(long Timeline, ulong Position);
