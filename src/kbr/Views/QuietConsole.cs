namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Keeps the runtime from writing to the terminal by itself: at the first use of the console it switches the keypad of a terminal
/// to another mode, by an escape sequence that the terminal's description names. kbr needs no keypad.</summary>
internal static class QuietConsole
{
    private const string Variable = "TERM";

    /// <summary>Lets the runtime begin with a terminal that has no such sequences. What kbr itself and its children read of the environment
    /// stays as it was.</summary>
    public static void Begin()
    {
        var terminal = Environment.GetEnvironmentVariable(Variable);
        if (terminal is null || Console.IsOutputRedirected)
        {
            return;
        }

        Environment.SetEnvironmentVariable(Variable, "dumb");
        // The first use.
        _ = Console.WindowWidth;
        Environment.SetEnvironmentVariable(Variable, terminal);
    }
}
