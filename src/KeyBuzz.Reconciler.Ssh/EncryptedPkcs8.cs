using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Text;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Decrypts a PKCS#8 key (<c>BEGIN ENCRYPTED PRIVATE KEY</c>) as OpenSSL and ssh-keygen write it: PBES2 with PBKDF2, and AES or
/// triple DES. The library does it through every cipher it has, which are 0.5 MB of the program.</summary>
internal static class EncryptedPkcs8
{
    private const string Pbes2 = "1.2.840.113549.1.5.13";
    private const string Pbkdf2 = "1.2.840.113549.1.5.12";
    private const int MostIterations = 10_000_000;

    /// <summary>Whether a file's text is such a key. The library takes an empty passphrase for it, and does not ask.</summary>
    public static bool IsOne(string pem) => PemEncoding.TryFind(pem, out var found) && IsOne(pem, found);

    /// <summary>The same key without a passphrase, as PEM; null if the file is no such key.</summary>
    /// <exception cref="NotSupportedException">It is encrypted otherwise.</exception>
    /// <exception cref="CryptographicException">The passphrase is wrong, or the file damaged.</exception>
    /// <exception cref="AsnContentException">The file is damaged.</exception>
    public static byte[]? Decrypt(string pem, string passphrase)
    {
        if (!PemEncoding.TryFind(pem, out var found) || !IsOne(pem, found))
        {
            return null;
        }

        var file = new AsnReader(Convert.FromBase64String(pem[found.Base64Data]), AsnEncodingRules.BER).ReadSequence();
        var scheme = file.ReadSequence();
        var encrypted = file.ReadOctetString();
        Expect(scheme, Pbes2);
        var parameters = scheme.ReadSequence();
        var derivation = parameters.ReadSequence();
        Expect(derivation, Pbkdf2);
        var cipher = parameters.ReadSequence();

        using var algorithm = Cipher(cipher.ReadObjectIdentifier());
        algorithm.IV = cipher.ReadOctetString();
        algorithm.Key = Key(derivation.ReadSequence(), passphrase, algorithm.KeySize / 8);
        var plain = algorithm.DecryptCbc(encrypted, algorithm.IV);
        try
        {
            return Encoding.ASCII.GetBytes(PemEncoding.Write("PRIVATE KEY", plain));
        }
        finally
        {
            CryptographicOperations.ZeroMemory(plain);
        }
    }

    private static bool IsOne(string pem, PemFields found) => pem[found.Label] == "ENCRYPTED PRIVATE KEY";

    private static byte[] Key(AsnReader parameters, string passphrase, int length)
    {
        var salt = parameters.ReadOctetString();
        if (!parameters.TryReadInt32(out var iterations) || iterations is < 1 or > MostIterations)
        {
            throw new CryptographicException("the number of iterations is out of range");
        }

        if (parameters.HasData && parameters.PeekTag() == Asn1Tag.Integer)
        {
            parameters.ReadIntegerBytes();
        }

        var hash = parameters.HasData ? Hash(parameters.ReadSequence().ReadObjectIdentifier()) : HashAlgorithmName.SHA1;
        return Rfc2898DeriveBytes.Pbkdf2(Encoding.UTF8.GetBytes(passphrase), salt, iterations, hash, length);
    }

    private static HashAlgorithmName Hash(string oid) =>
        oid switch
        {
            "1.2.840.113549.2.7" => HashAlgorithmName.SHA1,
            "1.2.840.113549.2.9" => HashAlgorithmName.SHA256,
            "1.2.840.113549.2.10" => HashAlgorithmName.SHA384,
            "1.2.840.113549.2.11" => HashAlgorithmName.SHA512,
            _ => throw new NotSupportedException(oid),
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
            _ => throw new NotSupportedException(oid),
        };
        return aes;
    }

    private static void Expect(AsnReader algorithm, string oid)
    {
        var found = algorithm.ReadObjectIdentifier();
        if (found != oid)
        {
            throw new NotSupportedException(found);
        }
    }
}
