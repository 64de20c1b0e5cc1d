using KeyBuzz.Reconciler.Tests.Providers;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>A file and the limits of the container that loads it change in one apply, with a real Docker Engine.</summary>
[TestFixture, NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class ReplacedProcessTests : LocalCluster
{
    private string Container => $"kbr-{Name}";

    public override void Dispose()
    {
        ProviderBench.Shell($"docker rm -f {Container}");
        base.Dispose();
    }

    [Test]
    public void A_file_that_only_the_new_container_can_load_does_not_keep_it_from_coming()
    {
        WriteLimits(file: 512, container: 512);
        Done("apply", "--auto-approve");

        WriteLimits(file: 1024, container: 1024);
        Done("apply", "--auto-approve");
        Assert.That(Done("plan"), Does.Contain("No changes."), "the new one was started with the file");

        WriteLimits(file: 256, container: 256);
        Done("apply", "--auto-approve");
        Assert.That(Done("plan"), Does.Contain("No changes."), "lower, too");

        WriteLimits(file: 4096, container: 256);
        var (exit, output, error) = Kbr("apply", "--auto-approve");
        Assert.That(exit, Is.EqualTo(1), error);
        Assert.That(output, Does.Contain("did not load it"), "the container stays, so it must load the file");
        Assert.That(Done("plan"), Does.Contain("config_file.limits@db-1"), "and it is known that it has not");
    }

    private void WriteLimits(int file, int container)
    {
        var image = ProviderBench.LabImage("haproxy");
        WriteCluster(
            more: $$"""
              - { type: directory, name: limits, host: db-1, path: FOLDER/limits }
              - type: config_file
                name: limits
                host: db-1
                path: FOLDER/limits/files
                content: "{{file}}"
                loaded_by: container:{{Container}}
                reload: test "$(cat FOLDER/limits/files)" -le "$(docker exec {{Container}} sh -c 'ulimit -n')"
              - type: container
                name: {{Container}}
                host: db-1
                image: {{image}}
                entrypoint: [sleep]
                command: ["3600"]
                user: "0"
                stop_timeout: 1
                mounts: ["FOLDER/limits:/limits:ro"]
                ulimits: { nofile: "{{container}}:{{container}}" }
            """
        );
    }
}
