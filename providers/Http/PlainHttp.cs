using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace KeyBuzz.Reconciler.Providers.Http;

/// <summary>One HTTP request with a JSON body to a port on this machine's loopback, such as a tunnel's: the few lines of HTTP/1.0 that
/// takes. HttpClient would be a tenth of the program.</summary>
public static class PlainHttp
{
    // A server's headers are a few lines.
    private const int LargestHead = 64 * 1024;

    /// <summary>Sends the request, and answers what came back. Throws <see cref="IOException"/> where that is no whole answer.</summary>
    /// <param name="port">The port.</param>
    /// <param name="method">The method.</param>
    /// <param name="path">The path.</param>
    /// <param name="login">USER:PASSWORD for basic authentication; null for none.</param>
    /// <param name="json">The body.</param>
    /// <param name="largest">The most bytes of the answer's body.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<HttpAnswer> SendAsync(
        int port,
        string method,
        string path,
        string? login,
        ReadOnlyMemory<byte> json,
        int largest,
        CancellationToken cancellationToken
    )
    {
        var head = new StringBuilder()
            .Append(CultureInfo.InvariantCulture, $"{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n")
            .Append(CultureInfo.InvariantCulture, $"Content-Type: application/json\r\nContent-Length: {json.Length}\r\n");
        if (login is not null)
        {
            head.Append(CultureInfo.InvariantCulture, $"Authorization: Basic {Convert.ToBase64String(Encoding.UTF8.GetBytes(login))}\r\n");
        }

        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(IPAddress.Loopback, port, cancellationToken).ConfigureAwait(false);
            using var stream = new NetworkStream(socket);
            // In one piece: a server that refuses the head alone would close before it has read the body.
            await stream
                .WriteAsync((byte[])[.. Encoding.ASCII.GetBytes(head.Append("\r\n").ToString()), .. json.Span], cancellationToken)
                .ConfigureAwait(false);
            return await ReadAsync(stream, largest, cancellationToken).ConfigureAwait(false);
        }
        catch (SocketException exception)
        {
            throw new IOException(exception.Message, exception);
        }
    }

    // Without a length the body ends with the connection.
    private static async Task<HttpAnswer> ReadAsync(Stream stream, int largest, CancellationToken cancellationToken)
    {
        using var all = new MemoryStream();
        var buffer = new byte[16 * 1024];
        (int Status, int Start, int? Length)? head = null;
        int count;
        do
        {
            count = await stream.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
            all.Write(buffer, 0, count);
            head ??= HeadOf(all.GetBuffer().AsSpan(0, (int)all.Length));
            if (all.Length > (head is { } read ? read.Start + (long)largest : LargestHead))
            {
                throw new IOException("the answer is too large");
            }
        } while (count > 0 && !(head is { Length: { } length, Start: var start } && all.Length >= start + length));

        if (head is not var (status, begin, said) || all.Length < begin + (said ?? 0))
        {
            throw new IOException("the answer broke off");
        }

        return new HttpAnswer(status, Encoding.UTF8.GetString(all.GetBuffer(), begin, said ?? (int)all.Length - begin));
    }

    // The status, where the body begins and its length; null while the head is not whole.
    private static (int Status, int Start, int? Length)? HeadOf(ReadOnlySpan<byte> bytes)
    {
        var end = bytes.IndexOf("\r\n\r\n"u8);
        if (end < 0)
        {
            return null;
        }

        var lines = Encoding.Latin1.GetString(bytes[..end]).Split("\r\n");
        if (
            lines[0].Split(' ') is not [var version, var code, ..]
            || !version.StartsWith("HTTP/1.", StringComparison.Ordinal)
            || !int.TryParse(code, NumberStyles.None, CultureInfo.InvariantCulture, out var status)
        )
        {
            throw new IOException("the answer is not of HTTP");
        }

        const string Key = "Content-Length:";
        var text = lines.Skip(1).FirstOrDefault(line => line.StartsWith(Key, StringComparison.OrdinalIgnoreCase))?[Key.Length..];
        return (
            status,
            end + 4,
            text is null ? null
            : int.TryParse(text.AsSpan().Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var length) ? length
            : throw new IOException("the answer has no valid length")
        );
    }
}
