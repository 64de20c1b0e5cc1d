namespace KeyBuzz.Reconciler.Applying;

/// <summary>Whether what is waited for gets on, told from a number that grows while it does. What breaks off and begins again from less
/// gets on too, but a few times only: what always breaks off would be waited for for ever.</summary>
public sealed class ProgressTracker
{
    private const int Beginnings = 3;

    private long _reached;
    private int _begunAgain;

    /// <summary>Takes how far it has come by now, and answers whether it has got on since the last time.</summary>
    /// <param name="progress">How far; zero while nothing is known of it.</param>
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
