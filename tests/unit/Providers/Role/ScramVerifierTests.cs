using System.Security.Cryptography;
using System.Text;
using KeyBuzz.Reconciler.Providers.Role;

namespace KeyBuzz.Reconciler.Tests.Providers.Role;

[TestFixture]
internal sealed class ScramVerifierTests
{
    private static readonly byte[] s_salt = Convert.FromBase64String("W22ZaJ0SNY7soEsUEjb6gQ==");

    // The exchange of RFC 7677, section 3: user "user", password "pencil".
    [Test]
    public void The_example_of_rfc_7677_is_answered_and_signed_with_the_keys_of_the_verifier()
    {
        const string nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        var message = Encoding.ASCII.GetBytes(
            $"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}"
        );
        var verifier = ScramVerifier.Make("pencil", s_salt);
        Assert.That(verifier, Does.StartWith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"));
        var keys = verifier.Split('$')[2].Split(':').Select(Convert.FromBase64String).ToArray();
        var signature = HMACSHA256.HashData(keys[0], message);
        var clientKey = Convert
            .FromBase64String("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
            .Zip(signature, (left, right) => (byte)(left ^ right))
            .ToArray();
        Assert.That(SHA256.HashData(clientKey), Is.EqualTo(keys[0]));
        Assert.That(
            Convert.ToBase64String(HMACSHA256.HashData(keys[1], message)),
            Is.EqualTo("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        );
    }

    [Test]
    public void A_verifier_proves_its_password_with_any_salt_and_number_of_rounds_and_no_other()
    {
        var verifier = ScramVerifier.Make("right", [1, 2, 3], 17);
        Assert.That(ScramVerifier.Proves(verifier, "right"));
        Assert.That(ScramVerifier.Proves(verifier, "Right"), Is.False);
        Assert.That(ScramVerifier.Proves(verifier, ""), Is.False);
        Assert.That(ScramVerifier.Proves(verifier.Replace("$17:", "$18:", StringComparison.Ordinal), "right"), Is.False);
    }

    [Test]
    public void A_verifier_with_one_key_replaced_proves_nothing()
    {
        var (right, wrong) = (ScramVerifier.Make("right", s_salt), ScramVerifier.Make("wrong", s_salt));
        Assert.That(ScramVerifier.Proves(right[..right.LastIndexOf(':')] + wrong[wrong.LastIndexOf(':')..], "right"), Is.False);
        Assert.That(ScramVerifier.Proves(wrong[..wrong.LastIndexOf(':')] + right[right.LastIndexOf(':')..], "right"), Is.False);
    }

    [TestCase(null)]
    [TestCase("")]
    [TestCase("right")]
    [TestCase("md5d41d8cd98f00b204e9800998ecf8427e")]
    [TestCase("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==")]
    [TestCase(
        "SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )]
    [TestCase(
        "SCRAM-SHA-256$2147483647:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )]
    [TestCase("SCRAM-SHA-256$4096:%$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")]
    [TestCase("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AAAA:AAAA")]
    public void An_unusable_verifier_proves_nothing_and_throws_nothing(string? text)
    {
        Assert.That(ScramVerifier.Proves(text, "pencil"), Is.False);
        Assert.That(ScramVerifier.IsVerifier(text), Is.False);
    }

    // RFC 4013, section 3, and what normalisation form KC and the prohibitions of RFC 3454 make of a few more.
    [TestCase("I\u00ADX", "IX")]
    [TestCase("user", "user")]
    [TestCase("USER", "USER")]
    [TestCase("\u00AA", "a")]
    [TestCase("\u2168", "IX")]
    [TestCase("a\u00A0b", "a b")]
    [TestCase("µ²", "\u03BC2")]
    [TestCase("e\u0301", "é")]
    [TestCase("a\u0323\u0307", "\u1EA1\u0307", Description = "the mark of the lower class combines, the other stays")]
    [TestCase("a\u0307\u0323", "\u1EA1\u0307", Description = "marks are put in order first")]
    [TestCase("\u1112\u1161\u11AB", "\uD55C")]
    [TestCase("\uD55C", "\uD55C")]
    [TestCase("\uFB01", "fi")]
    [TestCase("\u0627\u0628", "\u0627\u0628")]
    public void A_password_is_prepared_as_the_standard_says(string password, string prepared) =>
        Assert.That(ScramVerifier.Proves(ScramVerifier.Make(password, s_salt, 1), prepared));

    [TestCase("\u0007", Description = "ASCII is left alone, control characters too")]
    [TestCase("\u06271\u0628\u0301x", Description = "right-to-left with left-to-right")]
    [TestCase("\u0221\u00AA", Description = "not assigned in Unicode 3.2")]
    [TestCase("🙂\u00AA", Description = "not assigned in Unicode 3.2")]
    [TestCase("\u200E\u00AA", Description = "prohibited")]
    [TestCase("\u00AD", Description = "nothing would be left")]
    public void A_password_that_may_not_be_prepared_is_taken_as_it_is(string password)
    {
        var verifier = ScramVerifier.Make(password, s_salt, 1);
        var salted = Rfc2898DeriveBytes.Pbkdf2(Encoding.UTF8.GetBytes(password), s_salt, 1, HashAlgorithmName.SHA256, 32);
        Assert.That(verifier, Does.EndWith(":" + Convert.ToBase64String(HMACSHA256.HashData(salted, "Server Key"u8))));
    }
}
