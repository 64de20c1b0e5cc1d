using System.Text.Json;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>The lead is moved, and taken away, under writers of kbr's own.</summary>
[TestFixture]
[Category(Ha.Slice2)]
[DependsOnFixture(typeof(HandMadeChangeTests), AllowFailure = true)]
public sealed class DrillTests
{
    private static readonly string[] s_byHand = DocumentedBlocks.With("docs/failover.md", "systemctl start kbr-drill.service");

    [Test]
    public void A_switchover_promotes_the_named_member_and_refuses_the_present_primary()
    {
        var leader = Ha.Leader();
        var target = Ha.Members.Last(member => member != leader);

        var outcome = HaSetUp.Workspace.Kbr("switchover", "--to", target, "--auto-approve", "--json");

        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
        using var document = JsonDocument.Parse(outcome.Output);
        Assert.That(
            (document.RootElement.GetProperty("from").GetString(), document.RootElement.GetProperty("to").GetString()),
            Is.EqualTo((leader, target))
        );
        Assert.That(Ha.Leader(), Is.EqualTo(target));
        var again = HaSetUp.Workspace.Kbr("switchover", "--to", target, "--auto-approve");
        Assert.That(again.ExitCode, Is.EqualTo(1), again.All);
        Assert.That(again.Error, Does.Contain($"{target} cannot take over: it is already the primary"));
        Ha.AssertHealthy(HaSetUp.Workspace);
    }

    [Test]
    [DependsOnTest(nameof(A_switchover_promotes_the_named_member_and_refuses_the_present_primary), AllowFailure = true)]
    public void A_drill_by_switchover_loses_no_acknowledged_write_and_leaves_nothing_behind()
    {
        var leader = Ha.Leader();

        var outcome = HaSetUp.Workspace.Kbr("drill", "--auto-approve");

        TestContext.Out.WriteLine(outcome.Output);
        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
        Assert.That(outcome.Output, Does.Contain($"{leader} before, {Ha.Leader()} after").And.Contain("Passed: "));
        Assert.That(Ha.Leader(), Is.Not.EqualTo(leader));
        foreach (var proxy in Ha.Proxies)
        {
            Lab.Until(
                () => Lab.OnHost(proxy, "ss -Htn state close-wait '( sport = :5432 )'").Trim().Length == 0,
                TimeSpan.FromSeconds(20),
                $"HAProxy of {proxy} to end what its clients have ended"
            );
        }

        AssertNothingLeft();
    }

    [Test]
    [DependsOnTest(nameof(A_drill_by_switchover_loses_no_acknowledged_write_and_leaves_nothing_behind), AllowFailure = true)]
    public void When_kbr_is_killed_in_a_drill_the_host_undoes_the_fault_by_itself()
    {
        var leader = KilledDrill();

        Assert.That(Rules(leader), Is.Not.Empty, "the cut is still there");
        Assert.That(Lab.OnHost(leader, "systemctl is-active kbr-drill.timer").Trim(), Is.EqualTo("active"));
        Lab.Until(() => Rules(leader).Length == 0, TimeSpan.FromSeconds(60), "the timer on the host");
        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(120));
        Assert.That(Ha.Members.SelectMany(Units), Is.Empty);
    }

    [Test]
    [DependsOnTest(nameof(When_kbr_is_killed_in_a_drill_the_host_undoes_the_fault_by_itself), AllowFailure = true)]
    public void A_fault_that_a_killed_drill_left_is_seen_and_undone_by_hand()
    {
        var leader = KilledDrill();

        Assert.That(s_byHand, Has.Length.EqualTo(3));
        Assert.That(Lab.OnHost(leader, s_byHand[0]), Does.Match(@"(?m) kbr-drill\.timer +kbr-drill\.service *$"));
        Lab.OnHost(leader, s_byHand[1]);
        Assert.That(Rules(leader), Is.Empty);
        Lab.OnHost(leader, s_byHand[2]);

        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(120));
        Assert.That(Ha.Members.SelectMany(Units), Is.Empty);
    }

    [Test]
    [DependsOnTest(nameof(A_fault_that_a_killed_drill_left_is_seen_and_undone_by_hand), AllowFailure = true)]
    public void A_drill_by_kill_reports_the_gap_each_way_draws_it_and_drops_what_a_killed_drill_left()
    {
        var leader = Ha.Leader();
        var before = Ha.Started(leader);
        var picture = Path.Combine(HaSetUp.Workspace.Directory, "drill.svg");

        var outcome = HaSetUp.Workspace.Kbr("drill", "--kind", "kill", "--auto-approve", "--json", "--svg", picture);

        TestContext.Out.WriteLine(outcome.Output);
        Assert.That(outcome.ExitCode, Is.AnyOf(0, 2), outcome.All);
        using var document = JsonDocument.Parse(outcome.Output);
        var report = document.RootElement;
        var ways = report.GetProperty("ways").EnumerateArray().ToList();
        var lost = ways.Sum(way => way.GetProperty("lost").GetInt32());
        Assert.That(outcome.ExitCode, Is.EqualTo(lost == 0 ? 0 : 2), outcome.All);
        Assert.That(lost, Is.LessThan(5), "at most what no replica had received yet");
        Assert.That(report.GetProperty("leader_before").GetString(), Is.EqualTo(leader));
        Assert.That(Ha.Started(leader), Is.Not.EqualTo(before), "it was killed");
        foreach (var way in ways)
        {
            Assert.That(way.GetProperty("longest_gap_seconds").GetDouble(), Is.InRange(0.5, 60), way.ToString());
            Assert.That(way.GetProperty("acknowledged").GetInt32(), Is.GreaterThan(20), way.ToString());
        }

        Assert.That(File.ReadAllText(picture), Does.StartWith("<svg ").And.EndWith("</svg>\n"));
        AssertNothingLeft();
        Ha.AssertHealthy(HaSetUp.Workspace);
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    [DependsOnTest(nameof(A_drill_by_kill_reports_the_gap_each_way_draws_it_and_drops_what_a_killed_drill_left), AllowFailure = true)]
    public void Sessions_through_PgBouncer_wait_while_the_lead_is_handed_over_and_none_fails()
    {
        // Longer than any pause of a slow machine: what waits has not failed.
        var patience = TimeSpan.FromSeconds(60);
        using var kept = TrafficWriter.Start("handover_kept", TrafficWriter.Pooled, patience: patience);
        using var anew = TrafficWriter.Start("handover_anew", TrafficWriter.Pooled, keepsSession: false, patience: patience);
        var leader = Ha.Leader();

        var moved = HaSetUp.Workspace.Kbr("switchover", "--auto-approve", "--json");
        var restarted = HaSetUp.Workspace.Kbr("restart", "--all", "--auto-approve");
        var (keptReport, anewReport) = (kept.Stop(), anew.Stop());

        TestContext.Out.WriteLine($"{moved.Output}\nkept session: {keptReport}\nnew sessions: {anewReport}");
        Assert.That(moved.ExitCode, Is.Zero, moved.All);
        Assert.That(restarted.ExitCode, Is.Zero, restarted.All);
        using var document = JsonDocument.Parse(moved.Output);
        Assert.That(document.RootElement.GetProperty("from").GetString(), Is.EqualTo(leader));
        Assert.That(
            document.RootElement.GetProperty("paused").EnumerateArray().Select(host => host.GetString()),
            Is.EqualTo(Ha.Proxies),
            moved.Output
        );
        foreach (var report in new[] { keptReport, anewReport })
        {
            Assert.That((report.Failed, report.Cut, report.Lost.Count), Is.EqualTo((0, 0, 0)), report.ToString());
            Assert.That(report.Servers, Has.Count.GreaterThan(1), "more than one member has led");
        }

        AssertPoolsResumed();
    }

    [Test]
    [DependsOnTest(nameof(Sessions_through_PgBouncer_wait_while_the_lead_is_handed_over_and_none_fails), AllowFailure = true)]
    public void A_transaction_longer_than_the_patience_puts_a_hand_over_off_where_that_is_declared()
    {
        var leader = Ha.Leader();
        var yaml = HaSetUp.Workspace.Yaml;
        using var session = OpenSessions.Transaction(Ha.Application, Ha.ApplicationPassword);
        try
        {
            HaSetUp.Workspace.Yaml = yaml.Replace("postgres:\n", "postgres:\n  switchover: { patience: 2s, on_timeout: postpone }\n");
            var refused = HaSetUp.Workspace.Kbr("switchover", "--auto-approve");

            Assert.That(refused.ExitCode, Is.EqualTo(1), refused.All);
            Assert.That(refused.Error, Does.Contain("run for more than 2 s").And.Contain("on_timeout"));
            Assert.That(Ha.Leader(), Is.EqualTo(leader));
        }
        finally
        {
            HaSetUp.Workspace.Yaml = yaml;
        }

        session.Commit();
        AssertPoolsResumed();
    }

    [Test]
    [DependsOnTest(nameof(A_transaction_longer_than_the_patience_puts_a_hand_over_off_where_that_is_declared), AllowFailure = true)]
    public void When_kbr_is_killed_in_a_hand_over_the_hosts_resume_the_pools()
    {
        using var session = OpenSessions.Transaction(Ha.Application, Ha.ApplicationPassword);
        using var writer = TrafficWriter.Start("handover_killed", TrafficWriter.Pooled, patience: TimeSpan.FromSeconds(60));
        var yaml = HaSetUp.Workspace.Yaml;
        try
        {
            HaSetUp.Workspace.Yaml = yaml.Replace("postgres:\n", "postgres:\n  switchover: { patience: 8s }\n");
            using var moving = HaSetUp.Workspace.Start("switchover", "--auto-approve");
            Lab.Until(
                () => moving.HasExited || Ha.Proxies.All(proxy => PoolUnits(proxy).Length > 0),
                TimeSpan.FromSeconds(60),
                "the pools to be paused"
            );
            Assert.That(moving.HasExited, Is.False, moving.HasExited ? Lab.Finish(moving).All : "");

            moving.Kill();
            moving.WaitForExit();
        }
        finally
        {
            HaSetUp.Workspace.Yaml = yaml;
        }

        AssertPoolsResumed();
        foreach (var proxy in Ha.Proxies)
        {
            Assert.That(
                Lab.OnHost(proxy, "curl -s 'http://127.0.0.1:8404/stats;csv' | grep ^postgres,FRONTEND | cut -d, -f7").Trim(),
                Is.Not.EqualTo("0"),
                "new direct sessions are accepted"
            );
        }

        session.Commit();
        var report = writer.Stop();
        Assert.That((report.Failed, report.Cut, report.Lost.Count), Is.EqualTo((0, 0, 0)), report.ToString());
        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(60));
    }

    // The primary, cut off by a drill that has ended without undoing that.
    private static string KilledDrill()
    {
        var leader = Ha.Leader();
        using var drill = HaSetUp.Workspace.Start("drill", "--kind", "cut-peers", "--timeout", "15", "--auto-approve");
        Lab.Until(() => drill.HasExited || Rules(leader).Length > 0, TimeSpan.FromSeconds(60), "the cut");
        Assert.That(drill.HasExited, Is.False, drill.HasExited ? Lab.Finish(drill).All : "");

        drill.Kill();
        drill.WaitForExit();
        return leader;
    }

    private static string PoolUnits(string proxy) => Lab.OnHost(proxy, "systemctl list-units --all --plain --no-legend 'kbr-*'").Trim();

    private static void AssertPoolsResumed()
    {
        foreach (var proxy in Ha.Proxies)
        {
            Lab.Until(() => PoolUnits(proxy).Length == 0, TimeSpan.FromSeconds(30), $"{proxy} to resume its pools");
            var state = Lab.OnHost(
                proxy,
                "docker exec pgbouncer psql -X -A -t -h /run/pgbouncer -p 6433 -U pgbouncer -d pgbouncer -c 'SHOW STATE'; ls /run/kbr"
            );
            Assert.That(state, Does.Contain("active|yes").And.Not.Contain("pools"), proxy);
        }
    }

    private static void AssertNothingLeft()
    {
        Assert.That(Ha.Members.SelectMany(Units), Is.Empty);
        Assert.That(Ha.Members.SelectMany(Rules), Is.Empty);
        Assert.That(Ha.Sql(Ha.Leader(), "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'kbr%'"), Is.Empty);
        // PgBouncer's own connections keep the name of their last client.
        Assert.That(
            Ha.Sql(
                Ha.Leader(),
                "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'kbr drill%' AND "
                    + "application_name <> 'kbr drill pooled'"
            ),
            Is.Empty
        );
    }

    private static string[] Units(string host) => Lines(host, "systemctl list-units --all --no-legend 'kbr-drill*'");

    private static string[] Rules(string host) =>
        Lines(host, "{ iptables -S; ip6tables -S; nft list tables; } 2>/dev/null | grep -i kbr_drill || true");

    private static string[] Lines(string host, string command) =>
        Lab.OnHost(host, command).Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
