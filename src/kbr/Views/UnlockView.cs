using System.Collections.Immutable;
using KeyBuzz.Reconciler.Cli.Commands;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>The locks of the hosts for a person, and as JSON.</summary>
internal static class UnlockView
{
    public static void Show(Terminal terminal, ImmutableArray<HostLock> locks)
    {
        foreach (var one in locks)
        {
            var (text, tone) = one.State switch
            {
                null => ($"unknown: {one.Error}", Terminal.Tone.Removed),
                { ProcessIds: [], Holder: null } => ("free", Terminal.Tone.Plain),
                { ProcessIds: [], Holder: { } left } => ($"free; last holder: {left.InWords}", Terminal.Tone.Plain),
                var state => (
                    $"held by {state.Holder?.InWords ?? "an unknown holder"}; process " + $"{string.Join(", ", state.ProcessIds)} there",
                    Terminal.Tone.Changed
                ),
            };
            terminal.Line($"{one.Host}: {text}", tone);
        }
    }

    public static string Document(string cluster, ImmutableArray<HostLock> locks) => JsonView.Document("unlock", json =>
        {
            json.WriteString("cluster", cluster);
            json.WriteStartArray("hosts");
            foreach (var one in locks)
            {
                json.WriteStartObject();
                json.WriteString("host", one.Host);
                json.WriteString("error", one.Error);
                json.WriteBoolean("held", one.State?.ProcessIds.Count > 0);
                json.WriteStartArray("processes");
                foreach (var process in one.State?.ProcessIds ?? [])
                {
                    json.WriteNumberValue(process);
                }

                json.WriteEndArray();
                if (one.State?.Holder is { } holder)
                {
                    json.WriteStartObject("holder");
                    holder.WriteTo(json);
                    json.WriteEndObject();
                }
                else
                {
                    json.WriteNull("holder");
                }

                json.WriteEndObject();
            }

            json.WriteEndArray();
        });
}
