using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr status</c>: the checklists of the blueprints, measured.</summary>
internal static class StatusCommand
{
    private const string Html = "html";
    private const string Text = "text";
    private const string Json = "json";
    private const string Prometheus = "prometheus";

    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(500);

    private static readonly string[] s_formats = [Html, Json, Prometheus, Text];

    public static Command Create(SessionContext context)
    {
        var watch = Watch();
        var printProbe = PlanCommand.PrintProbeOption();
        var format = new Option<string>("--format")
        {
            Description = $"The format of the report: {string.Join(", ", s_formats)}; html is one page that needs no network.",
        };
        var output = new Option<string>("--out")
        {
            Description = "Write the report of --format to this file atomically, and show the text here.",
        };
        format.AcceptOnlyFromAmong(s_formats);
        var command = new Command(
            "status",
            "Show whether the cluster is healthy: the conclusion, then every check. Changes nothing. Exit 0 healthy, 2 not healthy, 1 not measurable."
        )
        {
            watch,
            format,
            output,
            printProbe,
        }.With(context.Options.Hosts);
        command.Validators.Add(result =>
        {
            var (kind, file) = (result.GetValue(format), result.GetValue(output));
            if (file is not null && kind is null)
            {
                result.AddError("--out needs --format");
            }
            else if (result.GetResult(watch) is not null && file is not null)
            {
                result.AddError("--watch and --out exclude each other: run kbr status --out again from a timer");
            }
            else if (result.GetResult(watch) is not null && kind is Prometheus or Html)
            {
                result.AddError($"--watch and --format {kind} exclude each other: run kbr status from a timer");
            }
            else if (result.GetValue(context.Options.Json) && kind is Html or Prometheus or Text && file is null)
            {
                result.AddError($"--json and --format {kind} both go to the standard output; write one of them to a file with --out");
            }
        });
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var (file, kind) = (parsed.Read(output), parsed.Read(format));
                var json = parsed.Read(context.Options.Json) || (file is null && kind == Json);
                if (parsed.Read(printProbe) is { } host)
                {
                    await using var session = context.Open(parsed, terminal);
                    var checks = context.HealthChecks(session.Cluster);
                    return PlanCommand.PrintProbe(terminal, session, host, known =>
                        [.. checks.SelectMany(check => check.Reads(known)).Distinct()]
                    );
                }

                if (parsed.Read(watch) is { } interval)
                {
                    return await new StatusWatch(context, parsed, terminal, json).RunAsync(interval, stop).ConfigureAwait(false);
                }

                return file is not null || kind is Html or Prometheus
                    ? await ReportAsync(context, parsed, terminal, json, kind!, file, stop).ConfigureAwait(false)
                    : await ShowAsync(context, parsed, terminal, json, stop).ConfigureAwait(false);
            }));
        return command;
    }

    private static Option<TimeSpan?> Watch() =>
        new("--watch")
        {
            Description = "Measure again every SECONDS (2 by default) until Ctrl-C; ends with the last exit code.",
            HelpName = "SECONDS",
            Arity = ArgumentArity.ZeroOrOne,
            CustomParser = result =>
            {
                var word = result.Tokens.Count == 0 ? "2" : result.Tokens[0].Value;
                if (
                    int.TryParse(
                        word,
                        System.Globalization.NumberStyles.None,
                        System.Globalization.CultureInfo.InvariantCulture,
                        out var seconds
                    ) && seconds is > 0 and <= 86400
                )
                {
                    return TimeSpan.FromSeconds(seconds);
                }

                result.AddError($"--watch must be a whole number of seconds of at least 1, not '{word}'");
                return null;
            },
        };

    private static async Task<int> ShowAsync(
        SessionContext context,
        ParseResult parsed,
        Terminal terminal,
        bool json,
        CancellationToken cancellationToken
    )
    {
        await using var session = context.Open(parsed, terminal);
        var exit = ExitCode.Done;
        foreach (var (scope, report) in await MeasureAsync(context, session, cancellationToken).ConfigureAwait(false))
        {
            exit = ExitCode.Worse(exit, Show(session, scope, scope, terminal, json, report));
        }

        return exit;
    }

    // A file for a monitoring system must show a failure, and not an earlier result.
    private static async Task<int> ReportAsync(
        SessionContext context,
        ParseResult parsed,
        Terminal terminal,
        bool json,
        string format,
        string? file,
        CancellationToken cancellationToken
    )
    {
        var cluster = parsed.Read(context.Options.File)!;
        var next = CopyableCommand.Of(cluster, "plan");
        IReadOnlyList<(string Scope, HealthReport Report)> reports = [];
        IReadOnlyList<Diagnostic> trouble = [];
        Func<string, string> mask = text => text;
        var exit = ExitCode.Error;
        try
        {
            await using var session = context.Open(parsed, terminal);
            (cluster, mask) = (session.Cluster.Name, session.Cluster.Secrets.Mask);
            reports = await MeasureAsync(context, session, cancellationToken).ConfigureAwait(false);
            exit = reports.Select(one => ExitCodeOf(one.Report)).Aggregate(ExitCode.Done, ExitCode.Worse);
        }
        catch (DiagnosticException exception)
        {
            trouble = [.. exception.Diagnostics];
        }

        var text = mask(
            format switch
            {
                Html => new StatusHtml(mask).Render(cluster, reports, trouble, next, Origin(context.Time.GetUtcNow())),
                Prometheus => StatusMetrics.Render(cluster, reports, exit, context.Time.GetUtcNow()),
                Json when reports.Count == 0 => JsonView.DiagnosticsDocument(trouble) + "\n",
                Json => string.Concat(reports.Select(one => StatusView.Document(cluster, one.Scope, one.Report, next) + "\n")),
                _ => string.Join(
                    "\n",
                    [
                        .. reports.SelectMany(one => StatusView.Lines(one.Scope, one.Report, next)).Select(line => line.Text),
                        .. trouble.Select(one => $"Error: {one.Summary}"),
                        "",
                    ]
                ),
            }
        );
        if (file is null)
        {
            terminal.Line(text.TrimEnd('\n'));
        }
        else
        {
            LocalFile.Replace(file, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)));
            foreach (var (scope, report) in reports)
            {
                Show(cluster, next, scope, scope, terminal, json, report);
            }
        }

        if (trouble.Count > 0)
        {
            CommandContext.Show(terminal, trouble, json);
        }

        return exit;
    }

    private static string Origin(DateTimeOffset at) =>
        string.Create(
            System.Globalization.CultureInfo.InvariantCulture,
            $"measured at {at.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC by kbr {VersionCommand.Version}"
        );

    /// <summary>Measures every checklist of the file once. Throws <see cref="DiagnosticException"/> when it has none.</summary>
    public static async Task<IReadOnlyList<(string Scope, HealthReport Report)>> MeasureAsync(
        SessionContext context,
        Session session,
        CancellationToken cancellationToken
    )
    {
        var checks = context.HealthChecks(session.Cluster);
        if (checks.IsEmpty)
        {
            var sections = string.Join(" or ", context.Blueprints.Select(blueprint => $"'{blueprint.Key}'"));
            throw new DiagnosticException(Diagnostic.Error($"{session.Cluster.File} has no {sections} section, so there is no status"));
        }

        var reports = new List<(string, HealthReport)>();
        foreach (var check in checks)
        {
            reports.Add((check.Scope, await check.MeasureAsync(session.Fleet, touched: null, cancellationToken).ConfigureAwait(false)));
        }

        return reports;
    }

    /// <summary>The exit code of a checklist.</summary>
    public static int ExitCodeOf(HealthReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        return report.Verdict switch
        {
            HealthVerdict.Ok => ExitCode.Done,
            HealthVerdict.NotOk => ExitCode.Changes,
            _ => ExitCode.Error,
        };
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
                async () => Settling(await check.MeasureAsync(session.Fleet, touched, cancellationToken).ConfigureAwait(false)),
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

    /// <summary>The checks that can become well by themselves after a change.</summary>
    internal static HealthReport Settling(HealthReport report)
    {
        var lasting = report.Items.Where(item => item.IsLasting).Select(item => item.Name).ToList();
        return report with
        {
            Items = [.. report.Items.Where(item => !item.IsLasting)],
            Causes = [.. report.Causes.Where(cause => cause.Item is null || !lasting.Contains(cause.Item))],
        };
    }

    private static int Show(Session session, string scope, string subject, Terminal terminal, bool json, HealthReport report) =>
        Show(session.Cluster.Name, CopyableCommand.Of(session.Cluster.File, "plan"), scope, subject, terminal, json, report);

    /// <summary>Shows a checklist, and answers its exit code.</summary>
    /// <param name="cluster">The cluster of the file.</param>
    /// <param name="next">The command that shows what to do about it.</param>
    /// <param name="scope">What was measured.</param>
    /// <param name="subject">The same in words.</param>
    /// <param name="terminal">Where.</param>
    /// <param name="json">Whether as JSON.</param>
    /// <param name="report">The checklist.</param>
    public static int Show(string cluster, string next, string scope, string subject, Terminal terminal, bool json, HealthReport report)
    {
        if (json)
        {
            terminal.Line(StatusView.Document(cluster, scope, report, next));
        }
        else
        {
            StatusView.Show(terminal, subject, report, next);
        }

        return ExitCodeOf(report);
    }
}
