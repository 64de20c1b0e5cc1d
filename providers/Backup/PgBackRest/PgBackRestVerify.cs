using System.Collections.Immutable;
using System.Globalization;

namespace KeyBuzz.Reconciler.Providers.Backup.PgBackRest;

/// <summary>The output of pgBackRest's <c>verify</c>, which ends with status 0 whatever it found, and after it the names of the archived
/// segments and the history of the present timeline: <c>verify</c> compares checksums, and not whether segments are missing between two
/// timelines.</summary>
internal static class PgBackRestVerify
{
    /// <summary>The line before the names of the segments.</summary>
    public const string ListFollows = "kbr: WAL segments";

    /// <summary>The line before the history of the newest timeline; missing where there is none.</summary>
    public const string HistoryFollows = "kbr: timeline history";

    /// <summary>Makes a list of files one of segments, a name a line.</summary>
    public const string SegmentNames = "sed -nE 's,^(.*/)?([0-9A-F]{24})-[0-9a-f]{40}.*$,\\2,p'";

    private const string Status = "status: ";

    /// <summary>Judges it.</summary>
    public static RepositoryCheck Judge(string output, RepositoryReport report, Func<string, string> reason)
    {
        ArgumentNullException.ThrowIfNull(output);
        var lines = output.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0).ToList();
        var end = lines.IndexOf(ListFollows);
        var status = lines.Find(line => line.StartsWith(Status, StringComparison.Ordinal))?[Status.Length..];
        if (end < 0 || status is null)
        {
            return new RepositoryCheck(0, 0, [], reason(output));
        }

        var said = lines[..end];
        var rest = lines[(end + 1)..];
        var segments = rest.TakeWhile(line => line != HistoryFollows).ToList();
        var history = TimelineHistory.Parse(Newest(report), string.Join('\n', rest.Skip(segments.Count)));
        var present = history.IsKnown ? report.Backups.FirstOrDefault(history.Has) : null;
        var problems = ImmutableArray.CreateBuilder<string>();
        foreach (var (at, line) in said.Index())
        {
            if (line.StartsWith("No usable ", StringComparison.Ordinal))
            {
                problems.Add(line);
            }
            else if (Named(line, "backup: ") is { } backup && !line.Contains("status: valid", StringComparison.Ordinal))
            {
                problems.Add(
                    $"backup {backup}: {Counts(said, at) ?? line[(line.IndexOf(Status, StringComparison.Ordinal) + Status.Length)..]}"
                );
            }
            else if (Named(line, "archiveId: ") is { } archive && Counts(said, at) is { } counts)
            {
                problems.Add($"WAL of {archive}: {counts}");
            }
        }

        if (status != "ok" && problems.Count == 0)
        {
            problems.Add($"verify says {status}");
        }

        // The WAL of a database that a restore has replaced is not needed.
        if ((present ?? report.Backups.FirstOrDefault())?.FirstWal is { } first)
        {
            problems.AddRange(WalSegments.Gaps(segments, first, history).Select(gap => $"WAL is missing: {gap}"));
        }

        return new RepositoryCheck(said.Count(line => Named(line, "backup: ") is not null), segments.Count, problems.ToImmutable(), null);
    }

    /// <summary>The newest timeline in a repository: that of the present database, because each new one is numbered beyond those that the
    /// archive has.</summary>
    public static long Newest(RepositoryReport report) => TimelineHistory.Of(report.LastWal) ?? 1;

    private static string? Named(string line, string start) =>
        line.StartsWith(start, StringComparison.Ordinal) && line.IndexOf(',', StringComparison.Ordinal) is > 0 and var comma
            ? line[start.Length..comma]
            : null;

    // "missing: 1, checksum invalid: 0, size invalid: 0, other: 0" in the next line; null where all are zero.
    private static string? Counts(List<string> lines, int at)
    {
        if (at + 1 >= lines.Count || !lines[at + 1].StartsWith("missing: ", StringComparison.Ordinal))
        {
            return null;
        }

        var wrong = lines[at + 1]
            .Split(", ")
            .Select(one => one.Split(": "))
            .Where(one => one.Length == 2 && long.TryParse(one[1], CultureInfo.InvariantCulture, out var count) && count > 0)
            .Select(one => $"{one[1]} {(one[0] == "missing" ? "missing" : $"with {one[0]}")}")
            .ToList();
        return wrong.Count == 0 ? null : string.Join(", ", wrong);
    }
}
