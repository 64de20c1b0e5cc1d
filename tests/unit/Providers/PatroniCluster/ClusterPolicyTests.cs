using System.Collections.Immutable;
using System.Globalization;
using CsCheck;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

/// <summary>What holds of every decision about a cluster, over generated clusters and changes. The slice here is a part of
/// <c>eng/policy-sweep.sh</c> (KBR_POLICY_STATES).</summary>
[TestFixture]
internal sealed class ClusterPolicyTests
{
    private const long MaxLag = 1 << 20;
    private const long UnknownLag = -1;
    private const int MostSteps = 200;

    private static readonly int s_states = int.Parse(
        Environment.GetEnvironmentVariable("KBR_POLICY_STATES") ?? "20000",
        CultureInfo.InvariantCulture
    );
    private static readonly Address s_cluster = GroupPolicy.AddressOf("pg");

    // One member of five states; a container that does not run is silent.
    private static readonly Gen<(string State, long Lag, bool IsSynchronous, int Data, int Password, bool HasFormerData)> s_member =
        Gen.Select(
            Gen.Frequency(
                (12, Gen.Const("running")),
                (1, Gen.Const("detached")),
                (1, Gen.Const("start failed")),
                (1, Gen.Const("silent")),
                (2, Gen.Const("stopped"))
            ),
            Gen.Frequency((8, Gen.Const(0L)), (3, Gen.Long[1, 5000]), (1, Gen.Const(2 * MaxLag)), (1, Gen.Const(UnknownLag))),
            Gen.Bool,
            Gen.Int[0, 2],
            Gen.Int[0, 2],
            Gen.Frequency((12, Gen.Const(false)), (1, Gen.Const(true)))
        );

    internal static readonly Gen<(ClusterView View, ClusterIntent Intent)> Cases =
        from members in s_member.Array[1, 5]
        from primary in Gen.Frequency((12, Gen.Const(1)), (3, Gen.Const(0)), (1, Gen.Const(2)))
        from isSynchronous in Gen.Bool
        from passwords in Gen.Frequency((8, Gen.Const(0)), (1, Gen.Const(1)), (1, Gen.Const(2)))
        from stores in Gen.Frequency((8, Gen.Const(0)), (2, Gen.Const(1)), (1, Gen.Const(2)), (1, Gen.Const(3)))
        from rare in Gen.Int[0, 39]
        from waited in Gen.Int[0, 1].Select(one => one * 20)
        from bootstrap in Gen.Int[-1, 4]
        from pending in Gen.Bool.Array[5]
        from leaving in Gen.Frequency((5, Gen.Const(0)), (1, Gen.Int[1, 31]))
        from onlyServer in Gen.Frequency((4, Gen.Const(false)), (1, Gen.Const(true)))
        from primaryFirst in Gen.Bool
        from preferred in Gen.Int[-1, 4]
        from isLeavingFirst in Gen.Bool
        select Case(
            members,
            primary,
            isSynchronous,
            passwords,
            stores,
            rare,
            waited,
            bootstrap,
            pending,
            leaving,
            onlyServer,
            primaryFirst,
            preferred,
            isLeavingFirst
        );

    [Test]
    public void No_step_endangers_the_cluster_also_when_a_member_fails_between_two_steps() =>
        Gen.Select(Cases, Gen.Int[0, 6], Gen.Int[0, 4], Gen.Bool, Gen.Frequency((6, Gen.Const(Store.Whole)), (4, Gen.Enum<Store>())))
            .Slice(
                all =>
                {
                    var (it, after, who, comesBack, store) = all;
                    Follow(it.View, it.Intent, after, who, comesBack, store);
                },
                count: s_states,
                print: Print
            );

    [Test]
    public void The_forecast_equals_the_execution_when_nothing_fails() =>
        Cases.Slice(
            it =>
            {
                var foreseen = ClusterModel.Run(it.View, it.Intent).Select(taken => taken.Step).Where(IsDeed).ToList();
                var done = Follow(it.View, it.Intent, int.MaxValue, 0, comesBack: false);
                Assert.That(done.Select(Text), Is.EqualTo(foreseen.Select(Text).Take(done.Count)));
                Assert.That(
                    done,
                    Has.Count.EqualTo(foreseen.Count).Or.Count.LessThan(foreseen.Count),
                    "the forecast assumes that a wait helps"
                );
            },
            count: s_states / 4
        );

    [Test]
    public void With_synchronous_replication_the_plan_names_the_candidate_that_the_roll_out_uses()
    {
        var health = Health(
            [Member("db-1", leads: true), Member("db-2", lag: 0), Member("db-3", lag: 512, isSynchronous: true)],
            isSynchronous: true
        );
        var forecast = ClusterOutlook.Of(health, null).Forecast(s_cluster, Names("db-1"), [])!;
        Assert.That(forecast.Steps[0].Hosts, Is.EqualTo(new[] { "db-1", "db-3" }), "db-2 is less behind, and may not take over");
        Assert.That(ClusterPolicy.Candidate(health, []), Is.EqualTo("db-3"));
    }

    [Test]
    public void A_new_password_of_the_store_is_foreseen_as_one_stop_of_all_members()
    {
        var health = Health([Member("db-1", leads: true), Member("db-2"), Member("db-3")]);
        var view = new ClusterView(["db-1", "db-2", "db-3"], health) { WithOtherStorePassword = Names("db-1", "db-2", "db-3") };
        var forecast = new ClusterOutlook(view).Forecast(s_cluster, Names("db-1", "db-2", "db-3"), [])!;
        Assert.That(
            (forecast.Summary, forecast.Steps.Single().Kind),
            Is.EqualTo(("restart of all 3 members at once, about 15 s without writes", RolloutStepKind.RestartTogether))
        );
    }

    [Test]
    public void A_member_leaves_before_another_joins_and_the_one_that_joins_is_not_waited_for()
    {
        var health = Health([Member("db-1", leads: true), Member("db-2"), Member("db-3"), new PatroniMember("db-4")]);
        var view = new ClusterView(["db-1", "db-2", "db-3", "db-4"], health) { Stopped = Names("db-4"), Joining = Names("db-4") };
        var intent = new ClusterIntent(Names("db-3"), Names("db-3")) { Later = Names("db-2", "db-4") };

        Assert.That(
            ClusterModel.Run(view, intent).Select(taken => taken.Step).Where(IsDeed).Select(Text),
            Is.EqualTo(new[] { "disrupt db-3 (Replica)", "start db-4", "disrupt db-2 (Replica)" })
        );
        var forecast = new ClusterOutlook(view).Forecast(
            s_cluster,
            new RolloutState(intent.Pending, intent.Leaving) { Later = intent.Later }
        )!;
        Assert.That(
            forecast.Steps.Select(one => $"{one.Kind} {string.Join(' ', one.Hosts)}"),
            Is.EqualTo(new[] { "Remove db-3", "Start db-4", "Restart db-2" })
        );
        var during = forecast.WhatIf[0].Failures.Where(failure => failure.Kind == FailureKind.Member).ToList();
        Assert.That(during.Select(failure => failure.Host), Is.EqualTo(new[] { "db-1", "db-2", "db-3" }), "and does not fail yet");
        Assert.That(during.Select(failure => failure.Counted), Is.All.EqualTo(3), "nor count");
        var atRest = forecast.AtRest!.Failures.Where(failure => failure.Kind == FailureKind.Member).ToList();
        Assert.That(
            atRest.Select(failure => $"{failure.Host} of {failure.Counted}"),
            Is.EqualTo(new[] { "db-1 of 3", "db-2 of 3", "db-3 of 3" })
        );
        Assert.That(
            ClusterPolicy.Next(view with { Joining = [] }, intent),
            Is.Not.InstanceOf<ClusterStep.Disrupt>(),
            "db-4 counts: it is one that was lost"
        );
    }

    [Test]
    public void A_member_that_leaves_first_leaves_a_majority_of_those_that_have_joined()
    {
        var health = Health([Member("db-1", leads: true), new PatroniMember("db-2")]);
        var view = new ClusterView(["db-1", "db-2"], health) { Stopped = Names("db-2"), Joining = Names("db-2") };
        Assert.That(
            ClusterPolicy.Next(view, new ClusterIntent(Names("db-1"), Names("db-1")) { Later = Names("db-2") }),
            Is.TypeOf<ClusterStep.Refuse>().With.Property(nameof(ClusterStep.Refuse.Cause)).EqualTo(ClusterCause.Majority)
        );
    }

    // What leaves may be stopped itself, and a container may be on its way up again.
    [TestCase("db-2", "db-4", 15, true)]
    [TestCase("db-2", "db-4", 14, false)]
    [TestCase("db-2 db-4", "db-4", 15, false)]
    [TestCase("db-2 db-4", "db-4 db-5", 15, true)]
    [TestCase("db-3", "db-4", 15, false)]
    public void A_removal_is_refused_that_a_stopped_member_would_come_after(string stopped, string leaving, int waited, bool isRefused)
    {
        var down = Names(stopped.Split(' '));
        string[] names = ["db-1", "db-2", "db-3", "db-4", "db-5"];
        var members = names.Select(name => down.Contains(name) ? new PatroniMember(name) : Member(name, leads: name == "db-1"));
        var view = new ClusterView([.. names], Health(members))
        {
            Stopped = down,
            Silence = TimeSpan.FromSeconds(15),
            Waited = TimeSpan.FromSeconds(waited),
        };
        var intent = new ClusterIntent(Names(leaving.Split(' ')), Names(leaving.Split(' '))) { Later = Names("db-2") };

        var step = ClusterPolicy.Next(view, intent);

        Assert.That(step is ClusterStep.Refuse, Is.EqualTo(isRefused), step.ToString());
        if (step is ClusterStep.Refuse { Text: var text })
        {
            var gone = leaving.Replace(" ", " and ", StringComparison.Ordinal);
            Assert.That(text, Does.StartWith($"db-2 does not run, and starts only after {gone} ha"));
            var state = new RolloutState(intent.Pending, intent.Leaving) { Later = intent.Later };
            var now = new ClusterOutlook(view with { Silence = TimeSpan.Zero, Waited = TimeSpan.Zero });
            var forecast = now.Forecast(s_cluster, state)!;
            Assert.That((forecast.Cost, forecast.Steps), Is.EqualTo(($"refused: {text}", Array.Empty<RolloutStep>())), "the plan says it");
        }
    }

    [Test]
    public void A_removal_is_not_refused_for_a_member_that_the_plan_could_not_read_yet()
    {
        var view = new ClusterView(["db-1", "db-2", "db-3"], Health([Member("db-1", leads: true), Member("db-2"), Member("db-3")]));
        var state = new RolloutState(Names("db-3"), Names("db-3")) { Later = Names("db-4") };
        Assert.That(
            new ClusterOutlook(view).Forecast(s_cluster, state)!.Steps.Select(one => $"{one.Kind} {string.Join(' ', one.Hosts)}"),
            Is.EqualTo(new[] { "Remove db-3", "Start db-4" })
        );
    }

    [Test]
    public void A_new_password_of_the_store_is_refused_while_a_member_leaves()
    {
        var health = Health([Member("db-1", leads: true), Member("db-2"), Member("db-3")]);
        var view = new ClusterView(["db-1", "db-2", "db-3"], health) { WithOtherStorePassword = Names("db-1", "db-2", "db-3") };
        Assert.That(
            ClusterPolicy.Next(view, new ClusterIntent(Names("db-3"), Names("db-3")) { Later = Names("db-1", "db-2") }),
            Is.TypeOf<ClusterStep.Refuse>()
                .With.Property(nameof(ClusterStep.Refuse.Text))
                .Contains("password changes on db-1 and db-2, while db-3 leaves")
        );
    }

    [Test]
    public void A_new_password_of_the_store_is_refused_for_a_part_of_the_members()
    {
        var health = Health([Member("db-1", leads: true), Member("db-2"), Member("db-3")]);
        var view = new ClusterView(["db-1", "db-2", "db-3"], health) { WithOtherStorePassword = Names("db-1", "db-2", "db-3") };

        var step = ClusterPolicy.Next(view, new ClusterIntent(Names("db-2"), []));

        Assert.That(
            step,
            Is.TypeOf<ClusterStep.Refuse>()
                .With.Property(nameof(ClusterStep.Refuse.Cause))
                .EqualTo(ClusterCause.StorePassword)
                .And.Property(nameof(ClusterStep.Refuse.Text))
                .Contains("db-1 and db-3 would keep the old one")
        );
        var forecast = new ClusterOutlook(view).Forecast(s_cluster, Names("db-2"), [])!;
        Assert.That((forecast.Refusal, forecast.Steps), Is.EqualTo((((ClusterStep.Refuse)step).Text, Array.Empty<RolloutStep>())));
        Assert.That(
            new ClusterOutlook(view with { WithOtherStorePassword = Names("db-2") }).Forecast(s_cluster, Names("db-2"), [])!.Refusal,
            Is.Null,
            "the others have it already"
        );
    }

    [Test]
    public void A_move_to_another_store_is_foreseen_as_one_stop_of_all_members_whose_primary_starts_first()
    {
        var forecast = new ClusterOutlook(Moving()).Forecast(s_cluster, Names("db-1", "db-2", "db-3"), [])!;
        var step = forecast.Steps.Single();
        Assert.That(
            (step.Kind, string.Join(' ', step.Hosts), step.Note),
            Is.EqualTo(
                (RolloutStepKind.RestartTogether, "db-1 db-3 db-2", "from RAFT to the other store; db-2 stops last, starts first and leads")
            )
        );
        Assert.That(forecast.Summary, Does.StartWith("restart of all 3 members at once, about "));
        var steps = ClusterModel.Run(Moving(), new ClusterIntent(Names("db-1", "db-2", "db-3"), [])).Select(taken => taken.Step);
        Assert.That(
            steps.Where(IsDeed).Select(Text),
            Is.EqualTo(new[] { "move db-1 db-3 db-2, db-2 first", "start db-1 db-3" }),
            "the others start when the first one leads"
        );
    }

    [TestCase("db-2", "", "", "db-1 and db-3 would keep RAFT")]
    [TestCase("db-1 db-2 db-3 db-4", "", "", "while db-4 is added, removed or fenced")]
    [TestCase("db-1 db-2 db-3", "db-3", "", "while db-3 is added, removed or fenced")]
    [TestCase("db-1 db-2 db-3", "", "db-3", "db-1 and db-2 use RAFT, and db-3 the other store already")]
    public void A_move_to_another_store_is_refused_beside_another_change_of_members(
        string pending,
        string leaving,
        string declared,
        string expected
    )
    {
        var view = Moving();
        view = view with
        {
            Names = [.. view.Names.Union(pending.Split(' '))],
            InFormerStore = view.InFormerStore.Except(Words(declared)),
            InDeclaredStore = Words(declared),
        };
        Assert.That(
            ClusterPolicy.Next(view, new ClusterIntent(Words(pending), Words(leaving))),
            Is.TypeOf<ClusterStep.Refuse>().With.Property(nameof(ClusterStep.Refuse.Text)).Contains(expected)
        );
        Assert.That(new ClusterOutlook(view).Forecast(s_cluster, Words(pending), Words(leaving))!.Refusal, Does.Contain(expected));

        static ImmutableSortedSet<string> Words(string names) => Names(names.Split(' ', StringSplitOptions.RemoveEmptyEntries));
    }

    // It may be what mends an image that does not start.
    [TestCase("", "", true)]
    [TestCase("db-3", "", false)]
    [TestCase("", "db-3", false)]
    public void Another_image_comes_with_a_move_only_where_it_has_begun(string between, string stopped, bool refused)
    {
        var view = Moving() with { WithOtherImage = Names("db-2") };
        view = view with
        {
            InFormerStore = view.InFormerStore.Except(Words(between)),
            BetweenStores = Words(between),
            Stopped = Words(between + stopped),
        };
        var next = ClusterPolicy.Next(view, new ClusterIntent(Names("db-1", "db-2", "db-3"), []));
        Assert.That(next is ClusterStep.Refuse { Cause: ClusterCause.StoreMove }, Is.EqualTo(refused), next.ToString());

        static ImmutableSortedSet<string> Words(string names) => Names(names.Split(' ', StringSplitOptions.RemoveEmptyEntries));
    }

    [TestCase(false, 0, "Wait")]
    [TestCase(false, 60, "Start")]
    [TestCase(true, 0, "Start")]
    public void The_other_members_wait_for_the_first_to_lead_unless_the_store_needs_a_majority(bool inPatroni, int waited, string expected)
    {
        var view = Moving();
        view = view with
        {
            Health = Health([new PatroniMember("db-1"), new PatroniMember("db-2"), new PatroniMember("db-3")]),
            Stopped = Names("db-1", "db-3"),
            StoreWords = view.StoreWords with { RunsInPatroni = inPatroni },
            InFormerStore = [],
            InDeclaredStore = Names("db-2"),
            BetweenStores = Names("db-1", "db-3"),
            LostForGood = "",
            Silence = TimeSpan.FromSeconds(15),
            Waited = TimeSpan.FromSeconds(waited),
        };
        Assert.That(ClusterPolicy.Next(view, new ClusterIntent(Names("db-1", "db-3"), [])).GetType().Name, Is.EqualTo(expected));
    }

    private static ClusterView Moving() =>
        new(["db-1", "db-2", "db-3"], Health([Member("db-1"), Member("db-2", leads: true), Member("db-3")]))
        {
            StoreWords = new StoreWords("the other store", ""),
            FormerStore = "RAFT",
            InFormerStore = Names("db-1", "db-2", "db-3"),
        };

    // Follows the policy while the model does what it says, and checks every step. A member fails once, after so many steps, and comes back
    // or not.
    private static List<ClusterStep> Follow(
        ClusterView view,
        ClusterIntent intent,
        int failsAfter,
        int who,
        bool comesBack,
        Store store = Store.Whole
    )
    {
        List<ClusterStep> done = [];
        PatroniMember? failed = null;
        var mended = 0;
        for (var taken = 0; taken < MostSteps; taken++)
        {
            var step = ClusterPolicy.Next(view, intent);
            Check(step, view, intent);
            if (step is ClusterStep.Done or ClusterStep.Refuse)
            {
                return done;
            }

            if (step is ClusterStep.Wait)
            {
                if (failed is null || !comesBack)
                {
                    return done;
                }

                view = Fresh(view with { Health = Back(view.Health, failed) });
                failed = null;
                continue;
            }

            if (IsDeed(step))
            {
                done.Add(step);
            }

            (view, intent) = ClusterModel.Apply(view, intent, step);
            if (step is ClusterStep.Look { Fact: ClusterFact.Store })
            {
                view = view with { Store = Answer(store, view.Store!) };
            }
            else if (step is ClusterStep.MendStore && ++mended > 3)
            {
                return done;
            }

            if (step is not (ClusterStep.Look or ClusterStep.FenceCommits or ClusterStep.SetReplicationPassword))
            {
                view = Fresh(view);
                if (done.Count == failsAfter && view.Health.Members.Length > 0)
                {
                    failed = view.Health.Members[who % view.Health.Members.Length];
                    view = view with { Health = Without(view.Health, failed) };
                }
            }
        }

        throw new AssertionException("it does not come to an end");
    }

    private enum Store
    {
        Whole,
        NotWhole,
        OfAnotherCluster,
        WithoutNamespace,
    }

    private static StoreView Answer(Store store, StoreView whole) =>
        store switch
        {
            Store.NotWhole => whole with { Problems = [new(HealthProblemKind.Store, null, "not whole")] },
            Store.OfAnotherCluster => whole with { Mistaken = new IdentityProblem("another cluster", "", "") },
            Store.WithoutNamespace => whole with { PrimaryTellsNamespace = false },
            _ => whole,
        };

    // Every step begins with a look at what there is.
    private static ClusterView Fresh(ClusterView view) =>
        view with
        {
            Store = null,
            LostForGood = null,
            HasReplicationPassword = false,
            IsFenced = false,
        };

    private static PatroniHealth Without(PatroniHealth health, PatroniMember failed)
    {
        PatroniMember[] rest = [.. health.Members.Select(member => member.Name == failed.Name ? new PatroniMember(member.Name) : member)];
        // The others elect a fit one, where they can.
        var heir =
            !failed.Leads || rest.Count(member => member.IsRunning) <= rest.Length / 2
                ? null
                : rest.FirstOrDefault(member =>
                    member is { IsRunning: true, Leads: false } && (!health.IsSynchronous || member.IsSynchronous)
                );
        return Health(
            rest.Select(member => member == heir ? member with { Leads = true, Replication = null, IsSynchronous = false } : member),
            health.IsSynchronous,
            health.IsPaused
        );
    }

    // As it was; one that ran is the primary where there is none.
    private static PatroniHealth Back(PatroniHealth health, PatroniMember failed)
    {
        var leads = failed.IsRunning && health.Leaders.IsEmpty;
        var back = failed with { Leads = leads, Replication = leads || !failed.IsRunning ? null : "streaming", IsSynchronous = false };
        return Health(health.Members.Select(member => member.Name == failed.Name ? back : member), health.IsSynchronous, health.IsPaused);
    }

    private static void Check(ClusterStep step, ClusterView view, ClusterIntent intent)
    {
        var health = view.Health;
        if (!IsDeed(step))
        {
            return;
        }

        // One that is still to join counts for nothing while others leave.
        var joining = view.Joining.Intersect(intent.Later);
        var counted = view.Names.Except(joining).Count();
        health = view.Without(joining).Health;
        Assert.That(view.Mistaken, Is.Null, $"{Text(step)}: the members are another cluster");
        Assert.That(health.Leaders, Has.Length.LessThan(2), $"{Text(step)}: several members are primaries");
        Assert.That(health.IsPaused && !intent.OnlyRemoves, Is.False, $"{Text(step)}: Patroni is paused");
        Assert.That(
            intent.OnlyServer || view.InFormerStore.IsEmpty || step is ClusterStep.MoveStore,
            $"{Text(step)}: a member with the former store can lead beside one with the declared store"
        );
        Assert.That(
            intent.Leaving.IsEmpty || intent.Leaving.Count == view.Names.Length || counted - intent.Leaving.Count > counted / 2,
            $"{Text(step)}: too few members stay"
        );
        if (!intent.Later.IsEmpty)
        {
            Assert.That(Taken(step), Is.SubsetOf(intent.Pending), $"{Text(step)}: members that leave go first");
        }

        switch (step)
        {
            case ClusterStep.Disrupt(var member, _):
                if (health.Members.Any(other => other.Answers) && !intent.Pending.IsEmpty)
                {
                    Assert.That(view.Store, Is.Not.Null, $"{Text(step)}: the store was not asked");
                    Assert.That(view.Store!.Mistaken, Is.Null, $"{Text(step)}: the store knows them as another cluster");
                    Assert.That(
                        !view.Store.PrimaryTellsNamespace
                            && health.Leader is not null
                            && view.BootstrapHost is { } host
                            && intent.Pending.Except(intent.Leaving).Contains(host)
                            && view.HoldsData.GetValueOrDefault(host) != true,
                        Is.False,
                        $"{Text(step)}: it is not known in which namespace the primary is"
                    );
                }

                if (IsLate(view, member))
                {
                    Assert.That(health.Leader, Is.Not.Null, $"{Text(step)}: it may be the primary, and only late");
                    Assert.That(view.Store?.Without.Contains(member), Is.True, $"{Text(step)}: the store was not asked without it");
                    Assert.That(view.Store?.Problems, Is.Not.Null.And.Empty, $"{Text(step)}: the store is not whole without it");
                }

                if (!view.IsDown(member))
                {
                    Assert.That(health.Problems, Is.Empty, $"{Text(step)}: it serves, and the cluster is not healthy");
                    Assert.That(view.Store?.Problems, Is.Not.Null.And.Empty, $"{Text(step)}: the store was not asked, or is not whole");
                }
                else
                {
                    Assert.That(
                        health.Leader is not null
                            && health.Problems.Any(problem => problem.Member is { } of && of != member && !intent.Pending.Contains(of)),
                        Is.False,
                        $"{Text(step)}: another member is not well"
                    );
                    AssertNoSecondDatabase(step, member, view, intent);
                }

                if (member == health.Leader && !(intent.PrimaryFirst && intent.OnlyServer))
                {
                    Assert.That(ClusterPolicy.Candidate(health, intent.Leaving), Is.Null, $"{Text(step)}: a replica could take over");
                    Assert.That(
                        view.WithFormerData.Contains(member) && !intent.Leaving.Contains(member),
                        Is.False,
                        $"{Text(step)}: it alone has the data"
                    );
                }

                break;
            case ClusterStep.SwitchOver(var from, var to, _):
                Assert.That(health.Problems, Is.Empty, Text(step));
                Assert.That(view.Store?.Problems, Is.Not.Null.And.Empty, Text(step));
                var candidate = view.Member(to)!;
                Assert.That(from, Is.EqualTo(health.Leader), Text(step));
                Assert.That((candidate.IsRunning, candidate.Replication), Is.EqualTo((true, "streaming")), Text(step));
                Assert.That(candidate.LagBytes, Is.InRange(0, MaxLag), $"{Text(step)}: how far it is behind");
                Assert.That(candidate.IsSynchronous || !health.IsSynchronous, Text(step));
                Assert.That(intent.Leaving, Has.No.Member(to), Text(step));
                break;
            case ClusterStep.StopAll(var members):
                Assert.That(health.IsHealthy || view.WithStorePassword.Any(name => !view.Stopped.Contains(name)), Text(step));
                Assert.That(
                    view.IsFenced
                        || health.Leader is null
                        || !members.Contains(health.Leader)
                        || health.Members.All(member => member.Leads || member.Replication != "streaming"),
                    $"{Text(step)}: commits do not wait for the replicas"
                );
                Assert.That(
                    !view.IsFenced || members.Contains(health.Leader!),
                    $"{Text(step)}: the primary goes on with a fence that nobody lowers"
                );
                Assert.That(members.Intersect(view.WithFormerData), Is.Empty, $"{Text(step)}: their data is to be set aside");
                break;
            case ClusterStep.MoveStore(var members, var first):
                Assert.That(view.InDeclaredStore, Is.Empty, $"{Text(step)}: the declared store is in use, and would be emptied");
                Assert.That(members, Is.EquivalentTo(view.Names), $"{Text(step)}: another could still lead with the former store");
                Assert.That(members, Is.SubsetOf(intent.Pending), Text(step));
                Assert.That(intent.Leaving, Is.Empty, Text(step));
                Assert.That(health.Leader, Is.Null.Or.EqualTo(members[^1]), $"{Text(step)}: the primary stops last");
                Assert.That(health.Leader is null || first == health.Leader, $"{Text(step)}: the primary starts first");
                Assert.That(
                    view.IsFenced
                        || health.Leader is null
                        || health.Members.All(member => member.Leads || member.Replication != "streaming"),
                    $"{Text(step)}: commits do not wait for the replicas"
                );
                Assert.That(health.IsHealthy || members.Any(view.Stopped.Contains), $"{Text(step)}: not healthy, and nothing has begun");
                Assert.That(members.Intersect(view.WithFormerData), Is.Empty, $"{Text(step)}: their data is to be set aside");
                if (!view.StoreWords.RunsInPatroni)
                {
                    Assert.That(view.Store?.Problems, Is.Not.Null.And.Empty, $"{Text(step)}: the declared store is not whole");
                }

                break;
            case ClusterStep.Start(var members):
                Assert.That(members, Is.SubsetOf(view.Stopped));
                Assert.That(
                    view.BetweenStores.Intersect(members).IsEmpty || !view.InDeclaredStore.IsEmpty,
                    $"{Text(step)}: the declared store was not emptied"
                );
                foreach (var member in members)
                {
                    AssertNoSecondDatabase(step, member, view, intent);
                }

                break;
        }
    }

    private static ImmutableArray<string> Taken(ClusterStep step) =>
        step switch
        {
            ClusterStep.Start(var members) => members,
            ClusterStep.MoveStore(var members, _) => members,
            ClusterStep.StopAll(var members) => members,
            ClusterStep.Disrupt(var member, _) => [member],
            _ => [],
        };

    private static bool IsLate(ClusterView view, string member) =>
        view.IsDown(member)
        && view.Waited < view.Silence
        && !view.Stopped.Contains(member)
        && view.Member(member) is not { State: "start failed" or "crashed" or "stopped" };

    private static void AssertNoSecondDatabase(ClusterStep step, string member, ClusterView view, ClusterIntent intent) =>
        Assert.That(
            member == view.BootstrapHost
                && !intent.Leaving.Contains(member)
                && view.Health.Leader is null
                && view.HoldsData.GetValueOrDefault(member) != true
                && view.HoldsData.Any(pair => pair.Key != member && pair.Value != false),
            Is.False,
            $"{Text(step)}: it would make a database beside one that may be there"
        );

    private static bool IsDeed(ClusterStep step) =>
        step is ClusterStep.Disrupt or ClusterStep.SwitchOver or ClusterStep.StopAll or ClusterStep.MoveStore or ClusterStep.Start;

    private static string Text(ClusterStep step) =>
        step switch
        {
            ClusterStep.Start(var members) => $"start {string.Join(' ', members)}",
            ClusterStep.MoveStore(var members, var first) => $"move {string.Join(' ', members)}, {first} first",
            ClusterStep.StopAll(var members) => $"stop all {string.Join(' ', members)}",
            ClusterStep.Disrupt(var member, var turn) => $"disrupt {member} ({turn})",
            ClusterStep.SwitchOver(var from, var to, _) => $"switch over from {from} to {to}",
            _ => step.ToString(),
        };

    private static string Print(((ClusterView View, ClusterIntent Intent) It, int After, int Who, bool ComesBack, Store Store) tried) =>
        $"store {tried.Store}; fails after {tried.After}: {tried.Who}, back {tried.ComesBack}; pending {string.Join(' ', tried.It.Intent.Pending)}; leaving "
        + $"{string.Join(' ', tried.It.Intent.Leaving)}; server {tried.It.Intent.OnlyServer}; first {tried.It.Intent.PrimaryFirst}; stopped "
        + $"{string.Join(' ', tried.It.View.Stopped)}; bootstrap {tried.It.View.BootstrapHost}; sync {tried.It.View.Health.IsSynchronous}; "
        + string.Join(
            "; ",
            tried.It.View.Health.Members.Select(member =>
                $"{member.Name} {member.State} {(member.Leads ? "leads" : member.Replication)} {member.LagBytes} {member.IsSynchronous}"
            )
        );

    private static (ClusterView View, ClusterIntent Intent) Case(
        (string State, long Lag, bool IsSynchronous, int Data, int Password, bool HasFormerData)[] made,
        int primaries,
        bool isSynchronous,
        int passwords,
        int stores,
        int rare,
        int waited,
        int bootstrap,
        bool[] pending,
        int leaving,
        bool onlyServer,
        bool primaryFirst,
        int preferred,
        bool isLeavingFirst
    )
    {
        var left = primaries;
        var members = made.Select(
                (one, index) =>
                {
                    var leads = one.State == "running" && left-- > 0;
                    long? lag = one.Lag == UnknownLag ? null : one.Lag;
                    return one.State switch
                    {
                        "running" => Member($"m{index}", leads, leads ? null : lag, !leads && isSynchronous && one.IsSynchronous),
                        "detached" => Member($"m{index}", lag: lag) with { Replication = null },
                        "start failed" => new PatroniMember($"m{index}") { Answers = true, State = "start failed" },
                        _ => new PatroniMember($"m{index}"),
                    };
                }
            )
            .ToArray();
        string[] names = [.. members.Select(member => member.Name)];
        bool Any(Func<int, bool> are, int index) => index < made.Length && are(index);
        ImmutableSortedSet<string> Those(Func<int, bool> are) => [.. names.Where((_, index) => Any(are, index))];
        var gone = Those(index => (leaving >> index & 1) == 1);
        var view = new ClusterView([.. names], Health(members, isSynchronous, isPaused: rare == 0))
        {
            Stopped = Those(index => made[index].State == "stopped"),
            HoldsData = names
                .Select(
                    (name, index) =>
                        KeyValuePair.Create(
                            name,
                            members[index].IsRunning
                                ? true
                                : made[index].Data switch
                                {
                                    0 => (bool?)false,
                                    1 => true,
                                    _ => null,
                                }
                        )
                )
                .ToImmutableSortedDictionary(),
            BootstrapHost = bootstrap < 0 ? null : names[bootstrap % names.Length],
            Mistaken = rare == 1 ? new IdentityProblem("another cluster", "", "") : null,
            WithFormerData = Those(index => made[index].HasFormerData),
            WithOtherStorePassword = Those(index => passwords == 1 || (passwords == 2 && made[index].Password == 0)),
            WithStorePassword = Those(index => passwords == 2 && made[index].Password == 1),
            Silence = TimeSpan.FromSeconds(15),
            Waited = TimeSpan.FromSeconds(waited),
            // All in the former store, or between; some in the declared one; some unknown. One between stores has no container.
            StoreWords = new StoreWords("the new store", "") { RunsInPatroni = rare % 2 == 0 },
            FormerStore = "the old store",
            InFormerStore = Those(index => stores > 0 && !IsBetween(index) && !IsElsewhere(index)),
            BetweenStores = Those(index => stores > 0 && IsBetween(index) && !IsElsewhere(index)),
            InDeclaredStore = Those(index => stores == 2 && IsElsewhere(index)),
            InUnknownStore = Those(index => stores == 3 && IsElsewhere(index)),
            LastPrimary = rare % 3 == 0 ? null : names[rare % names.Length],
        };
        bool IsBetween(int index) => made[index].State == "stopped" && made[index].Data == 1;
        bool IsElsewhere(int index) => stores > 1 && made[index].Password == 2;
        var wanted = Those(index => pending[index]).Union(gone);
        var later = isLeavingFirst && !gone.IsEmpty ? wanted.Except(gone) : [];
        return (
            view with
            {
                Joining = Those(index => made[index].State == "stopped" && made[index].Data == 0).Intersect(later),
            },
            new ClusterIntent(wanted.Except(later), gone)
            {
                Later = later,
                OnlyServer = onlyServer && gone.IsEmpty,
                PrimaryFirst = onlyServer && gone.IsEmpty && primaryFirst,
                Preferred = preferred < 0 ? null : names[preferred % names.Length],
            }
        );
    }

    private static PatroniMember Member(string name, bool leads = false, long? lag = 0, bool isSynchronous = false) =>
        new(name)
        {
            Answers = true,
            State = "running",
            Leads = leads,
            Replication = leads ? null : "streaming",
            LagBytes = leads ? null : lag,
            IsSynchronous = isSynchronous,
        };

    private static PatroniHealth Health(IEnumerable<PatroniMember> members, bool isSynchronous = false, bool isPaused = false)
    {
        ImmutableArray<PatroniMember> all = [.. members];
        var health = new PatroniHealth(all, []) { IsSynchronous = isSynchronous, IsPaused = isPaused };
        var problems = all.SelectMany(Problems).ToList();
        if (health.Leaders.IsEmpty && all.Any(member => member.Answers))
        {
            problems.Add(new(HealthProblemKind.NoPrimary, null, "no member is the primary"));
        }

        if (health.SeveralPrimaries is { } several)
        {
            problems.Add(new(HealthProblemKind.SeveralPrimaries, null, several));
        }

        return health with
        {
            Problems = [.. problems],
        };

        static IEnumerable<HealthProblem> Problems(PatroniMember member)
        {
            if (!member.Answers)
            {
                yield return new(HealthProblemKind.PatroniSilent, member.Name, $"{member.Name}: silent");
            }
            else if (!member.IsRunning)
            {
                yield return new(HealthProblemKind.NotRunning, member.Name, $"{member.Name}: not running");
            }
            else if (!member.Leads && member.Replication != "streaming")
            {
                yield return new(HealthProblemKind.NotStreaming, member.Name, $"{member.Name}: not streaming");
            }
            else if (member.LagBytes > MaxLag)
            {
                yield return new(HealthProblemKind.Lagging, member.Name, $"{member.Name}: lagging");
            }
        }
    }

    private static ImmutableSortedSet<string> Names(params string[] names) => names.ToImmutableSortedSet(StringComparer.Ordinal);
}
