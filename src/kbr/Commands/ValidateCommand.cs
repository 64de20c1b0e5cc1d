using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;

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
                Diagnostic[] findings = [.. cluster.Warnings, .. AuthorityEnds.Of(cluster, context.Time.GetUtcNow())];
                if (findings.Any(finding => finding.Severity == Severity.Error))
                {
                    throw new DiagnosticException(findings);
                }

                if (parsed.Read(context.Options.Json))
                {
                    terminal.Line(JsonView.DiagnosticsDocument(findings));
                }
                else
                {
                    DiagnosticView.Show(terminal, findings);
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
