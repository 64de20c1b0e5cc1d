using System.Globalization;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Parameters of PostgreSQL are changed while an application writes. Who was down when is read from the hosts' own logs, not from
/// kbr's words.</summary>
[TestFixture]
[Category(Ha.Live)]
[Category(Ha.Slice3)]
public sealed class ParameterTests
{
    // A session over a Unix socket is shown 0 keep-alives, and no archive command while nothing is archived; initdb has written
    // max_wal_size itself.
    private const string ShownOtherwise =
        "    tcp_keepalives_idle: 60\n    archive_command: 'test ! -f /archive/%f'\n    max_wal_size: 512MB\n"
        + "    DateStyle: iso, dmy\n    TimeZone: utc\n    track_io_timing: t\n";

    [Test]
    public void Parameters_that_are_only_reloaded_cut_no_session_lose_no_write_and_settle_however_they_are_shown()
    {
        var before = Ha.Members.Select(Ha.Started).ToList();
        using var sessions = new OpenSessions(Ha.Application, Ha.ApplicationPassword);
        using var writer = TrafficWriter.Start("reloaded");
        HaSetUp.Workspace.Yaml = HaSetUp.Workspace.Yaml.Replace("    work_mem: 8MB\n", "    work_mem: 9MB\n" + ShownOtherwise);

        // The first leader's file says what a new database would be made with.
        Assert.That(
            HaSetUp.Workspace.Made(),
            Is.EqualTo(new[] { "config_file.patroni@db-master-01", "patroni_config.keybuzz-pg@keybuzz-pg" })
        );

        var report = writer.Stop();
        TestContext.Out.WriteLine($"work_mem: {report}");
        sessions.AssertOpen();
        Assert.That(report.Lost, Is.Empty);
        Assert.That(Ha.Members.Select(Ha.Started), Is.EqualTo(before), "no member was restarted");
        Assert.That(Ha.Members.Select(member => Ha.Sql(member, "SHOW work_mem")), Is.All.EqualTo("9MB"));
        Assert.That(Ha.Sql(Ha.Leader(), "SHOW max_wal_size"), Is.EqualTo("512MB"));
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    [DependsOnTest(
        nameof(Parameters_that_are_only_reloaded_cut_no_session_lose_no_write_and_settle_however_they_are_shown),
        AllowFailure = true
    )]
    public void An_increase_of_max_connections_restarts_standbys_first_although_kbr_is_killed()
    {
        var leader = Ha.Leader();
        var since = Now();
        using var writer = TrafficWriter.Start("raised");
        HaSetUp.Workspace.Yaml = HaSetUp.Workspace.Yaml.Replace(ShownOtherwise, "    max_connections: 110\n");
        using (var apply = HaSetUp.Workspace.Start("apply", "--auto-approve"))
        {
            Lab.Until(() => apply.HasExited || Downtimes(since).Count > 0, TimeSpan.FromSeconds(180), "the first standby's restart");
            Assert.That(apply.HasExited, Is.False, apply.HasExited ? Lab.Finish(apply).All : "");
            apply.Kill();
            apply.WaitForExit();
        }

        HaSetUp.Workspace.Apply();

        var report = writer.Stop();
        var downtimes = Downtimes(since);
        TestContext.Out.WriteLine($"max_connections raised: {report}\n{string.Join('\n', downtimes)}");
        Assert.That(report.Lost, Is.Empty);
        AssertOneAtATime(downtimes);
        var members = downtimes.Select(down => down.Member).ToArray();
        Assert.That(members, Is.EquivalentTo(Ha.Members), "each was restarted, and none twice");
        Assert.That(members[^1], Is.EqualTo(leader), "it came last");
        Assert.That(Ha.Leader(), Is.Not.EqualTo(leader), "it had handed over");
        Assert.That(Ha.Members.Select(member => Ha.Sql(member, "SHOW max_connections")), Is.All.EqualTo("110"));
        Assert.That(Ha.Sql(Ha.Leader(), "SHOW max_wal_size"), Is.EqualTo("1GB"), "what was removed is as initdb wrote it");
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    [DependsOnTest(nameof(An_increase_of_max_connections_restarts_standbys_first_although_kbr_is_killed), AllowFailure = true)]
    public void A_decrease_of_max_connections_restarts_the_leader_in_place_then_one_standby_at_a_time()
    {
        var leader = Ha.Leader();
        var since = Now();
        using var writer = TrafficWriter.Start("lowered");
        HaSetUp.Workspace.Yaml = HaSetUp.Workspace.Yaml.Replace("    work_mem: 9MB\n    max_connections: 110\n", "    work_mem: 8MB\n");

        HaSetUp.Workspace.Apply();

        var report = writer.Stop();
        var downtimes = Downtimes(since);
        TestContext.Out.WriteLine($"max_connections lowered: {report}\n{string.Join('\n', downtimes)}");
        Assert.That(report.Lost, Is.Empty);
        AssertOneAtATime(downtimes);
        Assert.That(downtimes[0].Member, Is.EqualTo(leader), "it came first");
        Assert.That(downtimes.Count(down => down.Member == leader), Is.EqualTo(1));
        Assert.That(downtimes.Select(down => down.Member).Distinct(), Is.EquivalentTo(Ha.Members));
        Assert.That(Ha.Leader(), Is.EqualTo(leader), "in place");
        Assert.That(Ha.Members.Select(member => Ha.Sql(member, "SHOW max_connections")), Is.All.EqualTo("100"));
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    [DependsOnTest(nameof(A_decrease_of_max_connections_restarts_the_leader_in_place_then_one_standby_at_a_time), AllowFailure = true)]
    public void A_library_that_is_not_there_is_refused_with_its_key_before_anything_is_stored()
    {
        var before = Ha.Members.Select(Ha.Started).ToList();
        var yaml = HaSetUp.Workspace.Yaml;
        HaSetUp.Workspace.Yaml = yaml.Replace(
            "    work_mem: 8MB\n",
            "    work_mem: 8MB\n    shared_preload_libraries: 'pg_stat_statements, nosuchlib'\n"
        );

        var apply = HaSetUp.Workspace.Kbr("apply", "--auto-approve");

        HaSetUp.Workspace.Yaml = yaml;
        Assert.That(apply.ExitCode, Is.EqualTo(1), apply.All);
        Assert.That(
            apply.All,
            Does.Match(
                "postgresql\\.parameters\\.shared_preload_libraries: PostgreSQL on \\S+ would not start with it: "
                    + "could not access file \"nosuchlib\": No such file or directory; nothing was stored"
            )
        );
        Assert.That(Ha.Configuration(), Does.Not.Contain("nosuchlib"));
        Assert.That(Ha.Members.Select(Ha.Started), Is.EqualTo(before), "no member was restarted");
    }

    [Test]
    [DependsOnTest(nameof(A_library_that_is_not_there_is_refused_with_its_key_before_anything_is_stored), AllowFailure = true)]
    public void A_value_that_a_killed_apply_stored_and_that_stopped_a_member_is_reverted_with_the_file()
    {
        // That there are no huge pages shows only when PostgreSQL asks for them.
        var yaml = HaSetUp.Workspace.Yaml;
        using var writer = TrafficWriter.Start("taken_back");
        HaSetUp.Workspace.Yaml = yaml.Replace(
            "    work_mem: 8MB\n",
            "    work_mem: 8MB\n    huge_pages: 'on'\n    statement_timeout: 31s\n"
        );
        using (var apply = HaSetUp.Workspace.Start("apply", "--auto-approve"))
        {
            Lab.Until(
                () => apply.HasExited || Ha.Configuration().Contains("huge_pages", StringComparison.Ordinal),
                TimeSpan.FromSeconds(120),
                "the stored parameters"
            );
            Assert.That(apply.HasExited, Is.False, apply.HasExited ? Lab.Finish(apply).All : "");
            apply.Kill();
            apply.WaitForExit();
        }

        var again = HaSetUp.Workspace.Kbr("apply", "--auto-approve");
        Assert.That(again.ExitCode, Is.EqualTo(1), again.All);
        Assert.That(again.All, Does.Contain("FATAL: could not map anonymous shared memory"), "what PostgreSQL says is quoted");
        Assert.That(Ha.Members.Count(Ha.Answers), Is.EqualTo(2), "one member is down, and nobody else");

        HaSetUp.Workspace.Yaml = yaml;
        HaSetUp.Workspace.Apply();

        var report = writer.Stop();
        TestContext.Out.WriteLine($"taken back: {report}");
        Assert.That(report.Lost, Is.Empty);
        Assert.That(Ha.Configuration(), Does.Not.Contain("huge_pages").And.Not.Contain("statement_timeout"));
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    [DependsOnTest(nameof(A_value_that_a_killed_apply_stored_and_that_stopped_a_member_is_reverted_with_the_file), AllowFailure = true)]
    public void Undeclared_settings_are_reported_alike_and_an_apply_without_changes_ends_with_the_status()
    {
        var replica = Ha.Members.First(member => member != Ha.Leader());
        Ha.Configure("""{"pause": true, "postgresql": {"parameters": {"max_locks_per_transaction": 128, "log_lock_waits": "on"}}}""");
        Ha.Sql(replica, "ALTER SYSTEM SET max_pred_locks_per_transaction = 100", "postgres");
        try
        {
            var waits = "postgresql.parameters.max_locks_per_transaction: 128, restart pending on db-master-01, db-slave-01, db-slave-02";
            Outcome status = null;
            Lab.Until(
                () =>
                    (status = HaSetUp.Workspace.Kbr("status")).Output.Contains("paused", StringComparison.Ordinal)
                    && status.Output.Contains(waits, StringComparison.Ordinal),
                TimeSpan.FromSeconds(60),
                () => $"the members that notice: {status?.All}"
            );
            var plan = HaSetUp.Workspace.Kbr("plan", "--detailed-exitcode");
            var drift = HaSetUp.Workspace.Kbr("drift");
            var apply = HaSetUp.Workspace.Kbr("apply", "--auto-approve", "--verbose");

            Assert.That(
                (status.ExitCode, plan.ExitCode, drift.ExitCode, apply.ExitCode),
                Is.EqualTo((2, 0, 2, 1)),
                $"{plan.All}{drift.All}{apply.All}"
            );
            foreach (var outcome in (Outcome[])[status, plan, drift, apply])
            {
                Assert.That(
                    outcome.All,
                    Does.Contain(waits)
                        .And.Contain(
                            $"postgresql.auto.conf.max_pred_locks_per_transaction: 100 on {replica} (ALTER SYSTEM), in force only "
                                + $"after the next start of {replica}"
                        )
                        .And.Contain("postgresql.parameters.log_lock_waits")
                        .And.Contain("pause")
                );
            }

            Assert.That(plan.All, Does.Contain("No changes. The hosts match "));
            Assert.That(drift.All, Does.Contain("Drift: 2 changed"));
            Assert.That(apply.All, Does.Contain("NOT OK   parameters").And.Contain("writers opened: 0"));
        }
        finally
        {
            Ha.Sql(replica, "ALTER SYSTEM RESET max_pred_locks_per_transaction", "postgres");
            Ha.Configure("""{"pause": null, "postgresql": {"parameters": {"max_locks_per_transaction": null, "log_lock_waits": null}}}""");
        }

        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(60));
        Assert.That(
            HaSetUp.Workspace.Apply().Output,
            Does.Contain("keybuzz-pg is healthy."),
            "the checklist also stands where there was nothing to do"
        );
    }

    private sealed record Downtime(string Member, DateTimeOffset From, DateTimeOffset To);

    private static string Now() => Lab.OnHost(Ha.Members[0], "date -u +%Y-%m-%dT%H:%M:%S.%NZ").Trim();

    private static void AssertOneAtATime(List<Downtime> downtimes)
    {
        foreach (var (one, next) in downtimes.Zip(downtimes.Skip(1)))
        {
            Assert.That(
                next.From,
                Is.GreaterThanOrEqualTo(one.To),
                $"{one.Member} was still down when {next.Member} went: {string.Join('\n', downtimes)}"
            );
        }
    }

    // When PostgreSQL was down on each member, by its own log, in the order of their beginnings. One that is still down has no end.
    private static List<Downtime> Downtimes(string since)
    {
        var logs = Lab.OnHosts(
            Ha.Members.Select(member =>
                (member, $"docker logs --timestamps --since {since} patroni 2>&1 | grep -E 'shutdown request|ready to accept' || true")
            )
        );
        List<Downtime> found = [];
        foreach (var (member, log) in Ha.Members.Zip(logs))
        {
            DateTimeOffset? from = null;
            foreach (var line in log.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                var at = DateTimeOffset.Parse(Regex.Replace(line.Split(' ')[0], @"(\.\d{7})\d*Z$", "$1Z"), CultureInfo.InvariantCulture);
                if (line.Contains("shutdown request", StringComparison.Ordinal))
                {
                    from ??= at;
                }
                else if (from is { } begun)
                {
                    found.Add(new Downtime(member, begun, at));
                    from = null;
                }
            }

            if (from is { } open)
            {
                found.Add(new Downtime(member, open, DateTimeOffset.MaxValue));
            }
        }

        return [.. found.OrderBy(down => down.From)];
    }
}
