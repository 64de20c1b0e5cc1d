namespace KeyBuzz.Reconciler.LabTests;

/// <summary>A private key in PKCS#8 with a passphrase, as the program under test opens it.</summary>
[TestFixture]
[Category(Lab.Part2)]
public sealed class EncryptedKeyTests
{
    private const string Host = "haproxy-01";
    private const string Passphrase = "canary-correct-horse";

    private readonly Workspace _workspace = new();

    private string Key => Path.Combine(_workspace.Directory, "key");

    [OneTimeTearDown]
    public void Take_the_key_back()
    {
        Lab.OnHost(Host, "sed -i '/ kbr-encrypted-key$/d' ~/.ssh/authorized_keys");
        _workspace.Dispose();
    }

    [Test]
    public void An_encrypted_PKCS8_key_logs_in_with_its_passphrase_only()
    {
        Shell($"openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-384 -out {Key}.plain");
        Shell(
            $"umask 077; openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA512 -iter 600000 -in {Key}.plain -out {Key} "
                + $"-passout pass:{Passphrase}"
        );
        Assert.That(File.ReadAllText(Key), Does.StartWith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        var publicKey = Shell($"chmod 600 {Key}.plain; ssh-keygen -y -f {Key}.plain").Trim();
        Lab.OnHost(Host, $"echo '{publicKey} kbr-encrypted-key' >>~/.ssh/authorized_keys");
        _workspace.Yaml = _workspace.Yaml.Replace("identity_file: .state/id_ed25519", "identity_file: key", StringComparison.Ordinal);

        var open = Check(Passphrase);
        var closed = Check("canary-open-barley");

        Assert.That(open.ExitCode, Is.Zero, open.All);
        Assert.That(closed.ExitCode, Is.EqualTo(1));
        Assert.That(closed.All, Does.Contain("key stays locked: KBR_SSH_PASSPHRASE is not its passphrase"));
        Assert.That(open.All + closed.All, Does.Not.Contain("canary-"), "a secret was printed");
    }

    private Outcome Check(string passphrase) =>
        Lab.Run(
            _workspace.Directory,
            "env",
            $"KBR_SSH_PASSPHRASE={passphrase}",
            "SSH_AUTH_SOCK=",
            Workspace.Tool,
            "check",
            "--target",
            $"directory.keybuzz@{Host}"
        );

    private string Shell(string command)
    {
        var outcome = Lab.Run(_workspace.Directory, "bash", "-c", command);
        Assert.That(outcome.ExitCode, Is.Zero, $"{command}: {outcome.All}");
        return outcome.Output;
    }
}
