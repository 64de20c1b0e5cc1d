using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>HAProxy's own check of its configuration (<c>haproxy -c</c>), inside its container.</summary>
public sealed record HaproxyCheckRead(string Container, string Path) : Read<ToolAnswer>
{
    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<HaproxyCheckRead>(null, Parse, Start);

    private static string Start(ProbeText script, IReadOnlyList<HaproxyCheckRead> reads) =>
        script.RunBeside(
            string.Concat(
                reads
                    .Index()
                    .Select(one =>
                        $"timeout 20 docker exec {Script.Quote(one.Item.Container)} haproxy -c -q -f {Script.Quote(one.Item.Path)} "
                        + $"2>&1; end k{one.Index} $?\n"
                    )
            )
        );

    private static void Parse(ProbeAnswer answer, IReadOnlyList<HaproxyCheckRead> reads) => answer.Each(reads, "k", ToolAnswer.Of);
}
