using System.Collections.Concurrent;
using System.Collections.Immutable;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using KeyBuzz.Reconciler.Tests.Planning;

namespace KeyBuzz.Reconciler.Tests.Applying;

/// <summary>The order in which members of a quorum group are disrupted. The group is a fake: what is tested is who gets a turn, whatever
/// the group runs.</summary>
[TestFixture]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal sealed class RolloutTests
{
    private static readonly Resource s_group = new(new Address("group", "pg", "pg"), AttributeSet.Empty);

    private readonly ConcurrentQueue<string> _disrupted = new();
    private readonly ConcurrentDictionary<string, string?> _outcomes = new(StringComparer.Ordinal);
    private Action<string> _begins = _ => { };

    [Test]
    public async Task Members_are_disrupted_one_after_another_in_the_order_of_the_policy()
    {
        var policy = new Policy(state => new RolloutTurn.Go([state.ToCome.OrderBy(host => host == "a").First()]));

        var trouble = await RunAsync(policy, "a", "b", "c");

        Assert.That(trouble, Is.Null);
        Assert.That(_disrupted, Is.EqualTo(["b", "c", "a"]));
        Assert.That(policy.States, Is.EqualTo(["a b c", "a c", "a", ""]), "and the gate is looked at after the last one, too");
    }

    [Test]
    public async Task No_member_gets_a_turn_after_one_failed()
    {
        _outcomes["b"] = "it did not come back";
        var policy = new Policy(state => new RolloutTurn.Go([state.ToCome.OrderBy(host => host == "a").First()]));

        var trouble = await RunAsync(policy, "a", "b", "c");

        Assert.That(trouble, Is.EqualTo("b: it did not come back"));
        Assert.That(_disrupted, Is.EqualTo(["b"]));
        Assert.That(_outcomes["c"], Does.StartWith("the roll-out of pg stopped: b: it did not come back"));
    }

    [Test]
    public async Task A_gate_that_stays_shut_stops_the_roll_out_and_names_the_awaited_condition()
    {
        var policy = new Policy(state => state.ToCome.Count == 3 ? new RolloutTurn.Go(["b"]) : new RolloutTurn.Wait("b is not streaming"))
        {
            Timeout = TimeSpan.FromSeconds(1),
        };

        var trouble = await RunAsync(policy, "a", "b", "c");

        Assert.That(trouble, Is.EqualTo("waited 1 s for: b is not streaming"));
        Assert.That(_disrupted, Is.EqualTo(["b"]));
    }

    [Test]
    public async Task Progress_stops_the_gates_clock_and_the_policy_gets_the_time_without_progress()
    {
        var looks = 0;
        var waited = new List<TimeSpan>();
        var policy = new Policy(state =>
        {
            waited.Add(state.Waited);
            return new RolloutTurn.Wait("b copies its data") { Progress = Math.Min(++looks, 4) };
        })
        {
            Timeout = TimeSpan.FromSeconds(1),
        };

        Assert.That(await RunAsync(policy, "a", "b"), Is.EqualTo("waited 1 s for: b copies its data"));
        Assert.That(looks, Is.GreaterThan(5), "half a second each: longer than the gate's time while it grew");
        Assert.That(waited.Take(5), Has.All.LessThan(TimeSpan.FromSeconds(1)));
        Assert.That(waited[^1], Is.GreaterThanOrEqualTo(TimeSpan.FromSeconds(1)));
    }

    [Test]
    public void A_copy_that_begins_again_or_is_one_less_gets_on_but_one_that_always_breaks_off_does_not()
    {
        var tracker = new ProgressTracker();
        Assert.That(
            new long[] { 0, 10, 10, 20, 0, 5, 15, 15 }.Select(tracker.HasAdvanced),
            Is.EqualTo(new[] { false, true, false, true, false, true, true, false })
        );
        Assert.That(
            new long[] { 5, 20, 5, 20, 5, 20, 5, 25 }.Select(tracker.HasAdvanced),
            Is.EqualTo(new[] { true, true, true, true, false, false, false, true }),
            "three times"
        );
    }

    [Test]
    public async Task A_gate_that_opens_late_lets_the_next_member_go_on()
    {
        var looks = 0;
        var policy = new Policy(state =>
            state.ToCome.Count == 1 && looks++ < 2 ? new RolloutTurn.Wait("not yet")
            : state.ToCome.IsEmpty ? new RolloutTurn.Go([])
            : new RolloutTurn.Go([state.ToCome[0]])
        );

        Assert.That(await RunAsync(policy, "a", "b"), Is.Null);
        Assert.That(_disrupted, Is.EqualTo(["a", "b"]));
    }

    [Test]
    public async Task Each_turn_is_reported_as_a_step_and_each_wait_with_its_condition()
    {
        var looks = 0;
        var policy = new Policy(state =>
            state.ToCome.Count == 3 ? new RolloutTurn.Go(["a", "b"]) { Kind = RolloutStepKind.RestartTogether }
            : looks++ < 2 ? new RolloutTurn.Wait($"look {looks}")
            : new RolloutTurn.Go(["c"])
        );
        var log = new StepLog();
        Assert.That(await RunAsync(Make(policy, ResourceAction.Replace, log, "a", "b", "c")), Is.Null);
        Assert.That(log.Lines, Is.EqualTo(new[] { "RestartTogether a b", "wait look 1", "wait look 2", "Restart c" }));

        log = new StepLog();
        await RunAsync(Make(new Policy(state => new RolloutTurn.Go([state.ToCome[0]])), ResourceAction.Create, log, "a", "b"));
        Assert.That(log.Lines, Is.EqualTo(new[] { "Start a", "Start b" }), "what is made was not there");

        static async Task<string?> RunAsync(Rollout rollout) =>
            await rollout.RunAsync(host => rollout.TurnAsync(host), CancellationToken.None);
    }

    [Test]
    public async Task A_refusal_stops_the_roll_out_before_anybody_is_disrupted()
    {
        var trouble = await RunAsync(new Policy(_ => new RolloutTurn.Stop("a holds no data and b does")), "a", "b");

        Assert.That(trouble, Is.EqualTo("a holds no data and b does"));
        Assert.That(_disrupted, Is.Empty);
    }

    [Test]
    public async Task No_member_is_disrupted_when_one_could_not_be_prepared()
    {
        var policy = new Policy(state => new RolloutTurn.Go([state.ToCome[0]]));
        var rollout = Make(policy, ResourceAction.Replace, "a", "b");
        var a = rollout.TurnAsync("a");

        var trouble = await rollout.RunAsync(
            host => host == "a" ? a : Task.FromResult<string?>("its image could not be pulled"),
            CancellationToken.None
        );

        Assert.That(trouble, Is.EqualTo("b: its image could not be pulled"));
        Assert.That(await a, Does.Contain("its image could not be pulled"));
        Assert.That(policy.States, Is.Empty);
    }

    [Test]
    public async Task Members_that_do_not_run_start_together()
    {
        var started = new ConcurrentBag<string>();
        var all = new TaskCompletionSource();
        var policy = new Policy(state => new RolloutTurn.Go([.. state.ToCome]));
        var rollout = Make(policy, ResourceAction.Create, "a", "b", "c");
        var members = new[] { "a", "b", "c" }.ToDictionary(
            host => host,
            async host =>
            {
                var refused = await rollout.TurnAsync(host);
                started.Add(host);
                if (started.Count == 3)
                {
                    all.TrySetResult();
                }

                // None of them ends before all have begun, as with a quorum.
                await all.Task.WaitAsync(TimeSpan.FromSeconds(10));
                return refused;
            }
        );

        Assert.That(await rollout.RunAsync(host => members[host], CancellationToken.None), Is.Null);
        Assert.That(started, Is.EquivalentTo(["a", "b", "c"]));
    }

    [Test]
    public async Task The_whole_group_is_taken_down_without_asking_for_its_health()
    {
        var policy = new Policy(_ => throw new InvalidOperationException("asked"));
        var rollout = Make(policy, ResourceAction.Delete, "a", "b", "c");

        Assert.That(await rollout.RunAsync(host => rollout.TurnAsync(host), CancellationToken.None), Is.Null);
        Assert.That(policy.States, Is.Empty);
    }

    [Test]
    public async Task The_policy_hears_once_of_each_removed_member_after_its_last_change()
    {
        PlannedChange Change(string type, string host, ResourceAction action) =>
            new(new Address(type, "db", host), action, Cause.Removed, s_group, [], []);
        PlannedChange[] changes =
        [
            Change("unit", "b", ResourceAction.Delete),
            Change("container", "b", ResourceAction.Delete),
            Change("unit", "c", ResourceAction.Delete),
            Change("container", "c", ResourceAction.Create),
        ];
        var policy = new Policy(_ => new RolloutTurn.Go([]));
        async Task<string> LeftAsync(params string[] members)
        {
            var rollout = new Rollout(
                new GroupPolicy("pg", policy, AttributeSet.Empty),
                new Group([.. members.Select(host => new Host(host, "db", "", new SshEndpoint(host, 22, "root", false)))]),
                changes,
                gateAfterLast: false,
                TimeProvider.System
            );
            foreach (var change in changes)
            {
                await rollout.EndedAsync(change, CancellationToken.None);
            }

            return string.Join(' ', policy.Left);
        }

        Assert.That(await LeftAsync("b"), Is.Empty, "the whole group goes: nobody is left to be told");
        Assert.That(await LeftAsync("a", "b", "c"), Is.EqualTo("b"), "c comes back");
    }

    [Test]
    public async Task An_interrupted_apply_gives_no_member_a_turn()
    {
        using var stop = new CancellationTokenSource();
        await stop.CancelAsync();
        var rollout = Make(new Policy(state => new RolloutTurn.Go([state.ToCome[0]])), ResourceAction.Replace, "a", "b");

        Assert.That(await rollout.RunAsync(host => rollout.TurnAsync(host), stop.Token), Is.EqualTo("interrupted"));
        Assert.That(await rollout.TurnAsync("a"), Does.Contain("interrupted"));
    }

    [Test]
    public async Task Members_that_leave_go_before_those_whose_changes_wait_for_the_removal()
    {
        var policy = new Policy(state => new RolloutTurn.Go([state.ToCome[^1]]));
        var rollout = Replacing(policy, () => null);

        Assert.That(await RunReplacingAsync(rollout, CancellationToken.None), Is.Null);
        Assert.That(_disrupted, Is.EqualTo(["c", "d", "b"]));
        Assert.That(policy.States, Is.EqualTo(["c, then b d", "b d", "b", ""]));
    }

    [Test]
    public async Task Where_the_removal_is_left_for_the_window_so_are_the_changes_that_wait_for_it()
    {
        var policy = new Policy(state => new RolloutTurn.Go([state.ToCome[^1]]));
        var rollout = Replacing(policy, () => "outside the window");

        Assert.That(await RunReplacingAsync(rollout, CancellationToken.None), Is.Null, "nothing has failed");
        Assert.That((_disrupted.Count, policy.States.Count), Is.EqualTo((0, 0)));
        Assert.That((rollout.IsLeft("b"), rollout.IsLeft("c"), rollout.IsLeft("d")), Is.EqualTo((true, true, true)));
        Assert.That(_outcomes["c"], Is.EqualTo("outside the window"));
    }

    [Test]
    public async Task An_interrupted_apply_does_not_wait_for_members_that_are_not_prepared()
    {
        using var stop = new CancellationTokenSource();
        var rollout = Make(new Policy(state => new RolloutTurn.Go([state.ToCome[0]])), ResourceAction.Replace, "a", "b");
        var turn = rollout.TurnAsync("a");
        var never = new TaskCompletionSource<string?>();
        var run = rollout.RunAsync(_ => never.Task, stop.Token);
        await stop.CancelAsync();

        Assert.That(await run.WaitAsync(TimeSpan.FromSeconds(10)), Is.EqualTo("interrupted"));
        Assert.That(await turn, Does.Contain("interrupted"));
    }

    [Test]
    public async Task Members_that_were_stopped_together_start_again_although_the_apply_is_interrupted_meanwhile()
    {
        using var stop = new CancellationTokenSource();
        var policy = new Policy(state =>
        {
            stop.Cancel();
            return new RolloutTurn.Go([state.ToCome[^1]]) { Continues = true };
        });
        var rollout = Make(policy, ResourceAction.Replace, "a", "b", "c");
        List<bool> begun = [];
        _begins = host => begun.Add(rollout.IsBegunTogether(host));

        Assert.That(await RunAsync(rollout, stop.Token, "a", "b", "c"), Is.EqualTo("interrupted"), "the last gate is not waited for");
        Assert.That(_disrupted, Is.EqualTo(["c", "b", "a"]));
        Assert.That(begun, Is.EqualTo([true, true, true]));
    }

    [Test]
    public async Task A_restart_of_all_that_is_interrupted_before_it_begins_or_fails_is_withdrawn()
    {
        using var stop = new CancellationTokenSource();
        RolloutTurn All(RolloutState state) => new RolloutTurn.Go([.. state.ToCome]) { Kind = RolloutStepKind.RestartTogether };
        var policy = new Policy(state =>
        {
            stop.Cancel();
            return All(state);
        });
        Assert.That(await RunAsync(Make(policy, ResourceAction.Replace, "a", "b"), stop.Token, "a", "b"), Is.EqualTo("interrupted"));
        Assert.That((_disrupted.Count, policy.Withdrawn), Is.EqualTo((0, 1)));

        _outcomes.Clear();
        policy = new Policy(All);
        Assert.That(await RunAsync(policy, "a", "b"), Is.Null);
        Assert.That(policy.Withdrawn, Is.Zero);

        _outcomes["b"] = "its image is not there";
        Assert.That(await RunAsync(policy, "a", "b"), Is.EqualTo("b: its image is not there"));
        Assert.That(policy.Withdrawn, Is.EqualTo(1));

        policy = new Policy(All) { Remains = "a may keep it" };
        Assert.That(await RunAsync(policy, "a", "b"), Is.EqualTo("b: its image is not there; a may keep it"));

        using var again = new CancellationTokenSource();
        policy = new Policy(state =>
        {
            again.Cancel();
            return All(state);
        })
        {
            Remains = "a may keep it",
        };
        Assert.That(
            await RunAsync(Make(policy, ResourceAction.Replace, "a", "b"), again.Token, "a", "b"),
            Is.EqualTo("interrupted; a may keep it")
        );
    }

    [Test]
    public async Task While_the_window_is_closed_only_members_that_do_not_serve_get_a_turn()
    {
        var policy = new Policy(state => new RolloutTurn.Go([state.ToCome[0]]));
        var rollout = Make(policy, () => "outside the window", "a", "b", "c");

        Assert.That(await RunAsync(rollout, "a", "b", "c"), Is.Null, "nothing has failed");
        Assert.That(_disrupted, Is.EqualTo(["a"]), "it is down");
        Assert.That((_outcomes["b"], _outcomes["c"]), Is.EqualTo(("outside the window", "outside the window")));
        Assert.That((rollout.IsLeft("a"), rollout.IsLeft("b"), rollout.IsLeft("c")), Is.EqualTo((false, true, true)));
        Assert.That(policy.States, Is.EqualTo(["a", ""]), "the gate is looked at after the last one that was started");
    }

    [Test]
    public async Task A_window_that_closes_lets_what_began_end_and_leaves_the_rest()
    {
        string? closed = null;
        var policy = new Policy(state => new RolloutTurn.Go([state.ToCome[^1]]));
        var rollout = Make(policy, () => closed, "b", "c");
        _begins = host => closed = host == "b" ? "it has closed" : closed;

        Assert.That(await RunAsync(rollout, "b", "c"), Is.Null);
        Assert.That(_disrupted, Is.EqualTo(["c", "b"]), "b had begun");
        Assert.That(policy.States, Is.EqualTo(["b c", "b", ""]));

        closed = null;
        _disrupted.Clear();
        _begins = _ => closed = "it has closed";
        rollout = Make(new Policy(state => new RolloutTurn.Go([state.ToCome[^1]])), () => closed, "b", "c");
        Assert.That(await RunAsync(rollout, "b", "c"), Is.Null);
        Assert.That(_disrupted, Is.EqualTo(["c"]));
        Assert.That((rollout.IsLeft("b"), _outcomes["b"]), Is.EqualTo((true, "it has closed")));
    }

    [Test]
    public async Task A_window_that_closes_while_a_gate_is_shut_ends_the_wait()
    {
        string? closed = null;
        var looks = 0;
        var policy = new Policy(_ =>
        {
            closed = ++looks == 2 ? "it has closed" : null;
            return new RolloutTurn.Wait("b is not streaming");
        });
        var rollout = Make(policy, () => closed, "b", "c");

        Assert.That(await RunAsync(rollout, "b", "c"), Is.Null);
        Assert.That((looks, _disrupted.Count, rollout.IsLeft("c")), Is.EqualTo((2, 0, true)));
    }

    [Test]
    public async Task A_group_in_front_of_another_waits_for_it_without_limit_until_it_has_settled()
    {
        var behind = new TaskCompletionSource();
        var looks = 0;
        var policy = new Policy(state =>
        {
            if (state.Unsettled && ++looks == 4)
            {
                behind.SetResult();
            }

            return state.Unsettled ? new RolloutTurn.Wait("not settled") : new RolloutTurn.Go([state.ToCome[0]]);
        })
        {
            Timeout = TimeSpan.FromSeconds(1),
        };

        Assert.That(await RunAsync(policy, behind.Task, "a", "b"), Is.Null);
        Assert.That(_disrupted, Is.EqualTo(["a", "b"]));
        Assert.That(looks, Is.EqualTo(4), "half a second each, longer than the gate's time");
    }

    [Test]
    public async Task The_policy_learns_that_the_roll_out_of_a_group_behind_it_has_stopped()
    {
        var policy = new Policy(state =>
            state.FailedBehind is { } reason ? new RolloutTurn.Stop(reason) : new RolloutTurn.Go([state.ToCome[0]])
        );
        var rollout = Make(policy, ResourceAction.Replace, "a", "b");
        var turns = new[] { "a", "b" }.ToDictionary(host => host, host => rollout.TurnAsync(host));

        Assert.That(
            await rollout.RunAsync(host => turns[host], CancellationToken.None, Task.CompletedTask, () => "the members stopped"),
            Is.EqualTo("the members stopped")
        );
        Assert.That(await turns["b"], Is.EqualTo("the roll-out of pg stopped: the members stopped"));
    }

    [Test]
    public async Task A_step_that_has_begun_goes_on_when_the_window_closes_and_is_one_step()
    {
        string? closed = null;
        var log = new StepLog();
        var policy = new Policy(state =>
        {
            closed = state.ToCome.Contains("b") ? null : "the window has closed";
            return new RolloutTurn.Go([state.ToCome.Contains("b") ? "b" : state.ToCome[0]]) { Continues = true };
        });
        Assert.That(await RunAsync(Make(policy, ResourceAction.Replace, log, ["a", "b", "c"], () => closed), "a", "b", "c"), Is.Null);
        Assert.That(_disrupted, Is.EqualTo(["b", "a", "c"]));
        Assert.That(log.Lines, Is.Empty, "who has begun it has reported it");
    }

    // c leaves, b is replaced and d is new; a is no part of it.
    private static Rollout Replacing(Policy policy, Func<string?> closed)
    {
        (string Host, ResourceAction Action)[] changes =
        [
            ("b", ResourceAction.Replace),
            ("c", ResourceAction.Delete),
            ("d", ResourceAction.Create),
        ];
        string[] members = ["a", "b", "c", "d"];
        return new Rollout(
            new GroupPolicy("pg", policy, AttributeSet.Empty),
            new Group([.. members.Select(host => new Host(host, "db", "", new SshEndpoint(host, 22, "root", false)))]) { Closed = closed },
            [
                .. changes.Select(one => new PlannedChange(
                    new Address("container", "db", one.Host),
                    one.Action,
                    Cause.ConfigurationChanged,
                    s_group,
                    [],
                    []
                )),
            ],
            gateAfterLast: true,
            TimeProvider.System
        )
        {
            IsLeavingFirst = true,
            Serving = ["b", "c"],
        };
    }

    // b and d ask for their turns only when c has gone.
    private async Task<string?> RunReplacingAsync(Rollout rollout, CancellationToken stop)
    {
        var leaves = TurnAsync("c", Task.CompletedTask);
        var members = new Dictionary<string, Task<string?>>
        {
            ["b"] = TurnAsync("b", leaves),
            ["c"] = leaves,
            ["d"] = TurnAsync("d", leaves),
        };
        var trouble = await rollout.RunAsync(host => members[host], stop).WaitAsync(TimeSpan.FromSeconds(20), CancellationToken.None);
        await Task.WhenAll(members.Values).WaitAsync(TimeSpan.FromSeconds(20), CancellationToken.None);
        return trouble;

        async Task<string?> TurnAsync(string host, Task before)
        {
            await before;
            if (await rollout.TurnAsync(host) is { } refused)
            {
                _outcomes[host] = refused;
                return refused;
            }

            _disrupted.Enqueue(host);
            return null;
        }
    }

    private Task<string?> RunAsync(Policy policy, params string[] hosts) => RunAsync(policy, Task.CompletedTask, hosts);

    private async Task<string?> RunAsync(Policy policy, Task before, params string[] hosts)
    {
        return await RunAsync(Make(policy, ResourceAction.Replace, hosts), before, hosts);
    }

    private Task<string?> RunAsync(Rollout rollout, params string[] hosts) => RunAsync(rollout, Task.CompletedTask, hosts);

    private Task<string?> RunAsync(Rollout rollout, CancellationToken stop, params string[] hosts) =>
        RunAsync(rollout, Task.CompletedTask, stop, hosts);

    private Task<string?> RunAsync(Rollout rollout, Task before, params string[] hosts) =>
        RunAsync(rollout, before, CancellationToken.None, hosts);

    private async Task<string?> RunAsync(Rollout rollout, Task before, CancellationToken stop, params string[] hosts)
    {
        var members = hosts.ToDictionary(
            host => host,
            async host =>
            {
                if (await rollout.TurnAsync(host) is { } refused)
                {
                    _outcomes[host] = refused;
                    return refused;
                }

                _begins(host);
                _disrupted.Enqueue(host);
                return _outcomes.GetValueOrDefault(host);
            }
        );
        var trouble = await rollout.RunAsync(host => members[host], stop, before);
        await Task.WhenAll(members.Values);
        return trouble;
    }

    private static Rollout Make(Policy policy, ResourceAction action, params string[] hosts) =>
        Make(policy, action, NoStepReport.Instance, hosts);

    // All but a serve, whatever is done to them.
    private static Rollout Make(Policy policy, Func<string?> closed, params string[] hosts) =>
        Make(policy, ResourceAction.Replace, NoStepReport.Instance, hosts, closed);

    private static Rollout Make(Policy policy, ResourceAction action, IStepReport report, params string[] hosts) =>
        Make(policy, action, report, hosts, () => null);

    private static Rollout Make(Policy policy, ResourceAction action, IStepReport report, string[] hosts, Func<string?> closed)
    {
        var changes = hosts
            .Select(host => new PlannedChange(new Address("container", "db", host), action, Cause.ConfigurationChanged, s_group, [], []))
            .ToList();
        var members = hosts.Select(host => new Host(host, "db", "", new SshEndpoint(host, 22, "root", false)));
        return new Rollout(
            new GroupPolicy("pg", policy, AttributeSet.Empty),
            new Group([.. members]) { Report = report, Closed = closed },
            changes,
            gateAfterLast: true,
            TimeProvider.System
        )
        {
            Serving = [.. hosts.Where(host => host != "a")],
        };
    }

    private sealed class Policy(Func<RolloutState, RolloutTurn> next) : FakePolicy
    {
        public ConcurrentQueue<string> States { get; } = new();

        public ConcurrentQueue<string> Left { get; } = new();

        public int Withdrawn { get; private set; }

        public string? Remains { get; init; }

        public override Task<string?> WithdrawAsync(GroupPolicy group, IGroupAccess access)
        {
            Withdrawn++;
            return Task.FromResult(Remains);
        }

        public override Task LeftAsync(GroupPolicy group, string host, IGroupAccess access, CancellationToken cancellationToken)
        {
            Left.Enqueue(host);
            return Task.CompletedTask;
        }

        public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

        public override Task<RolloutTurn> NextAsync(
            GroupPolicy group,
            RolloutState state,
            IGroupAccess access,
            CancellationToken cancellationToken
        )
        {
            States.Enqueue(string.Join(' ', state.ToCome) + (state.Later.IsEmpty ? "" : $", then {string.Join(' ', state.Later)}"));
            return Task.FromResult(state.ToCome.IsEmpty ? new RolloutTurn.Go([]) : next(state));
        }

        public override TimeSpan GateTimeout(GroupPolicy group) => Timeout;
    }

    private sealed class Group(ImmutableArray<Host> members) : IGroupAccess
    {
        public ImmutableArray<Host> Members => members;

        public TimeProvider Time => TimeProvider.System;

        public IStepReport Report { get; init; } = NoStepReport.Instance;

        public Func<string?> Closed { get; init; } = () => null;

        public string? ClosedBecause => Closed();

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }
}
