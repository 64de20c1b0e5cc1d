using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>HAProxy's own check of its configuration (<c>haproxy -c</c>), inside its container.</summary>
public sealed record HaproxyCheckRead(string Container, string Path) : Read<ToolAnswer>
{
    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<HaproxyCheckRead>(Render, Parse);

    private static void Render(ProbeText script, IReadOnlyList<HaproxyCheckRead> reads)
    {
        foreach (var (number, read) in reads.Index())
        {
            script.Append(
                $"timeout 20 docker exec {Script.Quote(read.Container)} haproxy -c -q -f {Script.Quote(read.Path)} 2>&1; end k{number} $?\n"
            );
        }
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<HaproxyCheckRead> reads) => answer.Each(reads, "k", ToolAnswer.Of);
}
