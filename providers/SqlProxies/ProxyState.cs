using System.Collections.Immutable;
using KeyBuzz.Reconciler.Applying;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>One proxy host as a roll-out sees it.</summary>
/// <param name="Name">The host.</param>
/// <param name="HaproxyRuns">Whether its HAProxy's container runs, or that cannot be told.</param>
/// <param name="PgBouncerRuns">The same of its PgBouncer.</param>
/// <param name="Problems">What is not as it should be, a sentence each that begins with the host; empty when all is.</param>
public sealed record ProxyState(string Name, bool HaproxyRuns, bool PgBouncerRuns, ImmutableArray<string> Problems)
{
    private bool IsDown => !HaproxyRuns && !PgBouncerRuns;

    private bool IsHalfDown => HaproxyRuns != PgBouncerRuns;

    private bool IsWhole => Problems.IsEmpty;

    /// <summary>Whether sessions have to come by another proxy before this one is taken away: its HAProxy runs, though one look may have
    /// found it ill, and the others serve. Pure.</summary>
    /// <param name="proxies">The proxies.</param>
    /// <param name="state">Who has still to be disrupted.</param>
    /// <param name="next">The one whose turn it is.</param>
    public static bool HandsOver(IReadOnlyList<ProxyState> proxies, RolloutState state, string next)
    {
        ArgumentNullException.ThrowIfNull(proxies);
        ArgumentNullException.ThrowIfNull(state);
        return proxies
            .Where(proxy => !state.Left.Contains(proxy.Name))
            .All(proxy => proxy.Name == next ? proxy.HaproxyRuns : proxy.IsWhole);
    }

    /// <summary>Whose turn it is. Pure.</summary>
    /// <param name="proxies">The proxies, in the order of the file.</param>
    /// <param name="state">Who has still to be disrupted.</param>
    public static RolloutTurn Decide(IReadOnlyList<ProxyState> proxies, RolloutState state)
    {
        ArgumentNullException.ThrowIfNull(proxies);
        ArgumentNullException.ThrowIfNull(state);
        var staying = proxies.Where(proxy => !state.Left.Contains(proxy.Name)).ToList();
        var toCome = staying.Where(proxy => state.ToCome.Contains(proxy.Name)).ToList();

        // Who serves nothing has nothing to lose.
        ImmutableArray<string> stopped = [.. toCome.Where(proxy => proxy.IsDown).Select(proxy => proxy.Name)];
        if (!stopped.IsEmpty)
        {
            return new RolloutTurn.Go(stopped);
        }

        // Who is ill is perhaps mended by its change, and goes before who is well. While what is behind moves, nobody can be told from ill
        // by what it reaches.
        var ill = toCome.FirstOrDefault(proxy => proxy.IsHalfDown)
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
            return new RolloutTurn.Stop($"what is behind the proxies was not brought about, and they serve as they are: {failed}");
        }

        if (state.Unsettled)
        {
            return new RolloutTurn.Wait("what is behind the proxies is still being changed");
        }

        var problems = staying.SelectMany(proxy => proxy.Problems).ToList();
        return problems.Count > 0 ? new RolloutTurn.Wait(string.Join("; ", problems))
            : state.ToCome.IsEmpty ? new RolloutTurn.Go([])
            : new RolloutTurn.Go([toCome.FirstOrDefault()?.Name ?? state.ToCome[0]]);
    }
}
