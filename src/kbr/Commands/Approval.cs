using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>The question before something is changed.</summary>
internal static class Approval
{
    /// <summary>Asks for confirmation; only 'yes' confirms. Throws <see cref="DiagnosticException"/> for any other answer, and without a
    /// terminal.</summary>
    /// <param name="terminal">Where.</param>
    /// <param name="word">The command.</param>
    /// <param name="json">Whether the output is JSON.</param>
    /// <param name="stop">Cancels the question, as Ctrl-C does.</param>
    public static void Ask(Terminal terminal, string word, bool json, CancellationToken stop)
    {
        if (json || Console.IsInputRedirected)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{word} needs confirmation, but standard input is not a terminal",
                    remedy: "review the plan, then repeat with --auto-approve"
                )
            );
        }

        terminal.Line();
        terminal.Prompt("Apply these changes? Type 'yes' to confirm: ");
        if (Answer(terminal, word, stop)?.Trim() != "yes")
        {
            throw new DiagnosticException(Diagnostic.Error($"{word} was declined; nothing was changed"));
        }
    }

    /// <summary>Asks for the cluster's name, where more than 'yes' is due. Throws <see cref="DiagnosticException"/> for any other answer,
    /// and without a terminal.</summary>
    /// <param name="terminal">Where.</param>
    /// <param name="word">The command.</param>
    /// <param name="name">The cluster's name.</param>
    /// <param name="given">The name that the command line gives.</param>
    /// <param name="json">Whether the output is JSON.</param>
    /// <param name="stop">Cancels the question, as Ctrl-C does.</param>
    public static void AskForName(Terminal terminal, string word, string name, string? given, bool json, CancellationToken stop)
    {
        if (given is null && !json && !Console.IsInputRedirected)
        {
            terminal.Line();
            terminal.Prompt($"Type the cluster's name, {name}, to confirm: ");
            given = Answer(terminal, word, stop)?.Trim();
        }

        if (given != name)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{word} was not confirmed; nothing was changed",
                    remedy: $"review what is above, then repeat with --confirm {name}"
                )
            );
        }
    }

    /// <summary>Waits for a line of the terminal. Throws <see cref="DiagnosticException"/> when it is interrupted.</summary>
    /// <param name="terminal">Where.</param>
    /// <param name="word">The command.</param>
    /// <param name="stop">Cancels the question, as Ctrl-C does.</param>
    // A read of the terminal cannot be cancelled, so it is left behind.
    public static string? Answer(Terminal terminal, string word, CancellationToken stop)
    {
        terminal.IsAsking = true;
        try
        {
            var answer = Task.Run(Console.ReadLine, CancellationToken.None);
            answer.Wait(stop);
            return answer.Result;
        }
        catch (OperationCanceledException)
        {
            terminal.Line();
            throw new DiagnosticException(Diagnostic.Error($"{word} was interrupted before an answer; nothing was changed"));
        }
        finally
        {
            terminal.IsAsking = false;
        }
    }
}
