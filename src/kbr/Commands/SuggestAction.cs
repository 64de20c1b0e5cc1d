using System.CommandLine;
using System.CommandLine.Completions;
using System.CommandLine.Invocation;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>The answer to <c>[suggest:N] "kbr …"</c>, the directive of System.CommandLine that the completion scripts use: what may stand
/// at position N of the line, one word a line.</summary>
/// <param name="root">The commands.</param>
/// <param name="directive">The directive.</param>
internal sealed class SuggestAction(RootCommand root, SuggestDirective directive) : SynchronousCommandLineAction
{
    // Beside those that the help shows.
    private static readonly string[] s_aliases = ["/?", "/h", "-?"];

    private static readonly string[] s_addresses = [ValueNames.Address, "address", "FROM"];

    private static readonly string[] s_hosts = [ValueNames.Host, "host"];

    /// <summary>Lets the commands complete the names of the cluster file, and answer the directive.</summary>
    public static void AddTo(RootCommand root, ClusterNames names)
    {
        foreach (var command in CommandTree.All(root))
        {
            ValueNames.AddTo(command);
            foreach (var option in command.Options)
            {
                Add(option.HelpName, option.CompletionSources);
            }

            foreach (var argument in command.Arguments)
            {
                // Without a name of its own the help would list every completion as the value.
                if (Add(argument.Name, argument.CompletionSources))
                {
                    argument.HelpName = argument.Name;
                }
            }
        }

        var directive = root.Directives.OfType<SuggestDirective>().Single();
        directive.Action = new SuggestAction(root, directive);

        // An option of several commands is met again.
        bool Add(string? name, List<Func<CompletionContext, IEnumerable<CompletionItem>>> sources)
        {
            var (isAddress, isHost) = (s_addresses.Contains(name), s_hosts.Contains(name));
            if (isAddress || isHost)
            {
                sources.Clear();
                sources.Add(isAddress ? names.Addresses : names.Hosts);
            }

            return isAddress || isHost;
        }
    }

    /// <inheritdoc />
    public override int Invoke(ParseResult parseResult)
    {
        var line = parseResult.Tokens.LastOrDefault(token => token.Type != System.CommandLine.Parsing.TokenType.Directive)?.Value ?? "";
        var output = parseResult.InvocationConfiguration.Output;
        var at = parseResult.GetResult(directive)?.Values is [var word, ..] && int.TryParse(word, out var number) ? number : line.Length;
        foreach (var suggestion in Of(line[..Math.Clamp(at, 0, line.Length)]))
        {
            output.WriteLine(suggestion);
        }

        return ExitCode.Done;
    }

    /// <summary>What may stand at the end of a line.</summary>
    /// <param name="line">The line up to the cursor, with the program as its first word.</param>
    public IEnumerable<string> Of(string line)
    {
        var start = line.TrimStart();
        var rest = start.IndexOf(' ', StringComparison.Ordinal) is >= 0 and var space ? start[(space + 1)..] : "";
        // A word such as @FILE must not be read as a file.
        var parsed = root.Parse(rest, new ParserConfiguration { ResponseFileTokenReplacer = null });
        var begun = rest.Length == 0 || rest[^1] == ' ' ? "" : rest.Split(' ')[^1];
        // Where something else may stand, options show once their dash is typed.
        var command = parsed.CommandResult.Command;
        var hidesOptions = command.Arguments.Count > 0 || command.Subcommands.Count > 0;
        return parsed
            .GetCompletions(rest.Length)
            .Select(item => item.InsertText ?? item.Label)
            .Where(label =>
                !s_aliases.Contains(label) && !(begun.Length == 0 && label.StartsWith('-') && (hidesOptions || label[1] != '-'))
            )
            .Where(label => label.StartsWith(begun, StringComparison.Ordinal))
            .Distinct();
    }
}
