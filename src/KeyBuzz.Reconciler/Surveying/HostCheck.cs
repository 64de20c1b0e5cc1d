using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Surveying;

/// <summary>The preconditions of a host, as they were found.</summary>
/// <param name="Host">The host.</param>
/// <param name="Error">Why it could not be read, or null.</param>
/// <param name="Preconditions">Each with what is wrong; none where it could not be read.</param>
public sealed record HostCheck(string Host, string? Error, ImmutableArray<CheckedPrecondition> Preconditions);

/// <summary>A precondition as it was found.</summary>
/// <param name="Precondition">What must hold.</param>
/// <param name="Finding">What is wrong; null when it holds.</param>
public sealed record CheckedPrecondition(Precondition Precondition, Diagnostic? Finding)
{
    /// <summary>Whether kbr would not touch the host because of it.</summary>
    public bool Refuses => Finding is not null && Precondition.Level == PreconditionLevel.Error;
}
