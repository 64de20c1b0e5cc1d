using System.Collections.Immutable;
using System.Globalization;
using CsCheck;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Tests.Cli;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

/// <summary>What a plan says of a single failure at each step of a roll-out.</summary>
[TestFixture]
internal sealed class ClusterFailuresTests
{
    private static readonly int s_states =
        int.Parse(Environment.GetEnvironmentVariable("KBR_POLICY_STATES") ?? "20000", CultureInfo.InvariantCulture) / 4;

    private static readonly Address s_cluster = GroupPolicy.AddressOf("pg");
    private static readonly FailureKind[] s_kinds = [FailureKind.Member, FailureKind.NetworkCut, FailureKind.StoreMember];
    private static readonly string[] s_all = ["db-1", "db-2", "db-3"];

    [Test]
    public void Every_failure_at_every_step_has_one_answer() =>
        ClusterPolicyTests.Cases.Slice(
            it =>
            {
                foreach (var (view, intent, step) in Steps(it.View, it.Intent))
                {
                    var outlook = ClusterFailures.Of(view, intent, step, Names("lb-1", "lb-2"));
                    var expected = view
                        .Names.Where(name => !intent.Left.Contains(name))
                        .SelectMany(name => s_kinds.Select(kind => $"{kind} {name}"))
                        .Concat(["Proxy lb-1", "Proxy lb-2", "Run "]);
                    Assert.That(outlook.Failures.Select(one => $"{one.Kind} {one.Host}"), Is.EqualTo(expected));
                    Assert.That(outlook.Failures.Select(one => one.Remedy), Has.None.Empty);
                }
            },
            count: s_states
        );

    // The same failure, thrown into the model by hand at each moment of the step. Whichever member Patroni elects, the answer is no better.
    [Test]
    public void No_answer_is_better_than_the_model_with_that_failure() =>
        ClusterPolicyTests.Cases.Slice(
            it =>
            {
                foreach (var (view, intent, step) in Steps(it.View, it.Intent))
                {
                    var counted = view.Names.Length - intent.Left.Count;
                    foreach (var failure in ClusterFailures.Of(view, intent, step, []).Failures)
                    {
                        foreach (var moment in Moments(view, intent, step))
                        {
                            var said = $"{step}: {failure}";
                            var (votes, leads, heirs, mayLose) = Throw(moment, failure);
                            if (failure.Kind != FailureKind.Run && votes <= counted / 2)
                            {
                                Assert.That(failure.WithoutWrites, Is.Null, $"{said}: no quorum");
                                Assert.That(failure.Cost, Is.Not.EqualTo(FailureCost.None), $"{said}: no quorum");
                            }

                            if (!leads)
                            {
                                Assert.That(failure.Cost, Is.Not.EqualTo(FailureCost.None), $"{said}: the primary is gone");
                                Assert.That(
                                    failure.WithoutWrites is null || failure.WithoutWrites > TimeSpan.Zero,
                                    $"{said}: the primary is gone"
                                );
                            }

                            if (votes > counted / 2 && mayLose && failure.Kind != FailureKind.Run)
                            {
                                Assert.That(failure.Cost, Is.EqualTo(FailureCost.Loss), $"{said}: {heirs} may take over");
                            }
                        }
                    }
                }
            },
            count: s_states
        );

    [Test]
    public void A_roll_out_that_goes_on_after_a_failure_goes_on_by_the_policy() =>
        ClusterPolicyTests.Cases.Slice(
            it =>
            {
                foreach (var (view, intent, step) in Steps(it.View, it.Intent))
                {
                    var (after, rest) = ClusterModel.Apply(view, intent, step);
                    foreach (var failure in ClusterFailures.Of(view, intent, step, []).Failures)
                    {
                        if (failure.Kind == FailureKind.Member && failure.Remedy.Contains("goes on", StringComparison.Ordinal))
                        {
                            var failed = Elected(
                                ClusterFailures.Failed(after, failure.Kind, failure.Host),
                                view.Names.Length - rest.Left.Count
                            );
                            var run = ClusterModel.Run(failed with { Store = null, LostForGood = null }, rest);
                            Assert.That(
                                run.Select(taken => taken.Step),
                                Has.Some.InstanceOf<ClusterStep.Start>()
                                    .Or.Some.InstanceOf<ClusterStep.Disrupt>()
                                    .Or.Some.InstanceOf<ClusterStep.SwitchOver>()
                                    .Or.Some.InstanceOf<ClusterStep.StopAll>()
                                    .Or.Some.InstanceOf<ClusterStep.SetReplicationPassword>()
                            );
                        }
                    }
                }
            },
            count: s_states / 4
        );

    [Test]
    public void Asynchronous_the_loss_of_the_primary_at_a_restart_of_a_replica_stops_writes_and_risks_rows()
    {
        const string waits = "the roll-out waits, and stops after the gate's time";
        var whatIf = Cluster(isSynchronous: false).Forecast(s_cluster, Names("db-3"), [])!.WhatIf.Single();

        Assert.That(
            whatIf.Failures.Select(Text),
            Is.EqualTo(
                new[]
                {
                    "Member db-1: Loss, 1 of 3, one of db-3, db-2, until db-3 back, then one of db-3, db-2 is the primary; the roll-out stops",
                    $"NetworkCut db-1: Loss, 1 of 3, one of db-3, db-2, until db-3 back, then one of db-3, db-2 is the primary; {waits}",
                    $"StoreMember db-1: Loss, 1 of 3, one of db-3, db-2, until db-3 back, then one of db-3, db-2 is the primary; {waits}",
                    "Member db-2: Gap, 1 of 3, db-1, until db-3 back, then db-1 is the primary; the roll-out stops",
                    $"NetworkCut db-2: Gap, 1 of 3, db-1, until db-3 back, then db-1 is the primary; {waits}",
                    $"StoreMember db-2: Gap, 1 of 3, db-1, until db-3 back, then db-1 is the primary; {waits}",
                    "Member db-3: None, 2 of 3, db-1, 0 s bring db-3 back; the roll-out stops",
                    $"NetworkCut db-3: None, 2 of 3, db-1, 0 s restore the network of db-3; {waits}",
                    $"StoreMember db-3: None, 2 of 3, db-1, 0 s bring the store of db-3 back; {waits}",
                    "Run : None, 2 of 3, db-1, 0 s apply again: kbr goes on from there",
                }
            )
        );
        Assert.That(whatIf.MayLose);
        Assert.That(whatIf.Failures[0].AtRisk, Is.EqualTo("what the new primary has not received, at most 1048576 bytes; now 512"));
    }

    [Test]
    public void Synchronous_nothing_is_at_risk_at_any_step()
    {
        var forecast = Cluster(isSynchronous: true).Forecast(s_cluster, Names(s_all), [])!;

        Assert.That(forecast.Steps, Has.Length.EqualTo(4));
        Assert.That(forecast.WhatIf, Has.Length.EqualTo(4));
        Assert.That(forecast.WhatIf.SelectMany(step => step.Failures).Select(failure => failure.AtRisk), Is.All.Empty);
        Assert.That(RiskRefusal.Of(Plan(forecast)), Is.Empty);
    }

    [Test]
    public void A_lost_primary_of_a_whole_cluster_is_replaced_after_its_lease()
    {
        var cluster = Cluster(isSynchronous: false);
        var quick = cluster with
        {
            View = cluster.View with
            {
                Health = cluster.View.Health with
                {
                    Failover = new FailoverSettings(TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(5), 1 << 20),
                },
            },
        };

        Assert.That(Text(quick.AtRest().Failures[0]), Is.EqualTo("Member db-1: Loss, 2 of 3, one of db-2, db-3, 30 s bring db-1 back"));
        Assert.That(Text(cluster.AtRest().Failures[0]), Does.Contain("45 s"));
    }

    // The lags of the moment of the failure decide among replicas that may take over; Patroni lets no other member win.
    [Test]
    public void Of_several_replicas_that_may_take_over_no_one_is_named_as_the_next_primary()
    {
        var at = Cluster(isSynchronous: false).AtRest().Failures[0];
        Assert.That(at.Primaries, Is.EqualTo(new[] { "db-2", "db-3" }));
        Assert.That(
            WhatIfView.Quorum(at.Votes, at.Counted, at.HasQuorum, at.PrimaryText),
            Is.EqualTo("2 of 3 vote; primary one of db-2, db-3")
        );

        var far = ClusterOutlook.Of(
            new PatroniHealth([Member("db-1", leads: true), Member("db-2", lag: 512), Member("db-3", lag: 2 << 20)], []),
            null
        );
        Assert.That(far.AtRest().Failures[0].Primaries, Is.EqualTo(new[] { "db-2" }), "db-3 is beyond maximum_lag_on_failover");
        Assert.That(
            Cluster(isSynchronous: true).AtRest().Failures[0].Primaries,
            Is.EqualTo(new[] { "db-2" }),
            "the synchronous standby alone may"
        );
        Assert.That(
            Cluster(isSynchronous: false).Forecast(s_cluster, Names("db-1"), [])!.WhatIf[0].Failures[^1].PrimaryText,
            Is.EqualTo("db-2"),
            "the policy chose it for the switchover"
        );
    }

    [Test]
    public void Members_of_a_store_of_its_own_vote_while_their_Patroni_is_down()
    {
        var whatIf = WithStore(("db-1", true), ("db-2", true), ("db-3", true)).Forecast(s_cluster, Names("db-3"), [])!.WhatIf.Single();

        Assert.That(
            whatIf.Failures.Select(failure => Text(failure).Split(';')[0]),
            Is.EqualTo(
                new[]
                {
                    "Member db-1: Loss, 2 of 3, one of db-2, db-3, 45 s bring db-1 back",
                    "NetworkCut db-1: Loss, 2 of 3, one of db-2, db-3, 45 s restore the network of db-1",
                    "StoreMember db-1: None, 2 of 3, db-1, 0 s bring the store of db-1 back",
                    "Member db-2: None, 2 of 3, db-1, 0 s bring db-2 back",
                    "NetworkCut db-2: None, 2 of 3, db-1, 0 s restore the network of db-2",
                    "StoreMember db-2: None, 2 of 3, db-1, 0 s bring the store of db-2 back",
                    "Member db-3: None, 2 of 3, db-1, 0 s bring db-3 back",
                    "NetworkCut db-3: None, 2 of 3, db-1, 0 s restore the network of db-3",
                    "StoreMember db-3: None, 2 of 3, db-1, 0 s bring the store of db-3 back",
                    "Run : None, 3 of 3, db-1, 0 s apply again: kbr goes on from there",
                }
            )
        );
    }

    // What the store says of its members counts, not how many members the cluster has.
    [Test]
    public void The_quorum_is_that_of_the_stores_own_members()
    {
        var lacking = WithStore(("db-1", true), ("db-2", true), ("db-3", false)).AtRest().Failures;
        Assert.That(
            Text(lacking[0]),
            Is.EqualTo("Member db-1: Loss, 1 of 3, , until bring db-1 back: no other member can become the primary")
        );
        Assert.That(lacking.Single(one => one is { Host: "db-3", Kind: FailureKind.StoreMember }).Cost, Is.EqualTo(FailureCost.None));

        var joining = WithStore(("db-1", true)).AtRest().Failures;
        Assert.That((joining[0].Votes, joining[0].Counted, joining[0].HasQuorum), Is.EqualTo((0, 1, false)));
        Assert.That((joining[3].Votes, joining[3].Counted, joining[3].HasQuorum), Is.EqualTo((1, 1, true)), "db-2 has no vote to lose");

        var fenced = WithStore(("db-1", true), ("db-2", true), ("db-3", true));
        var without = fenced with
        {
            View = fenced.View with
            {
                Fenced = ["db-3"],
                Health = fenced.View.Health with { Members = fenced.View.Health.Members.RemoveAt(2) },
            },
        };
        Assert.That(without.AtRest().Failures[0].Votes, Is.EqualTo(2), "the store of a fenced member goes on");
    }

    [Test]
    public void A_member_that_leaves_leaves_the_stores_own_members()
    {
        var view = WithStore(("db-1", true), ("db-2", true), ("db-3", true)).View;
        Assert.That((ClusterFailures.Votes(view, null), ClusterFailures.Counted(view, Names("db-3"))), Is.EqualTo((3, 2)));

        var left = view with { Health = view.Health with { Members = view.Health.Members.RemoveAt(2) } };
        Assert.That((ClusterFailures.Votes(left, null), ClusterFailures.Counted(left, [])), Is.EqualTo((2, 2)));
    }

    [Test]
    public void A_kill_of_kbr_in_a_hand_over_costs_the_lease_of_the_pause()
    {
        var forecast = (Cluster(isSynchronous: false) with { Proxies = Names("lb-1", "lb-2") }).Forecast(s_cluster, Names("db-1"), [])!;

        Assert.That(forecast.Steps[0].Kind, Is.EqualTo(RolloutStepKind.Switchover));
        Assert.That(
            Text(forecast.WhatIf[0].Failures[^1]),
            Is.EqualTo("Run : Gap, 3 of 3, db-2, 19 s the proxies resume their pools by themselves; apply again: kbr goes on from there")
        );
        Assert.That(
            Text(forecast.WhatIf[0].Failures.Single(failure => failure.Host == "lb-1")),
            Is.EqualTo("Proxy lb-1: Gap, 3 of 3, db-2, 14 s new sessions use lb-2; those through lb-1 end")
        );
    }

    [Test]
    public void A_member_alone_is_an_outage_until_it_is_back()
    {
        var alone = ClusterOutlook.Of(new PatroniHealth([Member("db-1", leads: true)], []), null);

        var whatIf = alone.Forecast(s_cluster, Names("db-1"), [])!.WhatIf.Single();
        Assert.That(
            whatIf.Failures.Select(failure => failure.Cost),
            Is.EqualTo(new[] { FailureCost.Outage, FailureCost.Outage, FailureCost.Outage, FailureCost.Outage })
        );
    }

    [Test]
    public void A_proxy_that_fails_while_the_other_one_restarts_is_waited_for()
    {
        var both = new ProxiesOutlook(Names("lb-1", "lb-2")).Forecast(
            GroupPolicy.AddressOf("pg-proxies"),
            new RolloutState(Names("lb-1", "lb-2"), []),
            Cluster(isSynchronous: true)
        )!;

        Assert.That(both.WhatIf, Has.Length.EqualTo(2));
        var proxies = both.WhatIf[0].Failures.Where(failure => failure.Kind == FailureKind.Proxy).Select(Text);
        Assert.That(
            proxies,
            Is.EqualTo(
                new[]
                {
                    "Proxy lb-1: Gap, 3 of 3, db-1, 10 s new sessions use lb-2; those through lb-1 end",
                    "Proxy lb-2: Gap, 3 of 3, db-1, until lb-1 back",
                }
            )
        );
        Assert.That(
            both.WhatIf[0].Failures.Where(failure => failure.Kind == FailureKind.Member).Select(failure => failure.Host),
            Is.EqualTo(s_all)
        );
    }

    [Test]
    public void A_plan_shows_the_worst_case_of_each_step_in_80_columns_and_every_failure_on_request()
    {
        var plan = Plan(Cluster(isSynchronous: false).Forecast(s_cluster, Names("db-3"), [])!);

        Assert.That(Shown(plan, WhatIfDetail.None), Does.Not.Contain("LOSS"));
        Assert.That(
            Shown(plan, WhatIfDetail.Worst),
            Does.Contain(
                "  1. restart db-3  (a replica, 512 bytes behind)\n"
                    + "     LOSS  if db-1 is lost: no writes until the step ends\n"
                    + "  without this change\n"
                    + "     LOSS  if db-1 is lost: up to 45 s without writes\n"
            )
        );
        var all = Shown(plan, WhatIfDetail.All);
        Assert.That(
            all,
            Does.Contain("       OK    if kbr is killed: writes go on\n")
                .And.Contain("1 of 3 vote, no quorum; no primary at first, then one of db-3,")
        );
        Assert.That(all.Split('\n'), Has.All.Length.LessThanOrEqualTo(80));
    }

    [Test]
    public void The_JSON_and_the_page_of_a_plan_have_every_failure()
    {
        var plan = Plan(Cluster(isSynchronous: false).Forecast(s_cluster, Names("db-3"), [])!);
        var json = JsonView.PlanDocument("pg", plan, []);

        Assert.That(JsonSchemas.Problems(json), Is.Empty);
        var report = PlanReport.Read(json, "now");
        Assert.That(report.Groups[0].Rollout!.Steps[0].WhatIf, Has.Length.EqualTo(10));
        Assert.That(report.Groups[0].Rollout!.AtRest, Has.Length.EqualTo(9));
        var page = PlanHtml.Render(report);
        HtmlRules.Check(page);
        Assert.That(
            page,
            Does.Contain("What if one thing fails at step 1")
                .And.Contain("<td>LOSS</td><td>if db-1 is lost</td><td>no writes until the step ends</td>")
        );
    }

    [Test]
    public void A_step_that_may_lose_rows_is_refused_on_request()
    {
        var refused = RiskRefusal.Of(Plan(Cluster(isSynchronous: false).Forecast(s_cluster, Names("db-3"), [])!)).Single();

        Assert.That(refused.Summary, Is.EqualTo("group.pg@pg: a single failure at step 1 may lose acknowledged rows"));
        Assert.That(
            refused.Detail,
            Is.EqualTo(
                "at step 1 the failure of db-1 loses what the new primary has not received, at most 1048576 bytes; now 512. Without the "
                    + "change a single failure may lose rows, too."
            )
        );
    }

    private static string Text(FailureOutlook failure)
    {
        var stop = failure.WithoutWrites is { } gap ? $"{gap.TotalSeconds.ToString("0", CultureInfo.InvariantCulture)} s" : "until";
        return $"{failure.Kind} {failure.Host}: {failure.Cost}, {failure.Votes} of {failure.Counted}, {failure.PrimaryText}, {stop} "
            + failure.Remedy;
    }

    private static string Shown(Plan plan, WhatIfDetail detail)
    {
        var text = new StringWriter();
        PlanView.Show(new Terminal(text, text, color: false), plan, whatIf: detail);
        return text.ToString();
    }

    private static Plan Plan(RolloutForecast forecast) =>
        new([], [], [])
        {
            Groups = [new PlannedGroup(new GroupPolicy("pg", new PatroniGroup(), AttributeSet.Empty), []) { Rollout = forecast }],
        };

    // The deeds of a change, with what is left of it at each.
    private static IEnumerable<(ClusterView View, ClusterIntent Intent, ClusterStep Step)> Steps(ClusterView view, ClusterIntent intent)
    {
        var rest = intent;
        foreach (var (before, step, _) in ClusterModel.Run(view, intent))
        {
            if (step is ClusterStep.Start or ClusterStep.Disrupt or ClusterStep.StopAll or ClusterStep.SwitchOver)
            {
                yield return (before, rest, step);
            }

            rest = ClusterModel.Apply(before, rest, step).Intent;
        }
    }

    private static IEnumerable<ClusterView> Moments(ClusterView view, ClusterIntent intent, ClusterStep step) =>
        step switch
        {
            ClusterStep.Start => [view],
            // A hand-over that has begun ends by itself.
            ClusterStep.SwitchOver => [view],
            _ when intent.OnlyServer => [view],
            ClusterStep.Disrupt(var member, _) => [view, Silent(view, [member])],
            ClusterStep.StopAll(var members) => [view, Silent(view, members)],
            _ => [],
        };

    private static ClusterView Elected(ClusterView view, int counted)
    {
        var votes = view.Health.Members.Count(member => member.Answers);
        var leader =
            votes <= counted / 2
                ? null
                : view.Health.Leader
                    ?? view.Health.Replicas.FirstOrDefault(member => ClusterFailures.MayTakeOver(member, view.Health) == true)?.Name;
        return view with
        {
            Health = view.Health with
            {
                Members =
                [
                    .. view.Health.Members.Select(one =>
                        one with
                        {
                            Leads = one.Name == leader,
                            Replication = one.Name == leader ? null : one.Replication,
                        }
                    ),
                ],
            },
        };
    }

    private static ClusterView Silent(ClusterView view, ImmutableArray<string> members) =>
        view with
        {
            Health = view.Health with
            {
                Members = [.. view.Health.Members.Select(one => members.Contains(one.Name) ? new PatroniMember(one.Name) : one)],
            },
        };

    private static (int Votes, bool Leads, string Heirs, bool MayLose) Throw(ClusterView moment, FailureOutlook failure)
    {
        var members = moment.Health.Members;
        var votes = members.Count(member => member.Answers && member.Name != failure.Host);
        var leads = moment.Health.Leader is { } leader && leader != failure.Host;
        var heirs = members
            .Where(member =>
                member.Name != failure.Host
                && member is { IsRunning: true, Leads: false, Replication: "streaming" }
                && (!moment.Health.IsSynchronous || member.IsSynchronous)
                && !(member.LagBytes > moment.Health.Failover.MaxLag)
            )
            .Select(member => member.Name)
            .ToList();
        var mayLose = moment.Health.Leader == failure.Host && heirs.Count > 0 && !moment.Health.IsSynchronous && !moment.IsFenced;
        return (votes, leads, string.Join(" or ", heirs), mayLose);
    }

    private static ClusterOutlook WithStore(params (string Name, bool IsConnected)[] members)
    {
        var cluster = Cluster(isSynchronous: false);
        return cluster with
        {
            View = cluster.View with
            {
                StoreMembers = members.ToImmutableSortedDictionary(one => one.Name, one => one.IsConnected, StringComparer.Ordinal),
            },
        };
    }

    private static ClusterOutlook Cluster(bool isSynchronous) =>
        ClusterOutlook.Of(
            new PatroniHealth(
                [Member("db-1", leads: true), Member("db-2", lag: 512, isSynchronous: isSynchronous), Member("db-3", lag: 512)],
                []
            )
            {
                IsSynchronous = isSynchronous,
            },
            null
        );

    private static PatroniMember Member(string name, bool leads = false, long lag = 0, bool isSynchronous = false) =>
        new(name)
        {
            Answers = true,
            State = "running",
            Leads = leads,
            Replication = leads ? null : "streaming",
            LagBytes = leads ? null : lag,
            IsSynchronous = isSynchronous,
        };

    private static ImmutableSortedSet<string> Names(params string[] names) => names.ToImmutableSortedSet(StringComparer.Ordinal);
}
