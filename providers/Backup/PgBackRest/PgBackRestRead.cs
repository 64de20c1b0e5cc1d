using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;

namespace KeyBuzz.Reconciler.Providers.Backup.PgBackRest;

/// <summary>pgBackRest's <c>info</c> on a cluster as JSON, inside its container, for at most ten seconds.</summary>
/// <param name="Container">The container.</param>
/// <param name="File">pgBackRest's configuration in it.</param>
/// <param name="Cluster">The name of the stanza.</param>
public sealed record PgBackRestRead(string Container, string File, string Cluster) : Read<ToolAnswer>, IContainerRead
{
    /// <summary>The seconds that it may take.</summary>
    internal const string Deadline = "10";

    /// <summary>How it is asked and answered.</summary>
    public static ContainerReadKind Kind { get; } = ContainerReadKind.Of<PgBackRestRead>(Render, Parse);

    // A busy host took more than two seconds for the handshake with an SFTP server. Where a server refuses connections it tries again for
    // ten times its io-timeout.
    private static void Render(ProbeText script, IReadOnlyList<(int Number, PgBackRestRead Read)> reads)
    {
        foreach (var (number, read) in reads)
        {
            script.Append(
                $"timeout {Deadline} pgbackrest --config={Script.Quote(read.File)} --stanza={Script.Quote(read.Cluster)} --io-timeout=5 "
                    + $"--log-level-console=off --log-level-stderr=error --output=json info 2>&1 </dev/null; end g{number} $?\n"
            );
        }
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<PgBackRestRead> reads, Func<IContainerRead, ProbePart> container) =>
        ToolAnswer.Each(answer, reads, "g", container);
}
