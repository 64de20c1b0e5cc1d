using System.Collections.Immutable;
using KeyBuzz.Reconciler.Applying;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>A cluster as a roll-out sees it, and whose turn that makes it. Pure.</summary>
/// <param name="Names">All members.</param>
/// <param name="Health">The health of those that have not left.</param>
/// <param name="Stopped">Members whose container does not run.</param>
/// <param name="HoldsData">Whether each member's data directory holds a PostgreSQL; null where that is not known.</param>
/// <param name="BootstrapHost">The member that may initialise the cluster, or null.</param>
internal sealed record RolloutView(
    IReadOnlyList<string> Names,
    PatroniHealth Health,
    IReadOnlySet<string> Stopped,
    IReadOnlyDictionary<string, bool?> HoldsData,
    string? BootstrapHost
)
{
    /// <summary>How long one who does not serve may only be late.</summary>
    public required TimeSpan Silence { get; init; }

    /// <summary>Why the members are not the cluster that is meant; null when they are.</summary>
    public IdentityProblem? Mistaken { get; init; }

    /// <summary>Members whose container was started with the RAFT password that is wanted.</summary>
    public IReadOnlySet<string> WithPassword { get; init; } = ImmutableHashSet<string>.Empty;

    /// <summary>Members whose container was started with another one: they and the others do not hear each other.</summary>
    public IReadOnlySet<string> WithOtherPassword { get; init; } = ImmutableHashSet<string>.Empty;

    /// <summary>Members whose data lies where an installation by hand had it: it is set aside in their turn, and they copy it from the
    /// leader.</summary>
    public ImmutableSortedSet<string> WithFormerData { get; init; } = [];

    /// <summary>Whether RAFT's password is being changed: those who have another are stopped and started together, because one after
    /// another they would lose the quorum.</summary>
    public bool ChangesPassword(RolloutState state) => state.Leaving.IsEmpty && state.ToCome.Any(WithOtherPassword.Contains);

    /// <summary>Whether a change of RAFT's password was cut off on its way: some member has the new one already.</summary>
    public bool IsHalfway => WithPassword.Any(name => !Stopped.Contains(name));

    /// <summary>Whether a member does not serve: to disrupt it costs nothing.</summary>
    public bool IsDown(string name) => Stopped.Contains(name) || Member(name) is not { IsRunning: true };

    /// <summary>Why nobody is restarted while Patroni is paused.</summary>
    internal const string Paused =
        "Patroni is paused, so that it would start nothing again and let nobody take over; end the pause "
        + "('patronictl resume'), and apply again";

    /// <summary>Whether one who does not serve by this look may be well by the next: the leader that was slow to answer, for example, looks
    /// like a cluster without one.</summary>
    public bool MayBeLate(IEnumerable<string> down, RolloutState state) =>
        state.Waited < Silence
        && down.Any(name => !Stopped.Contains(name) && Member(name) is not { State: "start failed" or "crashed" or "stopped" });

    /// <summary>Whose turn it is.</summary>
    public RolloutTurn Decide(RolloutState state)
    {
        if (Breaks(state) is { } broken)
        {
            return new RolloutTurn.Stop(broken);
        }

        if (Mistaken is not null)
        {
            return new RolloutTurn.Stop(Mistaken.Text);
        }

        if (Health.IsPaused && !state.ToCome.IsSubsetOf(state.Leaving))
        {
            return new RolloutTurn.Stop(Paused);
        }

        if (Health.SeveralPrimaries is { } several)
        {
            return new RolloutTurn.Wait(several);
        }

        // Set aside everywhere, the data would be nowhere: one that leads keeps it until another one has it.
        var former = state.ToCome.Except(state.Leaving).Intersect(WithFormerData);
        if (!former.IsEmpty && ChangesPassword(state))
        {
            return new RolloutTurn.Stop(
                $"{string.Join(" and ", former)} would be stopped together for another RAFT password, and each has to "
                    + $"copy its data from a member that leads. "
                    + "Write 'raft_password: false' under 'postgres' until all of them have; RAFT gets its password by a later apply"
            );
        }

        if (!former.IsEmpty && Health.Leader is null)
        {
            var reason = $"{string.Join(" and ", former)}: the data is to be set aside and copied from the leader, and nobody leads";
            return Health.Members.Count(member => member.IsRunning) > Names.Count / 2
                ? new RolloutTurn.Wait(reason)
                : new RolloutTurn.Stop(reason + ". Start PostgreSQL as it was first");
        }

        // With RAFT nobody can be elected before a majority runs: whoever is stopped starts together.
        var stopped = state.ToCome.Where(Stopped.Contains).ToImmutableArray();
        if (!stopped.IsEmpty)
        {
            var refusal = stopped
                .Except(state.Leaving)
                .Select(name => BootstrapGuard.Refusal(name, BootstrapHost, HoldsData, Health.Leader))
                .FirstOrDefault(reason => reason is not null);
            return refusal is null ? new RolloutTurn.Go(stopped)
                // Just after the leader was lost: the others elect one, and the member copies from that.
                : Health.Members.Count(member => member.IsRunning) > Names.Count / 2 ? new RolloutTurn.Wait(refusal)
                : new RolloutTurn.Stop(refusal);
        }

        if (ChangesPassword(state))
        {
            return Health.IsHealthy || IsHalfway
                ? new RolloutTurn.Go([.. state.ToCome.Where(WithOtherPassword.Contains)])
                : new RolloutTurn.Wait(
                    $"RAFT's password is changed on all members together, and only of a healthy cluster: "
                        + $"{string.Join("; ", Health.Problems)}"
                );
        }

        // A member that runs and does not serve is perhaps mended by its change; the others have to be well, so that it is the only one.
        var down = state.ToCome.Where(IsDown).ToList();
        var others = Health.Problems.Where(problem => !down.Any(name => problem.StartsWith(name + ":", StringComparison.Ordinal))).ToList();
        if (down.Count > 0)
        {
            return Health.Leader is null && MayBeLate(down, state) ? new RolloutTurn.Wait(string.Join("; ", Health.Problems))
                : Health.Leader is not null && others.Count > 0 ? new RolloutTurn.Wait(string.Join("; ", others))
                : new RolloutTurn.Go([down[0]]);
        }

        if (!Health.IsHealthy)
        {
            return new RolloutTurn.Wait(string.Join("; ", Health.Problems));
        }

        if (state.ToCome.IsEmpty)
        {
            return new RolloutTurn.Go([]);
        }

        var replica = Replicas(state.ToCome).FirstOrDefault();
        return replica is not null ? new RolloutTurn.Go([replica])
            : Candidate(state, Health.Leader!) is { } candidate ? new RolloutTurn.Wait($"{Health.Leader} hands over to {candidate}")
            : former.Contains(Health.Leader!)
                ? new RolloutTurn.Stop(
                    $"{Health.Leader} leads, nobody can take over from it, and its data is to be set aside and copied from another one"
                )
            : new RolloutTurn.Go([Health.Leader!]);
    }

    /// <summary>The member that would make a database if it found no leader: it alone may, and has no data, or has what it has set
    /// aside.</summary>
    public string? WouldBootstrap(RolloutState state) =>
        BootstrapHost is { } name
        && state.ToCome.Contains(name)
        && !state.Leaving.Contains(name)
        && (HoldsData.GetValueOrDefault(name) != true || WithFormerData.Contains(name))
            ? name
            : null;

    /// <summary>The leader, when it is the only one to come and somebody can take over from it.</summary>
    public string? HasToHandOver(RolloutState state) =>
        Health.IsHealthy && Health.Leader is { } leader && state.ToCome.SetEquals([leader]) && Candidate(state, leader) is not null
            ? leader
            : null;

    /// <summary>Who takes over: the replica that is the least behind and stays, with synchronous replication the synchronous
    /// standby.</summary>
    public string? Candidate(RolloutState state, string leader) =>
        Replicas(
                Names.Where(name =>
                    name != leader && !state.Leaving.Contains(name) && Member(name) is { } member && Health.Unfit(member) is null
                )
            )
            .FirstOrDefault();

    private PatroniMember? Member(string name) => Health.Members.FirstOrDefault(member => member.Name == name);

    private IEnumerable<string> Replicas(IEnumerable<string> names) =>
        Health
            .Members.Where(member => !member.Leads && names.Contains(member.Name))
            .OrderBy(member => member.LagBytes ?? long.MaxValue)
            .ThenBy(member => member.Name, StringComparer.Ordinal)
            .Select(member => member.Name);

    // Who has left still counts for the majority.
    private string? Breaks(RolloutState state)
    {
        var majority = (Names.Count / 2) + 1;
        var staying = Names.Count - state.Leaving.Count;
        return staying == 0 || staying >= majority || state.Leaving.IsEmpty
            ? null
            : $"{string.Join(" and ", state.Leaving)} would leave {staying} of {Names.Count} members, and "
                + $"{majority} are needed to elect a leader; take down fewer, or the whole cluster";
    }
}
