using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>Goes through the checklist of a running cluster: one probe per host, and SQL through every way in. Changes nothing.</summary>
public static class StatusCheck
{
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(500);

    /// <summary>Measures until every item holds, one cannot be measured, or the time has passed; answers what was measured last. After a
    /// change PgBouncer answers with a failed login of before for about a second (<c>server_login_retry</c>), and a replica that has to be
    /// rewound streams again after some rounds of Patroni's.</summary>
    /// <param name="topology">The cluster.</param>
    /// <param name="configuration">Its dynamic configuration as it is declared.</param>
    /// <param name="fleet">The connections of this run.</param>
    /// <param name="patience">How long it is measured again.</param>
    /// <param name="scope">What it is judged by; null for the whole checklist.</param>
    /// <param name="time">The clock.</param>
    /// <param name="waits">Told once, with what does not hold yet, when it has to be waited.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<ClusterStatus> SettleAsync(
        PostgresTopology topology,
        Resource configuration,
        Fleet fleet,
        TimeSpan patience,
        StatusScope? scope,
        TimeProvider time,
        Action<ClusterStatus> waits,
        CancellationToken cancellationToken
    )
    {
        ArgumentNullException.ThrowIfNull(waits);
        var told = false;
        return await Poll.UntilAsync(
                MeasureAsync,
                status => status.Verdict != StatusVerdict.NotOk,
                new PollPace(s_poll, patience) { SparesSlowHosts = true },
                time,
                cancellationToken,
                beforePause: Tell
            )
            .ConfigureAwait(false);

        async Task<ClusterStatus> MeasureAsync()
        {
            var whole = await RunAsync(topology, configuration, fleet, cancellationToken).ConfigureAwait(false);
            return scope?.Of(whole) ?? whole;
        }

        void Tell(ClusterStatus status)
        {
            if (!told)
            {
                waits(status);
                told = true;
            }
        }
    }

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
