using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>The decisions of one plan so far, in the order in which they were made. <see cref="Planner.Plan"/> adds to it, and nothing
/// else does; a decision may depend on those before it.</summary>
/// <param name="input">The planner's input.</param>
internal sealed class PlanDecisions(PlanInput input)
{
    private readonly Dictionary<Address, PlannedChange> _changes = new(input.Graph.Order.Length);
    private readonly Dictionary<Address, BlockedResource> _blocked = [];
    private readonly Dictionary<string, PlannedGroup> _groups = new(StringComparer.Ordinal);
    private readonly HashSet<string> _unknownGroups = new(StringComparer.Ordinal);
    private readonly List<Diagnostic> _diagnostics = [];

    /// <summary>The changes, no-ops included.</summary>
    public IReadOnlyDictionary<Address, PlannedChange> Changes => _changes;

    /// <summary>The resources that could not be planned.</summary>
    public IReadOnlyDictionary<Address, BlockedResource> Blocked => _blocked;

    /// <summary>The groups that were looked at, by name.</summary>
    public IReadOnlyDictionary<string, PlannedGroup> Groups => _groups;

    /// <summary>What the operator is told.</summary>
    public IReadOnlyCollection<Diagnostic> Diagnostics => _diagnostics;

    /// <summary>Whether a group was decided about, also where its health is unknown.</summary>
    public bool IsDecided(string group) => _groups.ContainsKey(group) || _unknownGroups.Contains(group);

    /// <summary>Whether it is the address of a group that was looked at.</summary>
    public bool IsPlanned(Address group) => _groups.TryGetValue(group.Host, out var planned) && planned.Address == group;

    /// <summary>Why nothing can be planned of a resource; null where nothing stands in the way.</summary>
    public string? BlockingReason(Address address, ImmutableArray<Address> requires)
    {
        if (input.HostErrors.TryGetValue(address.Host, out var reason))
        {
            return reason;
        }

        foreach (var required in requires)
        {
            if (_blocked.ContainsKey(required))
            {
                return $"{required} could not be planned";
            }
        }

        return _unknownGroups.Count > 0 && _unknownGroups.Contains(address.Host) ? $"the health of {address.Host} is unknown" : null;
    }

    /// <summary>Adds the decision about a resource.</summary>
    public void Add(Address address, in ResourceDecision decision)
    {
        if (decision.Change is { } change)
        {
            _changes[address] = input.Moved.IsEmpty
                ? change
                : RecordMoves.WithFormerAddress(change, input.Records.GetValueOrDefault(address));
        }
        else if (decision.Blocked is { } reason)
        {
            _blocked[address] = new BlockedResource(address, reason);
        }

        Add(decision.Diagnostics);
    }

    /// <summary>Adds the decision about a group.</summary>
    public void Add(string group, in GroupDecision decision)
    {
        if (decision.Group is { } planned)
        {
            _groups.Add(group, planned);
        }
        else
        {
            _unknownGroups.Add(group);
        }

        Add(decision.Diagnostics);
    }

    /// <summary>Adds what the operator is told.</summary>
    public void Add(IEnumerable<Diagnostic> diagnostics) => _diagnostics.AddRange(diagnostics);

    /// <summary>A resource is kept that would have been removed.</summary>
    public void Keep(BlockedResource kept)
    {
        _changes.Remove(kept.Address);
        _blocked[kept.Address] = kept;
    }

    /// <summary>Leaves only what exists and has no record.</summary>
    public void KeepOnlyFound()
    {
        _groups.Clear();
        foreach (
            var address in _changes
                .Where(pair => pair.Value.Action != ResourceAction.Adopt || input.Records.ContainsKey(pair.Key))
                .Select(pair => pair.Key)
                .ToList()
        )
        {
            _changes.Remove(address);
        }
    }
}
