using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore;

/// <summary>The store's counted members compared with the declared ones. A stopped member counts until it is removed from the store.
/// Pure.</summary>
/// <param name="Wanted">The addresses of the members.</param>
/// <param name="OtherHosts">Hosts outside the cluster, by the address they would have.</param>
public sealed record StoreMembership(ImmutableSortedSet<string> Wanted, IReadOnlyDictionary<string, string> OtherHosts)
{
    /// <summary>The attribute that names hosts which are no members.</summary>
    public const string OtherHostsAttribute = "other_hosts";

    /// <summary>Addresses as one compared value.</summary>
    public static string Text(IEnumerable<string> addresses) => string.Join(", ", addresses.Order(StringComparer.Ordinal));

    /// <summary>Counted and connected addresses that are not declared.</summary>
    public IEnumerable<Outsider> Outsiders(StoreHealth health)
    {
        ArgumentNullException.ThrowIfNull(health);
        return health
            .Counted.Where(pair => pair.Value && !Wanted.Contains(pair.Key))
            .Select(pair => new Outsider(pair.Key, OtherHosts.GetValueOrDefault(pair.Key)));
    }

    /// <summary>Members that answer and are not counted; empty while the store has no leader.</summary>
    /// <param name="health">The store as it is.</param>
    /// <param name="answering">The members that answer.</param>
    public IEnumerable<StoreMember> Uncounted(StoreHealth health, IEnumerable<StoreMember> answering)
    {
        ArgumentNullException.ThrowIfNull(health);
        ArgumentNullException.ThrowIfNull(answering);
        return health.Counted.IsEmpty
            ? []
            : answering.Where(member => Wanted.Contains(member.Address) && !health.Counted.ContainsKey(member.Address));
    }

    /// <summary>The next change towards the declared members, one at a time; null for none.</summary>
    /// <param name="health">The store as it is.</param>
    /// <param name="answering">The members that answer.</param>
    /// <param name="staying">Addresses that are still to be taken down.</param>
    /// <param name="mayAdd">Whether uncounted members may be added.</param>
    public StoreChange? Next(StoreHealth health, IEnumerable<StoreMember> answering, IReadOnlyCollection<string> staying, bool mayAdd)
    {
        ArgumentNullException.ThrowIfNull(health);
        ArgumentNullException.ThrowIfNull(staying);
        ImmutableArray<string> strays = [.. health.Counted.Keys.Where(address => !Wanted.Contains(address) && !staying.Contains(address))];
        return strays.FirstOrDefault(address => !health.Counted[address]) is { } dead ? new StoreChange.Forget(dead)
            : mayAdd && Uncounted(health, answering).FirstOrDefault() is { } member ? new StoreChange.Add(member.Address)
            : strays.IsEmpty ? null
            : new StoreChange.AwaitStop(strays);
    }
}

/// <summary>A host as a member of the store.</summary>
/// <param name="Host">The host.</param>
/// <param name="Address">Its address in the store.</param>
public sealed record StoreMember(string Host, string Address);

/// <summary>A change of a store's members.</summary>
public abstract record StoreChange
{
    private StoreChange() { }

    /// <summary>Add a member that answers.</summary>
    /// <param name="Address">Its address.</param>
    public sealed record Add(string Address) : StoreChange;

    /// <summary>Remove a stopped member.</summary>
    /// <param name="Address">Its address.</param>
    public sealed record Forget(string Address) : StoreChange;

    /// <summary>Wait until former members have stopped.</summary>
    /// <param name="Addresses">Their addresses.</param>
    public sealed record AwaitStop(ImmutableArray<string> Addresses) : StoreChange;
}
