using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Diagnostics for a person.</summary>
internal static class DiagnosticView
{
    public static void Show(Terminal terminal, IEnumerable<Diagnostic> diagnostics)
    {
        foreach (var diagnostic in diagnostics)
        {
            var isError = diagnostic.Severity == Severity.Error;
            terminal.ErrorLine(
                $"{(isError ? "Error" : "Warning")}: {diagnostic.Summary}",
                isError ? Terminal.Tone.Removed : Terminal.Tone.Changed
            );
            if (diagnostic.Location is { } location)
            {
                terminal.ErrorLine($"  at {location}");
                if (location.LineText.Length > 0)
                {
                    terminal.ErrorLine($"    {location.Line} | {location.LineText}", Terminal.Tone.Faint);
                }
            }

            if (diagnostic.Detail is { } detail)
            {
                terminal.ErrorLine($"  {detail}");
            }

            if (diagnostic.Remedy is { } remedy)
            {
                terminal.ErrorLine($"  → {remedy}");
            }
        }
    }
}
