using System.Text;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Drift as GitHub-flavoured Markdown, for the summary of a CI job or a comment.</summary>
public static class DriftMarkdown
{
    /// <summary>The document.</summary>
    public static string Render(DriftReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        var text = new StringBuilder();
        var head = report.Verdict switch
        {
            "none" => "no drift",
            "drift" => "drift",
            _ => "incomplete",
        };
        text.Append("## ")
            .Append(report.Cluster.Length == 0 ? Markdown.Text(report.File) : Markdown.Text(report.Cluster))
            .Append(": ")
            .Append(head)
            .Append("\n\n")
            .Append(report.Summary)
            .Append(".\n");
        if (!report.Findings.IsEmpty)
        {
            text.Append("\n| resource | on the host | attribute | applied | there now |\n| --- | --- | --- | --- | --- |\n");
            foreach (var finding in report.Findings)
            {
                WriteRows(text, finding);
            }
        }

        foreach (
            var (finding, detail) in report.Findings.SelectMany(finding =>
                finding.Details.Where(detail => !detail.Diff.IsEmpty).Select(detail => (finding, detail))
            )
        )
        {
            text.Append('\n')
                .Append(Markdown.Code(finding.Address.ToString()))
                .Append(", ")
                .Append(Markdown.Code(detail.Attribute))
                .Append(":\n\n")
                .Append(Markdown.Block("diff", detail.Diff));
        }

        WriteList(
            text,
            "Errors and warnings",
            report.Diagnostics.Select(one =>
                $"**{(one.Severity == Severity.Error ? "Error" : "Warning")}**: "
                + $"{Markdown.Text(string.Join("; ", new[] { one.Summary, one.Detail, one.Remedy }.OfType<string>()))}"
            )
        );
        WriteList(
            text,
            "Not compared",
            report.Uncompared.Select(one =>
                $"{(one.Attribute is null ? "" : Markdown.Code(one.Attribute) + " of ")}{Markdown.Code(one.Address.ToString())}: {Markdown.Text(one.Reason)}"
            )
        );
        WriteList(text, "Not applied yet", report.NotApplied.Select(address => Markdown.Code(address.ToString())));
        return text.ToString();
    }

    private static void WriteRows(StringBuilder text, DriftReport.Finding finding)
    {
        if (finding.Deleted)
        {
            Row(Markdown.Code(finding.Address.ToString()), finding.Change + Ignored(finding.Ignored), "", "", "");
        }

        foreach (var detail in finding.Details)
        {
            var (applied, actual) = detail.Diff.IsEmpty
                ? (Markdown.Code(detail.Applied!), Markdown.Code(detail.Actual!))
                : ("", "see below");
            Row(
                Markdown.Code(finding.Address.ToString()),
                finding.Change + Ignored(finding.Ignored ?? detail.Ignored),
                Markdown.Code(detail.Attribute),
                applied,
                actual
            );
        }

        void Row(params ReadOnlySpan<string> cells)
        {
            foreach (var cell in cells)
            {
                text.Append("| ").Append(cell).Append(cell.Length == 0 ? "" : " ");
            }

            text.Append("|\n");
        }
    }

    private static void WriteList(StringBuilder text, string head, IEnumerable<string> items)
    {
        var lines = items.Select(item => $"- {item}\n").ToList();
        if (lines.Count > 0)
        {
            text.Append("\n### ").Append(head).Append("\n\n").AppendJoin("", lines);
        }
    }

    private static string Ignored(string? reason) => reason is null ? "" : $", ignored: {Markdown.Text(reason)}";
}
