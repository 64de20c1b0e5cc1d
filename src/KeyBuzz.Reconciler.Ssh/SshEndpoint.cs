using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>How a host is reached.</summary>
/// <param name="Hostname">Name or address to connect to.</param>
/// <param name="Port">TCP port.</param>
/// <param name="User">Login name.</param>
/// <param name="Sudo">Whether commands go through <c>sudo -n</c>.</param>
public sealed record SshEndpoint(string Hostname, int Port, string User, bool Sudo) : IHostEndpoint
{
    string IHostEndpoint.Place => Hostname.Length == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"{Hostname} port {Port}");

    string IHostEndpoint.Key => string.Create(CultureInfo.InvariantCulture, $"{NetworkAddress.Canonical(Hostname)} {Port}");

    /// <summary>The endpoint of a host that is reached over SSH.</summary>
    public static SshEndpoint Of(Host host)
    {
        ArgumentNullException.ThrowIfNull(host);
        return (SshEndpoint)host.Endpoint;
    }
}
