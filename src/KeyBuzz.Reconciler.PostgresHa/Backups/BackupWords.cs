using System.Globalization;

namespace KeyBuzz.Reconciler.PostgresHa.Backups;

/// <summary>Times and sizes as backups are listed with them.</summary>
public static class BackupWords
{
    /// <summary>A time, UTC.</summary>
    public static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);

    /// <summary>An age in its largest unit of which there are two.</summary>
    public static string Age(TimeSpan age) =>
        age.TotalDays >= 2 ? string.Create(CultureInfo.InvariantCulture, $"{age.TotalDays:0} d")
        : age.TotalHours >= 2 ? string.Create(CultureInfo.InvariantCulture, $"{age.TotalHours:0} h")
        : age.TotalMinutes >= 2 ? string.Create(CultureInfo.InvariantCulture, $"{age.TotalMinutes:0} min")
        : string.Create(CultureInfo.InvariantCulture, $"{Math.Max(age.TotalSeconds, 0):0} s");

    /// <summary>A number of bytes.</summary>
    public static string Size(long bytes) =>
        bytes switch
        {
            < 1024 => string.Create(CultureInfo.InvariantCulture, $"{bytes} B"),
            < 1024 * 1024 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0:0.#} KiB"),
            < 1024 * 1024 * 1024 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0 / 1024:0.#} MiB"),
            _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0 / 1024 / 1024:0.#} GiB"),
        };
}
