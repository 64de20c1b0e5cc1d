using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Compares the last applied state with the hosts. The current configuration matters only for the values of secrets, which records
/// do not have, so an edit that was not applied yet is no drift. Pure: no I/O, no clock, no randomness. Each idea of it is a type of its
/// own: <see cref="AppliedState"/>, <see cref="ResourceDrift"/>, <see cref="GroupDrift"/>, <see cref="DriftChecks"/>.</summary>
public sealed class DriftFinder
{
    private readonly ProviderRegistry _providers;
    private readonly ResourceGraph _configured;
    private readonly AppliedState _applied;
    private readonly AppliedMembers _members;
    private readonly ResourceDrift _resources;
    private readonly GroupDrift _groups;

    /// <summary>Takes what it compares with.</summary>
    /// <param name="providers">The resource types.</param>
    /// <param name="configured">The resources as they are configured now.</param>
    /// <param name="key">The key of fingerprints; null where it is not known: then secrets are not compared.</param>
    public DriftFinder(ProviderRegistry providers, ResourceGraph configured, string? key)
    {
        _providers = providers;
        _configured = configured;
        _applied = new AppliedState(providers, configured, key);
        _members = new AppliedMembers(providers, configured, _applied);
        _resources = new ResourceDrift(providers, configured, _applied, _members);
        _groups = new GroupDrift(_members);
    }

    /// <summary>The resource as it was last applied. Its secrets, which a record masks, are taken from what is configured where the
    /// fingerprints say that they are still the same.</summary>
    public Resource Applied(ResourceRecord record) => _applied.Of(record);

    /// <summary>The policy of a group as it was last applied, as far as the records of the group as a whole tell.</summary>
    public GroupPolicy Applied(GroupPolicy policy, IEnumerable<ResourceRecord> records)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return policy.Rules.AsApplied(policy, records.Where(record => record.Address.Host == policy.Group).Select(Applied));
    }

    /// <summary>Finds what was changed on the hosts.</summary>
    public Drift Find(DriftInput input)
    {
        var views = input
            .Records.Values.Where(record => input.IsTarget(record.Address))
            .ToDictionary(record => record.Address, record => _applied.ViewOf(record, input.Observe));
        var graph = ResourceGraph.Build(input.Records.Values.Select(record => record.ToResource()), _providers, keepDangling: true);
        var compared = new List<Address>();
        var drifted = new Dictionary<Address, DriftedResource>();
        var uncompared = new List<Uncompared>();
        var diagnostics = new List<Diagnostic>();
        var isRightKey = !_applied.HasKey || _applied.IsRightKey(views.Values);
        var keyed = _applied.HasKey && isRightKey;
        if (!isRightKey)
        {
            diagnostics.Add(DriftChecks.AnotherKey);
        }

        var policies = _configured
            .Policies.Select(node => node.Policy)
            .Where(policy => input.IsTarget(policy.Address) && GroupDrift.IsApplied(input, policy))
            .ToList();
        foreach (var policy in policies)
        {
            Add(policy.Address, _groups.Judge(input, Applied(policy, input.Records.Values), keyed));
        }

        var held = new HeldMembers();
        foreach (var policy in _configured.Policies.Select(node => node.Policy).Where(policy => GroupDrift.IsApplied(input, policy)))
        {
            held.Add(input.ObserveGroup(Applied(policy, input.Records.Values)));
        }

        foreach (var address in graph.Order.Where(views.ContainsKey))
        {
            Add(
                address,
                held.ReasonOf(address.Host) is { } reason
                    ? DriftVerdict.Unknown(address, reason, isError: false)
                    : _resources.Judge(input, graph.Find(address)!, views[address], drifted, keyed)
            );
        }

        diagnostics.AddRange(held.Notices());

        var missing = _configured
            .Order.Where(address => input.IsTarget(address) && !input.Records.ContainsKey(address))
            .ToLookup(address => _members.UnreadHostOf(input, address));
        uncompared.AddRange(
            missing
                .Where(unread => unread.Key is not null)
                .SelectMany(unread => unread.Select(address => new Uncompared(address, null, input.HostErrors[unread.Key!], IsError: true)))
        );
        var unrecorded = missing[null].ToList();
        diagnostics.AddRange(DriftChecks.WithoutRecords(input, unrecorded));
        diagnostics.AddRange(DriftChecks.UnmatchedTargets(input, unrecorded, [.. policies.Select(policy => policy.Address)]));
        diagnostics.AddRange(DriftChecks.UnmatchedRules(input, _configured, drifted));
        diagnostics.AddRange(input.HostErrors.Select(pair => Diagnostic.Error($"{pair.Key}: {pair.Value}", host: pair.Key)));

        // Without the secrets the names of roles and databases may be others than were applied, so what is missing cannot be told.
        return new Drift([.. compared], [.. drifted.Values], [.. uncompared], _applied.HasKey ? [.. unrecorded] : [], [.. diagnostics]);

        void Add(Address address, DriftVerdict verdict)
        {
            if (verdict.IsCompared)
            {
                compared.Add(address);
            }

            if (verdict.Drifted is { } found)
            {
                drifted.Add(address, found);
            }

            uncompared.AddRange(verdict.Uncompared);
            diagnostics.AddRange(verdict.Diagnostics);
        }
    }
}
