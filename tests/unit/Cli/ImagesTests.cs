using KeyBuzz.Reconciler.Providers.Image;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary><c>kbr images build</c>, with the Docker Engine of this machine: directly, and through an sshd that stands for a host. The base
/// is the lab's, from whose layers Docker knows the result.</summary>
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
internal sealed class ImagesTests : LocalCluster
{
    [Test]
    public void An_image_is_built_here_or_on_a_host_and_its_archive_is_what_cluster_yaml_can_name()
    {
        var basis = Bash("docker images --format '{{.Repository}}:{{.Tag}}' | grep '^kbr-lab/base:trixie' | head -n 1");
        Assert.That(basis, Is.Not.Empty, "the lab's images are not there: run lab/up first");
        try
        {
            var here = Kbr("images", "build", "haproxy", "--base", basis);
            var archive = ImageArchive.Read($"{Folder}/images/haproxy.tar");
            var there = Kbr("images", "build", "haproxy", "--base", basis, "--on", "db-1", "--out", "there", "--json");

            Assert.Multiple(() =>
            {
                Assert.That(here.Exit, Is.Zero, here.Error);
                Assert.That(
                    here.Output,
                    Does.Contain($"haproxy: {{ image: {{ archive: images/haproxy.tar, name: 'kbr/haproxy:trixie', id: '{archive.Id}' }} }}")
                );
                Assert.That(there.Exit, Is.Zero, there.Error);
                Assert.That(JsonSchemas.Problems(there.Output), Is.Empty);
                Assert.That(there.Output, Does.Contain(archive.Id).And.Contain("there/haproxy.tar"));
                Assert.That(ImageArchive.Read($"{Folder}/there/haproxy.tar"), Is.EqualTo(archive));
                Assert.That(Directory.GetFiles(Folder, "*.part", SearchOption.AllDirectories), Is.Empty);
                Assert.That(
                    File.GetUnixFileMode($"{Folder}/there/haproxy.tar"),
                    Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite)
                );
            });
        }
        finally
        {
            Bash("docker image rm kbr/haproxy:trixie 2>/dev/null || true");
        }
    }

    [Test]
    public void A_build_that_fails_says_where_and_what_docker_said_and_leaves_no_archive()
    {
        Bash("printf 'FROM scratch\nCMD [\"/x\"]\n' | docker build -q -t kbr-test/empty:1 -");
        try
        {
            var here = Kbr("images", "build", "haproxy", "--base", "kbr-test/empty:1");
            var there = Kbr("images", "build", "haproxy", "--base", "kbr-test/empty:1", "--on", "db-1");
            var nowhere = Kbr("images", "build", "--on", "db-9");
            Kbr("init", "--members", "10.0.0.1", "--proxies", "10.0.0.2", "--postgres", "17", "--offline", "-c", "new.yaml");
            var declared = Kbr("images", "build", "patroni", "--base", "kbr-test/empty:1", "-c", "new.yaml");
            var given = Kbr("images", "build", "patroni", "--postgres", "16", "--base", "kbr-test/empty:1", "-c", "new.yaml");

            Assert.Multiple(() =>
            {
                Assert.That(here.Exit, Is.EqualTo(1));
                Assert.That(here.Error, Does.Contain("kbr/haproxy:trixie could not be built on this machine").And.Contain("/bin/sh"));
                Assert.That(there.Exit, Is.EqualTo(1));
                Assert.That(there.Error, Does.Contain("kbr/haproxy:trixie could not be built on db-1").And.Contain("/bin/sh"));
                Assert.That(nowhere.Error, Does.Contain("has no host 'db-9'"));
                Assert.That(declared.Error, Does.Contain("kbr/patroni:17 could not be built"));
                Assert.That(given.Error, Does.Contain("kbr/patroni:16 could not be built"));
                Assert.That(Directory.GetFiles($"{Folder}/images"), Is.Empty);
            });
        }
        finally
        {
            Bash("docker image rm kbr-test/empty:1");
        }
    }

    private static string Bash(string command)
    {
        using var process = System.Diagnostics.Process.Start(
            new System.Diagnostics.ProcessStartInfo("bash", ["-c", command]) { RedirectStandardOutput = true }
        )!;
        var output = process.StandardOutput.ReadToEnd().Trim();
        process.WaitForExit();
        return output;
    }
}
