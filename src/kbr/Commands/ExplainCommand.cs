using System.Collections.Immutable;
using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr explain</c>: a key of cluster.yaml, from the description that its reader uses.</summary>
internal static class ExplainCommand
{
    public static Command Create(CommandContext context)
    {
        var path = new Argument<string?>("KEY")
        {
            Description = "A section, a resource type, or a key of one: postgres.haproxy, container.image; default: list them.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        path.CompletionSources.Clear();
        path.CompletionSources.Add(completion => Completions(ClusterSchema.Of(context.Syntax), completion.WordToComplete));
        path.HelpName = path.Name;
        var command = new Command("explain", "Explain a key of cluster.yaml or a resource type. Needs no cluster file.") { path }.With(
            context.Options.Shown
        );
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, _, _) =>
            {
                var schema = ClusterSchema.Of(context.Syntax);
                var json = parsed.Read(context.Options.Json);
                if (parsed.Read(path) is not { Length: > 0 } words)
                {
                    Print(ExplainView.DocumentOfAll, ExplainView.ShowAll, schema);
                }
                else
                {
                    Print(ExplainView.Document, ExplainView.Show, Find(schema, words));
                }

                return Task.FromResult(ExitCode.Done);

                void Print<T>(Func<T, string> document, Action<Terminal, T> show, T what)
                {
                    if (json)
                    {
                        terminal.Line(document(what));
                    }
                    else
                    {
                        show(terminal, what);
                    }
                }
            }));
        return command;
    }

    /// <summary>What a path means; throws <see cref="DiagnosticException"/> with the nearest name when it means nothing.</summary>
    public static Explanation Find(ClusterSchema schema, string path)
    {
        var words = path.Split('.');
        var isType = schema.Root.Find(words[0]) is null;
        var way = ImmutableArray.CreateBuilder<SectionKey>();
        way.Add(
            schema.Root.Find(words[0])
                ?? schema.Types.GetValueOrDefault(words[0])
                ?? throw Unknown("cluster.yaml", words[0], [.. schema.Root.Names, .. schema.Types.Keys], "kbr explain")
        );
        for (var i = 1; i < words.Length; i++)
        {
            var parent = string.Join('.', words[..i]);
            way.Add(
                way[^1].Section?.Find(words[i]) ?? throw Unknown(parent, words[i], way[^1].Section?.Names ?? [], $"kbr explain {parent}")
            );
        }

        return new Explanation(path, way[^1], Example(way, isType));
    }

    private static DiagnosticException Unknown(string parent, string word, IReadOnlyCollection<string> known, string listing) =>
        new(
            Diagnostic.Error(
                $"{parent} has no key '{word}'",
                remedy: NearName.Of(word, known) is { } near ? $"did you mean '{near}'?" : $"{listing} lists its keys"
            )
        );

    private static IEnumerable<string> Completions(ClusterSchema schema, string begun)
    {
        var end = begun.LastIndexOf('.') + 1;
        if (end == 0)
        {
            return [.. schema.Root.Names, .. schema.Types.Keys];
        }

        try
        {
            return (Find(schema, begun[..(end - 1)]).Key.Section?.Names ?? []).Select(name => begun[..end] + name);
        }
        catch (DiagnosticException)
        {
            return [];
        }
    }

    // The keys above it, a line each, and then it, in the flow style.
    private static string Example(ImmutableArray<SectionKey>.Builder way, bool isType)
    {
        if (isType)
        {
            var fields = Required(way[0].Section!).ToList();
            if (way.Count > 1 && !way[1].Required)
            {
                fields.Add(Written(way.Skip(1)));
            }

            var own = string.Concat(fields.Select(field => ", " + field));
            return $"resources:\n  - {{ type: {way[0].Name}, name: NAME, host: HOST{own} }}";
        }

        return Written(way);

        static string Written(IEnumerable<SectionKey> keys)
        {
            var (key, rest) = (keys.First(), keys.Skip(1).ToList());
            return rest.Count == 0 ? $"{key.Name}: {Value(key)}" : $"{key.Name}: {Wrapped(key, Written(rest))}";
        }

        static string Wrapped(SectionKey key, string inner) =>
            key.Form switch
            {
                ValueForm.NamedSections => $"{{ NAME: {{ {inner} }} }}",
                ValueForm.Sections => $"[{{ {inner} }}]",
                _ => $"{{ {inner} }}",
            };
    }

    private static IEnumerable<string> Required(SectionSchema section) =>
        section.Keys.Where(key => key.Required && key.Name is not ("type" or "name" or "host")).Select(key => $"{key.Name}: {Value(key)}");

    private static string Value(SectionKey key) =>
        key.Example
        ?? (
            key.Default is { Length: > 0 } preset ? Quoted(preset)
            : !key.Choices.IsEmpty ? key.Choices[0]
            : key.Form switch
            {
                ValueForm.Integer => (key.Minimum ?? 1).ToString(System.Globalization.CultureInfo.InvariantCulture),
                ValueForm.Boolean => "true",
                ValueForm.Mode => "\"0640\"",
                ValueForm.Size => "1GiB",
                ValueForm.Duration => "10s",
                ValueForm.Port => "5432",
                ValueForm.Words => "[WORD]",
                ValueForm.Values => "{ NAME: VALUE }",
                ValueForm.Section => Map(key.Section!),
                ValueForm.Sections => $"[{Map(key.Section!)}]",
                ValueForm.Text => "TEXT",
                _ => "WORD",
            }
        );

    // Its required keys, or else its first.
    private static string Map(SectionSchema section)
    {
        var shown = section.Keys.Where(key => key.Required).ToList();
        shown = shown.Count == 0 ? [.. section.Keys.Take(1)] : shown;
        return shown.Count == 0 ? "{}" : $"{{ {string.Join(", ", shown.Select(key => $"{key.Name}: {Value(key)}"))} }}";
    }

    private static string Quoted(string word) => word.Length > 1 && word[0] == '0' && word.All(char.IsAsciiDigit) ? $"\"{word}\"" : word;
}
