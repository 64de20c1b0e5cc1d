using System.Collections.Immutable;
using CsCheck;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers.SqlProxies;

/// <summary>What holds of every roll-out of proxies, over generated proxies and changes.</summary>
[TestFixture]
internal sealed class ProxyPolicyTests
{
    private const int States = 20_000;
    private static readonly Address s_group = GroupPolicy.AddressOf("lb");

    // Serving, running without serving, with one of its two containers, stopped.
    private static readonly Gen<(ImmutableArray<ProxyState> Proxies, RolloutState State)> s_case =
        from kinds in Gen.Frequency((5, Gen.Const(0)), (1, Gen.Const(1)), (1, Gen.Const(2)), (2, Gen.Const(3))).Array[1, 4]
        from toCome in Gen.Bool.Array[4]
        from leaving in Gen.Frequency((4, Gen.Const(false)), (1, Gen.Const(true))).Array[4]
        from holder in Gen.Int[-1, 3]
        from isReversed in Gen.Bool
        from behind in Gen.Frequency((6, Gen.Const(0)), (1, Gen.Const(1)), (1, Gen.Const(2)))
        select (
            kinds
                .Select((kind, at) => Proxy($"lb-{at + 1}", kind) with { HoldsAddress = at == holder && kind == 0 })
                .OrderBy(proxy => isReversed ? -proxy.Name[^1] : proxy.Name[^1])
                .ToImmutableArray(),
            new RolloutState(Names(kinds.Length, at => toCome[at]), Names(kinds.Length, at => toCome[at] && leaving[at]))
            {
                Unsettled = behind == 1,
                FailedBehind = behind == 2 ? "pg-1 did not start" : null,
            }
        );

    [Test]
    public void A_serving_proxy_is_disrupted_alone_and_last_of_all() =>
        s_case.Slice(
            one =>
            {
                foreach (var (proxies, state, turn) in Walk(one.Proxies, one.State))
                {
                    var staying = proxies.Where(proxy => !state.Left.Contains(proxy.Name)).ToList();
                    if (turn is RolloutTurn.Go go && staying.Exists(proxy => go.Hosts.Contains(proxy.Name) && Serves(proxy)))
                    {
                        Assert.That(go.Hosts, Has.Length.EqualTo(1), "one at a time");
                        Assert.That(staying.Where(proxy => !Serves(proxy)), Is.Empty, "and nothing could be repaired first");
                        Assert.That(state is { Unsettled: false, FailedBehind: null }, "nor does the cluster behind change");
                    }
                }
            },
            count: States
        );

    [Test]
    public void Every_rollout_ends_with_healthy_proxies_or_says_why_not() =>
        s_case.Slice(
            one =>
            {
                var (proxies, state, turn) = Walk(one.Proxies, one.State).Last();
                var staying = proxies.Where(proxy => !state.Left.Contains(proxy.Name)).ToList();
                switch (turn)
                {
                    case RolloutTurn.Go go:
                        Assert.That(go.Hosts, Is.Empty);
                        Assert.That(state.ToCome, Is.Empty);
                        Assert.That(staying.All(Serves));
                        break;
                    case RolloutTurn.Wait wait:
                        Assert.That(wait.Reason, Is.Not.Empty);
                        Assert.That(state.Unsettled || staying.Exists(proxy => !Serves(proxy)), "there is something to wait for");
                        Assert.That(
                            staying.Where(proxy => state.ToCome.Contains(proxy.Name) && !(proxy.HaproxyRuns && proxy.PgBouncerRuns)),
                            Is.Empty,
                            "and nothing that the change would start"
                        );
                        break;
                    case RolloutTurn.Stop stop:
                        Assert.That(stop.Reason, Does.Contain(state.FailedBehind!));
                        break;
                }
            },
            count: States
        );

    // Of proxies that serve or are stopped, of which the plan changes every stopped one.
    [Test]
    public void The_forecast_is_what_happens_when_nothing_fails() =>
        s_case.Slice(
            one =>
            {
                var stopped = one.Proxies.Where(proxy => !Serves(proxy)).Select(proxy => proxy.Name).ToImmutableSortedSet();
                ImmutableArray<ProxyState> proxies = [.. one.Proxies.Select(proxy => Serves(proxy) ? proxy : Proxy(proxy.Name, 3))];
                var state = new RolloutState(one.State.ToCome.Union(stopped), one.State.Leaving);
                var outlook = new ProxiesOutlook([.. proxies.Where(Serves).Select(proxy => proxy.Name)])
                {
                    Holder = proxies.FirstOrDefault(proxy => proxy.HoldsAddress)?.Name,
                };
                if (outlook.Forecast(s_group, state) is { } forecast)
                {
                    var taken = Walk(proxies, state).Select(step => step.Turn).OfType<RolloutTurn.Go>().SelectMany(go => Shown(go, state));
                    Assert.That(
                        taken.Select(hosts => string.Join('+', hosts)),
                        Is.EqualTo(forecast.Steps.Select(step => string.Join('+', step.Hosts)))
                    );
                }
            },
            count: States
        );

    private static ProxyState Proxy(string name, int kind) =>
        kind switch
        {
            0 => new ProxyState(name, true, true, []),
            1 => new ProxyState(name, true, true, [$"{name}: HAProxy sees no primary"]),
            2 => new ProxyState(name, true, false, [$"{name}: PgBouncer does not run"]),
            _ => new ProxyState(name, false, false, [$"{name}: HAProxy does not run"]),
        };

    private static bool Serves(ProxyState proxy) => proxy.Problems.IsEmpty;

    private static ImmutableSortedSet<string> Names(int count, Func<int, bool> isMeant) =>
        [.. Enumerable.Range(0, count).Where(isMeant).Select(at => $"lb-{at + 1}")];

    // As an apply shows a turn: what stays as one step, what leaves one by one.
    private static IEnumerable<IEnumerable<string>> Shown(RolloutTurn.Go go, RolloutState state) =>
        new[] { go.Hosts.Except(state.Leaving) }
            .Where(staying => staying.Any())
            .Concat(go.Hosts.Intersect(state.Leaving).Order(StringComparer.Ordinal).Select(host => new[] { host }));

    // Every turn with what it was decided from, until the roll-out ends. A change succeeds, and a holder of the address hands it over.
    private static IEnumerable<(ImmutableArray<ProxyState> Proxies, RolloutState State, RolloutTurn Turn)> Walk(
        ImmutableArray<ProxyState> proxies,
        RolloutState state
    )
    {
        while (true)
        {
            var turn = ProxyState.Decide(proxies, state);
            yield return (proxies, state, turn);
            if (turn is not RolloutTurn.Go { Hosts.IsEmpty: false } go)
            {
                yield break;
            }

            Assert.That(go.Hosts, Is.SubsetOf(state.ToCome), "each has one turn");
            state = state with { ToCome = state.ToCome.Except(go.Hosts) };
            var heir = proxies.Any(proxy => go.Hosts.Contains(proxy.Name) && proxy.HoldsAddress)
                ? proxies.FirstOrDefault(proxy => !go.Hosts.Contains(proxy.Name) && !state.Left.Contains(proxy.Name))?.Name
                : null;
            proxies =
            [
                .. proxies.Select(proxy =>
                    (go.Hosts.Contains(proxy.Name) ? Proxy(proxy.Name, state.Leaving.Contains(proxy.Name) ? 3 : 0) : proxy) with
                    {
                        HoldsAddress = proxy.Name == heir || (heir is null && proxy.HoldsAddress),
                    }
                ),
            ];
        }
    }
}
