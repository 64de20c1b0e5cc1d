using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Restore;

/// <summary>Takes a cluster through the phases of a restore, on members whose locks are held. Every phase may be run again, whatever of it
/// was done before. Members are started by an apply, after <see cref="ExchangeAsync"/> and <see cref="ReturnAsync"/>.</summary>
/// <param name="topology">The cluster.</param>
/// <param name="cluster">Its health.</param>
/// <param name="group">Its members.</param>
/// <param name="say">Told what happens, a sentence each, for the operator.</param>
public sealed class RestoreRun(PostgresTopology topology, RunningCluster cluster, IGroupAccess group, Action<string> say)
{
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(1);

    /// <summary>Members of the cluster that are lost: the group is without them.</summary>
    public ImmutableArray<string> Lost { get; init; } = [];

    /// <summary>Gives the consensus store a new password, where a member is lost: it must not meet the others as one of them.</summary>
    public Func<Task> RenewPassword { get; init; } = () => Task.CompletedTask;

    /// <summary>The command that opens psql on the database that runs apart, as the superuser.</summary>
    /// <param name="topology">The cluster.</param>
    /// <param name="isTerminal">Whether a person types.</param>
    /// <param name="database">The database.</param>
    public static IEnumerable<string> PsqlApart(PostgresTopology topology, bool isTerminal, string database) =>
        new ApartServer(topology, ApartServer.OfRestore, "").PsqlCommand(isTerminal, database);

    /// <summary>The restore that the cluster is in; null for none.</summary>
    public async Task<RestoreJournal?> JournalAsync(CancellationToken cancellationToken)
    {
        var snapshots = await Task.WhenAll(
                group.Members.Select(member => group.ReadAsync(member.Name, [RestoreJournal.Read(topology.Scope)], cancellationToken))
            )
            .ConfigureAwait(false);
        return RestoreJournal.Of(topology.Scope, snapshots);
    }

    /// <summary>The present primary; null for none.</summary>
    public async Task<string?> LeaderAsync(CancellationToken cancellationToken) =>
        (await cluster.LookAsync(cancellationToken).ConfigureAwait(false)).Leader;

    /// <summary>The present primary, which is waited for; null for none.</summary>
    /// <param name="patience">For how long.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public Task<string?> LeaderAsync(TimeSpan patience, CancellationToken cancellationToken) =>
        Poll.UntilAsync(
            () => LeaderAsync(cancellationToken),
            one => one is not null,
            new PollPace(s_look, patience),
            group.Time,
            cancellationToken
        );

    /// <summary>What the repositories hold.</summary>
    public async Task<BackupLook> BackupsAsync(CancellationToken cancellationToken)
    {
        var snapshots = await Task.WhenAll(
                group.Members.Select(async member =>
                    (member.Name, await group.ReadAsync(member.Name, BackupLook.Reads(topology), cancellationToken).ConfigureAwait(false))
                )
            )
            .ConfigureAwait(false);
        return BackupLook.Of(topology, snapshots.ToDictionary(one => one.Name, one => one.Item2, StringComparer.Ordinal));
    }

    /// <summary>The bytes of each member's database, and of what is free beside it.</summary>
    public async Task<ImmutableSortedDictionary<string, (long Used, long Free)>> SizesAsync(CancellationToken cancellationToken)
    {
        var script = new RestoreScripts(topology, "").Sizes();
        var sizes = await Task.WhenAll(
                group.Members.Select(async member =>
                {
                    var words = (await RunAsync(member.Name, script, cancellationToken).ConfigureAwait(false)).Split(
                        [' ', '\n'],
                        StringSplitOptions.RemoveEmptyEntries
                    );
                    return (member.Name, Number(words.FirstOrDefault()), Number(words.LastOrDefault()));
                })
            )
            .ConfigureAwait(false);
        return sizes.ToImmutableSortedDictionary(one => one.Name, one => (one.Item2, one.Item3), StringComparer.Ordinal);
    }

    /// <summary>Writes on every member that a phase begins.</summary>
    public async Task<RestoreJournal> BeginAsync(RestoreJournal journal, RestorePhase phase, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(journal);
        var next = journal with { Phase = phase };
        await EachAsync(_ => next.Write(topology.Scope), cancellationToken).ConfigureAwait(false);
        return next;
    }

    /// <summary>Restores the database beside the present one, and runs it apart up to the target. Throws
    /// <see cref="DiagnosticException"/>.</summary>
    public async Task<RestoreJournal> PrepareAsync(RestoreJournal journal, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(journal);
        RefuseLost(journal.Member, "the database is restored there");
        var scripts = new RestoreScripts(topology, journal.Id);
        journal = await BeginAsync(journal with { Lost = Lost }, RestorePhase.Prepare, cancellationToken).ConfigureAwait(false);
        if (await LeaderAsync(cancellationToken).ConfigureAwait(false) is { } leader)
        {
            if (!journal.IsCopy && !journal.KeepsWrites)
            {
                await OnServersAsync(leader, scripts.RefuseWrites(), "it would take writes as the primary", cancellationToken)
                    .ConfigureAwait(false);
                say($"{leader} refuses writes");
            }

            await new ArchiveUpToNow(topology, group, leader, say).RunAsync(cancellationToken).ConfigureAwait(false);
        }

        await RunApartAsync(journal, scripts, cancellationToken).ConfigureAwait(false);
        say($"{journal.Member} runs the restored database apart, at {RestoreTarget.Parse(journal.Target)!.Label}");
        return await BeginAsync(journal, RestorePhase.Look, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Puts the restored database in the place of the present one, with every member stopped.</summary>
    public async Task<RestoreJournal> ExchangeAsync(RestoreJournal journal, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(journal);
        RefuseLost(journal.Member, "it has the restored database");
        var scripts = new RestoreScripts(topology, journal.Id);
        if (journal.Phase == RestorePhase.Look)
        {
            if (!await ExistsAsync(journal.Member, scripts.RestoredMark, cancellationToken).ConfigureAwait(false))
            {
                await RunApartAsync(journal, scripts, cancellationToken).ConfigureAwait(false);
                await Wait(scripts, journal.Member).PromoteAsync(cancellationToken).ConfigureAwait(false);
                await RunAsync(journal.Member, scripts.Finish(scripts.Restored, scripts.RestoredMark), cancellationToken)
                    .ConfigureAwait(false);
            }

            // After a failover since the restore began this one has the newest data, and may not be promoted yet.
            var leader = await LeaderAsync(journal.Former is null ? TimeSpan.Zero : topology.Times.WorstCase, cancellationToken)
                .ConfigureAwait(false);
            journal = journal with { Former = leader ?? journal.Former };
        }

        journal = await BeginAsync(journal with { Lost = Lost }, RestorePhase.Exchange, cancellationToken).ConfigureAwait(false);
        await FenceAsync(journal.Member, cancellationToken).ConfigureAwait(false);
        await StopAsync(scripts, cancellationToken).ConfigureAwait(false);
        await EachAsync(member => scripts.Exchange(member == journal.Member), cancellationToken).ConfigureAwait(false);
        say($"{journal.Member} has the restored database, and the former one lies beside it");
        return await BeginAsync(journal, RestorePhase.Open, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Puts the former database back, with every member stopped. Throws <see cref="DiagnosticException"/> where there was
    /// none.</summary>
    public async Task<RestoreJournal> ReturnAsync(RestoreJournal journal, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(journal);
        RefuseWithoutFormer(journal);
        var former = journal.Former!;
        RefuseLost(former, "it has the former database");
        var scripts = new RestoreScripts(topology, journal.Id);
        journal = await BeginAsync(journal with { Lost = Lost }, RestorePhase.Return, cancellationToken).ConfigureAwait(false);
        await FenceAsync(former, cancellationToken).ConfigureAwait(false);
        await StopAsync(scripts, cancellationToken).ConfigureAwait(false);
        if (
            await ExistsAsync(former, scripts.Former + "/PG_VERSION", cancellationToken).ConfigureAwait(false)
            && !await ExistsAsync(former, scripts.FormerMark, cancellationToken).ConfigureAwait(false)
        )
        {
            await RunAsync(former, scripts.StartFormer(), cancellationToken).ConfigureAwait(false);
            await Wait(scripts, former)
                .UntilAsync(look => look.Answers, "the former database to answer", cancellationToken)
                .ConfigureAwait(false);
            await Wait(scripts, former).PromoteAsync(cancellationToken).ConfigureAwait(false);
            await RunAsync(former, scripts.Finish(scripts.Former, scripts.FormerMark), cancellationToken).ConfigureAwait(false);
        }

        await EachAsync(member => scripts.Return(member == former), cancellationToken).ConfigureAwait(false);
        say($"{former} has the former database again; the other members copy from it");
        return await BeginAsync(journal, RestorePhase.Reopen, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Throws <see cref="DiagnosticException"/> where a restore has taken over from no database.</summary>
    public void RefuseWithoutFormer(RestoreJournal journal)
    {
        ArgumentNullException.ThrowIfNull(journal);
        if (journal is { Former: null, Phase: RestorePhase.Exchange or RestorePhase.Open or RestorePhase.Kept or RestorePhase.Return })
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{topology.Scope} had no database before this restore, so there is nothing to go back to",
                    remedy: "run kbr restore, which goes on; or kbr destroy for a new beginning"
                )
            );
        }
    }

    /// <summary>Removes what the restore made or kept, and lets every member take writes as a primary where the restore made them refuse
    /// writes.</summary>
    public async Task RemoveAsync(RestoreJournal journal, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(journal);
        var scripts = new RestoreScripts(topology, journal.Id);
        if (journal is { IsCopy: false, KeepsWrites: false })
        {
            var leader = await LeaderAsync(cancellationToken).ConfigureAwait(false);
            await OnServersAsync(leader, scripts.AllowWrites(), "it is removed from its file instead", cancellationToken)
                .ConfigureAwait(false);
            await EachAsync(_ => scripts.ForgetRefusal(), cancellationToken).ConfigureAwait(false);
        }

        await BeginAsync(journal, RestorePhase.Remove, cancellationToken).ConfigureAwait(false);
        await EachAsync(_ => scripts.Remove(), cancellationToken).ConfigureAwait(false);
    }

    private async Task RunApartAsync(RestoreJournal journal, RestoreScripts scripts, CancellationToken cancellationToken)
    {
        var target = RestoreTarget.Parse(journal.Target)!;
        await RunAsync(journal.Member, scripts.StartRestored(target), cancellationToken).ConfigureAwait(false);
        await Wait(scripts, journal.Member)
            .UntilAsync(look => look.IsPrimary || look.IsAtTarget, $"the database to reach {target.Label}", cancellationToken)
            .ConfigureAwait(false);
    }

    private void RefuseLost(string member, string why)
    {
        if (Lost.Contains(member))
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{member} is lost, and {why}: this run changed nothing",
                    remedy: $"bring {member} back; before the restored database takes over, kbr restore undo --lost {member} gives it up"
                )
            );
        }
    }

    // By its journal whoever was lost is known when it comes back, and set aside.
    private async Task FenceAsync(string goesOn, CancellationToken cancellationToken)
    {
        if (Lost.IsEmpty)
        {
            return;
        }

        await RenewPassword().ConfigureAwait(false);
        var snapshots = await Task.WhenAll(
                group.Members.Select(member => group.ReadAsync(member.Name, [RecoveryJournal.Read(topology.Scope)], cancellationToken))
            )
            .ConfigureAwait(false);
        var id = RecoveryJournal.IdAfter(group.Time.GetUtcNow(), RecoveryJournal.Newest(topology.Scope, snapshots));
        var script = new Script(new RecoveryJournal(id, goesOn, Lost, IsDone: true).Write(topology.Scope));
        await EachAsync(_ => script, cancellationToken).ConfigureAwait(false);
    }

    // The setting is each server's own file: a replica that becomes the primary must have it, too, and must not keep it.
    private async Task OnServersAsync(string? leader, Script script, string otherwise, CancellationToken cancellationToken)
    {
        var others = await Task.WhenAll(
                group
                    .Members.Where(member => member.Name != leader)
                    .Select(async member =>
                        (member.Name, await group.RunAsync(member.Name, script, cancellationToken).ConfigureAwait(false))
                    )
            )
            .ConfigureAwait(false);
        foreach (var (member, result) in others)
        {
            if (result.ExitCode != 0)
            {
                say($"{member}: {ApartServer.ReadOnlySetting} could not be changed, because its server does not answer; {otherwise}");
            }
        }

        if (leader is not null)
        {
            await RunAsync(leader, script, cancellationToken).ConfigureAwait(false);
        }
    }

    // The primary last, so that the others have everything it has.
    private async Task StopAsync(RestoreScripts scripts, CancellationToken cancellationToken)
    {
        var leader = await LeaderAsync(cancellationToken).ConfigureAwait(false);
        say("stopping every member, the primary last");
        await Task.WhenAll(
                group
                    .Members.Where(member => member.Name != leader)
                    .Select(member => RunAsync(member.Name, scripts.StopMember(), cancellationToken))
            )
            .ConfigureAwait(false);
        if (leader is not null)
        {
            await RunAsync(leader, scripts.StopMember(), cancellationToken).ConfigureAwait(false);
        }
    }

    private ApartWait Wait(RestoreScripts scripts, string member) => new(scripts.Apart, group, member, say);

    private async Task EachAsync(Func<string, Script> script, CancellationToken cancellationToken) =>
        await Task.WhenAll(group.Members.Select(member => RunAsync(member.Name, script(member.Name), cancellationToken)))
            .ConfigureAwait(false);

    private async Task<bool> ExistsAsync(string member, string path, CancellationToken cancellationToken) =>
        (await group.RunAsync(member, RestoreScripts.Exists(path), cancellationToken).ConfigureAwait(false)).ExitCode == 0;

    private async Task<string> RunAsync(string member, Script script, CancellationToken cancellationToken)
    {
        var result = await group.RunAsync(member, script, cancellationToken).ConfigureAwait(false);
        return result.ExitCode == 0
            ? result.Output
            : throw new DiagnosticException(
                Diagnostic.Error(
                    $"{member}: a step of the restore failed with status {result.ExitCode}",
                    detail: (result.Error.Trim().Length > 0 ? result.Error : result.Output).Trim(),
                    remedy: "mend that, then run kbr restore, which goes on; kbr restore undo goes back",
                    host: member
                )
            );
    }

    private static long Number(string? word) =>
        long.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;
}
