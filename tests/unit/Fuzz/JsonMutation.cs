using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KeyBuzz.Reconciler.Tests.Fuzz;

/// <summary>Changes a JSON document by its grammar, as <see cref="YamlMutation"/> does a YAML file.</summary>
internal static class JsonMutation
{
    public static string Of(Dice dice, string text)
    {
        if (JsonNode.Parse(text) is not { } root)
        {
            return text;
        }

        for (var edits = 1 + dice.Below(2); edits > 0; edits--)
        {
            Edit(dice, root);
        }

        var mutated = root.ToJsonString();
        return !dice.OneIn(25) ? mutated
            : dice.OneIn(3) ? mutated[..dice.Below(mutated.Length)]
            : dice.OneIn(2) ? DoubleKey(dice, mutated)
            : mutated.Insert(dice.Below(mutated.Length), dice.Any(["\"", ",", "{", "]", "\\", "\u0000", "é", " "]));
    }

    // No tree holds a key twice, and a file may.
    private static string DoubleKey(Dice dice, string text)
    {
        var from = dice.Below(text.Length);
        var at = text.IndexOf("{\"", from, StringComparison.Ordinal);
        var end = at < 0 ? -1 : text.IndexOf('"', at + 2);
        return end < 0 ? text : text.Insert(at + 1, $"{text[(at + 1)..(end + 1)]}:\"x\",");
    }

    private static void Edit(Dice dice, JsonNode root)
    {
        var parents = Within(root, 0).Where(node => node is JsonObject { Count: > 0 } or JsonArray { Count: > 0 }).ToList();
        if (parents.Count == 0)
        {
            return;
        }

        switch (dice.Any(parents))
        {
            case JsonObject map:
                var key = dice.Any(map.Select(pair => pair.Key).ToList());
                switch (dice.Below(40))
                {
                    case 0:
                        map.Remove(key);
                        break;
                    case 1:
                        map[key + dice.Any(["2", "s", "\U0001F600"])] = map[key]?.DeepClone();
                        break;
                    case 2:
                        map[key] = Other(dice);
                        break;
                    default:
                        map[key] = Near(dice, map[key]);
                        break;
                }

                break;
            case JsonArray list:
                var index = dice.Below(list.Count);
                switch (dice.Below(24))
                {
                    case 0:
                        list.RemoveAt(index);
                        break;
                    case 1:
                        list.Add(list[index]?.DeepClone());
                        break;
                    case 2:
                        list[index] = Other(dice);
                        break;
                    default:
                        list[index] = Near(dice, list[index]);
                        break;
                }

                break;
        }
    }

    private static JsonNode? Near(Dice dice, JsonNode? node) =>
        node?.GetValueKind() switch
        {
            JsonValueKind.String => Neighbours.Of(dice, node.GetValue<string>()),
            JsonValueKind.True => !dice.OneIn(3),
            JsonValueKind.False => dice.OneIn(3),
            JsonValueKind.Number => Number(dice, node.ToJsonString()),
            _ => node?.DeepClone(),
        };

    private static JsonNode Number(Dice dice, string text)
    {
        var near = dice.OneIn(6)
            ? dice.Any(["0", "-1", "1.5", "1e300", "9223372036854775808", "18446744073709551616", "-0", "2147483648"])
            : Neighbours.Near(dice, text);
        return long.TryParse(near, CultureInfo.InvariantCulture, out var whole) ? JsonValue.Create(whole) : JsonNode.Parse(near)!;
    }

    private static JsonNode? Other(Dice dice) =>
        dice.Below(7) switch
        {
            0 => null,
            1 => new JsonObject(),
            2 => new JsonArray(),
            3 => "x",
            4 => 0,
            5 => true,
            _ => new JsonArray(null, 1, "a", new JsonObject { ["a"] = null }),
        };

    private static IEnumerable<JsonNode> Within(JsonNode? node, int depth) =>
        (node, depth) switch
        {
            (null, _) or (_, > 40) => [],
            (JsonObject map, _) => map.SelectMany(pair => Within(pair.Value, depth + 1)).Prepend(map),
            (JsonArray list, _) => list.SelectMany(item => Within(item, depth + 1)).Prepend(list),
            _ => [node],
        };
}
