using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Container;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>The policy of the hosts with HAProxy and PgBouncer in front of a PostgreSQL cluster: whether all of them serve, and in which
/// turn they may be disrupted.</summary>
public sealed class ProxyGroup : IGroupPolicy
{
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(500);

    /// <inheritdoc />
    public IReadOnlyList<AttributeDefinition> Settings => ProxyGroupSpec.Attributes;

    /// <inheritdoc />
    public string Constraint => "one proxy at a time, while sessions arrive through another";

    /// <inheritdoc />
    public IEnumerable<Read> Reads(GroupPolicy policy)
    {
        var spec = ProxyGroupSpec.Of(policy);
        return [spec.Haproxy, spec.Pgbouncer, .. spec.Held?.Reads ?? []];
    }

    /// <summary>Nothing: the services on the hosts are resources.</summary>
    public SortedMap<AttributeValue> Desired(GroupPolicy policy) => Comparable.None;

    /// <inheritdoc />
    public Observation Observe(GroupPolicy policy, IReadOnlyDictionary<string, Snapshot> members)
    {
        ArgumentNullException.ThrowIfNull(members);
        var spec = ProxyGroupSpec.Of(policy);
        ContainerRead[] services = [spec.Haproxy, spec.Pgbouncer];
        return members.Values.Any(member => services.Any(read => member.Get(read).Status == 200))
            ? new Observation.Present(Comparable.None)
            {
                // Without HAProxy no session arrives there, whatever PgBouncer does.
                Outlook = new ProxiesOutlook([
                    .. members.Where(member => Runs(member.Value.Get(spec.Haproxy))).Select(member => member.Key),
                ])
                {
                    Holder = spec.Held is { } held
                        ? members.Where(member => held.IsHeldBy(member.Value)).Select(member => member.Key).FirstOrDefault()
                        : null,
                },
            }
            : new Observation.Absent();
    }

    /// <inheritdoc />
    public RolloutForecast? Forecast(GroupPolicy policy, RolloutState state, IEnumerable<GroupOutlook> outlooks)
    {
        ArgumentNullException.ThrowIfNull(policy);
        var groups = outlooks.ToList();
        return groups.OfType<ProxiesOutlook>().FirstOrDefault()?.Forecast(policy.Address, state, ClusterOutlook.Of(groups));
    }

    /// <inheritdoc />
    public async Task BringToHealthAsync(GroupPolicy policy, IGroupAccess group, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(group);
        var spec = ProxyGroupSpec.Of(policy);
        var pace = new PollPace(s_poll, spec.Timeout) { SparesSlowHosts = true };
        var problems = await Poll.UntilAsync(
                ProblemsAsync,
                found => found.Count == 0,
                pace,
                group.Time,
                cancellationToken,
                beforePause: found => group.Report.Awaits(string.Join("; ", found))
            )
            .ConfigureAwait(false);
        if (problems.Count > 0)
        {
            throw new ChangeFailedException(
                $"the proxies do not serve after {pace.Deadline.TotalSeconds:0} s: {string.Join("; ", problems)}"
            );
        }

        async Task<List<string>> ProblemsAsync()
        {
            var proxies = await LookAsync(spec, [], [], group, cancellationToken).ConfigureAwait(false);
            return
            [
                .. proxies.SelectMany(proxy => proxy.Problems.Concat(proxy.AddressProblems)),
                .. spec.Held is { } held && !proxies.Any(proxy => proxy.HoldsAddress)
                    ? [$"no proxy holds the virtual address {held.Address}"]
                    : Array.Empty<string>(),
            ];
        }
    }

    /// <inheritdoc />
    public TimeSpan GateTimeout(GroupPolicy policy) => ProxyGroupSpec.Of(policy).Timeout;

    /// <inheritdoc />
    public async Task<RolloutTurn> NextAsync(
        GroupPolicy policy,
        RolloutState state,
        IGroupAccess access,
        CancellationToken cancellationToken
    )
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(state);
        ArgumentNullException.ThrowIfNull(access);
        var spec = ProxyGroupSpec.Of(policy);
        var proxies = await LookAsync(spec, state.Left, state.Later, access, cancellationToken).ConfigureAwait(false);
        var turn = ProxyState.Decide(proxies, state);
        if (spec.Held is { } held && turn is RolloutTurn.Go { Hosts: var hosts })
        {
            if (held.MissingProblem(proxies, state, hosts) is { } missing)
            {
                return new RolloutTurn.Wait(missing);
            }

            // Tried once: each attempt takes the address away for a while.
            if (
                hosts is [var holder]
                && await held.MoveAsync(proxies, state, holder, access, cancellationToken).ConfigureAwait(false) is { } stays
            )
            {
                return new RolloutTurn.Stop(stays);
            }
        }

        // A serving proxy is disrupted only while the load balancer sends sessions to another one: it may notice a returning proxy later
        // than kbr.
        return
            turn is RolloutTurn.Go { Hosts: [var next] }
            && ProxyState.HandsOver(proxies, state, next)
            && await BalancerTroubleAsync(spec, state, next, access, cancellationToken).ConfigureAwait(false) is { } trouble
            ? new RolloutTurn.Wait(trouble)
            : turn;
    }

    private static async Task<IReadOnlyList<ProxyState>> LookAsync(
        ProxyGroupSpec spec,
        ImmutableSortedSet<string> left,
        ImmutableSortedSet<string> later,
        IGroupAccess access,
        CancellationToken cancellationToken
    )
    {
        var asked = access.Members.Where(member => !left.Contains(member.Name)).ToList();
        PortRead Pooler(Host proxy) => new(proxy.Address, spec.PgbouncerPort);
        var answers = await Task.WhenAll(
                asked.Select(async proxy =>
                {
                    try
                    {
                        Read[] reads = [spec.Haproxy, spec.Pgbouncer, spec.Statistics, Pooler(proxy), .. spec.Held?.Reads ?? []];
                        return (
                            Proxy: proxy,
                            Snapshot: (Snapshot?)await access.ReadAsync(proxy.Name, reads, cancellationToken).ConfigureAwait(false),
                            Trouble: ""
                        );
                    }
                    catch (HostException exception)
                    {
                        return (proxy, null, $"{proxy.Name}: the host could not be read: {exception.Message}");
                    }
                })
            )
            .ConfigureAwait(false);

        // A proxy installed by hand has its own statistics and ports: it is healthy if SQL through it works. The others treat it as
        // removed.
        var foreign = answers
            .Where(answer =>
                answer.Snapshot is not null
                && (IsForeign(answer.Snapshot.Get(spec.Haproxy)) || IsForeign(answer.Snapshot.Get(spec.Pgbouncer)))
            )
            .Select(answer => answer.Proxy.Name)
            .ToImmutableSortedSet(StringComparer.Ordinal);
        // The others cannot see a proxy that starts only after some have left.
        var toStart = answers
            .Where(answer =>
                answer.Snapshot is not null
                && later.Contains(answer.Proxy.Name)
                && !Runs(answer.Snapshot.Get(spec.Haproxy))
                && !Runs(answer.Snapshot.Get(spec.Pgbouncer))
            )
            .Select(answer => answer.Proxy.Name);
        var unseen = left.Union(foreign).Union(toStart);
        return await Task.WhenAll(
                answers.Select(async answer =>
                {
                    if (answer is not { Proxy: var proxy, Snapshot: { } snapshot })
                    {
                        return new ProxyState(answer.Proxy.Name, true, true, [answer.Trouble]);
                    }

                    var pooler = Pooler(proxy);
                    var isForeign = foreign.Contains(proxy.Name);

                    var problems = new List<string>();
                    var haproxy = Runs(snapshot.Get(spec.Haproxy));
                    problems.AddRange(
                        haproxy
                            ? isForeign
                                ? []
                                : HaproxyProblems(spec, proxy.Name, snapshot.Get(spec.Statistics), unseen)
                            : [$"{proxy.Name}: HAProxy does not run"]
                    );
                    var pgbouncer = Runs(snapshot.Get(spec.Pgbouncer));
                    if (!pgbouncer || (!isForeign && snapshot.Get(pooler) != PortState.Answered))
                    {
                        problems.Add($"{proxy.Name}: PgBouncer {(pgbouncer ? $"does not answer on port {pooler.Port}" : "does not run")}");
                    }

                    if (problems.Count == 0 && spec.Login is { } login)
                    {
                        foreach (var (what, port) in new[] { ("HAProxy", spec.Port), ("PgBouncer", pooler.Port) }.Take(isForeign ? 1 : 2))
                        {
                            var (inRecovery, _, trouble) = await login
                                .AskAsync(access, proxy.Name, proxy.Address, port, cancellationToken)
                                .ConfigureAwait(false);
                            if (inRecovery != false)
                            {
                                problems.Add(
                                    $"{proxy.Name}: SQL through {what} on port {port} "
                                        + $"{(inRecovery is null ? $"does not work: {trouble}" : "leads to a replica")}"
                                );
                            }
                        }
                    }

                    var held = spec.Held;
                    return new ProxyState(proxy.Name, haproxy, pgbouncer, [.. problems])
                    {
                        HoldsAddress = held?.IsHeldBy(snapshot) == true,
                        AddressProblems =
                            held is null || Runs(snapshot.Get(held.Container)) ? [] : [$"{proxy.Name}: {held.Container.Name} does not run"],
                    };
                })
            )
            .ConfigureAwait(false);
    }

    private static IEnumerable<string> HaproxyProblems(ProxyGroupSpec spec, string name, HttpAnswer answer, ImmutableSortedSet<string> left)
    {
        if (answer.Status != 200)
        {
            yield return $"{name}: HAProxy's statistics do not answer on port {spec.Statistics.Port}";
            yield break;
        }

        var servers = HaproxyServers.Of(answer);
        var primaries = servers[spec.PrimaryBackend].Where(HaproxyServers.IsUp).Select(HaproxyServers.NameOf).ToList();
        if (primaries.Count != 1)
        {
            yield return $"{name}: HAProxy sees "
                + $"{(primaries.Count == 0 ? "no primary" : $"{primaries.Count} primaries: {string.Join(" and ", primaries)}")}";
        }

        foreach (
            var pooler in servers[spec.PooledBackend].Where(row => !HaproxyServers.IsUp(row) && !left.Contains(HaproxyServers.NameOf(row)))
        )
        {
            yield return $"{name}: HAProxy does not see the PgBouncer of {HaproxyServers.NameOf(pooler)}";
        }
    }

    // A balancer that takes its targets in turn leads to each of them within as many sessions as there are targets; a few more where others
    // come in between.
    private static async Task<string?> BalancerTroubleAsync(
        ProxyGroupSpec spec,
        RolloutState state,
        string next,
        IGroupAccess access,
        CancellationToken cancellationToken
    )
    {
        var others = access.Members.Where(member => member.Name != next && !state.Left.Contains(member.Name)).ToList();
        if (others.Count == 0 || spec.BalancerAddress is not { } address || spec.Login is not { } login)
        {
            return null;
        }

        var said = "";
        for (var attempt = 0; attempt < 4 * access.Members.Length; attempt++)
        {
            var (_, client, trouble) = await login
                .AskAsync(access, others[attempt % others.Count].Name, address, spec.BalancerPort, cancellationToken)
                .ConfigureAwait(false);
            if (others.Exists(other => other.Address == client))
            {
                return null;
            }

            said = trouble;
        }

        return $"no session through the load balancer {address} arrives by "
            + $"{string.Join(" or ", others.Select(other => other.Name))}{(said.Length > 0 ? ": " + said : "")}";
    }

    private static bool IsForeign(DockerAnswer answer) =>
        answer.Status == 200 && JsonAnswer.Parse(answer.Json)?.At("Config", "Labels")?.Text(ContainerComparison.AddressLabel) is null;

    // An engine that does not answer says nothing: then the ports do.
    private static bool Runs(DockerAnswer answer) =>
        answer.Status switch
        {
            200 => JsonAnswer.Parse(answer.Json) is { } json
                && json.At("State", "Running") is { ValueKind: System.Text.Json.JsonValueKind.True },
            404 => false,
            _ => true,
        };
}
