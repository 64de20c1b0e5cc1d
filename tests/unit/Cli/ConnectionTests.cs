using System.Diagnostics;
using System.Text;
using KeyBuzz.Reconciler.Ssh;
using KeyBuzz.Reconciler.Tests.Ssh;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>What the operator sees and types before kbr is connected.</summary>
[NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class ConnectionTests : LocalCluster
{
    private const string Passphrase = "canary-of-the-passphrase";

    [TestCase("check")]
    [TestCase("plan")]
    [TestCase("apply", "--auto-approve")]
    [TestCase("destroy", "--auto-approve")]
    [TestCase("drift")]
    [TestCase("import", "directory.spare@db-1")]
    [TestCase("state", "list")]
    [TestCase("unlock")]
    public void An_unknown_host_key_comes_with_its_fingerprint_and_the_line_that_accepts_it(params string[] command)
    {
        var key = File.ReadAllText(Path.Combine(Server.Directory, "host.pub")).Split(' ');
        File.WriteAllText(Server.KnownHostsFile, "");

        var refused = Kbr(command);
        var line = $"echo '[127.0.0.1]:{Port} {key[0]} {key[1]}' >> {Server.KnownHostsFile}";

        Assert.That(refused.Exit, Is.EqualTo(1));
        Assert.That(
            refused.Output + refused.Error,
            Does.Contain("db-1")
                .And.Contain($"its ssh-ed25519 key {KnownHosts.Fingerprint(Convert.FromBase64String(key[1]))} is not in")
                .And.Contain(line)
        );
        Shell.Run(line);
        Assert.That(Kbr("unlock").Exit, Is.Zero);
    }

    [Test]
    public void A_passphrase_is_typed_at_the_terminal_and_not_shown()
    {
        Lock();
        using var process = AtTerminal("check");

        var said = Read(process, $"Passphrase of {Server.Settings.IdentityFile}: ");
        Type(process, "wrong\r");
        said += Read(process, "That was wrong. Passphrase of ");
        Type(process, $"{Passphrase}x\x7f\r");
        said += process.StandardOutput.ReadToEnd();

        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, said);
        Assert.That(said, Does.Contain("Check: ").And.Not.Contain("canary").And.Not.Contain("wrong\r"));
    }

    [Test]
    public void Ctrl_C_at_the_passphrase_ends_kbr()
    {
        Lock();
        using var process = AtTerminal("check");

        var said = Read(process, "Passphrase of ");
        Type(process, "\x03");
        said += process.StandardOutput.ReadToEnd();

        Assert.That(process.WaitForExit(TimeSpan.FromSeconds(30)), Is.True);
        Assert.That(process.ExitCode, Is.EqualTo(1), said);
        Assert.That(said, Does.Contain("interrupted"));
    }

    [Test]
    public void In_a_pipe_the_passphrase_comes_from_the_environment_or_the_error_says_so()
    {
        Lock();
        var without = Kbr("check");
        Assert.That(without.Exit, Is.EqualTo(1));
        Assert.That(
            without.Output,
            Does.Contain("has a passphrase").And.Contain($"ssh-add {Server.Settings.IdentityFile}; or set KBR_SSH_PASSPHRASE")
        );

        Environment.SetEnvironmentVariable(SshConnector.PassphraseVariable, Passphrase);
        try
        {
            Assert.That(Kbr("check").Exit, Is.Zero);
        }
        finally
        {
            Environment.SetEnvironmentVariable(SshConnector.PassphraseVariable, null);
        }
    }

    [Test]
    public void A_jump_host_that_cannot_be_one_is_an_error_with_its_line()
    {
        Write(
            "cluster.yaml",
            File.ReadAllText(Path.Combine(Folder, "cluster.yaml"))
                .Replace("ssh: { port:", "ssh: { proxy_jump: a@@b, port:", StringComparison.Ordinal)
        );

        var refused = Kbr("validate");

        Assert.That(refused.Exit, Is.EqualTo(1));
        Assert.That(
            refused.Error,
            Does.Contain("'proxy_jump' cannot be 'a@@b'").And.Contain("cluster.yaml:5:").And.Contain("[USER@]HOST[:PORT]")
        );
    }

    private void Lock() => Shell.Run($"ssh-keygen -q -p -N {Passphrase} -f {Server.Settings.IdentityFile}");

    private Process AtTerminal(string command) =>
        Process.Start(
            new ProcessStartInfo("script", ["-qec", $"exec {KbrProgram.Path} {command} --no-color", "/dev/null"])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                WorkingDirectory = Folder,
                Environment =
                {
                    ["TERM"] = "dumb",
                    ["SHELL"] = "/bin/sh",
                    ["SSH_AUTH_SOCK"] = "",
                },
            }
        )!;

    private static void Type(Process process, string text)
    {
        process.StandardInput.Write(text);
        process.StandardInput.Flush();
    }

    private static string Read(Process process, string until)
    {
        var said = new StringBuilder();
        while (!said.ToString().EndsWith(until, StringComparison.Ordinal))
        {
            var next = process.StandardOutput.Read();
            Assert.That(next, Is.Not.Negative, said.ToString());
            said.Append((char)next);
        }

        return said.ToString();
    }
}
