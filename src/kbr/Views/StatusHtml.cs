using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>The status as one page that loads nothing, for those without a monitoring system.</summary>
/// <param name="mask">Masks secret values in a text before it is escaped.</param>
internal sealed class StatusHtml(Func<string, string> mask)
{
    /// <summary>The page.</summary>
    /// <param name="cluster">The cluster of the file; its path when it could not be read.</param>
    /// <param name="reports">The checklists by what they measure.</param>
    /// <param name="trouble">Why nothing could be measured; none otherwise.</param>
    /// <param name="next">The command that shows what to do about it.</param>
    /// <param name="origin">When it was measured, and by what.</param>
    public string Render(
        string cluster,
        IReadOnlyCollection<(string Scope, HealthReport Report)> reports,
        IReadOnlyCollection<Diagnostic> trouble,
        string next,
        string origin
    )
    {
        var page = HtmlPage.Begin($"Status of {mask(cluster)}");
        page.Append($"<p class=\"dim\">{E(origin)}</p>\n");
        foreach (var one in trouble)
        {
            var lines = new[] { "Error: " + one.Summary, one.Detail, one.Remedy }.Where(line => line is { Length: > 0 });
            page.Append($"<pre class=\"error\">{E(string.Join('\n', lines))}</pre>\n");
        }

        foreach (var (scope, report) in reports)
        {
            page.Append($"<p class=\"sum {StatusView.Word(report.Verdict)}\">{E(StatusView.Headline(scope, report))}</p>\n");
            if (report.Verdict != HealthVerdict.Ok)
            {
                page.Append($"<p>Next:</p>\n<pre>{E(StatusView.Advice(report, next))}</pre>\n");
            }

            WriteChecks(page, report);
            WriteMeasures(page, report);
            WriteConnections(page, report);
        }

        return HtmlPage.End(page);
    }

    private void WriteChecks(StringBuilder page, HealthReport report)
    {
        page.Append("<h2>Checks</h2>\n<table>\n");
        foreach (var (item, measured) in StatusView.Shown(report))
        {
            var word = StatusView.Word(item.Verdict);
            page.Append($"<tr><td class=\"{word}\">{(item.Verdict == HealthVerdict.NotOk ? "NOT OK" : word)}</td>")
                .Append($"<td>{E(item.Name)}</td><td>{E(measured)}</td></tr>\n");
        }

        page.Append("</table>\n");
    }

    private void WriteMeasures(StringBuilder page, HealthReport report)
    {
        if (report.Measures.IsEmpty)
        {
            return;
        }

        page.Append("<h2>Figures</h2>\n<table>\n");
        foreach (var measure in report.Measures.GroupBy(measure => measure.Name))
        {
            var values = measure.Select(one =>
                (one.Labels.IsEmpty ? "" : string.Join(' ', one.Labels.Select(label => label.Value)) + ": ") + Words(one.Name, one.Value)
            );
            page.Append($"<tr><td>{E(measure.First().Meaning)}</td><td>{string.Join("<br>", values.Select(E))}</td></tr>\n");
        }

        page.Append("</table>\n");
    }

    private void WriteConnections(StringBuilder page, HealthReport report)
    {
        foreach (var user in report.Connections.GroupBy(connection => (connection.User, connection.Password)))
        {
            page.Append($"<h2>Connect as {E(user.Key.User)}</h2>\n<p class=\"dim\">password: {E(user.Key.Password)}</p>\n<table>\n");
            foreach (var connection in user)
            {
                page.Append($"<tr><td>{E(connection.Name)}</td><td><code>{E(connection.Text)}</code></td></tr>\n");
            }

            page.Append("</table>\n");
        }
    }

    // By the name, as Prometheus names units.
    private static string Words(string name, long value) =>
        name.EndsWith("_timestamp_seconds", StringComparison.Ordinal)
            ? DateTimeOffset.FromUnixTimeSeconds(value).UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture)
        : name.EndsWith("_bytes", StringComparison.Ordinal) && value >= 1 << 20
            ? string.Create(CultureInfo.InvariantCulture, $"{value / (double)(1 << 20):#,0.#} MiB")
        : value.ToString("#,0", CultureInfo.InvariantCulture) + (name.EndsWith("_seconds", StringComparison.Ordinal) ? " s" : "");

    private string E(string text) => HtmlText.Escape(mask(text));
}
