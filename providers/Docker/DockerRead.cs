using System.Globalization;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Docker;

/// <summary>A GET on the socket of Docker Engine's API.</summary>
public abstract record DockerRead : Read<DockerAnswer>
{
    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<DockerRead>([typeof(ContainerRead), typeof(ImageRead)], Render, Parse);

    /// <summary>The path of the request.</summary>
    private protected abstract string Path { get; }

    // One curl keeps one connection; it numbers its URLs and goes on after one that fails.
    private static void Render(ProbeText script, IReadOnlyList<DockerRead> reads) =>
        script
            .Append(
                "curl -q -s -m 20 --globoff --noproxy '*' --unix-socket /run/docker.sock -w "
                    + $"'\\n{script.Nonce} d%{{urlnum}} %{{http_code}}\\n'"
            )
            .AppendQuoted(reads.Select(read => "http://localhost" + read.Path))
            .Append(" 2>/dev/null; end docker $?\n");

    private static void Parse(ProbeAnswer answer, IReadOnlyList<DockerRead> reads) =>
        answer.Each(reads, "d", part =>
            int.TryParse(part.Status, CultureInfo.InvariantCulture, out var code) && code > 0
                ? new DockerAnswer(code, part.Text)
                : new DockerAnswer(0, "")
        );

    /// <summary>A name in a path. The engine's router takes an image reference with its slashes and colons as they are.</summary>
    internal static string Escape(string name) =>
        Uri.EscapeDataString(name)
            .Replace("%2F", "/", StringComparison.Ordinal)
            .Replace("%3A", ":", StringComparison.Ordinal)
            .Replace("%40", "@", StringComparison.Ordinal);
}

/// <summary>A container by name, as Docker Engine's API describes it (<c>GET /containers/NAME/json</c>).</summary>
public sealed record ContainerRead(string Name) : DockerRead
{
    private protected override string Path => $"/containers/{Escape(Name)}/json";
}

/// <summary>An image by reference, as Docker Engine's API describes it (<c>GET /images/REF/json</c>).</summary>
public sealed record ImageRead(string Reference) : DockerRead
{
    private protected override string Path => $"/images/{Escape(Reference)}/json";
}

/// <summary>An answer of Docker Engine's API.</summary>
/// <param name="Status">HTTP status: 200, 404 …; 0 when the engine does not answer.</param>
/// <param name="Json">The body.</param>
public sealed record DockerAnswer(int Status, string Json);
