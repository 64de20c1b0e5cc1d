using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore;

/// <summary>The service of a store that does not run inside Patroni: a container and a unit of its own on each member, in a group whose
/// policy orders their restarts. The group is healthy before a member's Patroni starts.</summary>
/// <param name="Name">The name of the container, of the unit, and of the directory with its files.</param>
/// <param name="Group">The group of its members.</param>
/// <param name="Image">Its image.</param>
/// <param name="Rules">The policy of its group.</param>
public abstract record StoreService(string Name, string Group, StoreImage Image, IGroupPolicy Rules)
{
    /// <summary>The label of its container with the fingerprint of <see cref="Fixed"/>.</summary>
    public const string FixedLabel = "kbr.store-settings";

    /// <summary>The setting of its group's policy with the same fingerprint.</summary>
    public const string FixedKey = "settings";

    /// <summary>The user that it runs as in the image.</summary>
    public required long Uid { get; init; }

    /// <summary>Its group.</summary>
    public required long Gid { get; init; }

    /// <summary>The place of its settings in cluster.yaml.</summary>
    public required SourceLocation At { get; init; }

    /// <summary>Its directories on each member, the same inside its container.</summary>
    public ImmutableArray<StoreDirectory> Directories { get; init; } = [];

    /// <summary>Where its container sees the files.</summary>
    public string FilesDirectory => "/etc/" + Name;

    /// <summary>The command of its container.</summary>
    public ImmutableArray<string> Command { get; init; } = [];

    /// <summary>How long it is given to stop.</summary>
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The environment variables of its container, no secret among them.</summary>
    public abstract ImmutableArray<(string Name, string Value)> Environment(Host member);

    /// <summary>Its files in <see cref="FilesDirectory"/>.</summary>
    public abstract ImmutableArray<StoreFile> Files(Host member);

    /// <summary>What stays as it is once the cluster exists, secrets among it: a keyed fingerprint of it is a label of its container, and a
    /// setting of the policy, which refuses another one.</summary>
    public abstract ImmutableArray<string> Fixed { get; }

    /// <summary>The port on each member at which Prometheus reads its metrics without a login; null for none.</summary>
    public virtual int? MetricsPort => null;

    /// <summary>The alerts by its metrics.</summary>
    /// <param name="job">The selector of its job, such as <c>job="NAME"</c>; each series has the label <c>member</c>.</param>
    public virtual ImmutableArray<StoreAlert> Alerts(string job) => [];

    /// <summary>The settings of its group's policy.</summary>
    public abstract ImmutableArray<(string Name, object? Value)> Settings { get; }
}

/// <summary>An alert by the metrics of a store's service.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Expression">What it fires for, in PromQL.</param>
/// <param name="For">For how long that must hold, such as <c>5m</c>.</param>
/// <param name="IsCritical">Whether somebody must be woken.</param>
/// <param name="Summary">What is wrong, with labels as <c>{{ $labels.member }}</c>.</param>
public sealed record StoreAlert(string Name, string Expression, string For, bool IsCritical, string Summary);

/// <summary>The image of a store's service.</summary>
/// <param name="Reference">The name that containers use.</param>
/// <param name="Attributes">The attributes of the resource that brings it to a host.</param>
public sealed record StoreImage(string Reference, ImmutableArray<(string Name, object? Value)> Attributes);
