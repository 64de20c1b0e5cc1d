namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>kbr destroy as a user sees it.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class DestroyTests : LocalCluster
{
    [Test]
    public void What_a_target_is_required_by_on_another_host_is_looked_at_and_nothing_is_destroyed_while_that_host_cannot_be_reached()
    {
        WriteTwoHosts("requires: [directory.spare@db-1]");
        Done("apply", "--auto-approve", "--target", "*@db-1");

        foreach (var target in new[] { "directory.spare@db-1", "*@db-1" })
        {
            Assert.That(Refused("plan", "--destroy", "--target", target), Does.Contain("Error: web-1: "), target);
            Assert.That(
                Refused("destroy", "--auto-approve", "--target", target),
                Does.Contain("Error: nothing was destroyed: web-1 cannot be reached"),
                target
            );
        }

        Assert.That(Directory.Exists($"{Folder}/host/spare"), Is.True);
        Assert.That(
            Done("plan", "--target", "directory.spare@db-1"),
            Does.StartWith("Plan: 0 to create"),
            "for anything else it is not needed"
        );
        Done("destroy", "--auto-approve", "--target", "config_file.app@db-1");
        Assert.That(File.Exists(ConfigFile), Is.False, "nothing on another host requires it");
    }

    [Test]
    public void What_a_target_requires_on_another_host_is_not_needed_to_take_it_down()
    {
        Done("apply", "--auto-approve");
        WriteTwoHosts("");
        Write(
            "cluster.yaml",
            File.ReadAllText(Path.Combine(Folder, "cluster.yaml"))
                .Replace("/spare }", "/spare, requires: [directory.app@web-1] }", StringComparison.Ordinal)
        );
        Done("destroy", "--auto-approve", "--target", "directory.spare@db-1");
        Assert.That(Directory.Exists($"{Folder}/host/spare"), Is.False);
    }

    // A second host, where nothing listens, with a directory "app".
    private void WriteTwoHosts(string requires)
    {
        WriteCluster(
            more: $"  - {{ type: directory, name: app, host: web-1, path: FOLDER/app{(requires.Length == 0 ? "" : ", " + requires)} }}"
        );
        Write(
            "cluster.yaml",
            File.ReadAllText(Path.Combine(Folder, "cluster.yaml"))
                .Replace(
                    "hosts:\n",
                    $"hosts:\n  web-1: {{ role: web, address: 127.0.0.2, ssh: {{ port: {Ssh.SshServer.FreePort()} }} }}\n",
                    StringComparison.Ordinal
                )
        );
    }
}
