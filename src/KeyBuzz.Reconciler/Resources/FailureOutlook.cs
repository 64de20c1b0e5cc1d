using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>Something that fails once, at a step of a roll-out.</summary>
public enum FailureKind
{
    /// <summary>A member's host stops without notice.</summary>
    Member,

    /// <summary>The network between a member and the other members is cut; clients still reach it.</summary>
    NetworkCut,

    /// <summary>A member's part of the consensus store fails; its server runs on.</summary>
    StoreMember,

    /// <summary>A proxy's host stops without notice.</summary>
    Proxy,

    /// <summary>The run of kbr ends without notice.</summary>
    Run,
}

/// <summary>The cost of a failure, the least first.</summary>
public enum FailureCost
{
    /// <summary>Writes go on.</summary>
    None,

    /// <summary>Writes stop, and come back by themselves.</summary>
    Gap,

    /// <summary>Writes stop until somebody acts.</summary>
    Outage,

    /// <summary>Acknowledged rows may be lost.</summary>
    Loss,
}

/// <summary>What one failure does at a step of a roll-out, at the worst moment of that step.</summary>
/// <param name="Kind">What fails.</param>
/// <param name="Host">Where; empty for <see cref="FailureKind.Run"/>.</param>
public sealed record FailureOutlook(FailureKind Kind, string Host)
{
    /// <summary>What it costs.</summary>
    public FailureCost Cost { get; init; }

    /// <summary>The members that can vote in the consensus store then.</summary>
    public int Votes { get; init; }

    /// <summary>The members that it counts.</summary>
    public int Counted { get; init; }

    /// <summary>Whether the store has a quorum at once, without the step's own member.</summary>
    public bool HasQuorum => Votes > Counted / 2;

    /// <summary>The primary afterwards: several members where any of them may be elected, none until something returns.</summary>
    public ImmutableArray<string> Primaries { get; init; } = [];

    /// <summary>The same in words, such as <c>one of db-2, db-3</c>; empty for none.</summary>
    public string PrimaryText => TextOf(Primaries);

    /// <summary>The words for one of these members; empty for none.</summary>
    public static string TextOf(ImmutableArray<string> primaries) =>
        primaries is [var only] ? only
        : primaries.IsEmpty ? ""
        : $"one of {string.Join(", ", primaries)}";

    /// <summary>How long writes stop at most; null when that depends on what has to return first.</summary>
    public TimeSpan? WithoutWrites { get; init; } = TimeSpan.Zero;

    /// <summary>The acknowledged rows that may be lost, in words; empty for none.</summary>
    public string AtRisk { get; init; } = "";

    /// <summary>What brings writes and redundancy back, in words.</summary>
    public string Remedy { get; init; } = "";

    /// <summary>The worse of two: the higher cost, then the longer stop, then fewer votes.</summary>
    public static FailureOutlook Worse(FailureOutlook one, FailureOutlook other)
    {
        ArgumentNullException.ThrowIfNull(one);
        ArgumentNullException.ThrowIfNull(other);
        return one.Cost != other.Cost ? (one.Cost > other.Cost ? one : other)
            : one.WithoutWrites != other.WithoutWrites
                ? (one.WithoutWrites is null || (other.WithoutWrites is { } than && one.WithoutWrites > than) ? one : other)
            : other.Votes < one.Votes ? other
            : one;
    }
}

/// <summary>What every single failure does at a step of a roll-out.</summary>
/// <param name="Failures">Each failure once.</param>
public sealed record StepOutlook(ImmutableArray<FailureOutlook> Failures)
{
    /// <summary>The worst case; null when nothing can fail.</summary>
    public FailureOutlook? Worst
    {
        get
        {
            FailureOutlook? worst = null;
            foreach (var failure in Failures)
            {
                worst = worst is null ? failure : FailureOutlook.Worse(worst, failure);
            }

            return worst;
        }
    }

    /// <summary>Whether the worst case is a loss of acknowledged rows.</summary>
    public bool MayLose => Worst?.Cost == FailureCost.Loss;
}
