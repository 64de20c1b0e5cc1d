using KeyBuzz.Reconciler.HaTests;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.FreshHosts;

/// <summary>The second lane: PostgreSQL 16, which no Debian suite has, so without pgvector (lab/README.md).</summary>
[TestFixture]
[Category(Ha.FreshHosts)]
public sealed class Postgres16Tests
{
    [Test]
    public void PostgreSQL_16_is_installed_and_converges_although_applies_are_killed()
    {
        Lab.WithNewHosts();
        using var workspace = Ha.Open();
        workspace.Yaml = System
            .Text.RegularExpressions.Regex.Replace(workspace.Yaml, @"(?m)^  image: .*$", $"  image: {Lab.Images()["PATRONI16"]}")
            .Replace("  version: 17", "  version: 16")
            .Replace("  extensions: [vector]\n", "");
        Assert.That(workspace.Yaml, Does.Contain("version: 16").And.Not.Contain("vector"));

        // Killed at four steps of a seed, each time further on; eng/kill-sweep.sh ha does so at every step. The plan after each is true:
        // changes, and no error.
        var random = new Random(20261126);
        foreach (var moment in (string[])["before:{0}", "after:{0}", "during:{0}:100", "after:{0}"])
        {
            var point = string.Format(System.Globalization.CultureInfo.InvariantCulture, moment, Lab.Hosts.Length + random.Next(1, 16));
            workspace.Killed(point, "apply", "--auto-approve");

            // What it had begun on the hosts ends by itself; only then is there one truth to plan from.
            Lab.OnHosts(
                Lab.Hosts.Select(host => (host, "mkdir -p /run/kbr && flock -w 120 /run/kbr/lock flock -w 120 /run/kbr/work true"))
            );
            var plan = workspace.Kbr("plan", "--detailed-exitcode");
            Assert.That(plan.ExitCode, Is.EqualTo(2), $"after the kill {point}: {plan.All}");
        }

        // Killed when the first member has begun to make its data directory.
        using (var apply = workspace.Start("apply", "--auto-approve"))
        {
            Lab.Until(
                () =>
                    apply.HasExited
                    || Lab.OnHost("db-master-01", "find /opt/keybuzz -name PG_VERSION 2>/dev/null || true").Trim().Length > 0,
                TimeSpan.FromSeconds(120),
                "the bootstrap"
            );
            Assert.That(apply.HasExited, Is.False, "it ended before it could be killed");
            apply.Kill();
            apply.WaitForExit();
        }

        workspace.Apply();

        workspace.AssertNothingToDo();
        Assert.That(Ha.Sql(Ha.Leader(), "SHOW server_version"), Does.StartWith("16."));
    }
}
