using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Tests.Reads;

/// <summary>What a host prints for a read, and what that means.</summary>
/// <param name="Read">The question.</param>
/// <param name="Shell">A piece of the shell that asks it.</param>
/// <param name="Printed">What the host prints: lines, and <c>@LABEL STATUS</c> at the end of each part.</param>
/// <param name="Answer">The answer as JSON.</param>
public sealed record ReadSample(Read Read, string Shell, string Printed, string Answer)
{
    /// <summary>What the host says when it was not asked, or could not answer.</summary>
    public required string Nothing { get; init; }
}
