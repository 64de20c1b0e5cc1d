using System.Collections.Immutable;
using System.Text;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>A plan as one page that loads nothing. Text of hosts and of files is escaped wherever it stands.</summary>
internal static class PlanHtml
{
    private const int LargestPicture = 400;
    private const int MostOpen = 60;

    /// <summary>The page.</summary>
    public static string Render(PlanReport plan)
    {
        var page = HtmlPage.Begin($"Plan for {plan.Cluster}");
        page.Append($"<p class=\"sum\">{E(plan.Summary)}</p>\n<p class=\"dim\">{E(plan.Origin)}</p>\n");
        foreach (var finding in plan.Findings.OrderBy(finding => !finding.IsError))
        {
            page.Append($"<pre class=\"{(finding.IsError ? "error" : "warning")}\">{E(string.Join('\n', finding.Lines))}</pre>\n");
        }

        WriteGroups(page, plan);
        var isOpen = plan.Changes.Length <= MostOpen;
        foreach (var place in plan.Changes.GroupBy(change => change.Host).OrderBy(place => place.Key, StringComparer.Ordinal))
        {
            page.Append($"<h2>{E(place.Key)}</h2>\n");
            foreach (var change in place)
            {
                WriteChange(page, change, isOpen);
            }
        }

        if (!plan.Blocked.IsEmpty)
        {
            page.Append("<h2>Not planned</h2>\n<ul>\n");
            foreach (var (address, reason) in plan.Blocked)
            {
                page.Append($"<li><code>{E(address)}</code>: {E(reason)}</li>\n");
            }

            page.Append("</ul>\n");
        }

        WritePicture(page, plan);
        return HtmlPage.End(page);
    }

    private static void WriteGroups(StringBuilder page, PlanReport plan)
    {
        if (!plan.Groups.IsEmpty || !plan.Rollouts.IsEmpty)
        {
            page.Append("<h2>Roll-out</h2>\n");
        }

        foreach (var group in plan.Groups)
        {
            page.Append($"<h3>{E(group.Name)}</h3>\n<p class=\"remark\">{E(group.Constraint)}</p>\n");
            if (group.Rollout is { } rollout)
            {
                WriteRollout(page, rollout);
            }

            if (group.Cause is { } cause)
            {
                page.Append(
                    $"<p class=\"update\"><span class=\"sym\">~</span>bring the group to health <span class=\"cause\">{E(cause)}</span></p>\n"
                );
                WriteDetails(page, group.Note.Length > 0 ? [group.Note] : [], group.Differences);
            }
        }

        foreach (var rollout in plan.Rollouts)
        {
            page.Append($"<h3><code>{E(rollout.Address)}</code></h3>\n");
            WriteRollout(page, rollout);
        }
    }

    private static void WriteRollout(StringBuilder page, PlanReport.Rollout rollout)
    {
        page.Append($"<p>{E(rollout.Summary)}</p>\n<ol>\n");
        foreach (var step in PlanReport.StepsOf(rollout))
        {
            page.Append($"<li>{E(step)}</li>\n");
        }

        page.Append("</ol>\n");
        foreach (var (number, step) in rollout.Steps.Index())
        {
            WriteFailures(page, $"What if one thing fails at step {number + 1}", step.WhatIf);
        }

        WriteFailures(page, "What if one thing fails without this change", rollout.AtRest);
    }

    private static void WriteFailures(StringBuilder page, string title, ImmutableArray<PlanReport.Failure> failures)
    {
        if (failures.IsEmpty)
        {
            return;
        }

        page.Append($"<details><summary>{E(title)}</summary>\n<table>\n");
        foreach (var failure in failures)
        {
            var risk = failure.AtRisk.Length > 0 ? $"<br>at risk: {E(failure.AtRisk)}" : "";
            page.Append(
                $"<tr><td>{E(WhatIfView.Mark(failure.Cost))}</td><td>{E(failure.Condition)}</td><td>{E(failure.Consequence)}</td>"
                    + $"<td>{E(failure.Quorum)}</td><td>{E(failure.Remedy)}{risk}</td></tr>\n"
            );
        }

        page.Append("</table>\n</details>\n");
    }

    private static void WriteChange(StringBuilder page, PlanReport.Change change, bool isOpen)
    {
        var data = change.DeletesData ? " <span class=\"data\">DATA IS DELETED</span>" : "";
        page.Append(
            $"<details class=\"{E(change.Action)}\"{(isOpen ? " open" : "")}><summary><span class=\"sym\">{E(change.Symbol)}</span>"
                + $"<code>{E(change.Address)}</code> <span class=\"cause\">{E(change.Cause)}</span>{data}</summary>\n"
        );
        WriteDetails(page, change.Remarks, change.Differences);
        page.Append("</details>\n");
    }

    private static void WriteDetails(StringBuilder page, ImmutableArray<string> remarks, ImmutableArray<PlanReport.Difference> differences)
    {
        foreach (var remark in remarks)
        {
            page.Append($"<p class=\"remark\">{E(remark)}</p>\n");
        }

        var causes = differences.Select(difference => difference.Cause).Distinct().Count();
        if (differences.IsEmpty)
        {
            return;
        }

        page.Append("<pre>");
        foreach (var difference in differences)
        {
            string[] about = [.. causes > 1 ? [difference.Cause] : Array.Empty<string>(), difference.Cost];
            var head = string.Join(", ", about.Where(word => word.Length > 0));
            if (head.Length > 0 || difference.Diff is not null)
            {
                page.Append($"<span class=\"dim\">{E(difference.Attribute)}{(head.Length > 0 ? $": {E(head)}" : "")}</span>");
            }

            foreach (var line in difference.Lines.SelectMany(line => line.Split('\n')))
            {
                page.Append($"<span{Class(line)}>{E(line)}</span>");
            }
        }

        page.Append("</pre>\n");
    }

    private static string Class(string line) =>
        line switch
        {
            ['+', ..] => " class=\"a\"",
            ['-', ..] => " class=\"r\"",
            ['@', ..] => " class=\"h\"",
            _ => "",
        };

    private static void WritePicture(StringBuilder page, PlanReport plan)
    {
        var picture = GraphPicture.Of(plan);
        if (picture.Nodes.IsEmpty)
        {
            return;
        }

        page.Append("<h2>Order</h2>\n");
        page.Append(
            picture.Nodes.Length > LargestPicture
                ? $"<p>{picture.Nodes.Length} changes are too many for a picture; choose some with <code>--target</code>.</p>\n"
                : $"<div class=\"picture\">\n{GraphSvg.Render(picture)}</div>\n"
        );
    }

    private static string E(string text) => HtmlText.Escape(text);
}
