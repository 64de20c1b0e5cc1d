using System.Collections.Immutable;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

/// <summary>What the plan says beforehand of a roll-out.</summary>
[TestFixture]
internal sealed class RolloutForecastTests
{
    private static readonly Address s_cluster = GroupPolicy.AddressOf("pg");
    private static readonly ClusterOutlook s_now = Serving("db-1", ("db-3", 0), ("db-2", 512));

    [Test]
    public void Replicas_go_by_least_lag_then_the_leader_after_a_switchover()
    {
        var forecast = s_now.Forecast(s_cluster, Names("db-1", "db-2", "db-3"), [])!;

        Assert.That(
            Steps(forecast),
            Is.EqualTo(
                new[]
                {
                    "Restart db-3 (a replica, 0 bytes behind)",
                    "Restart db-2 (a replica, 512 bytes behind)",
                    "Switchover db-1 db-2 ()",
                    "Restart db-1 (the former primary)",
                }
            )
        );
        Assert.That(forecast.Summary, Is.EqualTo("3 rolling restarts, 1 switchover, about 3 s without writes"));
        Assert.That(forecast.WriteGap, Is.EqualTo(TimeSpan.FromSeconds(3)));
    }

    [Test]
    public void Replicas_that_lag_now_have_caught_up_when_the_leader_s_turn_comes()
    {
        var lagging = s_now with
        {
            View = s_now.View with
            {
                Health = s_now.View.Health with
                {
                    Members = [.. s_now.View.Health.Members.Select(member => member.Leads ? member : member with { LagBytes = 5 << 20 })],
                    Problems = [new HealthProblem(HealthProblemKind.Lagging, "db-2", "db-2: lagging")],
                },
            },
        };

        Assert.That(Steps(lagging.Forecast(s_cluster, Names("db-1"), [])!), Has.Member("Switchover db-1 db-2 ()"));
    }

    [Test]
    public void A_leader_is_not_restarted_in_place_beside_a_replica_whose_lag_is_unknown()
    {
        var health = s_now.View.Health;
        var unmeasured = health with { Members = [.. health.Members.Select(member => member with { LagBytes = null })] };
        var step = ClusterPolicy.Next(
            s_now.View with
            {
                Health = unmeasured,
                HasReplicationPassword = true,
                LostForGood = "",
            },
            new ClusterIntent(Names("db-1"), [])
        );

        Assert.That(step, Is.InstanceOf<ClusterStep.Wait>().With.Property("Text").Contains("its lag is unknown"));
    }

    [Test]
    public void A_preferred_leader_costs_a_second_switchover()
    {
        var forecast = (s_now with { Preferred = "db-1" }).Forecast(s_cluster, Names("db-1", "db-2", "db-3"), [])!;

        Assert.That(Steps(forecast)[^1], Is.EqualTo("Switchover db-2 db-1 (the preferred primary)"));
        Assert.That(forecast.Summary, Is.EqualTo("3 rolling restarts, 2 switchovers, about 6 s without writes"));
    }

    [Test]
    public void A_replica_alone_stops_no_writes_and_stopped_members_start_first()
    {
        Assert.That(s_now.Forecast(s_cluster, Names("db-2"), [])!.Summary, Is.EqualTo("1 restart, writes continue"));
        var mended = Serving("db-1", ("db-3", 0)).Forecast(s_cluster, Names("db-2", "db-3"), [])!;
        Assert.That(Steps(mended), Is.EqualTo(new[] { "Start db-2 (not running)", "Restart db-3 (a replica, 0 bytes behind)" }));
        Assert.That(Serving(null).Forecast(s_cluster, Names("db-1", "db-2"), []), Is.Null, "nobody serves: nobody is interrupted");
    }

    [Test]
    public void A_leader_alone_is_restarted_in_place_and_a_leaving_member_is_no_candidate()
    {
        Assert.That(
            Serving("db-1").Forecast(s_cluster, Names("db-1"), [])!.Summary,
            Is.EqualTo("1 restart, no writes while the primary restarts")
        );
        Assert.That(
            Steps((s_now with { Preferred = "db-3" }).Forecast(s_cluster, Names("db-1", "db-3"), Names("db-3"))!),
            Does.Contain("Switchover db-1 db-2 ()").And.None.Contains("preferred")
        );
    }

    [Test]
    public void A_member_that_leaves_is_stopped_and_removed_and_not_restarted()
    {
        var replica = s_now.Forecast(s_cluster, Names("db-2"), Names("db-2"))!;
        Assert.That(Steps(replica), Is.EqualTo(new[] { "Remove db-2 (a replica, 512 bytes behind)" }));
        Assert.That(
            (replica.Summary, replica.Restarts, replica.Removed.Count()),
            Is.EqualTo(("stop and remove db-2; writes continue", 0, 1))
        );
        var leader = s_now.Forecast(s_cluster, Names("db-1"), Names("db-1"))!;
        Assert.That(Steps(leader), Is.EqualTo(new[] { "Switchover db-1 db-3 ()", "Remove db-1 (the former primary)" }));
        Assert.That(leader.Summary, Is.EqualTo("stop and remove db-1, 1 switchover; about 3 s without writes"));
        var down = Serving("db-1", ("db-3", 0)).Forecast(s_cluster, Names("db-2", "db-3"), Names("db-2"))!;
        Assert.That(Steps(down), Is.EqualTo(new[] { "Remove db-2 (not running)", "Restart db-3 (a replica, 0 bytes behind)" }));
    }

    [Test]
    public void After_a_roll_out_the_candidate_leads_and_the_others_follow()
    {
        var after = s_now.After(Names("db-1", "db-2", "db-3"), []);
        Assert.That((after.Leader, after.Serving), Is.EqualTo(("db-2", new[] { "db-1", "db-2", "db-3" })));
        Assert.That(
            (s_now with { Preferred = "db-1" }).After(Names("db-1", "db-2", "db-3"), []).Leader,
            Is.EqualTo("db-1"),
            "it hands back"
        );
        var left = s_now.After(Names("db-1"), Names("db-1"));
        Assert.That((left.Leader, left.Serving), Is.EqualTo(("db-3", new[] { "db-2", "db-3" })));
        Assert.That(s_now.After([], []), Is.EqualTo(s_now));
    }

    [Test]
    public void A_value_that_standbys_may_not_have_less_of_goes_to_the_leader_first()
    {
        var forecast = s_now.ForecastServer(s_cluster, Names("db-1", "db-2", "db-3"), primaryFirst: true)!;

        Assert.That(forecast.Steps.SelectMany(step => step.Hosts), Is.EqualTo(new[] { "db-1", "db-3", "db-2" }));
        Assert.That(
            (forecast.Switchovers, forecast.WriteGap, forecast.Summary),
            Is.EqualTo((0, (TimeSpan?)null, "3 rolling restarts, no writes while the primary restarts"))
        );
    }

    [Test]
    public void Proxies_go_in_turn_and_cut_the_sessions_through_each()
    {
        Assert.That(
            Proxies(["lb-1", "lb-2"], "lb-1", "lb-2")!.Summary,
            Is.EqualTo("2 rolling restarts, each restart ends the sessions through that proxy; new ones use another")
        );
        Assert.That(Steps(Proxies(["lb-1"], "lb-1", "lb-2")!), Is.EqualTo(new[] { "Start lb-2 (not running)", "Restart lb-1 ()" }));
        Assert.That(
            Proxies(["lb-1"], "lb-1")!.Summary,
            Is.EqualTo("1 restart, no connections during the restart: the cluster has no other proxy")
        );
        Assert.That(Proxies([], "lb-1", "lb-2"), Is.Null);
    }

    [Test]
    public void A_proxy_whose_removal_others_wait_for_goes_before_the_new_one_starts()
    {
        var state = new RolloutState(Names("lb-2"), Names("lb-2")) { Later = Names("lb-1", "lb-3") };
        var forecast = new ProxiesOutlook(Names("lb-1", "lb-2")) { Holder = "lb-2" }.Forecast(GroupPolicy.AddressOf("lb"), state)!;
        Assert.That(Steps(forecast), Is.EqualTo(new[] { "Remove lb-2 ()", "Start lb-3 (not running)", "Restart lb-1 ()" }));
    }

    private static RolloutForecast? Proxies(string[] running, params string[] toCome)
    {
        var address = GroupPolicy.AddressOf("pg-proxies");
        return new ProxiesOutlook(Names(running)).Forecast(address, new RolloutState(Names(toCome), []));
    }

    private static ClusterOutlook Serving(string? primary, params (string Name, long Lag)[] replicas)
    {
        var members = replicas.Select(replica => new PatroniMember(replica.Name)
        {
            Answers = true,
            State = "running",
            Replication = "streaming",
            LagBytes = replica.Lag,
        });
        var leader = new[] { primary }
            .OfType<string>()
            .Select(name => new PatroniMember(name)
            {
                Answers = true,
                State = "running",
                Leads = true,
            });
        return ClusterOutlook.Of(
            new PatroniHealth([.. leader.Concat(members).OrderBy(member => member.Name, StringComparer.Ordinal)], []),
            null
        );
    }

    private static ImmutableSortedSet<string> Names(params string[] names) => names.ToImmutableSortedSet(StringComparer.Ordinal);

    private static string[] Steps(RolloutForecast forecast) =>
        [.. forecast.Steps.Select(step => $"{step.Kind} {string.Join(' ', step.Hosts)} ({step.Note})")];
}
