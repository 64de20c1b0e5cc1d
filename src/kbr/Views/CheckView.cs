using System.Collections.Immutable;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>The preconditions of the hosts for a person, and as JSON.</summary>
internal static class CheckView
{
    public static void Show(Terminal terminal, ImmutableArray<HostCheck> checks)
    {
        var silent = checks.Where(check => check.Error is not null).Select(check => check.Host).ToHashSet(StringComparer.Ordinal);
        foreach (var check in checks)
        {
            terminal.Line(check.Host, Terminal.Tone.Bold);
            if (check.Error is { } error)
            {
                terminal.Line($"  ?     {error}", Terminal.Tone.Removed);
            }

            foreach (var one in check.Preconditions)
            {
                var (word, tone) = one switch
                {
                    { Finding: null } => ("ok   ", Terminal.Tone.Added),
                    { Refuses: true } => ("WRONG", Terminal.Tone.Removed),
                    _ => ("warn ", Terminal.Tone.Changed),
                };
                var unasked = one.Finding?.Peer is { } peer && silent.Contains(peer) ? $"  ({peer} could not be read either)" : "";
                terminal.Line($"  {word} {Name(one.Precondition)}{unasked}", tone);
                if (unasked.Length == 0 && one.Finding is { } finding)
                {
                    terminal.Line(
                        $"        {finding.Summary[(finding.Summary.IndexOf(": ", StringComparison.Ordinal) + 2)..]}: {finding.Detail}"
                    );
                    terminal.Line($"        → {finding.Remedy}", Terminal.Tone.Faint);
                }
            }
        }

        var all = checks.SelectMany(check => check.Preconditions).ToList();
        var unreachable = checks.Count(check => check.Error is not null);
        terminal.Line(
            $"Check: {all.Count(one => one.Finding is null)} hold, {all.Count(one => one.Refuses)} do not, "
                + $"{all.Count(one => one is { Refuses: false, Finding: not null })} warnings"
                + (unreachable == 0 ? "" : $"; {unreachable} {(unreachable == 1 ? "host" : "hosts")} could not be read"),
            Terminal.Tone.Bold
        );
    }

    public static string Document(string cluster, ImmutableArray<HostCheck> checks, int verdict) => JsonView.Document("check", json =>
        {
            json.WriteString("cluster", cluster);
            json.WriteString(
                "verdict",
                verdict switch
                {
                    ExitCode.Done => "ok",
                    ExitCode.Error => "unknown",
                    _ => "not_ok",
                }
            );
            json.WriteStartArray("hosts");
            foreach (var check in checks)
            {
                json.WriteStartObject();
                json.WriteString("host", check.Host);
                json.WriteString("error", check.Error);
                json.WriteStartArray("preconditions");
                foreach (var one in check.Preconditions)
                {
                    json.WriteStartObject();
                    json.WriteString("kind", one.Precondition.Kind);
                    json.WriteString("level", one.Precondition.Level.ToString().ToLowerInvariant());
                    json.WriteStartObject("settings");
                    foreach (var name in one.Precondition.Settings.Names.Order(StringComparer.Ordinal))
                    {
                        json.WriteString(name, AttributeValue.Of(one.Precondition.Settings[name]!).Value);
                    }

                    json.WriteEndObject();
                    json.WriteBoolean("holds", one.Finding is null);
                    json.WriteString("summary", one.Finding?.Summary);
                    json.WriteString("detail", one.Finding?.Detail);
                    json.WriteString("remedy", one.Finding?.Remedy);
                    json.WriteEndObject();
                }

                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndArray();
        });

    private static string Name(Precondition precondition)
    {
        var settings = precondition
            .Settings.Names.Where(name => name != "free")
            .Order(StringComparer.Ordinal)
            .Select(name => AttributeValue.Of(precondition.Settings[name]!).Value);
        return string.Join(' ', [precondition.Kind, .. settings]);
    }
}
