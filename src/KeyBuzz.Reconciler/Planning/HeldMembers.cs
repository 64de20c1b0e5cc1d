using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>The members that an operator took out of service: a plan changes nothing on their hosts, and says so.</summary>
internal sealed class HeldMembers
{
    private readonly SortedDictionary<string, HeldMember> _hosts = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _waiting = new(StringComparer.Ordinal);

    /// <summary>Those of the groups of a plan. To take a resource down is a request of its own, and is not held.</summary>
    public static HeldMembers Of(PlanInput input)
    {
        var held = new HeldMembers();
        if (!input.Options.Destroy)
        {
            foreach (var node in input.Graph.Policies)
            {
                held.Add(input.Observations.GetValueOrDefault(node.Policy.Address));
            }
        }

        return held;
    }

    /// <summary>Those of one group as it was found; null for one that was not read.</summary>
    public void Add(Observation? group)
    {
        foreach (var (host, member) in group?.Held ?? Observation.Nobody)
        {
            _hosts[host] = member;
        }
    }

    /// <summary>Why nothing on a host is changed; null where it is not held.</summary>
    public string? ReasonOf(string host) => _hosts.GetValueOrDefault(host)?.Reason;

    /// <summary>The decision about a resource, or none on a host that is held: the resource stays as it is.</summary>
    public ResourceDecision Hold(Resource resource, ResourceRecord? record, in ResourceDecision decision)
    {
        var host = resource.Address.Host;
        if (!_hosts.ContainsKey(host) || decision.Change is { Action: ResourceAction.NoOp, Deferred: false })
        {
            return decision;
        }

        _waiting[host] = _waiting.GetValueOrDefault(host) + 1;
        return ResourceDecision.Of(
            new PlannedChange(resource.Address, ResourceAction.NoOp, Cause.FoundAsWanted, resource, [], []) { Record = record }
        );
    }

    /// <summary>What the operator is told.</summary>
    public IEnumerable<Diagnostic> Notices()
    {
        foreach (var (host, member) in _hosts)
        {
            var waiting = _waiting.GetValueOrDefault(host);
            yield return Diagnostic.Warning(
                $"{member.Reason}: nothing on it is changed",
                detail: waiting == 0 ? null
                    : waiting == 1 ? "1 resource on it differs, and waits for that to end"
                    : $"{waiting} resources on it differ, and wait for that to end",
                remedy: member.Remedy,
                host: host
            );
        }
    }
}
