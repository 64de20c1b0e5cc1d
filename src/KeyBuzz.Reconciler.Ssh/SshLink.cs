using Renci.SshNet;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>One connection to a server, with what it goes through.</summary>
internal sealed class SshLink : IAsyncDisposable
{
    private readonly Forwarding? _forwarding;
    private readonly JumpLease? _via;
    private readonly TimeProvider _time;

    public SshLink(SshTarget target, SshClient client, JumpLease? via, Forwarding? forwarding, TimeProvider time)
    {
        Target = target;
        Client = client;
        _via = via;
        _forwarding = forwarding;
        _time = time;
    }

    public SshTarget Target { get; }

    public SshClient Client { get; }

    /// <summary>The jump host on the way that is gone; null when all are there.</summary>
    public string? LostJump => _via?.Lost;

    public async ValueTask DisposeAsync()
    {
        // Saying goodbye can block on a connection that is dead.
        await Task.WhenAny(
                Task.Run(() =>
                {
                    Client.Dispose();
                    _forwarding?.Dispose();
                }),
                Task.Delay(TimeSpan.FromSeconds(3), _time)
            )
            .ConfigureAwait(false);
        if (_via is not null)
        {
            await _via.DisposeAsync().ConfigureAwait(false);
        }
    }
}

/// <summary>A share in the connection to a jump host; the last one that is given back closes it.</summary>
internal sealed class JumpLease(SshLink link, Func<ValueTask> giveBack) : IAsyncDisposable
{
    private int _returned;

    public SshLink Link => link;

    /// <summary>The first jump host on the way that is gone; null when all are there.</summary>
    public string? Lost => link.LostJump ?? (link.Client.IsConnected ? null : link.Target.Name);

    public ValueTask DisposeAsync() => Interlocked.Exchange(ref _returned, 1) == 0 ? giveBack() : ValueTask.CompletedTask;
}
