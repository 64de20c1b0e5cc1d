namespace KeyBuzz.Reconciler.Tests.Fuzz;

/// <summary>Changes a text of lines: a word becomes a neighbour; lines are dropped, doubled, swapped and broken off.</summary>
internal static class LineMutation
{
    public static string Of(Dice dice, string text, char separator)
    {
        var lines = text.Split('\n').ToList();
        for (var edits = 1 + dice.Below(2); edits > 0; edits--)
        {
            var at = dice.Below(lines.Count);
            switch (dice.Below(14))
            {
                case 0 when lines.Count > 1:
                    lines.RemoveAt(at);
                    break;
                case 1:
                    lines.Insert(at, lines[at]);
                    break;
                case 2:
                    var other = dice.Below(lines.Count);
                    (lines[at], lines[other]) = (lines[other], lines[at]);
                    break;
                case 3:
                    lines.Insert(at, dice.Any(["", "#", "# é", " ", "\t", separator.ToString()]));
                    break;
                case 4 when dice.OneIn(3):
                    lines[at] = lines[at][..dice.Below(lines[at].Length + 1)];
                    break;
                case 5 when dice.OneIn(3):
                    lines[at] += "\r";
                    break;
                default:
                    var words = lines[at].Split(separator);
                    var word = dice.Below(words.Length);
                    words[word] = Neighbours.Of(dice, words[word]);
                    lines[at] = string.Join(separator, words);
                    break;
            }
        }

        return string.Join('\n', lines);
    }
}
