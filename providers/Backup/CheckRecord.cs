using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>What the last reading of all that the repositories hold has found, as the member has it on disk that read.</summary>
/// <param name="At">When it ended.</param>
/// <param name="Problems">What is damaged or missing; none where all is well.</param>
public sealed record CheckRecord(DateTimeOffset At, ImmutableArray<string> Problems)
{
    private const int Format = 1;
    private const int MostBytes = 16384;
    private const int MostProblems = 10;
    private const int LongestProblem = 300;

    /// <summary>The file that has it.</summary>
    /// <param name="cluster">The cluster's name.</param>
    public static string PathOf(string cluster) => $"/var/log/kbr/backups-check-{cluster}.json";

    /// <summary>Reads it.</summary>
    /// <param name="cluster">The cluster's name.</param>
    public static FileRead Read(string cluster) => new(PathOf(cluster));

    /// <summary>The last one that any member has; null for none.</summary>
    public static CheckRecord? Of(string cluster, IEnumerable<Snapshot> members) =>
        members
            .Where(snapshot => snapshot.Has(Read(cluster)))
            .Select(snapshot => snapshot.Get(Read(cluster)) is { } file ? Parse(file.Bytes.Span) : null)
            .OfType<CheckRecord>()
            .MaxBy(check => check.At);

    /// <summary>Reads its JSON; null where it is none, or says what no kbr wrote.</summary>
    public static CheckRecord? Parse(ReadOnlySpan<byte> bytes) =>
        bytes.Length <= MostBytes
        && JsonAnswer.Parse(Encoding.UTF8.GetString(bytes)) is { } json
        && json.Number("format") == Format
        && DateTimeOffset.TryParseExact(json.Text("at"), "O", CultureInfo.InvariantCulture, DateTimeStyles.None, out var at)
            ? new CheckRecord(at, [.. json.Texts("problems").Select(Plain)])
            : null;

    /// <summary>The script that writes it on a member: beside, synced, renamed.</summary>
    /// <param name="cluster">The cluster's name.</param>
    public Script Write(string cluster) => new(HostDocument.Write(PathOf(cluster), Json()));

    // It is shown on a terminal.
    private static string Plain(string text)
    {
        var plain = string.Concat(text.Select(letter => char.IsControl(letter) ? ' ' : letter));
        return plain.Length > LongestProblem ? plain[..LongestProblem] + "…" : plain;
    }

    private string Json() => HostDocument.Json(Format, json =>
        {
            json.WriteString("at", At.ToUniversalTime().ToString("O", CultureInfo.InvariantCulture));
            json.WriteStartArray("problems");
            foreach (var problem in Problems.Take(MostProblems))
            {
                json.WriteStringValue(Plain(problem));
            }

            json.WriteEndArray();
        });
}
