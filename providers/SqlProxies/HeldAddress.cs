using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>The virtual address of a group of proxies.</summary>
/// <param name="Address">The address.</param>
/// <param name="Container">The container that holds it on each of them.</param>
internal sealed record HeldAddress(string Address, ContainerRead Container)
{
    private static readonly PollPace s_pace = new(TimeSpan.FromMilliseconds(200), TimeSpan.FromSeconds(10));

    /// <summary>What tells who holds it.</summary>
    public IEnumerable<Read> Reads => [Container, LocalAddresses.Read];

    /// <summary>Whether a host holds it.</summary>
    public bool IsHeldBy(Snapshot snapshot) => LocalAddresses.Has(snapshot, Address);

    /// <summary>Why nothing more is disrupted: nobody holds it, although a proxy that is not disrupted could; null when that is not
    /// so.</summary>
    public string? MissingProblem(IReadOnlyList<ProxyState> proxies, RolloutState state, IReadOnlyCollection<string> disrupted) =>
        !proxies.Any(proxy => proxy.HoldsAddress)
        && proxies.Any(proxy => !state.Left.Contains(proxy.Name) && !disrupted.Contains(proxy.Name) && IsAble(proxy))
            ? $"no proxy holds the virtual address {Address}"
            : null;

    /// <summary>Moves it away from the proxy that is disrupted next, if it holds it and another one can. That one does not take it
    /// back.</summary>
    /// <returns>Why it is still there; null when nothing keeps the proxy from being disrupted.</returns>
    public async Task<string?> MoveAsync(
        IReadOnlyList<ProxyState> proxies,
        RolloutState state,
        string next,
        IGroupAccess access,
        CancellationToken cancellationToken
    )
    {
        var others = proxies.Where(proxy => proxy.Name != next && !state.Left.Contains(proxy.Name) && IsAble(proxy)).ToList();
        if (others.Count == 0 || !proxies.Any(proxy => proxy.Name == next && proxy.HoldsAddress))
        {
            return null;
        }

        // Stopped until another one has it: started before, it could be the first to take it.
        await RunAsync("stop").ConfigureAwait(false);
        bool moved;
        try
        {
            moved = await Poll.UntilAsync(IsElsewhereAsync, found => found, s_pace, access.Time, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            await RunAsync("start").ConfigureAwait(false);
        }

        return moved
            ? null
            : $"the virtual address {Address} does not move from {next} to {string.Join(" or ", others.Select(one => one.Name))}";

        Task RunAsync(string verb) =>
            access.RunAsync(
                next,
                new Script($"systemctl {verb} {Script.Quote(Container.Name + ".service")}\n") { Deadline = TimeSpan.FromSeconds(30) },
                CancellationToken.None
            );

        async Task<bool> IsElsewhereAsync()
        {
            foreach (var other in others)
            {
                if (IsHeldBy(await access.ReadAsync(other.Name, [LocalAddresses.Read], cancellationToken).ConfigureAwait(false)))
                {
                    return true;
                }
            }

            return false;
        }
    }

    private static bool IsAble(ProxyState proxy) => proxy.Problems.IsEmpty && proxy.AddressProblems.IsEmpty;
}
