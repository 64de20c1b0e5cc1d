using System.Collections.Concurrent;
using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>Goes through the checklist of a running cluster: one probe per host, and beside it SQL through every way in. Changes
/// nothing.</summary>
public static class StatusCheck
{
    /// <summary>What it asks a host.</summary>
    public static IReadOnlyCollection<Read> Reads(PostgresTopology topology, Resource configuration, Host host) =>
        new StatusReads(topology, configuration).For(host);

    /// <summary>Measures every item. Hosts that cannot be read make items unknown; nothing is thrown for them.</summary>
    /// <param name="topology">The cluster.</param>
    /// <param name="configuration">Its dynamic configuration.</param>
    /// <param name="fleet">The connections.</param>
    /// <param name="keep">Is given what the volumes hold, and returns that of before, too.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<ClusterStatus> RunAsync(
        PostgresTopology topology,
        Resource configuration,
        Fleet fleet,
        Func<ImmutableArray<VolumeSample>, VolumeHistory> keep,
        CancellationToken cancellationToken
    )
    {
        ArgumentNullException.ThrowIfNull(keep);
        var reads = new StatusReads(topology, configuration);
        var answers = new ConcurrentDictionary<Host, Task<IReadOnlyList<EndpointAnswer>>>();
        var hosts = await fleet
            .ReadAsync(topology.Members.Concat(topology.Proxies), reads.For, cancellationToken, beside: EndpointsOf)
            .ConfigureAwait(false);
        var endpoints = await Task.WhenAll(topology.Proxies.Select(EndpointsOf)).ConfigureAwait(false);
        var judgement = new StatusJudgement(topology, reads, hosts, [.. endpoints.SelectMany(answer => answer)]);
        return judgement.Judge(keep(judgement.Volumes));

        Task<IReadOnlyList<EndpointAnswer>> EndpointsOf(Host host) =>
            answers.GetOrAdd(host, asked =>
                SqlEndpointProbe.ProbeAsync(topology, asked, fleet.Connections.GetValueOrDefault(asked.Name), cancellationToken)
            );
    }
}
