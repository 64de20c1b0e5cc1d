using System.Collections.Immutable;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;

/// <summary>Makes the primary acknowledge a commit only when all replicas have it, before all members are stopped together: whichever leads
/// afterwards has every acknowledged row. Nothing of it stays: the setting is taken out of the file as soon as the running server has it,
/// and that server is about to be stopped. Where it is not stopped after all, <see cref="LowerAsync"/> lowers the fence. A run that is
/// killed in between leaves it, and patroni_config finds it in the file or in the server.</summary>
internal static class CommitFence
{
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(15);
    private static readonly SqlStatement s_reset = SqlStatement.Run("ALTER SYSTEM RESET synchronous_standby_names");
    private static readonly SqlStatement s_reload = SqlStatement.Run("SELECT pg_catalog.pg_reload_conf()");

    /// <summary>Lowers it in a server that runs on. Answers null, or a sentence where that is not known to have happened.</summary>
    /// <param name="connection">How the members are reached.</param>
    /// <param name="leader">The primary.</param>
    /// <param name="access">The members.</param>
    public static async Task<string?> LowerAsync(ClusterConnection connection, string leader, IGroupAccess access)
    {
        try
        {
            await new LeaderSession(access, connection)
                .RunOnAsync(leader, [s_reset, s_reload], CancellationToken.None)
                .ConfigureAwait(false);
            return null;
        }
        catch (Exception exception) when (exception is TransientFailureException or HostException or ChangeFailedException)
        {
            // A start forgets a fence that the file has no more, and an apply finds any.
            return $"commits on {leader} may wait for every replica, until the next kbr apply, or ALTER SYSTEM RESET "
                + $"synchronous_standby_names and SELECT pg_reload_conf() there: {exception.Message}";
        }
    }

    /// <summary>Raises it, and returns once all replicas have every acknowledged row. Answers why that cannot be done yet, or
    /// null.</summary>
    /// <param name="connection">How the members are reached.</param>
    /// <param name="store">The name of the consensus store whose password changes.</param>
    /// <param name="leader">The primary.</param>
    /// <param name="replicas">The replicas that stream; at least one.</param>
    /// <param name="access">The members.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<RolloutTurn.Wait?> RaiseAsync(
        ClusterConnection connection,
        string store,
        string leader,
        ImmutableArray<string> replicas,
        IGroupAccess access,
        CancellationToken cancellationToken
    )
    {
        var session = new LeaderSession(access, connection);
        var all = $"ANY {replicas.Length} ({string.Join(", ", replicas.Select(SqlText.Identifier))})";
        try
        {
            await session
                .RunOnAsync(
                    leader,
                    [SqlStatement.Run($"ALTER SYSTEM SET synchronous_standby_names = {SqlText.Literal(all)}"), s_reload],
                    cancellationToken
                )
                .ConfigureAwait(false);
            // The replicas must also have the commits acknowledged before the fence.
            var begun = access.Time.GetTimestamp();
            if (
                await FlushedAsync("0/0", s_patience).ConfigureAwait(false) is { } acknowledged
                && await FlushedAsync(acknowledged, s_patience - access.Time.GetElapsedTime(begun)).ConfigureAwait(false) is not null
            )
            {
                await session.RunOnAsync(leader, [s_reset], cancellationToken).ConfigureAwait(false);
                return null;
            }

            await session.RunOnAsync(leader, [s_reset, s_reload], cancellationToken).ConfigureAwait(false);
            return new RolloutTurn.Wait(
                $"{leader} does not see all {replicas.Length} replicas streaming; {store}'s password is changed once they are in sync"
            );
        }
        catch (Exception exception)
            when (exception is TransientFailureException or HostException or ChangeFailedException or OperationCanceledException)
        {
            // Where the same is in the way, this is tried again from the beginning.
            var left = await LowerAsync(connection, leader, access).ConfigureAwait(false);
            var reason = left is null ? exception.Message : $"{exception.Message}; {left}";
            if (exception is TransientFailureException)
            {
                return new RolloutTurn.Wait(reason);
            }

            if (left is null || exception is OperationCanceledException)
            {
                throw;
            }

            throw new ChangeFailedException(reason, exception);
        }

        // Waits until all replicas are waited for and have flushed that much; answers what the primary has by then, or null.
        Task<string?> FlushedAsync(string acknowledged, TimeSpan patience) =>
            Poll.UntilAsync(
                () => LookAsync(acknowledged),
                flushed => flushed is not null,
                new PollPace(s_poll, patience),
                access.Time,
                cancellationToken
            );

        async Task<string?> LookAsync(string acknowledged)
        {
            var read = connection.Sql(
                $"SELECT {LeaderAnswer.InRecovery}, pg_current_wal_flush_lsn()::text AS flushed, (SELECT count(*) "
                    + $"FROM pg_stat_replication WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum') "
                    + $"AND application_name IN ({string.Join(", ", replicas.Select(SqlText.Literal))}) AND flush_lsn >= "
                    + $"{SqlText.Literal(acknowledged)}::pg_lsn) AS waited_for"
            );
            var answer = (await access.ReadAsync(leader, [read], cancellationToken).ConfigureAwait(false)).Get(read);
            return JsonAnswer.Rows(answer.Json) is [var row, ..] && row.Number("waited_for") >= replicas.Length
                ? row.Text("flushed")
                : null;
        }
    }
}
