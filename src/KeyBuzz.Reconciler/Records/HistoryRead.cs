using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Records;

/// <summary>The history of a cluster on the host, with its owner and mode; at most twice as much as kbr lets it grow.</summary>
public sealed record HistoryRead(string Cluster) : Read<HistoryFile>
{
    private const int Largest = 2 * 1024 * 1024;

    /// <summary>Whether only its last line is read.</summary>
    public bool IsLastLine { get; init; }

    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<HistoryRead>(Render, Parse);

    // Links are not followed, and only regular files are opened.
    private static void Render(ProbeText script, IReadOnlyList<HistoryRead> reads)
    {
        foreach (var (number, read) in reads.Index())
        {
            var path = Script.Quote(HistoryScript.PathOf(read.Cluster));
            var content = read.IsLastLine
                ? $"tail -n 1 -- {path} 2>/dev/null | head -c {Largest}"
                : $"head -c {Largest} -- {path} 2>/dev/null";
            script
                .Append($"stat --printf '%F\\t%u\\t%a\\t%n\\n' -- {HistoryScript.Directory} {path} 2>/dev/null; end hi{number} $?\n")
                .Append($"if [ -f {path} ] && ! [ -L {path} ]; then {content}; fi; end hf{number} $?\n");
        }
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<HistoryRead> reads)
    {
        foreach (var (number, read) in reads.Index())
        {
            ImmutableArray<RecordPath> places =
            [
                .. answer
                    .Part($"hi{number}")
                    .Whole()
                    .Lines.Select(line => line.Split('\t', 4))
                    .Where(fields => fields.Length == 4)
                    .Select(fields => new RecordPath(
                        fields[3],
                        FileStat.KindOf(fields[0]),
                        ProbePart.Number(fields[1]),
                        fields[2].PadLeft(4, '0')
                    )),
            ];
            answer.Set(read, new HistoryFile(places, answer.Part($"hf{number}").Whole().Text));
        }
    }
}

/// <summary>The history of a host as it was found.</summary>
/// <param name="Places">Its directory and its file, as far as they exist.</param>
/// <param name="Text">Its content; empty for other than a regular file.</param>
public sealed record HistoryFile(ImmutableArray<RecordPath> Places, string Text)
{
    /// <summary>Why it may not be believed, or null when it may.</summary>
    public string? Refusal =>
        Places
            .Select(place => RecordsTrust.Refusal(place, place.Path == HistoryScript.Directory ? "directory" : "regular file"))
            .FirstOrDefault(refusal => refusal is not null);
}
