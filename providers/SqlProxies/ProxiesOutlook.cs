using System.Collections.Immutable;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>Which proxies run anything now. Pure.</summary>
/// <param name="Running">Their hosts.</param>
public sealed record ProxiesOutlook(ImmutableSortedSet<string> Running) : GroupOutlook
{
    /// <summary>The steps of a roll-out.</summary>
    public RolloutForecast? Forecast(RolloutQuestion question)
    {
        ArgumentNullException.ThrowIfNull(question);
        var serving = question.ToCome.Intersect(Running);
        if (serving.IsEmpty || Running.IsSubsetOf(question.Leaving))
        {
            return null;
        }

        var steps = ImmutableArray.CreateBuilder<RolloutStep>();
        if (question.ToCome.Except(serving).Except(question.Leaving) is { IsEmpty: false } down)
        {
            steps.Add(new RolloutStep(RolloutStepKind.Start, [.. down], "not running"));
        }

        steps.AddRange(
            question
                .ToCome.Except(serving)
                .Intersect(question.Leaving)
                .Select(host => new RolloutStep(RolloutStepKind.Remove, [host], "not running"))
        );
        steps.AddRange(
            serving.Select(host => new RolloutStep(
                question.Leaving.Contains(host) ? RolloutStepKind.Remove : RolloutStepKind.Restart,
                [host],
                ""
            ))
        );
        return new RolloutForecast(
            question.Resource.Address,
            steps.ToImmutable(),
            null,
            serving.All(host => Running.Union(question.ToCome).Except(question.Leaving).Any(other => other != host))
                ? "each restart ends the sessions through that proxy; new ones use another"
                : "no connections during the restart: the cluster has no other proxy"
        );
    }
}
