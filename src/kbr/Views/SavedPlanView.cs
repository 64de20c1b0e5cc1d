using System.Globalization;
using KeyBuzz.Reconciler.Planning;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>A saved plan, as it was shown when it was made.</summary>
internal static class SavedPlanView
{
    public static void Show(Terminal terminal, SavedPlan plan, bool authenticated)
    {
        terminal.Line(
            $"A plan for {plan.Cluster}, made at {plan.PlannedAt.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC by kbr "
                + $"{plan.Version}{Asked(plan.Options)}",
            Terminal.Tone.Bold
        );
        terminal.Line();
        foreach (var line in plan.Text)
        {
            terminal.Line(line, ToneOf(line));
        }

        if (!authenticated)
        {
            terminal.ErrorLine(
                "Warning: without KBR_KEY the plan's signature cannot be checked; apply will refuse it",
                Terminal.Tone.Changed
            );
        }
    }

    public static string Document(SavedPlan plan, bool authenticated) => JsonView.Document(SavedPlan.Kind, json =>
        {
            json.WriteString("cluster", plan.Cluster);
            json.WriteString("kbr_version", plan.Version);
            json.WriteString("planned_at", plan.PlannedAt.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture));
            json.WriteBoolean("authenticated", authenticated);
            json.WriteBoolean("has_changes", plan.HasChanges);
            json.WritePropertyName("options");
            SavedPlan.WriteOptions(json, plan.Options);
            json.WritePropertyName("plan");
            json.WriteRawValue(plan.Document);
        });

    /// <summary>What was asked, as options: <c>, with --destroy</c>; empty for nothing.</summary>
    public static string Asked(PlanOptions options)
    {
        string[] asked =
        [
            .. options.Destroy ? ["--destroy"] : Array.Empty<string>(),
            .. options.DeleteData ? ["--delete-data"] : Array.Empty<string>(),
            .. options.ForgetUnreachable ? ["--forget-unreachable"] : Array.Empty<string>(),
            .. options.Targets.Select(target => $"--target {target}"),
            .. options.Adopt.Select(adopt => $"--adopt {adopt}"),
            .. options.Replace.Select(replace => $"--replace {replace}"),
        ];
        return asked.Length == 0 ? "" : $", with {string.Join(' ', asked)}";
    }

    // The colours of a plan, by the symbols before its lines.
    private static Terminal.Tone ToneOf(string line) =>
        line.TrimStart() switch
        {
            _ when line.StartsWith("Plan: ", StringComparison.Ordinal) || line.StartsWith("No changes. ", StringComparison.Ordinal) =>
                Terminal.Tone.Bold,
            ['+', ..] => Terminal.Tone.Added,
            ['-', '/', ..] or ['~', ..] => Terminal.Tone.Changed,
            ['-', ..] or ['!', ..] => Terminal.Tone.Removed,
            ['@', ..] or ['=', ..] or ['#', ..] or ['?', ..] => Terminal.Tone.Faint,
            _ => Terminal.Tone.Plain,
        };
}
