using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Drill;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr drill</c>: fails the primary, and measures the failover for its clients.</summary>
internal static class DrillCommand
{
    private const int ShortestTimeout = 10;

    public static Command Create(SessionContext context)
    {
        var kind = new Option<string>("--kind")
        {
            Description = $"The fault for the primary: {string.Join(", ", DrillKinds.All.Select(each => each.Word()))}.",
            DefaultValueFactory = _ => DrillKind.Switchover.Word(),
        };
        kind.AcceptOnlyFromAmong([.. DrillKinds.All.Select(each => each.Word())]);
        var svg = new Option<string>("--svg") { Description = "Also draw the timeline to this SVG file." };
        var approve = new Option<bool>("--auto-approve") { Description = "Do not ask for confirmation." };
        var timeout = OptionReading.WholeNumber(
            "--timeout",
            "Seconds that the service, and then the cluster, may take to recover.",
            ShortestTimeout,
            preset: 120
        );
        var command = new Command(
            "drill",
            "Fail the primary while writing as applications do, and measure the failover. Exit 0 "
                + "passed, 2 acknowledged writes were lost, 1 not run, not measured or not recovered in time."
        )
        {
            kind,
            svg,
            approve,
            timeout,
        }.With(context.Options.Hosts);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                var what = DrillKinds.All.First(each => each.Word() == parsed.Read(kind));
                var picture = parsed.Read(svg);
                var approved = parsed.Read(approve);
                var patience = TimeSpan.FromSeconds(parsed.Read(timeout));
                if (picture is not null && !Directory.Exists(Path.GetDirectoryName(Path.GetFullPath(picture))))
                {
                    throw new DiagnosticException(
                        Diagnostic.Error($"--svg: there is no directory {Path.GetDirectoryName(Path.GetFullPath(picture))}")
                    );
                }

                await using var session = context.Open(parsed, terminal);
                var topology = SwitchoverCommand.Topology(session, "drill");
                await FenceCommand.RefuseWhileFencedAsync(session, topology, "drill", stop).ConfigureAwait(false);
                var choice = await SwitchoverCommand.ChooseAsync(session, topology, null, stop).ConfigureAwait(false);
                if (!json)
                {
                    DrillView.ShowPlan(terminal, topology, what, choice.Leader);
                }

                if (!approved)
                {
                    Approval.Ask(terminal, "drill", json, stop);
                }

                // The proxies too, so that another apply does not disturb the measurement. They were not read yet.
                await session.Fleet.ReadAsync(topology.Proxies, _ => [], stop).ConfigureAwait(false);
                await using var group = await SwitchoverCommand
                    .LockAsync(session, topology, topology.Proxies, "drill", stop)
                    .ConfigureAwait(false);
                var cluster = SwitchoverCommand.Running(session, topology, group);
                await SwitchoverCommand.CheckAgainAsync(topology, cluster, choice, stop).ConfigureAwait(false);

                // Beside JSON, what a person reads goes to standard error.
                Action<string> say = json ? text => terminal.ErrorLine(text) : text => terminal.Line(text);
                var run = new DrillRun(topology, cluster, group, session.Fleet.Connections[topology.Proxies[0].Name], say);
                var report = await run.RunAsync(what, choice, patience, stop).ConfigureAwait(false);
                if (json)
                {
                    terminal.Line(DrillView.Document(session.Cluster.Name, report));
                }
                else
                {
                    terminal.Line();
                    DrillView.Show(terminal, report);
                }

                if (picture is not null)
                {
                    Write(picture, DrillPicture.Of(report));
                }

                return report.Outcome switch
                {
                    DrillOutcome.Passed => ExitCode.Done,
                    DrillOutcome.Lost => ExitCode.Lost,
                    _ => ExitCode.Error,
                };
            }));
        return command;
    }

    private static void Write(string path, string text)
    {
        var beside = path + ".new";
        try
        {
            File.WriteAllText(beside, text);
            File.Move(beside, path, overwrite: true);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"the picture could not be written to {path}: {exception.Message}",
                    remedy: "the drill itself completed; its report is above"
                )
            );
        }
    }
}
