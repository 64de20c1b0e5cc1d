using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>A cluster under Patroni that a command other than an apply works on: judged as the gate of a roll-out judges it, and its lead
/// moved as a roll-out moves it.</summary>
/// <param name="policy">The policy of its members.</param>
/// <param name="group">Its members, whose locks are held.</param>
public sealed class RunningCluster(GroupPolicy policy, IGroupAccess group)
{
    private readonly IConsensusStore _store = ConsensusStores.Known.Of(policy);

    /// <summary>Reads once. If Patroni reports no problems, the store's own status is read as well.</summary>
    public Task<PatroniHealth> LookAsync(CancellationToken cancellationToken) =>
        PatroniGroup.LookAsync(policy, group, _store, cancellationToken);

    /// <summary>Looks until the cluster is healthy or that time has passed; answers what it was last.</summary>
    public Task<PatroniHealth> WaitHealthyAsync(TimeSpan patience, CancellationToken cancellationToken) =>
        PatroniGroup.WaitHealthyAsync(policy, group, _store, patience, cancellationToken);

    /// <summary>Hands the lead over through Patroni's REST API, which answers when the candidate leads, while the pools in front of the
    /// cluster are paused. Throws <see cref="ChangeFailedException"/>.</summary>
    public Task<HandOver> SwitchoverAsync(string leader, string candidate, CancellationToken cancellationToken) =>
        new PatroniMembers(policy, group, _store, TimeSpan.Zero).SwitchoverAsync(leader, candidate, cancellationToken);
}
