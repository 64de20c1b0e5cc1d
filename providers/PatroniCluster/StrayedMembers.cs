using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>Members that run outside the consensus store. Patroni may take the store's password and members only when it starts: a member
/// started with others stays outside, whatever its file says now.</summary>
internal static class StrayedMembers
{
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(500);

    /// <summary>Restarts them by their unit, one after another, since together they might be the majority. Throws
    /// <see cref="ChangeFailedException"/> when one does not come back.</summary>
    /// <param name="resource">The resource of the cluster.</param>
    /// <param name="group">Its members.</param>
    /// <param name="store">Their consensus store.</param>
    /// <param name="patience">How long one may take to take part again, before the next.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task RejoinAsync(
        IDeclared resource,
        IGroupAccess group,
        IConsensusStore store,
        TimeSpan patience,
        CancellationToken cancellationToken
    )
    {
        if (PatroniGroupSpec.Of(resource).Unit is not { } unit)
        {
            return;
        }

        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (
            (await LookAsync(resource, group, store, cancellationToken).ConfigureAwait(false)).Strayed is var strayed
            && strayed.Except(seen).FirstOrDefault() is { } name
        )
        {
            seen.Add(name);
            // A link that was cut is made again by itself, and one look may have met a machine that was too slow to answer.
            if (await UntilAsync(look => !look.Strayed.Contains(name), store.Reconnection).ConfigureAwait(false))
            {
                continue;
            }

            var result = await group
                .RunAsync(
                    name,
                    new Script($"systemctl restart {Script.Quote(unit)}\n") { Deadline = TimeSpan.FromMinutes(3) },
                    cancellationToken
                )
                .ConfigureAwait(false);
            if (result.ExitCode != 0)
            {
                throw new ChangeFailedException(
                    $"{name} is outside {store.Name}, and {unit} could not be restarted there: {result.Error.Trim()}"
                );
            }

            if (
                strayed.Count > 1
                && !await UntilAsync(look => look.Answering.Contains(name) && !look.Strayed.Contains(name), patience).ConfigureAwait(false)
            )
            {
                throw new ChangeFailedException(
                    $"{name} is still outside {store.Name} {patience.TotalSeconds:0} s after the restart of {unit}; see "
                        + $"'docker logs {ClusterConnection.Of(resource).Container}' on it"
                );
            }
        }

        async Task<bool> UntilAsync(
            Func<(IReadOnlyList<string> Answering, IReadOnlyList<string> Strayed), bool> condition,
            TimeSpan limit
        ) =>
            condition(
                await Poll.UntilAsync(
                        () => LookAsync(resource, group, store, cancellationToken),
                        condition,
                        new PollPace(s_poll, limit) { SparesSlowHosts = true },
                        group.Time,
                        cancellationToken
                    )
                    .ConfigureAwait(false)
            );
    }

    // The members whose Patroni answers, and those to be restarted to rejoin the store. A member that cannot reach the store's leader is
    // not restarted: it streams now, and would not start.
    private static async Task<(IReadOnlyList<string> Answering, IReadOnlyList<string> Strayed)> LookAsync(
        IDeclared resource,
        IGroupAccess group,
        IConsensusStore store,
        CancellationToken cancellationToken
    )
    {
        var snapshots = await PatroniGroup
            .ReadAllAsync(
                group,
                [.. PatroniHealth.Reads(ClusterConnection.Of(resource).RestPort), .. store.Reads(resource)],
                cancellationToken
            )
            .ConfigureAwait(false);
        var health = PatroniGroup.Judge(resource, snapshots, group.Members.Select(member => member.Name));
        var answering = health.Members.Where(member => member.Answers).Select(member => member.Name).ToList();
        var storeHealth = store.Judge(resource, answering.ToDictionary(name => name, name => snapshots[name], StringComparer.Ordinal), []);
        // Without a leader, members outside the store lose nothing by a restart.
        if (storeHealth.Leader is null || group.Members.FirstOrDefault(member => member.Name == storeHealth.Leader) is not { } leader)
        {
            return (answering, health.Leaders.IsEmpty && !health.IsPaused ? storeHealth.Mute : []);
        }

        var port = store.ListenerOf(resource, leader);
        var strayed = new List<string>();
        foreach (var name in storeHealth.Outside.Where(name => name != health.Leader && !health.IsPaused))
        {
            if ((await group.ReadAsync(name, [port], cancellationToken).ConfigureAwait(false)).Get(port) == PortState.Answered)
            {
                strayed.Add(name);
            }
        }

        return (answering, strayed);
    }
}
