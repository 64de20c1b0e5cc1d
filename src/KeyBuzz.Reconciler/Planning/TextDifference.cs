using System.Collections.Immutable;
using System.Text.RegularExpressions;
using DiffPlex;
using DiffPlex.Chunkers;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>A unified diff of two texts, by lines, that never shows a secret: what the desired text marks as secret is masked by its
/// position; on the other side a line that pairs with such a line is masked the same way where its other characters agree. Any other line
/// of the other side is hidden unless it is recognised as harmless: text on a host may have an old or foreign secret.</summary>
public static class TextDifference
{
    private static readonly Regex s_firstWord = new("""(?<=^\s*)[^\s:="'][^\s:=]*""");
    private static readonly Regex s_hash = new(
        @"SCRAM-SHA-256\$|\bmd5[0-9a-f]{32}\b",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant
    );
    private static readonly Regex s_aboutSecrets = new(
        "pass|secret|token|key|auth|credential|scram|md5",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant
    );

    private const int ContextLines = 3;
    private const string HiddenLine = "(secret line differs)";

    /// <summary>The lines of the diff, each with its leading <c>' '</c>, <c>-</c> or <c>+</c>, under <c>@@</c> headers.</summary>
    /// <param name="before">The text on the host; null for none.</param>
    /// <param name="after">The desired text; null for none.</param>
    public static IReadOnlyList<string> Lines(AttributeValue? before, AttributeValue? after) =>
        (before, after) switch
        {
            (null, null) => [],
            (null, { } made) => Whole('+', made),
            ({ } gone, null) => Whole('-', gone),
            ({ } host, { } stated) => Compare(host, stated),
        };

    private static string[] Whole(char sign, AttributeValue value)
    {
        var lines = Split(value);
        return [.. lines.Take(lines[^1].Text.Length == 0 ? lines.Length - 1 : lines.Length).Select(line => sign + line.Masked)];
    }

    // Only the stated text knows its secrets, so the host's is masked by it.
    private static List<string> Compare(AttributeValue host, AttributeValue stated)
    {
        var secret = stated.Secret ?? host.Secret;
        var newLines = Split(stated);
        var oldLines = Split(host);
        var blocks = Differ
            .Instance.CreateDiffs(host.Value, stated.Value, ignoreWhiteSpace: false, ignoreCase: false, LineChunker.Instance)
            .DiffBlocks;
        // After the last line break there is no line.
        var after = oldLines[^1].Text.Length + newLines[^1].Text.Length == 0 ? 1 : 0;
        var lines = new List<string>();
        var index = 0;
        while (index < blocks.Count)
        {
            // Blocks closer than two contexts share a hunk.
            var last = index;
            while (
                last + 1 < blocks.Count
                && blocks[last + 1].DeleteStartA - (blocks[last].DeleteStartA + blocks[last].DeleteCountA) <= 2 * ContextLines
            )
            {
                last++;
            }

            var startOld = Math.Max(0, blocks[index].DeleteStartA - ContextLines);
            var startNew = Math.Max(0, blocks[index].InsertStartB - ContextLines);
            var (changedOld, changedNew) = (
                blocks[last].DeleteStartA + blocks[last].DeleteCountA,
                blocks[last].InsertStartB + blocks[last].InsertCountB
            );
            var endOld = Math.Max(changedOld, Math.Min(oldLines.Length - after, changedOld + ContextLines));
            var endNew = Math.Max(changedNew, Math.Min(newLines.Length - after, changedNew + ContextLines));
            var (onHost, asStated) = ($"{startOld + 1},{endOld - startOld}", $"{startNew + 1},{endNew - startNew}");
            lines.Add($"@@ -{onHost} +{asStated} @@");
            var at = startNew;
            for (; index <= last; index++)
            {
                var block = blocks[index];
                for (; at < block.InsertStartB; at++)
                {
                    lines.Add(" " + newLines[at].Masked);
                }

                var wanted = newLines.AsSpan().Slice(block.InsertStartB, block.InsertCountB);
                for (var old = block.DeleteStartA; old < block.DeleteStartA + block.DeleteCountA; old++)
                {
                    lines.Add("-" + MaskOld(oldLines[old], wanted, secret));
                }

                foreach (var line in wanted)
                {
                    lines.Add("+" + line.Masked);
                }

                at = block.InsertStartB + block.InsertCountB;
            }

            for (; at < endNew; at++)
            {
                lines.Add(" " + newLines[at].Masked);
            }
        }

        return lines;
    }

    private static ImmutableArray<Line> Split(AttributeValue value) => Split(value.Secret ?? SecretText.Plain(value.Value));

    private static string MaskOld(Line old, ReadOnlySpan<Line> wanted, SecretText? secret)
    {
        if (secret is null)
        {
            return old.Masked;
        }

        var beside = false;
        foreach (var line in wanted)
        {
            if (line.HasSecret)
            {
                beside = true;
                if (
                    line.Prefix.Length + line.Suffix.Length > 0
                    && old.Text.Length >= line.Prefix.Length + line.Suffix.Length
                    && old.Text.StartsWith(line.Prefix, StringComparison.Ordinal)
                    && old.Text.EndsWith(line.Suffix, StringComparison.Ordinal)
                )
                {
                    return line.Prefix + SecretText.Mask + line.Suffix;
                }
            }
        }

        return beside || IsAllSecret(secret) || !IsHarmless(old.Text, secret) ? HiddenLine : old.Text;
    }

    // A file such as a private key: another one may lie beside it, and a line of it looks like nothing.
    private static bool IsAllSecret(SecretText desired) =>
        Split(desired).Where(line => line.Text.Trim().Length > 0).All(line => line.HasSecret);

    // Harmless is a line that holds no secret of now, begins with a word that no secret line begins with, and says nothing of passwords,
    // unless it begins with a word that lines without a secret begin with. A line that begins with no plain word, such as the "name"
    // "password" of a user list, tells nothing and is hidden.
    private static bool IsHarmless(string line, SecretText desired)
    {
        if (line.Trim().Length == 0)
        {
            return true;
        }

        var word = s_firstWord.Match(line).Value;
        var secretWords = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        var plainWords = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var one in Split(desired))
        {
            (one.HasSecret ? secretWords : plainWords).Add(s_firstWord.Match(one.Text).Value);
        }

        return word.Length > 0
            && !secretWords.Contains(word)
            && !desired.Parts.Any(part => part.IsSecret && part.Value.Length > 0 && line.Contains(part.Value, StringComparison.Ordinal))
            && (plainWords.Contains(word) ? !s_hash.IsMatch(line) : !s_aboutSecrets.IsMatch(line));
    }

    // Up to where a value may begin. A quotation mark begins no plain word.
    // Cuts the parts at line ends, keeping apart what is secret in each line.
    private static ImmutableArray<Line> Split(SecretText text)
    {
        var lines = ImmutableArray.CreateBuilder<Line>();
        var parts = new List<SecretText.Part>();
        foreach (var part in text.Parts)
        {
            var pieces = part.Value.Replace("\r\n", "\n", StringComparison.Ordinal).Split('\n');
            for (var i = 0; i < pieces.Length; i++)
            {
                if (i > 0)
                {
                    lines.Add(new Line([.. parts]));
                    parts.Clear();
                }

                if (pieces[i].Length > 0)
                {
                    parts.Add(new SecretText.Part(pieces[i], part.IsSecret));
                }
            }
        }

        lines.Add(new Line([.. parts]));
        return lines.ToImmutable();
    }

    private sealed record Line(ImmutableArray<SecretText.Part> Parts)
    {
        public bool HasSecret { get; } = Parts.Any(part => part.IsSecret);

        public string Text { get; } = string.Concat(Parts.Select(part => part.Value));

        public string Masked { get; } = string.Concat(Parts.Select(part => part.IsSecret ? SecretText.Mask : part.Value));

        public string Prefix { get; } = string.Concat(Parts.TakeWhile(part => !part.IsSecret).Select(part => part.Value));

        public string Suffix { get; } =
            string.Concat(Parts.Reverse().TakeWhile(part => !part.IsSecret).Reverse().Select(part => part.Value));
    }
}
