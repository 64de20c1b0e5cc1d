using System.Collections.Immutable;
using System.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Tests.Ssh;

[NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class SshConnectorTests
{
    private static readonly LockHolder Holder = new(
        "ada",
        "laptop",
        4711,
        "/home/ada/it's",
        "apply",
        new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero)
    );

    private SshServer _server = null!;

    [OneTimeSetUp]
    public void StartServer() => _server = new SshServer();

    [OneTimeTearDown]
    public void StopServer() => _server.Dispose();

    [Test]
    public async Task Reads_share_one_shell_and_files_come_back_byte_for_byte()
    {
        var path = Path.Combine(_server.Directory, "binary");
        var bytes = new byte[3_000_000];
        new Random(2).NextBytes(bytes);
        await File.WriteAllBytesAsync(path, bytes);
        await using var connection = await ConnectAsync();

        var snapshot = await connection.Reader.ReadAsync([new FileRead(path), new StatRead("/root")], CancellationToken.None);
        var again = await connection.Reader.ReadAsync([new StatRead("/etc")], CancellationToken.None);

        Assert.That(snapshot.Get(new FileRead(path))!.Bytes.Span.SequenceEqual(bytes), Is.True);
        Assert.That(snapshot.Get(new StatRead("/root"))!.Kind, Is.EqualTo("directory"));
        Assert.That(again.Get(new StatRead("/etc")), Is.Not.Null);
        Assert.That(connection.Reader.ScriptCount, Is.EqualTo(2));
    }

    [Test]
    public async Task Files_are_printed_together_and_one_that_cannot_be_read_is_named()
    {
        FileRead[] reads =
        [
            .. new[] { "empty", "no line's end", "gone", "/", "binary" }.Select(name => new FileRead(
                Path.Combine(_server.Directory, name)
            )),
        ];
        byte[] binary = [.. "n=0123\0\n==> "u8, 0, 10, 255, .. "/proc/self/environ\0"u8];
        await File.WriteAllTextAsync(reads[0].Path, "");
        await File.WriteAllTextAsync(reads[1].Path, "é");
        await File.WriteAllBytesAsync(reads[4].Path, binary);
        await using var connection = await ConnectAsync();

        var found = await connection.Reader.ReadAsync(reads, CancellationToken.None);

        Assert.That(reads.Select(read => found.Get(read)?.Text).Take(4), Is.EqualTo(new[] { "", "é", null, null }));
        Assert.That(found.Get(reads[4])!.Bytes.ToArray(), Is.EqualTo(binary));

        // A regular file whose first byte cannot be read.
        var error = await Assert.ThrowsAsync<HostException>(() =>
            connection.Reader.ReadAsync([.. reads, new FileRead("/proc/self/mem")], CancellationToken.None)
        );
        Assert.That(error!.Message, Does.Contain("/proc/self/mem is there and cannot be read"));
    }

    [Test]
    public async Task A_script_gives_its_output_its_errors_and_its_exit_status()
    {
        await using var connection = await ConnectAsync();
        await using var writer = await connection.OpenWriterAsync(Holder, 2, CancellationToken.None);

        var result = await writer.RunAsync(new Script("echo out; printf '%s\\n' 'é\\n\"$x' >&2; exit 7"), CancellationToken.None);
        var failed = await writer.RunAsync(new Script("false; echo not reached"), CancellationToken.None);
        var unset = await writer.RunAsync(new Script("echo $unset_variable"), CancellationToken.None);
        var silent = await writer.RunAsync(new Script(":"), CancellationToken.None);

        Assert.That(result, Is.EqualTo(new ScriptResult(7, "out\n", "é\\n\"$x\n")));
        Assert.That(failed, Is.EqualTo(new ScriptResult(1, "", "")));
        Assert.That(unset.ExitCode, Is.Not.Zero);
        Assert.That(silent, Is.EqualTo(new ScriptResult(0, "", "")));
    }

    [Test]
    public async Task A_long_script_arrives_whole_and_is_on_no_command_line()
    {
        await using var connection = await ConnectAsync();
        await using var writer = await connection.OpenWriterAsync(Holder, 1, CancellationToken.None);
        var text = string.Concat(Enumerable.Range(0, 20_000).Select(i => $"ligne {i} é ÿ \u0081\u0088 $HOME `x`\n"));

        var result = await writer.RunAsync(
            new Script($"cat <<'END'\n{text}END\ntr '\\0' ' ' </proc/$$/cmdline >&2; tr '\\0' ' ' </proc/$PPID/cmdline >&2"),
            CancellationToken.None
        );

        Assert.That(result.Output, Is.EqualTo(text));
        Assert.That(result.Error, Does.Contain("/dev/fd/3").And.Not.Contain("ligne"));
    }

    [Test]
    public async Task Scripts_run_side_by_side_up_to_the_parallelism()
    {
        var directory = _server.Directory;
        await using var connection = await ConnectAsync();
        await using var writer = await connection.OpenWriterAsync(Holder, 2, CancellationToken.None);

        // Each waits for the other's file: one after the other they would never end.
        var results = await Task.WhenAll(
            writer.RunAsync(
                new Script($"touch {directory}/p1; while [ ! -e {directory}/p2 ]; do sleep 0.05; done")
                {
                    Deadline = TimeSpan.FromSeconds(20),
                },
                CancellationToken.None
            ),
            writer.RunAsync(
                new Script($"touch {directory}/p2; while [ ! -e {directory}/p1 ]; do sleep 0.05; done")
                {
                    Deadline = TimeSpan.FromSeconds(20),
                },
                CancellationToken.None
            ),
            writer.RunAsync(new Script("echo third"), CancellationToken.None)
        );

        Assert.That(results.Select(result => result.ExitCode), Is.All.Zero);
    }

    [Test]
    public async Task An_upload_is_there_while_its_script_runs_and_gone_after()
    {
        var local = Path.Combine(_server.Directory, "image.tar");
        var bytes = new byte[5_000_000];
        new Random(3).NextBytes(bytes);
        await File.WriteAllBytesAsync(local, bytes);
        await using var connection = await ConnectAsync();
        await using var writer = await connection.OpenWriterAsync(Holder, 1, CancellationToken.None);

        var script = new Script("echo \"$image\"; stat -c %a \"$image\"; sha256sum <\"$image\"; exit 3")
        {
            Uploads = ImmutableSortedDictionary<string, string>.Empty.Add("image", local),
        };
        var result = await writer.RunAsync(script, CancellationToken.None);

        var lines = result.Output.Split('\n');
        Assert.That(result.ExitCode, Is.EqualTo(3), result.Error);
        Assert.That(lines[1], Is.EqualTo("600"));
        Assert.That(lines[2], Does.StartWith(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes))));
        Assert.That(File.Exists(lines[0]), Is.False);
    }

    [Test]
    public async Task An_archive_is_compressed_once_and_arrives_whole()
    {
        var local = Path.Combine(_server.Directory, "archive.tar");
        await using var connection = await ConnectAsync();
        await using var writer = await connection.OpenWriterAsync(Holder, 3, CancellationToken.None);
        foreach (var letter in "ab")
        {
            await File.WriteAllTextAsync(local, string.Concat(Enumerable.Repeat($"{letter} line\n", 500_000)));
            var script = new Script("stat -c %s \"$archive\"; gunzip <\"$archive\" | sha256sum")
            {
                Uploads = ImmutableSortedDictionary<string, string>.Empty.Add("archive", local),
                ReadsGzip = true,
            };
            var whole = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(await File.ReadAllBytesAsync(local)));

            var results = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => writer.RunAsync(script, CancellationToken.None)));

            foreach (var lines in results.Select(result => result.Output.Split('\n')))
            {
                Assert.That(long.Parse(lines[0], System.Globalization.CultureInfo.InvariantCulture), Is.LessThan(100_000));
                Assert.That(lines[1], Does.StartWith(whole), "also after the file became another one");
            }
        }

        Assert.That(
            Directory.GetFiles("/proc/self/fd").Count(file => new FileInfo(file).LinkTarget?.Contains(".gz (deleted)") == true),
            Is.EqualTo(2),
            "one for each of the two contents"
        );
        Assert.That(Directory.GetFiles("/var/tmp", "kbr-*.gz"), Is.Empty);
    }

    // Root may read every file, but no directory as a file.
    [TestCase("gone.tar", true)]
    [TestCase("gone.tar", false)]
    [TestCase("", true)]
    [TestCase("", false)]
    public async Task A_file_that_cannot_be_read_here_is_named(string name, bool compresses)
    {
        var local = Path.Combine(_server.Directory, name);
        await using var connection = await ConnectAsync();
        await using var writer = await connection.OpenWriterAsync(Holder, 1, CancellationToken.None);
        var script = new Script("true")
        {
            Uploads = ImmutableSortedDictionary<string, string>.Empty.Add("archive", local),
            ReadsGzip = compresses,
        };

        var error = (await Assert.ThrowsAsync<HostException>(() => writer.RunAsync(script, CancellationToken.None)))!;

        Assert.That(error.Message, Does.StartWith($"{local} cannot be read here: ").And.Contain("you may read"));
        Assert.That((await writer.RunAsync(new Script("echo next"), CancellationToken.None)).Output, Is.EqualTo("next\n"));
    }

    [Test]
    public async Task A_second_apply_is_refused_the_lock_and_learns_its_holder()
    {
        await using var first = await ConnectAsync();
        await using var second = await ConnectAsync();
        await using (await first.OpenWriterAsync(Holder, 1, CancellationToken.None))
        {
            var refused = (await Assert.ThrowsAsync<HostLockedException>(() => second.OpenWriterAsync(Holder, 1, CancellationToken.None)))!;
            Assert.That(refused.Holder, Is.EqualTo("apply by ada on laptop (pid 4711, in /home/ada/it's) since 2026-01-02 03:04:05 UTC"));
            Assert.That(
                File.GetUnixFileMode("/run/kbr"),
                Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute)
            );
        }

        Assert.That(File.Exists("/run/kbr/lock.json"), Is.False);
        await using var writer = await second.OpenWriterAsync(Holder, 1, CancellationToken.None);
    }

    // Ending a shell twice, by a word and by the end of its input, made sshd drop the connection now and then: the second came for a
    // channel that was gone.
    [Test]
    public async Task A_connection_outlives_the_shells_on_it()
    {
        await using var connection = await ConnectAsync();
        for (var i = 0; i < 20; i++)
        {
            await using var writer = await connection.OpenWriterAsync(Holder, 1, CancellationToken.None);
            Assert.That(
                (await writer.RunAsync(new Script("echo here"), CancellationToken.None)).Output,
                Is.EqualTo("here\n"),
                $"writer {i + 1}"
            );
        }
    }

    [Test]
    public async Task The_lock_of_a_cut_connection_is_free_once_its_script_has_ended()
    {
        var (started, go, ended) = (
            Path.Combine(_server.Directory, "started"),
            Path.Combine(_server.Directory, "go"),
            Path.Combine(_server.Directory, "ended")
        );
        var cut = await ConnectAsync(_server.Relayed);
        var writer = await cut.OpenWriterAsync(Holder, 2, CancellationToken.None);
        var script = new Script($"trap '' PIPE; touch {started}; while [ ! -e {go} ]; do sleep 0.05; done; touch {ended}")
        {
            Deadline = TimeSpan.FromSeconds(60),
        };
        var running = writer.RunAsync(script, CancellationToken.None);
        Wait.Until(() => File.Exists(started), "the script to start");

        var watch = Stopwatch.StartNew();
        _server.Cut();
        await Assert.ThrowsAsync<HostException>(() => running);
        Assert.That(watch.Elapsed, Is.LessThan(TimeSpan.FromSeconds(5)));
        await using var other = await ConnectAsync();
        var opening = OpenWhenFreeAsync(other);
        await File.WriteAllTextAsync(go, "");
        await using var next = await opening;
        Assert.That(File.Exists(ended), "the lock waited for the script that was left behind");
        Assert.That((await next.RunAsync(new Script("echo mine"), CancellationToken.None)).Output, Is.EqualTo("mine\n"));
        await writer.DisposeAsync();
        await cut.DisposeAsync();
    }

    [Test]
    public async Task Cancelling_ends_the_script_and_all_it_started()
    {
        await using var connection = await ConnectAsync();
        await using var writer = await connection.OpenWriterAsync(Holder, 1, CancellationToken.None);
        var pids = Path.Combine(_server.Directory, "pids");
        using var cancel = new CancellationTokenSource();

        var running = writer.RunAsync(
            new Script($"sleep 1000 & echo $! >{pids}.new; sh -c 'echo $$ >>{pids}.new; mv {pids}.new {pids}; exec sleep 1000'"),
            cancel.Token
        );
        Wait.Until(() => File.Exists(pids), "the script to start");
        await cancel.CancelAsync();

        await Assert.ThrowsAsync(Is.InstanceOf<OperationCanceledException>(), () => running);
        foreach (var pid in await File.ReadAllLinesAsync(pids))
        {
            Wait.Until(() => !Directory.Exists($"/proc/{pid}"), $"process {pid} to end");
        }

        Assert.That((await writer.RunAsync(new Script("echo next"), CancellationToken.None)).Output, Is.EqualTo("next\n"));
    }

    [Test]
    public async Task A_script_is_ended_at_its_deadline()
    {
        await using var connection = await ConnectAsync();
        await using var writer = await connection.OpenWriterAsync(Holder, 1, CancellationToken.None);

        var result = await writer.RunAsync(
            new Script("echo before; sleep 1000") { Deadline = TimeSpan.FromMilliseconds(300) },
            CancellationToken.None
        );
        var stubborn = await writer.RunAsync(
            new Script("trap '' TERM; sleep 1000; sleep 1000") { Deadline = TimeSpan.FromMilliseconds(300) },
            CancellationToken.None
        );

        Assert.That(result.ExitCode, Is.EqualTo(124));
        Assert.That(result.Output, Is.EqualTo("before\n"));
        Assert.That(stubborn.ExitCode, Is.EqualTo(124));
    }

    [Test]
    public async Task A_cut_connection_is_an_error_of_the_host_at_once()
    {
        await using var connection = await ConnectAsync(_server.Relayed);
        await connection.Reader.ReadAsync([new StatRead("/")], CancellationToken.None);
        var watch = Stopwatch.StartNew();

        _server.Cut();

        var error = (
            await Assert.ThrowsAsync<HostException>(() => connection.Reader.ReadAsync([new StatRead("/")], CancellationToken.None))
        )!;
        Assert.That(error.Message, Does.Contain("the connection was lost"));
        Assert.That(watch.Elapsed, Is.LessThan(TimeSpan.FromSeconds(5)));
    }

    // What waited for a shell of a connection that was gone waited for ever: there were fewer shells than scripts, and each that failed to
    // open woke nobody.
    [Test]
    public async Task When_a_connection_is_cut_scripts_that_wait_for_a_shell_fail_too()
    {
        var (started, go) = (Path.Combine(_server.Directory, "cut-started-"), Path.Combine(_server.Directory, "cut-go"));
        await using var connection = await ConnectAsync(_server.Relayed);
        await using var writer = await connection.OpenWriterAsync(Holder, 4, CancellationToken.None);
        var running = Enumerable
            .Range(0, 16)
            .Select(i =>
                writer.RunAsync(
                    new Script($"touch {started}{i}; while [ ! -e {go} ]; do sleep 0.05; done") { Deadline = TimeSpan.FromSeconds(60) },
                    CancellationToken.None
                )
            )
            .ToList();
        Wait.Until(() => Directory.GetFiles(_server.Directory, "cut-started-*").Length == 4, "four scripts to start");

        _server.Cut();

        Assert.That(await ErrorsAsync(running), Has.Exactly(16).Contains("the connection was lost"));
        Assert.That(
            await ErrorsAsync(Enumerable.Range(0, 16).Select(_ => writer.RunAsync(new Script("echo later"), CancellationToken.None))),
            Has.Exactly(16).Contains("the connection was lost")
        );
        await File.WriteAllTextAsync(go, "");
    }

    [Test]
    public async Task When_no_shell_can_be_opened_all_scripts_fail_and_once_one_can_be_the_next_one_runs()
    {
        const string work = "/run/kbr/work";
        await using var connection = await ConnectAsync();
        await using var writer = await connection.OpenWriterAsync(Holder, 4, CancellationToken.None);
        File.Move(work, work + ".test");
        try
        {
            // Opened for nobody else, it is locked: no shell can have its share.
            await using var locked = new FileStream(work, FileMode.CreateNew, FileAccess.Write, FileShare.None);
            Assert.That(
                await ErrorsAsync(Enumerable.Range(0, 16).Select(_ => writer.RunAsync(new Script("echo never"), CancellationToken.None))),
                Has.Exactly(16).Contains("cannot be locked")
            );
        }
        finally
        {
            File.Move(work + ".test", work, overwrite: true);
        }

        Assert.That((await writer.RunAsync(new Script("echo next"), CancellationToken.None)).Output, Is.EqualTo("next\n"));
    }

    [Test]
    public async Task A_changed_host_key_is_refused_also_when_new_ones_are_accepted()
    {
        var file = Path.Combine(_server.Directory, "known_other");
        File.WriteAllText(file, $"[127.0.0.1]:{_server.Port} {File.ReadAllText(Path.Combine(_server.Directory, "id.pub"))}");
        var settings = _server.Settings with { KnownHostsFile = file, HostKeyChecking = HostKeyChecking.AcceptNew };

        var error = (
            await Assert.ThrowsAsync<HostException>(() =>
                new SshConnector(settings, ReadList.Probe, TimeProvider.System).ConnectAsync(_server.Host, CancellationToken.None)
            )
        )!;

        Assert.That(error.Message, Does.Contain("SHA256:").And.Contain(" differs from "));
        Assert.That(error.Remedy, Does.Contain("ssh-keygen -R"));
    }

    [Test]
    public async Task An_unknown_host_key_is_refused_when_strict_and_added_when_new_ones_are_accepted()
    {
        var settings = _server.Settings with { KnownHostsFile = Path.Combine(_server.Directory, "known_none") };
        var error = (
            await Assert.ThrowsAsync<HostException>(() =>
                new SshConnector(settings, ReadList.Probe, TimeProvider.System).ConnectAsync(_server.Host, CancellationToken.None)
            )
        )!;
        Assert.That(error.Message, Does.Contain("SHA256:").And.Contain("is not in"));
        Assert.That(error.Remedy, Does.Contain($"echo '[127.0.0.1]:{_server.Port} ssh-ed25519 "));

        await using (
            await new SshConnector(
                settings with
                {
                    HostKeyChecking = HostKeyChecking.AcceptNew,
                },
                ReadList.Probe,
                TimeProvider.System
            ).ConnectAsync(_server.Host, CancellationToken.None)
        ) { }

        await using var known = await new SshConnector(settings, ReadList.Probe, TimeProvider.System).ConnectAsync(
            _server.Host,
            CancellationToken.None
        );
    }

    [Test]
    public async Task A_refused_connection_names_host_and_port()
    {
        var port = SshServer.FreePort();
        var host = _server.Host with { Endpoint = SshEndpoint.Of(_server.Host) with { Port = port } };

        var error = (
            await Assert.ThrowsAsync<HostException>(() =>
                new SshConnector(_server.Settings, ReadList.Probe, TimeProvider.System).ConnectAsync(host, CancellationToken.None)
            )
        )!;

        Assert.That((error.Host, error.Message), Is.EqualTo(("db-1", $"127.0.0.1:{port} refuses connections")));
        Assert.That(error.Remedy, Does.Contain("sshd"));
    }

    [Test]
    public async Task A_refused_key_is_named_with_the_remedy()
    {
        var settings = _server.Settings with { IdentityFile = Path.Combine(_server.Directory, "host") };

        var error = (
            await Assert.ThrowsAsync<HostException>(() =>
                new SshConnector(settings, ReadList.Probe, TimeProvider.System).ConnectAsync(_server.Host, CancellationToken.None)
            )
        )!;

        Assert.That(error.Message, Does.Contain("does not let user root in with the key"));
        Assert.That(error.Remedy, Does.Contain("authorized_keys"));
    }

    [Test]
    public async Task A_private_key_that_others_can_read_is_refused_with_the_command_that_closes_it()
    {
        var key = Path.Combine(_server.Directory, "open");
        File.Copy(_server.Settings.IdentityFile!, key, overwrite: true);
#pragma warning disable CA1416 // There is no sshd to test with elsewhere.
        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
#pragma warning restore CA1416
        var link = key + "-link";
        File.Delete(link);
        File.CreateSymbolicLink(link, key);

        var error = (
            await Assert.ThrowsAsync<HostException>(() =>
                new SshConnector(_server.Settings with { IdentityFile = link }, ReadList.Probe, TimeProvider.System).ConnectAsync(
                    _server.Host,
                    CancellationToken.None
                )
            )
        )!;

        Assert.That(error.Message, Does.Contain($"the private key {link} has mode 0640: others can read it"));
        Assert.That(error.Remedy, Is.EqualTo($"chmod 0600 {link}"));
    }

    [Test]
    public async Task A_missing_private_key_and_an_unknown_name_are_explained()
    {
        var noKey = (
            await Assert.ThrowsAsync<HostException>(() =>
                new SshConnector(_server.Settings with { IdentityFile = "/no/such/key" }, ReadList.Probe, TimeProvider.System).ConnectAsync(
                    _server.Host,
                    CancellationToken.None
                )
            )
        )!;
        Assert.That(noKey.Message, Does.Contain("/no/such/key"));

        var host = _server.Host with { Endpoint = SshEndpoint.Of(_server.Host) with { Hostname = "no-such-host.invalid" } };
        var noName = (
            await Assert.ThrowsAsync<HostException>(() =>
                new SshConnector(_server.Settings, ReadList.Probe, TimeProvider.System).ConnectAsync(host, CancellationToken.None)
            )
        )!;
        Assert.That(noName.Message, Does.Contain("cannot be resolved"));
    }

    private Task<IHostConnection> ConnectAsync(Host? host = null) =>
        host is null
            ? new SshConnector(_server.Settings, ReadList.Probe, TimeProvider.System).ConnectAsync(_server.Host, CancellationToken.None)
            : new SshConnector(
                _server.Settings with
                {
                    KnownHostsFile = Path.Combine(_server.Directory, "known_relay"),
                    HostKeyChecking = HostKeyChecking.AcceptNew,
                },
                ReadList.Probe,
                TimeProvider.System
            ).ConnectAsync(host, CancellationToken.None);

    // What each says that fails; one that does not even end fails the test.
    private static Task<string[]> ErrorsAsync(IEnumerable<Task<ScriptResult>> scripts) =>
        Task.WhenAll(
                scripts.Select(async script =>
                {
                    try
                    {
                        return $"it ran: {await script}";
                    }
                    catch (HostException exception)
                    {
                        return exception.Message;
                    }
                })
            )
            .WaitAsync(TimeSpan.FromSeconds(60));

    private static async Task<IHostWriter> OpenWhenFreeAsync(IHostConnection connection)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                return await connection.OpenWriterAsync(Holder, 1, CancellationToken.None);
            }
            catch (HostLockedException) when (watch.Elapsed < TimeSpan.FromSeconds(20))
            {
                // Each try takes a round trip: a poll.
            }
        }
    }
}
