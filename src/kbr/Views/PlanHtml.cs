using System.Collections.Immutable;
using System.Text;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>A plan as one page that loads nothing: no script, no font, no image, and a policy that forbids a browser to fetch any. Text of
/// hosts and of files is escaped wherever it stands.</summary>
internal static class PlanHtml
{
    private const int LargestPicture = 400;
    private const int MostOpen = 60;

    private const string Style = """
        :root { color-scheme: light dark; --fg: #1f2328; --bg: #ffffff; --soft: #f6f8fa; --line: #d0d7de; --dim: #59636e;
          --add: #116329; --add-bg: #dafbe1; --del: #a40e26; --del-bg: #ffebe9; --mod: #7d4e00; --hunk: #0550ae; }
        @media (prefers-color-scheme: dark) {
          :root { --fg: #e6edf3; --bg: #0d1117; --soft: #161b22; --line: #30363d; --dim: #9198a1;
            --add: #7ee787; --add-bg: #12261e; --del: #ffa198; --del-bg: #2d1214; --mod: #e3b341; --hunk: #79c0ff; } }
        * { box-sizing: border-box; }
        body { margin: 0 auto; padding: 1rem; max-width: 70rem; background: var(--bg); color: var(--fg);
          font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
        h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; border-bottom: 1px solid var(--line); }
        h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
        code, pre { font: 13px/1.45 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
        .sum { font-size: 1.15rem; font-weight: 600; margin: .25rem 0; } .dim { color: var(--dim); }
        pre { margin: .25rem 0; padding: .5rem; background: var(--soft); border: 1px solid var(--line); border-radius: 6px;
          white-space: pre-wrap; }
        pre span { display: block; min-height: 1.45em; padding: 0 .25rem; }
        .a { color: var(--add); background: var(--add-bg); } .r { color: var(--del); background: var(--del-bg); } .h { color: var(--hunk); }
        .error, .warning { border-left: 4px solid var(--del); } .warning { border-color: var(--mod); }
        details { margin: .35rem 0; border: 1px solid var(--line); border-radius: 6px; padding: .35rem .6rem; }
        summary { cursor: pointer; } .cause { color: var(--dim); } .sym { display: inline-block; min-width: 2.2em; font-weight: 700; }
        .create .sym { color: var(--add); } .delete .sym, .data { color: var(--del); } .update .sym, .replace .sym { color: var(--mod); }
        .data { font-weight: 700; } .remark { margin: .1rem 0; color: var(--dim); } .picture { overflow-x: auto; border: 1px solid var(--line); }
        ol { padding-left: 1.5rem; margin: .25rem 0; }
        @media (max-width: 40rem) { body { padding: .6rem; font-size: 15px; } pre, code { font-size: 12px; } }
        @media print {
          :root { --fg: #000; --bg: #fff; --soft: #fff; --line: #999; --dim: #444; --add: #116329; --add-bg: #fff; --del: #a40e26;
            --del-bg: #fff; --mod: #7d4e00; --hunk: #0550ae; }
          body { max-width: none; padding: 0; font-size: 10pt; } pre, code { font-size: 8pt; } .picture { overflow: visible; border: 0; }
          svg { max-width: 100%; height: auto; } details, pre { break-inside: avoid-page; }
          details::details-content { content-visibility: visible; } h2, h3, summary { break-after: avoid; }
        }
        """;

    /// <summary>The page.</summary>
    public static string Render(PlanReport plan)
    {
        var page = new StringBuilder();
        page.Append("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
            .Append("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n")
            .Append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
            .Append("<meta name=\"referrer\" content=\"no-referrer\">\n")
            .Append($"<title>Plan for {E(plan.Cluster)}</title>\n<style>\n{Style}\n</style>\n</head>\n<body>\n")
            .Append(
                $"<h1>Plan for {E(plan.Cluster)}</h1>\n<p class=\"sum\">{E(plan.Summary)}</p>\n<p class=\"dim\">{E(plan.Origin)}</p>\n"
            );
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
        return page.Append("</body>\n</html>\n").ToString();
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
