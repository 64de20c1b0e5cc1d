using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>Which proxies run anything now. Pure.</summary>
/// <param name="Running">Their hosts.</param>
public sealed record ProxiesOutlook(ImmutableSortedSet<string> Running) : GroupOutlook
{
    /// <summary>The host that holds the virtual address, whose turn is the last; null for none.</summary>
    public string? Holder { get; init; }

    /// <summary>The steps of a roll-out; null when it disrupts no proxy that runs, or all of them leave.</summary>
    /// <param name="group">The group.</param>
    /// <param name="state">The proxies to be disrupted.</param>
    public RolloutForecast? Forecast(Address group, RolloutState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        var serving = state.ToCome.Intersect(Running);
        if (serving.IsEmpty || Running.IsSubsetOf(state.Leaving))
        {
            return null;
        }

        var steps = ImmutableArray.CreateBuilder<RolloutStep>();
        if (state.ToCome.Except(serving).Except(state.Leaving) is { IsEmpty: false } down)
        {
            steps.Add(new RolloutStep(RolloutStepKind.Start, [.. down], "not running"));
        }

        steps.AddRange(
            state
                .ToCome.Except(serving)
                .Intersect(state.Leaving)
                .Select(host => new RolloutStep(RolloutStepKind.Remove, [host], "not running"))
        );
        steps.AddRange(
            serving
                .OrderBy(host => host == Holder)
                .Select(host => new RolloutStep(
                    state.Leaving.Contains(host) ? RolloutStepKind.Remove : RolloutStepKind.Restart,
                    [host],
                    ""
                ))
        );
        return new RolloutForecast(
            group,
            steps.ToImmutable(),
            null,
            serving.All(host => Running.Union(state.ToCome).Except(state.Leaving).Any(other => other != host))
                ? "each restart ends the sessions through that proxy; new ones use another"
                : "no connections during the restart: the cluster has no other proxy"
        );
    }
}
