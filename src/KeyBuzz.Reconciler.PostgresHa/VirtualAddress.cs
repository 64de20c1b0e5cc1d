using KeyBuzz.Reconciler.Configuration;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>The address that one of the proxies holds, and another takes over when that one fails.</summary>
/// <param name="Address">The IPv4 address; no host has it as its own.</param>
/// <param name="Interface">The network interface of the proxies that it is on.</param>
/// <param name="RouterId">The number of the group of holders in VRRP, 1 to 255.</param>
/// <param name="Image">The image of keepalived.</param>
public sealed record VirtualAddress(string Address, string Interface, int RouterId, ServiceImage Image)
{
    // IFNAMSIZ of Linux, without the zero at its end.
    private const int LongestInterface = 15;

    /// <summary>The number of an address where cluster.yaml gives none: its last one.</summary>
    public static int RouterIdOf(string address) =>
        NetworkAddress.TryParse(address, out var parsed) ? Math.Max(1, (int)parsed.GetAddressBytes()[^1]) : 1;

    /// <summary>The problem of an address, or null.</summary>
    public static string? ProblemOfAddress(string text) =>
        NetworkAddress.Problem(text) is { } problem ? problem
        : text.Contains(':', StringComparison.Ordinal) ? "write an IPv4 address, such as 10.0.0.100"
        : null;

    /// <summary>The problem of an interface's name, or null.</summary>
    public static string? ProblemOfInterface(string text) =>
        text.Length is > 0 and <= LongestInterface
        && text is not ("." or ".." or "lo")
        && text.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '_' or '-' or '@')
            ? null
            : "write the interface of the hosts' network, as 'ip -brief address' on a proxy shows it, such as eth1";
}
