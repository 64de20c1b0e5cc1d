using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr init --credentials</c>: appends the secrets that are missing from the credentials file.</summary>
internal static class InitCommand
{
    public static Command Create(CommandContext context)
    {
        var credentials = new Option<bool>("--credentials")
        {
            Description = "Append missing secrets to the credentials file; existing lines are not changed.",
        };
        var command = new Command("init", "Generate the secrets of a cluster file.") { credentials }.With(context.Options.Cluster);
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, _, _) =>
            {
                if (!parsed.Read(credentials))
                {
                    throw new DiagnosticException(Diagnostic.Error("init needs --credentials", remedy: "pass --credentials"));
                }

                var needed = ClusterLoader.ReadCredentialsNeeded(parsed.Read(context.Options.File)!, context.Syntax);
                var added = CredentialsFile.Initialize(needed);
                if (parsed.Read(context.Options.Json))
                {
                    terminal.Line(JsonView.Document("init", json =>
                        {
                            json.WriteString("file", needed.Path);
                            json.WriteStartArray("added");
                            foreach (var name in added)
                            {
                                json.WriteStringValue(name);
                            }

                            json.WriteEndArray();
                        }));
                }
                else
                {
                    terminal.Line(
                        added.Count == 0 ? $"{needed.Path}: nothing was missing" : $"{needed.Path}: added {string.Join(", ", added)}"
                    );
                }

                return Task.FromResult(ExitCode.Done);
            }));
        return command;
    }
}
