using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>How much of a member's volume was used at a time.</summary>
/// <param name="Time">The time, by the members' clocks.</param>
/// <param name="Host">The member.</param>
/// <param name="UsedBytes">What was used.</param>
public sealed record VolumeSample(DateTimeOffset Time, string Host, long UsedBytes);

/// <summary>How a volume fills up.</summary>
/// <param name="Span">The time that it was seen over.</param>
/// <param name="UntilFull">When it is full if that goes on; null while it gets no fuller.</param>
public sealed record VolumeTrend(TimeSpan Span, TimeSpan? UntilFull);

/// <summary>What the members' volumes held at the last measurements of this machine. Bounded: a sample in five minutes, of one day.
/// Pure.</summary>
/// <param name="Samples">The samples, oldest first.</param>
public sealed record VolumeHistory(ImmutableArray<VolumeSample> Samples)
{
    /// <summary>How long a volume has to be known before its trend says something; the alert KbrVolumeFillsUp takes as much.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromHours(6);

    // Of fewer samples a single large file would be the trend.
    private const int FewestSamples = 6;

    // Beyond, no number of days is a promise.
    private static readonly TimeSpan s_longest = TimeSpan.FromDays(3650);
    private static readonly TimeSpan s_step = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan s_kept = TimeSpan.FromDays(1);

    /// <summary>Nothing is known.</summary>
    public static VolumeHistory None { get; } = new(ImmutableArray<VolumeSample>.Empty);

    /// <summary>Why samples are not kept; null where they are.</summary>
    public string? Problem { get; init; }

    /// <summary>Reads <see cref="Text"/>. A line that is not understood is left out.</summary>
    public static VolumeHistory Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var samples = ImmutableArray.CreateBuilder<VolumeSample>();
        foreach (var line in text.Split('\n'))
        {
            if (
                line.Split(' ') is [var time, var host, var used]
                && long.TryParse(time, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
                && seconds < DateTimeOffset.MaxValue.ToUnixTimeSeconds()
                && long.TryParse(used, NumberStyles.None, CultureInfo.InvariantCulture, out var bytes)
            )
            {
                samples.Add(new VolumeSample(DateTimeOffset.FromUnixTimeSeconds(seconds), host, bytes));
            }
        }

        samples.Sort(static (one, other) => one.Time.CompareTo(other.Time));
        return new VolumeHistory(samples.ToImmutable());
    }

    /// <summary>A line for each sample: seconds since 1970, the member, and the used bytes.</summary>
    public string Text
    {
        get
        {
            var text = new StringBuilder();
            foreach (var sample in Samples)
            {
                text.Append(CultureInfo.InvariantCulture, $"{sample.Time.ToUnixTimeSeconds()} {sample.Host} {sample.UsedBytes}\n");
            }

            return text.ToString();
        }
    }

    /// <summary>With what was seen now, and without what is too old or from the future. Itself where nothing has to be kept.</summary>
    /// <param name="seen">A sample of each member.</param>
    public VolumeHistory With(ImmutableArray<VolumeSample> seen)
    {
        if (seen.IsEmpty)
        {
            return this;
        }

        var now = seen[0].Time;
        ImmutableArray<VolumeSample> known = [.. Samples.Where(old => old.Time <= now)];
        ImmutableArray<VolumeSample> due = [.. seen.Where(one => !known.Any(old => old.Host == one.Host && old.Time > now - s_step))];
        return due.IsEmpty && known.Length == Samples.Length
            ? this
            : this with
            {
                Samples = [.. known.Where(old => old.Time > now - s_kept), .. due],
            };
    }

    /// <summary>The trend of a member's volume, by least squares; null where too little is known.</summary>
    /// <param name="host">The member.</param>
    /// <param name="free">What is free of it.</param>
    public VolumeTrend? TrendOf(string host, long free)
    {
        List<VolumeSample> own = [.. Samples.Where(sample => sample.Host == host)];
        var first = own.Count == 0 ? -1 : own.FindLastIndex(sample => sample.Time <= own[^1].Time - Window);
        if (first < 0 || own.Count - first < FewestSamples)
        {
            return null;
        }

        var (start, count) = (own[first], own.Count - first);
        var (sumTime, sumUsed, sumSquare, sumProduct) = (0.0, 0.0, 0.0, 0.0);
        for (var at = first; at < own.Count; at++)
        {
            var time = (own[at].Time - start.Time).TotalSeconds;
            var used = (double)(own[at].UsedBytes - start.UsedBytes);
            sumTime += time;
            sumUsed += used;
            sumSquare += time * time;
            sumProduct += time * used;
        }

        var perSecond = ((count * sumProduct) - (sumTime * sumUsed)) / ((count * sumSquare) - (sumTime * sumTime));
        // A volume that was emptied meanwhile does not fill up by what came before.
        return new VolumeTrend(
            own[^1].Time - start.Time,
            perSecond <= 0 || own[^1].UsedBytes <= start.UsedBytes
                ? null
                : TimeSpan.FromSeconds(Math.Min(free / perSecond, s_longest.TotalSeconds))
        );
    }
}
