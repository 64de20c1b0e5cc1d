using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr show</c>: what a saved plan says. Reaches no host.</summary>
internal static class ShowCommand
{
    public static Command Create(CommandContext context)
    {
        var saved = new Argument<string>("PLAN") { Description = "A saved plan (kbr plan --out)." };
        var format = PlanFormats.Option();
        var command = new Command("show", "Show a saved plan. Connects to nothing, and needs no secrets.") { saved, format }.With(
            context.Options.Cluster
        );
        PlanFormats.RefuseTwo(command, format, context.Options.Json);
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, _, _) =>
            {
                var file = new PlanFile(parsed.Read(saved)!, context.Load(parsed, terminal, secretsOptional: true));
                var plan = file.Read();
                var shown = PlanFormats.Chosen(parsed, format, context.Options.Json);
                if (PlanFormats.IsDocument(shown))
                {
                    PlanFormats.Show(
                        terminal,
                        shown,
                        PlanReport.Read(plan.Document, PlanFormats.Origin(plan.PlannedAt, plan.Version, plan.Options))
                    );
                }
                else if (shown == PlanFormats.Json)
                {
                    terminal.Line(SavedPlanView.Document(plan, file.IsAuthenticated));
                }
                else
                {
                    SavedPlanView.Show(terminal, plan, file.IsAuthenticated);
                }

                return Task.FromResult(ExitCode.Done);
            }));
        return command;
    }
}
