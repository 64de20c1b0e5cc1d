using System.CommandLine;
using System.Reflection;
using System.Runtime.InteropServices;
using KeyBuzz.Reconciler.Cli.Views;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr version</c>: which kbr this is, and on what.</summary>
internal static class VersionCommand
{
    /// <summary>The version of this program.</summary>
    public static string Version { get; } =
        typeof(VersionCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;

    public static Command Create(CommandContext context)
    {
        var command = new Command("version", "Show the version of kbr. Needs no cluster file.").With(context.Options.Shown);
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, _, _) =>
            {
                if (parsed.Read(context.Options.Json))
                {
                    terminal.Line(JsonView.Document("version", json =>
                        {
                            json.WriteString("version", Version);
                            json.WriteString("platform", RuntimeInformation.RuntimeIdentifier);
                        }));
                }
                else
                {
                    terminal.Line($"kbr {Version}");
                    terminal.Line($"on {RuntimeInformation.RuntimeIdentifier}");
                }

                return Task.FromResult(ExitCode.Done);
            }));
        return command;
    }
}
