using System.Globalization;
using System.Text.Json;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Switchover;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>Shows a switchover that was made.</summary>
internal static class SwitchoverView
{
    /// <summary>What applications see of it, before it begins.</summary>
    public static string Effect(PostgresTopology topology) =>
        topology.PausesPools
            ? "Sessions through PgBouncer wait for about 3 s; direct sessions on the primary end, and must reconnect."
            : "Writes stop for about 3 s, and sessions on the primary end; applications must reconnect.";

    /// <summary>Shows it.</summary>
    /// <param name="terminal">Where.</param>
    /// <param name="json">Whether as JSON.</param>
    /// <param name="scope">The cluster.</param>
    /// <param name="choice">The former and the new primary.</param>
    /// <param name="made">What it took, phase by phase.</param>
    /// <param name="handedOver">How long Patroni took until the candidate was the primary.</param>
    /// <param name="healthy">How long it took until the cluster was healthy again, from the same beginning.</param>
    public static void Show(
        Terminal terminal,
        bool json,
        string scope,
        SwitchoverChoice choice,
        HandOver made,
        TimeSpan handedOver,
        TimeSpan healthy
    )
    {
        if (!json)
        {
            terminal.Line(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{choice.Candidate} is the primary of {scope} after {handedOver.TotalSeconds:0.0} s; healthy again after "
                        + $"{healthy.TotalSeconds:0.0} s"
                ),
                Terminal.Tone.Added
            );
            ShowNotes(terminal, made);
            return;
        }

        terminal.Line(JsonView.Document("switchover", document =>
            {
                document.WriteString("scope", scope);
                document.WriteString("from", choice.Leader);
                document.WriteString("to", choice.Candidate);
                document.WriteNumber("handed_over_seconds", Math.Round(handedOver.TotalSeconds, 3));
                document.WriteStartObject("phases");
                document.WriteNumber("pause_seconds", Math.Round(made.Pause.TotalSeconds, 3));
                document.WriteNumber("lead_seconds", Math.Round(made.Lead.TotalSeconds, 3));
                document.WriteNumber("route_seconds", Math.Round(made.Route.TotalSeconds, 3));
                document.WriteNumber("resume_seconds", Math.Round(made.Resume.TotalSeconds, 3));
                document.WriteEndObject();
                Strings(document, "paused", made.Paused);
                Strings(document, "unpaused", made.Unpaused);
                document.WriteNumber("healthy_seconds", Math.Round(healthy.TotalSeconds, 3));
            }));
    }

    /// <summary>How long each phase of a hand-over took, and which pools were not paused, and why.</summary>
    public static void ShowNotes(Terminal terminal, HandOver made)
    {
        if (made.Phases is { } phases)
        {
            terminal.Line(phases);
        }

        foreach (var unpaused in made.Unpaused)
        {
            terminal.Line(unpaused, Terminal.Tone.Changed);
        }
    }

    private static void Strings(Utf8JsonWriter document, string name, IEnumerable<string> values)
    {
        document.WriteStartArray(name);
        foreach (var value in values)
        {
            document.WriteStringValue(value);
        }

        document.WriteEndArray();
    }
}
