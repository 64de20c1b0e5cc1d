using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>RAFT's health, combined from its members' answers. Only the view of RAFT's leader counts: two members can disagree about their
/// link for a minute after a cut. Pure.</summary>
/// <param name="Leader">RAFT's leader with a quorum; null for none, for two, or if Patroni uses another store. PostgreSQL's primary may be
/// another member.</param>
/// <param name="Connected">How many partners RAFT's leader is connected to.</param>
/// <param name="Partners">How many partners it has.</param>
/// <param name="Outside">The members that answer but are not connected to RAFT's leader, or whose RAFT does not answer, in the order of
/// their names.</param>
/// <param name="Mute">Those of them whose RAFT does not answer, as when its thread has died.</param>
/// <param name="Problems">The problems, a sentence each; empty for none, or if Patroni uses another store.</param>
public sealed record RaftHealth(
    string? Leader,
    int Connected,
    int Partners,
    ImmutableArray<string> Outside,
    ImmutableArray<string> Mute,
    ImmutableArray<HealthProblem> Problems
)
{
    /// <summary>The addresses that RAFT's leader counts, including its own, and whether it is connected to each; from a follower if the
    /// leader was not read. Empty without a leader.</summary>
    public ImmutableSortedDictionary<string, bool> Counted { get; init; } =
        ImmutableSortedDictionary.Create<string, bool>(StringComparer.Ordinal);

    private static HealthProblem Problem(string? member, string text) => new(HealthProblemKind.Store, member, text);

    /// <summary>Judges what the members said.</summary>
    /// <param name="answers">The members' answers.</param>
    /// <param name="gone">Addresses (<c>10.0.0.121:7000</c>) of members that were taken down for good and still count.</param>
    public static RaftHealth Judge(IReadOnlyDictionary<string, ToolAnswer> answers, IReadOnlyCollection<string> gone)
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
            return new RaftHealth(null, 0, 0, [], [], []);
        }

        var problems = silent.Select(pair => Problem(pair.Key, $"{pair.Key}: {pair.Value}")).ToList();
        var leading = views.Where(pair => pair.Value.Leader == pair.Value.Self && pair.Value.HasQuorum).ToList();
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
            return new RaftHealth(null, 0, 0, [.. silent.Keys], [.. silent.Keys], [.. problems])
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
        return new RaftHealth(
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
