using System.Text.Json;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>The graph of resources and groups, in the language of Graphviz and as JSON.</summary>
internal static class GraphView
{
    private const string Legend = "solid arrow: requires; dashed arrow: comes after; ellipse: health of a group";

    /// <summary>Arrows point to dependencies, as in Terraform: a solid one to a required resource, a dashed one for an order.</summary>
    /// <param name="cluster">The cluster's name.</param>
    /// <param name="graph">The graph.</param>
    /// <param name="shown">The addresses to show, of resources and of groups.</param>
    public static IEnumerable<string> Dot(string cluster, ResourceGraph graph, IReadOnlySet<Address> shown)
    {
        var groups = graph.Policies.Where(node => shown.Contains(node.Policy.Address)).ToList();
        yield return $"digraph {Quote(cluster)} {{";
        yield return "  rankdir = \"RL\"";
        yield return "  node [shape = \"box\", fontname = \"sans-serif\"]";
        yield return $"  label = {Quote(Legend)}";
        yield return "  fontname = \"sans-serif\"";
        foreach (
            var (number, host) in graph
                .Order.Where(shown.Contains)
                .Concat(groups.Select(group => group.Policy.Address))
                .GroupBy(address => address.Host)
                .OrderBy(group => group.Key, StringComparer.Ordinal)
                .Index()
        )
        {
            yield return $"  subgraph cluster_{number} {{";
            yield return $"    label = {Quote(host.Key)}";
            foreach (var address in host)
            {
                var label =
                    address.Type == GroupPolicy.Type
                        ? "label = \"health\", shape = \"ellipse\""
                        : $"label = {Quote($"{address.Type}.{address.Name}")}";
                yield return $"    {Quote(address.ToString())} [{label}]";
            }

            yield return "  }";
        }

        foreach (var node in graph.Order.Where(shown.Contains).Select(address => graph.Find(address)!))
        {
            foreach (var required in node.Requires.Where(shown.Contains))
            {
                yield return $"  {Quote(node.Resource.Address.ToString())} -> {Quote(required.ToString())}";
            }

            foreach (var before in node.After.Where(shown.Contains).Except(node.Requires))
            {
                yield return $"  {Quote(node.Resource.Address.ToString())} -> {Quote(before.ToString())} [style = \"dashed\"]";
            }

            if (graph.PolicyOver(node.Resource.Address) is { } policy && shown.Contains(policy.Address))
            {
                yield return $"  {Quote(node.Resource.Address.ToString())} -> {Quote(policy.Address.ToString())}";
            }
        }

        foreach (var group in groups)
        {
            foreach (var before in group.After.Where(shown.Contains))
            {
                yield return $"  {Quote(group.Policy.Address.ToString())} -> {Quote(before.ToString())} [style = \"dashed\"]";
            }
        }

        yield return "}";
    }

    public static string Document(string cluster, ResourceGraph graph, IReadOnlySet<Address> shown) => JsonView.Document("graph", json =>
        {
            json.WriteString("cluster", cluster);
            json.WriteStartArray("resources");
            foreach (var node in graph.Order.Where(shown.Contains).Select(address => graph.Find(address)!))
            {
                json.WriteStartObject();
                json.WriteString("address", node.Resource.Address.ToString());
                json.WriteString("host", node.Resource.Address.Host);
                json.WriteString("group", node.Resource.Group);
                json.WriteString("volume", node.Volume?.ToString());
                Write(json, "requires", node.Requires);
                Write(json, "after", node.After);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartArray("groups");
            foreach (var group in graph.Policies.Where(node => shown.Contains(node.Policy.Address)))
            {
                json.WriteStartObject();
                json.WriteString("group", group.Policy.Group);
                json.WriteString("address", group.Policy.Address.ToString());
                json.WriteString("constraint", group.Policy.Rules.Constraint);
                Write(json, "after", group.After);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        });

    private static void Write(Utf8JsonWriter json, string name, IEnumerable<Address> addresses)
    {
        json.WriteStartArray(name);
        foreach (var address in addresses)
        {
            json.WriteStringValue(address.ToString());
        }

        json.WriteEndArray();
    }

    private static string Quote(string text) => "\"" + text.Replace("\"", "\\\"", StringComparison.Ordinal) + "\"";
}
