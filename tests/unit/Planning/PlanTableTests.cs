using System.Collections.Immutable;
using CsCheck;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Planning;

/// <summary>The table "What a plan says" of docs/architecture.md, cell by cell, for values chosen at random.</summary>
[TestFixture]
public sealed class PlanTableTests
{
    private static readonly Address Thing = new("thing", "one", "host-1");
    private static readonly Fingerprint Fingerprints = new("a key");

    /// <summary>What a side of the table holds: nothing, one of three values, or (actual only) unknown.</summary>
    private enum Side
    {
        None,
        A,
        B,
        C,
        Unknown,
    }

    private static readonly ImmutableArray<(Side Desired, Side Last, Side Actual, bool Adopt, ResourceAction? Action, Cause Cause)> Table =
    [
        (Side.A, Side.A, Side.A, false, ResourceAction.NoOp, Cause.FoundAsWanted),
        (Side.B, Side.A, Side.A, false, ResourceAction.Update, Cause.ConfigurationChanged),
        (Side.A, Side.A, Side.B, false, ResourceAction.Update, Cause.Drift),
        (Side.B, Side.A, Side.C, false, ResourceAction.Update, Cause.ConfigurationChangedAndDrift),
        (Side.B, Side.A, Side.B, false, ResourceAction.Adopt, Cause.FoundAsWanted),
        (Side.A, Side.None, Side.None, false, ResourceAction.Create, Cause.New),
        (Side.A, Side.A, Side.None, false, ResourceAction.Create, Cause.Drift),
        (Side.B, Side.A, Side.None, false, ResourceAction.Create, Cause.Drift),
        (Side.A, Side.None, Side.A, false, ResourceAction.Adopt, Cause.FoundAsWanted),
        (Side.A, Side.None, Side.B, false, null, default),
        (Side.A, Side.None, Side.B, true, ResourceAction.Update, Cause.Adopted),
        (Side.None, Side.A, Side.A, false, ResourceAction.Delete, Cause.Removed),
        (Side.None, Side.A, Side.B, false, ResourceAction.Delete, Cause.Removed),
        (Side.None, Side.A, Side.None, false, ResourceAction.Forget, Cause.AlreadyGone),
        (Side.None, Side.None, Side.A, false, null, default),
        (Side.A, Side.None, Side.Unknown, false, null, default),
        (Side.A, Side.A, Side.Unknown, false, null, default),
        (Side.None, Side.A, Side.Unknown, false, null, default),
    ];

    [Test]
    public void Every_cell_of_the_table_gives_its_action_and_cause_whatever_the_values()
    {
        var reached = new HashSet<int>();
        var values = Gen.String[Gen.Char.AlphaNumeric, 1, 300].Array[3].Where(three => three.Distinct().Count() == 3);
        Gen.Select(Gen.Int[0, Table.Length - 1], values, Gen.Bool)
            .Slice(
                (row, three, isSecret) =>
                {
                    lock (reached)
                    {
                        reached.Add(row);
                    }

                    var (desired, last, actual, adopt, action, cause) = Table[row];
                    var plan = Plan(
                        Value(desired, three),
                        Value(last, three),
                        actual == Side.Unknown ? new Observation.Unknown("asleep") : Observed(Value(actual, three)),
                        adopt,
                        isSecret
                    );
                    var change = plan.Changes.SingleOrDefault();
                    Assert.Multiple(() =>
                    {
                        Assert.That(change?.Action, Is.EqualTo(action));
                        if (change is not null)
                        {
                            Assert.That(change.Cause, Is.EqualTo(cause));
                        }

                        var seen = desired != Side.None || last != Side.None;
                        Assert.That(plan.HasErrors, Is.EqualTo(action is null && seen), "an error exactly where the table says so");
                        Assert.That(plan.Blocked, Has.Length.EqualTo(action is null && seen ? 1 : 0));
                    });
                },
                count: 2000
            );
        Assert.That(reached, Has.Count.EqualTo(Table.Length), "every cell was reached");
    }

    [Test]
    public void A_plan_made_after_its_own_outcome_is_empty()
    {
        var values = Gen.String[Gen.Char.AlphaNumeric, 1, 50];
        Gen.Select(values, values, values, Gen.Bool)
            .Slice(
                all =>
                {
                    var (desired, last, actual, isSecret) = all;
                    var plan = Plan(desired, last, Observed(actual), adopt: true, isSecret);
                    var record = plan.Changes.Single().Record!;
                    var again = Run([Desired(desired, isSecret)], [record], new() { [Thing] = Observed(desired) }, new PlanOptions());
                    return !again.Effective.Any();
                },
                count: 500
            );
    }

    [Test]
    public void A_secret_never_stands_in_a_record()
    {
        Gen.String[Gen.Char.AlphaNumeric, 8, 40]
            .Slice(
                secret =>
                {
                    var plan = Plan(secret, null, new Observation.Absent(), adopt: false, isSecret: true);
                    return !RecordJson.Write(plan.Changes.Single().Record!, "test").Contains(secret, StringComparison.Ordinal);
                },
                count: 200
            );
    }

    [TestCase("A", "A", "A")]
    [TestCase("B", "A", "A")]
    [TestCase("A", "A", "B")]
    public void A_requested_replacement_is_one_whatever_differs_and_says_that_it_was_asked_for(string desired, string last, string actual)
    {
        var options = new PlanOptions { Replace = [Thing] };
        var record = Plan(last, null, new Observation.Absent(), adopt: false, isSecret: false).Changes.Single().Record!;
        Plan Again(PlanOptions asked) => Run([Desired(desired, isSecret: false)], [record], new() { [Thing] = Observed(actual) }, asked);
        var change = Again(options).Changes.Single();
        Assert.That((change.Action, change.Cause), Is.EqualTo((ResourceAction.Replace, Cause.Requested)));
        Assert.That(
            change.Differences.Select(difference => (difference.Name, difference.Cause)),
            Is.EqualTo(Again(new PlanOptions()).Changes.Single().Differences.Select(difference => (difference.Name, difference.Cause))),
            "each difference keeps its own cause"
        );
        var after = Run([Desired(desired, isSecret: false)], [change.Record!], new() { [Thing] = Observed(desired) }, new PlanOptions());
        Assert.That(after.IsSettled, Is.True, "once is enough");
    }

    [Test]
    public void A_requested_replacement_of_what_is_not_there_creates_it_and_one_that_kbr_did_not_make_is_refused()
    {
        var options = new PlanOptions { Replace = [Thing] };
        var absent = Run([Desired("A", isSecret: false)], [], new() { [Thing] = new Observation.Absent() }, options);
        Assert.That(absent.Changes.Single().Action, Is.EqualTo(ResourceAction.Create));

        var foreign = Run([Desired("A", isSecret: false)], [], new() { [Thing] = Observed("A") }, options);
        Assert.That(foreign.Changes, Is.Empty);
        Assert.That(
            foreign.Errors.Select(error => error.Summary),
            Is.EqualTo(new[] { "--replace thing.one@host-1: it exists and was not created by kbr" })
        );
        Assert.That(foreign.IsSettled, Is.False);
    }

    [Test]
    public void A_requested_replacement_that_cannot_be_is_refused_before_anything_is_planned()
    {
        var data = new Address("data", "one", "host-1");
        Resource[] resources = [Desired("A", isSecret: false), new(data, AttributeSet.Empty)];
        var observed = new Dictionary<Address, Observation> { [Thing] = Observed("A"), [data] = Observed("A") };
        string[] Refusal(PlanOptions options) =>
            [
                .. Assert
                    .Throws<DiagnosticException>(() => Run(resources, [], observed, options))!
                    .Diagnostics.Select(diagnostic => $"{diagnostic.Summary} → {diagnostic.Remedy}"),
            ];

        Assert.That(
            Refusal(new PlanOptions { Replace = [Thing with { Name = "onne" }, new Address("other", "x", "y")] }),
            Is.EqualTo(
                new[]
                {
                    "--replace thing.onne@host-1: there is no such resource → did you mean 'thing.one@host-1'?",
                    "--replace other.x@y: there is no such resource → kbr state list shows the addresses",
                }
            )
        );
        Assert.That(
            Refusal(new PlanOptions { Replace = [data] }).Single(),
            Does.StartWith("--replace data.one@host-1: it holds data, which a replacement would delete → to delete the data: kbr destroy")
        );
        Assert.That(
            Refusal(new PlanOptions { Replace = [Thing], Targets = [new AddressPattern("data.*")] }).Single(),
            Does.StartWith("--replace thing.one@host-1: --target excludes it")
        );
        Assert.That(
            Refusal(new PlanOptions { Replace = [Thing], Destroy = true }).Single(),
            Does.StartWith("--replace and --destroy exclude each other")
        );
    }

    [Test]
    public void Stateful_resources_are_forgotten_unless_delete_data_is_given()
    {
        var data = new Address("data", "one", "host-1");
        var record = new ResourceRecord(data, Created: true, Pending: false, SortedMap<string>.Empty, AttributeSet.Empty, [], false);
        var observed = new Dictionary<Address, Observation> { [data] = Observed("x") };
        Assert.Multiple(() =>
        {
            Assert.That(Run([], [record], observed, new PlanOptions()).Changes.Single().Action, Is.EqualTo(ResourceAction.Forget));
            Assert.That(
                Run([], [record], observed, new PlanOptions { Destroy = true }).Changes.Single().Action,
                Is.EqualTo(ResourceAction.Forget)
            );
            Assert.That(
                Run([], [record], observed, new PlanOptions { Destroy = true, DeleteData = true }).Changes.Single().Action,
                Is.EqualTo(ResourceAction.Delete)
            );
        });
    }

    [Test]
    public void An_adopted_resource_is_released_and_not_deleted()
    {
        var record = new ResourceRecord(Thing, Created: false, Pending: false, SortedMap<string>.Empty, AttributeSet.Empty, [], false);
        var plan = Run([], [record], new() { [Thing] = Observed("x") }, new PlanOptions { Destroy = true, DeleteData = true });
        Assert.That(plan.Changes.Single().Action, Is.EqualTo(ResourceAction.Forget));
        Assert.That(plan.Changes.Single().DeleteData, Is.False, "nothing is deleted, and nothing says so");
    }

    [TestCase("data", ResourceAction.Forget)]
    [TestCase("renewed", ResourceAction.Delete)]
    public void An_adopted_resource_that_kbr_recreated_belongs_to_kbr(string type, ResourceAction destroyed)
    {
        var address = new Address(type, "one", "host-1");
        var adopted = new ResourceRecord(address, Created: false, Pending: false, SortedMap<string>.Empty, AttributeSet.Empty, [], false);
        var wanted = new Resource(address, new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("value", "wanted")));
        PlannedChange Planned(Observation observation) =>
            Run([wanted], [adopted], new() { [address] = observation }, new PlanOptions()).Changes.Single();
        PlannedChange Destroyed(PlannedChange change) =>
            Run([], [change.Record!], new() { [address] = Observed("wanted") }, new PlanOptions { Destroy = true, DeleteData = true })
                .Changes.Single();

        var updated = Planned(new Observation.Present(Comparable.None.Add("value", new AttributeValue("by hand"))));
        Assert.Multiple(() =>
        {
            Assert.That(updated.Adopts, Is.True, "also where it is made anew");
            Assert.That(
                (Destroyed(updated).Action, Destroyed(updated).DeleteData),
                Is.EqualTo((destroyed, destroyed == ResourceAction.Delete))
            );
            Assert.That(
                Destroyed(Planned(new Observation.Absent())).Action,
                Is.EqualTo(ResourceAction.Delete),
                "it was gone, and kbr made it"
            );
        });
    }

    [Test]
    public void A_resource_that_a_foreign_unit_would_recreate_is_created_only_when_adopted()
    {
        var gone = new Observation.Absent { Foreign = Comparable.None.Add("value", new AttributeValue("theirs")) };
        var recorded = new ResourceRecord(Thing, Created: false, Pending: false, SortedMap<string>.Empty, AttributeSet.Empty, [], false);
        var wanted = new Resource(Thing, new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("value", "wanted")));
        Plan Planned(IEnumerable<ResourceRecord> records, params AddressPattern[] adopt) =>
            Run([wanted], records, new() { [Thing] = gone }, new PlanOptions { Adopt = [.. adopt] });

        Assert.Multiple(() =>
        {
            Assert.That(
                Planned([]).Diagnostics.Single().Summary,
                Is.EqualTo($"{Thing} does not exist, and another service would create it")
            );
            Assert.That(Planned([]).Changes, Is.Empty);
            Assert.That(Planned([], new AddressPattern("*")).Changes.Single().Differences.Single().Before!.Value, Is.EqualTo("theirs"));
            Assert.That(Planned([recorded]).Changes.Single().Action, Is.EqualTo(ResourceAction.Create), "it was imported");
        });
    }

    [Test]
    public void An_import_records_existing_resources_unchanged_and_they_are_compared_from_then_on()
    {
        var values = Gen.String[Gen.Char.AlphaNumeric, 1, 300].Array[3].Where(three => three.Distinct().Count() == 3);
        Gen.Select(values, Gen.Bool)
            .Slice(
                (three, isSecret) =>
                {
                    var (wanted, found, other) = (three[0], three[1], three[2]);
                    var import = Run(
                        [Desired(wanted, isSecret)],
                        [],
                        new() { [Thing] = Observed(found) },
                        new PlanOptions { Import = true }
                    );
                    var change = import.Changes.Single();
                    Cause? After(string desired, string actual) =>
                        Run([Desired(desired, isSecret)], [change.Record!], new() { [Thing] = Observed(actual) }, new PlanOptions())
                            is { HasErrors: false } plan
                            ? plan.Effective.SingleOrDefault()?.Cause
                            : Cause.Removed;
                    return change is { Action: ResourceAction.Adopt, Cause: Cause.Adopted, Record.Created: false }
                        && change.Differences.Length == 1
                        && !import.HasErrors
                        && !import.HasChanges
                        && After(wanted, found) == Cause.ConfigurationChanged
                        && After(wanted, other) == Cause.ConfigurationChangedAndDrift
                        && After(found, found) is null
                        && After(found, other) == Cause.Drift;
                },
                count: 300
            );
    }

    [Test]
    public void An_import_creates_and_changes_nothing_and_skips_recorded_resources()
    {
        var record = Run([Desired("x", false)], [], new() { [Thing] = new Observation.Absent() }, new PlanOptions())
            .Changes.Single()
            .Record!;
        var import = new PlanOptions { Import = true };
        Assert.Multiple(() =>
        {
            Assert.That(Run([Desired("x", false)], [], new() { [Thing] = new Observation.Absent() }, import).Changes, Is.Empty);
            Assert.That(Run([Desired("y", false)], [record], new() { [Thing] = Observed("x") }, import).Changes, Is.Empty);
            Assert.That(Run([], [record], new() { [Thing] = Observed("x") }, import).Changes, Is.Empty);
            Assert.That(Run([Desired("x", false)], [], new() { [Thing] = new Observation.Unknown("asleep") }, import).HasErrors, Is.True);
        });
    }

    [Test]
    public void An_interrupted_creation_continues_and_is_not_taken_for_a_foreign_resource()
    {
        var record = new ResourceRecord(Thing, Created: true, Pending: true, SortedMap<string>.Empty, AttributeSet.Empty, [], false);
        var plan = Run([Desired("x", false)], [record], new() { [Thing] = Observed("half") }, new PlanOptions());
        Assert.Multiple(() =>
        {
            Assert.That(plan.HasErrors, Is.False);
            Assert.That(plan.Changes.Single().Action, Is.EqualTo(ResourceAction.Update));
            Assert.That(plan.Changes.Single().Cause, Is.EqualTo(Cause.Interrupted));
        });
    }

    [Test]
    public void Prevent_destroy_refuses_a_destroy_and_a_replacement()
    {
        var desired = Desired("x", false) with { PreventDestroy = true };
        var record = Run([desired], [], new() { [Thing] = new Observation.Absent() }, new PlanOptions()).Changes.Single().Record!;
        var destroy = Run([desired], [record], new() { [Thing] = Observed("x") }, new PlanOptions { Destroy = true });
        Assert.Multiple(() =>
        {
            Assert.That(destroy.Changes, Is.Empty);
            Assert.That(destroy.Diagnostics.Single().Summary, Does.Contain("prevent_destroy"));
        });
    }

    [Test]
    public void Resources_under_an_unmounted_volume_are_checked_again_once_it_is_mounted()
    {
        var volume = new Resource(new Address("disk", "one", "host-1"), AttributeSet.Empty);
        var inside = new Resource(new Address("entry", "one", "host-1"), AttributeSet.Empty);
        var record = new ResourceRecord(inside.Address, true, false, SortedMap<string>.Empty, AttributeSet.Empty, [volume.Address], false);
        var observed = new Dictionary<Address, Observation>
        {
            [volume.Address] = new Observation.Present(Comparable.None.Add("mounted", new AttributeValue("false"))),
            [inside.Address] = new Observation.Absent(),
        };
        var change = Run([volume, inside], [record], observed, new PlanOptions())
            .Changes.Single(change => change.Address == inside.Address);
        Assert.Multiple(() =>
        {
            Assert.That(change.Action, Is.EqualTo(ResourceAction.NoOp));
            Assert.That(change.Deferred, Is.True);
        });

        var withoutRecord = Run([volume, inside], [], observed, new PlanOptions()).Changes.Single(one => one.Address == inside.Address);
        Assert.That(
            (withoutRecord.Action, withoutRecord.Unseen),
            Is.EqualTo((ResourceAction.Create, true)),
            "whose it is, nobody knows yet"
        );
        var interrupted = Run([volume, inside], [record with { Pending = true }], observed, new PlanOptions())
            .Changes.Single(one => one.Address == inside.Address);
        Assert.That((interrupted.Action, interrupted.Unseen), Is.EqualTo((ResourceAction.Create, false)), "kbr had begun to create it");
    }

    [Test]
    public void Resources_of_a_replaced_empty_disk_are_created_again_by_the_same_apply()
    {
        var volume = new Resource(new Address("disk", "one", "host-1"), AttributeSet.Empty);
        var inside = new Resource(new Address("entry", "one", "host-1"), AttributeSet.Empty);
        ResourceRecord RecordOf(Resource resource) =>
            new(resource.Address, true, false, SortedMap<string>.Empty, AttributeSet.Empty, [], false);
        Plan PlanFor(Observation.Absent found) =>
            Run(
                [volume, inside],
                [RecordOf(volume), RecordOf(inside)],
                new() { [volume.Address] = found, [inside.Address] = new Observation.Absent() },
                new PlanOptions()
            );

        var lost = PlanFor(new Observation.Absent { IsBlank = true });
        var detached = PlanFor(new Observation.Absent());

        Assert.That(
            lost.Changes.Select(change => (change.Address, change.Action, change.Cause)),
            Is.EqualTo(new[] { (volume.Address, ResourceAction.Create, Cause.Drift), (inside.Address, ResourceAction.Create, Cause.Drift) })
        );
        Assert.That(lost.Changes[1].Note, Is.EqualTo($"deleted on the host; {volume.Address} is new and empty"));
        Assert.That(detached.Changes[1].Deferred, Is.True, "a disk that holds something has to be mounted first");
    }

    [Test]
    public void A_resource_that_moves_is_a_replace_that_removes_the_former_one_unless_that_holds_data()
    {
        Resource At(string type, string place) =>
            new(new Address(type, "one", "host-1"), new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("place", place)));
        ResourceRecord RecordOf(Resource resource) => new(resource.Address, true, false, SortedMap<string>.Empty, resource.Spec, [], false);
        PlannedChange Moved(string type) =>
            Run(
                [At(type, "/new")],
                [RecordOf(At(type, "/old"))],
                new() { [At(type, "/new").Address] = new Observation.Absent() },
                new PlanOptions()
            )
                .Changes.Single();
        Assert.Multiple(() =>
        {
            Assert.That(Moved("entry").Action, Is.EqualTo(ResourceAction.Replace));
            Assert.That(Moved("entry").Former?.Spec.String("place"), Is.EqualTo("/old"));
            Assert.That(Moved("data").Action, Is.EqualTo(ResourceAction.Create));
            Assert.That(Moved("data").Former, Is.Null);
        });
    }

    [TestCase("entry")]
    [TestCase("thing")]
    public void A_resource_that_moves_leaves_its_former_object_to_the_resource_that_names_it_now(string type)
    {
        Resource At(Address address, string place) =>
            new(address, new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("place", place)));
        var (moved, heir) = (new Address("entry", "one", "host-1"), new Address(type, "two", "host-1"));
        var record = new ResourceRecord(moved, true, false, SortedMap<string>.Empty, At(moved, "/old").Spec, [], false);

        PlannedChange Planned(params Resource[] desired) =>
            Run(
                desired,
                [record],
                new() { [moved] = new Observation.Absent(), [heir] = new Observation.Present(Comparable.None) },
                new PlanOptions()
            )
                .Changes.Single(change => change.Address == moved);

        var kept = Planned(At(moved, "/new"), At(heir, "/old"));
        Assert.That((kept.Action, kept.Former, kept.Place), Is.EqualTo((ResourceAction.Create, (Resource?)null, (string?)null)));
        Assert.That(kept.Note, Is.EqualTo($"the previous one stays in place, replaced by {heir}"));
        Assert.That(
            Planned(At(moved, "/new"), At(heir with { Host = "host-2" }, "/old")).Action,
            Is.EqualTo(ResourceAction.Replace),
            "on another host it is another object"
        );

        var removed = Planned(At(heir, "/old"));
        Assert.That((removed.Action, removed.Note), Is.EqualTo((ResourceAction.Forget, $"replaced by {heir}")));
    }

    [TestCase("entry")]
    [TestCase("data")]
    public void An_object_at_a_new_path_is_not_taken_for_the_one_applied_at_the_old_path(string type)
    {
        var address = new Address(type, "one", "host-1");
        Resource At(string place) =>
            new(address, new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("place", place).Add("value", "wanted")));
        ResourceRecord RecordOf(string place, bool pending = false) =>
            new(
                address,
                Created: true,
                pending,
                pending ? SortedMap<string>.Empty : SortedMap<string>.Empty.Add("value", "=wanted"),
                At(place).Spec,
                [],
                false
            );
        Plan Planned(ResourceRecord record, string found, params AddressPattern[] adopt) =>
            Run(
                [At("/new")],
                [record],
                new() { [address] = new Observation.Present(Comparable.None.Add("value", new AttributeValue(found))) },
                new PlanOptions { Adopt = [.. adopt] }
            );

        var refused = Planned(RecordOf("/old"), "by hand");
        var adopted = Planned(RecordOf("/old"), "by hand", new AddressPattern("*")).Changes.Single();
        var same = Planned(RecordOf("/old"), "wanted").Changes.Single();
        var interrupted = Planned(RecordOf("/new", pending: true), "half").Changes.Single();
        var destroyed = Run(
            [At("/new")],
            [adopted.Record!],
            new() { [address] = new Observation.Present(Comparable.None) },
            new PlanOptions { Destroy = true, DeleteData = true }
        )
            .Changes.Single();

        Assert.Multiple(() =>
        {
            Assert.That(refused.Changes, Is.Empty);
            Assert.That(
                refused.Diagnostics.Single().Summary,
                Is.EqualTo($"{address} was applied at /old; /new exists and was not created by kbr")
            );
            Assert.That(
                refused.Diagnostics.Single().Remedy,
                Is.EqualTo(
                    $"restore /old; or move the existing one away; or adopt it with --adopt '{address}', which leaves "
                        + $"/old unchanged and unmanaged"
                )
            );
            Assert.That(
                (adopted.Action, adopted.Cause, adopted.Record!.Created),
                Is.EqualTo((ResourceAction.Update, Cause.Adopted, false))
            );
            Assert.That(adopted.Note, Is.EqualTo("the previous /old stays unchanged and is no longer managed by kbr"));
            Assert.That((same.Action, same.Record!.Created, same.Note), Is.EqualTo((ResourceAction.Adopt, false, adopted.Note)));
            Assert.That(
                (interrupted.Action, interrupted.Cause, interrupted.Record!.Created),
                Is.EqualTo((ResourceAction.Update, Cause.Interrupted, true)),
                "its creation was begun at the new place"
            );
            Assert.That(Planned(RecordOf("/other", pending: true), "by hand").HasErrors, Is.True, "its creation was begun elsewhere");
            Assert.That(destroyed.Action, Is.EqualTo(ResourceAction.Forget), "what was there before kbr is never deleted");
        });
    }

    [Test]
    public void A_protected_or_unknown_resource_keeps_its_dependencies_and_nothing_else()
    {
        Address Data(string name) => new("data", name, "host-1");
        ResourceRecord RecordOf(string name, string? on = null, bool created = true, bool isProtected = false) =>
            new(
                Data(name),
                created,
                Pending: false,
                SortedMap<string>.Empty,
                AttributeSet.Empty,
                on is null ? [] : [Data(on)],
                isProtected
            );
        Plan Destroyed(bool isProtected, Observation found) =>
            Run(
                [],
                [
                    RecordOf("app"),
                    RecordOf("adopted", "app", created: false),
                    RecordOf("db", "adopted", isProtected: isProtected),
                    RecordOf("cache", "app"),
                    RecordOf("other"),
                ],
                new()
                {
                    [Data("app")] = Observed("x"),
                    [Data("adopted")] = Observed("x"),
                    [Data("db")] = found,
                    [Data("cache")] = Observed("x"),
                    [Data("other")] = Observed("x"),
                },
                new PlanOptions { Destroy = true, DeleteData = true }
            );
        IEnumerable<Address> Deleted(Plan plan) =>
            plan.Changes.Where(change => change.Action == ResourceAction.Delete).Select(change => change.Address);

        foreach (var plan in new[] { Destroyed(true, Observed("x")), Destroyed(false, new Observation.Unknown("asleep")) })
        {
            Assert.That(Deleted(plan), Is.EqualTo(new[] { Data("cache"), Data("other") }));
            Assert.That(plan.Blocked.Select(blocked => blocked.Address), Is.EqualTo(new[] { Data("app"), Data("db") }));
            Assert.That(plan.Blocked[0].Reason, Is.EqualTo("data.db@host-1 depends on it and is kept"));
            Assert.That(plan.Diagnostics, Has.Length.EqualTo(1), "one error, of what stays");
        }

        Assert.That(
            Deleted(Destroyed(false, Observed("x"))),
            Is.EquivalentTo(new[] { Data("db"), Data("cache"), Data("app"), Data("other") })
        );
    }

    [Test]
    public void Dependents_of_an_unknown_resource_are_not_planned_and_other_hosts_are()
    {
        var first = Desired("x", false);
        var second = new Resource(new Address("thing", "two", "host-1"), first.Spec) { Requires = [Thing] };
        var elsewhere = new Resource(new Address("thing", "one", "host-2"), first.Spec);
        var observed = new Dictionary<Address, Observation>
        {
            [Thing] = new Observation.Unknown("asleep"),
            [second.Address] = new Observation.Absent(),
            [elsewhere.Address] = new Observation.Absent(),
        };
        var plan = Run([first, second, elsewhere], [], observed, new PlanOptions());
        Assert.Multiple(() =>
        {
            Assert.That(plan.Changes.Select(change => change.Address), Is.EqualTo(new[] { elsewhere.Address }));
            Assert.That(plan.Blocked.Select(blocked => blocked.Address), Is.EqualTo(new[] { Thing, second.Address }));
        });
    }

    [Test]
    public void A_destroy_goes_from_the_dependents_to_their_dependencies()
    {
        var first = Desired("x", false);
        var second = new Resource(new Address("thing", "two", "host-1"), first.Spec) { Requires = [Thing] };
        var absent = new Dictionary<Address, Observation>
        {
            [Thing] = new Observation.Absent(),
            [second.Address] = new Observation.Absent(),
        };
        var records = Run([first, second], [], absent, new PlanOptions()).Changes.Select(change => change.Record!).ToList();
        var there = new Dictionary<Address, Observation> { [Thing] = Observed("x"), [second.Address] = Observed("x") };
        var plan = Run([first, second], records, there, new PlanOptions { Destroy = true });
        Assert.That(plan.Changes.Select(change => change.Address), Is.EqualTo(new[] { second.Address, Thing }));
    }

    [Test]
    public void Records_in_a_cycle_lose_that_order_alone_and_everything_is_still_planned()
    {
        Resource On(string name, string host, params Address[] requires) =>
            new(new Address("thing", name, host), new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("place", "/" + name)))
            {
                Requires = [.. requires],
            };
        Address one = new("thing", "one", "host-1"),
            two = new("thing", "two", "host-1"),
            below = new("thing", "below", "host-2");
        Resource[] all =
        [
            On("one", "host-1", two),
            On("two", "host-1", one),
            On("behind", "host-1", one),
            On("below", "host-2"),
            On("above", "host-2", below),
        ];

        var plan = Run(
            [],
            all.Select(resource => new ResourceRecord(
                resource.Address,
                true,
                false,
                SortedMap<string>.Empty,
                resource.Spec,
                resource.Requires,
                false
            )),
            all.ToDictionary(resource => resource.Address, _ => (Observation)new Observation.Present(Comparable.None)),
            new PlanOptions()
        );

        var order = plan.Changes.Select(change => change.Address.Name).ToList();
        Assert.That(plan.Changes.Select(change => change.Action), Is.All.EqualTo(ResourceAction.Delete));
        Assert.That(order, Is.EquivalentTo(new[] { "one", "two", "behind", "below", "above" }));
        Assert.That(order.IndexOf("above"), Is.LessThan(order.IndexOf("below")));
        Assert.That(order.IndexOf("behind"), Is.LessThan(order.IndexOf("one")));
    }

    [Test]
    public void A_destroy_of_a_target_first_removes_its_dependents_on_another_host()
    {
        var first = Desired("x", false);
        var second = new Resource(new Address("thing", "app", "host-2"), first.Spec) { Requires = [Thing] };
        var beside = new Resource(new Address("thing", "other", "host-2"), first.Spec);
        Resource[] all = [first, second, beside];
        var records = Run(all, [], all.ToDictionary(one => one.Address, _ => (Observation)new Observation.Absent()), new PlanOptions())
            .Changes.Select(change => change.Record!)
            .ToList();
        var there = all.ToDictionary(one => one.Address, _ => Observed("x"));
        var plan = Run(all, records, there, new PlanOptions { Destroy = true, Targets = [new AddressPattern(Thing.ToString())] });
        Assert.That(plan.Changes.Select(change => change.Address), Is.EqualTo(new[] { second.Address, Thing }));
    }

    private static string? Value(Side side, string[] three) =>
        side switch
        {
            Side.A => three[0],
            Side.B => three[1],
            Side.C => three[2],
            _ => null,
        };

    private static Resource Desired(string value, bool isSecret) =>
        new(
            Thing,
            new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("text", new SecretText([new SecretText.Part(value, isSecret)])))
        );

    private static Observation Observed(string? value) =>
        value is null ? new Observation.Absent() : new Observation.Present(Comparable.None.Add("text", AttributeValue.OfText(value)));

    private static Plan Plan(string? desired, string? last, Observation actual, bool adopt, bool isSecret)
    {
        var records = last is null
            ? []
            : Run([Desired(last, isSecret)], [], new() { [Thing] = new Observation.Absent() }, new PlanOptions())
                .Changes.Select(change => change.Record!)
                .ToList();
        var options = new PlanOptions { Adopt = adopt ? [new AddressPattern("thing.*")] : [] };
        return Run(desired is null ? [] : [Desired(desired, isSecret)], records, new() { [Thing] = actual }, options);
    }

    private static Plan Run(
        IEnumerable<Resource> desired,
        IEnumerable<ResourceRecord> records,
        Dictionary<Address, Observation> observed,
        PlanOptions options
    )
    {
        var providers = new ProviderRegistry([
            new FakeProvider(),
            new FakeProvider("data", holdsData: true),
            new FakeProvider("renewed", holdsData: true),
            new FakeProvider("entry"),
            new FakeProvider("disk"),
        ]);
        var graph = ResourceGraph.Build(desired, providers);
        return new Planner(providers, Fingerprints).Plan(
            new PlanInput(
                graph,
                records.ToImmutableDictionary(record => record.Address),
                observed.ToImmutableDictionary(),
                ImmutableSortedDictionary<string, string>.Empty,
                options
            )
        );
    }
}
