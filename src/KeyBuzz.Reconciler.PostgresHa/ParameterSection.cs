using System.Collections.Frozen;
using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Providers.PatroniConfig;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>Reads <c>parameters</c>: names in any case, values that PostgreSQL of the wanted version takes and Patroni passes on.</summary>
internal sealed class ParameterSection(int version, Findings findings, bool isArchiving = false, bool hasTls = false)
{
    private const string Patroni = "kbr or Patroni sets it";
    private const string Replicas = "Patroni sets it on replicas only, from its recovery_conf";
    private const string Transaction = "PostgreSQL accepts it only in a transaction, not from a file";

    // With backups they are one setting.
    private static readonly FrozenSet<string> s_archiving = new[] { "archive_mode", "archive_command", "archive_library" }.ToFrozenSet(
        StringComparer.Ordinal
    );

    // Anything else would be overwritten, ignored, or break the cluster.
    private static readonly FrozenDictionary<string, string> s_reserved = new (string Name, string Why)[]
    {
        ("listen_addresses", Patroni),
        ("port", Patroni),
        ("cluster_name", Patroni),
        ("config_file", Patroni),
        ("hba_file", Patroni),
        ("ident_file", Patroni),
        ("data_directory", Patroni),
        ("external_pid_file", Patroni),
        ("unix_socket_directories", Patroni),
        ("synchronous_standby_names", Patroni),
        ("primary_conninfo", Patroni),
        ("primary_slot_name", Patroni),
        ("promote_trigger_file", Patroni),
        ("trigger_file", Patroni),
        ("standby_mode", Patroni),
        ("recovery_target_timeline", Patroni),
        ("include", Patroni),
        ("include_dir", Patroni),
        ("include_if_exists", Patroni),
        ("restore_command", Replicas),
        ("archive_cleanup_command", Replicas),
        ("recovery_end_command", Replicas),
        ("recovery_min_apply_delay", Replicas),
        ("recovery_target", Replicas),
        ("recovery_target_action", Replicas),
        ("recovery_target_inclusive", Replicas),
        ("recovery_target_lsn", Replicas),
        ("recovery_target_name", Replicas),
        ("recovery_target_time", Replicas),
        ("recovery_target_xid", Replicas),
        ("pause_at_recovery_target", Replicas),
        ("transaction_isolation", Transaction),
        ("transaction_read_only", Transaction),
        ("transaction_deferrable", Transaction),
    }.ToFrozenDictionary(pair => pair.Name, pair => pair.Why, StringComparer.Ordinal);

    // The options that Patroni starts PostgreSQL with; below this minimum it uses its own default.
    private static readonly Dictionary<string, (double Least, string Shown)> s_least = new Dictionary<string, (double, string)>(
        StringComparer.Ordinal
    )
    {
        ["max_connections"] = (25, "25"),
        ["max_wal_senders"] = (3, "3"),
        ["wal_keep_size"] = (16, "16MB"),
        ["max_locks_per_transaction"] = (32, "32"),
        ["max_replication_slots"] = (4, "4"),
        ["max_worker_processes"] = (2, "2"),
        ["maintenance_work_mem"] = (1024, "1MB"),
    };

    // Patroni passes on what stands in its own list (available_parameters/0_postgres.yml of 4.0.7) and drops the rest with a line in its
    // log.
    private static readonly HashSet<(int Version, string Name)> s_unknownToPatroni = new[]
    {
        (16, "debug_logical_replication_streaming"),
        (16, "file_extend_method"),
        (16, "restrict_nonsystem_relation_kind"),
        (17, "composite_type_mismatch"),
        (17, "file_extend_method"),
        (17, "output_plugin_libraries"),
    }.ToHashSet();

    private readonly ParameterCatalog? _catalog = ParameterCatalog.Of(version);
    private readonly Dictionary<string, YamlScalar> _seen = new(StringComparer.Ordinal);

    /// <summary>The name in lower case and the value as it is stored; null when there is something wrong with them.</summary>
    public (string Name, string Value)? Read(YamlScalar key, YamlNode value)
    {
        var name = key.Value.ToLowerInvariant();
        if (
            name.Length == 0
            || !name.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter is '_' or '.')
            || char.IsAsciiDigit(name[0])
        )
        {
            findings.Error($"{key.Kind} cannot be the name of a parameter", key.At, "letters, digits, '_' and '.' only, as in pg_settings");
        }
        else if (!_seen.TryAdd(name, key))
        {
            findings.Error(
                $"the parameter '{key.Value}' is declared twice",
                key.At,
                $"PostgreSQL treats '{_seen[name].Value}' as the same",
                "remove one of them"
            );
        }
        else if (s_reserved.TryGetValue(name, out var why))
        {
            var instead = name switch
            {
                "synchronous_standby_names" => "; synchronous does it",
                "port" => "; ports.postgres sets it",
                _ => "",
            };
            findings.Error($"the parameter '{name}' cannot be set here", key.At, why, "remove it" + instead);
        }
        else if (isArchiving && s_archiving.Contains(name))
        {
            findings.Error(
                $"the parameter '{name}' cannot be set here",
                key.At,
                "kbr sets it: 'backup' archives WAL to its repositories",
                "remove it, or remove 'backup'"
            );
        }
        else if (hasTls && (name == "ssl" || name.StartsWith("ssl_", StringComparison.Ordinal)))
        {
            findings.Error($"the parameter '{name}' cannot be set here", key.At, "kbr sets TLS: 'tls'", "remove it, or 'tls'");
        }
        else if (value is not YamlScalar { IsNull: false } scalar || scalar.Value.Any(char.IsControl))
        {
            findings.Error($"the parameter '{name}' must be one line, not {value.Kind}", value.At);
        }
        else if (scalar.Value.Contains("${secret.", StringComparison.Ordinal))
        {
            findings.Error($"the parameter '{name}' may not hold a secret", scalar.At, "every role that can log in sees it in pg_settings");
        }
        else if (Value(name, key, scalar) is { } text)
        {
            return (name, text);
        }

        return null;
    }

    // An extension's parameter has a dot, and is known only to its library.
    private string? Value(string name, YamlScalar key, YamlScalar scalar)
    {
        if (_catalog is null || name.Contains('.', StringComparison.Ordinal))
        {
            return scalar.Value;
        }

        if (_catalog.Find(name) is not { } definition)
        {
            Unknown(name, key, scalar);
            return null;
        }

        if (definition.Context == "internal")
        {
            findings.Error($"the parameter '{name}' cannot be set", key.At, "it is read-only in PostgreSQL", "remove it");
            return null;
        }

        if (VolumeShare.PercentOf(name, scalar.Value) is { } percent)
        {
            return string.Create(CultureInfo.InvariantCulture, $"{percent}%");
        }

        if (definition.Refusal(scalar.Value) is var (problem, remedy))
        {
            findings.Error($"PostgreSQL does not accept {scalar.Kind} for '{name}'", scalar.At, $"it {problem}", remedy);
            return null;
        }

        if (s_unknownToPatroni.Contains((version, name)))
        {
            findings.Error(
                $"Patroni does not support the parameter '{name}'",
                key.At,
                "it would ignore it, with a line in its log",
                "remove it"
            );
            return null;
        }

        if (ByPatroni(name, definition, scalar.Value) is { } other)
        {
            findings.Error($"Patroni does not accept {scalar.Kind} for '{name}'", scalar.At, other);
            return null;
        }

        return definition.Spelled(scalar.Value);
    }

    private void Unknown(string name, YamlScalar key, YamlScalar value)
    {
        var summary = string.Create(CultureInfo.InvariantCulture, $"PostgreSQL {version} has no parameter '{key.Value}'");
        if (ParameterCatalog.Successor(name) is { } successor)
        {
            // Patroni reads the number of 16 MB segments so, too.
            var remedy =
                name == "wal_keep_segments" && int.TryParse(value.Value, CultureInfo.InvariantCulture, out var segments)
                    ? string.Create(CultureInfo.InvariantCulture, $"set wal_keep_size: {segments * 16L}MB")
                : successor.Length == 0 ? "remove it"
                : $"remove it; see {successor}";
            findings.Error(summary, key.At, "an earlier version had it", remedy);
        }
        else if (ParameterCatalog.FirstVersion(name) is { } first)
        {
            findings.Error(summary, key.At, string.Create(CultureInfo.InvariantCulture, $"PostgreSQL {first} introduced it"), "remove it");
        }
        else if (
            ParameterCatalog.Extensions.FirstOrDefault(extension => name.StartsWith(extension + "_", StringComparison.Ordinal)) is
            { } extension
        )
        {
            findings.Error(
                summary,
                key.At,
                $"the parameters of {extension} have a dot in their names",
                $"did you mean '{extension}.{name[(extension.Length + 1)..]}'?"
            );
        }
        else
        {
            findings.Unknown(summary, key.At, name, _catalog!.Names, "parameters are");
        }
    }

    private static string? ByPatroni(string name, ParameterDefinition definition, string text) =>
        name switch
        {
            "hot_standby" when ParameterValue.Boolean(text) == false => "it starts every member with 'on'",
            "wal_level" when string.Equals(text.Trim(), "minimal", StringComparison.OrdinalIgnoreCase) =>
                "replicas need 'replica' or 'logical'",
            _ when s_least.TryGetValue(name, out var least) && ParameterValue.Number(text, definition.Unit) < least.Least =>
                $"below {least.Shown} it uses its own default",
            _ => null,
        };
}
