using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>What happens in a step of a roll-out.</summary>
public enum RolloutStepKind
{
    /// <summary>Who does not serve is started or mended.</summary>
    Start,

    /// <summary>Who serves is restarted or replaced.</summary>
    Restart,

    /// <summary>The lead is handed over.</summary>
    Switchover,

    /// <summary>Members are stopped and started together.</summary>
    RestartTogether,

    /// <summary>A member is stopped and removed for good.</summary>
    Remove,
}

/// <summary>A step of a roll-out, as it would go now.</summary>
/// <param name="Kind">What happens.</param>
/// <param name="Hosts">Who it happens to, together; of a switchover who hands over, and to whom.</param>
/// <param name="Note">What makes it this one's turn, for the operator; empty for nothing.</param>
public sealed record RolloutStep(RolloutStepKind Kind, ImmutableArray<string> Hosts, string Note);

/// <summary>How a roll-out would go now: which steps, in which order, and what it costs. Who leads and who is how far behind may be
/// otherwise at the time; what is applied does not depend on it.</summary>
/// <param name="Address">The resource whose change it is, or that stands for the group.</param>
/// <param name="Steps">The steps, in their order.</param>
/// <param name="WriteGap">How long writes stand still in all; null where that is not known beforehand.</param>
/// <param name="Cost">The same in words.</param>
public sealed record RolloutForecast(Address Address, ImmutableArray<RolloutStep> Steps, TimeSpan? WriteGap, string Cost)
{
    /// <summary>How many steps take down who serves.</summary>
    public int Restarts => Steps.Where(step => step.Kind == RolloutStepKind.Restart).Sum(step => step.Hosts.Length);

    /// <summary>How often the lead is handed over.</summary>
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
                        ? $"stop and start of {all.Hosts.Length} members together"
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

/// <summary>What is asked of <see cref="IForecastsRollout"/>.</summary>
/// <param name="Resource">A resource of the group.</param>
/// <param name="Change">Its own change; null when it is not in the plan.</param>
/// <param name="ToCome">The members that other changes disrupt.</param>
/// <param name="Leaving">Those of them that are taken down for good.</param>
/// <param name="Outlooks">What is known of the group now.</param>
public sealed record RolloutQuestion(
    Resource Resource,
    PlannedChange? Change,
    ImmutableSortedSet<string> ToCome,
    ImmutableSortedSet<string> Leaving,
    ImmutableArray<GroupOutlook> Outlooks
);

/// <summary>A type of a group that says beforehand how changes disrupt its members. Pure.</summary>
public interface IForecastsRollout
{
    /// <summary>How it would go now; null when nobody who serves is disrupted.</summary>
    RolloutForecast? Forecast(RolloutQuestion question);
}
