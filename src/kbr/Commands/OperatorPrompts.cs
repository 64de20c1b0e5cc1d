using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>Asks the operator at the terminal what a connection needs, without showing the answer.</summary>
internal static class OperatorPrompts
{
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

        using var input = HiddenInput.Begin();
        if (input is null)
        {
            return null;
        }

        Console.Error.Write($"{(again ? "That was wrong. " : "")}Passphrase of {key}: ");
        var answer = input.ReadLine();
        Console.Error.WriteLine();
        return answer;
    }
}
