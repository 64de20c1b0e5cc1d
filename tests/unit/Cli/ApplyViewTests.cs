using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>What an operator sees while kbr applies.</summary>
[TestFixture, FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class ApplyViewTests : IDisposable
{
    private static readonly Address s_group = GroupPolicy.AddressOf("pg");

    private readonly ManualTime _time = new();
    private readonly Screen _screen = new();
    private readonly PlannedChange _image = Change("image", ResourceAction.Create);
    private readonly PlannedChange _container = Change("container", ResourceAction.Replace);
    private (int Width, int Height) _size = (80, 24);

    public void Dispose() => _screen.Dispose();

    [Test]
    public void On_a_screen_running_changes_are_redrawn_in_place_with_their_seconds()
    {
        using var view = OnScreen(out var terminal);
        terminal.Line("the plan");

        view.Started(_image);
        _time.Advance(3);
        view.Started(_container);
        _time.Advance(62);
        Assert.That(
            _screen.Rows,
            Is.EqualTo(
                new[]
                {
                    "the plan",
                    "  image.app@db-1: creating … 65 s",
                    "  container.app@db-1: replacing … 62 s",
                    "0 of 3 done, 2 running, 65 s",
                }
            )
        );

        view.Done(_image, TimeSpan.FromSeconds(65.04));
        Assert.That(
            _screen.Rows,
            Is.EqualTo(
                new[]
                {
                    "the plan",
                    "image.app@db-1: done in 65.0 s",
                    "  container.app@db-1: replacing … 62 s",
                    "1 of 3 done, 1 running, 65 s",
                }
            )
        );

        view.Failed(_container, TimeSpan.FromSeconds(62), "it did not stay up\nthe last it said: no");
        view.Skipped(Change("unit", ResourceAction.Create), "container.app@db-1 failed");
        Assert.That(
            _screen.Rows,
            Is.EqualTo(
                new[]
                {
                    "the plan",
                    "image.app@db-1: done in 65.0 s",
                    "container.app@db-1: FAILED after 62.0 s: it did not stay up",
                    "the last it said: no",
                    "unit.app@db-1: skipped: container.app@db-1 failed",
                }
            )
        );
        Assert.That(_screen.Cursor, Is.EqualTo((5, 0)), "what comes next stands right below");
    }

    [Test]
    public void On_a_screen_the_step_of_a_roll_out_and_the_awaited_condition_are_redrawn_and_cut_to_80_columns()
    {
        using var view = OnScreen(out _);
        view.Started(_container);
        view.RolloutStepBegan(Step(1, RolloutStepKind.Restart, "db-2"));
        _time.Advance(2);
        view.Waiting(s_group, "db-2 is not streaming");
        _time.Advance(3);
        view.Waiting(s_group, "db-2 streams and is 4711 bytes behind, which is more than the 1048576 that max_lag allows");
        Assert.That(
            _screen.Rows,
            Is.EqualTo(
                new[]
                {
                    "  container.app@db-1: replacing … 5 s",
                    "  pg 1 of 4: restarting db-2 … 5 s",
                    "  pg waits 3 s for: db-2 streams and is 4711 bytes behind, which is more than …",
                    "0 of 3 done, 1 running, 5 s",
                }
            )
        );
        Assert.That(_screen.Rows, Has.All.Length.LessThan(80));

        view.RolloutStepBegan(Step(2, RolloutStepKind.Switchover, "db-1", "db-2"));
        Assert.That(
            _screen.Rows[1..],
            Is.EqualTo(new[] { "  pg 2 of 4: switching over to db-2 … 0 s", "0 of 3 done, 1 running, 5 s" }),
            "nothing is waited for in a new step"
        );

        view.Done(_container, TimeSpan.FromSeconds(5));
        Assert.That(_screen.Rows[1], Is.EqualTo("  pg 2 of 4: switching over to db-2 … 0 s"), "it is shown between two changes, too");
        view.RolloutEnded(s_group);
        Assert.That(_screen.Rows, Has.Length.EqualTo(1), "nothing runs, and nothing is waited for");
    }

    [Test]
    public void A_failed_and_a_skipped_change_count_in_the_last_row()
    {
        using var view = OnScreen(out _);
        view.Started(_image);
        view.Failed(_image, TimeSpan.FromSeconds(1), "no");
        view.Skipped(_container, "image.app@db-1 failed");
        view.Started(Change("file", ResourceAction.Create));
        Assert.That(_screen.Rows[^1], Is.EqualTo("0 of 3 done, 1 running, 1 failed, 1 skipped, 0 s"));
    }

    [Test]
    public void Messages_are_printed_above_the_running_changes()
    {
        using var view = OnScreen(out var terminal);
        view.Started(_image);
        terminal.ErrorLine("Interrupted");
        terminal.Line("two\nlines");
        Assert.That(
            _screen.Rows,
            Is.EqualTo(new[] { "Interrupted", "two", "lines", "  image.app@db-1: creating … 0 s", "0 of 3 done, 1 running, 0 s" })
        );
    }

    [Test]
    public void An_apply_that_breaks_off_leaves_nothing_drawn()
    {
        using (var view = OnScreen(out _))
        {
            view.Started(_image);
            Assert.That(_screen.Rows, Is.Not.Empty);
        }

        _time.Advance(5);
        Assert.That(_screen.Rows, Is.Empty);
    }

    [Test]
    public void Rows_wider_than_the_screen_are_cut_off_so_that_they_can_be_redrawn()
    {
        _size = (20, 5);
        using var view = OnScreen(out _);
        foreach (var i in Enumerable.Range(1, 30))
        {
            view.Started(Change($"t{i}", ResourceAction.Delete));
        }

        _time.Advance(1);
        Assert.That(
            _screen.Rows,
            Is.EqualTo(new[] { "  t1.app@db-1: del…", "  t2.app@db-1: del…", "  t3.app@db-1: del…", "  t4.app@db-1: del…" }),
            "narrower and lower than the screen"
        );

        _size = (0, 0);
        _time.Advance(1);
        Assert.That(
            _screen.Rows,
            Has.Length.EqualTo(14).And.Some.EqualTo("  and 18 more").And.Some.EqualTo("0 of 3 done, 30 running, 2 s"),
            "a terminal that does not know its size"
        );
    }

    [Test]
    public void Neither_a_secret_nor_a_control_character_gets_through()
    {
        var terminal = new Terminal(_screen, _screen, color: true, () => _size);
        terminal.MaskWith(text => text.Replace("hunter2", "(secret)", StringComparison.Ordinal));
        terminal.Region(["password hunter2", "a\e[2Jb\nc"]);
        terminal.Line("hunter2\e[1A");
        Assert.That(_screen.Rows, Is.EqualTo(new[] { "(secret)\uFFFD[1A", "password (secret)", "a\uFFFD[2Jb c" }));
    }

    [Test]
    public void Without_a_screen_lines_report_changes_that_begin_end_and_run_for_ten_seconds()
    {
        using var view = new ApplyView(new Terminal(_screen, _screen, color: false), json: false, _time);
        view.Started(_image);
        _time.Advance(8);
        view.Started(_container);
        _time.Advance(13);
        view.Done(_container, TimeSpan.FromSeconds(13));
        _time.Advance(9);
        Assert.That(_screen.ToString(), Does.Not.Contain('\e').And.Not.Contain('\r'), "nothing but text");
        Assert.That(
            _screen.Rows,
            Is.EqualTo(
                new[]
                {
                    "image.app@db-1: creating …",
                    "container.app@db-1: replacing …",
                    "image.app@db-1: still creating, 10 s",
                    "image.app@db-1: still creating, 20 s",
                    "container.app@db-1: still replacing, 12 s",
                    "container.app@db-1: done in 13.0 s",
                    "image.app@db-1: still creating, 30 s",
                }
            )
        );
    }

    [Test]
    public void Without_a_screen_a_line_tells_each_step_and_a_new_wait_and_what_is_still_awaited_every_ten_seconds()
    {
        using var view = new ApplyView(new Terminal(_screen, _screen, color: false), json: false, _time);
        Roll(view);
        Assert.That(
            _screen.Rows,
            Is.EqualTo(
                new[]
                {
                    "pg 1 of 4: starting db-2 and db-3",
                    "pg: waiting for: db-2 is not streaming",
                    "pg: still waiting, 10 s, for: db-2 is 5 bytes behind",
                    "pg 2 of 4: stopping and removing db-3",
                }
            )
        );
    }

    [Test]
    public void Json_events_tell_steps_and_waits_and_are_valid()
    {
        using var view = new ApplyView(new Terminal(_screen, _screen, color: false), json: true, _time);
        Roll(view);
        var events = _screen.Rows.Select(line => JsonDocument.Parse(line).RootElement).ToList();
        Assert.That(_screen.Rows.SelectMany(JsonSchemas.Problems), Is.Empty);
        Assert.That(
            events.Select(line => line.GetProperty("event").GetString()),
            Is.EqualTo(new[] { "step", "waiting", "waiting", "step" })
        );
        Assert.That(events.Select(line => line.GetProperty("action").GetString()), Has.All.EqualTo("roll_out"));
        Assert.That(events.Select(line => line.GetProperty("address").GetString()), Has.All.EqualTo("group.pg@pg"));
        Assert.That(
            (
                events[0].GetProperty("step").GetInt32(),
                events[0].GetProperty("steps").GetInt32(),
                events[0].GetProperty("text").GetString()
            ),
            Is.EqualTo((1, 4, "starting db-2 and db-3"))
        );
        Assert.That(events[2].GetProperty("waiting_for").GetString(), Is.EqualTo("db-2 is 5 bytes behind"));
        Assert.That(events[2].GetProperty("elapsed_seconds").GetDouble(), Is.EqualTo(10));
    }

    [Test]
    public void Json_events_come_as_lines_on_a_screen_too()
    {
        using var view = new ApplyView(new Terminal(_screen, _screen, color: false, () => _size), json: true, _time);
        view.Started(_image);
        _time.Advance(10);
        view.Done(_image, TimeSpan.FromSeconds(10));
        view.Left(_container, "outside the window");
        Assert.That(JsonSchemas.Problems(_screen.Rows[^1]), Is.Empty);
        view.Result(
            new ApplyResult([_image], [], [])
            {
                Left = [(_container, "outside the window")],
                StoppedRollouts = ImmutableSortedDictionary<string, string>.Empty.Add("pg", "waited 120 s for: db-2: streams nothing"),
            },
            "apply"
        );
        var stopped = JsonDocument.Parse(_screen.Rows[^1]).RootElement.GetProperty("stopped_rollouts")[0];
        Assert.That(
            (stopped.GetProperty("group").GetString(), stopped.GetProperty("reason").GetString()),
            Is.EqualTo(("pg", "waited 120 s for: db-2: streams nothing"))
        );
        Assert.That(JsonSchemas.Problems(_screen.Rows[^1]), Is.Empty);
        Assert.That(
            _screen
                .Rows.Select(line => JsonDocument.Parse(line).RootElement)
                .Select(line => line.TryGetProperty("event", out var word) ? word.GetString() : line.GetProperty("kind").GetString()),
            Is.EqualTo(new[] { "started", "running", "done", "left", "apply_result" })
        );
    }

    [Test]
    public void The_result_names_the_command_counts_its_changes_and_shows_a_reason_once()
    {
        var gone = Change("file", ResourceAction.Delete);
        var kept = Change("data", ResourceAction.Forget);
        Assert.That(
            End(new ApplyResult([gone, kept], [], []), "destroy"),
            Is.EqualTo(new[] { "Destroy complete! Resources: 1 deleted, 1 forgotten." })
        );
        Assert.That(
            End(new ApplyResult([Change("file", ResourceAction.Adopt)], [], []), "import"),
            Is.EqualTo(new[] { "Import complete! Resources: 1 recorded." })
        );
        Assert.That(
            End(new ApplyResult([_image], [], [(gone, "db-1 was lost"), (kept, "db-1 was lost")]), "apply"),
            Is.EqualTo(
                new[]
                {
                    "Apply incomplete: 1 created, 0 updated, 0 replaced, 0 deleted, 0 failed, 2 skipped",
                    "  skipped    db-1, 2 resources: db-1 was lost",
                }
            )
        );
        Assert.That(
            End(new ApplyResult([_image], [], []) { Errors = [Diagnostic.Error("db-2: it is off")] }, "apply"),
            Is.EqualTo(
                new[]
                {
                    "Apply incomplete: 1 created, 0 updated, 0 replaced, 0 deleted, 0 failed, 0 skipped",
                    "  not planned  db-2: it is off",
                }
            ),
            "what could not be planned is not done either"
        );
        Assert.That(
            End(new ApplyResult([_image], [], []) { Left = [(_container, "outside the window")] }, "apply"),
            Is.EqualTo(
                new[]
                {
                    "Apply complete for now. Resources: 1 created, 0 updated, 0 replaced, 0 deleted. 1 left for the maintenance window.",
                    "  left       container.app@db-1: outside the window",
                }
            )
        );
    }

    private void Roll(ApplyView view)
    {
        view.RolloutStepBegan(Step(1, RolloutStepKind.Start, "db-2", "db-3"));
        view.Waiting(s_group, "db-2 is not streaming");
        view.Waiting(s_group, "db-2 is 7 bytes behind");
        view.Waiting(s_group, "db-2 is 5 bytes behind");
        _time.Advance(10);
        view.RolloutStepBegan(Step(2, RolloutStepKind.Remove, "db-3"));
        _time.Advance(20);
    }

    private static RolloutPosition Step(int number, RolloutStepKind kind, params string[] hosts) =>
        new(s_group, number, 4, new RolloutStep(kind, [.. hosts], ""));

    private string[] End(ApplyResult result, string word)
    {
        using var text = new StringWriter { NewLine = "\n" };
        using var view = new ApplyView(new Terminal(text, text, color: false), json: false, _time);
        view.Result(result, word);
        return text.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    private ApplyView OnScreen(out Terminal terminal)
    {
        terminal = new Terminal(_screen, _screen, color: false, () => _size);
        var view = new ApplyView(terminal, json: false, _time);
        view.Begins(3);
        return view;
    }

    private static PlannedChange Change(string type, ResourceAction action)
    {
        var address = new Address(type, "app", "db-1");
        return new PlannedChange(address, action, Cause.New, new Resource(address, AttributeSet.Empty), [], []);
    }
}
