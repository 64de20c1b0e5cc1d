using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>The question before something is changed.</summary>
internal static class Approval
{
    /// <summary>Asks, and takes only 'yes' for yes. Throws <see cref="DiagnosticException"/> for any other answer, and where nobody can answer.</summary>
    /// <param name="terminal">Where.</param>
    /// <param name="word">The command.</param>
    /// <param name="json">Whether the output is JSON.</param>
    public static void Ask(Terminal terminal, string word, bool json)
    {
        if (json || Console.IsInputRedirected)
        {
            throw new DiagnosticException(Diagnostic.Error($"{word} needs an answer, and there is nobody to ask", remedy: "look at what it would do, then pass --auto-approve"));
        }

        terminal.Line();
        terminal.Line("Do you want this? Only 'yes' is taken for yes.");
        Console.Out.Write("  Answer: ");
        if (Console.ReadLine()?.Trim() != "yes")
        {
            throw new DiagnosticException(Diagnostic.Error($"{word} was declined; nothing was changed"));
        }
    }
}
