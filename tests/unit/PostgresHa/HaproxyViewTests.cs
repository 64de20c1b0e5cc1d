using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Status;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Tests.Providers;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>The line <c>haproxy's view</c> of <c>kbr status</c>, by HAProxy's statistics.</summary>
internal sealed class HaproxyViewTests : BlueprintFixture
{
    [TestCase("2000", "haproxy-01: primary db-1, PgBouncer 1/1")]
    [TestCase(
        "0",
        "haproxy-01: primary db-1, PgBouncer 1/1, keeps new direct sessions waiting: unless a hand-over is under way, "
            + "docker kill -s USR2 haproxy"
    )]
    public void A_front_end_that_accepts_no_session_is_named(string limit, string said)
    {
        var cluster = Load(Minimal);
        var topology = cluster.Model<PostgresTopology>()!;
        var reads = new StatusReads(topology, Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg"));
        var rows = $"""
            # pxname,svname,slim,status
            postgres,FRONTEND,{limit},OPEN
            pooled,FRONTEND,0,OPEN
            primary,db-1,,UP
            pgbouncer,haproxy-01,,UP

            """;
        var hosts = topology.Proxies.ToDictionary(
            proxy => proxy.Name,
            proxy =>
                (
                    (Snapshot?)
                        ProviderBench.Snapshot([
                            .. reads
                                .For(proxy)
                                .Select(read =>
                                    (read, read == reads.HaproxyTable ? new HttpAnswer(200, rows) : ProviderBench.Nothing(read))
                                ),
                        ]),
                    (string?)null
                )
        );

        var item = new StatusJudgement(topology, reads, hosts, []).Judge().Items.Single(one => one.Name == "haproxy's view");

        Assert.That(item.Measured, Does.StartWith(said + "; haproxy-02: "));
    }
}
