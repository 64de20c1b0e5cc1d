using System.Text;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.PostgresHa.Init;

/// <summary>Reads an INI inventory of Ansible's. A line may hold a password, so none is shown.</summary>
internal static class AnsibleIni
{
    private enum Part
    {
        Hosts,
        Children,
        Variables,
    }

    public static void Read(string text, string file, AnsibleInventory inventory, Findings findings)
    {
        var (group, part) = ("ungrouped", Part.Hosts);
        var children = new List<(string Name, SourceLocation At)>();
        foreach (var (line, index) in text.TrimStart('\uFEFF').Split('\n').Select((line, index) => (line.Trim(), index)))
        {
            var at = new SourceLocation(file, index + 1, 1, "");
            switch (line)
            {
                case "" or ['#', ..] or [';', ..]:
                    break;
                case ['[', ..]:
                    if (Section(line) is not var (name, kind))
                    {
                        findings.Error("this line is not the head of a group", at, null, "write [GROUP], [GROUP:children] or [GROUP:vars]");
                        break;
                    }

                    (group, part) = (name, kind);
                    if (part != Part.Variables)
                    {
                        inventory.AddGroup(group);
                    }

                    break;
                default:
                    switch (part)
                    {
                        case Part.Children:
                            var child = Words(line, findings, at).FirstOrDefault() ?? "";
                            inventory.AddChild(group, child);
                            children.Add((child, at));
                            break;
                        case Part.Variables when line.IndexOf('=', StringComparison.Ordinal) is > 0 and var equals:
                            var value = line[(equals + 1)..].Trim();
                            inventory.SetOfGroup(group, line[..equals].Trim(), Unquoted(value));
                            break;
                        case Part.Variables:
                            findings.Error("this line is not a variable", at, null, "write NAME=VALUE");
                            break;
                        default:
                            Host(line, group, at, inventory, findings);
                            break;
                    }

                    break;
            }
        }

        var declared = text.Split('\n')
            .Select(line => Section(line.Trim()))
            .Where(head => head is not null)
            .Select(head => head!.Value.Name);
        foreach (var (name, at) in children.Where(child => !declared.Contains(child.Name)))
        {
            findings.Unknown($"the group '{name}' is not in the inventory", at, name, inventory.Groups.Except([name]), "groups are");
        }
    }

    private static void Host(string line, string group, SourceLocation at, AnsibleInventory inventory, Findings findings)
    {
        var words = Words(line, findings, at);
        if (words.Count == 0)
        {
            return;
        }

        // host:2222 is an old way to write the port.
        var (pattern, port) = (words[0], (string?)null);
        var colon = pattern.LastIndexOf(':');
        if (colon > pattern.LastIndexOf(']') && pattern.IndexOf(':', StringComparison.Ordinal) == colon && !pattern.StartsWith('['))
        {
            (pattern, port) = (pattern[..colon], pattern[(colon + 1)..]);
        }

        if (HostNames.Expand(pattern) is not { } names)
        {
            findings.Error("the range of hosts cannot be read", at, null, "write it as in db[01:03] or db-[a:c], of 1000 hosts at most");
            return;
        }

        foreach (var name in names)
        {
            inventory.AddHost(group, name, at);
            if (port is not null)
            {
                inventory.SetOfHost(name, "ansible_port", port);
            }

            foreach (var word in words.Skip(1))
            {
                if (word.IndexOf('=', StringComparison.Ordinal) is > 0 and var equals)
                {
                    inventory.SetOfHost(name, word[..equals], word[(equals + 1)..]);
                }
                else
                {
                    findings.Error(
                        $"a word after the host {words[0]} is no variable",
                        at,
                        null,
                        "write NAME=VALUE, with no spaces around '='"
                    );
                }
            }
        }
    }

    private static (string Name, Part Part)? Section(string line)
    {
        var comment = line.IndexOf(" #", StringComparison.Ordinal);
        var head = (comment < 0 ? line : line[..comment]).TrimEnd();
        if (head is not ['[', .. var inner, ']'] || inner.Length == 0)
        {
            return null;
        }

        var parts = inner.Split(':');
        return parts switch
        {
            [var name] => (name.Trim(), Part.Hosts),
            [var name, "children"] => (name.Trim(), Part.Children),
            [var name, "vars"] => (name.Trim(), Part.Variables),
            _ => null,
        };
    }

    // As a shell takes a line apart: quotes of both kinds, and a comment after a space.
    private static List<string> Words(string line, Findings findings, SourceLocation at)
    {
        var words = new List<string>();
        var word = new StringBuilder();
        var (quote, isWord) = ('\0', false);
        foreach (var letter in line)
        {
            if (quote != '\0')
            {
                if (letter == quote)
                {
                    quote = '\0';
                }
                else
                {
                    word.Append(letter);
                }
            }
            else if (letter is '\'' or '"')
            {
                (quote, isWord) = (letter, true);
            }
            else if (letter == '#' && !isWord)
            {
                break;
            }
            else if (char.IsWhiteSpace(letter))
            {
                Take();
            }
            else
            {
                word.Append(letter);
                isWord = true;
            }
        }

        Take();
        if (quote != '\0')
        {
            findings.Error($"the quote {quote} is not closed", at);
        }

        return words;

        void Take()
        {
            if (isWord)
            {
                words.Add(word.ToString());
            }

            word.Clear();
            isWord = false;
        }
    }

    private static string Unquoted(string value)
    {
        if (value.Length > 1 && value[0] is '\'' or '"' && value.IndexOf(value[0], 1) is > 0 and var end)
        {
            return value[1..end];
        }

        var comment = value.IndexOf(" #", StringComparison.Ordinal);
        return comment < 0 ? value : value[..comment].TrimEnd();
    }
}
