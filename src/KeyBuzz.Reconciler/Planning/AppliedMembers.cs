using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Compares the members of groups by the configuration with those by the records: what a group lacks because of members that are
/// not made yet, or not removed yet, is no change by hand.</summary>
/// <param name="providers">The resource types.</param>
/// <param name="configured">The resources as they are configured now.</param>
/// <param name="applied">How resources were last applied.</param>
internal sealed class AppliedMembers(ProviderRegistry providers, ResourceGraph configured, AppliedState applied)
{
    /// <summary>Why a group is incomplete, as a host that answers runs a member by the configuration and has no record of it: kbr took it
    /// down, or never made it. Null when it is complete.</summary>
    public string? Incomplete(DriftInput input, string group)
    {
        var away = configured
            .Nodes.Select(node => node.Resource)
            .Where(resource =>
                resource.Group == group
                && !input.Records.ContainsKey(resource.Address)
                && !input.HostErrors.ContainsKey(resource.Address.Host)
            )
            .Select(resource => resource.Address.Host)
            .Distinct()
            .Order(StringComparer.Ordinal)
            .ToList();
        return away.Count > 0 ? $"the member on {string.Join(" and ", away)} has no record, so the group is incomplete" : null;
    }

    /// <summary>Why the members by the configuration are not the ones that were applied. Null when they are.</summary>
    public string? Changed(DriftInput input, string group)
    {
        if (Incomplete(input, group) is { } incomplete)
        {
            return incomplete;
        }

        var leaving = input
            .Records.Values.Where(record => record.Group == group && configured.Find(record.Address) is null)
            .Select(record => record.Address.Host)
            .Distinct()
            .Where(host => !configured.Nodes.Any(node => node.Resource.Group == group && node.Resource.Address.Host == host))
            .Order(StringComparer.Ordinal)
            .ToList();
        return leaving.Count > 0 ? $"{string.Join(" and ", leaving)} left the group in the configuration, which was not applied yet" : null;
    }

    /// <summary>Whether the configuration of every member is the one that was applied.</summary>
    public bool AreAsConfigured(DriftInput input, string group) =>
        configured
            .Nodes.Where(node => node.Resource.Group == group)
            .All(node =>
                input.Records.TryGetValue(node.Resource.Address, out var record)
                && providers
                    .Get(record.Address.Type)
                    .Desired(node.Resource)
                    .All(pair => record.Fingerprints.ContainsKey(pair.Key) && applied.Matches(record, pair.Key, pair.Value))
            );

    /// <summary>The host that could not be read and may have the record of a resource; null when all could. Any member may have the record
    /// of a group's resource.</summary>
    public string? UnreadHostOf(DriftInput input, Address address)
    {
        if (input.HostErrors.ContainsKey(address.Host))
        {
            return address.Host;
        }

        if (providers.Get(address.Type) is not IGroupResourceProvider || !applied.HasKey)
        {
            return null;
        }

        var members = configured
            .Nodes.Select(node => node.Resource)
            .Where(resource => resource.Group == address.Host)
            .Select(resource => resource.Address.Host)
            .Distinct()
            .ToList();
        return members.Count > 0 && members.TrueForAll(input.HostErrors.ContainsKey) ? members[0] : null;
    }
}
