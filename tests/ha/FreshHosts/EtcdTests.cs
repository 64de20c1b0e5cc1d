using System.Globalization;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.HaTests;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.FreshHosts;

/// <summary>A cluster with <c>store: etcd</c>, from empty hosts to its removal; and PostgreSQL 16, which no Debian suite has, so without
/// pgvector (lab/README.md).</summary>
[TestFixture]
[Category(Ha.FreshHosts)]
[Category(Ha.Slice7)]
public sealed class EtcdTests
{
    private const string Password = "canary-etcd-Rm4kD8";
    private const string RootPassword = "canary-root-Bx9wT2";

    // A slow machine must not look like a failure.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    [Test]
    public void It_is_installed_although_applies_are_killed_keeps_its_quorum_replaces_a_member_rolls_out_and_goes()
    {
        Lab.WithNewHosts();
        using var workspace = Ha.Open(secrets => $"{secrets}PATRONI_ETCD_PASS={Password}\nETCD_ROOT_PASS={RootPassword}\n");
        var image = Lab.Images()["ETCD"];
        var raft = Regex
            .Replace(workspace.Yaml, @"(?m)^  image: .*$", $"  image: {Lab.Images()["PATRONI16"]}")
            .Replace("  version: 17", "  version: 16", StringComparison.Ordinal)
            .Replace("  extensions: [vector]\n", "", StringComparison.Ordinal);
        Assert.That(raft, Does.Contain("version: 16").And.Not.Contain("vector"));
        var yaml = raft.Replace("  version: 16", $"  version: 16\n  store: {{ etcd: {{ image: '{image}' }} }}", StringComparison.Ordinal);
        workspace.Yaml = yaml;
        KilledAtSteps(workspace);
        KilledWhen(workspace, "db-slave-01", "docker ps -q -f name=etcd", "the first member of etcd");
        KilledWhen(workspace, "db-master-01", "find /opt/keybuzz -name PG_VERSION 2>/dev/null || true", "the bootstrap");
        workspace.Apply();
        workspace.AssertNothingToDo();
        Assert.That(Ha.Sql(Ha.Leader(), "SHOW server_version"), Does.StartWith("16."));
        Ha.UntilHealthy(workspace, TimeSpan.FromSeconds(60));
        var status = workspace.Kbr("status");
        Assert.That(status.ExitCode, Is.Zero, status.All);
        Assert.That(status.Output, Does.Match(@"connected to 2 of 2 partners; etcd 3\.5\.\d+, database [0-9.]+ MiB of 512 MiB"));
        AssertNobodyReadsItOrItsPasswords(workspace);
        AssertItMovesToRaftAndBack(workspace, raft);
        var recovery = workspace.Kbr("recover", "--auto-approve");
        Assert.That(
            (recovery.ExitCode, recovery.All.Contains("kbr recovers no cluster with", StringComparison.Ordinal)),
            Is.EqualTo((1, true))
        );

        Assert.That(workspace.Kbr("switchover", "--auto-approve").ExitCode, Is.Zero);
        var primary = Ha.Leader();
        var before = Ha.Started(primary);
        using var writer = TrafficWriter.Start("etcd_rolls", password: Ha.ApplicationPassword, patience: s_patience);

        // One member lost and back; then one that has lost its data, which joins again as a learner that the apply promotes.
        var other = Ha.Members.First(member => member != primary);
        Lab.OnHost(other, "systemctl stop etcd");
        Assert.That(workspace.Kbr("status").All, Does.Contain($"{other}: etcd does not run"));
        workspace.Apply();
        Lab.OnHost(primary, "systemctl stop etcd && rm -rf /opt/keybuzz/postgres/etcd/member");
        workspace.Apply();
        Assert.That(
            Lab.OnHost(primary, "docker exec etcd etcdctl member list"),
            Does.Match($"started, {primary}, .*, false").And.Not.Contain("true").And.Not.Contain("unstarted")
        );

        // All three restart in turn, the leader after its lead was moved.
        workspace.Yaml = yaml.Replace("{ etcd: { image", "{ etcd: { quota: 256MiB, image", StringComparison.Ordinal);
        var rolled = workspace.Kbr("apply", "--auto-approve");
        Assert.That(rolled.ExitCode, Is.Zero, rolled.All);
        Assert.That(rolled.Output, Does.Contain("keybuzz-pg-etcd 3 of 3: restarting "));

        // Without any etcd for longer than the lease: the primary goes on, because every member tells it so.
        foreach (var member in Ha.Members)
        {
            Lab.OnHost(member, "systemctl stop etcd");
        }

        writer.UntilAcknowledged(30 * 5, TimeSpan.FromSeconds(120));
        workspace.Apply();
        workspace.AssertNothingToDo();

        var report = writer.Stop();
        TestContext.Out.WriteLine($"writer: {report}");
        Assert.That(Ha.Started(primary), Is.EqualTo(before), "the primary was neither restarted nor demoted");
        Assert.That((report.Failed, report.Cut, report.Lost.Count, report.Servers.Count), Is.EqualTo((0, 0, 0, 1)), $"{report}");

        var destroyed = workspace.Kbr("destroy", "--auto-approve");
        Assert.That(destroyed.ExitCode, Is.Zero, destroyed.All);
        Assert.That(Lab.OnHost("db-master-01", "docker ps -aq").Trim(), Is.Empty);
    }

    // At steps of a seed, each further on; eng/kill-sweep.sh ha does so at every step. The plan after each is true: changes, and no error.
    private static void KilledAtSteps(Workspace workspace)
    {
        var random = new Random(20261126);
        foreach (var moment in (string[])["before:{0}", "during:{0}:100", "after:{0}"])
        {
            var point = string.Format(CultureInfo.InvariantCulture, moment, Lab.Hosts.Length + random.Next(1, 16));
            workspace.Killed(point, "apply", "--auto-approve");

            // What it had begun on the hosts ends by itself; only then is there one truth to plan from.
            Lab.OnHosts(
                Lab.Hosts.Select(host => (host, "mkdir -p /run/kbr && flock -w 120 /run/kbr/lock flock -w 120 /run/kbr/work true"))
            );
            var plan = workspace.Kbr("plan", "--detailed-exitcode");
            Assert.That(plan.ExitCode, Is.EqualTo(2), $"after the kill {point}: {plan.All}");
        }
    }

    // As soon as the host prints anything. A new cluster of etcd starts on all members or, after such a kill, on those that had no turn
    // yet.
    private static void KilledWhen(Workspace workspace, string host, string command, string what)
    {
        using var apply = workspace.Start("apply", "--auto-approve");
        Lab.Until(() => apply.HasExited || Lab.OnHost(host, command).Trim().Length > 0, TimeSpan.FromSeconds(120), what);
        Assert.That(apply.HasExited, Is.False, $"it ended before it could be killed: {what}");
        apply.Kill();
        apply.WaitForExit();
    }

    private static void AssertNobodyReadsItOrItsPasswords(Workspace workspace)
    {
        Assert.That(
            Lab.OnHost("db-master-01", "docker exec etcd etcdctl get --prefix / 2>&1 || true"),
            Does.Contain("user name is empty"),
            "nobody reads it without a password"
        );
        var seen =
            workspace.Kbr("plan", "--verbose").All
            + workspace.Kbr("status", "--json").All
            + Lab.OnHost(
                "db-master-01",
                "docker inspect etcd patroni; ps -eo args; cat /var/lib/kbr/keybuzz-pg/*; docker logs etcd 2>&1; docker logs patroni 2>&1"
            );
        Assert.That(seen, Does.Not.Contain(Password).And.Not.Contain(RootPassword));
    }

    // Each way in one window; the first one is cut off in it, and the next apply goes on.
    private static void AssertItMovesToRaftAndBack(Workspace workspace, string raft)
    {
        var (etcd, database) = (workspace.Yaml, Identity());
        using var writer = TrafficWriter.Start("store_moves", password: Ha.ApplicationPassword, patience: s_patience);
        writer.UntilAcknowledged(20, TimeSpan.FromSeconds(30));
        workspace.Yaml = raft;
        Assert.That(
            workspace.Kbr("plan").Output,
            Does.Match("stop [a-z0-9 -]+, then start them together +[(]from etcd to RAFT; db-[a-z0-9-]+ stops last, starts first and leads")
        );
        using (var apply = workspace.Start("apply", "--auto-approve"))
        {
            Lab.Until(() => apply.HasExited || Ha.Members.Any(IsStopped), TimeSpan.FromSeconds(120), "the first stopped member");
            Assert.That(apply.HasExited, Is.False, "it ended before it could be killed");
            apply.Kill();
            apply.WaitForExit();
        }

        Assert.That(
            Ha.Members.Count(member =>
                Lab.OnHost(member, "curl -sf -m 5 -o /dev/null http://$(hostname):8008/primary && echo leads || true").Length > 0
            ),
            Is.LessThan(2),
            "primaries"
        );
        workspace.Apply();
        workspace.AssertNothingToDo();
        Assert.That(Ha.Members.Select(member => Lab.OnHost(member, "docker ps -a --format '{{.Names}}'")), Has.None.Contains("etcd"));
        Assert.That(Identity(), Is.EqualTo(database));

        workspace.Yaml = etcd;
        workspace.Apply();
        workspace.AssertNothingToDo();
        Assert.That(Identity(), Is.EqualTo(database));
        writer.UntilAcknowledged(20, TimeSpan.FromSeconds(60));
        var report = writer.Stop();
        TestContext.Out.WriteLine($"moves: {report}");
        Assert.That(report.Lost, Is.Empty, $"{report}");

        static bool IsStopped(string member) => Lab.OnHost(member, "docker ps -q -f name='^patroni$'").Trim().Length == 0;

        static string Identity() =>
            Lab.OnHost(
                Ha.Leader(),
                "docker exec -i patroni psql -X -A -t -q -U kb_admin -d keybuzz -c 'SELECT system_identifier FROM pg_control_system()'"
            );
    }
}
