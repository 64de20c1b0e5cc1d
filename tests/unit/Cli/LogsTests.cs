using System.Diagnostics;
using System.Net;
using System.Text;
using KeyBuzz.Reconciler.Cli.Blueprints.Postgres;
using KeyBuzz.Reconciler.Tests.Ssh;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary><c>kbr logs</c> and <c>kbr members</c>, with a real sshd, a docker that says what it is told, and something that answers as
/// Patroni does.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class LogsTests : LocalCluster
{
    private const string Image = "registry.example.com/kbr/x:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    private readonly int _rest = SshServer.FreePort();

    // Where the host looks for docker first.
    private readonly string _programs;

    public LogsTests()
        : this(Directory.CreateTempSubdirectory("kbr-docker-").FullName) { }

    private LogsTests(string programs)
        : base($"PATH={programs}:/usr/sbin:/usr/bin:/sbin:/bin")
    {
        _programs = programs;
        Write("credentials/postgres.env", $"POSTGRES_APP_PASS={Password}\n");
        Write(
            "cluster.yaml",
            $$"""
            version: 1
            cluster: {{Name}}
            ssh: { identity_file: {{Server.Settings.IdentityFile}}, known_hosts: {{Server.KnownHostsFile}}, connect_timeout: 60s, config: false }
            hosts:
              db-1: { role: db, address: 127.0.0.1, ssh: { port: {{Port}} } }
              db-02: { role: db, address: 127.0.0.2, ssh: { host: 127.0.0.1, port: {{Server.RelayPort}} } }
              db-3: { role: db, address: 127.0.0.3, ssh: { host: 127.0.0.1, port: {{SshServer.FreePort()}} } }
              lb-1: { role: lb, address: 10.255.255.1 }
              lb-2: { role: lb, address: 10.255.255.2 }
            postgres:
              members: db
              proxies: lb
              ports: { rest: {{_rest}} }
              image: {{Image}}
              volume: { device: /dev/sdz }
              haproxy: { image: "{{Image}}" }
              pgbouncer: { image: "{{Image}}", max_db_connections: 40 }
            """
        );
    }

    public override void Dispose()
    {
        base.Dispose();
        Directory.Delete(_programs, recursive: true);
    }

    [Test]
    public void Lines_of_all_hosts_are_merged_masked_and_their_control_characters_replaced()
    {
        Docker(
            $$"""
            printf '%s\n' "$*" >>'{{Folder}}/asked'
            if mkdir '{{Folder}}/first' 2>/dev/null; then n=1; else n=2; fi
            echo "2026-11-28T17:00:0$n.000000001Z begun $n"
            echo "2026-11-28T17:00:1$n.5Z the password is {{Password}}"
            printf '2026-11-28T17:00:2%s.5Z \033]0;title\007 red\r\n' $n >&2
            """
        );

        var (exit, output, error) = Kbr("logs", "patroni", "--since", "2d", "-n", "7");

        Assert.That(exit, Is.EqualTo(1), "db-3 was not read");
        Assert.That(error, Does.Contain("Error: db-3: "));
        Assert.That(
            File.ReadAllLines($"{Folder}/asked").Distinct(),
            Is.EqualTo(new[] { "logs --timestamps --since 48h --tail 7 -- patroni" })
        );
        var lines = output.TrimEnd('\n').Split('\n');
        Assert.That(
            lines.Select(line => line[(line.IndexOf('|', StringComparison.Ordinal) + 2)..]),
            Is.EqualTo(
                new[]
                {
                    "begun 1",
                    "begun 2",
                    "the password is (secret)",
                    "the password is (secret)",
                    "\uFFFD]0;title\uFFFD red",
                    "\uFFFD]0;title\uFFFD red",
                }
            )
        );
        Assert.That(lines.Select(line => line[..7]).Distinct(), Is.EquivalentTo(new[] { "db-1  |", "db-02 |" }));
    }

    [Test]
    public void One_host_has_no_prefix_and_JSON_has_a_document_for_each_line()
    {
        Docker("printf '2026-11-28T17:00:01.5Z one\\n2026-11-28T17:00:02Z two \"%s\"\\n' " + Password);
        Assert.That(Done("logs", "postgres@db-1"), Is.EqualTo("one\ntwo \"(secret)\"\n"));

        var (exit, output, error) = Kbr("logs", "postgres@db-1", "--json");
        Assert.That(exit, Is.Zero, error);
        var lines = output.TrimEnd('\n').Split('\n');
        Assert.That(lines, Has.Length.EqualTo(2));
        Assert.That(lines.SelectMany(JsonSchemas.Problems), Is.Empty);
        Assert.That(lines[0], Does.Contain("\"time\":\"2026-11-28T17:00:01.500000Z\",\"text\":\"one\""));
    }

    [TestCase("TERM")]
    [TestCase("INT")]
    [TestCase("KILL")]
    public void Following_goes_on_until_it_is_stopped_and_leaves_nothing_on_the_host(string signal)
    {
        Docker($"echo $$ >'{Folder}/pid'; echo '2026-11-28T17:00:01Z now'; exec sleep 1000");
        using var kbr = Process.Start(
            new ProcessStartInfo(KbrProgram.Path, ["logs", "patroni@db-1", "-f"])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                WorkingDirectory = Folder,
            }
        )!;
        Assert.That(kbr.StandardOutput.ReadLine(), Is.EqualTo("now"), "as soon as it is said");
        var process = File.ReadAllText($"{Folder}/pid").Trim();
        Assert.That(Directory.Exists($"/proc/{process}"), Is.True);

        using (var kill = Process.Start("kill", [$"-{signal}", $"{kbr.Id}"]))
        {
            kill.WaitForExit();
        }

        Assert.That(kbr.WaitForExit(TimeSpan.FromSeconds(30)), Is.True);
        Wait.Until(() => !Directory.Exists($"/proc/{process}"), "the end of docker logs on the host");
        if (signal != "KILL")
        {
            Assert.That((kbr.ExitCode, kbr.StandardError.ReadToEnd(), kbr.StandardOutput.ReadToEnd()), Is.EqualTo((0, "", "")));
        }
    }

    [Test]
    public void Following_ends_when_nobody_reads_any_more()
    {
        Docker($"echo $$ >'{Folder}/pid'; echo '2026-11-28T17:00:01Z now'; exec sleep 1000");
        using var process = Process.Start(
            new ProcessStartInfo("bash", ["-c", $"{KbrProgram.Path} logs patroni@db-1 -f | head -n 1; echo ${{PIPESTATUS[0]}}"])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                WorkingDirectory = Folder,
            }
        )!;
        var said = process.StandardOutput.ReadToEndAsync();
        Assert.That(process.WaitForExit(TimeSpan.FromSeconds(60)), Is.True);
        Assert.That((said.Result, process.StandardError.ReadToEnd()), Is.EqualTo(("now\n0\n", "")));
        var pid = File.ReadAllText($"{Folder}/pid").Trim();
        Wait.Until(() => !Directory.Exists($"/proc/{pid}"), "the end of docker logs on the host");
    }

    [Test]
    public void What_cannot_be_read_and_what_is_not_there_are_said()
    {
        Docker("echo 'Error response from daemon: No such container: patroni' >&2; exit 1");
        Assert.That(
            Kbr("logs", "patroni@db-1").Error,
            Does.StartWith("Error: db-1: the log of patroni cannot be read: Error response from daemon: No such container: patroni\n")
        );
        Assert.That(Refused("logs", "redis"), Does.Contain("services are haproxy, patroni, pgbouncer, postgres"));
        Assert.That(Refused("logs", "patroni@lb-1"), Does.Contain("patroni does not run on 'lb-1'").And.Contain("db-1"));
        Assert.That(Refused("logs", "patroni", "--since", "1 h; rm"), Does.Contain("--since '1 h; rm' is no time"));
        Assert.That(Refused("logs", "patroni", "-n", "-1"), Does.Contain("--lines must be a whole number of at least 0, not '-1'"));
    }

    [Test]
    public void A_store_with_a_service_of_its_own_has_a_log_of_its_own()
    {
        var raft = File.ReadAllText($"{Folder}/cluster.yaml");
        Write("etcd.yaml", raft.Replace("  members: db\n", $"  members: db\n  store: {{ etcd: {{ image: \"{Image}\" }} }}\n"));
        Docker($"printf '%s\\n' \"$*\" >>'{Folder}/asked-etcd'; echo '2026-11-28T17:00:01Z elected leader'");

        Assert.That(Done("logs", "etcd@db-1", "-c", "etcd.yaml"), Is.EqualTo("elected leader\n"));
        Assert.That(File.ReadAllText($"{Folder}/asked-etcd"), Is.EqualTo("logs --timestamps --tail 100 -- etcd\n"));
        Assert.That(Refused("logs", "etcd@lb-1", "-c", "etcd.yaml"), Does.Contain("etcd does not run on 'lb-1'").And.Contain("db-1"));
        Assert.That(Refused("logs", "redis", "-c", "etcd.yaml"), Does.Contain("services are haproxy, patroni, pgbouncer, postgres, etcd"));
        Assert.That(Refused("logs", "etcd"), Does.Contain("there is no service 'etcd'"), "RAFT runs inside of Patroni");
    }

    [Test]
    public void Merged_lines_are_in_the_order_of_time_and_those_of_a_host_in_their_own()
    {
        LogLine[] one = [At("a", 1), At("a", 5), new("a", null, "more of 5"), At("a", 3), At("a", 9)];
        LogLine[] other = [new("b", null, "first"), At("b", 4), At("b", 6)];
        Assert.That(
            LogLine.Merge([one, other]).Select(line => line.Text),
            Is.EqualTo(new[] { "first", "1", "4", "5", "more of 5", "3", "6", "9" })
        );
        Assert.That(LogLine.Read("a", "17 apples"), Is.EqualTo(new LogLine("a", null, "17 apples")));

        static LogLine At(string host, int second) => LogLine.Read(host, $"2026-11-28T17:00:0{second}Z {second}");
    }

    [Test]
    public async Task Members_are_listed_as_their_own_Patroni_describes_them()
    {
        using var first = Patroni(
            "127.0.0.1",
            """
            {"state":"running","role":"primary","server_version":170012,"xlog":{"location":9000},"timeline":4,
             "patroni":{"name":"db-1","scope":"x"}}
            """
        );
        using var second = Patroni(
            "127.0.0.2",
            """
            {"state":"running","role":"replica","server_version":160014,"xlog":{"received_location":5000},"timeline":4,
             "replication_state":"in archive\u001b[2J recovery","pending_restart":true,"pending_restart_reason":{"max_connections":{}},
             "patroni":{"name":"db-02","scope":"x"}}
            """
        );

        var (exit, output, error) = await Task.Run(() => Kbr("members"));

        Assert.That(exit, Is.EqualTo(1), "db-3 was not read");
        Assert.That(error, Does.Contain("Error: db-3: "));
        Assert.That(
            output.Split('\n').Select(line => System.Text.RegularExpressions.Regex.Replace(line, "  +", "|")),
            Is.EqualTo(
                new[]
                {
                    "MEMBER|ADDRESS|ROLE|STATE|TIMELINE|LAG|VERSION|PENDING RESTART",
                    "db-1|127.0.0.1:5432|primary|running|4|-|17.12|-",
                    "db-02|127.0.0.2:5432|replica|in archive\uFFFD[2J recovery|4|3.9 KiB|16.14|max_connections",
                    "db-3|127.0.0.3:5432|?|unreachable|?|?|?|-",
                    "",
                }
            )
        );
        Assert.That(
            output.Split('\n').Take(4).Select(line => line.IndexOf("127.0.0.", StringComparison.Ordinal)).Skip(1).Distinct().Count(),
            Is.EqualTo(1),
            "columns stand below each other"
        );
        var document = (await Task.Run(() => Kbr("members", "--json"))).Output;
        Assert.That(JsonSchemas.Problems(document), Is.Empty, document);
        Assert.That(document, Does.Contain("\"lag_bytes\":4000,\"version\":\"16.14\",\"pending_restart\":[\"max_connections\"]"));
    }

    private static HttpListener Listen(string address, int port)
    {
        var listener = new HttpListener();
        listener.Prefixes.Add($"http://{address}:{port}/");
        listener.Start();
        return listener;
    }

    private HttpListener Patroni(string address, string body)
    {
        var listener = Listen(address, _rest);
        _ = Task.Run(async () =>
        {
            try
            {
                while (true)
                {
                    var context = await listener.GetContextAsync();
                    var isOwn = context.Request.Url!.AbsolutePath == "/patroni";
                    await context.Response.OutputStream.WriteAsync(Encoding.UTF8.GetBytes(isOwn ? body : "{}"));
                    context.Response.Close();
                }
            }
            catch (Exception exception) when (exception is HttpListenerException or ObjectDisposedException)
            {
                // The test is over.
            }
        });
        return listener;
    }

    private void Docker(string script)
    {
        var path = Path.Combine(_programs, "docker");
        File.WriteAllText(path, $"#!/bin/sh\n{script}\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
    }
}
