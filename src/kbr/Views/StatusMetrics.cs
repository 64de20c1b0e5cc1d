using KeyBuzz.Reconciler.Cli.Blueprints;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>The status in Prometheus' text format, for the textfile collector of node_exporter: no time stamps on samples, but one that
/// says when the file was made.</summary>
public static class StatusMetrics
{
    private static readonly HealthVerdict[] s_verdicts = Enum.GetValues<HealthVerdict>();

    /// <summary>The metrics.</summary>
    /// <param name="cluster">The cluster of the file; its path when it could not be read.</param>
    /// <param name="reports">The checklists by what they measure; none when nothing could be measured.</param>
    /// <param name="exitCode">The exit code of the command.</param>
    /// <param name="at">When it was measured.</param>
    public static string Render(
        string cluster,
        IReadOnlyCollection<(string Scope, HealthReport Report)> reports,
        int exitCode,
        DateTimeOffset at
    )
    {
        ArgumentNullException.ThrowIfNull(reports);
        var text = new MetricsText();
        text.Metric("kbr_status_last_run_timestamp_seconds", "When kbr status wrote this, in seconds since 1970.");
        text.Sample("kbr_status_last_run_timestamp_seconds", at.ToUnixTimeSeconds(), ("cluster", cluster));
        text.Metric("kbr_status_exit_code", "0 healthy, 2 not healthy, 1 not measurable.");
        text.Sample("kbr_status_exit_code", exitCode, ("cluster", cluster));
        if (reports.Count == 0)
        {
            return text.ToString();
        }

        // All samples of a metric stand together.
        text.Metric("kbr_status_check", "1 for the verdict of each check: ok, not_ok, or unknown where a host could not be read.");
        foreach (var (scope, report) in reports)
        {
            foreach (var item in report.Items)
            {
                foreach (var verdict in s_verdicts)
                {
                    text.Sample(
                        "kbr_status_check",
                        item.Verdict == verdict ? 1 : 0,
                        ("cluster", cluster),
                        ("scope", scope),
                        ("check", item.Name),
                        ("verdict", StatusView.Word(verdict))
                    );
                }
            }
        }

        text.Metric("kbr_status_unreachable_hosts", "Hosts that could not be read.");
        foreach (var (scope, report) in reports)
        {
            text.Sample("kbr_status_unreachable_hosts", report.Unreachable.Length, ("cluster", cluster), ("scope", scope));
        }

        // A cause has numbers in its words, such as a lag, and would be another series each time.
        if (reports.Any(one => !one.Report.Unreachable.IsEmpty))
        {
            text.Metric("kbr_status_unreachable", "1 for each host that could not be read.");
            foreach (var (scope, report) in reports)
            {
                foreach (var host in report.Unreachable)
                {
                    text.Sample("kbr_status_unreachable", 1, ("cluster", cluster), ("scope", scope), ("host", host));
                }
            }
        }

        foreach (
            var measure in reports
                .SelectMany(one => one.Report.Measures.Select(measure => (one.Scope, measure)))
                .GroupBy(one => one.measure.Name)
        )
        {
            var name = $"kbr_status_{measure.Key}";
            text.Metric(name, measure.First().measure.Meaning);
            foreach (var (scope, one) in measure)
            {
                text.Sample(name, one.Value, [("cluster", cluster), ("scope", scope), .. one.Labels]);
            }
        }

        return text.ToString();
    }
}
