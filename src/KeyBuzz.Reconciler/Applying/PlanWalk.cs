using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Walks a plan in the order of its dependencies: each step waits for those before it, and is skipped when one of them did not
/// succeed. A step ends with null when its dependents may go on, otherwise with the reason why they may not.</summary>
/// <param name="run">What the apply works with.</param>
/// <param name="plan">The plan.</param>
/// <param name="log">Keeps how each step ended.</param>
/// <param name="slots">Limits how many changes run at once.</param>
internal sealed class PlanWalk(ApplyRun run, Plan plan, StepLog log, HostSlots slots)
{
    private readonly PlanRollouts _rollouts = new(run, plan);

    private readonly ChangeExecutor _executor = new(
        run,
        plan.Rollouts.GroupBy(rollout => rollout.Address).ToDictionary(rollout => rollout.Key, rollout => rollout.First().Steps.Length)
    );

    /// <summary>Walks it.</summary>
    /// <param name="dropped">Approved changes that the plan does not make.</param>
    public async Task<ApplyResult> RunAsync(ImmutableArray<DroppedChange> dropped)
    {
        run.Progress.Begins(
            plan.Changes.Count(change => change.Action != ResourceAction.NoOp || change.Deferred)
                + plan.BroughtToHealth.Count()
                + dropped.Length
        );
        foreach (var (change, reason) in dropped)
        {
            log.Skip(change, reason);
        }

        await PrepareAsync().ConfigureAwait(false);

        // Resources wait for the health of their group, which waits for other resources: the graph has no cycle.
        var health = plan.Groups.ToDictionary(
            group => group.Address,
            _ => new TaskCompletionSource<string?>(TaskCreationOptions.RunContinuationsAsynchronously)
        );
        var steps = health.ToDictionary(pair => pair.Key, pair => pair.Value.Task);
        var refused = await ApplyAheadAsync().ConfigureAwait(false);

        // Each change comes after its dependencies in the plan.
        foreach (var change in plan.Changes)
        {
            var before = EndsOf(change.DependsOn, steps);
            var refusal = refused.GetValueOrDefault(change.Address);
            steps[change.Address] = Task.Run(() => StepAsync(change, before, refusal), CancellationToken.None);
        }

        foreach (var group in plan.Groups)
        {
            var before = EndsOf(group.DependsOn, steps);
            _ = Task.Run(() => HealthAsync(group, before, health[group.Address]), CancellationToken.None);
        }

        var stopped = await _rollouts.RunAsync(steps).ConfigureAwait(false);
        await Task.WhenAll(steps.Values).ConfigureAwait(false);
        return log.Result() with { Errors = [.. plan.Errors], StoppedRollouts = stopped };
    }

    // Throws DiagnosticException where a group could not be prepared.
    private async Task PrepareAsync()
    {
        foreach (var group in plan.Groups)
        {
            // An import writes nothing but records.
            if (group.Ahead.IsEmpty || plan.Options.Import || run.Stop.IsCancellationRequested)
            {
                continue;
            }

            var report = new StepReport(group.Address, 0, run.Progress);
            try
            {
                await group
                    .Policy.Rules.PrepareAsync(group.Policy, run.AccessOf(group.Policy.Group, report), run.Abort)
                    .ConfigureAwait(false);
            }
            catch (Exception exception) when (exception is ChangeFailedException or HostException)
            {
                throw new DiagnosticException(
                    Diagnostic.Error(
                        $"{string.Join(" and ", group.Ahead)} could not be prepared; no resource was changed",
                        detail: exception.Message,
                        remedy: "mend that, then run it again",
                        address: group.Address.ToString()
                    )
                );
            }
        }
    }

    private static List<(Address Address, Task<string?> End)> EndsOf(
        ImmutableArray<Address> addresses,
        Dictionary<Address, Task<string?>> steps
    ) => [.. addresses.Select(address => (address, steps[address]))];

    // Changes that a group may need before any of its gates opens, including gates of this run. Answers why some cannot be made.
    private async Task<IReadOnlyDictionary<Address, string>> ApplyAheadAsync()
    {
        var refused = new Dictionary<Address, string>();
        foreach (var change in plan.Changes)
        {
            // It disrupts nobody, so it waits for no maintenance window.
            if (await _executor.ApplyAheadAsync(change).ConfigureAwait(false) is { } reason)
            {
                refused[change.Address] = reason;
            }
        }

        return refused;
    }

    private async Task<string?> StepAsync(PlannedChange change, List<(Address Address, Task<string?> End)> before, string? refusal)
    {
        if (refusal is not null)
        {
            return log.FailAtOnce(change, refusal);
        }

        foreach (var (address, end) in before)
        {
            // A no-op stays valid when a change that is only ordered before it fails.
            if (
                await end.ConfigureAwait(false) is { } reason
                && !(change is { Action: ResourceAction.NoOp, Deferred: false, Record: { } record } && !record.Requires.Contains(address))
            )
            {
                if (log.FindLeft(address) is { } left)
                {
                    if (IsPossibleBefore(change, left))
                    {
                        continue;
                    }

                    return log.Leave(change, $"its dependency {address} is left for later: {reason}");
                }

                return log.Skip(change, log.ReasonToSkip(address, reason));
            }
        }

        if (change.Action == ResourceAction.NoOp && !change.Deferred)
        {
            return null;
        }

        var rollout = _rollouts.Of(change);
        if (rollout is not null && await rollout.TurnAsync(change.Address.Host).ConfigureAwait(false) is { } noTurn)
        {
            return rollout.IsLeft(change.Address.Host) ? log.Leave(change, noTurn) : log.Skip(change, noTurn);
        }

        if (rollout is null && run.Disruptions.Holds(change.Address) && run.Disruptions.ClosedBecause is { } closed)
        {
            return await slots.RunAsync(change.Address.Host, () => LeaveAsync(change, closed)).ConfigureAwait(false);
        }

        return await slots
            .RunAsync(change.Address.Host, async () =>
                run.Stop.IsCancellationRequested && !_rollouts.MustMake(change)
                    ? log.Skip(change, "interrupted")
                    : await log.PerformAsync(change, () => MakeAsync(change, rollout), () => Excuse(change)).ConfigureAwait(false)
            )
            .ConfigureAwait(false);
    }

    // What of it disrupts nobody need not wait.
    private async Task<string?> LeaveAsync(PlannedChange change, string closed)
    {
        var (names, error) = run.Stop.IsCancellationRequested ? ([], null) : await _executor.ApplyPartAsync(change).ConfigureAwait(false);
        return names.IsEmpty ? log.Leave(change, closed)
            : error is null ? log.LeaveHalfway(change, $"{closed}; without it, now: {string.Join(", ", names)}")
            : log.LeaveHalfway(change, $"{closed}; {string.Join(", ", names)} cannot be changed now: {error}");
    }

    // What is replaced later exists meanwhile, and uses meanwhile what is to be removed after it. A change that is held itself hears of it
    // where it takes its turn.
    private bool IsPossibleBefore(PlannedChange change, IPlannedStep left) =>
        run.Disruptions.Holds(change.Address)
        || change is { Action: ResourceAction.NoOp, Deferred: false }
        || (
            change is { Action: not ResourceAction.Delete, Deferred: false }
            && left is PlannedChange { Action: ResourceAction.Update or ResourceAction.Replace }
        );

    // What belongs to a group as a whole may need what its members only have after a change that is left.
    private string? Excuse(PlannedChange change) =>
        log.FindLeftOf(change.Address.Host) is { } left ? $"{left.Address} is left for later, and this is tried again after it" : null;

    private async Task<string?> MakeAsync(PlannedChange change, Rollout? rollout)
    {
        var error = await _executor.ApplyAsync(change).ConfigureAwait(false);
        if (error is null && rollout is not null)
        {
            await rollout.EndedAsync(change, run.Abort).ConfigureAwait(false);
        }

        return error;
    }

    private async Task HealthAsync(
        PlannedGroup group,
        List<(Address Address, Task<string?> End)> before,
        TaskCompletionSource<string?> health
    )
    {
        try
        {
            health.SetResult(await HealthAsync(group, before).ConfigureAwait(false));
        }
        catch (Exception exception)
        {
            // The walk awaits it with all others.
            health.SetException(exception);
        }
    }

    private async Task<string?> HealthAsync(PlannedGroup group, List<(Address Address, Task<string?> End)> before)
    {
        foreach (var (address, end) in before)
        {
            // A healthy group stays one when a change that is only ordered before it fails.
            if (await end.ConfigureAwait(false) is not { } reason || !group.BringsToHealth)
            {
                continue;
            }

            if (log.FindLeft(address) is null)
            {
                return log.Skip(group, log.ReasonToSkip(address, reason));
            }

            // A former member that still runs still counts.
            if (group.Policy.AfterRemovalOf.Contains(address))
            {
                return log.Leave(group, $"the removal of {address} is left for later: {reason}");
            }
        }

        if (await _rollouts.GateAsync(group.Policy).ConfigureAwait(false) is { } trouble)
        {
            return $"the roll-out of {group.Policy.Group} stopped: {trouble}";
        }

        return !group.BringsToHealth ? null
            : run.Stop.IsCancellationRequested ? log.Skip(group, "interrupted")
            : await log.PerformAsync(group, () => _executor.BringToHealthAsync(group)).ConfigureAwait(false);
    }
}
