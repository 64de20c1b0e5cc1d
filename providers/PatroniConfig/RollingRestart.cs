using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>Restarts PostgreSQL on members in turn, as a change of parameters does, until none has a pending restart.</summary>
/// <param name="config">The <c>patroni_config</c> of the cluster.</param>
/// <param name="group">Its members, whose locks are held.</param>
/// <param name="patience">How long the cluster may take to be healthy before and after each step.</param>
public sealed class RollingRestart(Resource config, IGroupAccess group, TimeSpan patience)
{
    // Patroni clears the pending restart in its next loop, usually within ten seconds.
    private static readonly PollPace s_told = new(TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(20));

    /// <summary>Receives each hand-over of the lead, before the former primary is told of as restarted.</summary>
    public Action<HandOver> HandedOver { get; init; } = _ => { };

    /// <summary>Restarts them. Answers the restarted members, in that order. Throws <see cref="ChangeFailedException"/>.</summary>
    /// <param name="all">Whether those are restarted too that wait for nothing.</param>
    /// <param name="restarted">Receives the restarted members after each step.</param>
    /// <param name="cancellationToken">Ends it between two steps.</param>
    public async Task<ImmutableArray<string>> RunAsync(bool all, Action<string> restarted, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(restarted);
        var members = new PatroniMembers(config, group, ConsensusStores.Known.Of(config), patience) { HandedOver = HandedOver };
        var done = ImmutableArray.CreateBuilder<string>();
        while (true)
        {
            var plan = await LookAsync(all ? group.Members.Select(member => member.Name).Except(done) : [], cancellationToken)
                .ConfigureAwait(false);
            if (plan.Next.IsEmpty)
            {
                return done.ToImmutable();
            }

            // On a lowered value a standby may have to be restarted again, once it has seen that the leader has it.
            if (done.Count >= 3 * group.Members.Length)
            {
                throw new ChangeFailedException(
                    $"{string.Join(" and ", plan.Waiting.Keys)} still have a pending restart after {done.Count} restarts; see "
                        + $"pending_restart_reason in Patroni's /patroni there"
                );
            }

            var name = await members.RestartNextAsync(plan.Next, plan.LeaderFirst, cancellationToken).ConfigureAwait(false);
            done.Add(name);
            restarted(name);
            await AwaitRestartReportAsync(name, plan.Waiting.GetValueOrDefault(name) ?? [], cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task<RestartPlan> LookAsync(IEnumerable<string> others, CancellationToken cancellationToken)
    {
        var answers = await PatroniGroup.ReadAllAsync(group, RestartPlan.Reads(config), cancellationToken).ConfigureAwait(false);
        var health = PatroniGroup.Judge(config, answers, group.Members.Select(member => member.Name));
        return RestartPlan.Of(config, health, answers, others.Except(health.Fenced.Keys));
    }

    private async Task AwaitRestartReportAsync(string member, ImmutableSortedSet<string> before, CancellationToken cancellationToken)
    {
        if (!before.IsEmpty)
        {
            await Poll.UntilAsync(WaitsForAsync, now => !now.SetEquals(before), s_told, group.Time, cancellationToken)
                .ConfigureAwait(false);
        }

        async Task<ImmutableSortedSet<string>> WaitsForAsync() =>
            (await LookAsync([], cancellationToken).ConfigureAwait(false)).Waiting.GetValueOrDefault(member) ?? [];
    }
}
