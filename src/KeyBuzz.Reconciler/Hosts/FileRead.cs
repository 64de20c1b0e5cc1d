using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>The bytes of a regular file, at most 8 MiB. Answer: null when there is none.</summary>
public sealed record FileRead(string Path) : Read<FileContent?>
{
    /// <summary>How many bytes of a file are read.</summary>
    internal const int LargestFile = 8 * 1024 * 1024;

    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<FileRead>(Render, Parse);

    // One head(1) prints all files, and after each its own environment, which is the nonce alone: no content can forge it. Where it fails,
    // one for each file says which cannot be read.
    private static void Render(ProbeText script, IReadOnlyList<FileRead> reads) =>
        script
            .Append(
                $$"""
                together() {
                i=0; there=
                for f do shift; if [ -f "$f" ]; then there="$there,$i"; set -- "$@" "$f" /proc/self/environ; fi; i=$((i + 1)); done
                end there "$there"
                [ $# = 0 ] || env -i "n=$n" /usr/bin/head -q -c {{LargestFile}} -- "$@" 2>/dev/null
                }
                each() {
                i=0
                for f do
                if [ -f "$f" ]; then head -c {{LargestFile}} -- "$f" 2>/dev/null; end "f$i" $?; else end "f$i" none; fi
                i=$((i + 1))
                done
                }
                files() { together "$@"; s=$?; end files $s; [ $s = 0 ] || each "$@"; }
                files
                """
            )
            .AppendQuoted(reads.Select(read => read.Path))
            .Append("\n");

    private static void Parse(ProbeAnswer answer, IReadOnlyList<FileRead> reads)
    {
        if (answer.Part("files") is { Status: "0" } files)
        {
            Split(files.Payload, answer, reads);
            return;
        }

        foreach (var (number, read) in reads.Index())
        {
            var part = answer.Part(string.Create(CultureInfo.InvariantCulture, $"f{number}")).Whole();
            answer.Set(
                read,
                part.Status switch
                {
                    "0" => new FileContent(part.Payload),
                    "none" or "" => null,
                    _ => throw new InvalidDataException($"{read.Path} is there and cannot be read"),
                }
            );
        }
    }

    private static void Split(ReadOnlyMemory<byte> contents, ProbeAnswer answer, IReadOnlyList<FileRead> reads)
    {
        var end = Encoding.ASCII.GetBytes($"n={answer.Nonce}\0");
        var there = answer.Part("there").Status.Split(',', StringSplitOptions.RemoveEmptyEntries).ToHashSet(StringComparer.Ordinal);
        foreach (var (number, read) in reads.Index())
        {
            if (!there.Contains(number.ToString(CultureInfo.InvariantCulture)))
            {
                answer.Set(read, null);
                continue;
            }

            var length = contents.Span.IndexOf(end);
            if (length < 0)
            {
                throw new InvalidDataException($"{read.Path} is there and was not printed");
            }

            answer.Set(read, new FileContent(contents[..length]));
            contents = contents[(length + end.Length)..];
        }
    }
}

/// <summary>Bytes of a file.</summary>
public sealed record FileContent(ReadOnlyMemory<byte> Bytes)
{
    /// <summary>The bytes as UTF-8.</summary>
    public string Text => Encoding.UTF8.GetString(Bytes.Span);

    /// <summary>The same; the wanted text itself where it is that, as most often.</summary>
    public string TextBeside(string wanted) => Ascii.Equals(Bytes.Span, wanted) ? wanted : Text;
}
