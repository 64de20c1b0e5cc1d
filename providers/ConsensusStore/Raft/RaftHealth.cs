using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;

/// <summary>RAFT's health, combined from its members' answers. Only the view of RAFT's leader counts: two members can disagree about their
/// link for a minute after a cut. Where Patroni uses another store, there is neither a leader nor a problem. Pure.</summary>
public static class RaftHealth
{
    private static HealthProblem Problem(string? member, string text) => new(HealthProblemKind.Store, member, text);

    /// <summary>Judges what the members said.</summary>
    /// <param name="answers">The members' answers.</param>
    /// <param name="gone">Addresses (<c>10.0.0.121:7000</c>) of members that were taken down for good and still count.</param>
    public static StoreHealth Judge(IReadOnlyDictionary<string, ToolAnswer> answers, IReadOnlyCollection<string> gone)
    {
        ArgumentNullException.ThrowIfNull(answers);
        ArgumentNullException.ThrowIfNull(gone);
        var views = new SortedDictionary<string, RaftStatus>(StringComparer.Ordinal);
        var silent = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, answer) in answers)
        {
            if (RaftStatus.Parse(answer, out var trouble) is { } view)
            {
                views[name] = view;
            }
            else if (trouble is not null)
            {
                silent[name] = trouble;
            }
        }

        if (views.Count + silent.Count == 0)
        {
            return new StoreHealth(null, 0, 0, [], [], []);
        }

        var problems = silent.Select(pair => Problem(pair.Key, $"{pair.Key}: {pair.Value}")).ToList();
        var claims = views.Where(pair => pair.Value.Leader == pair.Value.Self && pair.Value.HasQuorum).ToList();
        // The members are asked one after the other: one that led then may have been followed by one that was asked after the election.
        var term = claims.Select(pair => pair.Value.Term).DefaultIfEmpty().Max();
        var leading = claims.Where(pair => pair.Value.Term == term).ToList();
        if (leading is not [var (leader, its)])
        {
            problems.Add(
                Problem(
                    null,
                    leading.Count == 0
                        ? "RAFT has no leader with a quorum"
                        : $"{string.Join(" and ", leading.Select(pair => pair.Key))} both claim to be RAFT's leader"
                )
            );
            // The leader was not read: for example a former member whose host left cluster.yaml. Its followers know RAFT's members as well.
            var follower =
                leading.Count > 0 || silent.Count > 0
                    ? null
                    : views.Values.FirstOrDefault(view => view.HasQuorum && view.Leader is not null);
            return new StoreHealth(null, 0, 0, [.. silent.Keys], [.. silent.Keys], [.. problems])
            {
                Counted = follower is null
                    ? ImmutableSortedDictionary.Create<string, bool>(StringComparer.Ordinal)
                    : follower.Partners.SetItem(follower.Self, true),
            };
        }

        var missing = its.Partners.Where(partner => !partner.Value && !gone.Contains(partner.Key)).Select(partner => partner.Key).ToList();
        var names = views.ToDictionary(pair => pair.Value.Self, pair => pair.Key, StringComparer.Ordinal);
        problems.AddRange(
            missing.Select(address =>
                names.TryGetValue(address, out var name)
                    ? Problem(name, $"{name}: RAFT's leader {leader} is not connected to it")
                    : Problem(null, $"RAFT's leader {leader} is not connected to {address}")
            )
        );
        return new StoreHealth(
            leader,
            its.Partners.Count(partner => partner.Value),
            its.Partners.Count,
            [.. silent.Keys.Concat(missing.Where(names.ContainsKey).Select(address => names[address])).Order(StringComparer.Ordinal)],
            [.. silent.Keys],
            [.. problems]
        )
        {
            Counted = its.Partners.SetItem(its.Self, true),
        };
    }
}
