using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Status;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr status</c>: the checklist of a healthy cluster, measured.</summary>
internal static class StatusCommand
{
    public static Command Create(SessionContext context)
    {
        var command = new Command(
            "status",
            "Show whether the cluster is healthy: the conclusion, then every check. Changes nothing. Exit 0 healthy, 2 not healthy, 1 not measurable."
        ).With(context.Options.Hosts);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                await using var session = context.Open(parsed, terminal);
                var topology = session.Cluster.Model<PostgresTopology>()
                    ?? throw new DiagnosticException(
                        Diagnostic.Error($"{session.Cluster.File} has no 'postgres' section, so there is no status")
                    );
                return await ShowAsync(session, topology, terminal, parsed.Read(context.Options.Json), stop).ConfigureAwait(false);
            }));
        return command;
    }

    /// <summary>Measures once, shows, and answers the exit code.</summary>
    public static async Task<int> ShowAsync(
        Session session,
        PostgresTopology topology,
        Terminal terminal,
        bool json,
        CancellationToken cancellationToken
    ) =>
        Show(
            session,
            topology,
            terminal,
            json,
            await StatusCheck.RunAsync(topology, Configuration(session, topology), session.Fleet, cancellationToken).ConfigureAwait(false)
        );

    /// <summary>Gives a cluster that was just changed time to settle, shows what was measured last, and answers the exit code.</summary>
    /// <param name="session">The hosts of this run.</param>
    /// <param name="topology">The cluster.</param>
    /// <param name="terminal">Where it is shown.</param>
    /// <param name="json">Whether as JSON.</param>
    /// <param name="patience">How long it is measured again.</param>
    /// <param name="scope">The part of the checklist that counts; null for all of it.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<int> ShowSettledAsync(
        Session session,
        PostgresTopology topology,
        Terminal terminal,
        bool json,
        TimeSpan patience,
        StatusScope? scope,
        CancellationToken cancellationToken
    )
    {
        var status = await StatusCheck
            .SettleAsync(
                topology,
                Configuration(session, topology),
                session.Fleet,
                patience,
                scope,
                now =>
                    terminal.ErrorLine(
                        $"Not settled yet "
                            + $"({string.Join(", ", now.Items.Where(item => item.Verdict == StatusVerdict.NotOk).Select(item => item.Name))}); "
                            + $"checking again for up to {patience.TotalSeconds:0} s …",
                        Terminal.Tone.Plain
                    ),
                cancellationToken
            )
            .ConfigureAwait(false);
        if (scope is not null && !json)
        {
            terminal.Line("Checks of the changed resources; kbr status shows all of them:");
        }

        return Show(session, topology, terminal, json, status, scope is null ? topology.Scope : $"the changed part of {topology.Scope}");
    }

    private static Resource Configuration(Session session, PostgresTopology topology) =>
        session.Cluster.Resources.First(resource => resource.Address.Type == "patroni_config" && resource.Address.Host == topology.Scope);

    private static int Show(
        Session session,
        PostgresTopology topology,
        Terminal terminal,
        bool json,
        ClusterStatus status,
        string? subject = null
    )
    {
        var next = CopyableCommand.Of(session.Cluster.File, "plan");
        if (json)
        {
            terminal.Line(StatusView.Document(session.Cluster.Name, topology.Scope, status, next));
        }
        else
        {
            StatusView.Show(terminal, subject ?? topology.Scope, status, next);
        }

        return status.Verdict switch
        {
            StatusVerdict.Ok => ExitCode.Done,
            StatusVerdict.NotOk => ExitCode.Changes,
            _ => ExitCode.Error,
        };
    }
}
