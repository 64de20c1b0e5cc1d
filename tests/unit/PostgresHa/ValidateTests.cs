using System.Diagnostics;
using KeyBuzz.Reconciler.Tests.Cli;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>What <c>kbr validate</c> prints of a file without a fault.</summary>
[TestFixture]
internal sealed class ValidateTests : BlueprintFixture
{
    [Test]
    public void A_valid_file_is_said_to_be_one_and_the_longest_gap_of_a_failover_is_printed()
    {
        System.IO.File.WriteAllText(File, Minimal + "  dynamic: { ttl: 25, loop_wait: 5, retry_timeout: 10 }\n");

        using var kbr = new Process();
        kbr.StartInfo = new ProcessStartInfo(KbrProgram.Path, ["validate", "-c", File])
        {
            RedirectStandardOutput = true,
            WorkingDirectory = Folder,
        };
        foreach (var (name, value) in Environment)
        {
            kbr.StartInfo.Environment[name] = value;
        }

        kbr.Start();
        var output = kbr.StandardOutput.ReadToEnd();

        Assert.That(kbr.WaitForExit(TimeSpan.FromSeconds(60)) && kbr.ExitCode == 0, output);
        Assert.That(output, Does.Contain("is valid: 5 hosts, "));
        Assert.That(
            output,
            Does.Contain(
                "Open: superuser kb_admin can log in through the load balancer, on 5432 and 6432 (superuser_login: members closes it)\n"
            )
        );
        Assert.That(
            output,
            Does.Contain("Open: HAProxy's statistics, without a login, on port 8404 of each proxy (haproxy.stats_login sets one)\n")
        );
        Assert.That(
            output,
            Does.Contain("When the primary fails, writes stop for at most 28 s (dynamic: ttl 25, loop_wait 5, retry_timeout 10)")
        );
    }
}
