using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>The input of <see cref="IForecastsRollout"/>.</summary>
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

/// <summary>A type of a group that forecasts how changes disrupt its members. Pure.</summary>
public interface IForecastsRollout
{
    /// <summary>The forecast; null when no serving member is disrupted.</summary>
    RolloutForecast? Forecast(RolloutQuestion question);
}
