using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Drift in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/), for the textfile collector of
/// node_exporter: no time stamps on samples, but one that says when the file was made.</summary>
public static class DriftMetrics
{
    /// <summary>The metrics.</summary>
    public static string Render(DriftReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        var text = new MetricsText();
        var cluster = ("cluster", report.Cluster);
        text.Metric("kbr_drift_last_run_timestamp_seconds", "When kbr drift wrote this, in seconds since 1970.");
        text.Sample("kbr_drift_last_run_timestamp_seconds", report.At.ToUnixTimeSeconds(), cluster);
        text.Metric("kbr_drift_exit_code", "0 no drift, 2 drift, 1 incomplete.");
        text.Sample("kbr_drift_exit_code", report.ExitCode, cluster);
        text.Metric("kbr_drift_errors", "Errors of the run, such as hosts that could not be read.");
        text.Sample("kbr_drift_errors", report.Diagnostics.Count(diagnostic => diagnostic.Severity == Severity.Error), cluster);
        text.Metric(
            "kbr_drift_resources",
            "Resources by result: unchanged, changed, deleted, ignored (changed or deleted, and not counted), uncompared."
        );
        foreach (
            var (state, count) in (ReadOnlySpan<(string, int)>)
                [
                    ("unchanged", report.Compared.Length - report.Findings.Length),
                    ("changed", report.ChangedCount),
                    ("deleted", report.DeletedCount),
                    ("ignored", report.IgnoredCount),
                    ("uncompared", report.Uncompared.Count(one => one.Attribute is null)),
                ]
        )
        {
            text.Sample("kbr_drift_resources", count, cluster, ("state", state));
        }

        if (!report.Findings.IsEmpty)
        {
            text.Metric("kbr_drift_resource", "1 for each resource that was changed or deleted on its host since it was applied.");
            foreach (var finding in report.Findings)
            {
                text.Sample(
                    "kbr_drift_resource",
                    1,
                    cluster,
                    ("host", finding.Address.Host),
                    ("address", finding.Address.ToString()),
                    ("change", finding.Change),
                    ("ignored", finding.Counts ? "false" : "true")
                );
            }
        }

        return text.ToString();
    }
}
