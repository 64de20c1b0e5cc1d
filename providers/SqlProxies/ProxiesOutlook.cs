using System.Collections.Immutable;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>Which proxies serve now: their HAProxy runs. Pure.</summary>
/// <param name="Serving">Their hosts.</param>
public sealed record ProxiesOutlook(ImmutableSortedSet<string> Serving) : GroupOutlook
{
    /// <summary>The host that holds the virtual address, whose turn is the last; null for none.</summary>
    public string? Holder { get; init; }

    /// <summary>The steps of a roll-out; null when it disrupts no proxy that serves, or all of them leave.</summary>
    /// <param name="group">The group.</param>
    /// <param name="state">The proxies to be disrupted.</param>
    /// <param name="cluster">The cluster behind them; null when it is not known.</param>
    public RolloutForecast? Forecast(Address group, RolloutState state, ClusterOutlook? cluster = null)
    {
        ArgumentNullException.ThrowIfNull(state);
        var serving = state.All.Intersect(Serving);
        if (serving.IsEmpty || Serving.IsSubsetOf(state.Leaving))
        {
            return null;
        }

        ImmutableArray<RolloutStep> steps = [.. StepsOf(state.ToCome, state.Leaving), .. StepsOf(state.Later, state.Leaving)];
        var whatIf = ImmutableArray.CreateBuilder<StepOutlook>(steps.Length);
        var up = Serving;
        foreach (var step in steps)
        {
            var away = step.Kind == RolloutStepKind.Start ? [] : step.Hosts.ToImmutableSortedSet(StringComparer.Ordinal);
            whatIf.Add(WhatIf(up, away, cluster));
            up = step.Kind == RolloutStepKind.Remove ? up.Except(step.Hosts) : up.Union(step.Hosts);
        }

        return new RolloutForecast(
            group,
            steps,
            null,
            serving.All(host => Serving.Union(state.All).Except(state.Leaving).Any(other => other != host))
                ? "each restart ends the sessions through that proxy; new ones use another"
                : "no connections during the restart: the cluster has no other proxy"
        )
        {
            WhatIf = whatIf.ToImmutable(),
            AtRest = WhatIf(Serving, [], cluster),
        };
    }

    private IEnumerable<RolloutStep> StepsOf(ImmutableSortedSet<string> proxies, ImmutableSortedSet<string> leaving)
    {
        var serving = proxies.Intersect(Serving);
        if (proxies.Except(serving).Except(leaving) is { IsEmpty: false } down)
        {
            yield return new RolloutStep(RolloutStepKind.Start, [.. down], "not running");
        }

        foreach (var host in proxies.Except(serving).Intersect(leaving))
        {
            yield return new RolloutStep(RolloutStepKind.Remove, [host], "not running");
        }

        foreach (var host in serving.OrderBy(host => host == Holder))
        {
            yield return new RolloutStep(leaving.Contains(host) ? RolloutStepKind.Remove : RolloutStepKind.Restart, [host], "");
        }
    }

    // The failures of the cluster behind them are those at rest. A session needs a proxy, too: the worse of the two counts.
    private static StepOutlook WhatIf(ImmutableSortedSet<string> up, ImmutableSortedSet<string> away, ClusterOutlook? cluster)
    {
        var serving = up.Except(away);
        var returns = string.Join(" and ", away);
        var found = ImmutableArray.CreateBuilder<FailureOutlook>();
        foreach (var failure in (cluster is null ? null : (cluster with { Proxies = [] }).AtRest())?.Failures ?? [])
        {
            found.Add(
                serving.IsEmpty && failure.Cost < FailureCost.Outage
                    ? failure with
                    {
                        Cost = failure.Cost == FailureCost.None ? FailureCost.Gap : failure.Cost,
                        WithoutWrites = null,
                        Remedy = $"{returns} back; {failure.Remedy}",
                    }
                    : failure
            );
        }

        var counted = cluster is null ? 0 : ClusterFailures.Counted(cluster.View, []);
        var votes = cluster is null ? 0 : ClusterFailures.Votes(cluster.View, mute: null);
        foreach (var proxy in up.Union(away))
        {
            var others = serving.Remove(proxy);
            var waits = away.Remove(proxy);
            found.Add(
                Of(FailureKind.Proxy, proxy) with
                {
                    Cost = others.IsEmpty && waits.IsEmpty ? FailureCost.Outage : FailureCost.Gap,
                    WithoutWrites = others.IsEmpty ? null : ClusterFailures.Balancer,
                    Remedy =
                        !others.IsEmpty ? $"new sessions use {string.Join(" or ", others)}; those through {proxy} end"
                        : !waits.IsEmpty ? $"{string.Join(" and ", waits)} back"
                        : $"bring {proxy} back: no other proxy serves",
                }
            );
        }

        found.Add(
            Of(FailureKind.Run, "") with
            {
                Cost = serving.IsEmpty ? FailureCost.Outage : FailureCost.None,
                WithoutWrites = serving.IsEmpty ? null : TimeSpan.Zero,
                Remedy = "apply again: kbr goes on from there",
            }
        );
        return new StepOutlook(found.ToImmutable());

        FailureOutlook Of(FailureKind kind, string host) =>
            new(kind, host)
            {
                Votes = votes,
                Counted = counted,
                Primaries = cluster?.Leader is { } leader ? [leader] : [],
            };
    }
}
