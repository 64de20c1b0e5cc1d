using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>A replication slot and the WAL that it holds.</summary>
/// <param name="Name">Its name.</param>
/// <param name="IsActive">Whether its consumer is connected.</param>
/// <param name="HeldBytes">How much WAL it holds; null where it holds none.</param>
/// <param name="WalStatus">What PostgreSQL says of that WAL: <c>reserved</c>, <c>extended</c>, <c>unreserved</c> or <c>lost</c>.</param>
/// <param name="InactiveFor">For how long it has had no consumer; null where PostgreSQL does not tell (before version 17).</param>
internal sealed record SlotVitals(string Name, bool IsActive, long? HeldBytes, string? WalStatus, TimeSpan? InactiveFor)
{
    /// <summary>Whether the WAL that it needs is gone, or goes at the next checkpoint.</summary>
    public bool IsLost => WalStatus is "lost" or "unreserved";
}

/// <summary>How near a member's PostgreSQL is to its limits. Pure.</summary>
/// <param name="Host">The member.</param>
internal sealed record MemberVitals(string Host)
{
    /// <summary>One row. A column that not every version has is looked up in the row as JSON.</summary>
    public const string Query = """
        SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
          current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
            - coalesce(current_setting('reserved_connections', true)::bigint, 0) AS connections_limit,
          (SELECT max(age(datfrozenxid)) FROM pg_database) AS transaction_age,
          (SELECT max(mxid_age(datminmxid)) FROM pg_database) AS multixact_age,
          current_setting('autovacuum_freeze_max_age')::bigint AS transaction_freeze,
          current_setting('autovacuum_multixact_freeze_max_age')::bigint AS multixact_freeze,
          CASE current_setting('max_slot_wal_keep_size') WHEN '-1' THEN NULL ELSE pg_size_bytes(current_setting('max_slot_wal_keep_size')) END AS slot_limit,
          (SELECT json_agg(s ORDER BY name) FROM (
            SELECT slot_name AS name, active, to_jsonb(r) ->> 'wal_status' AS wal_status,
              pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)::bigint AS held,
              extract(epoch FROM now() - (to_jsonb(r) ->> 'inactive_since')::timestamptz)::bigint AS inactive_for
            FROM pg_replication_slots r WHERE NOT temporary) s) AS slots
        """;

    /// <summary>Sessions of clients.</summary>
    public long? Connections { get; init; }

    /// <summary>How many of them there can be, without those that are reserved for superusers.</summary>
    public long? ConnectionsLimit { get; init; }

    /// <summary>The age of the oldest transaction that is not frozen, and where autovacuum begins to freeze it.</summary>
    public (long Age, long Freeze)? Transactions { get; init; }

    /// <summary>The same of multixacts.</summary>
    public (long Age, long Freeze)? Multixacts { get; init; }

    /// <summary>How much WAL a slot may hold (<c>max_slot_wal_keep_size</c>); null for any.</summary>
    public long? SlotLimit { get; init; }

    /// <summary>Its replication slots.</summary>
    public ImmutableArray<SlotVitals> Slots { get; init; } = [];

    /// <summary>Reads the answer; null where PostgreSQL does not answer.</summary>
    public static MemberVitals? Of(string host, SqlAnswer answer) =>
        JsonAnswer.Rows(answer.Json) is not [var row, ..]
            ? null
            : new MemberVitals(host)
            {
                Connections = row.Number("connections"),
                ConnectionsLimit = row.Number("connections_limit"),
                Transactions = Ages(row, "transaction"),
                Multixacts = Ages(row, "multixact"),
                SlotLimit = row.Number("slot_limit"),
                Slots =
                [
                    .. row.Items("slots")
                        .Where(slot => slot.Text("name") is not null)
                        .Select(slot => new SlotVitals(
                            slot.Text("name")!,
                            slot.Boolean("active") == true,
                            slot.Number("held"),
                            slot.Text("wal_status"),
                            slot.Number("inactive_for") is { } seconds ? TimeSpan.FromSeconds(Math.Clamp(seconds, 0, int.MaxValue)) : null
                        )),
                ],
            };

    /// <summary>How many processes the kernel killed for lack of memory since it booted; null where it does not count them.</summary>
    public static long? OutOfMemoryKills(FileContent? kernelCounters) =>
        kernelCounters
            ?.Text.Split('\n')
            .Select(line => line.Split(' '))
            .Where(words => words is ["oom_kill", _])
            .Select(words => long.TryParse(words[1], CultureInfo.InvariantCulture, out var count) ? count : (long?)null)
            .FirstOrDefault();

    private static (long, long)? Ages(JsonElement row, string of) =>
        (row.Number(of + "_age"), row.Number(of + "_freeze")) is ({ } age, { } freeze) ? (age, freeze) : null;
}
