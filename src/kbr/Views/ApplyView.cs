using System.Text.Json;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>An apply as it happens. On a screen: a line when a change ends, and below these the changes that run, the step of each
/// roll-out and what it waits for, with their seconds, drawn anew every second. Elsewhere a line when a change or a step begins, ends, or
/// has run for another ten seconds; or the same as JSON events.</summary>
public sealed class ApplyView : IApplyProgress, IDisposable
{
    private static readonly TimeSpan StillInterval = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan DrawInterval = TimeSpan.FromSeconds(1);
    private const int MostRows = 12;

    // The action of an event that speaks of a roll-out.
    private const string Rollout = "roll_out";

    private readonly Terminal _terminal;
    private readonly bool _json;
    private readonly bool _live;
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly long _begun;
    private readonly Lock _gate = new();

    // In the order in which they began.
    private readonly List<(IPlannedStep Step, long Since)> _running = [];

    // By the address of the group, or of the resource whose change it is.
    private readonly SortedDictionary<Address, Stage> _stages = [];
    private int _steps;
    private int _done;
    private int _failed;
    private int _skipped;
    private int _left;

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
    public void Begins(int steps)
    {
        lock (_gate)
        {
            _steps = steps;
        }
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
        End(step, ref _done);
        Say("done", step, $"{NameOf(step)}: done in {elapsed.TotalSeconds:0.0} s", Terminal.Tone.Added, elapsed);
    }

    /// <inheritdoc />
    public void Failed(IPlannedStep step, TimeSpan elapsed, string reason)
    {
        End(step, ref _failed);
        Say("failed", step, $"{NameOf(step)}: FAILED after {elapsed.TotalSeconds:0.0} s: {reason}", Terminal.Tone.Removed, elapsed, reason);
    }

    /// <inheritdoc />
    public void Skipped(IPlannedStep step, string reason)
    {
        lock (_gate)
        {
            _skipped++;
        }

        Say("not_tried", step, $"{NameOf(step)}: skipped: {reason}", Terminal.Tone.Changed, reason: reason);
    }

    /// <inheritdoc />
    public void Left(IPlannedStep step, string reason)
    {
        lock (_gate)
        {
            _left++;
            _running.RemoveAll(running => running.Step.Address == step.Address);
        }

        Say("left", step, $"{NameOf(step)}: left for later: {reason}", Terminal.Tone.Changed, reason: reason);
    }

    /// <inheritdoc />
    public void RolloutStepBegan(RolloutPosition position)
    {
        ArgumentNullException.ThrowIfNull(position);
        lock (_gate)
        {
            _stages[position.Address] = new Stage(position, _time.GetTimestamp(), null, 0);
            if (_live)
            {
                Draw();
                return;
            }
        }

        Say(
            "step",
            position.Address,
            $"{NameOf(position.Address)} {position.Number} of {position.Total}: {Doing(position.Step)}",
            Terminal.Tone.Plain,
            json =>
            {
                json.WriteNumber("step", position.Number);
                json.WriteNumber("steps", position.Total);
                json.WriteString("text", Doing(position.Step));
            }
        );
    }

    /// <inheritdoc />
    public void Waiting(Address address, string condition)
    {
        lock (_gate)
        {
            var stage = _stages.GetValueOrDefault(address) ?? new Stage(null, _time.GetTimestamp(), null, 0);
            var isNew = stage.Awaited is null;
            _stages[address] = stage with { Awaited = condition, AwaitedSince = isNew ? _time.GetTimestamp() : stage.AwaitedSince };
            if (_live)
            {
                Draw();
                return;
            }

            // Of another condition meanwhile the next tick tells: a lag has another number at each look.
            if (!isNew)
            {
                return;
            }
        }

        SayWaiting(address, condition, $"{NameOf(address)}: waiting for: {condition}", null);
    }

    /// <inheritdoc />
    public void RolloutEnded(Address address)
    {
        lock (_gate)
        {
            _stages.Remove(address);
            if (_live)
            {
                Draw();
            }
        }
    }

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
        _terminal.Line(Summary(result, word), Terminal.Tone.Bold);
        ShowReasons("failed    ", result.Failed, Terminal.Tone.Removed);
        ShowReasons("skipped   ", result.Skipped, Terminal.Tone.Changed);
        ShowReasons("left      ", result.Left, Terminal.Tone.Changed);
        foreach (var (group, reason) in result.StoppedRollouts)
        {
            _terminal.Line($"  stopped    the roll-out of {group}: {reason}", Terminal.Tone.Changed);
        }

        foreach (var error in result.Errors)
        {
            _terminal.Line($"  not planned  {error.Summary}", Terminal.Tone.Removed);
        }
    }

    // As Terraform has it; what is left to do shows at once by another punctuation, and by what failed.
    private static string Summary(ApplyResult result, string word)
    {
        var name = word switch
        {
            "destroy" => "Destroy",
            "import" => "Import",
            _ => "Apply",
        };
        var healthy = result.BroughtToHealth.Count;
        var left = result.Left.Count == 0 ? "" : $" {result.Left.Count} left for the maintenance window.";
        if (result.Succeeded && result.Errors.IsEmpty)
        {
            var groups = healthy == 0 ? "" : $" {(healthy == 1 ? "1 group" : $"{healthy} groups")} brought to health.";
            var complete = left.Length > 0 ? $"{name} complete for now." : $"{name} complete!";
            return $"{complete} Resources: {string.Join(", ", Counts(result, word))}.{groups}{left}";
        }

        string[] more = healthy == 0 ? [] : [$"{healthy} brought to health"];
        string[] rest =
        [
            $"{result.Failed.Count} failed",
            $"{result.Skipped.Count} skipped",
            .. result.Left.Count == 0 ? Array.Empty<string>() : [$"{result.Left.Count} left for the maintenance window"],
        ];
        return $"{name} incomplete: {string.Join(", ", [.. Counts(result, word), .. more, .. rest])}";
    }

    // Of changes to records only the requested ones are counted.
    private static string[] Counts(ApplyResult result, string word)
    {
        int Count(ResourceAction action) => result.Done.Count(change => change.Action == action);
        return word switch
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
            _stages.Clear();
            _terminal.Region(Array.Empty<string>());
        }
    }

    private void End(IPlannedStep step, ref int ended)
    {
        lock (_gate)
        {
            _running.RemoveAll(running => ReferenceEquals(running.Step, step));
            _stages.Remove(step.Address);
            ended++;
            if (_live)
            {
                Draw();
            }
        }
    }

    private void Tick()
    {
        List<(IPlannedStep Step, TimeSpan Elapsed)> running;
        List<(Address Address, string Awaited, TimeSpan Elapsed)> waiting;
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
            waiting =
            [
                .. _stages
                    .Where(stage => stage.Value.Awaited is not null)
                    .Select(stage => (stage.Key, stage.Value.Awaited!, _time.GetElapsedTime(stage.Value.AwaitedSince)))
                    .Where(each => each.Item3 >= StillInterval),
            ];
        }

        foreach (var (step, elapsed) in running)
        {
            Say("running", step, $"{NameOf(step)}: still {Doing(step)}, {elapsed.TotalSeconds:0} s", Terminal.Tone.Faint, elapsed);
        }

        foreach (var (address, awaited, elapsed) in waiting)
        {
            SayWaiting(address, awaited, $"{NameOf(address)}: still waiting, {elapsed.TotalSeconds:0} s, for: {awaited}", elapsed);
        }
    }

    // Under the gate, so that an older picture never comes after a newer one.
    private void Draw()
    {
        if (_running.Count == 0 && _stages.Count == 0)
        {
            _terminal.Region(Array.Empty<string>());
            return;
        }

        var rows = _running.Take(MostRows).Select(each => $"  {NameOf(each.Step)}: {Doing(each.Step)} … {Seconds(each.Since)} s").ToList();
        if (_running.Count > MostRows)
        {
            rows.Add($"  and {_running.Count - MostRows} more");
        }

        foreach (var (address, stage) in _stages)
        {
            if (stage.Position is { } at)
            {
                rows.Add($"  {NameOf(address)} {at.Number} of {at.Total}: {Doing(at.Step)} … {Seconds(stage.Since)} s");
            }

            if (stage.Awaited is { } awaited)
            {
                // The seconds come first: the condition may be cut off at the edge of the screen.
                rows.Add($"  {NameOf(address)} waits {Seconds(stage.AwaitedSince)} s for: {awaited}");
            }
        }

        rows.Add(
            $"{_done} of {_steps} done, {_running.Count} running{Some(_failed, "failed")}{Some(_skipped, "skipped")}"
                + $"{Some(_left, "left for later")}, {Seconds(_begun)} s"
        );
        _terminal.Region(rows);
    }

    private static string Some(int count, string word) => count == 0 ? "" : $", {count} {word}";

    private long Seconds(long since) => (long)_time.GetElapsedTime(since).TotalSeconds;

    private void Say(string word, IPlannedStep step, string text, Terminal.Tone tone, TimeSpan? elapsed = null, string? reason = null) =>
        Say(
            word,
            step.Address,
            text,
            tone,
            json =>
            {
                WriteElapsed(json, elapsed);
                if (reason is not null)
                {
                    json.WriteString("reason", reason);
                }
            },
            step is PlannedChange change ? change.Action.Word() : PlannedGroup.Word
        );

    private void SayWaiting(Address address, string condition, string text, TimeSpan? elapsed) =>
        Say("waiting", address, text, Terminal.Tone.Faint, json =>
        {
            WriteElapsed(json, elapsed);
            json.WriteString("waiting_for", condition);
        });

    private static void WriteElapsed(Utf8JsonWriter json, TimeSpan? elapsed)
    {
        if (elapsed is { } time)
        {
            json.WriteNumber("elapsed_seconds", Math.Round(time.TotalSeconds, 3));
        }
    }

    private void Say(string word, Address address, string text, Terminal.Tone tone, Action<Utf8JsonWriter> more, string action = Rollout)
    {
        if (!_json)
        {
            _terminal.Line(text, tone);
            return;
        }

        _terminal.Line(JsonView.Document("apply_event", json =>
            {
                json.WriteString("event", word);
                json.WriteString("address", address.ToString());
                json.WriteString("action", action);
                more(json);
            }));
    }

    private static string NameOf(IPlannedStep step) => NameOf(step.Address);

    private static string NameOf(Address address) => address.Type == GroupPolicy.Type ? address.Host : address.ToString();

    private static string Doing(RolloutStep step) =>
        step.Kind switch
        {
            RolloutStepKind.Start => $"starting {string.Join(" and ", step.Hosts)}",
            RolloutStepKind.Switchover => $"switching over to {step.Hosts[^1]}",
            RolloutStepKind.Remove => $"stopping and removing {string.Join(" and ", step.Hosts)}",
            RolloutStepKind.RestartTogether => $"restarting {string.Join(" and ", step.Hosts)} together",
            _ => $"restarting {string.Join(" and ", step.Hosts)}",
        };

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

    // What a roll-out, or a change of a group, is doing.
    private sealed record Stage(RolloutPosition? Position, long Since, string? Awaited, long AwaitedSince);
}
