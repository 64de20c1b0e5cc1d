using System.Collections.Immutable;
using System.Globalization;
using Npgsql;

namespace KeyBuzz.Reconciler.PostgresHa.Drill;

/// <summary>Writes numbered rows through one way, one after another, as an application does that connects again when its connection
/// fails.</summary>
/// <param name="way">The way.</param>
/// <param name="login">How it logs in there; asked for each connection, since a password may change meanwhile.</param>
/// <param name="clock">How long the drill has been running.</param>
/// <param name="time">The clock of its pace and deadlines.</param>
/// <param name="psql">Where each write is a login by psql in place of that; null elsewhere.</param>
internal sealed class DrillWriter(
    DrillWay way,
    Func<NpgsqlConnectionStringBuilder> login,
    Func<TimeSpan> clock,
    TimeProvider time,
    DrillPsql? psql = null
)
{
    /// <summary>How long it gives a login, and a write.</summary>
    public const int DeadlineSeconds = 2;

    private const string Insert = $"INSERT INTO {DrillTable.Name} (way, number)";
    private const string Returning =
        "RETURNING host(inet_server_addr()), ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint";

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(DeadlineSeconds);
    private static readonly TimeSpan s_pace = TimeSpan.FromMilliseconds(50);

    private readonly Lock _gate = new();
    private readonly List<WriteAttempt> _attempts = [];
    private string _trouble = "";

    /// <summary>The way.</summary>
    public DrillWay Way => way;

    /// <summary>The attempts so far.</summary>
    public ImmutableArray<WriteAttempt> Attempts
    {
        get
        {
            lock (_gate)
            {
                return [.. _attempts];
            }
        }
    }

    /// <summary>The last one that was acknowledged; null before the first.</summary>
    public WriteAttempt? LastAcknowledged
    {
        get
        {
            lock (_gate)
            {
                return _attempts.FindLast(attempt => attempt.Acknowledged is not null);
            }
        }
    }

    /// <summary>The message of the last failure; empty for none.</summary>
    public string Trouble
    {
        get
        {
            lock (_gate)
            {
                return _trouble;
            }
        }
    }

    /// <summary>Writes until it is stopped; the last attempt is finished.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        using var pace = new PeriodicTimer(s_pace, time);
        Session? session = null;
        try
        {
            for (var number = 1L; await NextAsync(pace, stop).ConfigureAwait(false); )
            {
                try
                {
                    session ??= psql is null ? await Session.OpenAsync(login(), time).ConfigureAwait(false) : null;
                    await WriteAsync(session, number++).ConfigureAwait(false);
                }
                catch (Exception exception) when (DrillTable.IsSqlFailure(exception) || exception is OperationCanceledException)
                {
                    lock (_gate)
                    {
                        _trouble = DrillTable.Said(exception);
                    }

                    session?.Abandon();
                    session = null;
                }
            }
        }
        finally
        {
            session?.Abandon();
        }
    }

    private static async Task<bool> NextAsync(PeriodicTimer pace, CancellationToken stop)
    {
        try
        {
            return await pace.WaitForNextTickAsync(stop).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private async Task WriteAsync(Session? session, long number)
    {
        var sent = clock();
        (string Server, long Timeline)? by = null;
        var warned = false;
        try
        {
            if (session is not null)
            {
                by = await session.InsertAsync(way.Name, number).WaitAsync(s_deadline, time).ConfigureAwait(false);
                warned = session.Warned;
            }
            else
            {
                var sql = string.Create(CultureInfo.InvariantCulture, $"{Insert} VALUES ('{way.Name}', {number}) {Returning}");
                var lines = await psql!.RunAsync(sql, CancellationToken.None).WaitAsync(s_deadline, time).ConfigureAwait(false);
                var row = DrillPsql.Rows(lines)[0];
                by = (row[0], long.Parse(row[1], CultureInfo.InvariantCulture));
                warned = DrillPsql.Warns(lines);
            }
        }
        finally
        {
            // A commit that came with a warning is on the leader alone.
            var answered = clock();
            lock (_gate)
            {
                _attempts.Add(
                    by is { } one && !warned
                        ? new WriteAttempt(number, sent, answered, one.Server) { Timeline = one.Timeline }
                        : new WriteAttempt(number, sent, null, null)
                );
            }
        }
    }

    /// <summary>One connection. A failed one is abandoned: the driver would first try to cancel the statement, through the endpoint that
    /// does not answer.</summary>
    private sealed class Session
    {
        private readonly NpgsqlDataSource _source;
        private readonly NpgsqlConnection _connection;

        private Session(NpgsqlDataSource source, NpgsqlConnection connection)
        {
            (_source, _connection) = (source, connection);
            _connection.Notice += (_, notice) => Warned |= notice.Notice.InvariantSeverity == "WARNING";
        }

        public bool Warned { get; private set; }

        public static async Task<Session> OpenAsync(NpgsqlConnectionStringBuilder login, TimeProvider time)
        {
            using var deadline = new CancellationTokenSource(s_deadline, time);
            var source = new NpgsqlSlimDataSourceBuilder(login.ConnectionString)
                .ConfigureTypeLoading(types => types.EnableTypeLoading(false))
                .Build();
            try
            {
                return new Session(source, await source.OpenConnectionAsync(deadline.Token).ConfigureAwait(false));
            }
            catch
            {
                await source.DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }

        public async Task<(string Server, long Timeline)> InsertAsync(string name, long number)
        {
            Warned = false;
            await using var command = new NpgsqlCommand($"{Insert} VALUES ($1, $2) {Returning}", _connection);
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = name });
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = number });
            await using var reader = await command.ExecuteReaderAsync().ConfigureAwait(false);
            await reader.ReadAsync().ConfigureAwait(false);
            var by = (reader.GetString(0), reader.GetInt64(1));

            // To its end: the row comes before the commit, and an error of the commit after the row.
            while (await reader.NextResultAsync().ConfigureAwait(false)) { }

            return by;
        }

        public void Abandon() =>
            _ = Task.Run(async () =>
            {
                try
                {
                    await _connection.DisposeAsync().ConfigureAwait(false);
                    await _source.DisposeAsync().ConfigureAwait(false);
                }
                catch (Exception exception)
                    when (DrillTable.IsSqlFailure(exception) || exception is InvalidOperationException or ObjectDisposedException)
                {
                    // It had failed before.
                }
            });
    }
}
