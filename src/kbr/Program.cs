using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Commands;

await using var services = KbrCommandLine.Services();
var parsed = KbrCommandLine.Create(services).Parse(KbrCommandLine.Spelled(args));
try
{
    // Commands handle signals themselves: running changes finish first.
    return await parsed.InvokeAsync(
        new InvocationConfiguration { ProcessTerminationTimeout = null, EnableDefaultExceptionHandler = false }
    );
}
catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
{
    // The help goes past the terminal of a command.
    await Console.Error.WriteLineAsync($"Error: the output could not be written: {exception.Message}");
    return ExitCode.Error;
}
