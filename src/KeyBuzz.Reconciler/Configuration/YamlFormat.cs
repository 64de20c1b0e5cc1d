using System.Text;
using KeyBuzz.Reconciler.Diagnostics;
using YamlDotNet.Core;
using YamlDotNet.Core.Tokens;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>The canonical layout of a YAML file: two spaces for each level, also for lists below their key; one space after a dash; no
/// tabs and no spaces at the end of a line; at most one empty line in a row; one line break at the end. Comments, the order of keys,
/// quotes and what is within a line stay as they are, and so does the meaning. Pure.</summary>
public static class YamlFormat
{
    /// <summary>The text in the canonical layout. Throws <see cref="DiagnosticException"/> with the place of what cannot be read, or whose
    /// layout cannot change without its meaning.</summary>
    public static string Format(SourceText source)
    {
        ArgumentNullException.ThrowIfNull(source);
        YamlDocument.Parse(source, new Findings());
        var text = source.Text.TrimStart('\uFEFF').ReplaceLineEndings("\n");
        var formatted = new Layout(text).Write();
        return Events(text).SequenceEqual(Events(formatted), StringComparer.Ordinal)
            ? formatted
            : throw new DiagnosticException(
                Diagnostic.Error(
                    $"{source.File} cannot be formatted without a change of its meaning; it was left as it is",
                    Place(source, text, formatted),
                    remedy: "write the value there in one line, or in quotes"
                )
            );
    }

    // What a parser makes of it, without the places.
    private static IEnumerable<string> Events(string text)
    {
        var parser = new Parser(new StringReader(text));
        while (true)
        {
            string one;
            try
            {
                if (!parser.MoveNext())
                {
                    yield break;
                }

                var current = parser.Current!;
                one = current is YamlDotNet.Core.Events.Scalar scalar
                    ? $"{scalar.Style}|{scalar.Anchor}|{scalar.Tag}|{scalar.Value}"
                    : $"{current}";
            }
            catch (Exception exception)
                when (exception is YamlException or InvalidOperationException or ArgumentException or IndexOutOfRangeException)
            {
                // The parser's own slips on broken text, too.
                one = "broken";
            }

            yield return one;
            if (one == "broken")
            {
                yield break;
            }
        }
    }

    // The first value that would be another.
    private static SourceLocation? Place(SourceText source, string text, string formatted)
    {
        var same = Events(text).Zip(Events(formatted)).TakeWhile(pair => pair.First == pair.Second).Count();
        var parser = new Parser(new StringReader(text));
        for (var i = 0; i <= same && parser.MoveNext(); i++) { }

        return parser.Current is { } at ? source.At(at.Start.Line, at.Start.Column) : null;
    }

    /// <summary>The new layout of each line, from the tokens of all of them.</summary>
    private sealed class Layout
    {
        private const int Step = 2;

        private readonly string[] _lines;
        private readonly Line[] _layout;
        private readonly List<List<(int From, int To)>> _scalars;
        private readonly List<List<(int From, int To)>> _gaps;
        private readonly Stack<Open> _open = new();

        // The columns of the collections that are open after each line, old and new, the outer ones first.
        private readonly List<(int Old, int New)>[] _columns;
        private int _flow;
        private int _flowStart;

        public Layout(string text)
        {
            _lines = text.Split('\n');
            _layout = [.. _lines.Select(line => new Line(line.AsSpan().TrimEnd(" \t").IsEmpty ? LineKind.Blank : LineKind.Comment, 0))];
            _scalars = [.. _lines.Select(_ => new List<(int, int)>())];
            _gaps = [.. _lines.Select(_ => new List<(int, int)>())];
            _columns = new List<(int, int)>[_lines.Length];
            Read(text);
        }

        public string Write()
        {
            PlaceComments();
            var text = new StringBuilder();
            var blank = true;
            for (var i = 0; i < _lines.Length; i++)
            {
                var (kind, indent) = _layout[i];
                if (kind == LineKind.Blank)
                {
                    blank = blank || Append(text, "");
                    continue;
                }

                blank = false;
                Append(
                    text,
                    kind switch
                    {
                        LineKind.Content => Shifted(_lines[i], indent),
                        LineKind.Within when _lines[i].AsSpan().Trim(" \t").IsEmpty => "",
                        LineKind.Within => new string(' ', indent) + TrimmedWithin(_lines[i].TrimStart(' ', '\t'), _lines[i]),
                        _ => new string(' ', indent) + Body(i),
                    }
                );
            }

            // The empty lines of a block scalar that keeps them are content.
            var last = Array.FindLastIndex(_layout, line => line.Kind != LineKind.Blank);
            var end = last >= 0 && _layout[last].Kind == LineKind.Content ? 1 : text.Length;
            while (text.Length > 1 && text[^1] == '\n' && text[^2] == '\n' && end-- > 0)
            {
                text.Length--;
            }

            return last < 0 ? "" : text.ToString();

            static bool Append(StringBuilder text, string line)
            {
                text.Append(line).Append('\n');
                return true;
            }
        }

        private void Read(string text)
        {
            var scanner = new Scanner(new StringReader(text), skipComments: true);
            (int Line, int Column)? dash = null;
            while (scanner.MoveNext())
            {
                var token = scanner.Current!;
                var (line, column) = ((int)token.Start.Line - 1, (int)token.Start.Column - 1);
                if (dash is { } before && before.Line == line && column > before.Column + 2 && token is not (BlockEnd or Comment))
                {
                    _gaps[line].Add((before.Column + 2, column));
                }

                dash = token is BlockEntry ? (line, column) : null;
                switch (token)
                {
                    case BlockMappingStart or BlockSequenceStart:
                        Push(column, token is BlockSequenceStart, isUnindented: false);
                        dash = null;
                        continue;
                    case BlockEnd:
                        PopUnindented();
                        _open.Pop();
                        continue;
                    case StreamStart or StreamEnd:
                        continue;
                    case DocumentStart or DocumentEnd or VersionDirective or TagDirective:
                        Set(line, LineKind.Structure, 0);
                        continue;
                    case BlockEntry when _flow == 0 && _open.TryPeek(out var top) && !top.IsSequence:
                        Push(top.Old, isSequence: true, isUnindented: true);
                        break;
                    case Key when _flow == 0:
                        PopUnindented();
                        break;
                    default:
                        break;
                }

                if (_flow == 0)
                {
                    SetStructure(line, column, token);
                }

                switch (token)
                {
                    case FlowSequenceStart or FlowMappingStart:
                        _flowStart = _flow++ == 0 ? line : _flowStart;
                        break;
                    case FlowSequenceEnd or FlowMappingEnd when --_flow == 0:
                        ShiftFlow(_flowStart, line);
                        break;
                    case Scalar scalar:
                        ReadScalar(scalar, line, column);
                        break;
                    default:
                        break;
                }

                if (_flow == 0)
                {
                    _columns[line] = [.. _open.Reverse().Select(open => (open.Old, open.New))];
                }
            }
        }

        private void Push(int column, bool isSequence, bool isUnindented) =>
            _open.Push(new Open(column, _open.TryPeek(out var parent) ? parent.New + Step : 0, isSequence, isUnindented));

        private void PopUnindented()
        {
            if (_open.TryPeek(out var top) && top.IsUnindented)
            {
                _open.Pop();
            }
        }

        // The first token of a line says where it stands.
        private void SetStructure(int line, int column, Token token)
        {
            if (_layout[line].Kind != LineKind.Comment || !_lines[line].AsSpan(0, column).Trim(" \t").IsEmpty)
            {
                return;
            }

            var indent = _open.TryPeek(out var top) ? top.New : 0;
            Set(line, LineKind.Structure, token is Key or BlockEntry or Value || _open.Count == 0 ? indent : indent + Step);
        }

        private void ReadScalar(Scalar scalar, int line, int column)
        {
            var (end, endColumn) = ((int)scalar.End.Line - 1, (int)scalar.End.Column - 1);
            if (scalar.Style is ScalarStyle.Literal or ScalarStyle.Folded)
            {
                ReadBlockScalar(line, column);
                return;
            }

            while (
                end > line && (end >= _lines.Length || _lines[end].AsSpan(0, Math.Min(endColumn, _lines[end].Length)).Trim(" \t").IsEmpty)
            )
            {
                end--;
                endColumn = _lines[end].Length;
            }

            for (var i = line; i <= end; i++)
            {
                _scalars[i].Add((i == line ? column : 0, i == end ? endColumn : int.MaxValue));
                if (i > line)
                {
                    var indent = (_open.TryPeek(out var top) ? top.New : 0) + Step;
                    Set(i, i == end && scalar.Style == ScalarStyle.Plain ? LineKind.Structure : LineKind.Within, indent);
                }
            }
        }

        private void ReadBlockScalar(int line, int column)
        {
            var header = _lines[line][column..];
            var mark = new string([.. header.Skip(1).TakeWhile(c => c is '+' or '-' || char.IsAsciiDigit(c))]);
            var width = mark.Where(char.IsAsciiDigit).Select(digit => digit - '0').FirstOrDefault();
            var (oldParent, newParent) = _open.TryPeek(out var top) ? (Math.Max(top.Old, 0), top.New) : (0, -Step);
            var first = Array.FindIndex(_lines, line + 1, one => one.AsSpan().TrimStart(' ').Length > 0);
            var indent =
                width > 0 ? oldParent + width
                : first < 0 ? int.MaxValue
                : Spaces(_lines[first]);
            if (indent <= (_open.Count == 0 ? -1 : oldParent))
            {
                return;
            }

            var last = line;
            for (var i = line + 1; i < _lines.Length; i++)
            {
                var isBlank = _lines[i].AsSpan().TrimStart(' ').IsEmpty;
                if (!isBlank && Spaces(_lines[i]) < indent)
                {
                    break;
                }

                last = !isBlank || mark.Contains('+', StringComparison.Ordinal) || _lines[i].Length > indent ? i : last;
            }

            var shift =
                Math.Max(0, newParent)
                + (
                    width > 0 ? width
                    : newParent < 0 ? 0
                    : Step
                )
                - indent;
            for (var i = line + 1; i <= last; i++)
            {
                Set(i, LineKind.Content, shift);
            }
        }

        // What is within braces or brackets keeps its place beside the line that opens them, to the right of the key above.
        private void ShiftFlow(int from, int to)
        {
            var shift = _layout[from].Indent - Indent(_lines[from]);
            var least = _open.TryPeek(out var top) ? top.New + 1 : 0;
            for (var i = from + 1; i <= to; i++)
            {
                if (_layout[i].Kind == LineKind.Blank)
                {
                    continue;
                }

                var isEnd = _lines[i].AsSpan().TrimStart(" \t") is [']' or '}', ..];
                Set(
                    i,
                    _layout[i].Kind == LineKind.Within ? LineKind.Within : LineKind.Structure,
                    Math.Max(isEnd ? Math.Max(0, least - 1) : least, Indent(_lines[i]) + shift)
                );
            }
        }

        // With what comes next, or else with the collection that is still open and no deeper.
        private void PlaceComments()
        {
            var open = new List<(int Old, int New)>();
            for (var i = 0; i < _lines.Length; i++)
            {
                open = _columns[i] ?? open;
                if (_layout[i].Kind != LineKind.Comment)
                {
                    continue;
                }

                var own = Indent(_lines[i]);
                var next = Array.FindIndex(_layout, i, line => line.Kind == LineKind.Structure);
                var isWithNext = next >= 0 && (Indent(_lines[next]) == own || open.Count == 0);
                var column = open.Select(pair => pair.Old).Where(old => old <= own).DefaultIfEmpty(0).Max();
                var before = open.Find(pair => pair.Old == column);
                var nearest =
                    next >= 0 && Indent(_lines[next]) <= own && Indent(_lines[next]) >= before.Old ? _layout[next].Indent : before.New;
                _layout[i] = new Line(LineKind.Comment, isWithNext ? _layout[next].Indent : nearest);
            }
        }

        // A line without its indentation: one space for a tab, and after a dash.
        private string Body(int line)
        {
            var text = _lines[line];
            var body = new StringBuilder();
            for (var i = text.Length - text.AsSpan().TrimStart(" \t").Length; i < text.Length; i++)
            {
                if (_gaps[line].Any(gap => i >= gap.From && i < gap.To))
                {
                    continue;
                }

                body.Append(text[i] == '\t' && !_scalars[line].Any(scalar => i >= scalar.From && i < scalar.To) ? ' ' : text[i]);
            }

            return _scalars[line].Any(scalar => scalar.To == int.MaxValue)
                ? TrimmedWithin(body.ToString(), text)
                : body.ToString().TrimEnd(' ');
        }

        // Spaces before a line break within quotes say nothing, but after a backslash.
        private static string TrimmedWithin(string body, string line) =>
            line.AsSpan().TrimEnd(" \t") is [.., '\\'] ? body : body.TrimEnd(' ', '\t');

        private static string Shifted(string line, int shift) =>
            line.AsSpan().TrimStart(' ').IsEmpty && line.Length + shift <= 0 ? ""
            : shift >= 0 ? (line.Length == 0 ? "" : new string(' ', shift) + line)
            : line[Math.Min(-shift, Spaces(line))..];

        // A tab does not indent the content of a block scalar; it is content.
        private static int Spaces(string line) => line.Length - line.AsSpan().TrimStart(' ').Length;

        private static int Indent(string line)
        {
            var count = 0;
            foreach (var c in line)
            {
                if (c is not (' ' or '\t'))
                {
                    break;
                }

                count += c == '\t' ? Step : 1;
            }

            return count;
        }

        private void Set(int line, LineKind kind, int indent)
        {
            if (line < _layout.Length)
            {
                _layout[line] = new Line(kind, indent);
            }
        }

        private enum LineKind
        {
            Blank,
            Comment,
            Structure,

            // Of a scalar in several lines, whose indentation says nothing.
            Within,

            // Of a block scalar: its indentation is a shift.
            Content,
        }

        private readonly record struct Line(LineKind Kind, int Indent);

        private sealed record Open(int Old, int New, bool IsSequence, bool IsUnindented);
    }
}
