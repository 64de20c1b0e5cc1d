using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>Decides from the state of a group which member is disrupted next; a part of <see cref="IGroupPolicy"/>.</summary>
public interface IRollout
{
    /// <summary>Reads the group and decides which members may be disrupted. Called again until it answers <see cref="RolloutTurn.Go"/> or
    /// <see cref="RolloutTurn.Stop"/>, or the time that <see cref="GateTimeout"/> gives has passed.</summary>
    /// <param name="policy">The group's policy.</param>
    /// <param name="state">The members still to be disrupted.</param>
    /// <param name="access">The members.</param>
    /// <param name="cancellationToken">Ends it, also a step that has begun; a run that is only to stop lets it finish.</param>
    Task<RolloutTurn> NextAsync(GroupPolicy policy, RolloutState state, IGroupAccess access, CancellationToken cancellationToken);

    /// <summary>Work after a member was removed for good, before any other resource changes. Throws <see
    /// cref="ChangeFailedException"/>.</summary>
    /// <param name="policy">The group's policy.</param>
    /// <param name="host">The member.</param>
    /// <param name="access">The members, those that leave among them.</param>
    /// <param name="cancellationToken">Ends it.</param>
    Task LeftAsync(GroupPolicy policy, string host, IGroupAccess access, CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Undoes what prepared a restart of members together (<see cref="RolloutStepKind.RestartTogether"/>) that was not made, or
    /// failed on a member: one that runs on must not keep it. Does not throw; answers null, or what may remain.</summary>
    /// <param name="policy">The group's policy.</param>
    /// <param name="access">The members.</param>
    Task<string?> WithdrawAsync(GroupPolicy policy, IGroupAccess access) => Task.FromResult<string?>(null);

    /// <summary>How long a gate may stay shut before the roll-out stops.</summary>
    TimeSpan GateTimeout(GroupPolicy policy);
}

/// <summary>How far a roll-out has come.</summary>
/// <param name="ToCome">The members that have still to be disrupted.</param>
/// <param name="Leaving">Those of all members that are taken down and do not come back.</param>
public sealed record RolloutState(ImmutableSortedSet<string> ToCome, ImmutableSortedSet<string> Leaving)
{
    /// <summary>The members whose turns come after those of <see cref="ToCome"/>, which all leave: changes of theirs wait for the removal.
    /// Empty where none does.</summary>
    public ImmutableSortedSet<string> Later { get; init; } = [];

    /// <summary>All members that have still to be disrupted, now or later.</summary>
    public ImmutableSortedSet<string> All => ToCome.Union(Later);

    /// <summary>The members that have already left.</summary>
    public ImmutableSortedSet<string> Left => Leaving.Except(ToCome);

    /// <summary>Whether changes that the group's policy comes after are still being made, such as the roll-out of the group behind it:
    /// what serves is then better left alone. A wait meanwhile is not held against the gate's time.</summary>
    public bool Unsettled { get; init; }

    /// <summary>Why the roll-out of a group behind this one has stopped; null when it has not. Serving members then stay
    /// unchanged.</summary>
    public string? FailedBehind { get; init; }

    /// <summary>How long this gate has been shut by now; zero at the first look.</summary>
    public TimeSpan Waited { get; init; }
}

/// <summary>The next step of a roll-out.</summary>
public abstract record RolloutTurn
{
    private RolloutTurn() { }

    /// <summary>These members may be disrupted now, together; with none left to come, the last gate is open.</summary>
    /// <param name="Hosts">Members out of those to come.</param>
    public sealed record Go(ImmutableArray<string> Hosts) : RolloutTurn
    {
        /// <summary>What is done to them, unless they leave.</summary>
        public RolloutStepKind Kind { get; init; } = RolloutStepKind.Restart;

        /// <summary>Whether it is a part of a step that has begun: it is not reported as another one, and neither it nor what comes after
        /// it waits for a maintenance window.</summary>
        public bool Continues { get; init; }
    }

    /// <summary>No member yet.</summary>
    /// <param name="Reason">The awaited condition.</param>
    public sealed record Wait(string Reason) : RolloutTurn
    {
        /// <summary>How far what is waited for has come, such as the bytes of a copy. While it grows, the gate's time does not
        /// run.</summary>
        public long Progress { get; init; }
    }

    /// <summary>No further member.</summary>
    /// <param name="Reason">Why, for the operator.</param>
    public sealed record Stop(string Reason) : RolloutTurn;
}
