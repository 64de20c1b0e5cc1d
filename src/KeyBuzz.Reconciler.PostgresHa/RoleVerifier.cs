using System.Security.Cryptography;
using System.Text;
using KeyBuzz.Reconciler.PostgresHa.Monitoring;
using KeyBuzz.Reconciler.Providers.Role;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>The SCRAM verifier that a role is to have. Its salt is an HMAC under KBR_KEY, so every plan has the same verifier, and without
/// the key two verifiers do not reveal whether two roles share a password.</summary>
/// <param name="key">KBR_KEY.</param>
/// <param name="scope">The cluster.</param>
internal sealed class RoleVerifier(string key, string scope)
{
    private const int BcryptCost = 10;

    private readonly byte[] _key = Encoding.UTF8.GetBytes(key);

    // Making one takes thousands of rounds on purpose, and each is wanted on several hosts.
    private readonly Dictionary<PostgresUser, SecretText> _made = [];
    private readonly Dictionary<PostgresUser, SecretText> _hashed = [];

    /// <summary>The verifier of a user, a secret as the password is.</summary>
    public SecretText Of(PostgresUser user)
    {
        if (_made.TryGetValue(user, out var made))
        {
            return made;
        }

        var password = user.Password.Reveal();
        var salt = HMACSHA256
            .HashData(_key, Encoding.UTF8.GetBytes($"scram-salt\n{scope}\n{user.Name}\n{password}"))
            .AsSpan(0, ScramVerifier.SaltLength);
        return _made[user] = new SecretText([new SecretText.Part(ScramVerifier.Make(password, salt), true)]);
    }

    /// <summary>The bcrypt hash of a login that is no role's, with such a salt.</summary>
    public SecretText BcryptOf(PostgresUser user)
    {
        if (_hashed.TryGetValue(user, out var made))
        {
            return made;
        }

        var password = user.Password.Reveal();
        var salt = HMACSHA256
            .HashData(_key, Encoding.UTF8.GetBytes($"bcrypt-salt\n{scope}\n{user.Name}\n{password}"))
            .AsSpan(0, Bcrypt.SaltLength);
        return _hashed[user] = new SecretText([new SecretText.Part(Bcrypt.Hash(password, salt, BcryptCost), true)]);
    }

    /// <summary>A fingerprint of settings, some of which may be secret, that may be shown: it tells nothing but whether they are still the
    /// same.</summary>
    public string Fingerprint(params ReadOnlySpan<string> settings) =>
        Convert.ToHexStringLower(HMACSHA256.HashData(_key, Encoding.UTF8.GetBytes("settings\n" + string.Join('\n', settings!))))[..32];
}
