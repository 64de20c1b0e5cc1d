namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>An apply of which one change fails.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class FailedApplyTests : LocalCluster
{
    [Test]
    public void Dependents_of_a_failed_change_are_skipped_with_the_dependency_named()
    {
        WriteCluster(
            more: """
              - { type: config_file, name: bad, host: db-1, path: FOLDER/bad.conf, content: "x", validate: "false" }
              - { type: directory, name: next, host: db-1, path: FOLDER/next, requires: [config_file.bad] }
              - { type: directory, name: last, host: db-1, path: FOLDER/last, requires: [directory.next] }
            """
        );

        var (exit, output, error) = Kbr("apply", "--auto-approve");

        Assert.That(exit, Is.EqualTo(1), output + error);
        Assert.That(
            output,
            Does.Contain("  skipped    directory.next@db-1: its dependency config_file.bad@db-1 failed\n")
                .And.Contain("  skipped    directory.last@db-1: its dependency directory.next@db-1 was skipped\n")
                .And.Contain("1 failed, 2 skipped\n")
        );
        Assert.That(Directory.Exists($"{Folder}/host/next"), Is.False);
    }
}
