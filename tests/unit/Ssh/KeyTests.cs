using System.Buffers.Binary;
using System.Diagnostics;
using System.Security.Cryptography;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Tests.Ssh;

/// <summary>Which key lets kbr in: from a file, with a passphrase, from an agent, with a certificate.</summary>
[NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class KeyTests
{
    private SshServer _server = null!;

    [OneTimeSetUp]
    public void StartServer() => _server = new SshServer($"TrustedUserCAKeys {Path.Combine(Path.GetTempPath(), "kbr-test-user-ca.pub")}");

    [OneTimeTearDown]
    public void StopServer() => _server.Dispose();

    [TestCase("ed25519", "")]
    [TestCase("rsa", "-b 2048")]
    [TestCase("rsa", "-b 2048 -m PEM", Description = "the public key is in no file")]
    [TestCase("ecdsa", "-b 384")]
    [TestCase("rsa", "-b 2048 -m PKCS8")]
    [TestCase("ecdsa", "-b 521 -m PKCS8")]
    public async Task A_key_with_a_passphrase_is_unlocked_by_the_environment(string type, string options)
    {
        var key = Key(type, "s e'cret", options);

        await using var connection = await Connector(key, new SshPrompts { Passphrase = "s e'cret" })
            .ConnectAsync(_server.Host, CancellationToken.None);

        Assert.That(connection.Host, Is.EqualTo(_server.Host));
    }

    [TestCase("-scrypt", "1.3.6.1.4.1.11591.4.11")]
    [TestCase("-v2 aes-256-cbc -iter 2000001", "PBKDF2 with more than 2000000 iterations")]
    public async Task A_key_that_is_encrypted_otherwise_is_an_error_that_says_what_to_do(string encryption, string named)
    {
        var key = Key("rsa", "", "-b 2048 -m PKCS8");
        Shell.Run($"openssl pkcs8 -topk8 {encryption} -in {key} -out {key}.new -passout pass:sesame");
        Shell.Run($"mv {key}.new {key} && chmod 600 {key}");

        var error = await ErrorAsync(Connector(key, new SshPrompts { Passphrase = "sesame" }));

        Assert.That(error.Message, Is.EqualTo($"the private key {key} is encrypted in a way that kbr does not read ({named})"));
        Assert.That(error.Remedy, Is.EqualTo($"encrypt it anew: ssh-keygen -p -f {key}; or add it to an agent: ssh-add {key}"));
    }

    [TestCase(2000u, ExpectedResult = null)]
    [TestCase(2001u, ExpectedResult = "is encrypted in a way that kbr does not read (bcrypt with more than 2000 rounds)")]
    [TestCase(uint.MaxValue, ExpectedResult = "is encrypted in a way that kbr does not read (bcrypt with more than 2000 rounds)")]
    public async Task<string?> A_key_of_OpenSSH_cannot_make_its_derivation_endless(uint rounds)
    {
        var key = Key("ed25519", "sesame");
        WithRounds(key, rounds);
        var asked = 0;

        // No passphrase is given: an accepted key is only not derived.
        var error = await ErrorAsync(
            Connector(
                key,
                new SshPrompts
                {
                    AskPassphrase = (_, _) =>
                    {
                        asked++;
                        return null;
                    },
                }
            )
        );

        Assert.That(asked, Is.EqualTo(rounds > 2000 ? 0 : 1));
        return rounds > 2000 ? error.Message.Replace($"the private key {key} ", "", StringComparison.Ordinal) : null;
    }

    [Test]
    public async Task A_key_of_PuTTY_is_an_error_that_says_how_to_convert_it()
    {
        var key = Path.Combine(_server.Directory, "key.ppk");
        File.WriteAllText(
            key,
            "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: aes256-cbc\nComment: c\nPublic-Lines: 1\nAAAA\nKey-Derivation: Argon2id\n"
                + "Argon2-Memory: 2147483647\nArgon2-Passes: 2147483647\nArgon2-Parallelism: 1\nArgon2-Salt: 00\nPrivate-Lines: 1\nAAAA\n"
                + "Private-MAC: 00\n"
        );
        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite);

        var error = await ErrorAsync(Connector(key, new SshPrompts { Passphrase = "sesame" }));

        Assert.That(error.Message, Is.EqualTo($"the private key {key} is in PuTTY's format, which kbr and OpenSSH do not read"));
        Assert.That(error.Remedy, Is.EqualTo($"convert it: puttygen {key} -O private-openssh -o {key}.openssh"));
    }

    [Test]
    public async Task A_passphrase_is_asked_for_once_however_many_hosts_there_are()
    {
        var asked = 0;
        var connector = Connector(
            Key("ed25519", "sesame"),
            new SshPrompts
            {
                AskPassphrase = (_, _) =>
                {
                    Interlocked.Increment(ref asked);
                    return "sesame";
                },
            }
        );

        var connections = await Task.WhenAll(
            Enumerable.Range(0, 4).Select(_ => connector.ConnectAsync(_server.Host, CancellationToken.None))
        );

        Assert.That(asked, Is.EqualTo(1));
        await Task.WhenAll(connections.Select(connection => connection.DisposeAsync().AsTask()));
    }

    [Test]
    public async Task The_time_that_the_operator_takes_to_answer_does_not_count()
    {
        var settings = _server.Settings with { IdentityFile = Key("ed25519", "sesame"), ConnectTimeout = TimeSpan.FromSeconds(3) };
        var prompts = new SshPrompts
        {
            AskPassphrase = (_, _) =>
            {
                Thread.Sleep(TimeSpan.FromSeconds(4));
                return "sesame";
            },
        };

        await using var connection = await new SshConnector(settings, ReadList.Probe, TimeProvider.System, prompts).ConnectAsync(
            _server.Host,
            CancellationToken.None
        );
    }

    [Test]
    public async Task Without_a_terminal_the_error_says_what_to_do()
    {
        var key = Key("ed25519", "sesame");

        var error = await ErrorAsync(Connector(key));

        Assert.That(error.Message, Is.EqualTo($"the private key {key} has a passphrase, and there is no terminal to ask for it"));
        Assert.That(error.Remedy, Is.EqualTo($"add it to an agent: ssh-add {key}; or set KBR_SSH_PASSPHRASE"));
    }

    [Test]
    public async Task A_wrong_passphrase_is_asked_for_three_times_and_never_shown()
    {
        var key = Key("ed25519", "sesame");
        List<bool> asked = [];
        var prompts = new SshPrompts
        {
            AskPassphrase = (_, again) =>
            {
                asked.Add(again);
                return "open barley";
            },
        };

        var error = await ErrorAsync(Connector(key, prompts));
        var environment = await ErrorAsync(Connector(key, new SshPrompts { Passphrase = "open barley" }));

        Assert.That(asked, Is.EqualTo(new[] { false, true, true }));
        Assert.That(error.Message, Is.EqualTo($"the private key {key} stays locked: the passphrase was wrong"));
        Assert.That(environment.Message, Is.EqualTo($"the private key {key} stays locked: KBR_SSH_PASSPHRASE is not its passphrase"));
        Assert.That($"{error} {environment}", Does.Not.Contain("barley"));
    }

    [TestCase("ed25519", "")]
    [TestCase("rsa", "-b 2048")]
    [TestCase("ecdsa", "-b 256")]
    [TestCase("ecdsa", "-b 521")]
    public async Task An_agent_signs_for_a_key_that_no_file_has(string type, string options)
    {
        var key = Key(type, "", options);
        using var agent = new SshAgentProcess(_server.Directory);
        agent.Add(key);
        File.Delete(key);

        await using var byItsPublicHalf = await new SshConnector(
            _server.Settings with
            {
                IdentityFile = key + ".pub",
                AgentSocket = agent.Socket,
            },
            ReadList.Probe,
            TimeProvider.System
        ).ConnectAsync(_server.Host, CancellationToken.None);
        await using var byItself = await new SshConnector(
            _server.Settings with
            {
                IdentityFile = null,
                AgentSocket = agent.Socket,
            },
            ReadList.Probe,
            TimeProvider.System
        ).ConnectAsync(_server.Host, CancellationToken.None);
    }

    [Test]
    public async Task An_agent_that_has_the_key_spares_the_passphrase()
    {
        var key = Key("ed25519", "");
        using var agent = new SshAgentProcess(_server.Directory);
        agent.Add(key);
        Shell.Run($"ssh-keygen -q -p -N sesame -f {key}");

        await using var connection = await new SshConnector(
            _server.Settings with
            {
                IdentityFile = key,
                AgentSocket = agent.Socket,
            },
            ReadList.Probe,
            TimeProvider.System,
            new SshPrompts { AskPassphrase = (_, _) => throw new InvalidOperationException("asked") }
        ).ConnectAsync(_server.Host, CancellationToken.None);
    }

    [Test]
    public async Task A_certificate_of_a_key_in_the_agent_lets_in()
    {
        var key = Key("ed25519", "", authorized: false);
        Shell.Run(
            $"cd {_server.Directory} && rm -f ca ca.pub && ssh-keygen -q -t ed25519 -N '' -f ca && "
                + $"cp ca.pub {Path.GetTempPath()}/kbr-test-user-ca.pub && ssh-keygen -q -s ca -I test -n root {key}.pub"
        );
        using var agent = new SshAgentProcess(_server.Directory);
        Shell.Run($"mv {key}-cert.pub {key}.aside");
        agent.Add(key);
        var settings = _server.Settings with { IdentityFile = key + ".pub", AgentSocket = agent.Socket };
        File.Move(key, key + ".gone");
        var refused = await ErrorAsync(new SshConnector(settings, ReadList.Probe, TimeProvider.System));
        Assert.That(refused.Message, Does.Contain("does not let user root in with the key"));

        Shell.Run($"mv {key}.aside {key}.pub-cert.pub");
        await using var connection = await new SshConnector(settings, ReadList.Probe, TimeProvider.System).ConnectAsync(
            _server.Host,
            CancellationToken.None
        );
    }

    [Test]
    public async Task An_agent_that_hangs_holds_nothing_up_for_long()
    {
        using var agent = new FalseAgent(_server.Directory, answer: null);
        var watch = Stopwatch.StartNew();
        await using (
            await new SshConnector(_server.Settings with { AgentSocket = agent.Socket }, ReadList.Probe, TimeProvider.System).ConnectAsync(
                _server.Host,
                CancellationToken.None
            )
        )
        {
            Assert.That(watch.Elapsed, Is.LessThan(TimeSpan.FromSeconds(15)));
        }

        var error = await ErrorAsync(
            new SshConnector(_server.Settings with { IdentityFile = null, AgentSocket = agent.Socket }, ReadList.Probe, TimeProvider.System)
        );
        Assert.That(error.Message, Is.EqualTo($"the ssh-agent at {agent.Socket} did not answer within 5 s"));
    }

    [TestCase(new byte[] { 255, 255, 255, 255, 12 }, "its answer is no answer of an agent")]
    [TestCase(new byte[] { 0, 0, 0, 5, 12, 255, 255, 255, 255 }, "it holds 4294967295 keys")]
    [TestCase(new byte[] { 0, 0, 0, 9, 12, 0, 0, 0, 1, 127, 255, 255, 255 }, "its answer is cut off")]
    [TestCase(new byte[] { 0, 0, 0, 1, 5 }, "it refused")]
    [TestCase(new byte[] { 0, 0, 0, 9, 12 }, "its answer is cut off")]
    public async Task An_agent_that_answers_nonsense_is_named(byte[] answer, string why)
    {
        using var agent = new FalseAgent(_server.Directory, answer);

        var error = await ErrorAsync(
            new SshConnector(_server.Settings with { IdentityFile = null, AgentSocket = agent.Socket }, ReadList.Probe, TimeProvider.System)
        );

        Assert.That(error.Message, Is.EqualTo($"the ssh-agent at {agent.Socket} cannot be used: {why}"));
    }

    [Test]
    public async Task More_keys_than_a_server_takes_are_an_error_that_says_how_to_choose_one()
    {
        using var agent = new SshAgentProcess(_server.Directory);
        foreach (var _ in Enumerable.Range(0, 7))
        {
            agent.Add(Key("ed25519", "", authorized: false));
        }

        var error = await ErrorAsync(
            new SshConnector(_server.Settings with { IdentityFile = null, AgentSocket = agent.Socket }, ReadList.Probe, TimeProvider.System)
        );

        Assert.That(error.Message, Does.Contain("ends the connection after too many keys (MaxAuthTries): SHA256:"));
        Assert.That(error.Remedy, Does.Contain("ssh.identity_file").And.Contain("IdentitiesOnly yes"));
    }

    [Test]
    public async Task A_public_key_without_an_agent_is_named_as_such()
    {
        var key = Key("ed25519", "") + ".pub";

        var error = await ErrorAsync(Connector(key));

        Assert.That(error.Message, Is.EqualTo($"{key} is a public key, and no agent holds its private key"));
    }

    private SshConnector Connector(string key, SshPrompts? prompts = null) =>
        new(_server.Settings with { IdentityFile = key }, ReadList.Probe, TimeProvider.System, prompts);

    private async Task<HostException> ErrorAsync(SshConnector connector) =>
        (await Assert.ThrowsAsync<HostException>(() => connector.ConnectAsync(_server.Host, CancellationToken.None)))!;

    // The rounds stand behind the salt of 16 bytes, which follows the name of the derivation.
    private static void WithRounds(string key, uint rounds)
    {
        var text = File.ReadAllText(key);
        var found = PemEncoding.Find(text);
        var content = Convert.FromBase64String(text[found.Base64Data]);
        var at = content.AsSpan().IndexOf("bcrypt"u8) + "bcrypt".Length + sizeof(uint) + sizeof(uint) + 16;
        Assert.That(BinaryPrimitives.ReadUInt32BigEndian(content.AsSpan(at)), Is.InRange(8, 64), "what ssh-keygen wrote");
        BinaryPrimitives.WriteUInt32BigEndian(content.AsSpan(at), rounds);
        File.WriteAllText(key, PemEncoding.WriteString(text[found.Label], content) + "\n");
    }

    // A new key that the server knows.
    private string Key(string type, string passphrase, string options = "", bool authorized = true)
    {
        var key = Path.Combine(_server.Directory, $"key-{Guid.NewGuid():N}");
        Shell.Run($"ssh-keygen -q -t {type} {options} -N \"{passphrase}\" -f {key}");
        if (authorized)
        {
            Shell.Run($"cat {key}.pub >> {_server.Directory}/authorized_keys");
        }

        if (options.Contains("PEM", StringComparison.Ordinal))
        {
            File.Delete(key + ".pub");
        }

        return key;
    }
}
