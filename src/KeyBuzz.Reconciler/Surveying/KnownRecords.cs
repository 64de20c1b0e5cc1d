using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Surveying;

/// <summary>The records of all hosts.</summary>
/// <param name="Newest">By address; of a group's resource the newest copy.</param>
/// <param name="Removed">Of those the ones whose resource is not in cluster.yaml any more.</param>
/// <param name="Copies">The copies of each record of a group: the host and the serial.</param>
/// <param name="Groups">The hosts with a record of a group, by group.</param>
/// <param name="Stale">The copies of a group's records that do not count, by the host that holds them.</param>
internal sealed record KnownRecords(
    Dictionary<Address, ResourceRecord> Newest,
    ImmutableArray<ResourceRecord> Removed,
    Dictionary<Address, List<(string Host, long Serial)>> Copies,
    IReadOnlyDictionary<string, ImmutableArray<string>> Groups,
    ILookup<string, Address> Stale
)
{
    /// <summary>Puts together what the hosts have.</summary>
    /// <param name="parts">What the hosts have.</param>
    /// <param name="cluster">The configuration.</param>
    /// <param name="providers">The resource types.</param>
    public static KnownRecords Of(IReadOnlyCollection<HostPart> parts, Cluster cluster, ProviderRegistry providers)
    {
        var stale = StaleCopies(parts, cluster, providers);
        var isStale = stale.ToHashSet();
        var newest = new Dictionary<Address, ResourceRecord>(parts.Sum(part => part.Records.Length));
        var copies = new Dictionary<Address, List<(string Host, long Serial)>>();
        // In the order of their names: of two copies that are as new the same one counts every time.
        foreach (
            var (part, record) in parts
                .OrderBy(part => part.Host.Name, StringComparer.Ordinal)
                .SelectMany(part => part.Records.Select(record => (part, record)))
                .Where(pair => !isStale.Contains((pair.part.Host.Name, pair.record.Address)))
        )
        {
            var group = providers.Find(record.Address.Type) is IGroupResourceProvider;
            if (group)
            {
                copies.TryAdd(record.Address, []);
                copies[record.Address].Add((part.Host.Name, record.Serial));
            }

            if (!group || !newest.TryGetValue(record.Address, out var other) || other.Serial < record.Serial)
            {
                newest[record.Address] = record;
            }
        }

        var groups = copies
            .GroupBy(pair => pair.Key.Host)
            .ToDictionary(
                group => group.Key,
                group =>
                    group
                        .SelectMany(pair => pair.Value)
                        .Select(copy => copy.Host)
                        .Distinct()
                        .Order(StringComparer.Ordinal)
                        .ToImmutableArray(),
                StringComparer.Ordinal
            );
        var removed = parts
            .SelectMany(part => part.Removed.Select(record => (part.Host.Name, record.Address)))
            .Where(copy => !isStale.Contains(copy))
            .Select(copy => copy.Address)
            .Distinct()
            .Select(address => newest[address]);
        return new KnownRecords(
            newest,
            [.. removed],
            copies,
            groups,
            stale.ToLookup(copy => copy.Host, copy => copy.Address, StringComparer.Ordinal)
        );
    }

    // A former member is told of no change any more. Its copies count only where no member has any, or until it has left: that is while
    // it has a record of what runs the member.
    private static List<(string Host, Address Address)> StaleCopies(
        IReadOnlyCollection<HostPart> parts,
        Cluster cluster,
        ProviderRegistry providers
    )
    {
        var stale = new List<(string Host, Address Address)>();
        foreach (var group in cluster.Groups)
        {
            var copies = parts
                .Select(part => (Part: part, Addresses: part.Records.Select(record => record.Address).Where(IsOf(group.Name)).ToList()))
                .Where(held => held.Addresses.Count > 0)
                .ToLookup(held => group.Members.Contains(held.Part.Host.Name));
            if (!copies[true].Any())
            {
                continue;
            }

            stale.AddRange(
                copies[false]
                    .Where(held => held.Part.Records.All(record => record.Group != group.Name))
                    .SelectMany(held => held.Addresses.Select(address => (held.Part.Host.Name, address)))
            );
        }

        return stale;

        Func<Address, bool> IsOf(string group) =>
            address => address.Host == group && providers.Find(address.Type) is IGroupResourceProvider;
    }
}
