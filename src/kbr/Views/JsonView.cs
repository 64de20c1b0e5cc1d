using System.Buffers;
using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>The same as JSON, one document a line; every document has <c>format_version</c> and <c>kind</c>.</summary>
internal static class JsonView
{
    public const int FormatVersion = 1;

    public static string Document(string kind, Action<Utf8JsonWriter> body)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("format_version", FormatVersion);
            json.WriteString("kind", kind);
            body(json);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    public static string PlanDocument(string cluster, Plan plan, IEnumerable<Diagnostic> diagnostics) => Document("plan", json =>
        {
            json.WriteString("cluster", cluster);
            var steps = plan
                .Effective.Select(change => change.Address)
                .Concat(plan.Groups.Where(group => group.IsShown).Select(group => group.Address))
                .ToHashSet();
            json.WriteStartArray("changes");
            foreach (var change in plan.Effective)
            {
                WriteChange(json, change, steps, plan.Window);
            }

            json.WriteEndArray();
            json.WriteStartArray("blocked");
            foreach (var blocked in plan.Blocked)
            {
                json.WriteStartObject();
                json.WriteString("address", blocked.Address.ToString());
                json.WriteString("reason", blocked.Reason);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartArray("groups");
            foreach (var group in plan.Groups.Where(group => group.IsShown))
            {
                WriteGroup(json, group, steps, plan.Window);
            }

            json.WriteEndArray();
            json.WriteStartArray("rollouts");
            foreach (var rollout in plan.Rollouts)
            {
                WriteRollout(json, rollout, plan.Window);
            }

            json.WriteEndArray();
            if (plan.Window is { } window)
            {
                json.WriteStartObject("maintenance_window");
                json.WriteBoolean("is_open", !window.IsClosed);
                json.WriteString("text", window.Windows.Describe(window.AsOf));
                json.WriteEndObject();
            }

            json.WriteStartObject("summary");
            foreach (
                var action in new[]
                {
                    ResourceAction.Create,
                    ResourceAction.Update,
                    ResourceAction.Replace,
                    ResourceAction.Delete,
                    ResourceAction.Adopt,
                    ResourceAction.Forget,
                }
            )
            {
                json.WriteNumber(action.Word(), plan.Count(action));
            }

            json.WriteNumber(PlannedGroup.Word, plan.BroughtToHealth.Count());

            json.WriteEndObject();
            WriteDiagnostics(json, diagnostics);
        });

    public static string DiagnosticsDocument(IEnumerable<Diagnostic> diagnostics) =>
        Document("diagnostics", json => WriteDiagnostics(json, diagnostics));

    public static string ResultDocument(ApplyResult result) => Document("apply_result", json =>
        {
            json.WriteNumber("done", result.Done.Count);
            json.WriteStartArray("brought_to_health");
            foreach (var group in result.BroughtToHealth)
            {
                json.WriteStringValue(group.Policy.Group);
            }

            json.WriteEndArray();
            WriteReasons(json, "failed", result.Failed);
            WriteReasons(json, "not_tried", result.Skipped);
            WriteReasons(json, "left", result.Left);
            json.WriteStartArray("stopped_rollouts");
            foreach (var (group, reason) in result.StoppedRollouts)
            {
                json.WriteStartObject();
                json.WriteString("group", group);
                json.WriteString("reason", reason);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        });

    private static void WriteGroup(Utf8JsonWriter json, PlannedGroup group, HashSet<Address> steps, WindowOutlook? window)
    {
        json.WriteStartObject();
        json.WriteString("group", group.Policy.Group);
        json.WriteString("address", group.Address.ToString());
        json.WriteString("constraint", group.Policy.Rules.Constraint);
        WriteDependsOn(json, group, steps);
        json.WritePropertyName("health");
        if (group.Cause is { } cause)
        {
            json.WriteStartObject();
            json.WriteString("cause", cause.Word());
            if (group.Note is { } note)
            {
                json.WriteString("note", note);
            }

            WriteDifferences(json, group.Differences);
            json.WriteEndObject();
        }
        else
        {
            json.WriteNullValue();
        }

        json.WritePropertyName("rollout");
        if (group.Rollout is { } rollout)
        {
            WriteRollout(json, rollout, window);
        }
        else
        {
            json.WriteNullValue();
        }

        json.WriteEndObject();
    }

    private static void WriteRollout(Utf8JsonWriter json, RolloutForecast rollout, WindowOutlook? window)
    {
        json.WriteStartObject();
        json.WriteString("address", rollout.Address.ToString());
        json.WriteString("summary", rollout.Summary);
        json.WriteNumber("restarts", rollout.Restarts);
        json.WriteNumber("switchovers", rollout.Switchovers);
        json.WriteNumber("removals", rollout.Removed.Count());
        if (rollout.WriteGap is { } gap)
        {
            json.WriteNumber("write_gap_seconds", gap.TotalSeconds);
        }
        else
        {
            json.WriteNull("write_gap_seconds");
        }

        json.WriteStartArray("steps");
        foreach (var (number, step) in rollout.Steps.Index())
        {
            json.WriteStartObject();
            json.WriteString(
                "kind",
                step.Kind switch
                {
                    RolloutStepKind.Start => "start",
                    RolloutStepKind.Switchover => "switchover",
                    RolloutStepKind.Remove => "remove",
                    RolloutStepKind.RestartTogether => "restart_together",
                    _ => "restart",
                }
            );
            json.WriteStartArray("hosts");
            foreach (var host in step.Hosts)
            {
                json.WriteStringValue(host);
            }

            json.WriteEndArray();
            json.WriteString("note", step.Note);
            if (window is not null)
            {
                json.WriteBoolean("waits", window.Waits(step));
            }

            if (number < rollout.WhatIf.Length)
            {
                json.WriteString("worst", rollout.WhatIf[number].Worst is { } worst ? WhatIfView.Word(worst.Cost) : null);
                WhatIfView.Write(json, "what_if", rollout.WhatIf[number]);
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
        if (rollout.AtRest is { } rest)
        {
            WhatIfView.Write(json, "at_rest", rest);
        }

        json.WriteEndObject();
    }

    private static void WriteReasons(Utf8JsonWriter json, string name, IEnumerable<(IPlannedStep Step, string Reason)> items)
    {
        json.WriteStartArray(name);
        foreach (var (step, reason) in items)
        {
            json.WriteStartObject();
            json.WriteString("address", step.Address.ToString());
            json.WriteString("reason", reason);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void WriteChange(Utf8JsonWriter json, PlannedChange change, HashSet<Address> steps, WindowOutlook? window)
    {
        json.WriteStartObject();
        json.WriteString("address", change.Address.ToString());
        json.WriteString("host", change.Address.Host);
        json.WriteString("action", change.Action.Word());
        json.WriteString("cause", change.Cause.Word());
        json.WriteBoolean("delete_data", change.DeleteData);
        if (window is not null)
        {
            json.WriteBoolean("waits", window.Waits(change.Address));
        }

        if (change.Place is { } place)
        {
            json.WriteString("place", place);
        }

        if (change.Note is { } note)
        {
            json.WriteString("note", note);
        }

        if (change.MovedFrom is { } from)
        {
            json.WriteString("moved_from", from.ToString());
        }

        WriteDependsOn(json, change, steps);
        WriteDifferences(json, change.Differences);
        json.WriteEndObject();
    }

    // Of the plan's own steps: what is not changed is not waited for.
    private static void WriteDependsOn(Utf8JsonWriter json, IPlannedStep step, HashSet<Address> steps)
    {
        json.WriteStartArray("depends_on");
        foreach (var address in step.DependsOn.Where(steps.Contains))
        {
            json.WriteStringValue(address.ToString());
        }

        json.WriteEndArray();
    }

    private static void WriteDifferences(Utf8JsonWriter json, ImmutableArray<AttributeDifference> differences)
    {
        json.WriteStartArray("differences");
        foreach (var difference in differences)
        {
            json.WriteStartObject();
            json.WriteString("attribute", difference.Name);
            json.WriteString("cause", difference.Cause.Word());
            json.WriteString("effect", difference.Effect.ToString().ToLowerInvariant());
            if ((difference.After ?? difference.Before)!.IsText)
            {
                json.WriteStartArray("diff");
                foreach (var line in TextDifference.Lines(difference.Before, difference.After))
                {
                    json.WriteStringValue(line);
                }

                json.WriteEndArray();
            }
            else
            {
                json.WriteString("before", difference.Before is null ? null : PlanView.Shown(difference.Before, difference.After));
                json.WriteString("after", difference.After is null ? null : PlanView.Shown(difference.After));
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    public static void WriteDiagnostics(Utf8JsonWriter json, IEnumerable<Diagnostic> diagnostics)
    {
        json.WriteStartArray("diagnostics");
        foreach (var diagnostic in diagnostics)
        {
            json.WriteStartObject();
            json.WriteString("severity", diagnostic.Severity.ToString().ToLowerInvariant());
            json.WriteString("summary", diagnostic.Summary);
            json.WriteString("detail", diagnostic.Detail);
            json.WriteString("remedy", diagnostic.Remedy);
            json.WriteString("host", diagnostic.Host);
            json.WriteString("address", diagnostic.Address);
            if (diagnostic.Location is { } location)
            {
                json.WriteString("file", location.File);
                json.WriteNumber("line", location.Line);
                json.WriteNumber("column", location.Column);
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
