using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Drill;

namespace KeyBuzz.Reconciler.Soak;

/// <summary>Writes through both front ends while it does what the plan says, one step after another; between two steps the cluster must be
/// healthy by <c>kbr status</c>.</summary>
/// <param name="lab">The lab.</param>
/// <param name="image">Another image for the members, or null.</param>
/// <param name="log">Receives the progress.</param>
internal sealed partial class SoakRun(SoakLab lab, string? image, Action<string> log)
{
    private static readonly TimeSpan s_gate = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan s_back = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(200);

    // Between two looks of kbr status, which asks every host.
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(1);

    private readonly long _started = Stopwatch.GetTimestamp();
    private ImmutableArray<DrillWriter> _writers = [];

    /// <summary>The kinds of steps that can be done here.</summary>
    public IEnumerable<SoakKind> Kinds => Enum.GetValues<SoakKind>().Where(kind => kind != SoakKind.Image || image is not null);

    private TimeSpan Now => Stopwatch.GetElapsedTime(_started);

    // Who acknowledged last leads: between steps the cluster is healthy, and both writers write.
    private Host Leader =>
        lab.Topology.Members.First(member =>
            member.Address
            == (
                _writers.Select(writer => writer.LastAcknowledged).MaxBy(attempt => attempt?.Acknowledged)?.Server
                ?? throw new SoakException("no write was acknowledged yet")
            )
        );

    private IReadOnlyList<Host> Replicas => [.. lab.Topology.Members.Where(member => member != Leader)];

    /// <summary>Runs it.</summary>
    /// <param name="seed">The seed, for the history.</param>
    /// <param name="synchronous">Whether commits wait for a standby, for the history.</param>
    /// <param name="steps">What to do.</param>
    /// <param name="time">After that time no further step is begun.</param>
    /// <param name="stop">Once cancelled, neither is one.</param>
    public async Task<SoakHistory> RunAsync(
        int seed,
        bool synchronous,
        ImmutableArray<SoakStep> steps,
        TimeSpan time,
        CancellationToken stop
    )
    {
        log("the cluster is brought to where the soak begins");
        await lab.ApplyAsync().ConfigureAwait(false);
        if (await GateAsync().ConfigureAwait(false) is { } trouble)
        {
            throw new SoakException("the soak does not begin: " + trouble);
        }

        var table = new DrillTable(
            lab.Topology,
            () => lab.Login(lab.Topology.Entry.Port, "kbr soak", DrillTable.TimeoutSeconds, DrillTable.TimeoutSeconds),
            TimeProvider.System
        );
        await table.CreateAsync(CancellationToken.None).ConfigureAwait(false);
        _writers =
        [
            .. DrillWay
                .Of(lab.Topology)
                .Select(way => new DrillWriter(
                    way,
                    () => lab.Login(way.Port, "kbr soak " + way.Name, DrillWriter.DeadlineSeconds, 30),
                    () => Now,
                    TimeProvider.System
                )),
        ];
        using var ended = new CancellationTokenSource();
        var writing = Task.WhenAll(_writers.Select(writer => writer.RunAsync(ended.Token)));
        var events = ImmutableArray.CreateBuilder<SoakEvent>();
        ImmutableDictionary<string, ImmutableHashSet<long>>? rows;
        TimeSpan end;
        try
        {
            await BackAsync(TimeSpan.Zero, null).ConfigureAwait(false);
            var begun = Now;
            foreach (var step in steps.TakeWhile(_ => Now - begun < time && !stop.IsCancellationRequested))
            {
                events.Add(await StepAsync(events.Count + 1, step).ConfigureAwait(false));
                if (events[^1].Trouble is not null)
                {
                    break;
                }
            }
        }
        finally
        {
            await ended.CancelAsync().ConfigureAwait(false);
            await writing.ConfigureAwait(false);
            end = Now;
            if (events.Any(one => one.Trouble is not null) || events.Count == 0)
            {
                await lab.HealAllAsync().ConfigureAwait(false);
            }

            rows = await table.ReadAsync(s_patience, CancellationToken.None).ConfigureAwait(false);
            await table.DropAsync(s_patience, CancellationToken.None).ConfigureAwait(false);
        }

        return new SoakHistory(
            seed,
            synchronous,
            [
                .. _writers.Select(writer => new WayMeasurement(
                    writer.Way,
                    writer.Attempts,
                    rows is null ? null : rows.GetValueOrDefault(writer.Way.Name, [])
                )),
            ],
            events.ToImmutable(),
            end
        );
    }

    private async Task<SoakEvent> StepAsync(int number, SoakStep step)
    {
        var begun = Now;
        var (kind, what) = ("", step.Kind.ToString());
        string? trouble;
        try
        {
            (kind, what, var act) = Describe(step);
            log(string.Create(CultureInfo.InvariantCulture, $"{begun.TotalSeconds, 7:0.0} s  {number, 2}  {what}"));
            await act().ConfigureAwait(false);
            trouble = await GateAsync().ConfigureAwait(false);
        }
        catch (SoakException exception)
        {
            trouble = exception.Message;
        }

        log(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{Now.TotalSeconds, 7:0.0} s      "
                    + $"{(trouble is null ? $"healthy after {(Now - begun).TotalSeconds:0.0} s" : "FAILED: " + trouble)}"
            )
        );
        return new SoakEvent(number, kind, what, begun, trouble is null ? Now : null, trouble);
    }

    private (string Kind, string What, Func<Task> Act) Describe(SoakStep step)
    {
        var member = step.OnLeader ? Leader : Replicas[step.Variant % Replicas.Count];
        var role = step.OnLeader ? "leader" : "replica";
        var proxy = lab.Topology.Proxies[step.Variant % lab.Topology.Proxies.Length];
        switch (step.Kind)
        {
            case SoakKind.WorkMem:
                return ("work_mem", "work_mem is changed", () =>
                    ApplyAsync(yaml => WorkMem().Replace(yaml, match => $"work_mem: {(match.Groups[1].Value == "8" ? 12 : 8)}MB"))
                );
            case SoakKind.MaxConnections:
                return ("max_connections", "max_connections is changed", () =>
                    ApplyAsync(yaml =>
                        MaxConnections().Match(yaml) is { Success: true } match
                            ? yaml.Replace(match.Value, "", StringComparison.Ordinal)
                            : yaml.Replace("\n  parameters:\n", "\n  parameters:\n    max_connections: 120\n", StringComparison.Ordinal)
                    )
                );
            case SoakKind.Image:
                var now = lab.Topology.Image.Reference;
                return ("image", "the members' image is changed", () =>
                    ApplyAsync(yaml =>
                        yaml.Replace($"  image: {now}\n", $"  image: {(now == image ? _firstImage : image)}\n", StringComparison.Ordinal)
                    )
                );
            case SoakKind.Password:
                return ("password", "the application's password is changed", async () =>
                {
                    lab.ChangePassword(Guid.NewGuid().ToString("N"));
                    await lab.ApplyAsync().ConfigureAwait(false);
                    lab.Settled();
                });
            case SoakKind.Switchover:
                return ("switchover", $"switchover away from {Leader.Name}", () => lab.MustAsync("switchover", "--auto-approve"));
            case SoakKind.KillPostmaster:
                return ("kill -9 of the postmaster", $"the postmaster of the primary {Leader.Name} is killed", () =>
                    FaultAsync(() => KillPostmasterAsync(Leader))
                );
            case SoakKind.KillContainer:
                return ($"container kill ({role})", $"the container of {member.Name}, a {role}, is killed", () =>
                    FaultAsync(() => lab.LabAsync("kill", member.Name, "patroni"))
                );
            case SoakKind.Cut:
                return ($"cut ({role})", $"{member.Name}, a {role}, is cut off from everything", () => CutAsync(member, step, []));
            case SoakKind.CutPeers:
                return ($"cut from its peers ({role})", $"{member.Name}, a {role}, is cut off from the other members", () =>
                    CutAsync(member, step, ["--peers"])
                );
            case SoakKind.Reboot:
                string[] how = step.Variant % 2 == 0 ? [] : ["--crash"];
                return (
                    $"{(how.Length == 0 ? "reboot" : "power loss")} ({role})",
                    $"{member.Name}, a {role}, {(how.Length == 0 ? "is rebooted" : "loses its power and boots")}",
                    () => FaultAsync(() => lab.LabAsync("reboot", [.. how, member.Name]))
                );
            case SoakKind.ProxyDown:
                return ("proxy host down", $"{proxy.Name} is turned off for {step.Seconds} s", async () =>
                {
                    await lab.LabAsync("off", proxy.Name).ConfigureAwait(false);
                    await Task.Delay(TimeSpan.FromSeconds(step.Seconds)).ConfigureAwait(false);
                    await lab.LabAsync("on", proxy.Name).ConfigureAwait(false);
                });
            case SoakKind.KillPooler:
                return ("PgBouncer kill", $"the PgBouncer of {proxy.Name} is killed", () =>
                    FaultAsync(() => lab.LabAsync("kill", proxy.Name, "pgbouncer"))
                );
            default:
                return TwoFaults(step.Variant % 3, proxy);
        }
    }

    // Never two members of three: where the first fault takes a member out of RAFT, the second one does not.
    private (string Kind, string What, Func<Task> Act) TwoFaults(int pair, Host proxy) =>
        pair switch
        {
            0 => (
                "two: postmaster, PgBouncer",
                $"the postmaster of the primary {Leader.Name} is killed, and the PgBouncer of {proxy.Name}",
                () =>
                    FaultAsync(async () =>
                    {
                        await KillPostmasterAsync(Leader).ConfigureAwait(false);
                        await lab.LabAsync("kill", proxy.Name, "pgbouncer").ConfigureAwait(false);
                    })
            ),
            1 => (
                "two: container, next postmaster",
                $"the container of the primary {Leader.Name} is killed, then the postmaster of the next primary",
                async () =>
                {
                    await FaultAsync(() => lab.LabAsync("kill", Leader.Name, "patroni")).ConfigureAwait(false);
                    await FaultAsync(() => KillPostmasterAsync(Leader)).ConfigureAwait(false);
                }
            ),
            _ => (
                "two: cut, HAProxy",
                $"the primary {Leader.Name} is cut off from everything, then the HAProxy of {proxy.Name} is killed",
                async () =>
                {
                    var cut = Leader;
                    await lab.LabAsync("cut", cut.Name).ConfigureAwait(false);
                    await BackAsync(Now, cut.Address).ConfigureAwait(false);
                    await FaultAsync(() => lab.LabAsync("kill", proxy.Name, "haproxy")).ConfigureAwait(false);
                    await lab.LabAsync("heal", cut.Name).ConfigureAwait(false);
                }
            ),
        };

    private readonly string _firstImage = lab.Topology.Image.Reference;

    private async Task ApplyAsync(Func<string, string> edit)
    {
        lab.Edit(edit);
        await lab.ApplyAsync().ConfigureAwait(false);
        lab.Settled();
    }

    private Task KillPostmasterAsync(Host member) =>
        lab.LabAsync(
            "ssh",
            member.Name,
            $"docker exec patroni sh -c 'kill -9 $(head -n 1 {lab.Topology.Directories.DataDirectory}/postmaster.pid)'"
        );

    private async Task FaultAsync(Func<Task> fault)
    {
        await fault().ConfigureAwait(false);
        await BackAsync(Now, null).ConfigureAwait(false);
    }

    // A leader until another one is acknowledged, a replica for a while.
    private async Task CutAsync(Host member, SoakStep step, string[] how)
    {
        await lab.LabAsync("cut", [member.Name, .. how]).ConfigureAwait(false);
        if (step.OnLeader)
        {
            await BackAsync(Now, member.Address).ConfigureAwait(false);
        }
        else
        {
            await Task.Delay(TimeSpan.FromSeconds(step.Seconds)).ConfigureAwait(false);
        }

        await lab.LabAsync("heal", member.Name).ConfigureAwait(false);
    }

    // Until each writer is acknowledged what it sent since, by another member than that.
    private async Task BackAsync(TimeSpan since, string? other)
    {
        var begun = Now;
        while (!_writers.All(writer => writer.LastAcknowledged is { } last && last.Sent >= since && last.Server != other))
        {
            if (Now - begun > s_back)
            {
                throw new SoakException(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"writes are not acknowledged again after {s_back.TotalSeconds:0} s: "
                            + $"{string.Join("; ", _writers.Select(writer => $"{writer.Way.Name}: {writer.Trouble}"))}"
                    )
                );
            }

            await Task.Delay(s_poll).ConfigureAwait(false);
        }
    }

    // Healthy by kbr's own word, and writes are acknowledged. Answers why not.
    private async Task<string?> GateAsync()
    {
        var begun = Now;
        while (true)
        {
            var status = await lab.KbrAsync("status").ConfigureAwait(false);
            if (status.ExitCode == 0)
            {
                break;
            }

            if (Now - begun > s_gate)
            {
                var wrong = status
                    .Output.Split('\n')
                    .Where(line =>
                        line.StartsWith("NOT OK", StringComparison.Ordinal) || line.StartsWith("unknown", StringComparison.Ordinal)
                    )
                    .Select(line => Spaces().Replace(line, " ").Trim())
                    .ToList();
                return string.Create(
                    CultureInfo.InvariantCulture,
                    $"not healthy after {s_gate.TotalSeconds:0} s: {(wrong.Count > 0 ? string.Join("; ", wrong) : status.Said)}"
                );
            }

            await Task.Delay(s_pause).ConfigureAwait(false);
        }

        if (!_writers.IsEmpty)
        {
            await BackAsync(Now, null).ConfigureAwait(false);
        }

        return null;
    }

    [GeneratedRegex(@"work_mem: (\d+)MB")]
    private static partial Regex WorkMem();

    [GeneratedRegex(@"    max_connections: \d+\n")]
    private static partial Regex MaxConnections();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
