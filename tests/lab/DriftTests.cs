using System.Text.Json;
using System.Xml.Linq;

namespace KeyBuzz.Reconciler.LabTests;

/// <summary>kbr drift on five hosts. What it says of each attribute is in
/// <see cref="ConvergenceTests.A_change_by_hand_is_shown_as_exactly_that_and_mended"/>.</summary>
[TestFixture]
[Category(Lab.Part4)]
public sealed class DriftTests
{
    private Workspace _workspace;
    private string _yaml;

    [OneTimeSetUp]
    public void Converge()
    {
        _workspace = new Workspace();
        _workspace.TakeResources("every-attribute.yaml");
        _yaml = _workspace.Yaml;
        _workspace.Apply();
    }

    [OneTimeTearDown]
    public void Take_down()
    {
        var outcome = _workspace.Kbr("destroy", "--auto-approve", "--delete-data", "--confirm", "lab");
        _workspace.Dispose();
        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
    }

    [TearDown]
    public void Mend()
    {
        _workspace.Yaml = _yaml;
        _workspace.Apply();
    }

    [Test]
    public void After_an_apply_there_is_none_and_that_takes_one_script_per_host()
    {
        var drift = _workspace.Kbr("drift", "--verbose");
        Assert.Multiple(() =>
        {
            Assert.That(drift.ExitCode, Is.Zero, drift.All);
            Assert.That(drift.Output, Does.Match(@"^Drift: 0 changed, 0 deleted; \d+ compared\n$"));
            Assert.That(
                drift.Error.Split("1 connection, 1 probe scripts"),
                Has.Length.EqualTo(6),
                "one connection and one script per host"
            );
        });
    }

    [Test]
    public void An_edit_that_was_not_applied_is_no_drift_also_one_of_a_secret()
    {
        Edit();
        File.WriteAllText(
            Path.Combine(_workspace.Directory, "credentials/postgres.env"),
            $"APP_PASS=canary-another\nKBR_KEY={Workspace.KeyCanary}\n"
        );
        var drift = _workspace.Kbr("drift");
        var plan = _workspace.Plan();
        Assert.That(drift.ExitCode, Is.Zero, drift.All);
        Assert.That(drift.Output, Does.Contain("not applied yet, so not compared: directory.new@db-master-01"));
        Assert.That(plan, Has.Length.GreaterThan(20), "there is enough to do");

        // Beside an edit a change by hand is still seen, and only that; no line shows the secret that the edit does away with.
        Lab.OnHost(
            "haproxy-01",
            "sed -i 's/workers = 4/workers = 5/; s/^password = /password: /' /opt/keybuzz/app/app.conf; rmdir /opt/keybuzz/spare"
        );
        var both = _workspace.Kbr("drift");
        Assert.That(both.ExitCode, Is.EqualTo(2));
        Assert.That(
            _workspace.Drift(),
            Is.EqualTo(new[] { "config_file.app@haproxy-01 changed content", "directory.spare@haproxy-01 deleted" })
        );
        Assert.That(
            both.Output,
            Does.Contain("+workers = 4").And.Contain("+password = (secret)").And.Contain("-(line not shown: it may hold a secret)")
        );
        File.WriteAllText(
            Path.Combine(_workspace.Directory, "credentials/postgres.env"),
            $"APP_PASS={Workspace.Canary}\nKBR_KEY={Workspace.KeyCanary}\n"
        );
    }

    [Test]
    public void It_changes_nothing_on_any_host_whatever_there_is_and_however_it_is_written()
    {
        Lab.OnHosts([
            ("db-master-01", "systemctl stop kbr-app.service; docker rm -f app"),
            ("db-slave-01", "systemctl stop kbr-app.service; umount /opt/keybuzz/data"),
            ("db-slave-02", "echo by-hand >> /opt/keybuzz/app/app.conf; docker stop -t 1 side"),
            ("haproxy-01", "docker rmi kbr-archive/tiny:1; sed -i /keybuzz/d /etc/fstab"),
            ("haproxy-02", "rmdir /opt/keybuzz/spare; rm /etc/systemd/system/kbr-app.service"),
        ]);
        // Started by the apply to tell the time, it would end by itself meanwhile and take its own directories along.
        Lab.OnHosts(Lab.Hosts.Select(host => (host, "systemctl stop systemd-timedated.service")));
        Edit();
        using var without = _workspace.WithoutSecrets();
        var before = HostState.Read();
        foreach (var format in (string[])["text", "json", "junit", "sarif", "markdown", "prometheus"])
        {
            foreach (var workspace in new[] { _workspace, without })
            {
                var drift = workspace.Kbr("drift", "--format", format, "--out", "report", "--ignore", "volume.*:fstab");
                Assert.That(drift.ExitCode, Is.EqualTo(2), drift.All);
                Assert.That(File.ReadAllText(Path.Combine(workspace.Directory, "report")), Is.Not.Empty.And.Not.Contain("canary-"));
            }
        }

        HostState.AssertUnchangedSince(before);
        Assert.That(
            _workspace.Drift("--ignore", "volume.*:fstab"),
            Is.EqualTo(
                new[]
                {
                    "config_file.app@db-slave-02 changed content",
                    "container.app@db-master-01 deleted",
                    "container.side@db-slave-02 changed running",
                    "directory.spare@haproxy-02 deleted",
                    "image.archive@haproxy-01 deleted",
                    "systemd_unit.kbr-app@db-master-01 changed active",
                    "systemd_unit.kbr-app@db-slave-01 changed active",
                    "systemd_unit.kbr-app@haproxy-02 deleted",
                    "volume.data@db-slave-01 changed mounted",
                }
            )
        );
    }

    [Test]
    public void Without_any_secret_it_compares_all_but_the_secrets_and_says_what_it_left_out()
    {
        using var without = _workspace.WithoutSecrets();
        var drift = without.Kbr("drift");
        Assert.That(drift.ExitCode, Is.Zero, drift.All);
        Assert.That(
            drift.Output,
            Does.Contain("not compared: content of config_file.app@db-master-01, ")
                .And.Contain(": secret values are compared only with KBR_KEY")
        );

        Lab.OnHost("db-slave-02", "sed -i 's/^password = .*/password = by-hand/' /opt/keybuzz/app/app.conf");
        Assert.That(
            without.Drift(),
            Is.EqualTo(new[] { "config_file.app@db-slave-02 changed loaded" }),
            "which password it is cannot be told, only that nobody has loaded it"
        );
        Assert.That(_workspace.Drift(), Is.EqualTo(new[] { "config_file.app@db-slave-02 changed content" }));
    }

    [Test]
    public void Ignored_drift_is_shown_with_its_reason_in_every_format_and_does_not_count()
    {
        Lab.OnHosts([("haproxy-01", "chmod 0700 /opt/keybuzz/spare"), ("haproxy-02", "rmdir /opt/keybuzz/spare")]);
        Assert.That(
            _workspace.Drift(),
            Is.EqualTo(new[] { "directory.spare@haproxy-01 changed mode", "directory.spare@haproxy-02 deleted" })
        );
        _workspace.Yaml =
            _yaml
            + """

                drift:
                  ignore:
                    - address: directory.spare
                      attribute: mode
                      reason: the scanner of the security team
                    - { address: directory.never, reason: it never was }

                """;
        var one = _workspace.Kbr("drift");
        Assert.Multiple(() =>
        {
            Assert.That(one.ExitCode, Is.EqualTo(2), "the other is still gone");
            Assert.That(
                one.Output,
                Does.Contain(
                        "~ directory.spare@haproxy-01  changed on the host  (ignored: the scanner of the security team)\n    "
                            + "  mode: 0700 → 0750\n"
                    )
                    .And.Contain("Drift: 0 changed, 1 deleted, 1 ignored;")
            );
            Assert.That(
                one.Error,
                Does.Match(@"Warning: no resource matches 'directory\.never@\*' of 'drift.ignore'\n  at cluster\.yaml:\d+:\d+")
            );
        });
        var both = _workspace.Kbr("drift", "--ignore", "directory.spare@haproxy-02", "--format", "junit", "--out", "report.xml");
        Assert.That(both.ExitCode, Is.Zero, both.All);
        var skipped = XDocument
            .Load(Path.Combine(_workspace.Directory, "report.xml"))
            .Descendants("skipped")
            .Select(element => element.Parent!.Attribute("name")!.Value);
        Assert.That(skipped, Is.EqualTo(new[] { "directory.spare@haproxy-01", "directory.spare@haproxy-02" }));
    }

    [Test]
    public void A_host_that_cannot_be_reached_is_an_error_and_the_others_are_compared()
    {
        Lab.OnHost("haproxy-01", "rmdir /opt/keybuzz/spare");
        _workspace.Yaml = _yaml.Replace(".12 }", ".12, port: 1 }", StringComparison.Ordinal);
        var drift = _workspace.Kbr("drift");
        Assert.Multiple(() =>
        {
            Assert.That(drift.ExitCode, Is.EqualTo(1), "there may be more drift than is known");
            Assert.That(drift.Output, Does.Contain("- directory.spare@haproxy-01  deleted on the host"));
            Assert.That(drift.Error, Does.Contain("Error: haproxy-02: "));
            Assert.That(
                _workspace.Kbr("drift", "--target", "*@haproxy-01").ExitCode,
                Is.EqualTo(2),
                "a host that is not asked about is not asked"
            );
        });
    }

    [Test]
    public void A_host_without_records_is_an_error_and_never_no_drift()
    {
        Lab.OnHost("db-slave-01", "mv /var/lib/kbr/lab /var/lib/kbr/elsewhere");
        var drift = _workspace.Kbr("drift", "--format", "prometheus");
        Lab.OnHost("db-slave-01", "mv /var/lib/kbr/elsewhere /var/lib/kbr/lab");
        Assert.Multiple(() =>
        {
            Assert.That(drift.ExitCode, Is.EqualTo(1));
            Assert.That(drift.Error, Does.StartWith("Error: db-slave-01: the host has no records, so drift cannot be compared\n"));
            Assert.That(
                drift.Output,
                Does.Contain("kbr_drift_exit_code{cluster=\"lab\"} 1\n").And.Contain("kbr_drift_errors{cluster=\"lab\"} 1\n")
            );
        });
    }

    [Test]
    public void Under_a_volume_that_is_not_mounted_nothing_is_taken_for_deleted()
    {
        const string host = "db-slave-01";
        Lab.OnHost(host, "systemctl stop kbr-app.service; umount /opt/keybuzz/data");
        var drift = _workspace.Kbr("drift", "--json");
        using var document = JsonDocument.Parse(drift.Output);
        Assert.Multiple(() =>
        {
            Assert.That(
                _workspace.Drift(),
                Is.EqualTo(new[] { $"systemd_unit.kbr-app@{host} changed active", $"volume.data@{host} changed mounted" })
            );
            Assert.That(
                document
                    .RootElement.GetProperty("not_compared")
                    .EnumerateArray()
                    .Select(one => $"{one.GetProperty("address")} {one.GetProperty("reason")} {one.GetProperty("error")}"),
                Is.EqualTo(new[] { $"directory.app-data@{host} volume.data@{host} is not mounted False" })
            );
        });
    }

    // Every kind of edit: another value, another place, something new, something dropped.
    private void Edit() =>
        _workspace.Yaml = _yaml
            .Replace("limit = 100", "limit = 101", StringComparison.Ordinal)
            .Replace("path: /opt/keybuzz/spare", "path: /opt/keybuzz/other", StringComparison.Ordinal)
            .Replace("shm_size: 32MiB", "shm_size: 48MiB", StringComparison.Ordinal)
            .Replace("mount_options: noatime,nodev", "mount_options: noatime", StringComparison.Ordinal)
            .Replace("Description=The lab's", "Description=Another", StringComparison.Ordinal)
            .Replace(
                "  - type: image\n    name: archive\n    host: haproxy-02",
                "  - type: directory\n    name: new\n    host: all\n    path: /opt/keybuzz/new\n\n  - type: image\n  "
                    + "  name: other\n    host: haproxy-02",
                StringComparison.Ordinal
            );
}
