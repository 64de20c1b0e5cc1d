using System.Text.RegularExpressions;

namespace KeyBuzz.Reconciler.LabTests;

/// <summary>The timers of docs/ci on an operators' host with a systemd: their commands, as the pages have them.</summary>
[TestFixture]
[Category(Lab.Part4)]
public sealed class DriftTimerTests
{
    private const string Operators = "haproxy-02";
    private const string Watched = "db-slave-01";
    private const string Directory = "/srv/kbr-watched";
    private const string Report = "/var/lib/kbr-drift/kbr-drift.prom";

    private static readonly string[] s_commands = DocumentedBlocks.With("docs/ci/README.md", "systemctl enable --now kbr-drift.timer");

    private static readonly string[] s_notify = DocumentedBlocks.With("docs/monitoring.md", "systemctl enable --now kbr-notify.timer");

    private readonly Workspace _workspace = new();

    [OneTimeTearDown]
    public void Remove_it()
    {
        // The home of the page's user is made with it, and other tests put a directory of theirs there.
        Lab.OnHost(
            Operators,
            "systemctl disable --now kbr-drift.timer kbr-notify.timer; systemctl stop kbr-webhook; cd /etc/systemd/system && rm -f "
                + "kbr-drift.service kbr-drift.timer kbr-notify.service kbr-notify.timer; systemctl daemon-reload; deluser --quiet kbr; "
                + "rm -rf /root/units /root/docs /usr/bin/kbr /usr/local/bin/kbr-notify /etc/kbr /run/kbr-webhook /var/lib/kbr-drift "
                + "/var/lib/kbr-notify /opt/keybuzz/.ssh /opt/keybuzz/cluster.yaml; rmdir /opt/keybuzz"
        );
        Lab.OnHost(Watched, $"rm -rf {Directory} /var/lib/kbr/watched");
        _workspace.Dispose();
    }

    [Test]
    public void The_timer_of_an_operators_host_reports_drift_and_its_run_fails_then()
    {
        var watched = Regex.Match(_workspace.Yaml, $"(?m)^  {Watched}: {{ role: db, address: ([0-9.]+), ssh: {{ host: ([0-9.]+) }} }}$");
        _workspace.Yaml = Configuration(watched.Groups[1].Value, $", ssh: {{ host: {watched.Groups[2].Value} }}");
        _workspace.Apply();

        Lab.OnHost(Operators, "mkdir -p /root/units");
        foreach (var unit in new[] { "kbr-drift.service", "kbr-drift.timer" })
        {
            Send(Path.Combine(Lab.Root, "docs/ci", unit), $"/root/units/{unit}", "root", 600);
        }

        Send(Program(), "/usr/bin/kbr", "root", 755);
        foreach (var command in s_commands[..^1])
        {
            Lab.OnHost(Operators, $"cd /root/units && {command}");
        }

        // What the page has its user own and read.
        var file = Path.Combine(_workspace.Directory, "on-operators-host.yaml");
        File.WriteAllText(file, Configuration(watched.Groups[1].Value, ""));
        Send(file, "/opt/keybuzz/cluster.yaml", "root", 644);
        Lab.OnHost(Operators, "install -d -m 700 -o kbr -g kbr /opt/keybuzz/.ssh");
        foreach (var name in new[] { "id_ed25519", "known_hosts" })
        {
            Send(Path.Combine(Lab.Folder, ".state", name), $"/opt/keybuzz/.ssh/{name}", "kbr", 600);
        }

        Assert.That(
            Lab.OnHost(Operators, "systemctl is-enabled kbr-drift.timer; systemctl list-timers --no-legend kbr-drift.timer"),
            Does.Match("^enabled\n.* kbr-drift\\.timer +kbr-drift\\.service\n$")
        );

        // A unit that has ended is inactive: 3.
        var none = Once();
        Assert.That(none.ExitCode, Is.EqualTo(3), none.All);
        Assert.That(none.Output, Does.Contain("status=0/SUCCESS"));
        Assert.That(Lab.OnHost(Operators, $"cat {Report}"), Does.Match("(?m)^kbr_drift_exit_code(\\{.*\\})? 0$"));

        Lab.OnHost(Watched, $"chmod 700 {Directory}");
        var drift = Once();
        Assert.That(drift.Output, Does.Contain("status=2"), drift.All);
        Assert.That(Lab.OnHost(Operators, $"cat {Report}"), Does.Match("(?m)^kbr_drift_exit_code(\\{.*\\})? 2$"));
        Messages();
    }

    // The same host posts what is not well to a webhook, here a server that keeps what it is sent.
    private static void Messages()
    {
        Lab.OnHost(
            Operators,
            "mkdir -p /root/docs/ci /etc/kbr /run/kbr-webhook; umask 077; echo http://127.0.0.1:8099/hook >/etc/kbr/webhook; "
                + "chown kbr /etc/kbr /etc/kbr/webhook; "
                + "systemd-run -q --unit kbr-webhook systemd-socket-activate -l 127.0.0.1:8099 --inetd -a /bin/sh -c "
                + "'printf \"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n\"; timeout 1 cat >>/run/kbr-webhook/got'"
        );
        foreach (var name in new[] { "kbr-notify", "kbr-notify.service", "kbr-notify.timer" })
        {
            Send(Path.Combine(Lab.Root, "docs/ci", name), $"/root/docs/ci/{name}", "root", 600);
        }

        foreach (var command in s_notify)
        {
            Lab.OnHost(Operators, $"cd /root && {command}");
        }

        Lab.OnHost(Operators, "systemctl start kbr-notify.service");
        Assert.That(Lab.OnHost(Operators, "systemctl list-timers --no-legend kbr-notify.timer"), Does.Contain("kbr-notify.service"));
        Assert.That(
            Lab.OnHost(Operators, "cat /run/kbr-webhook/got"),
            Does.Contain("POST /hook").And.Contain("\"text\": \"kbr status: ").And.Contain("Idempotency-Key: ")
        );
    }

    private static string Configuration(string address, string ssh) =>
        $$"""
            version: 1
            cluster: watched
            ssh: { {{(ssh.Length > 0 ? "identity_file: .state/id_ed25519, known_hosts: .state/known_hosts, " : "")}}config: false }
            hosts:
              {{Watched}}: { role: db, address: {{address}}{{ssh}} }
            preconditions: { swap: off, docker: off, clock: off }
            resources:
              - { type: directory, name: watched, host: {{Watched}}, path: {{Directory}}, mode: "0750" }

            """;

    private static Outcome Once() => Lab.RunOn(Operators, s_commands[^1]);

    // The host has no .NET.
    private static string Program()
    {
        var program = File.Exists(Workspace.Tool + ".dll")
            ? Path.Combine(Lab.Root, "artifacts/publish/kbr/release_linux-x64/kbr")
            : Workspace.Tool;
        Assert.That(program, Does.Exist, "eng/publish.sh makes it");
        return program;
    }

    private static void Send(string file, string to, string owner, int mode)
    {
        var sent = Lab.Run(Lab.Root, "bash", "-c", $"lab/ssh {Operators} 'cat >{to} && chown {owner} {to} && chmod {mode} {to}' <'{file}'");
        Assert.That(sent.ExitCode, Is.Zero, sent.All);
    }
}
