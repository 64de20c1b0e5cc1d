using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Hosts that boot again.</summary>
[TestFixture]
[Category(Ha.Slice4)]
[DependsOnFixture(typeof(InstallTests), AllowFailure = true)]
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
        // The store may elect once more after such a start, and a look at three members is not one moment.
        Assert.That(() => HaSetUp.Workspace.Kbr("plan", "--detailed-exitcode").ExitCode, Is.Zero.After(30).Seconds.PollEvery(1).Seconds);
    }

    [Test]
    [DependsOnTest(nameof(Hosts_rebooted_one_after_another_come_back_by_themselves_with_all_rows), AllowFailure = true)]
    public void Hosts_that_all_lost_power_at_once_come_back_by_themselves_with_all_rows()
    {
        var term = Ha.StoreTerm(Ha.Leader());

        Task.WaitAll([.. Lab.Hosts.Select(host => Task.Run(() => Lab.Command("reboot", "--crash", host)))]);

        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(180));
        Assert.That(Ha.StoreTerm(Ha.Leader()), Is.GreaterThan(term), "who comes late cannot be elected with what was before");
        Ha.AllHave("before_reboot", 100);
        // The store may elect once more after such a start, and a look at three members is not one moment.
        Assert.That(() => HaSetUp.Workspace.Kbr("plan", "--detailed-exitcode").ExitCode, Is.Zero.After(30).Seconds.PollEvery(1).Seconds);
    }

    [Test]
    [DependsOnTest(nameof(Hosts_rebooted_one_after_another_come_back_by_themselves_with_all_rows), AllowFailure = true)]
    public void A_restarted_engine_brings_its_containers_back_and_with_live_restore_stops_none()
    {
        var member = Ha.Members.First(one => one != Ha.Leader());
        const string settings = "/etc/docker/daemon.json";
        Lab.OnHost(
            member,
            $"cp -p {settings} /root/daemon.json; jq '. + {{\"live-restore\": true}}' /root/daemon.json "
                + $">{settings}; systemctl reload docker"
        );
        var before = Ha.Started(member);

        // As the upgrade of a package does it.
        const string upgrade =
            "systemctl reset-failed docker; systemctl stop docker.socket docker.service 2>&1; systemctl start "
            + "docker.service; timeout 30 sh -c 'until systemctl is-active --quiet UNIT; do sleep 0.2; done'";
        Lab.OnHost(member, upgrade.Replace("UNIT", "patroni"));
        Assert.That(Ha.Started(member), Is.EqualTo(before), "with live-restore the postmaster goes on, and its unit attaches to it again");

        Lab.OnHost(member, $"cp -p /root/daemon.json {settings}; systemctl reload docker");
        Lab.OnHosts([(member, upgrade.Replace("UNIT", "patroni")), ("haproxy-02", upgrade.Replace("UNIT", "haproxy pgbouncer"))]);
        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(120));
        Assert.That(Ha.Started(member), Is.Not.EqualTo(before));
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    [DependsOnTest(nameof(Hosts_rebooted_one_after_another_come_back_by_themselves_with_all_rows), AllowFailure = true)]
    public void A_fenced_primary_hands_over_and_stays_down_through_a_reboot_and_an_apply_until_it_is_unfenced()
    {
        var workspace = HaSetUp.Workspace;
        var member = Ha.Leader();

        var fenced = workspace.Kbr("fence", member, "--reason", "disk errors", "--auto-approve");
        Assert.That(fenced.ExitCode, Is.Zero, fenced.All);
        Assert.That(Ha.Leader(), Is.Not.EqualTo(member));
        Assert.That(IsRunning(), Is.EqualTo("false"));
        Assert.That(workspace.Kbr("fence", member, "--auto-approve").All, Does.Contain("already; nothing was changed"));
        var other = Ha.Members.First(one => one != member && one != Ha.Leader());
        Assert.That(workspace.Kbr("fence", other, "--auto-approve").All, Does.Contain($"run kbr unfence {member} first"));

        Lab.Command("reboot", member);
        Assert.That(
            Lab.OnHost(member, "systemctl is-system-running --wait >/dev/null; systemctl show -p ConditionResult patroni").Trim(),
            Is.EqualTo("ConditionResult=no")
        );
        Ha.Sql(Ha.Leader(), "INSERT INTO before_reboot VALUES (101)");
        // A session of PgBouncer may have failed while the lead moved.
        Assert.That(() => workspace.Kbr("status").ExitCode, Is.Zero.After(60).Seconds.PollEvery(1).Seconds);
        Assert.That(
            workspace.Kbr("status").All,
            Does.Contain($"Redundancy: 2 of 3. Cause: {member} is fenced").And.Match(@"ok +fenced +.*\(disk errors\)")
        );
        Assert.That(workspace.Kbr("members").Output, Does.Match($@"{member} .* fenced"));
        var plan = workspace.Kbr("plan", "--detailed-exitcode");
        Assert.That((plan.ExitCode, plan.All), Is.EqualTo((0, plan.All)), plan.All);
        Assert.That(plan.All, Does.Contain($"{member} is fenced since").And.Contain($"kbr unfence {member} brings it back"));
        var drift = workspace.Kbr("drift");
        Assert.That(drift.ExitCode, Is.Zero, drift.All);
        Assert.That(drift.All, Does.Contain($"{member} is fenced since"));
        var apply = workspace.Kbr("apply", "--auto-approve");
        Assert.That(apply.ExitCode, Is.Zero, apply.All);
        Assert.That(IsRunning(), Is.EqualTo("false"), "an apply does not undo it");
        Assert.That(workspace.Kbr("restart", "--all", "--auto-approve").All, Does.Contain($"run kbr unfence {member} first"));

        var back = workspace.Kbr("unfence", member);
        Assert.That(back.ExitCode, Is.Zero, back.All);
        Assert.That(Ha.IsStreaming(member));
        Assert.That(workspace.Kbr("unfence", member).Output, Does.Contain($"{member} is not fenced"));
        Lab.OnHost(member, "! ls /var/lib/kbr/fence.json /etc/systemd/system/patroni.service.d/kbr-fence.conf 2>/dev/null");
        Ha.AllHave("before_reboot", 101);
        Ha.Sql(Ha.Leader(), "DELETE FROM before_reboot WHERE id = 101");
        Ha.UntilHealthy(workspace, TimeSpan.FromSeconds(120));
        workspace.AssertNothingToDo();

        string IsRunning() => Lab.OnHost(member, "docker inspect -f '{{.State.Running}}' patroni").Trim();
    }

    [Test]
    [DependsOnTest(nameof(Hosts_that_all_lost_power_at_once_come_back_by_themselves_with_all_rows), AllowFailure = true)]
    public void A_member_without_its_volume_at_boot_starts_no_empty_database_and_the_plan_names_the_cause()
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
