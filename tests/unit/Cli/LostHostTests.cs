namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>A host that is lost after its plan was approved: after its lock was taken, and before it is looked at again.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class LostHostTests : LocalCluster
{
    [Test]
    public void An_apply_that_loses_a_host_names_it_and_the_skipped_changes_and_exits_1()
    {
        WriteCluster(port: Server.RelayPort);
        LoseOnceLocked();

        var (exit, output, error) = Kbr("apply", "--auto-approve");

        Assert.Multiple(() =>
        {
            Assert.That(exit, Is.EqualTo(1), output + error);
            Assert.That(output, Does.Contain("Plan: 2 to create"), "it was there when the plan was made");
            Assert.That(output, Does.Contain("Apply incomplete: 0 created, 0 updated, 0 replaced, 0 deleted, 0 failed, 2 skipped"));
            Assert.That(output, Does.Contain("  skipped    db-1, 2 resources: "));
            Assert.That(error, Does.Contain("Error: db-1: "));
            Assert.That(output, Does.Not.Contain("Apply complete"));
        });
        Server.CutWhen = () => false;
        Done("apply", "--auto-approve");
        Done("plan", "--detailed-exitcode");
    }

    [Test]
    public void A_destroy_that_loses_a_host_deletes_nothing_and_names_it([Values] bool given)
    {
        WriteCluster(port: Server.RelayPort);
        Done("apply", "--auto-approve");
        LoseOnceLocked();

        // What is given up are hosts that could not be reached when that was approved, not one that is lost later.
        var error = Refused(["destroy", "--auto-approve", .. given ? ["--forget-unreachable"] : (string[])[]]);

        Assert.That(error, Does.Contain("Error: nothing was destroyed: db-1 cannot be reached"));
        Assert.That(File.Exists(ConfigFile) && Directory.Exists($"{Folder}/host/spare") && Directory.Exists(Records), Is.True);
    }

    [Test]
    public void Json_of_an_apply_that_loses_a_host_has_the_changes_among_not_tried()
    {
        WriteCluster(port: Server.RelayPort);
        LoseOnceLocked();

        var (exit, output, _) = Kbr("apply", "--auto-approve", "--json");

        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.That(exit, Is.EqualTo(1), output);
        Assert.That(lines.SelectMany(JsonSchemas.Problems), Is.Empty);
        Assert.That(
            lines[^1],
            Does.StartWith("""{"format_version":1,"kind":"apply_result","done":0,""")
                .And.Contain("directory.spare@db-1")
                .And.Contain("config_file.app@db-1")
        );
    }

    // The first thing that kbr sends once its lock is there is the question what the host holds now.
    private void LoseOnceLocked() =>
        Server.CutWhen = () =>
        {
            try
            {
                return File.ReadAllText("/run/kbr/lock.json").Contains(Folder, StringComparison.Ordinal);
            }
            catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
            {
                return false;
            }
        };
}
