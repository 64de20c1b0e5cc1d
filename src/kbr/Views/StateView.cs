using System.Text.Json;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Records for a person, and as JSON.</summary>
internal static class StateView
{
    public static void Show(Terminal terminal, RecordsFound found, bool whole)
    {
        foreach (var (record, hosts, outdated) in found.ByAddress())
        {
            var where =
                hosts.IsEmpty ? "  (from the operator's copy)"
                : hosts is [var only] && only == record.Address.Host ? ""
                : $"  on {string.Join(", ", hosts)}{(outdated ? "; not all copies are the newest" : "")}";
            terminal.Line($"{record.Address}  {Kind(record)}{where}");
            if (whole)
            {
                ShowWhole(terminal, record);
            }
        }

        if (!whole)
        {
            terminal.Line($"{found.ByAddress().Count()} records", Terminal.Tone.Bold);
        }
    }

    public static void ShowEdits(Terminal terminal, IEnumerable<RecordEdit> edits)
    {
        foreach (var edit in edits)
        {
            var where = edit.Hosts.IsEmpty ? "in the operator's copy" : $"on {string.Join(", ", edit.Hosts)}";
            terminal.Line(
                edit.Becomes is null
                    ? $"  # {edit.Record.Address}  the record is removed, {where}; the resource stays"
                    : $"  # {edit.Record.Address} → {edit.Becomes.Address}  the record is renamed, {where}; the resource stays unchanged",
                Terminal.Tone.Changed
            );
        }
    }

    public static string Document(string cluster, RecordsFound found) => JsonView.Document("state", json =>
        {
            json.WriteString("cluster", cluster);
            json.WriteStartArray("records");
            foreach (var (record, hosts, outdated) in found.ByAddress())
            {
                json.WriteStartObject();
                WriteNames(json, "hosts", hosts);
                json.WriteBoolean("outdated_copies", outdated);
                json.WritePropertyName("record");
                json.WriteRawValue(RecordJson.Write(record, cluster));
                json.WriteEndObject();
            }

            json.WriteEndArray();
            JsonView.WriteDiagnostics(json, found.Diagnostics);
        });

    public static string PullDocument(string cluster, string path, long serial, int count, IEnumerable<Diagnostic> diagnostics) =>
        JsonView.Document("state_pull", json =>
        {
            json.WriteString("cluster", cluster);
            json.WriteString("file", path);
            json.WriteNumber("serial", serial);
            json.WriteNumber("records", count);
            JsonView.WriteDiagnostics(json, diagnostics);
        });

    public static string EditDocument(string cluster, IEnumerable<RecordEdit> edits) => JsonView.Document("state_edit", json =>
        {
            json.WriteString("cluster", cluster);
            json.WriteStartArray("records");
            foreach (var edit in edits)
            {
                json.WriteStartObject();
                json.WriteString("from", edit.Record.Address.ToString());
                json.WriteString("to", edit.Becomes?.Address.ToString());
                WriteNames(json, "hosts", edit.Hosts);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        });

    private static void ShowWhole(Terminal terminal, ResourceRecord record)
    {
        if (!record.Requires.IsEmpty)
        {
            terminal.Line($"    requires: {string.Join(", ", record.Requires)}");
        }

        foreach (var (name, print) in record.Fingerprints)
        {
            terminal.Line($"    {name}: {(print.StartsWith('=') ? print[1..].Replace('\n', ' ') : print)}");
        }
    }

    private static string Kind(ResourceRecord record) =>
        (
            record.Pending ? "its creation was interrupted"
            : record.Created ? "created by kbr"
            : "adopted"
        )
        + (record.PreventDestroy ? ", prevent_destroy" : "")
        + (record.AppliedAt is { } at ? $", {at.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC" : "");

    private static void WriteNames(Utf8JsonWriter json, string name, IEnumerable<string> names)
    {
        json.WriteStartArray(name);
        foreach (var one in names)
        {
            json.WriteStringValue(one);
        }

        json.WriteEndArray();
    }
}
