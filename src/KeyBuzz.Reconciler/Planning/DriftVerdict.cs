using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>What drift detection says of one resource or group.</summary>
/// <param name="IsCompared">Whether it could be compared.</param>
/// <param name="Drifted">What was changed on the hosts; null for nothing.</param>
/// <param name="Uncompared">What could not be compared.</param>
/// <param name="Diagnostics">What the operator is told.</param>
internal sealed record DriftVerdict(
    bool IsCompared,
    DriftedResource? Drifted,
    ImmutableArray<Uncompared> Uncompared,
    ImmutableArray<Diagnostic> Diagnostics
)
{
    /// <summary>It could be compared.</summary>
    /// <param name="drifted">What was changed; null for nothing.</param>
    public static DriftVerdict Compared(DriftedResource? drifted) => new(IsCompared: true, drifted, [], []);

    /// <summary>It could not be compared, for a reason that is reported once, elsewhere.</summary>
    public static DriftVerdict Unread(Address address, string reason) =>
        new(IsCompared: false, null, [new Uncompared(address, null, reason, IsError: true)], []);

    /// <summary>It could not be compared.</summary>
    public static DriftVerdict Unknown(Address address, string reason, bool isError = true) =>
        new DriftVerdict(IsCompared: false, null, [], []).With(address, null, reason, isError);

    /// <summary>The same, with an attribute that could not be compared, or the whole; an error is reported.</summary>
    public DriftVerdict With(Address address, string? attribute, string reason, bool isError) =>
        this with
        {
            Uncompared = Uncompared.Add(new Uncompared(address, attribute, reason, isError)),
            Diagnostics = isError
                ? Diagnostics.Add(
                    Diagnostic.Error(
                        $"{address}: {(attribute is null ? "" : attribute + ": ")}{reason}",
                        host: address.Host,
                        address: address.ToString()
                    )
                )
                : Diagnostics,
        };
}
