using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Graph;

/// <summary>The resources and the edges between them. Every algorithm here is linear in nodes and edges, and none recurses.</summary>
public sealed class ResourceGraph
{
    private static readonly Comparer<(string Path, Address Address)> s_byPath = Comparer<(string Path, Address Address)>.Create(
        (one, other) => string.CompareOrdinal(one.Path, other.Path)
    );

    private readonly ImmutableDictionary<Address, Node> _nodes;

    private ResourceGraph(ImmutableDictionary<Address, Node> nodes, ImmutableArray<Address> order)
    {
        _nodes = nodes;
        Order = order;
    }

    /// <summary>A resource with its edges.</summary>
    /// <param name="Resource">The resource.</param>
    /// <param name="Requires">The resources that must exist first, declared and inferred.</param>
    /// <param name="After">The resources that are only ordered first.</param>
    /// <param name="Volume">The volume it lies under, or null.</param>
    public sealed record Node(Resource Resource, ImmutableArray<Address> Requires, ImmutableArray<Address> After, Address? Volume);

    /// <summary>Every address, dependencies first.</summary>
    public ImmutableArray<Address> Order { get; }

    /// <summary>The node of an address, or null.</summary>
    public Node? Find(Address address) => _nodes.GetValueOrDefault(address);

    /// <summary>An empty graph.</summary>
    public static ResourceGraph Empty { get; } = new(ImmutableDictionary<Address, Node>.Empty, []);

    /// <summary>Builds the graph; edges are those of the resources and those their links imply. Throws <see cref="DiagnosticException"/>
    /// naming every dangling reference and every cycle.</summary>
    /// <param name="resources">The resources.</param>
    /// <param name="providers">The provider of each type.</param>
    /// <param name="keepDangling">Drop edges to unknown addresses instead of refusing them; for graphs made from records.</param>
    public static ResourceGraph Build(IEnumerable<Resource> resources, ProviderRegistry providers, bool keepDangling = false)
    {
        var all = resources.ToDictionary(resource => resource.Address);
        var offers = new Dictionary<(string Host, string Token), Address>();
        var volumes = new Dictionary<string, List<(string MountPoint, Address Address)>>();
        var links = new Dictionary<Address, ResourceLinks>();
        var managed = new Dictionary<string, List<(string Path, Address Address)>>();
        foreach (var resource in all.Values)
        {
            var link = providers.Get(resource.Address.Type).Links(resource);
            links[resource.Address] = link;
            foreach (var token in link.Provides)
            {
                offers.TryAdd((resource.Address.Host, token), resource.Address);
            }

            if (!link.ManagedPaths.IsEmpty)
            {
                if (!managed.TryGetValue(resource.Address.Host, out var paths))
                {
                    managed[resource.Address.Host] = paths = [];
                }

                paths.AddRange(link.ManagedPaths.Select(path => (path, resource.Address)));
            }

            if (link.MountPoint is { } mountPoint)
            {
                if (!volumes.TryGetValue(resource.Address.Host, out var list))
                {
                    volumes[resource.Address.Host] = list = [];
                }

                list.Add((mountPoint, resource.Address));
            }
        }

        foreach (var paths in managed.Values)
        {
            paths.Sort(s_byPath);
        }

        var diagnostics = new List<Diagnostic>();
        var nodes = ImmutableDictionary.CreateBuilder<Address, Node>();
        foreach (var resource in all.Values)
        {
            var requires = new SortedSet<Address>();
            foreach (var address in resource.Requires.Concat(resource.After))
            {
                if (!all.ContainsKey(address) && !keepDangling)
                {
                    diagnostics.Add(
                        Diagnostic.Error(
                            $"{resource.Address} refers to {address}, which does not exist",
                            resource.Location,
                            address: resource.Address.ToString()
                        )
                    );
                }
            }

            requires.UnionWith(resource.Requires.Where(all.ContainsKey));
            foreach (var need in links[resource.Address].Needs)
            {
                if (Offering(offers, resource.Address, need) is { } offering)
                {
                    requires.Add(offering);
                }
            }

            var volume = VolumeOver(volumes, resource.Address, links[resource.Address].ManagedPaths);
            if (volume is { } over)
            {
                requires.Add(over);
            }

            // An explicit order overrides the inferred one.
            var below = Below(managed, resource.Address, links[resource.Address].UsedDirectories)
                .Where(address => !all[address].Requires.Contains(resource.Address) && !all[address].After.Contains(resource.Address));
            nodes[resource.Address] = new Node(
                resource,
                [.. requires],
                [.. resource.After.Where(all.ContainsKey).Concat(below).Distinct()],
                volume
            );
        }

        if (diagnostics.Count > 0)
        {
            throw new DiagnosticException(diagnostics);
        }

        var graph = nodes.ToImmutable();
        var order = Sort(graph, out var cycle);
        if (cycle.Count > 0)
        {
            var shown = string.Join(" → ", cycle.Append(cycle[0]));
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"resources depend on each other in a cycle: {shown}",
                    graph[cycle[0]].Resource.Location,
                    remedy: "drop one of these `requires` or `after`"
                )
            );
        }

        return new ResourceGraph(graph, order);
    }

    /// <summary>The given addresses and everything they require, over any number of steps.</summary>
    public ImmutableHashSet<Address> WithRequirements(IEnumerable<Address> addresses) =>
        Reach(addresses, address => Find(address)?.Requires ?? []);

    /// <summary>The given addresses and everything that requires them, over any number of steps.</summary>
    public ImmutableHashSet<Address> WithDependents(IEnumerable<Address> addresses)
    {
        var dependents = _nodes
            .Values.SelectMany(node => node.Requires.Select(required => (required, node.Resource.Address)))
            .ToLookup(edge => edge.required, edge => edge.Address);
        return Reach(addresses, address => dependents[address]);
    }

    private static ImmutableHashSet<Address> Reach(IEnumerable<Address> start, Func<Address, IEnumerable<Address>> next)
    {
        var reached = ImmutableHashSet.CreateBuilder<Address>();
        var open = new Stack<Address>(start);
        while (open.TryPop(out var address))
        {
            if (reached.Add(address))
            {
                foreach (var other in next(address))
                {
                    open.Push(other);
                }
            }
        }

        return reached.ToImmutable();
    }

    private static Address? Offering(Dictionary<(string Host, string Token), Address> offers, Address needing, string need)
    {
        const string Path = "path:";
        while (true)
        {
            if (offers.TryGetValue((needing.Host, need), out var offering) && offering != needing)
            {
                return offering;
            }

            var slash = need.LastIndexOf('/');
            if (!need.StartsWith(Path, StringComparison.Ordinal) || slash <= Path.Length)
            {
                return null;
            }

            need = need[..slash];
        }
    }

    private static IEnumerable<Address> Below(
        Dictionary<string, List<(string Path, Address Address)>> managed,
        Address user,
        ImmutableArray<string> directories
    )
    {
        if (directories.IsEmpty || !managed.TryGetValue(user.Host, out var paths))
        {
            yield break;
        }

        foreach (var prefix in directories.Select(directory => directory.TrimEnd('/') + "/"))
        {
            var found = paths.BinarySearch((prefix, user), s_byPath);
            for (var i = found < 0 ? ~found : found; i < paths.Count && paths[i].Path.StartsWith(prefix, StringComparison.Ordinal); i++)
            {
                if (paths[i].Address != user)
                {
                    yield return paths[i].Address;
                }
            }
        }
    }

    private static Address? VolumeOver(
        Dictionary<string, List<(string MountPoint, Address Address)>> volumes,
        Address address,
        ImmutableArray<string> paths
    )
    {
        if (!volumes.TryGetValue(address.Host, out var list))
        {
            return null;
        }

        (string MountPoint, Address Address)? nearest = null;
        foreach (var candidate in list)
        {
            if (
                candidate.Address != address
                && paths.Any(path => path.StartsWith(candidate.MountPoint + "/", StringComparison.Ordinal))
                && (nearest is null || candidate.MountPoint.Length > nearest.Value.MountPoint.Length)
            )
            {
                nearest = candidate;
            }
        }

        return nearest?.Address;
    }

    // Kahn's algorithm over a sorted frontier, so that the order is the same in every run.
    private static ImmutableArray<Address> Sort(ImmutableDictionary<Address, Node> nodes, out IReadOnlyList<Address> cycle)
    {
        var waits = new Dictionary<Address, int>();
        var followers = new Dictionary<Address, List<Address>>();
        foreach (var (address, node) in nodes)
        {
            var before = node.Requires.Concat(node.After).Distinct().ToList();
            waits[address] = before.Count;
            foreach (var first in before)
            {
                if (!followers.TryGetValue(first, out var list))
                {
                    followers[first] = list = [];
                }

                list.Add(address);
            }
        }

        var ready = new SortedSet<Address>(waits.Where(pair => pair.Value == 0).Select(pair => pair.Key));
        var order = ImmutableArray.CreateBuilder<Address>(nodes.Count);
        while (ready.Count > 0)
        {
            var address = ready.Min;
            ready.Remove(address);
            order.Add(address);
            foreach (var follower in followers.GetValueOrDefault(address) ?? [])
            {
                if (--waits[follower] == 0)
                {
                    ready.Add(follower);
                }
            }
        }

        cycle =
            order.Count == nodes.Count ? [] : FindCycle(nodes, waits.Where(pair => pair.Value > 0).Select(pair => pair.Key).ToHashSet());
        return order.ToImmutable();
    }

    // Every address left over waits for another one left over, so walking on must come back to where it has been.
    private static List<Address> FindCycle(ImmutableDictionary<Address, Node> nodes, HashSet<Address> left)
    {
        var path = new List<Address>();
        var seen = new Dictionary<Address, int>();
        var at = left.Min();
        while (seen.TryAdd(at, path.Count))
        {
            path.Add(at);
            at = nodes[at].Requires.Concat(nodes[at].After).First(left.Contains);
        }

        return path[seen[at]..];
    }
}
