using System.Globalization;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>Shows that a member was fenced, or that it is back.</summary>
public static class FenceView
{
    /// <summary>The document of the kind <c>fence</c>.</summary>
    /// <param name="scope">The cluster.</param>
    /// <param name="member">The member.</param>
    /// <param name="mark">What its host says; null where it is not fenced any more.</param>
    /// <param name="heir">The new primary, where the member was it; null otherwise.</param>
    /// <param name="elapsed">How long it took.</param>
    public static string Document(string scope, string member, FenceMark? mark, string? heir, TimeSpan elapsed) =>
        JsonView.Document("fence", document =>
        {
            document.WriteString("scope", scope);
            document.WriteString("member", member);
            document.WriteBoolean("fenced", mark is not null);
            document.WriteString("since", mark?.Since?.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));
            document.WriteString("by", mark?.By);
            document.WriteString("reason", mark?.Reason);
            document.WriteString("handed_over_to", heir);
            document.WriteNumber("seconds", Math.Round(elapsed.TotalSeconds, 3));
        });

    /// <summary>Shows what the command is going to do.</summary>
    internal static void ShowPlan(Terminal terminal, string scope, string member, string? heir)
    {
        if (heir is not null)
        {
            terminal.Line($"{scope}: {member} → {heir}", Terminal.Tone.Changed);
        }

        terminal.Line($"{scope}: Patroni and PostgreSQL on {member} are stopped, until kbr unfence {member}", Terminal.Tone.Changed);
        terminal.Line("Its data stays as it is. Until then one more failure may cost the cluster its quorum.");
    }

    /// <summary>A line about how it ended.</summary>
    internal static void Show(Terminal terminal, string text, TimeSpan elapsed) =>
        terminal.Line(string.Create(CultureInfo.InvariantCulture, $"{text} after {elapsed.TotalSeconds:0.0} s"), Terminal.Tone.Added);
}
