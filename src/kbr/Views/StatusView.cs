using KeyBuzz.Reconciler.Cli.Blueprints;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Shows the checklist of a blueprint's section: what it comes to, then a line per item.</summary>
public static class StatusView
{
    /// <summary>For a person.</summary>
    /// <param name="terminal">Where.</param>
    /// <param name="scope">The cluster.</param>
    /// <param name="report">Its checklist.</param>
    /// <param name="next">The command that shows what to do about it.</param>
    public static void Show(Terminal terminal, string scope, HealthReport report, string next)
    {
        ArgumentNullException.ThrowIfNull(terminal);
        ArgumentNullException.ThrowIfNull(report);
        terminal.Line(Headline(scope, report), Terminal.Tone.Bold);
        foreach (var (verdict, word) in new[] { (HealthVerdict.NotOk, "NOT OK"), (HealthVerdict.Unknown, "unknown") })
        {
            if (report.Items.Where(item => item.Verdict == verdict).Select(item => item.Name).ToList() is { Count: > 0 } names)
            {
                terminal.Line(
                    $"{word}: {string.Join(", ", names)}",
                    verdict == HealthVerdict.NotOk ? Terminal.Tone.Removed : Terminal.Tone.Changed
                );
            }
        }

        if (report.Verdict != HealthVerdict.Ok)
        {
            terminal.Line($"Next: {Advice(report, next)}");
        }

        terminal.Line();
        var width = report.Items.Max(item => item.Name.Length);
        foreach (var item in report.Items)
        {
            var (word, tone) = item.Verdict switch
            {
                HealthVerdict.Ok => ("ok     ", Terminal.Tone.Added),
                HealthVerdict.NotOk => ("NOT OK ", Terminal.Tone.Removed),
                _ => ("unknown", Terminal.Tone.Changed),
            };
            terminal.Line($"{word}  {item.Name.PadRight(width)}  {item.Measured}", tone);
        }
    }

    /// <summary>As JSON.</summary>
    /// <param name="cluster">The cluster of the file.</param>
    /// <param name="scope">The cluster.</param>
    /// <param name="report">Its checklist.</param>
    /// <param name="next">The command that shows what to do about it.</param>
    public static string Document(string cluster, string scope, HealthReport report, string next) => JsonView.Document("status", json =>
        {
            json.WriteString("cluster", cluster);
            json.WriteString("scope", scope);
            json.WriteString("verdict", Word(report.Verdict));
            json.WriteStartObject("conclusion");
            report.WriteSummary?.Invoke(json);
            WriteTexts("unreachable", report.Unreachable);
            WriteTexts("causes", report.Causes);
            json.WriteString("text", Headline(scope, report));
            json.WriteString("next", report.Verdict == HealthVerdict.Ok ? null : next);
            json.WriteEndObject();
            json.WriteStartArray("items");
            foreach (var item in report.Items)
            {
                json.WriteStartObject();
                json.WriteString("name", item.Name);
                json.WriteString("verdict", Word(item.Verdict));
                json.WriteString("measured", item.Measured);
                json.WriteEndObject();
            }

            json.WriteEndArray();

            void WriteTexts(string name, IEnumerable<string> texts)
            {
                json.WriteStartArray(name);
                foreach (var text in texts)
                {
                    json.WriteStringValue(text);
                }

                json.WriteEndArray();
            }
        });

    private static string Headline(string scope, HealthReport report)
    {
        var health =
            report.Items.Any(item => item.Verdict == HealthVerdict.NotOk) ? "is not healthy"
            : report.Verdict == HealthVerdict.Ok ? "is healthy"
            : "could not be measured in full";
        var summary = report.Summary.Length == 0 ? "" : $" {report.Summary}";
        var cause = report.Causes.IsEmpty ? "" : $" Cause: {string.Join("; ", report.Causes)}.";
        return $"{scope} {health}.{summary}{cause}";
    }

    private static string Advice(HealthReport report, string next) =>
        report.Unreachable.IsEmpty ? next : $"bring {string.Join(" and ", report.Unreachable)} back, then: {next}";

    /// <summary>A verdict as the JSON documents write it.</summary>
    public static string Word(HealthVerdict verdict) =>
        verdict switch
        {
            HealthVerdict.Ok => "ok",
            HealthVerdict.NotOk => "not_ok",
            _ => "unknown",
        };
}
