using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;

namespace KeyBuzz.Reconciler.Providers.PostgreSql;

/// <summary>One SELECT by psql on the local socket inside a container, in a read-only transaction, for at most ten seconds.</summary>
/// <param name="Container">The container.</param>
/// <param name="User">The PostgreSQL role, to which the local socket lets the container's user in without a password.</param>
/// <param name="Database">The database.</param>
/// <param name="Port">The server's port, which names the socket.</param>
/// <param name="Query">One SELECT without a semicolon; the answer is its rows as a JSON array of objects.</param>
public sealed record SqlRead(string Container, string User, string Database, int Port, string Query) : Read<SqlAnswer>, IContainerRead
{
    /// <summary>How it is asked and answered.</summary>
    public static ContainerReadKind Kind { get; } = ContainerReadKind.Of<SqlRead>(Render, Parse);

    private (string User, string Database, int Port) Session => (User, Database, Port);

    // One psql per database.
    private static void Render(ProbeText script, IReadOnlyList<(int Number, SqlRead Read)> reads)
    {
        foreach (var session in reads.GroupBy(one => one.Read.Session))
        {
            // What -d is given may also be read as a connection string.
            script.Append(
                $"PGDATABASE={Script.Quote(session.Key.Database)} psql -X -q -A -t -U {Script.Quote(session.Key.User)} "
                    + $"-p {session.Key.Port} 2>&1 <<'{script.Nonce}_sql'\n"
            );
            foreach (var (number, read) in session)
            {
                if (read.Query.Contains(';', StringComparison.Ordinal))
                {
                    throw new ArgumentException($"a SqlRead is one SELECT without a semicolon: {read.Query}", nameof(reads));
                }

                // Inside a subquery nothing but a SELECT can stand.
                script.Append(
                    $"SELECT coalesce(json_agg(kbr_row), '[]'::json) FROM (\n{read.Query}\n) kbr_row;\n"
                        + $"\\echo {script.Nonce} q{number} :ERROR\n"
                );
            }

            script.Append($"{script.Nonce}_sql\nend p{session.First().Number} $?\n");
        }
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<SqlRead> reads, Func<IContainerRead, ProbePart> container)
    {
        foreach (var (number, read) in reads.Index())
        {
            var part = answer.Part($"q{number}");
            if (part.Status == "false")
            {
                answer.Set(read, new SqlAnswer(part.Text.Trim(), ""));
                continue;
            }

            // A query that was not reached has no part of its own: psql's or docker's last words say why.
            var first = reads.Index().First(one => (one.Item.Container, one.Item.Session) == (read.Container, read.Session)).Index;
            var error = (part.Status.Length > 0 ? part : answer.Part($"p{first}")).Text.Trim();
            if (error.Length == 0)
            {
                error = container(read).Text.Trim();
            }

            answer.Set(read, new SqlAnswer(null, error.Length > 0 ? error : "no answer"));
        }
    }
}

/// <summary>An answer of PostgreSQL.</summary>
/// <param name="Json">The rows as a JSON array of objects; null when there is no answer.</param>
/// <param name="Error">Why there is none, as psql or docker said it; empty otherwise.</param>
public sealed record SqlAnswer(string? Json, string Error);
