namespace KeyBuzz.Reconciler.Ssh;

/// <summary>A deadline that stands still while the operator is asked.</summary>
internal sealed class HoldableDeadline : IDisposable
{
    private readonly CancellationTokenSource _timeout;
    private readonly TimeSpan _limit;
    private readonly Lock _gate = new();
    private int _held;

    public HoldableDeadline(TimeSpan limit, TimeProvider time)
    {
        _limit = limit;
        _timeout = new CancellationTokenSource(limit, time);
    }

    public CancellationToken Token => _timeout.Token;

    /// <summary>Stops it until what this returns is disposed; then its whole time begins again.</summary>
    public IDisposable Hold()
    {
        lock (_gate)
        {
            _held++;
            _timeout.CancelAfter(Timeout.InfiniteTimeSpan);
        }

        return new Released(this);
    }

    public void Dispose() => _timeout.Dispose();

    private void Release()
    {
        lock (_gate)
        {
            if (--_held > 0)
            {
                return;
            }

            try
            {
                _timeout.CancelAfter(_limit);
            }
            catch (ObjectDisposedException)
            {
                // The connection was given up meanwhile.
            }
        }
    }

    private sealed class Released(HoldableDeadline deadline) : IDisposable
    {
        public void Dispose() => deadline.Release();
    }
}
