using System.Diagnostics;
using KeyBuzz.Reconciler.Providers.Backup;

namespace KeyBuzz.Reconciler.Tests.Providers.Backup;

/// <summary>The program that makes a replica from a repository, run by a real Python over a tool and a primary that answer from
/// files.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
[Category(Suites.Programs)]
internal sealed class ReplicaProgramTests
{
    private const string First = "00000001000000000000000";
    private string _folder = "";

    [SetUp]
    public void Begin()
    {
        ProviderBench.OnlyAsRootWith("python3");
        _folder = Directory.CreateTempSubdirectory("kbr-replica-").FullName;
        Answer(
            "pgbackrest",
            """
            case $* in
            *" info") cat FOLDER/info ;;
            *"--pg1-path=FOLDER/data.kbr-replica restore")
                echo "restore $*" >>FOLDER/done
                mkdir FOLDER/data.kbr-replica/pg_wal FOLDER/data.kbr-replica/global
                touch FOLDER/data.kbr-replica/global/pg_control
                [ ! -e FOLDER/after-restore ] || sh FOLDER/after-restore ;;
            *"--pg1-path=FOLDER/data.kbr-replica archive-get "*)
                while [ $# -gt 2 ]; do shift; done
                grep -q "^$1\$" FOLDER/archive || exit 1
                touch $2
                echo "$1" >>FOLDER/got
                [ ! -e FOLDER/hangs ] || exec sleep 60 ;;
            esac
            """
        );
        Answer(
            "psql",
            """
            case $* in
            *IDENTIFY_SYSTEM*"host=db-1 replication=true") echo "7500000000000000001|$(cat FOLDER/timeline)|$(cat FOLDER/written)|" ;;
            *"TIMELINE_HISTORY 3"*) printf '00000003.history|1\t0/7000000\tbefore the word café\n\n' ;;
            *"TIMELINE_HISTORY 2"*) printf '00000002.history|1\t0/7000000\tno recovery target specified\n\n' ;;
            esac
            """
        );
        File.WriteAllText($"{_folder}/timeline", "1\n");
        File.WriteAllText($"{_folder}/written", "0/9000060\n");
        File.WriteAllLines($"{_folder}/archive", new[] { 5, 6, 7, 8 }.Select(segment => $"{First}{segment}"));
        Info(("old", First + "3", "0/3000100", 100), ("new", First + "5", "0/5000100", 200));
    }

    [TearDown]
    public void End() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void The_last_backup_is_restored_and_the_WAL_after_it_fetched()
    {
        var (exit, output) = Run();
        Assert.That(exit, Is.Zero, output);
        Assert.That(
            File.ReadAllText($"{_folder}/done"),
            Does.Contain($"--repo=1 --set=new --type=none --pg1-path={_folder}/data.kbr-replica restore")
        );
        Assert.That(File.ReadAllLines($"{_folder}/got"), Is.EqualTo(new[] { First + "5", First + "6", First + "7", First + "8" }));
        Assert.That(output, Does.EndWith($"restored new, with WAL up to segment {First}9\n"));
        Assert.That(File.Exists($"{_folder}/data/global/pg_control"), Is.True);
        Assert.That(Directory.Exists($"{_folder}/data.kbr-replica"), Is.False);
    }

    // Nothing else would remove it, and the replica would refuse writes once it is promoted.
    [Test]
    public void A_backup_that_was_taken_while_writes_were_refused_makes_a_replica_that_takes_them()
    {
        File.WriteAllText(
            $"{_folder}/after-restore",
            $"printf '# by ALTER SYSTEM\\n%s\\nwork_mem = 8MB\\n' \"default_transaction_read_only = 'on'\" "
                + $">{_folder}/data.kbr-replica/postgresql.auto.conf\n"
        );
        var (exit, output) = Run();
        Assert.That(exit, Is.Zero, output);
        Assert.That(File.ReadAllText($"{_folder}/data/postgresql.auto.conf"), Is.EqualTo("# by ALTER SYSTEM\nwork_mem = 8MB\n"));
    }

    // Patroni takes a directory of that name for a replica, whatever is missing in it.
    [Test]
    public void A_restore_that_was_killed_leaves_no_data_directory_and_begins_anew()
    {
        File.WriteAllText($"{_folder}/hangs", "");
        using (var run = Process.Start(Started())!)
        {
            Assert.That(() => File.Exists($"{_folder}/got"), Is.True.After(20).Seconds.PollEvery(50).MilliSeconds);
            run.Kill(entireProcessTree: true);
            run.WaitForExit();
        }

        Assert.That(Directory.Exists($"{_folder}/data"), Is.False);
        Assert.That(File.Exists($"{_folder}/data.kbr-replica/global/pg_control"), Is.True, "it was killed after the restore");

        File.Delete($"{_folder}/hangs");
        File.Delete($"{_folder}/got");
        File.WriteAllText($"{_folder}/data.kbr-replica/of-the-first", "");
        var (exit, output) = Run();
        Assert.That(exit, Is.Zero, output);
        Assert.That(File.ReadAllLines($"{_folder}/got"), Has.Length.EqualTo(4));
        Assert.That(File.Exists($"{_folder}/data/of-the-first"), Is.False);
        Assert.That(Directory.Exists($"{_folder}/data.kbr-replica"), Is.False);
    }

    [Test]
    public void A_directory_that_holds_something_is_not_replaced()
    {
        Directory.CreateDirectory($"{_folder}/data");
        File.WriteAllText($"{_folder}/data/PG_VERSION", "17\n");
        var (exit, _) = Run();
        Assert.That(exit, Is.EqualTo(1));
        Assert.That(Directory.GetFileSystemEntries($"{_folder}/data"), Has.Length.EqualTo(1));
        Assert.That(Directory.Exists($"{_folder}/data.kbr-replica"), Is.False);
    }

    // It may remove them once they are archived.
    [Test]
    public void What_the_primary_writes_during_the_restore_is_fetched_too()
    {
        File.WriteAllText(
            $"{_folder}/after-restore",
            $"echo 0/B000060 >{_folder}/written; for at in 9 A; do echo {First}$at >>{_folder}/archive; done\n"
        );
        var (exit, output) = Run();
        Assert.That(exit, Is.Zero, output);
        Assert.That(File.ReadAllLines($"{_folder}/got"), Has.Length.EqualTo(6).And.Exactly(1).EqualTo(First + "A"));
    }

    [Test]
    public void After_a_failover_during_the_restore_the_new_timeline_is_fetched_from_its_first_segment()
    {
        const string second = "00000002000000000000000";
        File.WriteAllText($"{_folder}/after-restore", $"echo 2 >{_folder}/timeline\n");
        File.AppendAllLines($"{_folder}/archive", [second + "7", second + "8"]);
        var (exit, output) = Run();
        Assert.That(exit, Is.Zero, output);
        Assert.That(File.ReadAllLines($"{_folder}/got"), Is.EqualTo(new[] { First + "5", First + "6", second + "7", second + "8" }));
    }

    // The primary keeps what is not archived.
    [Test]
    public void Segments_that_are_not_archived_yet_are_the_primarys_to_send_however_many_they_are()
    {
        File.WriteAllText($"{_folder}/written", "0/1F000060\n");
        File.WriteAllLines($"{_folder}/archive", [First + "5", First + "6"]);
        Archived(First + "6");
        var (exit, output) = Run();
        Assert.That(exit, Is.Zero, output);
        Assert.That(output, Does.EndWith($"restored new, with WAL up to segment {First}7\n"));
        Assert.That(File.Exists($"{_folder}/data/global/pg_control"), Is.True);
    }

    // Of timeline 1 what is before its end counts; the segment in which it ends is of timeline 2.
    [Test]
    public void A_backup_of_a_replaced_database_is_not_restored()
    {
        const string second = "00000002000000000000000";
        File.WriteAllText($"{_folder}/timeline", "2\n");
        File.WriteAllLines($"{_folder}/archive", [First + "5", First + "6", First + "7", First + "8", second + "7", second + "8"]);
        Info(("before", First + "5", "0/5000100", 100), ("replaced", First + "7", "0/7000100", 200));

        var (exit, output) = Run();

        Assert.That(exit, Is.Zero, output);
        Assert.That(File.ReadAllText($"{_folder}/done"), Does.Contain("--set=before "));
        Assert.That(File.ReadAllLines($"{_folder}/got"), Is.EqualTo(new[] { First + "5", First + "6", second + "7", second + "8" }));
        Assert.That(File.ReadAllText($"{_folder}/data/pg_wal/00000002.history"), Does.StartWith("1\t0/7000000\t"));
    }

    // PostgreSQL probes the timelines one by one; the second one is of a database that a restore has replaced.
    [TestCase(true)]
    [TestCase(false)]
    public void The_history_of_each_timeline_in_between_is_fetched(bool isArchived)
    {
        const string third = "00000003000000000000000";
        File.WriteAllText($"{_folder}/timeline", "3\n");
        string[] segments = [First + "5", First + "6", third + "7", third + "8"];
        File.WriteAllLines($"{_folder}/archive", isArchived ? [.. segments, "00000002.history"] : segments);

        var (exit, output) = Run();

        Assert.That(exit, Is.EqualTo(isArchived ? 0 : 1), output);
        if (isArchived)
        {
            Assert.That(File.ReadAllText($"{_folder}/data/pg_wal/00000003.history"), Does.Contain("café"));
            Assert.That(File.ReadAllLines($"{_folder}/got"), Is.EqualTo(new[] { "00000002.history" }.Concat(segments)));
        }
        else
        {
            Assert.That(output, Does.EndWith("no replica from a repository: the history of timeline 2 is missing\n"));
        }
    }

    [Test]
    public void A_tool_that_does_not_answer_is_not_waited_for()
    {
        var program = BackupTools.Default.ReplicaProgram(new BackupLocation("patroni", "/etc/patroni/pgbackrest.conf", "pg"), 1);
        Answer("pgbackrest", "exec sleep 60");
        Assert.That(program, Does.Contain("SECONDS = 120"));
        Assert.That(
            Run(text => text.Replace("SECONDS = 120", "SECONDS = 1", StringComparison.Ordinal)),
            Is.EqualTo((1, "no replica from a repository: pgbackrest did not end within 1 s\n"))
        );
    }

    [Test]
    public void Without_a_segment_in_between_there_is_no_replica()
    {
        File.WriteAllLines($"{_folder}/archive", [First + "6", First + "7", First + "8"]);
        Archived(First + "8");
        Assert.That(
            Run(),
            Is.EqualTo((1, $"restoring new from repository 1\nno replica from a repository: segment {First}5 is missing\n"))
        );
        Assert.That(Directory.GetDirectories(_folder), Is.Empty);
    }

    [Test]
    public void Another_databases_backups_are_left_alone()
    {
        File.WriteAllText(
            $"{_folder}/info",
            File.ReadAllText($"{_folder}/info").Replace("7500000000000000001", "7400000000000000009", StringComparison.Ordinal)
        );
        Assert.That(Run(), Is.EqualTo((1, "no replica from a repository: none holds a backup of the present database\n")));
        Assert.That(File.Exists($"{_folder}/done"), Is.False);
    }

    [Test]
    public void More_WAL_than_database_is_not_fetched()
    {
        File.WriteAllText($"{_folder}/timeline", "1|1/0|\n");
        Assert.That(
            Run(),
            Is.EqualTo((1, "no replica from a repository: 4227858432 bytes of WAL after the backup are more than its 1000 bytes\n"))
        );
        Assert.That(File.Exists($"{_folder}/done"), Is.False);
    }

    private void Answer(string program, string body)
    {
        var path = Path.Combine(_folder, program);
        File.WriteAllText(path, "#!/bin/sh\n" + body.Replace("FOLDER", _folder, StringComparison.Ordinal) + "\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    private void Info(params (string Label, string Segment, string Stop, long Ended)[] backups)
    {
        var all = backups.Select(one =>
            $$"""
                {"archive": {"start": "{{one.Segment}}", "stop": "{{one.Segment}}"}, "database": {"id": 1, "repo-key": 1}, "error": false,
                 "info": {"size": 1000}, "label": "{{one.Label}}", "lsn": {"start": "0/1", "stop": "{{one.Stop}}"},
                 "timestamp": {"start": 1, "stop": {{one.Ended}} } }
                """
        );
        File.WriteAllText(
            $"{_folder}/info",
            $$"""[{"backup": [{{string.Join(",", all)}}], "db": [{"id": 1, "repo-key": 1, "system-id": 7500000000000000001}], "repo": [] }]"""
        );
    }

    // The archive of another version's database has later names.
    private void Archived(string last) =>
        File.WriteAllText(
            $"{_folder}/info",
            File.ReadAllText($"{_folder}/info")
                .Replace(
                    "[{\"backup\":",
                    $$"""
                    [{"archive": [{"database": {"id": 1, "repo-key": 1}, "max": "{{last}}"}, {"database": {"id": 9, "repo-key": 1}, "max": "0F"}], "backup":
                    """,
                    StringComparison.Ordinal
                )
        );

    private (int Exit, string Output) Run(Func<string, string>? changed = null)
    {
        using var run = Process.Start(Started(changed))!;
        var output = run.StandardOutput.ReadToEnd();
        run.WaitForExit();
        return (run.ExitCode, output);
    }

    private ProcessStartInfo Started(Func<string, string>? changed = null)
    {
        var program = Path.Combine(_folder, "program.py");
        File.WriteAllText(
            program,
            (changed ?? (text => text))(
                BackupTools.Default.ReplicaProgram(new BackupLocation("patroni", "/etc/patroni/pgbackrest.conf", "pg"), 1)
            )
        );
        var start = new ProcessStartInfo(
            "python3",
            [program, "--scope=pg", "--role=replica", $"--datadir={_folder}/data", "--connstring=host=db-1"]
        )
        {
            RedirectStandardOutput = true,
        };
        start.Environment["PATH"] = _folder + ":" + Environment.GetEnvironmentVariable("PATH");
        return start;
    }
}
