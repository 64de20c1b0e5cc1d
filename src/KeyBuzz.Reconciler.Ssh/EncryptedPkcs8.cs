using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Text;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>A PKCS#8 key with a passphrase (<c>BEGIN ENCRYPTED PRIVATE KEY</c>) as OpenSSL and ssh-keygen write it: PBES2 with PBKDF2,
/// and AES or triple DES (RFC 8018). The library decrypts it through every cipher it has, which are 0.5 MB of the program.</summary>
internal sealed class EncryptedPkcs8
{
    private const string Pbes2 = "1.2.840.113549.1.5.13";
    private const string Pbkdf2 = "1.2.840.113549.1.5.12";

    /// <summary>OpenSSL writes 2048, and 600 000 are commonly advised. The derivation cannot be interrupted, so a file must not make it
    /// long.</summary>
    public const int MostIterations = 2_000_000;

    private readonly byte[] _salt;
    private readonly int _iterations;
    private readonly HashAlgorithmName _hash;
    private readonly string _cipher;
    private readonly byte[] _vector;
    private readonly byte[] _encrypted;

    private EncryptedPkcs8(AsnReader file)
    {
        var scheme = file.ReadSequence();
        _encrypted = file.ReadOctetString();
        Expect(scheme, Pbes2);
        var parameters = scheme.ReadSequence();
        var derivation = parameters.ReadSequence();
        Expect(derivation, Pbkdf2);
        var cipher = parameters.ReadSequence();
        _cipher = cipher.ReadObjectIdentifier();
        using (Cipher(_cipher))
        {
            _vector = cipher.ReadOctetString();
        }

        var key = derivation.ReadSequence();
        _salt = key.ReadOctetString();
        if (!key.TryReadInt32(out _iterations) || _iterations > MostIterations)
        {
            throw new CipherNotSupportedException($"PBKDF2 with more than {MostIterations} iterations");
        }

        if (_iterations < 1)
        {
            throw new AsnContentException("the number of iterations is out of range");
        }

        if (key.HasData && key.PeekTag() == Asn1Tag.Integer)
        {
            key.ReadIntegerBytes();
        }

        _hash = key.HasData ? Hash(key.ReadSequence().ReadObjectIdentifier()) : HashAlgorithmName.SHA1;
    }

    /// <summary>The key of a file's text; null if it is none of this kind.</summary>
    /// <exception cref="CipherNotSupportedException">It is encrypted otherwise; the message names the way.</exception>
    /// <exception cref="AsnContentException">The file is damaged.</exception>
    /// <exception cref="FormatException">The file is damaged.</exception>
    public static EncryptedPkcs8? Parse(string pem) =>
        PemEncoding.TryFind(pem, out var found) && pem[found.Label] == "ENCRYPTED PRIVATE KEY"
            ? new EncryptedPkcs8(new AsnReader(Convert.FromBase64String(pem[found.Base64Data]), AsnEncodingRules.BER).ReadSequence())
            : null;

    /// <summary>The same key without a passphrase, as PEM.</summary>
    /// <exception cref="CryptographicException">The passphrase is wrong, or the file damaged.</exception>
    public byte[] Decrypt(string passphrase)
    {
        using var algorithm = Cipher(_cipher);
        var secret = Encoding.UTF8.GetBytes(passphrase);
        var key = Rfc2898DeriveBytes.Pbkdf2(secret, _salt, _iterations, _hash, algorithm.KeySize / 8);
        algorithm.IV = _vector;
        algorithm.Key = key;
        CryptographicOperations.ZeroMemory(secret);
        CryptographicOperations.ZeroMemory(key);
        var plain = algorithm.DecryptCbc(_encrypted, _vector);
        try
        {
            return Encoding.ASCII.GetBytes(PemEncoding.Write("PRIVATE KEY", plain));
        }
        finally
        {
            CryptographicOperations.ZeroMemory(plain);
        }
    }

    private static HashAlgorithmName Hash(string oid) =>
        oid switch
        {
            "1.2.840.113549.2.7" => HashAlgorithmName.SHA1,
            "1.2.840.113549.2.9" => HashAlgorithmName.SHA256,
            "1.2.840.113549.2.10" => HashAlgorithmName.SHA384,
            "1.2.840.113549.2.11" => HashAlgorithmName.SHA512,
            _ => throw new CipherNotSupportedException(oid),
        };

    private static SymmetricAlgorithm Cipher(string oid)
    {
        if (oid == "1.2.840.113549.3.7")
        {
#pragma warning disable CA5350 // Older releases of OpenSSL encrypt keys so.
            return TripleDES.Create();
#pragma warning restore CA5350
        }

        var aes = Aes.Create();
        aes.KeySize = oid switch
        {
            "2.16.840.1.101.3.4.1.2" => 128,
            "2.16.840.1.101.3.4.1.22" => 192,
            "2.16.840.1.101.3.4.1.42" => 256,
            _ => throw new CipherNotSupportedException(oid),
        };
        return aes;
    }

    private static void Expect(AsnReader algorithm, string oid)
    {
        var found = algorithm.ReadObjectIdentifier();
        if (found != oid)
        {
            throw new CipherNotSupportedException(found);
        }
    }
}

/// <summary>A key is encrypted in a way that is not read here; the message is its object identifier, or what is too much of it.</summary>
internal sealed class CipherNotSupportedException(string way) : Exception(way);
