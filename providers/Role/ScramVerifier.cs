using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace KeyBuzz.Reconciler.Providers.Role;

/// <summary>PostgreSQL's stored form of a password, <c>SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY</c> with the last three in base64
/// (RFC 5802 and 7677; the text is that of <c>pg_authid.rolpassword</c> and of PgBouncer's userlist). It lets a client in that proves the
/// password, so it is a secret.</summary>
public static class ScramVerifier
{
    /// <summary>PostgreSQL's own number of iterations (<c>scram_iterations</c>).</summary>
    public const int DefaultIterations = 4096;

    /// <summary>PostgreSQL's own length of a salt, in bytes.</summary>
    public const int SaltLength = 16;

    private const string Mechanism = "SCRAM-SHA-256";

    // Far above what any server uses; a verifier is read from a host and must not keep kbr busy for hours.
    private const int MostIterations = 10_000_000;

    /// <summary>Makes the verifier. The password is prepared by SASLprep as PostgreSQL does it.</summary>
    /// <param name="password">The password; not empty.</param>
    /// <param name="salt">The salt; <see cref="SaltLength"/> bytes are usual.</param>
    /// <param name="iterations">Rounds of the hash.</param>
    /// <exception cref="ArgumentException">The password or the salt is empty, or the rounds are fewer than one.</exception>
    public static string Make(string password, ReadOnlySpan<byte> salt, int iterations = DefaultIterations)
    {
        ArgumentException.ThrowIfNullOrEmpty(password);
        ArgumentOutOfRangeException.ThrowIfLessThan(iterations, 1);
        if (salt.IsEmpty)
        {
            throw new ArgumentException("a verifier needs a salt", nameof(salt));
        }

        var (storedKey, serverKey) = Keys(password, salt, iterations);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{Mechanism}${iterations}:{Convert.ToBase64String(salt)}${Convert.ToBase64String(storedKey)}:{Convert.ToBase64String(serverKey)}"
        );
    }

    /// <summary>Whether the verifier was made of that password, with any salt and number of iterations. False for anything that is no
    /// SCRAM-SHA-256 verifier, such as an MD5 hash. Takes the same time whatever differs.</summary>
    public static bool Proves(string? verifier, string password)
    {
        if (string.IsNullOrEmpty(password) || !TryParse(verifier, out var parts))
        {
            return false;
        }

        var (storedKey, serverKey) = Keys(password, parts.Salt, parts.Iterations);
        return CryptographicOperations.FixedTimeEquals(storedKey, parts.StoredKey)
            & CryptographicOperations.FixedTimeEquals(serverKey, parts.ServerKey);
    }

    /// <summary>Whether the text is a SCRAM-SHA-256 verifier.</summary>
    public static bool IsVerifier(string? text) => TryParse(text, out _);

    private static (byte[] StoredKey, byte[] ServerKey) Keys(string password, ReadOnlySpan<byte> salt, int iterations)
    {
        var salted = Rfc2898DeriveBytes.Pbkdf2(
            Encoding.UTF8.GetBytes(SaslPrep.Prepare(password)),
            salt,
            iterations,
            HashAlgorithmName.SHA256,
            32
        );
        return (SHA256.HashData(HMACSHA256.HashData(salted, "Client Key"u8)), HMACSHA256.HashData(salted, "Server Key"u8));
    }

    private static bool TryParse(string? text, [NotNullWhen(true)] out Parts? parts)
    {
        parts = null;
        if (
            text?.Split('$') is not [Mechanism, var head, var keys]
            || head.Split(':') is not [var count, var salt]
            || keys.Split(':') is not [var storedKey, var serverKey]
            || !int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out var iterations)
            || iterations is < 1 or > MostIterations
        )
        {
            return false;
        }

        if (
            Decode(salt) is { Length: > 0 } saltBytes
            && Decode(storedKey) is { Length: 32 } stored
            && Decode(serverKey) is { Length: 32 } server
        )
        {
            parts = new Parts(iterations, saltBytes, stored, server);
        }

        return parts is not null;
    }

    private static byte[]? Decode(string base64)
    {
        var bytes = new byte[base64.Length];
        return Convert.TryFromBase64String(base64, bytes, out var length) ? bytes[..length] : null;
    }

    private sealed record Parts(int Iterations, byte[] Salt, byte[] StoredKey, byte[] ServerKey);
}
