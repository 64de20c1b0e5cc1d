using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>The hosts of the file, by name and by role.</summary>
public sealed class HostTable
{
    private readonly Findings _findings;
    private readonly List<Host> _hosts = [];
    private readonly Dictionary<string, Host> _byName = new(StringComparer.Ordinal);
    private readonly Dictionary<string, HostGroup> _groups = new(StringComparer.Ordinal);

    private HostTable(Findings findings) => _findings = findings;

    public ImmutableArray<Host> All => [.. _hosts];

    public IReadOnlyDictionary<string, Host> ByName => _byName;

    public static HostTable Read(YamlNode? node, SourceLocation fileStart, Findings findings)
    {
        var table = new HostTable(findings);
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
        var endpoints = new Dictionary<(string, int), Host>();
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

    private Host ReadHost(
        string name,
        SourceLocation at,
        YamlNode value,
        Dictionary<string, Host> addresses,
        Dictionary<(string, int), Host> endpoints,
        List<(string, SourceLocation)> roles
    )
    {
        var broken = new Host(name, "", "", new SshEndpoint("", 22, "root", false));
        if (SectionReader.Of(value, $"host '{name}'", _findings) is not { } section)
        {
            return broken;
        }

        section.Allow("role", "address", "ssh");
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

        var ssh = ReadSsh(name, address?.Value ?? "", section);
        var host = broken with { Role = role?.Value ?? "", Address = address?.Value ?? "", Ssh = ssh };
        if (address is not null && !addresses.TryAdd(Canonical(address.Value), host))
        {
            _findings.Error(
                $"hosts '{addresses[Canonical(address.Value)].Name}' and '{name}' have the same address {address.Value}",
                address.At
            );
        }

        if (ssh.Hostname.Length > 0 && !endpoints.TryAdd((Canonical(ssh.Hostname), ssh.Port), host))
        {
            var other = endpoints[(Canonical(ssh.Hostname), ssh.Port)];
            // One private address for both has been said already.
            if (Canonical(other.Address) != Canonical(host.Address))
            {
                _findings.Error(
                    $"hosts '{other.Name}' and '{name}' are reached at the same place, {ssh.Hostname} port {ssh.Port}",
                    section.Find("ssh")?.At ?? at
                );
            }
        }

        return host;
    }

    private SshEndpoint ReadSsh(string name, string address, SectionReader host)
    {
        if (SectionReader.Of(host.Find("ssh"), $"'ssh' of host '{name}'", _findings) is not { } section)
        {
            return new SshEndpoint(address, 22, "root", false);
        }

        section.Allow("host", "port", "user", "sudo");
        var hostname = section.Word("host", "a name or an address");
        if (hostname is not null && !NetworkAddress.TryParse(hostname.Value, out _) && !IsHostname(hostname.Value))
        {
            _findings.Error(
                $"bad address '{hostname.Value}' to reach host '{name}'",
                hostname.At,
                "write a host name or an IPv4 or IPv6 address"
            );
        }

        var user = section.Word("user", "a login name");
        if (
            user is not null
            && (user.Value[0] == '-' || user.Value.Any(letter => char.IsWhiteSpace(letter) || letter is '@' or ':' or '/'))
        )
        {
            _findings.Error($"'{user.Value}' cannot be a login name", user.At);
        }

        var sudo = section.Boolean("sudo");
        if (user is not null && user.Value != "root" && sudo is null && section.Find("sudo") is null)
        {
            _findings.Warning(
                $"kbr logs in to host '{name}' as '{user.Value}' without sudo, and most changes need root",
                user.At,
                null,
                "write 'sudo: true', or 'sudo: false' if this is intended"
            );
        }

        return new SshEndpoint(hostname?.Value ?? address, section.Port("port") ?? 22, user?.Value ?? "root", sudo ?? false);
    }

    // Digits and dots only is an address gone wrong, not a name.
    private static bool IsHostname(string text) =>
        text.Length <= 253
        && text[0] != '-'
        && text.Any(char.IsAsciiLetter)
        && text.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '-' or '_');

    private static string Canonical(string address) =>
        NetworkAddress.TryParse(address, out var parsed) ? parsed.ToString() : address.ToLowerInvariant();
}
