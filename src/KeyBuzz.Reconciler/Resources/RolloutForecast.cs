using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>The kind of a roll-out's step.</summary>
public enum RolloutStepKind
{
    /// <summary>Members that do not serve are started or repaired.</summary>
    Start,

    /// <summary>A serving member is restarted or replaced.</summary>
    Restart,

    /// <summary>The lead is handed over.</summary>
    Switchover,

    /// <summary>Members are stopped and started together.</summary>
    RestartTogether,

    /// <summary>A member is stopped and removed for good.</summary>
    Remove,
}

/// <summary>A step of a roll-out in the current state.</summary>
/// <param name="Kind">What happens.</param>
/// <param name="Hosts">The members, together; for a switchover the primary and the candidate.</param>
/// <param name="Note">The reason for its turn, for the operator; empty for none.</param>
public sealed record RolloutStep(RolloutStepKind Kind, ImmutableArray<string> Hosts, string Note);

/// <summary>The forecast of a roll-out: its steps in order, and its cost. The primary and the lag may differ by then; the applied result
/// does not depend on them.</summary>
/// <param name="Address">The resource whose change it is, or the group.</param>
/// <param name="Steps">The steps, in their order.</param>
/// <param name="WriteGap">The total time without writes; null when unknown.</param>
/// <param name="Cost">The same in words.</param>
public sealed record RolloutForecast(Address Address, ImmutableArray<RolloutStep> Steps, TimeSpan? WriteGap, string Cost)
{
    /// <summary>Why these members cannot be disrupted without others of the group; null where they can.</summary>
    public string? Refusal { get; init; }

    /// <summary>What every single failure does at each of <see cref="Steps"/>, in their order.</summary>
    public ImmutableArray<StepOutlook> WhatIf { get; init; } = [];

    /// <summary>What the same failures do without the change; null when it is not known.</summary>
    public StepOutlook? AtRest { get; init; }

    /// <summary>How many serving members are restarted.</summary>
    public int Restarts => Steps.Where(step => step.Kind == RolloutStepKind.Restart).Sum(step => step.Hosts.Length);

    /// <summary>How many switchovers there are.</summary>
    public int Switchovers => Steps.Count(step => step.Kind == RolloutStepKind.Switchover);

    /// <summary>The members that are stopped and removed, in their order.</summary>
    public IEnumerable<string> Removed => Steps.Where(step => step.Kind == RolloutStepKind.Remove).SelectMany(step => step.Hosts);

    /// <summary>The whole in a line: <c>3 rolling restarts, 1 switchover, about 3 s without writes</c>, or <c>stop and remove db-3; writes
    /// continue</c>.</summary>
    public string Summary
    {
        get
        {
            var steps = string.Join(
                ", ",
                new[]
                {
                    Removed.Any() ? $"stop and remove {string.Join(" and ", Removed)}" : "",
                    Steps.FirstOrDefault(step => step.Kind == RolloutStepKind.RestartTogether) is { } all
                        ? $"restart of all {all.Hosts.Length} members at once"
                        : "",
                    Restarts switch
                    {
                        0 => "",
                        1 => "1 restart",
                        var many => $"{many} rolling restarts",
                    },
                    Switchovers switch
                    {
                        0 => "",
                        1 => "1 switchover",
                        var many => $"{many} switchovers",
                    },
                }.Where(part => part.Length > 0)
            );
            return string.Join(Removed.Any() ? "; " : ", ", new[] { steps, Cost }.Where(part => part.Length > 0));
        }
    }
}
