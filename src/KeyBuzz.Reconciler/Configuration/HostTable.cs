using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>The hosts of the file, by name and by role.</summary>
public sealed class HostTable
{
    private readonly IConnectionSection _connection;
    private readonly Findings _findings;
    private readonly List<Host> _hosts = [];
    private readonly Dictionary<string, Host> _byName = new(StringComparer.Ordinal);
    private readonly Dictionary<string, HostGroup> _groups = new(StringComparer.Ordinal);

    private HostTable(IConnectionSection connection, Findings findings)
    {
        _connection = connection;
        _findings = findings;
    }

    public ImmutableArray<Host> All => [.. _hosts];

    public IReadOnlyDictionary<string, Host> ByName => _byName;

    public static HostTable Read(YamlNode? node, IConnectionSection connection, SourceLocation fileStart, Findings findings)
    {
        var table = new HostTable(connection, findings);
        if (node is null)
        {
            findings.Error("no hosts: key 'hosts' is missing", fileStart);
        }
        else if (SectionReader.Of(node, "'hosts'", findings) is { } section)
        {
            if (section.Map.Entries.Count == 0)
            {
                findings.Error("'hosts' is empty", section.At);
            }

            table.ReadAll(section.Map);
        }

        return table;
    }

    /// <summary>The groups that blueprints made of them, by name.</summary>
    public IReadOnlyDictionary<string, HostGroup> Groups => _groups;

    /// <summary>Adds a group; from here on its name means its members.</summary>
    public void Add(HostGroup group) => _groups.Add(group.Name, group);

    /// <summary>Why no group may have this name, or null.</summary>
    public string? ProblemOfGroup(string name) =>
        !ValueSyntax.IsLabel(name) || name == "all" ? "lower-case letters, digits and inner '-' only, and not 'all'"
        : _byName.ContainsKey(name) ? "a host has this name"
        : _hosts.Exists(host => host.Role == name) ? "hosts have this role"
        : _groups.ContainsKey(name) ? "another group has this name"
        : null;

    /// <summary>The hosts that a name, a role, a group, <c>all</c> or a list of those means, in the order of the file, each once.</summary>
    public ImmutableArray<Host> Select(IReadOnlyList<YamlScalar> words)
    {
        // No role and no group has the name of a host.
        if (words is [{ Value: var only }] && _byName.TryGetValue(only, out var named))
        {
            return [named];
        }

        var chosen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var word in words)
        {
            var members = _groups.GetValueOrDefault(word.Value)?.Members ?? [];
            var meant = _hosts
                .Where(host => word.Value == "all" || host.Name == word.Value || host.Role == word.Value || members.Contains(host.Name))
                .ToArray();
            if (meant.Length == 0)
            {
                _findings.Unknown(
                    $"no host or role '{word.Value}'",
                    word.At,
                    word.Value,
                    _hosts
                        .Select(host => host.Name)
                        .Concat(_hosts.Select(host => host.Role).Where(role => role.Length > 0))
                        .Concat(_groups.Keys)
                        .Append("all"),
                    "hosts and roles are"
                );
            }

            chosen.UnionWith(meant.Select(host => host.Name));
        }

        return [.. _hosts.Where(host => chosen.Contains(host.Name))];
    }

    private void ReadAll(YamlMapping map)
    {
        var addresses = new Dictionary<string, Host>(StringComparer.Ordinal);
        var endpoints = new Dictionary<string, Host>(StringComparer.Ordinal);
        var roleLocations = new List<(string Role, SourceLocation At)>();
        foreach (var (key, value) in map.Entries)
        {
            var name = key.Value;
            if (!ValueSyntax.IsLabel(name) || name == "all")
            {
                _findings.Error(
                    $"'{name}' cannot be the name of a host",
                    key.At,
                    name == "all" ? "'all' means every host" : "lower-case letters, digits and inner '-' only"
                );
            }

            var host = ReadHost(name, key.At, value, addresses, endpoints, roleLocations);
            // A key given twice has been noted; the first counts.
            if (_byName.TryAdd(name, host))
            {
                _hosts.Add(host);
            }
        }

        foreach (var (role, at) in roleLocations)
        {
            if (_byName.ContainsKey(role))
            {
                _findings.Error($"role '{role}' has the name of a host", at, "'host: ' could mean either", "rename one of them");
            }
        }
    }

    /// <summary>The keys of a host.</summary>
    internal static SectionSchema SchemaOf(IConnectionSection connection) =>
        new([
            new("role", ValueForm.Word, "A word of your choice, such as db; 'host' of resources and preconditions takes it.")
            {
                Required = true,
                Example = "db",
            },
            new("address", ValueForm.Word, "The private address; no two hosts share one.") { Required = true, Example = "10.0.0.120" },
            new(connection.Key, ValueForm.Section, "How kbr connects to this host.") { Section = connection.HostSchema },
        ]);

    private Host ReadHost(
        string name,
        SourceLocation at,
        YamlNode value,
        Dictionary<string, Host> addresses,
        Dictionary<string, Host> endpoints,
        List<(string, SourceLocation)> roles
    )
    {
        var broken = new Host(name, "", "", new NoEndpoint());
        if (SectionReader.Of(value, $"host '{name}'", _findings) is not { } section)
        {
            return broken;
        }

        section.Allow(SchemaOf(_connection));
        var role = section.Word("role", "a word such as db", required: true);
        if (role is not null)
        {
            roles.Add((role.Value, role.At));
            if (!ValueSyntax.IsLabel(role.Value) || role.Value == "all")
            {
                _findings.Error(
                    $"'{role.Value}' cannot be a role",
                    role.At,
                    role.Value == "all" ? "'all' means every host" : "lower-case letters, digits and inner '-' only"
                );
            }
        }

        var address = section.Word("address", "the private address", required: true);
        if (address is not null && NetworkAddress.Problem(address.Value) is { } problem)
        {
            _findings.Error($"bad address '{address.Value}' of host '{name}'", address.At, problem);
        }

        var endpoint = _connection.ReadEndpoint(
            name,
            address?.Value ?? "",
            SectionReader.Of(section.Find(_connection.Key), $"'{_connection.Key}' of host '{name}'", _findings),
            _findings
        );
        var host = broken with { Role = role?.Value ?? "", Address = address?.Value ?? "", Endpoint = endpoint };
        if (address is not null && !addresses.TryAdd(NetworkAddress.Canonical(address.Value), host))
        {
            _findings.Error(
                $"hosts '{addresses[NetworkAddress.Canonical(address.Value)].Name}' and '{name}' have the same address {address.Value}",
                address.At
            );
        }

        if (endpoint.Place.Length > 0 && !endpoints.TryAdd(endpoint.Key, host))
        {
            var other = endpoints[endpoint.Key];
            // One private address for both has been said already.
            if (NetworkAddress.Canonical(other.Address) != NetworkAddress.Canonical(host.Address))
            {
                _findings.Error(
                    $"hosts '{other.Name}' and '{name}' are reached at the same place, {endpoint.Place}",
                    section.Find(_connection.Key)?.At ?? at
                );
            }
        }

        return host;
    }
}
