using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;

/// <summary>The effect of each step on a cluster when no step fails. Pure. The plan's forecast is the policy run against it.</summary>
public static class ClusterModel
{
    // More than any change of any cluster takes; a policy that never ends is a fault that tests find.
    private const int MostSteps = 1000;

    /// <summary>The steps until the policy is done, waits for what does not come by itself, or refuses; the last is one of these
    /// three.</summary>
    /// <param name="view">The cluster as it is.</param>
    /// <param name="intent">What the change asks for.</param>
    public static IEnumerable<(ClusterView Before, ClusterStep Step, ClusterView After)> Run(ClusterView view, ClusterIntent intent)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(intent);
        var isSettled = false;
        for (var taken = 0; taken < MostSteps; taken++)
        {
            var step = ClusterPolicy.Next(view, intent);
            if (step is ClusterStep.Wait && !isSettled && view.Health.Leader is not null)
            {
                (view, isSettled) = (Settled(view), true);
                continue;
            }

            var (after, rest) = Apply(view, intent, step);
            yield return (view, step, after);
            if (step is ClusterStep.Done or ClusterStep.Wait or ClusterStep.Refuse)
            {
                yield break;
            }

            (view, intent) = (after, rest);
        }

        throw new InvalidOperationException("the policy does not terminate");
    }

    /// <summary>The cluster and the rest of the change after a step.</summary>
    public static (ClusterView View, ClusterIntent Intent) Apply(ClusterView view, ClusterIntent intent, ClusterStep step)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(intent);
        return step switch
        {
            ClusterStep.Look { Fact: ClusterFact.Store, Without: var without } => (
                view with
                {
                    Store = new StoreView(without, []),
                },
                intent
            ),
            ClusterStep.Look => (view with { LostForGood = "" }, intent),
            ClusterStep.MendStore => (view with { Store = view.Store! with { Problems = [] } }, intent),
            ClusterStep.SetReplicationPassword => (view with { HasReplicationPassword = true }, intent),
            ClusterStep.FenceCommits => (view with { IsFenced = true }, intent),
            ClusterStep.SwitchOver(var from, var to, _) => (
                SwitchedOver(view, from, to),
                intent.OnlyServer ? intent with { Pending = intent.Pending.Remove(from) } : intent
            ),
            ClusterStep.Start(var members) => Disrupted(view, intent, members),
            ClusterStep.StopAll(var members) => Disrupted(view with { IsFenced = false }, intent, members),
            ClusterStep.MoveStore(var members, var first) => Moved(view, intent, members, first),
            ClusterStep.Disrupt(var member, _) => Disrupted(view, intent, [member]),
            _ => (view, intent),
        };
    }

    // All are stopped with the former store, and the first one runs with the declared store.
    private static (ClusterView View, ClusterIntent Intent) Moved(
        ClusterView view,
        ClusterIntent intent,
        ImmutableArray<string> members,
        string? first
    )
    {
        var stopped = view.Health.Members.Select(member => members.Contains(member.Name) ? new PatroniMember(member.Name) : member);
        var between = view with
        {
            Health = view.Health with { Members = [.. stopped] },
            Stopped = view.Stopped.Union(members),
            InFormerStore = view.InFormerStore.Except(members),
            BetweenStores = view.BetweenStores.Union(members),
            LastPrimary = first,
            Store = null,
            IsFenced = false,
        };
        return Disrupted(between, intent, first is null ? members : [first]);
    }

    // Running members have caught up; stopped members that the change does not start stay down.
    private static ClusterView Settled(ClusterView view)
    {
        var health = view.Health;
        var members = health.Members.Where(member => member.IsRunning).Select(member => Serving(member, health)).ToImmutableArray();
        return view with { Health = health with { Members = members, Problems = [] } };
    }

    private static PatroniMember Serving(PatroniMember member, PatroniHealth health) =>
        member with
        {
            Answers = true,
            State = "running",
            Replication = member.Leads ? null : "streaming",
            LagBytes = member.Leads ? null : 0,
            Timeline = health.Members.FirstOrDefault(other => other.Leads)?.Timeline ?? member.Timeline,
        };

    private static ClusterView SwitchedOver(ClusterView view, string from, string to)
    {
        var members = view.Health.Members.Select(member =>
            member.Name == to ? member with { Leads = true, Replication = null, LagBytes = null, IsSynchronous = false }
            : member.Name == from
                ? member with
                {
                    Leads = false,
                    Replication = "streaming",
                    LagBytes = 0,
                    IsSynchronous = view.Health.IsSynchronous,
                    PendingRestart = [],
                }
            : member
        );
        return view with { Health = view.Health with { Members = [.. members] } };
    }

    private static (ClusterView View, ClusterIntent Intent) Disrupted(
        ClusterView view,
        ClusterIntent intent,
        ImmutableArray<string> disrupted
    )
    {
        var health = view.Health;
        // Of members that start together one with the data leads.
        foreach (var name in disrupted.OrderByDescending(name => view.HoldsData.GetValueOrDefault(name) == true))
        {
            health = intent.Leaving.Contains(name) ? Without(health, name) : Restarted(health, name);
        }

        return (
            view with
            {
                Health = health with
                {
                    Problems = [.. health.Problems.Where(problem => problem.Member is not { } of || !disrupted.Contains(of))],
                },
                Waited = TimeSpan.Zero,
                Stopped = view.Stopped.Except(disrupted),
                InDeclaredStore = view.InDeclaredStore.Union(view.Moving.Intersect(disrupted)),
                InFormerStore = view.InFormerStore.Except(disrupted),
                BetweenStores = view.BetweenStores.Except(disrupted),
                WithFormerData = view.WithFormerData.Except(disrupted),
                WithOtherStorePassword = view.WithOtherStorePassword.Except(disrupted),
                WithStorePassword = view.WithStorePassword.Union(view.WithOtherStorePassword.Intersect(disrupted)),
                HoldsData = view.HoldsData.SetItems(
                    disrupted.Except(intent.Leaving).Select(name => KeyValuePair.Create(name, (bool?)true))
                ),
            },
            intent.Pending.Except(disrupted) is { IsEmpty: false } rest
                ? intent with
                {
                    Pending = rest,
                }
                : intent with
                {
                    Pending = intent.Later,
                    Later = [],
                }
        );
    }

    // Patroni names another synchronous standby while the present one is away.
    private static PatroniHealth Without(PatroniHealth health, string name)
    {
        var wasSynchronous = health.Members.Any(member => member.Name == name && member.IsSynchronous);
        var rest = health with { Members = [.. health.Members.Where(member => member.Name != name)] };
        var heir =
            wasSynchronous && rest.Members.All(member => !member.IsSynchronous)
                ? rest.Replicas.FirstOrDefault(member => member.IsRunning)
                : null;
        return heir is null ? rest : rest with { Members = rest.Members.Replace(heir, heir with { IsSynchronous = true }) };
    }

    private static PatroniHealth Restarted(PatroniHealth health, string name)
    {
        var former = health.Members.FirstOrDefault(member => member.Name == name);
        var leads = former is { Leads: true } || health.Leaders.IsEmpty;
        var rest = former is { Leads: false }
            ? Without(health, name)
            : health with
            {
                Members = [.. health.Members.Where(member => member.Name != name)],
            };
        var isSynchronous = !leads && health.IsSynchronous && rest.Members.All(member => !member.IsSynchronous);
        var member = new PatroniMember(name)
        {
            Answers = true,
            State = "running",
            Leads = leads,
            Replication = leads ? null : "streaming",
            LagBytes = leads ? null : 0,
            IsSynchronous = isSynchronous,
            Timeline = former?.Timeline,
            Scope = former?.Scope,
            SystemIdentifier = former?.SystemIdentifier,
        };
        var members = rest.Members.Add(member).Sort((one, other) => string.CompareOrdinal(one.Name, other.Name));
        return rest with { Members = members, Problems = [.. rest.Problems.Where(problem => problem.Kind != HealthProblemKind.NoPrimary)] };
    }
}
