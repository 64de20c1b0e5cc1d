using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>The members to restart next, and the first of them, for the cluster's current state. Pure: the order of a parameter
/// change.</summary>
/// <param name="Waiting">The pending parameters, by member.</param>
/// <param name="Next">The members of the round that comes next.</param>
/// <param name="LeaderFirst">Whether the leader is restarted first and in place.</param>
/// <param name="Forecast">The steps in the current state; null when no member is restarted.</param>
public sealed record RestartPlan(
    ImmutableSortedDictionary<string, ImmutableSortedSet<string>> Waiting,
    ImmutableSortedSet<string> Next,
    bool LeaderFirst,
    RolloutForecast? Forecast
)
{
    // Whatever waits is a parameter that some member names, and only those that have an order of their own need be looked at.
    private static readonly ImmutableArray<string> s_keys =
    [
        .. ConfigRound.NotLowerThanLeader.Order(StringComparer.Ordinal).Select(name => DynamicSettings.Parameters + name),
    ];

    /// <summary>The reads of each member.</summary>
    /// <param name="config">The <c>patroni_config</c> of the cluster.</param>
    public static ImmutableArray<Read> Reads(Resource config)
    {
        var connection = ClusterConnection.Of(config);
        return [.. PatroniHealth.Reads(connection.RestPort), .. ConfigView.Reads(connection, s_keys)];
    }

    /// <summary>Decides.</summary>
    /// <param name="config">The <c>patroni_config</c> of the cluster.</param>
    /// <param name="health">How the members are.</param>
    /// <param name="answers">What they answered to <see cref="Reads"/>.</param>
    /// <param name="others">Further members to restart, without a pending restart.</param>
    public static RestartPlan Of(
        Resource config,
        PatroniHealth health,
        IReadOnlyDictionary<string, Snapshot> answers,
        IEnumerable<string> others
    )
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(health);
        var waiting = health
            .Members.Where(member => !member.PendingRestart.IsEmpty)
            .ToImmutableSortedDictionary(member => member.Name, member => member.PendingRestart, StringComparer.Ordinal);
        var rounds = Rounds(config, answers, waiting);
        var outlook = ClusterOutlook.Of(health, preferred: null);
        var everybody = waiting.Keys.Union(others).ToImmutableSortedSet(StringComparer.Ordinal);
        if (rounds.Count == 0)
        {
            return new RestartPlan(waiting, everybody, false, outlook.ForecastServer(config.Address, everybody, primaryFirst: false));
        }

        // A member with both kinds pending comes in both rounds; one without any comes in the last.
        var sets = rounds
            .Select(round =>
                waiting
                    .Where(pair => pair.Value.Any(name => round.Values.ContainsKey(Key(name))))
                    .Select(pair => pair.Key)
                    .ToImmutableSortedSet(StringComparer.Ordinal)
            )
            .ToList();
        sets[^1] = sets[^1].Union(everybody.Except(sets.SelectMany(set => set)));
        var steps = rounds
            .Zip(sets, (round, set) => outlook.ForecastServer(config.Address, set, round.LeaderFirst))
            .OfType<RolloutForecast>()
            .ToList();
        var forecast =
            steps.Count < 2
                ? steps.FirstOrDefault()
                : new RolloutForecast(
                    config.Address,
                    [.. steps.SelectMany(part => part.Steps)],
                    null,
                    string.Join(", and ", steps.Select(part => part.Cost))
                );
        return new RestartPlan(
            waiting,
            sets[0],
            rounds[0].LeaderFirst && health.Leader is { } leader && sets[0].Contains(leader),
            forecast
        );
    }

    private static IReadOnlyList<ConfigRound> Rounds(
        Resource config,
        IReadOnlyDictionary<string, Snapshot> answers,
        ImmutableSortedDictionary<string, ImmutableSortedSet<string>> waiting
    )
    {
        if (waiting.IsEmpty || ConfigView.Of(ClusterConnection.Of(config), s_keys, answers) is not { } view)
        {
            return [];
        }

        var values = waiting
            .Values.SelectMany(names => names)
            .Select(Key)
            .Distinct()
            .ToImmutableSortedDictionary(key => key, key => view.Stored.GetValueOrDefault(key), StringComparer.Ordinal);
        return ConfigRound.Of(values, ConfigRound.Running(view));
    }

    private static string Key(string name) => DynamicSettings.Parameters + name.ToLowerInvariant();
}
