using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Hosts that boot again.</summary>
[TestFixture]
[DependsOnFixture(typeof(HandMadeChangeTests), AllowFailure = true)]
public sealed class RebootTests
{
    [OneTimeSetUp]
    public void Write() => Ha.Write("before_reboot", 100);

    [Test]
    public void Hosts_rebooted_one_after_another_come_back_by_themselves_with_all_rows()
    {
        foreach (var host in Lab.Hosts)
        {
            Lab.Command("reboot", host);
            Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(120));
        }

        Ha.AllHave("before_reboot", 100);
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    [DependsOnTest(nameof(Hosts_rebooted_one_after_another_come_back_by_themselves_with_all_rows), AllowFailure = true)]
    public void Hosts_that_all_lost_power_at_once_come_back_by_themselves_with_all_rows()
    {
        var term = Ha.RaftTerm(Ha.Leader());

        Task.WaitAll([.. Lab.Hosts.Select(host => Task.Run(() => Lab.Command("reboot", "--crash", host)))]);

        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(180));
        Assert.That(Ha.RaftTerm(Ha.Leader()), Is.GreaterThan(term), "who comes late cannot be elected with what was before");
        Ha.AllHave("before_reboot", 100);
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    [DependsOnTest(nameof(Hosts_that_all_lost_power_at_once_come_back_by_themselves_with_all_rows), AllowFailure = true)]
    public void A_member_whose_volume_is_missing_at_boot_starts_no_empty_database_and_the_plan_says_what_is_wrong()
    {
        var host = Ha.Members.First(member => member != Ha.Leader());
        Lab.Command("reboot", "--without", "sdb", host);

        var plan = HaSetUp.Workspace.Kbr("plan");
        Assert.That(plan.ExitCode, Is.EqualTo(1), plan.All);
        Assert.That(plan.All, Does.Contain("/dev/sdb").And.Contain(host));
        Assert.That(Lab.OnHost(host, "docker inspect -f '{{.State.Running}}' patroni").Trim(), Is.EqualTo("false"));
        Assert.That(Lab.OnHost(host, "find /opt/keybuzz -name PG_VERSION"), Is.Empty);
        var status = HaSetUp.Workspace.Kbr("status");
        Assert.That(status.ExitCode, Is.EqualTo(2), status.All);

        Lab.Command("reboot", host);
        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(120));
        HaSetUp.Workspace.AssertNothingToDo();
        Ha.AllHave("before_reboot", 100);
    }
}
