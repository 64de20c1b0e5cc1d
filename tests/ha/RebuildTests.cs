using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Taking down and building again: a member, a host, the whole.</summary>
[TestFixture]
[Category(Ha.Slice7)]
[DependsOnFixture(typeof(InstallTests), AllowFailure = true)]
public sealed class RebuildTests
{
    private string _before;

    [OneTimeSetUp]
    public void Remember() => _before = HaSetUp.Workspace.Yaml;

    // The last test leaves nothing.
    [OneTimeTearDown]
    public void Install()
    {
        HaSetUp.Workspace.Yaml = _before;
        HaSetUp.Workspace.Apply();
    }

    [Test]
    public void A_member_that_was_destroyed_is_built_again_from_the_leader_and_nothing_else_is_touched()
    {
        Ha.Write("before_rebuild", 50);
        var leader = Ha.Leader();
        var host = Ha.Members.Last(member => member != leader);
        var others = Ha.Members.Where(member => member != host).ToList();
        var before = others.Select(Ha.Started).ToList();

        var destroyed = HaSetUp.Workspace.Kbr("destroy", "--auto-approve", "--target", $"*@{host}");
        Assert.That(destroyed.ExitCode, Is.Zero, destroyed.All);
        Assert.That(
            destroyed.Output,
            Does.Contain($"stop and remove {host}; writes continue").And.Contain("Destroy complete! Resources: ").And.Not.Contain("restart")
        );
        Assert.That(Lab.OnHost(host, "docker ps -aq; systemctl cat patroni.service 2>/dev/null || true"), Is.Empty);

        // It was taken down on purpose: nothing of it is drift.
        Assert.That(
            HaSetUp.Workspace.Plan(),
            Has.Some.StartWith("group.keybuzz-pg@keybuzz-pg bring_to_health new ").And.None.Contains(" drift ")
        );
        Assert.That(HaSetUp.Workspace.Kbr("drift").Output, Does.Contain("Drift: 0 changed, 0 deleted"));
        HaSetUp.Workspace.Apply();

        HaSetUp.Workspace.AssertNothingToDo();
        Assert.That(others.Select(Ha.Started), Is.EqualTo(before), "no other member was touched");
        Ha.AllHave("before_rebuild", 50);
    }

    [Test]
    [DependsOnTest(nameof(A_member_that_was_destroyed_is_built_again_from_the_leader_and_nothing_else_is_touched), AllowFailure = true)]
    public void One_apply_turns_fresh_hosts_of_the_leader_and_of_a_proxy_into_a_replica_and_a_proxy()
    {
        var leader = Ha.Leader();
        // The kernel counts how often a loop device was given a file: between detach and attach another program of the machine could take
        // it.
        const string Attached = "cat /sys/dev/block/$((0x$(stat -Lc %t /dev/sdb))):$((0x$(stat -Lc %T /dev/sdb)))/diskseq";
        var attached = Lab.OnHost(leader, Attached);
        Lab.Command("reset", leader, "haproxy-01");
        Assert.That(Lab.OnHost(leader, Attached), Is.EqualTo(attached), "the lab never let go of the host's disk");

        HaSetUp.Workspace.Apply();

        Assert.That(Ha.Leader(), Is.Not.EqualTo(leader), "another took over");
        AssertNothingButRecordsIsLeft();
        Ha.AllHave("before_rebuild", 50);
    }

    [Test]
    [DependsOnTest(nameof(One_apply_turns_fresh_hosts_of_the_leader_and_of_a_proxy_into_a_replica_and_a_proxy), AllowFailure = true)]
    public void A_new_disk_in_place_of_the_leaders_lost_one_is_filled_from_its_successor_by_one_apply()
    {
        var leader = Ha.Leader();
        Lab.OnHost(
            leader,
            "systemctl stop patroni.service && umount /dev/sdb && dd if=/dev/zero of=/dev/sdb bs=1M count=16 conv=fsync 2>/dev/null"
        );

        HaSetUp.Workspace.Apply();

        AssertNothingButRecordsIsLeft();
        Ha.AllHave("before_rebuild", 50);
    }

    [Test]
    [DependsOnTest(nameof(A_new_disk_in_place_of_the_leaders_lost_one_is_filled_from_its_successor_by_one_apply), AllowFailure = true)]
    public void A_whole_destroy_keeps_the_data_and_an_apply_brings_the_cluster_back_with_its_rows()
    {
        var destroyed = HaSetUp.Workspace.Kbr("destroy", "--auto-approve");
        Assert.That(destroyed.ExitCode, Is.Zero, destroyed.All);
        foreach (var host in Lab.Hosts)
        {
            Assert.That(Lab.OnHost(host, "docker ps -aq; ls -A /var/lib/kbr 2>/dev/null || true"), Is.Empty, host);
        }

        // Wanted to lead once all run; who leads is no matter of the plan.
        HaSetUp.Workspace.Yaml = HaSetUp.Workspace.Yaml.Replace("  members: db\n", "  members: db\n  preferred_leader: db-slave-01\n");
        HaSetUp.Workspace.Apply();
        Assert.That(Ha.Leader(), Is.EqualTo("db-slave-01"));

        HaSetUp.Workspace.AssertNothingToDo();
        Ha.AllHave("before_rebuild", 50);
    }

    [Test]
    [DependsOnTest(nameof(A_whole_destroy_keeps_the_data_and_an_apply_brings_the_cluster_back_with_its_rows), AllowFailure = true)]
    public void With_delete_data_nothing_is_left()
    {
        var destroyed = HaSetUp.Workspace.Kbr("destroy", "--auto-approve", "--delete-data", "--confirm", Ha.Scope);
        Assert.That(destroyed.ExitCode, Is.Zero, destroyed.All);
        foreach (var host in Lab.Hosts)
        {
            Assert.That(
                Lab.OnHost(host, "docker ps -aq; ls -A /var/lib/kbr /opt 2>/dev/null || true; grep keybuzz /etc/fstab /proc/mounts || true")
                    .Replace("/opt:", "")
                    .Trim(),
                Is.Empty,
                host
            );
        }

        foreach (var member in Ha.Members)
        {
            Assert.That(Lab.OnHost(member, "blkid -p /dev/sdb || echo empty").Trim(), Is.EqualTo("empty"), member);
        }
    }

    // What belongs to the whole could not be looked at while nobody led: its records reach the host made anew with the next apply, which
    // does nothing else.
    private static void AssertNothingButRecordsIsLeft()
    {
        var plan = HaSetUp.Workspace.Kbr("plan", "--detailed-exitcode");
        Assert.That(plan.ExitCode, Is.Zero, plan.All);
        HaSetUp.Workspace.Apply();
        HaSetUp.Workspace.AssertNothingToDo();
    }
}
