using System.Text;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Drift as GitHub-flavoured Markdown, for the summary of a CI job or a comment.</summary>
public static partial class DriftMarkdown
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
            .Append(report.Cluster.Length == 0 ? Cell(report.File) : Cell(report.Cluster))
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
            var fence = Fence(detail.Diff);
            text.Append('\n')
                .Append(Code(finding.Address.ToString()))
                .Append(", ")
                .Append(Code(detail.Attribute))
                .Append(":\n\n")
                .Append(fence)
                .Append("diff\n")
                .AppendJoin('\n', detail.Diff.Select(line => line.Replace('\r', ' ')))
                .Append('\n')
                .Append(fence)
                .Append('\n');
        }

        WriteList(
            text,
            "Errors and warnings",
            report.Diagnostics.Select(one =>
                $"**{(one.Severity == Severity.Error ? "Error" : "Warning")}**: "
                + $"{Cell(string.Join("; ", new[] { one.Summary, one.Detail, one.Remedy }.OfType<string>()))}"
            )
        );
        WriteList(
            text,
            "Not compared",
            report.Uncompared.Select(one =>
                $"{(one.Attribute is null ? "" : Code(one.Attribute) + " of ")}{Code(one.Address.ToString())}: {Cell(one.Reason)}"
            )
        );
        WriteList(text, "Not applied yet", report.NotApplied.Select(address => Code(address.ToString())));
        return text.ToString();
    }

    private static void WriteRows(StringBuilder text, DriftReport.Finding finding)
    {
        if (finding.Deleted)
        {
            Row(Code(finding.Address.ToString()), finding.Change + Ignored(finding.Ignored), "", "", "");
        }

        foreach (var detail in finding.Details)
        {
            var (applied, actual) = detail.Diff.IsEmpty ? (Code(detail.Applied!), Code(detail.Actual!)) : ("", "see below");
            Row(
                Code(finding.Address.ToString()),
                finding.Change + Ignored(finding.Ignored ?? detail.Ignored),
                Code(detail.Attribute),
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

    private static string Ignored(string? reason) => reason is null ? "" : $", ignored: {Cell(reason)}";

    // Text that stays text, also within a table.
    private static string Cell(string text) => Special().Replace(Line(text), @"\$0");

    // A code span is closed by as many backticks as opened it; a table ends a cell at every bar that is not escaped, also within one.
    private static string Code(string text)
    {
        var line = Line(text);
        var ticks = Fence([line], shortest: 1);
        var pad = line.StartsWith('`') || line.EndsWith('`') ? " " : "";
        return line.Length == 0 ? "" : $"{ticks}{pad}{line.Replace("|", "\\|", StringComparison.Ordinal)}{pad}{ticks}";
    }

    private static string Line(string text) => text.ReplaceLineEndings(" ");

    private static string Fence(IEnumerable<string> lines, int shortest = 3) =>
        new(
            '`',
            Math.Max(
                shortest,
                1 + lines.SelectMany(line => Backticks().Matches(line)).Select(match => match.Length).DefaultIfEmpty(0).Max()
            )
        );

    [GeneratedRegex(@"[\\`*_{}\[\]<>#|&~]")]
    private static partial Regex Special();

    [GeneratedRegex("`+")]
    private static partial Regex Backticks();
}
