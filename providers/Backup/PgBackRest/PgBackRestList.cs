using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.Providers.Backup.PgBackRest;

/// <summary>The backups in the JSON of pgBackRest's <c>info</c> (https://pgbackrest.org/command.html#command-info).</summary>
internal static class PgBackRestList
{
    /// <summary>Adds to a repository its backups and the ends of its archive, of the database that archives now.</summary>
    public static RepositoryReport Of(JsonElement stanza, JsonElement repository, RepositoryReport report)
    {
        var key = repository.Number("key");
        var database = stanza
            .Items("db")
            .Where(one => one.Number("repo-key") == key)
            .Select(one => one.Number("id") ?? 0)
            .DefaultIfEmpty()
            .Max();
        var archive = stanza
            .Items("archive")
            .Where(IsOfIt)
            .Select(one => (Id: one.Text("id"), First: one.Text("min"), Last: one.Text("max")))
            .FirstOrDefault();
        return report with
        {
            Backups =
            [
                .. stanza
                    .Items("backup")
                    .Where(IsOfIt)
                    .Select(Backup)
                    .OfType<StoredBackup>()
                    .OrderBy(backup => backup.Ended)
                    .ThenBy(backup => backup.Label, StringComparer.Ordinal),
            ],
            ArchiveId = archive.Id,
            FirstWal = archive.First,
            LastWal = archive.Last,
            Cipher = repository.Text("cipher"),
        };

        bool IsOfIt(JsonElement one) => one.At("database") is { } its && its.Number("repo-key") == key && its.Number("id") == database;
    }

    /// <summary>The backup that the member takes now.</summary>
    public static BackupProgress? Running(JsonElement stanza) =>
        stanza.At("status", "lock", "backup") is { } held && held.Boolean("held") == true
            ? new BackupProgress(held.Number("size-cplt"), held.Number("size"))
            : null;

    /// <summary>pgBackRest's word for a kind.</summary>
    public static string TypeOf(BackupKind kind) =>
        kind switch
        {
            BackupKind.Full => "full",
            BackupKind.Differential => "diff",
            _ => "incr",
        };

    private static StoredBackup? Backup(JsonElement backup) =>
        backup.Text("label") is { } label
        && backup.At("timestamp") is { } timestamp
        && timestamp.Number("start") is { } start
        && timestamp.Number("stop") is { } stop
            ? new StoredBackup(
                label,
                backup.Text("type") switch
                {
                    "full" => BackupKind.Full,
                    "diff" => BackupKind.Differential,
                    _ => BackupKind.Incremental,
                },
                DateTimeOffset.FromUnixTimeSeconds(start),
                DateTimeOffset.FromUnixTimeSeconds(stop),
                backup.At("info")?.Number("size") ?? 0,
                backup.At("info", "repository")?.Number("delta") ?? 0
            )
            {
                StartLsn = backup.At("lsn")?.Text("start"),
                StopLsn = backup.At("lsn")?.Text("stop"),
                FirstWal = backup.At("archive")?.Text("start"),
                LastWal = backup.At("archive")?.Text("stop"),
                HasErrors = backup.Boolean("error") == true,
                Prior = backup.Text("prior"),
            }
            : null;
}
