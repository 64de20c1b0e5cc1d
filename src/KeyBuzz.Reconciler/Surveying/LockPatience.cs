using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Surveying;

/// <summary>How long a run waits for locks that other runs hold, in all and not for each host.</summary>
/// <param name="limit">How long.</param>
/// <param name="time">The clock.</param>
/// <param name="waits">Told once of each holder that is waited for.</param>
public sealed class LockPatience(TimeSpan limit, TimeProvider time, Action<HostLockedException> waits)
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(1);

    private readonly HashSet<string> _told = new(StringComparer.Ordinal);
    private long? _since;

    /// <summary>Tries until the lock is taken. Throws <see cref="HostLockedException"/> when the time has passed.</summary>
    /// <param name="take">Takes the lock; throws <see cref="HostLockedException"/> while another run holds it.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task<IHostWriter> TakeAsync(Func<Task<IHostWriter>> take, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(take);
        var last = await Poll.UntilAsync(
                TryAsync,
                look => look.Writer is not null || time.GetElapsedTime(_since!.Value) >= limit,
                new PollPace(s_interval, TimeSpan.MaxValue),
                time,
                cancellationToken,
                beforePause: look => Tell(look.Refused!)
            )
            .ConfigureAwait(false);
        return last.Writer
            ?? throw new HostLockedException(last.Refused!.Host, $"{last.Refused.Holder}; waited {limit.TotalSeconds:0.###} s");

        async Task<(IHostWriter? Writer, HostLockedException? Refused)> TryAsync()
        {
            try
            {
                return (await take().ConfigureAwait(false), null);
            }
            catch (HostLockedException refused)
            {
                _since ??= time.GetTimestamp();
                return (null, refused);
            }
        }
    }

    private void Tell(HostLockedException refused)
    {
        if (_told.Add(refused.Holder))
        {
            waits(refused);
        }
    }
}
