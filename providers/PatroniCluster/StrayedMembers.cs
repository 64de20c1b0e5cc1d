using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>Members that run outside RAFT. Patroni takes RAFT's password and partners only when it starts: one that was started with others
/// stays outside, whatever its file says by now.</summary>
internal static class StrayedMembers
{
    // pysyncobj tries a link again every 5 s (connectionRetryTime).
    private static readonly TimeSpan s_reconnects = TimeSpan.FromSeconds(6);
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(500);

    /// <summary>Restarts them by their unit, one after another, since together they might be the majority. Throws
    /// <see cref="ChangeFailedException"/> when one does not come back.</summary>
    /// <param name="resource">The resource that stands for the cluster.</param>
    /// <param name="group">Its members.</param>
    /// <param name="patience">How long one may take to take part again, before the next.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task RejoinAsync(Resource resource, IGroupAccess group, TimeSpan patience, CancellationToken cancellationToken)
    {
        if (resource.Spec.OptionalString("unit") is not { } unit)
        {
            return;
        }

        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (
            (await LookAsync(resource, group, cancellationToken).ConfigureAwait(false)).Strayed is var strayed
            && strayed.Except(seen).FirstOrDefault() is { } name
        )
        {
            seen.Add(name);
            // A link that was cut is made again by itself, and one look may have met a machine that was too slow to answer.
            if (await UntilAsync(look => !look.Strayed.Contains(name), s_reconnects).ConfigureAwait(false))
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
                throw new ChangeFailedException($"{name} is outside RAFT, and {unit} could not be restarted there: {result.Error.Trim()}");
            }

            if (
                strayed.Count > 1
                && !await UntilAsync(look => look.Answering.Contains(name) && !look.Strayed.Contains(name), patience).ConfigureAwait(false)
            )
            {
                throw new ChangeFailedException(
                    $"{name} is still outside RAFT {patience.TotalSeconds:0} s after the restart of {unit}; see "
                        + $"'docker logs {ClusterConnection.Of(resource).Container}' on it"
                );
            }
        }

        async Task<bool> UntilAsync(Func<(IReadOnlyList<string> Answering, IReadOnlyList<string> Strayed), bool> condition, TimeSpan limit)
        {
            var begun = TimeProvider.System.GetTimestamp();
            while (!condition(await LookAsync(resource, group, cancellationToken).ConfigureAwait(false)))
            {
                if (TimeProvider.System.GetElapsedTime(begun) > limit)
                {
                    return false;
                }

                await Task.Delay(s_poll, cancellationToken).ConfigureAwait(false);
            }

            return true;
        }
    }

    // The members whose Patroni answers, and those to be restarted to rejoin RAFT. A member that cannot reach RAFT's leader is not
    // restarted: it streams now, and would not start.
    private static async Task<(IReadOnlyList<string> Answering, IReadOnlyList<string> Strayed)> LookAsync(
        Resource resource,
        IGroupAccess group,
        CancellationToken cancellationToken
    )
    {
        var snapshots = await PatroniClusterProvider
            .ReadAllAsync(
                group,
                [.. PatroniHealth.Reads(ClusterConnection.Of(resource).RestPort), PatroniClusterProvider.RaftOf(resource)],
                cancellationToken
            )
            .ConfigureAwait(false);
        var health = PatroniClusterProvider.Judge(resource, snapshots, group.Members.Select(member => member.Name));
        var answering = health.Members.Where(member => member.Answers).Select(member => member.Name).ToList();
        var raft = RaftHealth.Judge(
            answering.ToDictionary(
                name => name,
                name => snapshots[name].Get(PatroniClusterProvider.RaftOf(resource)),
                StringComparer.Ordinal
            ),
            []
        );
        // Without a leader, members outside RAFT lose nothing by a restart.
        if (raft.Leader is null || group.Members.FirstOrDefault(member => member.Name == raft.Leader) is not { } leader)
        {
            return (answering, health.Leaders.IsEmpty && !health.IsPaused ? raft.Mute : []);
        }

        var port = new PortRead(leader.Address, RaftMembership.PortOf(resource));
        var strayed = new List<string>();
        foreach (var name in raft.Outside.Where(name => name != health.Leader && !health.IsPaused))
        {
            if ((await group.ReadAsync(name, [port], cancellationToken).ConfigureAwait(false)).Get(port) == PortState.Answered)
            {
                strayed.Add(name);
            }
        }

        return (answering, strayed);
    }
}
