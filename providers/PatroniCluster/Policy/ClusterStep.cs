using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;

/// <summary>The next thing to be done with a cluster: a value, performed by one executor and by nothing else.</summary>
public abstract record ClusterStep
{
    private ClusterStep() { }

    /// <summary>Read more before deciding.</summary>
    /// <param name="Fact">What.</param>
    /// <param name="Without">Members that count as gone.</param>
    public sealed record Look(ClusterFact Fact, ImmutableSortedSet<string> Without) : ClusterStep;

    /// <summary>Stop members that were lost and have come back, and keep their data aside.</summary>
    /// <param name="Journal">The recovery without them.</param>
    /// <param name="Members">The members.</param>
    public sealed record SetAside(RecoveryJournal Journal, ImmutableArray<string> Members) : ClusterStep;

    /// <summary>Start members that do not run, together: a consensus store elects no leader before a majority runs.</summary>
    /// <param name="Members">The members.</param>
    public sealed record Start(ImmutableArray<string> Members) : ClusterStep;

    /// <summary>Restart, replace or remove one member, as the change has it.</summary>
    /// <param name="Member">The member.</param>
    /// <param name="Turn">Why it is this one's turn.</param>
    public sealed record Disrupt(string Member, ClusterTurn Turn) : ClusterStep;

    /// <summary>Stop and start members together, for a new password of the consensus store.</summary>
    /// <param name="Members">The members.</param>
    public sealed record StopAll(ImmutableArray<string> Members) : ClusterStep;

    /// <summary>Empty the declared consensus store of what it holds of the cluster, stop the members, take their containers with the former
    /// one away, and let the first member start. No member starts with it before no member can start with the former one.</summary>
    /// <param name="Members">The members, those that have stopped already among them; the primary last.</param>
    /// <param name="First">The member that leads afterwards; null for the last primary by the data directories.</param>
    public sealed record MoveStore(ImmutableArray<string> Members, string? First) : ClusterStep;

    /// <summary>Hand the primary's role over.</summary>
    /// <param name="From">The primary.</param>
    /// <param name="To">The replica that takes over.</param>
    /// <param name="IsPreferred">Whether it is done for the preferred primary's sake alone.</param>
    public sealed record SwitchOver(string From, string To, bool IsPreferred) : ClusterStep;

    /// <summary>Give the primary the replication password that members are started with from now on.</summary>
    /// <param name="Primary">The primary.</param>
    public sealed record SetReplicationPassword(string Primary) : ClusterStep;

    /// <summary>Let commits wait for all of these replicas, until they have every acknowledged row.</summary>
    /// <param name="Primary">The primary.</param>
    /// <param name="Replicas">The replicas.</param>
    public sealed record FenceCommits(string Primary, ImmutableArray<string> Replicas) : ClusterStep;

    /// <summary>Remove former members from the consensus store, which is not healthy.</summary>
    /// <param name="Problems">What it says.</param>
    public sealed record MendStore(ImmutableArray<HealthProblem> Problems) : ClusterStep;

    /// <summary>Disrupt no member yet.</summary>
    /// <param name="Cause">The kind of reason.</param>
    /// <param name="Text">The reason, for the operator.</param>
    public sealed record Wait(ClusterCause Cause, string Text) : ClusterStep;

    /// <summary>Disrupt no further member.</summary>
    /// <param name="Cause">The kind of reason.</param>
    /// <param name="Text">The reason, for the operator.</param>
    public sealed record Refuse(ClusterCause Cause, string Text) : ClusterStep;

    /// <summary>Nothing is left to do, and the cluster is healthy.</summary>
    public sealed record Done : ClusterStep;
}

/// <summary>Facts of a <see cref="ClusterView"/> that are read only when they are needed.</summary>
public enum ClusterFact
{
    /// <summary><see cref="ClusterView.Store"/>.</summary>
    Store,

    /// <summary><see cref="ClusterView.LostForGood"/>.</summary>
    Lost,
}

/// <summary>Why it is a member's turn.</summary>
public enum ClusterTurn
{
    /// <summary>It does not serve.</summary>
    NotRunning,

    /// <summary>It is the replica with the least lag.</summary>
    Replica,

    /// <summary>It is the primary, and no other member can take over.</summary>
    PrimaryInPlace,

    /// <summary>It is the primary, which has to come before the standbys.</summary>
    PrimaryFirst,
}

/// <summary>Kinds of reasons for waiting and for refusing.</summary>
public enum ClusterCause
{
    /// <summary>Too few members would stay to elect a primary.</summary>
    Majority,

    /// <summary>The members are not the cluster that is meant.</summary>
    Identity,

    /// <summary>Patroni is paused.</summary>
    Paused,

    /// <summary>Several members are primaries.</summary>
    SeveralPrimaries,

    /// <summary>A member's data is to be set aside, and no other member has it.</summary>
    FormerData,

    /// <summary>A member would initialise an empty database beside data.</summary>
    Bootstrap,

    /// <summary>Members would keep another password of the consensus store than the others.</summary>
    StorePassword,

    /// <summary>Members move to another consensus store.</summary>
    StoreMove,

    /// <summary>The cluster is not healthy.</summary>
    Unhealthy,

    /// <summary>The requested member, or every replica, cannot take over.</summary>
    Unfit,

    /// <summary>The consensus store is not whole.</summary>
    Store,

    /// <summary>Members are down, and nothing in this run starts them.</summary>
    Lost,
}
