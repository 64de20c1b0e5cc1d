using System.CommandLine;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr apply</c>, <c>kbr destroy</c> and <c>kbr import</c>: show the plan, ask, and make it true.</summary>
internal static class ApplyCommand
{
    public static Command CreateApply(SessionContext context)
    {
        var approve = AutoApprove();
        var adopt = new Option<string[]>("--adopt") { Description = "Adopt these addresses (globs) although they exist and differ." };
        var confirm = new Option<string>("--confirm") { Description = "The cluster's name, to confirm a saved plan that deletes data." };
        var saved = new Argument<string?>("PLAN")
        {
            Description = "A saved plan (kbr plan --out): apply exactly it, without asking, or refuse and list what changed.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var command = new Command("apply", "Show the plan, ask for confirmation, and apply it in dependency order; or apply a saved plan.")
        {
            saved,
            approve,
            adopt,
            confirm,
        }.With([
            .. context.Options.Targeted,
            context.Options.Replace,
            context.Options.Within,
            context.Options.RefuseRisk,
            context.Options.LockTimeout,
        ]);
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, stop, abort) =>
            {
                var windows = context.Options.Windows(parsed);
                var refusesRisk = parsed.Read(context.Options.RefuseRisk);
                var replace = parsed.Read(context.Options.Replace);
                if (parsed.Read(saved) is { } name)
                {
                    PlanFile.RefuseOptions(parsed.Read(context.Options.Target), parsed.Read(adopt), replace);
                    var file = new PlanFile(name, context.Load(parsed, terminal));
                    var what = file.Read(parsed.Read(confirm));
                    if (what.Options.Destroy && windows is not null)
                    {
                        throw new DiagnosticException(
                            Diagnostic.Error(
                                $"{name} is a plan of a destroy, which takes down everything and waits for no maintenance window",
                                remedy: "apply it without --within, when the cluster may go"
                            )
                        );
                    }

                    return RunAsync(
                        context,
                        parsed,
                        terminal,
                        what.Options,
                        what.Options.Destroy ? "destroy" : "apply",
                        approved: true,
                        stop,
                        abort,
                        (session, run) => file.Check(what, session, run),
                        windows: windows,
                        refusesRisk: refusesRisk
                    );
                }

                var options = new PlanOptions
                {
                    Targets = CommonOptions.Patterns(parsed.Read(context.Options.Target)),
                    Adopt = CommonOptions.Patterns(parsed.Read(adopt)),
                    Replace = CommonOptions.Addresses("--replace", replace),
                };
                return RunAsync(
                    context,
                    parsed,
                    terminal,
                    options,
                    "apply",
                    parsed.Read(approve),
                    stop,
                    abort,
                    windows: windows,
                    refusesRisk: refusesRisk
                );
            }));
        return command;
    }

    public static Command CreateDestroy(SessionContext context)
    {
        var approve = AutoApprove();
        var deleteData = new Option<bool>("--delete-data") { Description = "Delete data too: volumes, data directories. Needs --confirm." };
        var confirm = new Option<string>("--confirm") { Description = "The cluster's name, to confirm --delete-data." };
        var forget = new Option<bool>("--forget-unreachable")
        {
            Description = "Drop the records of unreachable hosts; without it an unreachable host refuses the destroy.",
        };
        var command = new Command("destroy", "Remove the resources that kbr created, in reverse order. Data is kept unless --delete-data.")
        {
            approve,
            deleteData,
            confirm,
            forget,
        }.With([.. context.Options.Targeted, context.Options.LockTimeout]);
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, stop, abort) =>
            {
                var withData = parsed.Read(deleteData);
                var name = context.Load(parsed, terminal).Name;
                if (withData && parsed.Read(confirm) != name)
                {
                    throw new DiagnosticException(
                        Diagnostic.Error(
                            "--delete-data deletes data permanently; confirmation is missing",
                            remedy: $"to confirm deletion in cluster '{name}', repeat with --confirm {name}"
                        )
                    );
                }

                var options = new PlanOptions
                {
                    Destroy = true,
                    DeleteData = withData,
                    ForgetUnreachable = parsed.Read(forget),
                    Targets = CommonOptions.Patterns(parsed.Read(context.Options.Target)),
                };
                return RunAsync(context, parsed, terminal, options, "destroy", parsed.Read(approve), stop, abort);
            }));
        return command;
    }

    public static Command CreateImport(SessionContext context)
    {
        var approve = AutoApprove();
        var addresses = new Argument<string[]>("address")
        {
            Description = "Only these addresses (globs); default: all that exist and have no record.",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var command = new Command(
            "import",
            "Record existing resources that kbr did not create, unchanged. Differences from cluster.yaml are shown; a later apply changes them."
        )
        {
            addresses,
            approve,
        }.With([.. context.Options.Targeted, context.Options.LockTimeout]);
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, stop, abort) =>
            {
                var options = new PlanOptions
                {
                    Import = true,
                    Targets = CommonOptions.Patterns([.. parsed.Read(context.Options.Target) ?? [], .. parsed.Read(addresses) ?? []]),
                };
                return RunAsync(context, parsed, terminal, options, "import", parsed.Read(approve), stop, abort);
            }));
        return command;
    }

    /// <summary>Applies cluster.yaml without asking, as the last part of another command. Answers the exit code.</summary>
    /// <param name="context">The context of the command.</param>
    /// <param name="parsed">Its command line.</param>
    /// <param name="terminal">Where it is shown.</param>
    /// <param name="word">The command.</param>
    /// <param name="targets">What it applies; empty for everything, whose health counts then.</param>
    /// <param name="stop">Ends it after what is running.</param>
    /// <param name="abort">Ends it at once.</param>
    public static Task<int> ConvergeAsync(
        SessionContext context,
        ParseResult parsed,
        Terminal terminal,
        string word,
        string[] targets,
        CancellationToken stop,
        CancellationToken abort
    ) =>
        RunAsync(
            context,
            parsed,
            terminal,
            new PlanOptions { Targets = CommonOptions.Patterns(targets) },
            word,
            approved: true,
            stop,
            abort,
            judges: targets.Length == 0
        );

    /// <summary>Applies what the options select without asking and without the secrets that a look at the whole cluster needs. Answers
    /// the exit code.</summary>
    /// <param name="context">The context of the command.</param>
    /// <param name="parsed">Its command line.</param>
    /// <param name="terminal">Where it is shown.</param>
    /// <param name="cluster">The cluster file.</param>
    /// <param name="options">What is selected.</param>
    /// <param name="stop">Ends it after what is running.</param>
    /// <param name="abort">Ends it at once.</param>
    public static Task<int> RenewAsync(
        SessionContext context,
        ParseResult parsed,
        Terminal terminal,
        Cluster cluster,
        PlanOptions options,
        CancellationToken stop,
        CancellationToken abort
    ) => RunAsync(context, parsed, terminal, options, "renew", approved: true, stop, abort, judges: false, cluster: cluster);

    private static Option<bool> AutoApprove() => new("--auto-approve") { Description = "Do not ask for confirmation." };

    private static async Task<int> RunAsync(
        SessionContext context,
        ParseResult parsed,
        Terminal terminal,
        PlanOptions options,
        string word,
        bool approved,
        CancellationToken stop,
        CancellationToken abort,
        Action<Session, PlannedRun>? check = null,
        bool judges = true,
        MaintenanceWindows? windows = null,
        bool refusesRisk = false,
        Cluster? cluster = null
    )
    {
        var json = parsed.Read(context.Options.Json);
        await using var session = cluster is null ? context.Open(parsed, terminal) : context.Open(parsed, terminal, cluster);
        var run = await context.PlanAsync(session, options, stop, windows).ConfigureAwait(false);
        var plan = run.Plan;
        check?.Invoke(session, run);
        PlanCommand.Show(terminal, session, plan, json);
        var result = ExitCode.Done;
        var givenUp = options.ForgetUnreachable ? run.Survey.Unreachable : [];
        RefuseUnreachable(run.Survey, options, givenUp);
        RefuseRisk(plan);

        if (plan.DoesAnything)
        {
            if (Asks(plan) && !approved)
            {
                Approval.Ask(terminal, word, json, stop);
            }

            using var view = new ApplyView(terminal, json, session.Time);
            var outcome = await session
                .Applier()
                .ApplyAsync(run, PlanAgainAsync, Accept, session.Holder(word), view, stop, abort)
                .ConfigureAwait(false);
            view.Result(outcome, word);
            if (!outcome.Warnings.IsEmpty)
            {
                CommandContext.Show(terminal, outcome.Warnings, json);
            }

            if (options.Import && !json)
            {
                var differing = outcome.Done.Count(change => !change.Differences.IsEmpty);
                terminal.Line(
                    $"{outcome.Done.Count} recorded unchanged, {differing} of them differ from {session.Cluster.File}: "
                        + $"kbr plan shows what apply would change."
                );
            }

            var saved = await SaveStateAsync(session, options, givenUp, terminal, json, abort).ConfigureAwait(false);
            result = saved && outcome.Succeeded && outcome.Errors.IsEmpty ? ExitCode.Done : ExitCode.Error;
            // With --target the rest is for another apply to make.
            await JudgeAsync(
                    check => outcome.Succeeded ? check.GateTimeout : TimeSpan.Zero,
                    options.Targets.IsEmpty
                        ? []
                        : outcome
                            .Done.Where(change => change.Action is not (ResourceAction.Adopt or ResourceAction.Forget))
                            .Select(change => change.Address)
                            .Concat(outcome.BroughtToHealth.Select(group => group.Address))
                )
                .ConfigureAwait(false);
            result = result == ExitCode.Done && outcome.Left.Count > 0 ? ExitCode.Changes : result;
        }
        else if (!plan.HasErrors && options is { Destroy: false, Import: false, Targets.IsEmpty: true })
        {
            // Nothing was changed, so there is little to wait for.
            await JudgeAsync(check => check.SettleTime, []).ConfigureAwait(false);
        }
        else if (options.ForgetUnreachable)
        {
            result = await SaveStateAsync(session, options, givenUp, terminal, json, abort).ConfigureAwait(false) ? result : ExitCode.Error;
        }

        if (parsed.Read(context.Options.Verbose))
        {
            session.ShowCost(terminal);
        }

        return plan.HasErrors ? ExitCode.Error : result;

        // An apply that leaves an unhealthy cluster behind is not done, whether or not it had something to change.
        async Task JudgeAsync(Func<IHealthCheck, TimeSpan> patience, IEnumerable<Address> changed)
        {
            if (options.Destroy || options.Import || !judges)
            {
                return;
            }

            IReadOnlyCollection<Address>? touched = options.Targets.IsEmpty ? null : [.. changed];
            foreach (var check in context.HealthChecks(session.Cluster))
            {
                if (!json)
                {
                    terminal.Line();
                }

                var health = await StatusCommand
                    .ShowSettledAsync(session, check, terminal, json, patience(check), touched, abort)
                    .ConfigureAwait(false);
                result = result == ExitCode.Done && health != ExitCode.Done ? ExitCode.Error : result;
            }
        }

        // An import writes nothing but records, and they are what was asked for.
        bool Asks(Plan planned) => planned.HasChanges || options.Import;

        // Scripts of a killed run may still have been running during the first plan.
        async Task<PlannedRun> PlanAgainAsync(CancellationToken token)
        {
            var current = await context.PlanAsync(session, options, token, windows).ConfigureAwait(false);
            check?.Invoke(session, current);
            RefuseUnreachable(current.Survey, options, givenUp);
            RefuseRisk(current.Plan);
            return current;
        }

        void RefuseRisk(Plan planned)
        {
            if (refusesRisk && RiskRefusal.Of(planned) is { IsEmpty: false } risks)
            {
                throw new DiagnosticException(risks);
            }
        }

        void Accept(PlannedRun accepted)
        {
            var current = accepted.Plan;
            if (!current.DoesTheSameAs(plan))
            {
                terminal.ErrorLine("The hosts changed while the locks were taken. The new plan:", Terminal.Tone.Changed);
                PlanCommand.Show(terminal, session, current, json);
                if (Asks(current) && !approved)
                {
                    Approval.Ask(terminal, word, json, stop);
                }
            }
            else if (current.Errors.Except(plan.Errors).ToList() is { Count: > 0 } errors)
            {
                CommandContext.Show(terminal, errors, json);
            }
        }
    }

    // The hosts have the records, so a local copy that cannot be written is an error only at the end.
    private static async Task<bool> SaveStateAsync(
        Session session,
        PlanOptions options,
        IReadOnlySet<string> givenUp,
        Terminal terminal,
        bool json,
        CancellationToken cancellationToken
    )
    {
        try
        {
            await session.SaveStateAsync(options, givenUp, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (DiagnosticException exception)
        {
            CommandContext.Show(terminal, exception.Diagnostics, json);
            return false;
        }
    }

    // Resources on an unreachable host would be left behind. --forget-unreachable covers the hosts that were unreachable when it was
    // decided.
    private static void RefuseUnreachable(Survey survey, PlanOptions options, IReadOnlySet<string> givenUp)
    {
        if (options.Destroy && survey.Unreachable.Except(givenUp) is { IsEmpty: false } lost)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"nothing was destroyed: {string.Join(", ", lost.Order(StringComparer.Ordinal))} cannot be reached, "
                        + $"and their resources would be left behind",
                    detail: string.Join("\n  ", lost.Order(StringComparer.Ordinal).Select(host => $"{host}: {survey.HostErrors[host]}")),
                    remedy: "bring the host back, exclude it with --target, or drop its records with --forget-unreachable"
                )
            );
        }
    }
}
