using System.Diagnostics.CodeAnalysis;
using System.Text;
using CsCheck;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Providers.Preconditions;

namespace KeyBuzz.Reconciler.Tests.Configuration;

[TestFixture]
[SuppressMessage("Performance", "CA1812", Justification = "NUnit makes it.")]
internal sealed class ArbitraryInputTests : LoaderFixture
{
    private const string Good =
        Header
        + """
            ssh: { identity_file: a, connect_timeout: 10s }
            secrets: { required: [KBR_KEY] }
            preconditions:
              disk: { level: error, path: /var/lib, free: 1GiB }
              ports: { level: error, from: [lb], to: [{ host: db-1, port: 5432 }] }
            resources:
              - type: directory
                name: a
                host: [db, lb-1]
                path: /opt/a
                mode: "0640"
                requires: [config_file.b@db-1]
              - type: config_file
                name: b
                host: all
                path: /etc/b/b
                content: |
                  x = ${secret.KBR_KEY}
                  y = ${host.name} ${address.db-1} $${z}
              - { type: container, name: c, host: db-1, image: "app:1", command: [a, b], environment: { A: b }, memory: 64MiB, port: 80 }

            """;

    private static readonly string[] s_pieces =
    [
        "\n",
        "  ",
        "\t",
        ":",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "&a",
        "*a",
        "<<",
        "!!x",
        "|",
        ">",
        "|2-",
        "'",
        "\"",
        "#",
        "---\n",
        "...",
        "%YAML 9.9\n",
        "? ",
        ",",
        "${",
        "${secret.",
        "${host.",
        "}",
        "@",
        ".",
        "/",
        "..",
        "~",
        "null",
        "0",
        "-1",
        "99999999999999999999",
        "\u0085",
        "\u2028",
        "é",
        "\U0001F600",
        "\r",
        "\\x00",
        "\"\\ud800\"",
        "all",
        "db",
    ];

    private static readonly string[] s_shellPieces = ["A", "=", "'", "\"", "\\", " ", "\n", "$", "#", "export ", "\r\n", "é"];

    private enum Edit
    {
        Insert,
        Remove,
        Repeat,
        Replace,
    }

    [Test]
    public void Whatever_the_file_holds_the_loader_throws_nothing_but_diagnostics_with_a_place()
    {
        var edit = Gen.Select(Gen.Enum<Edit>(), Gen.Double[0, 1], Gen.Int[0, 40], Gen.Int[0, s_pieces.Length - 1]);
        edit.Array[1, 6]
            .Slice(
                edits =>
                {
                    var text = new StringBuilder(Good);
                    foreach (var (kind, where, length, piece) in edits)
                    {
                        var at = (int)(where * text.Length);
                        var count = Math.Min(length, text.Length - at);
                        _ = kind switch
                        {
                            Edit.Insert => text.Insert(at, s_pieces[piece]),
                            Edit.Remove => text.Remove(at, count),
                            Edit.Repeat => text.Insert(at, text.ToString(at, count)),
                            _ => text.Remove(at, count).Insert(at, s_pieces[piece]),
                        };
                    }

                    LoadsOrExplains(Encoding.UTF8.GetBytes(text.ToString()));
                },
                count: 1000,
                threads: 1
            );
    }

    [Test]
    public void Whatever_bytes_the_file_holds_the_loader_throws_nothing_but_diagnostics() =>
        Gen.Byte.Array[0, 60].Slice(LoadsOrExplains, count: 1000, threads: 1);

    [TestCase("[")]
    [TestCase("{a: ")]
    [TestCase("- ")]
    public void Deep_nesting_is_refused_and_does_not_overflow_the_stack(string opening) =>
        LoadsOrExplains(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat(opening, 20_000))));

    [Test]
    public void Whatever_a_credentials_file_holds_it_is_read_or_explained() =>
        Gen.Int[0, s_shellPieces.Length - 1]
            .Select(i => s_shellPieces[i])
            .Array[0, 30]
            .Slice(parts => CredentialsFile.Parse(string.Concat(parts), "x.env").Values.Count >= 0, threads: 1);

    private void LoadsOrExplains(byte[] content)
    {
        System.IO.File.WriteAllBytes(File, content);
        try
        {
            ClusterLoader.Load(File, FakeProvider.Syntax, Environment);
        }
        catch (DiagnosticException exception)
        {
            Assert.That(exception.Diagnostics, Is.Not.Empty);
            Assert.That(
                exception.Diagnostics.Where(finding => finding.Severity == Severity.Error).Select(finding => finding.Location),
                Has.None.Null
            );
        }
    }
}
