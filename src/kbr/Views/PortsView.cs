using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using KeyBuzz.Reconciler.Cli.Firewall;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>The connections that firewalls must let through, as a table and as JSON.</summary>
internal static class PortsView
{
    /// <summary>The table: sets of hosts that are a role's have the role's name, which is explained below.</summary>
    public static void Show(Terminal terminal, ImmutableArray<Host> hosts, FirewallRules rules)
    {
        Table(terminal, "Incoming", rules.Incoming, hosts);
        terminal.Line();
        Table(terminal, "Outgoing", rules.Outgoing, hosts);
        terminal.Line();
        foreach (var role in hosts.GroupBy(host => host.Role).Where(role => role.Key.Length > 0))
        {
            terminal.Line($"{role.Key}: {string.Join(", ", role.Select(host => $"{host.Name} {host.Address}"))}", Terminal.Tone.Faint);
        }
    }

    /// <summary>The JSON document.</summary>
    public static string Document(string cluster, FirewallRules rules) => JsonView.Document("ports", json =>
        {
            json.WriteString("cluster", cluster);
            Write(json, "incoming", rules.Incoming);
            Write(json, "outgoing", rules.Outgoing);
        });

    private static void Table(Terminal terminal, string title, ImmutableArray<Traffic> rules, ImmutableArray<Host> hosts)
    {
        List<string[]> rows =
        [
            [title + " from", "to", "port", "for"],
        ];
        rows.AddRange(rules.Select(rule => (string[])[Ends(rule.From, hosts), Ends(rule.To, hosts), Port(rule), rule.Purpose]));
        var widths = Enumerable.Range(0, 3).Select(column => rows.Max(row => row[column].Length)).ToArray();
        foreach (var (at, row) in rows.Index())
        {
            terminal.Line(
                string.Join("  ", row.Take(3).Select((cell, column) => cell.PadRight(widths[column])).Append(row[3])),
                at == 0 ? Terminal.Tone.Bold : Terminal.Tone.Plain
            );
        }
    }

    private static string Ends(ImmutableArray<TrafficEnd> ends, ImmutableArray<Host> hosts)
    {
        var names = ends.Where(end => end.IsHost).Select(end => end.Name).ToHashSet(StringComparer.Ordinal);
        if (names.Count == ends.Length && names.Count > 1)
        {
            if (names.Count == hosts.Length)
            {
                return "all hosts";
            }

            if (
                hosts
                    .GroupBy(host => host.Role)
                    .FirstOrDefault(role => role.Key.Length > 0 && names.SetEquals(role.Select(host => host.Name))) is
                { } same
            )
            {
                return same.Key;
            }
        }

        return string.Join(
            ", ",
            ends.Select(end => end.IsHost || end.Network.Length == 0 || end.Network == end.Name ? end.Name : $"{end.Name} {end.Network}")
        );
    }

    private static string Port(Traffic rule) =>
        rule.Port == 0 ? rule.Protocol : string.Create(CultureInfo.InvariantCulture, $"{rule.Port}/{rule.Protocol}");

    private static void Write(Utf8JsonWriter json, string name, ImmutableArray<Traffic> rules)
    {
        json.WriteStartArray(name);
        foreach (var rule in rules)
        {
            json.WriteStartObject();
            Write(json, "from", rule.From);
            Write(json, "to", rule.To);
            json.WriteString("protocol", rule.Protocol);
            json.WriteNumber("port", rule.Port);
            json.WriteString("purpose", rule.Purpose);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, string name, ImmutableArray<TrafficEnd> ends)
    {
        json.WriteStartArray(name);
        foreach (var end in ends)
        {
            json.WriteStartObject();
            json.WriteString("name", end.Name);
            json.WriteString("network", end.Network);
            json.WriteBoolean("is_host", end.IsHost);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
