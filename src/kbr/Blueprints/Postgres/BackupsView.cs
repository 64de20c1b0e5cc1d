using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.Providers.Backup;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>Backups as a table and as JSON.</summary>
internal static class BackupsView
{
    /// <summary>Shows the backups of every repository, and the times that a restore can go to.</summary>
    public static void Show(Terminal terminal, PostgresTopology topology, BackupLook look, DateTimeOffset now)
    {
        var report = look.Report!;
        var backups = report
            .Repositories.SelectMany(pair => pair.Value.Backups.Select(backup => (Repository: pair.Key, Backup: backup)))
            .OrderBy(one => one.Backup.Ended)
            .ThenBy(one => one.Repository)
            .ToList();
        if (backups.Count > 0)
        {
            string[][] rows =
            [
                ["LABEL", "TYPE", "ENDED", "AGE", "SIZE", "IN REPOSITORY", "LSN", "REPOSITORY"],
                .. backups.Select(one => Row(one.Repository, one.Backup, now)),
            ];
            var widths = Enumerable.Range(0, rows[0].Length).Select(column => rows.Max(row => row[column].Length)).ToList();
            foreach (var (number, row) in rows.Index())
            {
                terminal.Line(
                    string.Join("  ", row.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd(),
                    number == 0 ? Terminal.Tone.Bold
                        : backups[number - 1].Backup.HasErrors ? Terminal.Tone.Removed
                        : Terminal.Tone.Plain
                );
            }

            terminal.Line();
        }

        foreach (var (at, repository) in topology.Backup!.Repositories.Index())
        {
            var held = report.Repositories.GetValueOrDefault(at + 1);
            var window = look.WindowOf(at + 1);
            var words =
                held is null ? $"not in the configuration of {BackupLook.Tool.Name}"
                : held.State == RepositoryState.Unreadable ? held.Message
                : held.State == RepositoryState.Missing ? "not prepared for this cluster: run kbr apply"
                : window?.InWords ?? "no backup yet: run kbr backup";
            terminal.HangingLine(
                $"{Number(at + 1)}  {repository.Label}: {words}",
                3,
                window is null ? Terminal.Tone.Changed : Terminal.Tone.Bold
            );
        }

        if (report.Running is { } running)
        {
            terminal.Line($"A backup is running on {look.Asked}{(running.Size is null ? "" : $": {Copied(running)}")}.");
        }
    }

    /// <summary>The backups as a JSON document.</summary>
    public static string Document(PostgresTopology topology, BackupLook look) => JsonView.Document("backups", json =>
        {
            json.WriteString("scope", topology.Scope);
            json.WriteBoolean("is_running", look.Report!.Running is not null);
            json.WriteStartArray("repositories");
            foreach (var (at, repository) in topology.Backup!.Repositories.Index())
            {
                var held = look.Report.Repositories.GetValueOrDefault(at + 1);
                var window = look.WindowOf(at + 1);
                json.WriteStartObject();
                json.WriteNumber("number", at + 1);
                json.WriteString("place", repository.Label);
                json.WriteString("state", held?.State.ToString().ToLowerInvariant() ?? "missing");
                json.WriteString("message", held?.Message ?? "");
                json.WriteString("system_identifier", held?.SystemIdentifier);
                json.WriteString("first_wal", held?.FirstWal);
                json.WriteString("last_wal", held?.LastWal);
                json.WriteString("restorable_from", window is null ? null : Time(window.From));
                if (window?.Ago is { } ago)
                {
                    json.WriteNumber("restorable_to_seconds_ago", (long)ago.TotalSeconds);
                }
                else
                {
                    json.WriteNull("restorable_to_seconds_ago");
                }

                json.WriteStartArray("backups");
                foreach (var backup in held?.Backups ?? [])
                {
                    Write(json, backup, null);
                }

                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndArray();
        });

    /// <summary>How far a backup is, in a line.</summary>
    public static string Progress(BackupProgress? running, TimeSpan since) =>
        $"{BackupWords.Age(since)}: "
        + (
            running is null ? "starts, or ends"
            : running.Size is null ? "waits for the checkpoint"
            : Copied(running)
        );

    /// <summary>Shows what was taken.</summary>
    public static void ShowTaken(
        Terminal terminal,
        bool json,
        PostgresTopology topology,
        string member,
        BackupKind kind,
        ImmutableArray<TakenBackup> taken,
        TimeSpan took
    )
    {
        if (json)
        {
            terminal.Line(JsonView.Document("backup", document =>
                {
                    document.WriteString("scope", topology.Scope);
                    document.WriteString("member", member);
                    document.WriteString("type", kind.Word());
                    document.WriteNumber("seconds", Math.Round(took.TotalSeconds, 3));
                    document.WriteStartArray("backups");
                    foreach (var one in taken)
                    {
                        Write(document, one.Backup, one.Repository);
                    }

                    document.WriteEndArray();
                }));
            return;
        }

        foreach (var (repository, backup) in taken)
        {
            terminal.Line(
                $"{backup.Label}  {backup.Kind.Word()}, {BackupWords.Size(backup.DatabaseSize)}, {BackupWords.Size(backup.RepositorySize)} "
                    + $"in repository {Number(repository)}, {BackupWords.Age(backup.Ended - backup.Begun)}",
                Terminal.Tone.Added
            );
        }
    }

    /// <summary>Shows what a check found.</summary>
    public static void ShowCheck(Terminal terminal, string member, ImmutableArray<CheckedRepository> found)
    {
        foreach (var one in found)
        {
            var held = one.Content is { Trouble: null } content ? $"{content.Backups} backups and {content.Segments} WAL segments" : "";
            terminal.HangingLine(
                $"{(one.Trouble is not null ? "unknown" : one.Problems.IsEmpty ? "ok     " : "NOT OK ")}  {Number(one.Number)}  {one.Label}"
                    + (held.Length == 0 ? "" : $": {held}, read on {member}"),
                12,
                one.Problems.IsEmpty && one.Trouble is null ? Terminal.Tone.Added : Terminal.Tone.Removed
            );
            foreach (var problem in one.Problems)
            {
                terminal.HangingLine($"            {problem}", 12, Terminal.Tone.Removed);
            }

            if (one.Trouble is not null)
            {
                terminal.HangingLine($"            not checked: {one.Trouble}", 12, Terminal.Tone.Removed);
            }
        }
    }

    /// <summary>The same as a JSON document.</summary>
    public static string CheckDocument(string scope, string member, ImmutableArray<CheckedRepository> found) =>
        JsonView.Document("backups_check", json =>
        {
            json.WriteString("scope", scope);
            json.WriteString("member", member);
            json.WriteStartArray("repositories");
            foreach (var one in found)
            {
                json.WriteStartObject();
                json.WriteNumber("number", one.Number);
                json.WriteString("place", one.Label);
                json.WriteString(
                    "verdict",
                    one.Trouble is not null ? "unknown"
                        : one.Problems.IsEmpty ? "ok"
                        : "not_ok"
                );
                json.WriteNumber("backups", one.Content?.Backups ?? 0);
                json.WriteNumber("segments", one.Content?.Segments ?? 0);
                json.WriteStartArray("problems");
                foreach (var problem in one.Problems)
                {
                    json.WriteStringValue(problem);
                }

                json.WriteEndArray();
                json.WriteString("not_checked", one.Trouble);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        });

    private static string[] Row(long repository, StoredBackup backup, DateTimeOffset now) =>
        [
            backup.Label,
            backup.Kind.Word() + (backup.HasErrors ? ", damaged" : ""),
            BackupWords.Time(backup.Ended),
            BackupWords.Age(now - backup.Ended),
            BackupWords.Size(backup.DatabaseSize),
            BackupWords.Size(backup.RepositorySize),
            $"{backup.StartLsn ?? "?"} - {backup.StopLsn ?? "?"}",
            Number(repository),
        ];

    private static string Copied(BackupProgress running) =>
        $"{BackupWords.Size(running.Done ?? 0)} of {BackupWords.Size(running.Size ?? 0)} copied";

    private static void Write(Utf8JsonWriter json, StoredBackup backup, long? repository)
    {
        json.WriteStartObject();
        if (repository is { } number)
        {
            json.WriteNumber("repository", number);
        }

        json.WriteString("label", backup.Label);
        json.WriteString("type", backup.Kind.Word());
        json.WriteString("began", Time(backup.Begun));
        json.WriteString("ended", Time(backup.Ended));
        json.WriteNumber("database_bytes", backup.DatabaseSize);
        json.WriteNumber("repository_bytes", backup.RepositorySize);
        json.WriteString("start_lsn", backup.StartLsn);
        json.WriteString("stop_lsn", backup.StopLsn);
        json.WriteString("first_wal", backup.FirstWal);
        json.WriteString("last_wal", backup.LastWal);
        json.WriteString("prior", backup.Prior);
        json.WriteBoolean("has_errors", backup.HasErrors);
        json.WriteEndObject();
    }

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);
}
