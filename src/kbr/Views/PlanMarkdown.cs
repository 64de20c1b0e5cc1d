using System.Collections.Immutable;
using System.Text;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>A plan as a comment of a pull request: GitHub-flavoured Markdown of a bounded size, with the conclusion first and the diffs
/// folded. Text of a host stands in code spans and fenced blocks only: it is no markup, no link and no mention.</summary>
internal static class PlanMarkdown
{
    /// <summary>The most bytes of a comment; GitHub takes 65 536 characters.</summary>
    public const int MostBytes = 60_000;

    // Of them for the table: the diffs are what a reviewer reads.
    private const int MostOfTable = MostBytes / 3;
    private const int LongestLine = 400;
    private const int MostDeleted = 50;

    // How many lines of each change are shown: fewer, where a host's changes would not fit.
    private static readonly int[] s_lines = [200, 40, 8];

    /// <summary>The document.</summary>
    public static string Render(PlanReport plan)
    {
        var text = new Bounded();
        text.Add($"## {Markdown.Code(plan.Cluster)}: {Markdown.Text(plan.Summary)}\n\n");
        text.Add($"<sub>{Markdown.Code(plan.Origin)}</sub>\n");
        foreach (var finding in plan.Findings.OrderBy(finding => !finding.IsError))
        {
            text.Add("\n" + Markdown.Block("text", [.. finding.Lines.SelectMany(line => line.Split('\n'))]), MostOfTable);
        }

        foreach (var group in plan.Groups)
        {
            text.Add(OfGroup(group), MostOfTable);
        }

        foreach (var rollout in plan.Rollouts)
        {
            text.Add($"\n**Roll-out of** {Markdown.Code(rollout.Address)}\n\n{Steps(rollout)}", MostOfTable);
        }

        // Whatever does not fit below: this does.
        ImmutableArray<string> deleted = [.. plan.Changes.Where(change => change.DeletesData).Select(change => change.Address)];
        if (!deleted.IsEmpty)
        {
            var more = deleted.Length > MostDeleted ? $" and {deleted.Length - MostDeleted} more" : "";
            text.Add($"\n**DATA IS DELETED**: {string.Join(", ", deleted.Take(MostDeleted).Select(Markdown.Code))}{more}\n");
        }

        if (!plan.Changes.IsEmpty)
        {
            text.Add("\n| | resource | why |\n| --- | --- | --- |\n");
            foreach (var change in plan.Changes)
            {
                var data = change.DeletesData ? " **DATA IS DELETED**" : "";
                text.Add(
                    $"| {Markdown.Code(change.Symbol)} | {Markdown.Code(change.Address)} | {Markdown.Text(change.Cause)}{data} |\n",
                    MostOfTable
                );
            }
        }

        if (!plan.Blocked.IsEmpty)
        {
            text.Add("\n" + Markdown.Block("text", [.. plan.Blocked.Select(one => $"! {one.Address} not planned: {one.Reason}")]));
        }

        foreach (var host in plan.Changes.GroupBy(change => change.Host))
        {
            text.AddFirst([.. s_lines.Select(most => OfHost(host.Key, [.. host], most))]);
        }

        return text.End();
    }

    private static string OfGroup(PlanReport.Group group)
    {
        var text = new StringBuilder($"\n**Group** {Markdown.Code(group.Name)}: {Markdown.Code(group.Constraint)}\n");
        if (group.Rollout is { } rollout)
        {
            text.Append('\n').Append(Steps(rollout));
        }

        if (group.Cause is { } cause)
        {
            string[] note = group.Note.Length > 0 ? ["# " + group.Note] : [];
            text.Append('\n')
                .Append(
                    Markdown.Block("diff", [$"! bring the group to health: {cause}", .. note, .. group.Differences.SelectMany(LinesOf)])
                );
        }

        return text.ToString();
    }

    private static string Steps(PlanReport.Rollout rollout) =>
        Markdown.Block(
            "text",
            [rollout.Summary, .. PlanReport.StepsOf(rollout).Select((step, number) => $"{number + 1}. {step.ReplaceLineEndings(" ")}")]
        );

    private static string OfHost(string host, ImmutableArray<PlanReport.Change> changes, int mostLines)
    {
        var text = new StringBuilder(
            $"\n<details><summary><code>{HtmlText.Escape(host)}</code>: {changes.Length} "
                + $"{(changes.Length == 1 ? "change" : "changes")}</summary>\n"
        );
        foreach (var change in changes)
        {
            string[] lines =
            [
                .. change
                    .Remarks.Select(remark => "# " + remark)
                    .Concat(change.Differences.SelectMany(LinesOf))
                    .SelectMany(line => line.Split('\n'))
                    .Select(line => line.Length > LongestLine ? line[..LongestLine] + " …" : line),
            ];
            var data = change.DeletesData ? " **DATA IS DELETED**" : "";
            text.Append($"\n{Markdown.Code(change.Symbol)} {Markdown.Code(change.Address)} {Markdown.Text(change.Cause)}{data}\n");
            if (lines.Length > 0)
            {
                var more = lines.Length - mostLines;
                text.Append('\n').Append(Markdown.Block("diff", more > 0 ? [.. lines.Take(mostLines), $"# {more} more lines"] : lines));
            }
        }

        return text.Append("\n</details>\n").ToString();
    }

    private static IEnumerable<string> LinesOf(PlanReport.Difference difference)
    {
        if (difference.Diff is not null || difference.Cost.Length > 0)
        {
            yield return $"# {difference.Attribute}{(difference.Cost.Length > 0 ? $": {difference.Cost}" : "")}";
        }

        foreach (var line in difference.Lines)
        {
            yield return line;
        }
    }

    /// <summary>A text that takes whole pieces as long as they fit, and counts the others.</summary>
    private sealed class Bounded
    {
        private const int ForTheEnd = 200;
        private readonly StringBuilder _text = new();
        private int _bytes;
        private int _left;

        public void Add(string piece, int most = MostBytes) => AddFirst([piece], most);

        /// <summary>Takes the first of several that fits.</summary>
        public void AddFirst(ReadOnlySpan<string> pieces, int most = MostBytes)
        {
            foreach (var piece in pieces)
            {
                var size = Encoding.UTF8.GetByteCount(piece);
                if (_bytes + size <= Math.Min(most, MostBytes - ForTheEnd))
                {
                    _text.Append(piece);
                    _bytes += size;
                    return;
                }
            }

            _left++;
        }

        public string End() =>
            _left == 0
                ? _text.ToString()
                : $"{_text}\n**{_left} more parts do not fit here.** Run `kbr plan`, or open the plan as HTML (`kbr plan --format html`).\n";
    }
}
