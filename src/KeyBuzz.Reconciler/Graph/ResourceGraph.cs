using System.Collections.Immutable;
using System.Runtime.InteropServices;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Graph;

/// <summary>The resources, the policies of groups, and the edges between them. Every algorithm here is linear in nodes and edges, and none
/// recurses.</summary>
public sealed class ResourceGraph
{
    private static readonly Comparer<(string Path, Address Address)> s_byPath = Comparer<(string Path, Address Address)>.Create(
        (one, other) => string.CompareOrdinal(one.Path, other.Path)
    );

    private readonly Dictionary<Address, Node> _nodes;
    private readonly Dictionary<string, PolicyNode> _policies;

    private ResourceGraph(Dictionary<Address, Node> nodes, Dictionary<string, PolicyNode> policies, ImmutableArray<Address> order)
    {
        _nodes = nodes;
        _policies = policies;
        Order = policies.Count == 0 ? order : [.. order.Where(nodes.ContainsKey)];
        Nodes = [.. Order.Select(address => nodes[address])];
        Policies =
            policies.Count == 0 ? [] : [.. order.Where(address => !nodes.ContainsKey(address)).Select(group => policies[group.Host])];
    }

    /// <summary>A resource with its edges.</summary>
    /// <param name="Resource">The resource.</param>
    /// <param name="Requires">The resources that must exist first, declared and inferred, in the order of addresses.</param>
    /// <param name="After">The resources that are only ordered first.</param>
    /// <param name="Volume">The volume it lies under, or null.</param>
    /// <param name="Provides">What it offers.</param>
    public sealed record Node(
        Resource Resource,
        ImmutableArray<Address> Requires,
        ImmutableArray<Address> After,
        Address? Volume,
        ImmutableArray<string> Provides
    )
    {
        /// <summary>All that comes first, required or only ordered, in the order of addresses.</summary>
        public ImmutableArray<Address> Before { get; init; } = Requires;
    }

    /// <summary>The policy of a group with its edges.</summary>
    /// <param name="Policy">The policy.</param>
    /// <param name="After">The resources and groups that come first: those that run its members, and the declared ones; in the order of
    /// addresses.</param>
    public sealed record PolicyNode(GroupPolicy Policy, ImmutableArray<Address> After);

    /// <summary>The address of every resource, dependencies first.</summary>
    public ImmutableArray<Address> Order { get; }

    /// <summary>Every resource with its edges, in the same order.</summary>
    public ImmutableArray<Node> Nodes { get; }

    /// <summary>Every policy with its edges, those that come first before the others.</summary>
    public ImmutableArray<PolicyNode> Policies { get; }

    /// <summary>The node of an address, or null.</summary>
    public Node? Find(Address address) => _nodes.GetValueOrDefault(address);

    /// <summary>The policy that a resource of a group as a whole waits for; null when it is on a host, or its group has none.</summary>
    public GroupPolicy? PolicyOver(Address resource) => _policies.Count == 0 ? null : _policies.GetValueOrDefault(resource.Host)?.Policy;

    /// <summary>An empty graph.</summary>
    public static ResourceGraph Empty { get; } = new([], new Dictionary<string, PolicyNode>(StringComparer.Ordinal), []);

    /// <summary>Builds the graph; edges are those of the resources and those their links imply. Throws <see cref="DiagnosticException"/>
    /// naming every dangling reference and every cycle.</summary>
    /// <param name="resources">The resources.</param>
    /// <param name="providers">The provider of each type.</param>
    /// <param name="policies">The policies of groups: each comes after the resources that run the group's members, and before the resources
    /// of the group as a whole.</param>
    /// <param name="keepDangling">Drop edges to unknown addresses, and those of cycles, instead of refusing them; for graphs made from
    /// records, which may have been edited.</param>
    /// <param name="links">The links of each resource, in their order; null to ask the providers.</param>
    public static ResourceGraph Build(
        IEnumerable<Resource> resources,
        ProviderRegistry providers,
        IReadOnlyCollection<GroupPolicy>? policies = null,
        bool keepDangling = false,
        IReadOnlyList<ResourceLinks>? links = null
    )
    {
        var all = resources.ToDictionary(resource => resource.Address);
        var offers = new Dictionary<string, Dictionary<string, Address>>(StringComparer.Ordinal);
        var volumes = new Dictionary<string, List<(string MountPoint, Address Address)>>();
        links ??= [.. all.Values.Select(resource => providers.Get(resource.Address.Type).Links(resource))];
        ArgumentOutOfRangeException.ThrowIfNotEqual(links.Count, all.Count);
        var managed = new Dictionary<string, List<(string Path, Address Address)>>();
        foreach (var (resource, link) in all.Values.Zip(links))
        {
            if (!offers.TryGetValue(resource.Address.Host, out var offered))
            {
                offers[resource.Address.Host] = offered = new Dictionary<string, Address>(StringComparer.Ordinal);
            }

            foreach (var token in link.Provides)
            {
                offered.TryAdd(token, resource.Address);
            }

            if (!link.ManagedPaths.IsEmpty)
            {
                if (!managed.TryGetValue(resource.Address.Host, out var paths))
                {
                    managed[resource.Address.Host] = paths = [];
                }

                foreach (var path in link.ManagedPaths)
                {
                    paths.Add((path, resource.Address));
                }
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
        var gates = (policies ?? []).Select(policy => policy.Address).ToHashSet();
        var nodes = new Dictionary<Address, Node>(all.Count);
        var requires = new List<Address>();
        foreach (var (resource, link) in all.Values.Zip(links))
        {
            var address = resource.Address;
            if (!keepDangling)
            {
                foreach (var missing in resource.Requires.Concat(resource.After))
                {
                    if (all.ContainsKey(missing) || (gates.Contains(missing) && !resource.Requires.Contains(missing)))
                    {
                        continue;
                    }

                    diagnostics.Add(
                        Diagnostic.Error(
                            $"{address} refers to {missing}, which does not exist",
                            resource.Location,
                            address: address.ToString()
                        )
                    );
                }
            }

            requires.Clear();
            foreach (var declared in resource.Requires)
            {
                if (all.TryGetValue(declared, out var other))
                {
                    requires.Add(other.Address);
                }
            }

            foreach (var need in link.Needs)
            {
                if (Offering(offers[address.Host], address, need) is { } offering)
                {
                    requires.Add(offering);
                }
            }

            var volume = VolumeOver(volumes, address, link.ManagedPaths);
            if (volume is { } over)
            {
                requires.Add(over);
            }

            var required = Sorted(requires, resource.Requires);
            var after = After(all, gates, managed, resource, link);
            nodes[address] = new Node(resource, required, after, volume, link.Provides)
            {
                Before = after.IsEmpty ? required : Sorted([.. required, .. after], required),
            };
        }

        var groups = PolicyNodes(policies ?? [], nodes, diagnostics);
        if (diagnostics.Count > 0)
        {
            throw new DiagnosticException(diagnostics);
        }

        var order =
            groups.Count == 0
                ? DependencyOrder.Of(nodes.Keys, address => nodes[address].Before)
                : DependencyOrder.Of(nodes.Keys.Concat(groups.Values.Select(group => group.Policy.Address)), AllBefore);
        if (!order.Left.IsEmpty && keepDangling)
        {
            WithoutCycles(nodes, order.InCycles(AllBefore));
            order = DependencyOrder.Of(nodes.Keys, AllBefore);
        }

        if (!order.Left.IsEmpty)
        {
            var cycle = order.Cycle(AllBefore);
            var shown = string.Join(" → ", cycle.Append(cycle[0]));
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"resources depend on each other in a cycle: {shown}",
                    cycle.Select(address => nodes.GetValueOrDefault(address)?.Resource.Location).FirstOrDefault(at => at is not null),
                    remedy: "drop one of these `requires` or `after`"
                )
            );
        }

        return new ResourceGraph(nodes, groups, order.Addresses);

        ImmutableArray<Address> AllBefore(Address address) =>
            !nodes.TryGetValue(address, out var node) ? groups[address.Host].After
            : groups.TryGetValue(address.Host, out var gate) ? [.. node.Before, gate.Policy.Address]
            : node.Before;
    }

    private static void WithoutCycles(Dictionary<Address, Node> nodes, IReadOnlySet<Address> inCycles)
    {
        foreach (var address in inCycles)
        {
            var node = nodes[address];
            nodes[address] = node with
            {
                Requires = node.Requires.RemoveAll(inCycles.Contains),
                After = node.After.RemoveAll(inCycles.Contains),
                Before = node.Before.RemoveAll(inCycles.Contains),
            };
        }
    }

    private static Dictionary<string, PolicyNode> PolicyNodes(
        IReadOnlyCollection<GroupPolicy> policies,
        Dictionary<Address, Node> nodes,
        List<Diagnostic> diagnostics
    )
    {
        var groups = policies.ToDictionary(policy => policy.Group, policy => new PolicyNode(policy, policy.After), StringComparer.Ordinal);
        if (groups.Count == 0)
        {
            return groups;
        }

        var running = nodes
            .Values.Where(node => node.Resource.Group is not null)
            .ToLookup(node => node.Resource.Group!, node => node.Resource.Address, StringComparer.Ordinal);
        foreach (var policy in policies)
        {
            diagnostics.AddRange(
                policy
                    .After.Where(other => !nodes.ContainsKey(other) && !groups.Values.Any(group => group.Policy.Address == other))
                    .Select(missing =>
                        Diagnostic.Error($"the group {policy.Group} refers to {missing}, which does not exist", policy.Location)
                    )
            );
            groups[policy.Group] = new PolicyNode(policy, Sorted([.. policy.After, .. running[policy.Group]], policy.After));
        }

        return groups;
    }

    /// <summary>The given addresses and everything they require, over any number of steps.</summary>
    public IReadOnlySet<Address> WithRequirements(IEnumerable<Address> addresses) =>
        Reach(addresses, address => Find(address)?.Requires ?? []);

    /// <summary>The given addresses and everything that requires them, over any number of steps.</summary>
    public IReadOnlySet<Address> WithDependents(IEnumerable<Address> addresses)
    {
        var dependents = _nodes
            .Values.SelectMany(node => node.Requires.Select(required => (required, node.Resource.Address)))
            .ToLookup(edge => edge.required, edge => edge.Address);
        return Reach(addresses, address => dependents[address]);
    }

    private static HashSet<Address> Reach(IEnumerable<Address> start, Func<Address, IEnumerable<Address>> next)
    {
        var reached = new HashSet<Address>();
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

        return reached;
    }

    // Of the declared ones the very array, where they are all of them and in order, as those of a record are.
    private static ImmutableArray<Address> Sorted(List<Address> addresses, ImmutableArray<Address> declared)
    {
        if (addresses.Count > 1)
        {
            addresses.Sort();
        }

        for (var last = addresses.Count - 1; last > 0; last--)
        {
            if (addresses[last] == addresses[last - 1])
            {
                addresses.RemoveAt(last);
            }
        }

        return declared.AsSpan().SequenceEqual(CollectionsMarshal.AsSpan(addresses)) ? declared : [.. addresses];
    }

    // The declared order, and the managers of paths in directories that the resource uses. A declared order overrides an inferred one.
    private static ImmutableArray<Address> After(
        Dictionary<Address, Resource> all,
        HashSet<Address> gates,
        Dictionary<string, List<(string Path, Address Address)>> managed,
        Resource resource,
        ResourceLinks link
    )
    {
        if (resource.After.IsEmpty && link.UsedDirectories.IsEmpty)
        {
            return [];
        }

        var after = new List<Address>();
        foreach (var declared in resource.After)
        {
            if ((all.ContainsKey(declared) || gates.Contains(declared)) && !after.Contains(declared))
            {
                after.Add(declared);
            }
        }

        foreach (var other in Below(managed, resource.Address, link.UsedDirectories))
        {
            var manager = all[other];
            if (!manager.Requires.Contains(resource.Address) && !manager.After.Contains(resource.Address) && !after.Contains(other))
            {
                after.Add(other);
            }
        }

        return [.. after];
    }

    // The offer of a need; of a path, the nearest one above it.
    private static Address? Offering(Dictionary<string, Address> offers, Address needing, ReadOnlySpan<char> need)
    {
        const string Path = "path:";
        var byToken = offers.GetAlternateLookup<ReadOnlySpan<char>>();
        while (true)
        {
            if (byToken.TryGetValue(need, out var offering) && offering != needing)
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
}
