using System.Collections.Immutable;
using System.Globalization;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;

/// <summary>Decides the next step of a change of a cluster. Pure: roll-outs, restarts for parameters, removals, switchovers, drills and the
/// plan's forecast go by it.</summary>
public static class ClusterPolicy
{
    /// <summary>Why no member is restarted while Patroni is paused.</summary>
    internal const string Paused =
        "Patroni is paused: it would restart no member and promote no replica; run 'patronictl resume', and apply again";

    /// <summary>The next step.</summary>
    /// <param name="view">The cluster as it was read.</param>
    /// <param name="intent">What the change asks for.</param>
    public static ClusterStep Next(ClusterView view, ClusterIntent intent)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(intent);
        // Whatever they hold or do is of the database that was lost, also where one of them leads.
        if (view.Recovery is { } recovery && recovery.Returned.Except(intent.Left) is { IsEmpty: false } returned)
        {
            return new ClusterStep.SetAside(recovery.Journal, [.. returned]);
        }

        // Those that come later are no members yet: they count for no majority, and nobody waits for them.
        view = view.Without(view.Joining.Intersect(intent.Later));
        var step = Refusal(view, intent) ?? Choose(view, intent);
        return step is ClusterStep.Refuse ? step : BeforeDisruption(step, view, intent) ?? Guarded(step, view, intent);
    }

    /// <summary>The replica that takes over from the primary: the fit one with the least lag. Null when none can.</summary>
    /// <param name="health">How the members are.</param>
    /// <param name="leaving">Members that are taken down for good.</param>
    public static string? Candidate(PatroniHealth health, ImmutableSortedSet<string> leaving)
    {
        ArgumentNullException.ThrowIfNull(health);
        ArgumentNullException.ThrowIfNull(leaving);
        return health.Replicas.FirstOrDefault(member => !leaving.Contains(member.Name) && Unfitness(member, health) is null)?.Name;
    }

    /// <summary>The switchover that an operator asks for, or why there is none.</summary>
    /// <param name="health">How the members are.</param>
    /// <param name="wanted">The requested member; null for the preferred primary where it is fit, else the one of
    /// <see cref="Candidate"/>.</param>
    /// <param name="preferred">The preferred primary, or null.</param>
    public static ClusterStep SwitchOver(PatroniHealth health, string? wanted, string? preferred)
    {
        ArgumentNullException.ThrowIfNull(health);
        // A reason against the requested member comes first: the operator can choose another one.
        if (
            wanted is not null
            && health.Members.First(member => member.Name == wanted) is var member
            && Unfitness(member, health) is { } why
        )
        {
            return new ClusterStep.Refuse(ClusterCause.Unfit, $"{wanted} cannot take over: {why}");
        }

        return !health.IsHealthy ? new ClusterStep.Refuse(ClusterCause.Unhealthy, Texts(health.Problems))
            : health.IsPaused ? new ClusterStep.Refuse(ClusterCause.Paused, Paused)
            : (wanted ?? Fit(preferred, health) ?? Candidate(health, [])) is { } candidate
                ? new ClusterStep.SwitchOver(health.Leader!, candidate, IsPreferred: false)
            : new ClusterStep.Refuse(ClusterCause.Unfit, "no replica can take over");
    }

    private static string? Fit(string? name, PatroniHealth health) =>
        health.Members.FirstOrDefault(member => member.Name == name) is { } member && Unfitness(member, health) is null ? name : null;

    /// <summary>Why a member cannot take over; null where it can. With synchronous replication Patroni lets only a synchronous
    /// standby.</summary>
    public static string? Unfitness(PatroniMember member, PatroniHealth health) =>
        !member.Answers ? "its Patroni does not answer"
        : member.Leads ? "it is already the primary"
        : !member.IsRunning ? $"PostgreSQL is not running there ({member.State})"
        : member.Replication != "streaming"
            ? $"it does not stream{(health.Leader is { } leader ? $" from {leader}" : "")} ({member.Replication ?? "no replication"})"
        : member.LagBytes is not { } lag ? "its lag is unknown"
        : lag > health.MaxLag ? string.Create(CultureInfo.InvariantCulture, $"its lag is {lag} bytes, more than {health.MaxLag}")
        : !health.IsSynchronous || member.IsSynchronous ? null
        : health.Members.Where(other => other.IsSynchronous).Select(other => other.Name).ToList() is { Count: > 0 } synchronous
            ? $"it is not the synchronous standby, {string.Join(" or ", synchronous)} is"
        : "there is no synchronous standby";

    // Refusals that hold in every state.
    private static ClusterStep? Refusal(ClusterView view, ClusterIntent intent) =>
        WithoutMajority(view, intent) is { } without ? new ClusterStep.Refuse(ClusterCause.Majority, without)
        : BesideFenced(view, intent) is { } fenced ? new ClusterStep.Refuse(ClusterCause.Majority, fenced)
        : view.Mistaken is { } mistaken ? new ClusterStep.Refuse(ClusterCause.Identity, mistaken.Text)
        : view.Health.IsPaused && !intent.OnlyRemoves ? new ClusterStep.Refuse(ClusterCause.Paused, Paused)
        : WithoutAll(view, intent) is { } others
            ? new ClusterStep.Refuse(view.Moving.IsEmpty ? ClusterCause.StorePassword : ClusterCause.StoreMove, others)
        : view.Health.SeveralPrimaries is { } several ? new ClusterStep.Wait(ClusterCause.SeveralPrimaries, several)
        : BeforeStopped(view, intent) is { } stopped ? new ClusterStep.Refuse(ClusterCause.Lost, stopped)
        : WithFormerData(view, intent);

    // Members that have left still count for the majority.
    private static string? WithoutMajority(ClusterView view, ClusterIntent intent)
    {
        var majority = (view.Names.Length / 2) + 1;
        var staying = view.Names.Length - intent.Leaving.Count;
        return (staying == 0 && intent.Later.IsEmpty) || staying >= majority || intent.Leaving.IsEmpty
            ? null
            : $"{string.Join(" and ", intent.Leaving)} would leave {staying} of {view.Names.Length} members, and {majority} are needed to elect a "
                + "primary; remove fewer, or the whole cluster";
    }

    // A fenced member is down already: one more must leave a majority, also while it restarts.
    private static string? BesideFenced(ClusterView view, ClusterIntent intent)
    {
        var majority = (view.Names.Length / 2) + 1;
        var staying = view.Names.Length - view.Fenced.Union(intent.Left).Count - 1;
        return view.Fenced.IsEmpty || staying >= majority || intent.Pending.All(view.IsDown)
            ? null
            : $"{string.Join(" and ", view.Fenced)} {(view.Fenced.Count == 1 ? "is" : "are")} fenced: with one more member down, "
                + $"{staying} of {view.Names.Length} would stay, and {majority} are needed to elect a primary; "
                + $"run kbr unfence {view.Fenced[0]} first";
    }

    // A serving member leaves only a healthy cluster, and what comes later makes it healthy only then. One that the plan could not read is
    // still to be made.
    private static string? BeforeStopped(ClusterView view, ClusterIntent intent)
    {
        ImmutableSortedSet<string> stopped = [.. intent.Later.Where(name => view.Stopped.Contains(name) && view.Member(name) is not null)];
        return stopped.IsEmpty || intent.Pending.All(view.Stopped.Contains) || view.Waited < view.Silence
            ? null
            : $"{Names(stopped)} {(stopped.Count == 1 ? "does not run, and starts" : "do not run, and start")} only after "
                + $"{Names(intent.Pending)} {(intent.Pending.Count == 1 ? "has" : "have")} left, which needs a healthy cluster; "
                + "apply first without the removal";
    }

    /// <summary>Why a new consensus store, or a new password of it, cannot come to these members alone; null where that is not the
    /// matter.</summary>
    public static string? WithoutAll(ClusterView view, ClusterIntent intent)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(intent);
        if (!view.Moving.IsEmpty && !intent.OnlyServer)
        {
            return AgainstMove(view, intent);
        }

        if (
            !intent.OnlyServer
            && intent.Pending.Overlaps(intent.Leaving)
            && intent.All.Except(intent.Leaving).Intersect(view.WithOtherStorePassword) is { IsEmpty: false } staying
        )
        {
            return $"{view.StoreWords.Name}'s password changes on {Names(staying)}, while {Names(intent.Leaving)} "
                + $"{(intent.Leaving.Count == 1 ? "leaves" : "leave")}: members with different passwords cannot communicate. "
                + "Apply the removal first with the former password, then the other one";
        }

        if (!ChangesStorePassword(view, intent))
        {
            return null;
        }

        var others = view.WithOtherStorePassword.Except(intent.Pending);
        return others.IsEmpty
            ? null
            : $"{view.StoreWords.Name}'s password changes, and {string.Join(" and ", others)} would keep the old one: members with "
                + "different passwords cannot communicate, so all of them are stopped and started together";
    }

    // A member with the former store and one with the declared store could both lead.
    private static string? AgainstMove(ClusterView view, ClusterIntent intent)
    {
        var words = $"the cluster moves from {view.FormerStore} to {view.StoreWords.Name}";
        if (!view.InDeclaredStore.IsEmpty)
        {
            return view.InFormerStore.IsEmpty
                ? null
                : $"{Names(view.InFormerStore)} {(view.InFormerStore.Count == 1 ? "uses" : "use")} {view.FormerStore}, and "
                    + $"{Names(view.InDeclaredStore)} {view.StoreWords.Name} already: members with different stores would elect a primary each. "
                    + $"Stop Patroni on {Names(view.InFormerStore)}, remove its container there, and apply again (docs/stores.md)";
        }

        var others = view.Moving.Except(intent.All);
        if (!others.IsEmpty)
        {
            return $"{words}, and {Names(others)} would keep {view.FormerStore}: members with different stores would elect a primary each, "
                + "so all of them move together";
        }

        var changed = intent
            .Leaving.Union(FormerData(view, intent))
            .Union(view.Fenced)
            .Union(view.Names.Except(view.Moving).Except(view.InUnknownStore));
        if (!changed.IsEmpty)
        {
            return $"{words}, while {Names(changed)} {(changed.Count == 1 ? "is" : "are")} added, removed or fenced: apply that first with "
                + "the former 'store', then the other 'store'";
        }

        // One that does not start would keep all of them down; once the members are down, it may be what mends them.
        return view.IsMoveHalfway || view.WithOtherImage.IsEmpty
            ? null
            : $"{words}, which stops all members, and {Names(view.WithOtherImage)} would start with another image: "
                + "apply the image first with the former 'store', then the other 'store'";
    }

    private static string Names(ImmutableSortedSet<string> members) => string.Join(" and ", members);

    // Set aside everywhere, the data would be nowhere: a primary keeps it until another member has it.
    private static ClusterStep? WithFormerData(ClusterView view, ClusterIntent intent)
    {
        var former = FormerData(view, intent);
        if (former.IsEmpty)
        {
            return null;
        }

        if (ChangesStorePassword(view, intent))
        {
            return new ClusterStep.Refuse(
                ClusterCause.FormerData,
                $"{string.Join(" and ", former)} would be stopped together for a new {view.StoreWords.Name} password, but each must copy its "
                    + $"data from a running primary. {view.StoreWords.PasswordPostponement}"
            );
        }

        if (view.Health.Leader is not null)
        {
            return null;
        }

        var reason = $"{string.Join(" and ", former)}: its data must be set aside and copied from the primary, but there is no primary";
        return view.HasRunningMajority
            ? new ClusterStep.Wait(ClusterCause.FormerData, reason)
            : new ClusterStep.Refuse(ClusterCause.FormerData, reason + ". Start PostgreSQL by hand first");
    }

    private static ClusterStep Choose(ClusterView view, ClusterIntent intent)
    {
        if (ChooseMove(view, intent) is { } move)
        {
            return move;
        }

        var stopped = intent.OnlyServer ? [] : intent.Pending.Where(view.Stopped.Contains).ToImmutableArray();
        if (!stopped.IsEmpty)
        {
            return ChooseStopped(view, intent, stopped);
        }

        if (ChangesStorePassword(view, intent))
        {
            return view.Health.IsHealthy || IsHalfway(view)
                ? new ClusterStep.StopAll([.. intent.Pending.Where(view.WithOtherStorePassword.Contains)])
                : new ClusterStep.Wait(
                    ClusterCause.Unhealthy,
                    $"{view.StoreWords.Name}'s password is changed on all members together, which needs a healthy cluster: "
                        + Texts(view.Health.Problems)
                );
        }

        return ChooseDown(view, intent) ?? (view.Health.IsHealthy ? ChooseServing(view, intent) : Unhealthy(view.Health.Problems));
    }

    // Null where nobody moves to another store.
    private static ClusterStep? ChooseMove(ClusterView view, ClusterIntent intent)
    {
        if (view.Moving.IsEmpty || intent.OnlyServer)
        {
            return null;
        }

        var leader = view.Health.Leader;
        if (view.InDeclaredStore.IsEmpty)
        {
            return !view.InUnknownStore.IsEmpty || (!view.IsMoveHalfway && !view.Health.IsHealthy)
                ? new ClusterStep.Wait(
                    ClusterCause.Unhealthy,
                    $"all members move from {view.FormerStore} to {view.StoreWords.Name} together, which needs a healthy cluster: "
                        + Texts(view.Health.Problems)
                )
                : ((leader ?? view.LastPrimary) is null ? BesideData(view, view.Moving) : null)
                    ?? new ClusterStep.MoveStore([.. view.Moving.OrderBy(name => name == leader)], leader ?? view.LastPrimary);
        }

        var rest = view.Moving.Intersect(intent.Pending).ToImmutableArray();
        // The first one leads before the others start, where it can do so alone: it has all data.
        return rest.IsEmpty ? null
            : view.StoreWords.RunsInPatroni || leader is not null || view.Waited >= view.Silence + view.Silence
                ? ChooseStopped(view, intent, rest)
            : new ClusterStep.Wait(ClusterCause.StoreMove, $"the first member to lead with {view.StoreWords.Name}");
    }

    // The member that may initialise waits where only others have the data: they elect a primary without it.
    private static ClusterStep ChooseStopped(ClusterView view, ClusterIntent intent, ImmutableArray<string> stopped)
    {
        if (BesideData(view, stopped.Except(intent.Leaving)) is not { } refused)
        {
            return new ClusterStep.Start(stopped);
        }

        ImmutableArray<string> others = [.. stopped.Where(name => name != view.BootstrapHost)];
        return !others.IsEmpty && MayElect(view, view.Stopped.Except(others)) ? new ClusterStep.Start(others) : refused;
    }

    // Started now, the bootstrap member would create a second database.
    private static ClusterStep? BesideData(ClusterView view, IEnumerable<string> members) =>
        members
            .Select(name => BootstrapGuard.Refusal(name, view.BootstrapHost, view.HoldsData, view.Health.Leader))
            .FirstOrDefault(reason => reason is not null)
            is not { } refusal
            ? null
        // Just after the primary was lost, or all were started: the others elect one, and the member copies from that.
        : view.HasRunningMajority || MayElect(view, view.Stopped) ? new ClusterStep.Wait(ClusterCause.Bootstrap, refusal)
        : new ClusterStep.Refuse(ClusterCause.Bootstrap, refusal);

    // Whether the members that are not down, one with the data among them, are a majority.
    private static bool MayElect(ClusterView view, ImmutableSortedSet<string> down)
    {
        var up = view.Names.Where(name => view.HoldsData.GetValueOrDefault(name) is not null && !down.Contains(name)).ToList();
        return up.Count > view.Names.Length / 2 && up.Exists(name => view.HoldsData[name] == true);
    }

    // The change may repair a running member that does not serve; the others must be healthy, so that only one is down.
    private static ClusterStep? ChooseDown(ClusterView view, ClusterIntent intent)
    {
        var down = intent.OnlyServer ? [] : intent.Pending.Where(view.IsDown).ToImmutableArray();
        if (down.IsEmpty)
        {
            return null;
        }

        var others = view.Health.Problems.Where(problem => problem.Member is null || !down.Contains(problem.Member)).ToImmutableArray();
        return view.Health.Leader is null && MayBeLate(view, down) ? Unhealthy(view.Health.Problems)
            : view.Health.Leader is not null && !others.IsEmpty ? Unhealthy(others)
            : BesideData(view, down.Take(1).Except(intent.Leaving)) ?? new ClusterStep.Disrupt(down[0], ClusterTurn.NotRunning);
    }

    // Of a healthy cluster: replicas first, then the primary, which hands over where it can.
    private static ClusterStep ChooseServing(ClusterView view, ClusterIntent intent)
    {
        if (intent.Pending.IsEmpty)
        {
            return Preferred(view, intent) is { } preferred
                ? new ClusterStep.SwitchOver(view.Health.Leader!, preferred, IsPreferred: true)
                : new ClusterStep.Done();
        }

        var primary = view.Health.Leader!;
        if (intent.PrimaryFirst && intent.Pending.Contains(primary))
        {
            return new ClusterStep.Disrupt(primary, ClusterTurn.PrimaryFirst);
        }

        return view.Health.Replicas.FirstOrDefault(member => intent.Pending.Contains(member.Name)) is { } replica
                ? new ClusterStep.Disrupt(replica.Name, ClusterTurn.Replica)
            : !intent.Pending.Contains(primary)
                ? new ClusterStep.Wait(ClusterCause.Unhealthy, $"{string.Join(" and ", intent.Pending)}: PostgreSQL is not running")
            : Candidate(view.Health, intent.Leaving) is { } candidate ? new ClusterStep.SwitchOver(primary, candidate, IsPreferred: false)
            : FormerData(view, intent).Contains(primary)
                ? new ClusterStep.Refuse(
                    ClusterCause.FormerData,
                    $"no replica can take over from {primary}, whose data must be set aside and copied from another member"
                )
            : view.Health.Replicas.FirstOrDefault(member => !intent.Leaving.Contains(member.Name) && member.LagBytes is null)
                is { } unmeasured
                ? new ClusterStep.Wait(
                    ClusterCause.Unhealthy,
                    $"{unmeasured.Name} may be fit to take over from {primary}, but its lag is unknown"
                )
            : new ClusterStep.Disrupt(primary, ClusterTurn.PrimaryInPlace);
    }

    // Conditions of every disruption, and of every wait for a member that starts with a new password.
    private static ClusterStep? BeforeDisruption(ClusterStep step, ClusterView view, ClusterIntent intent)
    {
        if (intent.Pending.IsEmpty)
        {
            return null;
        }

        if (
            step is ClusterStep.Start or ClusterStep.Disrupt or ClusterStep.StopAll or ClusterStep.MoveStore
            && view.Health.Members.Any(member => member.Answers)
        )
        {
            if (view.Store is not { } store)
            {
                return new ClusterStep.Look(ClusterFact.Store, intent.Left);
            }

            if (store.Mistaken is { } mistaken)
            {
                return new ClusterStep.Refuse(ClusterCause.Identity, mistaken.Text);
            }

            // In another namespace than the primary's a member would find no primary and make a database of its own.
            if (view.Health.Leader is { } leader && !store.PrimaryTellsNamespace && WouldBootstrap(view, intent) is { } member)
            {
                return new ClusterStep.Wait(
                    ClusterCause.Bootstrap,
                    $"{member} could create a new database: the namespace of the primary {leader} is unknown"
                );
            }
        }

        return view.Health.Leader is { } primary && !view.HasReplicationPassword ? new ClusterStep.SetReplicationPassword(primary) : null;
    }

    // Conditions of a step beyond Patroni's own answers.
    private static ClusterStep Guarded(ClusterStep step, ClusterView view, ClusterIntent intent)
    {
        switch (step)
        {
            // The store cannot be asked: it goes by the former password, and the file has the new one by now. That every member reached a
            // quorum lately is part of the cluster's health.
            case ClusterStep.StopAll or ClusterStep.MoveStore:
                // The declared store must be there before the members leave the former one, where it does not begin with them.
                if (
                    step is ClusterStep.MoveStore
                    && !view.StoreWords.RunsInPatroni
                    && WithStore(step, view, intent.Left, mend: false) is var first
                    && first != step
                )
                {
                    return first;
                }

                ImmutableArray<string> streaming =
                [
                    .. view
                        .Health.Members.Where(member => !member.Leads && member.Replication == "streaming")
                        .Select(member => member.Name),
                ];
                // A primary that goes on serving would keep the fence.
                var stopped = step is ClusterStep.StopAll(var members) ? members : ((ClusterStep.MoveStore)step).Members;
                return view.Health.Leader is { } last && stopped.Contains(last) && !streaming.IsEmpty && !view.IsFenced
                    ? new ClusterStep.FenceCommits(last, streaming)
                    : step;
            case ClusterStep.Disrupt { Turn: ClusterTurn.NotRunning, Member: var late }:
                // It is safe while the others do not need it: none of them is rejoining the store.
                return !MayBeLate(view, [late]) ? step : WithStore(step, view, intent.Left.Add(late), mend: false);
            case ClusterStep.Disrupt or ClusterStep.Done or ClusterStep.SwitchOver { IsPreferred: true }:
                return view.Health.Members.Any(member => member.Answers) ? WithStore(step, view, intent.Left, mend: true) : step;
            case ClusterStep.SwitchOver:
                return WithStore(step, view, intent.Left, mend: false);
            // Nothing that is still to come brings these back.
            case ClusterStep.Wait:
                return view.LostForGood is not { } lost ? new ClusterStep.Look(ClusterFact.Lost, intent.Pending)
                    : lost.Length == 0 ? step
                    : new ClusterStep.Refuse(ClusterCause.Lost, lost + "; no other member is disrupted until then");
            default:
                return step;
        }
    }

    private static ClusterStep WithStore(ClusterStep step, ClusterView view, ImmutableSortedSet<string> without, bool mend) =>
        view.Store is not { } store || !store.Without.SetEquals(without) ? new ClusterStep.Look(ClusterFact.Store, without)
        : store.Problems.IsEmpty ? step
        : mend ? new ClusterStep.MendStore(store.Problems)
        : new ClusterStep.Wait(ClusterCause.Store, Texts(store.Problems));

    private static ImmutableSortedSet<string> FormerData(ClusterView view, ClusterIntent intent) =>
        intent.Pending.Except(intent.Leaving).Intersect(view.WithFormerData);

    // Members with another password are stopped and started together, because one after another they would lose the quorum.
    private static bool ChangesStorePassword(ClusterView view, ClusterIntent intent) =>
        !intent.OnlyServer && intent.Leaving.IsEmpty && intent.Pending.Any(view.WithOtherStorePassword.Contains);

    // A change of the store's password was cut off on its way: some member has the new one already.
    private static bool IsHalfway(ClusterView view) => view.WithStorePassword.Any(name => !view.Stopped.Contains(name));

    // A primary that was slow to answer, for example, looks like a cluster without one.
    private static bool MayBeLate(ClusterView view, ImmutableArray<string> down) =>
        view.Waited < view.Silence
        && down.Any(name => !view.Stopped.Contains(name) && view.Member(name) is not { State: "start failed" or "crashed" or "stopped" });

    // The member that would make a database if it found no primary: it alone may, and has no data, or has what it has set aside.
    private static string? WouldBootstrap(ClusterView view, ClusterIntent intent) =>
        view.BootstrapHost is { } name
        && intent.Pending.Contains(name)
        && !intent.Leaving.Contains(name)
        && (view.HoldsData.GetValueOrDefault(name) != true || view.WithFormerData.Contains(name))
            ? name
            : null;

    private static string? Preferred(ClusterView view, ClusterIntent intent) =>
        !view.Health.IsPaused
        && intent.Preferred is { } name
        && view.Health.Leader is { } leader
        && leader != name
        && !intent.Leaving.Contains(name)
            ? Fit(name, view.Health)
            : null;

    private static ClusterStep.Wait Unhealthy(ImmutableArray<HealthProblem> problems) => new(ClusterCause.Unhealthy, Texts(problems));

    private static string Texts(ImmutableArray<HealthProblem> problems) => string.Join("; ", problems);
}
