using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Cli.Blueprints;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Shows the status of a cluster: the conclusion, the checks with the failed ones first, and the next command.</summary>
public static class StatusView
{
    private static readonly ImmutableArray<HealthVerdict> s_order = [HealthVerdict.NotOk, HealthVerdict.Unknown, HealthVerdict.Ok];

    /// <summary>For a person.</summary>
    /// <param name="terminal">Where.</param>
    /// <param name="scope">The cluster.</param>
    /// <param name="report">Its checklist.</param>
    /// <param name="next">The command that shows what to do about it.</param>
    public static void Show(Terminal terminal, string scope, HealthReport report, string next)
    {
        ArgumentNullException.ThrowIfNull(terminal);
        ArgumentNullException.ThrowIfNull(report);
        foreach (var (text, tone, column) in Lines(scope, report, next))
        {
            terminal.HangingLine(text, column, tone);
        }

        if (report.Verdict == HealthVerdict.Ok)
        {
            ShowConnections(terminal, report.Connections);
        }
    }

    /// <summary>The lines that a person is shown, one for each cause, and where the last column of each begins.</summary>
    /// <param name="scope">The cluster.</param>
    /// <param name="report">Its checklist.</param>
    /// <param name="next">The command that shows what to do about it.</param>
    public static IReadOnlyList<(string Text, Terminal.Tone Tone, int Column)> Lines(string scope, HealthReport report, string next)
    {
        ArgumentNullException.ThrowIfNull(report);
        var lines = new List<(string, Terminal.Tone, int)>
        {
            (Headline(scope, report), Terminal.Tone.Bold, 0),
            ("", Terminal.Tone.Plain, 0),
        };
        var shown = Shown(report);
        var width = shown.Select(one => one.Item.Name.Length).DefaultIfEmpty().Max();
        foreach (var (item, measured) in shown)
        {
            var (word, tone) = item.Verdict switch
            {
                HealthVerdict.Ok => ("ok     ", Terminal.Tone.Added),
                HealthVerdict.NotOk => ("NOT OK ", Terminal.Tone.Removed),
                _ => ("unknown", Terminal.Tone.Changed),
            };
            var title = $"{word}  {item.Name.PadRight(width)}  ";
            lines.Add(($"{title}{measured}", tone, title.Length));
        }

        if (report.Verdict != HealthVerdict.Ok)
        {
            lines.Add(("", Terminal.Tone.Plain, 0));
            lines.Add(($"Next: {Advice(report, next)}", Terminal.Tone.Plain, 0));
        }

        return lines;
    }

    /// <summary>The checks that have a line, the failed ones first, with what was measured.</summary>
    internal static List<(HealthItem Item, string Measured)> Shown(HealthReport report)
    {
        // What is unknown only because a host could not be read has no line of its own beside that host's.
        var names = report.Items.Select(item => item.Name).ToHashSet(StringComparer.Ordinal);
        var consequences = report
            .Items.Where(item => item is { Verdict: HealthVerdict.Unknown, UnknownBy: { } by } && names.Contains(by) && by != item.Name)
            .ToLookup(item => item.UnknownBy!, item => item.Name, StringComparer.Ordinal);
        return
        [
            .. report
                .Items.Where(item => !consequences.Any(group => group.Contains(item.Name)))
                .OrderBy(item => s_order.IndexOf(item.Verdict))
                .Select(item =>
                    (
                        item,
                        item.Measured
                            + (
                                consequences.Contains(item.Name)
                                    ? $"; so these are not known in full: {string.Join(", ", consequences[item.Name])}"
                                    : ""
                            )
                    )
                ),
        ];
    }

    /// <summary>How clients connect, and where each user's password is.</summary>
    /// <param name="terminal">Where.</param>
    /// <param name="connections">The ways; nothing is shown for none.</param>
    public static void ShowConnections(Terminal terminal, IReadOnlyCollection<ClientConnection> connections)
    {
        ArgumentNullException.ThrowIfNull(terminal);
        ArgumentNullException.ThrowIfNull(connections);
        foreach (var user in connections.GroupBy(connection => (connection.User, connection.Password)))
        {
            terminal.Line();
            terminal.Line($"Connect as {user.Key.User}; password: {user.Key.Password}", Terminal.Tone.Bold);
            var width = user.Max(connection => connection.Name.Length);
            foreach (var connection in user)
            {
                terminal.Line($"{connection.Name.PadRight(width)}  {connection.Text}");
            }
        }
    }

    /// <summary>The same as a member of the JSON object that is open.</summary>
    /// <param name="json">Where.</param>
    /// <param name="connections">The ways.</param>
    public static void WriteConnections(Utf8JsonWriter json, IEnumerable<ClientConnection> connections)
    {
        ArgumentNullException.ThrowIfNull(json);
        ArgumentNullException.ThrowIfNull(connections);
        json.WriteStartArray("connections");
        foreach (var connection in connections)
        {
            json.WriteStartObject();
            json.WriteString("name", connection.Name);
            json.WriteString("connection_string", connection.Text);
            json.WriteString("user", connection.User);
            json.WriteString("password", connection.Password);
            json.WriteEndObject();
        }

        json.WriteEndArray();
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
            WriteTexts("causes", report.Causes.Select(cause => cause.Text));
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
                WriteTexts("hosts", item.Hosts);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            WriteMeasures(json, report.Measures);
            WriteConnections(json, report.Connections);

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

    private static void WriteMeasures(Utf8JsonWriter json, IEnumerable<HealthMeasure> measures)
    {
        json.WriteStartArray("measures");
        foreach (var measure in measures)
        {
            json.WriteStartObject();
            json.WriteString("name", measure.Name);
            json.WriteNumber("value", measure.Value);
            json.WriteStartObject("labels");
            foreach (var (name, value) in measure.Labels)
            {
                json.WriteString(name, value);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    /// <summary>The same where long lines are cut off: each sentence of the conclusion, and each cause, has a line.</summary>
    /// <param name="scope">The cluster.</param>
    /// <param name="report">Its checklist.</param>
    /// <param name="next">The command that shows what to do about it.</param>
    public static IReadOnlyList<(string Text, Terminal.Tone Tone)> NarrowLines(string scope, HealthReport report, string next)
    {
        ArgumentNullException.ThrowIfNull(report);
        string[] conclusion =
        [
            $"{scope} {Health(report)}.",
            .. report.Summary.Split(". ", StringSplitOptions.RemoveEmptyEntries).Select(sentence => sentence.TrimEnd('.') + "."),
            .. report.Causes.Select(cause => $"Cause: {cause.Text}."),
        ];
        return
        [
            .. conclusion.Select(line => (line, Terminal.Tone.Bold)),
            .. Lines(scope, report, next).Skip(1).Select(line => (line.Text, line.Tone)),
        ];
    }

    private static string Health(HealthReport report) =>
        report.Items.Any(item => item.Verdict == HealthVerdict.NotOk) ? "is not healthy"
        : report.Verdict == HealthVerdict.Ok ? "is healthy"
        : "could not be measured in full";

    /// <summary>The conclusion, as a line.</summary>
    internal static string Headline(string scope, HealthReport report)
    {
        var summary = report.Summary.Length == 0 ? "" : $" {report.Summary}";
        var cause = report.Causes.IsEmpty ? "" : $" Cause: {string.Join("; ", report.Causes.Select(cause => cause.Text))}.";
        return $"{scope} {Health(report)}.{summary}{cause}";
    }

    /// <summary>What to do about it.</summary>
    internal static string Advice(HealthReport report, string next) =>
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
