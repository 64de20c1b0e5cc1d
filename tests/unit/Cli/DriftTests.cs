using System.Diagnostics;
using System.Text.Json;
using System.Xml.Linq;
using KeyBuzz.Reconciler.Tests.Ssh;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>kbr drift as a user runs it, against a real sshd on this machine with a file and a directory of its own; the lab's tests have
/// the rest.</summary>
[TestFixture, FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class DriftTests : IDisposable
{
    private const string Password = "canary-of-the-application";

    private readonly SshServer _server = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("kbr-drift-").FullName;
    private readonly string _cluster = $"unit-{Guid.NewGuid():n}"[..20];

    public DriftTests()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "credentials"));
        Write("credentials/postgres.env", $"APP_PASS={Password}\nKBR_KEY=canary-of-the-key\n");
        WriteCluster();
        var (exit, output, error) = Kbr("apply", "--auto-approve");
        Assert.That(exit, Is.Zero, output + error);
    }

    private string ConfigFile => $"{_folder}/host/app.conf";

    public void Dispose()
    {
        _server.Dispose();
        Directory.Delete(_folder, recursive: true);
        Directory.Delete($"/var/lib/kbr/{_cluster}", recursive: true);
        File.Delete($"/var/log/kbr/{_cluster}.jsonl");
    }

    [Test]
    public void A_change_on_the_host_is_drift_an_edit_of_the_file_is_not_and_neither_changes_anything()
    {
        Assert.That(Kbr("drift"), Is.EqualTo((0, "Drift: 0 changed, 0 deleted; 2 compared\n", "")));
        WriteCluster(mode: "0640", more: "\n  - { type: directory, name: new, host: db-1, path: FOLDER/new }");
        Assert.That(
            Kbr("drift"),
            Is.EqualTo((0, "  not applied yet, so not compared: directory.new@db-1\nDrift: 0 changed, 0 deleted; 2 compared\n", ""))
        );

        File.SetUnixFileMode(ConfigFile, UnixFileMode.UserRead);
        var before = File.GetLastWriteTimeUtc(ConfigFile);
        Assert.That(
            Kbr("drift"),
            Is.EqualTo(
                (
                    2,
                    """
                    db-1
                      ~ config_file.app@db-1  changed on the host
                          mode: 0400 → 0600

                      not applied yet, so not compared: directory.new@db-1
                    Drift: 1 changed, 0 deleted; 2 compared

                    """,
                    ""
                )
            )
        );
        Assert.That(
            (File.GetUnixFileMode(ConfigFile), File.GetLastWriteTimeUtc(ConfigFile), Directory.Exists($"{_folder}/host/new")),
            Is.EqualTo((UnixFileMode.UserRead, before, false))
        );
    }

    [Test]
    public void It_needs_no_secrets_and_shows_none()
    {
        Directory.Delete(Path.Combine(_folder, "credentials"), recursive: true);
        var (exit, output, error) = Kbr("drift");
        Assert.That((exit, error), Is.EqualTo((0, "")), output);
        Assert.That(
            output,
            Does.StartWith("  ? not compared: content of config_file.app@db-1: secret values are compared only with KBR_KEY\n")
        );

        File.AppendAllText(ConfigFile, $"backup = {Password}\n");
        (exit, output, _) = Kbr("drift");
        Assert.That(exit, Is.EqualTo(2), output);
        Assert.That(output, Does.Contain("-(line not shown: it may hold a secret)").And.Not.Contain(Password));
    }

    [Test]
    public void Without_records_or_without_a_host_the_exit_code_is_1()
    {
        Directory.Move($"/var/lib/kbr/{_cluster}/records", $"/var/lib/kbr/{_cluster}/elsewhere");
        var (exit, output, error) = Kbr("drift");
        Assert.That(
            (exit, error),
            Is.EqualTo(
                (
                    1,
                    "Error: db-1: the host has no records, so drift cannot be compared\n  → "
                        + "run kbr apply first; kbr plan shows reinstalled hosts\n"
                )
            ),
            output
        );

        WriteCluster(port: SshServer.FreePort());
        (exit, _, error) = Kbr("drift");
        Assert.That(exit, Is.EqualTo(1));
        Assert.That(error, Does.StartWith("Error: db-1: "));
    }

    [Test]
    public void Drift_ignored_by_the_file_or_the_command_line_is_shown_and_does_not_count()
    {
        File.SetUnixFileMode(ConfigFile, UnixFileMode.UserRead);
        var (exit, output, _) = Kbr("drift", "--ignore", "config_file.*:mode");
        Assert.That(
            (exit, output),
            Is.EqualTo(
                (
                    0,
                    "db-1\n  ~ config_file.app@db-1  changed on the host  (ignored: --ignore)\n      mode: 0400 → "
                        + "0600\n\nDrift: 0 changed, 0 deleted, 1 ignored; 2 compared\n"
                )
            )
        );

        WriteCluster(
            more: "\ndrift: { ignore: [{ address: config_file.app@db-1, attribute: mode, reason: a scanner }, { "
                + "address: container.gone, reason: it was there }] }"
        );
        (exit, output, var error) = Kbr("drift");
        Assert.That(exit, Is.Zero);
        Assert.That(output, Does.Contain("(ignored: a scanner)"));
        Assert.That(error, Does.StartWith("Warning: no resource matches 'container.gone@*' of 'drift.ignore'\n  at cluster.yaml:"));

        (exit, _, error) = Kbr("drift", "--ignore", ":mode");
        Assert.That(
            (exit, error),
            Is.EqualTo(
                (
                    1,
                    "Error: --ignore ':mode' is not an address\n  → write type.name@host, or type.name@host:attribute; "
                        + "`*` matches anything\n"
                )
            )
        );
    }

    [Test]
    public void Every_format_is_printed_or_written_to_a_file_beside_the_text()
    {
        Directory.Delete($"{_folder}/host/spare");
        foreach (
            var (format, looksRight) in new (string, Action<string>)[]
            {
                ("text", text => Assert.That(text, Does.Contain("  - directory.spare@db-1  deleted on the host\n"))),
                ("json", text => Assert.That(JsonDocument.Parse(text).RootElement.GetProperty("kind").GetString(), Is.EqualTo("drift"))),
                ("junit", text => Assert.That(XDocument.Parse(text).Descendants("failure").Count(), Is.EqualTo(1))),
                ("sarif", text =>
                    Assert.That(
                        JsonDocument.Parse(text).RootElement.GetProperty("runs")[0].GetProperty("results").GetArrayLength(),
                        Is.EqualTo(1)
                    )
                ),
                ("markdown", text => Assert.That(text, Does.Contain("| `directory.spare@db-1` | deleted |"))),
                ("prometheus", text => Assert.That(text, Does.Contain("state=\"deleted\"} 1\n"))),
            }
        )
        {
            var (exit, output, error) = Kbr("drift", "--format", format);
            Assert.That((exit, error), Is.EqualTo((2, "")), output);
            looksRight(output);
            var file = Path.Combine(_folder, "report." + format);
            (exit, output, _) = Kbr("drift", "--format", format, "--out", file);
            Assert.That(exit, Is.EqualTo(2));
            Assert.That(output, Does.Contain("  - directory.spare@db-1  deleted on the host\n"), "the text is still to be seen");
            looksRight(File.ReadAllText(file));
            Assert.That(File.GetUnixFileMode(file).HasFlag(UnixFileMode.OtherRead), Is.True, "another user's collector may read it");
        }

        Assert.That(JsonDocument.Parse(Kbr("drift", "--json").Output).RootElement.GetProperty("verdict").GetString(), Is.EqualTo("drift"));
        Assert.That(Directory.GetFiles(_folder, ".*"), Is.Empty, "nothing half-written is left");
    }

    [Test]
    public void A_report_never_keeps_an_earlier_result()
    {
        var file = Path.Combine(_folder, "drift.prom");
        Assert.That(Kbr("drift", "--format", "prometheus", "--out", file).Exit, Is.Zero);
        Assert.That(File.ReadAllText(file), Does.Contain("kbr_drift_exit_code{cluster=\"" + _cluster + "\"} 0\n"));
        Write("cluster.yaml", "version: 1\n");
        var (exit, _, error) = Kbr("drift", "--format", "prometheus", "--out", file);
        Assert.That(exit, Is.EqualTo(1));
        Assert.That(error, Does.Contain("has no 'cluster'"));
        Assert.That(File.ReadAllText(file), Does.Contain("kbr_drift_exit_code{cluster=\"\"} 1\n"));

        (exit, _, error) = Kbr("drift", "--format", "prometheus", "--out", Path.Combine(_folder, "missing/drift.prom"));
        Assert.That(exit, Is.EqualTo(1));
        Assert.That(error, Does.Contain("missing/drift.prom cannot be written"));
    }

    [TestCase("--out needs --format", "--out", "x")]
    [TestCase("write one of them to a file with --out", "--json", "--format", "sarif")]
    [TestCase("Must be one of", "--format", "html")]
    public void Contradicting_options_are_refused(string said, params string[] arguments)
    {
        var (exit, output, error) = Kbr(["drift", .. arguments]);
        Assert.That(exit, Is.EqualTo(1));
        Assert.That(output + error, Does.Contain(said));
    }

    private void WriteCluster(string mode = "0600", string more = "", int? port = null) =>
        Write(
            "cluster.yaml",
            $$"""
            version: 1
            cluster: {{_cluster}}
            ssh: { identity_file: {{_server.Settings.IdentityFile}}, known_hosts: {{_server.KnownHostsFile}} }
            hosts:
              db-1: { role: db, address: 127.0.0.1, ssh: { port: {{port ?? _server.Port}} } }
            preconditions: { swap: off, docker: off, tools: off, clock: off }
            resources:
              - { type: directory, name: spare, host: db-1, path: FOLDER/spare }
              - type: config_file
                name: app
                host: db-1
                path: FOLDER/app.conf
                mode: "{{mode}}"
                content: |
                  workers = 4
                  password = ${secret.APP_PASS}{{more}}

            """.Replace("FOLDER", _folder + "/host", StringComparison.Ordinal)
        );

    private void Write(string name, string text)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllText(path, text);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Directory.CreateDirectory(Path.Combine(_folder, "host"));
    }

    private (int Exit, string Output, string Error) Kbr(params string[] arguments)
    {
        using var process = new Process();
        process.StartInfo = new ProcessStartInfo(KbrProgram.Path, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = _folder,
        };
        process.Start();
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        Assert.That(process.WaitForExit(TimeSpan.FromMinutes(2)), Is.True);
        return (process.ExitCode, output.Result, error.Result);
    }
}
