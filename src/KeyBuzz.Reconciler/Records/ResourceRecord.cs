using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>The last applied state of one resource, kept on its host.</summary>
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
    SortedMap<string> Fingerprints,
    AttributeSet Spec,
    ImmutableArray<Address> Requires,
    bool PreventDestroy
)
{
    /// <summary>When it was written, UTC; null until then.</summary>
    public DateTimeOffset? AppliedAt { get; init; }

    /// <summary>The quorum group whose member it runs, or null.</summary>
    public string? Group { get; init; }

    /// <summary>For what belongs to a group: how often it was written. Of the copies on the members the highest counts.</summary>
    public long Serial { get; init; }

    /// <summary>The attributes that an apply was about to set and has not been seen to: they are kbr's from then on, whatever became of
    /// it.</summary>
    public ImmutableSortedSet<string> Intended { get; init; } = [];

    /// <summary>The attributes that kbr has set, or was about to.</summary>
    public IEnumerable<string> Owned => Fingerprints.Keys.Concat(Intended.Where(name => !Fingerprints.ContainsKey(name)));

    /// <summary>The address it was recorded under before <see cref="Rename"/>, or null.</summary>
    public Address? RenamedFrom { get; init; }

    /// <summary>The same record under another address. Fingerprints of secrets depend on the address: they are renewed where the desired
    /// value proves to be the applied one, and dropped elsewhere.</summary>
    /// <param name="to">The address it gets.</param>
    /// <param name="desired">What is wanted under that address.</param>
    /// <param name="fingerprint">The key of fingerprints.</param>
    public ResourceRecord Rename(Address to, IReadOnlyDictionary<string, AttributeValue> desired, Fingerprint fingerprint)
    {
        ArgumentNullException.ThrowIfNull(desired);
        ArgumentNullException.ThrowIfNull(fingerprint);
        var prints = Fingerprints
            .Where(pair => !Fingerprint.IsSecret(pair.Value))
            .Concat(
                Fingerprints
                    .Where(pair =>
                        Fingerprint.IsSecret(pair.Value)
                        && desired.TryGetValue(pair.Key, out var value)
                        && fingerprint.Matches(pair.Value, Address, pair.Key, value)
                    )
                    .Select(pair => KeyValuePair.Create(pair.Key, fingerprint.Of(to, pair.Key, desired[pair.Key], secret: true)))
            );
        return this with
        {
            Address = to,
            RenamedFrom = Address,
            Fingerprints = SortedMap.Of<string>(prints),
            Serial = Serial == 0 ? 0 : Serial + 1,
        };
    }

    /// <summary>The resource as far as the record knows it.</summary>
    public Resource ToResource() =>
        new(Address, Spec)
        {
            Requires = Requires,
            PreventDestroy = PreventDestroy,
            Group = Group,
        };
}
