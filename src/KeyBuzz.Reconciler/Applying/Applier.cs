using System.Collections.Immutable;
using System.Diagnostics;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Makes a plan true: takes the locks, makes sure that the plan still holds, and walks it in dependency order.</summary>
public sealed class Applier
{
    private readonly Cluster _cluster;
    private readonly ProviderRegistry _providers;
    private readonly Fleet _fleet;
    private readonly TimeProvider _time;
    private readonly int _perHost;
    private readonly int _parallelism;

    /// <summary>Takes what it works on.</summary>
    /// <param name="cluster">The configuration.</param>
    /// <param name="providers">The providers.</param>
    /// <param name="fleet">The connections of this run.</param>
    /// <param name="time">The clock, for records and elapsed times.</param>
    /// <param name="parallelism">How many changes run at once in all.</param>
    /// <param name="perHost">How many of them on one host.</param>
    public Applier(Cluster cluster, ProviderRegistry providers, Fleet fleet, TimeProvider time, int parallelism, int perHost)
    {
        _cluster = cluster;
        _providers = providers;
        _fleet = fleet;
        _time = time;
        _parallelism = parallelism;
        _perHost = perHost;
    }

    /// <summary>Writes the history of the hosts; null for none.</summary>
    public HistoryWriter? History { get; init; }

    /// <summary>Applies the plan. A plan without changes opens no writer. Every approved change is done, or is in the result with the
    /// reason; if an approved removal is no longer possible, nothing begins: throws <see cref="DiagnosticException"/>.</summary>
    /// <param name="shown">The plan the operator saw.</param>
    /// <param name="replan">Surveys and plans again, now that the locks are held.</param>
    /// <param name="accept">Receives the plan to apply; throws when the operator does not accept its differences from the one
    /// shown.</param>
    /// <param name="holder">The holder of the locks.</param>
    /// <param name="progress">Receives the progress.</param>
    /// <param name="stop">Once cancelled, running changes finish and no other begins.</param>
    /// <param name="abort">Once cancelled, running changes are aborted too.</param>
    public async Task<ApplyResult> ApplyAsync(
        PlannedRun shown,
        Func<CancellationToken, Task<PlannedRun>> replan,
        Action<PlannedRun> accept,
        LockHolder holder,
        IApplyProgress progress,
        CancellationToken stop,
        CancellationToken abort
    )
    {
        var plan = shown.Plan;
        if (!plan.DoesAnything)
        {
            return new ApplyResult([], [], []);
        }

        var hosts = plan
            .Effective.SelectMany(change => Locks(shown.Survey, change))
            .Concat(plan.BroughtToHealth.SelectMany(group => _cluster.HostsOf(group.Policy.Group)))
            .Distinct()
            .Where(_fleet.Connections.ContainsKey)
            .Order(StringComparer.Ordinal)
            .ToList();

        var writers = new Dictionary<string, IHostWriter>(StringComparer.Ordinal);
        try
        {
            // One host after another, in the same order everywhere: of two applies that start together one gets all locks. Nothing runs
            // yet, so a stop ends the wait for them.
            foreach (var host in hosts)
            {
                writers[host] = await _fleet.OpenWriterAsync(host, holder, _perHost, stop).ConfigureAwait(false);
            }

            var planned = await replan(abort).ConfigureAwait(false);
            var (current, survey) = (planned.Plan, planned.Survey);
            var dropped = DroppedChanges.Between(plan, current, address => PlacesOf(survey, address));
            RefuseDroppedRemovals(current, dropped);
            accept(planned);
            bool IsUnlocked(string host) => _fleet.Connections.ContainsKey(host) && !writers.ContainsKey(host);
            var unlocked = current
                .Effective.Where(change => Locks(survey, change).Any(IsUnlocked))
                .Select(change => change.Address.ToString())
                .Concat(
                    current
                        .BroughtToHealth.Where(group => _cluster.HostsOf(group.Policy.Group).Any(IsUnlocked))
                        .Select(group => group.Policy.Group)
                )
                .ToList();
            if (unlocked.Count > 0)
            {
                throw new DiagnosticException(
                    Diagnostic.Error(
                        "a host without planned changes has changed since the plan was shown; nothing was applied",
                        detail: "changed since: " + string.Join(", ", unlocked),
                        remedy: "review the new plan and apply it"
                    )
                );
            }

            using var walk = new Walk(this, survey, writers, progress, stop, abort);
            var begun = _time.GetUtcNow();
            ApplyResult result;
            try
            {
                result = await walk.RunAsync(current, dropped).ConfigureAwait(false);
            }
            catch
            {
                await WriteHistoryAsync(walk.SoFar(), survey, holder, begun, writers).ConfigureAwait(false);
                throw;
            }

            result = result with { Warnings = await WriteHistoryAsync(result, survey, holder, begun, writers).ConfigureAwait(false) };
            // A former member keeps no copy of the group's records: it would become stale.
            foreach (
                var (group, host) in result
                    .Done.Where(change =>
                        change is { Action: ResourceAction.Delete, Disrupts: not null }
                        && _cluster.Groups.Any(known => known.Name == change.Disrupts)
                    )
                    .Select(change => (change.Disrupts!, change.Address.Host))
                    .Distinct()
                    .Where(pair => !_cluster.HostsOf(pair.Item1).Contains(pair.Host) && writers.ContainsKey(pair.Host))
            )
            {
                await writers[host].RunAsync(RecordScript.RemoveOfGroup(group, _cluster.Name), abort).ConfigureAwait(false);
            }

            await RemoveObsoleteRecordsAsync(survey, writers, abort).ConfigureAwait(false);
            return result;
        }
        finally
        {
            foreach (var writer in writers.Values)
            {
                await writer.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    // On the hosts where something was done, or failed; others were only locked.
    private async Task<ImmutableArray<Diagnostic>> WriteHistoryAsync(
        ApplyResult result,
        Survey survey,
        LockHolder holder,
        DateTimeOffset begun,
        Dictionary<string, IHostWriter> writers
    )
    {
        IEnumerable<IPlannedStep> touched = [.. result.Done, .. result.BroughtToHealth, .. result.Failed.Select(one => one.Step)];
        ImmutableArray<string> hosts =
        [
            .. touched
                .SelectMany(step => step is PlannedGroup group ? _cluster.HostsOf(group.Policy.Group) : PlacesOf(survey, step.Address))
                .Distinct()
                .Where(writers.ContainsKey)
                .Order(StringComparer.Ordinal),
        ];
        return History?.EntryOf(result, holder, begun, _time.GetUtcNow(), hosts) is { } entry
            ? await History.WriteAsync(entry, writers).ConfigureAwait(false)
            : [];
    }

    // They are read as nothing, so a host that was lost meanwhile keeps them until the next apply.
    private async Task RemoveObsoleteRecordsAsync(Survey survey, Dictionary<string, IHostWriter> writers, CancellationToken abort)
    {
        foreach (var (host, paths) in survey.ObsoleteRecords.Where(pair => writers.ContainsKey(pair.Key)))
        {
            try
            {
                await writers[host].RunAsync(RecordScript.RemoveFiles(paths, _cluster.Name), abort).ConfigureAwait(false);
            }
            catch (Exception exception) when (exception is HostException or OperationCanceledException)
            {
                // The next one removes them.
            }
        }
    }

    // The operator decides about resources on a lost host, before anything else is removed.
    private static void RefuseDroppedRemovals(Plan current, ImmutableArray<DroppedChange> dropped)
    {
        if (dropped.FirstOrDefault(one => one.Change.Action is ResourceAction.Delete or ResourceAction.Forget) is { } first)
        {
            throw new DiagnosticException([
                Diagnostic.Error(
                    $"nothing was changed: {first.Change.Address} can no longer be removed",
                    detail: first.Reason,
                    remedy: "review the new plan",
                    host: first.Change.Address.Host,
                    address: first.Change.Address.ToString()
                ),
                .. current.Errors,
            ]);
        }
    }

    // Two applies must not each disrupt a member of one group: its whole group is locked.
    private IEnumerable<string> Locks(Survey survey, PlannedChange change) =>
        [.. PlacesOf(survey, change.Address), .. change.Disrupts is { } group ? _cluster.HostsOf(group) : []];

    // The hosts that hold what an address names, and its record.
    private ImmutableArray<string> PlacesOf(Survey survey, Address address) =>
        _cluster.Groups.Any(group => group.Name == address.Host) ? _cluster.HostsOf(address.Host)
        : _providers.Get(address.Type) is IGroupResourceProvider ? survey.RecordedGroups.GetValueOrDefault(address.Host, [])
        : [address.Host];

    private GroupAccess AccessOf(
        string group,
        IReadOnlyDictionary<string, IHostWriter> writers,
        IStepReport report,
        params IEnumerable<string> leaving
    )
    {
        var members = _cluster.HostsOf(group).Concat(leaving).ToHashSet(StringComparer.Ordinal);
        return new GroupAccess([.. _cluster.Hosts.Where(host => members.Contains(host.Name))], _fleet.Connections, writers, _time, report);
    }

    private sealed class Walk(
        Applier applier,
        Survey survey,
        Dictionary<string, IHostWriter> writers,
        IApplyProgress progress,
        CancellationToken stop,
        CancellationToken abort
    ) : IDisposable
    {
        private readonly Lock _gate = new();
        private readonly List<IPlannedStep> _begun = [];
        private readonly List<PlannedChange> _done = [];
        private readonly List<PlannedGroup> _broughtToHealth = [];
        private readonly List<(IPlannedStep Step, string Reason)> _failed = [];
        private readonly List<(IPlannedStep Step, string Reason)> _skipped = [];
        private readonly Dictionary<Address, string> _refused = [];
        private readonly Dictionary<string, SemaphoreSlim> _slots = writers.Keys.ToDictionary(
            host => host,
            _ => new SemaphoreSlim(applier._perHost),
            StringComparer.Ordinal
        );
        private readonly SemaphoreSlim _all = new(applier._parallelism);

        // By the address of the resource whose change it is.
        private ImmutableDictionary<Address, int> _ownSteps = ImmutableDictionary<Address, int>.Empty;

        // The result of each roll-out, by the address of its group.
        private readonly TaskCompletionSource<ImmutableDictionary<Address, (bool Gates, Task<string?> Ended)>> _rollouts = new(
            TaskCreationOptions.RunContinuationsAsynchronously
        );

        /// <summary>What was done until now, by a walk that broke off.</summary>
        public ApplyResult SoFar()
        {
            lock (_gate)
            {
                HashSet<IPlannedStep> ended = new(
                    [.. _done, .. _broughtToHealth, .. _failed.Select(one => one.Step)],
                    ReferenceEqualityComparer.Instance
                );
                IEnumerable<(IPlannedStep, string)> unfinished = _begun
                    .Where(step => !ended.Contains(step))
                    .Select(step => (step, "kbr broke off"));
                return new ApplyResult([.. _done], [.. _failed, .. unfinished], [.. _skipped]) { BroughtToHealth = [.. _broughtToHealth] };
            }
        }

        // Each change waits for the changes before it, which come earlier in the plan.
        public async Task<ApplyResult> RunAsync(Plan plan, ImmutableArray<DroppedChange> dropped)
        {
            progress.Begins(
                plan.Changes.Count(change => change.Action != ResourceAction.NoOp || change.Deferred)
                    + plan.BroughtToHealth.Count()
                    + dropped.Length
            );
            _ownSteps = plan
                .Rollouts.GroupBy(rollout => rollout.Address)
                .ToImmutableDictionary(rollout => rollout.Key, rollout => rollout.First().Steps.Length);
            foreach (var (change, reason) in dropped)
            {
                Skip(change, reason);
            }

            // Resources wait for the health of their group, which waits for other resources: the graph has no cycle.
            var health = plan.Groups.ToDictionary(
                group => group.Address,
                _ => new TaskCompletionSource<string?>(TaskCreationOptions.RunContinuationsAsynchronously)
            );
            var tasks = health.ToDictionary(pair => pair.Key, pair => pair.Value.Task);
            var rollouts = Rollouts(plan);
            foreach (var change in plan.Changes)
            {
                await AheadAsync(change).ConfigureAwait(false);
            }

            foreach (var change in plan.Changes)
            {
                var before = change.DependsOn.Select(address => (address, task: tasks[address])).ToList();
                var rollout = change.Disrupts is { } group ? rollouts.GetValueOrDefault(group) : null;
                tasks[change.Address] = Task.Run(() => StepAsync(change, before, rollout), CancellationToken.None);
            }

            foreach (var group in plan.Groups)
            {
                var before = group.DependsOn.Select(address => (address, task: tasks[address])).ToList();
                _ = Task.Run(() => HealthAsync(group, before, health[group.Address]), CancellationToken.None);
            }

            var ends = rollouts.ToDictionary(
                pair => pair.Key,
                _ => new TaskCompletionSource<string?>(TaskCreationOptions.RunContinuationsAsynchronously)
            );
            _rollouts.SetResult(
                rollouts.ToImmutableDictionary(pair => pair.Value.Group, pair => (pair.Value.GatesAfterLast, ends[pair.Key].Task))
            );
            var gates = await Task.WhenAll(
                    rollouts.Select(async pair =>
                    {
                        var before = Before(plan, pair.Key).ToList();
                        var behind = rollouts
                            .Where(other => other.Key != pair.Key && before.Contains(other.Value.Group))
                            .Select(other => ends[other.Key].Task)
                            .ToList();
                        string? trouble = "interrupted";
                        try
                        {
                            trouble = await pair
                                .Value.RunAsync(
                                    async host =>
                                        (
                                            await Task.WhenAll(
                                                    plan.Changes.Where(change => change.Disrupts == pair.Key && change.Address.Host == host)
                                                        .Select(change => tasks[change.Address])
                                                )
                                                .ConfigureAwait(false)
                                        ).FirstOrDefault(reason => reason is not null),
                                    stop,
                                    Task.WhenAll([.. before.Select(address => tasks[address]), .. behind]),
                                    () =>
                                        behind
                                            .Where(end => end.IsCompletedSuccessfully)
                                            .Select(end => end.Result)
                                            .FirstOrDefault(reason => reason is not null)
                                )
                                .ConfigureAwait(false);
                        }
                        finally
                        {
                            progress.RolloutEnded(pair.Value.Group);
                            ends[pair.Key].SetResult(trouble);
                        }

                        return (group: pair.Key, trouble);
                    })
                )
                .ConfigureAwait(false);
            await Task.WhenAll(tasks.Values).ConfigureAwait(false);
            return new ApplyResult(_done, _failed, _skipped)
            {
                BroughtToHealth = _broughtToHealth,
                Errors = [.. plan.Errors],
                StoppedRollouts = gates
                    .Where(gate => gate.trouble is not null)
                    .ToImmutableSortedDictionary(gate => gate.group, gate => gate.trouble!, StringComparer.Ordinal),
            };
        }

        // Changes that a group may need before any of its gates opens, including gates of this run.
        private async Task AheadAsync(PlannedChange change)
        {
            if (
                change.Action != ResourceAction.Update
                || stop.IsCancellationRequested
                || applier._providers.Get(change.Address.Type) is not IChangesAhead provider
            )
            {
                return;
            }

            try
            {
                var hosts = applier.PlacesOf(survey, change.Address).Where(writers.ContainsKey);
                if (IntentScript(change) is { Length: > 0 } intent && await OnAllAsync(hosts, intent).ConfigureAwait(false) is { } error)
                {
                    _refused[change.Address] = error;
                    return;
                }

                await provider
                    .ChangeAheadAsync(
                        ChangeOf(change, Operation(change)),
                        applier.AccessOf(change.Address.Host, writers, NoStepReport.Instance),
                        abort
                    )
                    .ConfigureAwait(false);
            }
            catch (ChangeFailedException exception)
            {
                _refused[change.Address] = exception.Message;
            }
            catch (Exception exception) when (exception is HostException or OperationCanceledException)
            {
                // Its own turn finds the same, if it is still so.
            }
        }

        private Dictionary<string, Rollout> Rollouts(Plan plan)
        {
            var rollouts = new Dictionary<string, Rollout>(StringComparer.Ordinal);
            foreach (var disrupting in plan.Changes.Where(change => change.Disrupts is not null).GroupBy(change => change.Disrupts!))
            {
                if (applier._cluster.Policies.FirstOrDefault(policy => policy.Group == disrupting.Key) is { } policy)
                {
                    var forecast = plan.Groups.FirstOrDefault(group => group.Policy.Group == disrupting.Key)?.Rollout;
                    var report = new StepReport(policy.Address, forecast?.Steps.Length ?? 0, progress);
                    // A group that is brought to health afterwards is waited for there.
                    rollouts[disrupting.Key] = new Rollout(
                        policy,
                        applier.AccessOf(disrupting.Key, writers, report, disrupting.Select(change => change.Address.Host)),
                        [.. disrupting],
                        gateAfterLast: plan.BroughtToHealth.All(group => group.Policy.Group != disrupting.Key),
                        applier._time
                    );
                }
            }

            return rollouts;
        }

        // The dependencies of a group outside its own members: a group behind is rolled out before the one in front of it.
        private static IEnumerable<Address> Before(Plan plan, string group)
        {
            var own = plan.Changes.Where(change => change.Resource.Group == group).Select(change => change.Address).ToHashSet();
            return plan
                .Groups.Where(planned => planned.Policy.Group == group)
                .SelectMany(planned => planned.DependsOn)
                .Where(address => !own.Contains(address));
        }

        // Answers null when dependents may go on, otherwise why they may not.
        private async Task<string?> StepAsync(PlannedChange change, List<(Address Address, Task<string?> Task)> before, Rollout? rollout)
        {
            if (_refused.TryGetValue(change.Address, out var refusal))
            {
                progress.Started(change);
                return Failed(change, TimeSpan.Zero, refusal);
            }

            foreach (var (address, task) in before)
            {
                // A no-op stays valid when a change that is only ordered before it fails.
                if (
                    await task.ConfigureAwait(false) is { } reason
                    && !(
                        change is { Action: ResourceAction.NoOp, Deferred: false, Record: { } record } && !record.Requires.Contains(address)
                    )
                )
                {
                    return Skip(change, Because(address, reason));
                }
            }

            if (change.Action == ResourceAction.NoOp && !change.Deferred)
            {
                return null;
            }

            if (rollout is not null && await rollout.TurnAsync(change.Address.Host).ConfigureAwait(false) is { } refused)
            {
                return Skip(change, refused);
            }

            // A deferred look needs no writer, so its host may have no slots.
            var slot = _slots.GetValueOrDefault(change.Address.Host, _all);
            await slot.WaitAsync(CancellationToken.None).ConfigureAwait(false);
            try
            {
                if (slot != _all)
                {
                    await _all.WaitAsync(CancellationToken.None).ConfigureAwait(false);
                }

                try
                {
                    return stop.IsCancellationRequested
                        ? Skip(change, "interrupted")
                        : await RunOneAsync(change, rollout).ConfigureAwait(false);
                }
                finally
                {
                    if (slot != _all)
                    {
                        _all.Release();
                    }
                }
            }
            finally
            {
                slot.Release();
            }
        }

        // Ends with the health of a group: null when what comes after it may go on, otherwise why it may not.
        private async Task HealthAsync(
            PlannedGroup group,
            List<(Address Address, Task<string?> Task)> before,
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

        private async Task<string?> HealthAsync(PlannedGroup group, List<(Address Address, Task<string?> Task)> before)
        {
            foreach (var (address, task) in before)
            {
                // A healthy group stays one when a change that is only ordered before it fails.
                if (await task.ConfigureAwait(false) is { } reason && group.BringsToHealth)
                {
                    return Skip(group, Because(address, reason));
                }
            }

            // Where a roll-out ends with the health of the whole, that is what comes after the group waits for.
            var rollouts = await _rollouts.Task.ConfigureAwait(false);
            if (rollouts.TryGetValue(group.Address, out var own) && own.Gates && await own.Ended.ConfigureAwait(false) is { } trouble)
            {
                return $"the roll-out of {group.Policy.Group} stopped: {trouble}";
            }

            return !group.BringsToHealth ? null
                : stop.IsCancellationRequested ? Skip(group, "interrupted")
                : await PerformAsync(group, () => BringToHealthAsync(group), () => _broughtToHealth.Add(group)).ConfigureAwait(false);
        }

        private async Task<string?> BringToHealthAsync(PlannedGroup group)
        {
            var policy = group.Policy;
            var report = new StepReport(policy.Address, 0, progress);
            await policy.Rules.BringToHealthAsync(policy, applier.AccessOf(policy.Group, writers, report), abort).ConfigureAwait(false);
            var observation = await applier._fleet.ObserveAsync(policy, abort).ConfigureAwait(false);
            return Differences(policy.Rules.Desired(policy), observation) is { } differs
                ? $"it was brought to health, but {differs}"
                : null;
        }

        public void Dispose()
        {
            _all.Dispose();
            foreach (var slot in _slots.Values)
            {
                slot.Dispose();
            }
        }

        // A dependency without a change of its own is in neither list: then its own dependency is the reason.
        private string Because(Address dependency, string reason)
        {
            bool IsIn(List<(IPlannedStep Step, string Reason)> steps) => steps.Exists(one => one.Step.Address == dependency);
            lock (_gate)
            {
                return dependency.Type == GroupPolicy.Type && (IsIn(_failed) || IsIn(_skipped))
                        ? $"{dependency.Host} was not brought to health"
                    : IsIn(_failed) ? $"its dependency {dependency} failed"
                    : IsIn(_skipped) ? $"its dependency {dependency} was skipped"
                    : reason;
            }
        }

        private string Skip(IPlannedStep step, string reason)
        {
            if (step is PlannedChange { Action: ResourceAction.NoOp, Deferred: false })
            {
                return reason;
            }

            lock (_gate)
            {
                _skipped.Add((step, reason));
            }

            progress.Skipped(step, reason);
            return reason;
        }

        private Task<string?> RunOneAsync(PlannedChange change, Rollout? rollout)
        {
            return PerformAsync(change, MakeOneAsync, () => _done.Add(change));

            async Task<string?> MakeOneAsync()
            {
                var error = change.Deferred
                    ? await LookAgainAsync(change).ConfigureAwait(false)
                    : await ChangeAsync(change).ConfigureAwait(false);
                if (error is null && rollout is not null)
                {
                    await rollout.EndedAsync(change, abort).ConfigureAwait(false);
                }

                return error;
            }
        }

        private async Task<string?> PerformAsync(IPlannedStep step, Func<Task<string?>> make, Action done)
        {
            var begun = applier._time.GetTimestamp();
            lock (_gate)
            {
                _begun.Add(step);
            }

            progress.Started(step);
            string? error;
            try
            {
                error = await make().ConfigureAwait(false);
            }
            catch (Exception exception) when (exception is HostException or ChangeFailedException)
            {
                error = exception.Message;
            }
            catch (OperationCanceledException)
            {
                error = "interrupted";
            }
            catch (Exception exception)
                when (exception is InvalidOperationException or InvalidDataException or IOException or KeyNotFoundException)
            {
                // A fault in one provider, or an unreadable local file, stops this change and its dependents, not the rest.
                error = $"the change failed: {exception.Message}";
            }

            var elapsed = applier._time.GetElapsedTime(begun);
            if (error is not null)
            {
                return Failed(step, elapsed, error);
            }

            lock (_gate)
            {
                done();
            }

            progress.Done(step, elapsed);
            return null;
        }

        private string Failed(IPlannedStep step, TimeSpan elapsed, string error)
        {
            error = applier._cluster.Secrets.Mask(error);
            lock (_gate)
            {
                _failed.Add((step, error));
            }

            progress.Failed(step, elapsed, error);
            return error;
        }

        private async Task<string?> LookAgainAsync(PlannedChange change)
        {
            var observation = await applier._fleet.ObserveAsync(change.Resource, abort).ConfigureAwait(false);
            var differs = Differences(change, observation);
            return differs is null ? null : $"after its dependencies were applied, {differs}; run kbr plan again";
        }

        private async Task<string?> ChangeAsync(PlannedChange change)
        {
            if (await MakeAsync(change).ConfigureAwait(false) is { } error)
            {
                return error;
            }

            if (change.Action is ResourceAction.Adopt or ResourceAction.Forget)
            {
                return null;
            }

            var observation = await applier._fleet.ObserveAsync(change.Resource, abort).ConfigureAwait(false);
            if (change.Action == ResourceAction.Delete)
            {
                return observation is Observation.Present left && !IsRetired(change, left) ? "it still exists after its removal" : null;
            }

            return Differences(change, observation) is { } differs ? $"the change was applied, but {differs}" : null;
        }

        // A retired resource still exists, as intended.
        private bool IsRetired(PlannedChange change, Observation.Present left) =>
            !change.DeleteData
            && applier._providers.Get(change.Address.Type) is IRetiresOnRemoval retiring
            && retiring.Retirement(change.Resource, left) is null;

        // Makes the change and writes its record.
        private async Task<string?> MakeAsync(PlannedChange change)
        {
            // The record of a creation is begun before it, also where that is at another place than before: were it cut off, the half-made
            // thing is known to be ours.
            var cluster = applier._cluster.Name;
            var record = change.Record is null ? null : change.Record with { AppliedAt = applier._time.GetUtcNow() };
            var hosts = applier.PlacesOf(survey, change.Address).Where(writers.ContainsKey).ToList();
            var provider = applier._providers.Get(change.Address.Type);
            if (provider is IGroupResourceProvider && record is not null)
            {
                record = record with { Serial = survey.SerialOf(change.Address) + (change.Intent is null ? 1 : 2) };
            }

            var intent =
                (change.Action == ResourceAction.Create || change.Former is not null) && record is not null
                    ? RecordScript.Write(record with { Pending = true, Fingerprints = SortedMap<string>.Empty }, cluster)
                    : IntentScript(change);
            var outcome =
                (record is null ? RecordScript.Remove(change.Address, cluster) : RecordScript.Write(record, cluster))
                + (change.MovedFrom is { } former ? RecordScript.Remove(former, cluster) : "");
            if (provider is IHostResourceProvider local)
            {
                var script = HostScript(change, local, intent);
                return await RunAsync(change.Address.Host, script with { Text = script.Text + outcome }).ConfigureAwait(false);
            }

            if (intent.Length > 0 && await OnAllAsync(hosts, intent).ConfigureAwait(false) is { } early)
            {
                return early;
            }

            if (change.Action is not (ResourceAction.Adopt or ResourceAction.Forget))
            {
                var report = new StepReport(change.Address, _ownSteps.GetValueOrDefault(change.Address), progress);
                await ((IGroupResourceProvider)provider)
                    .ChangeAsync(ChangeOf(change, Operation(change)), applier.AccessOf(change.Address.Host, writers, report), abort)
                    .ConfigureAwait(false);
            }

            return await OnAllAsync(hosts, outcome).ConfigureAwait(false);
        }

        private string IntentScript(PlannedChange change) =>
            change.Intent is { } intent
                ? RecordScript.Write(intent with { Serial = survey.SerialOf(change.Address) + 1 }, applier._cluster.Name)
                : "";

        private Script HostScript(PlannedChange change, IHostResourceProvider provider, string intent)
        {
            if (change.Action is ResourceAction.Adopt or ResourceAction.Forget)
            {
                return new Script(""); // these touch the record only
            }

            var script = provider.Render(ChangeOf(change, change.Former is null ? Operation(change) : ResourceOperation.Create));
            script = script with { Text = $"{intent}(\n{script.Text}\n)\n" };
            if (change.Former is { } former)
            {
                // Before the record of the new one is begun: until then the record is the only one that knows of the former one.
                var removal = provider.Render(new ResourceChange(ResourceOperation.Delete, former, []));
                script = script with { Text = $"(\n{removal.Text}\n)\n{script.Text}", Deadline = removal.Deadline + script.Deadline };
            }

            // Local files are named as cluster.yaml names them: from its own folder.
            return script with
            {
                Uploads = script.Uploads.ToImmutableSortedDictionary(
                    pair => pair.Key,
                    pair => Path.Combine(applier._cluster.Directory, pair.Value),
                    StringComparer.Ordinal
                ),
            };
        }

        private static ResourceChange ChangeOf(PlannedChange change, ResourceOperation operation) =>
            new(operation, change.Resource, [.. Changed(change)])
            {
                DeleteData = change.DeleteData,
                Adopt = change.Adopts || change.Cause == Cause.Adopted || change.Record is { Created: false },
                ProcessIsReplaced = change.ReplacedProcess is not null,
                Found = change
                    .Differences.Where(difference => difference.Before is not null)
                    .ToImmutableSortedDictionary(
                        difference => difference.Name,
                        difference => difference.Before!.Value,
                        StringComparer.Ordinal
                    ),
            };

        private async Task<string?> OnAllAsync(IEnumerable<string> hosts, string text)
        {
            var results = await Task.WhenAll(hosts.Select(host => RunAsync(host, new Script(text)))).ConfigureAwait(false);
            return results.FirstOrDefault(error => error is not null);
        }

        private async Task<string?> RunAsync(string host, Script script)
        {
            var result = await writers[host].RunAsync(script, abort).ConfigureAwait(false);
            if (result.ExitCode == 124)
            {
                return $"it took longer than {script.Deadline.TotalSeconds:0} s and was aborted. {Tail(result)}";
            }

            return result.ExitCode == 0 ? null
                : Tail(result) is { Length: > 0 } text ? text
                : $"the script ended with exit status {result.ExitCode} and no output";
        }

        private string? Differences(PlannedChange change, Observation observation)
        {
            var provider = applier._providers.Get(change.Address.Type);
            var desired = provider.Desired(change.Resource);
            return Differences(
                change.ReplacedProcess is not null && provider is ILoadedByProcess { LoadedAttribute: var loaded }
                    ? desired.Where((name, _) => name != loaded)
                    : desired,
                observation
            );
        }

        private static string? Differences(SortedMap<AttributeValue> desired, Observation observation)
        {
            if (observation is not Observation.Present present)
            {
                return observation is Observation.Unknown unknown ? unknown.Reason : "it does not exist";
            }

            var names = desired
                .Where(pair => present.Attributes.GetValueOrDefault(pair.Key)?.Value != pair.Value.Value)
                .Select(pair =>
                    pair.Value.IsText || pair.Value.Secret is not null
                        ? pair.Key
                        : $"{pair.Key} is {present.Attributes.GetValueOrDefault(pair.Key)?.Value ?? "nothing"} and not {pair.Value.Value}"
                )
                .ToList();
            return names.Count == 0 ? null : "it differs: " + string.Join(", ", names);
        }

        private static ResourceOperation Operation(PlannedChange change) =>
            change.Action switch
            {
                ResourceAction.Create => ResourceOperation.Create,
                ResourceAction.Update => ResourceOperation.Update,
                ResourceAction.Replace => ResourceOperation.Replace,
                ResourceAction.Delete => ResourceOperation.Delete,
                _ => throw new UnreachableException(),
            };

        private static IEnumerable<string> Changed(PlannedChange change) => change.Differences.Select(difference => difference.Name);

        private static string Tail(ScriptResult result)
        {
            var text = (result.Error.Trim().Length > 0 ? result.Error : result.Output).Trim();
            var lines = text.Split('\n');
            return string.Join('\n', lines.TakeLast(20));
        }
    }
}
