using System.Collections.Immutable;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Firewall;

/// <summary>A rule of a host: what may come in.</summary>
/// <param name="Protocol">The protocol, such as <c>tcp</c>.</param>
/// <param name="Port">The port; 0 for a protocol without ports.</param>
/// <param name="Sources">From where; empty for anywhere.</param>
/// <param name="Purpose">What for.</param>
internal sealed record IncomingRule(string Protocol, int Port, ImmutableArray<string> Sources, string Purpose);

/// <summary>The connections that a cluster needs, and the rules of each host that let them through. Pure.</summary>
internal sealed class FirewallRules
{
    /// <summary>The name of the operator's machine, or of the jump host.</summary>
    public const string Operator = "operator";

    private readonly ImmutableArray<Host> _hosts;

    private FirewallRules(ImmutableArray<Host> hosts, ImmutableArray<Traffic> incoming, ImmutableArray<Traffic> outgoing) =>
        (_hosts, Incoming, Outgoing) = (hosts, incoming, outgoing);

    /// <summary>The connections to hosts of the file.</summary>
    public ImmutableArray<Traffic> Incoming { get; }

    /// <summary>The connections to other places.</summary>
    public ImmutableArray<Traffic> Outgoing { get; }

    /// <summary>The rules of a cluster.</summary>
    /// <param name="cluster">The file.</param>
    /// <param name="hosts">The hosts that are asked for.</param>
    /// <param name="providers">The resource types.</param>
    /// <param name="blueprints">The blueprints.</param>
    /// <param name="routes">The ways to the hosts; without one a host is reached from the operator, on its own port.</param>
    /// <param name="networks">The networks of those who are named and not placed, such as the operator.</param>
    public static FirewallRules Of(
        Cluster cluster,
        IEnumerable<Host> hosts,
        ProviderRegistry providers,
        IEnumerable<IBlueprintCommands> blueprints,
        IReadOnlyDictionary<string, HostRoute> routes,
        ILookup<string, string> networks
    )
    {
        ImmutableArray<Host> wanted = [.. hosts];
        var names = wanted.Select(host => host.Name).ToHashSet(StringComparer.Ordinal);
        ImmutableArray<Traffic> all =
        [
            .. Logins(cluster.Hosts, routes).Select(Placed),
            .. blueprints.SelectMany(blueprint => blueprint.Traffic(cluster)).Select(Placed),
            .. Services(cluster.Hosts),
            .. Images(cluster, providers),
        ];
        return new FirewallRules(
            wanted,
            [
                .. all.Where(one => one.To.Any(end => end.IsHost && names.Contains(end.Name)))
                    .Select(one => one with { To = [.. one.To.Where(end => names.Contains(end.Name))] })
                    .Where(one => RulesOf(one, one.To).Any()),
            ],
            [
                .. all.Where(one => one.To.Any(end => !end.IsHost) && one.From.Any(end => names.Contains(end.Name)))
                    .Select(one => one with { From = [.. one.From.Where(end => names.Contains(end.Name))] }),
            ]
        );

        Traffic Placed(Traffic traffic) =>
            traffic with
            {
                From =
                [
                    .. traffic.From.SelectMany(end =>
                        end is { IsHost: false, Network: "" } && networks.Contains(end.Name)
                            ? networks[end.Name].Select(network => end with { Network = network })
                            : [end]
                    ),
                ],
            };
    }

    // Hosts that are reached in the same way are one connection.
    private static IEnumerable<Traffic> Logins(ImmutableArray<Host> hosts, IReadOnlyDictionary<string, HostRoute> routes) =>
        hosts
            .SelectMany(host => Steps(host, hosts, routes))
            .GroupBy(step => (step.Port, step.To), step => step.From)
            .Select(same => (same.Key.Port, same.Key.To, From: same.Distinct().ToImmutableArray()))
            .GroupBy(login => (login.Port, Key: string.Join(' ', login.From.Select(end => $"{end.Name} {end.Network}"))))
            .Select(group => new Traffic(
                Traffic.Tcp,
                group.Key.Port,
                "SSH: kbr, from its machine or from the jump host",
                group.First().From,
                [.. group.Select(login => login.To)]
            ));

    // A jump host that is no host of the file is where the operator says that he is.
    private static IEnumerable<(TrafficEnd From, TrafficEnd To, int Port)> Steps(
        Host host,
        ImmutableArray<Host> hosts,
        IReadOnlyDictionary<string, HostRoute> routes
    )
    {
        var from = new TrafficEnd(Operator, "");
        if (routes.GetValueOrDefault(host.Name) is not { } route)
        {
            if (host.Endpoint.Port > 0)
            {
                yield return (from, TrafficEnd.Of(host), host.Endpoint.Port);
            }

            yield break;
        }

        foreach (var jump in route.Jumps)
        {
            var inner = hosts.FirstOrDefault(other => Is(other, jump));
            if (inner is not null)
            {
                yield return (from, TrafficEnd.Of(inner), jump.Port);
            }

            from = inner is null ? new TrafficEnd(Operator, "") : TrafficEnd.Of(inner);
        }

        yield return (from, TrafficEnd.Of(host), route.Target.Port);

        bool Is(Host other, HostStop jump) =>
            other.Name == jump.Name
            || NetworkAddress.Canonical(other.Address) == NetworkAddress.Canonical(jump.Hostname)
            || (routes.TryGetValue(other.Name, out var own) && own.Target.Hostname == jump.Hostname && own.Target.Port == jump.Port);
    }

    /// <summary>The hosts, each with its rules.</summary>
    public IEnumerable<(Host Host, ImmutableArray<IncomingRule> Rules)> ByHost() =>
        _hosts.Select(host =>
            (
                host,
                (ImmutableArray<IncomingRule>)
                    [.. Incoming.SelectMany(traffic => RulesOf(traffic, traffic.To.Where(end => end.Name == host.Name)))]
            )
        );

    // From itself a host comes over loopback.
    private static IEnumerable<IncomingRule> RulesOf(Traffic traffic, IEnumerable<TrafficEnd> to) =>
        to.Select(end => traffic.From.Where(source => source.Name != end.Name).ToList())
            .Where(sources => sources.Count > 0)
            .Select(sources => new IncomingRule(
                traffic.Protocol,
                traffic.Port,
                sources.Any(source => source.Network.Length == 0) ? [] : [.. sources.Select(source => source.Network).Distinct()],
                traffic.Purpose
            ));

    private static IEnumerable<Traffic> Services(ImmutableArray<Host> hosts)
    {
        ImmutableArray<TrafficEnd> from = [.. hosts.Select(TrafficEnd.Of)];
        yield return new Traffic(Traffic.Udp, 53, "names", from, [new TrafficEnd("the resolvers", "")]);
        yield return new Traffic(Traffic.Tcp, 53, "names", from, [new TrafficEnd("the resolvers", "")]);
        yield return new Traffic(Traffic.Udp, 123, "the time", from, [new TrafficEnd("the time servers", "")]);
    }

    private static IEnumerable<Traffic> Images(Cluster cluster, ProviderRegistry providers) =>
        cluster
            .Resources.SelectMany(resource =>
                cluster.Hosts.FirstOrDefault(host => host.Name == resource.Address.Host) is { } host
                && providers.Find(resource.Address.Type) is IReachesOut type
                    ? type.Outgoing(resource, host)
                    : []
            )
            .GroupBy(one => (one.Protocol, one.Port, one.Purpose, To: one.To[0]))
            .Select(same => same.First() with { From = [.. same.SelectMany(one => one.From).Distinct()] });
}
