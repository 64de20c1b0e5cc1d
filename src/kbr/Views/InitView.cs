using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Shows what <c>kbr init</c> wrote.</summary>
internal static class InitView
{
    /// <summary>The secrets that were added.</summary>
    public static void ShowCredentials(Terminal terminal, bool json, string path, IReadOnlyCollection<string> added)
    {
        if (!json)
        {
            terminal.Line(added.Count == 0 ? $"{path}: nothing was missing" : $"{path}: added {string.Join(", ", added)}");
            return;
        }

        terminal.Line(JsonView.Document("init", document =>
            {
                document.WriteString("file", path);
                document.WriteStartArray("added");
                foreach (var name in added)
                {
                    document.WriteStringValue(name);
                }

                document.WriteEndArray();
            }));
    }

    /// <summary>A new cluster file: what it was made of, what is left to write, and the next commands.</summary>
    public static void Show(Terminal terminal, bool json, string file, FirstFile made, IReadOnlyCollection<Diagnostic> left)
    {
        string[] next =
        [
            .. made.First.IsEmpty ? Array.Empty<string>() : [CopyableCommand.Of(file, made.First)],
            CopyableCommand.Of(file, "init", "--credentials"),
            CopyableCommand.Of(file, "validate"),
            CopyableCommand.Of(file, "check"),
            .. made.Adopts ? [CopyableCommand.Of(file, "import")] : Array.Empty<string>(),
            CopyableCommand.Of(file, "plan"),
            CopyableCommand.Of(file, "apply"),
        ];
        if (json)
        {
            terminal.Line(JsonView.Document("init", document =>
                {
                    document.WriteString("file", file);
                    WriteTexts("added", []);
                    WriteTexts("notes", made.Notes);
                    WriteTexts("left", left.Select(LineOf));
                    WriteTexts("next", next);

                    void WriteTexts(string name, IEnumerable<string> texts)
                    {
                        document.WriteStartArray(name);
                        foreach (var text in texts)
                        {
                            document.WriteStringValue(text);
                        }

                        document.WriteEndArray();
                    }
                }));
            return;
        }

        foreach (var note in made.Notes)
        {
            terminal.Line(note);
        }

        terminal.Line($"Wrote {file}.", Terminal.Tone.Added);
        if (left.Count > 0)
        {
            terminal.Line();
            terminal.Line("Left to you:", Terminal.Tone.Bold);
            foreach (var finding in left)
            {
                terminal.Line("  " + LineOf(finding), Terminal.Tone.Changed);
            }
        }

        terminal.Line();
        terminal.Line("Next:", Terminal.Tone.Bold);
        foreach (var command in next)
        {
            terminal.Line("  " + command);
        }
    }

    private static string LineOf(Diagnostic finding) =>
        (finding.Location is { } at ? $"line {at.Line}: " : "") + finding.Summary + (finding.Remedy is null ? "" : $" ({finding.Remedy})");
}
