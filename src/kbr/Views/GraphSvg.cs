using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>A picture as SVG, with the hosts as columns, what comes first at the top, and a legend. It has no script, no style sheet and
/// no reference to anything outside; the same picture makes the same bytes.</summary>
internal static class GraphSvg
{
    private const double CharWidth = 7.3;
    private const int LongestLabel = 44;
    private const int RowHeight = 34;
    private const int BoxHeight = 24;
    private const int Margin = 16;
    private const int Gutter = 64;
    private const int HeadHeight = 30;
    private const int LegendRow = 30;

    private static readonly ImmutableArray<(PictureLook Look, string Fill, string Line, string Text)> s_looks =
    [
        (PictureLook.Resource, "#ffffff", "#57606a", "resource"),
        (PictureLook.Create, "#dafbe1", "#1a7f37", "+ create"),
        (PictureLook.Update, "#fff8c5", "#9a6700", "~ update"),
        (PictureLook.Replace, "#fff1e5", "#bc4c00", "-/+ replace"),
        (PictureLook.Delete, "#ffebe9", "#cf222e", "- delete"),
        (PictureLook.Record, "#f6f8fa", "#8c959f", "= adopt, # forget: only the record changes"),
        (PictureLook.Group, "#ddf4ff", "#0969da", "health of a group"),
    ];

    /// <summary>The document.</summary>
    public static string Render(GraphPicture picture)
    {
        var boxes = Place(picture, out var columns, out var bottom);
        var legend = Legend(picture);
        var width = Math.Max(columns.LastOrDefault()?.Right ?? 0, 420) + Margin;
        var height = bottom + Margin + legend.Count * LegendRow + Margin;
        var svg = new StringBuilder();
        svg.Append(
            CultureInfo.InvariantCulture,
            $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" "
        );
        svg.Append("role=\"img\" font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"12\">\n");
        svg.Append(CultureInfo.InvariantCulture, $"<title>{HtmlText.Escape(picture.Title)}</title>\n");
        svg.Append("<defs><marker id=\"kbr-arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" ")
            .Append("orient=\"auto\"><path d=\"M0 0 L8 4 L0 8 z\" fill=\"#57606a\"/></marker></defs>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n");
        foreach (var column in columns)
        {
            svg.Append(
                CultureInfo.InvariantCulture,
                $"<rect x=\"{column.Left - 8}\" y=\"{Margin}\" width=\"{column.Right - column.Left + 16}\" "
                    + $"height=\"{bottom - Margin}\" rx=\"6\" fill=\"#f6f8fa\" stroke=\"#d0d7de\"/>\n"
            );
            WriteText(svg, column.Left, Margin + 20, Short(column.Name), " font-weight=\"bold\"");
        }

        foreach (var edge in picture.Edges)
        {
            if (boxes.TryGetValue(edge.From, out var from) && boxes.TryGetValue(edge.To, out var to))
            {
                WriteEdge(svg, from, to, edge.IsOrderOnly);
            }
        }

        foreach (var node in picture.Nodes)
        {
            var box = boxes[node.Id];
            WriteBox(svg, box.Left, box.Top, box.Right - box.Left, node.Look, Short(node.Label), node.Id);
        }

        foreach (var (index, write) in legend.Index())
        {
            write(svg, bottom + Margin + index * LegendRow);
        }

        return svg.Append("</svg>\n").ToString();
    }

    // One row for each box of a column at a level; a level begins below the last one in every column.
    private static Dictionary<string, Box> Place(GraphPicture picture, out List<Column> columns, out int bottom)
    {
        var levels = picture.Levels();
        columns = [];
        var left = Margin + 8;
        foreach (var column in picture.Nodes.GroupBy(node => node.Column).OrderBy(column => column.Key, StringComparer.Ordinal))
        {
            var longest = column.Select(node => Short(node.Label).Length).Append(Short(column.Key).Length).Max();
            var width = (int)Math.Ceiling(longest * CharWidth) + 20;
            columns.Add(new Column(column.Key, left, left + width));
            left += width + Gutter;
        }

        var top = Margin + HeadHeight;
        var boxes = new Dictionary<string, Box>(StringComparer.Ordinal);
        var byName = columns.ToDictionary(column => column.Name, StringComparer.Ordinal);
        foreach (var level in picture.Nodes.GroupBy(node => levels[node.Id]).OrderBy(level => level.Key))
        {
            var rows = 0;
            foreach (var column in level.GroupBy(node => node.Column))
            {
                foreach (var (row, node) in column.OrderBy(node => node.Id, StringComparer.Ordinal).Index())
                {
                    var place = byName[node.Column];
                    boxes[node.Id] = new Box(place.Left, place.Right, top + row * RowHeight);
                    rows = Math.Max(rows, row + 1);
                }
            }

            top += rows * RowHeight;
        }

        bottom = top + 4;
        return boxes;
    }

    private static List<Action<StringBuilder, int>> Legend(GraphPicture picture)
    {
        var looks = picture.Nodes.Select(node => node.Look).ToHashSet();
        var rows = new List<Action<StringBuilder, int>>();
        foreach (var (look, _, _, text) in s_looks.Where(one => looks.Contains(one.Look)))
        {
            rows.Add(
                (svg, y) =>
                {
                    WriteBox(svg, Margin, y, 40, look, "", "");
                    WriteText(svg, Margin + 50, y + 16, text);
                }
            );
        }

        var isPlan = looks.Any(look => look is not (PictureLook.Resource or PictureLook.Group));
        if (picture.Edges.Any(edge => !edge.IsOrderOnly))
        {
            Arrow(false, isPlan ? "waits for" : "requires");
        }

        if (picture.Edges.Any(edge => edge.IsOrderOnly))
        {
            Arrow(true, isPlan ? "waits for, as a group" : "comes after, without requiring it");
        }

        return rows;

        void Arrow(bool isOrderOnly, string text) =>
            rows.Add(
                (svg, y) =>
                {
                    WritePath(svg, string.Create(CultureInfo.InvariantCulture, $"M{Margin} {y + 12} L{Margin + 40} {y + 12}"), isOrderOnly);
                    WriteText(svg, Margin + 50, y + 16, text);
                }
            );
    }

    private static void WriteBox(StringBuilder svg, int x, int y, int width, PictureLook look, string label, string title)
    {
        var (_, fill, line, _) = s_looks.First(one => one.Look == look);
        var radius = look == PictureLook.Group ? BoxHeight / 2 : 3;
        var said = title.Length == 0 ? "" : $"<title>{HtmlText.Escape(title)}</title>";
        svg.Append(
            CultureInfo.InvariantCulture,
            $"<g>{said}<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{BoxHeight}\" rx=\"{radius}\" fill=\"{fill}\" stroke=\"{line}\"/>"
        );
        if (label.Length > 0)
        {
            WriteText(svg, x + 10, y + 16, label);
        }

        svg.Append("</g>\n");
    }

    private static void WriteText(StringBuilder svg, int x, int y, string text, string more = "") =>
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{x}\" y=\"{y}\" fill=\"#1f2328\"{more}>{HtmlText.Escape(text)}</text>");

    // Within a column beside its boxes, the longer the further out; between columns from side to side.
    private static void WriteEdge(StringBuilder svg, Box from, Box to, bool isOrderOnly)
    {
        var (y1, y2) = (from.Top + BoxHeight / 2, to.Top + BoxHeight / 2);
        if (from.Left == to.Left)
        {
            var bulge = from.Right + Math.Min(10 + Math.Abs(y1 - y2) / 12, Gutter / 2 - 4);
            WritePath(
                svg,
                string.Create(CultureInfo.InvariantCulture, $"M{from.Right} {y1} C{bulge} {y1} {bulge} {y2} {to.Right} {y2}"),
                isOrderOnly
            );
            return;
        }

        var (x1, x2) = from.Left < to.Left ? (from.Right, to.Left) : (from.Left, to.Right);
        var bend = from.Left < to.Left ? Gutter / 2 : -Gutter / 2;
        WritePath(
            svg,
            string.Create(CultureInfo.InvariantCulture, $"M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"),
            isOrderOnly
        );
    }

    private static void WritePath(StringBuilder svg, string path, bool isOrderOnly)
    {
        var dashes = isOrderOnly ? " stroke-dasharray=\"4 3\"" : "";
        svg.Append(
            CultureInfo.InvariantCulture,
            $"<path d=\"{path}\" fill=\"none\" stroke=\"#57606a\" stroke-opacity=\"0.55\"{dashes} marker-end=\"url(#kbr-arrow)\"/>\n"
        );
    }

    private static string Short(string label) => label.Length > LongestLabel ? label[..(LongestLabel - 1)] + "…" : label;

    private sealed record Column(string Name, int Left, int Right);

    private sealed record Box(int Left, int Right, int Top);
}
