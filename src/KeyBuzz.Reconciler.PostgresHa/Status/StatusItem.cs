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
/// <param name="Name">The check, for example <c>lag</c>.</param>
/// <param name="Verdict">How it stands.</param>
/// <param name="Measured">What was measured, for the operator.</param>
public sealed record StatusItem(string Name, StatusVerdict Verdict, string Measured)
{
    /// <summary>Its topic.</summary>
    public StatusTopic Topic { get; init; }

    /// <summary>Where it does not hold or could not be read; empty where it holds, or where it is the cluster's as a whole.</summary>
    public ImmutableArray<StatusPlace> Places { get; init; } = [];

    /// <summary>For one that is unknown only because hosts could not be read: the check that names them.</summary>
    public string? UnknownBy { get; init; }
}

/// <summary>The topic of a check.</summary>
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

    /// <summary>The virtual address of the proxies.</summary>
    VirtualAddress,

    /// <summary>Extensions of the databases.</summary>
    Extensions,

    /// <summary>The backups in the repositories: no apply takes one.</summary>
    Backups,

    /// <summary>Limits that a member comes near to, and the last apply: no apply and no wait changes them.</summary>
    Outlook,

    /// <summary>SQL through the proxies.</summary>
    SqlEndpoints,
}

/// <summary>A number behind the lines.</summary>
/// <param name="Name">Its name, in lower case with underscores.</param>
/// <param name="Meaning">Its meaning, in a sentence.</param>
/// <param name="Value">The number.</param>
/// <param name="Labels">What it is of, such as a host.</param>
public sealed record StatusMeasure(string Name, string Meaning, long Value, params ImmutableArray<(string Name, string Value)> Labels);

/// <summary>A service on a host.</summary>
/// <param name="Service">The service; empty for the host itself.</param>
/// <param name="Host">The host.</param>
public sealed record StatusPlace(string Service, string Host);

/// <summary>Why a check does not pass.</summary>
/// <param name="Text">The cause, for the operator.</param>
/// <param name="Item">The name of the item whose measurement it is; null for one that explains several.</param>
public sealed record StatusCause(string Text, string? Item = null)
{
    /// <summary>What an item measured, as its own cause.</summary>
    public static StatusCause Of(StatusItem item) => new($"{item.Name}: {item.Measured}", item.Name);
}

/// <summary>The conclusion of the status, for an operator who decides at once.</summary>
/// <param name="Writes">Whether the application can write where it connects.</param>
/// <param name="WritesNote">The failed endpoint and the reason; empty for none.</param>
/// <param name="Serving">How many members serve: the primary, and the replicas that stream.</param>
/// <param name="Members">The number of members.</param>
/// <param name="Unreachable">The hosts that could not be read.</param>
/// <param name="Causes">The causes of failed checks, unreachable hosts first; empty when all pass.</param>
public sealed record StatusConclusion(
    StatusVerdict Writes,
    string WritesNote,
    int Serving,
    int Members,
    ImmutableArray<string> Unreachable,
    ImmutableArray<StatusCause> Causes
)
{
    /// <summary>Where the application can write, such as <c>10.0.0.10:5432</c>; empty when it cannot.</summary>
    public string WritesThrough { get; init; } = "";
}

/// <summary>The whole checklist.</summary>
/// <param name="Items">Its lines, in the order they are shown.</param>
/// <param name="Conclusion">Their conclusion.</param>
public sealed record ClusterStatus(ImmutableArray<StatusItem> Items, StatusConclusion Conclusion)
{
    /// <summary>The numbers behind the lines, for a monitoring system.</summary>
    public ImmutableArray<StatusMeasure> Measures { get; init; } = [];

    /// <summary>The age of the last good backup, where it is oldest; null where none is known.</summary>
    public TimeSpan? BackupAge { get; init; }

    /// <summary>The verdict: an unmeasured check outweighs a failed one.</summary>
    public StatusVerdict Verdict =>
        Items.Any(item => item.Verdict == StatusVerdict.Unknown) ? StatusVerdict.Unknown
        : Items.Any(item => item.Verdict == StatusVerdict.NotOk) ? StatusVerdict.NotOk
        : StatusVerdict.Ok;
}
