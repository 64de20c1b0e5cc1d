using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace KeyBuzz.Reconciler.Tests.Fuzz;

/// <summary>Changes a YAML file by its grammar: values become neighbours of their type; keys are dropped, doubled, renamed and moved; nodes
/// become anchors.</summary>
internal static class YamlMutation
{
    private static readonly string[] s_pieces =
    [
        "\t",
        "\r",
        "---\n",
        "...\n",
        "# x\n",
        "\uFEFF",
        "%YAML 1.1\n",
        "<<: *a\n",
        ": ",
        "- ",
        "{",
        "]",
        "\"",
        "'",
        "|",
        "&a ",
        "*a",
        "!!x ",
    ];

    public static string Of(Dice dice, string text)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(text));
        var root = stream.Documents[0].RootNode;
        for (var edits = 1 + dice.Below(3); edits > 0; edits--)
        {
            Edit(dice, root);
        }

        using var written = new StringWriter();
        try
        {
            stream.Save(written, assignAnchors: false);
        }
        catch (YamlException)
        {
            return text; // two anchors of one name are no file that could be written
        }

        var mutated = written.ToString().TrimEnd();
        mutated = mutated.EndsWith("...", StringComparison.Ordinal) ? mutated[..^3] : mutated + "\n";
        return !dice.OneIn(25) ? mutated
            : dice.OneIn(3) ? mutated.Replace("\n", "\r\n", StringComparison.Ordinal)
            : mutated.Insert(dice.Below(mutated.Length), dice.Any(s_pieces));
    }

    private static void Edit(Dice dice, YamlNode root)
    {
        var nodes = Within(root, 0).ToList();
        if (dice.OneIn(3))
        {
            Rewrite(dice, nodes);
            return;
        }

        if (!dice.OneIn(8))
        {
            // Most of a file is values; keys and structure stay.
            if (nodes.OfType<YamlScalarNode>().Where(scalar => !IsKey(nodes, scalar)).ToList() is { Count: > 0 } scalars)
            {
                var scalar = dice.Any(scalars);
                scalar.Value = Neighbours.Of(dice, scalar.Value ?? "");
            }

            return;
        }

        var maps = nodes.OfType<YamlMappingNode>().Where(map => map.Children.Count > 0).ToList();
        var lists = nodes.OfType<YamlSequenceNode>().Where(list => list.Children.Count > 0).ToList();
        var chosen = dice.Any(maps);
        var (key, value) = dice.Any(chosen.Children.ToList());
        switch (dice.Below(9))
        {
            case 0:
                chosen.Children.Remove(key);
                break;
            case 1:
                chosen.Children[new YamlScalarNode(key + dice.Any(["2", "s", "_", " "]))] = value;
                break;
            case 2:
                chosen.Children.Remove(key);
                dice.Any(maps).Children[key] = value;
                break;
            case 3:
                chosen.Children[key] = dice.Any(
                    nodes
                        .Where(node => !Within(node, 0).Contains(chosen, ReferenceEqualityComparer.Instance))
                        .DefaultIfEmpty(new YamlScalarNode("x"))
                        .ToList()
                );
                break;
            case 4 when lists.Count > 0:
                var list = dice.Any(lists);
                list.Children.Add(dice.Any(list.Children.ToList()));
                break;
            case 5 when lists.Count > 0:
                var shorter = dice.Any(lists);
                shorter.Children.RemoveAt(dice.Below(shorter.Children.Count));
                break;
            case 6:
                chosen.Children[key] = dice.Any(
                    new YamlNode[]
                    {
                        new YamlSequenceNode(),
                        new YamlMappingNode(),
                        new YamlSequenceNode(value),
                        new YamlScalarNode(""),
                        new YamlScalarNode("null"),
                    }
                );
                break;
            case 7:
                // The same node at two places: an anchor, and an alias to it.
                value.Anchor = new AnchorName("a" + dice.Below(1000));
                break;
            default:
                chosen.Children[new YamlScalarNode(Neighbours.Far(dice, key.ToString()))] = value;
                break;
        }
    }

    // The same file in another writing: keys in another order, other quotes, flow for block.
    private static void Rewrite(Dice dice, List<YamlNode> nodes)
    {
        switch (dice.Any(nodes))
        {
            case YamlMappingNode map:
                foreach (var pair in map.Children.ToList().OrderBy(_ => dice.Below(1000)))
                {
                    map.Children.Remove(pair.Key);
                    map.Children[pair.Key] = pair.Value;
                }

                map.Style = dice.OneIn(2) ? YamlDotNet.Core.Events.MappingStyle.Flow : YamlDotNet.Core.Events.MappingStyle.Block;
                break;
            case YamlSequenceNode list:
                list.Style = dice.OneIn(2) ? YamlDotNet.Core.Events.SequenceStyle.Flow : YamlDotNet.Core.Events.SequenceStyle.Block;
                break;
            case YamlScalarNode { Value: { Length: > 0 } text } scalar
                when !IsKey(nodes, scalar)
                    && !char.IsAsciiDigit(text[0])
                    && text is not ("true" or "false" or "on" or "off" or "null" or "~"):
                scalar.Style = dice.OneIn(2) ? ScalarStyle.DoubleQuoted : ScalarStyle.SingleQuoted;
                break;
        }
    }

    private static bool IsKey(List<YamlNode> nodes, YamlScalarNode scalar) =>
        nodes.OfType<YamlMappingNode>().Any(map => map.Children.Keys.Any(key => ReferenceEquals(key, scalar)));

    private static IEnumerable<YamlNode> Within(YamlNode node, int depth) =>
        depth > 40
            ? []
            : node switch
            {
                YamlMappingNode map => map
                    .Children.SelectMany(pair => new[] { pair.Key }.Concat(Within(pair.Value, depth + 1)))
                    .Prepend(map),
                YamlSequenceNode list => list.Children.SelectMany(item => Within(item, depth + 1)).Prepend(list),
                _ => [node],
            };
}
