using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>The checks that look at more than one resource, and those that only the provider of a resource can make.</summary>
internal sealed class ResourceChecks(
    IReadOnlyCollection<IResourceProvider> providers,
    Dictionary<Address, YamlMapping> maps,
    Findings findings
)
{
    /// <summary>Makes the checks, and the graph that they need; null for an error before that.</summary>
    public ResourceGraph? Run(ImmutableArray<Resource> resources, IReadOnlyList<Reference> references, ImmutableArray<GroupPolicy> policies)
    {
        var byType = providers.ToDictionary(provider => provider.Schema.Type, StringComparer.Ordinal);
        var linked = new List<(Resource Resource, ResourceLinks Links)>();
        foreach (var resource in resources)
        {
            var provider = byType[resource.Address.Type];
            var valid = true;
            foreach (var finding in provider.Validate(resource))
            {
                valid &= finding.Severity != Severity.Error;
                findings.Add(
                    finding with
                    {
                        Location = Place(resource, provider.Schema, finding),
                        Address = finding.Address ?? resource.Address.ToString(),
                        Host = finding.Host ?? resource.Address.Host,
                    }
                );
            }

            // Links of a resource that its own provider refuses would only speak of the same mistake again.
            if (valid)
            {
                linked.Add((resource, provider.Links(resource)));
            }
        }

        Clashes(linked, links => links.Ports, (port, first) => $"port {port} is already taken by {first}", "ports", "port");
        Clashes(linked, links => links.ManagedPaths, (path, first) => $"{path} is already managed by {first}", "path");
        SingleFileMounts(linked);
        Cycles(references);
        return findings.HasErrors ? null : Implied(resources, policies, [.. linked.Select(one => one.Links)]);
    }

    // A provider does not know the file, but its message quotes the value or names the attribute: the place is there.
    private SourceLocation? Place(Resource resource, ResourceSchema schema, Diagnostic finding)
    {
        if (finding.Location is not null && finding.Location != resource.Location)
        {
            return finding.Location;
        }

        var given = schema
            .Attributes.Select(attribute => (attribute.Name, Node: maps.GetValueOrDefault(resource.Address)?.Find(attribute.Name)))
            .Where(one => one.Node is not null)
            .ToArray();
        foreach (var (_, node) in given)
        {
            IEnumerable<YamlNode> values = node is YamlSequence list ? list.Items : [node!];
            if (
                values.FirstOrDefault(value =>
                    value is YamlScalar word && finding.Summary.Contains($"'{word.Value}'", StringComparison.Ordinal)
                ) is
                { } quoted
            )
            {
                return quoted.At;
            }
        }

        var named = given.FirstOrDefault(one =>
            finding.Summary.StartsWith(one.Name + " ", StringComparison.Ordinal)
            || finding.Summary.Contains($"'{one.Name}'", StringComparison.Ordinal)
        );
        return named.Node?.At ?? resource.Location;
    }

    private void Clashes(
        List<(Resource Resource, ResourceLinks Links)> linked,
        Func<ResourceLinks, ImmutableArray<string>> taken,
        Func<string, Address, string> message,
        params string[] keys
    )
    {
        var first = new Dictionary<(string Host, string What), Address>();
        foreach (var (resource, links) in linked)
        {
            foreach (var what in taken(links))
            {
                var address = resource.Address;
                if (!first.TryAdd((address.Host, what), address) && first[(address.Host, what)] != address)
                {
                    findings.Error(
                        message(what, first[(address.Host, what)]),
                        Place(resource, what, keys),
                        null,
                        null,
                        address.Host,
                        address.ToString()
                    );
                }
            }
        }
    }

    // The value of one of these keys; of a list, the item that speaks of it.
    private SourceLocation? Place(Resource resource, string what, params string[] keys)
    {
        // One of a blueprint has no map of its own, but a place.
        var node = maps.TryGetValue(resource.Address, out var map)
            ? keys.Select(map.Find).FirstOrDefault(found => found is not null)
            : null;
        var item = (node as YamlSequence)?.Items.Find(one =>
            one is YamlScalar word && (word.Value == what || word.Value.StartsWith(what + ":", StringComparison.Ordinal))
        );
        return (item ?? node)?.At ?? resource.Location;
    }

    // A file that is replaced by renaming stays the old one for a program that holds the file itself and not its directory.
    private void SingleFileMounts(List<(Resource Resource, ResourceLinks Links)> linked)
    {
        var files = new Dictionary<(string, string), Address>();
        foreach (var (resource, links) in linked)
        {
            foreach (var path in links.ReplacedFiles)
            {
                files.TryAdd((resource.Address.Host, path), resource.Address);
            }
        }

        foreach (var (resource, links) in linked)
        {
            foreach (var path in links.UsedDirectories.Distinct())
            {
                if (files.TryGetValue((resource.Address.Host, path), out var file))
                {
                    findings.Error(
                        $"{resource.Address.Type} '{resource.Address.Name}' mounts the single file {path}",
                        Place(resource, path, "mounts"),
                        $"{file} is replaced atomically, and a {resource.Address.Type} that mounts the file itself keeps the old one",
                        $"mount the directory {path[..Math.Max(1, path.LastIndexOf('/'))]}",
                        resource.Address.Host,
                        resource.Address.ToString()
                    );
                }
            }
        }
    }

    private void Cycles(IReadOnlyList<Reference> references)
    {
        var outgoing = references.ToLookup(reference => reference.From);
        var done = new Dictionary<Address, bool>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var start in references.Select(reference => reference.From).Distinct())
        {
            if (!done.TryAdd(start, false))
            {
                continue;
            }

            // Depth first with a stack of our own: done is false while a resource is on the path, true when all behind it was walked.
            var path = new List<(Address Address, IEnumerator<Reference> Edges)> { (start, outgoing[start].GetEnumerator()) };
            while (path.Count > 0)
            {
                var (address, edges) = path[^1];
                if (!edges.MoveNext())
                {
                    done[address] = true;
                    path.RemoveAt(path.Count - 1);
                }
                else if (done.TryAdd(edges.Current.To, false))
                {
                    path.Add((edges.Current.To, outgoing[edges.Current.To].GetEnumerator()));
                }
                else if (!done[edges.Current.To])
                {
                    var round = path[path.FindIndex(step => step.Address == edges.Current.To)..];
                    // The same cycle on every host of a role is one mistake: told by the places in the file.
                    if (seen.Add(string.Join('|', round.Select(step => step.Edges.Current.At.ToString()).Order(StringComparer.Ordinal))))
                    {
                        findings.Error(
                            $"resources depend on each other in a cycle: "
                                + $"{string.Join(" → ", round.Select(step => step.Address).Append(edges.Current.To))}",
                            edges.Current.At,
                            null,
                            "remove one of these references"
                        );
                    }
                }
            }
        }
    }

    // Edges that follow from what resources offer and need can close a cycle too.
    private ResourceGraph? Implied(
        ImmutableArray<Resource> resources,
        ImmutableArray<GroupPolicy> policies,
        IReadOnlyList<ResourceLinks> links
    )
    {
        try
        {
            return ResourceGraph.Build(resources, new ProviderRegistry(providers), policies, links: links);
        }
        catch (DiagnosticException exception)
        {
            foreach (var finding in exception.Diagnostics)
            {
                findings.Add(finding);
            }

            return null;
        }
    }
}
