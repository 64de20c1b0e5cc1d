using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>A cluster under Patroni that a command other than an apply works on: judged as the gate of a roll-out judges it, and its lead
/// moved as a roll-out moves it.</summary>
/// <param name="resource">The <c>patroni_cluster</c> that stands for it.</param>
/// <param name="group">Its members, whose locks are held.</param>
public sealed class RunningCluster(Resource resource, IGroupAccess group)
{
    private readonly IConsensusStore _store = ConsensusStores.Known.Of(resource);

    /// <summary>Reads once. If Patroni reports no problems, the store's own status is read as well.</summary>
    public Task<PatroniHealth> LookAsync(CancellationToken cancellationToken) =>
        PatroniClusterProvider.LookAsync(resource, group, _store, cancellationToken);

    /// <summary>Looks until the cluster is healthy or that time has passed; answers what it was last.</summary>
    public Task<PatroniHealth> WaitHealthyAsync(TimeSpan patience, CancellationToken cancellationToken) =>
        PatroniClusterProvider.WaitHealthyAsync(resource, group, _store, patience, cancellationToken);

    /// <summary>Hands the lead over through Patroni's REST API, which answers when the candidate leads. Throws
    /// <see cref="ChangeFailedException"/>.</summary>
    public Task SwitchoverAsync(string leader, string candidate, CancellationToken cancellationToken) =>
        new PatroniMembers(resource, group, _store, TimeSpan.Zero).SwitchoverAsync(leader, candidate, cancellationToken);
}
