using System.Collections.Immutable;
using System.CommandLine;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Recovery;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr recover</c>: lets what is left of a cluster without a majority go on, from one member.</summary>
internal static class RecoverCommand
{
    private const string Word = "recover";
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(2);

    public static Command Create(SessionContext context)
    {
        var lost = new Option<string[]>("--lost")
        {
            Description = "A host that does not answer, and that you have turned off or cut off for good: it must not come back meanwhile.",
        };
        var from = new Option<string>("--from")
        {
            Description = "The member to recover from; default: the furthest, by timeline, then LSN.",
            HelpName = ValueNames.Host,
        };
        var approve = new Option<bool>("--auto-approve") { Description = "Do not ask for confirmation." };
        var confirm = new Option<string>("--confirm") { Description = "The cluster's name, which confirms without a question." };
        var command = new Command(
            Word,
            "After the majority was lost: let one surviving member go on alone as the primary, keep the others out, and open writes. "
                + "kbr apply then rebuilds the others."
        )
        {
            lost,
            from,
            approve,
            confirm,
        }.With([.. context.Options.Hosts, context.Options.LockTimeout]);
        command.Subcommands.Add(CreateConfirm(context));
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, abort) =>
            {
                var json = parsed.Read(context.Options.Json);
                var given = parsed.Read(confirm);
                var approved = parsed.Read(approve);
                var request = new RecoveryRequest([.. parsed.Read(lost) ?? []], parsed.Read(from));
                var (topology, choice, journal) = await StopAsync(context, parsed, terminal, request, given, approved, json, stop)
                    .ConfigureAwait(false);
                var alone = context.With(new PostgresBlueprint(context.Time) { Part = whole => whole.Alone(choice.Survivor.Name) });
                // From here on an interruption waits: the members are stopped. The proxies come first: no session reaches another member.
                string[] proxies =
                [
                    .. topology
                        .Proxies.Where(proxy => !request.Lost.Contains(proxy.Name))
                        .Select(proxy => $"config_file.haproxy@{proxy.Name}"),
                ];
                foreach (string[] targets in new[] { proxies, [$"*@{choice.Survivor.Name}", $"*@{topology.Scope}"] })
                {
                    if (
                        await ApplyCommand
                            .ConvergeAsync(alone, parsed, terminal, Word, targets, CancellationToken.None, abort)
                            .ConfigureAwait(false) != ExitCode.Done
                    )
                    {
                        throw new DiagnosticException(
                            Diagnostic.Error(
                                $"{topology.Scope} is not recovered yet: what failed stands above",
                                remedy: "mend that, then run kbr recover again with the same options, which goes on"
                            )
                        );
                    }
                }

                await EndAsync(context, parsed, terminal, topology, journal).ConfigureAwait(false);
                RecoverView.ShowEnd(terminal, topology, choice, request.Lost, json);
                return ExitCode.Done;
            }));
        return command;
    }

    private static Command CreateConfirm(SessionContext context)
    {
        var confirm = new Option<string>("--confirm") { Description = "The cluster's name, which confirms without a question." };
        var command = new Command("confirm", "Remove the data of lost members that was kept aside. There is no way back after it.")
        {
            confirm,
        }.With([.. context.Options.Hosts, context.Options.LockTimeout]);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                var given = parsed.Read(confirm);
                await using var session = context.Open(parsed, terminal);
                var topology = SwitchoverCommand.Topology(session, Word);
                var policy = session.Cluster.Policies.First(one => one.Group == topology.Scope);
                var run = new RecoveryRun(topology, policy);
                var reads = run.MemberReads([]);
                var answers = await session.Fleet.ReadAsync(topology.Members, _ => reads, stop).ConfigureAwait(false);
                if (run.Journal(answers) is null)
                {
                    throw new DiagnosticException(Diagnostic.Error($"there is no recovery of {topology.Scope} to confirm"));
                }

                ImmutableArray<Host> here = [.. topology.Members.Where(member => answers[member.Name].Snapshot is not null)];
                await using var group = await LockedGroup
                    .TakeAsync(session.Fleet, here, [], [], session.Holder(Word), session.Time, stop)
                    .ConfigureAwait(false);
                var health = await SwitchoverCommand.Running(session, topology, group).LookAsync(stop).ConfigureAwait(false);
                answers = await session.Fleet.ReadAsync(topology.Members, _ => reads, stop).ConfigureAwait(false);
                var none = ImmutableDictionary<string, (Snapshot? Snapshot, string? Error)>.Empty;
                var members = run.Members([], answers, none);
                var journal = run.Journal(answers)!;
                string[] problems =
                [
                    .. members.Where(member => member.Error is not null).Select(member => $"{member.Name}: {member.Error}"),
                    .. health.Problems.Select(problem => problem.ToString()),
                ];
                var end = RecoveryEnd.Of(topology.Scope, journal, members, run.StoreLeader(answers), problems);
                Approval.AskForName(terminal, "recover confirm", session.Cluster.Name, given, json, stop);
                var isGivenUp = end is RecoveryEnd.GiveUp;
                await (isGivenUp ? run.GiveUpAsync(journal, group, stop) : run.ConfirmAsync(group, stop)).ConfigureAwait(false);
                if (!json)
                {
                    terminal.Line(
                        isGivenUp
                            ? $"Gave up the recovery of {topology.Scope} from {journal.Survivor}, which had not ended. Next: kbr apply"
                            : $"Removed what was kept aside of {topology.Scope}."
                    );
                }

                return ExitCode.Done;
            }));
        return command;
    }

    // Reads, chooses, asks, and stops the members, under the locks of all hosts that answer.
    private static async Task<(PostgresTopology Topology, RecoveryChoice Choice, RecoveryJournal Journal)> StopAsync(
        SessionContext context,
        ParseResult parsed,
        Terminal terminal,
        RecoveryRequest request,
        string? given,
        bool approved,
        bool json,
        CancellationToken stop
    )
    {
        await using var session = context.Open(parsed, terminal);
        var topology = Recoverable(session);
        if (!topology.Store.HasPassword)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{topology.Store.Kind.Name} has no password, so a lost member could join the recovered cluster, and outvote it",
                    remedy: "give it one in cluster.yaml and in the credentials file, then run this again"
                )
            );
        }

        await FenceCommand.RefuseWhileFencedAsync(session, topology, Word, stop).ConfigureAwait(false);
        var run = new RecoveryRun(topology, session.Cluster.Policies.First(policy => policy.Group == topology.Scope));
        var (members, proxies) = await ReadAsync().ConfigureAwait(false);
        var begun = session.Time.GetTimestamp();
        // These refusals need no look at the data.
        Judge(run.Members(request.Lost, members, proxies), isWhole: false);
        ImmutableArray<Host> here = [.. topology.Members.Where(member => members[member.Name].Snapshot is not null)];
        await using var group = await LockedGroup
            .TakeAsync(
                session.Fleet,
                here,
                topology.Proxies.Where(proxy => proxies[proxy.Name].Snapshot is not null),
                [],
                session.Holder(Word),
                session.Time,
                stop
            )
            .ConfigureAwait(false);
        var looked = await run.LookAsync(run.Members(request.Lost, members, proxies), group, stop).ConfigureAwait(false);
        var choice = Judge(looked, isWhole: true)!;
        RecoverView.ShowPlan(terminal, topology, choice, looked, request.Lost, json);
        Approval.AskForName(terminal, Word, session.Cluster.Name, approved ? session.Cluster.Name : given, json, stop);
        // An election may only take its time; the question's counts.
        var left = choice.IsLed ? TimeSpan.Zero : topology.Times.WorstCase - session.Time.GetElapsedTime(begun);
        if (left > TimeSpan.Zero)
        {
            Say($"watching {topology.Scope} for {left.TotalSeconds:0} s: no member may take over by itself");
        }

        // The question may have stood for long, and a member or a proxy may serve by now.
        (members, proxies) = await Poll.UntilAsync(ReadAsync, _ => IsServing(), new PollPace(s_look, left), session.Time, stop)
            .ConfigureAwait(false);
        looked = await run.LookAsync(run.Members(request.Lost, members, proxies), group, stop).ConfigureAwait(false);
        choice.RefuseChanged(Judge(looked, isWhole: true)!);
        var journal = run.Unfinished(members)
            ?? new RecoveryJournal(
                RecoveryJournal.IdAfter(session.Time.GetUtcNow(), run.Journal(members)),
                choice.Survivor.Name,
                choice.Others
            );
        if (choice.IsLed)
        {
            // It takes writes: it is not stopped, and keeps its password.
            Say($"going on with the recovery from {journal.Survivor}, the primary");
            here = here.RemoveAll(member => member.Name == journal.Survivor);
        }
        else if (RenewPassword(context, parsed, topology, run.MayHaveNewPassword(members)))
        {
            Say($"{topology.Store.Kind.Name} has a new password in the credentials file");
        }

        if (!here.IsEmpty)
        {
            Say($"stopping {string.Join(" and ", here.Select(member => member.Name))}");
        }

        await run.StopAsync(journal, here, group, CancellationToken.None).ConfigureAwait(false);
        return (topology, choice, journal);

        async Task<(
            IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)>,
            IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)>
        )> ReadAsync()
        {
            var reads = run.MemberReads(request.Lost);
            var ofProxies = run.ProxyReads(request.Lost);
            members = await session.Fleet.ReadAsync(topology.Members, _ => reads, stop).ConfigureAwait(false);
            proxies = await session.Fleet.ReadAsync(topology.Proxies, _ => ofProxies, stop).ConfigureAwait(false);
            return (members, proxies);
        }

        bool IsServing()
        {
            foreach (var member in run.Members(request.Lost, members, proxies))
            {
                if (member.IsPrimary || !member.Reached.IsEmpty)
                {
                    return true;
                }
            }

            return run.StoreLeader(members) is not null;
        }

        RecoveryChoice? Judge(ImmutableArray<RecoveryMember> all, bool isWhole)
        {
            var asked = request with { Begun = run.Unfinished(members)?.Survivor };
            var store = run.StoreLeader(members, all.FirstOrDefault(asked.IsLed)?.Name);
            if (isWhole)
            {
                return RecoveryChoice.Of(topology.Scope, all, run.Proxies(proxies), store, asked);
            }

            RecoveryChoice.RefuseAtOnce(topology.Scope, all, run.Proxies(proxies), store, asked);
            return null;
        }

        void Say(string text)
        {
            if (json)
            {
                terminal.ErrorLine(text);
            }
            else
            {
                terminal.Line(text);
            }
        }
    }

    // The majority of a store with a service of its own is lost and won back apart from Patroni's.
    private static PostgresTopology Recoverable(Session session)
    {
        var topology = SwitchoverCommand.Topology(session, Word);
        return topology.Store.Service is null
            ? topology
            : throw new DiagnosticException(
                Diagnostic.Error(
                    $"kbr recovers no cluster with the consensus store {topology.Store.Kind.Name} yet",
                    detail: "nothing was changed",
                    remedy: "start the lost members again, and run kbr apply; where their hosts are gone for good, docs/stores.md has the "
                        + "steps by hand (A lost majority)"
                )
            );
    }

    // From here on it is done, also where another member leads later.
    private static async Task EndAsync(
        SessionContext context,
        ParseResult parsed,
        Terminal terminal,
        PostgresTopology topology,
        RecoveryJournal journal
    )
    {
        await using var session = context.Open(parsed, terminal);
        var run = new RecoveryRun(topology, session.Cluster.Policies.First(policy => policy.Group == topology.Scope));
        ImmutableArray<Host> survivor = [.. topology.Members.Where(member => member.Name == journal.Survivor)];
        _ = await session
            .Fleet.ReadAsync(survivor, _ => PatroniHealth.Reads(topology.Ports.Rest), CancellationToken.None)
            .ConfigureAwait(false);
        await using var group = await LockedGroup
            .TakeAsync(session.Fleet, survivor, [], [], session.Holder(Word), session.Time, CancellationToken.None)
            .ConfigureAwait(false);
        await run.EndAsync(journal, group, CancellationToken.None).ConfigureAwait(false);
    }

    // Always another one: a lost member may know any that was ever used. The environment counts before the file.
    internal static bool RenewPassword(SessionContext context, ParseResult parsed, PostgresTopology topology, bool mayBeNew)
    {
        var name = topology.Store.Kind.PasswordName!;
        var file = ClusterLoader.ReadCredentialsNeeded(parsed.Read(context.Options.File)!, context.Syntax).Path;
        if (!string.IsNullOrEmpty(Environment.GetEnvironmentVariable(name)) || !File.Exists(file))
        {
            if (mayBeNew)
            {
                return false;
            }

            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{name} must be another one, so that no lost member joins the recovered cluster; it does not come from a file",
                    remedy: $"set {name} to a new value where it comes from, then run this again; after an earlier recovery that is not "
                        + "confirmed, put it in the credentials file"
                )
            );
        }

        CredentialsFile.Renew(file, name);
        return true;
    }
}
