using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.PostgresHa.Init;

/// <summary>An inventory of Ansible's: groups of hosts, with variables.</summary>
public sealed class AnsibleInventory
{
    private const string All = "all";

    // Usual names, those that say most first.
    private static readonly string[] s_members =
    [
        "patroni",
        "patroni_cluster",
        "postgres_cluster",
        "postgresql_cluster",
        "pg_cluster",
        "postgresql",
        "postgres",
        "pgsql",
        "pg",
        "database",
        "databases",
        "db",
        "dbs",
        "db_servers",
        "dbservers",
    ];

    private static readonly string[] s_proxies =
    [
        "haproxy",
        "pgbouncer",
        "proxies",
        "proxy",
        "balancers",
        "load_balancers",
        "loadbalancers",
        "lb",
        "lbs",
    ];

    private readonly Dictionary<string, Group> _groups = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Machine> _machines = new(StringComparer.Ordinal);

    private AnsibleInventory() => GroupOf(All);

    /// <summary>The names of the groups, in the order of the file.</summary>
    public IEnumerable<string> Groups => _groups.Keys.Where(name => name != All);

    /// <summary>Reads an INI inventory.</summary>
    public static AnsibleInventory OfIni(string text, string file, Findings findings)
    {
        var inventory = new AnsibleInventory();
        AnsibleIni.Read(text, file, inventory, findings);
        return inventory;
    }

    /// <summary>Reads a YAML inventory.</summary>
    public static AnsibleInventory OfYaml(string text, string file, Findings findings)
    {
        var inventory = new AnsibleInventory();
        AnsibleYaml.Read(text, file, inventory, findings);
        return inventory;
    }

    /// <summary>Whether a text is meant as a YAML inventory.</summary>
    public static bool IsYaml(string text, string file)
    {
        ArgumentNullException.ThrowIfNull(text);
        return file.EndsWith(".yml", StringComparison.OrdinalIgnoreCase)
            || file.EndsWith(".yaml", StringComparison.OrdinalIgnoreCase)
            || file.EndsWith(".json", StringComparison.OrdinalIgnoreCase)
            || text.TrimStart('\uFEFF').StartsWith("---", StringComparison.Ordinal);
    }

    /// <summary>The hosts of two groups; of usual names where none is given.</summary>
    /// <param name="members">The group, or groups, of the members; null to look for one.</param>
    /// <param name="proxies">The same of the proxies.</param>
    /// <param name="findings">Where to note what is wrong.</param>
    public InitSelection Select(string? members, string? proxies, Findings findings)
    {
        ArgumentNullException.ThrowIfNull(findings);
        var (memberNames, memberWhy) = Chosen(members, "members", s_members, findings);
        var (proxyNames, proxyWhy) = Chosen(proxies, "proxies", s_proxies, findings);
        var (of, behind) = (Machines(memberNames), Machines(proxyNames));
        ImmutableArray<InventoryHost> db = [.. of.Select((machine, number) => Host(machine, "db", number + 1, findings))];
        ImmutableArray<InventoryHost> lb = [.. behind.Select((machine, number) => Host(machine, "lb", number + 1, findings))];
        var left = _machines.Values.Except(of).Except(behind).Select(machine => machine.Name).ToList();
        var keys = db.Concat(lb).Select(host => host.IdentityFile).OfType<string>().Distinct().ToList();
        return new InitSelection(
            db,
            lb,
            [
                $"Members: {string.Join(", ", db.Select(host => host.Name))}; {memberWhy}.",
                $"Proxies: {string.Join(", ", lb.Select(host => host.Name))}; {proxyWhy}.",
                .. left.Count > 0 ? [$"Left: {left.Count} of other groups: {Few(left)}."] : ImmutableArray<string>.Empty,
                .. keys.Count > 1
                    ? [$"The hosts have {keys.Count} private keys ({string.Join(", ", keys)}); ssh.identity_file takes the first."]
                    : ImmutableArray<string>.Empty,
            ]
        );
    }

    internal bool Has(string group) => _groups.ContainsKey(group);

    internal void AddGroup(string name) => GroupOf(name);

    internal void AddChild(string group, string child)
    {
        GroupOf(group).Children.Add(child);
        GroupOf(child);
    }

    internal void AddHost(string group, string name, SourceLocation at)
    {
        if (!_machines.TryGetValue(name, out var machine))
        {
            _machines.Add(name, machine = new Machine(name, at));
        }

        if (!GroupOf(group).Machines.Contains(machine))
        {
            GroupOf(group).Machines.Add(machine);
        }
    }

    internal void SetOfHost(string name, string variable, string value) => _machines[name].Variables[variable] = value;

    internal void SetOfGroup(string group, string variable, string value) => GroupOf(group).Variables[variable] = value;

    private Group GroupOf(string name)
    {
        if (!_groups.TryGetValue(name, out var group))
        {
            _groups.Add(name, group = new Group());
        }

        return group;
    }

    private (ImmutableArray<string> Names, string Why) Chosen(string? given, string option, string[] usual, Findings findings)
    {
        if (given is not null)
        {
            ImmutableArray<string> names = [.. given.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)];
            foreach (var name in names.Where(name => !_groups.ContainsKey(name)))
            {
                findings.Unknown($"the inventory has no group '{name}'", null, name, Groups, "groups are");
            }

            return (names, $"--{option} {given}");
        }

        var found = usual.FirstOrDefault(name => Groups.Any(group => IsSame(group, name) && Machines([group]).Count > 0));
        if (found is not null)
        {
            var group = Groups.First(group => IsSame(group, found));
            return ([group], $"the group {group}, by its name (--{option} GROUP names another)");
        }

        // As the older playbooks have it.
        if (option == "members" && Has("master") && Has("replica"))
        {
            return (["master", "replica"], "the groups master and replica, by their names (--members GROUP names another)");
        }

        findings.Error(
            $"no group of the inventory has a usual name of {option}",
            null,
            $"groups are: {string.Join(", ", Groups)}",
            $"name it: --{option} GROUP"
        );
        return ([], "");

        static bool IsSame(string one, string other) => one.Replace('-', '_').Equals(other, StringComparison.OrdinalIgnoreCase);
    }

    // With those of the groups below, each once.
    private List<Machine> Machines(IEnumerable<string> groups)
    {
        var machines = new List<Machine>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var group in groups)
        {
            Walk(group);
        }

        return machines;

        void Walk(string name)
        {
            if (!seen.Add(name) || !_groups.TryGetValue(name, out var group))
            {
                return;
            }

            machines.AddRange(group.Machines.Where(machine => !machines.Contains(machine)));
            group.Children.ForEach(Walk);
            if (name == All)
            {
                machines.AddRange(_machines.Values.Where(machine => !machines.Contains(machine)));
            }
        }
    }

    private InventoryHost Host(Machine machine, string role, int number, Findings findings)
    {
        var target = Variable(machine, "ansible_host") ?? Variable(machine, "ansible_ssh_host") ?? machine.Name;
        var text = Variable(machine, "ansible_port") ?? Variable(machine, "ansible_ssh_port");
        var user = Variable(machine, "ansible_user") ?? Variable(machine, "ansible_ssh_user");
        int? port = null;
        if (text is not null)
        {
            if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var parsed) && parsed is > 0 and <= 65535)
            {
                port = parsed == 22 ? null : parsed;
            }
            else
            {
                findings.Error($"'{text}' is no port of {machine.Name}", machine.At, null, "correct ansible_port");
            }
        }

        if (target.Length == 0 || target.Any(letter => !char.IsAsciiLetterOrDigit(letter) && letter is not ('.' or '-' or '_' or ':')))
        {
            findings.Error(
                $"'{target}' is no name or address of {machine.Name}",
                machine.At,
                "kbr does not evaluate expressions",
                "write the value into ansible_host"
            );
            target = machine.Name;
        }

        // Where the inventory goes by addresses, a variable often has the name.
        var name = NetworkAddress.TryParse(machine.Name, out _) ? Variable(machine, "hostname") ?? machine.Name : machine.Name;
        return new InventoryHost(HostNames.Of(name, role, number), machine.At)
        {
            Port = port,
            User = user is null or "" or "root" ? null : user,
            IdentityFile = Variable(machine, "ansible_ssh_private_key_file") ?? Variable(machine, "ansible_private_key_file"),
        }.ReachedAt(target);
    }

    // The host's own, then of its groups, then of the groups above them.
    private string? Variable(Machine machine, string name)
    {
        if (machine.Variables.TryGetValue(name, out var own))
        {
            return own;
        }

        var seen = new HashSet<string>(StringComparer.Ordinal) { All };
        var level = _groups.Where(pair => pair.Key != All && pair.Value.Machines.Contains(machine)).Select(pair => pair.Key).ToList();
        while (level.Count > 0)
        {
            if (
                level.Select(group => _groups[group].Variables.GetValueOrDefault(name)).LastOrDefault(value => value is not null) is
                { } value
            )
            {
                return value;
            }

            seen.UnionWith(level);
            level =
            [
                .. _groups.Where(pair => !seen.Contains(pair.Key) && pair.Value.Children.Exists(level.Contains)).Select(pair => pair.Key),
            ];
        }

        return _groups[All].Variables.GetValueOrDefault(name);
    }

    private static string Few(List<string> names) =>
        string.Join(", ", names.Take(10)) + (names.Count > 10 ? $" and {names.Count - 10} more" : "");

    private sealed class Group
    {
        public List<Machine> Machines { get; } = [];

        public List<string> Children { get; } = [];

        public Dictionary<string, string> Variables { get; } = new(StringComparer.Ordinal);
    }

    private sealed class Machine(string name, SourceLocation at)
    {
        public string Name => name;

        public SourceLocation At => at;

        public Dictionary<string, string> Variables { get; } = new(StringComparer.Ordinal);
    }
}
