using KeyBuzz.Reconciler.PostgresHa.Status;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Shows the checklist of a cluster, a line per item.</summary>
public static class StatusView
{
    /// <summary>For a person.</summary>
    public static void Show(Terminal terminal, string scope, ClusterStatus status)
    {
        var width = status.Items.Max(item => item.Name.Length);
        foreach (var item in status.Items)
        {
            var (word, tone) = item.Verdict switch
            {
                StatusVerdict.Ok => ("ok     ", Terminal.Tone.Added),
                StatusVerdict.NotOk => ("NOT OK ", Terminal.Tone.Removed),
                _ => ("unknown", Terminal.Tone.Changed),
            };
            terminal.Line($"{word}  {item.Name.PadRight(width)}  {item.Measured}", tone);
        }

        terminal.Line();
        terminal.Line(
            status.Verdict switch
            {
                StatusVerdict.Ok => $"{scope} is healthy.",
                StatusVerdict.NotOk => $"{scope} is not healthy: {Names(StatusVerdict.NotOk)}.",
                _ => $"{scope} could not be measured in full: {Names(StatusVerdict.Unknown)}.",
            },
            Terminal.Tone.Bold);

        string Names(StatusVerdict verdict) => string.Join(", ", status.Items.Where(item => item.Verdict == verdict).Select(item => item.Name));
    }

    /// <summary>As JSON.</summary>
    public static string Document(string cluster, string scope, ClusterStatus status) => JsonView.Document("status", json =>
    {
        json.WriteString("cluster", cluster);
        json.WriteString("scope", scope);
        json.WriteString("verdict", Word(status.Verdict));
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
    });

    private static string Word(StatusVerdict verdict) => verdict switch
    {
        StatusVerdict.Ok => "ok",
        StatusVerdict.NotOk => "not_ok",
        _ => "unknown",
    };
}
