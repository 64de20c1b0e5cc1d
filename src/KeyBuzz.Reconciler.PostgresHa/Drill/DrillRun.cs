using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Switchover;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Drill;

/// <summary>A drill on a running cluster: writes through both ways in, takes the lead from the member that has it, and waits until all is
/// whole again.</summary>
/// <param name="topology">The cluster.</param>
/// <param name="cluster">Its health.</param>
/// <param name="group">Its members, whose locks are held.</param>
/// <param name="proxy">The first proxy host: from there the load balancer is reached, or its own HAProxy.</param>
/// <param name="say">Told what happens, a sentence each, for the operator.</param>
public sealed class DrillRun(
    PostgresTopology topology,
    RunningCluster cluster,
    IGroupAccess group,
    IHostConnection proxy,
    Action<string> say
)
{
    /// <summary>The schema that a drill makes in the application's database, and drops in the end.</summary>
    public const string Schema = "kbr_drill";

    // The timer on the host is for a kbr that does not come back: it must not be faster than this one.
    private static readonly TimeSpan s_slack = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(100);
    private const int WritesBefore = 20;

    private readonly long _started = group.Time.GetTimestamp();

    private TimeSpan Now => group.Time.GetElapsedTime(_started);

    /// <summary>Runs it. Throws <see cref="DiagnosticException"/> when it is refused or cannot begin, and nothing was done then; problems
    /// after the fault are in the report. Leaves nothing behind.</summary>
    /// <param name="kind">What to do.</param>
    /// <param name="choice">The primary, and the candidate of a switchover; chosen again under the locks.</param>
    /// <param name="timeout">How long the service, and after that the cluster, may take to come back.</param>
    /// <param name="stop">Once cancelled, the drill is aborted: the fault is undone, the table dropped.</param>
    public async Task<DrillReport> RunAsync(DrillKind kind, SwitchoverChoice choice, TimeSpan timeout, CancellationToken stop)
    {
        ArgumentNullException.ThrowIfNull(choice);
        var ways = DrillWay.Of(topology);
        var login = ApplicationLogin.WithTls(topology);
        var tunnels = new List<ITunnel>();
        DrillTable? table = null;
        try
        {
            foreach (var way in login is null ? ways : [])
            {
                tunnels.Add(await proxy.OpenTunnelAsync(way.Address, way.Port, stop).ConfigureAwait(false));
            }

            table = new DrillTable(
                topology,
                () =>
                    ApplicationLogin.Settings(topology, tunnels[0].Port, "kbr drill", DrillTable.TimeoutSeconds, DrillTable.TimeoutSeconds),
                group.Time,
                Psql(ways[0])
            );
            await table.CreateAsync(stop).ConfigureAwait(false);
            return await MeasureAsync(
                    kind,
                    choice,
                    timeout,
                    [
                        .. ways.Select(
                            (way, number) =>
                                new DrillWriter(
                                    way,
                                    () =>
                                        ApplicationLogin.Settings(
                                            topology,
                                            tunnels[number].Port,
                                            "kbr drill " + way.Name,
                                            DrillWriter.DeadlineSeconds,
                                            30
                                        ),
                                    () => Now,
                                    group.Time,
                                    Psql(way)
                                )
                        ),
                    ],
                    table,
                    stop
                )
                .ConfigureAwait(false);
        }
        finally
        {
            if (table is not null && !await table.DropAsync(s_patience, CancellationToken.None).ConfigureAwait(false))
            {
                say(
                    $"the table could not be dropped: DROP SCHEMA {Schema} CASCADE in {topology.ApplicationDatabase.Name} "
                        + $"does it, and so does the next drill"
                );
            }

            foreach (var tunnel in tunnels)
            {
                await tunnel.DisposeAsync().ConfigureAwait(false);
            }
        }

        DrillPsql? Psql(DrillWay way) => login is null ? null : new DrillPsql(login, way, group, proxy.Host.Name);
    }

    private async Task<DrillReport> MeasureAsync(
        DrillKind kind,
        SwitchoverChoice choice,
        TimeSpan timeout,
        ImmutableArray<DrillWriter> writers,
        DrillTable table,
        CancellationToken stop
    )
    {
        var leader = choice.Leader;
        var address = topology.Members.First(member => member.Name == leader).Address;
        using var ended = new CancellationTokenSource();
        var writing = Task.WhenAll(writers.Select(writer => writer.RunAsync(ended.Token)));
        try
        {
            foreach (var writer in writers)
            {
                await UntilAsync(() => writer.Attempts.Count(attempt => attempt.Acknowledged is not null) >= WritesBefore, s_patience, stop)
                    .ConfigureAwait(false);
                if (writer.Attempts.Count(attempt => attempt.Acknowledged is not null) < WritesBefore)
                {
                    throw new DiagnosticException(
                        Diagnostic.Error(
                            $"no {WritesBefore} writes through {writer.Way.Endpoint} were acknowledged within "
                                + $"{s_patience.TotalSeconds:0} s{(writer.Trouble.Length > 0 ? ": " + writer.Trouble : "")}",
                            remedy: "run kbr status to find the cause; the cluster was not changed"
                        )
                    );
                }
            }

            // The locks keep others from changing anything, not Patroni from moving the lead.
            var health = await cluster.LookAsync(stop).ConfigureAwait(false);
            if (!health.IsHealthy || health.Leader != leader)
            {
                throw new DiagnosticException(
                    Diagnostic.Error(
                        health.IsHealthy
                            ? $"the primary of {topology.Scope} is now {health.Leader}, no longer {leader}"
                            : $"{topology.Scope} is not healthy: {string.Join("; ", health.Problems)}",
                        remedy: "a drill needs a healthy cluster; nothing was changed"
                    )
                );
            }

            var synchronous = health.IsSynchronous;
            say(
                $"{kind.Description(leader)}; {string.Join(" and ", writers.Select(writer => writer.Way.Endpoint))} are written to every 50 ms"
            );
            var fault = DrillFault.Of(kind, topology, leader, timeout + s_slack);
            var begun = Now;
            TimeSpan made,
                undone = default;
            ImmutableArray<string> problems;
            TimeSpan? whole;
            try
            {
                await MakeAsync(fault, choice, stop).ConfigureAwait(false);
                made = Now;
                var back = () => writers.Select(writer => DrillMeasurement.BackAt(kind, writer.Attempts, address, begun, made)).ToList();
                await UntilAsync(() => back().TrueForAll(at => at is not null), timeout - (made - begun), stop).ConfigureAwait(false);
                say(
                    back().Max() is { } last && back().TrueForAll(at => at is not null)
                        ? string.Create(
                            CultureInfo.InvariantCulture,
                            $"writes are acknowledged again after {(last - begun).TotalSeconds:0.0} s"
                        )
                        : string.Create(
                            CultureInfo.InvariantCulture,
                            $"after {(Now - begun).TotalSeconds:0} s writes are still not acknowledged: "
                                + $"{string.Join("; ", writers.Select(writer => writer.Trouble).Where(text => text.Length > 0).Distinct())}"
                        )
                );
            }
            finally
            {
                if (fault is not null)
                {
                    await UndoAsync(fault, leader, timeout).ConfigureAwait(false);
                    undone = Now;
                }
            }

            var since = Now;
            health = await cluster.WaitHealthyAsync(timeout, stop).ConfigureAwait(false);
            problems = [.. health.Problems.Select(problem => problem.Text)];
            whole = health.IsHealthy ? Now : null;
            say(
                health.IsHealthy
                    ? string.Create(
                        CultureInfo.InvariantCulture,
                        $"{topology.Scope} is healthy again after {(Now - begun).TotalSeconds:0.0} s; {health.Leader} is the primary"
                    )
                    : string.Create(
                        CultureInfo.InvariantCulture,
                        $"{topology.Scope} is not healthy {(Now - since).TotalSeconds:0} s after the fault was undone: "
                            + $"{string.Join("; ", problems)}"
                    )
            );
            await ended.CancelAsync().ConfigureAwait(false);
            await writing.ConfigureAwait(false);
            var end = Now;
            var rows = await table.ReadAsync(s_patience, stop).ConfigureAwait(false);
            return DrillReport.Of(
                new DrillMeasurement
                {
                    Kind = kind,
                    Scope = topology.Scope,
                    Leader = leader,
                    Members = topology.Members.ToImmutableSortedDictionary(
                        member => member.Address,
                        member => member.Name,
                        StringComparer.Ordinal
                    ),
                    Synchronous = synchronous,
                    Begun = begun,
                    Made = made,
                    Undone = kind.Lasts() ? undone : null,
                    Whole = whole,
                    Problems = problems,
                    Ended = end,
                    Timeout = timeout,
                    Ways =
                    [
                        .. writers.Select(writer => new WayMeasurement(
                            writer.Way,
                            writer.Attempts,
                            rows is null ? null : rows.GetValueOrDefault(writer.Way.Name, [])
                        )),
                    ],
                }
            );
        }
        finally
        {
            await ended.CancelAsync().ConfigureAwait(false);
            await writing.ConfigureAwait(false);
        }
    }

    private async Task MakeAsync(DrillFault? fault, SwitchoverChoice choice, CancellationToken stop)
    {
        try
        {
            if (fault is null)
            {
                var handOver = await cluster.SwitchoverAsync(choice.Leader, choice.Candidate, stop).ConfigureAwait(false);
                if (handOver.Phases is { } phases)
                {
                    say(phases);
                }

                foreach (var trouble in handOver.Unpaused)
                {
                    say(trouble);
                }

                return;
            }

            // Not cancelled midway: an incomplete fault is always undone.
            var result = await group.RunAsync(choice.Leader, fault.Make, CancellationToken.None).ConfigureAwait(false);
            if (result.ExitCode != 0)
            {
                throw new ChangeFailedException(
                    $"{choice.Leader}: the fault could not be made: "
                        + $"{(result.Error.Trim() is { Length: > 0 } said ? said.Split('\n')[^1] : $"exit status {result.ExitCode}")}"
                );
            }
        }
        catch (ChangeFailedException exception)
        {
            throw new DiagnosticException(
                Diagnostic.Error(exception.Message, remedy: "the fault was undone; run kbr status", host: choice.Leader)
            );
        }
    }

    // Whatever happens: undone now, or soon by the timer.
    private async Task UndoAsync(DrillFault fault, string leader, TimeSpan timeout)
    {
        string trouble;
        try
        {
            var result = await group.RunAsync(leader, fault.Undo, CancellationToken.None).ConfigureAwait(false);
            trouble =
                result.ExitCode == 0 ? ""
                : result.Error.Trim() is { Length: > 0 } said ? said.Split('\n')[^1]
                : $"exit status {result.ExitCode}";
        }
        catch (HostException exception)
        {
            trouble = exception.Message;
        }

        if (trouble.Length > 0)
        {
            say(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{leader}: the fault could not be undone from here ({trouble}); the timer {DrillFault.Unit}.timer on "
                        + $"that host does it within {(timeout + s_slack).TotalSeconds:0} s of its beginning"
                )
            );
        }
    }

    private Task<bool> UntilAsync(Func<bool> condition, TimeSpan patience, CancellationToken stop) =>
        Poll.UntilAsync(() => Task.FromResult(condition()), holds => holds, new PollPace(s_poll, patience), group.Time, stop);
}
