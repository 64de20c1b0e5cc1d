using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>Tells whether preconditions hold. Pure: says what to read, and judges what was read.</summary>
public interface IPreconditionChecks
{
    /// <summary>The kinds it knows, in the order in which they are read.</summary>
    IReadOnlyList<IPreconditionKind> Kinds { get; }

    /// <summary>The reads that <see cref="Evaluate"/> wants; none when the precondition is off.</summary>
    IEnumerable<Read> Reads(Precondition precondition);

    /// <summary>The finding, or null when the precondition passes or is off.</summary>
    Diagnostic? Evaluate(Precondition precondition, Snapshot snapshot);
}
