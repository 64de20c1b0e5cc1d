using System.Collections.Immutable;
using System.Formats.Asn1;
using System.Net;
using System.Security.Cryptography;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Certificate;

/// <summary>An authority with its private key: it issues the certificates of servers. Its key stays on this machine.</summary>
public sealed class CertificateAuthority
{
    /// <summary>The kind of the keys that are made.</summary>
    public const string KeyKind = "ECDSA P-256";

    // A verifier whose clock is a little behind takes a new certificate, too.
    private static readonly TimeSpan s_backdated = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan s_lifetime = TimeSpan.FromDays(3650);

    private const string PrivateKeyLabel = "PRIVATE KEY";
    private const string EllipticKeyLabel = "EC PRIVATE KEY";
    private const string CommonName = "2.5.4.3";
    private const string EcdsaWithSha256 = "1.2.840.10045.4.3.2";
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";
    private const int SerialLength = 16;
    private const int IdentifierLength = 20;

    private readonly byte[] _key;

    private CertificateAuthority(ImmutableArray<X509Certificate> chain, byte[] key)
    {
        Chain = chain;
        _key = key;
    }

    /// <summary>Its certificate.</summary>
    public X509Certificate Certificate => Chain[0];

    /// <summary>Its certificate, and those of the authorities behind it.</summary>
    public ImmutableArray<X509Certificate> Chain { get; }

    /// <summary>The time until which what it signs is trusted: the first end on the way to a root. A certificate of its file that is not on
    /// that way does not count, and of two for the same authority the one that ends last does.</summary>
    public DateTimeOffset NotAfter => EndOf(Certificate, Chain);

    /// <summary>How it is named in the attribute <c>issuer</c> of the certificates that it signed.</summary>
    public string Shown => Shows(Certificate.Subject, Certificate.KeyIdentifier);

    /// <summary>An authority as certificates show it: its name, and the beginning of its key's identifier.</summary>
    internal static string Shows(string name, string keyIdentifier) =>
        keyIdentifier.Length == 0 ? name : $"{name} (key {keyIdentifier[..Math.Min(16, keyIdentifier.Length)]})";

    /// <summary>Makes a new authority, as one word: its private key and its certificate in base64.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="now">The time.</param>
    public static string Create(string name, DateTimeOffset now)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var start = now - s_backdated;
        var certificate = Sign(key, NameOf(name), name, key, start, start + s_lifetime, [], null);
        return Convert.ToBase64String([.. key.ExportPkcs8PrivateKey(), .. certificate]);
    }

    /// <summary>Reads an authority: the word that <see cref="Create"/> makes, or its certificate and its private key as PEM,
    /// with the certificates of the authorities behind it after its own.</summary>
    /// <param name="text">The text.</param>
    /// <param name="problem">Why it is none; it shows nothing of the text.</param>
    public static CertificateAuthority? Read(string text, out string problem)
    {
        ArgumentNullException.ThrowIfNull(text);
        byte[]? key;
        ImmutableArray<X509Certificate> chain;
        if (text.Contains("-----BEGIN", StringComparison.Ordinal))
        {
            chain = X509Certificate.FindAll(text);
            key = PemBlock.Find(text, PrivateKeyLabel) ?? FromEllipticKey(text);
        }
        else
        {
            (key, var certificate) = Split(text);
            chain = certificate is null ? [] : [certificate];
        }

        problem =
            chain.IsEmpty ? "it has no certificate, or one that cannot be read"
            : chain.FirstOrDefault(one => !one.IsAuthority) is { } other ? $"its certificate '{other.Subject}' is no authority's (CA:TRUE)"
            : key is null ? "it has no private key without a passphrase"
            : !IsKeyOf(key, chain[0]) ? $"its key is not the ECDSA key of its {(chain.Length > 1 ? "first " : "")}certificate"
            : "";
        return problem.Length == 0 ? new CertificateAuthority(chain, key!) : null;
    }

    /// <summary>Whether a private key in PKCS#8 is that of a certificate.</summary>
    internal static bool IsKeyOf(byte[] key, X509Certificate certificate)
    {
        try
        {
            using var read = ECDsa.Create();
            read.ImportPkcs8PrivateKey(key, out _);
            return read.ExportSubjectPublicKeyInfo().AsSpan().SequenceEqual(certificate.PublicKey.Span);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    /// <summary>The private key in a PEM text in PKCS#8; null without one.</summary>
    internal static byte[]? KeyIn(string text) => PemBlock.Find(text, PrivateKeyLabel);

    private static DateTimeOffset EndOf(X509Certificate certificate, ImmutableArray<X509Certificate> others)
    {
        var rest = others.Remove(certificate);
        DateTimeOffset? last = null;
        foreach (var issuer in rest.Where(certificate.IsIssuedBy))
        {
            var end = EndOf(issuer, rest);
            last = end > last ? end : last ?? end;
        }

        return last < certificate.NotAfter ? last.Value : certificate.NotAfter;
    }

    /// <summary>Issues a certificate for a server, with a new private key: both as PEM, the certificate first. PostgreSQL, PgBouncer,
    /// HAProxy and Patroni take a file that has both, which is so replaced at once.</summary>
    /// <param name="subject">Its common name.</param>
    /// <param name="names">The host names and addresses that it is for.</param>
    /// <param name="now">The time.</param>
    /// <param name="validity">How long it is valid.</param>
    public string Issue(string subject, IEnumerable<string> names, DateTimeOffset now, TimeSpan validity)
    {
        using var authority = ECDsa.Create();
        authority.ImportPkcs8PrivateKey(_key, out _);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var start = StartOf(now, validity);
        var encoded = Sign(authority, Certificate.SubjectName.ToArray(), subject, key, start, start + validity, [.. names], Certificate);
        return PemEncoding.WriteString("CERTIFICATE", encoded)
            + "\n"
            + PemEncoding.WriteString(PrivateKeyLabel, key.ExportPkcs8PrivateKey())
            + "\n";
    }

    /// <summary>The time that a new certificate has left. One that is renewed as long before its end is due when it is issued.</summary>
    /// <param name="validity">How long it is valid.</param>
    public static TimeSpan LeftWhenIssued(TimeSpan validity) => validity - Backdated(validity);

    // Of one that is only valid for minutes, no more than a tenth is past.
    private static TimeSpan Backdated(TimeSpan validity) => validity / 10 < s_backdated ? validity / 10 : s_backdated;

    // Whole seconds, as certificates have them.
    private static DateTimeOffset StartOf(DateTimeOffset now, TimeSpan validity)
    {
        var start = now - Backdated(validity);
        return new DateTimeOffset(start.Ticks - (start.Ticks % TimeSpan.TicksPerSecond), start.Offset);
    }

    private static byte[]? FromEllipticKey(string text)
    {
        if (PemBlock.Find(text, EllipticKeyLabel) is not { } encoded)
        {
            return null;
        }

        try
        {
            using var key = ECDsa.Create();
            key.ImportECPrivateKey(encoded, out _);
            return key.ExportPkcs8PrivateKey();
        }
        catch (CryptographicException)
        {
            return null;
        }
    }

    private static (byte[]? Key, X509Certificate? Certificate) Split(string text)
    {
        try
        {
            var bytes = Convert.FromBase64String(text.Trim());
            AsnDecoder.ReadSequence(bytes, AsnEncodingRules.DER, out _, out _, out var length);
            return (bytes[..length], X509Certificate.Read(bytes[length..]));
        }
        catch (Exception exception) when (exception is FormatException or AsnContentException)
        {
            return (null, null);
        }
    }

    // An authority of its own where it has no issuer.
    private static byte[] Sign(
        ECDsa authority,
        byte[] issuer,
        string subject,
        ECDsa key,
        DateTimeOffset from,
        DateTimeOffset until,
        string[] names,
        X509Certificate? by
    )
    {
        var publicKey = key.ExportSubjectPublicKeyInfo();
        var content = new AsnWriter(AsnEncodingRules.DER);
        using (content.PushSequence())
        {
            using (content.PushSequence(new Asn1Tag(TagClass.ContextSpecific, 0)))
            {
                content.WriteInteger(2);
            }

            content.WriteInteger(Serial());
            Algorithm(content);
            content.WriteEncodedValue(issuer);
            using (content.PushSequence())
            {
                Time(content, from);
                Time(content, until);
            }

            content.WriteEncodedValue(NameOf(subject));
            content.WriteEncodedValue(publicKey);
            using (content.PushSequence(new Asn1Tag(TagClass.ContextSpecific, 3)))
            using (content.PushSequence())
            {
                Extensions(content, Identifier(publicKey), names, by);
            }
        }

        var signed = content.Encode();
        var all = new AsnWriter(AsnEncodingRules.DER);
        using (all.PushSequence())
        {
            all.WriteEncodedValue(signed);
            Algorithm(all);
            all.WriteBitString(authority.SignData(signed, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence));
        }

        return all.Encode();
    }

    private static void Extensions(AsnWriter list, byte[] identifier, string[] names, X509Certificate? by)
    {
        var isAuthority = by is null;
        Add(X509Extensions.BasicConstraints, isCritical: true, value =>
        {
            using (value.PushSequence())
            {
                if (isAuthority)
                {
                    value.WriteBoolean(true);
                    value.WriteInteger(0);
                }
            }
        });
        // keyCertSign and cRLSign, or digitalSignature.
        Add(X509Extensions.KeyUsage, isCritical: true, value =>
            value.WriteBitString(isAuthority ? [0b0000_0110] : [0b1000_0000], isAuthority ? 1 : 7)
        );
        Add(X509Extensions.KeyIdentifier, isCritical: false, value => value.WriteOctetString(identifier));
        if (by is null)
        {
            return;
        }

        Add(X509Extensions.ExtendedKeyUsage, isCritical: false, value =>
        {
            using (value.PushSequence())
            {
                value.WriteObjectIdentifier(ServerAuthentication);
                value.WriteObjectIdentifier(ClientAuthentication);
            }
        });
        Add(X509Extensions.SubjectAlternativeName, isCritical: false, value => Names(value, names));
        if (by.KeyIdentifier.Length > 0)
        {
            Add(X509Extensions.AuthorityKeyIdentifier, isCritical: false, value =>
            {
                using (value.PushSequence())
                {
                    value.WriteOctetString(Convert.FromHexString(by.KeyIdentifier), new Asn1Tag(TagClass.ContextSpecific, 0));
                }
            });
        }

        void Add(string kind, bool isCritical, Action<AsnWriter> write)
        {
            var value = new AsnWriter(AsnEncodingRules.DER);
            write(value);
            using (list.PushSequence())
            {
                list.WriteObjectIdentifier(kind);
                if (isCritical)
                {
                    list.WriteBoolean(true);
                }

                list.WriteOctetString(value.Encode());
            }
        }
    }

    private static void Names(AsnWriter value, string[] names)
    {
        using (value.PushSequence())
        {
            foreach (var name in names)
            {
                if (IPAddress.TryParse(name, out var address))
                {
                    value.WriteOctetString(address.GetAddressBytes(), new Asn1Tag(TagClass.ContextSpecific, 7));
                }
                else
                {
                    value.WriteCharacterString(UniversalTagNumber.IA5String, name, new Asn1Tag(TagClass.ContextSpecific, 2));
                }
            }
        }
    }

    private static byte[] NameOf(string name)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        using (writer.PushSetOf())
        using (writer.PushSequence())
        {
            writer.WriteObjectIdentifier(CommonName);
            writer.WriteCharacterString(UniversalTagNumber.UTF8String, name);
        }

        return writer.Encode();
    }

    private static void Algorithm(AsnWriter writer)
    {
        using (writer.PushSequence())
        {
            writer.WriteObjectIdentifier(EcdsaWithSha256);
        }
    }

    // RFC 5280: UTCTime until 2049.
    private static void Time(AsnWriter writer, DateTimeOffset time)
    {
        if (time.UtcDateTime.Year < 2050)
        {
            writer.WriteUtcTime(time.ToUniversalTime());
        }
        else
        {
            writer.WriteGeneralizedTime(time.ToUniversalTime(), omitFractionalSeconds: true);
        }
    }

    // Positive, and without leading zeros.
    private static byte[] Serial()
    {
        var bytes = RandomNumberGenerator.GetBytes(SerialLength);
        bytes[0] = (byte)((bytes[0] & 0x3f) | 0x40);
        return bytes;
    }

    // RFC 7093, method 1, over the whole public key.
    private static byte[] Identifier(byte[] publicKey) => SHA256.HashData(publicKey)[..IdentifierLength];
}
