using System.Collections.Immutable;
using System.Globalization;

namespace KeyBuzz.Reconciler.PostgresHa.Restore;

/// <summary>Rows of the ledger, from its first one on.</summary>
/// <param name="Count">How many.</param>
/// <param name="Last">The last one's number.</param>
/// <param name="Mark">Its hash over all before it.</param>
internal sealed record LedgerRows(long Count, long Last, string Mark)
{
    /// <summary>Asks whether there is a ledger: <c>t</c> or <c>f</c>.</summary>
    public const string IsThere = $"SELECT to_regclass('{ProofRun.Ledger}') IS NOT NULL";

    /// <summary>Asks for all of them, in one line with a bar between.</summary>
    public const string Query =
        $"SELECT count(*), coalesce(max(number), 0), "
        + $"coalesce((SELECT mark FROM {ProofRun.Ledger} ORDER BY number DESC LIMIT 1), '') FROM {ProofRun.Ledger}";

    /// <summary>Asks for those that a restore to a time may end with, a line each, the fewest first: a row's own time is a little before
    /// that of its commit, so one that is committed within two seconds of the time may be in or out.</summary>
    /// <param name="time">The time as PostgreSQL reads it.</param>
    public static string QueryAt(string time) =>
        "SELECT count, number, mark FROM ("
        + "SELECT row_number() OVER line AS count, number, mark, at, lead(at) OVER line AS next "
        + $"FROM {ProofRun.Ledger} WINDOW line AS (ORDER BY number) "
        + $"UNION ALL SELECT 0, 0, '', '-infinity', (SELECT min(at) FROM {ProofRun.Ledger})) rows "
        + $"WHERE at <= timestamptz '{time}' + interval '2 s' "
        + $"AND (next IS NULL OR next >= timestamptz '{time}' - interval '2 s') ORDER BY count";

    /// <summary>The answer; null for none.</summary>
    public static LedgerRows? Of(string line) =>
        line.Trim().Split('|') is [var count, var last, var mark]
        && long.TryParse(count, CultureInfo.InvariantCulture, out var rows)
        && long.TryParse(last, CultureInfo.InvariantCulture, out var number)
            ? new LedgerRows(rows, number, mark)
            : null;

    /// <summary>The answers, a line each.</summary>
    public static ImmutableArray<LedgerRows> AllOf(string lines)
    {
        ArgumentNullException.ThrowIfNull(lines);
        return [.. lines.Split('\n').Select(Of).OfType<LedgerRows>()];
    }
}
