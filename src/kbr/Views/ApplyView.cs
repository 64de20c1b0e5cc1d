using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Planning;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>An apply as it happens. On a screen: a line when a change ends, and below these the changes that run, with their seconds, drawn
/// anew every second. Elsewhere a line when a change begins, ends, or has run for another ten seconds; or the same as JSON
/// events.</summary>
public sealed class ApplyView : IApplyProgress, IDisposable
{
    private static readonly TimeSpan StillInterval = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan DrawInterval = TimeSpan.FromSeconds(1);
    private const int MostRows = 12;

    private readonly Terminal _terminal;
    private readonly bool _json;
    private readonly bool _live;
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly long _begun;
    private readonly Lock _gate = new();

    // In the order in which they began.
    private readonly List<(IPlannedStep Step, long Since)> _running = [];
    private int _ended;

    /// <summary>Shows an apply that begins now.</summary>
    /// <param name="terminal">Where.</param>
    /// <param name="json">Whether as JSON events.</param>
    /// <param name="time">The clock.</param>
    public ApplyView(Terminal terminal, bool json, TimeProvider time)
    {
        _terminal = terminal;
        _json = json;
        _live = terminal.IsScreen && !json;
        _time = time;
        _begun = time.GetTimestamp();
        var interval = _live ? DrawInterval : StillInterval;
        _timer = time.CreateTimer(_ => Tick(), null, interval, interval);
    }

    /// <inheritdoc />
    public void Started(IPlannedStep step)
    {
        lock (_gate)
        {
            _running.Add((step, _time.GetTimestamp()));
            if (_live)
            {
                Draw();
                return;
            }
        }

        Say("started", step, $"{NameOf(step)}: {Doing(step)} …", Terminal.Tone.Plain);
    }

    /// <inheritdoc />
    public void Done(IPlannedStep step, TimeSpan elapsed)
    {
        Forget(step);
        Say("done", step, $"{NameOf(step)}: done in {elapsed.TotalSeconds:0.0} s", Terminal.Tone.Added, elapsed);
    }

    /// <inheritdoc />
    public void Failed(IPlannedStep step, TimeSpan elapsed, string reason)
    {
        Forget(step);
        Say("failed", step, $"{NameOf(step)}: FAILED after {elapsed.TotalSeconds:0.0} s: {reason}", Terminal.Tone.Removed, elapsed, reason);
    }

    /// <inheritdoc />
    public void Skipped(IPlannedStep step, string reason) =>
        Say("not_tried", step, $"{NameOf(step)}: skipped: {reason}", Terminal.Tone.Changed, reason: reason);

    /// <summary>Shows how it ended.</summary>
    /// <param name="result">How it ended.</param>
    /// <param name="word">The command: apply, destroy or import.</param>
    public void Result(ApplyResult result, string word)
    {
        ArgumentNullException.ThrowIfNull(result);
        if (_json)
        {
            _terminal.Line(JsonView.ResultDocument(result));
            return;
        }

        _terminal.Line();
        _terminal.Line($"{Head(result, word)}: {Counts(result, word)}", Terminal.Tone.Bold);
        ShowReasons("failed    ", result.Failed, Terminal.Tone.Removed);
        ShowReasons("skipped   ", result.Skipped, Terminal.Tone.Changed);
        foreach (var (group, reason) in result.StoppedRollouts)
        {
            _terminal.Line($"  stopped    the roll-out of {group}: {reason}", Terminal.Tone.Changed);
        }

        foreach (var error in result.Errors)
        {
            _terminal.Line($"  not planned  {error.Summary}", Terminal.Tone.Removed);
        }
    }

    private static string Head(ApplyResult result, string word)
    {
        var name = word switch
        {
            "destroy" => "Destroy",
            "import" => "Import",
            _ => "Apply",
        };
        return result.Succeeded && result.Errors.IsEmpty ? $"{name} complete" : $"{name} incomplete";
    }

    // Of changes to records only the requested ones are counted.
    private static string Counts(ApplyResult result, string word)
    {
        int Count(ResourceAction action) => result.Done.Count(change => change.Action == action);
        string[] done = word switch
        {
            "destroy" => [$"{Count(ResourceAction.Delete)} deleted", $"{Count(ResourceAction.Forget)} forgotten"],
            "import" => [$"{Count(ResourceAction.Adopt)} recorded"],
            _ =>
            [
                $"{Count(ResourceAction.Create)} created",
                $"{Count(ResourceAction.Update)} updated",
                $"{Count(ResourceAction.Replace)} replaced",
                $"{Count(ResourceAction.Delete)} deleted",
            ],
        };
        string[] healthy = result.BroughtToHealth.Count == 0 ? [] : [$"{result.BroughtToHealth.Count} brought to health"];
        return string.Join(", ", [.. done, .. healthy, $"{result.Failed.Count} failed", $"{result.Skipped.Count} skipped"]);
    }

    // One reason of many changes on a host is said once.
    private void ShowReasons(string word, IEnumerable<(IPlannedStep Step, string Reason)> items, Terminal.Tone tone)
    {
        foreach (var group in items.GroupBy(item => (item.Step.Address.Host, item.Reason)))
        {
            var what = group.Count() == 1 ? NameOf(group.First().Step) : $"{group.Key.Host}, {group.Count()} resources";
            _terminal.Line($"  {word} {what}: {group.Key.Reason}", tone);
        }
    }

    /// <summary>Ends the drawing, and takes away what is drawn.</summary>
    public void Dispose()
    {
        _timer.Dispose();
        lock (_gate)
        {
            _running.Clear();
            _terminal.Region([]);
        }
    }

    private void Forget(IPlannedStep step)
    {
        lock (_gate)
        {
            _running.RemoveAll(running => ReferenceEquals(running.Step, step));
            _ended++;
            if (_live)
            {
                Draw();
            }
        }
    }

    private void Tick()
    {
        List<(IPlannedStep Step, TimeSpan Elapsed)> running;
        lock (_gate)
        {
            if (_live)
            {
                Draw();
                return;
            }

            running =
            [
                .. _running.Select(each => (each.Step, _time.GetElapsedTime(each.Since))).Where(each => each.Item2 >= StillInterval),
            ];
        }

        foreach (var (step, elapsed) in running)
        {
            Say("running", step, $"{NameOf(step)}: still {Doing(step)}, {elapsed.TotalSeconds:0} s", Terminal.Tone.Faint, elapsed);
        }
    }

    // Under the gate, so that an older picture never comes after a newer one.
    private void Draw()
    {
        if (_running.Count == 0)
        {
            _terminal.Region([]);
            return;
        }

        var rows = _running.Take(MostRows).Select(each => $"  {NameOf(each.Step)}: {Doing(each.Step)} … {Seconds(each.Since)} s").ToList();
        if (_running.Count > MostRows)
        {
            rows.Add($"  and {_running.Count - MostRows} more");
        }

        rows.Add($"{_running.Count} running, {_ended} ended, {Seconds(_begun)} s");
        _terminal.Region(rows);
    }

    private long Seconds(long since) => (long)_time.GetElapsedTime(since).TotalSeconds;

    private void Say(string word, IPlannedStep step, string text, Terminal.Tone tone, TimeSpan? elapsed = null, string? reason = null)
    {
        if (!_json)
        {
            _terminal.Line(text, tone);
            return;
        }

        _terminal.Line(JsonView.Document("apply_event", json =>
            {
                json.WriteString("event", word);
                json.WriteString("address", step.Address.ToString());
                json.WriteString("action", step is PlannedChange change ? change.Action.Word() : PlannedGroup.Word);
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

    private static string NameOf(IPlannedStep step) => step is PlannedGroup group ? group.Policy.Group : step.Address.ToString();

    private static string Doing(IPlannedStep step) =>
        (step as PlannedChange)?.Action switch
        {
            null => "bringing the group to health",
            ResourceAction.Create => "creating",
            ResourceAction.Update => "updating",
            ResourceAction.Replace => "replacing",
            ResourceAction.Delete => "deleting",
            ResourceAction.Adopt => "adopting",
            ResourceAction.Forget => "forgetting",
            _ => "checking again",
        };
}
