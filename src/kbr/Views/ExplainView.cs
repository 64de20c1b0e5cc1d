using System.Text.Json;
using KeyBuzz.Reconciler.Configuration;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>A key of cluster.yaml, or a resource type, explained.</summary>
/// <param name="Path">Its words, such as <c>postgres.haproxy.read_port</c>.</param>
/// <param name="Key">Its description.</param>
/// <param name="Example">It in a cluster file.</param>
internal sealed record Explanation(string Path, SectionKey Key, string Example);

/// <summary>Shows explanations.</summary>
internal static class ExplainView
{
    /// <summary>As text.</summary>
    public static void Show(Terminal terminal, Explanation explanation)
    {
        var (path, key, example) = explanation;
        terminal.Line(path, Terminal.Tone.Bold);
        terminal.Line($"  {key.Description}");
        terminal.Line($"  Value: {Forms(key)}{(key.Required ? "; required" : "")}");
        if (!key.Choices.IsEmpty)
        {
            terminal.Line($"  One of: {string.Join(", ", key.Choices)}");
        }

        if (key.Default is { Length: > 0 } preset)
        {
            terminal.Line($"  Default: {preset}");
        }

        if (key.Effect is { } effect)
        {
            terminal.Line($"  {effect}");
        }

        if (key.Section is { } section)
        {
            terminal.Line();
            terminal.Line("Keys:", Terminal.Tone.Bold);
            ShowKeys(terminal, section.Keys);
            terminal.Line($"  kbr explain {path}.KEY explains one.");
        }

        terminal.Line();
        terminal.Line("Example:", Terminal.Tone.Bold);
        foreach (var line in example.Split('\n'))
        {
            terminal.Line($"  {line}");
        }
    }

    /// <summary>The sections and the resource types, as text.</summary>
    public static void ShowAll(Terminal terminal, ClusterSchema schema)
    {
        terminal.Line("Keys of cluster.yaml:", Terminal.Tone.Bold);
        ShowKeys(terminal, schema.Root.Keys);
        terminal.Line();
        terminal.Line("Resource types:", Terminal.Tone.Bold);
        ShowKeys(terminal, schema.Types.Values);
        terminal.Line();
        terminal.Line("kbr explain NAME explains one, kbr explain NAME.KEY a key of it.");
    }

    /// <summary>As JSON.</summary>
    public static string Document(Explanation explanation) => JsonView.Document("explain", json =>
        {
            var (path, key, example) = explanation;
            json.WriteString("path", path);
            json.WriteString("description", key.Description);
            json.WriteString("value", Forms(key));
            json.WriteBoolean("required", key.Required);
            json.WriteString("default", key.Default);
            json.WriteStartArray("choices");
            foreach (var choice in key.Choices)
            {
                json.WriteStringValue(choice);
            }

            json.WriteEndArray();
            json.WriteString("effect", key.Effect);
            WriteKeys(json, key.Section?.Keys ?? []);
            json.WriteString("example", example);
        });

    /// <summary>The sections and the resource types, as JSON.</summary>
    public static string DocumentOfAll(ClusterSchema schema) => JsonView.Document("explain", json =>
        {
            json.WriteString("path", "");
            WriteKeys(json, [.. schema.Root.Keys, .. schema.Types.Values]);
        });

    private static void WriteKeys(Utf8JsonWriter json, IEnumerable<SectionKey> keys)
    {
        json.WriteStartArray("keys");
        foreach (var key in keys)
        {
            json.WriteStartObject();
            json.WriteString("name", key.Name);
            json.WriteString("description", key.Description);
            json.WriteBoolean("required", key.Required);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void ShowKeys(Terminal terminal, IEnumerable<SectionKey> keys)
    {
        var all = keys.ToList();
        var width = all.Max(key => key.Name.Length);
        foreach (var key in all)
        {
            terminal.Line($"  {key.Name.PadRight(width)}  {(key.Required ? "(required) " : "")}{key.Description}");
        }
    }

    /// <summary>What a key holds, in words.</summary>
    public static string Forms(SectionKey key) => string.Join(", or ", key.Forms.Select(Form));

    private static string Form(ValueForm form) =>
        form switch
        {
            ValueForm.Word => "a word",
            ValueForm.Text => "a text",
            ValueForm.Integer => "a whole number",
            ValueForm.Boolean => "true or false",
            ValueForm.Mode => "permissions in octal, such as \"0640\"",
            ValueForm.Size => "a size such as 1GiB",
            ValueForm.Duration => "a time such as 10s",
            ValueForm.Port => "a port number",
            ValueForm.Words => "a list of words",
            ValueForm.Section => "a map",
            ValueForm.Sections => "a list of maps",
            ValueForm.Values => "a map of names and values",
            ValueForm.NamedSections => "a map of names and maps",
            _ => throw new ArgumentOutOfRangeException(nameof(form), form, "no such form"),
        };
}
