using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Status;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr status</c>: the checklist of a healthy cluster, measured.</summary>
internal static class StatusCommand
{
    public static Command Create(CommandContext context)
    {
        var command = new Command("status", "Measure whether the cluster is healthy, item by item. Changes nothing. Exit 0 healthy, 2 not healthy, 1 not measurable.");
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
        {
            await using var session = context.Open(parsed, terminal);
            var topology = session.Cluster.Model<PostgresTopology>()
                ?? throw new DiagnosticException(Diagnostic.Error($"{session.Cluster.File} has no 'postgres' section, and only that has a status"));
            return await ShowAsync(session, topology, terminal, parsed.GetValue(context.Options.Json), stop).ConfigureAwait(false);
        }));
        return command;
    }

    /// <summary>Measures, shows, and answers the exit code.</summary>
    public static async Task<int> ShowAsync(Session session, PostgresTopology topology, Terminal terminal, bool json, CancellationToken cancellationToken)
    {
        var status = await StatusCheck.RunAsync(topology, session.Fleet, cancellationToken).ConfigureAwait(false);
        if (json)
        {
            terminal.Line(StatusView.Document(session.Cluster.Name, topology.Scope, status));
        }
        else
        {
            StatusView.Show(terminal, topology.Scope, status);
        }

        return status.Verdict switch
        {
            StatusVerdict.Ok => ExitCode.Done,
            StatusVerdict.NotOk => ExitCode.Changes,
            _ => ExitCode.Error,
        };
    }
}
