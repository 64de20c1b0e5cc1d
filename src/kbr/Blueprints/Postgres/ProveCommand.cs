using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.PostgresHa.Restore;
using KeyBuzz.Reconciler.Providers.Backup.Restore;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr backups prove</c>: restores to a second of the window only to see that it can be done.</summary>
internal static class ProveCommand
{
    private const string Word = "backups prove";

    public static Command Create(SessionContext context)
    {
        var at = new Option<string>("--at")
        {
            Description = "The time to restore to, with its zone; default: a random second of the window.",
        };
        var on = new Option<string>("--on") { Description = "The member that it is restored on; default: the replica with the most room." };
        var command = new Command(
            "prove",
            "Restore to a random second in a directory of its own on a member, check and compare it, and remove it. "
                + "Exit 0 proven, 2 it cannot be restored or is wrong, 1 not tried."
        )
        {
            at,
            on,
        }.With([.. context.Options.Hosts, context.Options.LockTimeout]);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                var (time, place) = (parsed.Read(at), parsed.Read(on));
                await using var session = context.Open(parsed, terminal);
                var topology = BackupCommand.Topology(session);
                var look = await BackupsCommand.LookAsync(session.Fleet, topology, stop).ConfigureAwait(false);
                var unusable = Unusable(look, topology);
                var named = unusable is not null || time is null ? null : Time(time).Time;
                if (unusable is null && time is null && look.Report?.Repositories.Values.Any(held => held.Good.Any()) != true)
                {
                    throw new DiagnosticException(
                        Diagnostic.Error(
                            $"there is no backup of {topology.Scope} to prove",
                            remedy: "run kbr backups; kbr backup takes one"
                        )
                    );
                }

                var member = await MemberAsync(session, topology, look, named, place, stop).ConfigureAwait(false);
                Host[] locked = [.. topology.Members.Where(one => one.Name == member || one.Name == look.Leader)];
                await using var group = await LockedGroup
                    .TakeAsync(session.Fleet, [.. locked], [], [], session.Holder(Word), session.Time, stop)
                    .ConfigureAwait(false);
                var run = new ProofRun(topology, group, member, json ? text => terminal.ErrorLine(text) : text => terminal.Line(text));
                var record = await (
                    unusable is null
                        ? run.RunAsync(named, window => Drawn(window, topology), look.Leader, look, stop)
                        : run.RefuteAsync(time is null ? RestoreTarget.Latest : Time(time), unusable, stop)
                ).ConfigureAwait(false);
                Show(terminal, topology.Scope, member, record, look, json);
                return record.Failure is null ? ExitCode.Done : ExitCode.Changes;
            }));
        return command;
    }

    // Where no repository has a backup that can be read, and not because none was taken.
    private static string? Unusable(BackupLook look, PostgresTopology topology)
    {
        var numbers = Enumerable.Range(1, topology.Backup!.Repositories.Length).ToList();
        var troubles = numbers.Select(number => ProofRun.RepositoryTrouble(look, number)).OfType<string>().ToList();
        return troubles.Count > 0 && numbers.TrueForAll(number => look.WindowOf(number) is null) ? string.Join("; ", troubles) : null;
    }

    private static RestoreTarget Time(string text) =>
        RestoreTarget.Parse(text) is { Kind: RestoreTargetKind.Time } target
            ? target
            : throw new DiagnosticException(
                Diagnostic.Error(
                    $"--at does not understand '{text}'",
                    remedy: "write a time with its zone, as in '2026-11-28 21:10:00+01' or 2026-11-28T20:10:00Z"
                )
            );

    private static DateTimeOffset Drawn(ProofWindow window, PostgresTopology topology) =>
        window.Seconds == 0
            ? throw new DiagnosticException(
                Diagnostic.Error(
                    $"there is no second to prove in the backups of {topology.Scope}",
                    detail: "every backup is of a database that a restore has replaced, or is too young for its WAL to be archived",
                    remedy: "run kbr backup --full, then kbr backups prove"
                )
            )
            : window.At(RandomNumberGenerator.GetInt32((int)Math.Min(window.Seconds, int.MaxValue)));

    // Where it hurts least: not beside the writers, and not where it would fill the volume.
    private static async Task<string> MemberAsync(
        Session session,
        PostgresTopology topology,
        BackupLook look,
        DateTimeOffset? at,
        string? named,
        CancellationToken stop
    )
    {
        var space = new DiskSpaceRead(topology.Directories.Data);
        var answers = await session.Fleet.ReadAsync(topology.Members, _ => [space], stop).ConfigureAwait(false);
        var free = answers
            .Where(pair => pair.Value.Snapshot is not null)
            .ToImmutableSortedDictionary(
                pair => pair.Key,
                pair => pair.Value.Snapshot!.Get(space)?.AvailableBytes ?? 0,
                StringComparer.Ordinal
            );
        if (named is not null && !free.ContainsKey(named))
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"'{named}' is not a member of {topology.Scope} that answers",
                    remedy: $"members are {string.Join(", ", topology.Members.Select(member => member.Name))}"
                )
            );
        }

        var needed = RestoreRoom.Spare + RestoreRoom.LargestBackup(look.Report, at is { } time ? RestoreTarget.At(time) : null);
        var member = named
            ?? free.Where(pair => pair.Key != look.Leader).OrderByDescending(pair => pair.Value).Select(pair => pair.Key).FirstOrDefault();
        return member is not null && free[member] >= needed
            ? member
            : throw new DiagnosticException(
                Diagnostic.Error(
                    member is null ? "no replica answers" : $"{member} has no room for a second copy of the database",
                    detail: member is null ? null : $"{BackupWords.Size(free[member])} free, {BackupWords.Size(needed)} needed",
                    remedy: "name a member with room by --on, or grow the volume; nothing was tried"
                )
            );
    }

    private static void Show(Terminal terminal, string scope, string member, ProofRecord record, BackupLook look, bool json)
    {
        if (json)
        {
            terminal.Line(JsonView.Document("backups_prove", document =>
                {
                    document.WriteString("scope", scope);
                    document.WriteString("member", member);
                    document.WriteString("target", record.Target);
                    document.WriteBoolean("proven", record.Failure is null);
                    document.WriteNumber("recovery_seconds", Math.Round(record.Duration.TotalSeconds, 3));
                    if (look.Archived.Ago is { } ago)
                    {
                        document.WriteNumber("archived_seconds_ago", Math.Round(ago.TotalSeconds));
                    }

                    if (record.LedgerRows is { } rows)
                    {
                        document.WriteNumber("ledger_rows", rows);
                    }

                    if (record.Failure is { } failure)
                    {
                        document.WriteString("failure", failure);
                    }
                }));
            return;
        }

        var point = RestoreTarget.Parse(record.Target)!.Label;
        if (record.Failure is { } why)
        {
            terminal.Line($"NOT proven: {scope} could not be restored to {point}: {why}", Terminal.Tone.Removed);
            return;
        }

        terminal.Line(
            string.Create(
                CultureInfo.InvariantCulture,
                $"Proven: {scope} was restored to {point} on {member} in {record.Duration.TotalSeconds:0.0} s"
            )
                + (
                    record.LedgerRows is { } count ? $"; the ledger has its {count} rows up to then"
                    : look.Leader is null ? "; there is no primary to compare the ledger with"
                    : "; the cluster has no ledger yet"
                ),
            Terminal.Tone.Added
        );
        if (look.Archived.Ago is { } since)
        {
            terminal.Line($"Of a loss of all members at this moment, the last {BackupWords.Age(since)} would not be in the archive.");
        }
    }
}
