using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;
using Npgsql;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Two sessions through the lab's load balancer, one direct and one through PgBouncer, that stay open while something is changed
/// and are used again afterwards.</summary>
internal sealed class OpenSessions : IDisposable
{
    private readonly NpgsqlConnection _direct;
    private readonly NpgsqlConnection _pooled;
    private readonly string _server;

    public OpenSessions(string user, string password, SslMode tls = SslMode.Disable)
    {
        _direct = Connect(TrafficWriter.Direct, user, password, tls);
        _pooled = Connect(TrafficWriter.Pooled, user, password, tls);
        _server = Ask(_direct, "SELECT pg_backend_pid()::text");
        Ask(_pooled, "SELECT 'x'");
    }

    /// <summary>Asserts that both are still the sessions they were.</summary>
    public void AssertOpen()
    {
        Assert.That(Ask(_direct, "SELECT pg_backend_pid()::text"), Is.EqualTo(_server));
        Assert.That(Ask(_pooled, "SELECT 'y'"), Is.EqualTo("y"));
    }

    /// <summary>Why a new session is refused; null when it gets in.</summary>
    public static string Refusal(int port, string user, string password)
    {
        try
        {
            using var connection = Connect(port, user, password);
            Ask(connection, "SELECT 'x'");
            return null;
        }
        catch (PostgresException refused) when (refused.SqlState is "28P01" or "08P01" or "28000")
        {
            return refused.MessageText;
        }
    }

    /// <summary>A transaction through PgBouncer that has begun.</summary>
    public static OpenTransaction Transaction(string user, string password)
    {
        var connection = Connect(TrafficWriter.Pooled, user, password);
        var transaction = connection.BeginTransaction();
        using var command = new NpgsqlCommand("SELECT 1", connection, transaction);
        command.ExecuteScalar();
        return new OpenTransaction(connection, transaction);
    }

    public void Dispose()
    {
        _direct.Dispose();
        _pooled.Dispose();
    }

    private static NpgsqlConnection Connect(int port, string user, string password, SslMode tls = SslMode.Disable)
    {
        var connection = new NpgsqlConnection(
            new NpgsqlConnectionStringBuilder
            {
                Host = Regex.Match(File.ReadAllText(Path.Combine(Lab.Folder, ".state/hosts.json")), @"127\.0\.\d+\.").Value + "10",
                Port = port,
                Database = Ha.Database,
                Username = user,
                Password = password,
                Timeout = 30,
                CommandTimeout = 30,
                Pooling = false,
                SslMode = tls,
                GssEncryptionMode = GssEncryptionMode.Disable,
                NoResetOnClose = true,
            }.ConnectionString
        );
        connection.Open();
        return connection;
    }

    private static string Ask(NpgsqlConnection connection, string sql)
    {
        using var command = new NpgsqlCommand(sql, connection);
        return (string)command.ExecuteScalar();
    }
}

/// <summary>A transaction that stays open while something is changed.</summary>
internal sealed class OpenTransaction(NpgsqlConnection connection, NpgsqlTransaction transaction) : IDisposable
{
    /// <summary>Ends it; fails where it had ended before.</summary>
    public void Commit() => transaction.Commit();

    public void Dispose()
    {
        transaction.Dispose();
        connection.Dispose();
    }
}
