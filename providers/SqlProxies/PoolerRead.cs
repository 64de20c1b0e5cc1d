using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>A table of PgBouncer's admin console as CSV with a header, by psql on the Unix socket inside the container, to which the
/// container's own user is let in without a password as <c>pgbouncer</c>.</summary>
/// <param name="Container">The container.</param>
/// <param name="SocketDirectory">Where PgBouncer's socket lies in it.</param>
/// <param name="Port">PgBouncer's port, which names the socket.</param>
/// <param name="Table">What is shown.</param>
public sealed record PoolerRead(string Container, string SocketDirectory, int Port, PoolerTable Table) : Read<ToolAnswer>, IContainerRead
{
    /// <summary>How it is asked and answered.</summary>
    public static ContainerReadKind Kind { get; } = ContainerReadKind.Of<PoolerRead>(Render, Parse);

    // PgBouncer's console knows no options.
    private static void Render(ProbeText script, IReadOnlyList<(int Number, PoolerRead Read)> reads)
    {
        foreach (var (number, read) in reads)
        {
            script.Append(
                $"PGOPTIONS= psql -X -q --csv -h {Script.Quote(read.SocketDirectory)} -p {read.Port} -U pgbouncer -d pgbouncer "
                    + $"-c 'SHOW {read.Table.ToString().ToUpperInvariant()}' 2>&1 </dev/null; end o{number} $?\n"
            );
        }
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<PoolerRead> reads, Func<IContainerRead, ProbePart> container) =>
        ToolAnswer.Each(answer, reads, "o", container);
}

/// <summary>The tables of PgBouncer's admin console that are read.</summary>
public enum PoolerTable
{
    /// <summary><c>SHOW POOLS</c>.</summary>
    Pools,

    /// <summary><c>SHOW CONFIG</c>.</summary>
    Config,
}
