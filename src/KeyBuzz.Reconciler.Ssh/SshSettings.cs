using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Ssh;

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
) : IConnectionSettings;
