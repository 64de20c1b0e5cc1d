using System.Globalization;
using System.Text.RegularExpressions;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>A line of a service's log.</summary>
/// <param name="Host">The host it comes from.</param>
/// <param name="Time">When it was said; null where the host does not tell.</param>
/// <param name="Text">The line.</param>
internal sealed record LogLine(string Host, DateTimeOffset? Time, string Text)
{
    private static readonly Regex s_isTime = new(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$");

    /// <summary>Reads a line that begins with its time.</summary>
    public static LogLine Read(string host, string line)
    {
        var space = line.IndexOf(' ', StringComparison.Ordinal);
        var word = space < 0 ? line : line[..space];
        return
            s_isTime.IsMatch(word)
            && DateTimeOffset.TryParse(word, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)
            ? new LogLine(host, time, space < 0 ? "" : line[(space + 1)..])
            : new LogLine(host, null, line);
    }

    /// <summary>The lines of all hosts by their time; those of one host stay in their order.</summary>
    public static IEnumerable<LogLine> Merge(IEnumerable<IReadOnlyList<LogLine>> hosts)
    {
        var open = new PriorityQueue<(IReadOnlyList<LogLine> Lines, int At), (DateTimeOffset Time, int Host)>();
        foreach (var (number, lines) in hosts.Index())
        {
            Enqueue(lines, 0, DateTimeOffset.MinValue, number);
        }

        while (open.TryDequeue(out var next, out var order))
        {
            yield return next.Lines[next.At];
            Enqueue(next.Lines, next.At + 1, order.Time, order.Host);
        }

        // A line without a time, or with an earlier one, follows the one before it.
        void Enqueue(IReadOnlyList<LogLine> lines, int at, DateTimeOffset before, int host)
        {
            if (at < lines.Count)
            {
                var time = lines[at].Time ?? before;
                open.Enqueue((lines, at), (time < before ? before : time, host));
            }
        }
    }
}
