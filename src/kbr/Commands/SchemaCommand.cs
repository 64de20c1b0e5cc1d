using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr schema</c>: the JSON Schema of a cluster file, from the description that its readers use.</summary>
internal static class SchemaCommand
{
    public static Command Create(CommandContext context)
    {
        var command = new Command("schema", "Print the JSON Schema of cluster.yaml, for editors. Needs no cluster file.").With(
            context.Options.Shown
        );
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, _, _) =>
            {
                terminal.Line(ClusterJsonSchema.Of(ClusterSchema.Of(context.Syntax), indented: !parsed.Read(context.Options.Json)));
                return Task.FromResult(ExitCode.Done);
            }));
        return command;
    }
}
