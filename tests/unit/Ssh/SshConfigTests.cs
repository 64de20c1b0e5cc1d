using CsCheck;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Tests.Ssh;

/// <summary>OpenSSH's configuration, as the installed <c>ssh</c> tells it.</summary>
[NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class SshConfigTests
{
    private SshServer _server = null!;

    [OneTimeSetUp]
    public void StartServer() => _server = new SshServer();

    [OneTimeTearDown]
    public void StopServer() => _server.Dispose();

    [Test]
    public async Task Name_port_user_key_and_known_hosts_come_from_ssh_s_configuration()
    {
        var spaced = Path.Combine(_server.Directory, "with space");
        File.Copy(_server.KnownHostsFile, spaced, overwrite: true);
        var settings = Settings(
            $"""
            Host db-1
              HostName 127.0.0.1
              Port {_server.Port}
              User root
              IdentityFile {_server.Directory}/%%d/../i%r
              IdentityFile {_server.Directory}/i%n
              UserKnownHostsFile /dev/null "{spaced}"
              GlobalKnownHostsFile none
            """
        );
        File.Copy(_server.Settings.IdentityFile!, Path.Combine(_server.Directory, "idb-1"), overwrite: true);

        await using var connection = await Connector(settings).ConnectAsync(Named("db-1", "192.0.2.1"), CancellationToken.None);
    }

    [Test]
    public async Task The_way_to_a_host_is_settled_without_connecting()
    {
        var connector = Connector(
            Settings(
                """
                Host db-1
                  HostName 192.0.2.1
                  Port 2200
                  ProxyJump ops@entrance:2222
                Host entrance
                  HostName 192.0.2.9
                Host db-2
                  ProxyCommand false
                """
            )
        );

        var route = await connector.ResolveAsync(Named("db-1", "10.0.0.1"), CancellationToken.None);

        Assert.That(route.Target, Is.EqualTo(new HostStop("db-1", "192.0.2.1", 2200)));
        Assert.That(route.Jumps, Is.EqualTo(new[] { new HostStop("entrance", "192.0.2.9", 2222) }));
        Assert.That(
            async () => await connector.ResolveAsync(Named("db-2", "10.0.0.2"), CancellationToken.None),
            Throws.TypeOf<HostException>().With.Message.Contains("sets ProxyCommand")
        );
    }

    [Test]
    public async Task Where_nothing_speaks_of_the_name_the_address_counts()
    {
        var settings = Settings(Block("127.0.0.*"));
        await using (await Connector(settings).ConnectAsync(Named("db-1", "127.0.0.1"), CancellationToken.None)) { }

        var both = Settings(Block("127.0.0.*") + "\nHost db-1\n  ProxyCommand false\n");
        Assert.That((await ErrorAsync(both, Named("db-1", "127.0.0.1"))).Message, Does.Contain("of db-1 sets ProxyCommand"));
    }

    [Test]
    public async Task Cluster_yaml_stands_above_ssh_s_configuration()
    {
        var settings = Settings(
            """
            Host *
              Port 1
              User nobody
              IdentityFile /no/such/key
              UserKnownHostsFile /no/such/file
              StrictHostKeyChecking accept-new
            """
        ) with
        {
            IdentityFile = _server.Settings.IdentityFile,
            KnownHostsFile = _server.KnownHostsFile,
        };
        var host = new Host("db-1", "db", "127.0.0.1", new SshEndpoint("127.0.0.1", _server.Port, "root", false) { Alias = "db-1" });
        await using (await Connector(settings).ConnectAsync(host, CancellationToken.None)) { }

        var strict = settings with { KnownHostsFile = "/no/such/file", HostKeyChecking = HostKeyChecking.Strict };
        Assert.That((await ErrorAsync(strict, host)).Message, Does.EndWith("is not in /no/such/file"));
    }

    [Test]
    public async Task Without_a_configured_user_the_login_is_root_and_with_one_it_is_that()
    {
        await using (await Connector(Settings(Block("db-1", user: null))).ConnectAsync(Named("db-1"), CancellationToken.None)) { }

        var error = await ErrorAsync(Settings(Block("db-1", user: "nobody")), Named("db-1"));

        Assert.That(error.Message, Does.Contain("does not let user nobody in"));
    }

    [Test]
    public async Task A_host_key_alias_is_the_name_in_known_hosts()
    {
        var known = Path.Combine(_server.Directory, "known_alias");
        File.WriteAllText(known, $"the-alias {File.ReadAllText(Path.Combine(_server.Directory, "host.pub"))}");
        await using (
            await Connector(Settings(Block("db-1", known: known) + "\n  HostKeyAlias the-alias\n"))
                .ConnectAsync(Named("db-1"), CancellationToken.None)
        ) { }

        var error = await ErrorAsync(Settings(Block("db-1", known: known) + "\n  HostKeyAlias another\n"), Named("db-1"));
        Assert.That(error.Remedy, Does.Contain("echo 'another ssh-ed25519 "));
    }

    [Test]
    public async Task The_line_that_accepts_a_key_is_one_for_a_shell()
    {
        var known = Path.Combine(_server.Directory, "it's known");
        var settings = Settings(Block("db-1")) with { KnownHostsFile = known };

        var error = await ErrorAsync(settings, Named("db-1"));
        Shell.Run(error.Remedy![error.Remedy!.IndexOf("echo ", StringComparison.Ordinal)..]);

        await using (await Connector(settings).ConnectAsync(Named("db-1"), CancellationToken.None)) { }
    }

    [Test]
    public async Task A_new_key_is_added_under_a_hashed_name_where_ssh_would_hash_it()
    {
        var known = Path.Combine(_server.Directory, $"known-{Guid.NewGuid():N}");
        var settings = Settings(Block("db-1", known: known) + "\n  StrictHostKeyChecking accept-new\n  HashKnownHosts yes\n");

        await using (await Connector(settings).ConnectAsync(Named("db-1"), CancellationToken.None)) { }

        Assert.That(File.ReadAllText(known), Does.StartWith("|1|").And.Not.Contain("127.0.0.1"));
        Shell.Run($"ssh-keygen -F '[127.0.0.1]:{_server.Port}' -f {known} >/dev/null");
        var strict = Settings(Block("db-1", known: known));
        await using (await Connector(strict).ConnectAsync(Named("db-1"), CancellationToken.None)) { }
    }

    [TestCase("/dev/null", false)]
    [TestCase("/dev/null {0}", false)]
    [TestCase("none", false)]
    [TestCase("{0}", true)]
    public async Task A_new_key_is_added_to_the_first_file_of_the_user_alone(string files, bool isAdded)
    {
        var (own, global) = (Path.Combine(_server.Directory, $"own-{Guid.NewGuid():N}"), Path.Combine(_server.Directory, "global"));
        File.WriteAllText(global, "");
        var known = string.Format(System.Globalization.CultureInfo.InvariantCulture, files, own);
        var settings = Settings(Block("db-1", known: known) + $"\n  GlobalKnownHostsFile {global}\n  StrictHostKeyChecking accept-new\n");

        await using (await Connector(settings).ConnectAsync(Named("db-1"), CancellationToken.None)) { }

        Assert.That(File.Exists(own), Is.EqualTo(isAdded));
        Assert.That(File.ReadAllText(global), Is.Empty);

        // It is read, as ever.
        File.Copy(_server.KnownHostsFile, global, overwrite: true);
        var strict = Settings(Block("db-1", known: "/dev/null") + $"\n  GlobalKnownHostsFile {global}\n");
        await using (await Connector(strict).ConnectAsync(Named("db-1"), CancellationToken.None)) { }
    }

    [Test]
    public async Task Known_hosts_of_cluster_yaml_gets_the_new_keys_where_it_is_a_file()
    {
        var (own, global) = (Path.Combine(_server.Directory, $"own-{Guid.NewGuid():N}"), Path.Combine(_server.Directory, "global-2"));
        var settings = Settings(Block("db-1", known: "/dev/null") + $"\n  GlobalKnownHostsFile {global}\n") with
        {
            HostKeyChecking = HostKeyChecking.AcceptNew,
        };

        await using (await Connector(settings with { KnownHostsFile = "/dev/null" }).ConnectAsync(Named("db-1"), CancellationToken.None))
        { }
        await using (await Connector(settings with { KnownHostsFile = own }).ConnectAsync(Named("db-1"), CancellationToken.None)) { }

        Assert.That((File.Exists(own), File.Exists(global)), Is.EqualTo((true, false)));
    }

    [Test]
    public async Task A_proxy_command_is_refused_with_what_to_use_in_its_place()
    {
        var error = await ErrorAsync(Settings(Block("db-1") + "\n  ProxyCommand nc %h %p\n"), Named("db-1"));

        Assert.That(error.Message, Is.EqualTo("ssh's configuration of db-1 sets ProxyCommand, which kbr does not run: nc %h %p"));
        Assert.That(error.Remedy, Does.Contain("ProxyJump"));
        await using var direct = await Connector(Settings(Block("db-1") + "\n  ProxyCommand nc %h %p\n") with { ProxyJump = "none" })
            .ConnectAsync(Named("db-1"), CancellationToken.None);
    }

    [Test]
    public async Task What_kbr_does_not_follow_is_said_once()
    {
        List<string> warnings = [];
        var settings = Settings(
            Block("db-1") + "\n  PKCS11Provider /usr/lib/none.so\n  BindAddress 127.0.0.1\n  StrictHostKeyChecking no\n"
        );
        var connector = Connector(settings, new SshPrompts { Warn = warnings.Add });

        await using (await connector.ConnectAsync(Named("db-1"), CancellationToken.None)) { }
        await using (await connector.ConnectAsync(Named("db-1"), CancellationToken.None)) { }

        Assert.That(
            warnings,
            Is.EqualTo(
                new[]
                {
                    "db-1: ssh's configuration sets BindAddress, PKCS11Provider, which kbr does not follow",
                    "db-1: ssh's configuration sets StrictHostKeyChecking no; kbr accepts new host keys, and refuses changed ones",
                }
            )
        );
    }

    [Test]
    public async Task A_list_of_revoked_keys_that_kbr_cannot_check_is_an_error()
    {
        var error = await ErrorAsync(Settings(Block("db-1") + "\n  RevokedHostKeys /etc/ssh/revoked\n"), Named("db-1"));

        Assert.That(error.Message, Does.Contain("sets RevokedHostKeys /etc/ssh/revoked"));
    }

    [Test]
    public async Task A_configuration_that_ssh_refuses_is_an_error_with_ssh_s_words()
    {
        var error = await ErrorAsync(Settings("Hots db-1\n"), Named("db-1"));

        Assert.That(error.Message, Does.StartWith("ssh's configuration cannot be read for").And.Contain("Bad configuration option: hots"));
        Assert.That(error.Remedy, Does.Contain("ssh -G -F ").And.Contain("config: false"));
    }

    [Test]
    public async Task A_name_with_a_dash_is_no_option_of_ssh()
    {
        var host = new Host("db-1", "db", "127.0.0.1", new SshEndpoint("-oProxyCommand=touch /tmp/kbr-owned", null, null, false));

        var error = await ErrorAsync(Settings(""), host);

        Assert.That(error.Message, Does.Contain("cannot be the name of a host"));
    }

    [Test]
    public async Task The_agent_of_ssh_s_configuration_is_asked()
    {
        using var agent = new SshAgentProcess(_server.Directory);
        agent.Add(_server.Settings.IdentityFile!);
        var block = Block("db-1", key: "/no/such/key") + $"\n  IdentityAgent {agent.Socket}\n";

        await using (await Connector(Settings(block)).ConnectAsync(Named("db-1"), CancellationToken.None)) { }

        var only = await ErrorAsync(Settings(block + "  IdentitiesOnly yes\n"), Named("db-1"));
        Assert.That(only.Message, Does.StartWith("there is no private key to log in with"));
        var none = await ErrorAsync(
            Settings(Block("db-1", key: "/no/such/key") + "\n  IdentityAgent none\n") with
            {
                AgentSocket = agent.Socket,
            },
            Named("db-1")
        );
        Assert.That(none.Message, Does.StartWith("there is no private key to log in with"));
    }

    [Test]
    public async Task A_locked_key_that_nobody_unlocks_does_not_stop_another_key()
    {
        var locked = Path.Combine(_server.Directory, "locked");
        Shell.Run($"ssh-keygen -q -t rsa -b 2048 -m PKCS8 -N sesame -f {locked} && rm {locked}.pub");
        var block = Block("db-1", key: locked) + $"\n  IdentityFile {_server.Settings.IdentityFile}\n  IdentityAgent none\n";

        await using var connection = await Connector(Settings(block)).ConnectAsync(Named("db-1"), CancellationToken.None);

        Assert.That(connection.Host.Name, Is.EqualTo("db-1"));
    }

    [TestCase("-h -n 127.0.0.1", null)]
    [TestCase("-h", null, Description = "a certificate without names is for all")]
    [TestCase("-h -n db-2,db-3", "is for db-2, db-3 and not for 127.0.0.1")]
    [TestCase("-n 127.0.0.1", "is a user's certificate")]
    [TestCase("-h -n 127.0.0.1 -V 20200101:20210101", "its host certificate expired at 2021-01-01")]
    public async Task A_host_certificate_is_checked_by_its_authority(string signed, string? problem)
    {
        var directory = Directory.CreateTempSubdirectory("kbr-ca-").FullName;
        Shell.Run(
            $"cd {directory} && ssh-keygen -q -t ed25519 -N '' -f ca && ssh-keygen -q -t ed25519 -N '' -f host && "
                + $"ssh-keygen -q -s ca -I host {signed} host.pub"
        );
        using var server = new SshServer($"HostKey {directory}/host", $"HostCertificate {directory}/host-cert.pub");
        var known = Path.Combine(directory, "known");
        File.WriteAllText(known, $"@cert-authority [127.0.0.1]:{server.Port} {File.ReadAllText(Path.Combine(directory, "ca.pub"))}");
        var connector = new SshConnector(server.Settings with { KnownHostsFile = known }, ReadList.Probe, TimeProvider.System);

        if (problem is null)
        {
            await using var connection = await connector.ConnectAsync(server.Host, CancellationToken.None);
        }
        else
        {
            var error = (await Assert.ThrowsAsync<HostException>(() => connector.ConnectAsync(server.Host, CancellationToken.None)))!;
            Assert.That(error.Message, Does.Contain(problem));
        }

        var foreign = Path.Combine(directory, "known_foreign");
        File.WriteAllText(foreign, $"@cert-authority * {File.ReadAllText(Path.Combine(server.Directory, "id.pub"))}");
        var refused = (
            await Assert.ThrowsAsync<HostException>(() =>
                new SshConnector(server.Settings with { KnownHostsFile = foreign }, ReadList.Probe, TimeProvider.System).ConnectAsync(
                    server.Host,
                    CancellationToken.None
                )
            )
        )!;
        Assert.That(refused.Message, Does.Contain("is not signed by the certificate authority").Or.Contain(problem ?? "\0"));
        Directory.Delete(directory, recursive: true);
    }

    [TestCase("# Host a\nHost *\n    SendEnv LANG LC_*\n\tHashKnownHosts yes\nInclude /etc/no-such-folder/*.conf", true)]
    [TestCase("User ops", true)]
    [TestCase("Host db-*", false)]
    [TestCase("host=a", false)]
    [TestCase("Host * !db-1", false)]
    [TestCase("Match exec true", false)]
    [TestCase("Include more", false)]
    [TestCase("Include /etc/*/x.conf", false)]
    [TestCase("Include /etc/passwd", false)]
    [TestCase("HostName %h.example.org", false)]
    public void Files_that_tell_no_host_from_another_are_asked_once(string text, bool same) =>
        Assert.That(SshConfigFiles.SaysTheSame(text.Split('\n')), Is.EqualTo(same));

    [Test]
    public void An_answer_holds_for_another_name_as_ssh_would_say_it()
    {
        var answer = SshConfigAnswer.Parse("host a\nuser me\nhostname a\nport 22\nidentityfile ~/.ssh/id_rsa\n").Of("b", "ops", 2222);

        Assert.That((answer.Hostname, answer.User, answer.Port, answer.IsRenamed), Is.EqualTo(("b", "ops", 2222, false)));
        Assert.That(answer.IdentityFiles, Is.EqualTo(new[] { "~/.ssh/id_rsa" }));
    }

    [TestCase("bastion", "bastion", null, null)]
    [TestCase("ops@bastion:2222", "bastion", "ops", 2222)]
    [TestCase("ssh://ops@bastion:22/", "bastion", "ops", 22)]
    [TestCase("x@[fd00::1]:22", "fd00::1", "x", 22)]
    [TestCase("fd00::1", "fd00::1", null, null)]
    public void A_jump_host_is_read_as_ssh_reads_it(string text, string name, string? user, int? port)
    {
        Assert.That(JumpList.TryParse(text, out var hops, out _));
        Assert.That(hops.Single(), Is.EqualTo(new JumpHost(name, user, port)));
    }

    [TestCase("-oProxyCommand=x")]
    [TestCase("a,,b")]
    [TestCase("a:0")]
    [TestCase("a:b")]
    [TestCase("@a")]
    [TestCase("-l@a")]
    [TestCase("a b")]
    [TestCase("[fd00::1")]
    [TestCase("1.2.3")]
    [TestCase("a,b,c,d,e,f,g,h,i")]
    public void What_is_no_list_of_jump_hosts_is_refused(string text) => Assert.That(JumpList.TryParse(text, out _, out _), Is.False);

    [Test]
    public void Any_answer_of_ssh_is_read_or_refused() =>
        Gen.OneOf(
                Gen.String[Gen.Char["hostuserp \n22-[]none%/~"], 0, 200],
                OneOf("hostname", "user", "port", "proxyjump", "identityfile", "userknownhostsfile", "stricthostkeychecking", "host")
                    .Select(Gen.String[Gen.Char[" azAZ09./[]%~\u0000\u001b"], 0, 30])
                    .Select((key, value) => $"{key} {value}")
                    .Array[0, 30]
                    .Select(lines => string.Join('\n', lines))
            )
            .Slice(text =>
            {
                try
                {
                    var answer = SshConfigAnswer.Parse(text);
                    Assert.That(answer.Port, Is.InRange(1, 65535));
                    Assert.That(answer.Hostname, Is.Not.Empty);
                    Assert.That(answer.UserKnownHosts, Has.None.Empty);
                    Assert.That($"{answer.Hostname}{answer.User}{answer.ProxyJump}".Any(char.IsControl), Is.False);
                }
                catch (InvalidDataException)
                {
                    // Refused.
                }
            });

    [Test]
    public void Any_answer_of_an_agent_is_read_or_refused() =>
        Gen.Select(OneOf<byte>(5, 11, 12, 14), OneOf<byte>(0, 1, 2, 4, 127, 255).Array[0, 60])
            .Slice(
                (kind, rest) =>
                {
                    byte[] answer = [kind, .. rest];
                    foreach (var read in (Action[])[() => AgentMessages.ReadKeys(answer), () => AgentMessages.ReadSignature(answer)])
                    {
                        try
                        {
                            read();
                        }
                        catch (InvalidDataException)
                        {
                            // Refused.
                        }
                    }
                }
            );

    private static Gen<T> OneOf<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(index => values[index]);

    private SshSettings Settings(string configuration) =>
        new(null, null, null, true, TimeSpan.FromSeconds(20)) { Config = _server.Configure(configuration) };

    private string Block(string pattern, string? user = "root", string? known = null, string? key = null) =>
        $"""
            Host {pattern}
              HostName 127.0.0.1
              Port {_server.Port}
              IdentityFile {key ?? _server.Settings.IdentityFile}
              UserKnownHostsFile {known ?? _server.KnownHostsFile}
              {(user is null ? "" : $"User {user}")}
            """;

    private static Host Named(string name, string address = "127.0.0.1") =>
        new(name, "db", address, new SshEndpoint(address, null, null, false) { Alias = name });

    private static SshConnector Connector(SshSettings settings, SshPrompts? prompts = null) =>
        new(settings, ReadList.Probe, TimeProvider.System, prompts);

    private static async Task<HostException> ErrorAsync(SshSettings settings, Host host) =>
        (await Assert.ThrowsAsync<HostException>(() => Connector(settings).ConnectAsync(host, CancellationToken.None)))!;
}
