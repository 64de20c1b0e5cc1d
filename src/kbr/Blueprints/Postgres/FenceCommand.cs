using System.CommandLine;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Fencing;
using KeyBuzz.Reconciler.PostgresHa.Recovery;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr fence</c> and <c>kbr unfence</c>: a member that must not serve while somebody looks at it.</summary>
internal static class FenceCommand
{
    private const string Word = "fence";
    private const string Undo = "unfence";
    private const string Unit = PostgresTopology.PatroniContainer + ".service";

    public static Command Create(SessionContext context)
    {
        var name = new Argument<string>("MEMBER") { Description = "The member to take out of service." };
        var reason = new Option<string>("--reason") { Description = "Why; plan and status show it." };
        var approve = new Option<bool>("--auto-approve") { Description = "Do not ask for confirmation." };
        var command = new Command(
            Word,
            "Take a member out of service: it hands the lead over, and is stopped until kbr unfence. Its data stays as it is. Refused when "
                + "the others could not do without it. Exit 0 fenced, 1 otherwise."
        )
        {
            name,
            reason,
            approve,
        }.With([.. context.Options.Hosts, context.Options.LockTimeout]);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                var wanted = parsed.Read(name)!;
                var why = parsed.Read(reason);
                var approved = parsed.Read(approve);
                if (why?.Length > FenceMark.MostReason)
                {
                    throw new DiagnosticException(Diagnostic.Error($"--reason has more than {FenceMark.MostReason} characters"));
                }

                await using var session = context.Open(parsed, terminal);
                var topology = SwitchoverCommand.Topology(session, Word);
                List<string> names = [.. topology.Members.Select(member => member.Name)];
                FenceChoice.RefuseStranger(topology.Scope, names, wanted);
                var (health, snapshots) = await ReadAsync(session, topology, stop).ConfigureAwait(false);
                var choice = FenceChoice.Of(topology.Scope, health, names, wanted);
                if (choice.IsDone)
                {
                    var found = FenceMark.On(snapshots[wanted])!;
                    terminal.Line(
                        json
                            ? FenceView.Document(topology.Scope, wanted, found, null, TimeSpan.Zero)
                            : $"{wanted} is {found.Text} already; nothing was changed"
                    );
                    return ExitCode.Done;
                }

                if (!json)
                {
                    FenceView.ShowPlan(terminal, topology.Scope, wanted, choice.Heir);
                }

                if (!approved)
                {
                    Approval.Ask(terminal, Word, json, stop);
                }

                var begun = session.Time.GetTimestamp();
                await using var group = await SwitchoverCommand.LockAsync(session, topology, [], Word, stop).ConfigureAwait(false);
                var cluster = SwitchoverCommand.Running(session, topology, group);
                // Somebody else may have held them until now.
                var now = await cluster.LookAsync(stop).ConfigureAwait(false);
                var again = FenceChoice.Again(topology.Scope, health, now, names, wanted);
                if (again.Heir is { } heir)
                {
                    await HandOverAsync(terminal, json, topology, cluster, wanted, heir, stop).ConfigureAwait(false);
                }

                var holder = session.Holder(Word);
                var mark = new FenceMark(session.Time.GetUtcNow(), $"{holder.User}@{holder.Machine}", why);
                await RunAsync(group, wanted, mark.Set(Unit, PostgresTopology.PatroniContainer), Word).ConfigureAwait(false);
                var after = await cluster.WaitHealthyAsync(topology.Health.GateTimeout, stop).ConfigureAwait(false);
                if (!after.IsHealthy)
                {
                    throw new DiagnosticException(
                        Diagnostic.Error(
                            $"{wanted} is fenced, but the others are not healthy: {string.Join("; ", after.Problems)}",
                            remedy: $"run kbr status; kbr unfence {wanted} brings it back"
                        )
                    );
                }

                var elapsed = session.Time.GetElapsedTime(begun);
                var set = after.Fenced.GetValueOrDefault(wanted) ?? mark;
                if (json)
                {
                    terminal.Line(FenceView.Document(topology.Scope, wanted, set, again.Heir, elapsed));
                }
                else
                {
                    FenceView.Show(terminal, $"{wanted} is {set.Text}; its data stays as it is", elapsed);
                }

                return ExitCode.Done;
            }));
        return command;
    }

    public static Command CreateUndo(SessionContext context)
    {
        var name = new Argument<string>("MEMBER") { Description = "The member to bring back." };
        var command = new Command(
            Undo,
            "Bring a fenced member back: it is started, and follows the primary. Ends when it streams and the cluster is healthy. "
                + "Exit 0 back, 1 otherwise."
        )
        {
            name,
        }.With([.. context.Options.Hosts, context.Options.LockTimeout]);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                var wanted = parsed.Read(name)!;
                await using var session = context.Open(parsed, terminal);
                var topology = SwitchoverCommand.Topology(session, Undo);
                FenceChoice.RefuseStranger(topology.Scope, [.. topology.Members.Select(member => member.Name)], wanted);
                var (choice, read) = await ChooseAsync().ConfigureAwait(false);
                var begun = session.Time.GetTimestamp();
                if (choice.Starts)
                {
                    // Where others are down for good, the member may be what gives the cluster its quorum back.
                    var part = topology with { Members = topology.Members.RemoveAll(member => !read.Contains(member.Name)) };
                    await using var group = await SwitchoverCommand.LockAsync(session, part, [], Undo, stop).ConfigureAwait(false);
                    // Somebody else may have held them until now.
                    choice = (await ChooseAsync().ConfigureAwait(false)).Choice;
                    await RunAsync(group, wanted, FenceMark.Clear(Unit, PostgresTopology.PatroniContainer), Undo).ConfigureAwait(false);
                    var cluster = SwitchoverCommand.Running(session, topology, group);
                    var after = await cluster.WaitHealthyAsync(topology.Health.GateTimeout, stop).ConfigureAwait(false);
                    if (!after.IsHealthy)
                    {
                        throw new DiagnosticException(
                            Diagnostic.Error(
                                $"{wanted} is not fenced any more, but {topology.Scope} is not healthy after "
                                    + $"{topology.Health.GateTimeout.TotalSeconds:0} s: {string.Join("; ", after.Problems)}",
                                remedy: "run kbr status; where the primary has no WAL for it any more, patronictl reinit makes it anew"
                            )
                        );
                    }
                }

                var elapsed = session.Time.GetElapsedTime(begun);
                if (json)
                {
                    terminal.Line(FenceView.Document(topology.Scope, wanted, null, null, elapsed));
                }
                else if (choice.Starts)
                {
                    FenceView.Show(terminal, $"{wanted} is back, and streams", elapsed);
                }
                else
                {
                    terminal.Line($"{wanted} is not fenced; nothing was changed");
                }

                return ExitCode.Done;

                async Task<(UnfenceChoice Choice, HashSet<string> Read)> ChooseAsync()
                {
                    var policy = session.Cluster.Policies.First(one => one.Group == topology.Scope);
                    var run = new RecoveryRun(topology, policy);
                    List<Read> reads = [.. run.MemberReads([]), .. UnfenceChoice.Reads(topology.Scope)];
                    var answers = await session.Fleet.ReadAsync(topology.Members, _ => reads, stop).ConfigureAwait(false);
                    var snapshots = SnapshotsOf(answers);
                    return (UnfenceChoice.Of(topology.Scope, snapshots, run.Verdict(answers), wanted), [.. snapshots.Keys]);
                }
            }));
        return command;
    }

    /// <summary>Refuses what needs every member while one is fenced.</summary>
    /// <param name="session">The session.</param>
    /// <param name="topology">The cluster.</param>
    /// <param name="word">The command.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task RefuseWhileFencedAsync(
        Session session,
        PostgresTopology topology,
        string word,
        CancellationToken cancellationToken
    )
    {
        var answers = await session.Fleet.ReadAsync(topology.Members, _ => [FenceMark.Read], cancellationToken).ConfigureAwait(false);
        foreach (var (member, answer) in answers)
        {
            if (answer.Snapshot is { } snapshot && FenceMark.On(snapshot) is { } mark)
            {
                throw new DiagnosticException(
                    Diagnostic.Error($"{member} is {mark.Text}; nothing was changed", remedy: $"run kbr unfence {member} before kbr {word}")
                );
            }
        }
    }

    private static async Task<(PatroniHealth Health, Dictionary<string, Snapshot> Snapshots)> ReadAsync(
        Session session,
        PostgresTopology topology,
        CancellationToken cancellationToken
    )
    {
        var answers = await session
            .Fleet.ReadAsync(topology.Members, _ => PatroniHealth.Reads(topology.Ports.Rest), cancellationToken)
            .ConfigureAwait(false);
        var snapshots = SnapshotsOf(answers);
        return (
            PatroniHealth.Judge(topology.Ports.Rest, snapshots, topology.Members.Select(member => member.Name), topology.Health.MaxLag),
            snapshots
        );
    }

    private static Dictionary<string, Snapshot> SnapshotsOf(IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)> answers) =>
        answers
            .Where(pair => pair.Value.Snapshot is not null)
            .ToDictionary(pair => pair.Key, pair => pair.Value.Snapshot!, StringComparer.Ordinal);

    // As kbr switchover does it; what is fenced then is a replica.
    private static async Task HandOverAsync(
        Terminal terminal,
        bool json,
        PostgresTopology topology,
        RunningCluster cluster,
        string member,
        string heir,
        CancellationToken cancellationToken
    )
    {
        try
        {
            var made = await cluster.SwitchoverAsync(member, heir, cancellationToken).ConfigureAwait(false);
            if (!json)
            {
                SwitchoverView.ShowNotes(terminal, made);
            }
        }
        catch (ChangeFailedException exception)
        {
            throw new DiagnosticException(Diagnostic.Error(exception.Message, remedy: "run kbr status to see the primary"));
        }

        var health = await cluster.WaitHealthyAsync(topology.Health.GateTimeout, cancellationToken).ConfigureAwait(false);
        if (!health.IsHealthy || health.Leader == member)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"the lead was handed over, but {topology.Scope} is not healthy: {string.Join("; ", health.Problems)}; {member} is not "
                        + "fenced",
                    remedy: "run kbr status, then the same command again"
                )
            );
        }
    }

    // Not cancelled midway.
    private static async Task RunAsync(LockedGroup group, string member, Script script, string word)
    {
        var result = await group.RunAsync(member, script, CancellationToken.None).ConfigureAwait(false);
        if (result.ExitCode != 0)
        {
            string[] said = result.Error.Trim().Split('\n', 2);
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{member}: {said[0]}",
                    detail: said.Length > 1 ? said[1] : null,
                    remedy: $"kbr logs patroni@{member} has its log; run kbr {word} {member} again",
                    host: member
                )
            );
        }
    }
}
