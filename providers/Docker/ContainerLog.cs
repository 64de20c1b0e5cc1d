using System.Globalization;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Docker;

/// <summary>The log of a container, each line after its time.</summary>
/// <param name="Container">The container.</param>
public sealed record ContainerLog(string Container) : HostLog
{
    /// <summary>Only what was said since then, as Docker takes it; null for all.</summary>
    public string? Since { get; init; }

    /// <summary>Only the last lines; null for all.</summary>
    public int? Last { get; init; }

    /// <summary>Whether what is said from now on is printed, too.</summary>
    public bool Follow { get; init; }

    /// <inheritdoc />
    public override string Command =>
        string.Join(
            ' ',
            new[]
            {
                "docker logs --timestamps",
                Since is null ? "" : $"--since {Script.Quote(Since)}",
                Last is { } last ? string.Create(CultureInfo.InvariantCulture, $"--tail {last}") : "",
                Follow ? "--follow" : "",
                $"-- {Script.Quote(Container)} 2>&1",
            }.Where(word => word.Length > 0)
        );
}
