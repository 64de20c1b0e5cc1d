using System.Text;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Prints a log in a channel of its own.</summary>
internal static class SshLog
{
    private const int LongestLine = 64 * 1024;
    private static readonly TimeSpan s_end = TimeSpan.FromSeconds(3);

    // As root, sshd refuses to pass on signals: standard input stays open as long as somebody reads, and its end, also that of a connection
    // that broke, ends the command.
    private const string Wrapper =
        "exec 3<&0; { COMMAND; } </dev/null 3<&- & p=$!; { cat <&3; kill $p; } >/dev/null 2>&1 & w=$!; exec 3<&-; "
        + "wait $p; r=$?; kill $w 2>/dev/null; exit $r";

    /// <summary>See <see cref="IHostConnection.StreamAsync"/>.</summary>
    public static async Task<ScriptResult> StreamAsync(
        SshConnection connection,
        HostLog log,
        Action<string> take,
        CancellationToken cancellationToken
    )
    {
        try
        {
            var shell = Wrapper.Replace("COMMAND", "exec " + log.Command, StringComparison.Ordinal);
            using var exec = connection.Client.CreateCommand($"{connection.Root}sh -c {Script.Quote(shell)}");
            var ended = exec.ExecuteAsync(CancellationToken.None);
            var input = exec.CreateInputStream();
            var lines = Start(() => ReadLines(exec.OutputStream, take));
            var errors = Start(() => ReadAll(exec.ExtendedOutputStream));
            using (cancellationToken.Register(() => _ = Task.Run(input.Dispose, CancellationToken.None)))
            {
                var cancelled = new TaskCompletionSource();
                using var registration = cancellationToken.Register(cancelled.SetResult);
                var all = Task.WhenAll(lines, errors, ended);
                await Task.WhenAny(all, cancelled.Task).ConfigureAwait(false);
                if (cancellationToken.IsCancellationRequested)
                {
                    await Task.WhenAny(all, Task.Delay(s_end, connection.Time, CancellationToken.None)).ConfigureAwait(false);
                    return new ScriptResult(0, "", "");
                }

                await all.ConfigureAwait(false);
                return new ScriptResult(exec.ExitStatus ?? 1, "", await errors.ConfigureAwait(false));
            }
        }
        catch (Exception e) when (SshConnection.IsConnectionFailure(e))
        {
            throw connection.TooFewSessions(e) ?? connection.Broken(e);
        }
    }

    private static Task<string> Start(Func<string> read) =>
        Task.Factory.StartNew(read, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private static string ReadLines(Stream stream, Action<string> take)
    {
        var line = new MemoryStream();
        var buffer = new byte[64 * 1024];
        try
        {
            int count;
            while ((count = stream.Read(buffer, 0, buffer.Length)) > 0)
            {
                foreach (var c in buffer.AsSpan(0, count))
                {
                    if (c == (byte)'\n')
                    {
                        Take();
                    }
                    else if (line.Length < LongestLine)
                    {
                        line.WriteByte(c);
                    }
                }
            }
        }
        catch (Exception e) when (SshConnection.IsConnectionFailure(e))
        {
            // The same as its end; the command's own task says why.
        }

        if (line.Length > 0)
        {
            Take();
        }

        return "";

        void Take()
        {
            take(Encoding.UTF8.GetString(line.GetBuffer(), 0, (int)line.Length).TrimEnd('\r'));
            line.SetLength(0);
        }
    }

    private static string ReadAll(Stream stream)
    {
        var said = new StringBuilder();
        ReadLines(stream, line =>
        {
            if (said.Length < LongestLine)
            {
                said.AppendLine(line);
            }
        });
        return said.ToString();
    }
}
