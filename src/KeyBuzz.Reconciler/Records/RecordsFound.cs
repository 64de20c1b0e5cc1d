using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>A record as it was found.</summary>
/// <param name="Place">The host it was found on; null for one that only the operator's copy has, because its host could not be
/// read.</param>
/// <param name="Record">The record.</param>
public sealed record RecordCopy(string? Place, ResourceRecord Record);

/// <summary>The records that were found.</summary>
/// <param name="Copies">Every copy: of a group's records one per member.</param>
/// <param name="Hosts">The hosts whose records were all read.</param>
/// <param name="Diagnostics">Hosts that could not be read, and records that cannot be used.</param>
public sealed record RecordsFound(ImmutableArray<RecordCopy> Copies, ImmutableHashSet<string> Hosts, ImmutableArray<Diagnostic> Diagnostics)
{
    /// <summary>By address, in order: the record that counts, which of a group's is the newest; the hosts that have a copy of it; and
    /// whether some copies are older.</summary>
    public IEnumerable<(ResourceRecord Record, ImmutableArray<string> Hosts, bool Outdated)> ByAddress() =>
        Copies
            .GroupBy(copy => copy.Record.Address)
            .OrderBy(group => group.Key)
            .Select(group =>
                (
                    group.MaxBy(copy => copy.Record.Serial)!.Record,
                    group.Select(copy => copy.Place).OfType<string>().Order(StringComparer.Ordinal).ToImmutableArray(),
                    group.Select(copy => copy.Record.Serial).Distinct().Count() > 1
                )
            );

    /// <summary>Those that a glob names. Throws <see cref="DiagnosticException"/> when there is none.</summary>
    public ImmutableArray<RecordCopy> Matching(AddressPattern pattern)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        ImmutableArray<RecordCopy> found = [.. Copies.Where(copy => pattern.Matches(copy.Record.Address))];
        return found.IsEmpty
            ? throw new DiagnosticException([
                Diagnostic.Error(
                    $"there is no record of '{pattern}'",
                    remedy: "kbr state list shows all; write type.name@host; `*` matches anything"
                ),
                .. Diagnostics,
            ])
            : found;
    }
}
