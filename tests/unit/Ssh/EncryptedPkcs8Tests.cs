using System.Formats.Asn1;
using System.Security.Cryptography;
using KeyBuzz.Reconciler.Ssh;
using Renci.SshNet;

namespace KeyBuzz.Reconciler.Tests.Ssh;

/// <summary>Keys that OpenSSL has encrypted.</summary>
public sealed class EncryptedPkcs8Tests
{
    private string _directory = null!;

    private string Path => System.IO.Path.Combine(_directory, "key");

    [SetUp]
    public void CreateDirectory() => _directory = Directory.CreateTempSubdirectory("kbr-pkcs8-").FullName;

    [TearDown]
    public void DeleteDirectory() => Directory.Delete(_directory, true);

    [TestCase("-algorithm rsa -pkeyopt rsa_keygen_bits:2048", "-v2 aes-256-cbc")]
    [TestCase("-algorithm ed25519", "-v2 aes-256-cbc")]
    [TestCase("-algorithm ec -pkeyopt ec_paramgen_curve:P-384", "-v2 aes-256-cbc -v2prf hmacWithSHA512")]
    [TestCase("-algorithm ed25519", "-v2 aes-192-cbc -v2prf hmacWithSHA384")]
    [TestCase("-algorithm ed25519", "-v2 aes-128-cbc -v2prf hmacWithSHA1 -iter 1000")]
    [TestCase("-algorithm ed25519", "-v2 des3 -v2prf hmacWithSHA256")]
    [TestCase("-algorithm ed25519", "-v2 aes-256-cbc -iter 600000", Description = "the advice for SHA-256")]
    public void A_key_of_openssl_is_decrypted(string algorithm, string encryption)
    {
        var plain = Make(algorithm, encryption);

        var decrypted = EncryptedPkcs8.Parse(File.ReadAllText(Path))!.Decrypt("s e'crët");

        Assert.That(System.Text.Encoding.ASCII.GetString(decrypted).Trim(), Is.EqualTo(plain.Trim()));
        using var stream = new MemoryStream(decrypted);
        using var key = new PrivateKeyFile(stream);
        Assert.That(key.HostKeyAlgorithms, Is.Not.Empty);
    }

    [Test]
    public void A_wrong_passphrase_is_an_error_or_gives_no_key()
    {
        Make("-algorithm ed25519", "-v2 aes-256-cbc");

        for (var i = 0; i < 20; i++)
        {
            // One padding of 256 looks right.
            Assert.That(
                () =>
                {
                    using var stream = new MemoryStream(EncryptedPkcs8.Parse(File.ReadAllText(Path))!.Decrypt($"open barley {i}"));
                    using var key = new PrivateKeyFile(stream);
                },
                Throws.Exception
            );
        }
    }

    [TestCase("-scrypt", "1.3.6.1.4.1.11591.4.11")]
    [TestCase("-v2 aes-256-cbc -v2prf hmacWithSHA224", "1.2.840.113549.2.8")]
    [TestCase("-v2 camellia-256-cbc", "1.2.392.200011.61.1.1.1.4")]
    [TestCase("-v1 PBE-SHA1-3DES", "1.2.840.113549.1.12.1.3")]
    public void Any_other_encryption_is_an_error_that_names_it(string encryption, string oid)
    {
        Make("-algorithm ed25519", encryption);

        Assert.That(
            () => EncryptedPkcs8.Parse(File.ReadAllText(Path)),
            Throws.TypeOf<CipherNotSupportedException>().With.Message.EqualTo(oid)
        );
    }

    [TestCase(EncryptedPkcs8.MostIterations, ExpectedResult = null)]
    [TestCase(EncryptedPkcs8.MostIterations + 1, ExpectedResult = "PBKDF2 with more than 2000000 iterations")]
    [TestCase(int.MaxValue, ExpectedResult = "PBKDF2 with more than 2000000 iterations")]
    [TestCase(1L << 40, ExpectedResult = "PBKDF2 with more than 2000000 iterations")]
    [TestCase(0, ExpectedResult = "the number of iterations is out of range")]
    [TestCase(-1, ExpectedResult = "the number of iterations is out of range")]
    public string? A_file_that_asks_for_too_long_a_derivation_is_refused_without_deriving(long iterations)
    {
        try
        {
            Assert.That(EncryptedPkcs8.Parse(WithIterations(iterations)), Is.Not.Null);
            return null;
        }
        catch (Exception e) when (e is CipherNotSupportedException or AsnContentException)
        {
            return e.Message;
        }
    }

    [Test]
    public void Any_other_file_is_none_of_these()
    {
        Assert.That(EncryptedPkcs8.Parse(Make("-algorithm ed25519", "-v2 des3")), Is.Null);
        Assert.That(EncryptedPkcs8.Parse(""), Is.Null);
    }

    [TestCase("MAA=")]
    [TestCase("AAAA")]
    public void A_damaged_file_is_an_error(string content) =>
        Assert.That(
            () => EncryptedPkcs8.Parse($"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{content}\n-----END ENCRYPTED PRIVATE KEY-----\n"),
            Throws.InstanceOf<System.Formats.Asn1.AsnContentException>()
        );

    // A file that nobody has derived a key for: only its parameters are read.
    private static string WithIterations(long iterations)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            using (writer.PushSequence())
            {
                writer.WriteObjectIdentifier("1.2.840.113549.1.5.13");
                using (writer.PushSequence())
                {
                    using (writer.PushSequence())
                    {
                        writer.WriteObjectIdentifier("1.2.840.113549.1.5.12");
                        using (writer.PushSequence())
                        {
                            writer.WriteOctetString(new byte[16]);
                            writer.WriteInteger(iterations);
                        }
                    }

                    using (writer.PushSequence())
                    {
                        writer.WriteObjectIdentifier("2.16.840.1.101.3.4.1.42");
                        writer.WriteOctetString(new byte[16]);
                    }
                }
            }

            writer.WriteOctetString(new byte[64]);
        }

        return PemEncoding.WriteString("ENCRYPTED PRIVATE KEY", writer.Encode());
    }

    // The encrypted key is at Path; gives the same key as openssl writes it without a passphrase.
    private string Make(string algorithm, string encryption)
    {
        Shell.Run($"openssl genpkey {algorithm} -out {Path}.plain");
        Shell.Run($"openssl pkcs8 -topk8 {encryption} -in {Path}.plain -out {Path} -passout \"pass:s e'crët\"");
        return File.ReadAllText(Path + ".plain");
    }
}
