using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;

/// <summary>What one failure does to a cluster at a step of a change: the model of the step with the failure thrown in at each moment of
/// it, the election that follows, and what the policy decides then. Pure.</summary>
public static class ClusterFailures
{
    // Measured on the lab: a switchover takes 2.2 to 3.3 s.
    private static readonly TimeSpan s_switchover = TimeSpan.FromSeconds(4);

    // How long a paused pool waits for a run that has ended: the lease of the pause, and the timer that looks at it.
    private static readonly TimeSpan s_pools = TimeSpan.FromSeconds(15);

    /// <summary>How long it takes at most until a load balancer, or a virtual address, sends new sessions through another proxy.</summary>
    internal static readonly TimeSpan Balancer = TimeSpan.FromSeconds(10);

    // More looks than any decision asks for.
    private const int MostLooks = 10;

    private static readonly FailureKind[] s_ofMembers = [FailureKind.Member, FailureKind.NetworkCut, FailureKind.StoreMember];

    /// <summary>Every single failure at a step.</summary>
    /// <param name="before">The cluster when the step begins.</param>
    /// <param name="intent">What is left of the change then, the step included.</param>
    /// <param name="step">The step; null for a cluster at rest.</param>
    /// <param name="proxies">The proxies that serve.</param>
    public static StepOutlook Of(ClusterView before, ClusterIntent intent, ClusterStep? step, ImmutableSortedSet<string> proxies)
    {
        ArgumentNullException.ThrowIfNull(before);
        ArgumentNullException.ThrowIfNull(intent);
        ArgumentNullException.ThrowIfNull(proxies);
        var found = ImmutableArray.CreateBuilder<FailureOutlook>();
        // Those that come later are no members yet, as for the policy; at rest nobody joins.
        before = before.Without(step is null ? before.Joining : before.Joining.Intersect(intent.Later));
        foreach (var member in before.Names)
        {
            if (intent.Left.Contains(member))
            {
                continue;
            }

            foreach (var kind in s_ofMembers)
            {
                found.Add(OfMember(before, intent, step, kind, member));
            }
        }

        var alone = Undisturbed(before, intent, step);
        foreach (var proxy in proxies)
        {
            found.Add(OfProxy(alone, proxy, proxies));
        }

        if (step is not null)
        {
            found.Add(OfRun(before, intent, step, !proxies.IsEmpty));
        }

        return new StepOutlook(found.ToImmutable());
    }

    /// <summary>The cluster while a step is under way: its members are down, and have not returned.</summary>
    public static ClusterView Amid(ClusterView before, ClusterIntent intent, ClusterStep? step)
    {
        ArgumentNullException.ThrowIfNull(before);
        ArgumentNullException.ThrowIfNull(intent);
        return step switch
        {
            ClusterStep.Disrupt(var member, _) => Down(before, member, intent.OnlyServer),
            ClusterStep.SwitchOver(var from, _, _) => Down(before, from, onlyServer: true),
            ClusterStep.MoveStore(var members, _) => members.Aggregate(before, (view, member) => Down(view, member, onlyServer: false)),
            ClusterStep.StopAll(var members) => members.Aggregate(before, (view, member) => Down(view, member, onlyServer: false)),
            _ => before,
        };
    }

    /// <summary>The cluster with a member failed: it is silent, or only the store does not hear it.</summary>
    public static ClusterView Failed(ClusterView view, FailureKind kind, string member)
    {
        ArgumentNullException.ThrowIfNull(view);
        var problem =
            kind == FailureKind.StoreMember
                ? new HealthProblem(HealthProblemKind.StoreNotReached, member, $"{member}: it does not reach the consensus store")
                : new HealthProblem(HealthProblemKind.PatroniSilent, member, $"{member}: it does not answer");
        if (!Reaches(view, kind))
        {
            return view with { StoreMembers = view.StoreMembers!.SetItem(member, false) };
        }

        var members = view.Health.Members.Select(one =>
            one.Name != member ? one
            : kind == FailureKind.StoreMember ? one with { Leads = false, Replication = null, IsSynchronous = false }
            : new PatroniMember(member)
        );
        return view with
        {
            Health = view.Health with { Members = [.. members], Problems = view.Health.Problems.Add(problem) },
            StoreMembers = view.StoreMembers?.SetItem(member, false),
        };
    }

    /// <summary>How many members vote in the consensus store.</summary>
    /// <param name="view">The members.</param>
    /// <param name="mute">The one that the store does not hear; null for none.</param>
    public static int Votes(ClusterView view, string? mute)
    {
        ArgumentNullException.ThrowIfNull(view);
        if (view.StoreMembers is not { } own)
        {
            return view.Health.Members.Count(member => member.Answers && member.Name != mute);
        }

        var votes = 0;
        foreach (var (name, isConnected) in own)
        {
            votes += isConnected && name != mute && !HasLeft(view, name) ? 1 : 0;
        }

        return votes;
    }

    /// <summary>How many members the consensus store counts.</summary>
    /// <param name="view">The members.</param>
    /// <param name="left">Those that were taken down for good.</param>
    public static int Counted(ClusterView view, ImmutableSortedSet<string> left)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(left);
        if (view.StoreMembers is not { } own)
        {
            return view.Names.Length - left.Count;
        }

        var counted = 0;
        foreach (var name in own.Keys)
        {
            counted += left.Contains(name) || HasLeft(view, name) ? 0 : 1;
        }

        return counted;
    }

    // Patroni asks the next member of a store that has its own.
    private static bool Reaches(ClusterView view, FailureKind kind) => kind != FailureKind.StoreMember || view.StoreMembers is null;

    // The store lets it go as well.
    private static bool HasLeft(ClusterView view, string name) =>
        view.Names.Contains(name) && view.Member(name) is null && !view.Fenced.Contains(name);

    /// <summary>Whether Patroni lets a member take over from a lost primary; null where that depends on a lag that is unknown.</summary>
    public static bool? MayTakeOver(PatroniMember member, PatroniHealth health)
    {
        ArgumentNullException.ThrowIfNull(member);
        ArgumentNullException.ThrowIfNull(health);
        return !member.Answers
            || !member.IsRunning
            || member.Leads
            || member.Replication != "streaming"
            || (health.IsSynchronous && !member.IsSynchronous)
            || member.LagBytes > health.Failover.MaxLag
                ? false
            : member.LagBytes is null ? null
            : true;
    }

    private static FailureOutlook OfMember(ClusterView before, ClusterIntent intent, ClusterStep? step, FailureKind kind, string member)
    {
        var counted = Counted(before, intent.Left);
        var beginning = At(before, before, counted, counted, step: null, kind, member);
        if (step is null)
        {
            return beginning with { Remedy = Remedy(beginning, kind, member, [], "") };
        }

        var (after, rest) = ClusterModel.Apply(before, intent, step);
        var remaining = Counted(before, rest.Left);
        var worst = FailureOutlook.Worse(beginning, At(Amid(before, intent, step), after, counted, remaining, step, kind, member));
        if (step is ClusterStep.SwitchOver(var from, var to, _))
        {
            // Just after it nobody follows the new primary yet.
            var settling = Unfollowed(after, from);
            worst = FailureOutlook.Worse(
                worst,
                At(settling, member == to ? settling : after, counted, remaining, step: null, kind, member)
            );
        }

        var returning = HostsOf(step).Where(host => host != member && !intent.Leaving.Contains(host)).ToImmutableArray();
        return worst with
        {
            Remedy = Remedy(worst, kind, member, returning, Decision(Failed(after, kind, member), rest, kind, member, remaining)),
        };
    }

    // The failure at one moment: what holds at once, and once the step's own members are back.
    private static FailureOutlook At(
        ClusterView moment,
        ClusterView later,
        int counted,
        int remaining,
        ClusterStep? step,
        FailureKind kind,
        string member
    )
    {
        var failed = Failed(moment, kind, member);
        var laterFailed = Failed(later, kind, member);
        var mute = kind == FailureKind.StoreMember ? member : null;
        var votes = Votes(failed, mute);
        var leader = moment.Health.Leader;
        var hasQuorum = votes > counted / 2;
        // A hand-over ends by itself once it has begun: the candidate promotes itself, or Patroni elects another.
        ImmutableArray<string> now =
            step is ClusterStep.SwitchOver
                ? hasQuorum
                    ? Elected(laterFailed, votes, counted)
                    : []
                : step is ClusterStep.Disrupt && leader is null && KeepsLease(failed)
                    ? []
                    : Elected(failed, votes, counted);
        var afterwards = now.IsEmpty ? Elected(laterFailed, Votes(laterFailed, mute), remaining) : now;
        var least = step is ClusterStep.SwitchOver ? s_switchover : TimeSpan.Zero;
        var keeps =
            now is [var only] && (only == leader || (step is ClusterStep.SwitchOver(var from, var to, _) && only == to && member != from));
        var outlook = new FailureOutlook(kind, member)
        {
            Votes = votes,
            Counted = counted,
            Primaries = afterwards,
            WithoutWrites =
                keeps ? least
                : !now.IsEmpty ? least + moment.Health.Failover.Election
                : null,
            Cost =
                keeps ? (least == TimeSpan.Zero ? FailureCost.None : FailureCost.Gap)
                : !afterwards.IsEmpty ? FailureCost.Gap
                : FailureCost.Outage,
            AtRisk =
                leader == member
                && Reaches(moment, kind)
                && !moment.Health.IsSynchronous
                && !moment.IsFenced
                && MayBeReplaced(failed, laterFailed, afterwards)
                    ? Rows(moment, kind, member)
                    : "",
        };
        return outlook.AtRisk.Length > 0 ? outlook with { Cost = FailureCost.Loss } : outlook;
    }

    // Patroni keeps the lease of a primary whose server alone it restarts.
    private static bool KeepsLease(ClusterView view) =>
        view.Health.Members.Any(member => member is { Answers: true, State: Stopping } && member.Replication == Leading);

    private static bool MayBeReplaced(ClusterView failed, ClusterView later, ImmutableArray<string> elected) =>
        !elected.IsEmpty
        || failed.Health.Members.Any(member => MayTakeOver(member, failed.Health) != false)
        || later.Health.Members.Any(member => MayTakeOver(member, later.Health) != false);

    private static string Rows(ClusterView moment, FailureKind kind, string member)
    {
        var health = moment.Health;
        var lag = health.Replicas.Where(one => one.Name != member).Select(one => one.LagBytes).FirstOrDefault();
        return kind == FailureKind.NetworkCut
            ? string.Create(
                CultureInfo.InvariantCulture,
                $"all that {member} acknowledges until it gives up the lead, at most {health.Failover.Ttl.TotalSeconds:0} s"
            )
            : string.Create(
                CultureInfo.InvariantCulture,
                $"what the new primary has not received, at most {health.Failover.MaxLag} bytes; now "
                    + $"{(lag is { } known ? $"{known}" : "unknown")}"
            );
    }

    // The primary that stays, or the members of which Patroni elects one, the least lag first: their lags at that moment decide, not those
    // of the plan. None without a quorum, or when none may take over.
    private static ImmutableArray<string> Elected(ClusterView view, int votes, int counted)
    {
        if (votes <= counted / 2)
        {
            return [];
        }

        if (view.Health.Leader is { } leader)
        {
            return [leader];
        }

        var fit = ImmutableArray.CreateBuilder<string>();
        foreach (var member in view.Health.Replicas)
        {
            if (MayTakeOver(member, view.Health) == true)
            {
                fit.Add(member.Name);
            }
        }

        return fit.ToImmutable();
    }

    // The step without any failure.
    private static FailureOutlook Undisturbed(ClusterView before, ClusterIntent intent, ClusterStep? step)
    {
        var amid = Amid(before, intent, step);
        var counted = Counted(before, intent.Left);
        var votes = Votes(amid, mute: null);
        var (after, rest) = step is null ? (before, intent) : ClusterModel.Apply(before, intent, step);
        var now =
            step is ClusterStep.SwitchOver ? after.Health.Leader
            : votes > counted / 2 ? amid.Health.Leader
            : null;
        var then = Votes(after, mute: null) > Counted(before, rest.Left) / 2 ? after.Health.Leader : null;
        return new FailureOutlook(FailureKind.Run, "")
        {
            Votes = votes,
            Counted = counted,
            Primaries = (now ?? then) is { } primary ? [primary] : [],
            WithoutWrites =
                now is null ? null
                : step is ClusterStep.SwitchOver ? s_switchover
                : TimeSpan.Zero,
            Cost =
                now is null ? (then is null ? FailureCost.Outage : FailureCost.Gap)
                : step is ClusterStep.SwitchOver ? FailureCost.Gap
                : FailureCost.None,
        };
    }

    private static FailureOutlook OfProxy(FailureOutlook alone, string proxy, ImmutableSortedSet<string> proxies)
    {
        var others = proxies.Remove(proxy);
        return others.IsEmpty
            ? new FailureOutlook(FailureKind.Proxy, proxy)
            {
                Votes = alone.Votes,
                Counted = alone.Counted,
                Primaries = alone.Primaries,
                Cost = FailureCost.Outage,
                WithoutWrites = null,
                Remedy = $"bring {proxy} back: no other proxy serves",
            }
            : alone with
            {
                Kind = FailureKind.Proxy,
                Host = proxy,
                Cost = alone.Cost > FailureCost.Gap ? alone.Cost : FailureCost.Gap,
                WithoutWrites = alone.WithoutWrites is { } least ? least + Balancer : null,
                Remedy = $"new sessions use {string.Join(" or ", others)}; those through {proxy} end",
            };
    }

    // What it began on a host may be cut off: the step's members stay away until the next apply. Patroni ends by itself what it was asked.
    private static FailureOutlook OfRun(ClusterView before, ClusterIntent intent, ClusterStep step, bool pausesPools)
    {
        var alone = Undisturbed(before, intent, step);
        var again = "apply again: kbr goes on from there";
        if (step is ClusterStep.SwitchOver || intent.OnlyServer)
        {
            return alone with
            {
                WithoutWrites = alone.WithoutWrites + (step is ClusterStep.SwitchOver && pausesPools ? s_pools : TimeSpan.Zero),
                Remedy = step is ClusterStep.SwitchOver && pausesPools ? $"the proxies resume their pools by themselves; {again}" : again,
            };
        }

        var amid = Amid(before, intent, step);
        var counted = Counted(before, intent.Left);
        var elected = Elected(amid, Votes(amid, mute: null), counted);
        var keeps = elected is [var only] && only == before.Health.Leader;
        var isLost = amid.Health.Leader is null && !elected.IsEmpty && !before.Health.IsSynchronous && !before.IsFenced;
        return new FailureOutlook(FailureKind.Run, "")
        {
            Votes = alone.Votes,
            Counted = counted,
            Primaries = elected,
            WithoutWrites =
                elected.IsEmpty ? null
                : keeps ? TimeSpan.Zero
                : before.Health.Failover.Election,
            AtRisk = isLost && before.Health.Leader is { } former ? Rows(before, FailureKind.Member, former) : "",
            Cost =
                isLost && before.Health.Leader is not null ? FailureCost.Loss
                : elected.IsEmpty ? FailureCost.Outage
                : keeps ? FailureCost.None
                : FailureCost.Gap,
            Remedy = again,
        };
    }

    // What the policy does then, by its own decision on the cluster after the step and the failure.
    private static string Decision(ClusterView failed, ClusterIntent rest, FailureKind kind, string member, int counted)
    {
        var votes = Votes(failed, kind == FailureKind.StoreMember ? member : null);
        var hasQuorum = votes > counted / 2;
        var view = Led(failed, Elected(failed, votes, counted).FirstOrDefault()) with
        {
            Store = null,
            LostForGood = kind == FailureKind.Member ? $"{member}: the host could not be read" : "",
            HasReplicationPassword = true,
        };
        for (var looked = 0; looked < MostLooks; looked++)
        {
            switch (ClusterPolicy.Next(view, rest))
            {
                case ClusterStep.Look { Fact: ClusterFact.Store, Without: var without }:
                    view = view with
                    {
                        Store = new StoreView(
                            without,
                            hasQuorum && without.Contains(member)
                                ? []
                                : [new HealthProblem(HealthProblemKind.Store, null, $"{member} is not counted")]
                        ),
                    };
                    break;
                case ClusterStep.FenceCommits:
                    view = view with { IsFenced = true };
                    break;
                case ClusterStep.Done:
                    return "the roll-out is done";
                case ClusterStep.Wait or ClusterStep.MendStore or ClusterStep.Look:
                    return "the roll-out waits, and stops after the gate's time";
                case ClusterStep.Refuse:
                    return "the roll-out stops";
                default:
                    return "the roll-out goes on";
            }
        }

        return "the roll-out stops";
    }

    private static ClusterView Led(ClusterView view, string? leader)
    {
        var members = view.Health.Members.Select(member =>
            member.Name == leader ? member with { Leads = true, Replication = null, LagBytes = null, IsSynchronous = false }
            : member.Leads ? member with { Leads = false }
            : member
        );
        return view with { Health = view.Health with { Members = [.. members] } };
    }

    private static string Remedy(FailureOutlook outlook, FailureKind kind, string member, ImmutableArray<string> returning, string decision)
    {
        var what = kind switch
        {
            FailureKind.NetworkCut => $"restore the network of {member}",
            FailureKind.StoreMember => $"bring the store of {member} back",
            _ => $"bring {member} back",
        };
        var writes = outlook.WithoutWrites switch
        {
            null when outlook.Primaries.IsEmpty => $"{what}: no other member can become the primary",
            null => $"{(returning.IsEmpty ? what : $"{string.Join(" and ", returning)} back")}, then {outlook.PrimaryText} is the primary",
            _ => what,
        };
        return decision.Length == 0 ? writes : $"{writes}; {decision}";
    }

    private static ImmutableArray<string> HostsOf(ClusterStep step) =>
        step switch
        {
            ClusterStep.Disrupt(var member, _) => [member],
            ClusterStep.StopAll(var members) => members,
            ClusterStep.MoveStore(var members, _) => members,
            ClusterStep.Start(var members) => members,
            _ => [],
        };

    private const string Stopping = "stopping";

    // The replication of a primary whose server is restarted in place.
    private const string Leading = "leading";

    private static ClusterView Down(ClusterView view, string member, bool onlyServer)
    {
        var members = view.Health.Members.Select(one =>
            one.Name != member ? one
            : onlyServer ? one with { Leads = false, State = Stopping, Replication = one.Leads ? Leading : null, IsSynchronous = false }
            : new PatroniMember(member)
        );
        return view with { Health = view.Health with { Members = [.. members] } };
    }

    // No replica follows the new primary yet, and with synchronous replication it has no standby.
    private static ClusterView Unfollowed(ClusterView view, string former)
    {
        var members = view.Health.Members.Select(one =>
            one.Name == former
                ? one with
                {
                    State = "starting",
                    Replication = null,
                    IsSynchronous = false,
                }
                : one with
                {
                    IsSynchronous = false,
                }
        );
        return view with { Health = view.Health with { Members = [.. members] } };
    }
}
