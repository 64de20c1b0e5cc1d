using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Surveying;

/// <summary>Judges what the hosts answered, and joins it to one survey. Pure.</summary>
/// <param name="cluster">The configuration.</param>
/// <param name="providers">The resource types.</param>
internal sealed class SurveyJoin(Cluster cluster, ProviderRegistry providers)
{
    /// <summary>The hosts that a resource of a group is read from.</summary>
    public ImmutableArray<string> MembersOf(string group, KnownRecords records) =>
        cluster.Groups.Any(known => known.Name == group) ? cluster.HostsOf(group) : records.Groups.GetValueOrDefault(group, []);

    /// <summary>Makes the survey.</summary>
    /// <param name="parts">What each host contributes.</param>
    /// <param name="more">The resources that were read beside those of the configuration.</param>
    /// <param name="policies">The policies of the groups that were read.</param>
    /// <param name="records">The records of all hosts.</param>
    public Survey Join(
        IReadOnlyCollection<HostPart> parts,
        IReadOnlyCollection<Resource> more,
        IEnumerable<GroupPolicy> policies,
        KnownRecords records
    )
    {
        var snapshots = parts
            .Where(part => part.Snapshot is not null)
            .ToDictionary(part => part.Host.Name, part => part.Snapshot!, StringComparer.Ordinal);
        var observations = new Dictionary<Address, Observation>(cluster.Resources.Length + more.Count);
        foreach (var (address, observation) in parts.SelectMany(part => part.Observed))
        {
            observations[address] = observation;
        }

        foreach (var resource in cluster.Resources.Where(IsOfGroup).Concat(more))
        {
            if (Observe(resource) is { } observation)
            {
                observations[resource.Address] = observation;
            }
        }

        foreach (var policy in policies)
        {
            if (ObserveGroup(policy) is { } observation)
            {
                observations[policy.Address] = observation;
            }
        }

        // Who has left the group may still have an old copy.
        var unreachable = parts.Where(part => part.Snapshot is null).Select(part => part.Host.Name).ToImmutableHashSet();
        var uneven = records.Copies.Where(pair =>
            pair.Value.Where(copy => MembersOf(pair.Key.Host, records).Contains(copy.Host)).Select(copy => copy.Serial).Distinct().Count()
                > 1
            || cluster.HostsOf(pair.Key.Host).Any(host => snapshots.ContainsKey(host) && pair.Value.All(copy => copy.Host != host))
        );
        // One record that is written again mends the directory that holds them all.
        var mending = parts
            .Where(part => part.RecordsAreLoose && !part.Records.IsEmpty)
            .Select(part => part.Records.Min(record => record.Address));
        return new Survey(
            records.Newest,
            observations,
            parts
                .Where(part => part.Error is not null)
                .ToImmutableSortedDictionary(part => part.Host.Name, part => part.Error!, StringComparer.Ordinal),
            PeerFindings.Fold(
                [
                    .. parts
                        .SelectMany(part => part.Diagnostics)
                        .OrderBy(diagnostic => diagnostic.Host, StringComparer.Ordinal)
                        .ThenBy(diagnostic => diagnostic.Summary, StringComparer.Ordinal),
                ],
                unreachable
            )
        )
        {
            UnevenRecords = [.. uneven.Select(pair => pair.Key), .. mending],
            Unreachable = unreachable,
            RecordsRead = [.. parts.Where(part => part.Snapshot is not null && part.RecordsAreWhole).Select(part => part.Host.Name)],
            ObsoleteRecords = parts
                .Select(part => (part.Host.Name, Paths: (ImmutableArray<string>)[.. part.Obsolete, .. StaleFiles(part)]))
                .Where(obsolete => !obsolete.Paths.IsEmpty)
                .ToDictionary(obsolete => obsolete.Name, obsolete => obsolete.Paths, StringComparer.Ordinal),
            RecordedGroups = records.Groups,
            Observe = Observe,
            ObserveGroup = ObserveGroup,
        };

        IEnumerable<string> StaleFiles(HostPart part) =>
            records.Stale[part.Host.Name].Select(address => RecordScript.PathOf(address, cluster.Name));

        // The last one counts: a resource that was read as it was applied, over one that was read as it is configured.
        Observation? Observe(Resource resource) => Understood(Judge, resource);

        Observation? Judge(Resource resource) =>
            IsOfGroup(resource) ? OfGroup(resource)
            : snapshots.TryGetValue(resource.Address.Host, out var snapshot) ? OnHost(resource, snapshot)
            : null;

        Observation? ObserveGroup(GroupPolicy policy) =>
            Answers(policy.Group) is { Count: > 0 } answers ? Understood(subject => subject.Rules.Observe(subject, answers), policy) : null;

        Observation? OfGroup(Resource resource) =>
            Answers(resource.Address.Host) is { Count: > 0 } answers
                ? ((IGroupResourceProvider)providers.Get(resource.Address.Type)).Observe(resource, answers)
                : null;

        Dictionary<string, Snapshot> Answers(string group) =>
            MembersOf(group, records)
                .Where(snapshots.ContainsKey)
                .ToDictionary(host => host, host => snapshots[host], StringComparer.Ordinal);
    }

    /// <summary>What the answers of a host say of its own resources in cluster.yaml.</summary>
    public ImmutableArray<(Address Address, Observation Observation)> Observed(IEnumerable<ResourceGraph.Node> nodes, Snapshot snapshot)
    {
        Func<Resource, Observation?> judge = resource => OnHost(resource, snapshot);
        var observed = ImmutableArray.CreateBuilder<(Address, Observation)>();
        foreach (var node in nodes)
        {
            if (Understood(judge, node.Resource) is { } observation)
            {
                observed.Add((node.Resource.Address, observation));
            }
        }

        return observed.ToImmutable();
    }

    private Observation? OnHost(Resource resource, Snapshot snapshot) =>
        providers.Get(resource.Address.Type) is IHostResourceProvider provider ? provider.Observe(resource, snapshot) : null;

    private bool IsOfGroup(Resource resource) => providers.Get(resource.Address.Type) is IGroupResourceProvider;

    private static Observation? Understood<T>(Func<T, Observation?> judge, T subject)
    {
        try
        {
            return judge(subject);
        }
        catch (Exception exception)
            when (exception is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or OverflowException)
        {
            // A number where a text should be, or a key that is missing: another program answered than the one that was asked.
            return new Observation.Unknown($"the host's answer was not understood: {exception.Message}");
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            // What a provider did not foresee in a host's answer is an error of that resource; all others are planned.
            return new Observation.Unknown($"internal error while observing it: {exception.Message}");
        }
    }
}
