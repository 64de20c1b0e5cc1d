using KeyBuzz.Reconciler.Configuration;

namespace KeyBuzz.Reconciler.PostgresHa.Init;

/// <summary>Reads a YAML inventory of Ansible's. A line may hold a password, so none is shown.</summary>
internal static class AnsibleYaml
{
    public static void Read(string text, string file, AnsibleInventory inventory, Findings findings)
    {
        if (string.IsNullOrWhiteSpace(text))
        {
            findings.Error($"{file} is empty", null);
            return;
        }

        var root = YamlDocument.Parse(SourceText.Of(text.TrimStart('\uFEFF'), file, hidden: true), findings);
        if (root is not YamlMapping map)
        {
            findings.Error($"{file} must be a map of groups", root.At);
            return;
        }

        if (map.Find("_meta") is { } meta)
        {
            findings.Error(
                "this is the output of a dynamic inventory",
                meta.At,
                null,
                "pass the output of: ansible-inventory --list --yaml"
            );
            return;
        }

        foreach (var (key, value) in map.Entries)
        {
            Group(key.Value, value, inventory, findings);
        }
    }

    private static void Group(string name, YamlNode node, AnsibleInventory inventory, Findings findings)
    {
        inventory.AddGroup(name);
        if (Map(node, $"the group '{name}'", findings) is not { } group)
        {
            return;
        }

        foreach (var (key, value) in group.Entries)
        {
            switch (key.Value)
            {
                case "hosts":
                    foreach (var (host, variables) in Map(value, $"'hosts' of '{name}'", findings)?.Entries ?? [])
                    {
                        Hosts(host, variables, name, inventory, findings);
                    }

                    break;
                case "vars":
                    foreach (var (variable, scalar) in Map(value, $"'vars' of '{name}'", findings)?.Entries ?? [])
                    {
                        if (scalar is YamlScalar { IsNull: false } word)
                        {
                            inventory.SetOfGroup(name, variable.Value, word.Value);
                        }
                    }

                    break;
                case "children":
                    foreach (var (child, inner) in Map(value, $"'children' of '{name}'", findings)?.Entries ?? [])
                    {
                        inventory.AddChild(name, child.Value);
                        Group(child.Value, inner, inventory, findings);
                    }

                    break;
                default:
                    findings.Error($"the group '{name}' has the key '{key.Value}'", key.At, "a group has hosts, vars and children");
                    break;
            }
        }
    }

    private static void Hosts(YamlScalar host, YamlNode variables, string group, AnsibleInventory inventory, Findings findings)
    {
        if (HostNames.Expand(host.Value) is not { } names)
        {
            findings.Error(
                "the range of hosts cannot be read",
                host.At,
                null,
                "write it as in db[01:03] or db-[a:c], of 1000 hosts at most"
            );
            return;
        }

        var map = Map(variables, "the variables of a host", findings);
        foreach (var name in names)
        {
            inventory.AddHost(group, name, host.At);
            foreach (var (variable, value) in map?.Entries ?? [])
            {
                if (value is YamlScalar { IsNull: false } word)
                {
                    inventory.SetOfHost(name, variable.Value, word.Value);
                }
            }
        }
    }

    // Nothing at all is an empty map.
    private static YamlMapping? Map(YamlNode node, string what, Findings findings)
    {
        if (node is YamlMapping map)
        {
            return map;
        }

        if (node is not YamlScalar { IsNull: true })
        {
            findings.Error($"{what} must be a map", node.At);
        }

        return null;
    }
}
