using System.CommandLine;
using System.Globalization;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr status --watch</c>: measures again and again until it is interrupted, or nobody reads it any more. On a screen it
/// draws the status in place; elsewhere it writes the status when a verdict or a cause changes, and as JSON every time.</summary>
/// <param name="context">The context of the command.</param>
/// <param name="parsed">The command line.</param>
/// <param name="terminal">Where.</param>
/// <param name="json">Whether as JSON.</param>
internal sealed class StatusWatch(SessionContext context, ParseResult parsed, Terminal terminal, bool json)
{
    private Session? _session;
    private string _cluster = "";
    private IReadOnlyList<(string Scope, HealthReport Report)> _last = [];
    private string _shown = "";

    private string Next => CopyableCommand.Of(parsed.Read(context.Options.File)!, "plan");

    /// <summary>Watches. Answers the exit code of the last measurement.</summary>
    /// <param name="interval">The pause between two measurements.</param>
    /// <param name="stop">Ends it.</param>
    public async Task<int> RunAsync(TimeSpan interval, CancellationToken stop)
    {
        terminal.IsWatching = true;
        try
        {
            await Poll.UntilAsync(
                    LookAsync,
                    _ => terminal.HasNoReader,
                    new PollPace(interval, TimeSpan.MaxValue),
                    context.Time,
                    stop,
                    beforePause: reports => Show(reports, interval)
                )
                .ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested && _last.Count > 0)
        {
            // The usual end.
        }
        finally
        {
            terminal.Region(Array.Empty<string>());
            if (_session is not null)
            {
                await _session.DisposeAsync().ConfigureAwait(false);
            }
        }

        if (terminal.IsScreen && !json)
        {
            ShowAll(_last);
        }

        if (terminal.HasNoReader)
        {
            return ExitCode.Done;
        }

        return _last.Select(one => StatusCommand.ExitCodeOf(one.Report)).Aggregate(ExitCode.Done, ExitCode.Worse);

        async Task<IReadOnlyList<(string, HealthReport)>> LookAsync() => _last = await MeasureAsync(stop).ConfigureAwait(false);
    }

    // A connection that broke off is opened again, with all others, for the next look.
    private async Task<IReadOnlyList<(string Scope, HealthReport Report)>> MeasureAsync(CancellationToken cancellationToken)
    {
        _session ??= context.Open(parsed, terminal);
        _cluster = _session.Cluster.Name;
        var reports = await StatusCommand.MeasureAsync(context, _session, cancellationToken).ConfigureAwait(false);
        if (reports.Any(one => !one.Report.Unreachable.IsEmpty))
        {
            await _session.DisposeAsync().ConfigureAwait(false);
            _session = null;
        }

        return reports;
    }

    private void Show(IReadOnlyList<(string Scope, HealthReport Report)> reports, TimeSpan interval)
    {
        var now = context.Time.GetUtcNow().UtcDateTime.ToString("HH:mm:ss", CultureInfo.InvariantCulture);
        if (terminal.IsScreen && !json)
        {
            terminal.Region([
                ($"{now} UTC, every {interval.TotalSeconds:0} s; Ctrl-C ends it", Terminal.Tone.Faint),
                .. reports.SelectMany(one => StatusView.NarrowLines(one.Scope, one.Report, Next).Prepend(("", Terminal.Tone.Plain))),
            ]);
            return;
        }

        var state = string.Join('\n', reports.Select(one => StateOf(one.Scope, one.Report)));
        if (json)
        {
            ShowAll(reports);
        }
        else if (state != _shown)
        {
            terminal.Line($"{now} UTC", Terminal.Tone.Faint);
            ShowAll(reports);
            terminal.Line();
        }

        _shown = state;
    }

    private void ShowAll(IEnumerable<(string Scope, HealthReport Report)> reports)
    {
        foreach (var (scope, report) in reports)
        {
            StatusCommand.Show(_cluster, Next, scope, scope, terminal, json, report);
        }
    }

    // Without what is measured: a lag is another one at each look.
    private static string StateOf(string scope, HealthReport report) =>
        string.Join(
            '\n',
            [
                scope,
                report.Summary,
                .. report.Causes.Select(cause => cause.Text),
                .. report.Items.Select(item => $"{item.Name} {item.Verdict}"),
            ]
        );
}
