using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr status</c>: the checklists of the blueprints, measured.</summary>
internal static class StatusCommand
{
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(500);

    public static Command Create(SessionContext context)
    {
        var command = new Command(
            "status",
            "Show whether the cluster is healthy: the conclusion, then every check. Changes nothing. Exit 0 healthy, 2 not healthy, 1 not measurable."
        ).With(context.Options.Hosts);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                await using var session = context.Open(parsed, terminal);
                var checks = context.HealthChecks(session.Cluster);
                if (checks.IsEmpty)
                {
                    var sections = string.Join(" or ", context.Blueprints.Select(blueprint => $"'{blueprint.Key}'"));
                    throw new DiagnosticException(
                        Diagnostic.Error($"{session.Cluster.File} has no {sections} section, so there is no status")
                    );
                }

                var exit = ExitCode.Done;
                foreach (var check in checks)
                {
                    var report = await check.MeasureAsync(session.Fleet, touched: null, stop).ConfigureAwait(false);
                    exit = ExitCode.Worse(
                        exit,
                        Show(session, check.Scope, check.Scope, terminal, parsed.Read(context.Options.Json), report)
                    );
                }

                return exit;
            }));
        return command;
    }

    /// <summary>Gives changes time to settle: measures until every check passes, one cannot be measured, or the time has passed.
    /// Shows the last measurement, and answers the exit code.</summary>
    /// <param name="session">The hosts of this run.</param>
    /// <param name="check">The checklist.</param>
    /// <param name="terminal">Where it is shown.</param>
    /// <param name="json">Whether as JSON.</param>
    /// <param name="patience">How long it is measured again.</param>
    /// <param name="touched">The changed resources, whose checks count; null for all.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<int> ShowSettledAsync(
        Session session,
        IHealthCheck check,
        Terminal terminal,
        bool json,
        TimeSpan patience,
        IReadOnlyCollection<Address>? touched,
        CancellationToken cancellationToken
    )
    {
        var told = false;
        var report = await Poll.UntilAsync(
                () => check.MeasureAsync(session.Fleet, touched, cancellationToken),
                now => now.Verdict != HealthVerdict.NotOk,
                new PollPace(s_poll, patience) { SparesSlowHosts = true },
                session.Time,
                cancellationToken,
                beforePause: Tell
            )
            .ConfigureAwait(false);
        if (report.Items.IsEmpty)
        {
            return ExitCode.Done;
        }

        if (touched is not null && !json)
        {
            terminal.Line("Checks of the changed resources; kbr status shows all of them:");
        }

        return Show(session, check.Scope, touched is null ? check.Scope : $"the changed part of {check.Scope}", terminal, json, report);

        void Tell(HealthReport now)
        {
            if (!told)
            {
                terminal.ErrorLine(
                    $"Not settled yet "
                        + $"({string.Join(", ", now.Items.Where(item => item.Verdict == HealthVerdict.NotOk).Select(item => item.Name))}); "
                        + $"checking again for up to {patience.TotalSeconds:0} s …",
                    Terminal.Tone.Plain
                );
                told = true;
            }
        }
    }

    private static int Show(Session session, string scope, string subject, Terminal terminal, bool json, HealthReport report)
    {
        var next = CopyableCommand.Of(session.Cluster.File, "plan");
        if (json)
        {
            terminal.Line(StatusView.Document(session.Cluster.Name, scope, report, next));
        }
        else
        {
            StatusView.Show(terminal, subject, report, next);
        }

        return report.Verdict switch
        {
            HealthVerdict.Ok => ExitCode.Done,
            HealthVerdict.NotOk => ExitCode.Changes,
            _ => ExitCode.Error,
        };
    }
}
