using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Resources;
using Npgsql;

namespace KeyBuzz.Reconciler.Providers.PostgreSql;

/// <summary>A transient failure: no primary, a failover, or a server that starts or stops. Retry.</summary>
internal sealed class TransientFailureException(string message) : Exception(message);

/// <summary>An error of PostgreSQL, without the statement, which may hold secrets.</summary>
/// <param name="Code">SQLSTATE.</param>
/// <param name="Message">What it says.</param>
internal sealed record SqlFailure(string Code, string Message)
{
    // psql:<stdin>:3: ERROR:  42704: role "x" does not exist
    private static readonly Regex s_error = new(@"(?:ERROR|FATAL|PANIC):  ([0-9A-Z]{5}): (.*)$");
    private static readonly Regex s_more = new(@"^(?:DETAIL|HINT):  (.*)$");

    /// <summary>The error that PostgreSQL sent.</summary>
    public static SqlFailure Of(PostgresException exception) =>
        new(
            exception.SqlState,
            string.Join(
                "; ",
                new[] { exception.MessageText, exception.Detail, exception.Hint }
                    .Where(part => !string.IsNullOrEmpty(part))
                    .Select(part => part!.Replace('\n', ' '))
            )
        );

    /// <summary>The error among what psql printed with <c>VERBOSITY=verbose</c>; null when there is none.</summary>
    public static SqlFailure? OfPsql(string printed)
    {
        var lines = printed.Split('\n');
        var at = Array.FindIndex(lines, line => s_error.IsMatch(line));
        if (at < 0)
        {
            return null;
        }

        // The lines LINE and STATEMENT show the statement: only these are taken.
        var match = s_error.Match(lines[at]);
        var more = lines[(at + 1)..]
            .TakeWhile(line => !s_error.IsMatch(line))
            .Select(line => s_more.Match(line))
            .Where(found => found.Success)
            .Select(found => found.Groups[1].Value);
        return new SqlFailure(match.Groups[1].Value, string.Join("; ", more.Prepend(match.Groups[2].Value)));
    }

    /// <summary>As it is thrown, so that it is tried again where that can help.</summary>
    public Exception On(string host) =>
        Code switch
        {
            // Read-only: it has become a replica. Shutdown: it restarts. In use: another session copies template0.
            "25006" or "57P01" or "57P02" or "57P03" or "55006" or "53300" => new TransientFailureException(
                $"{host}: PostgreSQL says: {Message}"
            ),
            _ when Code.StartsWith("08", StringComparison.Ordinal) => new TransientFailureException($"{host}: PostgreSQL says: {Message}"),
            _ => new ChangeFailedException($"{host}: PostgreSQL refused the statement: {Message} (SQLSTATE {Code})"),
        };
}
