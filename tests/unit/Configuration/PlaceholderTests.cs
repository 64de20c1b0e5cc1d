using System.Diagnostics.CodeAnalysis;
using KeyBuzz.Reconciler.Configuration;

namespace KeyBuzz.Reconciler.Tests.Configuration;

/// <summary>A value that stands for one still to be written is an error of its own.</summary>
[TestFixture]
[SuppressMessage("Performance", "CA1812", Justification = "NUnit makes it.")]
internal sealed class PlaceholderTests : LoaderFixture
{
    [TestCase("REPLACE-ME", "REPLACE-ME")]
    [TestCase("/dev/disk/by-id/REPLACE-ME", "REPLACE-ME")]
    [TestCase("replace_me.example.com", "REPLACE_ME")]
    [TestCase("changeme", "CHANGEME")]
    [TestCase("TODO", "TODO")]
    [TestCase("<address>", "<address>")]
    [TestCase("<your registry>", "<your registry>")]
    [TestCase("registry/<name>:1", "<name>")]
    [TestCase("10.0.0.…", "…")]
    [TestCase("kbr/patroni:16@sha256:…", "…")]
    [TestCase("kbr/patroni:16@sha256:...", "...")]
    [TestCase(
        "kbr/patroni:16@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "sha256:0000… of zeros",
        Description = "a digest that no image has"
    )]
    public void A_placeholder_is_told_from_a_value(string value, string found) =>
        Assert.That(Placeholders.PlaceholderOf(value), Is.EqualTo(found));

    [TestCase("")]
    [TestCase("10.0.0.1")]
    [TestCase("todo")]
    [TestCase("/srv/TODOS")]
    [TestCase("/srv/changements")]
    [TestCase("kbr/patroni:16@sha256:00000000000000000000000000000000000000000000000000000000000000aa")]
    [TestCase("cat <in >out")]
    [TestCase("wait ... and see")]
    [TestCase("a<b")]
    [TestCase("<%m>")]
    [TestCase("<>")]
    public void A_value_is_no_placeholder(string value) => Assert.That(Placeholders.PlaceholderOf(value), Is.Null);

    [Test]
    public void Each_is_one_error_with_its_line_and_what_belongs_there() =>
        Assert.That(
            Errors(
                """
                version: 1
                cluster: lab
                hosts:
                  db-1: { role: db, address: REPLACE-ME }
                  db-2: { role: db, address: 10.0.0.2, ssh: { host: <name> } }
                resources:
                  - { type: directory, name: a, host: db-2, path: /srv/… }

                """
            ),
            Is.EqualTo(
                new[]
                {
                    "4:30: 'hosts.db-1.address' is still the placeholder REPLACE-ME (write the private address of db-1)",
                    "5:53: 'hosts.db-2.ssh.host' is still the placeholder <name> (write the name or address that db-2 is reached at)",
                    "7:51: 'resources.path' is still the placeholder … (write the real value)",
                }
            )
        );

    [Test]
    public void Free_text_may_hold_them() =>
        Assert.That(
            Load(Resource("type: config_file", "name: a", "host: db-1", "path: /srv/a", "content: \"<html>\"")).Resources,
            Has.Length.EqualTo(1)
        );
}
