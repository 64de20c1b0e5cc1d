using System.Text;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>A text file read for the operator, able to say where in it something is.</summary>
public sealed class SourceText
{
    /// <summary>As much as kbr reads of one file on a host; a local file that is to become one may not be larger.</summary>
    public const int LargestFile = 8 * 1024 * 1024;

    /// <summary>The largest cluster.yaml: some 300 000 resources, each with an entry of its own.</summary>
    public const int LargestCluster = 64 * 1024 * 1024;

    private readonly string[] _lines;
    private readonly List<int> _starts;
    private readonly bool _hidden;

    private SourceText(string file, string text, bool hidden)
    {
        File = file;
        Text = text;
        _hidden = hidden;
        _lines = text.ReplaceLineEndings("\n").Split('\n');
        _starts = Starts(text);
    }

    public string File { get; }

    public string Text { get; }

    public int LineCount => _lines.Length;

    /// <summary>Takes a text that is already in memory.</summary>
    public static SourceText Of(string text, string shownAs, bool hidden = false) => new(shownAs, text, hidden);

    /// <summary>Reads a file strictly as UTF-8. Errors are thrown as diagnostics.</summary>
    /// <param name="path">The file.</param>
    /// <param name="shownAs">Its name as the operator knows it.</param>
    /// <param name="askedAt">The line that named the file.</param>
    /// <param name="hidden">Whether it holds secrets: its places then have no line to show.</param>
    /// <param name="largest">How many bytes it may have.</param>
    public static SourceText Read(
        string path,
        string shownAs,
        SourceLocation? askedAt = null,
        bool hidden = false,
        int largest = LargestFile
    )
    {
        byte[] bytes;
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read);
            using var copy = new MemoryStream();
            var buffer = new byte[64 * 1024];
            int count;
            while ((count = stream.Read(buffer)) > 0)
            {
                copy.Write(buffer, 0, count);
                if (copy.Length > largest)
                {
                    throw Failure($"{shownAs} is larger than {largest / (1024 * 1024)} MiB", askedAt);
                }
            }

            bytes = copy.ToArray();
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            throw Failure($"{shownAs} does not exist", askedAt);
        }
        catch (UnauthorizedAccessException)
        {
            throw Failure(
                System.IO.Directory.Exists(path) ? $"{shownAs} is a directory, not a file" : $"{shownAs} may not be read",
                askedAt
            );
        }
        catch (Exception exception) when (exception is IOException or ArgumentException or NotSupportedException)
        {
            throw Failure($"{shownAs} cannot be read", askedAt, exception.Message);
        }

        ReadOnlySpan<byte> content = bytes;
        if (content.StartsWith("\uFEFF"u8))
        {
            content = content[3..];
        }

        var source = new SourceText(shownAs, Encoding.UTF8.GetString(content), hidden);
        source.RefuseOddBytes(content, askedAt);
        return source;
    }

    /// <summary>The place at a line and a column, both from 1.</summary>
    public SourceLocation At(long line, long column)
    {
        var index = (int)Math.Clamp(line, 1, _lines.Length);
        return new SourceLocation(File, index, (int)Math.Max(1, column), _hidden ? "" : _lines[index - 1]);
    }

    /// <summary>The place of a character.</summary>
    public SourceLocation AtOffset(int offset)
    {
        var found = _starts.BinarySearch(offset);
        var line = found < 0 ? ~found - 1 : found;
        return At(line + 1, offset - _starts[line] + 1);
    }

    // The offsets at which lines start.
    private static List<int> Starts(string text)
    {
        var starts = new List<int> { 0 };
        for (var end = text.AsSpan().IndexOfAny('\r', '\n'); end >= 0; )
        {
            var start = end + (text.AsSpan(end).StartsWith("\r\n") ? 2 : 1);
            starts.Add(start);
            var next = text.AsSpan(start).IndexOfAny('\r', '\n');
            end = next < 0 ? -1 : start + next;
        }

        return starts;
    }

    /// <summary>The text of a line, from 1; empty outside the file.</summary>
    public string Line(long line) => line >= 1 && line <= _lines.Length ? _lines[line - 1] : "";

    private void RefuseOddBytes(ReadOnlySpan<byte> content, SourceLocation? askedAt)
    {
        var offset = 0;
        var rest = content;
        while (!rest.IsEmpty)
        {
            var status = Rune.DecodeFromUtf8(rest, out var rune, out var consumed);
            if (status != System.Buffers.OperationStatus.Done)
            {
                throw Failure(
                    $"{File} is not UTF-8 text: byte 0x{rest[0]:x2}",
                    AtOffset(offset),
                    askedAt is null ? null : $"named at {askedAt}",
                    "save the file as UTF-8"
                );
            }

            if (rune.Value is < 0x20 and not '\t' and not '\n' and not '\r' or 0x7f)
            {
                throw Failure(
                    $"{File} holds the control character 0x{rune.Value:x2}",
                    AtOffset(offset),
                    askedAt is null ? null : $"named at {askedAt}",
                    "remove it"
                );
            }

            rest = rest[consumed..];
            offset += rune.Utf16SequenceLength;
        }
    }

    private static DiagnosticException Failure(string summary, SourceLocation? at, string? detail = null, string? remedy = null) =>
        new(Diagnostic.Error(summary, at, detail, remedy));
}
