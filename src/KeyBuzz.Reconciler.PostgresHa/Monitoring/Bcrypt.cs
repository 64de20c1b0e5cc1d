using Org.BouncyCastle.Crypto.Generators;

namespace KeyBuzz.Reconciler.PostgresHa.Monitoring;

/// <summary>Hashes of passwords by bcrypt (Provos and Mazières, "A Future-Adaptable Password Scheme", 1999), with which exporters,
/// Prometheus and Alertmanager compare a login. Pure.</summary>
public static class Bcrypt
{
    /// <summary>The bytes of a salt.</summary>
    public const int SaltLength = 16;

    /// <summary>The most bytes of a password: bcrypt takes no notice of more.</summary>
    public const int LongestPassword = 72;

    /// <summary>The hash, such as <c>$2b$10$…</c>.</summary>
    /// <param name="password">The password; at most <see cref="LongestPassword"/> bytes of it count.</param>
    /// <param name="salt">The salt.</param>
    /// <param name="cost">The number of rounds is two to the power of it; 4 to 31.</param>
    public static string Hash(string password, ReadOnlySpan<byte> salt, int cost)
    {
        ArgumentNullException.ThrowIfNull(password);
        ArgumentOutOfRangeException.ThrowIfNotEqual(salt.Length, SaltLength);
        return OpenBsdBCrypt.Generate("2b", password.ToCharArray(), salt.ToArray(), cost);
    }
}
