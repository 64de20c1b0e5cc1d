using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>Values that are stored together, and the member to restart first. Pure.</summary>
/// <param name="Values">The wanted values by flat key; null takes one away.</param>
/// <param name="LeaderFirst">Whether the leader is restarted first and in place, instead of last after a switchover.</param>
public sealed record ConfigRound(ImmutableSortedDictionary<string, string?> Values, bool LeaderFirst)
{
    /// <summary>Parameters that a standby must not have lower than the leader: an increase reaches it before the leader, a decrease after
    /// it (PostgreSQL, "Administrator's Overview" of hot standby).</summary>
    public static ImmutableHashSet<string> NotLowerThanLeader { get; } =
    ["max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction"];

    /// <summary>The rounds of a change. Everything goes together where it can: only values that have to reach the standbys first and others
    /// that have to reach the leader first take two.</summary>
    /// <param name="values">The wanted values by flat key.</param>
    /// <param name="leader">The leader's values by parameter name: the value in its own unit, and that unit.</param>
    public static IReadOnlyList<ConfigRound> Of(
        ImmutableSortedDictionary<string, string?> values,
        IReadOnlyDictionary<string, (string Setting, string? Unit)> leader
    )
    {
        var lowered = values.Where(pair => Direction(pair.Key, pair.Value, leader) < 0).Select(pair => pair.Key).ToList();
        return (lowered.Count > 0, values.Any(pair => Direction(pair.Key, pair.Value, leader) > 0)) switch
        {
            (false, _) => [new(values, false)],
            (true, false) => [new(values, true)],
            (true, true) =>
            [
                new(values.RemoveRange(lowered), false),
                new(lowered.ToImmutableSortedDictionary(key => key, key => values[key], StringComparer.Ordinal), true),
            ],
        };
    }

    /// <summary>The leader's values. While it does not answer, those of a standby, which has no less: without any, a decrease would go to
    /// the standbys first. Empty where no member answers.</summary>
    internal static IReadOnlyDictionary<string, (string Setting, string? Unit)> Running(ConfigView view) =>
        (
            view.Members.OrderBy(member => member.InRecovery).FirstOrDefault()?.Parameters ?? new Dictionary<string, Parameter>()
        ).ToDictionary(pair => pair.Key, pair => (pair.Value.Setting, pair.Value.Unit), StringComparer.Ordinal);

    /// <summary>Whether it is a parameter that the leader has to have lower before the standbys (below zero), or they before it (above
    /// zero); zero for anything else.</summary>
    internal static int Direction(ConfigView view, string key, string? wanted) => Direction(key, wanted, Running(view));

    // Below zero where the leader runs with more than is wanted, above zero where it runs with less.
    private static int Direction(string key, string? wanted, IReadOnlyDictionary<string, (string Setting, string? Unit)> leader) =>
        DynamicSettings.ParameterOf(key) is not { } name
        || !NotLowerThanLeader.Contains(name)
        || !leader.TryGetValue(name, out var now)
        || ParameterValue.Number(now.Setting, now.Unit) is not { } current
            ? 0
        // Without a value of its own it has Patroni's.
        : (wanted ?? PatroniDefaults.Of(name)) is not { } value ? -1
        : ParameterValue.Number(value, now.Unit) is { } next ? next.CompareTo(current)
        : 0;
}
