using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>How much a plan says of the failures at its steps.</summary>
public enum WhatIfDetail
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>The worst case of each step.</summary>
    Worst,

    /// <summary>Every failure.</summary>
    All,
}

/// <summary>What single failures do at a step: in lines, in JSON, and in the words that both share.</summary>
internal static class WhatIfView
{
    private const int Width = 80;
    private const string Indent = "     ";

    /// <summary>The word of a cost, as in JSON.</summary>
    public static string Word(FailureCost cost) =>
        cost switch
        {
            FailureCost.None => "none",
            FailureCost.Gap => "gap",
            FailureCost.Outage => "outage",
            _ => "loss",
        };

    /// <summary>The word of a failure, as in JSON.</summary>
    public static string Word(FailureKind kind) =>
        kind switch
        {
            FailureKind.Member => "member",
            FailureKind.NetworkCut => "network_cut",
            FailureKind.StoreMember => "store_member",
            FailureKind.Proxy => "proxy",
            _ => "kbr",
        };

    /// <summary>The mark of a cost: four letters at most.</summary>
    public static string Mark(string cost) =>
        cost switch
        {
            "none" => "OK",
            "gap" => "GAP",
            "outage" => "DOWN",
            _ => "LOSS",
        };

    /// <summary>The failure as a condition: <c>if db-1 is cut off</c>.</summary>
    public static string Condition(string kind, string host) =>
        kind switch
        {
            "member" or "proxy" => $"if {host} is lost",
            "network_cut" => $"if {host} is cut off",
            "store_member" => $"if {host} loses its store",
            _ => "if kbr is killed",
        };

    /// <summary>How long writes stop.</summary>
    public static string Consequence(string cost, double? seconds, string atRisk) =>
        seconds switch
        {
            null => atRisk.Length > 0 || cost == "gap" ? "no writes until the step ends" : "no writes until somebody acts",
            0 => "writes go on",
            { } some => string.Create(CultureInfo.InvariantCulture, $"up to {some:0} s without writes"),
        };

    /// <summary>What the marks say.</summary>
    public const string Legend = "LOSS: acknowledged rows may be lost; DOWN: until somebody acts; GAP: by itself";

    /// <summary>Shows a step's outlook beneath it.</summary>
    public static void Show(Terminal terminal, StepOutlook outlook, WhatIfDetail detail)
    {
        if (detail == WhatIfDetail.None || outlook.Worst is not { } worst)
        {
            return;
        }

        terminal.Line($"{Indent}{Line(worst)}", ToneOf(worst.Cost));
        if (detail != WhatIfDetail.All)
        {
            return;
        }

        foreach (var failure in outlook.Failures)
        {
            terminal.Line($"{Indent}  {Line(failure)}", ToneOf(failure.Cost));
            var facts =
                $"{Quorum(failure.Votes, failure.Counted, failure.HasQuorum, failure.PrimaryText)}; "
                + failure.Remedy
                + (failure.AtRisk.Length > 0 ? $"; at risk: {failure.AtRisk}" : "");
            foreach (var line in Wrapped(facts, Width - Indent.Length - 8))
            {
                terminal.Line($"{Indent}        {line}", Terminal.Tone.Faint);
            }
        }
    }

    /// <summary>The votes, and the primary.</summary>
    public static string Quorum(int votes, int counted, bool hasQuorum, string primary) =>
        $"{votes} of {counted} vote{(hasQuorum ? "" : ", no quorum")}; "
        + (
            primary.Length == 0 ? "no primary"
            : hasQuorum ? $"primary {primary}"
            : $"no primary at first, then {primary}"
        );

    /// <summary>Writes every failure of a step.</summary>
    public static void Write(Utf8JsonWriter json, string name, StepOutlook outlook)
    {
        json.WriteStartArray(name);
        foreach (var failure in outlook.Failures)
        {
            json.WriteStartObject();
            json.WriteString("failure", Word(failure.Kind));
            json.WriteString("host", failure.Host);
            json.WriteString("cost", Word(failure.Cost));
            json.WriteNumber("votes", failure.Votes);
            json.WriteNumber("counted", failure.Counted);
            json.WriteBoolean("has_quorum", failure.HasQuorum);
            json.WriteString("leader", failure.Primaries.FirstOrDefault());
            json.WriteStartArray("primaries");
            foreach (var primary in failure.Primaries)
            {
                json.WriteStringValue(primary);
            }

            json.WriteEndArray();
            if (failure.WithoutWrites is { } stop)
            {
                json.WriteNumber("without_writes_seconds", stop.TotalSeconds);
            }
            else
            {
                json.WriteNull("without_writes_seconds");
            }

            json.WriteString("at_risk", failure.AtRisk);
            json.WriteString("remedy", failure.Remedy);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static string Line(FailureOutlook failure) =>
        $"{Mark(Word(failure.Cost)), -4}  {Condition(Word(failure.Kind), failure.Host)}: "
        + Consequence(Word(failure.Cost), failure.WithoutWrites?.TotalSeconds, failure.AtRisk);

    private static Terminal.Tone ToneOf(FailureCost cost) =>
        cost switch
        {
            FailureCost.None => Terminal.Tone.Faint,
            FailureCost.Gap => Terminal.Tone.Plain,
            FailureCost.Outage => Terminal.Tone.Changed,
            _ => Terminal.Tone.Removed,
        };

    private static IEnumerable<string> Wrapped(string text, int width)
    {
        var line = "";
        foreach (var word in text.Split(' '))
        {
            if (line.Length > 0 && line.Length + 1 + word.Length > width)
            {
                yield return line;
                line = "";
            }

            line = line.Length == 0 ? word : $"{line} {word}";
        }

        yield return line;
    }
}
