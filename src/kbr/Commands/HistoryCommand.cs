using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Records;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr history</c>: who applied what, when, from where, and what came of it, by the hosts' own account. Changes nothing, and
/// needs no secrets.</summary>
internal static class HistoryCommand
{
    private const int Preset = 20;

    public static Command Create(ReadOnlyContext context)
    {
        var last = OptionReading.WholeNumber(
            "--lines",
            $"How many are shown, the newest first; default {Preset}.",
            least: 1,
            preset: Preset
        );
        last.Aliases.Add("-n");
        var command = new Command(
            "history",
            "Show who applied what, when and from where, and what came of it. Checks the hosts' histories. Changes nothing."
        )
        {
            last,
        }.With(context.Options.Hosts);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var most = parsed.Read(last);
                var json = parsed.Read(context.Options.Json);
                var cluster = context.Load(parsed, terminal, secretsOptional: true);
                await using var fleet = context.Fleet(parsed, cluster);
                var read = new HistoryRead(cluster.Name);
                var answers = await fleet.ReadAsync(cluster.Hosts, _ => [read], stop).ConfigureAwait(false);
                var found = HistoryFound.Of(
                    HistoryScript.PathOf(cluster.Name),
                    answers.Select(pair => (pair.Key, pair.Value.Snapshot?.Get(read), pair.Value.Error))
                );
                if (json)
                {
                    terminal.Line(HistoryView.Document(cluster.Name, found, most));
                }
                else
                {
                    HistoryView.Show(terminal, found, most);
                    DiagnosticView.Show(terminal, found.Diagnostics);
                }

                return found.Diagnostics.IsEmpty ? ExitCode.Done : ExitCode.Error;
            }));
        return command;
    }
}
