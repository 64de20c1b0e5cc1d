using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>The resources that run the members of groups, as recorded and as declared.</summary>
internal sealed class GroupMembers
{
    private readonly ILookup<string, Address> _recorded;
    private readonly ILookup<string, Address> _declared;
    private readonly PlanScope _scope;
    private readonly bool _destroys;

    private GroupMembers(ILookup<string, Address> recorded, ILookup<string, Address> declared, PlanScope scope, bool destroys)
    {
        _recorded = recorded;
        _declared = declared;
        _scope = scope;
        _destroys = destroys;
    }

    /// <summary>The members of every group.</summary>
    /// <param name="input">The planner's input.</param>
    /// <param name="scope">The resources that are looked at.</param>
    public static GroupMembers Of(PlanInput input, PlanScope scope) =>
        new(
            input
                .Records.Values.Where(record => record.Group is not null)
                .ToLookup(record => record.Group!, record => record.Address, StringComparer.Ordinal),
            input
                .Graph.Nodes.Select(node => node.Resource)
                .Where(resource => resource.Group is not null)
                .ToLookup(resource => resource.Group!, resource => resource.Address, StringComparer.Ordinal),
            scope,
            input.Options.Destroy
        );

    /// <summary>The recorded resources that run the members of a group.</summary>
    public IEnumerable<Address> RecordedOf(string group) => _recorded[group];

    /// <summary>The declared resources that run the members of a group.</summary>
    public IEnumerable<Address> DeclaredOf(string group) => _declared[group];

    /// <summary>Whether a record says that the group has a member.</summary>
    public bool IsRecorded(string group) => _recorded.Contains(group);

    /// <summary>Whether all that runs the members of a group is taken down: what lives in the group goes with them.</summary>
    public bool IsTakenDown(string group) => _destroys && _recorded.Contains(group) && _recorded[group].All(_scope.Includes);

    /// <summary>The hosts that become members of a group: what runs the member there is created, and has no record either.</summary>
    /// <param name="group">The group.</param>
    /// <param name="changes">The changes that are planned so far.</param>
    public string[] Joining(string group, IReadOnlyDictionary<Address, PlannedChange> changes) =>
        _declared.Contains(group)
            ?
            [
                .. _declared[group]
                    .Where(address => changes.GetValueOrDefault(address) is { Action: ResourceAction.Create, Cause: Cause.New })
                    .Select(address => address.Host)
                    .Distinct()
                    .Order(StringComparer.Ordinal),
            ]
            : [];
}
