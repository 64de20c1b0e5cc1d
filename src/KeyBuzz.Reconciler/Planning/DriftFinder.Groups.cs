using System.Collections.Immutable;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <content>The health of the groups with a policy, which has no record.</content>
public sealed partial class DriftFinder
{
    /// <summary>The policy of a group as it was last applied, as far as the records of the group as a whole tell.</summary>
    public GroupPolicy Applied(GroupPolicy policy, IEnumerable<ResourceRecord> records)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return policy.Rules.AsApplied(policy, records.Where(record => record.Address.Host == policy.Group).Select(Applied));
    }

    // A group that was never applied has no health to lose.
    private static bool IsApplied(DriftInput input, GroupPolicy policy) =>
        IsTarget(input, policy.Address) && input.Records.Values.Any(record => record.Group == policy.Group);

    // Its members by the configuration, where these are the ones that were applied.
    private void JudgeGroup(Work work, GroupPolicy policy, bool keyed)
    {
        var address = policy.Address;
        switch (work.Input.ObserveGroup(policy))
        {
            case null when !work.Input.HostErrors.IsEmpty:
                // Said once, for the hosts.
                work.Uncompared.Add(new Uncompared(address, null, "none of its members was read", IsError: true));
                break;
            case null:
                work.CannotTell(address, "none of its members was read", isError: true);
                break;
            case Observation.Unknown unknown:
                work.CannotTell(address, unknown.Reason, isError: true);
                break;
            case Observation.Absent absent:
                work.Compared.Add(address);
                Add(work, address, [], absent.Note, policy.Location);
                break;
            case Observation.Present present:
                work.Compared.Add(address);
                var isConfigured = keyed && AreMembersAsConfigured(work.Input, policy.Group);
                var changed = GroupHealth
                    .Differences(policy, present.Attributes)
                    // What follows the configuration is compared only where that was applied.
                    .Where(one => isConfigured || !policy.Spec.Has(one.Name))
                    .Select(one => new DriftedAttribute(one.Name, one.Wanted, one.Found, Ignoring(work, address, one.Name)))
                    .ToImmutableArray();
                if (!changed.IsEmpty && OtherMembers(work.Input, policy.Group) is { } why)
                {
                    work.Uncompared.AddRange(changed.Select(one => new Uncompared(address, one.Name, why, IsError: false)));
                    changed = [];
                }

                work.Diagnostics.AddRange(ForeignNotices.Of(address, [.. present.Foreign.Where(one => !one.IsTrouble)], policy.Location));
                var foreign = present.Foreign.Where(one => one.IsTrouble).ToList();
                changed = changed.AddRange(
                    foreign.Select(one => new DriftedAttribute(one.Name, null, new(one.Value), Ignoring(work, address, one.Name))
                    {
                        IsForeign = true,
                    })
                );
                if (!changed.IsEmpty)
                {
                    var remedies = foreign.Select(one => one.Remedy).Distinct().ToList();
                    var note = remedies.Count > 0 ? $"apply keeps undeclared settings: {string.Join("; ", remedies)}" : present.Note;
                    Add(work, address, changed, note, policy.Location);
                }

                break;
        }
    }

    private bool AreMembersAsConfigured(DriftInput input, string group) =>
        _configured
            .Nodes.Where(node => node.Resource.Group == group)
            .All(node =>
                input.Records.TryGetValue(node.Resource.Address, out var record)
                && _providers
                    .Get(record.Address.Type)
                    .Desired(node.Resource)
                    .All(pair => record.Fingerprints.ContainsKey(pair.Key) && Matches(record, pair.Key, pair.Value))
            );

    // Why the members by the configuration are not the ones that were applied: then what the group lacks is no change by hand. Null when
    // they are.
    private string? OtherMembers(DriftInput input, string group)
    {
        var leaving = input
            .Records.Values.Where(record => record.Group == group && _configured.Find(record.Address) is null)
            .Select(record => record.Address.Host)
            .Distinct()
            .Where(host => !_configured.Nodes.Any(node => node.Resource.Group == group && node.Resource.Address.Host == host))
            .Order(StringComparer.Ordinal)
            .ToList();
        return MembersWithoutRecord(input, group) is { Length: > 0 } away
                ? $"the member on {string.Join(" and ", away)} has no record, so the group is incomplete"
            : leaving.Count > 0 ? $"{string.Join(" and ", leaving)} left the group in the configuration, which was not applied yet"
            : null;
    }
}
