using System.Text;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Answers reads through one long-lived shell.</summary>
internal sealed class SshReader : IHostReader, IAsyncDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    // The files that are read have 8 MiB at most each; a probe of a whole host has less than one in all.
    private const int LargestAnswer = 64 * 1024 * 1024;

    private readonly SshConnection _connection;
    private readonly ProbeScript _probe;
    private readonly SemaphoreSlim _oneAtATime = new(1, 1);
    private RemoteShell? _shell;
    private int _scriptCount;

    public SshReader(SshConnection connection, ProbeScript probe)
    {
        _connection = connection;
        _probe = probe;
    }

    public int ScriptCount => Volatile.Read(ref _scriptCount);

    public async Task<Snapshot> ReadAsync(IReadOnlyCollection<Read> reads, CancellationToken cancellationToken)
    {
        var nonce = RemoteShell.NewNonce();
        var script = _probe.Render(reads, nonce, _connection.Host.Address);
        await _oneAtATime.WaitAsync(cancellationToken).ConfigureAwait(false);
        ShellAnswer answer;
        try
        {
            if (_shell is { Broken: true } or { Ended: true })
            {
                await _shell.DisposeAsync().ConfigureAwait(false);
                _shell = null;
            }

            _shell ??= await RemoteShell.OpenAsync(_connection, cancellationToken).ConfigureAwait(false);
            Interlocked.Increment(ref _scriptCount);
            answer = await _shell.RunAsync(script, LargestAnswer, Deadline, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _oneAtATime.Release();
        }

        try
        {
            return _probe.Parse(reads, nonce, answer.Output);
        }
        catch (InvalidDataException e)
        {
            var (what, remedy) =
                answer.Exit == 124
                    ? (
                        $"reading took longer than {Deadline.TotalSeconds:0} s",
                        "check docker and systemd on the host: one of them does not answer"
                    )
                    : (
                        answer.Exit == 0 ? e.Message : $"{e.Message} (exit status {answer.Exit}): {answer.ErrorText.Trim()}",
                        "run it again"
                    );
            throw new HostException(_connection.Host.Name, what, remedy, e);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_shell is not null)
        {
            await _shell.DisposeAsync().ConfigureAwait(false);
        }

        _oneAtATime.Dispose();
    }
}
