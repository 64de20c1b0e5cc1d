using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;
using Npgsql;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>What a writer saw.</summary>
/// <param name="Acknowledged">Rows whose commit was acknowledged. One that came with a warning (no synchronous standby has it) is
/// not.</param>
/// <param name="Failed">Attempts after the first acknowledged row that were not: a refused connection, a cut session, no answer in
/// time.</param>
/// <param name="Cut">Sessions that had worked and ended under the writer. What a rotation or a reload must not do.</param>
/// <param name="LongestGap">The longest time between two acknowledgements.</param>
/// <param name="Gaps">The times between two acknowledgements of more than <see cref="TrafficWriter.Noticed"/>, in their order.</param>
/// <param name="Lost">Numbers that were acknowledged and are not in the table.</param>
/// <param name="Servers">The addresses of the members that acknowledged, in the order of their first word.</param>
/// <param name="Errors">What the failures said, each once.</param>
internal sealed record TrafficReport(
    int Acknowledged,
    int Failed,
    int Cut,
    TimeSpan LongestGap,
    IReadOnlyList<TimeSpan> Gaps,
    IReadOnlyList<long> Lost,
    IReadOnlyList<string> Servers,
    IReadOnlyList<string> Errors
)
{
    public override string ToString() =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"{Acknowledged} acknowledged, {Failed} failed, {Cut} sessions cut, {Lost.Count} lost, longest gap "
                + $"{LongestGap.TotalSeconds:0.0} s (all over {TrafficWriter.Noticed.TotalSeconds:0.0} s: "
                + $"{string.Join(", ", Gaps.Select(gap => gap.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)))}), "
                + $"by {string.Join(", ", Servers)}{(Errors.Count == 0 ? "" : ": " + string.Join(" | ", Errors))}"
        );
}

/// <summary>An application that writes numbered rows through the lab's load balancer while something is done to the cluster, and that knows
/// afterwards what was lost. A number is tried once: after a failure nobody knows whether its row is there.</summary>
internal sealed class TrafficWriter : IDisposable
{
    /// <summary>Read-write SQL.</summary>
    public const int Direct = 5432;

    /// <summary>The same through PgBouncer.</summary>
    public const int Pooled = 6432;

    /// <summary>What counts as a gap.</summary>
    public static readonly TimeSpan Noticed = TimeSpan.FromSeconds(1);

    // A session is a process of PostgreSQL, and a key derived at both ends.
    private static readonly TimeSpan s_pace = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan s_paceOfSessions = TimeSpan.FromMilliseconds(500);

    private readonly string _table;
    private readonly int _port;
    private readonly bool _keepsSession;
    private readonly string _user;
    private readonly string _superuser;
    private readonly TimeSpan _patience;
    private readonly SslMode _tls;
    private readonly CancellationTokenSource _stop = new();
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly Lock _gate = new();
    private readonly List<(long Number, TimeSpan At)> _acknowledged = [];
    private readonly List<string> _errors = [];
    private readonly List<string> _servers = [];
    private readonly Task _work;
    private int _failed;
    private int _cut;
    private string _password;
    private string _last = "no error";

    private TrafficWriter(
        string table,
        int port,
        bool keepsSession,
        string user,
        string password,
        TimeSpan patience,
        string superuser,
        SslMode tls
    )
    {
        _tls = tls;
        _superuser = superuser;
        _patience = patience;
        _table = table;
        _port = port;
        _keepsSession = keepsSession;
        _user = user;
        _password = password;
        _work = Task.Run(RunAsync);
    }

    /// <summary>Makes the table and begins to write; returns when the first row is acknowledged.</summary>
    /// <param name="table">The table's name; it is made anew.</param>
    /// <param name="port"><see cref="Direct"/> or <see cref="Pooled"/>.</param>
    /// <param name="keepsSession">Whether it keeps its connection while that works; otherwise each row comes through a connection of its
    /// own.</param>
    /// <param name="user">The user.</param>
    /// <param name="password">The password; that of the credentials file as it is now when left out.</param>
    /// <param name="patience">How long a login or an insert may take before it counts as failed; 2 s when left out. Longer where a slow
    /// machine must not look like a failure.</param>
    /// <param name="superuser">Who makes the table and reads it in the end.</param>
    /// <param name="tls">Whether it asks for TLS.</param>
    public static TrafficWriter Start(
        string table,
        int port = Direct,
        bool keepsSession = true,
        string user = Ha.Application,
        string password = null,
        TimeSpan? patience = null,
        string superuser = Ha.Superuser,
        SslMode tls = SslMode.Disable
    )
    {
        Ha.Sql(
            Ha.Leader(),
            $"SET client_min_messages = warning; DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (number "
                + $"bigint PRIMARY KEY); GRANT ALL ON {table} TO {user}",
            superuser: superuser
        );
        var writer = new TrafficWriter(
            table,
            port,
            keepsSession,
            user,
            password ?? Ha.CurrentPassword,
            patience ?? TimeSpan.FromSeconds(2),
            superuser,
            tls
        );
        writer.UntilAcknowledged(1, TimeSpan.FromSeconds(180));
        return writer;
    }

    /// <summary>The password that the next connection is made with.</summary>
    public string Password
    {
        get
        {
            lock (_gate)
            {
                return _password;
            }
        }
        set
        {
            lock (_gate)
            {
                _password = value;
            }
        }
    }

    /// <summary>Waits until so many more rows were acknowledged.</summary>
    public void UntilAcknowledged(int more, TimeSpan deadline)
    {
        var wanted = Count() + more;
        Lab.Until(() => _work.IsCompleted || Count() >= wanted, deadline, () => $"{more} more rows of {_table}; {Last()}");
        Assert.That(_work.IsCompleted, Is.False, $"the writer of {_table} ended: {_work.Exception}");
    }

    /// <summary>Waits until it writes again, ends it, and looks what is there.</summary>
    public TrafficReport Stop()
    {
        UntilAcknowledged(5, TimeSpan.FromSeconds(90));
        _stop.Cancel();
        _work.GetAwaiter().GetResult();
        var there = Ha.Sql(Ha.Leader(), $"SELECT number FROM {_table}", superuser: _superuser)
            .Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => long.Parse(line, CultureInfo.InvariantCulture))
            .ToHashSet();
        var gaps = _acknowledged.Zip(_acknowledged.Skip(1), (one, next) => next.At - one.At).ToList();
        return new TrafficReport(
            _acknowledged.Count,
            _failed,
            _cut,
            gaps.Max(),
            [.. gaps.Where(gap => gap > Noticed)],
            [.. _acknowledged.Select(row => row.Number).Where(number => !there.Contains(number))],
            [.. _servers],
            Errors()
        );
    }

    public void Dispose()
    {
        _stop.Cancel();
        _work.Wait(TimeSpan.FromSeconds(30));
        _stop.Dispose();
    }

    // The lab's load balancer, as this machine reaches it: beside the hosts, with the last octet 10.
    private static string Balancer() =>
        Regex.Match(File.ReadAllText(Path.Combine(Lab.Folder, ".state/hosts.json")), @"127\.0\.\d+\.").Value + "10";

    private int Count()
    {
        lock (_gate)
        {
            return _acknowledged.Count;
        }
    }

    // Also of the time before the first row, which the report does not count.
    private string Last()
    {
        lock (_gate)
        {
            return _last;
        }
    }

    private string[] Errors()
    {
        lock (_gate)
        {
            return [.. _errors];
        }
    }

    private async Task RunAsync()
    {
        using var pace = new PeriodicTimer(_keepsSession ? s_pace : s_paceOfSessions);
        NpgsqlConnection connection = null;
        var warned = false;
        for (var number = 1L; !_stop.IsCancellationRequested; number++)
        {
            await pace.WaitForNextTickAsync();
            var worked = connection is not null;
            try
            {
                if (connection is null)
                {
                    var opened = new NpgsqlConnection(Settings());
                    opened.Notice += (_, notice) => warned |= notice.Notice.InvariantSeverity == "WARNING";
                    connection = opened;
                    using var deadline = new CancellationTokenSource(_patience);
                    await opened.OpenAsync(deadline.Token);
                }

                warned = false;
                await using var insert = new NpgsqlCommand(
                    $"INSERT INTO {_table} VALUES ($1) RETURNING host(inet_server_addr())",
                    connection
                );
                insert.Parameters.Add(new NpgsqlParameter<long> { TypedValue = number });
                var server = (string)await insert.ExecuteScalarAsync().WaitAsync(_patience);
                lock (_gate)
                {
                    if (warned)
                    {
                        _failed++;
                        continue;
                    }

                    _acknowledged.Add((number, _clock.Elapsed));
                    if (!_servers.Contains(server))
                    {
                        _servers.Add(server);
                    }
                }

                if (!_keepsSession)
                {
                    await connection.DisposeAsync();
                    connection = null;
                }
            }
            catch (Exception exception)
                when (exception is NpgsqlException or SocketException or TimeoutException or IOException or OperationCanceledException)
            {
                lock (_gate)
                {
                    // Until the first row it has not begun.
                    var begun = _acknowledged.Count > 0;
                    _failed += begun ? 1 : 0;
                    _cut += worked ? 1 : 0;
                    var said = exception is PostgresException refused ? refused.MessageText : exception.Message;
                    _last = said;
                    if (begun && !_errors.Contains(said))
                    {
                        _errors.Add(said);
                    }
                }

                Abandon(connection);
                connection = null;
            }
        }

        Abandon(connection);
    }

    // The driver would first try to cancel the statement, through the very way that does not answer.
    private static void Abandon(NpgsqlConnection connection) =>
        _ = Task.Run(async () =>
        {
            try
            {
                if (connection is not null)
                {
                    await connection.DisposeAsync();
                }
            }
            catch (Exception exception)
                when (exception is NpgsqlException or SocketException or TimeoutException or IOException or InvalidOperationException)
            {
                // It had failed before.
            }
        });

    private string Settings() =>
        new NpgsqlConnectionStringBuilder
        {
            Host = Balancer(),
            Port = _port,
            Database = Ha.Database,
            Username = _user,
            Password = Password,
            Timeout = (int)_patience.TotalSeconds,
            CommandTimeout = 30,
            Pooling = false,
            SslMode = _tls,
            GssEncryptionMode = GssEncryptionMode.Disable,
            ApplicationName = "traffic " + _table,
            // PgBouncer lends another server connection to each transaction.
            NoResetOnClose = true,
        }.ConnectionString;
}
