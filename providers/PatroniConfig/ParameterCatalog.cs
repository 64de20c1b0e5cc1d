using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>The parameters that PostgreSQL of one version has, in its own words: parameters-VERSION.tsv, made by eng/parameter-tables.sh
/// from pg_settings of a real server.</summary>
public sealed class ParameterCatalog
{
    // Files of versions that were looked at.
    private static readonly Dictionary<int, Lazy<ParameterCatalog>> s_versions = new[] { 16, 17 }.ToDictionary(
        version => version,
        version => new Lazy<ParameterCatalog>(() => Load(version))
    );

    // Names that PostgreSQL still takes for another one, or had in earlier versions.
    private static readonly FrozenDictionary<string, string> s_former = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase)
    {
        ["sort_mem"] = "work_mem",
        ["vacuum_mem"] = "maintenance_work_mem",
        ["force_parallel_mode"] = "debug_parallel_query",
        ["wal_keep_segments"] = "wal_keep_size",
        ["checkpoint_segments"] = "max_wal_size",
        ["min_parallel_relation_size"] = "min_parallel_table_scan_size",
        ["vacuum_defer_cleanup_age"] = "hot_standby_feedback",
        ["replacement_sort_tuples"] = "",
        ["old_snapshot_threshold"] = "",
        ["stats_temp_directory"] = "",
        ["operator_precedence_warning"] = "",
        ["default_with_oids"] = "",
        ["db_user_namespace"] = "",
        ["trace_recovery_messages"] = "",
        ["vacuum_cleanup_index_scale_factor"] = "",
        ["sql_inheritance"] = "",
        ["ssl_renegotiation_limit"] = "",
    }.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);

    // New in PostgreSQL 18 (its release notes, E.4.3), which has no catalog yet.
    private static readonly FrozenSet<string> s_newIn18 = new[]
    {
        "autovacuum_vacuum_max_threshold",
        "autovacuum_worker_slots",
        "enable_distinct_reordering",
        "enable_self_join_elimination",
        "extension_control_path",
        "file_copy_method",
        "idle_replication_slot_timeout",
        "io_max_combine_limit",
        "io_max_concurrency",
        "io_method",
        "io_workers",
        "log_lock_failures",
        "max_active_replication_origins",
        "md5_password_warnings",
        "oauth_validator_libraries",
        "ssl_groups",
        "ssl_tls13_ciphers",
        "track_cost_delay_timing",
        "vacuum_max_eager_freeze_failure_rate",
        "vacuum_truncate",
    }.ToFrozenSet(StringComparer.OrdinalIgnoreCase);

    private readonly FrozenDictionary<string, ParameterDefinition> _definitions;

    private ParameterCatalog(IEnumerable<ParameterDefinition> definitions) =>
        _definitions = definitions.ToFrozenDictionary(definition => definition.Name, StringComparer.OrdinalIgnoreCase);

    /// <summary>All names, as pg_settings spells them.</summary>
    public IEnumerable<string> Names => _definitions.Values.Select(definition => definition.Name);

    /// <summary>The catalog of a version; null when there is none, and the running server has the word.</summary>
    public static ParameterCatalog? Of(int version) => s_versions.GetValueOrDefault(version)?.Value;

    /// <summary>The parameter of that name in any case; null when PostgreSQL has none.</summary>
    public ParameterDefinition? Find(string name) => _definitions.GetValueOrDefault(name);

    /// <summary>The name that a parameter of an earlier version has now, empty when nothing came after it; null when it never was
    /// one.</summary>
    public static string? Successor(string name) => s_former.GetValueOrDefault(name);

    /// <summary>Extensions whose parameters are often written with '_' in place of the dot.</summary>
    public static ImmutableArray<string> Extensions { get; } = ["auto_explain", "pg_hint_plan", "pg_stat_statements", "pgaudit"];

    /// <summary>The first version that is known to have the parameter; null when none is.</summary>
    public static int? FirstVersion(string name) =>
        s_versions.Keys.Order().Where(version => Of(version)!.Find(name) is not null).Cast<int?>().FirstOrDefault()
        ?? (s_newIn18.Contains(name) ? 18 : null);

    private static ParameterCatalog Load(int version)
    {
        var file = string.Create(CultureInfo.InvariantCulture, $"parameters-{version}.tsv");
        using var reader = EmbeddedTable.Open(file);
        return new ParameterCatalog(
            reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line[0] != '#').Select(Definition)
        );
    }

    private static ParameterDefinition Definition(string line)
    {
        var cells = line.Split('\t').Select(cell => cell == "-" ? null : cell).ToArray();
        return new ParameterDefinition(
            cells[0]!,
            cells[1]!,
            cells[2],
            cells[3]!,
            Number(cells[4]),
            Number(cells[5]),
            cells[6]?.Split(',') ?? []
        );
    }

    private static double? Number(string? text) => text is null ? null : double.Parse(text, CultureInfo.InvariantCulture);
}
