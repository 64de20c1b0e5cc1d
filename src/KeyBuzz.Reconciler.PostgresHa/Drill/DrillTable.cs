using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using Npgsql;

namespace KeyBuzz.Reconciler.PostgresHa.Drill;

/// <summary>The table that a drill writes to, in a schema of its own in the application's database.</summary>
/// <param name="topology">The cluster.</param>
/// <param name="login">How to log in where the leader is reached.</param>
/// <param name="time">The clock.</param>
/// <param name="psql">Where each statement is a login by psql in place of that; null elsewhere.</param>
internal sealed class DrillTable(
    PostgresTopology topology,
    Func<NpgsqlConnectionStringBuilder> login,
    TimeProvider time,
    DrillPsql? psql = null
)
{
    /// <summary>The table, with its schema.</summary>
    public const string Name = DrillRun.Schema + ".rows";

    // Marks the schema as kbr's: one of that name without it is foreign.
    private const string Mark = "kbr drill: rows of a running drill; kbr drops this schema";

    /// <summary>How long a login and a statement may take.</summary>
    public const int TimeoutSeconds = 10;

    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(500);

    /// <summary>Creates it, after dropping the leftovers of an earlier drill whose kbr was killed. Throws <see
    /// cref="DiagnosticException"/>.</summary>
    public async Task CreateAsync(CancellationToken cancellationToken)
    {
        try
        {
            var owner = await QueryAsync(
                    $"SELECT nspname::text, coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace "
                        + $"WHERE nspname = '{DrillRun.Schema}'",
                    cancellationToken
                )
                .ConfigureAwait(false);
            if (owner is [[_, var mark]] && mark != Mark)
            {
                throw new DiagnosticException(
                    Diagnostic.Error(
                        $"the database {topology.ApplicationDatabase.Name} has a schema {DrillRun.Schema} that kbr did not make",
                        remedy: "rename it; the drill writes its rows to a schema of that name and drops it in the end"
                    )
                );
            }

            await ExecuteAsync(
                    $"""
                    DROP SCHEMA IF EXISTS {DrillRun.Schema} CASCADE;
                    CREATE SCHEMA {DrillRun.Schema};
                    COMMENT ON SCHEMA {DrillRun.Schema} IS '{Mark}';
                    CREATE TABLE {Name} (way text, number bigint, at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (way, number));
                    """,
                    cancellationToken
                )
                .ConfigureAwait(false);
        }
        catch (Exception exception) when (IsSqlFailure(exception))
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"the drill cannot make its table in {topology.ApplicationDatabase.Name} through "
                        + $"{DrillWay.Of(topology)[0].Endpoint}: {Said(exception)}",
                    remedy: "run kbr status to check SQL access; the cluster was not changed"
                )
            );
        }
    }

    /// <summary>The numbers that are in it, by way; null when it cannot be read within that time.</summary>
    public async Task<ImmutableDictionary<string, ImmutableHashSet<long>>?> ReadAsync(
        TimeSpan patience,
        CancellationToken cancellationToken
    )
    {
        var rows = new List<string[]>();
        return await TryAsync(
                async token => rows = await QueryAsync($"SELECT way, number::text FROM {Name}", token).ConfigureAwait(false),
                patience,
                cancellationToken
            )
            .ConfigureAwait(false)
            ? rows.GroupBy(row => row[0])
                .ToImmutableDictionary(
                    way => way.Key,
                    way => way.Select(row => long.Parse(row[1], CultureInfo.InvariantCulture)).ToImmutableHashSet(),
                    StringComparer.Ordinal
                )
            : null;
    }

    /// <summary>Drops it; answers whether that went through in that time.</summary>
    public Task<bool> DropAsync(TimeSpan patience, CancellationToken cancellationToken) =>
        TryAsync(
            token => ExecuteAsync($"SET client_min_messages = 'warning'; DROP SCHEMA IF EXISTS {DrillRun.Schema} CASCADE", token),
            patience,
            cancellationToken
        );

    /// <summary>Whether SQL failed, and not this program. On answers that it cannot follow, as of a server that ends in the middle of one,
    /// Npgsql throws whatever its reading runs into.</summary>
    public static bool IsSqlFailure(Exception exception) =>
        exception is not (OperationCanceledException or HostException or OutOfMemoryException);

    /// <summary>The message of a failure, without the sent data.</summary>
    public static string Said(Exception exception) => exception is PostgresException refused ? refused.MessageText : exception.Message;

    private Task<bool> TryAsync(Func<CancellationToken, Task> work, TimeSpan patience, CancellationToken cancellationToken)
    {
        return Poll.UntilAsync(OnceAsync, done => done, new PollPace(s_poll, patience), time, cancellationToken);

        async Task<bool> OnceAsync()
        {
            try
            {
                await work(cancellationToken).ConfigureAwait(false);
                return true;
            }
            catch (Exception exception) when (IsSqlFailure(exception))
            {
                return false;
            }
        }
    }

    private async Task ExecuteAsync(string sql, CancellationToken cancellationToken)
    {
        if (psql is not null)
        {
            await psql.RunAsync($"SET lock_timeout = '5s'; {sql}", cancellationToken).ConfigureAwait(false);
            return;
        }

        await using var source = Source();
        await using var connection = await source.OpenConnectionAsync(cancellationToken).ConfigureAwait(false);
        await using var command = new NpgsqlCommand($"SET lock_timeout = '5s'; {sql}", connection);
        await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
    }

    // Two columns of text.
    private async Task<List<string[]>> QueryAsync(string sql, CancellationToken cancellationToken)
    {
        if (psql is not null)
        {
            return DrillPsql.Rows(await psql.RunAsync(sql, cancellationToken).ConfigureAwait(false));
        }

        await using var source = Source();
        await using var connection = await source.OpenConnectionAsync(cancellationToken).ConfigureAwait(false);
        await using var command = new NpgsqlCommand(sql, connection);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        List<string[]> rows = [];
        while (await reader.ReadAsync(cancellationToken).ConfigureAwait(false))
        {
            rows.Add([reader.GetString(0), reader.GetString(1)]);
        }

        return rows;
    }

    private NpgsqlDataSource Source() =>
        new NpgsqlSlimDataSourceBuilder(login().ConnectionString).ConfigureTypeLoading(types => types.EnableTypeLoading(false)).Build();
}
