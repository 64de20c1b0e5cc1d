using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr backups</c>: the backups in the repositories, and the times that a restore can go to. Changes nothing.</summary>
internal static class BackupsCommand
{
    private const string CheckWord = "backup check";

    public static Command Create(SessionContext context)
    {
        var command = new Command(
            "backups",
            "List the backups in every repository, and the times that a restore can go to. Changes nothing."
        ).With(context.Options.Hosts);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var cluster = context.Load(parsed, terminal, secretsOptional: true);
                await using var fleet = context.OpenFleet(parsed, cluster);
                var topology = cluster.Model<PostgresTopology>()
                    ?? throw new DiagnosticException(
                        Diagnostic.Error($"{cluster.File} has no 'postgres' section, so there are no backups")
                    );
                BackupCommand.WithBackup(topology, cluster.File);
                var look = await LookAsync(fleet, topology, stop).ConfigureAwait(false);
                if (look.Report is null)
                {
                    throw Unanswered(look);
                }

                if (parsed.Read(context.Options.Json))
                {
                    terminal.Line(BackupsView.Document(topology, look));
                }
                else
                {
                    BackupsView.Show(terminal, topology, look, context.Time.GetUtcNow());
                }

                return look.Report.Repositories.Values.Any(one => one.State == RepositoryState.Unreadable) ? ExitCode.Error : ExitCode.Done;
            }));
        command.Subcommands.Add(Check(context));
        command.Subcommands.Add(ProveCommand.Create(context));
        return command;
    }

    /// <summary>Asks the members. Those that cannot be read are missing in the answer.</summary>
    public static async Task<BackupLook> LookAsync(FleetReader fleet, PostgresTopology topology, CancellationToken cancellationToken)
    {
        var answers = await fleet.ReadAsync(topology.Members, _ => BackupLook.Reads(topology), cancellationToken).ConfigureAwait(false);
        return BackupLook.Of(
            topology,
            answers
                .Where(pair => pair.Value.Snapshot is not null)
                .ToDictionary(pair => pair.Key, pair => pair.Value.Snapshot!, StringComparer.Ordinal)
        );
    }

    private static Command Check(SessionContext context)
    {
        var command = new Command(
            "check",
            "Read all backups and WAL of every repository on a member, and ask every member for them. Exit 0 all well, "
                + "2 something is wrong, 1 could not be checked."
        ).With([.. context.Options.Hosts, context.Options.LockTimeout]);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                await using var session = context.Open(parsed, terminal);
                var topology = BackupCommand.Topology(session);
                var look = await LookAsync(session.Fleet, topology, stop).ConfigureAwait(false);
                if (look is not { Report: { } report, Asked: { } asked })
                {
                    throw Unanswered(look);
                }

                // A replica, where one can: it reads, and the primary has the writers.
                var member = look.Reports.Where(pair => pair.Key != look.Leader && pair.Value.Trouble is null)
                    .Select(pair => pair.Key)
                    .FirstOrDefault()
                    ?? asked;
                terminal.IsAsking = true;
                var found = ImmutableArray.CreateBuilder<CheckedRepository>();
                foreach (var (at, repository) in topology.Backup!.Repositories.Index())
                {
                    var held = report.Repositories.GetValueOrDefault(at + 1);
                    var troubles = look.TroublesOf(at + 1);
                    var unread = topology.Members.Where(one => !look.Reports.ContainsKey(one.Name)).Select(one => one.Name).ToList();
                    var content =
                        held is not { State: RepositoryState.Ready } ? null
                        : held.Backups.IsEmpty ? new RepositoryCheck(0, 0, ["it holds no backup: run kbr backup"], null)
                        : await VerifyAsync(session, topology, member, at + 1, held, terminal, stop).ConfigureAwait(false);
                    found.Add(
                        new CheckedRepository(
                            at + 1,
                            repository.Label,
                            [.. troubles, .. content?.Problems ?? []],
                            unread.Count > 0 ? $"{string.Join(", ", unread)} could not be asked" : content?.Trouble,
                            content
                        )
                    );
                }

                var all = found.ToImmutable();
                if (json)
                {
                    terminal.Line(BackupsView.CheckDocument(topology.Scope, member, all));
                }
                else
                {
                    BackupsView.ShowCheck(terminal, member, all);
                }

                if (await RecordAsync(session, topology, member, all).ConfigureAwait(false) is { } unrecorded)
                {
                    DiagnosticView.Show(terminal, [unrecorded]);
                }

                return all.Any(one => one.Trouble is not null) ? ExitCode.Error
                    : all.Any(one => !one.Problems.IsEmpty) ? ExitCode.Changes
                    : ExitCode.Done;
            }));
        return command;
    }

    // For status, which reads no repository as a whole. What was not checked says nothing.
    private static async Task<Diagnostic?> RecordAsync(
        Session session,
        PostgresTopology topology,
        string member,
        ImmutableArray<CheckedRepository> all
    )
    {
        if (all.Any(one => one.Content is null or { Trouble: not null }))
        {
            return null;
        }

        var problems = all.SelectMany(one =>
            one.Content!.Problems.Select(problem =>
                all.Length == 1 ? problem : string.Create(CultureInfo.InvariantCulture, $"repository {one.Number}: {problem}")
            )
        );
        try
        {
            var writer = await session
                .Fleet.OpenWriterAsync(member, session.Holder(CheckWord), parallelism: 1, CancellationToken.None)
                .ConfigureAwait(false);
            await using (writer.ConfigureAwait(false))
            {
                var result = await writer
                    .RunAsync(new CheckRecord(session.Time.GetUtcNow(), [.. problems]).Write(topology.Scope), CancellationToken.None)
                    .ConfigureAwait(false);
                return result.ExitCode == 0 ? null : Unrecorded(result.Error.Trim());
            }
        }
        catch (HostException exception)
        {
            return Unrecorded(exception.InFull);
        }

        Diagnostic Unrecorded(string reason) =>
            Diagnostic.Warning($"{member}: this result is not recorded there, and kbr status does not have it: {reason}", host: member);
    }

    private static async Task<RepositoryCheck> VerifyAsync(
        Session session,
        PostgresTopology topology,
        string member,
        long number,
        RepositoryReport held,
        Terminal terminal,
        CancellationToken stop
    )
    {
        var location = BackupLook.LocationOf(topology);
        var job = new RemoteJob(
            session,
            topology.Members.First(one => one.Name == member),
            new ContainerJob("kbr-backup-check", location.Container),
            CheckWord
        );
        var since = session.Time.GetTimestamp();
        try
        {
            var state = await job.RunAsync(
                    $"check of the backups of {topology.Scope}",
                    BackupLook.Tool.Verify(location, number, held),
                    [],
                    _ => terminal.Region([$"  {member} reads repository {number}, {BackupWords.Age(session.Time.GetElapsedTime(since))}"]),
                    stop
                )
                .ConfigureAwait(false);
            return state.ExitCode is null
                ? new RepositoryCheck(0, 0, [], RemoteJob.CutOff)
                : BackupLook.Tool.JudgeVerify(state.Output, held);
        }
        catch (OperationCanceledException)
        {
            throw new DiagnosticException(Diagnostic.Error("interrupted: the check was stopped"));
        }
        finally
        {
            terminal.Region(ImmutableArray<string>.Empty);
        }
    }

    private static DiagnosticException Unanswered(BackupLook look) =>
        new(
            look.Reports.IsEmpty
                ? [Diagnostic.Error("no member could be asked", remedy: "run kbr status")]
                :
                [
                    .. look.Reports.Select(pair =>
                        Diagnostic.Error(
                            $"{pair.Key}: {BackupLook.Tool.Name}: {pair.Value.Trouble}",
                            remedy: pair.Value.IsSetUp ? null : "run kbr apply",
                            host: pair.Key
                        )
                    ),
                ]
        );
}

/// <summary>What was found about a repository.</summary>
/// <param name="Number">Its number.</param>
/// <param name="Label">Its place in words.</param>
/// <param name="Problems">What is wrong or missing.</param>
/// <param name="Trouble">What could not be checked; null where all was.</param>
/// <param name="Content">What it holds; null where that was not read.</param>
internal sealed record CheckedRepository(
    long Number,
    string Label,
    ImmutableArray<string> Problems,
    string? Trouble,
    RepositoryCheck? Content
);
