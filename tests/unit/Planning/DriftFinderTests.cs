using System.Collections.Immutable;
using CsCheck;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Planning;

/// <summary>What counts as drift: what is on the hosts against what was applied, whatever is configured meanwhile.</summary>
[TestFixture]
public sealed class DriftFinderTests
{
    private const string Key = "a key";
    private const string Password = "hunter2-hunter2";
    private static readonly Address s_one = new("thing", "one", "host-1");
    private static readonly Address s_two = new("thing", "two", "host-1");

    [Test]
    public void Drift_is_exactly_a_difference_from_the_applied_state_whatever_is_configured()
    {
        var value = Gen.String[Gen.Char["ab\n"], 0, 4];
        Gen.Select(value, value, value, Gen.Int[0, 3], Gen.Bool, Gen.Bool)
            .Slice(
                all =>
                {
                    var (applied, actual, other, edit, wasSecret, isSecret) = all;
                    // What is configured: the same as applied, something else, what is there, or nothing any more.
                    Resource[] configured = edit switch
                    {
                        0 => [Text(s_one, applied, wasSecret)],
                        1 => [Text(s_one, other, isSecret)],
                        2 => [Text(s_one, actual, isSecret)],
                        _ => [],
                    };

                    // A second thing tells that the key is the right one.
                    var steady = Text(s_two, Password, secret: true);
                    var drift = Find(
                        [.. configured, steady],
                        [Record(Text(s_one, applied, wasSecret)), Record(steady)],
                        new() { [s_one] = There(actual), [s_two] = There(Password) }
                    );
                    return drift.HasDrift == (applied != actual) && !drift.HasErrors && drift.Compared.Length == 2;
                },
                count: 2000
            );
    }

    [Test]
    public void A_thing_that_is_gone_is_drift_and_one_that_was_never_applied_is_not()
    {
        var drift = Find(
            [Text(s_one, "a"), Text(s_two, "b")],
            [Record(Text(s_one, "a"))],
            new() { [s_one] = new Observation.Absent(), [s_two] = new Observation.Absent() }
        );

        Assert.That(drift.Resources.Select(resource => (resource.Address, resource.Deleted)), Is.EqualTo(new[] { (s_one, true) }));
        Assert.That(drift.NotApplied, Is.EqualTo(new[] { s_two }));
        Assert.That(drift.HasErrors, Is.False);
    }

    [Test]
    public void Records_in_a_cycle_do_not_keep_the_others_from_being_compared()
    {
        var other = s_one with { Host = "host-2" };

        var drift = Find(
            [],
            [
                Record(Thing(s_one, ("value", "A"))) with
                {
                    Requires = [s_two],
                },
                Record(Thing(s_two, ("value", "A"))) with
                {
                    Requires = [s_one],
                },
                Record(Thing(other, ("value", "A"))),
            ],
            new()
            {
                [s_one] = There(("value", "A")),
                [s_two] = There(("value", "A")),
                [other] = There(("value", "B")),
            }
        );

        Assert.That(drift.Resources.Select(resource => resource.Address), Is.EqualTo(new[] { other }));
    }

    [Test]
    public void Leftovers_of_a_failed_apply_are_an_error_and_not_drift()
    {
        var record = Record(Thing(s_one, ("value", "A"))) with { Intended = ["kind"] };

        var drift = Find([], [record], new() { [s_one] = There(("value", "A"), ("kind", "left")) });

        Assert.That((drift.HasDrift, drift.HasErrors), Is.EqualTo((false, true)));
        Assert.That(
            drift.Uncompared.Select(one => (one.Attribute, one.Reason)),
            Is.EqualTo(new[] { ("kind", "an apply that set it was interrupted or failed; apply again") })
        );
        var changed = Find([], [record with { Intended = ["value"] }], new() { [s_one] = There(("value", "B")) });
        Assert.That(changed.Resources.Single().Note, Is.EqualTo("an apply that set value was interrupted or failed"));
    }

    [Test]
    public void Undeclared_settings_are_drift_if_they_are_a_problem_and_else_only_reported()
    {
        var record = Record(Thing(s_one, ("value", "A")));
        var harmless = new ForeignSetting("kind", "x", "declare it", IsTrouble: false);

        var told = Find([], [record], new() { [s_one] = There(("value", "A")) with { Foreign = [harmless] } });
        Assert.That((told.HasDrift, told.HasErrors), Is.EqualTo((false, false)));
        Assert.That(told.Diagnostics.Select(one => one.Summary), Is.EqualTo(new[] { $"{s_one}: set outside kbr, and kept: kind" }));

        var found = Find([], [record], new() { [s_one] = There(("value", "A")) with { Foreign = [harmless with { IsTrouble = true }] } })
            .Resources.Single()
            .Attributes.Single();
        Assert.That((found.Name, found.Actual!.Value, found.IsForeign), Is.EqualTo(("kind", "x", true)));
    }

    [Test]
    public void The_applied_and_the_actual_value_are_both_shown()
    {
        var record = Record(Thing(s_one, ("value", "A"), ("kind", "K")));
        var drift = Find(
            [Thing(s_one, ("value", "an edit"), ("kind", "K"))],
            [record],
            new() { [s_one] = There(("value", "B"), ("kind", "K"), ("foreign", "x")) }
        );

        var changed = drift.Resources.Single().Attributes.Single();
        Assert.That((changed.Name, changed.Applied!.Value, changed.Actual!.Value), Is.EqualTo(("value", "A", "B")));
    }

    [Test]
    public void A_value_that_was_applied_and_is_not_there_any_more_is_drift()
    {
        var drift = Find([], [Record(Thing(s_one, ("value", "A"), ("kind", "K")))], new() { [s_one] = There(("kind", "K")) });

        var changed = drift.Resources.Single().Attributes.Single();
        Assert.That((changed.Name, changed.Applied!.Value, changed.Actual), Is.EqualTo(("value", "A", (AttributeValue?)null)));
    }

    [Test]
    public void Without_a_record_to_compare_with_it_is_an_error_and_never_no_drift()
    {
        var elsewhere = new Address("thing", "one", "host-2");
        var nothing = Find([Text(s_one, "a")], [], new() { [s_one] = There("a") });
        var oneHost = Find(
            [Text(s_one, "a"), Text(elsewhere, "a")],
            [Record(Text(s_one, "a"))],
            new() { [s_one] = There("a"), [elsewhere] = There("a") }
        );
        var empty = Find([], [], []);
        var target = Find(
            [Text(s_one, "a"), Text(s_two, "a")],
            [Record(Text(s_one, "a"))],
            new() { [s_one] = There("a") },
            targets: ["thing.two"]
        );
        var unknown = Find([Text(s_one, "a")], [Record(Text(s_one, "a"))], new() { [s_one] = There("a") }, targets: ["thing.three"]);

        Assert.That(Errors(nothing), Is.EqualTo(new[] { "host-1: the host has no records, so drift cannot be compared" }));
        Assert.That(Errors(oneHost), Is.EqualTo(new[] { "host-2: the host has no records, so drift cannot be compared" }));
        Assert.That(Errors(empty), Is.EqualTo(new[] { "no host has records, so drift cannot be compared" }));
        Assert.That(Errors(target), Is.EqualTo(new[] { "'thing.two@*' has no record, so drift cannot be compared" }));
        Assert.That(Errors(unknown), Is.EqualTo(new[] { "no resource matches 'thing.three@*'" }));
    }

    [Test]
    public void An_unknown_resource_is_an_error_and_the_rest_is_compared()
    {
        var pending = Record(Text(s_two, "a")) with { Pending = true, Fingerprints = SortedMap<string>.Empty };
        var third = new Address("thing", "three", "host-1");
        var drift = Find(
            [],
            [Record(Text(s_one, "a")), pending, Record(Text(third, "a"))],
            new()
            {
                [s_one] = new Observation.Unknown("asleep"),
                [s_two] = There("a"),
                [third] = There("b"),
            }
        );

        Assert.That(
            Errors(drift),
            Is.EqualTo(
                new[]
                {
                    "thing.one@host-1: asleep",
                    "thing.two@host-1: an apply was interrupted while creating it, so it has no complete record; apply again",
                }
            )
        );
        Assert.That(drift.Resources.Single().Address, Is.EqualTo(third));
    }

    [Test]
    public void A_host_that_could_not_be_read_is_an_error()
    {
        var drift = Find([Text(s_one, "a")], [], [], hostErrors: ("host-1", "no route"));

        Assert.That(Errors(drift), Is.EqualTo(new[] { "host-1: no route" }));
    }

    [Test]
    public void Resources_of_an_unreadable_host_are_neither_compared_nor_called_unapplied()
    {
        var elsewhere = new Address("thing", "one", "host-2");
        var drift = Find(
            [Text(s_one, "a"), Text(elsewhere, "a")],
            [Record(Text(elsewhere, "a"))],
            new() { [elsewhere] = There("a") },
            hostErrors: ("host-1", "no route")
        );

        Assert.That(drift.NotApplied, Is.Empty);
        Assert.That(drift.Uncompared, Is.EqualTo(new[] { new Uncompared(s_one, null, "no route", IsError: true) }));
        Assert.That(Errors(drift), Is.EqualTo(new[] { "host-1: no route" }), "said once");
    }

    [Test]
    public void A_group_that_kbr_took_a_member_out_of_has_not_drifted_and_one_that_lost_it_otherwise_has()
    {
        var group = new Resource(
            new Address("inhabitant", "pg", "pg"),
            new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("value", "whole"))
        );
        var member = Thing(s_one, ("value", "A")) with { Group = "pg" };
        var other = Thing(new Address("thing", "two", "host-2"), ("value", "A")) with { Group = "pg" };
        Drift Of(params ResourceRecord[] records) =>
            Find(
                [group, member, other],
                [Record(group), .. records],
                new()
                {
                    [group.Address] = There(("value", "host-1 is silent")),
                    [s_one] = There(("value", "A")),
                    [other.Address] = There(("value", "A")),
                }
            );

        var taken = Of(Record(other));
        Assert.That(taken.HasDrift, Is.False);
        Assert.That(taken.Uncompared.Single().Reason, Does.StartWith("the member on host-1 has no record"));
        Assert.That(Of(Record(member), Record(other)).Resources.Single().Address, Is.EqualTo(group.Address));
    }

    [Test]
    public void An_unmounted_volume_is_the_drift_and_ignored_it_is_still_not_no_drift()
    {
        var disk = new Address("disk", "one", "host-1");
        var entry = new Address("entry", "one", "host-1");
        ResourceRecord[] records = [Record(Thing(disk, ("mounted", "true"))), Record(Thing(entry, ("value", "A")))];
        Dictionary<Address, Observation> there = new() { [disk] = There(("mounted", "false")), [entry] = new Observation.Absent() };
        var drift = Find([], records, there);
        var ignored = Find([], records, there, rules: [Rule("disk.*:mounted")]);

        Assert.That(drift.Resources.Select(resource => resource.Address), Is.EqualTo(new[] { disk }));
        Assert.That(drift.Uncompared.Single(), Is.EqualTo(new Uncompared(entry, null, "disk.one@host-1 is not mounted", IsError: false)));
        Assert.That(drift.HasErrors, Is.False);
        Assert.That((ignored.HasDrift, ignored.HasErrors), Is.EqualTo((false, true)));
    }

    [Test]
    public void A_resource_of_a_drifted_group_is_not_an_error_of_its_own()
    {
        var cluster = new Address("thing", "cluster", "pg");
        var role = new Address("inhabitant", "app", "pg");
        ResourceRecord[] records =
        [
            Record(Thing(cluster, ("value", "all running"))),
            Record(Thing(role, ("value", "A"))) with
            {
                Requires = [cluster],
            },
        ];
        Drift Of(Observation ofCluster, Observation ofRole) => Find([], records, new() { [cluster] = ofCluster, [role] = ofRole });

        var down = Of(There(("value", "one is down")), new Observation.Unknown("no primary"));
        Assert.That((down.HasDrift, down.HasErrors), Is.EqualTo((true, false)));
        Assert.That(down.Uncompared.Single().Reason, Is.EqualTo("thing.cluster@pg has drifted: no primary"));
        Assert.That(
            Of(new Observation.Absent(), new Observation.Absent()).Resources.Select(resource => resource.Address),
            Is.EqualTo(new[] { cluster }),
            "not there, with the cluster that is not"
        );
        Assert.That(Of(There(("value", "all running")), new Observation.Unknown("no primary")).HasErrors, Is.True);
        Assert.That(Of(There(("value", "all running")), new Observation.Absent()).Resources.Single().Address, Is.EqualTo(role));
    }

    [Test]
    public void Ignored_drift_has_its_reason_and_does_not_count()
    {
        var record = Record(Thing(s_one, ("value", "A"), ("kind", "K")));
        Drift Of(Observation there, params IgnoreRule[] rules) => Find([], [record], new() { [s_one] = there }, rules: rules);
        var both = There(("value", "B"), ("kind", "L"));

        var one = Of(both, Rule("thing.*:val*"));
        Assert.That(one.HasDrift, Is.True, "the kind still counts");
        Assert.That(
            one.Resources.Single().Attributes.Select(attribute => (attribute.Name, attribute.IgnoredBy?.Reason)),
            Is.EquivalentTo(new[] { ("value", "because of thing.*:val*"), ("kind", (string?)null) })
        );
        var all = Of(both, Rule("thing.*:value"), Rule("*@host-1:kind"));
        Assert.That((all.HasDrift, all.Resources.Single().IsIgnored, all.HasErrors), Is.EqualTo((false, true, false)));
        Assert.That(Of(new Observation.Absent(), Rule("thing.one:*")).HasDrift, Is.True, "an attribute was ignored, not that it is gone");
        var gone = Of(new Observation.Absent(), Rule("thing.one"));
        Assert.That((gone.HasDrift, gone.Resources.Single().IgnoredBy!.Reason), Is.EqualTo((false, "because of thing.one")));
    }

    [Test]
    public void A_rule_that_is_about_nothing_is_a_warning()
    {
        var at = new SourceLocation("cluster.yaml", 7, 5, "");
        string[] Warnings(params IgnoreRule[] rules) =>
            [
                .. Find(
                    [Text(s_two, "b")],
                    [Record(Thing(s_one, ("value", "A")))],
                    new() { [s_one] = There(("value", "A")), [s_two] = There("b") },
                    rules: rules
                )
                    .Diagnostics.Select(one => $"{one.Severity} {one.Location}: {one.Summary}"),
            ];

        Assert.That(Warnings(Rule("thing.one:value"), Rule("thing.two"), Rule("*@host-1")), Is.Empty);
        Assert.That(
            Warnings(Rule("thing.four") with { Location = at }),
            Is.EqualTo(new[] { "Warning cluster.yaml:7:5: no resource matches 'thing.four@*' of 'drift.ignore'" })
        );
        Assert.That(
            Warnings(Rule("thing.one:valeu")),
            Is.EqualTo(new[] { "Warning : no resource that matches 'thing.one@*' has the attribute 'valeu' of 'drift.ignore'" })
        );
    }

    [Test]
    public void Only_targets_are_compared()
    {
        var drift = Find(
            [],
            [Record(Text(s_one, "a")), Record(Text(s_two, "a"))],
            new() { [s_one] = There("b"), [s_two] = There("b") },
            targets: ["thing.two"]
        );

        Assert.That(drift.Compared, Is.EqualTo(new[] { s_two }));
        Assert.That(drift.Resources.Single().Address, Is.EqualTo(s_two));
    }

    [Test]
    public void With_the_secrets_a_password_changed_on_the_host_is_drift_and_neither_is_shown()
    {
        var drift = Find([File()], [Record(File())], new() { [s_one] = There("a = 1\npassword = other-other\nb = 2\n") });

        Assert.That(drift.HasDrift, Is.True);
        Assert.That(Shown(drift), Does.Contain("password = (secret)").And.Not.Contain("other-other").And.Not.Contain(Password));
    }

    [TestCase("a = 1\npassword = hunter2-hunter2\nb = 2\n", false, TestName = "the same")]
    [TestCase("a = 1\npassword = other-other\nb = 2\n", false, TestName = "another password, which cannot be told")]
    [TestCase("a = 1\npassword = hunter2-hunter2\nb = 3\n", true, TestName = "another line")]
    [TestCase("a = 1\npasswort = hunter2-hunter2\nb = 2\n", true, TestName = "another line around the password")]
    [TestCase("a = 1\npassword = hunter2-hunter2\nhunter2-hunter2\nb = 2\n", true, TestName = "a line more")]
    [TestCase("a = 1\nb = 2\n", true, TestName = "a line less")]
    public void Without_the_secrets_the_text_around_them_is_compared_and_possible_secrets_are_hidden(string there, bool isDrift)
    {
        var drift = Find([File()], [Record(File())], new() { [s_one] = There(there) }, key: null);

        Assert.That(drift.HasDrift, Is.EqualTo(isDrift));
        Assert.That(drift.HasErrors, Is.False);
        Assert.That(
            drift.Uncompared.Select(one => $"{one.Attribute} of {one.Address}: {one.Reason}"),
            Is.EqualTo(isDrift ? [] : new[] { "text of thing.one@host-1: secret values are compared only with KBR_KEY" })
        );
        Assert.That(Shown(drift), Does.Not.Contain(Password));
    }

    [Test]
    public void Without_the_secrets_a_text_of_nothing_but_a_secret_is_not_compared()
    {
        var key = new Resource(
            s_one,
            new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("text", new SecretText([new(Password, true), new("\n", false)])))
        );
        var drift = Find([key], [Record(key)], new() { [s_one] = There("-----BEGIN\nKEY-----\n") }, key: null);

        Assert.That((drift.HasDrift, drift.HasErrors), Is.EqualTo((false, false)));
        Assert.That(drift.Uncompared, Has.Length.EqualTo(1));
    }

    [Test]
    public void With_a_secret_changed_but_not_applied_the_host_is_compared_and_no_line_shows_the_old_one()
    {
        var edited = new Resource(
            s_one,
            new AttributeSet(
                ImmutableDictionary<string, object>.Empty.Add(
                    "text",
                    new SecretText([new("password = ", false), new("new-new-new", true), new("\n", false)])
                )
            )
        );
        var steady = Text(s_two, Password, secret: true);
        Drift Of(string there) =>
            Find([edited, steady], [Record(File()), Record(steady)], new() { [s_one] = There(there), [s_two] = There(Password) });

        Assert.That(Of($"a = 1\npassword = {Password}\nb = 2\n").HasDrift, Is.False);
        var drift = Of($"a = 1\n# it was {Password}\npassword = {Password}\nb = 2\n");
        Assert.That(drift.HasDrift, Is.True);
        Assert.That(Shown(drift), Does.Contain("-(line not shown: it may hold a secret)").And.Not.Contain(Password));
    }

    [Test]
    public void With_another_key_than_the_records_secrets_are_not_compared_and_a_warning_says_so()
    {
        var drift = Find(
            [File()],
            [Record(File())],
            new() { [s_one] = There($"a = 1\npassword = {Password}\nb = 2\n") },
            key: "another key"
        );

        Assert.That((drift.HasDrift, drift.HasErrors), Is.EqualTo((false, false)));
        Assert.That(drift.Diagnostics.Single().Summary, Does.StartWith("KBR_KEY differs from the key of the last apply"));
        Assert.That(drift.Uncompared, Has.Length.EqualTo(1));
    }

    [Test]
    public void A_secret_outside_a_text_is_compared_while_known_and_otherwise_named_as_not_compared()
    {
        var account = new Address("account", "app", "host-1");
        static Resource Account(Address address, string password) =>
            new(
                address,
                new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("password", new SecretText([new(password, true)])))
            );
        Drift Of(string? key, string configured, string actual) =>
            Find(
                [Account(account, configured), File()],
                [Record(Account(account, Password)), Record(File())],
                new()
                {
                    [account] = new Observation.Present(Comparable.None.Add("password", new AttributeValue(actual))),
                    [s_one] = There($"a = 1\npassword = {Password}\nb = 2\n"),
                },
                key
            );

        Assert.That(Of(Key, Password, Password).HasDrift, Is.False);
        var changed = Of(Key, Password, "other-other");
        Assert.That((changed.HasDrift, Shown(changed)), Is.EqualTo((true, "password: (secret) → (secret)")));
        var rotated = Of(Key, "new-new-new", "other-other");
        Assert.That((rotated.HasDrift, rotated.HasErrors, rotated.Uncompared.Single().Attribute), Is.EqualTo((false, false, "password")));
        Assert.That(Of(Key, "new-new-new", Password).Uncompared, Is.Empty, "the very value that was applied needs no proof");
        Assert.That(
            Of(null, Password, "other-other").Uncompared.Select(one => one.Reason),
            Does.Contain("secret values are compared only with KBR_KEY")
        );
    }

    // What a process has loaded is told by the whole text, which a record has only without its secrets.
    [TestCase(Key)]
    [TestCase(null)]
    public void A_text_proved_to_be_the_applied_one_counts_for_attributes_that_depend_on_it(string? key)
    {
        var record = Record(File());
        record = record with { Fingerprints = record.Fingerprints.Add("value", "=current") };
        var text = $"a = 1\npassword = {Password}\nb = 2\n";

        // The configuration has an edit, so the secrets are to be had from the host only.
        var drift = Run(
            [Text(s_one, "an edit"), Text(s_two, Password, secret: true)],
            [record, Record(Text(s_two, Password, secret: true))],
            key,
            resource =>
                resource.Address == s_two
                    ? There(Password)
                    : new Observation.Present(
                        There(text)
                            .Attributes.Add("value", new AttributeValue(resource.Spec.Text("text")!.Reveal() == text ? "stale" : "current"))
                    )
        );

        Assert.That(drift.Resources.Single().Attributes.Select(attribute => attribute.Name), Is.EqualTo(new[] { "value" }));
    }

    private static Resource Thing(Address address, params (string Name, string Value)[] values) =>
        new(address, new AttributeSet(values.ToImmutableDictionary(pair => pair.Name, pair => (object)pair.Value)));

    private static Resource Text(Address address, string text, bool secret = false) =>
        new(
            address,
            new AttributeSet(ImmutableDictionary<string, object>.Empty.Add("text", new SecretText([new SecretText.Part(text, secret)])))
        );

    private static Resource File() =>
        new(
            s_one,
            new AttributeSet(
                ImmutableDictionary<string, object>.Empty.Add(
                    "text",
                    new SecretText([new("a = 1\npassword = ", false), new(Password, true), new("\nb = 2\n", false)])
                )
            )
        );

    private static Observation.Present There(string text) => new(Comparable.None.Add("text", AttributeValue.OfText(text)));

    private static Observation.Present There(params (string Name, string Value)[] values) =>
        new(SortedMap.Of<AttributeValue>(values.Select(pair => KeyValuePair.Create(pair.Name, new AttributeValue(pair.Value)))));

    private static IgnoreRule Rule(string text) =>
        IgnoreRule.TryParse(text, $"because of {text}", out var rule) ? rule : throw new AssertionException(text);

    private static string[] Errors(Drift drift) =>
        [.. drift.Diagnostics.Where(one => one.Severity == Severity.Error).Select(one => one.Summary)];

    private static string Shown(Drift drift) =>
        string.Join(
            '\n',
            drift
                .Resources.SelectMany(resource => resource.Attributes)
                .SelectMany(attribute =>
                    attribute is { Applied: { IsText: true } applied, Actual: { IsText: true } actual }
                        ? TextDifference.Lines(actual, applied)
                        : [$"{attribute.Name}: {attribute.Actual?.Value} → {attribute.Applied?.Value}"]
                )
        );

    // As it comes back from a host: through JSON, its secrets masked.
    private static ResourceRecord Record(Resource resource)
    {
        var plan = new Planner(s_providers, new Fingerprint(Key)).Plan(
            new PlanInput(
                ResourceGraph.Build([resource], s_providers),
                ImmutableDictionary<Address, ResourceRecord>.Empty,
                ImmutableDictionary<Address, Observation>.Empty.Add(resource.Address, new Observation.Absent()),
                ImmutableSortedDictionary<string, string>.Empty,
                new PlanOptions()
            )
        );
        return RecordJson.Read(RecordJson.Write(plan.Changes.Single().Record!, "test"), "test", s_providers)!;
    }

    private static Drift Find(
        Resource[] configured,
        ResourceRecord[] records,
        Dictionary<Address, Observation> there,
        string? key = Key,
        string[]? targets = null,
        IgnoreRule[]? rules = null,
        params (string Host, string Error)[] hostErrors
    ) => Run(configured, records, key, resource => there.GetValueOrDefault(resource.Address), targets, rules, hostErrors);

    private static Drift Run(
        Resource[] configured,
        ResourceRecord[] records,
        string? key,
        Func<Resource, Observation?> observe,
        string[]? targets = null,
        IgnoreRule[]? rules = null,
        params (string Host, string Error)[] hostErrors
    ) =>
        new DriftFinder(s_providers, ResourceGraph.Build(configured, s_providers), key).Find(
            new DriftInput(
                records.ToImmutableDictionary(record => record.Address),
                observe,
                hostErrors.ToImmutableSortedDictionary(pair => pair.Host, pair => pair.Error, StringComparer.Ordinal),
                ["host-1", "host-2"],
                [.. (targets ?? []).Select(glob => new AddressPattern(glob))],
                [.. rules ?? []]
            )
        );

    private static readonly ProviderRegistry s_providers = new([
        new FakeProvider(),
        new FakeProvider("entry"),
        new FakeProvider("disk", attributes: [new AttributeDefinition("mounted", AttributeKind.String, "Whether it is mounted.")]),
        new Account(),
        new Inhabitant(),
    ]);

    // Something with a password that is no text, as a role has one; a fake because the comparison is the same for any such type.
    private sealed class Account : IHostResourceProvider
    {
        public ResourceSchema Schema { get; } =
            new(
                "account",
                "Has a password.",
                [new AttributeDefinition("password", AttributeKind.String, "The password.") { MayHoldSecret = true }]
            );

        public bool HoldsData(Resource resource) => true;

        public IEnumerable<Diagnostic> Validate(Resource resource) => [];

        public ResourceLinks Links(Resource resource) => ResourceLinks.None;

        public IEnumerable<Read> Reads(Resource resource) => [];

        public SortedMap<AttributeValue> Desired(Resource resource) =>
            resource.Spec.Text("password") is { } text
                ? Comparable.None.Add("password", new AttributeValue(text.Reveal()) { Secret = text })
                : Comparable.None;

        public Observation Observe(Resource resource, Snapshot snapshot) => throw new NotSupportedException("what is there is given");

        public Script Render(ResourceChange change) => throw new NotSupportedException("nothing is changed");
    }

    // Something that lives in a group, as a role does in a cluster.
    private sealed class Inhabitant : IGroupResourceProvider
    {
        public ResourceSchema Schema { get; } =
            new("inhabitant", "Lives in a group.", [new AttributeDefinition("value", AttributeKind.String, "A value.")]);

        public bool HoldsData(Resource resource) => true;

        public IEnumerable<Diagnostic> Validate(Resource resource) => [];

        public ResourceLinks Links(Resource resource) => ResourceLinks.None;

        public IEnumerable<Read> Reads(Resource resource) => [];

        public SortedMap<AttributeValue> Desired(Resource resource) => Comparable.None.Add("value", new(resource.Spec.String("value")));

        public Observation Observe(Resource resource, IReadOnlyDictionary<string, Snapshot> members) =>
            throw new NotSupportedException("what is there is given");

        public Task ChangeAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken) =>
            throw new NotSupportedException("nothing is changed");
    }
}
