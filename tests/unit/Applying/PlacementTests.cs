using System.Collections.Immutable;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;
using KeyBuzz.Reconciler.Tests.Configuration;
using KeyBuzz.Reconciler.Tests.Planning;

namespace KeyBuzz.Reconciler.Tests.Applying;

/// <summary>Which locks a plan needs.</summary>
[TestFixture, FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal sealed class PlacementTests : LoaderFixture
{
    private static readonly GroupPolicy s_policy = new("pg", new FakePolicy(), AttributeSet.Empty) { Beside = ["lb-1"] };

    [Test]
    public void Hosts_that_a_policy_works_on_beside_its_group_are_locked_with_it_and_only_then()
    {
        Assert.That(Locks(Of(Change("db-1", disrupts: "pg"))), Is.EqualTo(new[] { "db-1", "db-2", "lb-1" }), "a member is disrupted");
        Assert.That(Locks(Of(Change("pg"))), Is.EqualTo(new[] { "db-1", "db-2", "lb-1" }), "a change of the group may restart members");
        Assert.That(
            Locks(Of() with { Groups = [new PlannedGroup(s_policy, []) { Cause = Cause.New }] }),
            Is.EqualTo(new[] { "db-1", "db-2", "lb-1" }),
            "it is brought to health"
        );
        Assert.That(Locks(Of(Change("db-1"))), Is.EqualTo(new[] { "db-1" }), "a change in place hands nothing over");
        Assert.That(Locks(Of() with { Groups = [new PlannedGroup(s_policy, [])] }), Is.Empty, "it is healthy");
    }

    private string[] Locks(Plan plan)
    {
        var cluster = Load(Header) with { Groups = [new HostGroup("pg", ["db-1", "db-2"])], Policies = [s_policy] };
        var survey = new Survey(
            ImmutableDictionary<Address, ResourceRecord>.Empty,
            ImmutableDictionary<Address, Observation>.Empty,
            ImmutableSortedDictionary<string, string>.Empty,
            []
        );
        var places = new Placement(cluster, new ProviderRegistry([new KeyBuzz.Reconciler.Tests.Planning.FakeProvider()]), survey);
        return [.. places.LocksOf(plan).Distinct().Order(StringComparer.Ordinal)];
    }

    private static Plan Of(params ImmutableArray<PlannedChange> changes) => new(changes, [], []);

    private static PlannedChange Change(string host, string? disrupts = null)
    {
        var resource = new Resource(new Address("thing", "one", host), AttributeSet.Empty);
        return new PlannedChange(resource.Address, ResourceAction.Update, Cause.Drift, resource, [], []) { Disrupts = disrupts };
    }
}
