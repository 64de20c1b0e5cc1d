using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>Goes through the checklist of a running cluster: one probe per host, and SQL through every way in. Changes nothing.</summary>
public static class StatusCheck
{
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(500);

    /// <summary>Measures until every check passes, one cannot be measured, or the time has passed; answers the last measurement. After a
    /// change PgBouncer answers with a failed login of before for about a second (<c>server_login_retry</c>), and a replica that has to be
    /// rewound streams again after some rounds of Patroni's.</summary>
    /// <param name="topology">The cluster.</param>
    /// <param name="configuration">Its dynamic configuration as it is declared.</param>
    /// <param name="fleet">The connections of this run.</param>
    /// <param name="patience">How long it is measured again.</param>
    /// <param name="scope">The checks that count; null for all.</param>
    /// <param name="waits">Receives the failed checks once, when it has to wait.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<ClusterStatus> SettleAsync(
        PostgresTopology topology,
        Resource configuration,
        Fleet fleet,
        TimeSpan patience,
        StatusScope? scope,
        Action<ClusterStatus> waits,
        CancellationToken cancellationToken
    )
    {
        ArgumentNullException.ThrowIfNull(waits);
        var begun = TimeProvider.System.GetTimestamp();
        var told = false;
        while (true)
        {
            var asked = TimeProvider.System.GetTimestamp();
            var whole = await RunAsync(topology, configuration, fleet, cancellationToken).ConfigureAwait(false);
            var status = scope?.Of(whole) ?? whole;
            if (status.Verdict != StatusVerdict.NotOk || TimeProvider.System.GetElapsedTime(begun) > patience)
            {
                return status;
            }

            if (!told)
            {
                waits(status);
                told = true;
            }

            // A cluster that is slow to answer is not asked all the time.
            await Task.Delay(TimeSpan.FromTicks(Math.Max(s_poll.Ticks, TimeProvider.System.GetElapsedTime(asked).Ticks)), cancellationToken)
                .ConfigureAwait(false);
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
