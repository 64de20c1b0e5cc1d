namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>kbr destroy as a user sees it.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class DestroyTests : LocalCluster
{
    [Test]
    public void A_destroy_of_a_target_is_refused_while_a_host_of_its_dependents_is_unreachable()
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
        Assert.That(Done("plan", "--target", "directory.spare@db-1"), Does.StartWith("No changes. "), "for anything else it is not needed");
        Done("destroy", "--auto-approve", "--target", "config_file.app@db-1");
        Assert.That(File.Exists(ConfigFile), Is.False, "nothing on another host requires it");
    }

    [Test]
    public void Removing_a_target_does_not_need_its_dependencies_on_another_host()
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
