using System.Globalization;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>The bytes of a regular file, at most 8 MiB. Answer: null when there is none.</summary>
public sealed record FileRead(string Path) : Read<FileContent?>
{
    /// <summary>How many bytes of a file are read.</summary>
    internal const int LargestFile = 8 * 1024 * 1024;

    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<FileRead>(Render, Parse);

    private static void Render(ProbeText script, IReadOnlyList<FileRead> reads)
    {
        script.Append(
            $"file() {{ if [ -f \"$2\" ]; then head -c {LargestFile} -- \"$2\" 2>/dev/null; end \"f$1\" $?; else "
                + $"end \"f$1\" none; fi; }}\n"
        );
        foreach (var (number, read) in reads.Index())
        {
            script.Append($"file {number} {Script.Quote(read.Path)}\n");
        }
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<FileRead> reads)
    {
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
}

/// <summary>Bytes of a file.</summary>
public sealed record FileContent(ReadOnlyMemory<byte> Bytes)
{
    /// <summary>The bytes as UTF-8.</summary>
    public string Text => System.Text.Encoding.UTF8.GetString(Bytes.Span);

    /// <summary>The same; the wanted text itself where it is that, as most often.</summary>
    public string TextBeside(string wanted) => System.Text.Ascii.Equals(Bytes.Span, wanted) ? wanted : Text;
}
