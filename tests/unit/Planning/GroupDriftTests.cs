using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Planning;

/// <summary>The health of a group in drift: it is compared with a healthy group, since it has no record.</summary>
[TestFixture]
public sealed class GroupDriftTests
{
    private const string Key = "a key";
    private static readonly Address s_group = GroupPolicy.AddressOf("pg");
    private static readonly Fingerprint s_fingerprints = new(Key);
    private static readonly ProviderRegistry s_providers = new([new FakeProvider()]);
    private static readonly Resource s_member = Member("host-1", "A");

    [Test]
    public void A_group_that_lost_its_health_is_drift_and_a_healthy_one_is_compared()
    {
        var drifted = Find(Found("bad", "host-1")).Resources.Single();
        Assert.That(drifted.Address, Is.EqualTo(s_group));
        Assert.That(
            drifted.Attributes.Select(one => (one.Name, one.Applied!.Value, one.Actual!.Value)),
            Is.EqualTo(new[] { ("health", "good", "bad") })
        );

        var healthy = Find(Found("good", "host-1"));
        Assert.That((healthy.HasDrift, healthy.HasErrors, healthy.Compared.Contains(s_group)), Is.EqualTo((false, false, true)));
        Assert.That(Find(new Observation.Absent()).Resources.Single().Deleted, "nothing of it runs any more");
        Assert.That(Find(null).HasErrors, "none of its members was read");
    }

    [Test]
    public void A_held_member_is_not_compared_and_that_is_said()
    {
        var found = Found("good", "host-1") with { Held = GroupPlanTests.Holding("host-1") };

        var drift = Find(found);
        Assert.That((drift.HasDrift, drift.HasErrors), Is.EqualTo((false, false)));
        Assert.That(
            drift.Uncompared.Select(one => (one.Address, one.Reason, one.IsError)),
            Is.EqualTo(new[] { (s_member.Address, "host-1 is fenced", false) })
        );
        Assert.That(drift.Diagnostics.Select(one => one.Summary), Does.Contain("host-1 is fenced: nothing on it is changed"));
        Assert.That(Find(Found("good", "host-1")).Compared, Does.Contain(s_member.Address));
    }

    [Test]
    public void A_group_that_was_never_applied_has_no_drift()
    {
        var drift = Find(Found("bad", "host-1"), records: []);
        Assert.That((drift.HasDrift, drift.Compared.Length), Is.EqualTo((false, 0)));
    }

    [Test]
    public void An_edit_of_the_members_that_was_not_applied_yet_is_no_drift()
    {
        var joining = Find(Found("bad", "host-1"), configured: [s_member, Member("host-2", "A")]);
        Assert.That(joining.HasDrift, Is.False);
        Assert.That(
            joining.Uncompared.Select(one => (one.Address, one.Attribute, one.Reason)),
            Is.EqualTo(new[] { (s_group, "health", "the member on host-2 has no record, so the group is incomplete") })
        );

        var leaving = Find(Found("bad", "host-1"), records: [Record(s_member), Record(Member("host-2", "A"))]);
        Assert.That(leaving.Resources.Select(one => one.Address), Has.None.EqualTo(s_group));
        Assert.That(
            leaving.Uncompared.Select(one => one.Reason),
            Does.Contain("host-2 left the group in the configuration, which was not applied yet")
        );

        Assert.That(Find(Found("good", "host-1"), setting: "host-2").Resources.Single().Attributes.Single().Name, Is.EqualTo("members"));
        Assert.That(
            Find(Found("good", "host-1"), setting: "host-2", configured: [Member("host-1", "B")]).HasDrift,
            Is.False,
            "the members are not the configured ones, so neither is what follows the configuration"
        );
        Assert.That(Find(Found("good", "host-1"), setting: "host-2", key: null).HasDrift, Is.False, "that cannot be told without the key");
    }

    [Test]
    public void A_group_is_read_as_it_was_applied()
    {
        var settings = new Resource(new Address("thing", "settings", "pg"), AttributeSet.Empty.With("port", "1"));
        string? asked = null;
        Find(Found("good", "host-1"), records: [Record(s_member), Record(settings)], ask: policy =>
            asked = policy.Spec.OptionalString("port")
        );
        Assert.That(asked, Is.EqualTo("1"), "and not 2, as it is configured");
    }

    [Test]
    public void The_drift_of_a_group_is_accepted_by_its_address()
    {
        IgnoreRule Rule(string pattern) => new(new AddressPattern(pattern), "health", "known");

        var ignored = Find(Found("bad", "host-1"), rule: Rule("group.*"));
        Assert.That((ignored.HasDrift, ignored.Resources.Length, ignored.Diagnostics.Length), Is.EqualTo((false, 1, 0)));
        Assert.That(
            Find(Found("bad", "host-1"), rule: Rule("nothing.*")).Diagnostics.Single().Summary,
            Is.EqualTo("no resource matches 'nothing.*@*' of 'drift.ignore'")
        );
    }

    private static Drift Find(
        Observation? found,
        Resource[]? configured = null,
        ResourceRecord[]? records = null,
        string setting = "host-1",
        string? key = Key,
        IgnoreRule? rule = null,
        Action<GroupPolicy>? ask = null
    )
    {
        var policy = new GroupPolicy("pg", new FakePolicy(), AttributeSet.Empty.With("members", setting).With("port", "2"));
        var applied = (records ?? [Record(s_member)]).ToImmutableDictionary(record => record.Address);
        return new DriftFinder(s_providers, ResourceGraph.Build(configured ?? [s_member], s_providers, [policy]), key).Find(
            new DriftInput(
                applied,
                resource => new Observation.Present(s_providers.Get(resource.Address.Type).Desired(resource)),
                ImmutableSortedDictionary<string, string>.Empty,
                ["host-1", "host-2"],
                [],
                rule is null ? [] : [rule]
            )
            {
                ObserveGroup = asked =>
                {
                    ask?.Invoke(asked);
                    return found;
                },
            }
        );
    }

    private static Resource Member(string host, string value) =>
        new(new Address("thing", "runs", host), AttributeSet.Empty.With("value", value)) { Group = "pg" };

    private static ResourceRecord Record(Resource resource) =>
        new(
            resource.Address,
            Created: true,
            Pending: false,
            SortedMap.Of(
                s_providers
                    .Get(resource.Address.Type)
                    .Desired(resource)
                    .Select(pair =>
                        KeyValuePair.Create(
                            pair.Key,
                            s_fingerprints.Of(resource.Address, pair.Key, pair.Value, pair.Value.Secret is not null)
                        )
                    )
            ),
            resource.Spec,
            [],
            PreventDestroy: false
        )
        {
            Group = resource.Group,
        };

    private static Observation.Present Found(string health, string members) =>
        new(Comparable.None.Add("health", new(health)).Add("members", new(members)));
}
