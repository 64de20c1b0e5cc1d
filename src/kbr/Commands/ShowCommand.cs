using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr show</c>: what a saved plan says. Reaches no host.</summary>
internal static class ShowCommand
{
    public static Command Create(CommandContext context)
    {
        var saved = new Argument<string>("PLAN") { Description = "A saved plan (kbr plan --out)." };
        var command = new Command("show", "Show a saved plan. Connects to nothing, and needs no secrets.") { saved }.With(
            context.Options.Cluster
        );
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, _, _) =>
            {
                var file = new PlanFile(parsed.Read(saved)!, context.Load(parsed, terminal, secretsOptional: true));
                var plan = file.Read();
                if (parsed.Read(context.Options.Json))
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
