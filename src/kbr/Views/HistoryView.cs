using System.Globalization;
using KeyBuzz.Reconciler.Records;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>The history of the hosts for a person, and as JSON.</summary>
internal static class HistoryView
{
    private const int MostChanges = 5;

    /// <summary>Shows the newest.</summary>
    public static void Show(Terminal terminal, HistoryFound found, int most)
    {
        foreach (var (entry, places) in found.Applies.Take(most))
        {
            terminal.Line(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{entry.Ended.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC  {entry.Command} {Word(entry.Result)}  by {entry.User} on "
                        + $"{entry.Machine} with kbr {entry.Version}, {(entry.Ended - entry.Begun).TotalSeconds:0} s, on "
                        + $"{string.Join(", ", entry.Hosts)}"
                ),
                entry.Result switch
                {
                    HistoryResult.Done => Terminal.Tone.Plain,
                    HistoryResult.Partly => Terminal.Tone.Changed,
                    _ => Terminal.Tone.Removed,
                }
            );
            foreach (var change in entry.Done.Take(MostChanges))
            {
                terminal.Line($"  {change}", Terminal.Tone.Faint);
            }

            if (entry.DoneCount > Math.Min(MostChanges, entry.Done.Length))
            {
                terminal.Line($"  and {entry.DoneCount - Math.Min(MostChanges, entry.Done.Length)} more", Terminal.Tone.Faint);
            }

            foreach (var failure in entry.Failed)
            {
                terminal.Line($"  FAILED {failure}", Terminal.Tone.Removed);
            }

            if (entry.SkippedCount > 0)
            {
                terminal.Line($"  {entry.SkippedCount} skipped", Terminal.Tone.Faint);
            }
        }

        var rest = found.Applies.Length - most;
        terminal.Line(
            found.Applies.IsEmpty ? "No history on the hosts."
                : rest > 0 ? $"{rest} older; show more with -n {found.Applies.Length}"
                : $"{found.Applies.Length} in all",
            Terminal.Tone.Bold
        );
    }

    /// <summary>The newest as a JSON document.</summary>
    public static string Document(string cluster, HistoryFound found, int most) => JsonView.Document("history", json =>
        {
            json.WriteString("cluster", cluster);
            json.WriteNumber("total", found.Applies.Length);
            json.WriteStartArray("applies");
            foreach (var (entry, places) in found.Applies.Take(most))
            {
                json.WriteStartObject();
                entry.WriteTo(json);
                json.WriteStartArray("found_on");
                foreach (var place in places)
                {
                    json.WriteStringValue(place);
                }

                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndArray();
            JsonView.WriteDiagnostics(json, found.Diagnostics);
        });

    private static string Word(HistoryResult result) =>
        result switch
        {
            HistoryResult.Done => "done",
            HistoryResult.Partly => "partly done",
            _ => "FAILED",
        };
}
