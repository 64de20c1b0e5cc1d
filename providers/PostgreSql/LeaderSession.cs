using System.Collections.Immutable;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Role;
using KeyBuzz.Reconciler.Resources;
using Npgsql;

namespace KeyBuzz.Reconciler.Providers.PostgreSql;

/// <summary>Runs statements as the superuser on the primary: over TCP through the connection of this run, or, where that password is
/// refused, by psql on the local socket inside the container. The statements do not reach PostgreSQL's log. They must be idempotent: after
/// a failover they run again on the next primary.</summary>
internal sealed class LeaderSession
{
    // Nothing of a session that carries verifiers is logged, counted or traced; and it does not wait forever for another session's lock.
    private static readonly ImmutableArray<string> s_preamble =
    [
        "SET log_statement = 'none'",
        "SET log_min_duration_statement = -1",
        "SET log_min_duration_sample = -1",
        "SET log_transaction_sample_rate = 0",
        "SET log_min_error_statement = 'panic'",
        "SET debug_print_parse = off",
        "SET debug_print_rewritten = off",
        "SET debug_print_plan = off",
        "SET pg_stat_statements.track_utility = off",
        "SET standard_conforming_strings = on",
        "SET client_min_messages = 'warning'",
        "SET lock_timeout = '20s'",
        "SET search_path = public",
    ];

    // invalid_password; also of a role that is not there.
    private const string WrongPassword = "28P01";
    private static readonly PollPace s_pace = new(TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(60));

    private readonly IGroupAccess _group;
    private readonly ClusterConnection _connection;
    private readonly string _database;
    private readonly TimeSpan _timeout;

    /// <summary>Takes where to run; opens nothing yet.</summary>
    /// <param name="group">The members.</param>
    /// <param name="connection">How they are reached.</param>
    /// <param name="database">The database.</param>
    /// <param name="timeout">How long one statement may take.</param>
    public LeaderSession(IGroupAccess group, ClusterConnection connection, string database = "postgres", TimeSpan? timeout = null)
    {
        _group = group;
        _connection = connection;
        _database = database;
        _timeout = timeout ?? TimeSpan.FromSeconds(60);
    }

    /// <summary>Runs the statements in order, each in a transaction of its own. Throws <see cref="ChangeFailedException"/> when PostgreSQL
    /// refuses one, or there is no primary for a minute.</summary>
    public async Task RunAsync(IReadOnlyCollection<SqlStatement> statements, CancellationToken cancellationToken)
    {
        if (
            await Poll.UntilAsync(TryAsync, trouble => trouble is null, s_pace, _group.Time, cancellationToken).ConfigureAwait(false) is
            { } last
        )
        {
            throw new ChangeFailedException($"{_connection.Scope} could not be changed for {s_pace.Deadline.TotalSeconds:0} s: {last}");
        }

        // Answers the obstacle; null for none.
        async Task<string?> TryAsync()
        {
            try
            {
                var leader = await FindLeaderAsync(cancellationToken).ConfigureAwait(false);
                await RunOnAsync(leader, statements, cancellationToken).ConfigureAwait(false);
                return null;
            }
            catch (TransientFailureException exception)
            {
                return exception.Message;
            }
            catch (HostException exception)
            {
                return $"{exception.Host}: {exception.Message}";
            }
        }
    }

    /// <summary>Runs the statements on one member, whether it leads or not.</summary>
    public async Task RunOnAsync(string host, IReadOnlyCollection<SqlStatement> statements, CancellationToken cancellationToken)
    {
        if (
            _connection.Password is { Length: > 0 } password
            && await OpenAsync(host, password, cancellationToken).ConfigureAwait(false) is { } session
        )
        {
            await using (session.ConfigureAwait(false))
            {
                await session.RunAsync(statements, cancellationToken).ConfigureAwait(false);
            }

            return;
        }

        await RunOnSocketAsync(host, statements, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Logs in on one member over TCP. Answers what PostgreSQL says when the password is wrong; null when it gets in, or something
    /// else is in the way.</summary>
    public async Task<string?> LogInAsync(string host, CancellationToken cancellationToken)
    {
        var refusal = (string?)null;
        try
        {
            if (
                await OpenAsync(host, _connection.Password ?? "", cancellationToken, said =>
                        refusal = said.Code == WrongPassword ? said.Message : null
                    )
                    .ConfigureAwait(false) is
                { } session
            )
            {
                await session.DisposeAsync().ConfigureAwait(false);
            }
        }
        catch (Exception exception) when (exception is TransientFailureException or ChangeFailedException or HostException)
        {
            return null;
        }

        return refusal;
    }

    private async Task<string> FindLeaderAsync(CancellationToken cancellationToken)
    {
        var read = _connection.Rest("/primary");
        var answers = await Task.WhenAll(
                _group.Members.Select(async member =>
                {
                    try
                    {
                        var snapshot = await _group.ReadAsync(member.Name, [read], cancellationToken).ConfigureAwait(false);
                        return (member.Name, snapshot.Get(read).Status, Json: JsonAnswer.Parse(snapshot.Get(read).Body));
                    }
                    catch (HostException)
                    {
                        return (member.Name, Status: 0, Json: null);
                    }
                })
            )
            .ConfigureAwait(false);
        if (
            answers.FirstOrDefault(answer => answer.Json?.At("patroni")?.Text("scope") is { } scope && scope != _connection.Scope) is
            { Name: not null } other
        )
        {
            throw new ChangeFailedException(
                $"{other.Name} belongs to the cluster {other.Json?.At("patroni")?.Text("scope")}, not to "
                    + $"{_connection.Scope}: nothing is changed in it"
            );
        }

        var leaders = answers.Where(answer => answer.Status == 200).Select(answer => answer.Name).ToList();
        return leaders switch
        {
            [var leader] => leader,
            [] => throw new TransientFailureException(
                "no primary answers: "
                    + string.Join(
                        "; ",
                        answers.Select(answer =>
                            answer.Status == 0
                                ? $"{answer.Name}: Patroni does not answer on port {_connection.RestPort}"
                                : $"{answer.Name}: Patroni reports a replica"
                        )
                    )
            ),
            _ => throw new TransientFailureException($"{string.Join(" and ", leaders)} both claim to be the primary"),
        };
    }

    // Null when this way is closed; the socket may still be open.
    private async Task<TcpSession?> OpenAsync(
        string host,
        string password,
        CancellationToken cancellationToken,
        Action<SqlFailure>? refused = null
    )
    {
        var tunnel = await _group.OpenTunnelAsync(host, "127.0.0.1", _connection.PostgresPort, cancellationToken).ConfigureAwait(false);
        var settings = new NpgsqlConnectionStringBuilder
        {
            Host = "127.0.0.1",
            Port = tunnel.Port,
            Username = _connection.Superuser,
            Password = SaslPrep.Prepare(password),
            Database = _database,
            ApplicationName = "kbr",
            SslMode = SslMode.Disable,
            GssEncryptionMode = GssEncryptionMode.Disable,
            Pooling = false,
            Timeout = 10,
            CommandTimeout = (int)_timeout.TotalSeconds,
            IncludeErrorDetail = true,
        };
        var source = new NpgsqlSlimDataSourceBuilder(settings.ConnectionString)
            .ConfigureTypeLoading(types => types.EnableTypeLoading(false))
            .Build();
        try
        {
            return new TcpSession(host, tunnel, source, await source.OpenConnectionAsync(cancellationToken).ConfigureAwait(false));
        }
        catch (Exception exception)
        {
            await source.DisposeAsync().ConfigureAwait(false);
            await tunnel.DisposeAsync().ConfigureAwait(false);
            switch (exception)
            {
                // Class 28 is the password, the role or pg_hba: the socket may accept a login that TCP refuses.
                case PostgresException { SqlState: var state } refusal when !state.StartsWith("28", StringComparison.Ordinal):
                    throw SqlFailure.Of(refusal).On(host);
                case PostgresException refusal:
                    refused?.Invoke(SqlFailure.Of(refusal));
                    return null;
                case NpgsqlException or SocketException or IOException or TimeoutException:
                    return null;
                default:
                    throw;
            }
        }
    }

    private async Task RunOnSocketAsync(string host, IReadOnlyCollection<SqlStatement> statements, CancellationToken cancellationToken)
    {
        var sql = new StringBuilder();
        foreach (var statement in s_preamble)
        {
            sql.Append(statement).Append(";\n");
        }

        foreach (var statement in statements)
        {
            sql.Append(statement.Sql).Append(statement.IsGenerator ? " \\gexec\n" : ";\n");
        }

        var text = string.Create(
            CultureInfo.InvariantCulture,
            $"""
            PGDATABASE={Script.Quote(_database)}
            PGUSER={Script.Quote(_connection.Superuser)}
            export PGDATABASE PGUSER
            docker exec -i -e PGDATABASE -e PGUSER -e PGAPPNAME=kbr -e PGCONNECT_TIMEOUT=10 {Script.Quote(_connection.Container)} \
                psql -X -q -A -t -w -p {_connection.PostgresPort} -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -v SHOW_CONTEXT=never -o /dev/null -f - <<'kbr_end_of_sql'
            {sql}kbr_end_of_sql

            """
        );
        var result = await _group
            .RunAsync(host, new Script(text) { Deadline = _timeout + TimeSpan.FromSeconds(20) }, cancellationToken)
            .ConfigureAwait(false);
        if (result.ExitCode == 0)
        {
            return;
        }

        throw SqlFailure.OfPsql(result.Error) is { } failure ? failure.On(host)
        : result.ExitCode == 124 ? new ChangeFailedException($"{host}: PostgreSQL did not finish within {_timeout.TotalSeconds:0} s")
        : new TransientFailureException($"{host}: psql in the container {_connection.Container} cannot connect: {LastLine(result.Error)}");
    }

    private static string LastLine(string text) => text.Trim().Split('\n')[^1];

    private sealed record TcpSession(string Host, ITunnel Tunnel, NpgsqlDataSource Source, NpgsqlConnection Connection) : IAsyncDisposable
    {
        public async Task RunAsync(IReadOnlyCollection<SqlStatement> statements, CancellationToken cancellationToken)
        {
            try
            {
                foreach (var setting in s_preamble)
                {
                    await ExecuteAsync(setting, cancellationToken).ConfigureAwait(false);
                }

                foreach (var statement in statements)
                {
                    IEnumerable<string> texts = statement.IsGenerator
                        ? await QueryAsync(statement.Sql, cancellationToken).ConfigureAwait(false)
                        : [statement.Sql];
                    foreach (var text in texts)
                    {
                        await ExecuteAsync(text, cancellationToken).ConfigureAwait(false);
                    }
                }
            }
            catch (PostgresException exception)
            {
                throw SqlFailure.Of(exception).On(Host);
            }
            catch (Exception exception) when (exception is NpgsqlException or IOException or SocketException)
            {
                throw exception.InnerException is TimeoutException
                    ? new ChangeFailedException(
                        $"{Host}: PostgreSQL did not finish in time; see what blocks it in pg_stat_activity",
                        exception
                    )
                    : new TransientFailureException($"{Host}: the connection to PostgreSQL was lost");
            }
        }

        public async ValueTask DisposeAsync()
        {
            await Connection.DisposeAsync().ConfigureAwait(false);
            await Source.DisposeAsync().ConfigureAwait(false);
            await Tunnel.DisposeAsync().ConfigureAwait(false);
        }

        private async Task ExecuteAsync(string sql, CancellationToken cancellationToken)
        {
            var command = new NpgsqlCommand(sql, Connection) { AllResultTypesAreUnknown = true };
            await using (command.ConfigureAwait(false))
            {
                await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
            }
        }

        private async Task<List<string>> QueryAsync(string sql, CancellationToken cancellationToken)
        {
            List<string> rows = [];
            var command = new NpgsqlCommand(sql, Connection) { AllResultTypesAreUnknown = true };
            await using (command.ConfigureAwait(false))
            {
                var reader = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
                await using (reader.ConfigureAwait(false))
                {
                    while (await reader.ReadAsync(cancellationToken).ConfigureAwait(false))
                    {
                        rows.Add(reader.GetString(0));
                    }
                }
            }

            return rows;
        }
    }
}
