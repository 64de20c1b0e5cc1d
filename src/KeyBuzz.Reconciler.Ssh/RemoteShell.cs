using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Threading.Channels;
using KeyBuzz.Reconciler.Hosts;
using Renci.SshNet;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>A long-lived <c>sh</c> on a host, fed over standard input: one script costs no new process of sshd and no login, and nothing of
/// it shows on a command line. One script at a time.</summary>
internal sealed class RemoteShell : IAsyncDisposable
{
    /// <summary>How long timeout(1) waits between asking a script to end and killing it.</summary>
    private static readonly TimeSpan KillAfter = TimeSpan.FromSeconds(5);

    /// <summary>As much as a shell may print before it runs anything, and between two scripts.</summary>
    private const int MostUnasked = 1024 * 1024;

    /// <summary>The limit of unread output: nothing is read between two scripts.</summary>
    private const int MostPending = 32 * 1024 * 1024;

    private const int NotRoot = 77;
    private const string NotRootMark = "kbr: not root: ";

    private readonly SshConnection _connection;
    private readonly SshCommand _command;
    private readonly Task _ended;
    private readonly Stream _input;
    private readonly Channel<byte[]> _output;
    private readonly Channel<byte[]> _error;
    private bool _hasAnswered;
    private long _unread;
    private volatile bool _flooded;

    private RemoteShell(SshConnection connection, SshCommand command, Task ended)
    {
        _connection = connection;
        _command = command;
        _ended = ended;
        _input = command.CreateInputStream();
        _output = Pump(command.OutputStream);
        _error = Pump(command.ExtendedOutputStream);
    }

    /// <summary>Whether the shell can take no more scripts.</summary>
    public bool Broken { get; private set; }

    /// <summary>Whether the shell has ended by itself or with its connection.</summary>
    public bool Ended => _ended.IsCompleted;

    public static string NewNonce() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));

    public static async Task<RemoteShell> OpenAsync(SshConnection connection, CancellationToken cancellationToken)
    {
        // On a connection that is gone the library does not give back the session it counts for each try, and with too many of them the
        // next one waits for ever.
        if (!connection.Client.IsConnected)
        {
            throw connection.Broken(null);
        }

        try
        {
            var shell = await Task.Run(
                    () =>
                    {
                        // sudo's refusals differ only in their text.
                        var command = connection.Client.CreateCommand(
                            SshEndpoint.Of(connection.Host).Sudo ? "exec env LC_ALL=C sudo -n sh" : "exec sh"
                        );
                        return new RemoteShell(connection, command, command.ExecuteAsync(CancellationToken.None));
                    },
                    cancellationToken
                )
                .ConfigureAwait(false);
            await shell
                .SendAsync("LC_ALL=C; export LC_ALL; PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH; umask 022\n", cancellationToken)
                .ConfigureAwait(false);
            return shell;
        }
        catch (Exception e) when (SshConnection.IsConnectionFailure(e))
        {
            throw connection.TooFewSessions(e) ?? connection.Broken(e, e.Message);
        }
    }

    /// <summary>Runs a script as a child of the shell, in a process group of its own, ended at its deadline, on cancellation, or when it
    /// prints more than it may.</summary>
    public async Task<ShellAnswer> RunAsync(string script, int mostBytes, TimeSpan deadline, CancellationToken cancellationToken)
    {
        var nonce = NewNonce();

        // timeout(1) makes the process group, so its own id, the script's parent, is what to kill. The script travels in a here-document on
        // descriptor 3.
        var text = new StringBuilder();
        text.Append(
            CultureInfo.InvariantCulture,
            $"timeout -k {KillAfter.TotalSeconds:0} {Math.Max(deadline.TotalSeconds, 0.1):0.###} sh /dev/fd/3 3<<'{nonce}' </dev/null\n"
        );
        text.Append(CultureInfo.InvariantCulture, $"exec 3<&-; printf '%s group %s\\n' {nonce} \"$PPID\"\n");

        // Without root, unreadable files would look absent. /proc belongs to root, so the check starts no process.
        text.Append(
            CultureInfo.InvariantCulture,
            $"[ -O /proc ] || [ \"$(id -u)\" = 0 ] || {{ echo '{NotRootMark}'\"$(id -un)\" >&2; exit {NotRoot}; }}\n"
        );
        text.Append(script).Append('\n');
        text.Append(nonce).Append('\n');
        AppendTrailer(text, nonce);
        var started = _connection.Time.GetTimestamp();
        var answer = await ExchangeAsync(
                text.ToString(),
                nonce,
                mostBytes,
                deadline + KillAfter + TimeSpan.FromSeconds(15),
                cancellationToken
            )
            .ConfigureAwait(false);
        if (answer.Exit == NotRoot && answer.ErrorText.StartsWith(NotRootMark, StringComparison.Ordinal))
        {
            throw new HostException(
                _connection.Host.Name,
                $"kbr needs root on the host, but is {answer.ErrorText[NotRootMark.Length..].Trim()} there",
                "set sudo: true for this host, or log in as root"
            );
        }

        // 137 is what remains of timeout(1) when it had to kill.
        return answer.Exit == 137 && _connection.Time.GetElapsedTime(started) >= deadline ? answer with { Exit = 124 } : answer;
    }

    /// <summary>Runs commands in the shell itself: what they open stays open. They cannot be cancelled, only abandoned with the
    /// shell.</summary>
    public Task<ShellAnswer> EvaluateAsync(string commands, TimeSpan deadline, CancellationToken cancellationToken)
    {
        var nonce = NewNonce();
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"printf '%s group 0\\n' {nonce}\n");
        text.Append(commands).Append('\n');
        AppendTrailer(text, nonce);
        return ExchangeAsync(text.ToString(), nonce, MostUnasked, deadline, cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            if (!_ended.IsCompleted && !Broken)
            {
                // The end of its input is all that ends it. After a word such as exit the server closes the channel by itself, and what
                // then still comes for it, as the end of its input does, makes sshd drop the whole connection.
                await Task.Run(_input.Dispose).WaitAsync(TimeSpan.FromSeconds(3), _connection.Time).ConfigureAwait(false);
                await _ended.WaitAsync(TimeSpan.FromSeconds(5), _connection.Time).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (SshConnection.IsConnectionFailure(e) || e is HostException or TimeoutException)
        {
            // It is going away in any case.
        }

        Broken = true;
        await Task.WhenAny(Task.Run(_command.Dispose), Task.Delay(TimeSpan.FromSeconds(3), _connection.Time)).ConfigureAwait(false);
    }

    private static void AppendTrailer(StringBuilder text, string nonce) =>
        text.Append(CultureInfo.InvariantCulture, $"r=$?; printf '\\n%s %s\\n' {nonce} \"$r\"; printf '\\n%s %s\\n' {nonce} \"$r\" >&2\n");

    private async Task<ShellAnswer> ExchangeAsync(
        string text,
        string nonce,
        int mostBytes,
        TimeSpan deadline,
        CancellationToken cancellationToken
    )
    {
        cancellationToken.ThrowIfCancellationRequested();
        // One that ended before its first answer, as by a refusal of sudo, has said why.
        if (Broken || (Ended && (_hasAnswered || !_ended.IsCompletedSuccessfully)))
        {
            throw _connection.Broken(_ended.Exception?.InnerException);
        }

        var output = new Frame(nonce, MostUnasked, mostBytes);
        var error = new Frame(nonce, mostBytes, mostBytes);
        var reading = Task.WhenAll(output.ReadAsync(_output.Reader, Taken), error.ReadAsync(_error.Reader, Taken));
        try
        {
            await SendAsync(text, CancellationToken.None).ConfigureAwait(false);
            var first = await Task.WhenAny(reading, output.Overflowed, error.Overflowed)
                .WaitAsync(deadline, _connection.Time, cancellationToken)
                .ConfigureAwait(false);
            // Its end may be seen before its bound: what is kept of it then is no answer.
            if (first != reading || output.Overflowed.IsCompleted || error.Overflowed.IsCompleted)
            {
                return await EndFloodAsync(output, reading, mostBytes).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            await EndScriptAsync(output, reading).ConfigureAwait(false);
            throw;
        }
        catch (TimeoutException e)
        {
            Broken = true;
            throw new HostException(
                _connection.Host.Name,
                string.Create(CultureInfo.InvariantCulture, $"no answer within {deadline.TotalSeconds:0} s"),
                "check that the host is up",
                e
            );
        }

        if (!output.Complete || !error.Complete)
        {
            Broken = true;
            throw await ExplainEndAsync(output, error).ConfigureAwait(false);
        }

        _hasAnswered = true;
        return new ShellAnswer(output.Exit, output.Payload, error.Payload);
    }

    private async Task<ShellAnswer> EndFloodAsync(Frame output, Task reading, int mostBytes)
    {
        if (output.Started.IsCompleted)
        {
            await EndScriptAsync(output, reading).ConfigureAwait(false);
        }

        if (reading.IsCompletedSuccessfully && output.Started.IsCompleted)
        {
            return new ShellAnswer(
                1,
                default,
                Encoding.UTF8.GetBytes($"it printed more than {mostBytes >> 20} MiB and was aborted: does a command in it print endlessly?")
            );
        }

        _flooded = true;
        Abandon();
        throw Flooded();
    }

    private HostException Flooded() =>
        new(
            _connection.Host.Name,
            $"the host's answer does not end: the login shell of {_connection.User} prints before any command runs",
            "check its start-up files there, such as ~/.bashrc and /etc/profile.d"
        );

    // As root, sshd refuses to pass on signals: the script's process group is ended by a command of our own.
    private async Task EndScriptAsync(Frame output, Task reading)
    {
        await Task.WhenAny(output.Started, reading, Task.Delay(KillAfter, _connection.Time)).ConfigureAwait(false);
        foreach (var signal in (string[])["TERM", "KILL"])
        {
            if (reading.IsCompleted)
            {
                return;
            }

            if (output.Started is not { IsCompletedSuccessfully: true, Result: > 1 })
            {
                break;
            }

            try
            {
                var group = output.Started.Result.ToString(CultureInfo.InvariantCulture);
                await _connection
                    .ExecuteAsync($"{_connection.Root}kill -{signal} -- -{group}", null, KillAfter, CancellationToken.None)
                    .ConfigureAwait(false);
            }
            catch (HostException)
            {
                break;
            }

            await Task.WhenAny(reading, Task.Delay(KillAfter, _connection.Time)).ConfigureAwait(false);
        }

        Broken = !reading.IsCompleted;
    }

    private async Task<HostException> ExplainEndAsync(Frame output, Frame error)
    {
        try
        {
            await _ended.WaitAsync(TimeSpan.FromSeconds(2), _connection.Time).ConfigureAwait(false);
        }
        catch (Exception e) when (SshConnection.IsConnectionFailure(e) || e is TimeoutException or OperationCanceledException)
        {
            return _connection.Broken(e);
        }

        var said = Encoding.UTF8.GetString(error.Payload.Span).Trim();
        if (_flooded)
        {
            return Flooded();
        }

        if (SshEndpoint.Of(_connection.Host).Sudo && !output.Started.IsCompleted)
        {
            return ShellRefusal.Of(_connection.Host, said, _command.ExitStatus, _connection.User);
        }

        var detail = said.Length > 0 ? said : string.Create(CultureInfo.InvariantCulture, $"exit status {_command.ExitStatus}");
        return new HostException(
            _connection.Host.Name,
            $"the shell on the host ended unexpectedly: {detail}",
            "check the host's journal, then run the command again"
        );
    }

    private Task SendAsync(string text, CancellationToken cancellationToken)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        return Task.Run(
            () =>
            {
                try
                {
                    _input.Write(bytes, 0, bytes.Length);
                }
                catch (Exception e) when (SshConnection.IsConnectionFailure(e))
                {
                    // A shell that ended at once (sudo) has said why on its error stream; the reader of the answer explains it.
                    if (!_ended.IsCompletedSuccessfully)
                    {
                        Broken = true;
                        throw _connection.Broken(e);
                    }
                }
            },
            cancellationToken
        );
    }

    private void Taken(int count) => Interlocked.Add(ref _unread, -count);

    // An unusable shell is closed at once: its further output would fill the memory.
    private void Abandon()
    {
        Broken = true;
        _ = Task.Run(_command.Dispose);
    }

    // The library's streams block their reader: each has a thread of its own, so that the pool's stay free. They take whatever comes, so it
    // is always read, and bounded here.
    private Channel<byte[]> Pump(Stream stream)
    {
        var channel = Channel.CreateUnbounded<byte[]>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });
        new Thread(
            () =>
            {
                var buffer = new byte[64 * 1024];
                try
                {
                    int count;
                    while ((count = stream.Read(buffer, 0, buffer.Length)) > 0)
                    {
                        if (_flooded)
                        {
                            continue;
                        }

                        if (Interlocked.Add(ref _unread, count) > MostPending)
                        {
                            _flooded = true;
                            Abandon();
                            continue;
                        }

                        channel.Writer.TryWrite(buffer[..count]);
                    }
                }
                catch (Exception e) when (SshConnection.IsConnectionFailure(e))
                {
                    // The same as its end.
                }

                channel.Writer.Complete();
            },
            256 * 1024
        )
        {
            IsBackground = true,
            Name = "ssh output",
        }.Start();
        return channel;
    }

    /// <summary>What a script prints to one stream, between a first line <c>NONCE group PGID</c> (standard output only) and a last <c>NONCE
    /// EXIT</c>.</summary>
    /// <param name="nonce">The word in those lines.</param>
    /// <param name="mostBefore">As much as may stand before the first line.</param>
    /// <param name="mostBytes">As much as may stand between them. Beyond it nothing is kept but what the last line is found by.</param>
    private sealed class Frame(string nonce, int mostBefore, int mostBytes)
    {
        private readonly byte[] _first = Encoding.ASCII.GetBytes(nonce + " group ");
        private readonly byte[] _last = Encoding.ASCII.GetBytes("\n" + nonce + " ");
        private readonly TaskCompletionSource<int> _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _overflowed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private byte[] _bytes = new byte[4096];
        private int _length;
        private int _begin;

        public bool Complete { get; private set; }

        public int Exit { get; private set; }

        public ReadOnlyMemory<byte> Payload { get; private set; }

        public Task<int> Started => _started.Task;

        /// <summary>Done once more was printed than may be.</summary>
        public Task Overflowed => _overflowed.Task;

        public async Task ReadAsync(ChannelReader<byte[]> chunks, Action<int> taken)
        {
            while (await chunks.WaitToReadAsync().ConfigureAwait(false))
            {
                while (!Complete && chunks.TryRead(out var chunk))
                {
                    taken(chunk.Length);
                    Append(chunk);
                }

                if (Complete)
                {
                    return;
                }
            }

            Payload = _bytes.AsMemory(_begin, _length - _begin);
        }

        private void Append(byte[] chunk)
        {
            if (_length + chunk.Length > _bytes.Length)
            {
                Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, _length + chunk.Length));
            }

            chunk.CopyTo(_bytes, _length);
            var from = Math.Max(_begin, _length - _last.Length - 16);
            _length += chunk.Length;

            // Output before the first line comes from start-up files or an earlier script, and is ignored.
            if (!_started.Task.IsCompleted && Find(_first, Math.Max(_begin, from - _first.Length)) is (>= 0, var number, var after))
            {
                _started.TrySetResult(number);
                _begin = from = after;
            }

            if (Find(_last, from) is (>= 0 and var at, var exit, _))
            {
                Exit = exit;
                Payload = _bytes.AsMemory(_begin, at - _begin);
                Complete = true;
                return;
            }

            if (_length - _begin > (_started.Task.IsCompleted ? mostBytes : mostBefore))
            {
                _overflowed.TrySetResult();
                var kept = Math.Min(_length - _begin, 256);
                _bytes.AsSpan(_length - kept, kept).CopyTo(_bytes);
                (_begin, _length) = (0, kept);
            }
        }

        private (int At, int Number, int After) Find(ReadOnlySpan<byte> marker, int from)
        {
            var at = _bytes.AsSpan(from, _length - from).IndexOf(marker);
            if (at < 0)
            {
                return (-1, 0, 0);
            }

            var rest = _bytes.AsSpan(from + at + marker.Length, _length - from - at - marker.Length);
            var end = rest.IndexOf((byte)'\n');
            return end >= 0 && int.TryParse(rest[..end], NumberStyles.None, CultureInfo.InvariantCulture, out var number)
                ? (from + at, number, from + at + marker.Length + end + 1)
                : (-1, 0, 0);
        }
    }
}

/// <summary>A shell's answer.</summary>
internal sealed record ShellAnswer(int Exit, ReadOnlyMemory<byte> Output, ReadOnlyMemory<byte> Error)
{
    public string OutputText => Encoding.UTF8.GetString(Output.Span);

    public string ErrorText => Encoding.UTF8.GetString(Error.Span);
}
