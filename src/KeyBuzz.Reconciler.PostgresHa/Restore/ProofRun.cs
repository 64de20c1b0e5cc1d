using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Restore;

/// <summary>Proves that the backups can be restored: restores one to a second of the window into a directory of its own on a member,
/// bounded in CPU and memory, compares what comes out of it with the cluster, and removes it.</summary>
/// <param name="topology">The cluster.</param>
/// <param name="group">Its members; only the lock of the one that it runs on is held.</param>
/// <param name="member">That member.</param>
/// <param name="say">Told what happens, a sentence each, for the operator.</param>
public sealed class ProofRun(PostgresTopology topology, IGroupAccess group, string member, Action<string> say)
{
    /// <summary>The schema and the table of the ledger.</summary>
    public const string Ledger = "kbr.ledger";

    /// <summary>The database that has it.</summary>
    public const string LedgerDatabase = "postgres";

    /// <summary>Flags of <c>docker run</c> that bound it.</summary>
    internal const string Limits = "--cpus 1 --cpu-shares 128 --memory 1g ";

    private static readonly TimeSpan s_check = TimeSpan.FromHours(2);
    private static readonly TimeSpan s_list = TimeSpan.FromMinutes(30);

    // What was written in these last seconds may not be archived yet.
    private static readonly TimeSpan s_notArchived = TimeSpan.FromSeconds(90);

    /// <summary>Runs it. What proves nothing is in the record; a <see cref="DiagnosticException"/> says that it could not be
    /// tried.</summary>
    /// <param name="at">The time to restore to; null for one that is drawn.</param>
    /// <param name="draw">Draws it.</param>
    /// <param name="leader">The primary, which the ledger is compared with; null for none.</param>
    /// <param name="look">The repositories.</param>
    /// <param name="cancellationToken">Ends it; what it made is removed.</param>
    public async Task<ProofRecord> RunAsync(
        DateTimeOffset? at,
        Func<ProofWindow, DateTimeOffset> draw,
        string? leader,
        BackupLook look,
        CancellationToken cancellationToken
    )
    {
        ArgumentNullException.ThrowIfNull(draw);
        ArgumentNullException.ThrowIfNull(look);
        var begin = group.Time.GetUtcNow();
        var id = RestoreJournal.IdOf(begin);
        var scripts = new ProofScripts(topology, id, Limits);
        await YieldingAsync(scripts.Yield(), cancellationToken).ConfigureAwait(false);
        // Before a second is drawn: after a restore its timeline is in the archive from here on.
        var segment = at is null ? await ArchivedAsync(leader, cancellationToken).ConfigureAwait(false) : null;
        var history = at is null ? await HistoryAsync(look, segment, cancellationToken).ConfigureAwait(false) : null;
        var target = at ?? draw(new ProofWindow(Held(look), history ?? throw WithoutHistory(), begin - s_notArchived));
        var expected = leader is null ? [] : await ExpectedAsync(leader, target, cancellationToken).ConfigureAwait(false);
        if (at is not null)
        {
            segment = await ArchivedAsync(leader, cancellationToken).ConfigureAwait(false);
            history = await HistoryAsync(look, segment, cancellationToken).ConfigureAwait(false);
        }

        var point = RestoreTarget.At(target);
        if (await HoleAsync(target, segment, history, look, cancellationToken).ConfigureAwait(false) is { } hole)
        {
            return await RefuteAsync(point, hole, cancellationToken).ConfigureAwait(false);
        }

        await YieldingAsync(scripts.Clear(), cancellationToken).ConfigureAwait(false);
        try
        {
            var begun = group.Time.GetTimestamp();
            say($"restoring {point.Label} on {member}");
            await RunAsync(scripts.Start(point), cancellationToken).ConfigureAwait(false);
            var wait = new ApartWait(scripts.Server, group, member, say);
            var (failure, rows, duration) = ((string?)null, (long?)null, TimeSpan.Zero);
            try
            {
                await wait.UntilAsync(look => look.IsPrimary || look.IsAtTarget, $"the database to reach {point.Label}", cancellationToken)
                    .ConfigureAwait(false);
                duration = group.Time.GetElapsedTime(begun);
                say(string.Create(CultureInfo.InvariantCulture, $"it answers after {duration.TotalSeconds:0.0} s"));
                (failure, rows) = await CompareAsync(scripts, expected, look.SystemIdentifier, cancellationToken).ConfigureAwait(false);
                if (failure is null)
                {
                    await wait.PromoteAsync(cancellationToken).ConfigureAwait(false);
                    say("checking every table and index");
                    failure = await FailureAsync(scripts.CheckRelations(), cancellationToken).ConfigureAwait(false);
                }

                if (failure is null)
                {
                    say("checking every page's checksum");
                    failure = await FailureAsync(scripts.CheckPages(), cancellationToken).ConfigureAwait(false);
                }
            }
            catch (DiagnosticException exception)
            {
                var found = exception.Diagnostics[0];
                failure = found.Detail is { Length: > 0 } detail ? $"{found.Summary}: {detail}" : found.Summary;
                duration = group.Time.GetElapsedTime(begun);
            }

            if (failure is not null)
            {
                await ThereAsync(scripts, failure, cancellationToken).ConfigureAwait(false);
            }

            var record = new ProofRecord(group.Time.GetUtcNow(), point.Word, failure, duration) { LedgerRows = rows };
            await RunAsync(record.Write(topology.Scope), cancellationToken).ConfigureAwait(false);
            return record;
        }
        finally
        {
            await group.RunAsync(member, scripts.Remove(), CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>Records a proof that failed without a restore.</summary>
    /// <param name="point">The point that was to be restored.</param>
    /// <param name="failure">Why it proves nothing.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<ProofRecord> RefuteAsync(RestoreTarget point, string failure, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(point);
        var record = new ProofRecord(group.Time.GetUtcNow(), point.Word, failure, TimeSpan.Zero);
        await RunAsync(record.Write(topology.Scope), cancellationToken).ConfigureAwait(false);
        return record;
    }

    // The last segment of WAL, once all until now is archived; null without a primary.
    private async Task<string?> ArchivedAsync(string? leader, CancellationToken cancellationToken) =>
        leader is null ? null : await new ArchiveUpToNow(topology, group, leader, say).RunAsync(cancellationToken).ConfigureAwait(false);

    private static ImmutableArray<RepositoryReport> Held(BackupLook look) => [.. look.Report?.Repositories.Values ?? []];

    // Of the present database: its timeline is that of the last segment, or of the newest one that was looked at. Null where the archive
    // does not give it.
    private async Task<TimelineHistory?> HistoryAsync(BackupLook look, string? segment, CancellationToken cancellationToken)
    {
        var held = look.Report?.Repositories ?? ImmutableSortedDictionary<long, RepositoryReport>.Empty;
        var timeline = TimelineHistory.Of(segment) ?? 1;
        foreach (var repository in held.Values)
        {
            timeline = Math.Max(timeline, TimelineHistory.Of(repository.LastWal) ?? 1);
        }

        // The first timeline has no history.
        if (timeline == 1 || held.IsEmpty)
        {
            return TimelineHistory.Parse(timeline, "");
        }

        var script = new ProofScripts(topology, "", "").History(held.Where(pair => pair.Value.ArchiveId is not null), timeline);
        var result = await group.RunAsync(member, script, cancellationToken).ConfigureAwait(false);
        return result.ExitCode == 0 ? TimelineHistory.Parse(timeline, result.Output) : null;
    }

    private DiagnosticException WithoutHistory() =>
        new(
            Diagnostic.Error(
                $"{member}: the history of the present timeline is in no repository, and not on this member",
                remedy: "run kbr backups check; kbr backups prove --at TIME needs no history; nothing was tried",
                host: member
            )
        );

    // Recovery stops at a segment that is missing, and a restore to an earlier second does not see that.
    private async Task<string?> HoleAsync(
        DateTimeOffset target,
        string? segment,
        TimelineHistory? history,
        BackupLook look,
        CancellationToken cancellationToken
    )
    {
        foreach (var (number, held) in look.Report?.Repositories.ToArray() ?? [])
        {
            if (
                look.Reports.GetValueOrDefault(member) is { } report
                && report.TroubleOf(number, look.SystemIdentifier ?? "", BackupLook.Tool.Name) is { } trouble
            )
            {
                return $"repository {number}: {report.FaultOf(number).WithRemedy(trouble)}";
            }

            var bases = held.Good.Where(backup => backup.Ended < target && history?.Has(backup) != false);
            if (bases.MaxBy(backup => backup.Ended)?.FirstWal is not { } first)
            {
                continue;
            }

            var names = (
                await RunAsync(new ProofScripts(topology, "", "").Segments(number, held) with { Deadline = s_list }, cancellationToken)
                    .ConfigureAwait(false)
            ).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            var gaps = WalSegments.Gaps(names, first, history);
            if (!gaps.IsEmpty)
            {
                return $"repository {number} lacks WAL that a restore needs: {string.Join(", ", gaps)}";
            }

            if (segment is not null && names.All(name => WalSegments.IsBefore(name, segment)))
            {
                return $"PostgreSQL archived {segment}, and repository {number} does not have it: "
                    + "its archive_command answers without storing";
            }
        }

        return null;
    }

    /// <summary>Why nothing can be restored from a repository as the members see it; null where it can.</summary>
    public static string? RepositoryTrouble(BackupLook look, long number)
    {
        ArgumentNullException.ThrowIfNull(look);
        return look.TroublesOf(number) is { IsEmpty: false } troubles
            ? string.Create(CultureInfo.InvariantCulture, $"repository {number}: {string.Join("; ", troubles)}")
            : null;
    }

    private async Task<(string? Failure, long? Rows)> CompareAsync(
        ProofScripts scripts,
        ImmutableArray<LedgerRows> expected,
        string? systemIdentifier,
        CancellationToken cancellationToken
    )
    {
        var identifier = (
            await AskAsync(scripts, "SELECT system_identifier FROM pg_control_system()", cancellationToken).ConfigureAwait(false)
        ).Trim();
        if (systemIdentifier is not null && identifier != systemIdentifier)
        {
            return ($"it is another database: its system identifier is {identifier}, the cluster's {systemIdentifier}", null);
        }

        if (expected is not [var fewest, ..] || expected[^1] is not { } most)
        {
            return (null, null);
        }

        if (fewest.Count == 0 && (await AskAsync(scripts, LedgerRows.IsThere, cancellationToken).ConfigureAwait(false)).Trim() == "f")
        {
            return (null, 0);
        }

        var found = LedgerRows.Of(await AskAsync(scripts, LedgerRows.Query, cancellationToken).ConfigureAwait(false));
        return found is null ? ("the ledger is missing in it", null)
            : expected.Contains(found) ? (null, found.Count)
            : expected.Any(rows => (rows.Count, rows.Last) == (found.Count, found.Last))
                ? ($"row {found.Last} of the ledger is another one than the cluster's: its hash over all before it differs", found.Count)
            : (
                $"the ledger has {found.Count} rows up to number {found.Last}, and the cluster had {most.Count} up to {most.Last}",
                found.Count
            );
    }

    // Empty for a cluster without a ledger.
    private async Task<ImmutableArray<LedgerRows>> ExpectedAsync(string leader, DateTimeOffset target, CancellationToken cancellationToken)
    {
        // Only a primary that says so has no ledger.
        if (await AskLeaderAsync(LedgerRows.IsThere).ConfigureAwait(false) is { ExitCode: 0, Output: var there } && there.Trim() == "f")
        {
            return [];
        }

        var result = await AskLeaderAsync(LedgerRows.QueryAt(RestoreTarget.At(target).Value)).ConfigureAwait(false);
        return result.ExitCode == 0 && LedgerRows.AllOf(result.Output) is { IsEmpty: false } rows
            ? rows
            : throw new DiagnosticException(
                Diagnostic.Error(
                    $"{leader}: the ledger cannot be read, so that what is restored cannot be compared with it",
                    detail: (result.Output + result.Error).Trim(),
                    remedy: "run kbr status; nothing was tried",
                    host: leader
                )
            );

        Task<ScriptResult> AskLeaderAsync(string query) =>
            group.RunAsync(leader, new RestoreScripts(topology, "").Ask(LedgerDatabase, query), cancellationToken);
    }

    private async Task<string> AskAsync(ProofScripts scripts, string query, CancellationToken cancellationToken) =>
        await RunAsync(scripts.Server.Query(query, LedgerDatabase), cancellationToken).ConfigureAwait(false);

    // The member's timer holds no lock.
    private async Task YieldingAsync(Script script, CancellationToken cancellationToken)
    {
        var result = await group.RunAsync(member, script, cancellationToken).ConfigureAwait(false);
        if (result.ExitCode == 0)
        {
            return;
        }

        throw new DiagnosticException(
            result.ExitCode == ProofScripts.OtherRuns
                ? Diagnostic.Error(
                    $"{member}: a scheduled proof is running",
                    remedy: $"wait for it, or end it there with systemctl stop {ProofProgram.Unit}; nothing was tried",
                    host: member
                )
                : Failed(result)
        );
    }

    // What fails because its container was removed refutes nothing.
    private async Task ThereAsync(ProofScripts scripts, string failure, CancellationToken cancellationToken)
    {
        if ((await group.RunAsync(member, scripts.IsThere(), cancellationToken).ConfigureAwait(false)).ExitCode != 0)
        {
            throw new DiagnosticException(
                Diagnostic.Error($"{member}: {scripts.Server.Container} was removed meanwhile", detail: failure, host: member)
            );
        }
    }

    private Diagnostic Failed(ScriptResult result) =>
        Diagnostic.Error($"{member}: a step of the proof failed with status {result.ExitCode}", detail: result.Error.Trim(), host: member);

    private async Task<string?> FailureAsync(Script script, CancellationToken cancellationToken)
    {
        var result = await group.RunAsync(member, script with { Deadline = s_check }, cancellationToken).ConfigureAwait(false);
        return result.ExitCode == 0 ? null : (result.Output + result.Error).Trim();
    }

    private async Task<string> RunAsync(Script script, CancellationToken cancellationToken)
    {
        var result = await group.RunAsync(member, script, cancellationToken).ConfigureAwait(false);
        return result.ExitCode == 0 ? result.Output : throw new DiagnosticException(Failed(result));
    }
}
