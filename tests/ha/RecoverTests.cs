using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Two of three members are lost: the third goes on by one command, and one apply rebuilds the others.</summary>
[TestFixture]
[Category(Ha.Live)]
[DependsOnFixture(typeof(SharedDirectoryTests), AllowFailure = true)]
public sealed class RecoverTests
{
    private const string Count = "SELECT count(*) FROM recovered";

    private static string s_credentials = "";
    private static string s_survivor = "";
    private static string[] s_lost = [];

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
        foreach (var host in s_lost)
        {
            Lab.Run(Lab.Root, Path.Combine(Lab.Root, "lab/on"), host);
        }

        // The next fixtures know RAFT's first password.
        HaSetUp.Workspace.Kbr("apply", "--auto-approve");
        Ha.Credentials = s_credentials;
        HaSetUp.Workspace.Apply();
        Ha.Sql(Ha.Leader(), "DROP TABLE IF EXISTS recovered");
    }

    [Test]
    public void While_the_cluster_has_a_primary_or_a_silent_host_is_not_declared_lost_nothing_is_done()
    {
        var healthy = HaSetUp.Workspace.Kbr("recover", "--auto-approve");
        Assert.That(healthy.ExitCode, Is.EqualTo(1), healthy.All);
        Assert.That(healthy.Error, Does.Contain($"{Ha.Leader()} is the primary of keybuzz-pg: there is nothing to recover"));

        // The primary last: the survivor cannot take over.
        foreach (var host in s_lost)
        {
            Lab.Command("off", "--crash", host);
        }

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

    [Test]
    [DependsOnTest(nameof(While_the_cluster_has_a_primary_or_a_silent_host_is_not_declared_lost_nothing_is_done))]
    public void With_two_of_three_lost_one_command_opens_writes_on_the_survivor_with_every_row_it_had()
    {
        var asked = HaSetUp.Workspace.Kbr(["recover", .. Lost()]);
        Assert.That(asked.ExitCode, Is.EqualTo(1), asked.All);
        Assert.That(
            asked.Output,
            Does.Match($@"{s_survivor}: timeline \d+, LSN [0-9A-F]+/[0-9A-F]+, 0 bytes behind the furthest survivor; ")
                .And.Contain($"unknown: what only {s_lost[0]} and {s_lost[1]} had")
        );
        Assert.That(asked.Error, Does.Contain("recover was not confirmed; nothing was changed"));

        var done = HaSetUp.Workspace.Kbr(["recover", .. Lost(), "--confirm", Ha.Scope]);
        TestContext.Out.WriteLine(done.All);
        Assert.That(done.ExitCode, Is.Zero, done.All);
        Assert.That(done.Output, Does.Contain($"{s_survivor} is the primary of keybuzz-pg, alone, and takes writes."));
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
    }

    [Test]
    [DependsOnTest(nameof(With_two_of_three_lost_one_command_opens_writes_on_the_survivor_with_every_row_it_had))]
    public void Old_members_that_come_back_do_not_join_the_recovered_cluster_nor_take_a_write_of_a_proxy()
    {
        foreach (var host in s_lost)
        {
            Lab.Command("on", host);
        }

        // By themselves they are the old majority, and may even elect a primary: it must not be one that anybody reaches.
        Lab.Until(() => s_lost.All(Ha.Answers), TimeSpan.FromSeconds(120), "the old members' own start");
        Assert.That(Ha.Sql(s_survivor, "SELECT pg_is_in_recovery()"), Is.EqualTo("f"));
        var network = Regex.Match(HaSetUp.Workspace.Yaml, @"address: (10\.\d+\.0\.)120").Groups[1].Value;
        foreach (var number in Enumerable.Range(0, 20))
        {
            Lab.OnHost(
                s_survivor,
                $"docker exec -e PGPASSWORD={Ha.ApplicationPassword} patroni psql -X -q -v ON_ERROR_STOP=1 -h {network}{11 + (number % 2)} "
                    + $"-U {Ha.Application} -d {Ha.Database} -c 'INSERT INTO recovered VALUES ({2001 + number})'"
            );
        }

        Assert.That(Ha.Sql(s_survivor, Count), Is.EqualTo("80"), "every row that a proxy acknowledged");
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

        Ha.AllHave("recovered", 80);
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

        var confirmed = HaSetUp.Workspace.Kbr("recover", "confirm", "--confirm", Ha.Scope);
        Assert.That(confirmed.ExitCode, Is.Zero, confirmed.All);
        foreach (var host in Ha.Members)
        {
            Assert.That(
                Lab.OnHost(host, "ls /opt/keybuzz/postgres /opt/keybuzz/postgres/data /var/lib/kbr | grep -E 'lost|recover' || true"),
                Is.Empty
            );
        }
    }

    private static IEnumerable<string> Lost() => s_lost.SelectMany(host => new[] { "--lost", host });
}
