using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Members are added and removed while the others go on.</summary>
[TestFixture]
[Category(Ha.Membership)]
[Category(Ha.Slice4)]
public sealed class MembershipTests
{
    private static readonly string[] s_new = ["db-slave-03", "db-slave-04"];

    [OneTimeSetUp]
    public void Bring_up_two_hosts_more()
    {
        Environment.SetEnvironmentVariable("KBR_LAB_SPARES", "1");
        Lab.Command("up");
        Ha.Write("before_membership", 50);
    }

    [Test]
    public void Two_members_more_stream_after_one_apply_and_the_others_are_not_restarted()
    {
        var before = Ha.Members.Select(Ha.Started).ToList();
        AddHosts();
        Members("[db, db-slave-03, db-slave-04]");

        var plan = HaSetUp.Workspace.Kbr("plan");
        string Of(int last) => string.Join(", ", Enumerable.Range(120, last - 119).Select(host => $@"\S+{host}:{Port}"));
        Assert.That(plan.Output, Does.Match($"members: {Of(122)} → {Of(124)}"));
        HaSetUp.Workspace.Apply();

        HaSetUp.Workspace.AssertNothingToDo();
        Assert.That(Ha.Members.Select(Ha.Started), Is.EqualTo(before), "no member was restarted for it");
        foreach (var host in s_new)
        {
            Lab.Until(() => Ha.Count(host, "before_membership") == 50, TimeSpan.FromSeconds(60), $"the rows on {host}");
        }
    }

    [Test]
    [DependsOnTest(nameof(Two_members_more_stream_after_one_apply_and_the_others_are_not_restarted), AllowFailure = true)]
    public void Removing_so_many_members_that_no_majority_stays_is_refused_before_any_change()
    {
        string[] all = [.. Ha.Members, .. s_new];
        var before = all.Select(Ha.Started).ToList();
        Members("[db-master-01, db-slave-01]");

        var apply = HaSetUp.Workspace.Kbr("apply", "--auto-approve");

        Assert.That(apply.ExitCode, Is.EqualTo(1), apply.All);
        Assert.That(apply.All, Does.Contain("would leave 2 of 5 members, and 3 are needed"));
        Assert.That(all.Select(Ha.Started), Is.EqualTo(before));
        Members("[db, db-slave-03, db-slave-04]");
        // On a busy machine the store may elect another leader at any time.
        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(120));
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    [DependsOnTest(nameof(Removing_so_many_members_that_no_majority_stays_is_refused_before_any_change), AllowFailure = true)]
    public void A_running_member_whose_host_left_the_file_is_named_and_nothing_is_planned()
    {
        var yaml = HaSetUp.Workspace.Yaml;
        HaSetUp.Workspace.Yaml = Regex.Replace(yaml, "(?m)^  db-slave-04: .*\n", "");
        Members("[db, db-slave-03]");

        var plan = HaSetUp.Workspace.Kbr("plan");

        Assert.That(plan.ExitCode, Is.EqualTo(1), plan.All);
        Assert.That(
            plan.All,
            Does.Match($@"\S+124:{Port} still takes part in keybuzz-pg, is no longer a member, and cannot be stopped")
                .And.Contain("nothing is planned")
        );
        HaSetUp.Workspace.Yaml = yaml;
    }

    [Test]
    [DependsOnTest(nameof(A_running_member_whose_host_left_the_file_is_named_and_nothing_is_planned), AllowFailure = true)]
    public void Two_members_one_of_them_the_leader_are_taken_out_also_when_the_apply_is_killed_on_the_way()
    {
        var moved = HaSetUp.Workspace.Kbr("switchover", "--to", "db-slave-04", "--auto-approve");
        Assert.That(moved.ExitCode, Is.Zero, moved.All);
        var before = Ha.Members.Select(Ha.Started).ToList();
        Members("db");

        // Killed when the first of them has been stopped: the store may still count it, and nobody has been told.
        using (var apply = HaSetUp.Workspace.Start("apply", "--auto-approve"))
        {
            Lab.Until(
                () => apply.HasExited || Lab.OnHost("db-slave-03", "systemctl is-active patroni.service || true").Trim() != "active",
                TimeSpan.FromSeconds(180),
                "the first one to be stopped"
            );
            Assert.That(apply.HasExited, Is.False, apply.HasExited ? Lab.Finish(apply).All : "");
            apply.Kill();
            apply.WaitForExit();
        }

        Assert.That(Ha.Leader(), Is.EqualTo("db-slave-04"), "the leader goes last");
        HaSetUp.Workspace.Apply();

        Assert.That(Ha.Members, Does.Contain(Ha.Leader()));
        Assert.That(Ha.Members.Select(Ha.Started), Is.EqualTo(before), "no member was restarted for it");
        HaSetUp.Workspace.AssertNothingToDo();
        Ha.AllHave("before_membership", 50);
        foreach (var host in s_new)
        {
            Assert.That(
                Lab.OnHost(host, "docker ps -aq; systemctl cat patroni.service 2>/dev/null || true; ls -A /var/lib/kbr 2>/dev/null || true")
                    .Trim(),
                Is.Empty,
                host
            );
        }

        foreach (var host in Ha.Members)
        {
            Assert.That(Lab.OnHost(host, "find /opt/keybuzz -name 'patroni*.yml' -exec cat {} +"), Does.Not.Match(@"\.12[34]\b"), host);
        }

        foreach (var host in Ha.Members)
        {
            Assert.That(
                Ha.Sql(
                    host,
                    "SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'db_slave_03%' OR slot_name LIKE 'db_slave_04%'",
                    "postgres"
                ),
                Is.Empty,
                $"{host} keeps no write-ahead log for who left"
            );
        }

        Assert.That(
            Ha.Proxies.Select(host => Lab.OnHost(host, "find /opt/keybuzz -name haproxy.cfg -exec cat {} +")),
            Has.None.Contain("db-slave-03").And.None.Contain("db-slave-04")
        );
    }

    // Between the members of the store.
    private static int Port => Ha.OnEtcd ? 2380 : 7000;

    private static void AddHosts() =>
        HaSetUp.Workspace.Yaml = Regex.Replace(
            HaSetUp.Workspace.Yaml,
            @"(?m)^  db-slave-02: .*address: (10\.\d+\.0)\..*host: (127\.0\.\d+)\..*\n",
            match =>
                match.Value
                + string.Concat(
                    s_new.Select(
                        (name, index) =>
                            $"  {name}: {{ role: spare, address: {match.Groups[1].Value}.{123 + index}, ssh: {{ host: "
                            + $"{match.Groups[2].Value}.{123 + index} }} }}\n"
                    )
                )
        );

    private static void Members(string members) =>
        HaSetUp.Workspace.Yaml = Regex.Replace(HaSetUp.Workspace.Yaml, "(?m)^  members: .*$", "  members: " + members);
}
