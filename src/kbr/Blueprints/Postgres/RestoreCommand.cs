using System.Collections.Immutable;
using System.CommandLine;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.PostgresHa.Restore;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr restore</c>: takes the database back to an earlier point, with a look before and a way back after.</summary>
internal static class RestoreCommand
{
    private const string Word = "restore";

    public static Command Create(SessionContext context)
    {
        var to = new Option<string>("--to")
        {
            Description = "The point: a time with its zone (2026-11-28 21:10:00+01), an LSN, the name of a restore point, or latest.",
            HelpName = "POINT",
        };
        var on = new Option<string>("--on") { Description = "The member that it is restored on; default: the primary." };
        var copy = new Option<bool>("--copy")
        {
            Description = "Only a copy to look at, which never takes the cluster's place; kbr restore undo removes it.",
        };
        var keepWrites = new Option<bool>("--keep-writes")
        {
            Description = "Let writes go on until the restored database takes over; they are lost then.",
        };
        var lost = Lost();
        var open = new Option<bool>("--open") { Description = "Let the restored database take over without a stop for a look." };
        var confirm = Confirm();
        var command = new Command(
            Word,
            "Restore the database to an earlier point beside the present one, let you look at it, and on the second call let it take over. "
                + "Without --to it goes on with a restore that has begun."
        )
        {
            to,
            on,
            copy,
            keepWrites,
            open,
            lost,
            confirm,
        }.With([.. context.Options.Hosts, context.Options.LockTimeout]);
        command.Subcommands.Add(CreateLook(context));
        command.Subcommands.Add(CreateUndo(context));
        command.Subcommands.Add(CreateConfirm(context));
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, abort) =>
            {
                var json = parsed.Read(context.Options.Json);
                var asked = new RestoreRequest(
                    parsed.Read(to) is { } text ? TargetOf(text) : null,
                    parsed.Read(on),
                    parsed.Read(copy),
                    parsed.Read(keepWrites)
                );
                ImmutableArray<string> named = [.. parsed.Read(lost) ?? []];
                var goesOn = parsed.Read(open);
                var given = parsed.Read(confirm);
                await MakeReadyAsync(context, parsed, terminal, asked, given, stop, abort).ConfigureAwait(false);
                var journal = await RunAsync(
                        context,
                        parsed,
                        terminal,
                        named,
                        (session, topology, run) => ForwardAsync(session, topology, run, terminal, asked, goesOn, given, json, stop),
                        stop
                    )
                    .ConfigureAwait(false);
                return await FinishAsync(context, parsed, terminal, journal, stop, abort).ConfigureAwait(false);
            }));
        return command;
    }

    private static Command CreateUndo(SessionContext context)
    {
        var confirm = Confirm();
        var lost = Lost();
        var command = new Command(
            "undo",
            "Give a restore up: remove the restored copy, or after it took over go back to the database that was there before."
        )
        {
            lost,
            confirm,
        }.With([.. context.Options.Hosts, context.Options.LockTimeout]);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, abort) =>
            {
                var json = parsed.Read(context.Options.Json);
                var given = parsed.Read(confirm);
                ImmutableArray<string> named = [.. parsed.Read(lost) ?? []];
                var journal = await RunAsync(
                        context,
                        parsed,
                        terminal,
                        named,
                        async (session, topology, run) =>
                        {
                            var found = Begun(topology, await run.JournalAsync(stop).ConfigureAwait(false));
                            run.RefuseWithoutFormer(found);
                            if (found.Phase is not (RestorePhase.Return or RestorePhase.Reopen or RestorePhase.Remove))
                            {
                                RestoreView.ShowUndo(terminal, topology.Scope, found, json);
                                Approval.AskForName(terminal, "restore undo", session.Cluster.Name, given, json, stop);
                            }

                            if (found.Phase is RestorePhase.Prepare or RestorePhase.Look or RestorePhase.Remove)
                            {
                                await run.RemoveAsync(found, stop).ConfigureAwait(false);
                                return null;
                            }

                            if (found.Phase == RestorePhase.Reopen)
                            {
                                return found;
                            }

                            await RefuseAliveAsync(session, topology, run, found, stop).ConfigureAwait(false);
                            return await run.ReturnAsync(found, CancellationToken.None).ConfigureAwait(false);
                        },
                        stop
                    )
                    .ConfigureAwait(false);
                return await FinishAsync(context, parsed, terminal, journal, stop, abort).ConfigureAwait(false);
            }));
        return command;
    }

    private static Command CreateConfirm(SessionContext context)
    {
        var confirm = Confirm();
        var command = new Command("confirm", "Remove the database that a restore replaced. There is no way back after it.")
        {
            confirm,
        }.With([.. context.Options.Hosts, context.Options.LockTimeout]);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, abort) =>
            {
                var json = parsed.Read(context.Options.Json);
                var given = parsed.Read(confirm);
                await RunAsync(
                        context,
                        parsed,
                        terminal,
                        named: null,
                        async (session, topology, run) =>
                        {
                            var found = Begun(topology, await run.JournalAsync(stop).ConfigureAwait(false));
                            if (found.Phase is not (RestorePhase.Kept or RestorePhase.Remove))
                            {
                                throw new DiagnosticException(
                                    Diagnostic.Error(
                                        $"the restore of {topology.Scope} is not complete: {found.Text}",
                                        remedy: "run kbr restore, which goes on with it"
                                    )
                                );
                            }

                            RestoreView.ShowConfirm(terminal, topology.Scope, found, json);
                            Approval.AskForName(terminal, "restore confirm", session.Cluster.Name, given, json, stop);
                            await run.RemoveAsync(found, stop).ConfigureAwait(false);
                            return null;
                        },
                        stop
                    )
                    .ConfigureAwait(false);
                return await FinishAsync(context, parsed, terminal, null, stop, abort).ConfigureAwait(false);
            }));
        return command;
    }

    private static Command CreateLook(SessionContext context)
    {
        var arguments = new Argument<string[]>("psql-arguments")
        {
            Description = "Passed to psql, after '--', for example: -- -c 'SELECT 1'.",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var command = new Command("look", "Open psql as the superuser on the restored database that runs apart. Exits with its exit code.")
        {
            arguments,
        }.With(context.Options.Hosts);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var words = parsed.Read(arguments) ?? [];
                await using var session = context.Open(parsed, terminal);
                var topology = SwitchoverCommand.Topology(session, Word);
                var answers = await session
                    .Fleet.ReadAsync(topology.Members, _ => [RestoreJournal.Read(topology.Scope)], stop)
                    .ConfigureAwait(false);
                var journal = Begun(
                    topology,
                    RestoreJournal.Of(topology.Scope, answers.Values.Select(one => one.Snapshot).OfType<Snapshot>())
                );
                if (journal.Phase != RestorePhase.Look)
                {
                    throw new DiagnosticException(
                        Diagnostic.Error($"there is no restored database to look at: {journal.Text}", remedy: "run kbr restore")
                    );
                }

                var member = topology.Members.First(host => host.Name == journal.Member);
                var isTerminal = !Console.IsInputRedirected && !Console.IsOutputRedirected;
                terminal.IsAsking = true;
                var psql = await ConnectCommand
                    .OverSshAsync(
                        session,
                        member,
                        isTerminal,
                        [.. RestoreRun.PsqlApart(topology, isTerminal, topology.ApplicationDatabase.Name), .. words]
                    )
                    .ConfigureAwait(false);
                using var process = ConnectCommand.Start(psql, out var trouble)
                    ?? throw new DiagnosticException(Diagnostic.Error($"ssh cannot be started on this machine: {trouble}"));
                await process.WaitForExitAsync(CancellationToken.None).ConfigureAwait(false);
                return process.ExitCode;
            }));
        return command;
    }

    private static Option<string[]> Lost() =>
        new("--lost")
        {
            Description =
                "A member whose host does not answer, and that you have turned off or cut off for good: the restore leaves it out.",
        };

    private static Option<string> Confirm() => new("--confirm") { Description = "The cluster's name, which confirms without a question." };

    private static RestoreTarget TargetOf(string text) =>
        RestoreTarget.Parse(text)
        ?? throw new DiagnosticException(
            Diagnostic.Error(
                $"--to does not understand '{text}'",
                remedy: "write a time with its zone, as in '2026-11-28 21:10:00+01' or 2026-11-28T20:10:00Z, an LSN as in 0/3000060, the "
                    + "name of a restore point, or latest"
            )
        );

    private static RestoreJournal Begun(PostgresTopology topology, RestoreJournal? journal) =>
        journal
        ?? throw new DiagnosticException(
            Diagnostic.Error($"there is no restore of {topology.Scope}", remedy: "kbr restore --to POINT begins one")
        );

    // On new hosts there is no image yet to restore with, nor a volume to restore to.
    private static async Task MakeReadyAsync(
        SessionContext context,
        ParseResult parsed,
        Terminal terminal,
        RestoreRequest asked,
        string? given,
        CancellationToken stop,
        CancellationToken abort
    )
    {
        if (asked.Target is null)
        {
            return;
        }

        string[] needed;
        await using (var session = context.Open(parsed, terminal))
        {
            var topology = Backed(session);
            await FenceCommand.RefuseWhileFencedAsync(session, topology, Word, stop).ConfigureAwait(false);
            var member = asked.Member ?? topology.FirstLeader;
            var container = new Providers.Docker.ContainerRead(PostgresTopology.PatroniContainer);
            var answers = await session.Fleet.ReadAsync(topology.Members, _ => [container], stop).ConfigureAwait(false);
            if (answers.Values.Any(answer => answer.Snapshot is null || answer.Snapshot.Get(container).Status != 404))
            {
                return;
            }

            if (!parsed.Read(context.Options.Json))
            {
                terminal.Line(
                    $"No member of {topology.Scope} has a database. What {member} needs is made first, and empty devices are formatted."
                );
            }

            Approval.AskForName(terminal, Word, session.Cluster.Name, given, parsed.Read(context.Options.Json), stop);
            needed = [$"config_file.*@{member}", .. topology.Members.Select(each => $"volume.*@{each.Name}")];
        }

        if (await ApplyCommand.ConvergeAsync(context, parsed, terminal, Word, needed, stop, abort).ConfigureAwait(false) != ExitCode.Done)
        {
            throw new DiagnosticException(Diagnostic.Error("the hosts could not be made ready for a restore; nothing was restored"));
        }
    }

    private static PostgresTopology Backed(Session session)
    {
        var topology = SwitchoverCommand.Topology(session, Word);
        if (topology.Store.Service is not null)
        {
            // It would keep the state of the database before.
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"kbr restores no cluster with the consensus store {topology.Store.Kind.Name} yet",
                    remedy: "kbr backups prove restores a backup beside the cluster, and checks it"
                )
            );
        }

        return topology.Backup is null
            ? throw new DiagnosticException(
                Diagnostic.Error(
                    $"{session.Cluster.File} has no postgres.backup, so there is nothing to restore from",
                    remedy: "docs/backups.md has how to set it up"
                )
            )
            : topology;
    }

    // Under the locks of all members but those that are lost.
    private static async Task<RestoreJournal?> RunAsync(
        SessionContext context,
        ParseResult parsed,
        Terminal terminal,
        ImmutableArray<string>? named,
        Func<Session, PostgresTopology, RestoreRun, Task<RestoreJournal?>> body,
        CancellationToken stop
    )
    {
        var json = parsed.Read(context.Options.Json);
        await using var session = context.Open(parsed, terminal);
        var topology = Backed(session);
        var answers = await session
            .Fleet.ReadAsync(topology.Members, _ => [RestoreJournal.Read(topology.Scope)], stop)
            .ConfigureAwait(false);
        var left = RestoreWithout.Of(
            topology,
            RestoreJournal.Of(topology.Scope, answers.Values.Select(one => one.Snapshot).OfType<Snapshot>()),
            named,
            [.. answers.Where(one => one.Value.Snapshot is null).Select(one => (one.Key, one.Value.Error))]
        );
        await using var group = await LockedGroup
            .TakeAsync(
                session.Fleet,
                [.. topology.Members.Where(member => !left.Contains(member.Name))],
                [],
                [],
                session.Holder(Word),
                session.Time,
                stop
            )
            .ConfigureAwait(false);
        var run = new RestoreRun(
            topology,
            SwitchoverCommand.Running(session, topology, group),
            group,
            json ? text => terminal.ErrorLine(text) : text => terminal.Line(text)
        )
        {
            Lost = left,
            RenewPassword = () => RenewPasswordAsync(context, parsed, session, topology),
        };
        try
        {
            var journal = await body(session, topology, run).ConfigureAwait(false);
            if (parsed.Read(context.Options.Verbose))
            {
                session.ShowCost(terminal);
            }

            return journal;
        }
        catch (ChangeFailedException exception)
        {
            throw new DiagnosticException(Diagnostic.Error(exception.Message, remedy: "run kbr restore, which goes on"));
        }
    }

    private static async Task<RestoreJournal?> ForwardAsync(
        Session session,
        PostgresTopology topology,
        RestoreRun run,
        Terminal terminal,
        RestoreRequest asked,
        bool goesOn,
        string? given,
        bool json,
        CancellationToken stop
    )
    {
        var journal = await run.JournalAsync(stop).ConfigureAwait(false);
        if (
            journal is not null
            && asked.Target is not null
            && (asked.Target.Word, asked.Member ?? journal.Member) != (journal.Target, journal.Member)
        )
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"a restore of {topology.Scope} to {RestoreTarget.Parse(journal.Target)!.Label} has begun: {journal.Text}",
                    remedy: "kbr restore goes on with it, kbr restore undo gives it up, kbr restore confirm ends it"
                )
            );
        }

        if (journal is null)
        {
            await RestoreWithout.RefuseAliveAsync(session, topology, run.Lost, stop).ConfigureAwait(false);
            (journal, var sizes) = await NewAsync(session, topology, run, asked, stop).ConfigureAwait(false);
            RestoreView.ShowPlan(terminal, topology, journal, sizes, session.Time.GetUtcNow(), json);
            if (!journal.IsCopy)
            {
                Approval.AskForName(terminal, Word, session.Cluster.Name, given, json, stop);
            }
        }

        if (journal.Phase == RestorePhase.Prepare)
        {
            journal = await run.PrepareAsync(journal, stop).ConfigureAwait(false);
            if (!goesOn || journal.IsCopy)
            {
                return journal;
            }
        }
        else if (journal.Phase == RestorePhase.Look && asked.Target is null && !journal.IsCopy)
        {
            RestoreView.ShowTakeover(terminal, topology.Scope, journal, json);
            Approval.AskForName(terminal, Word, session.Cluster.Name, given, json, stop);
        }
        else if (journal.Phase == RestorePhase.Look && (!goesOn || journal.IsCopy))
        {
            return journal;
        }

        if (journal.Phase is RestorePhase.Look or RestorePhase.Exchange or RestorePhase.Return)
        {
            await RefuseAliveAsync(session, topology, run, journal, stop).ConfigureAwait(false);
        }

        // From here on the cluster is down until all of it is done, so an interruption waits.
        return journal.Phase switch
        {
            RestorePhase.Look or RestorePhase.Exchange => await run.ExchangeAsync(journal, CancellationToken.None).ConfigureAwait(false),
            RestorePhase.Return => await run.ReturnAsync(journal, CancellationToken.None).ConfigureAwait(false),
            RestorePhase.Remove => await RemovedAsync(run, journal, stop).ConfigureAwait(false),
            _ => journal,
        };
    }

    // One that is fenced already may do what it wants.
    private static Task RefuseAliveAsync(
        Session session,
        PostgresTopology topology,
        RestoreRun run,
        RestoreJournal journal,
        CancellationToken stop
    )
    {
        ImmutableArray<string> fenced = journal.IsExchanging || journal.IsOpeningWithout ? journal.Lost : [];
        return RestoreWithout.RefuseAliveAsync(session, topology, run.Lost.RemoveAll(fenced.Contains), stop);
    }

    private static async Task RenewPasswordAsync(SessionContext context, ParseResult parsed, Session session, PostgresTopology topology)
    {
        var run = RestoreWithout.RunOf(session, topology);
        var reads = run.MemberReads([]);
        var members = await session.Fleet.ReadAsync(topology.Members, _ => reads, CancellationToken.None).ConfigureAwait(false);
        RecoverCommand.RenewPassword(context, parsed, topology, run.MayHaveNewPassword(members));
    }

    private static async Task<RestoreJournal?> RemovedAsync(RestoreRun run, RestoreJournal journal, CancellationToken stop)
    {
        await run.RemoveAsync(journal, stop).ConfigureAwait(false);
        return null;
    }

    private static async Task<(RestoreJournal Journal, ImmutableSortedDictionary<string, (long Used, long Free)> Sizes)> NewAsync(
        Session session,
        PostgresTopology topology,
        RestoreRun run,
        RestoreRequest asked,
        CancellationToken stop
    )
    {
        if (asked.Target is not { } target)
        {
            throw new DiagnosticException(
                Diagnostic.Error($"there is no restore of {topology.Scope} to go on with", remedy: "kbr restore --to POINT begins one")
            );
        }

        if (target.Time > session.Time.GetUtcNow())
        {
            throw new DiagnosticException(
                Diagnostic.Error($"{target.Label} has not come yet", detail: $"it is {RestoreTarget.At(session.Time.GetUtcNow()).Label}")
            );
        }

        if (asked.Member is { } named && topology.Members.All(member => member.Name != named))
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"'{named}' is not a member of {topology.Scope}",
                    remedy: $"members are {string.Join(", ", topology.Members.Select(member => member.Name))}"
                )
            );
        }

        var backups = await run.BackupsAsync(stop).ConfigureAwait(false);
        RefuseOutside(topology, target, backups);
        if (asked.Member is { } wanted && run.Lost.Contains(wanted))
        {
            throw new DiagnosticException(Diagnostic.Error($"{wanted} is lost, so nothing can be restored there"));
        }

        // The lost one may have led until just now.
        var leader = await run.LeaderAsync(run.Lost.IsEmpty ? TimeSpan.Zero : topology.Times.WorstCase, stop).ConfigureAwait(false);
        var sizes = await run.SizesAsync(stop).ConfigureAwait(false);
        var holders = sizes.Where(one => one.Value.Used > 0).Select(one => one.Key).ToList();
        var member = asked.Member
            ?? leader
            ?? (run.Lost.Contains(topology.FirstLeader) ? holders.FirstOrDefault() ?? sizes.First().Key : topology.FirstLeader);
        var journal = new RestoreJournal(
            RestoreJournal.IdOf(session.Time.GetUtcNow()),
            target.Word,
            member,
            leader ?? (holders.Contains(member) ? member : holders.FirstOrDefault()),
            RestorePhase.Prepare
        )
        {
            IsCopy = asked.IsCopy,
            KeepsWrites = asked.KeepsWrites,
            Lost = run.Lost,
        };
        RefuseWithoutRoom(topology, journal, sizes, backups);
        return (journal, sizes);
    }

    private static void RefuseOutside(PostgresTopology topology, RestoreTarget target, BackupLook look)
    {
        if (look.Report is not { } report)
        {
            // On hosts without a container of the cluster's the restore itself asks.
            return;
        }

        var windows = report.Repositories.Keys.Select(look.WindowOf).OfType<RestorableWindow>().ToList();
        if (windows.Count == 0)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"there is no backup of {topology.Scope} to restore",
                    detail: string.Join('\n', report.Repositories.Keys.SelectMany(number => look.TroublesOf(number))),
                    remedy: "run kbr backups to see the repositories"
                )
            );
        }

        if (target.Time is { } time && windows.TrueForAll(window => time < window.From))
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{target.Label} is before the first backup of {topology.Scope}",
                    detail: $"it is {windows.MinBy(window => window.From)!.InWords}"
                )
            );
        }
    }

    // Each member keeps its present database beside the restored one.
    private static void RefuseWithoutRoom(
        PostgresTopology topology,
        RestoreJournal journal,
        ImmutableSortedDictionary<string, (long Used, long Free)> sizes,
        BackupLook look
    )
    {
        var needed = RestoreRoom.Needed(sizes, look.Report, RestoreTarget.Parse(journal.Target)!);
        var full = RestoreRoom.MembersWithout(journal, sizes, needed);
        if (!full.IsEmpty)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"there is no room for a second database of {topology.Scope}: {BackupWords.Size(needed)} are needed",
                    detail: string.Join('\n', full.Select(member => $"{member}: {BackupWords.Size(sizes[member].Free)} free")),
                    remedy: "grow the volumes, or free space on them; the former database is kept until kbr restore confirm"
                )
            );
        }
    }

    private static async Task<int> FinishAsync(
        SessionContext context,
        ParseResult parsed,
        Terminal terminal,
        RestoreJournal? journal,
        CancellationToken stop,
        CancellationToken abort
    )
    {
        var json = parsed.Read(context.Options.Json);
        var exit = ExitCode.Done;
        var left = journal?.Lost ?? [];
        if (journal?.Phase is RestorePhase.Open or RestorePhase.Reopen)
        {
            exit = await StartAsync(context, parsed, terminal, journal, stop, abort).ConfigureAwait(false);
            if (exit == ExitCode.Done)
            {
                var opened = journal;
                journal = await RunAsync(
                        context,
                        parsed,
                        terminal,
                        named: null,
                        async (_, _, run) =>
                            opened is { Phase: RestorePhase.Open, Former: not null }
                                ? await run.BeginAsync(opened, RestorePhase.Kept, stop).ConfigureAwait(false)
                                : await RemovedAsync(run, opened, stop).ConfigureAwait(false),
                        stop
                    )
                    .ConfigureAwait(false);
            }
        }

        RestoreView.ShowEnd(terminal, journal, left, json);
        return exit;
    }

    // The proxies come first: no session reaches a lost member when it comes back.
    private static async Task<int> StartAsync(
        SessionContext context,
        ParseResult parsed,
        Terminal terminal,
        RestoreJournal journal,
        CancellationToken stop,
        CancellationToken abort
    )
    {
        if (!journal.IsOpeningWithout)
        {
            return await ApplyCommand.ConvergeAsync(context, parsed, terminal, Word, [], stop, abort).ConfigureAwait(false);
        }

        var first = journal.Phase == RestorePhase.Reopen ? journal.Former! : journal.Member;
        var part = context.With(new PostgresBlueprint(context.Time) { Part = whole => whole.Without(journal.Lost, first) });
        var topology = part.Load(parsed, terminal).Model<PostgresTopology>()!;
        foreach (
            string[] targets in new[]
            {
                [.. topology.Proxies.Select(proxy => $"config_file.haproxy@{proxy.Name}")],
                (string[])[.. topology.Members.Select(member => $"*@{member.Name}"), $"*@{topology.Scope}"],
            }
        )
        {
            if (
                await ApplyCommand.ConvergeAsync(part, parsed, terminal, Word, targets, stop, abort).ConfigureAwait(false) is var exit
                && exit != ExitCode.Done
            )
            {
                return exit;
            }
        }

        return ExitCode.Done;
    }

    private sealed record RestoreRequest(RestoreTarget? Target, string? Member, bool IsCopy, bool KeepsWrites);
}
