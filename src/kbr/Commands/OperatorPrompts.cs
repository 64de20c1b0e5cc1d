using System.Text;
using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>Asks the operator at the terminal what a connection needs, without showing the answer.</summary>
internal static class OperatorPrompts
{
    private const int Longest = 1024;

    /// <summary>The prompts of this run.</summary>
    public static SshPrompts Create() =>
        new()
        {
            Passphrase = Environment.GetEnvironmentVariable(SshConnector.PassphraseVariable) is { Length: > 0 } given ? given : null,
            AskPassphrase = Ask,
            Warn = text => Console.Error.WriteLine($"Warning: {text}"),
        };

    private static string? Ask(string key, bool again)
    {
        // Standard output may be a pipe: the question goes where the operator looks.
        if (Console.IsInputRedirected || Console.IsErrorRedirected)
        {
            return null;
        }

        // Looking for a key turns the terminal's echo off: what is typed at once after the question must not show.
        _ = Console.KeyAvailable;
        Console.Error.Write($"{(again ? "That was wrong. " : "")}Passphrase of {key}: ");
        var answer = new StringBuilder();
        while (true)
        {
            var pressed = Console.ReadKey(intercept: true);
            switch (pressed.Key)
            {
                case ConsoleKey.Enter:
                    Console.Error.WriteLine();
                    return answer.ToString();
                case ConsoleKey.Backspace when answer.Length > 0:
                    answer.Length--;
                    break;
                case ConsoleKey.D when pressed.Modifiers == ConsoleModifiers.Control:
                    Console.Error.WriteLine();
                    return null;
                default:
                    if (!char.IsControl(pressed.KeyChar) && answer.Length < Longest)
                    {
                        answer.Append(pressed.KeyChar);
                    }

                    break;
            }
        }
    }
}
