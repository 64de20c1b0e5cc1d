using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Etcd;

/// <summary>etcd's health by its own account. Pure.</summary>
public static class EtcdHealth
{
    private static HealthProblem Problem(string? member, string text) => new(HealthProblemKind.Store, member, text);

    /// <summary>Judges what the members said.</summary>
    /// <param name="view">Their answers together.</param>
    /// <param name="gone">Addresses of members that were taken down for good and still count.</param>
    /// <param name="withAlarms">Whether an alarm is a problem: it keeps no member from a restart, which may be its remedy.</param>
    public static StoreHealth Judge(EtcdView view, IReadOnlyCollection<string> gone, bool withAlarms = true)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(gone);
        if (view.Leader is not { } leader)
        {
            return new StoreHealth(
                null,
                0,
                0,
                [],
                [],
                [
                    .. view.Silent.Select(pair => Problem(pair.Key, $"{pair.Key}: {pair.Value}")),
                    Problem(null, "etcd has no leader with a quorum"),
                ]
            );
        }

        var partners = view.Voters.Where(member => member != leader).ToList();
        var problems = new List<HealthProblem>();
        foreach (var member in partners.Where(member => !view.IsConnected(member) && !gone.Contains(member.Address)))
        {
            problems.Add(
                member.Name.Length > 0 && view.Silent.TryGetValue(member.Name, out var why)
                    ? Problem(member.Name, $"{member.Name}: {why}")
                    : Problem(Named(member), $"{Named(member)}: etcd's leader {leader.Name} is not connected to it")
            );
        }

        problems.AddRange(
            view.Members.Where(member => member.IsLearner)
                .Select(member => Problem(Named(member), $"{Named(member)}: etcd does not count it yet, it is a learner"))
        );
        problems.AddRange((withAlarms ? view.Alarms : []).Select(alarm => Problem(null, $"etcd has raised the alarm {alarm}")));
        return new StoreHealth(leader.Name, partners.Count(view.IsConnected), partners.Count, [], [], [.. problems])
        {
            Counted = view.Voters.ToImmutableSortedDictionary(member => member.Address, view.IsConnected, StringComparer.Ordinal),
            OwnMembers = view.Voters.ToImmutableSortedDictionary(Named, view.IsConnected, StringComparer.Ordinal),
            Account = Account(view),
        };
    }

    private static string Account(EtcdView view) =>
        $"etcd {view.StatusOf(view.Leader!)?.Version}, database {Megabytes(view.Size)}"
        + (view.Quota > 0 ? $" of {Megabytes(view.Quota)}" : "");

    private static string Megabytes(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:0.##} MiB");

    // One that has not started yet has no name.
    private static string Named(EtcdMember member) => member.Name.Length > 0 ? member.Name : member.Address;
}
