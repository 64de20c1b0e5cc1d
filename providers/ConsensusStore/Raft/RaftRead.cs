using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;

/// <summary>RAFT as the Patroni in a container sees it: Patroni's namespace as JSON on the first line, and pysyncobj's <c>status</c> as
/// JSON on the last line, or <c>null</c> where Patroni uses another store. The password is read inside the container, from the file that
/// Patroni was started with.</summary>
/// <param name="Container">The container.</param>
public sealed record RaftRead(string Container) : Read<ToolAnswer>, IContainerRead
{
    /// <summary>How it is asked and answered.</summary>
    public static ContainerReadKind Kind { get; } = ContainerReadKind.Of<RaftRead>(Render, Parse);

    private static void Render(ProbeText script, IReadOnlyList<(int Number, RaftRead Read)> reads)
    {
        foreach (var (number, _) in reads)
        {
            script.Append($"python3 - <<'{script.Nonce}_py' 2>&1\n{RaftProgram.Text}\n{script.Nonce}_py\nend a{number} $?\n");
        }
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<RaftRead> reads, Func<IContainerRead, ProbePart> container) =>
        ToolAnswer.Each(answer, reads, "a", container);
}
