using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>The members that this run does not bring back, so it does not wait for them. Pure.</summary>
public static class LostMembers
{
    /// <summary>The lost members, each with the reason.</summary>
    /// <param name="names">The members that this run does not start.</param>
    /// <param name="answers">What the hosts said, <see cref="UnitRead"/> of the unit among it; one that could not be read is
    /// missing.</param>
    /// <param name="unit">The unit that runs Patroni; null when that is not known.</param>
    public static ImmutableSortedDictionary<string, string> Of(
        IEnumerable<string> names,
        IReadOnlyDictionary<string, Snapshot> answers,
        string? unit
    )
    {
        ArgumentNullException.ThrowIfNull(names);
        ArgumentNullException.ThrowIfNull(answers);
        var lost = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var name in names)
        {
            if (!answers.TryGetValue(name, out var snapshot))
            {
                lost[name] = $"{name}: the host could not be read";
            }
            else if (unit is not null && snapshot.Get(new UnitRead(unit))["ActiveState"] is "inactive" or "failed")
            {
                // A unit that restarts what it runs is 'activating' in between.
                lost[name] = $"{name}: {unit} does not run, and this apply does not start it";
            }
        }

        return lost.ToImmutable();
    }

    /// <summary>The permanent obstacle to a healthy cluster; null when waiting may help.</summary>
    public static string? Verdict(PatroniHealth health, ImmutableSortedDictionary<string, string> lost)
    {
        ArgumentNullException.ThrowIfNull(health);
        ArgumentNullException.ThrowIfNull(lost);
        var majority = (health.Members.Length / 2) + 1;
        var electing = health.Members.Count(member => !lost.ContainsKey(member.Name)) >= majority;
        var forGood = health.Problems.All(problem =>
            (problem.Member is { } member && lost.ContainsKey(member)) || (problem.Kind == HealthProblemKind.NoPrimary && !electing)
        );
        return lost.IsEmpty || health.IsHealthy || !forGood
            ? null
            : string.Join("; ", lost.Values)
                + (electing ? "" : $"; without {(lost.Count == 1 ? "it" : "them")} there is no majority that could elect a primary");
    }
}
