namespace KeyBuzz.Reconciler.Applying;

/// <summary>Limits how many changes run at once, on one host and in all.</summary>
internal sealed class HostSlots : IDisposable
{
    private readonly Dictionary<string, SemaphoreSlim> _hosts;
    private readonly SemaphoreSlim _all;

    /// <summary>Takes the limits.</summary>
    /// <param name="hosts">The hosts with a limit of their own.</param>
    /// <param name="perHost">How many run at once on one host.</param>
    /// <param name="parallelism">How many run at once in all.</param>
    public HostSlots(IEnumerable<string> hosts, int perHost, int parallelism)
    {
        _hosts = hosts.ToDictionary(host => host, _ => new SemaphoreSlim(perHost), StringComparer.Ordinal);
        _all = new SemaphoreSlim(parallelism);
    }

    /// <summary>Runs something once its host and the whole have a free slot. A deferred look needs no writer, so its host may have no
    /// limit.</summary>
    public async Task<string?> RunAsync(string host, Func<Task<string?>> run)
    {
        if (!_hosts.TryGetValue(host, out var slot))
        {
            return await RunInAsync(_all, run).ConfigureAwait(false);
        }

        return await RunInAsync(slot, () => RunInAsync(_all, run)).ConfigureAwait(false);
    }

    public void Dispose()
    {
        _all.Dispose();
        foreach (var slot in _hosts.Values)
        {
            slot.Dispose();
        }
    }

    private static async Task<string?> RunInAsync(SemaphoreSlim slot, Func<Task<string?>> run)
    {
        await slot.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        try
        {
            return await run().ConfigureAwait(false);
        }
        finally
        {
            slot.Release();
        }
    }
}
