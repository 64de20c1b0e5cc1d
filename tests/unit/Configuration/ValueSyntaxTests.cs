using System.Diagnostics.CodeAnalysis;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Providers.Image;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Configuration;

[TestFixture]
[SuppressMessage("Performance", "CA1812", Justification = "NUnit makes it.")]
internal sealed class ValueSyntaxTests
{
    [TestCase("0640", "0640")]
    [TestCase("0o640", "0640")]
    [TestCase("640", "0640")]
    [TestCase("4755", "4755")]
    [TestCase("0680", null)]
    [TestCase("64", null)]
    [TestCase("u=rw", null)]
    [TestCase("00640", null)]
    public void Modes_have_one_form(string text, string? expected) =>
        Assert.That(ValueSyntax.TryParseMode(text, out var mode) ? mode : null, Is.EqualTo(expected));

    [TestCase("1024", 1024L)]
    [TestCase("64MiB", 67108864L)]
    [TestCase("512MB", 512000000L)]
    [TestCase("1 GiB", 1073741824L)]
    [TestCase("-1", null)]
    [TestCase("1.5GiB", null)]
    [TestCase("9999999999GiB", null)]
    [TestCase("GiB", null)]
    [TestCase("1gib", null)]
    public void Sizes_are_bytes(string text, long? expected) =>
        Assert.That(ValueSyntax.TryParseSize(text, out var bytes) ? (long?)bytes : null, Is.EqualTo(expected));

    [TestCase("10.0.0.0/24", null)]
    [TestCase("fd00::/8", null)]
    [TestCase("10.0.0.1/24", "bits are set beyond the prefix; the network is 10.0.0.0/24")]
    [TestCase("10.0.0.0/33", "the prefix length may be at most 32")]
    [TestCase("10.0.0.0", "write a network in CIDR notation, such as 10.0.0.0/24")]
    [TestCase("10.0.0/24", "write a network in CIDR notation, such as 10.0.0.0/24")]
    [TestCase("10.0.0.0/", "write a network in CIDR notation, such as 10.0.0.0/24")]
    public void Networks_are_checked(string text, string? problem) =>
        Assert.That(NetworkAddress.ProblemOfNetwork(text), Is.EqualTo(problem));

    [TestCase("owenr", "owner")]
    [TestCase("Owner", "owner")]
    [TestCase("requiers", "requires")]
    [TestCase("colour", null)]
    public void The_near_name_is_found(string word, string? expected) =>
        Assert.That(NearName.Of(word, ["owner", "path", "requires", "mode"]), Is.EqualTo(expected));

    [TestCase("postgres:16.4", "postgres", "16.4", null)]
    [TestCase("10.77.0.1:5000/kbr/patroni:4.0.7-pg17", "10.77.0.1:5000/kbr/patroni", "4.0.7-pg17", null)]
    [TestCase(
        "a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "a/b",
        null,
        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    )]
    [TestCase("registry:5000/app", "registry:5000/app", null, null)]
    [TestCase("App:1", null, null, null)]
    [TestCase("app:", null, null, null)]
    [TestCase("app@sha256:12", null, null, null)]
    [TestCase("app name:1", null, null, null)]
    [TestCase("/app:1", null, null, null)]
    [TestCase("", null, null, null)]
    public void Image_references_are_taken_apart(string text, string? repository, string? tag, string? digest)
    {
        var good = ImageReference.TryParse(text, out var foundRepository, out var foundTag, out var foundDigest);

        Assert.That(good, Is.EqualTo(repository is not null));
        if (good)
        {
            Assert.That((foundRepository, foundTag, foundDigest), Is.EqualTo((repository, tag, digest)));
        }
    }
}
