using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>The second lane: PostgreSQL 16, which no Debian suite has, so without pgvector (lab/README.md).</summary>
[TestFixture]
[DependsOnFixture(typeof(RebuildTests), AllowFailure = true)]
public sealed class Postgres16Tests
{
    [Test]
    public void PostgreSQL_16_is_installed_healthy_and_has_nothing_left_to_do_also_when_the_first_apply_was_killed_on_the_way()
    {
        Lab.Command("reset");
        using var workspace = Ha.Open();
        var images = File.ReadAllLines(Path.Combine(Lab.Folder, ".state/images.env")).Where(line => line.Contains('=')).Select(line => line.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]);
        var digest = images["KBR_PATRONI16"].Split('@')[1];
        workspace.Yaml = System.Text.RegularExpressions.Regex.Replace(workspace.Yaml, @"(?m)^  image: .*$", $"  image: {images["KBR_PATRONI16_TAG"]}@{digest}")
            .Replace("  version: 17", "  version: 16")
            .Replace("  extensions: [vector]\n", "");
        Assert.That(workspace.Yaml, Does.Contain("version: 16").And.Not.Contain("vector"));

        // Killed when the first member has begun to make its data directory.
        using (var apply = workspace.Start("apply", "--auto-approve"))
        {
            Lab.Until(() => apply.HasExited || Lab.OnHost("db-master-01", "find /opt/keybuzz -name PG_VERSION 2>/dev/null || true").Trim().Length > 0, TimeSpan.FromSeconds(120), "the bootstrap");
            Assert.That(apply.HasExited, Is.False, "it ended before it could be killed");
            apply.Kill();
            apply.WaitForExit();
        }

        workspace.Apply();

        Ha.AssertHealthy(workspace);
        workspace.AssertNothingToDo();
        Assert.That(Ha.Sql(Ha.Leader(), "SHOW server_version"), Does.StartWith("16."));
    }
}
