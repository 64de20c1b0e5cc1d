using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Configuration;

namespace KeyBuzz.Reconciler.PostgresHa.Init;

/// <summary>Hosts as an option or an answer names them: <c>[user@]host[:port]</c>, separated by commas.</summary>
public static class HostList
{
    /// <summary>Reads a list; what cannot be read is noted.</summary>
    public static ImmutableArray<InventoryHost> Parse(string text, string role, Findings findings)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(findings);
        var hosts = ImmutableArray.CreateBuilder<InventoryHost>();
        foreach (var word in text.Split([',', ' '], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var at = word.IndexOf('@', StringComparison.Ordinal);
            var (host, port) = Parts(word[(at + 1)..]);
            if (at == 0 || host.Length == 0 || !host.All(IsLetter) || port is < 1 or > 65535)
            {
                findings.Error(
                    $"'{word}' is not a host",
                    null,
                    null,
                    "write [user@]host[:port], such as db-1, 10.0.0.120 or ops@db-1:2222"
                );
                continue;
            }

            hosts.Add(
                new InventoryHost(HostNames.Of(host, role, hosts.Count + 1), null)
                {
                    User = at > 0 && word[..at] != "root" ? word[..at] : null,
                    Port = port == 22 ? null : port,
                }.ReachedAt(host)
            );
        }

        return hosts.ToImmutable();
    }

    private static (string Host, int? Port) Parts(string text)
    {
        var colon = text.LastIndexOf(':');
        if (text is ['[', .. var inner] && inner.IndexOf(']', StringComparison.Ordinal) is > 0 and var end)
        {
            return (
                inner[..end],
                inner[(end + 1)..] is [':', .. var digits] ? Number(digits)
                : inner.Length > end + 1 ? 0
                : null
            );
        }

        // Several colons are an IPv6 address.
        return colon < 0 || text.IndexOf(':', StringComparison.Ordinal) != colon
            ? (text, null)
            : (text[..colon], Number(text[(colon + 1)..]));
    }

    private static int Number(string digits) =>
        int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

    private static bool IsLetter(char letter) => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '-' or '_' or ':';
}
