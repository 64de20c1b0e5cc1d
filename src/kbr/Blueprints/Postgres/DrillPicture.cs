using System.Globalization;
using System.Net;
using System.Text;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.PostgresHa.Drill;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>Draws a drill as a timeline: a row for each way in, the members that acknowledged in their colours, the longest gap, and what
/// happened when. SVG that needs nothing else.</summary>
public static class DrillPicture
{
    private const double Width = 960;
    private const double Left = 150;
    private const double Right = 24;
    private const double Top = 84;
    private const double RowHeight = 52;
    private const double BarHeight = 24;

    // Distinguishable for colour-blind readers; red is reserved for failures.
    private static readonly string[] s_colors = ["#0072b2", "#009e73", "#e69f00", "#56b4e9", "#999999"];

    /// <summary>The picture.</summary>
    public static string Of(DrillReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        var begin = Math.Min(report.Started.TotalSeconds, 0);
        var span = Math.Max(report.Ended.TotalSeconds - begin, 1);
        var bottom = Top + (report.Ways.Length * RowHeight);
        var text = new StringBuilder();
        double X(TimeSpan at) => Left + ((at.TotalSeconds - begin) / span * (Width - Left - Right));

        Add(
            $"""<svg xmlns="http://www.w3.org/2000/svg" width="{Width}" height="{bottom + 64}" viewBox="0 0 {Width} {bottom + 64}" font-family="sans-serif" font-size="13">"""
        );
        Add(
            $"""<defs><pattern id="lost" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="3" height="6" fill="#d00000"/></pattern></defs>"""
        );
        Add($"""<rect width="{Width}" height="{bottom + 64}" fill="#ffffff"/>""");
        Add(
            $"""<text x="16" y="26" font-size="16" font-weight="bold">{Escaped($"{report.Scope}: {report.Kind.Description(report.Leader)}")}</text>"""
        );
        Legend(report, Add);
        Axis(Add, begin, report.Ended.TotalSeconds, bottom, seconds => X(TimeSpan.FromSeconds(seconds)));
        foreach (var (index, way) in report.Ways.Index())
        {
            var y = Top + (index * RowHeight) + 14;
            var gap = way.LongestGap;
            Add($"""<text x="16" y="{y + 11}">{Escaped(way.Way.Name)}</text>""");
            Add($"""<text x="16" y="{y + 25}" font-size="10" fill="#555555">{Escaped(way.Way.Endpoint)}</text>""");
            Add($"""<rect x="{X(gap.From):0.0}" y="{y}" width="{X(gap.To) - X(gap.From):0.0}" height="{BarHeight}" fill="#fbdcdc"/>""");
            foreach (var served in way.Served)
            {
                var (x, width) = (X(served.From), Math.Max(X(served.To) - X(served.From), 1.5));
                var title =
                    $"{served.Server}: {served.Writes.ToString(CultureInfo.InvariantCulture)} "
                    + $"writes{(served.Lost ? ", all missing afterwards" : "")}";
                Add(
                    $"""<rect x="{x:0.0}" y="{y}" width="{width:0.0}" height="{BarHeight}" fill="{Color(report, served.Server)}"><title>{Escaped(title)}</title></rect>"""
                );
                if (served.Lost)
                {
                    Add($"""<rect x="{x:0.0}" y="{y}" width="{width:0.0}" height="{BarHeight}" fill="url(#lost)"/>""");
                }
            }

            Add(
                $"""<text x="{(X(gap.From) + X(gap.To)) / 2:0.0}" y="{y + 17}" text-anchor="middle" fill="#a00000" font-weight="bold">{gap.Length.TotalSeconds:0.0} s</text>"""
            );
        }

        Event(TimeSpan.Zero, report.Kind == DrillKind.Switchover ? "switchover" : "fault", 0);
        if (report.Undone is { } undone)
        {
            Event(undone, "undone after", 1);
        }

        if (report.Whole is { } whole)
        {
            Event(whole, "healthy after", 0);
        }

        return text.Append("</svg>\n").ToString();

        void Add(FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');

        void Event(TimeSpan at, string name, int level)
        {
            Add(
                $"""<line x1="{X(at):0.0}" y1="{Top - 4 - (level * 14)}" x2="{X(at):0.0}" y2="{bottom}" stroke="#333333" stroke-dasharray="3,3"/>"""
            );
            var label = at == TimeSpan.Zero ? name : string.Create(CultureInfo.InvariantCulture, $"{name} {at.TotalSeconds:0.0} s");
            Add(
                $"""<text x="{X(at):0.0}" y="{Top - 8 - (level * 14)}" text-anchor="{(X(at) > Width - 80 ? "end" : "middle")}" font-size="11">{label}</text>"""
            );
        }
    }

    private static void Legend(DrillReport report, Action<FormattableString> add)
    {
        var x = 16.0;
        foreach (var member in report.Members)
        {
            add(
                $"""<rect x="{x}" y="36" width="12" height="12" fill="{Color(report, member)}"/><text x="{x + 16}" y="47" font-size="11">{Escaped(member)}</text>"""
            );
            x += 36 + (member.Length * 6.5);
        }

        add(
            $"""<rect x="{x}" y="36" width="12" height="12" fill="url(#lost)"/><text x="{x + 16}" y="47" font-size="11">acknowledged and missing afterwards</text>"""
        );
    }

    private static void Axis(Action<FormattableString> add, double begin, double end, double bottom, Func<double, double> x)
    {
        var step = new[] { 1.0, 2, 5, 10, 20, 30, 60, 120, 300, 600 }.FirstOrDefault(each => (end - begin) / each <= 14, 1200);
        add($"""<line x1="{Left}" y1="{bottom}" x2="{Width - Right}" y2="{bottom}" stroke="#333333"/>""");
        for (var at = (Math.Ceiling(begin / step) * step) + 0.0; at <= end; at += step)
        {
            add(
                $"""<line x1="{x(at):0.0}" y1="{bottom}" x2="{x(at):0.0}" y2="{bottom + 5}" stroke="#333333"/><text x="{x(at):0.0}" y="{bottom + 20}" text-anchor="middle" font-size="11">{at:0}</text>"""
            );
        }

        add(
            $"""<text x="{Width - Right}" y="{bottom + 42}" text-anchor="end" font-size="11">seconds from the fault; a bar is drawn where writes were acknowledged</text>"""
        );
    }

    private static string Color(DrillReport report, string member) =>
        s_colors[Math.Max(report.Members.IndexOf(member), 0) % s_colors.Length];

    private static string Escaped(string text) => WebUtility.HtmlEncode(text);
}
