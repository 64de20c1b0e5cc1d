using System.Diagnostics;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>kbr unlock as a user runs it.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class UnlockTests : LocalCluster
{
    private const string Description =
        """{"user":"ada","machine":"laptop","pid":7,"directory":"/home/ada","command":"apply","since":"2026-11-23T12:00:00Z"}""";

    private const string Ada = "apply by ada on laptop (pid 7, in /home/ada) since 2026-11-23 12:00:00 UTC";

    [Test]
    public void With_a_lock_timeout_an_apply_waits_for_the_lock_and_says_once_who_holds_it()
    {
        using var holder = Hold();
        try
        {
            var (exit, _, error) = Kbr("apply", "--auto-approve", "--lock-timeout", "3s");
            Assert.That(exit, Is.EqualTo(1));
            Assert.That(
                error,
                Is.EqualTo(
                    $"Waiting up to 3 s for the lock of db-1: {Ada}\nError: db-1: another apply is running on this host: {Ada}; waited 3 s\n"
                        + "  → wait until it ends; its lock is released then, even when it is killed\n"
                )
            );

            using (var stopped = Waiting())
            {
                Process.Start("kill", ["-TERM", $"{stopped.Id}"])!.WaitForExit();
                Assert.That(stopped.StandardError.ReadToEnd(), Does.EndWith("Error: interrupted\n"), "nothing runs that would have to end");
                Assert.That(stopped.WaitForExit(TimeSpan.FromSeconds(30)) && stopped.ExitCode == 1, Is.True);
            }

            Assert.That(File.Exists(ConfigFile), Is.False);
            using var apply = Waiting();
            holder.Kill();
            Assert.That(apply.StandardOutput.ReadToEnd(), Does.Contain("Apply complete! Resources: 2 created,"));
            Assert.That(apply.WaitForExit(TimeSpan.FromMinutes(1)) && apply.ExitCode == 0, Is.True);
        }
        finally
        {
            if (!holder.HasExited)
            {
                holder.Kill();
            }
        }

        // A run that waits for the lock, as its standard error says.
        Process Waiting()
        {
            var process = Process.Start(
                new ProcessStartInfo(KbrProgram.Path, ["apply", "--auto-approve", "--lock-timeout=2m"])
                {
                    RedirectStandardOutput = true,
                    RedirectStandardError = true,
                    WorkingDirectory = Folder,
                }
            )!;
            Assert.That(process.StandardError.ReadLine(), Is.EqualTo($"Waiting up to 120 s for the lock of db-1: {Ada}"));
            return process;
        }
    }

    private static Process Hold()
    {
        var holder = Process.Start(
            new ProcessStartInfo(
                "sh",
                [
                    "-c",
                    $"mkdir -p -m 0700 /run/kbr; exec 9>>/run/kbr/lock; flock -w 120 9 || exit 1; echo '{Description}' "
                        + $">/run/kbr/lock.json; echo ready; exec sleep 600",
                ]
            )
            {
                RedirectStandardOutput = true,
            }
        )!;
        Assert.That(holder.StandardOutput.ReadLine(), Is.EqualTo("ready"));
        return holder;
    }

    [Test]
    public void The_lock_holder_is_shown_and_ended_only_on_request()
    {
        using var holder = Hold();
        try
        {
            var said =
                $"db-1: held by apply by ada on laptop (pid 7, in /home/ada) since 2026-11-23 12:00:00 UTC; process {holder.Id} there\n";
            Assert.That(Done("unlock"), Is.EqualTo(said));
            Assert.That(Refused("apply", "--auto-approve"), Does.Contain("another apply is running on this host: apply by ada on laptop"));
            Assert.That(Refused("unlock", "--end", "db-1"), Does.StartWith("Error: unlock --end needs confirmation"));
            Assert.That(holder.HasExited, Is.False, "nothing was ended without an answer");

            var (exit, output, error) = Kbr("unlock", "--end", "db-1", "--auto-approve");
            Assert.That(holder.WaitForExit(TimeSpan.FromMinutes(1)), Is.True, output + error);
            Assert.That(
                (exit, output),
                Is.EqualTo(
                    (0, said + "db-1: free; last holder: apply by ada on laptop (pid 7, in /home/ada) since 2026-11-23 12:00:00 UTC\n")
                )
            );
            Assert.That(Document("unlock").GetProperty("hosts")[0].GetProperty("held").GetBoolean(), Is.False);
            Done("apply", "--auto-approve");
            Assert.That(Done("unlock"), Is.EqualTo("db-1: free\n"));
        }
        finally
        {
            if (!holder.HasExited)
            {
                holder.Kill();
            }
        }
    }

    [Test]
    public void A_host_that_is_not_there_is_named()
    {
        Assert.That(Refused("unlock", "--end", "db-9"), Does.StartWith("Error: cluster.yaml has no host 'db-9'\n"));
        Assert.That(Refused("unlock", "--target", "*@db-9"), Does.StartWith("Error: no host matches '*@db-9'\n"));
        Assert.That(Done("unlock", "--target", "*@db-1"), Does.StartWith("db-1: free"));
        WriteCluster(port: Ssh.SshServer.FreePort());
        var (exit, output, _) = Kbr("unlock");
        Assert.That((exit, output), Is.EqualTo((1, output)));
        Assert.That(output, Does.StartWith("db-1: unknown: "));
    }
}
