using System.Text;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Where a person reads: writes whole lines, coloured when asked, and lets no secret through. On a screen it also keeps a region
/// below them that is drawn anew in place. Output that cannot be written, such as to a full disk or a terminal that is gone, is remembered
/// and stops nothing: an apply goes on.</summary>
/// <param name="output">Where lines and the region go.</param>
/// <param name="error">Where diagnostics go.</param>
/// <param name="color">Whether lines are coloured.</param>
/// <param name="screen">The size of the screen in columns and rows, asked at each drawing; null when the output is no screen, such as a
/// file or a pipe.</param>
/// <param name="colorErrors">Whether diagnostics are coloured; as the lines by default.</param>
/// <param name="hasNoReader">Whether nobody reads the output any more; null where that cannot be.</param>
public sealed class Terminal(
    TextWriter output,
    TextWriter error,
    bool color,
    Func<(int Width, int Height)>? screen = null,
    bool? colorErrors = null,
    Func<bool>? hasNoReader = null
)
{
    private const int NarrowestColumn = 30;
    private const int ShallowIndent = 9;

    private readonly Lock _gate = new();
    private Func<string, string> _mask = text => text;
    private IReadOnlyList<(string Text, Tone Tone)> _region = [];
    private int _drawn;

    /// <summary>A colour by what it means.</summary>
    public enum Tone
    {
        /// <summary>None.</summary>
        Plain,

        /// <summary>Something new, or done.</summary>
        Added,

        /// <summary>Something that goes, or failed.</summary>
        Removed,

        /// <summary>Something that becomes another.</summary>
        Changed,

        /// <summary>Beside the point.</summary>
        Faint,

        /// <summary>A heading or a sum.</summary>
        Bold,
    }

    /// <summary>Why output could not be written; null while all could.</summary>
    public string? OutputTrouble { get; private set; }

    /// <summary>Whether nobody reads the output any more, such as after <c>| head</c>.</summary>
    public bool HasNoReader => hasNoReader?.Invoke() == true;

    /// <summary>Whether a question waits for its answer: nothing runs then.</summary>
    public bool IsAsking { get; set; }

    /// <summary>Whether the command only looks on until it is interrupted: then an interruption is its end.</summary>
    public bool IsWatching { get; set; }

    /// <summary>Whether <see cref="Region"/> shows anything.</summary>
    public bool IsScreen => screen is not null;

    /// <summary>From here on every line goes through this first.</summary>
    public void MaskWith(Func<string, string> mask) => _mask = mask;

    /// <summary>A text without its secrets, as a line shows it.</summary>
    public string Masked(string text) => _mask(text);

    /// <summary>Writes a line.</summary>
    public void Line(string text = "", Tone tone = Tone.Plain) => Write(output, text, tone, color);

    /// <summary>Writes a line that on a screen is broken between words, and goes on below its last column.</summary>
    /// <param name="text">The text.</param>
    /// <param name="indent">Where its last column begins.</param>
    /// <param name="tone">Its tone.</param>
    public void HangingLine(string text, int indent, Tone tone = Tone.Plain)
    {
        ArgumentNullException.ThrowIfNull(text);
        // Before it is broken: a secret with a space would be none in either half.
        text = _mask(text);
        var width = screen is null ? 0 : Math.Max(screen().Width, 0);
        // A column that is too narrow to be read begins further to the left.
        var at = width - indent < NarrowestColumn ? Math.Min(indent, ShallowIndent) : indent;
        while (width > at + NarrowestColumn && text.Length > width)
        {
            var space = text.LastIndexOf(' ', width, width - at);
            if (space <= at)
            {
                break;
            }

            Line(text[..space], tone);
            text = new string(' ', at) + text[(space + 1)..];
        }

        Line(text, tone);
    }

    /// <summary>Writes a line of a diagnostic.</summary>
    public void ErrorLine(string text = "", Tone tone = Tone.Plain) => Write(error, text, tone, colorErrors ?? color);

    /// <summary>Puts these lines in place of the region, which stays below every line that is written; none takes it away. A line that is
    /// too long is cut off, and of too many only the first are shown. Shows nothing where there is no screen.</summary>
    public void Region(IReadOnlyList<string> lines) => Region([.. lines.Select(line => (line, Tone.Faint))]);

    /// <summary>The same with a tone for each line.</summary>
    public void Region(IReadOnlyList<(string Text, Tone Tone)> lines)
    {
        ArgumentNullException.ThrowIfNull(lines);
        if (screen is null)
        {
            return;
        }

        lock (_gate)
        {
            // A region that was not there and is not going to be needs no drawing.
            if (_drawn + lines.Count > 0)
            {
                _region = [.. lines.Select(line => (Printable(_mask(line.Text)).Replace('\n', ' ').Replace('\t', ' '), line.Tone))];
                Put(output, Erase() + Draw());
            }
        }
    }

    /// <summary>Writes a text without ending its line.</summary>
    public void Prompt(string text)
    {
        lock (_gate)
        {
            Put(output, text);
        }
    }

    private void Put(TextWriter writer, string text)
    {
        try
        {
            writer.Write(text);
            writer.Flush();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            // If the diagnostics cannot be written either, nothing can be reported.
            OutputTrouble ??= ReferenceEquals(writer, output) ? exception.Message : null;
        }
    }

    private void Write(TextWriter writer, string text, Tone tone, bool colored)
    {
        var line = Colored(Printable(_mask(text)), tone, colored);
        lock (_gate)
        {
            if (_drawn == 0)
            {
                Put(writer, line + writer.NewLine);
                return;
            }

            Put(output, Erase());
            Put(writer, line + writer.NewLine);
            Put(output, Draw());
        }
    }

    // The cursor rests in the line below the region, at its beginning unless the operator typed: up to the first line, and clear to the end
    // of the screen.
    private string Erase()
    {
        var text = _drawn == 0 ? "" : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"\r\e[{_drawn}A\e[J");
        _drawn = 0;
        return text;
    }

    private string Draw()
    {
        var (width, height) = screen!();
        (width, height) = (width > 0 ? width : 80, height > 0 ? height : 24);

        // One row is left for the cursor: were the region taller than the screen, its first lines would scroll away and could not be
        // erased.
        var text = new StringBuilder();
        foreach (var (line, tone) in _region.Take(height - 1))
        {
            var cut = line.Length < width ? line : line[..Math.Max(0, width - 2)] + "…";
            text.Append(Colored(cut, tone, color)).Append('\n');
            _drawn++;
        }

        return text.ToString();
    }

    private static string Colored(string text, Tone tone, bool colored) =>
        colored && tone != Tone.Plain ? $"\e[{Code(tone)}m{text}\e[0m" : text;

    private static string Code(Tone tone) =>
        tone switch
        {
            Tone.Added => "32",
            Tone.Removed => "31",
            Tone.Changed => "33",
            Tone.Faint => "2",
            _ => "1",
        };

    // Text from a host must not control the operator's terminal.
    private static string Printable(string text) =>
        text.Any(IsControl) ? string.Concat(text.Select(c => IsControl(c) ? '\uFFFD' : c)) : text;

    private static bool IsControl(char c) => char.IsControl(c) && c is not ('\n' or '\t');
}
