using System.Collections.Immutable;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Applying;

/// <summary>Whether what was approved is still going to be done.</summary>
[TestFixture]
public sealed class DroppedChangesTests
{
    private static readonly PlannedChange s_one = Change("one@a", ResourceAction.Create);
    private static readonly PlannedChange s_two = Change("two@b", ResourceAction.Delete);

    [Test]
    public void Nothing_is_dropped_while_the_plan_makes_it_or_finds_it_as_wanted_or_gone()
    {
        Assert.That(Dropped(Plan(s_one, s_two)), Is.Empty);
        Assert.That(
            Dropped(
                Plan(s_one with { Action = ResourceAction.NoOp }, s_two with { Action = ResourceAction.Forget, Cause = Cause.AlreadyGone })
            ),
            Is.Empty
        );
        Assert.That(
            Dropped(Plan(s_one with { Action = ResourceAction.Adopt })),
            Is.Empty,
            "what no record knows any more is gone, and its host answers"
        );
    }

    [Test]
    public void A_change_is_dropped_whose_host_was_lost_or_that_cannot_be_planned_any_more()
    {
        var lost = Plan(s_one) with { HostErrors = ImmutableSortedDictionary<string, string>.Empty.Add("b", "connection reset") };
        Assert.That(Dropped(lost), Is.EqualTo(new[] { "thing.two@b: b became unreachable after the locks were taken: connection reset" }));
        var blocked = Plan(s_two) with { Blocked = [new BlockedResource(s_one.Address, "docker is silent")] };
        Assert.That(Dropped(blocked), Is.EqualTo(new[] { "thing.one@a: docker is silent" }));
    }

    [Test]
    public void Forgetting_instead_of_an_approved_deletion_drops_it()
    {
        var forgotten = s_two with { Action = ResourceAction.Forget, Cause = Cause.Destroyed, Note = "its volume is not mounted" };
        Assert.That(Dropped(Plan(s_one, forgotten)), Is.EqualTo(new[] { "thing.two@b: its volume is not mounted" }));
    }

    [Test]
    public void A_groups_resource_is_dropped_when_no_member_could_be_read()
    {
        var plan = Plan() with { HostErrors = ImmutableSortedDictionary<string, string>.Empty.Add("a", "off") };
        var approved = Plan(Change("role@pg", ResourceAction.Delete));
        Assert.That(DroppedChanges.Between(approved, plan, _ => ["a", "b"]), Is.Empty);
        Assert.That(
            DroppedChanges.Between(approved, plan, _ => ["a"]).Single().Reason,
            Is.EqualTo("a became unreachable after the locks were taken: off")
        );
        Assert.That(DroppedChanges.Between(approved, Plan(), _ => []).Single().Reason, Does.StartWith("no host with its record"));
    }

    private static string[] Dropped(Plan current) =>
        [
            .. DroppedChanges
                .Between(Plan(s_one, s_two), current, address => [address.Host])
                .Select(one => $"{one.Change.Address}: {one.Reason}"),
        ];

    private static Plan Plan(params PlannedChange[] changes) => new([.. changes], [], []);

    private static PlannedChange Change(string name, ResourceAction action)
    {
        var address = new Address("thing", name.Split('@')[0], name.Split('@')[1]);
        return new PlannedChange(address, action, Cause.New, new Resource(address, AttributeSet.Empty), [], []);
    }
}
