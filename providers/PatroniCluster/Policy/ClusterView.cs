using System.Collections.Immutable;
using KeyBuzz.Reconciler.Providers.ConsensusStore;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;

/// <summary>The facts about a cluster that <see cref="ClusterPolicy"/> decides by. Facts that are dear to read, or that only some
/// decisions need, are null until a <see cref="ClusterStep.Look"/> asked for them.</summary>
/// <param name="Names">All members, those that have left among them.</param>
/// <param name="Health">The health of those that have not left.</param>
public sealed record ClusterView(ImmutableArray<string> Names, PatroniHealth Health)
{
    /// <summary>Members whose container does not run.</summary>
    public ImmutableSortedSet<string> Stopped { get; init; } = [];

    /// <summary>Members that an operator fenced: nothing starts them, and they do not count for a majority.</summary>
    public ImmutableSortedSet<string> Fenced { get; init; } = [];

    /// <summary>The recovery that the members know of, and those that have come back as they were lost; null for none.</summary>
    public RecoveryVerdict.Known? Recovery { get; init; }

    /// <summary>Members that are still to join: they have no container, and the consensus store does not count them.</summary>
    public ImmutableSortedSet<string> Joining { get; init; } = [];

    /// <summary>Whether each member's data directory holds a database; null where that is not known.</summary>
    public ImmutableSortedDictionary<string, bool?> HoldsData { get; init; } = ImmutableSortedDictionary<string, bool?>.Empty;

    /// <summary>The member that may initialise the cluster; null for none.</summary>
    public string? BootstrapHost { get; init; }

    /// <summary>Why the members are another cluster; null when they are the declared one.</summary>
    public IdentityProblem? Mistaken { get; init; }

    /// <summary>Members whose data lies where an installation by hand had it: in their turn it is set aside, and they copy it from the
    /// primary.</summary>
    public ImmutableSortedSet<string> WithFormerData { get; init; } = [];

    /// <summary>The consensus store in the operator's words.</summary>
    public StoreWords StoreWords { get; init; } = new("the consensus store", "");

    /// <summary>Members whose container was started with the wanted password of the consensus store.</summary>
    public ImmutableSortedSet<string> WithStorePassword { get; init; } = [];

    /// <summary>Members whose container was started with another one: they cannot communicate with the others.</summary>
    public ImmutableSortedSet<string> WithOtherStorePassword { get; init; } = [];

    /// <summary>Members whose container uses another consensus store than the declared one.</summary>
    public ImmutableSortedSet<string> InFormerStore { get; init; } = [];

    /// <summary>Those of them whose image changes, too.</summary>
    public ImmutableSortedSet<string> WithOtherImage { get; init; } = [];

    /// <summary>Members between two stores: the container with the former one is gone, and there is none with the declared one
    /// yet.</summary>
    public ImmutableSortedSet<string> BetweenStores { get; init; } = [];

    /// <summary>Members whose container uses the declared store; told only where others do not.</summary>
    public ImmutableSortedSet<string> InDeclaredStore { get; init; } = [];

    /// <summary>Members of which it is unknown which store they use: they could not be read.</summary>
    public ImmutableSortedSet<string> InUnknownStore { get; init; } = [];

    /// <summary>The members that have still to come to the declared store.</summary>
    public ImmutableSortedSet<string> Moving => InFormerStore.Union(BetweenStores);

    /// <summary>Whether a move has begun: a member is stopped for it, or has lost its container.</summary>
    public bool IsMoveHalfway => !BetweenStores.IsEmpty || InFormerStore.Any(Stopped.Contains);

    /// <summary>The name of the former store; empty where nobody moves.</summary>
    public string FormerStore { get; init; } = "";

    /// <summary>The member with the newest data by its data directory: it was the last primary. Null where that is not known.</summary>
    public string? LastPrimary { get; init; }

    /// <summary>How long a member that does not serve may only be late to answer.</summary>
    public TimeSpan Silence { get; init; }

    /// <summary>How long the roll-out has waited at this point.</summary>
    public TimeSpan Waited { get; init; }

    /// <summary>The consensus store's own account; null until asked.</summary>
    public StoreView? Store { get; init; }

    /// <summary>The members of a store that has its own, and whether each is connected: they vote whether or not Patroni runs beside them.
    /// Null where a member votes through its Patroni.</summary>
    public ImmutableSortedDictionary<string, bool>? StoreMembers { get; init; }

    /// <summary>Whether the primary has the replication password that members start with.</summary>
    public bool HasReplicationPassword { get; init; }

    /// <summary>Whether commits wait for every replica, so that whichever leads after a stop of all has every acknowledged row.</summary>
    public bool IsFenced { get; init; }

    /// <summary>Why the cluster cannot become healthy by waiting, empty when it can; null until asked.</summary>
    public string? LostForGood { get; init; }

    /// <summary>The cluster as it is without some of the members.</summary>
    public ClusterView Without(ImmutableSortedSet<string> names)
    {
        ArgumentNullException.ThrowIfNull(names);
        return names.IsEmpty
            ? this
            : this with
            {
                Names = Names.RemoveAll(names.Contains),
                Health = Health with
                {
                    Members = Health.Members.RemoveAll(member => names.Contains(member.Name)),
                    Problems = Health.Problems.RemoveAll(problem => problem.Member is { } name && names.Contains(name)),
                },
                Stopped = Stopped.Except(names),
                InUnknownStore = InUnknownStore.Except(names),
            };
    }

    /// <summary>A member by its name; null when it has left, or is none.</summary>
    public PatroniMember? Member(string name) => Health.Members.FirstOrDefault(member => member.Name == name);

    /// <summary>Whether a member does not serve: to disrupt it costs nothing.</summary>
    public bool IsDown(string name) => Stopped.Contains(name) || Member(name) is not { IsRunning: true };

    /// <summary>Whether a majority of the members serves, so that waiting for an election makes sense.</summary>
    public bool HasRunningMajority => Health.Members.Count(member => member.IsRunning) > Names.Length / 2;
}

/// <summary>The consensus store's own status.</summary>
/// <param name="Without">The members that counted as removed when it was read.</param>
/// <param name="Problems">Its problems; empty for none.</param>
public sealed record StoreView(ImmutableSortedSet<string> Without, ImmutableArray<HealthProblem> Problems)
{
    /// <summary>Why the members are another cluster, judged from the store; null when they are the declared one.</summary>
    public IdentityProblem? Mistaken { get; init; }

    /// <summary>Whether the primary says under which path of the store its cluster lies.</summary>
    public bool PrimaryTellsNamespace { get; init; } = true;
}

/// <summary>A consensus store in the operator's words.</summary>
/// <param name="Name">Its name.</param>
/// <param name="PasswordPostponement">How its password is postponed, as sentences.</param>
public sealed record StoreWords(string Name, string PasswordPostponement)
{
    /// <summary>Whether it runs inside of Patroni: nobody is elected before a majority of the members runs.</summary>
    public bool RunsInPatroni { get; init; }

    /// <summary>The words of a store.</summary>
    public static StoreWords Of(IConsensusStore store)
    {
        ArgumentNullException.ThrowIfNull(store);
        return new StoreWords(store.Name, store.PasswordPostponement) { RunsInPatroni = store.RunsInPatroni };
    }
}

/// <summary>What a change asks of a cluster.</summary>
/// <param name="Pending">The members that have still to be disrupted.</param>
/// <param name="Leaving">Those of all members that are taken down for good.</param>
public sealed record ClusterIntent(ImmutableSortedSet<string> Pending, ImmutableSortedSet<string> Leaving)
{
    /// <summary>Disrupts no member: the cluster only has to be healthy, with the preferred primary.</summary>
    public static ClusterIntent Settle { get; } = new([], []);

    /// <summary>The members whose turns come after those of <see cref="Pending"/>, which all leave.</summary>
    public ImmutableSortedSet<string> Later { get; init; } = [];

    /// <summary>All members that have still to be disrupted, now or later.</summary>
    public ImmutableSortedSet<string> All => Pending.Union(Later);

    /// <summary>Whether only PostgreSQL is restarted, by Patroni, and no container.</summary>
    public bool OnlyServer { get; init; }

    /// <summary>Whether the primary is restarted first and in place: a standby may not have less than it of some parameters.</summary>
    public bool PrimaryFirst { get; init; }

    /// <summary>The member that is to be the primary in the end; null when any may.</summary>
    public string? Preferred { get; init; }

    /// <summary>The members that have already left.</summary>
    public ImmutableSortedSet<string> Left => Leaving.Except(Pending);

    /// <summary>Whether every member to be disrupted is removed for good.</summary>
    public bool OnlyRemoves => All.IsSubsetOf(Leaving);
}
