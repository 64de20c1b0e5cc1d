using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Planning;

/// <summary>When members leave before the others of their group are changed.</summary>
[TestFixture]
internal sealed class RemovalOrderTests
{
    private static readonly Address s_removed = new("container", "db", "db-3");
    private static readonly Address s_file = new("config_file", "db", "db-4");

    [Test]
    public void Members_leave_first_where_a_change_of_another_one_depends_on_the_removal_directly_or_not()
    {
        Assert.That(IsLeavingFirst(Change("db-3", ResourceAction.Delete), Change("db-4", ResourceAction.Create, s_removed)));
        Assert.That(
            IsLeavingFirst(
                Change("db-3", ResourceAction.Delete),
                Change("db-4", ResourceAction.Create, s_file),
                Change("db-4", ResourceAction.Update, s_removed) with
                {
                    Address = s_file,
                    Disrupts = null,
                }
            )
        );
    }

    [Test]
    public void They_have_no_turn_of_their_own_where_no_other_member_waits_for_the_removal()
    {
        Assert.That(IsLeavingFirst(Change("db-3", ResourceAction.Delete), Change("db-4", ResourceAction.Create)), Is.False);
        Assert.That(IsLeavingFirst(Change("db-3", ResourceAction.Replace), Change("db-4", ResourceAction.Create, s_removed)), Is.False);
        Assert.That(IsLeavingFirst(Change("db-3", ResourceAction.Delete)), Is.False, "only members that leave");
    }

    private static bool IsLeavingFirst(params PlannedChange[] changes) => RemovalOrder.IsLeavingFirst(changes, [], "pg");

    private static PlannedChange Change(string host, ResourceAction action, params Address[] after)
    {
        var address = new Address("container", "db", host);
        return new PlannedChange(address, action, Cause.ConfigurationChanged, new Resource(address, AttributeSet.Empty), [], [])
        {
            DependsOn = [.. after],
            Disrupts = "pg",
        };
    }
}
