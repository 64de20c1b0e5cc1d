using System.Security.Cryptography;
using System.Text;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>The form in which a value is recorded: short ones as they are, long ones by SHA-256, secret ones by HMAC-SHA-256 under a key
/// that is itself a secret, so that a record tells nothing about a secret but whether it is still the same.</summary>
public sealed class Fingerprint
{
    private const int LongestLiteral = 200;
    private readonly byte[] _key;

    /// <summary>Takes the key (KBR_KEY).</summary>
    public Fingerprint(string key) => _key = Encoding.UTF8.GetBytes(key);

    /// <summary>The fingerprint of a value of an attribute. <paramref name="secret"/> forces the keyed form: the value on a host is as
    /// secret as the desired one.</summary>
    public string Of(Address address, string attribute, AttributeValue value, bool secret)
    {
        if (secret || value.Secret is not null)
        {
            var hash = HMACSHA256.HashData(_key, Encoding.UTF8.GetBytes($"{address}\n{attribute}\n{value.Value}"));
            return "hmac-sha256:" + Convert.ToHexStringLower(hash);
        }

        return IsLiteral(value)
            ? "=" + value.Value
            : "sha256:" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(value.Value)));
    }

    /// <summary>Whether a fingerprint is that of a value.</summary>
    public bool Is(string fingerprint, Address address, string attribute, AttributeValue value)
    {
        ArgumentNullException.ThrowIfNull(fingerprint);
        return IsLiteral(value)
            ? fingerprint.Length == value.Value.Length + 1
                && fingerprint[0] == '='
                && fingerprint.EndsWith(value.Value, StringComparison.Ordinal)
            : Of(address, attribute, value, secret: false) == fingerprint;
    }

    /// <summary>Whether a value is the one that was recorded. One that was recorded keyed is compared keyed, and only such a one.</summary>
    public bool Matches(string recorded, Address address, string attribute, AttributeValue value) =>
        Of(address, attribute, IsSecret(recorded) ? value : value with { Secret = null }, IsSecret(recorded)) == recorded;

    /// <summary>Whether a recorded fingerprint is of a secret.</summary>
    public static bool IsSecret(string fingerprint) => fingerprint.StartsWith("hmac-sha256:", StringComparison.Ordinal);

    private static bool IsLiteral(AttributeValue value) => value is { Secret: null, IsText: false } && value.Value.Length <= LongestLiteral;
}
