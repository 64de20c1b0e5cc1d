using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Providers;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr plan</c>: shows what differs; changes nothing.</summary>
internal static class PlanCommand
{
    public static Command Create(SessionContext context)
    {
        var detailed = new Option<bool>("--detailed-exitcode") { Description = "Exit 2 when there are changes." };
        var destroy = new Option<bool>("--destroy") { Description = "Plan a destroy." };
        var deleteData = new Option<bool>("--delete-data") { Description = "With --destroy: also plan the deletion of data." };
        var forget = new Option<bool>("--forget-unreachable")
        {
            Description = "With --destroy: plan to drop the records of unreachable hosts.",
        };
        var adopt = new Option<string[]>("--adopt") { Description = "Adopt these addresses (globs) although they exist and differ." };
        var output = new Option<string>("--out") { Description = "Save the plan to this file, for kbr show and kbr apply." };
        var whatIf = new Option<bool>("--what-if")
        {
            Description = "Show the worst single failure at each step of a roll-out; with --verbose every one.",
        };
        var format = PlanFormats.Option();
        var printProbe = PrintProbeOption();
        var command = new Command("plan", "Show how the hosts differ from cluster.yaml, and what apply would change. Changes nothing.")
        {
            detailed,
            destroy,
            deleteData,
            forget,
            adopt,
            output,
            whatIf,
            format,
            printProbe,
        }.With([.. context.Options.Targeted, context.Options.Replace, context.Options.Within, context.Options.RefuseRisk]);
        PlanFormats.RefuseTwo(command, format, context.Options.Json);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var shown = PlanFormats.Chosen(parsed, format, context.Options.Json);
                try
                {
                    return await RunAsync(parsed, terminal, shown, stop).ConfigureAwait(false);
                }
                catch (DiagnosticException exception) when (PlanFormats.IsDocument(shown))
                {
                    // The document must show the failure, and not an earlier plan.
                    var origin = PlanFormats.Origin(context.Time.GetUtcNow(), VersionCommand.Version, new PlanOptions());
                    var masked = exception.Diagnostics.Select(one =>
                        one with
                        {
                            Summary = terminal.Masked(one.Summary),
                            Detail = one.Detail is null ? null : terminal.Masked(one.Detail),
                            Remedy = one.Remedy is null ? null : terminal.Masked(one.Remedy),
                        }
                    );
                    PlanFormats.Show(terminal, shown, PlanReport.Failed(parsed.Read(context.Options.File)!, origin, masked));
                    throw;
                }
            }));
        return command;

        async Task<int> RunAsync(ParseResult parsed, Terminal terminal, string shown, CancellationToken stop)
        {
            var windows = context.Options.Windows(parsed);
            await using var session = context.Open(parsed, terminal);
            if (parsed.Read(printProbe) is { } host)
            {
                return PrintProbe(terminal, session, host);
            }

            var options = new PlanOptions
            {
                Destroy = parsed.Read(destroy),
                DeleteData = parsed.Read(deleteData),
                ForgetUnreachable = parsed.Read(forget),
                Targets = CommonOptions.Patterns(parsed.Read(context.Options.Target)),
                Adopt = CommonOptions.Patterns(parsed.Read(adopt)),
                Replace = CommonOptions.Addresses("--replace", parsed.Read(context.Options.Replace)),
            };
            var file = parsed.Read(output) is { } name ? new PlanFile(name, session.Cluster) : null;
            var run = await context.PlanAsync(session, options, stop, windows).ConfigureAwait(false);
            if (parsed.Read(context.Options.RefuseRisk))
            {
                run = run with { Plan = run.Plan with { Diagnostics = [.. run.Plan.Diagnostics, .. RiskRefusal.Of(run.Plan)] } };
            }

            var plan = run.Plan;
            var detail =
                !parsed.Read(whatIf) ? WhatIfDetail.None
                : parsed.Read(context.Options.Verbose) ? WhatIfDetail.All
                : WhatIfDetail.Worst;
            if (PlanFormats.IsDocument(shown))
            {
                var document = JsonView.PlanDocument(session.Cluster.Name, plan, plan.Diagnostics);
                var origin = PlanFormats.Origin(session.Time.GetUtcNow(), VersionCommand.Version, options);
                PlanFormats.Show(terminal, shown, PlanReport.Read(session.Cluster.Secrets.Mask(document), origin));
                DiagnosticView.Show(terminal, plan.Diagnostics);
            }
            else
            {
                Show(terminal, session, plan, shown == PlanFormats.Json, detail);
            }

            file?.Save(session, options, run, terminal);
            if (file is null && shown == PlanFormats.Text && plan is { HasChanges: true, HasErrors: false })
            {
                terminal.ErrorLine(
                    "This plan is not saved: kbr apply plans again, and may differ. To apply exactly this, add --out FILE, "
                        + "then run: kbr apply FILE",
                    Terminal.Tone.Faint
                );
            }

            if (parsed.Read(context.Options.Verbose))
            {
                session.ShowCost(terminal);
            }

            return plan.HasErrors ? ExitCode.Error
                : parsed.Read(detailed) && plan.HasChanges ? ExitCode.Changes
                : ExitCode.Done;
        }
    }

    public static void Show(Terminal terminal, Session session, Plan plan, bool json, WhatIfDetail whatIf = WhatIfDetail.None)
    {
        if (json)
        {
            terminal.Line(JsonView.PlanDocument(session.Cluster.Name, plan, plan.Diagnostics));
            return;
        }

        PlanView.Show(terminal, plan, Path.GetFileName(session.Cluster.File), whatIf);
        DiagnosticView.Show(terminal, plan.Diagnostics);
    }

    private static int PrintProbe(Terminal terminal, Session session, string host) =>
        PrintProbe(terminal, session, host, known => session.Fleet.ProbeReads(known.Name, checkPreconditions: true));

    /// <summary>Prints the script that asks a host these reads.</summary>
    public static int PrintProbe(Terminal terminal, Session session, string host, Func<Host, IReadOnlyCollection<Read>> reads)
    {
        var known = session.Cluster.Hosts.FirstOrDefault(known => known.Name == host)
            ?? throw new DiagnosticException(Diagnostic.Error($"{session.Cluster.File} has no host '{host}'"));
        terminal.Prompt(ReadList.Probe.Render(reads(known), "kbr-probe"));
        return ExitCode.Done;
    }

    /// <summary>The option of a command that prints its script instead of running it.</summary>
    public static Option<string> PrintProbeOption() =>
        new("--print-probe") { Description = "Print the probe script of this host, and exit." };
}
