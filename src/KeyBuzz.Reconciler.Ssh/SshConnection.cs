using System.Text;
using KeyBuzz.Reconciler.Hosts;
using Renci.SshNet;
using Renci.SshNet.Common;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>One connection to one host: a shell for reading and, once the lock is taken, shells for writing.</summary>
internal sealed class SshConnection : IHostConnection
{
    private const int MostSaid = 1024 * 1024;

    private readonly SshLink _link;
    private readonly SshReader _reader;

    public SshConnection(Host host, SshLink link, ProbeScript probe, TimeProvider time)
    {
        Host = host;
        Time = time;
        _link = link;
        _reader = new SshReader(this, probe);
    }

    public Host Host { get; }

    public IHostReader Reader => _reader;

    public SshClient Client => _link.Client;

    /// <summary>The login name there.</summary>
    public string User => _link.Target.User;

    /// <summary>The clock of all deadlines on it.</summary>
    public TimeProvider Time { get; }

    /// <summary>The prefix of a command that runs as root.</summary>
    public string Root => SshEndpoint.Of(Host).Sudo ? "sudo -n " : "";

    public async Task<IHostWriter> OpenWriterAsync(LockHolder holder, int parallelism, CancellationToken cancellationToken) =>
        await SshWriter.OpenAsync(this, holder, parallelism, cancellationToken).ConfigureAwait(false);

    public async Task<bool> EndLockHolderAsync(int processId, CancellationToken cancellationToken)
    {
        // It may have ended meanwhile, and another process may have its number: only one that has the lock open is ended. Polled for five
        // seconds, then killed.
        var (exit, _, _) = await ExecuteAsync(
                $"{Root}sh -c 'p={processId}; case \" $(stat -L -c %d:%i /proc/$p/fd/* 2>/dev/null | tr \"\\012\" \" "
                    + $"\")\" in *\" $(stat -L -c %d:%i /run/kbr/lock) \"*) ;; *) exit 3;; esac; kill $p; "
                    + "for i in 1 2 3 4 5 6 7 8 9 10; do [ -d /proc/$p ] || exit 0; sleep 0.5; done; kill -9 $p; sleep "
                    + "0.5; [ ! -d /proc/$p ]'",
                null,
                TimeSpan.FromSeconds(30),
                cancellationToken
            )
            .ConfigureAwait(false);
        return exit == 0;
    }

    public Task<ITunnel> OpenTunnelAsync(string address, int port, CancellationToken cancellationToken) =>
        Task.Run<ITunnel>(() => SshTunnel.Open(this, address, port), cancellationToken).WaitAsync(cancellationToken);

    public Task<ScriptResult> StreamAsync(HostLog log, Action<string> take, CancellationToken cancellationToken) =>
        Task.Run(() => SshLog.StreamAsync(this, log, take, cancellationToken), CancellationToken.None);

    /// <summary>Runs one short command in a channel of its own. For fixed commands only: its text can be seen in the host's process
    /// list.</summary>
    /// <param name="command">The command.</param>
    /// <param name="input">Its standard input; null for none.</param>
    /// <param name="deadline">How long it may take.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <param name="destination">Where its standard output goes, instead of being answered; null for nowhere else.</param>
    /// <exception cref="LocalFileException">The input cannot be read, or the destination cannot be written.</exception>
    public async Task<(int? Exit, string Output, string Error)> ExecuteAsync(
        string command,
        Stream? input,
        TimeSpan deadline,
        CancellationToken cancellationToken,
        Stream? destination = null
    )
    {
        using var timeout = new CancellationTokenSource(deadline, Time);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            using var exec = Client.CreateCommand(command);
            var (said, complained) = await Task.Run(
                    async () =>
                    {
                        // The task stands for the whole life of the command: what breaks it off is seen there.
                        var ended = exec.ExecuteAsync(CancellationToken.None);
                        var output = destination is null ? ReadAsync(exec.OutputStream) : CopyAsync(exec.OutputStream, destination);
                        var errors = ReadAsync(exec.ExtendedOutputStream);
                        if (input is not null)
                        {
                            using var stream = exec.CreateInputStream();
                            var buffer = new byte[256 * 1024];
                            int count;
                            while (
                                !ended.IsCompleted && (count = await ReadLocalAsync(input, buffer, limit.Token).ConfigureAwait(false)) > 0
                            )
                            {
                                stream.Write(buffer, 0, count);
                            }
                        }

                        var text = await output.WaitAsync(limit.Token).ConfigureAwait(false);
                        var error = await errors.WaitAsync(limit.Token).ConfigureAwait(false);
                        await ended.WaitAsync(limit.Token).ConfigureAwait(false);
                        return (text, error);
                    },
                    CancellationToken.None
                )
                .WaitAsync(limit.Token)
                .ConfigureAwait(false);
            return (exec.ExitStatus, said, complained);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new HostException(Host.Name, $"no answer within {deadline.TotalSeconds:0} s", "check that the host is up", e);
        }
        catch (Exception e) when (IsConnectionFailure(e))
        {
            throw TooFewSessions(e) ?? Broken(e);
        }
    }

    /// <summary>The error of a server that lives and opens no more sessions on the connection, or null.</summary>
    public HostException? TooFewSessions(Exception error) =>
        Client.IsConnected && error is SshException && error.Message.Contains("open", StringComparison.OrdinalIgnoreCase)
            ? new HostException(
                Host.Name,
                $"sshd there opens too few sessions on one connection (MaxSessions): {error.Message}",
                "set MaxSessions 10, its default, in /etc/ssh/sshd_config on the host and reload sshd",
                error
            )
            : null;

    private static async Task<int> ReadLocalAsync(Stream input, byte[] buffer, CancellationToken cancellationToken)
    {
        try
        {
            return await input.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
        }
        catch (IOException e)
        {
            // Not to be taken for a failure of the connection.
            throw new LocalFileException(e);
        }
    }

    private static Task<string> CopyAsync(Stream stream, Stream destination) =>
        Task.Factory.StartNew(
            () =>
            {
                var buffer = new byte[256 * 1024];
                int count;
                while ((count = stream.Read(buffer, 0, buffer.Length)) > 0)
                {
                    try
                    {
                        destination.Write(buffer, 0, count);
                    }
                    catch (IOException e)
                    {
                        // Not to be taken for a failure of the connection.
                        throw new LocalFileException(e);
                    }
                }

                return "";
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default
        );

    // The library keeps whatever comes until it is read: all of it is read, and as much kept as such a command can have to say.
    private static Task<string> ReadAsync(Stream stream) =>
        Task.Factory.StartNew(
            () =>
            {
                var kept = new MemoryStream();
                var buffer = new byte[64 * 1024];
                try
                {
                    int count;
                    while ((count = stream.Read(buffer, 0, buffer.Length)) > 0)
                    {
                        kept.Write(buffer, 0, (int)Math.Min(count, MostSaid - kept.Length));
                    }
                }
                catch (Exception e) when (IsConnectionFailure(e))
                {
                    // The same as its end; the command's own task says why.
                }

                return Encoding.UTF8.GetString(kept.GetBuffer(), 0, (int)kept.Length);
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default
        );

    public HostException Broken(Exception? inner, string? detail = null) =>
        new(
            Host.Name,
            (_link.LostJump is { } jump ? $"the connection through jump host {jump} was lost" : "the connection was lost")
                + (detail is null ? "" : $": {detail}"),
            "check that the host is up, then run the command again: finished changes are recorded, the rest is planned again",
            inner
        );

    public static bool IsConnectionFailure(Exception e) =>
        e
            is SshException
                or System.Net.Sockets.SocketException
                or ObjectDisposedException
                or IOException
                or InvalidOperationException
                or ProxyException;

    public async ValueTask DisposeAsync()
    {
        await _reader.DisposeAsync().ConfigureAwait(false);
        await _link.DisposeAsync().ConfigureAwait(false);
    }
}

/// <summary>A file of this machine could not be read or written.</summary>
internal sealed class LocalFileException(IOException inner) : Exception(inner.Message, inner);
