using System.Collections.Immutable;
using KeyBuzz.Reconciler.PostgresHa.Status;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Shows the status of a cluster: the conclusion, the checks with the failed ones first, and the next command.</summary>
public static class StatusView
{
    private static readonly ImmutableArray<StatusVerdict> s_order = [StatusVerdict.NotOk, StatusVerdict.Unknown, StatusVerdict.Ok];

    /// <summary>For a person.</summary>
    /// <param name="terminal">Where.</param>
    /// <param name="scope">The cluster.</param>
    /// <param name="status">Its checklist.</param>
    /// <param name="next">The command that shows what to do about it.</param>
    public static void Show(Terminal terminal, string scope, ClusterStatus status, string next)
    {
        ArgumentNullException.ThrowIfNull(terminal);
        ArgumentNullException.ThrowIfNull(status);
        terminal.Line(Headline(scope, status), Terminal.Tone.Bold);
        terminal.Line();
        var width = status.Items.Max(item => item.Name.Length);
        foreach (var item in status.Items.OrderBy(item => s_order.IndexOf(item.Verdict)))
        {
            var (word, tone) = item.Verdict switch
            {
                StatusVerdict.Ok => ("ok     ", Terminal.Tone.Added),
                StatusVerdict.NotOk => ("NOT OK ", Terminal.Tone.Removed),
                _ => ("unknown", Terminal.Tone.Changed),
            };
            terminal.Line($"{word}  {item.Name.PadRight(width)}  {item.Measured}", tone);
        }

        if (status.Verdict != StatusVerdict.Ok)
        {
            terminal.Line();
            terminal.Line($"Next: {Advice(status.Conclusion, next)}");
        }
    }

    /// <summary>As JSON.</summary>
    /// <param name="cluster">The cluster of the file.</param>
    /// <param name="scope">The cluster.</param>
    /// <param name="status">Its checklist.</param>
    /// <param name="next">The command that shows what to do about it.</param>
    public static string Document(string cluster, string scope, ClusterStatus status, string next) => JsonView.Document("status", json =>
        {
            json.WriteString("cluster", cluster);
            json.WriteString("scope", scope);
            json.WriteString("verdict", Word(status.Verdict));
            json.WriteStartObject("conclusion");
            json.WriteString("writes", Word(status.Conclusion.Writes));
            json.WriteString("writes_note", status.Conclusion.WritesNote);
            json.WriteNumber("serving", status.Conclusion.Serving);
            json.WriteNumber("members", status.Conclusion.Members);
            WriteTexts("unreachable", status.Conclusion.Unreachable);
            WriteTexts("causes", status.Conclusion.Causes);
            json.WriteString("text", Headline(scope, status));
            json.WriteString("next", status.Verdict == StatusVerdict.Ok ? null : next);
            json.WriteEndObject();
            json.WriteStartArray("items");
            foreach (var item in status.Items)
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

    private static string Headline(string scope, ClusterStatus status)
    {
        var (conclusion, health) = (
            status.Conclusion,
            status.Items.Any(item => item.Verdict == StatusVerdict.NotOk) ? "is not healthy"
            : status.Verdict == StatusVerdict.Ok ? "is healthy"
            : "could not be measured in full"
        );
        var writes = conclusion.Writes switch
        {
            StatusVerdict.Ok => "OK",
            StatusVerdict.NotOk => "NOT OK",
            _ => "unknown",
        };
        var note = conclusion.WritesNote.Length == 0 ? "" : $" ({conclusion.WritesNote})";
        var cause = conclusion.Causes.IsEmpty ? "" : $" Cause: {string.Join("; ", conclusion.Causes)}.";
        return $"{scope} {health}. Writes: {writes}{note}. Redundancy: {conclusion.Serving} of {conclusion.Members}.{cause}";
    }

    private static string Advice(StatusConclusion conclusion, string next) =>
        conclusion.Unreachable.IsEmpty ? next : $"bring {string.Join(" and ", conclusion.Unreachable)} back, then: {next}";

    private static string Word(StatusVerdict verdict) =>
        verdict switch
        {
            StatusVerdict.Ok => "ok",
            StatusVerdict.NotOk => "not_ok",
            _ => "unknown",
        };
}
