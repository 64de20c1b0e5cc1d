using System.Globalization;
using System.Text;
using System.Text.Json;

namespace KeyBuzz.Reconciler.Soak;

/// <summary>Writes a verdict for people, for programs, and as a table for a document.</summary>
public static class SoakReport
{
    /// <summary>The sentences a person reads first.</summary>
    public static string Text(HistoryVerdict verdict)
    {
        ArgumentNullException.ThrowIfNull(verdict);
        var history = verdict.History;
        var text = new StringBuilder();
        Line(
            $"seed {history.Seed}, {(history.Synchronous ? "synchronous" : "asynchronous")}: {history.Events.Length} events in {history.Ended.TotalMinutes:0.0} minutes"
        );
        Line(
            $"{verdict.Acknowledged} rows acknowledged, {verdict.Lost.Length} of them missing; {verdict.Unknown} sent and not acknowledged, {verdict.UnknownThere} of them there; {verdict.TwoLeaders.Length} times two members acknowledged at one time"
        );
        foreach (var failure in verdict.Failures)
        {
            Line($"FAILED: {failure}");
        }

        if (verdict.Lost.Length > 0)
        {
            Line($"missing: {string.Join(", ", verdict.Lost.Take(20))}{(verdict.Lost.Length > 20 ? " …" : "")}");
        }

        Line($"{(verdict.Failures.IsEmpty ? "Passed" : "Failed")}.");
        return text.ToString();

        void Line(FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
    }

    /// <summary>The gaps by kind of event, as a table in Markdown; each cell has the events of that kind in their order; of the gaps over a
    /// second, those of the way that had more.</summary>
    public static string Markdown(HistoryVerdict verdict)
    {
        ArgumentNullException.ThrowIfNull(verdict);
        var text = new StringBuilder();
        text.Append("| event | ")
            .AppendJoin(" | ", verdict.History.Ways.Select(way => way.Way.Name + ", s"))
            .Append(" | gaps over 1 s | healthy again after, s | lost |\n| --- |");
        text.Insert(text.Length, " --- |", verdict.History.Ways.Length + 3).Append('\n');
        foreach (var kind in verdict.Events.GroupBy(one => one.Event.Kind).OrderBy(group => group.Key, StringComparer.Ordinal))
        {
            text.Append("| ").Append(kind.Key).Append(" | ");
            for (var way = 0; way < verdict.History.Ways.Length; way++)
            {
                text.AppendJoin(" / ", kind.Select(one => Seconds(one.Gaps[way].Longest))).Append(" | ");
            }

            text.AppendJoin(" / ", kind.Select(one => one.Gaps.Max(gaps => gaps.Noticed).ToString(CultureInfo.InvariantCulture)))
                .Append(" | ");
            text.AppendJoin(" / ", kind.Select(one => one.Event.Healthy is { } at ? Seconds(at - one.Event.Begun) : "never")).Append(" | ");
            text.AppendJoin(" / ", kind.Select(one => one.Lost.ToString(CultureInfo.InvariantCulture))).Append(" |\n");
        }

        return text.ToString();
    }

    /// <summary>All of it in one document.</summary>
    public static string Json(HistoryVerdict verdict)
    {
        ArgumentNullException.ThrowIfNull(verdict);
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteNumber("format_version", 1);
            json.WriteString("kind", "soak");
            json.WriteNumber("seed", verdict.History.Seed);
            json.WriteBoolean("synchronous", verdict.History.Synchronous);
            json.WriteBoolean("passed", verdict.Failures.IsEmpty);
            Number("ended_seconds", verdict.History.Ended);
            json.WriteNumber("acknowledged", verdict.Acknowledged);
            json.WriteNumber("unknown", verdict.Unknown);
            json.WriteNumber("unknown_there", verdict.UnknownThere);
            Strings("failures", verdict.Failures);
            Strings("lost", verdict.Lost);
            Strings("two_leaders", verdict.TwoLeaders);
            json.WriteStartArray("events");
            foreach (var one in verdict.Events)
            {
                json.WriteStartObject();
                json.WriteNumber("number", one.Event.Number);
                json.WriteString("event", one.Event.Kind);
                json.WriteString("what", one.Event.What);
                Number("begun_seconds", one.Event.Begun);
                Number("healthy_seconds", one.Event.Healthy);
                json.WriteStartObject("gap_seconds");
                foreach (var (way, gaps) in verdict.History.Ways.Zip(one.Gaps))
                {
                    Number(way.Way.Name, gaps.Longest);
                }

                json.WriteEndObject();
                json.WriteStartObject("gaps_over_1s");
                foreach (var (way, gaps) in verdict.History.Ways.Zip(one.Gaps))
                {
                    json.WriteNumber(way.Way.Name, gaps.Noticed);
                }

                json.WriteEndObject();
                json.WriteNumber("lost", one.Lost);
                json.WriteString("trouble", one.Event.Trouble);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();

            void Number(string name, TimeSpan? value)
            {
                if (value is { } span)
                {
                    json.WriteNumber(name, Math.Round(span.TotalSeconds, 3));
                }
                else
                {
                    json.WriteNull(name);
                }
            }

            void Strings(string name, IEnumerable<string> values)
            {
                json.WriteStartArray(name);
                foreach (var value in values)
                {
                    json.WriteStringValue(value);
                }

                json.WriteEndArray();
            }
        }

        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    /// <summary>The history itself, an attempt a line: way, number, sent, acknowledged, by whom, timeline, whether it is there.</summary>
    public static string History(SoakHistory history)
    {
        ArgumentNullException.ThrowIfNull(history);
        var text = new StringBuilder("way\tnumber\tsent\tacknowledged\tserver\ttimeline\tthere\n");
        foreach (var way in history.Ways)
        {
            foreach (var attempt in way.Attempts)
            {
                text.Append(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{way.Way.Name}\t{attempt.Number}\t{attempt.Sent.TotalSeconds:0.000}\t{attempt.Acknowledged?.TotalSeconds:0.000}\t{attempt.Server}\t{attempt.Timeline}\t{way.Present?.Contains(attempt.Number)}\n"
                    )
                );
            }
        }

        return text.ToString();
    }

    private static string Seconds(TimeSpan span) => span.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture);
}
