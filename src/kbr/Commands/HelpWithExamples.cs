using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>The help of a command, and its examples.</summary>
internal sealed class HelpWithExamples : SynchronousCommandLineAction
{
    /// <inheritdoc />
    public override bool ClearsParseErrors => true;

    /// <inheritdoc />
    public override int Invoke(ParseResult parseResult)
    {
        var exit = new HelpAction().Invoke(parseResult);
        var output = parseResult.InvocationConfiguration.Output;
        var examples = CommandExamples.Of(parseResult.CommandResult.Command);
        if (!examples.IsEmpty)
        {
            output.WriteLine("Examples:");
            foreach (var (line, does) in examples)
            {
                output.WriteLine($"  {line}");
                output.WriteLine($"      {does}");
            }

            output.WriteLine();
        }

        return exit;
    }
}
