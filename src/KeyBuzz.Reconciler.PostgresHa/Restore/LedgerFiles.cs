using System.Globalization;

namespace KeyBuzz.Reconciler.PostgresHa.Restore;

/// <summary>The ledger that restores are compared with: a table of kbr's own with a numbered row each minute, each with a hash over the one
/// before, so that none can be missing, and none be another.</summary>
internal static class LedgerFiles
{
    /// <summary>The name of its timer and service, and of their resource.</summary>
    public const string Unit = "kbr-ledger";

    /// <summary>The name of its statements' file.</summary>
    public const string FileName = "ledger.sql";

    /// <summary>The statements of each minute, for psql; nothing on a replica.</summary>
    public static string Sql { get; } =
        $"""
            -- Written by kbr; a change by hand is drift.
            SELECT NOT pg_is_in_recovery() AS leads \gset
            \if :leads
            SET client_min_messages = warning;
            CREATE SCHEMA IF NOT EXISTS kbr;
            CREATE TABLE IF NOT EXISTS {ProofRun.Ledger} (number bigint PRIMARY KEY, at timestamptz NOT NULL, mark text NOT NULL);
            INSERT INTO {ProofRun.Ledger} (number, at, mark)
            SELECT now.number, now.at, encode(sha256(convert_to(now.mark || now.number || extract(epoch FROM now.at), 'UTF8')), 'hex')
            FROM (
              SELECT coalesce(last.number, 0) + 1 AS number, clock_timestamp() AS at, coalesce(last.mark, '') AS mark
              FROM (SELECT 1) one LEFT JOIN (SELECT number, mark FROM {ProofRun.Ledger} ORDER BY number DESC LIMIT 1) last ON true
            ) now;
            \endif

            """;

    /// <summary>The service. A minute without a row, as when the member does not run, is no failure.</summary>
    public static string Service(PostgresTopology topology) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"""
            # Written by kbr; a change by hand is drift.
            [Unit]
            Description=A row in the ledger of {topology.Scope}, where this member is the primary
            After=docker.service {PostgresTopology.PatroniContainer}.service

            [Service]
            Type=oneshot
            TimeoutStartSec=50
            ExecStart=-/usr/bin/docker exec {PostgresTopology.PatroniContainer} psql -X -q -v ON_ERROR_STOP=1 \
                -h {PostgresTopology.PostgresSocketDirectory} -p {topology.Ports.Postgres} -U {Quoted(topology.Superuser.Name)} \
                -d {ProofRun.LedgerDatabase} -f {PatroniFile.Directory}/{FileName}
            LogLevelMax=warning

            """
        );

    // As systemd.service(5) has it: specifiers and variables too.
    private static string Quoted(string word) =>
        '"'
        + word.Replace("\\", "\\\\", StringComparison.Ordinal)
            .Replace("\"", "\\\"", StringComparison.Ordinal)
            .Replace("%", "%%", StringComparison.Ordinal)
            .Replace("$", "$$", StringComparison.Ordinal)
        + '"';
}
