using System.Collections.Immutable;
using System.Diagnostics;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

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

    /// <summary>Applies the plan. A plan without changes opens no writer.</summary>
    /// <param name="plan">The plan the operator saw.</param>
    /// <param name="replan">Surveys and plans again, now that the locks are held; throws when the operator does not accept a plan that differs from the one shown.</param>
    /// <param name="holder">Who applies.</param>
    /// <param name="progress">Told what happens.</param>
    /// <param name="stop">Once cancelled, what runs is finished and nothing more is begun.</param>
    /// <param name="abort">Once cancelled, what runs is ended too.</param>
    public async Task<ApplyResult> ApplyAsync(
        Plan plan, Func<CancellationToken, Task<Plan>> replan, LockHolder holder, IApplyProgress progress, CancellationToken stop, CancellationToken abort)
    {
        var hosts = plan.Effective.Select(change => change.Address.Host).Distinct().Order(StringComparer.Ordinal).ToList();
        if (hosts.Count == 0)
        {
            return new ApplyResult([], [], []);
        }

        var writers = new Dictionary<string, IHostWriter>(StringComparer.Ordinal);
        try
        {
            // One host after another, in the same order everywhere: of two applies that start together one gets all locks.
            foreach (var host in hosts)
            {
                writers[host] = await _fleet.OpenWriterAsync(host, holder, _perHost, abort).ConfigureAwait(false);
            }

            var current = await replan(abort).ConfigureAwait(false);
            var unlocked = current.Effective.Where(change => !writers.ContainsKey(change.Address.Host)).Select(change => change.Address.ToString()).ToList();
            if (unlocked.Count > 0)
            {
                throw new DiagnosticException(Diagnostic.Error(
                    "a host that had nothing to do changed since the plan was shown; nothing was applied",
                    detail: "different now: " + string.Join(", ", unlocked),
                    remedy: "look at the plan again and apply that"));
            }

            using var walk = new Walk(this, writers, progress, stop, abort);
            var result = await walk.RunAsync(current).ConfigureAwait(false);
            foreach (var host in result.Done.Where(change => change.Action is ResourceAction.Delete or ResourceAction.Forget).Select(change => change.Address.Host).Distinct())
            {
                await writers[host].RunAsync(RecordScript.RemoveEmptyDirectories(_cluster.Name), abort).ConfigureAwait(false);
            }

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

    private sealed class Walk(Applier applier, Dictionary<string, IHostWriter> writers, IApplyProgress progress, CancellationToken stop, CancellationToken abort) : IDisposable
    {
        private readonly Lock _gate = new();
        private readonly List<PlannedChange> _done = [];
        private readonly List<(PlannedChange Change, string Reason)> _failed = [];
        private readonly List<(PlannedChange Change, string Reason)> _notTried = [];
        private readonly Dictionary<string, SemaphoreSlim> _slots = writers.Keys.ToDictionary(host => host, _ => new SemaphoreSlim(applier._perHost), StringComparer.Ordinal);
        private readonly SemaphoreSlim _all = new(applier._parallelism);

        // Each change waits for the changes before it, which come earlier in the plan.
        public async Task<ApplyResult> RunAsync(Plan plan)
        {
            var tasks = new Dictionary<Address, Task<string?>>();
            foreach (var change in plan.Changes)
            {
                var before = change.DependsOn.Select(address => (address, task: tasks[address])).ToList();
                tasks[change.Address] = Task.Run(() => StepAsync(change, before), CancellationToken.None);
            }

            await Task.WhenAll(tasks.Values).ConfigureAwait(false);
            return new ApplyResult(_done, _failed, _notTried);
        }

        // Answers null when dependents may go on, otherwise why they may not.
        private async Task<string?> StepAsync(PlannedChange change, List<(Address Address, Task<string?> Task)> before)
        {
            foreach (var (address, task) in before)
            {
                if (await task.ConfigureAwait(false) is not null)
                {
                    return NotTried(change, $"{address} was not brought about");
                }
            }

            if (change.Action == ResourceAction.NoOp && !change.Deferred)
            {
                return null;
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
                    return stop.IsCancellationRequested ? NotTried(change, "interrupted") : await RunOneAsync(change).ConfigureAwait(false);
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

        public void Dispose()
        {
            _all.Dispose();
            foreach (var slot in _slots.Values)
            {
                slot.Dispose();
            }
        }

        private string? NotTried(PlannedChange change, string reason)
        {
            if (change.Action == ResourceAction.NoOp && !change.Deferred)
            {
                return reason;
            }

            lock (_gate)
            {
                _notTried.Add((change, reason));
            }

            progress.NotTried(change, reason);
            return reason;
        }

        private async Task<string?> RunOneAsync(PlannedChange change)
        {
            var begun = applier._time.GetTimestamp();
            progress.Started(change);
            string? error;
            try
            {
                error = change.Deferred ? await LookAgainAsync(change).ConfigureAwait(false) : await ChangeAsync(change).ConfigureAwait(false);
            }
            catch (HostException exception)
            {
                error = exception.Message;
            }
            catch (OperationCanceledException)
            {
                error = "interrupted";
            }
            catch (Exception exception) when (exception is InvalidOperationException or InvalidDataException or IOException or KeyNotFoundException)
            {
                // A fault in one provider, or a local file that cannot be read, stops this change and what depends on it, not the rest.
                error = $"it could not be carried out: {exception.Message}";
            }

            var elapsed = applier._time.GetElapsedTime(begun);
            if (error is not null)
            {
                error = applier._cluster.Secrets.Mask(error);
                lock (_gate)
                {
                    _failed.Add((change, error));
                }

                progress.Failed(change, elapsed, error);
                return error;
            }

            lock (_gate)
            {
                _done.Add(change);
            }

            progress.Done(change, elapsed);
            return null;
        }

        private async Task<string?> LookAgainAsync(PlannedChange change)
        {
            var observation = await applier._fleet.ObserveAsync(change.Resource, abort).ConfigureAwait(false);
            var differs = Differences(change, observation);
            return differs is null ? null : $"now that its volume is mounted, {differs}; run plan again";
        }

        private async Task<string?> ChangeAsync(PlannedChange change)
        {
            var provider = (IHostResourceProvider)applier._providers.Get(change.Address.Type);
            var cluster = applier._cluster.Name;
            var script = new Script(":"); // adopting and forgetting touch the record only
            if (change.Action is not (ResourceAction.Adopt or ResourceAction.Forget))
            {
                var operation = change.Former is null ? Operation(change) : ResourceOperation.Create;
                script = provider.Render(new ResourceChange(operation, change.Resource, [.. Changed(change)])
                {
                    DeleteData = change.DeleteData,
                    Adopt = change.Cause == Cause.Adopted,
                });
                if (change.Former is { } former)
                {
                    var removal = provider.Render(new ResourceChange(ResourceOperation.Delete, former, []));
                    script = script with { Text = $"(\n{removal.Text}\n)\n{script.Text}", Deadline = removal.Deadline + script.Deadline };
                }
            }

            // Local files are named as cluster.yaml names them: from its own folder.
            script = script with { Uploads = script.Uploads.ToImmutableSortedDictionary(pair => pair.Key, pair => Path.Combine(applier._cluster.Directory, pair.Value), StringComparer.Ordinal) };

            // The record of a creation is begun before it: were it cut off, the half-made thing is known to be ours.
            var now = applier._time.GetUtcNow();
            var record = change.Record is null ? null : change.Record with { AppliedAt = now };
            var intent = change.Action == ResourceAction.Create && record is not null
                ? RecordScript.Write(record with { Pending = true, Fingerprints = ImmutableSortedDictionary<string, string>.Empty }, cluster)
                : "";
            var outcome = record is null ? RecordScript.Remove(change.Address, cluster) : RecordScript.Write(record, cluster);
            var result = await writers[change.Address.Host].RunAsync(script with { Text = $"{intent}(\n{script.Text}\n)\n{outcome}" }, abort).ConfigureAwait(false);
            if (result.ExitCode == 124)
            {
                return $"it took longer than {script.Deadline.TotalSeconds:0} s and was ended. {Tail(result)}";
            }

            if (result.ExitCode != 0)
            {
                return Tail(result) is { Length: > 0 } text ? text : $"the script ended with exit status {result.ExitCode} and said nothing";
            }

            if (change.Action is ResourceAction.Adopt or ResourceAction.Forget)
            {
                return null;
            }

            var observation = await applier._fleet.ObserveAsync(change.Resource, abort).ConfigureAwait(false);
            if (change.Action == ResourceAction.Delete)
            {
                return observation is Observation.Present ? "it is still there after it was removed" : null;
            }

            return Differences(change, observation) is { } differs ? $"the change was made, but {differs}" : null;
        }

        private string? Differences(PlannedChange change, Observation observation)
        {
            if (observation is not Observation.Present present)
            {
                return observation is Observation.Unknown unknown ? unknown.Reason : "it is not there";
            }

            var desired = applier._providers.Get(change.Address.Type).Desired(change.Resource);
            var names = desired.Where(pair => present.Attributes.GetValueOrDefault(pair.Key)?.Value != pair.Value.Value).Select(pair =>
                pair.Value.IsText || pair.Value.Secret is not null
                    ? pair.Key
                    : $"{pair.Key} is {present.Attributes.GetValueOrDefault(pair.Key)?.Value ?? "nothing"} and not {pair.Value.Value}").ToList();
            return names.Count == 0 ? null : "it differs: " + string.Join(", ", names);
        }

        private static ResourceOperation Operation(PlannedChange change) => change.Action switch
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
