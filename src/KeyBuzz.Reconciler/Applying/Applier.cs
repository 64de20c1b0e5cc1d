using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Makes a plan true: takes the locks, makes sure that the plan still holds (<see cref="ApplyGuards"/>), walks it in dependency
/// order (<see cref="PlanWalk"/>), and writes the history. With maintenance windows no disruptive step begins outside of them.</summary>
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

        var shownPlaces = new Placement(_cluster, _providers, shown.Survey);
        var hosts = shownPlaces.LocksOf(plan).Distinct().Where(_fleet.Connections.ContainsKey).Order(StringComparer.Ordinal).ToList();

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
            var places = new Placement(_cluster, _providers, planned.Survey);
            var dropped = DroppedChanges.Between(plan, planned.Plan, address => places.HostsOf(address));
            ApplyGuards.RefuseDroppedRemovals(planned.Plan, dropped);
            accept(planned);
            ApplyGuards.RefuseUnlocked(planned.Plan, places, host => _fleet.Connections.ContainsKey(host) && !writers.ContainsKey(host));
            var gate = new DisruptionGate(planned.Plan.Window, _time);
            var run = new ApplyRun(_cluster, _providers, _fleet, _time, planned.Survey, places, writers, gate, progress, stop, abort);
            var result = await WalkAsync(run, planned.Plan, dropped, holder).ConfigureAwait(false);
            var cleanup = new RecordCleanup(_cluster, writers);
            await cleanup.RemoveFromFormerMembersAsync(result, abort).ConfigureAwait(false);
            await cleanup.RemoveObsoleteAsync(planned.Survey, abort).ConfigureAwait(false);
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

    // The history is written also of a walk that broke off.
    private async Task<ApplyResult> WalkAsync(ApplyRun run, Plan plan, ImmutableArray<DroppedChange> dropped, LockHolder holder)
    {
        using var slots = new HostSlots(run.Writers.Keys, _perHost, _parallelism);
        var log = new StepLog(run.Progress, _cluster.Secrets, _time);
        var walk = new PlanWalk(run, plan, log, slots);
        var begun = _time.GetUtcNow();
        ApplyResult result;
        try
        {
            result = await walk.RunAsync(dropped).ConfigureAwait(false);
        }
        catch
        {
            await WriteHistoryAsync(run, log.Result(), holder, begun).ConfigureAwait(false);
            throw;
        }

        return result with
        {
            Warnings = await WriteHistoryAsync(run, result, holder, begun).ConfigureAwait(false),
        };
    }

    // On the hosts where something was done, or failed; others were only locked.
    private async Task<ImmutableArray<Diagnostic>> WriteHistoryAsync(
        ApplyRun run,
        ApplyResult result,
        LockHolder holder,
        DateTimeOffset begun
    )
    {
        IEnumerable<IPlannedStep> touched =
        [
            .. result.Done,
            .. result.BroughtToHealth,
            .. result.Failed.Select(one => one.Step),
            .. result.LeftHalfway,
        ];
        ImmutableArray<string> hosts = [.. run.Places.TouchedBy(touched).Where(run.Writers.ContainsKey).Order(StringComparer.Ordinal)];
        return History?.EntryOf(result, holder, begun, _time.GetUtcNow(), hosts) is { } entry
            ? await History.WriteAsync(entry, run.Writers).ConfigureAwait(false)
            : [];
    }
}
