using System.Diagnostics;
using System.Text.RegularExpressions;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary><c>kbr status</c> over hosts that are all off: its formats, and how it watches.</summary>
[TestFixture, NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed partial class StatusCommandTests : LocalCluster
{
    private const string Image = "registry.example.com/kbr/x:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    [SetUp]
    public void WriteSection()
    {
        Write(
            "credentials/postgres.env",
            "POSTGRES_SUPERPASS=canary-super\nPOSTGRES_REPL_PASS=canary-repl\nPOSTGRES_APP_PASS=canary-app\nPATRONI_REST_PASS=canary-rest\n"
                + "PATRONI_RAFT_PASS=canary-raft\nPGBOUNCER_STATS_PASS=canary-stats\nAPP_PASS=canary-x\nKBR_KEY=canary-key\n"
        );
        var port = Ssh.SshServer.FreePort();
        Write(
            "cluster.yaml",
            $$"""
            version: 1
            cluster: {{Name}}
            ssh: { identity_file: {{Server.Settings.IdentityFile}}, known_hosts: {{Server.KnownHostsFile}}, connect_timeout: 5s, config: false }
            hosts:
              db-1: { role: db, address: 127.0.0.1, ssh: { port: {{port}} } }
              lb-1: { role: lb, address: 127.0.0.2, ssh: { port: {{port}} } }
              lb-2: { role: lb, address: 127.0.0.3, ssh: { port: {{port}} } }
            postgres:
              members: db
              proxies: lb
              image: {{Image}}
              volume: { device: /dev/sdz }
              haproxy: { image: "{{Image}}" }
              pgbouncer: { image: "{{Image}}", max_db_connections: 40 }
            """
        );
    }

    [Test]
    public void Hosts_that_are_off_take_one_line_that_says_what_is_unknown_because_of_them()
    {
        var (exit, output, _) = Kbr("status");
        Assert.That(exit, Is.EqualTo(1));
        Assert.That(output, Does.Contain("Cause: db-1 unreachable; lb-1 unreachable; lb-2 unreachable."));
        var unknown = output.Split('\n').Where(line => line.StartsWith("unknown", StringComparison.Ordinal)).ToList();
        Assert.That(
            unknown.Where(line => line.StartsWith("unknown  hosts ", StringComparison.Ordinal)).ToList(),
            Has.Count.EqualTo(1),
            output
        );
        Assert.That(unknown[0], Does.Contain("; so these are not known in full: units, containers,"));
        Assert.That(unknown.Skip(1).Where(line => line.Contains("not read: ", StringComparison.Ordinal)), Is.Empty, output);
    }

    [Test]
    public void Metrics_go_to_the_standard_output_or_to_a_file_beside_the_text_and_tell_a_failure_too()
    {
        var (exit, output, error) = Kbr("status", "--format", "prometheus");
        Assert.That((exit, error), Is.EqualTo((1, "")));
        Assert.That(output, Does.Contain($"kbr_status_exit_code{{cluster=\"{Name}\"}} 1\n").And.Not.Contain("Next: "));
        MetricsRules.Check(output);

        (exit, output, _) = Kbr("status", "--format", "prometheus", "--out", "kbr.prom");
        Assert.That(exit, Is.EqualTo(1));
        Assert.That(output, Does.Contain("Next: bring db-1 and lb-1 and lb-2 back").And.Not.Contain("kbr_status"));
        Assert.That(File.ReadAllText($"{Folder}/kbr.prom"), Does.Contain("kbr_status_unreachable_hosts{").And.Contain("} 3\n"));

        File.AppendAllText($"{Folder}/cluster.yaml", "nonsense: 1\n");
        (exit, _, error) = Kbr("status", "--format", "prometheus", "--out", "kbr.prom");
        Assert.That(exit, Is.EqualTo(1));
        Assert.That(error, Does.Contain("nonsense"));
        Assert.That(File.ReadAllText($"{Folder}/kbr.prom"), Does.EndWith("\nkbr_status_exit_code{cluster=\"cluster.yaml\"} 1\n"));
    }

    [Test]
    public void A_page_is_the_whole_status_and_that_of_a_failure_names_it()
    {
        var (exit, page, error) = Kbr("status", "--format", "html");
        Assert.That((exit, error), Is.EqualTo((1, "")));
        HtmlRules.Check(page);
        Assert.That(
            page,
            Does.Contain($"<h1>Status of {Name}</h1>").And.Contain("Cause: db-1 unreachable; lb-1").And.Contain("measured at 2")
        );
        Assert.That(page, Does.Contain("bring db-1 and lb-1 and lb-2 back, then: "));

        (exit, var output, _) = Kbr("status", "--format", "html", "--out", "status.html");
        Assert.That(exit, Is.EqualTo(1));
        Assert.That(output, Does.Contain("Next: bring db-1").And.Not.Contain("<td>"));
        HtmlRules.Check(File.ReadAllText($"{Folder}/status.html"));

        File.AppendAllText($"{Folder}/cluster.yaml", "\n'<b>nonsense': 1\n");
        Assert.That(Kbr("status", "--format", "html", "--out", "status.html").Exit, Is.EqualTo(1));
        Assert.That(File.ReadAllText($"{Folder}/status.html"), Does.Contain("class=\"error\">Error: ").And.Contain("&lt;b&gt;nonsense"));
        Assert.That(Kbr("status", "--format", "html", "--watch").Error, Does.Contain("--watch and --format html exclude each other"));
        Assert.That(Kbr("status", "--format", "html", "--json").Output, Does.Contain("--json and --format html both go"));
    }

    [Test]
    public void Watching_writes_JSON_every_time_and_text_only_when_a_verdict_changes_and_ends_with_the_last_exit_code()
    {
        using (var json = Start(KbrProgram.Path, "status", "--watch", "1", "--json"))
        {
            var lines = new[] { json.StandardOutput.ReadLine()!, json.StandardOutput.ReadLine()! };
            Process.Start("kill", ["-INT", $"{json.Id}"])!.WaitForExit();
            Assert.That(json.WaitForExit(TimeSpan.FromSeconds(30)) && json.ExitCode == 1, Is.True);
            Assert.That(lines.SelectMany(JsonSchemas.Problems), Is.Empty);
            Assert.That(json.StandardError.ReadToEnd(), Is.Empty, "an interruption is the usual end");
        }

        using var text = Start("timeout", "--foreground", "--preserve-status", "-s", "INT", "6", KbrProgram.Path, "status", "--watch", "1");
        var said = text.StandardOutput.ReadToEnd();
        Assert.That(text.WaitForExit(TimeSpan.FromSeconds(30)) && text.ExitCode == 1, Is.True, said);
        Assert.That(said, Does.Match(@"^[0-9]{2}:[0-9]{2}:[0-9]{2} UTC\n"));
        Assert.That(Regex.Count(said, "Next: bring "), Is.EqualTo(1), said);
    }

    [Test]
    public void Watching_ends_when_nobody_reads_any_more()
    {
        using var process = Start("bash", "-c", $"{KbrProgram.Path} status --watch 1 | head -n 1; echo ${{PIPESTATUS[0]}}");
        var said = process.StandardOutput.ReadToEndAsync();
        Assert.That(process.WaitForExit(TimeSpan.FromSeconds(60)), Is.True);
        Assert.That(said.Result, Does.Match(@"^[0-9]{2}:[0-9]{2}:[0-9]{2} UTC\n0\n$"), process.StandardError.ReadToEnd());
    }

    [Test]
    public void Watching_on_a_terminal_redraws_in_place_and_leaves_the_last_status()
    {
        using var process = Start("script", "-qec", $"exec {KbrProgram.Path} status --watch 1 --no-color", "/dev/null");
        var said = "";
        while (Regex.Count(said, "every 1 s; Ctrl-C ends it") < 2)
        {
            var next = process.StandardOutput.Read();
            Assert.That(next, Is.Not.Negative, said);
            said += (char)next;
        }

        process.StandardInput.Write('\x03');
        process.StandardInput.Flush();
        said += process.StandardOutput.ReadToEnd();
        Assert.That(process.WaitForExit(TimeSpan.FromSeconds(30)) && process.ExitCode == 1, Is.True, said);
        Assert.That(EscapePattern().Matches(said).Select(match => match.Value).Distinct(), Is.SubsetOf(new[] { "A", "J" }));
        var last = said[(said.LastIndexOf("\e[J", StringComparison.Ordinal) + 3)..];
        Assert.That(last, Does.Match(@"^(\^C)?\r?\n?\S+ could not be measured|^(\^C)?\r?\n?\S+ is not healthy"));
        Assert.That(last, Does.Contain("Next: bring ").And.Not.Contain("Ctrl-C"));
    }

    private Process Start(string program, params string[] arguments) =>
        Process.Start(
            new ProcessStartInfo(program, arguments)
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                WorkingDirectory = Folder,
                Environment = { ["TERM"] = "xterm", ["SHELL"] = "/bin/sh" },
            }
        )!;

    // The letter of each escape sequence.
    [GeneratedRegex("(?<=\e\\[[0-9;]*)[A-Za-z]")]
    private static partial Regex EscapePattern();
}
