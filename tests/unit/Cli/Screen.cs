using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>What a person sees of a text with cursor movements: as much of a terminal as kbr uses. Colours are dropped; anything else it
/// does not know fails.</summary>
internal sealed class Screen : StringWriter
{
    private readonly List<StringBuilder> _rows = [new()];
    private int _row;
    private int _column;

    /// <summary>The rows, without blanks at their end and without empty ones below.</summary>
    public string[] Rows
    {
        get
        {
            Take(ToString());
            GetStringBuilder().Clear();
            var rows = _rows.Select(row => row.ToString().TrimEnd()).ToList();
            while (rows.Count > 0 && rows[^1].Length == 0)
            {
                rows.RemoveAt(rows.Count - 1);
            }

            return [.. rows];
        }
    }

    /// <summary>Where the cursor is.</summary>
    public (int Row, int Column) Cursor => (_row, _column);

    private void Take(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            switch (text[i])
            {
                case '\n':
                    (_row, _column) = (_row + 1, 0);
                    while (_rows.Count <= _row)
                    {
                        _rows.Add(new StringBuilder());
                    }

                    break;
                case '\r':
                    _column = 0;
                    break;
                case '\e':
                    var end = i + 2;
                    while (char.IsAsciiDigit(text[end]) || text[end] == ';')
                    {
                        end++;
                    }

                    Control(text[end], text[(i + 2)..end]);
                    i = end;
                    break;
                default:
                    var row = _rows[_row];
                    row.Append(' ', Math.Max(0, _column + 1 - row.Length))[_column++] = text[i];
                    break;
            }
        }
    }

    private void Control(char what, string number)
    {
        switch (what)
        {
            case 'A':
                _row -= int.Parse(number, CultureInfo.InvariantCulture);
                Assert.That(_row, Is.Not.Negative, "the cursor went above the first row");
                break;
            case 'J':
                _rows[_row].Length = Math.Min(_rows[_row].Length, _column);
                _rows.RemoveRange(_row + 1, _rows.Count - _row - 1);
                break;
            case 'm':
                break;
            default:
                Assert.Fail($"an unknown sequence: ESC [ {number}{what}");
                break;
        }
    }
}
