using System.Collections.Concurrent;
using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

/// <summary>What a hand-over does with the pools in front, by what their hosts answer. Fakes, because the answers of hosts that fail at a
/// certain moment cannot be had; <c>DrillTests</c> does it on the lab.</summary>
[TestFixture]
internal sealed class PlannedHandOverTests
{
    private static readonly ConnectionPools s_pools = new(
        ["lb-1", "lb-2"],
        "pgbouncer",
        "/run/pgbouncer",
        6433,
        new HttpRead("127.0.0.1", 8404, "/stats;csv"),
        "primary",
        TimeSpan.FromSeconds(1),
        IsRequired: false
    );

    [Test]
    public async Task The_lead_moves_while_all_are_paused_and_they_are_resumed_once_each_proxy_follows()
    {
        var hosts = new Proxies { LeadsAfter = 3 };

        var made = await RunAsync(hosts);

        Assert.That(made.Paused, Is.EqualTo(new[] { "lb-1", "lb-2" }));
        Assert.That(made.Unpaused, Is.Empty);
        Assert.That(hosts.Done.Take(2), Is.EquivalentTo(new[] { "lb-1 pause", "lb-2 pause" }));
        Assert.That(hosts.Done.Skip(2).Take(2), Is.EquivalentTo(new[] { "lb-1 hold direct", "lb-2 hold direct" }), "as late as possible");
        Assert.That(hosts.Done.ElementAt(4), Is.EqualTo("moved"));
        Assert.That(hosts.Done.TakeLast(2), Is.EquivalentTo(new[] { "lb-1 resume", "lb-2 resume" }));
        Assert.That(hosts.Asked, Is.GreaterThanOrEqualTo(6), "until both led to the candidate");
    }

    [Test]
    public async Task Where_a_transaction_goes_on_the_others_wait_until_its_proxy_follows_too()
    {
        var hosts = new Proxies { LeadsAfter = 3 };
        hosts.Codes["lb-1"] = hosts.Codes["lb-2"] = ConnectionPools.Busy;

        var made = await RunAsync(hosts);

        Assert.That(made.Unpaused, Has.All.Contains("transactions through its pools run for more than 1 s").And.Exactly(2).Items);
        Assert.That(hosts.Asked, Is.GreaterThanOrEqualTo(6));
    }

    [Test]
    public void A_transaction_that_may_not_be_ended_puts_it_off_and_nothing_is_moved()
    {
        var hosts = new Proxies();
        hosts.Codes["lb-2"] = ConnectionPools.Busy;

        Assert.That(
            async () => await RunAsync(hosts, s_pools with { IsRequired = true }),
            Throws.InstanceOf<HandOverPostponedException>().With.Message.Contains("lb-2: transactions")
        );
        Assert.That(hosts.Done, Does.Not.Contain("moved").And.Contain("lb-1 resume").And.Contain("lb-2 resume"));
        Assert.That(hosts.Done, Does.Not.Contain("lb-1 hold direct"));
    }

    [Test]
    public async Task A_proxy_that_is_not_there_puts_nothing_off_and_takes_no_pause_from_the_others()
    {
        var hosts = new Proxies { Missing = "lb-1" };

        var made = await RunAsync(hosts, s_pools with { IsRequired = true }, TimeSpan.FromSeconds(5));

        Assert.That(made.Paused, Is.EqualTo(new[] { "lb-2" }));
        Assert.That(made.Unpaused, Is.EqualTo(new[] { "lb-1: its pools cannot be paused: it could not be reached" }));
        Assert.That(hosts.Done, Does.Contain("lb-2 hold"));
    }

    [Test]
    public async Task Where_another_replica_takes_the_lead_the_sessions_are_sent_to_that_one_at_once()
    {
        var hosts = new Proxies { LeadsAfter = 3, Primary = "db-3" };

        var made = await RunAsync(hosts);

        Assert.That(hosts.Asked, Is.EqualTo(6), "until both led to the new primary, and no longer");
        Assert.That(made.Route, Is.LessThan(TimeSpan.FromSeconds(10)));
    }

    // Patroni 4.0.7's answers of status 200, and others.
    [TestCase("Successfully switched over to \"db-2\"", "db-2")]
    [TestCase("Switched over to \"db-3\" instead of \"db-2\"", "db-3")]
    [TestCase("", "db-2")]
    [TestCase("Switched over to", "db-2")]
    public void The_answer_to_a_switchover_names_the_new_primary(string answer, string primary) =>
        Assert.That(PatroniMembers.PrimaryAfter(answer, "db-2"), Is.EqualTo(primary));

    [Test]
    public void Stopped_in_the_middle_it_goes_on_until_the_sessions_have_somewhere_to_go()
    {
        using var stop = new CancellationTokenSource();
        var hosts = new Proxies { LeadsAfter = 3 };

        var made = new PlannedHandOver(s_pools, hosts).RunAsync(
            "db-2",
            async token =>
            {
                await stop.CancelAsync();
                token.ThrowIfCancellationRequested();
                hosts.Done.Enqueue("moved");
                return hosts.Primary;
            },
            stop.Token
        );

        Assert.That(async () => await made, Throws.Nothing);
        Assert.That(hosts.Done, Does.Contain("moved"));
    }

    private static Task<HandOver> RunAsync(Proxies hosts, ConnectionPools? pools = null, TimeSpan? takes = null) =>
        new PlannedHandOver(pools ?? s_pools, hosts).RunAsync(
            "db-2",
            async token =>
            {
                await Task.Delay(takes ?? TimeSpan.Zero, hosts.Time, token);
                hosts.Done.Enqueue("moved");
                return hosts.Primary;
            },
            CancellationToken.None
        );

    private sealed class Proxies : IGroupAccess
    {
        private int _asked;

        public ConcurrentQueue<string> Done { get; } = new();

        public ConcurrentDictionary<string, int> Codes { get; } = new();

        public string? Missing { get; init; }

        public string Primary { get; init; } = "db-2";

        // After how many questions to each the proxies lead to the new primary.
        public int LeadsAfter { get; init; }

        public int Asked => _asked;

        public ImmutableArray<Host> Members => [];

        public TimeProvider Time => TimeProvider.System;

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken)
        {
            var leader = Interlocked.Increment(ref _asked) > 2 * (LeadsAfter - 1) ? Primary : "db-1";
            var members = string.Concat(new[] { "db-1", "db-2", "db-3" }.Select(member => $"primary,{member},{Of(member)}\n"));
            var rows = $"# pxname,svname,status\n{members}primary,BACKEND,UP\n";
            return Task.FromResult(ProviderBench.Snapshot([.. reads.Select(read => (read, (object?)new HttpAnswer(200, rows)))]));

            string Of(string member) => member == leader ? "UP" : "DOWN";
        }

        // As the access of an apply does, it throws at once for a host without a writer.
        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken)
        {
            if (host == Missing)
            {
                throw new HostException(host, "it could not be reached");
            }

            var what =
                script.Text == s_pools.Pause.Text ? "pause"
                : script.Text == ConnectionPools.Hold.Text ? "hold"
                : script.Text == ConnectionPools.HoldDirect.Text ? "hold direct"
                : "resume";
            Done.Enqueue($"{host} {what}");
            return Task.FromResult(new ScriptResult(what == "pause" ? Codes.GetValueOrDefault(host) : 0, "", ""));
        }

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }
}
