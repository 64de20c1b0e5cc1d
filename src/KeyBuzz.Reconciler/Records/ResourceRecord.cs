using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>What kbr last applied for one resource; kept on the host it speaks of.</summary>
/// <param name="Address">The resource.</param>
/// <param name="Created">Whether kbr made it; false for one that was adopted, which kbr never deletes.</param>
/// <param name="Pending">Whether its creation was begun and not seen to end.</param>
/// <param name="Fingerprints">The applied values by attribute, in the form of <see cref="Fingerprint"/>.</param>
/// <param name="Spec">What is needed to read and remove it without cluster.yaml; secrets masked.</param>
/// <param name="Requires">The edges it had.</param>
/// <param name="PreventDestroy">Whether it was protected.</param>
public sealed record ResourceRecord(
    Address Address,
    bool Created,
    bool Pending,
    ImmutableSortedDictionary<string, string> Fingerprints,
    AttributeSet Spec,
    ImmutableArray<Address> Requires,
    bool PreventDestroy)
{
    /// <summary>When it was written, UTC; null until then.</summary>
    public DateTimeOffset? AppliedAt { get; init; }

    /// <summary>The quorum group whose member it runs, or null.</summary>
    public string? Group { get; init; }

    /// <summary>For what belongs to a group: how often it was written. Of the copies on the members the highest counts.</summary>
    public long Serial { get; init; }

    /// <summary>The resource as far as the record knows it.</summary>
    public Resource ToResource() => new(Address, Spec) { Requires = Requires, PreventDestroy = PreventDestroy, Group = Group };
}
