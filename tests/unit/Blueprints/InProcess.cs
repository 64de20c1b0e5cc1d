using KeyBuzz.Reconciler.Cli.Commands;
using Microsoft.Extensions.DependencyInjection;

namespace KeyBuzz.Reconciler.Tests.Blueprints;

/// <summary>kbr in this process, with another blueprint registered.</summary>
internal static class InProcess
{
    public static async Task<(int Exit, string Output, string Error)> RunAsync(
        Action<IServiceCollection> more,
        string folder,
        params string[] words
    )
    {
        var (output, error) = (Console.Out, Console.Error);
        using var said = new StringWriter { NewLine = "\n" };
        using var complained = new StringWriter { NewLine = "\n" };
        await using var services = KbrCommandLine.Services(more);
        try
        {
            Console.SetOut(said);
            Console.SetError(complained);
            string[] file = words[0] == "--help" ? [] : ["-c", $"{folder}/cluster.yaml"];
            var exit = await KbrCommandLine.Create(services).Parse([.. words, .. file]).InvokeAsync();
            return (exit, said.ToString(), complained.ToString());
        }
        finally
        {
            Console.SetOut(output);
            Console.SetError(error);
        }
    }
}
