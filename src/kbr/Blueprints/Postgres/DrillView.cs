using System.Globalization;
using System.Text.Json;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Drill;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>Shows a drill: its announcement and its result.</summary>
public static class DrillView
{
    /// <summary>The announcement of a drill, before the confirmation.</summary>
    public static void ShowPlan(Terminal terminal, PostgresTopology topology, DrillKind kind, string leader)
    {
        ArgumentNullException.ThrowIfNull(terminal);
        ArgumentNullException.ThrowIfNull(topology);
        terminal.Line($"Drill of {topology.Scope}: {kind.Description(leader)}.", Terminal.Tone.Changed);
        terminal.Line(
            kind switch
            {
                DrillKind.Switchover => "Writes stop for about 3 s, and sessions on the primary end; no service is stopped.",
                DrillKind.Stop =>
                    "Writes stop for some seconds until another member is the primary, and sessions on the old one end. The unit is "
                        + "started again afterwards.",
                _ => string.Create(
                    CultureInfo.InvariantCulture,
                    $"Writes stop until another member is the primary, up to {topology.Times.WorstCase.TotalSeconds:0} s, and "
                        + $"sessions on the old one end."
                )
                    + (
                        topology.Synchronous == SynchronousMode.Off
                            ? " Replication is asynchronous: acknowledged writes that no replica has received are "
                                + "lost, those of applications included."
                            : " If synchronous replication is applied already, no acknowledged write is lost."
                    ),
            }
        );
        if (kind.Lasts())
        {
            terminal.Line(
                $"The fault is undone after the drill, at the latest by the timer {DrillFault.Unit} on the "
                    + $"host itself, even when kbr is killed."
            );
        }

        terminal.Line(
            $"kbr writes test rows through {string.Join(" and ", DrillWay.Of(topology).Select(way => way.Endpoint))} to the schema {DrillRun.Schema} of "
                + $"{topology.ApplicationDatabase.Name}, and drops that schema afterwards."
        );
    }

    /// <summary>The result.</summary>
    public static void Show(Terminal terminal, DrillReport report)
    {
        ArgumentNullException.ThrowIfNull(terminal);
        ArgumentNullException.ThrowIfNull(report);
        terminal.Line($"Drill of {report.Scope}: {report.Kind.Description(report.Leader)}", Terminal.Tone.Bold);
        foreach (var way in report.Ways)
        {
            var gap = way.LongestGap;
            terminal.Line(
                $"  {way.Way.Name, -7} {way.Way.Endpoint, -21}  {Seconds(gap.Length)} without an acknowledged "
                    + $"write{(gap.IsOpen ? ", to the end" : "")}; "
                    + string.Create(
                        CultureInfo.InvariantCulture,
                        $"{way.Acknowledged} acknowledged, {way.Lost.Length} of them missing; {way.Unacknowledged} not "
                            + $"acknowledged, {way.Unexpected.Length} of them there"
                    )
            );
            foreach (var span in way.Served.Where(span => span.Lost))
            {
                terminal.Line(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"          {span.Writes} of the missing were acknowledged by {span.Server} from {Seconds(span.From)} "
                            + $"to {Seconds(span.To)} after the fault"
                    ),
                    Terminal.Tone.Removed
                );
            }
        }

        terminal.Line($"  primary {report.Leader} before, {report.NewLeader ?? "none"} after");
        terminal.Line(
            $"  whole   "
                + $"{(report.Whole is { } whole ? $"after {Seconds(whole)}" : "not in time")}{(report.Undone is { } undone ? $"; the fault was undone after {Seconds(undone)}" : "")}"
        );
        terminal.Line();
        foreach (var failure in report.Failures)
        {
            terminal.Line($"Failed: {failure}.", Terminal.Tone.Removed);
        }

        if (report.AcknowledgedByTwo > 0)
        {
            terminal.Line(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"Failed: two members were primary at once: one acknowledged {report.AcknowledgedByTwo} writes after the other had begun to."
                ),
                Terminal.Tone.Removed
            );
        }

        var lost = report.Ways.Sum(way => way.Lost.Length);
        if (lost > 0)
        {
            terminal.Line(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"Lost: {lost} acknowledged writes are "
                        + $"missing.{(report.Synchronous ? " Synchronous replication must prevent this." : " Replication is asynchronous: writes that no replica had received were lost with the primary.")}"
                ),
                Terminal.Tone.Removed
            );
        }

        if (report.Outcome == DrillOutcome.Passed)
        {
            terminal.Line("Passed: the service and the cluster recovered, and no acknowledged write was lost.", Terminal.Tone.Added);
        }
    }

    /// <summary>The same as JSON.</summary>
    public static string Document(string cluster, DrillReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        return JsonView.Document("drill", json =>
        {
            json.WriteString("cluster", cluster);
            json.WriteString("scope", report.Scope);
            json.WriteString("drill", report.Kind.Word());
            json.WriteString("outcome", report.Outcome.ToString().ToLowerInvariant());
            json.WriteBoolean("synchronous", report.Synchronous);
            json.WriteString("leader_before", report.Leader);
            json.WriteString("leader_after", report.NewLeader);
            Number(json, "undone_seconds", report.Undone);
            Number(json, "whole_seconds", report.Whole);
            json.WriteNumber("acknowledged_by_two_leaders", report.AcknowledgedByTwo);
            json.WriteStartArray("failures");
            foreach (var failure in report.Failures)
            {
                json.WriteStringValue(failure);
            }

            json.WriteEndArray();
            json.WriteStartArray("ways");
            foreach (var way in report.Ways)
            {
                WriteWay(json, way);
            }

            json.WriteEndArray();
        });
    }

    private static void WriteWay(Utf8JsonWriter json, WayReport way)
    {
        json.WriteStartObject();
        json.WriteString("way", way.Way.Name);
        json.WriteString("endpoint", way.Way.Endpoint);
        json.WriteNumber("longest_gap_seconds", Math.Round(way.LongestGap.Length.TotalSeconds, 3));
        Number(json, "longest_gap_from_seconds", way.LongestGap.From);
        json.WriteBoolean("longest_gap_open", way.LongestGap.IsOpen);
        Number(json, "back_seconds", way.Back);
        json.WriteNumber("acknowledged", way.Acknowledged);
        json.WriteNumber("unacknowledged", way.Unacknowledged);
        json.WriteNumber("lost", way.Lost.Length);
        json.WriteNumber("unexpected", way.Unexpected.Length);
        json.WriteStartArray("served");
        foreach (var span in way.Served)
        {
            json.WriteStartObject();
            json.WriteString("server", span.Server);
            Number(json, "from_seconds", span.From);
            Number(json, "to_seconds", span.To);
            json.WriteNumber("writes", span.Writes);
            json.WriteBoolean("lost", span.Lost);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Number(Utf8JsonWriter json, string name, TimeSpan? time)
    {
        if (time is { } given)
        {
            json.WriteNumber(name, Math.Round(given.TotalSeconds, 3));
        }
        else
        {
            json.WriteNull(name);
        }
    }

    private static string Seconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0} s");
}
