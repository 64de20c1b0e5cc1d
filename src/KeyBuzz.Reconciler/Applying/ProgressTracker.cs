namespace KeyBuzz.Reconciler.Applying;

/// <summary>Tells from a growing number whether an awaited process advances. A restart from a smaller number counts as well, but only a few
/// times, so that a process that always breaks off is not awaited forever.</summary>
public sealed class ProgressTracker
{
    private const int Beginnings = 3;

    private long _reached;
    private int _begunAgain;

    /// <summary>Takes the current progress, and answers whether it has advanced since the last call.</summary>
    /// <param name="progress">The progress; zero while unknown.</param>
    public bool HasAdvanced(long progress)
    {
        var beginsAgain = progress > 0 && progress < _reached && _begunAgain < Beginnings;
        if (progress <= _reached && !beginsAgain)
        {
            return false;
        }

        _begunAgain += beginsAgain ? 1 : 0;
        _reached = progress;
        return true;
    }
}
