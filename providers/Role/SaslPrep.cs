using System.Buffers;
using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.Providers.Role;

/// <summary>SASLprep (RFC 4013) as PostgreSQL does it: a string that cannot be prepared is used unchanged, byte for byte. It brings its own
/// tables (made by saslprep-tables.py), because without ICU .NET normalises nothing. Npgsql leaves that to .NET, so it gets passwords that
/// are prepared.</summary>
public static class SaslPrep
{
    private const int HangulFirst = 0xAC00;
    private const int HangulLast = 0xD7A3;
    private const int LeadFirst = 0x1100;
    private const int VowelFirst = 0x1161;
    private const int TrailBefore = 0x11A7;
    private const int LeadCount = 19;
    private const int VowelCount = 21;
    private const int TrailCount = 28;

    private static readonly Lazy<Tables> s_tables = new(Tables.Load);

    /// <summary>The password as it is hashed, and as Npgsql must get it. Prepared again it stays the same.</summary>
    public static string Prepare(string password)
    {
        ArgumentNullException.ThrowIfNull(password);
        // PostgreSQL leaves ASCII alone, control characters included.
        if (Ascii.IsValid(password) || !TryDecode(password, out var characters))
        {
            return password;
        }

        var tables = s_tables.Value;
        int[] mapped =
        [
            .. characters.Select(code => tables.Space.Contains(code) ? ' ' : code).Where(code => !tables.Nothing.Contains(code)),
        ];
        return
            mapped.Length == 0
            || mapped.Any(code => tables.Prohibited.Contains(code) || tables.Unassigned.Contains(code))
            || BreaksBidi(mapped, tables)
            ? password
            : Encode(Normalize(mapped, tables));
    }

    private static bool TryDecode(string text, out List<int> characters)
    {
        characters = [];
        for (var rest = text.AsSpan(); !rest.IsEmpty; )
        {
            if (Rune.DecodeFromUtf16(rest, out var rune, out var length) != OperationStatus.Done)
            {
                return false;
            }

            characters.Add(rune.Value);
            rest = rest[length..];
        }

        return true;
    }

    private static string Encode(IEnumerable<int> characters) => string.Concat(characters.Select(char.ConvertFromUtf32));

    // RFC 3454, section 6: right-to-left text has no left-to-right character, and starts and ends right-to-left.
    private static bool BreaksBidi(int[] text, Tables tables) =>
        text.Any(tables.RightToLeft.Contains)
        && (text.Any(tables.LeftToRight.Contains) || !tables.RightToLeft.Contains(text[0]) || !tables.RightToLeft.Contains(text[^1]));

    // Normalisation form KC (Unicode Standard Annex 15).
    private static List<int> Normalize(int[] text, Tables tables)
    {
        var decomposed = text.SelectMany(code => Decompose(code, tables)).ToList();
        for (var start = 0; start < decomposed.Count; start++)
        {
            // A run of combining marks is sorted by class; marks of one class keep their order.
            var end = start;
            while (end < decomposed.Count && tables.Class(decomposed[end]) > 0)
            {
                end++;
            }

            if (end > start + 1)
            {
                var sorted = decomposed[start..end].OrderBy(tables.Class).ToList();
                for (var i = 0; i < sorted.Count; i++)
                {
                    decomposed[start + i] = sorted[i];
                }
            }

            start = end;
        }

        return Compose(decomposed, tables);
    }

    private static IEnumerable<int> Decompose(int code, Tables tables)
    {
        if (code is < HangulFirst or > HangulLast)
        {
            return tables.Decompositions.TryGetValue(code, out var parts) ? parts : [code];
        }

        var index = code - HangulFirst;
        int[] letters =
        [
            LeadFirst + (index / (VowelCount * TrailCount)),
            VowelFirst + (index / TrailCount % VowelCount),
            TrailBefore + (index % TrailCount),
        ];
        return letters.Where(letter => letter != TrailBefore);
    }

    private static List<int> Compose(List<int> text, Tables tables)
    {
        List<int> composed = [];
        var starter = -1;
        var last = -1;
        foreach (var code in text)
        {
            var rank = tables.Class(code);
            if (starter >= 0 && last < rank && Pair(composed[starter], code, tables) is { } pair)
            {
                composed[starter] = pair;
                continue;
            }

            if (rank == 0)
            {
                starter = composed.Count;
            }

            // A mark that stayed blocks later ones of its class or below; -1 stands for nothing in between.
            last = rank == 0 ? -1 : rank;
            composed.Add(code);
        }

        return composed;
    }

    private static int? Pair(int first, int second, Tables tables)
    {
        if (first is >= LeadFirst and < LeadFirst + LeadCount && second is >= VowelFirst and < VowelFirst + VowelCount)
        {
            return HangulFirst + ((((first - LeadFirst) * VowelCount) + second - VowelFirst) * TrailCount);
        }

        if (
            first is >= HangulFirst and <= HangulLast
            && (first - HangulFirst) % TrailCount == 0
            && second is > TrailBefore and < TrailBefore + TrailCount
        )
        {
            return first + second - TrailBefore;
        }

        return tables.Compositions.TryGetValue((first, second), out var pair) ? pair : null;
    }

    private sealed record Tables(
        CodeRanges Unassigned,
        CodeRanges Prohibited,
        CodeRanges Space,
        CodeRanges Nothing,
        CodeRanges RightToLeft,
        CodeRanges LeftToRight,
        Dictionary<int, int> Classes,
        Dictionary<int, int[]> Decompositions,
        Dictionary<(int First, int Second), int> Compositions
    )
    {
        public int Class(int code) => Classes.GetValueOrDefault(code);

        public static Tables Load()
        {
            using var reader = EmbeddedTable.Open("saslprep-tables.txt");
            Dictionary<string, string[]> sections = new(StringComparer.Ordinal);
            while (reader.ReadLine() is { } name)
            {
                sections[name] = reader.ReadLine()!.Split(' ');
            }

            return new Tables(
                CodeRanges.Parse(sections["unassigned"]),
                CodeRanges.Parse(sections["prohibited"]),
                CodeRanges.Parse(sections["space"]),
                CodeRanges.Parse(sections["nothing"]),
                CodeRanges.Parse(sections["right_to_left"]),
                CodeRanges.Parse(sections["left_to_right"]),
                Entries(sections["classes"])
                    .SelectMany(entry =>
                        CodeRanges
                            .Parse([entry.Key])
                            .All.Select(code => (Code: code, Class: int.Parse(entry.Value, CultureInfo.InvariantCulture)))
                    )
                    .ToDictionary(entry => entry.Code, entry => entry.Class),
                Entries(sections["decompositions"])
                    .ToDictionary(entry => CodeRanges.Hex(entry.Key), entry => entry.Value.Split(',').Select(CodeRanges.Hex).ToArray()),
                Entries(sections["compositions"])
                    .ToDictionary(
                        entry => (CodeRanges.Hex(entry.Key.Split(',')[0]), CodeRanges.Hex(entry.Key.Split(',')[1])),
                        entry => CodeRanges.Hex(entry.Value)
                    )
            );
        }

        private static IEnumerable<(string Key, string Value)> Entries(string[] words) =>
            words.Select(word =>
                (word[..word.IndexOf(':', StringComparison.Ordinal)], word[(word.IndexOf(':', StringComparison.Ordinal) + 1)..])
            );
    }

    private sealed class CodeRanges(int[] firsts, int[] lasts)
    {
        public IEnumerable<int> All => firsts.SelectMany((first, i) => Enumerable.Range(first, lasts[i] - first + 1));

        public static CodeRanges Parse(string[] words)
        {
            var bounds = words.Select(word => word.Split('-')).ToList();
            return new CodeRanges([.. bounds.Select(pair => Hex(pair[0]))], [.. bounds.Select(pair => Hex(pair[^1]))]);
        }

        public static int Hex(string digits) => int.Parse(digits, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

        public bool Contains(int code)
        {
            var at = Array.BinarySearch(firsts, code);
            return at >= 0 || (~at > 0 && code <= lasts[~at - 1]);
        }
    }
}
