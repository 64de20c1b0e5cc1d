using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Records;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr backup</c>: takes a backup on the primary, into every repository.</summary>
internal static class BackupCommand
{
    /// <summary>The unit of a backup that is taken by hand.</summary>
    public const string Job = "kbr-backup";

    private const string Word = "backup";

    public static Command Create(SessionContext context)
    {
        var kinds = BackupKinds.All.ToDictionary(
            kind => kind,
            kind => new Option<bool>("--" + kind.Word())
            {
                Description = kind switch
                {
                    BackupKind.Full => "Copy the whole database.",
                    BackupKind.Differential => "Copy what changed since the last full backup.",
                    _ => "Copy what changed since the last backup; the default, full where there is none.",
                },
            }
        );
        var command = new Command(
            Word,
            "Take a backup on the primary, into every repository, and wait for it. Ctrl-C stops it. Exit 0 taken, 1 otherwise."
        ).With([.. BackupKinds.All.Select(kind => kinds[kind]), .. context.Options.Hosts, context.Options.LockTimeout]);
        command.Validators.Add(result =>
        {
            if (kinds.Values.Count(option => result.GetValue(option)) > 1)
            {
                result.AddError($"only one of {string.Join(", ", BackupKinds.All.Select(kind => "--" + kind.Word()))}");
            }
        });
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                var given = BackupKinds.All.Select(kind => (Kind: kind, IsGiven: parsed.Read(kinds[kind]))).ToList();
                var asked = given.Where(one => one.IsGiven).Select(one => (BackupKind?)one.Kind).FirstOrDefault();
                await using var session = context.Open(parsed, terminal);
                var topology = Topology(session);
                var look = await BackupsCommand.LookAsync(session.Fleet, topology, stop).ConfigureAwait(false);
                var (leader, report) = Ready(topology, look);
                var kind = asked ?? (report.Repositories.Values.All(one => one.Good.Any()) ? BackupKind.Incremental : BackupKind.Full);
                if (!json)
                {
                    terminal.Line($"{kind.Word()} backup of {topology.Scope}, on {leader}", Terminal.Tone.Changed);
                }

                // Ctrl-C stops the backup: nothing else is finished first.
                terminal.IsAsking = true;
                var begun = session.Time.GetUtcNow();
                var since = session.Time.GetTimestamp();
                var state = await RunAsync(session, topology, leader, kind, report, terminal, stop).ConfigureAwait(false);
                terminal.IsAsking = false;
                var after = await BackupsCommand.LookAsync(session.Fleet, topology, CancellationToken.None).ConfigureAwait(false);
                var taken = New(report, after.Report);
                var failed = state.ExitCode != 0 || taken.Select(one => one.Repository).Distinct().Count() < report.Repositories.Count;
                var reason =
                    !failed ? null
                    : state.ExitCode is null ? RemoteJob.CutOff
                    : BackupLook.Tool.Reason(state.Output);
                ImmutableArray<Diagnostic> warnings = await RecordAsync(session, leader, begun, taken, reason).ConfigureAwait(false);
                if (!failed || !taken.IsEmpty)
                {
                    var took = session.Time.GetElapsedTime(since);
                    BackupsView.ShowTaken(terminal, json, topology, leader, kind, taken, took);
                }

                if (reason is not null)
                {
                    throw BackupLook.Tool.IsBusy(state.Output)
                        ? RemoteJob.Busy(leader, Word)
                        : new DiagnosticException(
                            Diagnostic.Error(
                                $"{leader}: the backup failed: {reason}",
                                remedy: "kbr backups check tells whether every member reaches every repository",
                                host: leader
                            )
                        );
                }

                if (!json)
                {
                    DiagnosticView.Show(terminal, warnings);
                }

                return ExitCode.Done;
            }));
        return command;
    }

    /// <summary>The PostgreSQL cluster of the file. Throws <see cref="DiagnosticException"/> when it has no backups.</summary>
    public static PostgresTopology Topology(Session session) => WithBackup(SwitchoverCommand.Topology(session, Word), session.Cluster.File);

    /// <summary>The cluster itself. Throws <see cref="DiagnosticException"/> when it has no backups.</summary>
    public static PostgresTopology WithBackup(PostgresTopology topology, string file) =>
        topology.Backup is not null
            ? topology
            : throw new DiagnosticException(
                Diagnostic.Error(
                    $"{file} has no 'backup' in its 'postgres' section, so there are no backups",
                    remedy: "docs/backups.md says how to turn them on"
                )
            );

    private static (string Leader, BackupReport Report) Ready(PostgresTopology topology, BackupLook look)
    {
        if (look.Leader is not { } leader)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{topology.Scope} has no primary that can be asked, and backups are taken there",
                    remedy: "run kbr status"
                )
            );
        }

        var report = look.Reports[leader];
        var trouble = report.Trouble
            ?? Enumerable
                .Range(1, topology.Backup!.Repositories.Length)
                .Select(number =>
                    report.TroubleOf(number, look.SystemIdentifier ?? "", BackupLook.Tool.Name) is { } one
                        ? $"{topology.Backup.Repositories[number - 1].Label}: {one}"
                        : null
                )
                .FirstOrDefault(one => one is not null);
        if (trouble is not null)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{leader}: {trouble}",
                    remedy: report.IsSetUp ? "kbr plan shows whether kbr apply mends it" : "run kbr apply",
                    host: leader
                )
            );
        }

        return report.Running is null ? (leader, report) : throw RemoteJob.Busy(leader, Word);
    }

    private static async Task<ContainerJobState> RunAsync(
        Session session,
        PostgresTopology topology,
        string leader,
        BackupKind kind,
        BackupReport report,
        Terminal terminal,
        CancellationToken stop
    )
    {
        var location = BackupLook.LocationOf(topology);
        var read = BackupLook.Tool.Read(location);
        var job = new RemoteJob(
            session,
            topology.Members.First(member => member.Name == leader),
            new ContainerJob(Job, location.Container) { IsIdle = topology.Backup!.IsIdle },
            Word
        );
        var since = session.Time.GetTimestamp();
        try
        {
            return await job.RunAsync(
                    $"{kind.Word()} backup of {topology.Scope}",
                    BackupLook.Tool.Take(location, kind, report.Repositories.Keys),
                    [read],
                    snapshot =>
                        terminal.Region([
                            "  "
                                + BackupsView.Progress(
                                    BackupLook.Tool.Judge(snapshot.Get(read)).Running,
                                    session.Time.GetElapsedTime(since)
                                ),
                        ]),
                    stop
                )
                .ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            throw new DiagnosticException(
                Diagnostic.Error("interrupted: the backup was stopped", remedy: "the next one goes on with what was copied")
            );
        }
        finally
        {
            terminal.Region(ImmutableArray<string>.Empty);
        }
    }

    private static ImmutableArray<TakenBackup> New(BackupReport before, BackupReport? after) =>
        after is null
            ? []
            :
            [
                .. after.Repositories.SelectMany(pair =>
                    pair.Value.Backups.Where(backup =>
                            before.Repositories.GetValueOrDefault(pair.Key)?.Backups.Any(one => one.Label == backup.Label) != true
                        )
                        .Select(backup => new TakenBackup(pair.Key, backup))
                ),
            ];

    // Of the primary alone: it is where the backup was taken.
    private static async Task<ImmutableArray<Diagnostic>> RecordAsync(
        Session session,
        string leader,
        DateTimeOffset begun,
        ImmutableArray<TakenBackup> taken,
        string? reason
    )
    {
        var holder = session.Holder(Word);
        var entry = new HistoryEntry(
            Guid.NewGuid().ToString("n"),
            begun,
            session.Time.GetUtcNow(),
            Word,
            HistoryEntry.Word(holder.User),
            HistoryEntry.Word(holder.Machine),
            VersionCommand.Version,
            reason is null ? HistoryResult.Done
                : taken.IsEmpty ? HistoryResult.Failed
                : HistoryResult.Partly
        )
        {
            Hosts = [leader],
            DoneCount = taken.Length,
            FailedCount = reason is null ? 0 : 1,
            Done =
            [
                .. taken.Select(one =>
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{one.Backup.Kind.Word()} {one.Backup.Label} in repository {one.Repository}"
                    )
                ),
            ],
            Failed = reason is null ? [] : [HistoryEntry.Word(session.Cluster.Secrets.Mask(reason))],
        };
        var history = new HistoryWriter(session.Cluster.Name, VersionCommand.Version, session.Cluster.Secrets.Mask);
        try
        {
            var writer = await session.Fleet.OpenWriterAsync(leader, holder, 1, CancellationToken.None).ConfigureAwait(false);
            await using (writer.ConfigureAwait(false))
            {
                return await history
                    .WriteAsync(entry, new Dictionary<string, IHostWriter>(StringComparer.Ordinal) { [leader] = writer })
                    .ConfigureAwait(false);
            }
        }
        catch (HostException exception)
        {
            return [Diagnostic.Warning($"{leader}: the backup is not in the history: {exception.InFull}", host: leader)];
        }
    }
}

/// <summary>A backup that was just taken.</summary>
/// <param name="Repository">The number of its repository.</param>
/// <param name="Backup">The backup.</param>
internal sealed record TakenBackup(long Repository, StoredBackup Backup);
