using System.Collections.Immutable;
using Npgsql;

namespace KeyBuzz.Reconciler.PostgresHa.Drill;

/// <summary>Writes numbered rows through one way, one after another, as an application does that connects again when its connection fails.</summary>
/// <param name="topology">The cluster.</param>
/// <param name="way">The way.</param>
/// <param name="port">The port on this machine that leads there.</param>
/// <param name="clock">The drill's clock.</param>
internal sealed class DrillWriter(PostgresTopology topology, DrillWay way, int port, Func<TimeSpan> clock)
{
    private const int DeadlineSeconds = 2;
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(DeadlineSeconds);
    private static readonly TimeSpan s_pace = TimeSpan.FromMilliseconds(50);

    private readonly Lock _gate = new();
    private readonly List<WriteAttempt> _attempts = [];
    private string _trouble = "";

    /// <summary>The way.</summary>
    public DrillWay Way => way;

    /// <summary>What was tried so far.</summary>
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

    /// <summary>What the last failure said; empty when there was none.</summary>
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

    /// <summary>Writes until it is told to stop; the last attempt is finished.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        await using var source = new NpgsqlSlimDataSourceBuilder(ApplicationLogin.Settings(topology, port, "kbr drill " + way.Name, DeadlineSeconds, 30).ConnectionString)
            .ConfigureTypeLoading(types => types.EnableTypeLoading(false)).Build();
        using var pace = new PeriodicTimer(s_pace);
        Session? session = null;
        try
        {
            for (var number = 1L; await NextAsync(pace, stop).ConfigureAwait(false);)
            {
                try
                {
                    session ??= await Session.OpenAsync(source).ConfigureAwait(false);
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

    private async Task WriteAsync(Session session, long number)
    {
        var sent = clock();
        string? server = null;
        try
        {
            server = await session.InsertAsync(way.Name, number).WaitAsync(s_deadline).ConfigureAwait(false);
        }
        finally
        {
            // A commit that came with a warning is on the leader alone.
            var answered = clock();
            lock (_gate)
            {
                _attempts.Add(server is not null && !session.Warned ? new WriteAttempt(number, sent, answered, server) : new WriteAttempt(number, sent, null, null));
            }
        }
    }

    /// <summary>One connection. What has failed is left to end by itself: the driver would first try to cancel the statement, through the very way that does not answer.</summary>
    private sealed class Session
    {
        private readonly NpgsqlConnection _connection;

        private Session(NpgsqlConnection connection)
        {
            _connection = connection;
            _connection.Notice += (_, notice) => Warned |= notice.Notice.InvariantSeverity == "WARNING";
        }

        public bool Warned { get; private set; }

        public static async Task<Session> OpenAsync(NpgsqlDataSource source)
        {
            using var deadline = new CancellationTokenSource(s_deadline);
            return new Session(await source.OpenConnectionAsync(deadline.Token).ConfigureAwait(false));
        }

        public async Task<string> InsertAsync(string name, long number)
        {
            Warned = false;
            await using var command = new NpgsqlCommand($"INSERT INTO {DrillTable.Name} (way, number) VALUES ($1, $2) RETURNING host(inet_server_addr())", _connection);
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = name });
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = number });
            return (string)(await command.ExecuteScalarAsync().ConfigureAwait(false))!;
        }

        public void Abandon() => _ = Task.Run(async () =>
        {
            try
            {
                await _connection.DisposeAsync().ConfigureAwait(false);
            }
            catch (Exception exception) when (DrillTable.IsSqlFailure(exception) || exception is InvalidOperationException or ObjectDisposedException)
            {
                // It had failed before.
            }
        });
    }
}
