using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Writes an XML document of elements, attributes and text, indented. The framework's writer would bring a parser and schemas
/// along.</summary>
internal sealed class XmlText
{
    private readonly StringBuilder _text = new("<?xml version=\"1.0\" encoding=\"utf-8\"?>");
    private readonly Stack<string> _open = new();
    private bool _isTagOpen;

    // Text stands in its element without line breaks around it.
    private bool _holdsText;

    /// <summary>Begins an element.</summary>
    public XmlText Start(string name)
    {
        CloseTag();
        NewLine();
        _text.Append('<').Append(name);
        _open.Push(name);
        (_isTagOpen, _holdsText) = (true, false);
        return this;
    }

    /// <summary>Adds an attribute to the element that was just begun.</summary>
    public XmlText Attribute(string name, string value)
    {
        _text.Append(' ').Append(name).Append("=\"");
        Append(value, isAttribute: true);
        _text.Append('"');
        return this;
    }

    /// <summary>Adds text to the element that was just begun.</summary>
    public XmlText Text(string value)
    {
        if (value.Length > 0)
        {
            CloseTag();
            Append(value, isAttribute: false);
            _holdsText = true;
        }

        return this;
    }

    /// <summary>Ends the element.</summary>
    public XmlText End()
    {
        var name = _open.Pop();
        if (_isTagOpen)
        {
            _text.Append(" />");
        }
        else
        {
            if (!_holdsText)
            {
                NewLine();
            }

            _text.Append("</").Append(name).Append('>');
        }

        (_isTagOpen, _holdsText) = (false, false);
        return this;
    }

    /// <inheritdoc />
    public override string ToString() => _text.Append('\n').ToString();

    private void CloseTag()
    {
        if (_isTagOpen)
        {
            _text.Append('>');
            _isTagOpen = false;
        }
    }

    private void NewLine() => _text.Append('\n').Append(' ', 2 * _open.Count);

    // XML has no way to write most control characters, not even escaped. A reader turns a line break of an attribute into a space, and a
    // carriage return into a line feed, unless they are escaped.
    private void Append(string value, bool isAttribute)
    {
        foreach (var rune in value.EnumerateRunes())
        {
            _ = rune.Value switch
            {
                '&' => _text.Append("&amp;"),
                '<' => _text.Append("&lt;"),
                '>' => _text.Append("&gt;"),
                '"' when isAttribute => _text.Append("&quot;"),
                '\r' => _text.Append("&#xD;"),
                '\n' or '\t' when isAttribute => _text.Append(CultureInfo.InvariantCulture, $"&#x{rune.Value:X};"),
                '\n' or '\t' => _text.Append((char)rune.Value),
                < ' ' or 0xFFFE or 0xFFFF => _text.Append('\uFFFD'),
                _ => _text.Append(rune.ToString()),
            };
        }
    }
}
