using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Runs scripts on a host while holding its lock.</summary>
/// <remarks>Two flocks under /run/kbr. <c>lock</c> is held by a shell that does nothing else, so that it ends with the connection: one
/// apply at a time. <c>work</c> is shared by every shell and every script they start: the next apply waits until no script of a killed one
/// is left.</remarks>
internal sealed class SshWriter : IHostWriter
{
    private const int Taken = 75;
    private const int LeftOver = 76;

    // sshd allows ten sessions on a connection by default: one reads, one is kept for uploads and for ending scripts.
    private const int MostShells = 6;

    // A script prints messages for the operator, or a short answer.
    private const int LargestOutput = 8 * 1024 * 1024;
    private const string UploadPrefix = "/var/tmp/kbr-upload.";

    private readonly SshConnection _connection;
    private readonly RemoteShell _lockShell;

    // A null among the shells stands for one that could not be opened: the waiting caller then tries itself, instead of waiting forever.
    private readonly Channel<RemoteShell?> _idle = Channel.CreateUnbounded<RemoteShell?>();
    private readonly List<RemoteShell> _workers = [];
    private readonly Lock _gate = new();
    private int _limit;
    private int _opened;

    private SshWriter(SshConnection connection, RemoteShell lockShell, int parallelism)
    {
        _connection = connection;
        _lockShell = lockShell;
        _limit = Math.Clamp(parallelism, 1, MostShells);
    }

    public static async Task<SshWriter> OpenAsync(
        SshConnection connection,
        LockHolder holder,
        int parallelism,
        CancellationToken cancellationToken
    )
    {
        var shell = await RemoteShell.OpenAsync(connection, cancellationToken).ConfigureAwait(false);
        try
        {
            var end = RemoteShell.NewNonce();
            // The description goes with the shell, also when kbr is killed: its input ends then.
            var answer = await shell
                .EvaluateAsync(
                    $$"""
                    if ! mkdir -p /run/kbr || ! chmod 0700 /run/kbr; then (exit 1)
                    else
                    exec 9>>/run/kbr/lock
                    if ! flock -w 2 9; then cat /run/kbr/lock.json 2>/dev/null; (exit {{Taken}})
                    else
                    exec 8>>/run/kbr/work
                    if ! flock -w 60 -x 8; then cat /run/kbr/lock.json 2>/dev/null; (exit {{LeftOver}})
                    else
                    flock -s 8 && { rm -f {{UploadPrefix}}* || true; } && cat >/run/kbr/lock.new <<'{{end}}' && mv -f /run/kbr/lock.new /run/kbr/lock.json
                    {{Write(holder)}}
                    {{end}}
                    trap 'rm -f /run/kbr/lock.json' EXIT
                    fi; fi; fi
                    """,
                    TimeSpan.FromSeconds(90),
                    cancellationToken
                )
                .ConfigureAwait(false);
            switch (answer.Exit)
            {
                case 0:
                    return new SshWriter(connection, shell, parallelism);
                case Taken:
                    throw new HostLockedException(connection.Host.Name, Describe(answer.Output));
                case LeftOver:
                    throw new HostLockedException(
                        connection.Host.Name,
                        "a script that it left behind still runs after 60 s; last holder: " + Describe(answer.Output)
                    );
                default:
                    throw new HostException(
                        connection.Host.Name,
                        $"the lock under /run/kbr cannot be taken: {answer.ErrorText.Trim()}",
                        "kbr needs root on the host: log in as root or set sudo: true"
                    );
            }
        }
        catch
        {
            await shell.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    public async Task<ScriptResult> RunAsync(Script script, CancellationToken cancellationToken)
    {
        var shell = await AcquireAsync(cancellationToken).ConfigureAwait(false);
        List<string> temporary = [];
        try
        {
            var text = new StringBuilder("set -eu\n");
            foreach (var (variable, path) in script.Uploads)
            {
                var target = UploadPrefix + RemoteShell.NewNonce();
                temporary.Add(target);
                await UploadAsync(path, target, script.ReadsGzip, cancellationToken).ConfigureAwait(false);
                text.Append(CultureInfo.InvariantCulture, $"{variable}={target}\n");
            }

            List<(string Source, string Path)> wanted = [];
            foreach (var (variable, path) in script.Downloads)
            {
                var source = UploadPrefix + RemoteShell.NewNonce();
                temporary.Add(source);
                wanted.Add((source, path));
                text.Append(CultureInfo.InvariantCulture, $"{variable}={source}\n");
            }

            text.Append(script.Text);
            var answer = await shell.RunAsync(text.ToString(), LargestOutput, script.Deadline, cancellationToken).ConfigureAwait(false);
            foreach (var (source, path) in answer.Exit == 0 ? wanted : [])
            {
                await DownloadAsync(shell, source, path, cancellationToken).ConfigureAwait(false);
            }

            return new ScriptResult(answer.Exit, answer.OutputText, answer.ErrorText);
        }
        finally
        {
            await RemoveAsync(shell, temporary).ConfigureAwait(false);

            // A broken one is returned, too: the next caller drops it.
            _idle.Writer.TryWrite(shell);
        }
    }

    public async ValueTask DisposeAsync()
    {
        RemoteShell[] workers;
        lock (_gate)
        {
            workers = [.. _workers];
        }

        // The lock is released last, after every other trace is removed.
        await Task.WhenAll(workers.Select(worker => worker.DisposeAsync().AsTask())).ConfigureAwait(false);
        try
        {
            if (_lockShell is { Broken: false, Ended: false })
            {
                await _lockShell
                    .EvaluateAsync("rm -f /run/kbr/lock.json", TimeSpan.FromSeconds(5), CancellationToken.None)
                    .ConfigureAwait(false);
            }
        }
        catch (HostException)
        {
            // A stale description does no harm: the lock itself is the flock.
        }

        await _lockShell.DisposeAsync().ConfigureAwait(false);
    }

    private async Task<RemoteShell> AcquireAsync(CancellationToken cancellationToken)
    {
        if (_lockShell.Broken || _lockShell.Ended)
        {
            throw _connection.Broken(null, "the shell that holds the lock has ended");
        }

        while (true)
        {
            var shell = _idle.Reader.TryRead(out var idle)
                ? idle
                : await TryOpenAsync(cancellationToken).ConfigureAwait(false)
                    ?? await _idle.Reader.ReadAsync(cancellationToken).ConfigureAwait(false);
            if (shell is { Broken: false, Ended: false })
            {
                return shell;
            }

            if (shell is not null)
            {
                lock (_gate)
                {
                    _workers.Remove(shell);
                    _opened--;
                }

                await shell.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    // Answers null when no more shells may be opened, and there is one to wait for: in use, or being opened by a caller that passes on a
    // null on failure.
    private async Task<RemoteShell?> TryOpenAsync(CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (_opened >= _limit)
            {
                return null;
            }

            _opened++;
        }

        try
        {
            return await OpenWorkerAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            lock (_gate)
            {
                _opened--;
                if (exception is HostException && _connection.Client.IsConnected && _opened > 0)
                {
                    // The server allows fewer sessions than usual: go on with those there are.
                    _limit = _opened;
                    return null;
                }
            }

            _idle.Writer.TryWrite(null);
            throw;
        }
    }

    private async Task<RemoteShell> OpenWorkerAsync(CancellationToken cancellationToken)
    {
        var shell = await RemoteShell.OpenAsync(_connection, cancellationToken).ConfigureAwait(false);
        try
        {
            var answer = await shell
                .EvaluateAsync("exec 8>>/run/kbr/work; flock -s -n 8", TimeSpan.FromSeconds(20), cancellationToken)
                .ConfigureAwait(false);
            if (answer.Exit != 0)
            {
                throw new HostException(_connection.Host.Name, $"/run/kbr/work cannot be locked: {answer.ErrorText.Trim()}");
            }
        }
        catch
        {
            await shell.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        lock (_gate)
        {
            _workers.Add(shell);
        }

        return shell;
    }

    private async Task UploadAsync(string path, string target, bool compresses, CancellationToken cancellationToken)
    {
        try
        {
            await SendAsync(path, target, compresses, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or LocalFileException)
        {
            throw new HostException(
                _connection.Host.Name,
                $"{path} cannot be read here: {exception.Message}; check that it is a file that you may read",
                inner: exception
            );
        }
    }

    private async Task SendAsync(string path, string target, bool compresses, CancellationToken cancellationToken)
    {
        using var file = compresses ? await CompressedFiles.OpenAsync(path, cancellationToken).ConfigureAwait(false) : File.OpenRead(path);

        // Beside the script's own channel, because /run is memory and the shell's here-document too. set -C refuses an existing path. Input
        // that cannot be written is read anyway: a command that ends before its input would make sshd drop the connection.
        var (exit, _, error) = await _connection
            .ExecuteAsync(
                $"{_connection.Root}sh -c 'umask 077; set -C; if cat >{target} && test \"$(stat -c %s {target})\" = "
                    + $"{file.Length}; then exit 0; fi; cat >/dev/null; exit 1'",
                file,
                TimeSpan.FromHours(1),
                cancellationToken
            )
            .ConfigureAwait(false);
        if (exit != 0)
        {
            throw new HostException(
                _connection.Host.Name,
                $"{path} could not be sent: {(error.Trim() is { Length: > 0 } said ? said : "it arrived incomplete")}",
                "check the free space of /var/tmp on the host"
            );
        }
    }

    private async Task DownloadAsync(RemoteShell shell, string source, string path, CancellationToken cancellationToken)
    {
        var size = await shell.EvaluateAsync($"stat -c %s {source}", TimeSpan.FromSeconds(30), cancellationToken).ConfigureAwait(false);
        var part = path + ".part";
        try
        {
            using (var file = File.Create(part))
            {
                if (!OperatingSystem.IsWindows())
                {
                    File.SetUnixFileMode(file.SafeFileHandle, UnixFileMode.UserRead | UnixFileMode.UserWrite);
                }

                var (exit, _, error) = await _connection
                    .ExecuteAsync($"{_connection.Root}cat {source}", null, TimeSpan.FromHours(1), cancellationToken, file)
                    .ConfigureAwait(false);
                if (exit != 0 || size.OutputText.Trim() != file.Length.ToString(CultureInfo.InvariantCulture))
                {
                    throw new HostException(
                        _connection.Host.Name,
                        $"{path} could not be fetched: {(error.Trim() is { Length: > 0 } said ? said : "it arrived incomplete")}",
                        "run the command again"
                    );
                }
            }

            File.Move(part, path, overwrite: true);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or LocalFileException)
        {
            throw new HostException(
                _connection.Host.Name,
                $"{path} could not be written: {exception.Message}",
                "check the free space and permissions here, then run the command again",
                exception
            );
        }
        finally
        {
            File.Delete(part);
        }
    }

    private static async Task RemoveAsync(RemoteShell shell, List<string> uploaded)
    {
        if (uploaded.Count == 0 || shell.Broken || shell.Ended)
        {
            // The next writer removes what is left.
            return;
        }

        try
        {
            await shell
                .EvaluateAsync($"rm -f {string.Join(' ', uploaded)}", TimeSpan.FromSeconds(30), CancellationToken.None)
                .ConfigureAwait(false);
        }
        catch (HostException)
        {
            // As above; the script's result matters more.
        }
    }

    private static string Write(LockHolder holder)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            holder.WriteTo(json);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static string Describe(ReadOnlyMemory<byte> json) =>
        LockHolder.Read(json)?.InWords ?? "unknown: its description cannot be read";
}
