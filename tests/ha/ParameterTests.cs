using System.Globalization;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Parameters of PostgreSQL are changed while an application writes. Who was down when is read from the hosts' own logs, not from kbr's words.</summary>
[TestFixture]
[Category(Ha.Live)]
[DependsOnFixture(typeof(SynchronousTests), AllowFailure = true)]
public sealed class ParameterTests
{
    [Test]
    public void A_parameter_that_is_only_reloaded_cuts_no_session_and_loses_no_write()
    {
        var before = Ha.Members.Select(Ha.Started).ToList();
        using var sessions = new OpenSessions(Ha.Application, Ha.ApplicationPassword);
        using var writer = TrafficWriter.Start("reloaded");
        HaSetUp.Workspace.Yaml = HaSetUp.Workspace.Yaml.Replace("    work_mem: 8MB\n", "    work_mem: 9MB\n");

        // The first leader's file says what a new database would be made with.
        Assert.That(HaSetUp.Workspace.Made(), Is.EqualTo(new[] { "config_file.patroni@db-master-01", "patroni_config.keybuzz-pg@keybuzz-pg" }));

        var report = writer.Stop();
        TestContext.Out.WriteLine($"work_mem: {report}");
        sessions.AssertOpen();
        Assert.That(report.Lost, Is.Empty);
        Assert.That(Ha.Members.Select(Ha.Started), Is.EqualTo(before), "nobody was restarted");
        Assert.That(Ha.Members.Select(member => Ha.Sql(member, "SHOW work_mem")), Is.All.EqualTo("9MB"));
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    [DependsOnTest(nameof(A_parameter_that_is_only_reloaded_cuts_no_session_and_loses_no_write), AllowFailure = true)]
    public void An_increase_of_max_connections_goes_standbys_first_one_at_a_time_also_when_kbr_is_killed_on_the_way()
    {
        var leader = Ha.Leader();
        var since = Now();
        using var writer = TrafficWriter.Start("raised");
        HaSetUp.Workspace.Yaml = HaSetUp.Workspace.Yaml.Replace("    work_mem: 9MB\n", "    work_mem: 9MB\n    max_connections: 110\n");
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
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    [DependsOnTest(nameof(An_increase_of_max_connections_goes_standbys_first_one_at_a_time_also_when_kbr_is_killed_on_the_way), AllowFailure = true)]
    public void A_decrease_of_max_connections_restarts_the_leader_in_place_and_then_the_standbys_one_at_a_time()
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

    private sealed record Downtime(string Member, DateTimeOffset From, DateTimeOffset To);

    private static string Now() => Lab.OnHost(Ha.Members[0], "date -u +%Y-%m-%dT%H:%M:%S.%NZ").Trim();

    private static void AssertOneAtATime(List<Downtime> downtimes)
    {
        foreach (var (one, next) in downtimes.Zip(downtimes.Skip(1)))
        {
            Assert.That(next.From, Is.GreaterThanOrEqualTo(one.To), $"{one.Member} was still down when {next.Member} went: {string.Join('\n', downtimes)}");
        }
    }

    // When PostgreSQL was down on each member, by its own log, in the order of their beginnings. One that is still down has no end.
    private static List<Downtime> Downtimes(string since)
    {
        var logs = Lab.OnHosts(Ha.Members.Select(member => (member, $"docker logs --timestamps --since {since} patroni 2>&1 | grep -E 'shutdown request|ready to accept' || true")));
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
