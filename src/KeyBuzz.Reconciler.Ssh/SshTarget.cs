using System.Collections.Immutable;
using System.Globalization;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Everything that one connection needs: of a host, or of a jump host before it.</summary>
internal sealed record SshTarget
{
    /// <summary>Its name, as one would type it after <c>ssh</c>.</summary>
    public required string Name { get; init; }

    /// <summary>The name or address to connect to, as seen from the last jump host.</summary>
    public required string Hostname { get; init; }

    public required int Port { get; init; }

    public required string User { get; init; }

    /// <summary>The name of its key in known_hosts.</summary>
    public required string KeyName { get; init; }

    /// <summary>The files of known_hosts, which keys are looked up in.</summary>
    public required ImmutableArray<string> KnownHosts { get; init; }

    /// <summary>The file that new keys are added to; null to keep none. Never one of this machine's global files.</summary>
    public required string? NewKeysFile { get; init; }

    public required HostKeyChecking Checking { get; init; }

    /// <summary>Whether names are hashed when they are added.</summary>
    public bool HashesNames { get; init; }

    /// <summary>The keys to offer.</summary>
    public required ImmutableArray<Identity> Identities { get; init; }

    /// <summary>Certificates beside those that stand beside their keys.</summary>
    public ImmutableArray<string> Certificates { get; init; } = [];

    /// <summary>The agent's socket; null for none.</summary>
    public string? AgentSocket { get; init; }

    /// <summary>Whether the agent's other keys are offered, too.</summary>
    public bool OffersAgentKeys { get; init; }

    /// <summary>Options of OpenSSH's configuration that are set and not followed.</summary>
    public ImmutableArray<string> Ignored { get; init; } = [];

    /// <summary>Its address, for messages.</summary>
    public string Place => string.Create(CultureInfo.InvariantCulture, $"{Hostname}:{Port}");
}

/// <summary>A private key to offer.</summary>
/// <param name="Path">Its file.</param>
/// <param name="IsRequired">Whether one that cannot be used is an error, and not left out.</param>
internal sealed record Identity(string Path, bool IsRequired);

/// <summary>The way to a host: through its jump hosts, the first one first.</summary>
internal sealed record SshRoute(SshTarget Target, ImmutableArray<SshTarget> Jumps);
