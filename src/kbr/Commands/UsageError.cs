using System.CommandLine;
using System.CommandLine.Invocation;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>A command line that cannot be: each mistake in a line, with the word that was probably meant, instead of the whole
/// help.</summary>
internal static class UsageError
{
    // The parser lists choices a line each.
    private static readonly char[] s_breaks = ['\n', '\r', '\t'];

    /// <summary>Whether the command line cannot be, and no command runs.</summary>
    public static bool IsIn(ParseResult parsed) => parsed.Action is ParseErrorAction;

    /// <summary>Shows the mistakes, and answers the exit code.</summary>
    public static int Show(ParseResult parsed)
    {
        // The options may be what is wrong, so the words themselves tell.
        var json = parsed.Tokens.Any(token => token.Value == "--json") || parsed.UnmatchedTokens.Contains("--json");
        var terminal = new Terminal(parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error, color: false);
        CommandContext.Show(terminal, Of(parsed), json);
        return ExitCode.Error;
    }

    /// <summary>The mistakes of a command line.</summary>
    public static IReadOnlyList<Diagnostic> Of(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        var help = $"{CommandTree.Path(command)} --help";
        var found = new List<Diagnostic>();
        if (parsed.UnmatchedTokens is [var first, ..])
        {
            found.Add(Unmatched(command, first, help));
        }

        // The parser says each unmatched word again.
        found.AddRange(
            parsed
                .Errors.Select(error => string.Join(' ', error.Message.Split(s_breaks, StringSplitOptions.RemoveEmptyEntries)).TrimEnd('.'))
                .Where(message => !parsed.UnmatchedTokens.Any(word => message.Contains($"'{word}'", StringComparison.Ordinal)))
                .Distinct()
                .Select(message => Diagnostic.Error(message, remedy: help))
        );
        return found;
    }

    // What follows an unknown option may be its value, so only the first word is spoken of.
    private static Diagnostic Unmatched(Command command, string word, string help)
    {
        var isOption = word.StartsWith('-');
        var name = isOption ? word.Split('=')[0] : word;
        var known = isOption
            ? CommandTree.OptionsOf(command).SelectMany(option => option.Aliases.Prepend(option.Name)).Where(IsLong)
            : command.Subcommands.Select(sub => sub.Name);
        var near = NearName.Of(name, known);
        var path = CommandTree.Path(command);
        var summary =
            isOption ? $"{path} has no option '{name}'"
            : command.Subcommands.Count > 0 ? $"{path} has no command '{name}'"
            : $"{path} takes no argument '{name}'";
        return Diagnostic.Error(summary, remedy: near is null ? help : $"did you mean '{near}'? {help}");
    }

    private static bool IsLong(string name) => name.StartsWith("--", StringComparison.Ordinal);
}
