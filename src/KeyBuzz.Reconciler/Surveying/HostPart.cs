using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Surveying;

/// <summary>What one host contributes to a survey.</summary>
/// <param name="Host">The host.</param>
/// <param name="Error">Why it may not be planned for; null when it may.</param>
/// <param name="Snapshot">What it answered, as far as it is asked again; null when it could not be read.</param>
/// <param name="Records">Its own records, with those of its groups.</param>
/// <param name="Diagnostics">The findings on it.</param>
internal sealed record HostPart(
    Host Host,
    string? Error,
    Snapshot? Snapshot,
    ImmutableArray<ResourceRecord> Records,
    ImmutableArray<Diagnostic> Diagnostics
)
{
    /// <summary>The observations of its own resources in cluster.yaml, in their order.</summary>
    public ImmutableArray<(Address Address, Observation Observation)> Observed { get; init; } = [];

    /// <summary>Of its records those whose resource is not in cluster.yaml any more.</summary>
    public ImmutableArray<ResourceRecord> Removed { get; init; } = [];

    /// <summary>Whether all of its records could be used.</summary>
    public bool RecordsAreWhole { get; init; } = true;

    /// <summary>Whether others than root may read or write its records.</summary>
    public bool RecordsAreLoose { get; init; }

    /// <summary>The files of records that say nothing any more.</summary>
    public ImmutableArray<string> Obsolete { get; init; } = [];
}
