using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Cli.Blueprints;

/// <summary>The health checks of a blueprint's section. They change nothing.</summary>
internal interface IHealthCheck
{
    /// <summary>The name of the measured system, such as a cluster's.</summary>
    string Scope { get; }

    /// <summary>How long it may take to become healthy after a change.</summary>
    TimeSpan GateTimeout { get; }

    /// <summary>How long it may take to be measured as healthy when nothing was changed.</summary>
    TimeSpan SettleTime { get; }

    /// <summary>What a measurement asks a host; empty for a host that it does not ask.</summary>
    IReadOnlyCollection<Read> Reads(Host host);

    /// <summary>Measures every item once. Hosts that cannot be read make items unknown; nothing is thrown for them.</summary>
    /// <param name="fleet">The connections of this run.</param>
    /// <param name="touched">Keeps only the items that a change of these can have changed; null for all.</param>
    /// <param name="cancellationToken">Ends it.</param>
    Task<HealthReport> MeasureAsync(Fleet fleet, IReadOnlyCollection<Address>? touched, CancellationToken cancellationToken);

    /// <summary>What the operator must know before these hosts' resources are removed, such as work of another command that is not ended.
    /// Nothing is thrown for hosts that cannot be read.</summary>
    /// <param name="fleet">The connections of this run.</param>
    /// <param name="hosts">The hosts.</param>
    /// <param name="deletesData">Whether data is deleted, too.</param>
    /// <param name="cancellationToken">Ends it.</param>
    Task<ImmutableArray<Diagnostic>> BeforeDestroyAsync(
        Fleet fleet,
        IReadOnlySet<string> hosts,
        bool deletesData,
        CancellationToken cancellationToken
    ) => Task.FromResult(ImmutableArray<Diagnostic>.Empty);
}

/// <summary>The result of a check.</summary>
public enum HealthVerdict
{
    /// <summary>It passes.</summary>
    Ok,

    /// <summary>It fails.</summary>
    NotOk,

    /// <summary>It could not be measured.</summary>
    Unknown,
}

/// <summary>One line of a checklist.</summary>
/// <param name="Name">The check, for example <c>lag</c>.</param>
/// <param name="Verdict">Its result.</param>
/// <param name="Measured">The measurement, for the operator.</param>
public sealed record HealthItem(string Name, HealthVerdict Verdict, string Measured)
{
    /// <summary>For one that could not be measured: the name of the item whose line says why; null for its own reason. A person is shown
    /// one line for all of them.</summary>
    public string? UnknownBy { get; init; }

    /// <summary>The hosts where it does not pass; empty where it passes, or where it is of the whole.</summary>
    public ImmutableArray<string> Hosts { get; init; } = [];

    /// <summary>Whether no change and no wait mends it, such as the age of a backup: then it is none of an apply's, and counts for
    /// <c>kbr status</c> alone.</summary>
    public bool IsLasting { get; init; }
}

/// <summary>A number of a checklist, for a monitoring system.</summary>
/// <param name="Name">Its name, in lower case with underscores.</param>
/// <param name="Meaning">Its meaning, in a sentence.</param>
/// <param name="Value">The number.</param>
/// <param name="Labels">What it is of, such as a host; none for the whole.</param>
public sealed record HealthMeasure(string Name, string Meaning, long Value, params ImmutableArray<(string Name, string Value)> Labels);

/// <summary>How a client connects.</summary>
/// <param name="Name">The way, for example <c>read-write</c>.</param>
/// <param name="Text">The connection string, without the password.</param>
/// <param name="User">The user in it.</param>
/// <param name="Password">Where its password is.</param>
public sealed record ClientConnection(string Name, string Text, string User, string Password);

/// <summary>Why an item does not pass.</summary>
/// <param name="Text">The cause, for the operator.</param>
/// <param name="Item">The name of the item whose measurement it is; null for one that explains several.</param>
public sealed record HealthCause(string Text, string? Item = null);

/// <summary>A checklist as it was measured.</summary>
/// <param name="Items">Its lines, in the order they are shown; none where a change concerns none.</param>
public sealed record HealthReport(ImmutableArray<HealthItem> Items)
{
    /// <summary>The conclusion in sentences, for an operator who must decide at once; empty for nothing beyond the verdict.</summary>
    public string Summary { get; init; } = "";

    /// <summary>Writes the same as members of the JSON document's <c>conclusion</c>; null for none.</summary>
    public Action<Utf8JsonWriter>? WriteSummary { get; init; }

    /// <summary>The hosts that could not be read.</summary>
    public ImmutableArray<string> Unreachable { get; init; } = [];

    /// <summary>The causes of failed checks, the unreachable hosts first; empty when all pass.</summary>
    public ImmutableArray<HealthCause> Causes { get; init; } = [];

    /// <summary>Its numbers beyond the verdicts.</summary>
    public ImmutableArray<HealthMeasure> Measures { get; init; } = [];

    /// <summary>How clients connect to what was measured; none where a change concerns only a part.</summary>
    public ImmutableArray<ClientConnection> Connections { get; init; } = [];

    /// <summary>The result of all checks: unknown before failed.</summary>
    public HealthVerdict Verdict =>
        Items.Any(item => item.Verdict == HealthVerdict.Unknown) ? HealthVerdict.Unknown
        : Items.Any(item => item.Verdict == HealthVerdict.NotOk) ? HealthVerdict.NotOk
        : HealthVerdict.Ok;
}
