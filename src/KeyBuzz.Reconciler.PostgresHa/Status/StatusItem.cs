using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>How an item of the checklist stands.</summary>
public enum StatusVerdict
{
    /// <summary>It holds.</summary>
    Ok,

    /// <summary>It does not hold.</summary>
    NotOk,

    /// <summary>It could not be measured.</summary>
    Unknown,
}

/// <summary>One line of the runbook's checklist (docs/runbook.md).</summary>
/// <param name="Name">What is looked at, for example <c>lag</c>.</param>
/// <param name="Verdict">How it stands.</param>
/// <param name="Measured">What was measured, for the operator.</param>
public sealed record StatusItem(string Name, StatusVerdict Verdict, string Measured)
{
    /// <summary>What it is about.</summary>
    public StatusTopic Topic { get; init; }

    /// <summary>Where it does not hold or could not be read; empty where it holds, or where it is the cluster's as a whole.</summary>
    public ImmutableArray<StatusPlace> Places { get; init; } = [];
}

/// <summary>What an item of the checklist is about.</summary>
public enum StatusTopic
{
    /// <summary>Patroni and replication, of the cluster as a whole.</summary>
    Members,

    /// <summary>Patroni's dynamic configuration, with PostgreSQL's parameters and the synchronous mode.</summary>
    Configuration,

    /// <summary>Whether hosts answer.</summary>
    Hosts,

    /// <summary>Units, containers and the ports they listen on.</summary>
    Services,

    /// <summary>HAProxy.</summary>
    Haproxy,

    /// <summary>PgBouncer.</summary>
    Pooler,

    /// <summary>Extensions of the databases.</summary>
    Extensions,

    /// <summary>SQL through the proxies.</summary>
    SqlEndpoints,
}

/// <summary>A service on a host.</summary>
/// <param name="Service">The service; empty for the host itself.</param>
/// <param name="Host">The host.</param>
public sealed record StatusPlace(string Service, string Host);

/// <summary>What the checklist comes to, for somebody who has to decide at once.</summary>
/// <param name="Writes">Whether the application can write through the load balancer.</param>
/// <param name="WritesNote">Which way does not work, and why; empty where all do.</param>
/// <param name="Serving">How many members serve: the primary, and the replicas that stream.</param>
/// <param name="Members">How many there are.</param>
/// <param name="Unreachable">The hosts that could not be read.</param>
/// <param name="Causes">Why not everything holds, the unreachable hosts first; empty when all holds.</param>
public sealed record StatusConclusion(
    StatusVerdict Writes,
    string WritesNote,
    int Serving,
    int Members,
    ImmutableArray<string> Unreachable,
    ImmutableArray<string> Causes
);

/// <summary>The whole checklist.</summary>
/// <param name="Items">Its lines, in the order they are shown.</param>
/// <param name="Conclusion">What they come to.</param>
public sealed record ClusterStatus(ImmutableArray<StatusItem> Items, StatusConclusion Conclusion)
{
    /// <summary>How the cluster stands: what could not be measured beats what does not hold.</summary>
    public StatusVerdict Verdict =>
        Items.Any(item => item.Verdict == StatusVerdict.Unknown) ? StatusVerdict.Unknown
        : Items.Any(item => item.Verdict == StatusVerdict.NotOk) ? StatusVerdict.NotOk
        : StatusVerdict.Ok;
}
