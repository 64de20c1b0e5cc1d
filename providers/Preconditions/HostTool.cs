using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Preconditions;

/// <summary>A command that kbr's scripts use on a host.</summary>
/// <param name="Command">The command.</param>
/// <param name="Package">The package of Debian that brings it.</param>
public sealed record HostTool(string Command, string Package)
{
    /// <summary>The commands on every host.</summary>
    public static ImmutableArray<HostTool> Everywhere { get; } =
    [
        new("base64", "coreutils"),
        new("bash", "bash"),
        new("curl", "curl"),
        new("docker", "docker.io"),
        new("flock", "util-linux"),
        new("sha256sum", "coreutils"),
        new("systemctl", "systemd"),
        new("timeout", "coreutils"),
    ];

    /// <summary>Those of a host with a volume, beside these.</summary>
    public static ImmutableArray<HostTool> OfVolumes { get; } =
    [new("blkid", "util-linux"), new("mkfs.xfs", "xfsprogs"), new("wipefs", "util-linux"), new("xfs_io", "xfsprogs")];

    /// <summary>Those of a host that may hold a virtual address, beside these.</summary>
    public static ImmutableArray<HostTool> OfVirtualAddresses { get; } = [new("ip", "iproute2")];

    /// <summary>All of them.</summary>
    public static IEnumerable<HostTool> All => [.. Everywhere, .. OfVolumes, .. OfVirtualAddresses];

    /// <summary>The settings of a precondition <c>tools</c> that asks for these, too.</summary>
    public static AttributeSet Settings(IEnumerable<HostTool> tools) =>
        AttributeSet.Empty.With(ToolsInstalled.CommandsKey, string.Join(' ', tools.Select(tool => tool.Command)));
}
