namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>One reason why a cluster is not healthy.</summary>
/// <param name="Kind">Its kind, by which decisions are made.</param>
/// <param name="Member">The member that has it; null when it is the whole cluster's.</param>
/// <param name="Text">A sentence for the operator.</param>
public sealed record HealthProblem(HealthProblemKind Kind, string? Member, string Text)
{
    /// <inheritdoc />
    public override string ToString() => Text;
}

/// <summary>The kinds of <see cref="HealthProblem"/>.</summary>
public enum HealthProblemKind
{
    /// <summary>The host could not be read.</summary>
    HostUnreadable,

    /// <summary>Patroni does not answer on the member.</summary>
    PatroniSilent,

    /// <summary>PostgreSQL does not run on the member.</summary>
    NotRunning,

    /// <summary>The replica does not stream.</summary>
    NotStreaming,

    /// <summary>The replica is on another timeline than the primary.</summary>
    OtherTimeline,

    /// <summary>The replica is further behind than allowed.</summary>
    Lagging,

    /// <summary>The member has not reached a quorum of the consensus store lately.</summary>
    StoreNotReached,

    /// <summary>Commits wait for a synchronous standby, and there is none.</summary>
    NoSynchronousStandby,

    /// <summary>The members are not one cluster, or not the cluster that is meant.</summary>
    Identity,

    /// <summary>No member is the primary.</summary>
    NoPrimary,

    /// <summary>Several members are primaries.</summary>
    SeveralPrimaries,

    /// <summary>The consensus store is not whole by its own account.</summary>
    Store,
}
