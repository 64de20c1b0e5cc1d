namespace KeyBuzz.Reconciler.Hosts;

/// <summary>How often a poll looks, and for how long.</summary>
/// <param name="Interval">The pause between two looks.</param>
/// <param name="Deadline">How long it goes on. The look that begins before it ends is finished, and counts.</param>
public sealed record PollPace(TimeSpan Interval, TimeSpan Deadline)
{
    // The hosts do the work that kbr waits for, and each look takes processor time from it. A look that took very long has itself waited
    // for a host.
    private const int PausePerLook = 3;
    private static readonly TimeSpan s_longest = TimeSpan.FromSeconds(5);

    /// <summary>Whether the pause is three times as long as the look before it, up to five seconds, so that busy hosts have most of their
    /// time for what is waited for.</summary>
    public bool SparesSlowHosts { get; init; }

    internal TimeSpan PauseAfter(TimeSpan look)
    {
        var pause = look * PausePerLook < s_longest ? look * PausePerLook : s_longest;
        return SparesSlowHosts && pause > Interval ? pause : Interval;
    }
}

/// <summary>The one loop that waits for something to become true.</summary>
public static class Poll
{
    /// <summary>Looks until the condition holds or the deadline has passed, at least once. Answers the last look; the caller decides what a
    /// missed deadline means. An exception of a look ends the poll.</summary>
    /// <param name="look">One look.</param>
    /// <param name="condition">Whether a look ends the poll.</param>
    /// <param name="pace">How often, and for how long.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Ends the pauses; throws then.</param>
    /// <param name="hasAdvanced">Whether a look shows progress; the deadline counts from there.</param>
    /// <param name="beforePause">Receives each look that another one follows.</param>
    public static async Task<T> UntilAsync<T>(
        Func<Task<T>> look,
        Func<T, bool> condition,
        PollPace pace,
        TimeProvider time,
        CancellationToken cancellationToken,
        Func<T, bool>? hasAdvanced = null,
        Action<T>? beforePause = null
    )
    {
        ArgumentNullException.ThrowIfNull(look);
        ArgumentNullException.ThrowIfNull(condition);
        ArgumentNullException.ThrowIfNull(pace);
        ArgumentNullException.ThrowIfNull(time);
        var since = time.GetTimestamp();
        while (true)
        {
            var asked = time.GetTimestamp();
            var seen = await look().ConfigureAwait(false);
            if (condition(seen))
            {
                return seen;
            }

            if (hasAdvanced?.Invoke(seen) == true)
            {
                since = time.GetTimestamp();
            }
            else if (time.GetElapsedTime(since) > pace.Deadline)
            {
                return seen;
            }

            beforePause?.Invoke(seen);
            await Task.Delay(pace.PauseAfter(time.GetElapsedTime(asked)), time, cancellationToken).ConfigureAwait(false);
        }
    }
}
