using System.Diagnostics;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Backup.Restore;

namespace KeyBuzz.Reconciler.Tests.Providers.Backup;

/// <summary>Which backup a restore takes, by the shell of the restore itself over a tool that answers from files. The database was restored
/// to 0/5000000 and is on timeline 2; ends are minutes of 1970.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
[Category(Suites.Programs)]
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
            *" --repo="[12]" repo-ls archive/pg/17-1 "*) mkdir -p {{_folder}}/${4#*=} && cd {{_folder}}/${4#*=} && ls | grep history || : ;;
            *" --repo="[12]" repo-get archive/pg/17-1/"*.history) cat {{_folder}}/${4#*=}/${6##*/} ;;
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

    // Each repository as "number timeline end LSN"; the first one was out of reach since the restore.
    [TestCase("1 1 20 0/7000000, 2 2 30 0/6000000", 2, "--repo=2 --set=30 ", TestName = "The first repository has none of the present one")]
    [TestCase("1 1 10 0/3000000, 2 2 30 0/6000000", 2, "", TestName = "The first repository has an older one of the present database")]
    [TestCase("1 1 10 0/3000000, 1 1 20 0/7000000, 2 2 30 0/6000000", 2, "--repo=1 --set=10 ", TestName = "The first has both")]
    [TestCase("2 2 30 0/6000000", 1, "", TestName = "Only the second repository has a backup")]
    public void Of_two_repositories_the_backup_is_of_the_present_database(string backups, int history, string options)
    {
        Directory.CreateDirectory($"{_folder}/{history}");
        File.WriteAllText($"{_folder}/{history}/00000002.history", Restored);
        Holds(backups.Split(", ").Select(text => text.Split(' ')), 2);
        var (exit, output) = Run("latest");
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
            Directory.CreateDirectory($"{_folder}/1");
            File.WriteAllText($"{_folder}/1/00000002.history", history);
        }

        Holds(backups.Split(", ").Select(text => ("1 " + text).Split(' ')), 1);
    }

    // Each backup as repository, timeline, minute of its end, and LSN.
    private void Holds(IEnumerable<string[]> backups, int repositories)
    {
        var all = backups.Select(words =>
            $$$"""
                {"archive": {"stop": "0000000{{{words[1]}}}0000000000000007"}, "database": {"id": 1, "repo-key": {{{words[
                    0
                ]}}}}, "error": false,
                 "label": "{{{words[2]}}}", "lsn": {"stop": "{{{words[3]}}}"}, "timestamp": {"stop": {{{Seconds(words[2])}}}}}
                """
        );
        string Each(string format) =>
            string.Join(
                ",",
                Enumerable.Range(1, repositories).Select(number => format.Replace("N", $"{number}", StringComparison.Ordinal))
            );
        File.WriteAllText(
            $"{_folder}/info",
            $$"""
            [{"archive": [{{Each("{\"database\": {\"id\": 1, \"repo-key\": N}, \"id\": \"17-1\"}")}}], "backup": [{{string.Join(
                ",",
                all
            )}}],
              "db": [{{Each("{\"id\": 1, \"repo-key\": N, \"system-id\": 7}")}}], "repo": [{{Each("{\"key\": N}")}}] }]
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
