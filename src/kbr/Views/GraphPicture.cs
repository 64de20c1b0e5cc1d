using System.Collections.Immutable;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>A box of a picture.</summary>
/// <param name="Id">Its address.</param>
/// <param name="Column">The host or group that it is drawn under.</param>
/// <param name="Label">Its text.</param>
/// <param name="Look">Its look.</param>
internal sealed record PictureNode(string Id, string Column, string Label, PictureLook Look);

/// <summary>An arrow from a box to one that comes before it.</summary>
/// <param name="From">The later one.</param>
/// <param name="To">The earlier one.</param>
/// <param name="IsOrderOnly">Whether only the order counts, and not the existence.</param>
internal sealed record PictureEdge(string From, string To, bool IsOrderOnly);

/// <summary>The looks of a box.</summary>
internal enum PictureLook
{
    /// <summary>A resource.</summary>
    Resource,

    /// <summary>The health of a group.</summary>
    Group,

    /// <summary>A resource that is created.</summary>
    Create,

    /// <summary>One that is updated.</summary>
    Update,

    /// <summary>One that is replaced.</summary>
    Replace,

    /// <summary>One that is deleted.</summary>
    Delete,

    /// <summary>One of which only the record changes.</summary>
    Record,
}

/// <summary>Boxes in columns, and arrows between them.</summary>
/// <param name="Title">What it shows.</param>
/// <param name="Nodes">The boxes.</param>
/// <param name="Edges">The arrows; those to boxes that are not there are left out.</param>
internal sealed record GraphPicture(string Title, ImmutableArray<PictureNode> Nodes, ImmutableArray<PictureEdge> Edges)
{
    /// <summary>The resources of a cluster file.</summary>
    /// <param name="cluster">The cluster's name.</param>
    /// <param name="graph">The graph.</param>
    /// <param name="shown">The addresses to show, of resources and of groups.</param>
    public static GraphPicture Of(string cluster, ResourceGraph graph, IReadOnlySet<Address> shown)
    {
        var nodes = ImmutableArray.CreateBuilder<PictureNode>();
        var edges = ImmutableArray.CreateBuilder<PictureEdge>();
        foreach (var address in graph.Order.Where(shown.Contains))
        {
            var (name, node) = (address.ToString(), graph.Find(address)!);
            nodes.Add(new PictureNode(name, address.Host, $"{address.Type}.{address.Name}", PictureLook.Resource));
            edges.AddRange(node.Requires.Select(to => new PictureEdge(name, to.ToString(), false)));
            edges.AddRange(node.After.Except(node.Requires).Select(to => new PictureEdge(name, to.ToString(), true)));
            if (graph.PolicyOver(address) is { } policy)
            {
                edges.Add(new PictureEdge(name, policy.Address.ToString(), false));
            }
        }

        foreach (var group in graph.Policies.Where(group => shown.Contains(group.Policy.Address)))
        {
            var name = group.Policy.Address.ToString();
            nodes.Add(new PictureNode(name, group.Policy.Address.Host, "health", PictureLook.Group));
            edges.AddRange(group.After.Select(to => new PictureEdge(name, to.ToString(), true)));
        }

        return new GraphPicture($"Resources of {cluster}", nodes.ToImmutable(), edges.ToImmutable());
    }

    /// <summary>The changes of a plan.</summary>
    public static GraphPicture Of(PlanReport plan)
    {
        var nodes = ImmutableArray.CreateBuilder<PictureNode>();
        var edges = ImmutableArray.CreateBuilder<PictureEdge>();
        foreach (var change in plan.Changes)
        {
            var look = change.Action switch
            {
                "create" => PictureLook.Create,
                "update" => PictureLook.Update,
                "replace" => PictureLook.Replace,
                "delete" => PictureLook.Delete,
                _ => PictureLook.Record,
            };
            var at = change.Address.LastIndexOf('@');
            var label = $"{change.Symbol} {(at > 0 ? change.Address[..at] : change.Address)}";
            nodes.Add(new PictureNode(change.Address, change.Host, label, look));
            edges.AddRange(change.DependsOn.Select(to => new PictureEdge(change.Address, to, false)));
        }

        foreach (var group in plan.Groups)
        {
            nodes.Add(new PictureNode(group.Address, group.Name, "health", PictureLook.Group));
            edges.AddRange(group.DependsOn.Select(to => new PictureEdge(group.Address, to, true)));
        }

        return new GraphPicture($"Changes of {plan.Cluster}, in their order", nodes.ToImmutable(), edges.ToImmutable());
    }

    /// <summary>The level of each box: above it stands everything that comes before it.</summary>
    public IReadOnlyDictionary<string, int> Levels()
    {
        var before = Edges.ToLookup(edge => edge.From, edge => edge.To, StringComparer.Ordinal);
        var after = Edges.ToLookup(edge => edge.To, edge => edge.From, StringComparer.Ordinal);
        var known = Nodes.Select(node => node.Id).ToHashSet(StringComparer.Ordinal);
        var levels = known.ToDictionary(id => id, _ => 0, StringComparer.Ordinal);
        var waits = known.ToDictionary(id => id, id => before[id].Count(known.Contains), StringComparer.Ordinal);
        var open = new Queue<string>(Nodes.Select(node => node.Id).Where(id => waits[id] == 0));
        while (open.TryDequeue(out var id))
        {
            foreach (var next in after[id].Where(known.Contains))
            {
                levels[next] = Math.Max(levels[next], levels[id] + 1);
                if (--waits[next] == 0)
                {
                    open.Enqueue(next);
                }
            }
        }

        return levels;
    }
}
