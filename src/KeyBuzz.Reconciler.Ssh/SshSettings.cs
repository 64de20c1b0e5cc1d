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

/// <summary>Whether OpenSSH's configuration is read, and which.</summary>
/// <param name="IsRead">Whether it is read at all.</param>
/// <param name="File">The file in place of <c>~/.ssh/config</c> and <c>/etc/ssh/ssh_config</c>; null for those.</param>
public sealed record SshConfigSource(bool IsRead, string? File)
{
    /// <summary>None is read.</summary>
    public static SshConfigSource None { get; } = new(false, null);

    /// <summary>The configuration that <c>ssh</c> reads by itself.</summary>
    public static SshConfigSource Default { get; } = new(true, null);
}

/// <summary>Settings of all SSH connections, as cluster.yaml has them; null where it leaves one to OpenSSH's configuration.</summary>
/// <param name="IdentityFile">The private key.</param>
/// <param name="KnownHostsFile">The known_hosts file.</param>
/// <param name="HostKeyChecking">How host keys are checked.</param>
/// <param name="PreferCurve25519">Whether curve25519 is offered before the post-quantum exchanges (a third of the connect time, no
/// protection against a later quantum computer).</param>
/// <param name="ConnectTimeout">How long a connection may take.</param>
public sealed record SshSettings(
    string? IdentityFile,
    string? KnownHostsFile,
    HostKeyChecking? HostKeyChecking,
    bool PreferCurve25519,
    TimeSpan ConnectTimeout
) : IConnectionSettings
{
    /// <summary>OpenSSH's configuration.</summary>
    public SshConfigSource Config { get; init; } = SshConfigSource.None;

    /// <summary>The jump hosts of every host, as OpenSSH's <c>ProxyJump</c> writes them.</summary>
    public string? ProxyJump { get; init; }

    /// <summary>The operator's home, where <c>~</c> leads.</summary>
    public string Home { get; init; } = "/nonexistent";

    /// <summary>The socket of the operator's agent, as <c>SSH_AUTH_SOCK</c> names it.</summary>
    public string? AgentSocket { get; init; }
}
