using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>Goes through the checklist of a running cluster: one probe per host, and SQL through every way in. Changes nothing.</summary>
public static class StatusCheck
{
    /// <summary>Measures every item. Hosts that cannot be read make items unknown; nothing is thrown for them.</summary>
    public static async Task<ClusterStatus> RunAsync(
        PostgresTopology topology,
        Resource configuration,
        Fleet fleet,
        CancellationToken cancellationToken
    )
    {
        var reads = new StatusReads(topology, configuration);
        var hosts = await fleet.ReadAsync(topology.Members.Concat(topology.Proxies), reads.For, cancellationToken).ConfigureAwait(false);
        var endpoints = await SqlEndpointProbe.ProbeAsync(topology, fleet.Connections, cancellationToken).ConfigureAwait(false);
        return new StatusJudgement(topology, reads, hosts, endpoints).Judge();
    }
}
