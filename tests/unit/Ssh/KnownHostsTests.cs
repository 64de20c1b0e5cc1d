using System.Security.Cryptography;
using System.Text;
using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Tests.Ssh;

public sealed class KnownHostsTests
{
    private static readonly byte[] Key = [0, 0, 0, 11, .. "ssh-ed25519"u8, 0, 0, 0, 1, 7];
    private static readonly byte[] Other = [0, 0, 0, 11, .. "ssh-ed25519"u8, 0, 0, 0, 1, 8];

    [TestCase("db-1", "db-1", 22, HostKeyVerdict.Known)]
    [TestCase("db-1,10.0.0.1", "10.0.0.1", 22, HostKeyVerdict.Known)]
    [TestCase("DB-1", "db-1", 22, HostKeyVerdict.Known)]
    [TestCase("db-1", "db-2", 22, HostKeyVerdict.Unknown)]
    [TestCase("db-1", "db-1", 2222, HostKeyVerdict.Unknown, Description = "another port is another host")]
    [TestCase("[db-1]:2222", "db-1", 2222, HostKeyVerdict.Known)]
    [TestCase("db-*", "db-1", 22, HostKeyVerdict.Known)]
    [TestCase("db-?", "db-10", 22, HostKeyVerdict.Unknown)]
    [TestCase("db-*,!db-2", "db-2", 22, HostKeyVerdict.Unknown)]
    [TestCase("!db-2,db-*", "db-1", 22, HostKeyVerdict.Known)]
    public void A_host_is_found_by_its_names(string patterns, string hostname, int port, HostKeyVerdict expected) =>
        Assert.That(Parse($"{patterns} ssh-ed25519 {Text(Key)} comment").Check(hostname, port, Key), Is.EqualTo(expected));

    [Test]
    public void A_hashed_name_is_found()
    {
        byte[] salt = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];
#pragma warning disable CA5350 // The file format's choice.
        var hash = HMACSHA1.HashData(salt, Encoding.UTF8.GetBytes("[db-1]:2222"));
#pragma warning restore CA5350
        var known = Parse($"|1|{Text(salt)}|{Text(hash)} ssh-ed25519 {Text(Key)}");

        Assert.That(known.Check("db-1", 2222, Key), Is.EqualTo(HostKeyVerdict.Known));
        Assert.That(known.Check("db-2", 2222, Key), Is.EqualTo(HostKeyVerdict.Unknown));
    }

    [Test]
    public void Another_key_of_a_known_host_is_a_change_and_not_a_new_host()
    {
        Assert.That(Parse($"db-1 ssh-ed25519 {Text(Other)}").Check("db-1", 22, Key), Is.EqualTo(HostKeyVerdict.Changed));
        Assert.That(
            Parse($"db-1 ssh-ed25519 {Text(Other)}\ndb-1 ssh-ed25519 {Text(Key)}").Check("db-1", 22, Key),
            Is.EqualTo(HostKeyVerdict.Known)
        );
    }

    [Test]
    public void A_revoked_key_is_refused_even_where_it_is_also_listed() =>
        Assert.That(
            Parse($"db-1 ssh-ed25519 {Text(Key)}\n@revoked * ssh-ed25519 {Text(Key)}").Check("db-1", 22, Key),
            Is.EqualTo(HostKeyVerdict.Revoked)
        );

    [Test]
    public void A_certificate_authority_does_not_vouch() =>
        Assert.That(Parse($"@cert-authority * ssh-ed25519 {Text(Key)}").Check("db-1", 22, Key), Is.EqualTo(HostKeyVerdict.AuthorityOnly));

    [Test]
    public void Comments_empty_and_broken_lines_are_left_out() =>
        Assert.That(Parse($"# db-1 ssh-ed25519 {Text(Key)}\n\ndb-1 ssh-ed25519\ndb-1 ssh-ed25519 ?%&\n").KeyTypes("db-1", 22), Is.Empty);

    [Test]
    public void An_added_key_is_found_again_and_existing_lines_stay()
    {
        var directory = Directory.CreateTempSubdirectory("kbr-known-").FullName;
        var path = Path.Combine(directory, "new", "known_hosts");
        KnownHosts.Add(path, "db-0", 22, Other);
        File.WriteAllText(path, File.ReadAllText(path).TrimEnd('\n'));
        KnownHosts.Add(path, "db-1", 2222, Key);

        var known = KnownHosts.Load(path);

        Assert.That(known.Check("db-0", 22, Other), Is.EqualTo(HostKeyVerdict.Known));
        Assert.That(known.Check("db-1", 2222, Key), Is.EqualTo(HostKeyVerdict.Known));
        Assert.That(known.KeyTypes("db-1", 2222), Is.EqualTo(new[] { "ssh-ed25519" }));
        Directory.Delete(directory, recursive: true);
    }

    private static KnownHosts Parse(string text) => KnownHosts.Parse(text + "\n");

    private static string Text(byte[] bytes) => Convert.ToBase64String(bytes);
}
