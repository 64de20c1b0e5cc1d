using System.Globalization;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Http;

/// <summary>An HTTP GET on a loopback or own address of the host, for at most five seconds.</summary>
/// <param name="Address">The address the service listens on, as the host sees it.</param>
/// <param name="Port">Its port.</param>
/// <param name="Path">The path, with its query.</param>
public sealed record HttpRead(string Address, int Port, string Path) : Read<HttpAnswer>
{
    /// <summary>In place of an address: the host's own in the cluster's network, for a service that does not listen on loopback.</summary>
    public const string OwnAddress = "own";

    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<HttpRead>(Render, Parse);

    private static void Render(ProbeText script, IReadOnlyList<HttpRead> reads) =>
        script
            .Append($"curl -q -s -m 5 --globoff --noproxy '*' -w '\n{script.Nonce} h%{{urlnum}} %{{http_code}}\n'")
            .AppendQuoted(reads.Select(read => read.Url(script.OwnAddress)))
            .Append(" 2>/dev/null; end http $?\n");

    private string Url(string ownAddress)
    {
        var address = Address == OwnAddress ? ownAddress : Address;
        return $"http://{(address.Contains(':', StringComparison.Ordinal) ? $"[{address}]" : address)}:{Port}{Path}";
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<HttpRead> reads) =>
        answer.Each(reads, "h", part =>
            int.TryParse(part.Status, CultureInfo.InvariantCulture, out var code) && code > 0
                ? new HttpAnswer(code, part.Text)
                : new HttpAnswer(0, "")
        );
}

/// <summary>An answer over HTTP.</summary>
/// <param name="Status">HTTP status; 0 when nothing answers.</param>
/// <param name="Body">The body.</param>
public sealed record HttpAnswer(int Status, string Body);
