using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;

namespace KeyBuzz.Reconciler.PostgresHa.Sections;

/// <summary>Reads the <c>pgbouncer</c> part.</summary>
internal sealed class PgBouncerSection(SectionReader section, Findings findings, SectionValues values)
{
    /// <summary>The settings; null without a usable image.</summary>
    /// <param name="hasTls">Whether kbr sets PgBouncer's TLS.</param>
    public PgBouncerSettings? Read(bool hasTls)
    {
        var own = section.Section("pgbouncer").Allow(PostgresSchema.PgBouncer);
        var settings = new PgBouncerSettings(
            ServiceImage.None,
            own.Integer("uid", 999, 1),
            own.Integer("gid", 999, 1),
            own.Port("port") ?? 6433,
            own.Choice("pool_mode", "transaction", ("session", "session"), ("transaction", "transaction"), ("statement", "statement")),
            own.Integer("max_client_conn", 500, 1),
            own.Integer("default_pool_size", 50, 1),
            own.Integer("min_pool_size", 10),
            own.Integer("reserve_pool_size", 5),
            own.Integer("reserve_pool_timeout", 3),
            own.Integer("max_db_connections", 100),
            own.Integer("max_user_connections", 50)
        )
        {
            Settings = Further(own.Section("settings"), hasTls),
        };
        return values.Image(own) is { } image ? settings with { Image = image } : null;
    }

    // PgBouncer itself says which values it takes, before the file is used; a name is known here already.
    private ImmutableSortedDictionary<string, string> Further(SectionReader own, bool hasTls)
    {
        var settings = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var (key, value) in own.Map.Entries)
        {
            if (PgBouncerNames.Owned.GetValueOrDefault(key.Value) is { } from)
            {
                findings.Error($"'{key.Value}' is not set in pgbouncer.settings", key.At, $"kbr sets it from {from}", "remove it");
            }
            else if (
                hasTls
                && (
                    key.Value.StartsWith("client_tls", StringComparison.Ordinal)
                    || key.Value.StartsWith("server_tls", StringComparison.Ordinal)
                )
            )
            {
                findings.Error($"'{key.Value}' is not set in pgbouncer.settings", key.At, "kbr sets it from 'tls'", "remove it, or 'tls'");
            }
            else if (
                key.Value.Length == 0
                || !key.Value.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter == '_')
            )
            {
                findings.Error(
                    $"{key.Kind} cannot be the name of a setting of PgBouncer",
                    key.At,
                    "lower-case letters, digits and '_' only, as in SHOW CONFIG"
                );
            }
            else if (value is not YamlScalar { IsNull: false } scalar || scalar.Value.Any(char.IsControl))
            {
                findings.Error($"PgBouncer's setting '{key.Value}' must be one line, not {value.Kind}", value.At);
            }
            else if (scalar.Value.Contains("${secret.", StringComparison.Ordinal))
            {
                findings.Error(
                    $"PgBouncer's setting '{key.Value}' may not hold a secret",
                    scalar.At,
                    "the statistics user can read it with SHOW CONFIG"
                );
            }
            else if (IsKnown(key))
            {
                settings[key.Value] = scalar.Value.Trim();
            }
        }

        return settings.ToImmutable();
    }

    // A newer PgBouncer may have settings that are not known here: only what looks like a typo is refused.
    private bool IsKnown(YamlScalar key)
    {
        if (PgBouncerNames.Known.Contains(key.Value))
        {
            return true;
        }

        var near = NearName.Of(key.Value, [.. PgBouncerNames.Known, .. PgBouncerNames.Owned.Keys]);
        if (near is not null && NearName.Distance(key.Value, near) <= 2)
        {
            findings.Error($"PgBouncer has no setting '{key.Value}'", key.At, null, $"did you mean '{near}'?");
            return false;
        }

        findings.Warning(
            $"PgBouncer 1.25 and older have no setting '{key.Value}'",
            key.At,
            "PgBouncer refuses a file with unknown settings",
            near is null ? null : $"did you mean '{near}'?"
        );
        return true;
    }
}
