using System.Diagnostics;
using System.Net;
using System.Text;
using KeyBuzz.Reconciler.Providers.Backup;

namespace KeyBuzz.Reconciler.Tests.Providers.Backup;

/// <summary>The program for scheduled backups, run by a real Python over a tool that answers from files.</summary>
[TestFixture, NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
[Category(Suites.Programs)]
internal sealed class ScheduledProgramTests
{
    private string _folder = "";
    private HttpListener _patroni = new();
    private int _port;
    private volatile int _role = 503;
    private volatile string _state = "streaming";
    private bool _isIdle = true;

    [SetUp]
    public void Begin()
    {
        ProviderBench.OnlyAsRootWith("python3");
        _folder = Directory.CreateTempSubdirectory("kbr-program-").FullName;
        (_role, _state, _isIdle) = (503, "streaming", true);
        _port = Ssh.SshServer.FreePort();
        _patroni = new HttpListener();
        _patroni.Prefixes.Add($"http://127.0.0.1:{_port}/");
        _patroni.Start();
        _ = AnswerAsync(_patroni);
        // It lists what it was asked, and after a backup there is one.
        var tool = Path.Combine(_folder, "pgbackrest");
        File.WriteAllText(
            tool,
            $$"""
            #!/bin/sh
            echo "$*" >> {{_folder}}/asked
            case $* in
            *" info") cat {{_folder}}/info ;;
            *" backup") chrt -p $$ >> {{_folder}}/priority; ionice -p $$ >> {{_folder}}/priority
                if [ -e {{_folder}}/broken ]; then echo "ERROR: [049]: unable to connect"; exit 49; fi ;;
            esac

            """
        );
        File.SetUnixFileMode(tool, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        File.WriteAllText(Path.Combine(_folder, "uptime"), "86400.25 1.00\n");
        Info([]);
    }

    [TearDown]
    public void End()
    {
        _patroni.Close();
        Directory.Delete(_folder, recursive: true);
    }

    [Test]
    public void The_primary_takes_it_into_every_repository()
    {
        _role = 200;
        Assert.That(Run("full"), Is.EqualTo((0, "taken on this member\n")));
        Assert.That(Backups(), Is.EqualTo(new[] { "--repo=1 --type=full backup", "--repo=2 --type=full backup" }));
    }

    [Test]
    public void It_takes_the_time_that_nothing_else_wants([Values] bool isIdle)
    {
        (_role, _isIdle) = (200, isIdle);
        Assert.That(Run("full").Exit, Is.Zero);
        Assert.That(
            File.ReadAllText(Path.Combine(_folder, "priority")),
            isIdle
                ? Does.Contain("policy: SCHED_IDLE\n").And.EndWith("\nidle\n")
                : Does.Contain("policy: SCHED_OTHER\n").And.Not.EndWith("\nidle\n")
        );
    }

    [Test]
    public void Only_the_repository_that_lacks_it_gets_one()
    {
        _role = 200;
        Info([(1, "full", 60)]);
        Assert.That(Run("diff").Output, Is.EqualTo("taken on this member\n"));
        Assert.That(Backups(), Is.EqualTo(new[] { "--repo=2 --type=diff backup" }), "a full backup serves as a differential one");
    }

    [Test]
    public void A_replica_takes_none_and_is_content_with_the_primarys()
    {
        // The primary's clock is ten seconds behind.
        Info([(1, "diff", -10), (2, "diff", -10)]);
        Assert.That(Run("incr"), Is.EqualTo((0, "taken on another member\n")));
        Assert.That(Backups(), Is.Empty);
    }

    [Test]
    public void A_replica_is_not_content_with_an_older_or_a_lesser_one()
    {
        Info([(1, "incr", 5), (2, "incr", 5), (1, "full", -3600), (2, "full", -3600)]);
        Assert.That(Run("full", patience: 1), Is.EqualTo((3, "given up: no member took it\n")));
        Assert.That(Backups(), Is.Empty);
    }

    // It was down when the primary took it, or while it was taken.
    [TestCase(-7200, 120, 0, "taken on another member\n")]
    [TestCase(-1800, 120, 3, "given up: no member took it\n", Description = "its last run ended after that backup")]
    [TestCase(-7200, 86400, 3, "given up: no member took it\n", Description = "it has missed none")]
    [TestCase(null, 120, 3, "given up: no member took it\n", Description = "it is not known what it has missed")]
    public void Just_after_a_boot_a_replica_is_content_with_the_backup_that_it_missed(int? ended, int up, int exit, string said)
    {
        _isIdle = false;
        Info([(1, "full", -3600), (2, "full", -3600)]);
        Assert.That(Run("full", 1, up, ended), Is.EqualTo((exit, said)));
        Assert.That(Backups(), Is.Empty);
    }

    // All members were down, and the backup was taken by hand before.
    [Test]
    public void Just_after_a_boot_without_a_primary_no_older_backup_counts()
    {
        (_state, _isIdle) = ("in archive recovery", false);
        Info([(1, "full", -3600), (2, "full", -3600)]);
        Assert.That(Run("full", 1, 120, -7200), Is.EqualTo((3, "given up: no member took it\n")));
    }

    [Test]
    public void A_member_that_becomes_the_primary_after_a_boot_takes_one_whatever_was_taken_before()
    {
        (_state, _isIdle) = ("in archive recovery", false);
        Info([(1, "full", -3600), (2, "full", -3600)]);
        File.WriteAllText(Path.Combine(_folder, "uptime"), "120.25 1.00\n");
        using var run = Start("full", 600, $"{DateTimeOffset.UtcNow.AddSeconds(-7200).ToUnixTimeSeconds()}");
        while (Backups("info").Count == 0 && !run.WaitForExit(50)) { }

        _role = 200;
        Assert.That(run.WaitForExit(30000), Is.True);
        Assert.That((run.ExitCode, run.StandardOutput.ReadToEnd()), Is.EqualTo((0, "taken on this member\n")));
        Assert.That(Backups(), Has.Count.EqualTo(2));
    }

    [Test]
    public void The_primary_takes_its_own_also_just_after_a_boot()
    {
        (_role, _isIdle) = (200, false);
        Info([(1, "full", -3600), (2, "full", -3600)]);
        Assert.That(Run("full", 1, 120, -7200), Is.EqualTo((0, "taken on this member\n")));
    }

    [Test]
    public void A_failure_is_told_with_the_tools_reason()
    {
        _role = 200;
        File.WriteAllText(Path.Combine(_folder, "broken"), "");
        var (exit, output) = Run("full", patience: 1);
        Assert.That(exit, Is.EqualTo(3));
        Assert.That(output, Does.EndWith("given up: repository 2: [049]: unable to connect\n"));
    }

    [Test]
    public void Ended_by_hand_it_stops()
    {
        var run = Start("full", patience: 600);
        while (Backups("info").Count == 0)
        {
            run.WaitForExit(50);
        }

        using (var end = Start("full", 600, "end"))
        {
            Assert.That(end.WaitForExit(20000), Is.True);
        }

        Assert.That(run.WaitForExit(20000), Is.True);
        Assert.That((run.ExitCode, run.StandardOutput.ReadToEnd()), Is.EqualTo((1, "it was stopped\n")));
        run.Dispose();
    }

    private (int Exit, string Output) Run(string kind, int patience = 600, int up = 86400, int? ended = null)
    {
        File.WriteAllText(Path.Combine(_folder, "uptime"), $"{up}.25 1.00\n");
        string[] last = ended is { } seconds ? [$"{DateTimeOffset.UtcNow.AddSeconds(seconds).ToUnixTimeSeconds()}"] : [];
        using var run = Start(kind, patience, last);
        var output = run.StandardOutput.ReadToEnd();
        run.WaitForExit();
        return (run.ExitCode, output);
    }

    private Process Start(string kind, int patience, params string[] more)
    {
        var program = Path.Combine(_folder, "program.py");
        File.WriteAllText(
            program,
            BackupTools
                .Default.Program(
                    new BackupLocation("patroni", "/etc/patroni/pgbackrest.conf", "pg"),
                    2,
                    $"http://127.0.0.1:{_port}/primary",
                    TimeSpan.FromSeconds(patience),
                    _isIdle
                )
                .Replace("/tmp/", _folder + "/", StringComparison.Ordinal)
                .Replace("/proc/uptime", _folder + "/uptime", StringComparison.Ordinal)
                .Replace("PAUSE = 15", "PAUSE = 2", StringComparison.Ordinal)
        );
        var start = new ProcessStartInfo("python3", [program, kind, .. more]) { RedirectStandardOutput = true };
        start.Environment["PATH"] = _folder + ":" + Environment.GetEnvironmentVariable("PATH");
        start.Environment["no_proxy"] = "127.0.0.1";
        return Process.Start(start)!;
    }

    private void Info((int Repository, string Type, int Seconds)[] backups) =>
        File.WriteAllText(
            Path.Combine(_folder, "info"),
            "[{\"backup\": ["
                + string.Join(
                    ",",
                    backups.Select(one =>
                        $$"""
                            {"database": {"repo-key": {{one.Repository}} }, "type": "{{one.Type}}", "error": false,
                             "timestamp": {"start": {{DateTimeOffset.UtcNow.AddSeconds(one.Seconds).ToUnixTimeSeconds()}} } }
                            """
                    )
                )
                + "]}]"
        );

    private List<string> Backups(string verb = "backup")
    {
        var asked = Path.Combine(_folder, "asked");
        return File.Exists(asked)
            ?
            [
                .. File.ReadAllLines(asked)
                    .Where(line => line.EndsWith(" " + verb, StringComparison.Ordinal))
                    .Select(line => line[(line.IndexOf("--stanza=pg ", StringComparison.Ordinal) + "--stanza=pg ".Length)..]),
            ]
            : [];
    }

    private async Task AnswerAsync(HttpListener listener)
    {
        try
        {
            while (true)
            {
                var context = await listener.GetContextAsync();
                context.Response.StatusCode = _role;
                context.Response.Close(Encoding.UTF8.GetBytes($$"""{"replication_state": "{{_state}}"}"""), willBlock: false);
            }
        }
        catch (Exception exception) when (exception is HttpListenerException or ObjectDisposedException)
        {
            // The test has ended.
        }
    }
}
