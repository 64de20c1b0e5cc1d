namespace KeyBuzz.Reconciler.Ssh;

/// <summary>A deadline that stands still while the operator is asked.</summary>
internal sealed class HoldableDeadline : IDisposable
{
    private readonly CancellationTokenSource _passed = new();
    private readonly ITimer _timer;
    private readonly TimeSpan _limit;
    private readonly Lock _gate = new();
    private int _held;
    private bool _isOver;

    public HoldableDeadline(TimeSpan limit, TimeProvider time)
    {
        _limit = limit;
        _timer = time.CreateTimer(_ => Pass(), null, limit, Timeout.InfiniteTimeSpan);
    }

    public CancellationToken Token => _passed.Token;

    /// <summary>Stops it until what this returns is disposed; then its whole time begins again.</summary>
    public IDisposable Hold()
    {
        lock (_gate)
        {
            _held++;
            _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }

        return new Released(this);
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _isOver = true;
            _timer.Dispose();
            _passed.Dispose();
        }
    }

    private void Pass()
    {
        lock (_gate)
        {
            if (_isOver || _held > 0)
            {
                return;
            }
        }

        try
        {
            _passed.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The connection came about at the last moment.
        }
    }

    private void Release()
    {
        lock (_gate)
        {
            if (--_held == 0 && !_isOver)
            {
                _timer.Change(_limit, Timeout.InfiniteTimeSpan);
            }
        }
    }

    private sealed class Released(HoldableDeadline deadline) : IDisposable
    {
        public void Dispose() => deadline.Release();
    }
}
