using System.Collections.Immutable;
using KeyBuzz.Reconciler.Providers.ConfigFile;

namespace KeyBuzz.Reconciler.PostgresHa.Drill;

/// <summary>A way that applications come in, and that a drill writes through.</summary>
/// <param name="Name"><c>direct</c> or <c>pooled</c>; also the rows' key in the drill's table.</param>
/// <param name="Address">The load balancer's address, or a proxy's.</param>
/// <param name="Port">Its port.</param>
public sealed record DrillWay(string Name, string Address, int Port)
{
    /// <summary>The ways into a cluster: straight to the leader, and through PgBouncer. Without a load balancer through the first
    /// proxy.</summary>
    public static ImmutableArray<DrillWay> Of(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        var (address, entry) = (topology.Entry.Addresses[0], topology.Entry);
        return [new("direct", address, entry.Port), new("pooled", address, entry.PooledPort)];
    }

    /// <summary>Where it leads, for example <c>10.0.0.10:5432</c>.</summary>
    public string Endpoint => ConfigText.Endpoint(Address, Port);
}

/// <summary>One row that a drill tried to write. A number is tried once: after a failure it is unknown whether the row was
/// written.</summary>
/// <param name="Number">The row's number, from 1.</param>
/// <param name="Sent">When it was sent, on the drill's clock.</param>
/// <param name="Acknowledged">When its commit was acknowledged; null when it was not, or only with the warning that no synchronous standby
/// has it.</param>
/// <param name="Server">The address of the member that acknowledged it; null for none.</param>
public sealed record WriteAttempt(long Number, TimeSpan Sent, TimeSpan? Acknowledged, string? Server)
{
    /// <summary>The timeline that member wrote it on: each takeover begins a new one.</summary>
    public long Timeline { get; init; }
}

/// <summary>The writes through one endpoint.</summary>
/// <param name="Way">The way.</param>
/// <param name="Attempts">The attempts, in their order.</param>
/// <param name="Present">The numbers that are in the table in the end; null when it could not be read.</param>
public sealed record WayMeasurement(DrillWay Way, ImmutableArray<WriteAttempt> Attempts, ImmutableHashSet<long>? Present);

/// <summary>The raw measurements of a drill. All times are on the drill's clock, which starts with it.</summary>
public sealed record DrillMeasurement
{
    /// <summary>The kind of the drill.</summary>
    public required DrillKind Kind { get; init; }

    /// <summary>The cluster's name.</summary>
    public required string Scope { get; init; }

    /// <summary>The member that led before.</summary>
    public required string Leader { get; init; }

    /// <summary>The members' names by their addresses.</summary>
    public required ImmutableSortedDictionary<string, string> Members { get; init; }

    /// <summary>Whether the cluster replicates synchronously.</summary>
    public required bool Synchronous { get; init; }

    /// <summary>When the fault was begun.</summary>
    public required TimeSpan Begun { get; init; }

    /// <summary>When it was complete: later writes are not answered by the old primary.</summary>
    public required TimeSpan Made { get; init; }

    /// <summary>When it was undone; null for a fault that ends by itself.</summary>
    public TimeSpan? Undone { get; init; }

    /// <summary>When the cluster was healthy again; null when it was not in time.</summary>
    public TimeSpan? Whole { get; init; }

    /// <summary>The remaining health problems at the end.</summary>
    public ImmutableArray<string> Problems { get; init; } = [];

    /// <summary>When the writers ended.</summary>
    public required TimeSpan Ended { get; init; }

    /// <summary>How long the service, and after that the cluster, was given to come back.</summary>
    public required TimeSpan Timeout { get; init; }

    /// <summary>What was written.</summary>
    public required ImmutableArray<WayMeasurement> Ways { get; init; }

    /// <summary>When a write through that endpoint was first acknowledged by the primary after the fault; null for none.</summary>
    /// <param name="kind">The kind of drill.</param>
    /// <param name="attempts">The attempts through that way so far.</param>
    /// <param name="leader">The address of the member that led before.</param>
    /// <param name="begun">When the fault was begun.</param>
    /// <param name="made">When it was made.</param>
    public static TimeSpan? BackAt(DrillKind kind, IEnumerable<WriteAttempt> attempts, string leader, TimeSpan begun, TimeSpan made) =>
        attempts
            .Where(attempt => attempt.Acknowledged > begun && (kind.MovesTheLead() ? attempt.Server != leader : attempt.Sent >= made))
            .Min(attempt => attempt.Acknowledged);
}
