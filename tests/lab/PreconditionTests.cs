using System.Text.Json;

namespace KeyBuzz.Reconciler.LabTests;

/// <summary>Hosts that are not as they must be, each in another way, before anything was installed on them.</summary>
/// <remarks>All of it is real but the swap: there is one /proc/swaps for all hosts of this machine, so a file is mounted over it on one of
/// them.</remarks>
[TestFixture]
[Category(Lab.Part4)]
public sealed class PreconditionTests
{
    private static readonly (string Host, string Break, string Mend)[] s_byHand =
    [
        (
            "db-master-01",
            """
            printf 'Filename Type Size Used Priority\n/dev/sda2 partition 1048572 0 -2\n' >/run/swaps; mount --bind /run/swaps /proc/swaps
            cp /etc/resolv.conf /run/resolv.conf; sed /nameserver/d /run/resolv.conf >/etc/resolv.conf
            iptables -I INPUT -p tcp --dport 5999 -j DROP
            """,
            """
            umount /proc/swaps
            cat /run/resolv.conf >/etc/resolv.conf
            iptables -D INPUT -p tcp --dport 5999 -j DROP
            """
        ),
        (
            "db-slave-01",
            """
            systemctl stop docker.socket docker.service
            iptables -I OUTPUT -p udp --dport 123 -j DROP; systemctl mask --runtime --now --quiet systemd-timedated.service; systemctl restart chrony.service
            """,
            """
            iptables -D OUTPUT -p udp --dport 123 -j DROP; systemctl unmask --runtime --quiet systemd-timedated.service; systemctl restart chrony.service
            systemctl start docker.socket docker.service; chronyc waitsync 100 0 0 0.1 >/dev/null
            """
        ),
        ("db-slave-02", "systemctl disable --quiet docker.service", "systemctl enable --quiet docker.service"),
    ];

    private readonly List<(string Host, string Summary, string Found, string Remedy)> _expected =
    [
        ("db-master-01", "swap is on", "/proc/swaps lists /dev/sda2", "swapoff -a"),
        ("db-master-01", "no DNS resolver is configured", "/etc/resolv.conf has no nameserver line", "nameserver 1.1.1.1"),
        ("db-slave-01", "Docker Engine is not running", "docker.service is inactive", "systemctl enable --now docker"),
        ("db-slave-01", "the clock is not synchronized", "chrony", "systemctl enable --now chrony"),
        ("db-slave-02", "Docker Engine would not start at boot", "docker.service is disabled", "systemctl enable docker"),
        ("haproxy-01", "too little disk space at /var/lib", "wanted 1024 TiB", "free or add disk space"),
        ("haproxy-01", "/opt/data is not on XFS", "it is on ", "mkfs.xfs DEVICE and mount it"),
        ("haproxy-01", "port 5999 of db-master-01 (", "neither an answer nor a refusal in time", "allow TCP 5999 from haproxy-01"),
        ("haproxy-01", "port 5998 of db-slave-02 (", "the host refuses the connection", "start that service"),
    ];

    private Workspace _workspace;

    [OneTimeSetUp]
    public void Break()
    {
        _workspace = new Workspace();
        Lab.OnHosts(s_byHand.Select(host => (host.Host, "set -e\n" + host.Break)));
    }

    [OneTimeTearDown]
    public void Mend()
    {
        Lab.OnHosts(s_byHand.Select(host => (host.Host, "set -e\n" + host.Mend)));
        try
        {
            Say("error");
            _workspace.Yaml = _workspace
                .Yaml.Replace("1024TiB", "1MiB", StringComparison.Ordinal)
                .Replace("level: error, path: /opt/data", "level: off, path: /opt/data", StringComparison.Ordinal)
                .Replace("port: 5998 }], must_answer: true", "port: 5998 }]", StringComparison.Ordinal);
            var (code, _, diagnostics) = Plan();
            Assert.That((code, diagnostics.Length), Is.EqualTo((0, 0)), "where all is as it must be, nothing is said");
        }
        finally
        {
            _workspace.Dispose();
        }
    }

    // destroy asks nothing of a host: what does not hold must not keep anybody from taking things down.
    [TearDown]
    public void Take_down()
    {
        Say("error");
        var destroy = _workspace.Kbr("destroy", "--auto-approve");
        Assert.That((destroy.ExitCode, destroy.Error), Is.EqualTo((0, "")), destroy.All);
    }

    [Test]
    public void A_failed_precondition_names_host_finding_and_remedy_and_the_other_hosts_are_applied()
    {
        Say("error");
        var (code, changes, diagnostics) = Plan();
        var shown = _workspace.Kbr("plan");
        var applied = _workspace.Kbr("apply", "--auto-approve");
        Assert.Multiple(() =>
        {
            Assert.That(code, Is.EqualTo(1));
            AssertFindings(diagnostics, "error");
            Assert.That(changes, Is.EqualTo(new[] { "directory.probe@haproxy-02" }), "the one host that is as it must be");
            Assert.That(
                shown.Error,
                Does.Contain("Error: db-master-01: swap is on\n").And.Contain("  /proc/swaps lists /dev/sda2\n  → swapoff -a")
            );
            Assert.That(shown.Output, Does.Contain("! directory.probe@db-slave-01 not planned: a precondition does not hold"));
            Assert.That(applied.ExitCode, Is.EqualTo(1));
            Assert.That(
                Lab.OnHosts(Lab.Hosts.Select(host => (host, "ls -d /opt/probe /var/lib/kbr 2>/dev/null || true"))),
                Is.EqualTo(new[] { "", "", "", "", "/opt/probe\n/var/lib/kbr\n" })
            );
        });
    }

    [Test]
    public void A_precondition_that_is_off_is_not_read()
    {
        Say("off");
        var (code, changes, diagnostics) = Plan();
        Assert.Multiple(() =>
        {
            Assert.That(code, Is.Zero);
            Assert.That(diagnostics, Is.Empty);
            Assert.That(changes, Has.Length.EqualTo(5));
        });
    }

    [Test]
    public void A_warning_is_shown_and_apply_continues()
    {
        Say("warn");
        var (code, changes, diagnostics) = Plan();
        var applied = _workspace.Kbr("apply", "--auto-approve");
        Assert.Multiple(() =>
        {
            Assert.That(code, Is.Zero);
            AssertFindings(diagnostics, "warning");
            Assert.That(changes, Has.Length.EqualTo(5));
            Assert.That(applied.ExitCode, Is.Zero, applied.All);
            Assert.That(applied.Error, Does.Contain("Warning: db-master-01: swap is on"));
        });
    }

    private void AssertFindings(IEnumerable<JsonElement> diagnostics, string severity)
    {
        var found = diagnostics
            .Select(each =>
                (
                    Severity: Text(each, "severity"),
                    Host: Text(each, "host"),
                    Summary: Text(each, "summary"),
                    Found: Text(each, "detail"),
                    Remedy: Text(each, "remedy")
                )
            )
            .ToList();
        // Each finding once; that the host is left alone stands with its resources.
        Assert.That(
            found.Select(each => $"{each.Severity} {each.Host}"),
            Is.EquivalentTo(_expected.Select(each => $"{severity} {each.Host}"))
        );
        foreach (var (host, summary, what, remedy) in _expected)
        {
            Assert.That(
                found.Where(each =>
                    each.Host == host
                    && each.Summary.StartsWith($"{host}: {summary}", StringComparison.Ordinal)
                    && each.Found.Contains(what, StringComparison.Ordinal)
                    && each.Remedy.Contains(remedy, StringComparison.Ordinal)
                ),
                Has.Exactly(1).Items,
                $"{host}: {summary} ({what}) → {remedy}; found: {string.Join('\n', found)}"
            );
        }
    }

    private (int ExitCode, string[] Changes, JsonElement[] Diagnostics) Plan()
    {
        var plan = _workspace.Kbr("plan", "--json");
        var root = JsonDocument.Parse(plan.Output).RootElement;
        return (
            plan.ExitCode,
            [.. root.GetProperty("changes").EnumerateArray().Select(change => Text(change, "address"))],
            [.. root.GetProperty("diagnostics").EnumerateArray()]
        );
    }

    private void Say(string level) =>
        _workspace.Yaml =
            _workspace.Yaml[.._workspace.Yaml.IndexOf("\npreconditions:", StringComparison.Ordinal)]
            + $$"""

                preconditions:
                  swap: {{level}}
                  docker: {{level}}
                  dns: {{level}}
                  clock: {{level}}
                  disk: { level: {{level}}, path: /var/lib, free: 1024TiB, hosts: haproxy-01 }
                  xfs: { level: {{level}}, path: /opt/data, hosts: haproxy-01 }
                  ports:
                    - { level: {{level}}, from: haproxy-01, to: [{ host: db-master-01, port: [5999, 5997] }, { host: db, port: 22 }] }
                    - { level: {{level}}, from: lb, to: [{ host: db-slave-01, port: 22 }], must_answer: true }
                    - { level: {{level}}, from: haproxy-01, to: [{ host: db-slave-02, port: 5998 }], must_answer: true }

                resources:
                  - { type: directory, name: probe, host: all, path: /opt/probe }

                """;

    private static string Text(JsonElement element, string name) => element.GetProperty(name).GetString();
}
