using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Providers.PatroniConfig;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>Shows which members are restarted, and that they were.</summary>
public static class RestartView
{
    /// <summary>The pending restarts, and the steps.</summary>
    internal static void ShowPlan(Terminal terminal, string scope, RestartPlan plan)
    {
        if (plan.Next.IsEmpty)
        {
            terminal.Line($"{scope}: no member has a pending restart (--all restarts every member anyway)");
            return;
        }

        foreach (var (member, parameters) in plan.Waiting)
        {
            terminal.Line($"{member} has a pending restart: {string.Join(", ", parameters)}");
        }

        if (plan.Forecast is { } forecast)
        {
            PlanView.ShowRollout(terminal, forecast);
        }
    }

    /// <summary>A member was restarted.</summary>
    internal static void ShowStep(Terminal terminal, string member, TimeSpan elapsed) =>
        terminal.Line(
            string.Create(CultureInfo.InvariantCulture, $"{member}: PostgreSQL restarted after {elapsed.TotalSeconds:0.0} s"),
            Terminal.Tone.Changed
        );

    /// <summary>The document of the kind <c>restart</c>.</summary>
    public static string Document(string scope, RestartPlan plan, ImmutableArray<string> restarted, TimeSpan elapsed)
    {
        ArgumentNullException.ThrowIfNull(plan);
        return JsonView.Document("restart", document => Write(document, scope, plan, restarted, elapsed));
    }

    private static void Write(Utf8JsonWriter document, string scope, RestartPlan plan, ImmutableArray<string> restarted, TimeSpan elapsed)
    {
        document.WriteString("scope", scope);
        document.WriteStartObject("waiting");
        foreach (var (member, parameters) in plan.Waiting)
        {
            document.WriteStartArray(member);
            foreach (var parameter in parameters)
            {
                document.WriteStringValue(parameter);
            }

            document.WriteEndArray();
        }

        document.WriteEndObject();
        document.WriteStartArray("restarted");
        foreach (var member in restarted)
        {
            document.WriteStringValue(member);
        }

        document.WriteEndArray();
        document.WriteNumber("seconds", Math.Round(elapsed.TotalSeconds, 3));
    }
}
