using KeyBuzz.Reconciler.Planning;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Drift for a person, grouped by host as a plan is; and the same as a JSON document.</summary>
public static class DriftView
{
    private const int ManyOnAHost = 3;

    /// <summary>Shows it.</summary>
    public static void Show(Terminal terminal, DriftReport report)
    {
        ArgumentNullException.ThrowIfNull(terminal);
        ArgumentNullException.ThrowIfNull(report);
        foreach (var host in report.Findings.GroupBy(finding => finding.Address.Host))
        {
            terminal.Line(host.Key, Terminal.Tone.Bold);
            foreach (var finding in host)
            {
                ShowFinding(terminal, finding);
            }

            terminal.Line();
        }

        foreach (
            var group in report.Uncompared.GroupBy(one => (one.Reason, one.IsError, Host: one.Attribute is null ? one.Address.Host : null))
        )
        {
            var what =
                group.Key.Host is null ? string.Join(", ", group.Select(one => $"{one.Attribute} of {one.Address}"))
                : group.Count() == 1 ? group.First().Address.ToString()
                : $"{group.Key.Host}, {group.Count()} resources";
            // A host's error is shown once, below.
            var reason =
                group.Key.Host is { } host && report.Diagnostics.Any(one => one.Summary == $"{host}: {group.Key.Reason}")
                    ? ""
                    : $": {group.Key.Reason}";
            terminal.Line(
                $"  {(group.Key.IsError ? '!' : '?')} not compared: {what}{reason}",
                group.Key.IsError ? Terminal.Tone.Removed : Terminal.Tone.Faint
            );
        }

        if (!report.NotApplied.IsEmpty)
        {
            var hosts = report
                .NotApplied.GroupBy(address => address.Host)
                .Select(host => host.Count() > ManyOnAHost ? $"{host.Key}, {host.Count()} resources" : string.Join(", ", host));
            terminal.Line($"  not applied yet, so not compared: {string.Join("; ", hosts)}", Terminal.Tone.Faint);
        }

        terminal.Line($"Drift: {report.Summary}", Terminal.Tone.Bold);
    }

    /// <summary>The same as a text without colours.</summary>
    public static string Text(DriftReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        using var writer = new StringWriter { NewLine = "\n" };
        var terminal = new Terminal(writer, writer, color: false);
        Show(terminal, report);
        DiagnosticView.Show(terminal, report.Diagnostics);
        return writer.ToString();
    }

    /// <summary>The JSON document, kind <c>drift</c>.</summary>
    public static string Document(DriftReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        return JsonView.Document("drift", json =>
        {
            json.WriteString("cluster", report.Cluster);
            json.WriteString("verdict", report.Verdict);
            json.WriteStartArray("resources");
            foreach (var finding in report.Findings)
            {
                json.WriteStartObject();
                json.WriteString("address", finding.Address.ToString());
                json.WriteString("host", finding.Address.Host);
                json.WriteString("change", finding.Change);
                json.WriteString("ignored", finding.Ignored);
                json.WriteString("note", finding.Note);
                json.WriteStartArray("attributes");
                foreach (var detail in finding.Details)
                {
                    json.WriteStartObject();
                    json.WriteString("attribute", detail.Attribute);
                    json.WriteString("ignored", detail.Ignored);
                    if (detail.Diff.IsEmpty)
                    {
                        json.WriteString("applied", detail.Applied);
                        json.WriteString("actual", detail.Actual);
                    }
                    else
                    {
                        json.WriteStartArray("diff");
                        foreach (var line in detail.Diff)
                        {
                            json.WriteStringValue(line);
                        }

                        json.WriteEndArray();
                    }

                    json.WriteEndObject();
                }

                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartArray("not_compared");
            foreach (var one in report.Uncompared)
            {
                json.WriteStartObject();
                json.WriteString("address", one.Address.ToString());
                json.WriteString("attribute", one.Attribute);
                json.WriteString("reason", one.Reason);
                json.WriteBoolean("error", one.IsError);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartArray("not_applied");
            foreach (var address in report.NotApplied)
            {
                json.WriteStringValue(address.ToString());
            }

            json.WriteEndArray();
            json.WriteStartObject("summary");
            json.WriteNumber("compared", report.Compared.Length);
            json.WriteNumber("changed", report.ChangedCount);
            json.WriteNumber("deleted", report.DeletedCount);
            json.WriteNumber("ignored", report.IgnoredCount);
            json.WriteEndObject();
            JsonView.WriteDiagnostics(json, report.Diagnostics);
        });
    }

    private static void ShowFinding(Terminal terminal, DriftReport.Finding finding)
    {
        var tone =
            !finding.Counts ? Terminal.Tone.Faint
            : finding.Deleted ? Terminal.Tone.Removed
            : Terminal.Tone.Changed;
        var symbol = (finding.Deleted ? ResourceAction.Delete : ResourceAction.Update).Symbol();
        terminal.Line($"  {symbol} {finding.Address}  {finding.Change} on the host{Ignored(finding.Ignored)}", tone);
        if (finding.Note is { } note)
        {
            terminal.Line($"      {note}", Terminal.Tone.Faint);
        }

        foreach (var detail in finding.Details)
        {
            // Said once where the whole resource is ignored for that.
            var ignored = detail.Ignored == finding.Ignored ? "" : Ignored(detail.Ignored);
            if (detail.Diff.IsEmpty)
            {
                terminal.Line($"      {detail.Attribute}: {detail.Actual} → {detail.Applied}{ignored}");
                continue;
            }

            terminal.Line($"      {detail.Attribute}:{ignored}");
            foreach (var line in detail.Diff)
            {
                terminal.Line("        " + line, PlanView.ToneOf(line));
            }
        }
    }

    private static string Ignored(string? reason) => reason is null ? "" : $"  (ignored: {reason})";
}
