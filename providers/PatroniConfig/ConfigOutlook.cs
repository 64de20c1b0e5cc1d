using System.Collections.Immutable;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>Which members would have to be restarted for which key. Pure.</summary>
/// <param name="Restarts">The members by key; a key that takes no restart is missing.</param>
/// <param name="Lowered">The keys of those that have to reach the leader first.</param>
/// <param name="Raised">The keys of those that have to reach the standbys first.</param>
internal sealed record ConfigOutlook(
    ImmutableSortedDictionary<string, ImmutableArray<string>> Restarts,
    ImmutableSortedSet<string> Lowered,
    ImmutableSortedSet<string> Raised
) : GroupOutlook
{
    public static ConfigOutlook Of(ConfigView view, IReadOnlyDictionary<string, string> wanted)
    {
        var restarts = wanted
            .Select(pair => (pair.Key, Members: Members(view, pair.Key, pair.Value)))
            .Concat(Removable(view, wanted))
            .Where(pair => !pair.Members.IsEmpty)
            .ToImmutableSortedDictionary(pair => pair.Key, pair => pair.Members, StringComparer.Ordinal);
        return new ConfigOutlook(
            restarts,
            [.. restarts.Keys.Where(key => ConfigRound.Direction(view, key, wanted.GetValueOrDefault(key)) < 0)],
            [.. restarts.Keys.Where(key => ConfigRound.Direction(view, key, wanted.GetValueOrDefault(key)) > 0)]
        );
    }

    /// <summary>The steps of a change; null when it restarts no member. The preferred leader does not matter here.</summary>
    /// <param name="change">The change.</param>
    /// <param name="cluster">The members when it is made; null when they are not known.</param>
    public RolloutForecast? Forecast(PlannedChange change, ClusterOutlook? cluster)
    {
        var keys = change.Differences.Select(difference => difference.Name).Where(Restarts.ContainsKey).ToList();
        if (cluster is null || keys.Count == 0)
        {
            return null;
        }

        // As in ConfigRound: values without an order of their own go with the others.
        var leaderFirst = keys.Exists(Lowered.Contains) && !keys.Exists(Raised.Contains) ? keys : [.. keys.Intersect(Lowered)];
        var raised = cluster.ForecastServer(change.Address, MembersOf(keys.Except(leaderFirst)), primaryFirst: false);
        var lowered = cluster.ForecastServer(change.Address, MembersOf(leaderFirst), primaryFirst: true);
        return raised is null || lowered is null
            ? raised ?? lowered
            : new RolloutForecast(change.Address, [.. raised.Steps, .. lowered.Steps], null, $"{raised.Cost}, and {lowered.Cost}")
            {
                WhatIf = [.. raised.WhatIf, .. lowered.WhatIf],
                AtRest = raised.AtRest,
            };

        ImmutableSortedSet<string> MembersOf(IEnumerable<string> some) =>
            some.SelectMany(key => Restarts[key]).ToImmutableSortedSet(StringComparer.Ordinal);
    }

    private static ImmutableArray<string> Members(ConfigView view, string key, string wanted) =>
        view.IsStored(key, wanted) ? [.. view.Pending(key, wanted).Select(member => member.Name)]
        : DynamicSettings.ParameterOf(key) is { } name
            ?
            [
                .. view
                    .Members.Where(member =>
                        member.Parameters.GetValueOrDefault(name) is { Context: "postmaster" } parameter && !parameter.Has(wanted)
                    )
                    .Select(member => member.Name),
            ]
        : [];

    // What a change may take away: stored values, and those that were taken away before and still wait for a restart.
    private static IEnumerable<(string Key, ImmutableArray<string> Members)> Removable(
        ConfigView view,
        IReadOnlyDictionary<string, string> wanted
    ) =>
        view
            .Stored.Keys.Concat(view.Members.SelectMany(member => member.PatroniPending).Select(name => DynamicSettings.Parameters + name))
            .Distinct(StringComparer.Ordinal)
            .Where(key => !wanted.ContainsKey(key))
            .Select(key => (key, DynamicSettings.ParameterOf(key) is { } name ? WithoutFallback(view, name) : []));

    private static ImmutableArray<string> WithoutFallback(ConfigView view, string name) =>
        [
            .. view
                .Members.Where(member =>
                    member.Parameters.GetValueOrDefault(name) is { Context: "postmaster", Fallback: { } fallback } parameter
                    && !parameter.Has(fallback)
                )
                .Select(member => member.Name),
        ];
}
