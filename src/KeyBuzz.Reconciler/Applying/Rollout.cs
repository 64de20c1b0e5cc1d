using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Lets the members of one quorum group be disrupted in turn. A member's turn begins when its policy says so, and ends when every
/// change that disrupts it has ended. When one of them fails, or a gate stays shut, no other member gets a turn.</summary>
public sealed class Rollout
{
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(500);

    private readonly GroupPolicy _group;
    private readonly IRollout _rules;
    private readonly IGroupAccess _access;
    private readonly TimeProvider _time;
    private readonly bool _gateAfterLast;
    private readonly ImmutableSortedSet<string> _leaving;
    private readonly ImmutableSortedSet<string> _starting;
    private readonly Dictionary<string, Address> _last;
    private readonly Dictionary<string, TaskCompletionSource<string?>> _doors;
    private readonly Dictionary<string, TaskCompletionSource> _arrivals;
    private ImmutableSortedSet<string> _left = [];
    private ImmutableSortedSet<string> _together = [];
    private bool _hasBegun;
    private bool _hasReleased;

    /// <summary>Takes its inputs; no member has a turn yet.</summary>
    /// <param name="policy">The group's policy.</param>
    /// <param name="access">The group's members, those that leave it among them.</param>
    /// <param name="changes">The changes that disrupt a member, in the order of the plan.</param>
    /// <param name="gateAfterLast">Whether the group must be healthy again after the last member.</param>
    /// <param name="time">The clock.</param>
    public Rollout(
        GroupPolicy policy,
        IGroupAccess access,
        IReadOnlyCollection<PlannedChange> changes,
        bool gateAfterLast,
        TimeProvider time
    )
    {
        _group = policy;
        _rules = policy.Rules;
        _access = access;
        _gateAfterLast = gateAfterLast;
        _time = time;
        _doors = changes
            .Select(change => change.Address.Host)
            .Distinct()
            .ToDictionary(
                host => host,
                _ => new TaskCompletionSource<string?>(TaskCreationOptions.RunContinuationsAsynchronously),
                StringComparer.Ordinal
            );
        _arrivals = _doors.Keys.ToDictionary(
            host => host,
            _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously),
            StringComparer.Ordinal
        );
        _last = changes
            .GroupBy(change => change.Address.Host)
            .ToDictionary(host => host.Key, host => host.Last().Address, StringComparer.Ordinal);
        _leaving = HostsOf(changes, ResourceAction.Delete);
        _starting = HostsOf(changes, ResourceAction.Create);
    }

    // Where every change that disrupts the member is of this kind.
    private static ImmutableSortedSet<string> HostsOf(IEnumerable<PlannedChange> changes, ResourceAction action) =>
        changes
            .GroupBy(change => change.Address.Host)
            .Where(host => host.All(change => change.Action == action))
            .Select(host => host.Key)
            .ToImmutableSortedSet(StringComparer.Ordinal);

    /// <summary>The group.</summary>
    public Address Group => _group.Address;

    /// <summary>The group's name.</summary>
    public string GroupName => _group.Group;

    /// <summary>Whether it ends with the group's health.</summary>
    public bool GatesAfterLast => _gateAfterLast;

    /// <summary>The members whose turn disrupts a service: they get none while <see cref="IGroupAccess.ClosedBecause"/> says why.</summary>
    public ImmutableSortedSet<string> Serving { get; init; } = [];

    /// <summary>Whether members that leave have their turns before all others, whose changes depend on the removal.</summary>
    public bool IsLeavingFirst { get; init; }

    /// <summary>Once cancelled, a turn that is being prepared is aborted.</summary>
    public CancellationToken Abort { get; init; }

    /// <summary>Whether members are, or are being, stopped together.</summary>
    public bool HasBegunTogether => !_together.IsEmpty;

    /// <summary>Whether a member is stopped together with others: its changes are made even when the run is to stop, since none of them
    /// serves before all have started.</summary>
    public bool IsBegunTogether(string host) => _together.Contains(host);

    /// <summary>Whether a member got no turn because its service may not be disrupted now.</summary>
    public bool IsLeft(string host) => _left.Contains(host);

    /// <summary>Waits for a member's turn. Answers null when it has come, otherwise why it will not.</summary>
    public Task<string?> TurnAsync(string host)
    {
        _arrivals[host].TrySetResult();
        return _doors[host].Task;
    }

    /// <summary>Tells the policy when the last change has ended that takes a member down for good. Throws
    /// <see cref="ChangeFailedException"/>.</summary>
    public Task EndedAsync(PlannedChange change, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(change);
        var host = change.Address.Host;
        return _leaving.Contains(host) && _last[host] == change.Address && _leaving.Count < _access.Members.Length
            ? _rules.LeftAsync(_group, host, _access, cancellationToken)
            : Task.CompletedTask;
    }

    /// <summary>Runs the turns. Answers null when every member had one and the last gate opened, otherwise why the roll-out
    /// stopped.</summary>
    /// <param name="ended">Completes when all changes that disrupt a host have ended; answers null when they all succeeded.</param>
    /// <param name="stop">Once cancelled, no further member gets a turn, except those that were stopped together.</param>
    /// <param name="before">Completes when the changes ordered before the group's policy have ended; null for none.</param>
    /// <param name="failedBehind">Answers why the roll-out of a group behind this one has stopped, or null; null where there is
    /// none.</param>
    public async Task<string?> RunAsync(
        Func<string, Task<string?>> ended,
        CancellationToken stop,
        Task? before = null,
        Func<string?>? failedBehind = null
    )
    {
        var all = _doors.Keys.ToImmutableSortedSet(StringComparer.Ordinal);
        string? trouble = null;
        try
        {
            // The whole group goes: there is no quorum to keep.
            if (_leaving.Count == _access.Members.Length)
            {
                return await ReleaseAsync([.. all], ended).ConfigureAwait(false);
            }

            var first = IsLeavingFirst ? _leaving : [];
            var later = all.Except(first);
            if (!first.IsEmpty)
            {
                trouble = await RunStageAsync(first, later, ended, before, failedBehind, stop).ConfigureAwait(false);
                if (trouble is null && !_left.IsEmpty)
                {
                    Leave(later, $"the removal of {string.Join(" and ", _left)} is left for later");
                }

                if (trouble is not null || !_left.IsEmpty)
                {
                    return trouble;
                }
            }

            return trouble = await RunStageAsync(later, [], ended, before, failedBehind, stop).ConfigureAwait(false);
        }
        finally
        {
            var reason = trouble is null ? "interrupted" : $"the roll-out of {_group.Group} stopped: {trouble}";
            foreach (var door in _doors.Values)
            {
                door.TrySetResult(reason);
            }
        }
    }

    // The turns of some members, before those of others.
    private async Task<string?> RunStageAsync(
        ImmutableSortedSet<string> toCome,
        ImmutableSortedSet<string> later,
        Func<string, Task<string?>> ended,
        Task? before,
        Func<string?>? failedBehind,
        CancellationToken stop
    )
    {
        if (await FindUnpreparedAsync(toCome, ended, stop).ConfigureAwait(false) is { } unprepared)
        {
            return unprepared;
        }

        string? trouble = null;
        var gatesAfterLast = _gateAfterLast && later.IsEmpty;
        while (trouble is null && (!toCome.IsEmpty || gatesAfterLast))
        {
            toCome = LeaveWhileClosed(toCome);
            if (toCome.IsEmpty && !_left.IsEmpty && (!_hasReleased || !later.IsEmpty))
            {
                return null;
            }

            var state = new RolloutState(toCome, _leaving.Except(_left)) { Later = later };
            var (go, reason) = await NextAsync(state, before ?? Task.CompletedTask, failedBehind ?? (() => null), stop)
                .ConfigureAwait(false);
            if (go is null)
            {
                return reason;
            }

            if (toCome.IsEmpty)
            {
                return null;
            }

            if (go.Hosts.IsEmpty)
            {
                // The window has closed while the gate was shut.
                continue;
            }

            _hasReleased = true;
            _hasBegun |= go.Continues;
            _together = _together.Union(
                go.Continues ? toCome
                : go.Kind == RolloutStepKind.RestartTogether ? go.Hosts
                : []
            );
            if (!go.Continues)
            {
                Report(go);
            }

            trouble = await ReleaseAsync(go.Hosts, ended).ConfigureAwait(false);
            if (trouble is not null && go.Kind == RolloutStepKind.RestartTogether)
            {
                // Some of them may run as before.
                trouble = await WithdrawAsync(trouble).ConfigureAwait(false);
            }

            toCome = toCome.Except(go.Hosts);
        }

        return trouble;
    }

    // No member is disrupted before all are prepared: volumes mounted, images pulled. Only then is it known which members hold data.
    private async Task<string?> FindUnpreparedAsync(
        ImmutableSortedSet<string> hosts,
        Func<string, Task<string?>> ended,
        CancellationToken cancellationToken
    )
    {
        try
        {
            var reasons = await Task.WhenAll(
                    hosts.Select(async host =>
                        await Task.WhenAny(_arrivals[host].Task, ended(host)).ConfigureAwait(false) is Task<string?> early
                        && !_arrivals[host].Task.IsCompleted
                            ? $"{host}: {early.Result}"
                            : null
                    )
                )
                .WaitAsync(cancellationToken)
                .ConfigureAwait(false);
            return reasons.FirstOrDefault(reason => reason is not null);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return "interrupted";
        }
    }

    // Those that get no turn any more are told so at once; the others go on.
    private ImmutableSortedSet<string> LeaveWhileClosed(ImmutableSortedSet<string> toCome)
    {
        var held = toCome.Intersect(Serving);
        if (held.IsEmpty || _hasBegun || _access.ClosedBecause is not { } closed)
        {
            return toCome;
        }

        Leave(held, closed);
        return toCome.Except(held);
    }

    private void Leave(ImmutableSortedSet<string> hosts, string reason)
    {
        _left = _left.Union(hosts);
        foreach (var host in hosts)
        {
            _doors[host].TrySetResult(reason);
        }
    }

    private void Report(RolloutTurn.Go go)
    {
        if (go.Hosts.Except(_leaving).ToImmutableArray() is { IsEmpty: false } staying)
        {
            var kind = go.Kind == RolloutStepKind.Restart && staying.All(_starting.Contains) ? RolloutStepKind.Start : go.Kind;
            _access.Report.Begins(new RolloutStep(kind, staying, ""));
        }

        foreach (var host in go.Hosts.Intersect(_leaving))
        {
            _access.Report.Begins(new RolloutStep(RolloutStepKind.Remove, [host], ""));
        }
    }

    // The members whose turn it is, or why nobody gets one any more.
    private async Task<(RolloutTurn.Go? Go, string? Reason)> NextAsync(
        RolloutState state,
        Task before,
        Func<string?> failedBehind,
        CancellationToken stop
    )
    {
        // Members that are down together come back before the run stops.
        var halt = state.ToCome.Overlaps(_together) ? Abort : stop;
        var begun = _time.GetTimestamp();
        var pace = new PollPace(s_poll, _rules.GateTimeout(_group)) { SparesSlowHosts = true };
        var tracker = new ProgressTracker();
        try
        {
            halt.ThrowIfCancellationRequested();
            var last = await Poll.UntilAsync(
                    AskAsync,
                    answer => answer.Turn is not RolloutTurn.Wait,
                    pace,
                    _time,
                    halt,
                    answer => answer.HasAdvanced
                )
                .ConfigureAwait(false);
            return last.Turn switch
            {
                // A turn that has begun goes on, also when the run was to stop meanwhile.
                RolloutTurn.Go { Continues: false, Hosts.IsEmpty: false } go when halt.IsCancellationRequested => (
                    null,
                    go.Kind == RolloutStepKind.RestartTogether ? await WithdrawAsync("interrupted").ConfigureAwait(false) : "interrupted"
                ),
                RolloutTurn.Go go => (go, null),
                RolloutTurn.Stop refused => (null, refused.Reason),
                RolloutTurn.Wait wait => (null, $"waited {pace.Deadline.TotalSeconds:0} s for: {wait.Reason}"),
                _ => throw new InvalidOperationException($"{last.Turn} is no turn"),
            };
        }
        catch (OperationCanceledException) when (halt.IsCancellationRequested || Abort.IsCancellationRequested)
        {
            return (null, "interrupted");
        }

        async Task<(RolloutTurn Turn, bool HasAdvanced)> AskAsync()
        {
            if (!_hasBegun && state.ToCome.Overlaps(Serving) && _access.ClosedBecause is not null)
            {
                return (new RolloutTurn.Go([]), true);
            }

            var unsettled = !before.IsCompleted;
            var now = state with { Unsettled = unsettled, FailedBehind = failedBehind(), Waited = _time.GetElapsedTime(begun) };
            RolloutTurn turn;
            try
            {
                turn = await _rules.NextAsync(_group, now, _access, Abort).ConfigureAwait(false);
            }
            catch (Exception exception) when (exception is HostException or ChangeFailedException)
            {
                turn = new RolloutTurn.Wait(exception.Message);
            }

            if (turn is RolloutTurn.Wait { Reason: var awaited })
            {
                _access.Report.Awaits(awaited);
            }

            // While the group behind is still changing, the gate's time does not run.
            var hasAdvanced = (turn is RolloutTurn.Wait wait && tracker.HasAdvanced(wait.Progress)) || unsettled;
            begun = hasAdvanced ? _time.GetTimestamp() : begun;
            return (turn, hasAdvanced);
        }
    }

    // What may remain is said behind the reason.
    private async Task<string> WithdrawAsync(string reason) =>
        await _rules.WithdrawAsync(_group, _access).ConfigureAwait(false) is { } left ? $"{reason}; {left}" : reason;

    private async Task<string?> ReleaseAsync(ImmutableArray<string> hosts, Func<string, Task<string?>> ended)
    {
        foreach (var host in hosts)
        {
            _doors[host].TrySetResult(null);
        }

        var results = await Task.WhenAll(hosts.Select(async host => (host, reason: await ended(host).ConfigureAwait(false))))
            .ConfigureAwait(false);
        // The whole of it stands with the change that failed; this is said of every host to come.
        return results.FirstOrDefault(result => result.reason is not null) is { host: { } failed, reason: { } reason }
            ? $"{failed}: {reason.Split('\n')[0]}"
            : null;
    }
}
