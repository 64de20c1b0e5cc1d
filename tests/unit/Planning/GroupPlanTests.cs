using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Planning;

/// <summary>What a plan says of groups of hosts: of what belongs to the whole, and of what runs a member.</summary>
[TestFixture]
public sealed class GroupPlanTests
{
    private static readonly Address s_address = new("thing", "settings", "pg");
    private static readonly Fingerprint s_fingerprints = new("a key");

    [Test]
    public void A_value_that_was_applied_and_is_dropped_from_the_configuration_is_taken_away()
    {
        var plan = Run(
            Resource(("value", "A")),
            Record(("value", "=A"), ("kind", "=old")),
            Present(("value", "A"), ("kind", "old"), ("text", "foreign"))
        );

        var difference = plan.Changes.Single().Differences.Single();
        Assert.That(
            (difference.Name, difference.Before!.Value, difference.After, difference.Cause),
            Is.EqualTo(("kind", "old", (AttributeValue?)null, Cause.ConfigurationChanged))
        );
    }

    [Test]
    public void A_value_that_an_interrupted_apply_set_is_removed_once_undeclared()
    {
        var record = Record(("value", "=A")) with { Intended = ["kind"] };

        var difference = Run(Resource(("value", "A")), record, Present(("value", "A"), ("kind", "left")))
            .Changes.Single()
            .Differences.Single();
        Assert.That(
            (difference.Name, difference.Before!.Value, difference.After, difference.Cause),
            Is.EqualTo(("kind", "left", (AttributeValue?)null, Cause.Interrupted))
        );

        var settled = Run(Resource(("value", "A")), record, Present(("value", "A"))).Changes.Single();
        Assert.That(
            (settled.Action, settled.Record!.Intended),
            Is.EqualTo((ResourceAction.Adopt, ImmutableSortedSet<string>.Empty)),
            "it never came to be: only the record is written"
        );
    }

    [Test]
    public void A_change_writes_its_intended_attributes_into_the_record_first()
    {
        var address = s_address with { Type = "inhabitant" };
        var last = Record(("value", "=A"), ("text", "=T")) with { Address = address };

        var change = Run(address, [("value", "B"), ("kind", "new")], last, ("value", "A"), ("text", "T"));
        Assert.That(change.Intent!.Intended, Is.EqualTo(new[] { "kind", "value" }));
        Assert.That(change.Intent.Fingerprints, Is.EqualTo(last.Fingerprints), "what was applied is still known, so that it is taken away");
        Assert.That(change.Record!.Intended, Is.Empty);

        Assert.That(Run(address, [("value", "A")], last, ("value", "A"), ("text", "T")).Intent, Is.Null, "it sets nothing");

        var retried = Run(address, [("value", "B")], change.Intent, ("value", "A"), ("kind", "new"), ("text", "T"));
        Assert.That(retried.Cause, Is.EqualTo(Cause.Interrupted));
        Assert.That(
            retried.Differences.Select(difference => $"{difference.Name}={difference.After?.Value}"),
            Is.EqualTo(new[] { "value=B", "text=", "kind=" })
        );

        static PlannedChange Run(Address address, (string, string)[] desired, ResourceRecord record, params (string, string)[] actual)
        {
            var providers = new ProviderRegistry([new Inhabitant()]);
            return new Planner(providers, s_fingerprints)
                .Plan(
                    new PlanInput(
                        ResourceGraph.Build([Resource(desired) with { Address = address }], providers),
                        ImmutableDictionary<Address, ResourceRecord>.Empty.Add(address, record),
                        ImmutableDictionary<Address, Observation>.Empty.Add(address, Present(actual)),
                        ImmutableSortedDictionary<string, string>.Empty,
                        new PlanOptions()
                    )
                )
                .Changes.Single();
        }
    }

    [Test]
    public void Undeclared_settings_are_reported_and_kept()
    {
        var foreign = Present(("value", "A"), ("kind", "x")) with
        {
            Foreign = [new ForeignSetting("kind", "x", "declare it", IsTrouble: true)],
        };

        var plan = Run(Resource(("value", "A")), Record(("value", "=A")), foreign);
        Assert.That(plan.Effective, Is.Empty);
        Assert.That(
            plan.Diagnostics.Select(one => (one.Severity, one.Summary, one.Detail, one.Remedy)),
            Is.EqualTo(new[] { (Severity.Warning, $"{s_address}: set outside kbr, and kept: kind", "kind: x", "declare it") })
        );
        Assert.That(
            Run(Resource(("value", "A")), Record(("value", "=A"), ("kind", "=x")), foreign).Diagnostics,
            Is.Empty,
            "it is kbr's own, and goes"
        );
    }

    [Test]
    public void A_value_that_kbr_never_applied_is_left_alone()
    {
        Assert.That(
            Run(Resource(("value", "A")), Record(("value", "=A")), Present(("value", "A"), ("text", "foreign"))).Effective,
            Is.Empty
        );
    }

    [Test]
    public void A_role_created_with_its_group_is_updated_without_adoption()
    {
        var plan = Run(Resource(("value", "A")), null, Present(("value", "B")) with { IsManaged = true });

        Assert.That(plan.HasErrors, Is.False);
        Assert.That(plan.Changes.Single().Action, Is.EqualTo(ResourceAction.Update));
        Assert.That(plan.Changes.Single().Record!.Created, Is.True);
    }

    [Test]
    public void A_record_that_a_member_lacks_is_written_again_and_that_counts_as_no_change()
    {
        var plan = Run(Resource(("value", "A")), Record(("value", "=A")), Present(("value", "A")), uneven: true);

        Assert.That(plan.Changes.Single().Action, Is.EqualTo(ResourceAction.Adopt));
        Assert.That(plan.HasChanges, Is.False);
    }

    [Test]
    public void A_group_that_a_new_member_joins_differs_because_of_it_and_not_by_drift()
    {
        Plan Joined(bool recorded)
        {
            var member = new Resource(new Address("thing", "runs", "host-1"), AttributeSet.Empty) { Group = "pg" };
            var group = Resource(("value", "A")) with { Requires = [member.Address] };
            var providers = new ProviderRegistry([new FakeProvider()]);
            var record = new ResourceRecord(
                member.Address,
                Created: true,
                Pending: false,
                SortedMap<string>.Empty,
                AttributeSet.Empty,
                [],
                PreventDestroy: false
            )
            {
                Group = "pg",
            };
            ResourceRecord[] records = [Record(("value", "=A")), .. recorded ? [record] : (ResourceRecord[])[]];
            return new Planner(providers, s_fingerprints).Plan(
                new PlanInput(
                    ResourceGraph.Build([group, member], providers),
                    records.ToImmutableDictionary(one => one.Address),
                    ImmutableDictionary<Address, Observation>
                        .Empty.Add(member.Address, new Observation.Absent())
                        .Add(s_address, Present(("value", "host-1 is silent"))),
                    ImmutableSortedDictionary<string, string>.Empty,
                    new PlanOptions()
                )
            );
        }

        var joined = Joined(recorded: false).Changes.Single(change => change.Address == s_address);
        Assert.That((joined.Action, joined.Cause, joined.Note), Is.EqualTo((ResourceAction.Update, Cause.New, "host-1 joins")));
        Assert.That(
            Joined(recorded: true).Changes.Single(change => change.Address == s_address).Cause,
            Is.EqualTo(Cause.Drift),
            "one that somebody removed by hand"
        );
    }

    [Test]
    public void A_change_in_place_disrupts_no_member_and_one_that_restarts_does()
    {
        var inPlace = Run(
            Resource(("value", "B")) with
            {
                Group = "pg",
            },
            Record(("value", "=A")) with
            {
                Group = "pg",
            },
            Present(("value", "A"))
        );
        var replaced = Run(
            Resource(("kind", "B")) with
            {
                Group = "pg",
            },
            Record(("kind", "=A")) with
            {
                Group = "pg",
            },
            Present(("kind", "A"))
        );
        var elsewhere = Run(Resource(("kind", "B")), Record(("kind", "=A")), Present(("kind", "A")));

        Assert.That(inPlace.Changes.Single().Disrupts, Is.Null);
        Assert.That(replaced.Changes.Single().Disrupts, Is.EqualTo("pg"));
        Assert.That(elsewhere.Changes.Single().Disrupts, Is.Null, "what runs no member of a group");
    }

    [Test]
    public void A_requested_replacement_of_what_runs_a_member_is_a_step_of_the_groups_roll_out()
    {
        var plan = PlanGroup(
            new Observation.Present(Comparable.None.Add("health", new("good"))),
            new PlanOptions { Replace = [s_member] },
            isApplied: true
        );
        var change = plan.Changes.Single(one => one.Address == s_member);
        Assert.That((change.Action, change.Cause, change.Disrupts), Is.EqualTo((ResourceAction.Replace, Cause.Requested, (string?)"pg")));
        Assert.That(plan.Groups.Single().Rollout!.Steps.Single().Hosts, Is.EqualTo(new[] { "host-1" }));
    }

    [Test]
    public void A_fixed_attribute_of_a_group_cannot_change_and_nothing_is_planned_until_it_is_restored()
    {
        var group = Resource(("value", "A"), ("made_with", "boss"));
        var record = Record(("value", "=A")) with
        {
            Spec = new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("made_with", "kb_admin")),
        };

        var refusal = Assert.Throws<DiagnosticException>(() => Run(group, record, Present(("value", "A"))))!.Diagnostics.Single();

        Assert.That(
            refusal.Summary,
            Is.EqualTo($"{s_address}: made_with was applied as 'kb_admin' and cannot change to 'boss'; nothing is planned")
        );
        Assert.That(refusal.Remedy, Does.StartWith("restore 'kb_admin'; if an import recorded a wrong value, run 'kbr state rm "));
        Assert.That(Run(group, record with { Spec = group.Spec }, Present(("value", "A"))).HasErrors, Is.False);
        Assert.That(
            Run(group, record with { Pending = true }, Present(("value", "A"))).HasErrors,
            Is.False,
            "the first apply was interrupted: nothing is made with it yet"
        );
        Assert.That(Run(group, record, Present(("value", "A")), options: new PlanOptions { Destroy = true }).HasErrors, Is.False);
    }

    [Test]
    public void A_group_that_is_not_the_declared_one_refuses_the_whole_plan_and_an_import()
    {
        var mistaken = new Observation.Unknown("host-1 is in another cluster")
        {
            Detail = "it has a leader of its own",
            Remedy = "set the name",
        };
        foreach (
            var options in new[]
            {
                new PlanOptions(),
                new PlanOptions { Import = true },
                new PlanOptions { Targets = [new AddressPattern("nothing.*@host-1")] },
            }
        )
        {
            var refusal = Assert.Throws<DiagnosticException>(() => PlanGroup(mistaken, options: options))!.Diagnostics.Single();
            Assert.That(
                (refusal.Summary, refusal.Detail, refusal.Remedy),
                Is.EqualTo(("host-1 is in another cluster", "nothing is planned; it has a leader of its own", "set the name"))
            );
        }

        var unknown = PlanGroup(mistaken with { Remedy = null });
        Assert.That(unknown.BroughtToHealth, Is.Empty, "what cannot be told is an error of its own, and the rest is planned");
        Assert.That(unknown.Groups.Single().IsSelected, Is.False, "it is there for the member that is disrupted");
        Assert.That(
            unknown.Errors.Select(error => error.Summary),
            Is.EqualTo(new[] { "pg: the health of the group is unknown: host-1 is in another cluster" })
        );
        Assert.That(unknown.Changes.Select(change => change.Address), Is.EqualTo(new[] { s_member }));
        Assert.That(
            unknown.Blocked.Select(blocked => (blocked.Address, blocked.Reason)),
            Is.EqualTo(new[] { (s_address, "the health of pg is unknown") })
        );
        var warned = PlanGroup(
            Present(("health", "good")) with
            {
                Warnings = ImmutableSortedDictionary<string, string>.Empty.Add("host-1", "host-1 is new"),
            }
        );
        Assert.That(warned.Diagnostics.Single(diagnostic => diagnostic.Summary == "host-1 is new").Host, Is.EqualTo("host-1"));
    }

    [Test]
    public void A_former_member_that_still_takes_part_is_stopped_first_or_nothing_is_planned()
    {
        var told = new Resource(new Address("thing", "told", "host-1"), AttributeSet.Empty)
        {
            AfterRemovalOf = [new Address("thing", "runs", "host-9")],
        };
        var leaving = new ResourceRecord(
            new Address("thing", "runs", "host-9"),
            Created: true,
            Pending: false,
            SortedMap<string>.Empty,
            AttributeSet.Empty,
            [],
            PreventDestroy: false
        )
        {
            Group = "pg",
        };

        var plan = Plan("host-9", [leaving]);
        Assert.That(plan.Changes.Single(change => change.Address == leaving.Address).Action, Is.EqualTo(ResourceAction.Delete));
        Assert.That(
            plan.Changes.Single(change => change.Address == told.Address).DependsOn,
            Is.EqualTo(new[] { leaving.Address }),
            "nobody is told before"
        );

        Assert.That(
            Refusal(() => Plan(null, [leaving])),
            Does.StartWith(
                    "10.0.0.9:7000 still takes part in pg, is no longer a member, and cannot be stopped: no host in the configuration"
                )
                .And.EndsWith("nothing is planned")
        );
        Assert.That(
            Refusal(() => Plan("host-9", [])),
            Does.StartWith("host-9 (10.0.0.9:7000) still takes part in pg").And.Contain("no record")
        );
        Assert.That(
            Refusal(() => Plan("host-9", [], error: "it could not be reached")),
            Does.Contain("cannot be stopped: it could not be reached")
        );
        Assert.That(
            Refusal(() => Plan("host-9", [leaving], new PlanOptions { Targets = [new AddressPattern("*@host-1")] })),
            Does.Contain("--target excludes it")
        );

        static string Refusal(Func<Plan> plan) => Assert.Throws<DiagnosticException>(() => plan())!.Diagnostics.Single().Summary;

        Plan Plan(string? outsider, ResourceRecord[] records, PlanOptions? options = null, string? error = null)
        {
            var providers = new ProviderRegistry([new FakeProvider()]);
            return new Planner(providers, s_fingerprints).Plan(
                new PlanInput(
                    ResourceGraph.Build([told], providers, [Policy()]),
                    records.ToImmutableDictionary(record => record.Address),
                    ImmutableDictionary<Address, Observation>
                        .Empty.Add(s_group, Present(("health", "good")) with { Outsiders = [new Outsider("10.0.0.9:7000", outsider)] })
                        .Add(told.Address, new Observation.Absent())
                        .Add(leaving.Address, Present()),
                    error is null
                        ? ImmutableSortedDictionary<string, string>.Empty
                        : ImmutableSortedDictionary<string, string>.Empty.Add("host-9", error),
                    options ?? new PlanOptions()
                )
            );
        }
    }

    [Test]
    public void Destroying_a_members_service_disrupts_the_member()
    {
        var plan = Run(
            null,
            Record(("value", "=A")) with
            {
                Group = "pg",
            },
            Present(("value", "A")),
            options: new PlanOptions { Destroy = true }
        );

        Assert.That(plan.Changes.Single().Disrupts, Is.EqualTo("pg"));
    }

    [Test]
    public void A_protected_resource_of_a_group_keeps_its_last_members_and_an_unknown_one_keeps_none()
    {
        var member = new ResourceRecord(
            new Address("thing", "runs", "host-1"),
            Created: true,
            Pending: false,
            SortedMap<string>.Empty,
            AttributeSet.Empty,
            [],
            PreventDestroy: false
        )
        {
            Group = "pg",
        };
        var database = new ResourceRecord(
            new Address("inhabitant", "app", "pg"),
            Created: true,
            Pending: false,
            SortedMap<string>.Empty,
            AttributeSet.Empty,
            [],
            PreventDestroy: true
        );
        var second = member with { Address = new Address("thing", "runs", "host-2") };
        Plan Destroyed(bool isProtected, Observation found, params AddressPattern[] targets)
        {
            var providers = new ProviderRegistry([new FakeProvider(), new Inhabitant()]);
            ResourceRecord[] records = [member, second, database with { PreventDestroy = isProtected }];
            return new Planner(providers, s_fingerprints).Plan(
                new PlanInput(
                    ResourceGraph.Build([], providers),
                    records.ToImmutableDictionary(record => record.Address),
                    ImmutableDictionary<Address, Observation>
                        .Empty.Add(member.Address, Present())
                        .Add(second.Address, Present())
                        .Add(database.Address, found),
                    ImmutableSortedDictionary<string, string>.Empty,
                    new PlanOptions
                    {
                        Destroy = true,
                        DeleteData = true,
                        Targets = [.. targets],
                    }
                )
            );
        }

        var kept = Destroyed(true, Present(("value", "A")));
        Assert.That(kept.Effective, Is.Empty);
        Assert.That(
            kept.Blocked.Single(blocked => blocked.Address == member.Address).Reason,
            Is.EqualTo("inhabitant.app@pg depends on it and is kept")
        );
        Assert.That(Destroyed(true, new Observation.Unknown("no primary")).Effective, Is.Empty);
        Assert.That(
            Destroyed(false, new Observation.Unknown("no primary")).Effective.Select(change => change.Address),
            Is.EqualTo(new[] { member.Address, second.Address })
        );
        Assert.That(
            Destroyed(true, Present(("value", "A")), new AddressPattern("*@host-1"), new AddressPattern("*@pg"))
                .Effective.Select(change => change.Address),
            Is.EqualTo(new[] { member.Address }),
            "the other member stays"
        );
    }

    [Test]
    public void A_resource_unknown_until_its_group_exists_is_created_or_checked_again_then()
    {
        var cluster = new Resource(s_address, new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("value", "B")));
        var role = new Resource(
            new Address("inhabitant", "app", "pg"),
            new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("value", "A"))
        )
        {
            Requires = [s_address],
        };
        var recorded = new ResourceRecord(
            role.Address,
            Created: true,
            Pending: false,
            SortedMap<string>.Empty.Add("value", "=A"),
            role.Spec,
            role.Requires,
            PreventDestroy: false
        );

        var first = Run([cluster, role], [Record(("value", "=A"))]);
        var later = Run([cluster, role], [Record(("value", "=A")), recorded]);
        var settled = Run([cluster, role], [Record(("value", "=B")), recorded], "B");

        Assert.That(first.HasErrors, Is.False);
        Assert.That(first.Changes.Single(change => change.Address == role.Address).Action, Is.EqualTo(ResourceAction.Create));
        var looked = later.Changes.Single(change => change.Address == role.Address);
        Assert.That(
            (looked.Action, looked.Deferred, looked.Note),
            Is.EqualTo((ResourceAction.NoOp, true, $"checked again once {s_address} is applied"))
        );
        Assert.That(settled.HasErrors, Is.True, "where the group has nothing to change it is an error that nobody answers");

        static Plan Run(Resource[] resources, ResourceRecord[] records, string actual = "A")
        {
            var providers = new ProviderRegistry([new FakeProvider(), new Inhabitant()]);
            return new Planner(providers, s_fingerprints).Plan(
                new PlanInput(
                    ResourceGraph.Build(resources, providers),
                    records.ToImmutableDictionary(record => record.Address),
                    ImmutableDictionary<Address, Observation>
                        .Empty.Add(s_address, Present(("value", actual)))
                        .Add(resources[1].Address, new Observation.Unknown("no primary answers")),
                    ImmutableSortedDictionary<string, string>.Empty,
                    new PlanOptions()
                )
            );
        }
    }

    [Test]
    public void The_health_of_a_group_is_no_change_of_a_resource_and_has_no_record()
    {
        var plan = PlanGroup(Present(("health", "bad")), isApplied: true);

        var group = plan.Groups.Single();
        Assert.That((group.BringsToHealth, group.Cause, plan.HasChanges, plan.DoesAnything), Is.EqualTo((true, Cause.Drift, true, true)));
        Assert.That(
            group.Differences.Select(one => (one.Name, one.Before!.Value, one.After!.Value, one.Cause)),
            Is.EqualTo(new[] { ("health", "bad", "good", Cause.Drift) })
        );
        Assert.That(plan.Effective, Is.Empty, "no resource changes");
        Assert.That(Enum.GetValues<ResourceAction>().Sum(plan.Count), Is.EqualTo(2), "the two resources alone");
        Assert.That(plan.Changes.Select(change => change.Record!.Address), Is.EquivalentTo(new[] { s_member, s_address }));

        var healthy = PlanGroup(Present(("health", "good")), isApplied: true);
        Assert.That((healthy.HasChanges, healthy.DoesAnything, healthy.Groups.Single().IsShown), Is.EqualTo((false, false, false)));
    }

    [Test]
    public void A_group_is_new_before_its_first_apply_and_differs_by_its_configuration_where_that_removes_a_member()
    {
        Assert.That(PlanGroup(new Observation.Absent()).Groups.Single().Cause, Is.EqualTo(Cause.New));
        Assert.That(PlanGroup(Present(("health", "bad"))).Groups.Single().Cause, Is.EqualTo(Cause.New));
        Assert.That(PlanGroup(new Observation.Absent(), isApplied: true).Groups.Single().Cause, Is.EqualTo(Cause.Drift));

        var policy = Policy() with { Spec = AttributeSet.Empty.With("members", "host-1") };
        var found = Present(("health", "bad"), ("members", "host-1 host-9"));
        var removed = Member(new Address("thing", "runs", "host-9"));
        Assert.That(
            PlanGroup(found, isApplied: true, policy: policy, more: removed)
                .Groups.Single()
                .Differences.Select(one => (one.Name, one.Cause)),
            Is.EqualTo(new[] { ("health", Cause.Drift), ("members", Cause.ConfigurationChanged) })
        );
        Assert.That(
            PlanGroup(found, isApplied: true, policy: policy).Groups.Single().Differences.Select(one => one.Cause),
            Has.All.EqualTo(Cause.Drift),
            "nobody leaves it"
        );

        var joined = PlanGroup(found, isApplied: true, policy: policy, joins: "host-2").Groups.Single();
        Assert.That((joined.Cause, joined.Note), Is.EqualTo((Cause.New, "host-2 joins")));
    }

    [Test]
    public void What_belongs_to_a_group_comes_after_its_health_and_that_after_what_runs_its_members()
    {
        var plan = PlanGroup(new Observation.Absent());

        Assert.That(plan.Groups.Single().DependsOn, Is.EqualTo(new[] { s_member }));
        Assert.That(plan.Changes.Single(change => change.Address == s_address).DependsOn, Is.EqualTo(new[] { s_group }));
        Assert.That(plan.Changes.Single(change => change.Address == s_address).Record!.Requires, Is.Empty, "a record requires resources");
    }

    [Test]
    public void The_steps_of_a_roll_out_are_the_groups()
    {
        var plan = PlanGroup(Present(("health", "good")));

        Assert.That(plan.Rollouts, Is.Empty);
        var group = plan.Groups.Single();
        Assert.That(group.BringsToHealth, Is.False);
        Assert.That(group.Rollout!.Steps.Select(step => string.Join(' ', step.Hosts)), Is.EqualTo(new[] { "host-1" }));
    }

    [Test]
    public void A_target_that_leaves_out_members_which_must_change_with_it_is_refused()
    {
        var policy = Policy() with { Rules = new FakePolicy { Refusal = "host-2 would keep the old password" } };
        Plan Planned(PlanOptions options) => PlanGroup(Present(("health", "good")), options, policy: policy);

        var refusal = Assert
            .Throws<DiagnosticException>(() => Planned(new PlanOptions { Targets = [new AddressPattern("thing.runs@host-1")] }))!
            .Diagnostics.Single();
        Assert.That(
            (refusal.Summary, refusal.Detail, refusal.Remedy),
            Is.EqualTo(
                (
                    "pg: only a part of the members would change; nothing is planned",
                    "host-2 would keep the old password",
                    "repeat without --target, or with a --target for every member"
                )
            )
        );
        Assert.That(
            Planned(new PlanOptions()).Errors.Select(error => error.Summary),
            Is.EqualTo(new[] { "pg: only a part of the members would change" }),
            "what else could be planned is shown"
        );
    }

    [Test]
    public void A_target_looks_at_the_health_of_its_group_and_the_groups_own_address_is_one()
    {
        Plan Targeted(string pattern) =>
            PlanGroup(Present(("health", "bad")), new PlanOptions { Targets = [new AddressPattern(pattern)] }, isApplied: true);

        Assert.That(Targeted("group.pg@pg").BroughtToHealth.Count(), Is.EqualTo(1));
        Assert.That(Targeted("group.pg@pg").Changes, Is.Empty);
        Assert.That(Targeted("thing.settings@pg").BroughtToHealth.Count(), Is.EqualTo(1), "its gate");
        Assert.That(Targeted("thing.runs@host-1").Groups, Is.Empty);
        Assert.That(Targeted("nothing.*").Errors.Select(error => error.Summary), Is.EqualTo(new[] { "no resource matches 'nothing.*@*'" }));
    }

    [Test]
    public void A_destroy_and_an_import_have_nothing_to_do_for_the_health_of_a_group()
    {
        foreach (
            var options in new[]
            {
                new PlanOptions { Destroy = true },
                new PlanOptions { Import = true },
            }
        )
        {
            var plan = PlanGroup(Present(("health", "bad")), options, isApplied: true);
            Assert.That(plan.BroughtToHealth, Is.Empty);
            Assert.That(plan.Changes.Select(change => change.Address), Has.None.EqualTo(s_group));
        }
    }

    [Test]
    public void Nothing_changes_on_the_host_of_a_member_that_is_held_and_the_plan_says_so()
    {
        var found = Present(("health", "good")) with { Held = Holding("host-1") };

        var held = PlanGroup(found);
        Assert.That(held.Changes.Single(change => change.Address == s_member).Action, Is.EqualTo(ResourceAction.NoOp));
        Assert.That(
            held.Changes.Single(change => change.Address == s_address).Action,
            Is.EqualTo(ResourceAction.Create),
            "the group's own"
        );
        Assert.That(held.Groups.Single().Rollout, Is.Null, "a roll-out leaves it");
        var said = held.Diagnostics.Single();
        Assert.That(
            (said.Severity, said.Summary, said.Detail, said.Remedy, said.Host),
            Is.EqualTo(
                (
                    Severity.Warning,
                    "host-1 is fenced: nothing on it is changed",
                    "1 resource on it differs, and waits for that to end",
                    "unfence host-1",
                    "host-1"
                )
            )
        );

        Assert.That(PlanGroup(Present(("health", "good"))).Diagnostics, Is.Empty);
        Assert.That(
            PlanGroup(found, new PlanOptions { Destroy = true }, isApplied: true).Changes.Select(change => change.Action),
            Is.All.EqualTo(ResourceAction.Delete),
            "a destroy is a request of its own"
        );
    }

    [Test]
    public void A_step_waits_only_for_steps_of_its_plan_when_an_import_drops_the_groups()
    {
        var after = new Resource(new Address("thing", "after", "host-2"), AttributeSet.Empty) { After = [s_group] };
        var plan = PlanBeside(after, [], Present(("health", "good")), Present(), new PlanOptions { Import = true });

        Assert.That(plan.Changes.Select(change => change.Action), Is.EqualTo(new[] { ResourceAction.Adopt, ResourceAction.Adopt }));
        Assert.That(plan.Groups, Is.Empty);
        Assert.That(plan.Changes.SelectMany(change => change.DependsOn), Is.Empty);
    }

    [Test]
    public void A_removed_resource_of_a_fenced_member_is_not_taken_for_one_that_could_not_be_planned()
    {
        var left = Member(new Address("thing", "left", "host-1"));
        var broken = new Resource(new Address("thing", "broken", "host-2"), AttributeSet.Empty);

        var plan = PlanBeside(
            broken,
            [left],
            Present(("health", "good")) with
            {
                Held = Holding("host-1"),
            },
            new Observation.Unknown("it does not answer"),
            new PlanOptions()
        );

        Assert.That(plan.Blocked.Select(blocked => blocked.Address), Is.EqualTo(new[] { broken.Address }));
        Assert.That(
            plan.Changes.Select(change => (change.Address, change.Action)),
            Is.EquivalentTo(new[] { (left.Address, ResourceAction.NoOp), (s_member, ResourceAction.NoOp) })
        );
    }

    // A member on host-1 that is there, and another resource.
    private static Plan PlanBeside(Resource other, ResourceRecord[] records, Observation group, Observation found, PlanOptions options)
    {
        var providers = new ProviderRegistry([new FakeProvider()]);
        var member = new Resource(s_member, AttributeSet.Empty) { Group = "pg" };
        return new Planner(providers, s_fingerprints).Plan(
            new PlanInput(
                ResourceGraph.Build([member, other], providers, [Policy()]),
                records.ToImmutableDictionary(record => record.Address),
                records
                    .ToImmutableDictionary(record => record.Address, _ => (Observation)Present())
                    .Add(s_group, group)
                    .Add(s_member, Present())
                    .Add(other.Address, found),
                ImmutableSortedDictionary<string, string>.Empty,
                options
            )
        );
    }

    internal static ImmutableSortedDictionary<string, HeldMember> Holding(string host) =>
        Observation.Nobody.Add(host, new HeldMember($"{host} is fenced", $"unfence {host}"));

    [Test]
    public void A_policy_in_a_cycle_or_after_something_unknown_is_refused()
    {
        var providers = new ProviderRegistry([new FakeProvider()]);
        var settings = Resource(("value", "A"));
        string Refusal(GroupPolicy policy) =>
            Assert.Throws<DiagnosticException>(() => ResourceGraph.Build([settings], providers, [policy]))!.Diagnostics.Single().Summary;

        Assert.That(
            Refusal(Policy() with { After = [s_address] }),
            Is.EqualTo("resources depend on each other in a cycle: group.pg@pg → thing.settings@pg → group.pg@pg")
        );
        Assert.That(
            Refusal(Policy() with { After = [GroupPolicy.AddressOf("other")] }),
            Is.EqualTo("the group pg refers to group.other@other, which does not exist")
        );
    }

    private static readonly Address s_group = GroupPolicy.AddressOf("pg");
    private static readonly Address s_member = new("thing", "runs", "host-1");

    private static GroupPolicy Policy() => new("pg", new FakePolicy(), AttributeSet.Empty);

    private static ResourceRecord Member(Address address) =>
        new(address, Created: true, Pending: false, SortedMap<string>.Empty, AttributeSet.Empty, [], PreventDestroy: false)
        {
            Group = "pg",
        };

    // A member on host-1, and settings of the group as a whole; both as they were applied, or not there yet.
    private static Plan PlanGroup(
        Observation found,
        PlanOptions? options = null,
        bool isApplied = false,
        GroupPolicy? policy = null,
        ResourceRecord? more = null,
        string? joins = null
    )
    {
        var providers = new ProviderRegistry([new FakeProvider()]);
        Resource[] members =
        [
            new Resource(s_member, AttributeSet.Empty) { Group = "pg" },
            .. joins is null ? [] : (Resource[])[new Resource(s_member with { Host = joins }, AttributeSet.Empty) { Group = "pg" }],
        ];
        ResourceRecord[] records = isApplied
            ? [Member(s_member), Record(("value", "=A")), .. more is null ? [] : (ResourceRecord[])[more]]
            : [];
        Observation there = isApplied ? Present(("value", "A")) : new Observation.Absent();
        return new Planner(providers, s_fingerprints).Plan(
            new PlanInput(
                ResourceGraph.Build([Resource(("value", "A")), .. members], providers, [policy ?? Policy()]),
                records.ToImmutableDictionary(record => record.Address),
                ImmutableDictionary<Address, Observation>
                    .Empty.Add(s_group, found)
                    .Add(s_member, isApplied ? Present() : new Observation.Absent())
                    .Add(s_address, there)
                    .Add(s_member with { Host = "host-2" }, new Observation.Absent())
                    .Add(s_member with { Host = "host-9" }, Present()),
                ImmutableSortedDictionary<string, string>.Empty,
                options ?? new PlanOptions()
            )
        );
    }

    [Test]
    public void Retiring_a_removed_resource_is_a_change_and_an_already_retired_one_only_loses_its_record()
    {
        var address = new Address("inhabitant", "app", "pg");
        var record = new ResourceRecord(
            address,
            Created: true,
            Pending: false,
            SortedMap<string>.Empty.Add("value", "=used"),
            AttributeSet.Empty,
            [],
            PreventDestroy: false
        );
        PlannedChange Removed(string value, PlanOptions options, bool created = true)
        {
            var providers = new ProviderRegistry([new Inhabitant()]);
            var input = new PlanInput(
                ResourceGraph.Build([], providers),
                ImmutableDictionary<Address, ResourceRecord>.Empty.Add(address, record with { Created = created }),
                ImmutableDictionary<Address, Observation>.Empty.Add(address, Present(("value", value))),
                ImmutableSortedDictionary<string, string>.Empty,
                options
            );
            return new Planner(providers, s_fingerprints).Plan(input).Changes.Single();
        }

        var used = Removed("used", new PlanOptions());
        Assert.That((used.Action, used.DeleteData, used.Note), Is.EqualTo((ResourceAction.Delete, false, "it is put out of use")));
        Assert.That(Removed("used", new PlanOptions(), created: false).Action, Is.EqualTo(ResourceAction.Delete), "also what was adopted");
        var unused = Removed("unused", new PlanOptions());
        Assert.That((unused.Action, unused.Note), Is.EqualTo((ResourceAction.Forget, "its data is kept")));
        Assert.That(
            Removed("used", new PlanOptions { Destroy = true }).Action,
            Is.EqualTo(ResourceAction.Forget),
            "a destroy takes down what it lives in"
        );
        Assert.That(Removed("used", new PlanOptions { Destroy = true, DeleteData = true }).DeleteData, Is.True);
    }

    // Something that lives in a group, like a role in a cluster; a fake because the plan is the same for any such type.
    private sealed class Inhabitant : IGroupResourceProvider, IRetiresOnRemoval
    {
        public string? Retirement(Resource resource, Observation.Present observed) =>
            observed.Attributes["value"].Value == "used" ? "it is put out of use" : null;

        public ResourceSchema Schema { get; } =
            new("inhabitant", "Lives in a group.", [new AttributeDefinition("value", AttributeKind.String, "A value.")]);

        public bool HoldsData(Resource resource) => true;

        public IEnumerable<Diagnostic> Validate(Resource resource) => [];

        public ResourceLinks Links(Resource resource) => ResourceLinks.None;

        public IEnumerable<Read> Reads(Resource resource) => [];

        public SortedMap<AttributeValue> Desired(Resource resource) =>
            SortedMap.Of<AttributeValue>(
                resource.Spec.Names.Select(name => KeyValuePair.Create(name, AttributeValue.Of(resource.Spec[name]!)))
            );

        public Observation Observe(Resource resource, IReadOnlyDictionary<string, Snapshot> members) =>
            throw new NotSupportedException("the planner does not observe");

        public Task ChangeAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken) =>
            throw new NotSupportedException("the planner does not change");
    }

    private static Resource Resource(params (string Name, string Value)[] values) =>
        new(s_address, new AttributeSet(values.ToImmutableDictionary(pair => pair.Name, pair => (object)pair.Value)));

    private static ResourceRecord Record(params (string Name, string Print)[] prints) =>
        new(s_address, Created: true, Pending: false, SortedMap.Of<string>(prints), AttributeSet.Empty, [], PreventDestroy: false);

    private static Observation.Present Present(params (string Name, string Value)[] values) =>
        new(SortedMap.Of<AttributeValue>(values.Select(pair => KeyValuePair.Create(pair.Name, new AttributeValue(pair.Value)))));

    private static Plan Run(
        Resource? desired,
        ResourceRecord? record,
        Observation observed,
        bool uneven = false,
        PlanOptions? options = null
    )
    {
        var providers = new ProviderRegistry([new FakeProvider()]);
        var graph = ResourceGraph.Build(desired is null ? [] : [desired], providers);
        var records = record is null
            ? ImmutableDictionary<Address, ResourceRecord>.Empty
            : ImmutableDictionary<Address, ResourceRecord>.Empty.Add(s_address, record);
        var input = new PlanInput(
            graph,
            records,
            ImmutableDictionary<Address, Observation>.Empty.Add(s_address, observed),
            ImmutableSortedDictionary<string, string>.Empty,
            options ?? new PlanOptions()
        )
        {
            UnevenRecords = uneven ? [s_address] : [],
        };
        return new Planner(providers, s_fingerprints).Plan(input);
    }
}
