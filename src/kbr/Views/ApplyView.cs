using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Planning;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>An apply as it happens: a line when a change begins, ends, or has run for another ten seconds; or the same as JSON events.</summary>
internal sealed class ApplyView : IApplyProgress, IDisposable
{
    private static readonly TimeSpan StillInterval = TimeSpan.FromSeconds(10);
    private readonly Terminal _terminal;
    private readonly bool _json;
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly Lock _gate = new();
    private readonly Dictionary<PlannedChange, long> _running = [];

    public ApplyView(Terminal terminal, bool json, TimeProvider time)
    {
        _terminal = terminal;
        _json = json;
        _time = time;
        _timer = time.CreateTimer(_ => Still(), null, StillInterval, StillInterval);
    }

    public void Started(PlannedChange change)
    {
        lock (_gate)
        {
            _running[change] = _time.GetTimestamp();
        }

        Say("started", change, $"{change.Address}: {Doing(change)} …", Terminal.Tone.Plain);
    }

    public void Done(PlannedChange change, TimeSpan elapsed)
    {
        Forget(change);
        Say("done", change, $"{change.Address}: done in {elapsed.TotalSeconds:0.0} s", Terminal.Tone.Added, elapsed);
    }

    public void Failed(PlannedChange change, TimeSpan elapsed, string reason)
    {
        Forget(change);
        Say("failed", change, $"{change.Address}: FAILED after {elapsed.TotalSeconds:0.0} s: {reason}", Terminal.Tone.Removed, elapsed, reason);
    }

    public void NotTried(PlannedChange change, string reason) =>
        Say("not_tried", change, $"{change.Address}: not tried: {reason}", Terminal.Tone.Changed, reason: reason);

    public void Result(ApplyResult result)
    {
        if (_json)
        {
            _terminal.Line(JsonView.ResultDocument(result));
            return;
        }

        _terminal.Line();
        var done = result.Done.Where(change => change.Action.Counts()).GroupBy(change => change.Action).ToDictionary(group => group.Key, group => group.Count());
        int Count(ResourceAction action) => done.GetValueOrDefault(action);
        var head = result.Succeeded ? "Apply complete" : "Apply incomplete";
        _terminal.Line(
            $"{head}: {Count(ResourceAction.Create)} created, {Count(ResourceAction.Update)} updated, {Count(ResourceAction.Replace)} replaced, {Count(ResourceAction.Delete)} deleted, {result.Failed.Count} failed, {result.NotTried.Count} not tried",
            Terminal.Tone.Bold);
        foreach (var (change, reason) in result.Failed)
        {
            _terminal.Line($"  failed     {change.Address}: {reason}", Terminal.Tone.Removed);
        }

        foreach (var (change, reason) in result.NotTried)
        {
            _terminal.Line($"  not tried  {change.Address}: {reason}", Terminal.Tone.Changed);
        }

        foreach (var (group, reason) in result.StoppedRollouts)
        {
            _terminal.Line($"  stopped    the roll-out of {group}: {reason}", Terminal.Tone.Changed);
        }
    }

    public void Dispose() => _timer.Dispose();

    private void Forget(PlannedChange change)
    {
        lock (_gate)
        {
            _running.Remove(change);
        }
    }

    private void Still()
    {
        List<(PlannedChange Change, TimeSpan Elapsed)> running;
        lock (_gate)
        {
            running = [.. _running.Select(pair => (pair.Key, _time.GetElapsedTime(pair.Value))).Where(pair => pair.Item2 >= StillInterval)];
        }

        foreach (var (change, elapsed) in running)
        {
            Say("running", change, $"{change.Address}: still {Doing(change)}, {elapsed.TotalSeconds:0} s", Terminal.Tone.Faint, elapsed);
        }
    }

    private void Say(string word, PlannedChange change, string text, Terminal.Tone tone, TimeSpan? elapsed = null, string? reason = null)
    {
        if (!_json)
        {
            _terminal.Line(text, tone);
            return;
        }

        _terminal.Line(JsonView.Document("apply_event", json =>
        {
            json.WriteString("event", word);
            json.WriteString("address", change.Address.ToString());
            json.WriteString("action", change.Action.Word());
            if (elapsed is { } time)
            {
                json.WriteNumber("elapsed_seconds", Math.Round(time.TotalSeconds, 3));
            }

            if (reason is not null)
            {
                json.WriteString("reason", reason);
            }
        }));
    }

    private static string Doing(PlannedChange change) => change.Action switch
    {
        ResourceAction.Create => "creating",
        ResourceAction.Update => "updating",
        ResourceAction.Replace => "replacing",
        ResourceAction.Delete => "deleting",
        ResourceAction.Adopt => "adopting",
        ResourceAction.Forget => "forgetting",
        _ => "looking again",
    };
}
