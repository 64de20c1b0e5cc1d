using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>The connections to jump hosts: one for all hosts behind it.</summary>
/// <param name="connect">Connects to a server, through the jump host before it.</param>
internal sealed class JumpHosts(Func<SshTarget, JumpLease?, CancellationToken, Task<SshLink>> connect)
{
    private readonly Dictionary<string, Shared> _open = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();

    /// <summary>A share in the connection to the last of these, through those before it; null for none.</summary>
    /// <exception cref="SshProblem">One of them cannot be connected to.</exception>
    public async Task<JumpLease?> LeaseAsync(ImmutableArray<SshTarget> chain, CancellationToken cancellationToken)
    {
        if (chain.Length == 0)
        {
            return null;
        }

        var key = string.Join(' ', chain.Select(hop => $"{hop.User}@{hop.Place}/{hop.KeyName}"));
        Shared shared;
        lock (_gate)
        {
            if (!_open.TryGetValue(key, out var found) || found.IsGone)
            {
                // Not ended with the host that happened to ask first: others wait for it, too.
                _open[key] = found = new Shared(Task.Run(() => OpenAsync(chain), CancellationToken.None));
            }

            shared = found;
            shared.Count++;
        }

        try
        {
            var link = await shared.Link.WaitAsync(cancellationToken).ConfigureAwait(false);
            return new JumpLease(link, () => GiveBackAsync(key, shared));
        }
        catch
        {
            // Whoever stops waiting does not wait for its end either.
            _ = GiveBackAsync(key, shared).AsTask();
            throw;
        }
    }

    private async Task<SshLink> OpenAsync(ImmutableArray<SshTarget> chain)
    {
        var hop = chain[^1];
        var via = await LeaseAsync(chain[..^1], CancellationToken.None).ConfigureAwait(false);
        try
        {
            return await connect(hop, via, CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            if (via is not null)
            {
                await via.DisposeAsync().ConfigureAwait(false);
            }

            throw e is SshProblem problem ? new SshProblem($"jump host {hop.Name}: {problem.Message}", problem.Remedy, problem) : e;
        }
    }

    private async ValueTask GiveBackAsync(string key, Shared shared)
    {
        lock (_gate)
        {
            if (--shared.Count > 0)
            {
                return;
            }

            if (_open.TryGetValue(key, out var current) && ReferenceEquals(current, shared))
            {
                _open.Remove(key);
            }
        }

        try
        {
            await (await shared.Link.ConfigureAwait(false)).DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (e is SshProblem or OperationCanceledException)
        {
            // It was never open.
        }
    }

    private sealed class Shared(Task<SshLink> link)
    {
        public Task<SshLink> Link => link;

        public int Count { get; set; }

        public bool IsGone => link.IsFaulted || link.IsCanceled || (link.IsCompletedSuccessfully && !link.Result.Client.IsConnected);
    }
}
