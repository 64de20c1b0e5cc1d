using System.Net;
using System.Net.Sockets;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>The rules for addresses and networks in cluster.yaml, stricter than .NET's parser, which takes <c>10.1</c> for
/// <c>10.0.0.1</c>.</summary>
public static class NetworkAddress
{
    /// <summary>Reads an IPv4 or IPv6 address.</summary>
    public static bool TryParse(string text, out IPAddress address)
    {
        address = IPAddress.None;
        if (
            text.Contains('%', StringComparison.Ordinal)
            || text.Contains('[', StringComparison.Ordinal)
            || !IPAddress.TryParse(text, out var parsed)
        )
        {
            return false;
        }

        address = parsed;
        return parsed.AddressFamily == AddressFamily.InterNetworkV6 || parsed.ToString() == text;
    }

    /// <summary>The canonical form of an address or of a host's name.</summary>
    public static string Canonical(string address)
    {
        ArgumentNullException.ThrowIfNull(address);
        return TryParse(address, out var parsed) ? parsed.ToString() : address.ToLowerInvariant();
    }

    /// <summary>The problem of a host's address, or null.</summary>
    public static string? Problem(string text)
    {
        if (TryParse(text, out var address))
        {
            return IsUnicast(address) ? null : "this is not the address of a single host";
        }

        return text.Contains('/', StringComparison.Ordinal) && ProblemOfNetwork(text) is null
            ? "this is a network; write the address of one host, without the prefix length"
            : "write an IPv4 or IPv6 address, such as 10.0.0.11";
    }

    /// <summary>The problem of a network in CIDR notation, or null.</summary>
    public static string? ProblemOfNetwork(string text)
    {
        const string Wanted = "write a network in CIDR notation, such as 10.0.0.0/24";
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        if (slash < 0 || !TryParse(text[..slash], out var address))
        {
            return Wanted;
        }

        var digits = text[(slash + 1)..];
        var bits = address.AddressFamily == AddressFamily.InterNetwork ? 32 : 128;
        if (digits.Length is 0 or > 3 || !digits.All(char.IsAsciiDigit) || (digits.Length > 1 && digits[0] == '0'))
        {
            return Wanted;
        }

        var prefix = int.Parse(digits, System.Globalization.CultureInfo.InvariantCulture);
        if (prefix > bits)
        {
            return $"the prefix length may be at most {bits}";
        }

        var bytes = address.GetAddressBytes();
        var masked = bytes.ToArray();
        for (var bit = prefix; bit < bits; bit++)
        {
            masked[bit / 8] &= (byte)~(0x80 >> (bit % 8));
        }

        return bytes.AsSpan().SequenceEqual(masked)
            ? null
            : $"bits are set beyond the prefix; the network is {new IPAddress(masked)}/{prefix}";
    }

    private static bool IsUnicast(IPAddress address) =>
        !address.Equals(IPAddress.Any)
        && !address.Equals(IPAddress.IPv6Any)
        && !address.IsIPv6Multicast
        && !(address.AddressFamily == AddressFamily.InterNetwork && address.GetAddressBytes()[0] >= 224);
}
