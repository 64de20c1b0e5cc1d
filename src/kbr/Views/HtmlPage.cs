using System.Text;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>A page that loads nothing: no script, no font, no image, and a policy that forbids a browser to fetch any.</summary>
internal static class HtmlPage
{
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
        table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .3rem .6rem;
          border-bottom: 1px solid var(--line); } .ok { color: var(--add); } .not_ok { color: var(--del); font-weight: 700; }
        .unknown { color: var(--mod); font-weight: 700; }
        details { margin: .35rem 0; border: 1px solid var(--line); border-radius: 6px; padding: .35rem .6rem; }
        summary { cursor: pointer; } .cause { color: var(--dim); } .sym { display: inline-block; min-width: 2.2em; font-weight: 700; }
        .create .sym { color: var(--add); } .delete .sym, .data { color: var(--del); } .update .sym, .replace .sym { color: var(--mod); }
        .data { font-weight: 700; } .remark { margin: .1rem 0; color: var(--dim); }
        .picture { overflow-x: auto; border: 1px solid var(--line); }
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

    /// <summary>A page with its heading; text is escaped here, and by those who append the rest.</summary>
    public static StringBuilder Begin(string title)
    {
        var escaped = HtmlText.Escape(title);
        return new StringBuilder("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
            .Append("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n")
            .Append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
            .Append("<meta name=\"referrer\" content=\"no-referrer\">\n")
            .Append("<title>")
            .Append(escaped)
            .Append("</title>\n<style>\n")
            .Append(Style)
            .Append("\n</style>\n</head>\n<body>\n<h1>")
            .Append(escaped)
            .Append("</h1>\n");
    }

    /// <summary>The whole of it.</summary>
    public static string End(StringBuilder page) => page.Append("</body>\n</html>\n").ToString();
}
