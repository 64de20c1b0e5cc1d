using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers.SqlProxies;

/// <summary>Whose turn it is among the proxies, by how they are.</summary>
[TestFixture]
internal sealed class ProxyTurnTests
{
    private static readonly ProxyState s_one = new("lb-1", true, true, []);
    private static readonly ProxyState s_two = new("lb-2", true, true, []);

    [Test]
    public void Proxies_that_serve_go_one_after_another_in_the_order_of_the_file()
    {
        Assert.That(Turn([s_one, s_two], "lb-1", "lb-2"), Is.EqualTo("go lb-1"));
        Assert.That(Turn([s_one, s_two], "lb-2"), Is.EqualTo("go lb-2"));
        Assert.That(Turn([s_one, s_two]), Is.EqualTo("go "), "and the last gate is open");
    }

    [Test]
    public void The_second_waits_until_the_first_serves_again()
    {
        var first = s_one with { Problems = ["lb-1: HAProxy sees no primary"] };

        Assert.That(Turn([first, s_two], "lb-2"), Is.EqualTo("wait lb-1: HAProxy sees no primary"));
        Assert.That(Turn([first, s_two]), Is.EqualTo("wait lb-1: HAProxy sees no primary"), "and so does the end");
    }

    [Test]
    public void Stopped_proxies_start_together_even_while_the_cluster_behind_them_changes()
    {
        ProxyState[] none = [Stopped("lb-1"), Stopped("lb-2")];

        Assert.That(Turn(none, "lb-1", "lb-2"), Is.EqualTo("go lb-1 lb-2"));
        Assert.That(Turn(none, unsettled: true, "lb-1", "lb-2"), Is.EqualTo("go lb-1 lb-2"));
    }

    [Test]
    public void Stopped_proxies_are_repaired_before_serving_ones_change()
    {
        Assert.That(Turn([s_one, Stopped("lb-2")], "lb-1", "lb-2"), Is.EqualTo("go lb-2"));
        var half = new ProxyState("lb-2", true, false, ["lb-2: PgBouncer does not run"]);
        var seesIt = s_one with { Problems = ["lb-1: HAProxy does not see the PgBouncer of lb-2"] };
        Assert.That(Turn([seesIt, half], "lb-1", "lb-2"), Is.EqualTo("go lb-2"));
    }

    [Test]
    public void One_that_runs_and_does_not_serve_goes_first_while_the_other_serves()
    {
        var ill = s_two with { Problems = ["lb-2: HAProxy sees no primary"] };

        Assert.That(Turn([s_one, ill], "lb-1", "lb-2"), Is.EqualTo("go lb-2"));
        Assert.That(
            Turn([s_one with { Problems = ["lb-1: HAProxy sees no primary"] }, ill], "lb-1", "lb-2"),
            Is.EqualTo("wait lb-1: HAProxy sees no primary; lb-2: HAProxy sees no primary")
        );
    }

    [Test]
    public void A_proxy_that_looked_ill_goes_only_after_sessions_pass_through_another_one()
    {
        var ill = s_two with { Problems = ["lb-2: SQL through PgBouncer on port 6433 does not work"] };
        RolloutState state = new(["lb-2"], []);
        Assert.That(ProxyState.HandsOver([s_one, s_two], state, "lb-2"));
        Assert.That(ProxyState.HandsOver([s_one, ill], state, "lb-2"));
        Assert.That(ProxyState.HandsOver([s_one, Stopped("lb-2")], state, "lb-2"), Is.False);
        Assert.That(
            ProxyState.HandsOver([s_one, new ProxyState("lb-2", false, true, ["lb-2: HAProxy does not run"])], state, "lb-2"),
            Is.False,
            "nobody comes by it"
        );
        Assert.That(ProxyState.HandsOver([Stopped("lb-1"), ill], state, "lb-2"), Is.False);
    }

    [Test]
    public void One_without_HAProxy_is_mended_before_the_one_that_sessions_come_by()
    {
        var withoutPooler = new ProxyState("lb-1", true, false, ["lb-1: PgBouncer does not run"]);
        var withoutHaproxy = new ProxyState("lb-2", false, true, ["lb-2: HAProxy does not run"]);

        Assert.That(Turn([withoutPooler, withoutHaproxy], "lb-1", "lb-2"), Is.EqualTo("go lb-2"));
        Assert.That(Turn([s_one, withoutHaproxy], "lb-1", "lb-2"), Is.EqualTo("go lb-2"));
        Assert.That(Turn([withoutPooler, s_two], "lb-1", "lb-2"), Is.EqualTo("go lb-1"));
    }

    [TestCase(true, true, "lb-1, lb-2")]
    [TestCase(true, false, "lb-1, lb-2", Description = "direct sessions come by it, and pooled ones go on to another PgBouncer")]
    [TestCase(false, true, "lb-1")]
    [TestCase(false, false, "lb-1")]
    public void A_proxy_serves_while_its_HAProxy_runs(bool haproxy, bool pgbouncer, string serving)
    {
        var policy = new GroupPolicy(
            "lb",
            new ProxyGroup(),
            AttributeSet.Empty.With("haproxy_container", "haproxy").With("pgbouncer_container", "pgbouncer")
        );

        var observed = new ProxyGroup().Observe(
            policy,
            new Dictionary<string, Snapshot> { ["lb-1"] = Services(true, true), ["lb-2"] = Services(haproxy, pgbouncer) }
        );

        var outlook = (ProxiesOutlook)((Observation.Present)observed).Outlook!;
        Assert.That(string.Join(", ", outlook.Serving), Is.EqualTo(serving));

        static Snapshot Services(bool haproxy, bool pgbouncer) =>
            ProviderBench.Snapshot(
                (new ContainerRead("haproxy"), Container(haproxy)),
                (new ContainerRead("pgbouncer"), Container(pgbouncer))
            );
        static DockerAnswer Container(bool runs) => new(200, $$$"""{"State": {"Running": {{{(runs ? "true" : "false")}}}}}""");
    }

    [Test]
    public void While_the_cluster_behind_them_changes_no_running_proxy_changes()
    {
        Assert.That(
            Turn([s_one, s_two], unsettled: true, "lb-1", "lb-2"),
            Is.EqualTo("wait the change behind the proxies is still running")
        );
        Assert.That(
            Turn([s_one, s_two with { Problems = ["lb-2: HAProxy sees no primary"] }], unsettled: true, "lb-2"),
            Does.StartWith("wait the change behind")
        );
    }

    [Test]
    public void After_a_failed_roll_out_behind_them_serving_proxies_stay_and_stopped_ones_start()
    {
        var state = new RolloutState(["lb-1", "lb-2"], []) { FailedBehind = "db-2: make room first" };
        Assert.That(
            Text(ProxyState.Decide([s_one, s_two], state)),
            Is.EqualTo("stop the change behind the proxies failed, so they stay unchanged: db-2: make room first")
        );
        Assert.That(
            Text(ProxyState.Decide([s_one, s_two with { Problems = ["lb-2: HAProxy sees no primary"] }], state)),
            Does.StartWith("stop")
        );
        Assert.That(Text(ProxyState.Decide([s_one, Stopped("lb-2")], state)), Is.EqualTo("go lb-2"));
    }

    [Test]
    public void A_single_proxy_has_its_turn_and_one_that_leaves_is_not_waited_for()
    {
        Assert.That(Turn([s_one], "lb-1"), Is.EqualTo("go lb-1"));
        var leaving = ImmutableSortedSet.Create(StringComparer.Ordinal, "lb-2");
        Assert.That(Text(ProxyState.Decide([s_one, Stopped("lb-2")], new RolloutState([], leaving))), Is.EqualTo("go "));
    }

    [Test]
    public void A_proxy_that_leaves_first_goes_while_another_serves_and_does_not_wait_for_the_new_one()
    {
        RolloutState State(params string[] later) => new(["lb-2"], ["lb-2"]) { Later = [.. later] };
        Assert.That(Text(ProxyState.Decide([s_one, s_two, Stopped("lb-3")], State("lb-1", "lb-3"))), Is.EqualTo("go lb-2"));
        Assert.That(
            Text(ProxyState.Decide([s_one with { Problems = ["lb-1: HAProxy sees no primary"] }, s_two], State("lb-1"))),
            Is.EqualTo("wait lb-1: HAProxy sees no primary")
        );
        Assert.That(
            Text(ProxyState.Decide([s_two, Stopped("lb-3")], State("lb-3"))),
            Does.StartWith("stop lb-2 would be removed before lb-3 can start, and no other proxy serves")
        );
        Assert.That(ProxyState.HandsOver([s_one, s_two, Stopped("lb-3")], State("lb-1", "lb-3"), "lb-2"), "the load balancer is asked");
    }

    private static ProxyState Stopped(string name) =>
        new(name, false, false, [$"{name}: HAProxy does not run", $"{name}: PgBouncer does not run"]);

    private static string Turn(ProxyState[] proxies, params string[] toCome) => Turn(proxies, false, toCome);

    private static string Turn(ProxyState[] proxies, bool unsettled, params string[] toCome) =>
        Text(
            ProxyState.Decide(proxies, new RolloutState(toCome.ToImmutableSortedSet(StringComparer.Ordinal), []) { Unsettled = unsettled })
        );

    private static string Text(RolloutTurn turn) =>
        turn switch
        {
            RolloutTurn.Go go => "go " + string.Join(' ', go.Hosts),
            RolloutTurn.Wait wait => "wait " + wait.Reason,
            RolloutTurn.Stop stop => "stop " + stop.Reason,
            _ => "",
        };
}
