using System.Collections.Immutable;
using System.Text;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Records;

/// <summary>kbr's records on the host, with their owners and modes.</summary>
public sealed record RecordsRead(string Cluster) : Read<RecordsFolder>
{
    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<RecordsRead>(Render, Parse);

    // Other than regular files are named and not opened: a link leads elsewhere, a pipe never ends. head writes each file's name above it.
    // A killed apply may still be removing records: what is gone when all were read is named at the end.
    private static void Render(ProbeText script, IReadOnlyList<RecordsRead> reads)
    {
        foreach (var (number, read) in reads.Index())
        {
            var directory = Script.Quote(RecordScript.Directory(read.Cluster));
            script
                .Append($"set -- {directory}/*.json; [ -e \"$1\" ] || [ -L \"$1\" ] || shift\n")
                .Append(
                    $"stat --printf '%F\\t%u\\t%a\\t%n\\n' -- /var/lib/kbr {Script.Quote($"/var/lib/kbr/{read.Cluster}")} "
                        + $"{directory} \"$@\" 2>/dev/null; end r{number} $?\n"
                )
                .Append("for f do shift; if [ -f \"$f\" ] && ! [ -L \"$f\" ]; then set -- \"$@\" \"$f\"; fi; done\n")
                .Append($"if [ $# -gt 0 ]; then head -v -c {FileRead.LargestFile} -- \"$@\" 2>/dev/null; fi; end rf{number} $?\n")
                .Append($"for f do [ -e \"$f\" ] || printf '%s\\n' \"$f\"; done; end rg{number} 0\n");
        }
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<RecordsRead> reads)
    {
        foreach (var (number, read) in reads.Index())
        {
            answer.Set(
                read,
                FolderOf(
                    RecordScript.Directory(read.Cluster),
                    answer.Part($"r{number}").Whole(),
                    answer.Part($"rf{number}").Whole(),
                    answer.Part($"rg{number}")
                )
            );
        }
    }

    private static RecordsFolder FolderOf(string directory, ProbePart found, ProbePart content, ProbePart gone)
    {
        var paths = found
            .Lines.Select(line => line.Split('\t', 4))
            .Where(fields => fields.Length == 4)
            .Select(fields => new RecordPath(fields[3], FileStat.KindOf(fields[0]), ProbePart.Number(fields[1]), fields[2].PadLeft(4, '0')))
            .ToList();
        var texts = Texts([.. paths.Where(path => path.Kind == "regular file").Select(path => path.Path)], content.Payload);
        string[] removed = [.. gone.Lines.Where(path => !texts.ContainsKey(path))];
        return new RecordsFolder(
            [.. paths.Where(path => HostPath.IsIn(directory, path.Path))],
            [
                .. paths
                    .Where(path =>
                        path.Path.StartsWith(directory + "/", StringComparison.Ordinal)
                        && !removed.Contains(path.Path, StringComparer.Ordinal)
                    )
                    .Select(path => new RecordFile(path, texts.GetValueOrDefault(path.Path))),
            ]
        );
    }

    // head writes "==> NAME <==" above each file, with an empty line between two of them, and nothing of a file that is gone.
    private static Dictionary<string, ReadOnlyMemory<byte>> Texts(string[] files, ReadOnlyMemory<byte> said)
    {
        var texts = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal);
        var (last, begin) = ("", 0);
        foreach (var file in files)
        {
            var header = Encoding.UTF8.GetBytes($"\n==> {file} <==\n");
            var at =
                last.Length > 0 ? said.Span[begin..].IndexOf(header)
                : said.Span.StartsWith(header.AsSpan(1)) ? -1
                : int.MinValue;
            if (at < (last.Length > 0 ? 0 : -1))
            {
                continue;
            }

            if (last.Length > 0)
            {
                texts[last] = Trimmed(said.Slice(begin, at));
            }

            (last, begin) = (file, begin + at + header.Length);
        }

        if (last.Length > 0)
        {
            texts[last] = Trimmed(said[begin..]);
        }

        return texts;
    }

    private static ReadOnlyMemory<byte> Trimmed(ReadOnlyMemory<byte> text) => text[Ascii.Trim(text.Span)];
}

/// <summary>Where records are kept on a host, as it was found. Links are not followed.</summary>
/// <param name="Directories">The directories that exist, from <c>/var/lib/kbr</c> down to that of the records.</param>
/// <param name="Files">The files in it, in the order of their names.</param>
public sealed record RecordsFolder(ImmutableArray<RecordPath> Directories, ImmutableArray<RecordFile> Files)
{
    /// <summary>No records.</summary>
    public static readonly RecordsFolder None = new([], []);
}

/// <summary>The answer of stat(1) for a directory or file of records.</summary>
/// <param name="Path">The path.</param>
/// <param name="Kind">As <c>stat -c %F</c>; an empty file is a regular one.</param>
/// <param name="Uid">Numeric owner.</param>
/// <param name="Mode">Four octal digits.</param>
public sealed record RecordPath(string Path, string Kind, int Uid, string Mode);

/// <summary>A file that holds a record.</summary>
/// <param name="At">Its path, owner and mode.</param>
/// <param name="Bytes">Its content as it was read, UTF-8; empty for other than a regular file.</param>
public sealed record RecordFile(RecordPath At, ReadOnlyMemory<byte> Bytes)
{
    /// <summary>Its content.</summary>
    public string Text => Encoding.UTF8.GetString(Bytes.Span);
}
