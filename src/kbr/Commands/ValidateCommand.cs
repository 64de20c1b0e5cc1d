using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Views;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr validate</c>: checks the cluster file; connects to nothing.</summary>
internal static class ValidateCommand
{
    public static Command Create(CommandContext context, IReadOnlyCollection<IBlueprintCommands> blueprints)
    {
        var command = new Command("validate", "Check the cluster file. Connects to nothing.").With(context.Options.Cluster);
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, _, _) =>
            {
                var cluster = context.Load(parsed, terminal);
                if (parsed.Read(context.Options.Json))
                {
                    terminal.Line(JsonView.DiagnosticsDocument(cluster.Warnings));
                }
                else
                {
                    DiagnosticView.Show(terminal, cluster.Warnings);
                    terminal.Line($"{cluster.File} is valid: {cluster.Hosts.Length} hosts, {cluster.Resources.Length} resources");
                    foreach (var fact in blueprints.SelectMany(blueprint => blueprint.Facts(cluster)))
                    {
                        terminal.Line(fact);
                    }
                }

                return Task.FromResult(ExitCode.Done);
            }));
        return command;
    }
}
