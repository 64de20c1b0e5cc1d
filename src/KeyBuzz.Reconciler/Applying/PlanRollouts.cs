using System.Collections.Concurrent;
using System.Collections.Immutable;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>The roll-outs of a plan: one for each group of which it disrupts members. A group behind is rolled out before the one in front
/// of it.</summary>
internal sealed class PlanRollouts
{
    private readonly ApplyRun _run;
    private readonly Plan _plan;
    private readonly Dictionary<string, (Rollout Rollout, TaskCompletionSource<string?> End)> _rollouts = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, HashSet<Address>> _needed = new(StringComparer.Ordinal);

    /// <summary>Takes the plan; no member has a turn yet.</summary>
    /// <param name="run">What the apply works with.</param>
    /// <param name="plan">The plan.</param>
    public PlanRollouts(ApplyRun run, Plan plan)
    {
        _run = run;
        _plan = plan;
        foreach (var disrupting in plan.Changes.Where(change => change.Disrupts is not null).GroupBy(change => change.Disrupts!))
        {
            if (run.Cluster.Policies.FirstOrDefault(policy => policy.Group == disrupting.Key) is { } policy)
            {
                var end = new TaskCompletionSource<string?>(TaskCreationOptions.RunContinuationsAsynchronously);
                _rollouts[disrupting.Key] = (RolloutOf(policy, [.. disrupting]), end);
            }
        }
    }

    /// <summary>The roll-out in which a change waits for its turn; null for none.</summary>
    public Rollout? Of(PlannedChange change) =>
        change.Disrupts is { } group && _rollouts.TryGetValue(group, out var own) ? own.Rollout : null;

    /// <summary>Whether a change is made although the run is to stop: members that were stopped together are down until it is.</summary>
    public bool MustMake(PlannedChange change) =>
        _rollouts.Values.Any(own =>
            own.Rollout.HasBegunTogether
            && (
                change.Disrupts == own.Rollout.GroupName
                    ? own.Rollout.IsBegunTogether(change.Address.Host)
                    : NeededBy(own.Rollout.GroupName).Contains(change.Address)
            )
        );

    // What the changes depend on that bring the members back.
    private HashSet<Address> NeededBy(string group) => _needed.GetOrAdd(group, _ =>
        {
            var needed = new HashSet<Address>();
            // Each change comes after its dependencies in the plan.
            foreach (var change in Enumerable.Reverse(_plan.Changes))
            {
                if (change.Disrupts == group || needed.Contains(change.Address))
                {
                    needed.UnionWith(change.DependsOn);
                }
            }

            return needed;
        });

    /// <summary>Completes when what comes after a group may go on: with the end of its roll-out where that includes the health of the
    /// group, at once otherwise. Answers null, or why the roll-out stopped.</summary>
    public Task<string?> GateAsync(GroupPolicy policy) =>
        _rollouts.TryGetValue(policy.Group, out var own) && own.Rollout.GatesAfterLast ? own.End.Task : Task.FromResult<string?>(null);

    /// <summary>Runs them all. Answers why roll-outs stopped, by group.</summary>
    /// <param name="steps">The end of every step of the plan, by address.</param>
    public async Task<ImmutableSortedDictionary<string, string>> RunAsync(IReadOnlyDictionary<Address, Task<string?>> steps)
    {
        var ends = await Task.WhenAll(
                _rollouts.Select(async pair => (group: pair.Key, trouble: await RunAsync(pair.Key, steps).ConfigureAwait(false)))
            )
            .ConfigureAwait(false);
        return ends.Where(end => end.trouble is not null)
            .ToImmutableSortedDictionary(end => end.group, end => end.trouble!, StringComparer.Ordinal);
    }

    private async Task<string?> RunAsync(string group, IReadOnlyDictionary<Address, Task<string?>> steps)
    {
        var (rollout, end) = _rollouts[group];
        var before = DependenciesOf(group).ToList();
        var behind = _rollouts
            .Where(other => other.Key != group && before.Contains(other.Value.Rollout.Group))
            .Select(other => other.Value.End.Task)
            .ToList();
        string? trouble = "interrupted";
        try
        {
            trouble = await rollout
                .RunAsync(
                    host => EndOfAsync(group, host, steps),
                    _run.Stop,
                    Task.WhenAll([.. before.Select(address => steps[address]), .. behind]),
                    () => behind.Where(one => one.IsCompletedSuccessfully).Select(one => one.Result).FirstOrDefault(one => one is not null)
                )
                .ConfigureAwait(false);
        }
        finally
        {
            _run.Progress.RolloutEnded(rollout.Group);
            end.SetResult(trouble);
        }

        return trouble;
    }

    // Ends with the last change that disrupts a host.
    private async Task<string?> EndOfAsync(string group, string host, IReadOnlyDictionary<Address, Task<string?>> steps)
    {
        var reasons = await Task.WhenAll(
                _plan
                    .Changes.Where(change => change.Disrupts == group && change.Address.Host == host)
                    .Select(change => steps[change.Address])
            )
            .ConfigureAwait(false);
        return reasons.FirstOrDefault(reason => reason is not null);
    }

    private Rollout RolloutOf(GroupPolicy policy, ImmutableArray<PlannedChange> disrupting)
    {
        var forecast = _plan.Groups.FirstOrDefault(group => group.Policy.Group == policy.Group)?.Rollout;
        var report = new StepReport(policy.Address, forecast?.Steps.Length ?? 0, _run.Progress);
        return new Rollout(
            policy,
            _run.AccessOf(policy.Group, report, disrupting.Select(change => change.Address.Host)),
            disrupting,
            // A group that is brought to health afterwards is waited for there.
            gateAfterLast: _plan.BroughtToHealth.All(group => group.Policy.Group != policy.Group),
            _run.Time
        )
        {
            Serving = [.. disrupting.Where(change => _run.Disruptions.Holds(change.Address)).Select(change => change.Address.Host)],
            IsLeavingFirst = RemovalOrder.IsLeavingFirst(_plan.Changes, _plan.Groups, policy.Group),
            Abort = _run.Abort,
        };
    }

    // The dependencies of a group outside its own members.
    private IEnumerable<Address> DependenciesOf(string group)
    {
        var own = _plan.Changes.Where(change => change.Resource.Group == group).Select(change => change.Address).ToHashSet();
        return _plan
            .Groups.Where(planned => planned.Policy.Group == group)
            .SelectMany(planned => planned.DependsOn)
            .Where(address => !own.Contains(address));
    }
}
