using System.Diagnostics;
using System.Net.Sockets;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Tests.Ssh;

/// <summary>Hosts behind jump hosts: real sshds, one before the other.</summary>
[NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class JumpTests
{
    private SshServer _host = null!;
    private SshServer _first = null!;
    private SshServer _second = null!;

    [OneTimeSetUp]
    public void StartServers() => (_host, _first, _second) = (new SshServer(), new SshServer(), new SshServer());

    [OneTimeTearDown]
    public void StopServers()
    {
        _host.Dispose();
        _first.Dispose();
        _second.Dispose();
    }

    [Test]
    public async Task A_host_is_reached_through_two_jump_hosts_each_with_its_own_key()
    {
        var source = Source("Host far\n  ProxyJump first,second\n");

        await using var connection = await Connector(source).ConnectAsync(Far(), CancellationToken.None);
        await connection.Reader.ReadAsync([new StatRead("/")], CancellationToken.None);
        await using (var tunnel = await connection.OpenTunnelAsync("127.0.0.1", _host.Port, CancellationToken.None))
        {
            using var client = new TcpClient("127.0.0.1", tunnel.Port);
            using var reader = new StreamReader(client.GetStream());
            Assert.That(await reader.ReadLineAsync(), Does.StartWith("SSH-2.0-"));
        }

        Assert.That(Sessions(_first), Is.EqualTo(1));
        Assert.That(Sessions(_second), Is.EqualTo(1));
    }

    [Test]
    public async Task A_jump_host_of_a_jump_host_comes_from_its_own_configuration()
    {
        var source = Source("Match originalhost second\n  ProxyJump first\nHost far\n  ProxyJump second\n");

        await using var connection = await Connector(source).ConnectAsync(Far(), CancellationToken.None);

        Assert.That(Sessions(_first), Is.EqualTo(1));
    }

    [Test]
    public async Task Hosts_behind_one_jump_host_share_its_connection_and_the_last_one_closes_it()
    {
        var connector = Connector(Source("Host far*\n  ProxyJump first\n"));
        string[] names = ["far", "far2", "far3", "far4"];

        var connections = await Task.WhenAll(names.Select(name => connector.ConnectAsync(Far(name), CancellationToken.None)));

        Assert.That(Sessions(_first), Is.EqualTo(1));
        foreach (var connection in connections)
        {
            await connection.Reader.ReadAsync([new StatRead("/")], CancellationToken.None);
            await connection.DisposeAsync();
        }

        Wait.Until(() => Sessions(_first) == 0, "the connection to the jump host to be closed");
    }

    [Test]
    public async Task The_jump_host_in_cluster_yaml_stands_above_ssh_s_configuration()
    {
        var source = Source("Host far\n  ProxyJump no-such-host.invalid\n");
        await using (await Connector(source, jump: "first").ConnectAsync(Far(), CancellationToken.None)) { }

        var host = Far() with { Endpoint = SshEndpoint.Of(Far()) with { ProxyJump = "none" } };
        await using (await Connector(source, jump: "no-such-host.invalid").ConnectAsync(host, CancellationToken.None)) { }

        Shell.Run($"cat {_host.Directory}/id.pub >> {_first.Directory}/authorized_keys");
        var known = Path.Combine(_host.Directory, "known_both");
        File.WriteAllText(known, File.ReadAllText(_host.KnownHostsFile) + File.ReadAllText(_first.KnownHostsFile));
        var without = _host.Settings with { KnownHostsFile = known, ProxyJump = $"root@127.0.0.1:{_first.Port}" };
        await using (await new SshConnector(without, ReadList.Probe, TimeProvider.System).ConnectAsync(_host.Host, CancellationToken.None))
        {
            Assert.That(Sessions(_first), Is.EqualTo(1));
        }
    }

    [Test]
    public async Task A_jump_host_whose_key_is_unknown_is_named_and_nothing_goes_through_it()
    {
        var empty = Path.Combine(_first.Directory, "known_empty");
        File.WriteAllText(empty, "");
        var source = Source("Host far\n  ProxyJump first\n", firstKnown: empty);

        var error = await ErrorAsync(Connector(source), Far());

        Assert.That(error.Host, Is.EqualTo("far"));
        Assert.That(error.Message, Does.StartWith("jump host first: its ssh-ed25519 key SHA256:").And.EndWith($" is not in {empty}"));
        Assert.That(error.Remedy, Does.Contain($"echo '[127.0.0.1]:{_first.Port} ssh-ed25519 AAAA").And.EndWith($" >> {empty}"));
    }

    [Test]
    public async Task A_jump_host_whose_key_has_changed_is_refused_without_a_line_that_accepts_it()
    {
        var changed = Path.Combine(_first.Directory, "known_changed");
        File.WriteAllText(changed, $"[127.0.0.1]:{_first.Port} {File.ReadAllText(Path.Combine(_host.Directory, "host.pub"))}");
        var source = Source("Host far\n  ProxyJump first\n", firstKnown: changed);

        var error = await ErrorAsync(Connector(source, checking: HostKeyChecking.AcceptNew), Far());

        Assert.That(error.Message, Does.StartWith("jump host first: its ssh-ed25519 key SHA256:").And.Contains($" differs from {changed}"));
        Assert.That(error.Remedy, Does.Contain("ssh-keygen -R").And.Not.Contain("AAAA").And.Not.Contain("ssh-keyscan"));
    }

    [Test]
    public async Task A_host_behind_a_jump_host_is_checked_under_its_own_name()
    {
        var source = Source("Host far\n  ProxyJump first\n", farKnown: _first.KnownHostsFile);

        var error = await ErrorAsync(Connector(source), Far());

        Assert.That(error.Message, Does.StartWith("its ssh-ed25519 key SHA256:").And.EndWith($" is not in {_first.KnownHostsFile}"));
        Assert.That(error.Remedy, Does.Contain($"echo '[127.0.0.1]:{_host.Port} "));
    }

    [Test]
    public async Task When_the_jump_host_dies_all_behind_it_say_so()
    {
        var connector = Connector(Source("Host far*\n  ProxyJump first\n", firstPort: _first.RelayPort));
        await using var one = await connector.ConnectAsync(Far(), CancellationToken.None);
        await using var other = await connector.ConnectAsync(Far("far2"), CancellationToken.None);
        await one.Reader.ReadAsync([new StatRead("/")], CancellationToken.None);
        var watch = Stopwatch.StartNew();

        _first.Cut();

        foreach (var connection in (IHostConnection[])[one, other])
        {
            var error = (
                await Assert.ThrowsAsync<HostException>(() => connection.Reader.ReadAsync([new StatRead("/")], CancellationToken.None))
            )!;
            Assert.That(error.Message, Does.StartWith("the connection through jump host first was lost"));
        }

        Assert.That(watch.Elapsed, Is.LessThan(TimeSpan.FromSeconds(10)));

        // A new connection to the jump host is made for whoever comes next.
        await using var next = await connector.ConnectAsync(Far("far3"), CancellationToken.None);
        await next.Reader.ReadAsync([new StatRead("/")], CancellationToken.None);
    }

    [Test]
    public async Task A_host_that_the_jump_host_cannot_reach_is_named_with_it()
    {
        var port = SshServer.FreePort();

        var error = await ErrorAsync(Connector(Source("Host far\n  ProxyJump first\n", farPort: port)), Far());

        Assert.That(error.Message, Is.EqualTo($"jump host first opened no connection to 127.0.0.1:{port}"));
        Assert.That(
            error.Remedy,
            Does.Contain("can first reach it").And.EndWith($"ssh -J root@127.0.0.1:{_first.Port} -p {port} root@127.0.0.1")
        );
    }

    [Test]
    public async Task Jump_hosts_that_lead_in_a_circle_are_refused()
    {
        var error = await ErrorAsync(
            Connector(Source("Host far second\n  ProxyJump first\nMatch originalhost first\n  ProxyJump second\n")),
            Far()
        );

        Assert.That(error.Message, Does.Contain("lead in a circle").Or.Contain("more than 8 jump hosts"));
    }

    [Test]
    public async Task The_port_on_loopback_takes_kbr_s_own_connection_and_no_other()
    {
        await using var connection = await Connector(Source("Host far\n  ProxyJump first\n")).ConnectAsync(Far(), CancellationToken.None);
        var mine = Listening().ToList();

        Assert.That(mine, Is.Not.Empty);
        foreach (var port in mine)
        {
            using var stranger = new TcpClient("127.0.0.1", port) { ReceiveTimeout = 10_000 };
            Assert.That(stranger.GetStream().ReadByte(), Is.EqualTo(-1), "no greeting of a server came through");
        }

        await connection.Reader.ReadAsync([new StatRead("/")], CancellationToken.None);
    }

    // The ports that this process listens on at 127.0.0.1, but for the relays of the servers.
    private IEnumerable<int> Listening()
    {
        var inodes = Directory
            .EnumerateFiles("/proc/self/fd")
            .Select(file => new FileInfo(file).LinkTarget)
            .Where(target => target?.StartsWith("socket:[", StringComparison.Ordinal) == true)
            .Select(target => target![8..^1])
            .ToHashSet();
        return File.ReadLines("/proc/net/tcp")
            .Skip(1)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(words => words[3] == "0A" && inodes.Contains(words[9]) && words[1].StartsWith("0100007F:", StringComparison.Ordinal))
            .Select(words => Convert.ToInt32(words[1][9..], 16))
            .Except([_host.RelayPort, _first.RelayPort, _second.RelayPort]);
    }

    private static Host Far(string name = "far") =>
        new(name, "db", "127.0.0.1", new SshEndpoint("127.0.0.1", null, null, false) { Alias = name });

    private static SshSettings Settings(SshConfigSource source) =>
        new(null, null, null, true, TimeSpan.FromSeconds(20)) { Config = source };

    private static SshConnector Connector(SshConfigSource source, string? jump = null, HostKeyChecking? checking = null) =>
        new(Settings(source) with { ProxyJump = jump, HostKeyChecking = checking }, ReadList.Probe, TimeProvider.System);

    private static async Task<HostException> ErrorAsync(SshConnector connector, Host host) =>
        (await Assert.ThrowsAsync<HostException>(() => connector.ConnectAsync(host, CancellationToken.None)))!;

    // Each server with its own port, key and known_hosts; what is given stands before it.
    private SshConfigSource Source(
        string text,
        string? firstKnown = null,
        int? firstPort = null,
        string? farKnown = null,
        int? farPort = null
    ) =>
        _host.Configure(
            $"""
            {text}
            Host far*
              HostName 127.0.0.1
              Port {farPort ?? _host.Port}
              IdentityFile {_host.Settings.IdentityFile}
              UserKnownHostsFile {farKnown ?? _host.KnownHostsFile}
            Host first
              HostName 127.0.0.1
              Port {firstPort ?? _first.Port}
              IdentityFile {_first.Settings.IdentityFile}
              UserKnownHostsFile {firstKnown ?? _first.KnownHostsFile}
            Host second
              HostName 127.0.0.1
              Port {_second.Port}
              IdentityFile {_second.Settings.IdentityFile}
              UserKnownHostsFile {_second.KnownHostsFile}
            """
        );

    // Connections to a server that are past the key exchange: sshd has a process for each.
    private static int Sessions(SshServer server)
    {
        using var find = Process.Start(
            new ProcessStartInfo("sh", ["-c", $"ss -Htn state established sport = :{server.Port} | wc -l"])
            {
                RedirectStandardOutput = true,
            }
        )!;
        return int.Parse(find.StandardOutput.ReadToEnd(), System.Globalization.CultureInfo.InvariantCulture);
    }
}
