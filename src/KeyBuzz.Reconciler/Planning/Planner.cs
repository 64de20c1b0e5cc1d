using System.Collections.Immutable;
using System.Diagnostics;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Compares desired, actual and last applied. Pure: no I/O, no clock, no randomness. Each idea of it is a type of its own: what is
/// looked at (<see cref="PlanScope"/>), what is decided of a resource (<see cref="CreationPlanner"/>, <see cref="UpdatePlanner"/>,
/// <see cref="RemovalPlanner"/>) and of a group (<see cref="GroupDecision"/>), what stops a plan (<see cref="FixedAttributes"/>,
/// <see cref="ReplacementRequests"/>, <see cref="DestroyProtection"/>, <see cref="GroupGuards"/>), and the order
/// (<see cref="OrderedSteps"/>).</summary>
public sealed class Planner
{
    private readonly ProviderRegistry _providers;
    private readonly RecordMoves _moves;
    private readonly ResourceIdentity _identity;
    private readonly CreationPlanner _creations;
    private readonly UpdatePlanner _updates;
    private readonly RemovalPlanner _removals;

    /// <summary>Takes the providers and the key of fingerprints.</summary>
    public Planner(ProviderRegistry providers, Fingerprint fingerprint)
    {
        var records = new RecordFactory(providers, fingerprint);
        _providers = providers;
        _identity = new ResourceIdentity(providers);
        _moves = new RecordMoves(providers, _identity, fingerprint);
        _creations = new CreationPlanner(providers, _identity, records);
        _updates = new UpdatePlanner(providers, fingerprint, _identity, records);
        _removals = new RemovalPlanner(providers, fingerprint, _identity);
    }

    /// <summary>Makes the plan. Throws <see cref="DiagnosticException"/> where nothing can be planned.</summary>
    public Plan Plan(PlanInput input)
    {
        input = _moves.Follow(input);
        if (!input.Options.Destroy)
        {
            Refuse(FixedAttributes.Refusals(input, _providers));
        }

        var context = ContextOf(input);
        Refuse(ReplacementRequests.Refusals(input, context.Scope, _providers));
        var held = HeldMembers.Of(input);
        var decided = Decide(context, held);
        decided.Add(ReplacementRequests.Unmet(input, decided));
        foreach (var kept in DestroyProtection.KeptDependencies(context, decided, _providers))
        {
            decided.Keep(kept);
        }

        Refuse(GroupGuards.ForeignGroups(context));
        Refuse(GroupGuards.Ahead(context));
        Refuse(GroupGuards.Outsiders(input, decided.Changes));
        decided.Add(context.Scope.UnmatchedPatterns());
        decided.Add(held.Notices());
        if (input.Options.Import)
        {
            decided.KeepOnlyFound();
        }

        decided.Add(HostErrors(input));
        var steps = OrderedSteps.Of(context, decided);
        var changes = new ReplacedProcesses(_providers).In(steps.Changes);
        var groups = RolloutForecasts.OfGroups(input, changes, steps.Groups);
        var parts = GroupGuards.Parts(input, groups);
        Refuse(input.Options.Targets.IsEmpty ? [] : parts);
        decided.Add(parts);
        return new Plan(changes, [.. decided.Blocked.Values.OrderBy(blocked => blocked.Address)], [.. decided.Diagnostics])
        {
            Groups = groups,
            Rollouts = RolloutForecasts.OfChanges(input, changes, _providers),
            HostErrors = input.HostErrors,
            Options = input.Options,
        };
    }

    private PlanContext ContextOf(PlanInput input)
    {
        var recorded = new Lazy<ResourceGraph>(() =>
            ResourceGraph.Build(
                input
                    .Records.Values.Where(record => _providers.Find(record.Address.Type) is not null)
                    .Select(record => record.ToResource()),
                _providers,
                keepDangling: true
            )
        );
        var scope = PlanScope.Of(input, recorded);
        var desired = new Lazy<ILookup<HostObject, Address>>(() => _identity.DesiredObjects(input.Graph));
        return new PlanContext(input, recorded, scope, GroupMembers.Of(input, scope), desired);
    }

    // Desired resources, dependencies first; then the recorded ones that are not desired any more, dependents first.
    private PlanDecisions Decide(PlanContext context, HeldMembers held)
    {
        var input = context.Input;
        var decided = new PlanDecisions(input);
        var desired = 0;
        foreach (var node in input.Graph.Nodes)
        {
            var record = input.Records.GetValueOrDefault(node.Resource.Address);
            desired += record is null ? 0 : 1;
            if (!context.Scope.Includes(node.Resource.Address))
            {
                continue;
            }

            if (!input.Options.Destroy)
            {
                DecideDesired(context, decided, node, record, held);
            }
            else if (record is not null)
            {
                decided.Add(record.Address, _removals.Decide(context, record, Cause.Destroyed));
            }
        }

        foreach (
            var address in (input.Records.Count > desired ? context.Recorded.Order : [])
                .Reverse()
                .Where(address => input.Graph.Find(address) is null && context.Scope.Includes(address))
        )
        {
            var cause = input.Options.Destroy ? Cause.Destroyed : Cause.Removed;
            var record = input.Records[address];
            decided.Add(
                address,
                held.ReasonOf(address.Host) is null
                    ? _removals.Decide(context, record, cause)
                    : held.Hold(record.ToResource(), record, _removals.Decide(context, record, cause))
            );
        }

        if (!input.Options.Destroy)
        {
            foreach (var policy in input.Graph.Policies.Select(node => node.Policy).Where(context.Scope.Includes))
            {
                DecideGroup(context, decided, policy);
            }
        }

        return decided;
    }

    // Once: before the first resource of the group as a whole, and after all that runs its members.
    private static void DecideGroup(PlanContext context, PlanDecisions decided, GroupPolicy policy)
    {
        if (!decided.IsDecided(policy.Group))
        {
            decided.Add(policy.Group, GroupDecision.Of(context, decided.Changes, policy));
        }
    }

    private void DecideDesired(
        PlanContext context,
        PlanDecisions decided,
        ResourceGraph.Node node,
        ResourceRecord? record,
        HeldMembers held
    )
    {
        var address = node.Resource.Address;
        var policy = context.Input.Graph.PolicyOver(address);
        if (policy is not null)
        {
            DecideGroup(context, decided, policy);
        }

        decided.Add(
            address,
            decided.BlockingReason(address, node.Requires) is { } reason
                ? ResourceDecision.Blocking(reason)
                : held.Hold(
                    node.Resource,
                    record,
                    Decision(context, decided, node, record, policy is null ? null : decided.Groups.GetValueOrDefault(policy.Group))
                )
        );
    }

    private ResourceDecision Decision(
        PlanContext context,
        PlanDecisions decided,
        ResourceGraph.Node node,
        ResourceRecord? record,
        PlannedGroup? group
    )
    {
        var input = context.Input;
        var address = node.Resource.Address;
        var provider = _providers.Get(address.Type);
        var desired = new DesiredResource(node, provider.Desired(node.Resource), record);
        if (node.Volume is { } volume && !input.IsMounted(volume))
        {
            return input.Observe(volume) is Observation.Absent { IsBlank: true }
                ? _creations.OnBlankVolume(desired, volume)
                : _creations.Later(desired, Deferral.UntilMounted(volume));
        }

        switch (input.Observe(address))
        {
            case Observation.Present present:
                var joining = context.Members.Joining(address.Host, decided.Changes);
                return _updates.Decide(desired, present, input, joining);
            case Observation.Absent absent:
                return _creations.Decide(context, desired, absent);
            case Observation.Unknown unknown:
                return Deferral.OfUnknown(node, provider is IGroupResourceProvider, group, decided.Changes) is { } deferral
                    ? _creations.Later(desired, deferral)
                    : ResourceDecision.Unknown(node.Resource, unknown.Reason);
            default:
                throw new UnreachableException();
        }
    }

    private static IEnumerable<Diagnostic> HostErrors(PlanInput input)
    {
        foreach (var (host, reason) in input.HostErrors.Where(pair => !input.ReportedHosts.Contains(pair.Key)))
        {
            var held = input.LastKnown.GetValueOrDefault(host);
            yield return input.Options is { Destroy: true, ForgetUnreachable: true } && input.Unreachable.Contains(host)
                ? Diagnostic.Warning($"{host}: {reason}; its records are dropped, and nothing is changed there", detail: held, host: host)
                : Diagnostic.Error($"{host}: {reason}", detail: held, host: host);
        }
    }

    private static void Refuse(ImmutableArray<Diagnostic> refused)
    {
        if (!refused.IsEmpty)
        {
            throw new DiagnosticException(refused);
        }
    }
}
