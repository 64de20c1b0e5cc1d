using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>HAProxy's own check of its configuration (<c>haproxy -c</c>), inside its container.</summary>
public sealed record HaproxyCheckRead(string Container, string Path) : Read<ToolAnswer>, IContainerRead
{
    /// <summary>How it is asked and answered.</summary>
    public static ContainerReadKind Kind { get; } = ContainerReadKind.Of<HaproxyCheckRead>(Render, Parse);

    private static void Render(ProbeText script, IReadOnlyList<(int Number, HaproxyCheckRead Read)> reads)
    {
        foreach (var (number, read) in reads)
        {
            script.Append($"haproxy -c -q -f {Script.Quote(read.Path)} 2>&1 </dev/null; end c{number} $?\n");
        }
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<HaproxyCheckRead> reads, Func<IContainerRead, ProbePart> container) =>
        ToolAnswer.Each(answer, reads, "c", container);
}
