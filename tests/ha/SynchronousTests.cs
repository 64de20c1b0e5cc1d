using System.Text.Json;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Synchronous replication: turned on and off while the cluster runs, and what it is for.</summary>
[TestFixture]
[Category(Ha.Live)]
[Category(Ha.Slice5)]
[DependsOnFixture(typeof(LiveChangeTests), AllowFailure = true)]
public sealed class SynchronousTests
{
    private const string Version = "\n  version: 17\n";

    [Test]
    public void Turned_on_without_a_restart_it_keeps_every_acknowledged_write_of_a_cut_off_leader()
    {
        var before = Ha.Members.Select(Ha.Started).ToList();
        HaSetUp.Workspace.Yaml = HaSetUp.Workspace.Yaml.Replace(Version, Version + "  synchronous: true\n", StringComparison.Ordinal);

        Assert.That(
            HaSetUp.Workspace.Made(),
            Is.EqualTo(new[] { "config_file.patroni@db-master-01", "patroni_config.keybuzz-pg@keybuzz-pg" })
        );

        Assert.That(Ha.Members.Select(Ha.Started), Is.EqualTo(before), "no member was restarted");
        HaSetUp.Workspace.AssertNothingToDo();
        var leader = Ha.Leader();
        var standby = Ha.Sql(leader, "SELECT application_name FROM pg_stat_replication WHERE sync_state = 'sync'", "postgres");
        var status = HaSetUp.Workspace.Kbr("status");
        Assert.That(status.Output, Does.Match($"ok +synchronous +commits wait for {standby}\\n"), status.All);
        var other = Ha.Members.Single(member => member != leader && member != standby);
        var refused = HaSetUp.Workspace.Kbr("switchover", "--to", other, "--auto-approve");
        Assert.That((refused.ExitCode, refused.Error), Is.EqualTo((1, refused.Error)), refused.All);
        Assert.That(refused.Error, Does.Contain($"{other} cannot take over: it is not the synchronous standby, {standby} is"));

        var drill = HaSetUp.Workspace.Kbr("drill", "--kind", "cut-peers", "--auto-approve", "--json");

        TestContext.Out.WriteLine(drill.Output);
        Assert.That(drill.ExitCode, Is.Zero, drill.All);
        using var report = JsonDocument.Parse(drill.Output);
        Assert.That(report.RootElement.GetProperty("synchronous").GetBoolean(), Is.True);
        Assert.That(report.RootElement.GetProperty("ways").EnumerateArray().Select(way => way.GetProperty("lost").GetInt32()), Is.All.Zero);
        Assert.That(Ha.Leader(), Is.EqualTo(standby));
        Ha.AssertHealthy(HaSetUp.Workspace);
    }

    [Test]
    [DependsOnTest(nameof(Turned_on_without_a_restart_it_keeps_every_acknowledged_write_of_a_cut_off_leader), AllowFailure = true)]
    public void Strict_a_commit_waits_until_a_standby_streams()
    {
        HaSetUp.Workspace.Yaml = HaSetUp.Workspace.Yaml.Replace(
            "  synchronous: true\n",
            "  synchronous: { strict: true }\n",
            StringComparison.Ordinal
        );
        HaSetUp.Workspace.Apply();
        HaSetUp.Workspace.AssertNothingToDo();
        var leader = Ha.Leader();
        Ha.Write("strict", 10);

        // RAFT and REST go on: the leader keeps its lock, and only its standbys are gone.
        Lab.OnHost(leader, "iptables -I INPUT -p tcp --dport 5432 ! -i lo -j REJECT --reject-with tcp-reset");
        try
        {
            Ha.Sql(leader, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication", "postgres");
            using var commit = Lab.StartOn(
                leader,
                $"docker exec patroni psql -X -A -t -v ON_ERROR_STOP=1 -U {Ha.Superuser} -d {Ha.Database} -c 'INSERT "
                    + $"INTO strict VALUES (11) RETURNING id'"
            );

            // Where it is not strict, Patroni lets the commit go as soon as it has seen that there is no standby; here any standby will do
            // from then on.
            Lab.Until(
                () => Ha.Sql(leader, "SHOW synchronous_standby_names", "postgres") == "*",
                TimeSpan.FromSeconds(60),
                "Patroni to see that nobody streams"
            );
            Lab.Until(() => Waiting() == "1", TimeSpan.FromSeconds(30), "the commit to wait for a standby");
            var status = HaSetUp.Workspace.Kbr("status");
            Assert.That(status.ExitCode, Is.EqualTo(2), status.All);
            Assert.That(status.Output, Does.Contain("there is no synchronous standby: no write is committed"), status.All);
            Assert.That((Waiting(), commit.HasExited), Is.EqualTo(("1", false)));

            Lab.OnHost(leader, "iptables -D INPUT -p tcp --dport 5432 ! -i lo -j REJECT --reject-with tcp-reset");
            var acknowledged = Lab.Finish(commit, TimeSpan.FromSeconds(120));
            Assert.That(
                (acknowledged.ExitCode, acknowledged.Output.Trim(), acknowledged.Error),
                Is.EqualTo((0, "11\nINSERT 0 1", "")),
                acknowledged.All
            );
        }
        finally
        {
            Lab.OnHost(
                leader,
                "rule='INPUT -p tcp --dport 5432 ! -i lo -j REJECT --reject-with tcp-reset'; if iptables -C $rule "
                    + "2>/dev/null; then iptables -D $rule; fi"
            );
        }

        Assert.That(Ha.Leader(), Is.EqualTo(leader));
        Ha.AllHave("strict", 11);
        Ha.AssertHealthy(HaSetUp.Workspace);

        string Waiting() =>
            Ha.Sql(
                leader,
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'INSERT INTO strict%'",
                "postgres"
            );
    }

    [Test]
    [DependsOnTest(nameof(Strict_a_commit_waits_until_a_standby_streams), AllowFailure = true)]
    public void Turned_off_by_hand_it_is_repaired_and_turned_off_by_an_apply_commits_wait_for_no_standby()
    {
        Patch("{\"synchronous_mode\": false}");

        var status = HaSetUp.Workspace.Kbr("status");
        Assert.That(status.ExitCode, Is.EqualTo(2), status.All);
        Assert.That(
            status.Output,
            Does.Contain("declared, but off in Patroni's configuration: an acknowledged write can be lost"),
            status.All
        );
        Assert.That(HaSetUp.Workspace.Plan(), Is.EqualTo(new[] { "patroni_config.keybuzz-pg@keybuzz-pg update drift synchronous_mode" }));
        HaSetUp.Workspace.Apply();

        HaSetUp.Workspace.Yaml = HaSetUp.Workspace.Yaml.Replace("  synchronous: { strict: true }\n", "", StringComparison.Ordinal);
        HaSetUp.Workspace.Apply();

        Lab.Until(
            () => Ha.Sql(Ha.Leader(), "SHOW synchronous_standby_names", "postgres").Length == 0,
            TimeSpan.FromSeconds(60),
            "commits that wait for nobody"
        );
        HaSetUp.Workspace.AssertNothingToDo();
    }

    // As somebody does it who knows Patroni's REST API and its password.
    private static void Patch(string json) =>
        Lab.OnHost(
            Ha.Leader(),
            "docker exec -i patroni python3 - <<'P'\nimport yaml, base64, urllib.request as u\nc = "
                + $"yaml.safe_load(open('/etc/patroni/{Ha.PatroniFile}'))['restapi']\n"
                + $"r = u.Request('http://' + c['connect_address'] + '/config', method='PATCH', data='{json}'.encode(), "
                + $"headers={{'Authorization': 'Basic ' + base64.b64encode((c['authentication']['username'] + ':' + "
                + $"c['authentication']['password']).encode()).decode()}})\nu.urlopen(r)\nP"
        );
}
