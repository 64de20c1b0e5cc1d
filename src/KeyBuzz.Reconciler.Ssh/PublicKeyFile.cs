using System.Buffers.Binary;
using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Public keys as they stand in files: <c>TYPE BASE64 COMMENT</c>, and the public half of OpenSSH's private keys, which no
/// passphrase hides.</summary>
internal static class PublicKeyFile
{
    private const int Largest = 64 * 1024;

    /// <summary>The public key of a private key's file, from it or from the <c>.pub</c> beside it; empty when neither shows it.</summary>
    public static ImmutableArray<byte> Of(string privateKey)
    {
        if (Text(privateKey) is { } text)
        {
            var own = OfOpenSsh(text);
            if (own.Length == 0)
            {
                own = OfLine(text);
            }

            if (own.Length > 0)
            {
                return own;
            }
        }

        return Text(privateKey + ".pub") is { } line ? OfLine(line) : [];
    }

    /// <summary>The key, or certificate, of a file with one line; empty when it is none.</summary>
    public static ImmutableArray<byte> Read(string path) => Text(path) is { } text ? OfLine(text) : [];

    internal static ImmutableArray<byte> OfLine(string text)
    {
        var words = text.Split('\n')[0].Split([' ', '\t', '\r'], StringSplitOptions.RemoveEmptyEntries);
        var bytes = words.Length > 1 ? Bytes(words[1]) : [];
        return bytes.Length > 0 && KnownHosts.TypeOf(bytes) == words[0] ? [.. bytes] : [];
    }

    // openssh-key-v1, cipher, kdf, its options, the number of keys, the public key.
    internal static ImmutableArray<byte> OfOpenSsh(string text)
    {
        const string begin = "-----BEGIN OPENSSH PRIVATE KEY-----";
        var start = text.IndexOf(begin, StringComparison.Ordinal);
        var end = text.IndexOf("-----END", Math.Max(0, start + 1), StringComparison.Ordinal);
        if (start < 0 || end < start + begin.Length)
        {
            return [];
        }

        var rest = Bytes(string.Concat(text[(start + begin.Length)..end].Where(letter => !char.IsWhiteSpace(letter)))).AsSpan();
        var magic = "openssh-key-v1\0"u8;
        if (!rest.StartsWith(magic))
        {
            return [];
        }

        rest = rest[magic.Length..];
        for (var i = 0; i < 3; i++)
        {
            if (!TryTake(ref rest, out _))
            {
                return [];
            }
        }

        if (rest.Length < 4)
        {
            return [];
        }

        rest = rest[4..];
        return TryTake(ref rest, out var key) ? [.. key] : [];
    }

    /// <summary>Takes a string of SSH's: its length, and its bytes.</summary>
    internal static bool TryTake(ref Span<byte> rest, out Span<byte> taken)
    {
        taken = [];
        if (rest.Length < 4 || BinaryPrimitives.ReadUInt32BigEndian(rest) is var length && length > rest.Length - 4)
        {
            return false;
        }

        taken = rest.Slice(4, (int)length);
        rest = rest[(4 + (int)length)..];
        return true;
    }

    private static byte[] Bytes(string base64)
    {
        var bytes = new byte[base64.Length];
        return Convert.TryFromBase64String(base64, bytes, out var length) ? bytes[..length] : [];
    }

    private static string? Text(string path)
    {
        try
        {
            return new FileInfo(path) is { Exists: true, Length: <= Largest } ? File.ReadAllText(path) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
