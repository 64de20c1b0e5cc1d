using System.Globalization;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.PostgresHa.Switchover;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>Shows a switchover that was made.</summary>
internal static class SwitchoverView
{
    /// <param name="terminal">Where.</param>
    /// <param name="json">Whether as JSON.</param>
    /// <param name="scope">The cluster.</param>
    /// <param name="choice">The former and the new primary.</param>
    /// <param name="handedOver">How long Patroni took until the candidate was the primary.</param>
    /// <param name="healthy">How long it took until the cluster was healthy again, from the same beginning.</param>
    public static void Show(Terminal terminal, bool json, string scope, SwitchoverChoice choice, TimeSpan handedOver, TimeSpan healthy)
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
            return;
        }

        terminal.Line(JsonView.Document("switchover", document =>
            {
                document.WriteString("scope", scope);
                document.WriteString("from", choice.Leader);
                document.WriteString("to", choice.Candidate);
                document.WriteNumber("handed_over_seconds", Math.Round(handedOver.TotalSeconds, 3));
                document.WriteNumber("healthy_seconds", Math.Round(healthy.TotalSeconds, 3));
            }));
    }
}
