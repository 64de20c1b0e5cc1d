using System.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Steps;

/// <summary>Numbers what a run does to hosts beyond reading: each lock taken, each script run and each tunnel opened is a step.</summary>
public sealed class RemoteSteps
{
    private readonly TimeProvider _time;
    private readonly Action<string> _end;
    private int _count;

    /// <summary>Counts.</summary>
    /// <param name="time">The clock of <see cref="KillPoint.Wait"/>.</param>
    /// <param name="end">Told what was reached at the kill point; ends this process. The default is <c>SIGKILL</c>.</param>
    public RemoteSteps(TimeProvider time, Action<string>? end = null)
    {
        _time = time;
        _end = end ?? Kill;
    }

    /// <summary>How many steps were begun.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Where this run ends itself; null for nowhere.</summary>
    public KillPoint? Kills { get; set; }

    /// <summary>Takes a step.</summary>
    /// <param name="what">The step in words, without anything secret.</param>
    /// <param name="step">It.</param>
    public async Task<T> TakeAsync<T>(string what, Func<Task<T>> step)
    {
        var number = Interlocked.Increment(ref _count);
        var point = Kills?.Step == number ? Kills : null;
        if (point?.Moment == KillMoment.Before)
        {
            _end($"before remote step {number}, {what}");
        }

        var taken = step();
        if (point?.Moment == KillMoment.During)
        {
            await Task.Delay(point.Wait, _time).ConfigureAwait(false);
            _end($"{point.Wait.TotalMilliseconds:0} ms into remote step {number}, {what}");
        }

        var result = await taken.ConfigureAwait(false);
        if (point?.Moment == KillMoment.After)
        {
            _end($"after remote step {number}, {what}");
        }

        return result;
    }

    private static void Kill(string reached)
    {
        Console.Error.WriteLine($"killed {reached}");
        Console.Error.Flush();
        using var self = Process.GetCurrentProcess();
        self.Kill();
        self.WaitForExit();
    }
}
