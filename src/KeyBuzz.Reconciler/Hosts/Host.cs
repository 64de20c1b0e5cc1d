namespace KeyBuzz.Reconciler.Hosts;

/// <summary>A host as cluster.yaml names it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Role">Its role, for example <c>db</c>; resources can be placed by it.</param>
/// <param name="Address">Its private address, used between hosts.</param>
/// <param name="Ssh">How to reach it.</param>
public sealed record Host(string Name, string Role, string Address, SshEndpoint Ssh);

/// <summary>How a host is reached.</summary>
/// <param name="Hostname">Name or address to connect to.</param>
/// <param name="Port">TCP port.</param>
/// <param name="User">Login name.</param>
/// <param name="Sudo">Whether commands go through <c>sudo -n</c>.</param>
public sealed record SshEndpoint(string Hostname, int Port, string User, bool Sudo);

/// <summary>How host keys are checked.</summary>
public enum HostKeyChecking
{
    /// <summary>The key must be in known_hosts.</summary>
    Strict,

    /// <summary>An unknown key is added to known_hosts; a changed one is refused.</summary>
    AcceptNew,
}

/// <summary>Settings of all SSH connections.</summary>
/// <param name="IdentityFile">The private key, an OpenSSH file.</param>
/// <param name="KnownHostsFile">The known_hosts file.</param>
/// <param name="HostKeyChecking">How host keys are checked.</param>
/// <param name="PreferCurve25519">Whether curve25519 is offered before the post-quantum exchanges (a third of the connect time, no
/// protection against a later quantum computer).</param>
/// <param name="ConnectTimeout">How long a connection may take.</param>
public sealed record SshSettings(
    string IdentityFile,
    string KnownHostsFile,
    HostKeyChecking HostKeyChecking,
    bool PreferCurve25519,
    TimeSpan ConnectTimeout
);
