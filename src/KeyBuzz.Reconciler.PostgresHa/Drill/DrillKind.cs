namespace KeyBuzz.Reconciler.PostgresHa.Drill;

/// <summary>How a drill takes the lead from the member that has it.</summary>
public enum DrillKind
{
    /// <summary>It hands over, by Patroni's REST API. Nothing breaks.</summary>
    Switchover,

    /// <summary>Its unit is stopped, and started again after the drill.</summary>
    Stop,

    /// <summary>Its container gets SIGKILL; systemd starts it again.</summary>
    Kill,

    /// <summary>Packets of the consensus store, PostgreSQL and REST between it and the other members are dropped; the proxies still
    /// reach it.</summary>
    CutPeers,

    /// <summary>All its packets but those of SSH are dropped.</summary>
    Cut,
}

/// <summary>The texts of each kind, in one place.</summary>
public static class DrillKinds
{
    /// <summary>All kinds, the gentlest first.</summary>
    public static IReadOnlyList<DrillKind> All { get; } = Enum.GetValues<DrillKind>();

    /// <summary>The word on the command line.</summary>
    public static string Word(this DrillKind kind) =>
        kind switch
        {
            DrillKind.CutPeers => "cut-peers",
            _ => kind.ToString().ToLowerInvariant(),
        };

    /// <summary>The fault for a leader of that name, as a clause.</summary>
    public static string Description(this DrillKind kind, string leader) =>
        kind switch
        {
            DrillKind.Switchover => $"switchover away from {leader}",
            DrillKind.Stop => $"PostgreSQL and Patroni are stopped on the primary {leader}",
            DrillKind.Kill => $"the container of the primary {leader} is killed",
            DrillKind.CutPeers => $"the primary {leader} is cut off from the other members",
            _ => $"the primary {leader} is cut off from everything but SSH",
        };

    /// <summary>Whether the fault lasts until it is undone.</summary>
    public static bool Lasts(this DrillKind kind) => kind is DrillKind.Stop or DrillKind.CutPeers or DrillKind.Cut;

    /// <summary>Whether another member has to lead afterwards. A killed one may be back before its lease has run out.</summary>
    public static bool MovesTheLead(this DrillKind kind) => kind is not DrillKind.Kill;
}
