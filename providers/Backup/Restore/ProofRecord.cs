using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.Providers.Backup.Restore;

/// <summary>What came of the last restore that was made only to prove that one can be made, as the member has it on disk where it was
/// made.</summary>
/// <param name="At">When it ended.</param>
/// <param name="Target">The point that was restored to, as <see cref="RestoreTarget.Parse"/> reads it.</param>
/// <param name="Failure">Why it proves nothing; null where it does.</param>
/// <param name="Duration">How long the restore took until the database answered: the time to recover.</param>
public sealed record ProofRecord(DateTimeOffset At, string Target, string? Failure, TimeSpan Duration)
{
    private const int Format = 1;
    private const int MostBytes = 8192;
    private const int LongestFailure = 500;

    /// <summary>How many rows of the ledger were found, exactly those up to the target's second; null where the cluster has no
    /// ledger.</summary>
    public long? LedgerRows { get; init; }

    /// <summary>The file that has it.</summary>
    /// <param name="cluster">The cluster's name.</param>
    public static string PathOf(string cluster) => $"/var/log/kbr/proof-{cluster}.json";

    /// <summary>Reads it.</summary>
    /// <param name="cluster">The cluster's name.</param>
    public static FileRead Read(string cluster) => new(PathOf(cluster));

    /// <summary>The last proof that any member has; null for none.</summary>
    public static ProofRecord? Of(string cluster, IEnumerable<Snapshot> members) =>
        members
            .Where(snapshot => snapshot.Has(Read(cluster)))
            .Select(snapshot => snapshot.Get(Read(cluster)) is { } file ? Parse(file.Bytes.Span) : null)
            .OfType<ProofRecord>()
            .MaxBy(proof => proof.At);

    /// <summary>Reads its JSON; null where it is none, or says what no kbr wrote.</summary>
    public static ProofRecord? Parse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > MostBytes || JsonAnswer.Parse(Encoding.UTF8.GetString(bytes)) is not { } json)
        {
            return null;
        }

        return
            json.Number("format") == Format
            && DateTimeOffset.TryParseExact(json.Text("at"), "O", CultureInfo.InvariantCulture, DateTimeStyles.None, out var at)
            && json.Text("target") is { } target
            && RestoreTarget.Parse(target) is not null
            && json.Number("milliseconds") is >= 0 and var milliseconds
            ? new ProofRecord(at, target, Plain(json.Text("failure")), TimeSpan.FromMilliseconds(milliseconds))
            {
                LedgerRows = json.Number("ledger_rows"),
            }
            : null;
    }

    /// <summary>The script that writes it on a member: beside, synced, renamed.</summary>
    /// <param name="cluster">The cluster's name.</param>
    public Script Write(string cluster) => new(HostDocument.Write(PathOf(cluster), Json()));

    // It is shown on a terminal.
    private static string? Plain(string? text) =>
        text is null ? null
        : string.Concat(text.Select(letter => char.IsControl(letter) ? ' ' : letter)) is { Length: > LongestFailure } tooLong
            ? tooLong[..LongestFailure] + "…"
        : string.Concat(text.Select(letter => char.IsControl(letter) ? ' ' : letter));

    private string Json() => HostDocument.Json(Format, json =>
        {
            json.WriteString("at", At.ToUniversalTime().ToString("O", CultureInfo.InvariantCulture));
            json.WriteString("target", Target);
            json.WriteNumber("milliseconds", (long)Duration.TotalMilliseconds);
            if (Failure is { } failure)
            {
                json.WriteString("failure", Plain(failure));
            }

            if (LedgerRows is { } rows)
            {
                json.WriteNumber("ledger_rows", rows);
            }
        });
}
