using System.CommandLine;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr completion</c>: prints the completion script of a shell.</summary>
internal static class CompletionCommand
{
    public static Command Create(CommandContext context)
    {
        var shell = new Argument<string>("SHELL") { Description = $"The shell: {string.Join(", ", CompletionScripts.Shells)}." };
        shell.AcceptOnlyFromAmong([.. CompletionScripts.Shells]);
        var command = new Command("completion", "Print the completion script of a shell. Needs no cluster file.") { shell }.With(
            context.Options.Shown
        );
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, _, _) =>
            {
                terminal.Line(CompletionScripts.Of(parsed.Read(shell)!));
                return Task.FromResult(ExitCode.Done);
            }));
        return command;
    }
}
