using System.Buffers.Binary;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>How long the file of an OpenSSH private key makes the derivation of its key from the passphrase.</summary>
internal static class KeyDerivation
{
    /// <summary>ssh-keygen writes 16 or 24 rounds, and 100 are commonly advised. The library does not interrupt the derivation, so a file
    /// must not make it long.</summary>
    public const int MostRounds = 2000;

    // The name that the content of each such file begins with, in base64.
    private const string Begin = "b3BlbnNzaC1rZXktdjEA";
    private const int NameLength = 15;

    /// <summary>Refuses the text of a file that asks for too many rounds. The library finds the content of a key in more places than PEM
    /// has it, so each place counts that looks like one.</summary>
    /// <exception cref="CipherNotSupportedException">It asks for too many.</exception>
    public static void Check(string file)
    {
        var text = file.Replace("\r", "", StringComparison.Ordinal).Replace("\n", "", StringComparison.Ordinal);
        for (
            var start = text.IndexOf(Begin, StringComparison.Ordinal);
            start >= 0;
            start = text.IndexOf(Begin, start + Begin.Length, StringComparison.Ordinal)
        )
        {
            var end = start;
            while (end < text.Length && (char.IsAsciiLetterOrDigit(text[end]) || text[end] is '+' or '/' or '='))
            {
                end++;
            }

            var content = new byte[end - start];
            if (
                Convert.TryFromBase64Chars(text.AsSpan(start, end - start), content, out var length)
                && Rounds(content.AsSpan(0, length)) > MostRounds
            )
            {
                throw new CipherNotSupportedException($"bcrypt with more than {MostRounds} rounds");
            }
        }
    }

    // Cipher, derivation, the length of its options, salt, rounds. Zero when the content ends before.
    private static uint Rounds(Span<byte> content)
    {
        var rest = content[NameLength..];
        if (
            !PublicKeyFile.TryTake(ref rest, out _)
            || !PublicKeyFile.TryTake(ref rest, out _)
            || rest.Length < sizeof(uint)
            || BinaryPrimitives.ReadUInt32BigEndian(rest) == 0
        )
        {
            return 0;
        }

        rest = rest[sizeof(uint)..];
        return PublicKeyFile.TryTake(ref rest, out _) && rest.Length >= sizeof(uint) ? BinaryPrimitives.ReadUInt32BigEndian(rest) : 0;
    }
}
