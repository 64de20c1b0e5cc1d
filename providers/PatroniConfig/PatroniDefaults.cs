using System.Collections.Frozen;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>The parameters that Patroni sets where none is stored (CMDLINE_OPTIONS of 4.0.7): all but <c>wal_keep_size</c> on PostgreSQL's
/// command line. Pure.</summary>
internal static class PatroniDefaults
{
    private static readonly FrozenDictionary<string, string> s_values = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["wal_level"] = "replica",
        ["hot_standby"] = "on",
        ["max_connections"] = "100",
        ["max_wal_senders"] = "10",
        ["max_prepared_transactions"] = "0",
        ["max_locks_per_transaction"] = "64",
        ["track_commit_timestamp"] = "off",
        ["max_replication_slots"] = "10",
        ["max_worker_processes"] = "8",
        ["wal_log_hints"] = "on",
        ["wal_keep_size"] = "128MB",
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>Patroni's value of a parameter, by its name in lower case; null where it sets none.</summary>
    public static string? Of(string name) => s_values.GetValueOrDefault(name);
}
