using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>One proxy host as a roll-out sees it.</summary>
/// <param name="Name">The host.</param>
/// <param name="HaproxyRuns">Whether its HAProxy container runs, or is unknown.</param>
/// <param name="PgBouncerRuns">The same of its PgBouncer.</param>
/// <param name="Problems">The problems, a sentence each that begins with the host; empty for none.</param>
public sealed record ProxyState(string Name, bool HaproxyRuns, bool PgBouncerRuns, ImmutableArray<string> Problems)
{
    /// <summary>Whether it holds the virtual address.</summary>
    public bool HoldsAddress { get; init; }

    /// <summary>What keeps it from holding the virtual address. Before its turn in a roll-out it need not be able to.</summary>
    public ImmutableArray<string> AddressProblems { get; init; } = [];

    // It has left, or starts only after others have left.
    private static bool IsAway(ProxyState proxy, RolloutState state) =>
        state.Left.Contains(proxy.Name) || (proxy.IsDown && state.Later.Contains(proxy.Name));

    private bool IsDown => !HaproxyRuns && !PgBouncerRuns;

    private bool IsHalfDown => HaproxyRuns != PgBouncerRuns;

    private bool IsWhole => Problems.IsEmpty;

    /// <summary>Whether sessions must arrive through another proxy before this one is disrupted: its HAProxy runs, although one read may
    /// have found it unhealthy, and the others serve. Pure.</summary>
    /// <param name="proxies">The proxies.</param>
    /// <param name="state">The members still to be disrupted.</param>
    /// <param name="next">The next proxy.</param>
    public static bool HandsOver(IReadOnlyList<ProxyState> proxies, RolloutState state, string next)
    {
        ArgumentNullException.ThrowIfNull(proxies);
        ArgumentNullException.ThrowIfNull(state);
        return proxies.Where(proxy => !IsAway(proxy, state)).All(proxy => proxy.Name == next ? proxy.HaproxyRuns : proxy.IsWhole);
    }

    /// <summary>The next step of the roll-out. Pure.</summary>
    /// <param name="proxies">The proxies.</param>
    /// <param name="state">The members still to be disrupted.</param>
    public static RolloutTurn Decide(IReadOnlyList<ProxyState> proxies, RolloutState state)
    {
        ArgumentNullException.ThrowIfNull(proxies);
        ArgumentNullException.ThrowIfNull(state);
        // By their names, as the plan foresees it.
        var staying = proxies.Where(proxy => !IsAway(proxy, state)).OrderBy(proxy => proxy.Name, StringComparer.Ordinal).ToList();
        if (
            !state.Later.IsEmpty
            && staying.Exists(proxy => proxy.HaproxyRuns)
            && staying.TrueForAll(proxy => state.ToCome.Contains(proxy.Name))
        )
        {
            return new RolloutTurn.Stop(
                $"{string.Join(" and ", state.ToCome)} would be removed before {string.Join(" and ", state.Later)} can start, and no other "
                    + "proxy serves: add the new proxies first, and remove the former ones in a later apply"
            );
        }

        var toCome = staying.Where(proxy => state.ToCome.Contains(proxy.Name)).ToList();

        // A proxy that is down can be changed at once.
        ImmutableArray<string> stopped = [.. toCome.Where(proxy => proxy.IsDown).Select(proxy => proxy.Name)];
        if (!stopped.IsEmpty)
        {
            return new RolloutTurn.Go(stopped);
        }

        // The change may repair an unhealthy proxy, which goes before the healthy ones. While the cluster behind changes, reachability does
        // not tell whether a proxy is healthy.
        // No session reaches a proxy without HAProxy, whatever PgBouncer does there: it is mended before one that sessions reach.
        var ill = toCome.FirstOrDefault(proxy => proxy.IsHalfDown && !proxy.HaproxyRuns)
            ?? toCome.FirstOrDefault(proxy => proxy.IsHalfDown)
            ?? toCome.FirstOrDefault(proxy =>
                !state.Unsettled
                && state.FailedBehind is null
                && !proxy.IsWhole
                && staying.TrueForAll(other => other == proxy || other.IsWhole)
            );
        if (ill is not null)
        {
            return new RolloutTurn.Go([ill.Name]);
        }

        if (state.FailedBehind is { } failed && !state.ToCome.IsEmpty)
        {
            return new RolloutTurn.Stop($"the change behind the proxies failed, so they stay unchanged: {failed}");
        }

        if (state.Unsettled)
        {
            return new RolloutTurn.Wait("the change behind the proxies is still running");
        }

        // The holder of the virtual address goes last: the address moves once.
        var problems = staying
            .SelectMany(proxy => state.ToCome.Contains(proxy.Name) ? proxy.Problems : proxy.Problems.Concat(proxy.AddressProblems))
            .ToList();
        return problems.Count > 0 ? new RolloutTurn.Wait(string.Join("; ", problems))
            : state.ToCome.IsEmpty ? new RolloutTurn.Go([])
            : new RolloutTurn.Go([toCome.OrderBy(proxy => proxy.HoldsAddress).FirstOrDefault()?.Name ?? state.ToCome[0]]);
    }
}
