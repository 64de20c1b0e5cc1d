using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Etcd;

/// <summary>etcd as one member sees it, asked by etcdctl in its container.</summary>
/// <param name="Container">The container.</param>
/// <param name="WithAccess">Whether authentication is asked for, too: a login costs a hash.</param>
public sealed record EtcdRead(string Container, bool WithAccess) : Read<ToolAnswer>, IContainerRead
{
    /// <summary>How it is asked and answered.</summary>
    public static ContainerReadKind Kind { get; } = ContainerReadKind.Of<EtcdRead>(Render, Parse);

    private static void Render(ProbeText script, IReadOnlyList<(int Number, EtcdRead Read)> reads)
    {
        foreach (var (number, read) in reads)
        {
            script.Append($"{(read.WithAccess ? EtcdProgram.Access : ":")}\n{EtcdProgram.Status}\nend e{number} $?\n");
        }
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<EtcdRead> reads, Func<IContainerRead, ProbePart> container) =>
        ToolAnswer.Each(answer, reads, "e", container);
}
