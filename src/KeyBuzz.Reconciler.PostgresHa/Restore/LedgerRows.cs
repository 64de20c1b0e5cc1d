using System.Globalization;

namespace KeyBuzz.Reconciler.PostgresHa.Restore;

/// <summary>Rows of the ledger.</summary>
/// <param name="Count">How many.</param>
/// <param name="Last">The last one's number.</param>
/// <param name="Mark">Its hash over all before it.</param>
/// <param name="Near">Whether one was committed so near to the target that it may be in or out.</param>
internal sealed record LedgerRows(long Count, long Last, string Mark, bool Near)
{
    /// <summary>Asks whether there is a ledger: <c>t</c> or <c>f</c>.</summary>
    public const string IsThere = $"SELECT to_regclass('{ProofRun.Ledger}') IS NOT NULL";

    /// <summary>Asks for them, in one line with a bar between.</summary>
    /// <param name="until">Which of them.</param>
    /// <param name="near">Which are near.</param>
    public static string Query(string until, string near) =>
        $"SELECT count(*) FILTER (WHERE {until}), coalesce(max(number) FILTER (WHERE {until}), 0), "
        + $"coalesce((SELECT mark FROM {ProofRun.Ledger} WHERE {until} ORDER BY number DESC LIMIT 1), ''), "
        + $"count(*) FILTER (WHERE {near}) FROM {ProofRun.Ledger}";

    /// <summary>Asks for those up to a time.</summary>
    /// <param name="time">The time as PostgreSQL reads it.</param>
    public static string QueryAt(string time) =>
        Query($"at <= '{time}'", $"at BETWEEN timestamptz '{time}' - interval '2 s' AND timestamptz '{time}' + interval '2 s'");

    /// <summary>The answer; null for none.</summary>
    public static LedgerRows? Of(string output) =>
        output.Trim().Split('|') is [var count, var last, var mark, var near]
        && long.TryParse(count, CultureInfo.InvariantCulture, out var rows)
        && long.TryParse(last, CultureInfo.InvariantCulture, out var number)
            ? new LedgerRows(rows, number, mark, near is not ("0" or ""))
            : null;
}
