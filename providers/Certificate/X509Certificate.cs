using System.Collections.Immutable;
using System.Formats.Asn1;
using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace KeyBuzz.Reconciler.Providers.Certificate;

/// <summary>What kbr compares of an X.509 certificate (RFC 5280). The library's own class would be 0.4 MB of the program.</summary>
public sealed class X509Certificate
{
    private const string Label = "CERTIFICATE";
    private const string CommonName = "2.5.4.3";
    private const string EllipticKey = "1.2.840.10045.2.1";
    private const string RsaKey = "1.2.840.113549.1.1.1";
    private const string P256 = "1.2.840.10045.3.1.7";
    private const string P384 = "1.3.132.0.34";
    private const string Sha256 = "1.2.840.10045.4.3.2";
    private const string Sha384 = "1.2.840.10045.4.3.3";

    private static readonly Asn1Tag s_dnsName = new(TagClass.ContextSpecific, 2);
    private static readonly Asn1Tag s_address = new(TagClass.ContextSpecific, 7);
    private static readonly Asn1Tag s_keyIdentifier = new(TagClass.ContextSpecific, 0);

    private readonly byte[] _signed;
    private readonly string _algorithm;
    private readonly byte[] _signature;

    private X509Certificate(byte[] encoded)
    {
        Encoded = encoded;
        var all = new AsnReader(encoded, AsnEncodingRules.DER).ReadSequence();
        _signed = all.PeekEncodedValue().ToArray();
        var content = all.ReadSequence();
        _algorithm = all.ReadSequence().ReadObjectIdentifier();
        _signature = all.ReadBitString(out _);

        var version = new Asn1Tag(TagClass.ContextSpecific, 0);
        if (content.PeekTag().HasSameClassAndValue(version))
        {
            content.ReadSequence(version);
        }

        content.ReadIntegerBytes();
        content.ReadSequence();
        IssuerName = content.PeekEncodedValue().ToArray();
        Issuer = NameOf(content.ReadSequence());
        var validity = content.ReadSequence();
        NotBefore = Time(validity);
        NotAfter = Time(validity);
        SubjectName = content.PeekEncodedValue().ToArray();
        Subject = NameOf(content.ReadSequence());
        PublicKey = content.PeekEncodedValue().ToArray();
        KeyKind = KindOf(content.ReadSequence());
        var extensions = new Asn1Tag(TagClass.ContextSpecific, 3);
        while (content.HasData)
        {
            if (!content.PeekTag().HasSameClassAndValue(extensions))
            {
                content.ReadEncodedValue();
                continue;
            }

            var list = content.ReadSequence(extensions).ReadSequence();
            while (list.HasData)
            {
                Extension(list.ReadSequence());
            }
        }
    }

    /// <summary>The certificate in DER.</summary>
    public ReadOnlyMemory<byte> Encoded { get; }

    /// <summary>The common name of the subject; empty without one.</summary>
    public string Subject { get; }

    /// <summary>The subject in DER.</summary>
    public ReadOnlyMemory<byte> SubjectName { get; }

    /// <summary>The common name of the issuer; empty without one.</summary>
    public string Issuer { get; }

    /// <summary>The issuer in DER.</summary>
    public ReadOnlyMemory<byte> IssuerName { get; }

    /// <summary>The time from which it is valid.</summary>
    public DateTimeOffset NotBefore { get; }

    /// <summary>The time until which it is valid.</summary>
    public DateTimeOffset NotAfter { get; }

    /// <summary>The subject's public key with its algorithm (SubjectPublicKeyInfo).</summary>
    public ReadOnlyMemory<byte> PublicKey { get; }

    /// <summary>The kind of key, such as <c>ECDSA P-256</c>.</summary>
    public string KeyKind { get; }

    /// <summary>The host names and addresses that it is for, sorted.</summary>
    public ImmutableArray<string> Names { get; private set; } = [];

    /// <summary>Whether it may sign others.</summary>
    public bool IsAuthority { get; private set; }

    /// <summary>The identifier of its key in hexadecimal; empty without one.</summary>
    public string KeyIdentifier { get; private set; } = "";

    /// <summary>The identifier of the key that signed it in hexadecimal; empty without one.</summary>
    public string AuthorityKeyIdentifier { get; private set; } = "";

    /// <summary>The certificate as PEM.</summary>
    public string Pem => PemEncoding.WriteString(Label, Encoded.Span) + "\n";

    /// <summary>Reads a certificate in DER; null where it is none.</summary>
    public static X509Certificate? Read(byte[] encoded)
    {
        try
        {
            return new X509Certificate(encoded);
        }
        catch (AsnContentException)
        {
            return null;
        }
    }

    /// <summary>The first certificate in a PEM text; null where there is none.</summary>
    public static X509Certificate? Find(string text) => PemBlock.Find(text, Label) is { } encoded ? Read(encoded) : null;

    /// <summary>Every certificate in a PEM text, each once; empty where there is none, or one cannot be read.</summary>
    public static ImmutableArray<X509Certificate> FindAll(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var found = PemBlock.FindAll(text, Label).ConvertAll(Read);
        return found.Contains(null) || found.Count != text.Split($"-----BEGIN {Label}-----").Length - 1
            ? []
            : [.. found.OfType<X509Certificate>().DistinctBy(one => one.Pem)];
    }

    /// <summary>Whether that other certificate is of the authority that this one names as its issuer, by name and key identifier (RFC 5280,
    /// 4.2.1.1): of any kind of key, and nothing is verified. A root is issued by nobody else.</summary>
    public bool IsIssuedBy(X509Certificate authority)
    {
        ArgumentNullException.ThrowIfNull(authority);
        return !IssuerName.Span.SequenceEqual(SubjectName.Span)
            && IssuerName.Span.SequenceEqual(authority.SubjectName.Span)
            && (AuthorityKeyIdentifier.Length == 0 || authority.KeyIdentifier is "" || AuthorityKeyIdentifier == authority.KeyIdentifier);
    }

    /// <summary>Whether the key of that certificate signed this one.</summary>
    public bool IsSignedBy(X509Certificate authority)
    {
        ArgumentNullException.ThrowIfNull(authority);
        var hash = _algorithm switch
        {
            Sha256 => HashAlgorithmName.SHA256,
            Sha384 => HashAlgorithmName.SHA384,
            _ => default,
        };
        if (hash == default || !authority.KeyKind.StartsWith("ECDSA", StringComparison.Ordinal))
        {
            return false;
        }

        try
        {
            using var key = ECDsa.Create();
            key.ImportSubjectPublicKeyInfo(authority.PublicKey.Span, out _);
            return key.VerifyData(_signed, _signature, hash, DSASignatureFormat.Rfc3279DerSequence);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    private void Extension(AsnReader extension)
    {
        var kind = extension.ReadObjectIdentifier();
        if (extension.PeekTag() == Asn1Tag.Boolean)
        {
            extension.ReadBoolean();
        }

        var value = new AsnReader(extension.ReadOctetString(), AsnEncodingRules.DER);
        switch (kind)
        {
            case X509Extensions.KeyIdentifier:
                KeyIdentifier = Convert.ToHexStringLower(value.ReadOctetString());
                break;
            case X509Extensions.AuthorityKeyIdentifier:
                var authority = value.ReadSequence();
                if (authority.HasData && authority.PeekTag().HasSameClassAndValue(s_keyIdentifier))
                {
                    AuthorityKeyIdentifier = Convert.ToHexStringLower(authority.ReadOctetString(s_keyIdentifier));
                }

                break;
            case X509Extensions.BasicConstraints:
                var constraints = value.ReadSequence();
                IsAuthority = constraints.HasData && constraints.PeekTag() == Asn1Tag.Boolean && constraints.ReadBoolean();
                break;
            case X509Extensions.SubjectAlternativeName:
                Names = NamesIn(value.ReadSequence());
                break;
        }
    }

    private static ImmutableArray<string> NamesIn(AsnReader list)
    {
        var names = new List<string>();
        while (list.HasData)
        {
            var tag = list.PeekTag();
            if (tag.HasSameClassAndValue(s_dnsName))
            {
                names.Add(Plain(list.ReadCharacterString(UniversalTagNumber.IA5String, s_dnsName)));
            }
            else if (tag.HasSameClassAndValue(s_address))
            {
                var bytes = list.ReadOctetString(s_address);
                names.Add(bytes.Length is 4 or 16 ? new IPAddress(bytes).ToString() : Convert.ToHexStringLower(bytes));
            }
            else
            {
                list.ReadEncodedValue();
                names.Add("(another kind of name)");
            }
        }

        names.Sort(StringComparer.Ordinal);
        return [.. names];
    }

    private static string NameOf(AsnReader name)
    {
        while (name.HasData)
        {
            var set = name.ReadSetOf();
            while (set.HasData)
            {
                var attribute = set.ReadSequence();
                if (attribute.ReadObjectIdentifier() == CommonName)
                {
                    var kind = (UniversalTagNumber)attribute.PeekTag().TagValue;
                    return kind is UniversalTagNumber.UTF8String or UniversalTagNumber.PrintableString or UniversalTagNumber.IA5String
                        ? Plain(attribute.ReadCharacterString(kind))
                        : "";
                }
            }
        }

        return "";
    }

    // A host's word must not break a line, nor look like two names.
    private static string Plain(string text) =>
        text.Any(char.IsControl) ? string.Concat(text.Select(letter => char.IsControl(letter) ? '\uFFFD' : letter)) : text;

    private static DateTimeOffset Time(AsnReader validity) =>
        validity.PeekTag() == Asn1Tag.UtcTime ? validity.ReadUtcTime() : validity.ReadGeneralizedTime();

    private static string KindOf(AsnReader key)
    {
        var algorithm = key.ReadSequence();
        switch (algorithm.ReadObjectIdentifier())
        {
            case EllipticKey when algorithm.HasData && algorithm.PeekTag() == Asn1Tag.ObjectIdentifier:
                var curve = algorithm.ReadObjectIdentifier();
                return curve switch
                {
                    P256 => CertificateAuthority.KeyKind,
                    P384 => "ECDSA P-384",
                    _ => $"ECDSA {curve}",
                };
            case RsaKey:
                return "RSA";
            case var other:
                return other;
        }
    }
}

/// <summary>The extensions of a certificate, by number.</summary>
internal static class X509Extensions
{
    public const string KeyIdentifier = "2.5.29.14";
    public const string KeyUsage = "2.5.29.15";
    public const string SubjectAlternativeName = "2.5.29.17";
    public const string BasicConstraints = "2.5.29.19";
    public const string AuthorityKeyIdentifier = "2.5.29.35";
    public const string ExtendedKeyUsage = "2.5.29.37";
}

/// <summary>Blocks of PEM in a text.</summary>
internal static class PemBlock
{
    /// <summary>The bytes of the first block with that label; null without one.</summary>
    public static byte[]? Find(string text, string label) => FindAll(text, label).FirstOrDefault();

    /// <summary>The bytes of the blocks with that label, up to the first that is damaged.</summary>
    public static List<byte[]> FindAll(string text, string label)
    {
        List<byte[]> blocks = [];
        var rest = text.AsSpan();
        try
        {
            while (PemEncoding.TryFind(rest, out var found))
            {
                if (rest[found.Label].SequenceEqual(label))
                {
                    blocks.Add(Convert.FromBase64String(rest[found.Base64Data].ToString()));
                }

                rest = rest[found.Location.End..];
            }
        }
        catch (FormatException)
        {
            // Damaged: as if it were not there.
        }

        return blocks;
    }
}
