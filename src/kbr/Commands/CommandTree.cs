using System.CommandLine;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>The commands as a tree: their words, and those below them.</summary>
internal static class CommandTree
{
    /// <summary>The name of the program, whatever its file is called.</summary>
    public const string Program = "kbr";

    /// <summary>The words of a command: <c>kbr state show</c>.</summary>
    public static string Path(Command command) =>
        command is RootCommand || command.Parents.OfType<Command>().FirstOrDefault() is not { } parent
            ? Program
            : $"{Path(parent)} {command.Name}";

    /// <summary>The command and all commands below it.</summary>
    public static IEnumerable<Command> All(Command command) => command.Subcommands.SelectMany(All).Prepend(command);

    /// <summary>The options that a command takes, with the help that every command has.</summary>
    public static IEnumerable<Option> OptionsOf(Command command) =>
        command
            .Options.Concat(command.Parents.OfType<Command>().SelectMany(parent => parent.Options.Where(option => option.Recursive)))
            .Where(option => !option.Hidden)
            .Distinct();
}
