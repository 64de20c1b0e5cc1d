using System.Collections.Immutable;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Surveying;

/// <summary>The records of all hosts.</summary>
/// <param name="Newest">By address; of a group's resource the newest copy.</param>
/// <param name="Removed">Of those the ones whose resource is not in cluster.yaml any more.</param>
/// <param name="Copies">The copies of each record of a group: the host and the serial.</param>
/// <param name="Groups">The hosts with a record of a group, by group.</param>
internal sealed record KnownRecords(
    Dictionary<Address, ResourceRecord> Newest,
    ImmutableArray<ResourceRecord> Removed,
    Dictionary<Address, List<(string Host, long Serial)>> Copies,
    IReadOnlyDictionary<string, ImmutableArray<string>> Groups
)
{
    /// <summary>Puts together what the hosts have.</summary>
    public static KnownRecords Of(IReadOnlyCollection<HostPart> parts, ProviderRegistry providers)
    {
        var newest = new Dictionary<Address, ResourceRecord>(parts.Sum(part => part.Records.Length));
        var copies = new Dictionary<Address, List<(string Host, long Serial)>>();
        // In the order of their names: of two copies that are as new the same one counts every time.
        foreach (
            var (part, record) in parts
                .OrderBy(part => part.Host.Name, StringComparer.Ordinal)
                .SelectMany(part => part.Records.Select(record => (part, record)))
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
        var removed = parts.SelectMany(part => part.Removed).Select(record => record.Address).Distinct().Select(address => newest[address]);
        return new KnownRecords(newest, [.. removed], copies, groups);
    }
}
