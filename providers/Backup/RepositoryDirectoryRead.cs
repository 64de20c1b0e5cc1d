using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;

namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>The mark of a repository that is a directory, and the room there, as a member's container sees it. A network file system whose
/// server is gone holds a process until it is killed.</summary>
/// <param name="Container">The container.</param>
/// <param name="Path">The directory.</param>
public sealed record RepositoryDirectoryRead(string Container, string Path) : Read<ToolAnswer>, IContainerRead
{
    /// <summary>How it is asked and answered.</summary>
    public static ContainerReadKind Kind { get; } = ContainerReadKind.Of<RepositoryDirectoryRead>(Render, Parse);

    private static void Render(ProbeText script, IReadOnlyList<(int Number, RepositoryDirectoryRead Read)> reads)
    {
        foreach (var (number, read) in reads)
        {
            var mark = Script.Quote(RepositoryDirectory.MarkIn(read.Path));
            var ask =
                $"if [ -e {mark} ]; then head -c 64 {mark} || exit 1; else echo; fi; "
                + $"df -B1 --output=size,avail {Script.Quote(read.Path)} | tail -n 1";
            script.Append($"timeout -k 1 4 sh -c {Script.Quote(ask)} 2>/dev/null </dev/null; end m{number} $?\n");
        }
    }

    private static void Parse(
        ProbeAnswer answer,
        IReadOnlyList<RepositoryDirectoryRead> reads,
        Func<IContainerRead, ProbePart> container
    ) => ToolAnswer.Each(answer, reads, "m", container);
}
