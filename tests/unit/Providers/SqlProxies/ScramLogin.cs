using System.Buffers.Binary;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace KeyBuzz.Reconciler.Tests.Providers.SqlProxies;

/// <summary>The part of PostgreSQL that lets a client in by SCRAM-SHA-256 (RFC 5802), without TLS.</summary>
internal static class ScramLogin
{
    private const int Sasl = 10;
    private const int SaslContinue = 11;

    /// <summary>Whether the next client proves the password of a verifier. It is let in nowhere.</summary>
    public static async Task<bool> ProvesAsync(TcpListener server, string verifier)
    {
        using var client = await server.AcceptTcpClientAsync();
        var stream = client.GetStream();
        await StartupAsync(stream);
        await AskAsync(stream, Sasl, "SCRAM-SHA-256\0\0");
        var first = await AnswerAsync(stream);
        var bare = first[first.IndexOf("n=", StringComparison.Ordinal)..];
        var parts = verifier.Split('$');
        var (head, keys) = (parts[1].Split(':'), parts[2].Split(':'));
        var challenge = $"r={bare[(bare.IndexOf("r=", StringComparison.Ordinal) + 2)..]}server,s={head[1]},i={head[0]}";
        await AskAsync(stream, SaslContinue, challenge);
        var last = await AnswerAsync(stream);
        var proof = last.LastIndexOf(",p=", StringComparison.Ordinal);
        var signed = Encoding.UTF8.GetBytes($"{bare},{challenge},{last[..proof]}");
        var stored = Convert.FromBase64String(keys[0]);
        var signature = HMACSHA256.HashData(stored, signed);
        var key = Convert.FromBase64String(last[(proof + 3)..]).Zip(signature, (left, right) => (byte)(left ^ right)).ToArray();
        return SHA256.HashData(key).AsSpan().SequenceEqual(stored);
    }

    // A request for GSS or SSL encryption comes without a type, too, and is denied.
    private static async Task StartupAsync(NetworkStream stream)
    {
        while ((await BodyAsync(stream)).Length == sizeof(int))
        {
            await stream.WriteAsync("N"u8.ToArray());
        }
    }

    private static async Task AskAsync(NetworkStream stream, int kind, string text)
    {
        var body = Encoding.UTF8.GetBytes(text);
        var message = new byte[9 + body.Length];
        message[0] = (byte)'R';
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(1), 8 + body.Length);
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(5), kind);
        body.CopyTo(message, 9);
        await stream.WriteAsync(message);
    }

    private static async Task<string> AnswerAsync(NetworkStream stream)
    {
        await stream.ReadExactlyAsync(new byte[1]);
        return Encoding.UTF8.GetString(await BodyAsync(stream));
    }

    private static async Task<byte[]> BodyAsync(NetworkStream stream)
    {
        var length = new byte[sizeof(int)];
        await stream.ReadExactlyAsync(length);
        var body = new byte[BinaryPrimitives.ReadInt32BigEndian(length) - sizeof(int)];
        await stream.ReadExactlyAsync(body);
        return body;
    }
}
