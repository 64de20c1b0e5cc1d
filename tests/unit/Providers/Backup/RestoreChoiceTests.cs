using System.Diagnostics;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Backup.Restore;

namespace KeyBuzz.Reconciler.Tests.Providers.Backup;

/// <summary>Which backup a restore takes, by the shell of the restore itself over a tool that answers from files. The database was restored
/// to 0/5000000 and is on timeline 2; ends are minutes of 1970.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
internal sealed class RestoreChoiceTests
{
    private const string Restored = "1\t0/5000000\tbefore 1970-01-01 00:15:00+00\n";

    private string _folder = "";

    [SetUp]
    public void Begin()
    {
        ProviderBench.OnlyAsRootWith("python3");
        _folder = Directory.CreateTempSubdirectory("kbr-choice-").FullName;
        var tool = Path.Combine(_folder, "pgbackrest");
        File.WriteAllText(
            tool,
            $$"""
            #!/bin/sh
            case $* in
            *" info") [ ! -e {{_folder}}/broken ] || { echo "ERROR: [049]: unable to connect"; exit 49; }; cat {{_folder}}/info ;;
            *" --repo=1 repo-ls archive/pg/17-1 "*) cd {{_folder}} && ls | grep history ;;
            *" --repo=1 repo-get archive/pg/17-1/"*.history) for last; do :; done; cat {{_folder}}/${last##*/} ;;
            *" restore") echo "$*" >{{_folder}}/restored ;;
            *) exit 9 ;;
            esac

            """
        );
        File.SetUnixFileMode(tool, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    [TearDown]
    public void End() => Directory.Delete(_folder, recursive: true);

    [TestCase("1970-01-01 00:30:00+00", Restored, "1 10 0/3000000, 1 20 0/7000000", "--repo=1 --set=10 ", TestName = "A time")]
    [TestCase("latest", Restored, "1 10 0/3000000, 1 20 0/7000000", "--repo=1 --set=10 ", TestName = "The latest transaction")]
    [TestCase("0/8000000", Restored, "1 10 0/3000000, 1 20 0/7000000", "--repo=1 --set=10 ", TestName = "An LSN")]
    [TestCase("point", Restored, "1 10 0/3000000, 1 20 0/7000000", "--repo=1 --set=10 ", TestName = "A restore point")]
    [TestCase("latest", Restored, "1 10 0/3000000, 1 20 0/7000000, 2 30 0/6000000", "", TestName = "After a new backup the tool chooses")]
    [TestCase("1970-01-01 00:25:00+00", Restored, "1 10 0/3000000, 1 20 0/7000000, 2 30 0/6000000", "--repo=1 --set=10 ")]
    [TestCase("1970-01-01 00:15:00+00", Restored, "1 10 0/3000000, 1 20 0/7000000", "", TestName = "Before the replaced one it chooses")]
    [TestCase("latest", "", "1 10 0/3000000, 1 20 0/7000000", "", TestName = "On the first timeline it chooses")]
    [TestCase("latest", Restored, "1 20 0/7000000", null, TestName = "Without one of the present database there is no restore")]
    public void A_backup_of_a_replaced_database_is_not_restored(string target, string history, string backups, string? options)
    {
        Holds(history, backups);
        var (exit, output) = Run(target);
        if (options is null)
        {
            Assert.That((exit, File.Exists($"{_folder}/restored")), Is.EqualTo((1, false)), output);
            Assert.That(output, Does.Contain("ERROR: every backup before that, 20 the last, is of a database that a restore has replaced"));
            return;
        }

        Assert.That(exit, Is.Zero, output);
        Assert.That(
            File.ReadAllText($"{_folder}/restored"),
            options.Length > 0 ? Does.Contain(" " + options) : Does.Not.Contain("--set").And.Not.Contain("--repo")
        );
    }

    // It says itself why it cannot restore.
    [Test]
    public void Where_the_repositories_do_not_answer_the_tool_is_left_to_choose()
    {
        File.WriteAllText($"{_folder}/broken", "");
        var (exit, output) = Run("latest");
        Assert.That(exit, Is.Zero, output);
        Assert.That(File.ReadAllText($"{_folder}/restored"), Does.Not.Contain("--set"));
    }

    private void Holds(string history, string backups)
    {
        if (history.Length > 0)
        {
            File.WriteAllText($"{_folder}/00000002.history", history);
        }

        var all = backups
            .Split(", ")
            .Select(text => text.Split(' '))
            .Select(words =>
                $$$"""
                    {"archive": {"stop": "0000000{{{words[0]}}}0000000000000007"}, "database": {"id": 1, "repo-key": 1}, "error": false,
                     "label": "{{{words[1]}}}", "lsn": {"stop": "{{{words[2]}}}"}, "timestamp": {"stop": {{{Seconds(words[1])}}}}}
                    """
            );
        File.WriteAllText(
            $"{_folder}/info",
            $$"""
            [{"archive": [{"database": {"id": 1, "repo-key": 1}, "id": "17-1"}], "backup": [{{string.Join(",", all)}}],
              "db": [{"id": 1, "repo-key": 1, "system-id": 7}], "repo": [{"key": 1}] }]
            """
        );
    }

    private static int Seconds(string minutes) => 60 * int.Parse(minutes, System.Globalization.CultureInfo.InvariantCulture);

    private (int Exit, string Output) Run(string target)
    {
        var restore = BackupTools.Default.Restore(
            new BackupLocation("patroni", "/etc/patroni/pgbackrest.conf", "pg"),
            RestoreTarget.Parse(target)!,
            "/restored",
            "/tablespaces"
        );
        File.WriteAllText($"{_folder}/script", "set -eu\n" + restore + "\n");
        var start = new ProcessStartInfo("sh", ["-c", $"exec sh {_folder}/script 2>&1"]) { RedirectStandardOutput = true };
        start.Environment["PATH"] = _folder + ":" + Environment.GetEnvironmentVariable("PATH");
        using var run = Process.Start(start)!;
        var output = run.StandardOutput.ReadToEnd();
        run.WaitForExit();
        return (run.ExitCode, output);
    }
}
