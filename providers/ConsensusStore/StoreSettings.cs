using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore;

/// <summary>The settings of a consensus store in the <c>postgres</c> section: its part of each member.</summary>
/// <param name="Kind">The store.</param>
public abstract record StoreSettings(IConsensusStore Kind)
{
    /// <summary>Its directories on each member, the same inside the member's container.</summary>
    public ImmutableArray<StoreDirectory> Directories { get; init; } = [];

    /// <summary>Its ports on each member.</summary>
    public ImmutableArray<StorePort> Ports { get; init; } = [];

    /// <summary>Its files beside patroni.yml.</summary>
    public ImmutableArray<StoreFile> Files { get; init; } = [];

    /// <summary>Its environment variables of the member's container.</summary>
    public ImmutableArray<(string Name, string Value)> Environment { get; init; } = [];

    /// <summary>Its ports left open on the cluster's network by choice, a line each.</summary>
    public ImmutableArray<string> OpenAccess { get; init; } = [];

    /// <summary>Its service beside Patroni; null for a store that runs inside of Patroni.</summary>
    public StoreService? Service { get; init; }

    /// <summary>All of its directories on each member.</summary>
    public ImmutableArray<StoreDirectory> AllDirectories => [.. Directories, .. Service?.Directories ?? []];

    /// <summary>Its sections of a member's patroni.yml, without a line break at the end.</summary>
    public abstract SecretText PatroniFragment(Host member);

    /// <summary>The settings that Patroni takes only at its start, in an order that never changes, secrets among them: a keyed fingerprint
    /// of them is a label of the container.</summary>
    /// <param name="member">The member.</param>
    /// <param name="dataDirectory">PostgreSQL's data directory, one of them.</param>
    public abstract ImmutableArray<string> StartSettings(Host member, string dataDirectory);

    /// <summary>Its labels of the member's container.</summary>
    /// <param name="fingerprint">Makes a keyed fingerprint of settings that may be secret.</param>
    public virtual ImmutableArray<(string Name, string Value)> Labels(Func<ImmutableArray<string>, string> fingerprint) => [];

    /// <summary>The values of <see cref="IConsensusStore.ClusterAttributes"/>.</summary>
    /// <param name="fingerprint">Makes a keyed fingerprint of settings that may be secret.</param>
    public virtual ImmutableArray<(string Name, object? Value)> ClusterAttributes(Func<ImmutableArray<string>, string> fingerprint) => [];

    /// <summary>The values of <see cref="IConsensusStore.GateAttributes"/>.</summary>
    public virtual ImmutableArray<(string Name, object? Value)> GateAttributes => [];

    /// <summary>A host's address as a member of the store.</summary>
    public abstract string AddressOf(Host host);

    /// <summary>Whether its members have a password.</summary>
    public virtual bool HasPassword => true;

    /// <summary>Whether Patroni's <c>failsafe_mode</c> is on where cluster.yaml does not say: a primary that loses the store goes on while
    /// every member answers it.</summary>
    public virtual bool IsFailsafe => false;

    /// <summary>The same settings for some of the members only.</summary>
    public abstract StoreSettings Of(ImmutableArray<Host> members);

    /// <summary>Adds warnings about the settings as a whole.</summary>
    public virtual void Check(Findings findings) { }
}

/// <summary>The inputs of a store's settings beside the <c>postgres</c> section.</summary>
/// <param name="Scope">Patroni's name of the cluster.</param>
/// <param name="Members">The members.</param>
/// <param name="MountPoint">Where the members' volume is mounted.</param>
/// <param name="ConfigurationDirectory">The directory of patroni.yml inside the container.</param>
/// <param name="Password">A password by its name in the credentials file, used at a place in cluster.yaml.</param>
public sealed record StoreContext(
    string Scope,
    ImmutableArray<Host> Members,
    string MountPoint,
    string ConfigurationDirectory,
    Func<string, SourceLocation, SecretText> Password
)
{
    /// <summary>The map below the store's own key; an empty one where the store is named only.</summary>
    public required SectionReader Own { get; init; }

    /// <summary>Where to note what is wrong.</summary>
    public required Findings Findings { get; init; }

    /// <summary>Patroni's namespace, such as <c>/service/</c>.</summary>
    public required string Namespace { get; init; }

    /// <summary>How long kbr waits for health after a step.</summary>
    public required TimeSpan GateTimeout { get; init; }

    /// <summary>The port of Patroni's REST API on each member.</summary>
    public required int RestPort { get; init; }

    /// <summary>The image that a map names; null, with an error, for none.</summary>
    public required Func<SectionReader, StoreImage?> Image { get; init; }
}

/// <summary>A directory of a store.</summary>
/// <param name="Key">Its key under <c>directories</c>.</param>
/// <param name="Name">The name of its resource.</param>
/// <param name="Path">The directory.</param>
/// <param name="Mode">Its mode.</param>
public sealed record StoreDirectory(string Key, string Name, string Path, string Mode);

/// <summary>A port of a store.</summary>
/// <param name="Number">The port.</param>
/// <param name="Name">The name of its listener, in output.</param>
/// <param name="At">Its place in cluster.yaml.</param>
public sealed record StorePort(int Number, string Name, SourceLocation At);

/// <summary>A file of a store in the directory of patroni.yml.</summary>
/// <param name="Name">The name of its resource.</param>
/// <param name="FileName">The name of the file.</param>
/// <param name="Content">Its content.</param>
public sealed record StoreFile(string Name, string FileName, SecretText Content);
