using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>A reference of one resource to another, resolved.</summary>
internal sealed record Reference(Address From, Address To, SourceLocation At);

/// <summary>Reads the resources: places each on its hosts, resolves its references, binds its attributes.</summary>
/// <param name="hosts">The hosts, with the groups that blueprints made of them.</param>
/// <param name="binder">Binds attributes.</param>
/// <param name="providers">The resource types there are.</param>
/// <param name="made">The resources that blueprints made, which the file's own may refer to and may not repeat.</param>
/// <param name="findings">Where to note what is wrong.</param>
internal sealed class ResourceSection(
    HostTable hosts,
    ResourceBinder binder,
    IReadOnlyCollection<IResourceProvider> providers,
    IEnumerable<Resource> made,
    Findings findings
)
{
    private readonly Dictionary<Address, SourceLocation?> _declared = made.ToDictionary(
        resource => resource.Address,
        resource => resource.Location
    );
    private readonly List<Reference> _references = [];

    /// <summary>Every reference between declared resources, also of those that are broken otherwise.</summary>
    public IReadOnlyList<Reference> References => _references;

    /// <summary>The maps that the resources were read from.</summary>
    public Dictionary<Address, YamlMapping> Maps { get; } = [];

    public ImmutableArray<Resource> Read(YamlNode? node)
    {
        switch (node)
        {
            case null:
            case YamlScalar { IsNull: true }:
                return [];
            case YamlSequence list:
                var declarations = list.Items.Select(Declare).OfType<Declaration>().ToArray();
                return [.. declarations.SelectMany(Bind)];
            default:
                findings.Error($"'resources' must be a list, not {node.Kind}", node.At);
                return [];
        }
    }

    private sealed record Declaration(
        SectionReader Section,
        string Type,
        string Name,
        IResourceProvider? Provider,
        ImmutableArray<Host> Hosts
    );

    private Declaration? Declare(YamlNode item)
    {
        if (SectionReader.Of(item, "a resource", findings) is not { } section)
        {
            return null;
        }

        var type = section.Word("type", "a resource type", required: true);
        var provider = type is null ? null : providers.FirstOrDefault(one => one.Schema.Type == type.Value);
        if (type is not null && provider is null)
        {
            findings.Unknown(
                $"unknown resource type '{type.Value}'",
                type.At,
                type.Value,
                providers.Select(one => one.Schema.Type),
                "types are"
            );
        }

        var name = section.Word("name", "a name", required: true);
        if (name is not null && !name.Value.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' or '.'))
        {
            findings.Error($"'{name.Value}' cannot be the name of a resource", name.At, "letters, digits, '-', '_' and '.' only");
            name = null;
        }

        var placement = ImmutableArray<Host>.Empty;
        if (section.Find("host") is null)
        {
            findings.Error("a resource has no 'host'", section.At, "'host' is a host, a role, 'all', or a list of those");
        }
        else
        {
            var words = section.Words("host", "a host, a role, 'all', or a list of those");
            placement = provider is IGroupResourceProvider ? SelectGroups(words, type!.Value) : hosts.Select(words);
            if (section.Find("host") is YamlSequence { Items.Count: 0 } none)
            {
                findings.Error("'host' is an empty list", none.At);
            }
        }

        if (type is null || name is null)
        {
            return null;
        }

        foreach (var host in placement)
        {
            var address = new Address(type.Value, name.Value, host.Name);
            if (_declared.TryAdd(address, name.At))
            {
                Maps[address] = section.Map;
            }
            else
            {
                findings.Error(
                    $"duplicate resource {address}",
                    name.At,
                    _declared[address] is { } first ? $"first given at {first}" : null,
                    "rename or remove one of them",
                    host.Name,
                    address.ToString()
                );
                placement = placement.Remove(host);
            }
        }

        return new Declaration(section, type.Value, name.Value, provider, placement);
    }

    // A group's resource is bound once, for a place with the group's name only.
    private ImmutableArray<Host> SelectGroups(IReadOnlyList<YamlScalar> words, string type)
    {
        var chosen = ImmutableArray.CreateBuilder<Host>();
        foreach (var word in words)
        {
            if (hosts.Groups.TryGetValue(word.Value, out var group))
            {
                chosen.Add(new Host(group.Name, "", "", new NoEndpoint()));
            }
            else
            {
                findings.Unknown(
                    $"a {type} belongs to a group of hosts, and there is no group '{word.Value}'",
                    word.At,
                    word.Value,
                    hosts.Groups.Keys,
                    "groups are"
                );
            }
        }

        return [.. chosen.DistinctBy(host => host.Name)];
    }

    private List<Resource> Bind(Declaration declaration)
    {
        var (section, type, name, provider, placement) = declaration;
        var what = $"{type} '{name}'";
        var bound = new List<Resource>();
        var requires = section.Words("requires", "a list of type.name or type.name@host");
        var after = section.Words("after", "a list of type.name or type.name@host");
        var preventDestroy = false;
        if (SectionReader.Of(section.Find("lifecycle"), $"'lifecycle' of {what}", findings) is { } lifecycle)
        {
            preventDestroy = lifecycle.Allow(ClusterSchema.CommonKeys.Find("lifecycle")!.Section!).Boolean("prevent_destroy") ?? false;
        }

        // Of an entry that says the same on each host the values are made once.
        AttributeSet? shared = null;
        var isSameEverywhere = ResourceBinder.IsSameEverywhere(section.Map);
        // A resource without a valid host is still bound once, to find its other errors.
        foreach (var host in placement.IsEmpty ? hosts.All.Take(1) : placement)
        {
            var address = new Address(type, name, host.Name);
            var resolvedRequires = Resolve(address, requires, placement);
            var resolvedAfter = Resolve(address, after, placement);
            var spec = provider is null ? null : shared ?? binder.Bind(provider.Schema, section.Map, what, host);
            shared = isSameEverywhere ? spec : null;
            if (spec is not null && !placement.IsEmpty)
            {
                bound.Add(
                    new Resource(address, spec, section.At)
                    {
                        Requires = resolvedRequires,
                        After = resolvedAfter,
                        PreventDestroy = preventDestroy,
                    }
                );
            }
        }

        return bound;
    }

    private ImmutableArray<Address> Resolve(Address from, IReadOnlyList<YamlScalar> words, ImmutableArray<Host> placement)
    {
        var resolved = ImmutableArray.CreateBuilder<Address>();
        foreach (var word in words)
        {
            var elsewhere = word.Value.Contains('@', StringComparison.Ordinal);
            if (!Address.TryParse(elsewhere ? word.Value : $"{word.Value}@{from.Host}", out var to))
            {
                findings.Error($"{word.Kind} is not a reference", word.At, "type.name for the same host, or type.name@host");
            }
            else if (!_declared.ContainsKey(to))
            {
                Dangling(word, to, elsewhere, placement);
            }
            else if (!resolved.Contains(to))
            {
                resolved.Add(to);
                _references.Add(new Reference(from, to, word.At));
            }
        }

        return resolved.ToImmutable();
    }

    private void Dangling(YamlScalar word, Address to, bool elsewhere, ImmutableArray<Host> placement)
    {
        if (elsewhere)
        {
            findings.Unknown(
                $"there is no resource {to}",
                word.At,
                word.Value,
                _declared.Keys.Select(address => address.ToString()),
                "resources are"
            );
            return;
        }

        var missing = placement.Where(host => !_declared.ContainsKey(to with { Host = host.Name })).Select(host => host.Name).ToArray();
        if (missing.Length > 0)
        {
            var there = _declared.Keys.Where(address => missing.Contains(address.Host)).Select(address => $"{address.Type}.{address.Name}");
            findings.Unknown(
                $"there is no resource {word.Value} on {string.Join(", ", missing)}",
                word.At,
                word.Value,
                there,
                "resources there are"
            );
        }
    }
}
