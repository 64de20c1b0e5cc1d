using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Cli.Firewall;

/// <summary>Rules in the languages of firewalls. Pure.</summary>
internal static class FirewallFormats
{
    // Docker, and whoever else filters, has tables of its own; what is forwarded passes here untouched.
    /// <summary>One ruleset of nftables for each host: it may be loaded again and again, and replaces only itself.</summary>
    public static string Nft(string cluster, FirewallRules rules)
    {
        var text = new StringBuilder();
        foreach (var (host, incoming) in rules.ByHost())
        {
            text.Append(
                CultureInfo.InvariantCulture,
                $$"""
                # {{host.Name}} of {{cluster}}, by kbr check --ports --format nft --target '*@{{host.Name}}'
                table inet kbr
                delete table inet kbr
                table inet kbr {
                  chain input {
                    type filter hook input priority filter; policy drop;
                    ct state established,related accept
                    ct state invalid drop
                    iifname "lo" accept
                    meta l4proto { icmp, ipv6-icmp } accept
                    udp sport 67 udp dport 68 accept comment "DHCP"
                    ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept comment "DHCPv6"

                """
            );
            foreach (var rule in incoming)
            {
                foreach (var source in Families(rule.Sources))
                {
                    text.Append(
                        CultureInfo.InvariantCulture,
                        $"    {source}{NftService(rule)} accept comment \"{Comment(rule.Purpose)}\"\n"
                    );
                }
            }

            text.Append("  }\n}\n");
        }

        return text.ToString();
    }

    /// <summary>The commands of ufw, a host after the other. They switch nothing on.</summary>
    public static string Ufw(string cluster, FirewallRules rules)
    {
        var text = new StringBuilder();
        foreach (var (host, incoming) in rules.ByHost())
        {
            text.Append(CultureInfo.InvariantCulture, $"# {host.Name} of {cluster}; then: ufw default deny incoming && ufw enable\n");
            foreach (var rule in incoming)
            {
                foreach (var source in rule.Sources.IsEmpty ? ["any"] : rule.Sources)
                {
                    var port = rule.Port == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $" port {rule.Port}");
                    text.Append(
                        CultureInfo.InvariantCulture,
                        $"ufw allow proto {rule.Protocol} from {source} to any{port} comment '{Comment(rule.Purpose)}'\n"
                    );
                }
            }
        }

        return text.ToString();
    }

    /// <summary>The rules of a firewall of Hetzner Cloud for each host, by the host's name. It knows no protocol without ports but ICMP,
    /// so those are left out.</summary>
    public static string Hetzner(FirewallRules rules)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            foreach (var (host, incoming) in rules.ByHost())
            {
                json.WriteStartArray(host.Name);
                foreach (var rule in incoming.Where(rule => rule.Port > 0))
                {
                    json.WriteStartObject();
                    json.WriteString("direction", "in");
                    json.WriteString("protocol", rule.Protocol);
                    json.WriteString("port", rule.Port.ToString(CultureInfo.InvariantCulture));
                    json.WriteStartArray("source_ips");
                    foreach (var source in rule.Sources.IsEmpty ? ["0.0.0.0/0", "::/0"] : rule.Sources.Select(InCidr))
                    {
                        json.WriteStringValue(source);
                    }

                    json.WriteEndArray();
                    json.WriteString("description", Comment(rule.Purpose));
                    json.WriteEndObject();
                }

                json.WriteEndArray();
            }

            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    // A rule of nftables is about one version of IP.
    private static IEnumerable<string> Families(ImmutableArray<string> sources)
    {
        if (sources.IsEmpty)
        {
            yield return "";
        }

        foreach (var family in sources.GroupBy(source => source.Contains(':', StringComparison.Ordinal) ? "ip6" : "ip"))
        {
            yield return $"{family.Key} saddr {{ {string.Join(", ", family)} }} ";
        }
    }

    private static string NftService(IncomingRule rule) =>
        rule.Port == 0
            ? $"meta l4proto {rule.Protocol}"
            : string.Create(CultureInfo.InvariantCulture, $"{rule.Protocol} dport {rule.Port}");

    private static string InCidr(string source) =>
        source.Contains('/', StringComparison.Ordinal) ? source
        : source.Contains(':', StringComparison.Ordinal) ? source + "/128"
        : source + "/32";

    // nftables takes 128 bytes of it; quotes would end it.
    private static string Comment(string purpose) =>
        purpose.Replace("'", "", StringComparison.Ordinal).Replace("\"", "", StringComparison.Ordinal);
}
