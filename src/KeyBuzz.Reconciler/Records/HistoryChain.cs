using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace KeyBuzz.Reconciler.Records;

/// <summary>The history of a host as it was read: each line has the hash of the line before it, so a line that was changed, added or
/// removed breaks the chain. Pure.</summary>
/// <param name="Entries">What it says, the oldest first.</param>
/// <param name="Dropped">How many older entries were dropped, because the file is bounded.</param>
/// <param name="Problems">Where the chain is broken, by line.</param>
public sealed record HistoryChain(ImmutableArray<HistoryEntry> Entries, long Dropped, ImmutableArray<(int Line, string What)> Problems)
{
    private const string Anchor = "anchor";

    /// <summary>The hash before the first line.</summary>
    public static readonly string Beginning = HashOf("");

    /// <summary>A line with an entry.</summary>
    /// <param name="entry">The entry.</param>
    /// <param name="previous">The hash of the line before it.</param>
    public static string Line(HistoryEntry entry, string previous)
    {
        ArgumentNullException.ThrowIfNull(entry);
        return $"{{\"previous\":\"{previous}\",{entry.Properties()}}}";
    }

    /// <summary>The line that begins a file whose older lines were dropped.</summary>
    /// <param name="dropped">How many entries were.</param>
    /// <param name="previous">The hash of the last of them.</param>
    public static string AnchorLine(long dropped, string previous) =>
        string.Create(CultureInfo.InvariantCulture, $"{{\"{Anchor}\":{{\"dropped\":{dropped},\"previous\":\"{previous}\"}}}}");

    /// <summary>The hash of a line.</summary>
    public static string HashOf(string line) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(line)));

    /// <summary>Reads and checks a file.</summary>
    public static HistoryChain Read(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var entries = ImmutableArray.CreateBuilder<HistoryEntry>();
        var problems = ImmutableArray.CreateBuilder<(int, string)>();
        var dropped = 0L;
        var expected = Beginning;
        var lines = text.Split('\n');
        foreach (var (index, line) in lines.Index().Where(one => one.Index < lines.Length - 1 || one.Item.Length > 0))
        {
            var number = index + 1;
            if (index == lines.Length - 1)
            {
                problems.Add((number, "is not whole"));
            }

            try
            {
                using var document = JsonDocument.Parse(line);
                var root = document.RootElement;
                if (number == 1 && root.TryGetProperty(Anchor, out var anchor))
                {
                    dropped = Math.Max(0, anchor.GetProperty("dropped").GetInt64());
                    expected = anchor.GetProperty("previous").GetString()!;
                    continue;
                }

                if (root.GetProperty("previous").GetString() != expected)
                {
                    problems.Add((number, "does not follow the line before it: a line was changed, added or removed"));
                }

                if (HistoryEntry.Read(root, out var problem) is { } entry)
                {
                    entries.Add(entry);
                }
                else
                {
                    problems.Add((number, problem));
                }
            }
            catch (Exception exception)
                when (exception is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
            {
                problems.Add((number, "is no entry that kbr writes"));
            }

            expected = HashOf(line);
        }

        return new HistoryChain(entries.ToImmutable(), dropped, problems.ToImmutable());
    }
}
