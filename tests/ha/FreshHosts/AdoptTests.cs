using KeyBuzz.Reconciler.HaTests;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.FreshHosts;

/// <summary>A cluster that was installed by hand as the runbook does (lab/runbook), adopted as docs/adopting.md says: what is to be typed on the members is taken from there.</summary>
[TestFixture]
[Category(Ha.FreshHosts)]
public sealed class AdoptTests
{
    private const string Guide = "docs/adopting.md";

    [Test]
    public void A_cluster_installed_by_hand_is_adopted_with_all_rows_and_losing_all_records_is_mended_by_an_import()
    {
        Lab.Command("up");
        Lab.Command("reset");
        // One superuser and one replication user, by the names that the runbook used.
        using var workspace = Ha.Open(secrets => secrets.Replace("POSTGRES_SUPERUSER=kb_admin", "POSTGRES_SUPERUSER=postgres").Replace("POSTGRES_REPL_USER=kb_repl", "POSTGRES_REPL_USER=replicator"));
        var byHand = Lab.Run(Lab.Root, "env", "POSTGRES_SUPERPASS=canary-super-Zq7xW4", "POSTGRES_REPL_PASS=canary-repl-Kp3vT9", "POSTGRES_APP_PASS=canary-app-Xw8rM2", Path.Combine(Lab.Root, "lab/runbook"));
        Assert.That(byHand.ExitCode, Is.Zero, byHand.All);
        var redis = Lab.OnHost("haproxy-01", "docker inspect -f '{{.Id}} {{.State.StartedAt}}' redis");

        workspace.Yaml = workspace.Yaml.Replace("  proxies: lb\n", "  proxies: lb\n  raft_password: false\n").Replace("    shared_buffers: 64MB\n", "    shared_buffers: 128MB\n");

        // Nothing that somebody else made is changed without a word.
        var plan = workspace.Kbr("plan");
        Assert.That(plan.ExitCode, Is.EqualTo(1));
        Assert.That(plan.All, Does.Contain("volume.postgres@db-slave-01 exists and was not made by kbr").And.Contain("container.patroni@db-slave-01 not planned").And.Contain("role.postgres@keybuzz-pg exists and was not made by kbr"));

        // 1. Recorded as it is.
        var import = workspace.Kbr("import", "--auto-approve");
        Assert.That(import.ExitCode, Is.Zero, import.All);
        Assert.That(import.Output, Does.Contain("= container.patroni@db-slave-01  adopted: exists and differs").And.Contain("= role.postgres@keybuzz-pg").And.Contain("= container.haproxy@haproxy-02"));
        Assert.That(Lab.OnHost("haproxy-01", "docker inspect -f '{{.Id}} {{.State.StartedAt}}' redis"), Is.EqualTo(redis));

        // 2. Passwords as SCRAM, while all runs.
        var roles = workspace.Kbr("apply", "--auto-approve", "--target", "role.*");
        Assert.That(Ha.Sql(Ha.Leader(), "SELECT count(*) FROM pg_authid WHERE rolname IN ('postgres', 'replicator', 'kb_app') AND rolpassword LIKE 'SCRAM%'", "postgres", "postgres"), Is.EqualTo("3"), roles.All);

        // 3. The old unit goes.
        foreach (var host in Ha.Members)
        {
            Lab.OnHost(host, Steps("on each member"));
        }

        // 4. Converged, while applications write.
        var foreseen = workspace.Kbr("plan");
        Assert.That(foreseen.ExitCode, Is.Zero, foreseen.All);
        Assert.That(foreseen.Output, Does.Contain("holds: PG_VERSION").And.Contain("/opt/keybuzz/postgres/data.before-kbr").And.Contain("3 rolling restarts, 1 switchover"));
        TrafficReport report;
        using (var direct = TrafficWriter.Start("while_adopted", superuser: "postgres"))
        {
            workspace.Apply();
            report = direct.Stop();
        }

        TestContext.Out.WriteLine($"adopted under a writer: {report}");
        workspace.AssertNothingToDo();
        Assert.Multiple(() =>
        {
            Assert.That(report.Lost, Is.Empty, report.ToString());
            Assert.That(report.Servers, Has.Count.EqualTo(2), $"one switchover: {report}");
            Assert.That(report.LongestGap, Is.LessThan(TimeSpan.FromSeconds(20)), report.ToString());
            Assert.That(Ha.Sql(Ha.Leader(), "SELECT count(*), sum(id) FROM orders", superuser: "postgres"), Is.EqualTo("1000|500500"));
            Assert.That(Lab.OnHost("haproxy-01", "docker inspect -f '{{.Id}} {{.State.StartedAt}}' redis"), Is.EqualTo(redis), "another module's container");
            foreach (var host in Ha.Members)
            {
                Assert.That(Lab.OnHost(host, "ls -d /opt/keybuzz/postgres/data.before-kbr/PG_VERSION /opt/keybuzz/postgres/data/pgdata/PG_VERSION /etc/patroni/patroni.yml").Trim().Split('\n'), Has.Length.EqualTo(3), $"{host}: nothing of the old installation is deleted");
            }
        });

        // 5. RAFT's password, of all members together.
        workspace.Yaml = workspace.Yaml.Replace("  raft_password: false\n", "");
        Assert.That(workspace.Kbr("plan").Output, Does.Contain("all of them are stopped and started together"));
        workspace.Apply();
        workspace.AssertNothingToDo();

        // All records lost, and the operator's copy.
        Lab.OnHosts(Lab.Hosts.Select(host => (host, "rm -rf /var/lib/kbr")));
        Directory.Delete(Path.Combine(workspace.Directory, "state"), recursive: true);
        Assert.That(workspace.Plan(), Is.Not.Empty.And.All.Match(" adopt found_as_wanted $"));
        var again = workspace.Kbr("import", "--auto-approve");
        Assert.That(again.ExitCode, Is.Zero, again.All);
        workspace.AssertNothingToDo();
    }

    // The commands of the guide under that heading.
    private static string Steps(string where)
    {
        var block = System.Text.RegularExpressions.Regex.Match(File.ReadAllText(Path.Combine(Lab.Root, Guide)), $@"```sh\n# {where}, as root\n(.*?)```", System.Text.RegularExpressions.RegexOptions.Singleline);
        Assert.That(block.Success, Is.True, $"{Guide} says what to do {where}");
        return "set -e\n" + block.Groups[1].Value;
    }
}
