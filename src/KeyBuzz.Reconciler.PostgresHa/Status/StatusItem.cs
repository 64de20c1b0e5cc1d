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
public sealed record StatusItem(string Name, StatusVerdict Verdict, string Measured);

/// <summary>The whole checklist.</summary>
/// <param name="Items">Its lines, in the order they are shown.</param>
public sealed record ClusterStatus(ImmutableArray<StatusItem> Items)
{
    /// <summary>How the cluster stands: what could not be measured beats what does not hold.</summary>
    public StatusVerdict Verdict =>
        Items.Any(item => item.Verdict == StatusVerdict.Unknown) ? StatusVerdict.Unknown
        : Items.Any(item => item.Verdict == StatusVerdict.NotOk) ? StatusVerdict.NotOk
        : StatusVerdict.Ok;
}
