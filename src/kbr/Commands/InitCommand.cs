using System.CommandLine;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr init --credentials</c>: appends the secrets that are missing from the credentials file.</summary>
internal static class InitCommand
{
    public static Command Create(CommandContext context)
    {
        var credentials = new Option<bool>("--credentials") { Description = "Append missing secrets to the credentials file; existing lines stay byte for byte." };
        var command = new Command("init", "Prepare what a cluster file needs.") { credentials };
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, _, _) =>
        {
            if (!parsed.GetValue(credentials))
            {
                throw new DiagnosticException(Diagnostic.Error("there is nothing to do", remedy: "pass --credentials"));
            }

            var (path, names) = ClusterLoader.ReadCredentialsNeeded(parsed.GetValue(context.Options.File)!);
            var added = CredentialsFile.Initialize(path, names);
            terminal.Line(added.Count == 0 ? $"{path}: nothing was missing" : $"{path}: added {string.Join(", ", added)}");
            return Task.FromResult(ExitCode.Done);
        }));
        return command;
    }
}
