using System.Diagnostics.CodeAnalysis;
using System.Text;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Tests.Configuration;

[TestFixture]
[SuppressMessage("Performance", "CA1812", Justification = "NUnit makes it.")]
internal sealed class CredentialsFileTests : LoaderFixture
{
    [TestCase("A=plain", "plain")]
    [TestCase("export A=plain", "plain")]
    [TestCase("  A='single $x \" # quoted'  # comment", "single $x \" # quoted")]
    [TestCase("A=\"double \\\" \\\\ \\n\"", "double \" \\ \\n")]
    [TestCase("A=a'b c'\"d e\"f", "ab cd ef")]
    [TestCase("A=with#hash", "with#hash")]
    [TestCase("A=with\\ space", "with space")]
    [TestCase("A=", "")]
    [TestCase("A=crlf\r", "crlf")]
    [TestCase("A=first\nA=last", "last")]
    [TestCase("# A=comment\n\nA=b==", "b==")]
    public void A_line_is_read_as_a_shell_reads_it(string text, string expected)
    {
        var file = CredentialsFile.Parse(text + "\n", "x.env");

        Assert.That(file.Values["A"], Is.EqualTo(expected));
        Assert.That(file.Findings.Where(finding => finding.Severity == Severity.Error), Is.Empty);
    }

    [TestCase("A = canary", "not a line NAME=value")]
    [TestCase("canary", "not a line NAME=value")]
    [TestCase("1A=canary", "not a line NAME=value")]
    [TestCase("A=canary b", "the value of A cannot be read: it holds a space outside quotes")]
    [TestCase("A='canary", "the value of A cannot be read: its quote is not closed")]
    [TestCase("A=canary;b", "the value of A cannot be read: it has a shell character (one of ; & | < > ( and )) outside quotes")]
    [TestCase("A=canary\\", "the value of A cannot be read: it ends in a backslash")]
    public void A_line_that_cannot_be_read_is_named_and_never_shown(string line, string expected)
    {
        var finding = CredentialsFile.Parse("B=1\n" + line + "\n", "x.env").Findings.Single();

        Assert.That((finding.Severity, finding.Summary, finding.Location!.ToString()), Is.EqualTo((Severity.Error, expected, "x.env:2:1")));
        Assert.That(finding.ToString(), Does.Not.Contain("canary"));
    }

    [TestCase("A=canary-\u00e9", "x.env is not UTF-8 text: byte 0xe9")]
    [TestCase("A=canary-\u0007b", "x.env holds the control character 0x07")]
    [TestCase("A='canary-\u001b[31m'", "x.env holds the control character 0x1b")]
    public void A_line_that_is_no_text_is_named_and_never_shown(string line, string expected)
    {
        var path = Put("x.env", "");
        System.IO.File.WriteAllBytes(path, Encoding.Latin1.GetBytes("B=1\n" + line + "\nC=canary\n"));

        var finding = Assert.Throws<DiagnosticException>(() => CredentialsFile.Read(path, "x.env"))!.Diagnostics.Single();

        Assert.That((finding.Summary, finding.Location!.Line), Is.EqualTo((expected, 2)));
        Assert.That(finding.ToString(), Does.Not.Contain("canary"));
    }

    [Test]
    public void A_value_that_a_shell_would_expand_is_a_warning() =>
        Assert.That(CredentialsFile.Parse("A=pa$word\n", "x.env").Findings.Single().Summary, Does.StartWith("the value of A holds a '$'"));

    [Test]
    [Platform(Exclude = "Win")]
    public void A_file_that_others_can_read_or_change_is_refused()
    {
        var path = Put("credentials/secrets.env", "A=b\n");
        if (!OperatingSystem.IsWindows())
        {
            System.IO.File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.GroupRead);
        }

        var refused = Assert.Throws<DiagnosticException>(() => Load(Header))!;
        Assert.That(
            Shown(refused.Diagnostics),
            Does.Contain(
                "credentials/secrets.env:1:1: the credentials file credentials/secrets.env has mode 0440: others "
                    + "can read it (chmod 0600 credentials/secrets.env)"
            )
        );
        if (!OperatingSystem.IsWindows())
        {
            System.IO.File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.OtherWrite);
        }

        Assert.That(
            Shown(Assert.Throws<DiagnosticException>(() => Load(Header))!.Diagnostics),
            Has.One.Contains("has mode 0402: others can change it")
        );
    }

    [Test]
    [Platform(Exclude = "Win")]
    public void A_new_file_is_made_with_random_values_for_its_owner_only()
    {
        var path = Path.Combine(Folder, "new", "postgres.env");

        var added = CredentialsFile.Initialize(path, ["A", "B", "A"]);

        var values = CredentialsFile.Read(path, "x.env").Values;
        Assert.Multiple(() =>
        {
            Assert.That(added, Is.EqualTo(new[] { "A", "B" }));
            Assert.That(values["A"], Does.Match("^[A-Za-z0-9_-]{43}$"));
            Assert.That(values["B"], Is.Not.EqualTo(values["A"]));
            if (!OperatingSystem.IsWindows())
            {
                Assert.That(System.IO.File.GetUnixFileMode(path), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
                Assert.That(
                    System.IO.File.GetUnixFileMode(Path.GetDirectoryName(path)!),
                    Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute)
                );
            }

            Assert.That(Directory.GetFiles(Path.GetDirectoryName(path)!), Has.Length.EqualTo(1));
        });
    }

    [TestCase("# mine\nA='1'\nB=", "# mine\nA='1'\nB=\nB=v\nC=v\n")]
    [TestCase("A=1\r\n", "A=1\r\nB=v\r\nC=v\r\n")]
    public void Only_missing_secrets_are_appended_and_every_byte_stays(string before, string after)
    {
        var path = Put("x.env", before);

        CredentialsFile.AppendMissing(path, ["A", "B", "C"], () => "v");

        Assert.That(System.IO.File.ReadAllText(path), Is.EqualTo(after));
    }

    [Test]
    public void A_file_with_nothing_missing_is_not_written()
    {
        var path = Put("x.env", "A=1\n");
        var before = System.IO.File.GetLastWriteTimeUtc(path);

        Assert.That(CredentialsFile.Initialize(path, ["A"]), Is.Empty);
        Assert.That(System.IO.File.GetLastWriteTimeUtc(path), Is.EqualTo(before));
    }

    [Test]
    public void A_link_to_the_file_stays_a_link()
    {
        var target = Put("real/x.env", "A=1\n");
        var link = System.IO.File.CreateSymbolicLink(Path.Combine(Folder, "x.env"), target).FullName;

        CredentialsFile.AppendMissing(link, ["B"], () => "v");

        Assert.That(new FileInfo(link).LinkTarget, Is.EqualTo(target));
        Assert.That(System.IO.File.ReadAllText(target), Is.EqualTo("A=1\nB=v\n"));
    }

    [Test]
    public void Nothing_is_appended_to_a_file_that_cannot_be_read()
    {
        var path = Put("x.env", "A='open\n");

        Assert.Throws<DiagnosticException>(() => CredentialsFile.Initialize(path, ["B"]));
        Assert.That(System.IO.File.ReadAllText(path, Encoding.UTF8), Is.EqualTo("A='open\n"));
    }
}
