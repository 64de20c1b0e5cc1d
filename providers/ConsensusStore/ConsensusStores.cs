using System.Collections.Immutable;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore;

/// <summary>The consensus stores, the default one first.</summary>
/// <param name="all">The stores.</param>
public sealed class ConsensusStores(params ImmutableArray<IConsensusStore> all)
{
    /// <summary>The attribute that names the store.</summary>
    internal const string Attribute = "store";

    /// <summary>The stores that kbr knows, a line each.</summary>
    public static ConsensusStores Known { get; } = new(new Raft.RaftStore(), new Etcd.EtcdStore());

    /// <summary>All of them.</summary>
    public ImmutableArray<IConsensusStore> All { get; } = all;

    /// <summary>The default store.</summary>
    public IConsensusStore Default => All[0];

    /// <summary>The kinds of read of all stores.</summary>
    public ImmutableArray<ContainerReadKind> ReadKinds => [.. All.SelectMany(store => store.ReadKinds)];

    /// <summary>The attribute by which a resource chooses its store; none while there is no choice.</summary>
    internal ImmutableArray<AttributeDefinition> Attributes { get; } =
        all.Length == 1 ? [] : [new(Attribute, AttributeKind.String, $"The consensus store; default: {all[0].Key}.")];

    /// <summary>The store of a resource.</summary>
    public IConsensusStore Of(IDeclared resource)
    {
        ArgumentNullException.ThrowIfNull(resource);
        return All.FirstOrDefault(store => store.Key == resource.Spec.OptionalString(Attribute)) ?? Default;
    }

    /// <summary>The name of the file from which a member's Patroni with this store starts. Each store has a file of its own, so a member
    /// changes its store with its container and at no other moment, whenever its Patroni restarts.</summary>
    public string FileOf(IConsensusStore store)
    {
        ArgumentNullException.ThrowIfNull(store);
        return store.Key == Default.Key ? "patroni.yml" : $"patroni-{store.Key}.yml";
    }

    /// <summary>The store that the patroni.yml of a member names, where it is another one than the declared store.</summary>
    public IConsensusStore? OtherIn(string patroniFile, IConsensusStore declared) =>
        declared is null || declared.IsUsedBy(patroniFile) ? null : All.FirstOrDefault(store => store.IsUsedBy(patroniFile));

    /// <summary>The value of <see cref="Of"/>'s attribute for a resource; null for the default store.</summary>
    public (string Name, string? Value) Choose(IConsensusStore store)
    {
        ArgumentNullException.ThrowIfNull(store);
        return (Attribute, store.Key == Default.Key ? null : store.Key);
    }
}
