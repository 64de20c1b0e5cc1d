using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;

QuietConsole.Begin();
await using var services = KbrCommandLine.Services();
try
{
    return await KbrCommandLine.RunAsync(KbrCommandLine.Create(services), args);
}
catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
{
    // The help goes past the terminal of a command.
    await Console.Error.WriteLineAsync($"Error: the output could not be written: {exception.Message}");
    return ExitCode.Error;
}
