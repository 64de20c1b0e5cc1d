using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.PostgresHa;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr validate</c>: checks the cluster file; connects to nothing.</summary>
internal static class ValidateCommand
{
    public static Command Create(CommandContext context)
    {
        var command = new Command("validate", "Check the cluster file. Connects to nothing.").With(context.Options.Cluster);
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, _, _) =>
            {
                var cluster = context.Load(parsed, terminal);
                ResourceGraph.Build(cluster.Resources, context.Providers);
                if (parsed.Read(context.Options.Json))
                {
                    terminal.Line(JsonView.DiagnosticsDocument(cluster.Warnings));
                }
                else
                {
                    DiagnosticView.Show(terminal, cluster.Warnings);
                    terminal.Line($"{cluster.File} is valid: {cluster.Hosts.Length} hosts, {cluster.Resources.Length} resources");
                    if (cluster.Model<PostgresTopology>() is { Times: var times } topology)
                    {
                        foreach (var open in OpenAccess.Of(topology))
                        {
                            terminal.Line(open);
                        }

                        terminal.Line(
                            $"When the primary fails, writes stop for at most {times.WorstCase.TotalSeconds} s "
                                + $"(dynamic: ttl {times.Ttl}, loop_wait {times.LoopWait}, retry_timeout {times.RetryTimeout})"
                        );
                    }
                }

                return Task.FromResult(ExitCode.Done);
            }));
        return command;
    }
}
