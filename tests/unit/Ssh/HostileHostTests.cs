using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Tests.Ssh;

/// <summary>Real sshds that answer without end, or not as kbr needs it: the host is named, soon, and kbr does not grow.</summary>
[NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class HostileHostTests
{
    private const string TooMuch = "it printed more than 8 MiB and was aborted: does a command in it print endlessly?";
    private static readonly LockHolder Holder = new(
        "ada",
        "laptop",
        4711,
        "/home/ada",
        "apply",
        new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero)
    );

    [TestCase("ForceCommand yes kbr")]
    [TestCase("ForceCommand yes kbr >&2")]
    public async Task A_login_shell_that_prints_for_ever_is_an_error_of_the_host_and_kbr_does_not_grow(string setting)
    {
        using var server = new SshServer(setting);
        using var growth = new Growth();
        await using var connection = await new SshConnector(server.Settings, ReadList.Probe, TimeProvider.System).ConnectAsync(
            server.Host,
            CancellationToken.None
        );

        var error = (
            await Assert.ThrowsAsync<HostException>(() => connection.Reader.ReadAsync([new StatRead("/")], CancellationToken.None))
        )!;

        Assert.That(
            (error.Host, error.Message),
            Is.EqualTo(("db-1", "the host's answer does not end: the login shell of root prints before any command runs"))
        );
        Assert.That(error.Remedy, Does.Contain("start-up files"));
        await Assert.ThrowsAsync<HostException>(() => connection.OpenWriterAsync(Holder, 1, CancellationToken.None));
        Assert.That(growth.Mebibytes, Is.LessThan(300));
    }

    [Test]
    public async Task A_script_that_prints_for_ever_is_ended_and_the_next_one_runs()
    {
        using var server = new SshServer();
        using var growth = new Growth();
        await using var connection = await new SshConnector(server.Settings, ReadList.Probe, TimeProvider.System).ConnectAsync(
            server.Host,
            CancellationToken.None
        );
        await using var writer = await connection.OpenWriterAsync(Holder, 1, CancellationToken.None);

        var flood = await writer.RunAsync(new Script("yes"), CancellationToken.None);
        var errors = await writer.RunAsync(new Script("yes >&2"), CancellationToken.None);
        var next = await writer.RunAsync(new Script("echo next"), CancellationToken.None);

        Assert.That(flood, Is.EqualTo(new ScriptResult(1, "", TooMuch)));
        Assert.That(errors.Error, Is.EqualTo(flood.Error));
        Assert.That(next.Output, Is.EqualTo("next\n"));
        Assert.That(growth.Mebibytes, Is.LessThan(300));
    }

    [Test]
    public async Task What_prints_a_little_more_than_it_may_and_ends_by_itself_is_never_taken_for_an_answer()
    {
        using var server = new SshServer();
        await using var connection = await new SshConnector(server.Settings, ReadList.Probe, TimeProvider.System).ConnectAsync(
            server.Host,
            CancellationToken.None
        );
        await using var writer = await connection.OpenWriterAsync(Holder, 1, CancellationToken.None);

        // Its end comes while kbr acts on the bound: which of the two is seen first differs from run to run.
        var script = new Script($"head -c {(8 << 20) + (100 << 10)} /dev/zero");
        foreach (var _ in Enumerable.Range(0, 40))
        {
            var result = await writer.RunAsync(script, CancellationToken.None);
            Assert.That((result.ExitCode, result.Output, result.Error), Is.EqualTo((1, "", TooMuch)));
        }
    }

    [Test]
    public async Task An_answer_to_a_probe_has_a_bound_too()
    {
        using var server = new SshServer();
        var reads = Enumerable.Range(0, 9).Select(i => new FileRead($"{server.Directory}/big-{i}")).ToArray();
        foreach (var read in reads)
        {
            await using var file = File.Create(read.Path);
            file.SetLength(8 << 20);
        }

        await using var connection = await new SshConnector(server.Settings, ReadList.Probe, TimeProvider.System).ConnectAsync(
            server.Host,
            CancellationToken.None
        );
        var error = (await Assert.ThrowsAsync<HostException>(() => connection.Reader.ReadAsync(reads, CancellationToken.None)))!;

        Assert.That(error.Message, Does.Contain("it printed more than 64 MiB and was aborted"));
        Assert.That((await connection.Reader.ReadAsync([new StatRead("/")], CancellationToken.None)).Get(new StatRead("/")), Is.Not.Null);
    }

    [Test]
    public async Task A_greeting_without_end_is_an_error_of_the_host_within_its_time()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var greeting = Task.Run(async () =>
        {
            using var client = await listener.AcceptTcpClientAsync();
            try
            {
                while (true)
                {
                    await client.GetStream().WriteAsync(new byte[64 * 1024]);
                }
            }
            catch (IOException)
            {
                // kbr has had enough.
            }
        });
        using var server = new SshServer();
        using var growth = new Growth();
        var host = server.Host with { Endpoint = SshEndpoint.Of(server.Host) with { Port = ((IPEndPoint)listener.LocalEndpoint).Port } };

        var error = (
            await Assert.ThrowsAsync<HostException>(() =>
                new SshConnector(server.Settings with { ConnectTimeout = TimeSpan.FromSeconds(3) }, ReadList.Probe, TimeProvider.System)
                    .ConnectAsync(host, CancellationToken.None)
                    .WaitAsync(TimeSpan.FromSeconds(30))
            )
        )!;

        Assert.That(error.Host, Is.EqualTo("db-1"));
        Assert.That(growth.Mebibytes, Is.LessThan(300));
        await greeting.WaitAsync(TimeSpan.FromSeconds(30));
    }

    [TestCase(1)]
    [TestCase(2)]
    public async Task Too_few_sessions_are_named_with_the_setting(int sessions)
    {
        using var server = new SshServer($"MaxSessions {sessions}");
        await using var connection = await new SshConnector(server.Settings, ReadList.Probe, TimeProvider.System).ConnectAsync(
            server.Host,
            CancellationToken.None
        );
        Assert.That((await connection.Reader.ReadAsync([new StatRead("/")], CancellationToken.None)).Get(new StatRead("/")), Is.Not.Null);

        var error = (
            await Assert.ThrowsAsync<HostException>(async () =>
            {
                await using var writer = await connection.OpenWriterAsync(Holder, 1, CancellationToken.None);
                await writer.RunAsync(new Script(":"), CancellationToken.None);
            })
        )!;

        Assert.That(error.Message, Does.StartWith("sshd there opens too few sessions on one connection (MaxSessions)"));
        Assert.That(error.Remedy, Does.Contain("MaxSessions 10"));
    }

    [Test]
    public async Task A_login_without_root_is_refused_and_does_not_report_unreadable_files_as_absent()
    {
        using var server = new SshServer("ForceCommand exec setpriv --reuid=65534 --regid=65534 --clear-groups sh");
        await using var connection = await new SshConnector(server.Settings, ReadList.Probe, TimeProvider.System).ConnectAsync(
            server.Host,
            CancellationToken.None
        );

        var error = (
            await Assert.ThrowsAsync<HostException>(() =>
                connection.Reader.ReadAsync([new StatRead("/root/.bashrc")], CancellationToken.None)
            )
        )!;

        Assert.That(
            (error.Message, error.Remedy),
            Is.EqualTo(("kbr needs root on the host, but is nobody there", "set sudo: true for this host, or log in as root"))
        );
    }

    [TestCase(
        "echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1",
        "sudo asks user root for a terminal (requiretty)",
        "!requiretty"
    )]
    [TestCase("echo 'sh: 1: exec: sudo: not found' >&2; exit 127", "sudo is not installed", "install sudo")]
    [TestCase("echo 'sudo: a password is required' >&2; exit 1", "sudo does not let user root become root without a password", "NOPASSWD")]
    [TestCase(
        "echo 'This account is currently not available.'; exit 1",
        "the login shell of user root ended at once",
        "a shell that runs commands"
    )]
    public async Task Reasons_against_becoming_root_are_distinguished(string shell, string message, string remedy)
    {
        using var server = new SshServer("ForceCommand " + shell);
        var host = server.Host with { Endpoint = SshEndpoint.Of(server.Host) with { Sudo = true } };
        await using var connection = await new SshConnector(server.Settings, ReadList.Probe, TimeProvider.System).ConnectAsync(
            host,
            CancellationToken.None
        );

        var error = (
            await Assert.ThrowsAsync<HostException>(() => connection.Reader.ReadAsync([new StatRead("/")], CancellationToken.None))
        )!;

        Assert.That(error.Message, Does.StartWith(message + ": "));
        Assert.That(error.Remedy, Does.Contain(remedy));
    }

    [TestCase("-V 20200101:20200102 -n root", "expired at 2020-01-0")]
    [TestCase("-V 20990101:20990102 -n root", "is not valid before 2099-01-01")]
    [TestCase("-n somebody", "is for somebody and not for user root")]
    [TestCase("-h -n db-1", "is a host certificate")]
    [TestCase("-n root", "does not accept the certificate")]
    public async Task A_certificate_that_does_not_let_in_is_named_and_not_the_key(string signed, string message)
    {
        using var server = new SshServer();
        var key = Path.Combine(server.Directory, "own");
        Shell(
            $"cd {server.Directory} && ssh-keygen -q -t ed25519 -N '' -f ca && ssh-keygen -q -t ed25519 -N '' -f "
                + $"own && ssh-keygen -q -s ca -I test {signed} own.pub"
        );
        Assert.That(File.Exists(key + "-cert.pub"), Is.True);

        var error = (
            await Assert.ThrowsAsync<HostException>(() =>
                new SshConnector(server.Settings with { IdentityFile = key }, ReadList.Probe, TimeProvider.System).ConnectAsync(
                    server.Host,
                    CancellationToken.None
                )
            )
        )!;

        Assert.That(error.Message, Does.Contain(message).And.Contain("-cert.pub"));
        Assert.That(error.Remedy, Does.Not.Contain("authorized_keys"));
    }

    private static void Shell(string script)
    {
        using var process = Process.Start(new ProcessStartInfo("sh", ["-c", script]))!;
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero);
    }

    /// <summary>How much this process grows at most while it is watched.</summary>
    private sealed class Growth : IDisposable
    {
        private readonly long _before = WorkingSet();
        private readonly Timer _timer;
        private long _most;

        public Growth() => _timer = new Timer(_ => Look(), null, 0, 50);

        public long Mebibytes
        {
            get
            {
                Look();
                return (Interlocked.Read(ref _most) - _before) >> 20;
            }
        }

        public void Dispose() => _timer.Dispose();

        private void Look()
        {
            var now = WorkingSet();
            Interlocked.Exchange(ref _most, Math.Max(Interlocked.Read(ref _most), now));
        }

        private static long WorkingSet()
        {
            using var process = Process.GetCurrentProcess();
            return process.WorkingSet64;
        }
    }
}
