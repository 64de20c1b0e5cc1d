using System.Globalization;
using System.Text.RegularExpressions;

namespace KeyBuzz.Reconciler.Providers.Backup.Restore;

/// <summary>The point that a database is restored to.</summary>
/// <param name="Kind">What names it.</param>
/// <param name="Value">The name: a time in UTC as PostgreSQL reads it, an LSN, a restore point; empty for the latest.</param>
public sealed record RestoreTarget(RestoreTargetKind Kind, string Value)
{
    private static readonly Regex s_lsn = new("^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$");
    private static readonly Regex s_day = new("^[0-9]{4}-[0-9]{2}-[0-9]{2}");
    private static readonly Regex s_zone = new("(Z|[+-][0-9]{2}:[0-9]{2})$");

    // +02 as PostgreSQL prints it.
    private static readonly Regex s_shortZone = new("(:[0-9.]+[+-][0-9]{2})$");
    private static readonly Regex s_name = new("^[A-Za-z_][A-Za-z0-9_.-]{0,62}$");

    private const string LatestWord = "latest";
    private const string TimeFormat = "yyyy-MM-dd HH:mm:ss.ffffff+00";
    private static readonly string[] s_zones = ["yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK", "yyyy-MM-dd'T'HH:mmK"];

    /// <summary>The end of what was archived.</summary>
    public static RestoreTarget Latest { get; } = new(RestoreTargetKind.Latest, "");

    /// <summary>The time, where it is one.</summary>
    public DateTimeOffset? Time =>
        Kind == RestoreTargetKind.Time
            ? DateTimeOffset.ParseExact(Value[..^3], TimeFormat[..^3], CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal)
            : null;

    /// <summary>As <see cref="Parse"/> reads it.</summary>
    public string Word => Kind == RestoreTargetKind.Latest ? LatestWord : Value;

    /// <summary>In words.</summary>
    public string Label =>
        Kind switch
        {
            RestoreTargetKind.Time => string.Create(CultureInfo.InvariantCulture, $"{Time:yyyy-MM-dd HH:mm:ss.FFFFFF} UTC"),
            RestoreTargetKind.Lsn => $"LSN {Value}",
            RestoreTargetKind.Name => $"restore point {Value}",
            _ => "the latest archived transaction",
        };

    /// <summary>A time.</summary>
    public static RestoreTarget At(DateTimeOffset time) =>
        new(RestoreTargetKind.Time, time.UtcDateTime.ToString(TimeFormat[..^3], CultureInfo.InvariantCulture) + "+00");

    /// <summary>Reads <c>latest</c>, a time with its zone (ISO 8601, also with a space), an LSN, or the name of a restore point
    /// (<c>pg_create_restore_point</c>); null where it is none of them, a time without a zone among them.</summary>
    public static RestoreTarget? Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text == LatestWord)
        {
            return Latest;
        }

        if (s_lsn.IsMatch(text))
        {
            return new RestoreTarget(RestoreTargetKind.Lsn, text.ToUpperInvariant());
        }

        if (s_day.IsMatch(text))
        {
            var zoned = s_shortZone.Replace(text.Replace(' ', 'T').Replace("TUTC", "Z", StringComparison.Ordinal), "$1:00");
            return
                DateTimeOffset.TryParseExact(zoned, s_zones, CultureInfo.InvariantCulture, DateTimeStyles.None, out var time)
                && s_zone.IsMatch(zoned)
                ? At(time)
                : null;
        }

        return s_name.IsMatch(text) ? new RestoreTarget(RestoreTargetKind.Name, text) : null;
    }
}

/// <summary>What names a point to restore to.</summary>
public enum RestoreTargetKind
{
    /// <summary>The end of the archive.</summary>
    Latest,

    /// <summary>A time: every transaction that committed until then.</summary>
    Time,

    /// <summary>A position in the WAL.</summary>
    Lsn,

    /// <summary>A named restore point.</summary>
    Name,
}
