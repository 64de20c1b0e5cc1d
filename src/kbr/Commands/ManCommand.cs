using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr man</c>: the manual pages, rendered from the commands.</summary>
internal static class ManCommand
{
    public static Command Create(CommandContext context)
    {
        var words = new Argument<string[]>("COMMAND")
        {
            Description = "The command, such as plan or state show; default: kbr itself.",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var output = new Option<string>("--out")
        {
            Description = "Write every page to this folder instead, as kbr.1 and kbr-COMMAND.1.",
            HelpName = ValueNames.Folder,
        };
        var command = new Command("man", "Print a manual page, for man or groff. Needs no cluster file.") { words, output }.With(
            context.Options.Shown
        );
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, _, _) =>
            {
                var root = parsed.RootCommandResult.Command;
                if (parsed.Read(output) is { } folder)
                {
                    Write(root, folder);
                }
                else
                {
                    terminal.Line(ManPage.Of(Find(root, parsed.Read(words) ?? []), VersionCommand.Version).TrimEnd('\n'));
                }

                return Task.FromResult(ExitCode.Done);
            }));
        return command;
    }

    private static Command Find(Command root, string[] words)
    {
        var found = root;
        foreach (var word in words)
        {
            found = found.Subcommands.FirstOrDefault(sub => sub.Name == word)
                ?? throw new DiagnosticException(
                    Diagnostic.Error(
                        $"{CommandTree.Path(found)} has no command '{word}'",
                        remedy: found.Subcommands.Count == 0
                            ? $"kbr man {string.Join(' ', CommandTree.Path(found).Split(' ').Skip(1))}"
                            : $"commands are: {string.Join(", ", found.Subcommands.Select(sub => sub.Name))}"
                    )
                );
        }

        return found;
    }

    private static void Write(Command root, string folder)
    {
        try
        {
            Directory.CreateDirectory(folder);
            foreach (var command in CommandTree.All(root).Where(command => !command.Hidden))
            {
                File.WriteAllText(Path.Combine(folder, ManPage.FileOf(command)), ManPage.Of(command, VersionCommand.Version));
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException(
                Diagnostic.Error($"the manual pages could not be written: {exception.Message}", remedy: "choose another folder")
            );
        }
    }
}
