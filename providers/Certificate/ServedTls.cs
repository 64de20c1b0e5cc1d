using System.Buffers.Binary;
using System.Globalization;

namespace KeyBuzz.Reconciler.Providers.Certificate;

/// <summary>What a port serves to a client that asks for TLS: the beginning of a handshake, which the client then leaves. The certificate
/// stands in it in the clear up to TLS 1.2. Nothing is sent or believed: it is looked at.</summary>
/// <param name="Protocol">The protocol that the server chose; <c>none</c> where it serves no TLS, and empty without an answer.</param>
/// <param name="Cipher">The cipher suite that it chose.</param>
/// <param name="Certificate">Its certificate in DER; empty with TLS 1.3, which encrypts it.</param>
public sealed record ServedTls(string Protocol, string Cipher, ReadOnlyMemory<byte> Certificate)
{
    /// <summary>No answer.</summary>
    public static readonly ServedTls None = new("", "", default);

    /// <summary>The answer of a server that serves no TLS.</summary>
    public static readonly ServedTls Without = new("none", "", default);

    /// <summary>The request for TLS in PostgreSQL's protocol; the answer is one byte.</summary>
    public static ReadOnlySpan<byte> Request => [0, 0, 0, 8, 4, 210, 22, 47];

    private const byte Accepted = (byte)'S';

    private const byte Refused = (byte)'N';

    private const byte Handshake = 22;
    private const byte ServerHello = 2;
    private const byte ServerCertificate = 11;
    private const int SupportedVersions = 0x002b;
    private const int Tls12 = 0x0303;
    private const int Tls13 = 0x0304;

    /// <summary>A client's first message, and the message that ends the handshake: the server answers the first, and closes.</summary>
    /// <param name="withTls13">Whether TLS 1.3 is offered beside 1.2.</param>
    public static byte[] Hello(bool withTls13)
    {
        byte[] random = [.. "kbr looks at what this port has."u8];
        byte[] ciphers =
        [
            .. withTls13 ? (byte[])[0x13, 0x01, 0x13, 0x02, 0x13, 0x03] : [],
            .. (byte[])[0xc0, 0x2b, 0xc0, 0x2c, 0xcc, 0xa9, 0xc0, 0x2f, 0xc0, 0x30, 0xcc, 0xa8, 0xc0, 0x09, 0xc0, 0x13, 0x00, 0xff],
        ];
        byte[] extensions =
        [
            // X25519, P-256, P-384; their points uncompressed; ECDSA, RSA-PSS and RSA.
            .. (byte[])[0x00, 0x0a, 0, 8, 0, 6, 0x00, 0x1d, 0x00, 0x17, 0x00, 0x18],
            .. (byte[])[0x00, 0x0b, 0, 2, 1, 0],
            .. (byte[])[0x00, 0x0d, 0, 18, 0, 16, 4, 3, 5, 3, 6, 3, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1],
            .. withTls13 ? (byte[])[0x00, 0x2b, 0, 5, 4, 3, 4, 3, 3] : [],
            // The base point of X25519 is a valid public key.
            .. withTls13 ? (byte[])[0x00, 0x33, 0, 38, 0, 36, 0x00, 0x1d, 0, 32, 9, .. new byte[31]] : [],
        ];
        byte[] body = [3, 3, .. random, 0, .. Sized(ciphers), 1, 0, .. Sized(extensions)];
        byte[] message = [1, 0, .. Sized(body)];
        return [Handshake, 3, 1, .. Sized(message), 21, 3, 3, 0, 2, 2, 40];
    }

    /// <summary>Asks a server over a connection, which cannot be used any more then.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="withTls13">Whether TLS 1.3 is offered beside 1.2.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<ServedTls> AskAsync(Stream connection, bool withTls13, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(connection);
        var buffer = new byte[32768];
        await connection.WriteAsync(Request.ToArray(), cancellationToken).ConfigureAwait(false);
        if (await connection.ReadAsync(buffer.AsMemory(0, 1), cancellationToken).ConfigureAwait(false) != 1 || buffer[0] != Accepted)
        {
            return buffer[0] == Refused ? Without : None;
        }

        await connection.WriteAsync(Hello(withTls13), cancellationToken).ConfigureAwait(false);
        var length = 0;
        while (length < buffer.Length)
        {
            var read = await connection.ReadAsync(buffer.AsMemory(length), cancellationToken).ConfigureAwait(false);
            if (read == 0)
            {
                break;
            }

            length += read;
        }

        return Read(buffer.AsSpan(0, length));
    }

    /// <summary>Reads the server's answer to a <see cref="Hello"/>.</summary>
    public static ServedTls Read(ReadOnlySpan<byte> answer)
    {
        var (protocol, cipher, certificate) = ("", "", Array.Empty<byte>());
        var messages = Messages(answer);
        for (var rest = messages.AsSpan(); rest.Length >= 4; )
        {
            var length = (rest[1] << 16) | BinaryPrimitives.ReadUInt16BigEndian(rest[2..]);
            if (rest.Length < 4 + length)
            {
                break;
            }

            var body = rest.Slice(4, length);
            if (rest[0] == ServerHello)
            {
                (protocol, cipher) = Chosen(body);
            }
            else if (rest[0] == ServerCertificate && body.Length > 6)
            {
                var size = (body[3] << 16) | BinaryPrimitives.ReadUInt16BigEndian(body[4..]);
                certificate = size <= body.Length - 6 ? body.Slice(6, size).ToArray() : [];
            }

            rest = rest[(4 + length)..];
        }

        return new ServedTls(protocol, cipher, certificate);
    }

    // The handshake messages that are in the clear.
    private static byte[] Messages(ReadOnlySpan<byte> answer)
    {
        var all = new List<byte>();
        while (answer.Length >= 5 && answer[0] == Handshake)
        {
            var length = BinaryPrimitives.ReadUInt16BigEndian(answer[3..]);
            if (answer.Length < 5 + length)
            {
                break;
            }

            all.AddRange(answer.Slice(5, length).ToArray());
            answer = answer[(5 + length)..];
        }

        return [.. all];
    }

    private static (string Protocol, string Cipher) Chosen(ReadOnlySpan<byte> hello)
    {
        if (hello.Length < 38 || hello.Length < 38 + hello[34])
        {
            return ("", "");
        }

        var version = BinaryPrimitives.ReadUInt16BigEndian(hello);
        var after = hello[(35 + hello[34])..];
        var cipher = BinaryPrimitives.ReadUInt16BigEndian(after);
        for (var rest = after.Length > 5 ? after[5..] : default; rest.Length >= 4; )
        {
            var length = BinaryPrimitives.ReadUInt16BigEndian(rest[2..]);
            if (rest.Length < 4 + length)
            {
                break;
            }

            if (BinaryPrimitives.ReadUInt16BigEndian(rest) == SupportedVersions && length == 2)
            {
                version = BinaryPrimitives.ReadUInt16BigEndian(rest[4..]);
            }

            rest = rest[(4 + length)..];
        }

        return (ProtocolOf(version), CipherOf(cipher));
    }

    private static string ProtocolOf(int version) =>
        version switch
        {
            Tls12 => "TLSv1.2",
            Tls13 => "TLSv1.3",
            _ => Number(version),
        };

    // By the names of OpenSSL.
    private static string CipherOf(int cipher) =>
        cipher switch
        {
            0x1301 => "TLS_AES_128_GCM_SHA256",
            0x1302 => "TLS_AES_256_GCM_SHA384",
            0x1303 => "TLS_CHACHA20_POLY1305_SHA256",
            0xc02b => "ECDHE-ECDSA-AES128-GCM-SHA256",
            0xc02c => "ECDHE-ECDSA-AES256-GCM-SHA384",
            0xcca9 => "ECDHE-ECDSA-CHACHA20-POLY1305",
            0xc02f => "ECDHE-RSA-AES128-GCM-SHA256",
            0xc030 => "ECDHE-RSA-AES256-GCM-SHA384",
            0xcca8 => "ECDHE-RSA-CHACHA20-POLY1305",
            _ => Number(cipher),
        };

    private static string Number(int value) => "0x" + value.ToString("x4", CultureInfo.InvariantCulture);

    private static byte[] Sized(byte[] content) => [(byte)(content.Length >> 8), (byte)content.Length, .. content];
}
