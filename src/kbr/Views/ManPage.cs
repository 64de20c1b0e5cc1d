using System.CommandLine;
using System.Text;
using KeyBuzz.Reconciler.Cli.Commands;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>The manual page of a command, in the language of man, made of the same description as its help.</summary>
internal static class ManPage
{
    /// <summary>The file of a command's page.</summary>
    public static string FileOf(Command command) => $"{NameOf(command)}.1";

    /// <summary>The page. It has no date: the same kbr renders the same bytes.</summary>
    public static string Of(Command command, string version)
    {
        var page = new StringBuilder();
        var name = NameOf(command);
        var description = command.Description ?? "";
        var options = CommandTree.OptionsOf(command).ToList();
        page.Append($".TH {Quoted(name.ToUpperInvariant())} 1 \"\" {Quoted($"kbr {version}")} {Quoted("kbr manual")}\n");
        page.Append($".SH NAME\n{Text(name)} \\- {Text(FirstSentence(description))}\n");
        page.Append($".SH SYNOPSIS\n.B {Text(CommandTree.Path(command))}\n");
        var subcommands = command.Subcommands.Where(sub => !sub.Hidden).ToList();
        page.Append(Text(string.Join(' ', Synopsis(command, subcommands.Count > 0)))).Append('\n');
        page.Append($".SH DESCRIPTION\n{Text(description)}\n");
        Items("COMMANDS", subcommands.Select(sub => (CommandTree.Path(sub), sub.Description)));
        Items("ARGUMENTS", command.Arguments.Select(argument => (argument.Name, argument.Description)));
        Items("OPTIONS", options.Select(option => (Label(option), (string?)Explained(option))));
        Items("EXAMPLES", CommandExamples.Of(command).Select(example => (example.Line, (string?)example.Does)));
        page.Append(".SH EXIT STATUS\n0 done, 1 an error; other codes are in the description.\n");
        page.Append(".SH FILES\n");
        Item("cluster.yaml", "The cluster file in the current folder; \\-\\-file names another.");
        page.Append(".SH SEE ALSO\n");
        page.Append(Text(command is RootCommand ? string.Join(", ", subcommands.Select(Reference)) : "kbr(1)")).Append('\n');
        return page.ToString();

        void Items(string heading, IEnumerable<(string Term, string? Says)> items)
        {
            var all = items.ToList();
            if (all.Count > 0)
            {
                page.Append($".SH {heading}\n");
            }

            foreach (var (term, says) in all)
            {
                Item(Text(term), Text(says ?? ""));
            }
        }

        void Item(string term, string says) => page.Append($".TP\n.B {term}\n{says}\n");
    }

    private static string NameOf(Command command) => CommandTree.Path(command).Replace(' ', '-');

    private static string Reference(Command command) => $"{NameOf(command)}(1)";

    private static IEnumerable<string> Synopsis(Command command, bool hasSubcommands)
    {
        if (hasSubcommands)
        {
            yield return "COMMAND";
        }

        foreach (var argument in command.Arguments)
        {
            var name = argument.Name.ToUpperInvariant() + (argument.Arity.MaximumNumberOfValues > 1 ? "..." : "");
            yield return argument.Arity.MinimumNumberOfValues == 0 ? $"[{name}]" : name;
        }

        yield return "[options]";
    }

    private static string Label(Option option)
    {
        var names = option.Aliases.Where(alias => alias.StartsWith('-') && alias != "-?").Append(option.Name).OrderBy(name => name.Length);
        var label = string.Join(", ", names.Distinct());
        return option.Arity.MinimumNumberOfValues == 0 ? label : $"{label} {option.HelpName}";
    }

    private static string Explained(Option option) =>
        option.HasDefaultValue && option.Arity.MinimumNumberOfValues > 0 && option.GetDefaultValue() is { } preset
            ? $"{option.Description} Default: {preset}."
            : option.Description ?? "";

    private static string FirstSentence(string text) =>
        (text.IndexOf(". ", StringComparison.Ordinal) is >= 0 and var end ? text[..end] : text).TrimEnd('.');

    // A backslash, a dash and a line that begins with a dot or a quote mean something to man.
    private static string Text(string text)
    {
        var escaped = text.Replace("\\", "\\e", StringComparison.Ordinal)
            .Replace("-", "\\-", StringComparison.Ordinal)
            .ReplaceLineEndings(" ");
        return escaped is ['.' or '\'', ..] ? "\\&" + escaped : escaped;
    }

    private static string Quoted(string text) => $"\"{text.Replace("\"", "\\(dq", StringComparison.Ordinal)}\"";
}
