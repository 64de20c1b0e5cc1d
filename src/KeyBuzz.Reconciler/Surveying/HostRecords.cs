using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Surveying;

/// <summary>The records that lie on a host.</summary>
/// <param name="Own">Its own, with those of its groups.</param>
/// <param name="Removed">Of those the ones whose resource is not in cluster.yaml any more.</param>
/// <param name="Others">Those that speak of another host.</param>
/// <param name="Obsolete">The files that say nothing any more.</param>
/// <param name="Damaged">Why a record cannot be used; null when all can.</param>
internal sealed record HostRecords(
    ImmutableArray<ResourceRecord> Own,
    ImmutableArray<ResourceRecord> Removed,
    ImmutableArray<ResourceRecord> Others,
    ImmutableArray<string> Obsolete,
    string? Damaged
)
{
    /// <summary>Reads the records in an answer.</summary>
    /// <param name="host">The host that answered.</param>
    /// <param name="snapshot">The answer.</param>
    /// <param name="cluster">The configuration.</param>
    /// <param name="configured">The host's resources in it, which its records share values with.</param>
    /// <param name="providers">The resource types.</param>
    /// <param name="texts">The texts of the records of all hosts.</param>
    public static HostRecords In(
        string host,
        Snapshot snapshot,
        Cluster cluster,
        IEnumerable<ResourceGraph.Node> configured,
        ProviderRegistry providers,
        TextPool texts
    )
    {
        var folder = snapshot.Get(new RecordsRead(cluster.Name));
        if (RecordsTrust.Refusal(folder) is { } refusal)
        {
            return new HostRecords([], [], [], [], refusal);
        }

        string? error = null;
        var own = ImmutableArray.CreateBuilder<ResourceRecord>();
        var removed = ImmutableArray.CreateBuilder<ResourceRecord>();
        var others = ImmutableArray.CreateBuilder<ResourceRecord>();
        var known = new KnownResources(configured.Select(node => new KnownResource(node.Resource, node.Requires)), texts);
        var reader = new RecordReader(cluster.Name, providers, RecordFormat.Default, known);
        var obsolete = ImmutableArray.CreateBuilder<string>();
        foreach (var file in folder.Files)
        {
            try
            {
                if (reader.Read(file.Bytes.Span) is not { } record)
                {
                    obsolete.Add(file.At.Path);
                    continue;
                }

                if (!RecordScript.IsPathOf(file.At.Path, record.Address, cluster.Name))
                {
                    var path = RecordScript.PathOf(record.Address, cluster.Name);
                    throw new FormatException($"it is the record of {record.Address}, whose file is {path}");
                }

                var resource = cluster.Graph.Find(record.Address)?.Resource;
                if (!ReferenceEquals(record.Spec, resource?.Spec))
                {
                    Understand(record, providers);
                }

                if (record.Address.Host != host && providers.Find(record.Address.Type) is IHostResourceProvider)
                {
                    others.Add(record);
                    continue;
                }

                own.Add(record);
                if (resource is null)
                {
                    removed.Add(record);
                }
            }
            catch (Exception exception)
                when (exception is FormatException or InvalidOperationException or KeyNotFoundException or ArgumentException)
            {
                error ??= $"the record {file.At.Path} cannot be used: {exception.Message}";
            }
        }

        return new HostRecords(
            own.ToImmutable(),
            removed.ToImmutable(),
            others.ToImmutable(),
            obsolete.ToImmutable(),
            error ?? Cycle([.. own])
        );
    }

    // Records that require each other tell no order of removal: their host is an error, and no other.
    private static string? Cycle(ImmutableArray<ResourceRecord> records)
    {
        var requires = records.ToDictionary(record => record.Address, record => record.Requires);
        var order = DependencyOrder.Of(requires.Keys, address => requires[address]);
        if (order.Left.IsEmpty)
        {
            return null;
        }

        var cycle = order.Cycle(address => requires[address]);
        return $"its records require each other in a cycle: {string.Join(" → ", cycle.Append(cycle[0]))}; "
            + $"kbr state rm '{cycle[0]}' removes one of them, and its resource stays";
    }

    // A record that its own type cannot ask about or compare is damaged, and makes its host an error instead of the run.
    private static void Understand(ResourceRecord record, ProviderRegistry providers)
    {
        var (provider, resource) = (providers.Get(record.Address.Type), record.ToResource());
        _ = provider.Reads(resource).Count();
        _ = provider.Links(resource);
        _ = provider.Desired(resource);
    }

    /// <summary>Why a host with records of another one may not be planned for; null when it has none. Records go with the disk: into a host
    /// that was made from a copy of another, and along with one that got another name. What they speak of is not what is there, or is not
    /// called that any more.</summary>
    public string? NotOf(string host, Cluster cluster)
    {
        var directory = RecordScript.Directory(cluster.Name);
        var said = Others
            .GroupBy(record => record.Address.Host)
            .OrderBy(group => group.Key, StringComparer.Ordinal)
            .Select(group =>
            {
                var other = group.Key;
                var first = group.Min(record => record.Address);
                return (
                        group.Count() == 1
                            ? $"{directory} holds a record of {other}, {first}; "
                            : $"{directory} holds {group.Count()} records of {other}, such as {first}; "
                    )
                    + (
                        cluster.Hosts.Any(known => known.Name == other)
                            ? $"if {host} was cloned from {other}, move that directory away on {host}; kbr state rm would "
                                + $"remove the records on {other}, too"
                            : $"if {other} is called {host} now: kbr state mv '*@{other}' '*@{host}', or kbr state rm '*@{other}' "
                                + $"and then adopt its resources; if {host} was cloned from it, move that directory away on "
                                + $"{host}"
                    );
            })
            .ToList();
        return said.Count == 0 ? null : string.Join("; ", said);
    }
}
