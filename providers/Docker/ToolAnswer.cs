using System.Globalization;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Docker;

/// <summary>How a tool inside a container ended.</summary>
/// <param name="ExitCode">Its exit status, or that of docker when the container could not be entered.</param>
/// <param name="Output">What it printed, both streams.</param>
public sealed record ToolAnswer(int ExitCode, string Output)
{
    /// <summary>The answer in a part.</summary>
    internal static ToolAnswer Of(ProbePart part) =>
        new(int.TryParse(part.Status, CultureInfo.InvariantCulture, out var code) ? code : -1, part.Text);

    /// <summary>Answers reads inside containers that have a part each. For a tool that was not reached, docker's message about the
    /// container is the answer.</summary>
    internal static void Each<TRead>(
        ProbeAnswer answer,
        IReadOnlyList<TRead> reads,
        string letter,
        Func<IContainerRead, ProbePart> container
    )
        where TRead : Read<ToolAnswer>, IContainerRead
    {
        foreach (var (number, read) in reads.Index())
        {
            var part = answer.Part($"{letter}{number}");
            answer.Set(read, Of(part.Status.Length > 0 ? part : container(read)));
        }
    }
}
