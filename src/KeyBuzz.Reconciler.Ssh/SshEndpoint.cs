using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>How a host is reached, as cluster.yaml has it.</summary>
/// <param name="Hostname">Name or address to connect to.</param>
/// <param name="Port">TCP port; null leaves it to OpenSSH's configuration.</param>
/// <param name="User">Login name; null leaves it to OpenSSH's configuration.</param>
/// <param name="Sudo">Whether commands go through <c>sudo -n</c>.</param>
public sealed record SshEndpoint(string Hostname, int? Port, string? User, bool Sudo) : IHostEndpoint
{
    /// <summary>The host's own name, which OpenSSH's configuration may know; null when <c>ssh.host</c> says what to look up.</summary>
    public string? Alias { get; init; }

    /// <summary>The jump hosts, as OpenSSH's <c>ProxyJump</c> writes them; null leaves it to the settings of all hosts.</summary>
    public string? ProxyJump { get; init; }

    string IHostEndpoint.Place => Hostname.Length == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"{Hostname} port {Port ?? 22}");

    string IHostEndpoint.Key =>
        string.Create(CultureInfo.InvariantCulture, $"{NetworkAddress.Canonical(Hostname)} {Port ?? 22} {ProxyJump}");

    int IHostEndpoint.Port => Port ?? 22;

    /// <summary>The endpoint of a host that is reached over SSH.</summary>
    public static SshEndpoint Of(Host host)
    {
        ArgumentNullException.ThrowIfNull(host);
        return (SshEndpoint)host.Endpoint;
    }
}
