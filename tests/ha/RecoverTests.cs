using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Two of three members are lost: the third goes on by one command, and one apply rebuilds the others.</summary>
[TestFixture]
[Category(Ha.Membership)]
[Category(Ha.OfRaft)]
[Category(Ha.Slice8)]
[DependsOnFixture(typeof(SharedDirectoryTests), AllowFailure = true)]
public sealed class RecoverTests
{
    private const string Container = "docker inspect -f '{{.State.Running}}' patroni 2>/dev/null || echo none";
    private const string Count = "SELECT count(*) FROM recovered";
    private const string Journal = $"/var/lib/kbr/recover-{Ha.Scope}.json";
    private const string Raft = "/opt/keybuzz/postgres/raft";

    private static string s_credentials = "";
    private static string s_survivor = "";
    private static string[] s_lost = [];
    private static TrafficWriter[] s_writers = [];
    private static bool s_isConfirmed;

    // The survivor is a replica: the primary is among the lost.
    [OneTimeSetUp]
    public void Write()
    {
        s_credentials = Ha.Credentials;
        var leader = Ha.Leader();
        s_survivor = Ha.Members.First(member => member != leader);
        s_lost = [Ha.Members.First(member => member != s_survivor && member != leader), leader];
        Ha.Write("recovered", 50);
        Ha.Sql(leader, $"GRANT ALL ON recovered TO {Ha.Application}");
    }

    [OneTimeTearDown]
    public void Mend()
    {
        foreach (var writer in s_writers)
        {
            writer.Dispose();
        }

        // Where a test failed: the next fixtures know nothing of a recovery.
        if (!s_isConfirmed)
        {
            foreach (var host in s_lost)
            {
                Lab.Run(Lab.Root, Path.Combine(Lab.Root, "lab/on"), host);
            }

            HaSetUp.Workspace.Kbr("recover", "confirm", "--confirm", Ha.Scope);
            HaSetUp.Workspace.Kbr("apply", "--auto-approve");
            HaSetUp.Workspace.Kbr("recover", "confirm", "--confirm", Ha.Scope);
            HaSetUp.Workspace.Apply();
        }

        Ha.Sql(Ha.Leader(), "DROP TABLE IF EXISTS recovered");
    }

    [Test]
    public void While_the_cluster_has_a_primary_or_a_silent_host_is_not_declared_lost_nothing_is_done()
    {
        var healthy = HaSetUp.Workspace.Kbr("recover", "--auto-approve");
        Assert.That(healthy.ExitCode, Is.EqualTo(1), healthy.All);
        Assert.That(healthy.Error, Does.Contain($"{Ha.Leader()} is the primary of keybuzz-pg: there is nothing to recover"));

        Off();

        // The proxies send sessions to the dead primary for some seconds still, and kbr believes them.
        Outcome undeclared = null;
        Lab.Until(
            () =>
            {
                undeclared = HaSetUp.Workspace.Kbr("recover", "--auto-approve", "--lost", s_lost[0]);
                Assert.That(undeclared.ExitCode, Is.EqualTo(1), undeclared.All);
                return !undeclared.Error.Contains("still sends sessions to", StringComparison.Ordinal);
            },
            TimeSpan.FromSeconds(60),
            () => undeclared.All
        );
        Assert.That(
            undeclared.Error,
            Does.Contain($"{s_lost[1]} cannot be reached, and may serve keybuzz-pg all the same").And.Contain($"--lost {s_lost[1]}")
        );
    }

    // Killed once it has stopped the survivor; then the others come back after all.
    [Test]
    [DependsOnTest(nameof(While_the_cluster_has_a_primary_or_a_silent_host_is_not_declared_lost_nothing_is_done))]
    public void Members_that_elect_a_primary_by_themselves_after_a_killed_recovery_end_it_by_one_command()
    {
        KillOnce(() => Lab.OnHost(s_survivor, Container).Trim() != "true", "kbr recover stops the survivor");
        Assert.That(Lab.OnHost(s_survivor, $"cat {Journal}; ls {Raft}"), Does.Contain("\"phase\":\"begun\""));

        On();
        Lab.Until(
            () => s_lost.Any(host => Ha.SqlIfAnswered(host, "SELECT pg_is_in_recovery()") == "f"),
            TimeSpan.FromSeconds(120),
            "a primary of the members' own"
        );
        var plan = HaSetUp.Workspace.Kbr("plan");
        Assert.That(plan.ExitCode, Is.EqualTo(1), plan.All);
        Assert.That(
            plan.Error,
            Does.Contain($"a recovery of keybuzz-pg from {s_survivor} is unfinished").And.Contain("kbr recover confirm")
        );
        var again = HaSetUp.Workspace.Kbr("recover", "--auto-approve");
        Assert.That(again.ExitCode, Is.EqualTo(1), again.All);
        Assert.That(
            again.Error,
            Does.Contain("is the primary of keybuzz-pg: there is nothing to recover")
                .And.Contain($"kbr recover confirm gives up the recovery from {s_survivor}")
        );

        var ended = HaSetUp.Workspace.Kbr("recover", "confirm", "--confirm", Ha.Scope);
        Assert.That(ended.ExitCode, Is.Zero, ended.All);
        Assert.That(ended.Output, Does.Contain($"Gave up the recovery of keybuzz-pg from {s_survivor}, which had not ended."));
        Assert.That(Lab.OnHost(s_survivor, $"ls -d {Journal} {Raft}.lost-* 2>/dev/null || true"), Is.Empty);
        var free = HaSetUp.Workspace.Kbr("plan");
        Assert.That(free.ExitCode, Is.Zero, free.All);
    }

    // Its Patroni is dead, too: it was stopped by the recovery that was given up.
    [Test]
    [DependsOnTest(nameof(Members_that_elect_a_primary_by_themselves_after_a_killed_recovery_end_it_by_one_command))]
    public void With_two_of_three_lost_one_command_opens_writes_on_the_survivor_with_every_row_it_had()
    {
        Off();
        Outcome asked = null;
        Lab.Until(
            () =>
                !(asked = HaSetUp.Workspace.Kbr(["recover", .. Lost()])).Error.Contains(
                    "still sends sessions to",
                    StringComparison.Ordinal
                ),
            TimeSpan.FromSeconds(60),
            () => asked.All
        );
        Assert.That(asked.ExitCode, Is.EqualTo(1), asked.All);
        Assert.That(
            asked.Output,
            Does.Match($@"{s_survivor}: timeline \d+, LSN [0-9A-F]+/[0-9A-F]+, 0 bytes behind the furthest survivor; ")
                .And.Contain($"unknown: what only {s_lost[0]} and {s_lost[1]} had")
        );
        Assert.That(asked.Error, Does.Contain("recover was not confirmed; nothing was changed"));

        // Killed once the survivor leads, it goes on with the same options, and does not stop it.
        KillOnce(() => Ha.SqlIfAnswered(s_survivor, "SELECT pg_is_in_recovery()") == "f", "the survivor leads");
        Lab.OnHost(s_survivor, $"sed -i 's/\"phase\":\"done\"/\"phase\":\"begun\"/' {Journal}");
        var (started, password) = (Ha.Started(s_survivor), Ha.Credentials);
        var done = HaSetUp.Workspace.Kbr(["recover", .. Lost(), "--confirm", Ha.Scope, "--lock-timeout", "60s"]);
        TestContext.Out.WriteLine(done.All);
        Assert.That(done.ExitCode, Is.Zero, done.All);
        Assert.That(done.Output, Does.Contain($"{s_survivor} is the primary of keybuzz-pg, alone, and takes writes."));
        Assert.That(done.Output, Does.Contain($"going on with the recovery from {s_survivor}, the primary"));
        Assert.That((Ha.Started(s_survivor), Ha.Credentials), Is.EqualTo((started, password)));
        Assert.That(Ha.Sql(s_survivor, Count), Is.EqualTo("50"));
        Ha.Sql(s_survivor, "INSERT INTO recovered SELECT generate_series(1001, 1010)");
        foreach (var proxy in Ha.Proxies)
        {
            Assert.That(
                Lab.OnHost(proxy, "grep -h '^ *server ' $(find /opt/keybuzz -name haproxy.cfg)"),
                Does.Contain(s_survivor).And.Not.Contain(s_lost[0]).And.Not.Contain(s_lost[1])
            );
        }

        var again = HaSetUp.Workspace.Kbr(["recover", .. Lost(), "--auto-approve"]);
        Assert.That(again.Error, Does.Contain($"{s_survivor} is the primary of keybuzz-pg: there is nothing to recover"));
        Assert.That(Lab.OnHost(s_survivor, $"cat {Journal}"), Does.Contain("\"phase\":\"done\""));
    }

    [Test]
    [DependsOnTest(nameof(With_two_of_three_lost_one_command_opens_writes_on_the_survivor_with_every_row_it_had))]
    public void Neither_older_credentials_nor_an_apply_while_the_lost_may_still_come_back_undo_it()
    {
        var recovered = Ha.Credentials;
        Ha.Credentials = s_credentials;
        var older = HaSetUp.Workspace.Kbr("apply", "--auto-approve");
        Ha.Credentials = recovered;
        Assert.That(older.ExitCode, Is.EqualTo(1), older.All);
        Assert.That(older.Error, Does.Contain("the credentials file is older than the recovery of keybuzz-pg"));

        var early = HaSetUp.Workspace.Kbr("apply", "--auto-approve");
        Assert.That(early.ExitCode, Is.EqualTo(1), early.All);
        Assert.That(early.Error, Does.Contain("are enough to elect a primary of the database that was lost"));
        Assert.That(Ha.Sql(s_survivor, "SELECT pg_is_in_recovery()"), Is.EqualTo("f"));
    }

    [Test]
    [DependsOnTest(nameof(Neither_older_credentials_nor_an_apply_while_the_lost_may_still_come_back_undo_it))]
    public void Old_members_that_come_back_do_not_join_the_recovered_cluster_nor_take_a_write_of_a_proxy()
    {
        // They write until the old members are replicas: whatever was acknowledged is then on the survivor's line.
        s_writers =
        [
            TrafficWriter.Start("recover_direct", keepsSession: false),
            TrafficWriter.Start("recover_pooled", TrafficWriter.Pooled),
        ];
        On();

        // By themselves they are the old majority, and may even elect a primary: it must not be one that anybody reaches.
        Lab.Until(() => s_lost.All(Ha.Answers), TimeSpan.FromSeconds(120), "the old members' own start");
        Assert.That(Ha.Sql(s_survivor, "SELECT pg_is_in_recovery()"), Is.EqualTo("f"));
        foreach (var writer in s_writers)
        {
            writer.UntilAcknowledged(25, TimeSpan.FromSeconds(60));
        }

        foreach (var host in s_lost)
        {
            Assert.That(Ha.Sql(host, Count), Is.EqualTo("50"), "no row of the recovered cluster, and none of its own");
        }
    }

    [Test]
    [DependsOnTest(nameof(Old_members_that_come_back_do_not_join_the_recovered_cluster_nor_take_a_write_of_a_proxy))]
    public void One_apply_makes_returned_members_replicas_and_keeps_their_old_data_aside_until_confirmed()
    {
        var first = HaSetUp.Workspace.Kbr("apply", "--auto-approve");
        TestContext.Out.WriteLine(first.All);
        Assert.That(first.ExitCode, Is.Zero, first.All);
        Assert.That(first.All, Does.Contain("was lost when keybuzz-pg was recovered from " + s_survivor));

        foreach (var writer in s_writers)
        {
            var report = writer.Stop();
            TestContext.Out.WriteLine(report);
            Assert.That(report.Lost, Is.Empty, report.ToString());
            Assert.That(report.Servers, Has.Count.EqualTo(1), "one member took writes: " + report);
        }

        Ha.AllHave("recovered", 60);
        Ha.AssertHealthy(HaSetUp.Workspace);
        // While the old members led by themselves, nobody could look at what belongs to the whole: its records reach them with the next.
        var plan = HaSetUp.Workspace.Kbr("plan", "--detailed-exitcode");
        Assert.That(plan.ExitCode, Is.Zero, plan.All);
        HaSetUp.Workspace.Apply();
        HaSetUp.Workspace.AssertNothingToDo();
        foreach (var host in s_lost)
        {
            Assert.That(Lab.OnHost(host, "ls -d /opt/keybuzz/postgres/data/*.lost-*/PG_VERSION"), Is.Not.Empty);
        }
    }

    // The same two are lost again, and the password of the first recovery is known to them.
    [Test]
    [DependsOnTest(nameof(One_apply_makes_returned_members_replicas_and_keeps_their_old_data_aside_until_confirmed))]
    public void A_second_recovery_before_the_first_is_confirmed_has_a_fence_of_its_own()
    {
        var first = Ha.Credentials;
        Off();

        Outcome again = null;
        Lab.Until(
            () => (again = HaSetUp.Workspace.Kbr(["recover", .. Lost(), "--auto-approve"])).ExitCode == 0,
            TimeSpan.FromSeconds(180),
            () => again.All
        );
        Assert.That(Ha.Credentials, Is.Not.EqualTo(first), "a new password");
        On();
        Lab.Until(() => s_lost.All(Ha.Answers), TimeSpan.FromSeconds(120), "the old members' own start");
        Assert.That(Ha.Sql(s_survivor, "SELECT pg_is_in_recovery()"), Is.EqualTo("f"));
        var apply = HaSetUp.Workspace.Kbr("apply", "--auto-approve");
        Assert.That(apply.ExitCode, Is.Zero, apply.All);
        Ha.AssertHealthy(HaSetUp.Workspace);
        foreach (var host in s_lost)
        {
            Assert.That(Lab.OnHost(host, "ls -d /opt/keybuzz/postgres/data/*.lost-* | wc -l").Trim(), Is.EqualTo("2"));
        }

        var confirmed = HaSetUp.Workspace.Kbr("recover", "confirm", "--confirm", Ha.Scope);
        Assert.That(confirmed.ExitCode, Is.Zero, confirmed.All);
        s_isConfirmed = true;
        foreach (var host in Ha.Members)
        {
            Assert.That(
                Lab.OnHost(host, "ls /opt/keybuzz/postgres /opt/keybuzz/postgres/data /var/lib/kbr | grep -E 'lost|recover' || true"),
                Is.Empty
            );
        }
    }

    // The primary last: the survivor cannot take over.
    private static void Off()
    {
        foreach (var host in s_lost)
        {
            Lab.Command("off", "--crash", host);
        }
    }

    private static void On() => Parallel.ForEach(s_lost, host => Lab.Command("on", host));

    private static void KillOnce(Func<bool> condition, string what)
    {
        using var killed = HaSetUp.Workspace.Start(["recover", .. Lost(), "--confirm", Ha.Scope]);
        Lab.Until(() => killed.HasExited || condition(), TimeSpan.FromMinutes(5), what);
        Assert.That(killed.HasExited, Is.False, what);
        killed.Kill();
        killed.WaitForExit(10_000);
    }

    private static IEnumerable<string> Lost() => s_lost.SelectMany(host => new[] { "--lost", host });
}
