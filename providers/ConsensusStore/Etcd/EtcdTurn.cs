using System.Collections.Immutable;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Etcd;

/// <summary>One host of etcd's group as a roll-out sees it.</summary>
/// <param name="Name">The host.</param>
/// <param name="Runs">Whether its container runs; true where that is not known.</param>
/// <param name="HoldsData">Whether it holds etcd's data; null where that is not known.</param>
public sealed record EtcdHost(string Name, bool Runs, bool? HoldsData)
{
    /// <summary>For how long its container has run; null where that is not known, or it does not run.</summary>
    public TimeSpan? Uptime { get; init; }

    /// <summary>Whether kbr has marked it: it starts a new cluster with the others that are marked.</summary>
    public bool IsMarked { get; init; }

    /// <summary>Whether etcd's list has it as a learner, which has not got all data yet.</summary>
    public bool IsLearner { get; init; }
}

/// <summary>Which of etcd's members may be disrupted next. Pure.</summary>
public static class EtcdTurn
{
    // Patroni notes the time of its last look in whole seconds.
    private static readonly TimeSpan s_margin = TimeSpan.FromSeconds(2);

    /// <summary>The next step of a roll-out.</summary>
    /// <param name="hosts">The hosts that stay or have still to leave.</param>
    /// <param name="health">etcd by its own account.</param>
    /// <param name="state">The members to be disrupted.</param>
    /// <param name="patroni">Patroni on the same hosts: it must have renewed the primary's lease since the last restart.</param>
    public static RolloutTurn Decide(IReadOnlyList<EtcdHost> hosts, StoreHealth health, RolloutState state, PatroniHealth patroni)
    {
        ArgumentNullException.ThrowIfNull(hosts);
        ArgumentNullException.ThrowIfNull(health);
        ArgumentNullException.ThrowIfNull(state);
        // Starting a member that is down disrupts nothing.
        ImmutableArray<EtcdHost> down = [.. hosts.Where(host => !host.Runs && state.ToCome.Contains(host.Name))];
        if (!down.IsEmpty)
        {
            return Start(hosts, health, down);
        }

        // The change may repair the only member that is not well.
        var ill = health.Problems.Select(problem => problem.Member).Distinct().ToList();
        if (ill is [{ } one] && state.ToCome.Contains(one) && health.Leader is not null && health.Leader != one)
        {
            return new RolloutTurn.Go([one]);
        }

        return !health.Problems.IsEmpty ? new RolloutTurn.Wait(string.Join("; ", health.Problems))
            : state.ToCome.IsEmpty ? new RolloutTurn.Go([])
            : PendingAt(hosts, patroni) is { } pending ? new RolloutTurn.Wait(pending)
            : new RolloutTurn.Go([state.ToCome.OrderBy(name => name == health.Leader).First()]);
    }

    // In a new cluster all of them start together, since one alone has no quorum; so do those that have data. One without data joins those
    // that run, and etcd takes one learner at a time.
    private static RolloutTurn Start(IReadOnlyList<EtcdHost> hosts, StoreHealth health, ImmutableArray<EtcdHost> down)
    {
        if (hosts.All(host => !host.Runs && host.HoldsData != true))
        {
            return hosts.FirstOrDefault(host => host.HoldsData is null) is { } unknown
                ? new RolloutTurn.Wait($"it is unknown whether {unknown.Name} holds etcd's data")
                : Starts(down);
        }

        ImmutableArray<EtcdHost> able = [.. down.Where(host => host.HoldsData == true || host.IsMarked)];
        if (!able.IsEmpty)
        {
            return Starts(able);
        }

        var next = down.FirstOrDefault(host => host.IsLearner) ?? down[0];
        return health.Leader is null
                ? new RolloutTurn.Wait($"{next.Name} has no data, and etcd has no leader with a quorum that it could join")
            : hosts.FirstOrDefault(host => host.IsLearner && host != next) is { } learner
                ? new RolloutTurn.Wait($"{next.Name} joins etcd when {learner.Name} has all data")
            : Starts([next]);

        static RolloutTurn Starts(ImmutableArray<EtcdHost> hosts) =>
            new RolloutTurn.Go([.. hosts.Select(host => host.Name)]) { Kind = RolloutStepKind.Start };
    }

    /// <summary>The member that leads etcd before the leader is restarted: one that had its turn, where there is one. Null where no
    /// leader's turn has come, or nobody can take over.</summary>
    /// <param name="view">etcd's members.</param>
    /// <param name="turn">The decided step.</param>
    /// <param name="toCome">The members to be disrupted.</param>
    public static EtcdMember? SuccessorOf(EtcdView view, RolloutTurn turn, ImmutableSortedSet<string> toCome)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(toCome);
        return turn is RolloutTurn.Go { Kind: RolloutStepKind.Restart } go && view.Leader is { } leader && go.Hosts.Contains(leader.Name)
            ? view
                .Voters.Where(member => member != leader && view.IsConnected(member))
                .OrderBy(member => toCome.Contains(member.Name))
                .FirstOrDefault()
            : null;
    }

    // A primary whose lease is late would be demoted by another pause of etcd: each restart waits until Patroni has gone through a whole
    // loop since the last one. Ages are by each host's own clock, so the clocks need not agree.
    private static string? PendingAt(IReadOnlyList<EtcdHost> hosts, PatroniHealth patroni)
    {
        ArgumentNullException.ThrowIfNull(patroni);
        if (patroni.Members.All(member => !member.Answers))
        {
            // A cluster without a running Patroni has nothing to lose.
            return null;
        }

        if (patroni.Leader is null)
        {
            return patroni.SeveralPrimaries
                ?? "no PostgreSQL member is the primary: a restart of etcd would delay the election (kbr status)";
        }

        var (loop, since) = (patroni.Failover.LoopWait + s_margin, TimeSpan.MaxValue);
        foreach (var host in hosts)
        {
            since = host.Uptime is { } uptime && uptime < since ? uptime : since;
        }

        foreach (var member in patroni.Members)
        {
            if (member is { Answers: true, DcsAge: { } age } && (age >= since || age > loop))
            {
                return $"{member.Name}: Patroni reached etcd {age.TotalSeconds:0} s ago, which must be after the last restart and at most "
                    + $"{loop.TotalSeconds:0} s ago (kbr logs patroni@{member.Name})";
            }
        }

        return since < loop ? $"Patroni's next loop, at most {loop.TotalSeconds:0} s after the last restart" : null;
    }

    /// <summary>Whether the members are to start a new cluster: no host holds data, none runs, and every host was read.</summary>
    public static bool IsNew(IReadOnlyList<EtcdHost> hosts) => hosts.All(host => host is { Runs: false, HoldsData: false });
}

/// <summary>What etcd's group looks like now.</summary>
/// <param name="Running">The hosts on which it runs.</param>
/// <param name="Leader">Its leader; null for none.</param>
internal sealed record EtcdOutlook(ImmutableSortedSet<string> Running, string? Leader) : GroupOutlook
{
    /// <summary>The steps of a roll-out; null when it disrupts no member that runs, or all of them leave.</summary>
    public RolloutForecast? Forecast(Address group, RolloutState state)
    {
        // No change of a member of etcd waits for the removal of another one.
        state = new RolloutState(state.All, state.Leaving);
        var serving = state.ToCome.Intersect(Running);
        if (serving.IsEmpty || Running.IsSubsetOf(state.Leaving))
        {
            return null;
        }

        var steps = ImmutableArray.CreateBuilder<RolloutStep>();
        var down = state.ToCome.Except(serving).Except(state.Leaving);
        if (!down.IsEmpty)
        {
            steps.Add(new RolloutStep(RolloutStepKind.Start, [.. down], "not running"));
        }

        steps.AddRange(
            state
                .ToCome.Except(down)
                .OrderBy(host => host == Leader)
                .Select(host => new RolloutStep(
                    state.Leaving.Contains(host) ? RolloutStepKind.Remove : RolloutStepKind.Restart,
                    [host],
                    host == Leader ? "the leader of etcd" : ""
                ))
        );
        return new RolloutForecast(
            group,
            steps.ToImmutable(),
            null,
            "PostgreSQL goes on: etcd's leader moves first, and each restart waits for Patroni"
        );
    }
}
