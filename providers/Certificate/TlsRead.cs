using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Certificate;

/// <summary>What a port of the host serves to a client of PostgreSQL that asks for TLS, tried for at most two seconds. The server logs that
/// a client left the handshake.</summary>
/// <param name="Address">The address the service listens on, as the host sees it.</param>
/// <param name="Port">Its port.</param>
public sealed record TlsRead(string Address, int Port) : Read<ServedTls>
{
    // The first line is the answer to the request for TLS, the second the beginning of the handshake.
    private static readonly string s_ask = $$"""
        exec 3<>"/dev/tcp/$0/$1"
        printf '{{Escaped(ServedTls.Request)}}' >&3
        answer=$(head -c 1 <&3)
        echo "$answer"
        [ "$answer" = S ] || exit 0
        printf '{{Escaped(ServedTls.Hello(withTls13: false))}}' >&3
        head -c 32768 <&3 | base64 -w0
        """;

    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<TlsRead>(Render, Parse);

    /// <summary>Shell that fails where the port serves TLS with another certificate than the first one in a file.</summary>
    /// <param name="path">The file.</param>
    public string RenderConfirm(string path) =>
        $"""
            hex() {"{"} base64 -d | od -An -v -tx1 | tr -d ' \n'; {"}"}
            served=$({Ask(this)} | tail -n +2 | hex)
            file=$(sed -n '/BEGIN CERT/,/END CERT/p;/END CERT/q' {Script.Quote(path)} | sed '/^-/d' | hex)
            case $served in
            '' | *"$file"*) ;;
            *) echo 'it serves another certificate'; exit 1 ;;
            esac
            """;

    /// <summary>Shell that prints the hosts whose port answers that it serves no TLS, and not those that do not answer.</summary>
    /// <param name="addresses">Their addresses.</param>
    /// <param name="port">The port.</param>
    public static string RenderWithout(IEnumerable<string> addresses, int port)
    {
        var ask = $$"""
            for host; do
                { exec 3<>"/dev/tcp/$host/$0"; printf '{{Escaped(ServedTls.Request)}}' >&3; [ "$(head -c 1 <&3)" != N ] || echo "$host"; } &
            done
            wait
            """;
        return $"timeout 3 bash -c {Script.Quote(ask)} {port} {string.Join(' ', addresses.Select(Script.Quote))} 2>/dev/null </dev/null";
    }

    private static void Render(ProbeText script, IReadOnlyList<TlsRead> reads)
    {
        foreach (var (number, read) in reads.Index())
        {
            script.Append($"{Ask(read)}; end t{number} $?\n");
        }
    }

    private static string Ask(TlsRead read) =>
        $"timeout 2 bash -c {Script.Quote(s_ask)} {Script.Quote(read.Address)} {read.Port} 2>/dev/null </dev/null";

    private static void Parse(ProbeAnswer answer, IReadOnlyList<TlsRead> reads) => answer.Each(reads, "t", part => part.Lines switch
            {
                ["S", var flight, ..] => ServedIn(flight),
                ["N", ..] => ServedTls.Without,
                _ => ServedTls.None,
            });

    private static ServedTls ServedIn(string flight)
    {
        try
        {
            return ServedTls.Read(Convert.FromBase64String(flight.Trim()));
        }
        catch (FormatException)
        {
            return ServedTls.None;
        }
    }

    private static string Escaped(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder();
        foreach (var one in bytes)
        {
            text.Append(CultureInfo.InvariantCulture, $"\\x{one:x2}");
        }

        return text.ToString();
    }
}
