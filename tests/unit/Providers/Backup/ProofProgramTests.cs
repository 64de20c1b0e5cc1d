using System.Diagnostics;
using KeyBuzz.Reconciler.Providers.Backup;

namespace KeyBuzz.Reconciler.Tests.Providers.Backup;

/// <summary>The program that chooses the member and the second of a scheduled proof, run by a real Python over a tool that answers from
/// files.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
[Category(Suites.Programs)]
internal sealed class ProofProgramTests
{
    private const string Segment = "00000001000000000000000";
    private string _folder = "";
    private long _ended;

    [SetUp]
    public void Begin()
    {
        ProviderBench.OnlyAsRootWith("python3");
        _folder = Directory.CreateTempSubdirectory("kbr-proof-").FullName;
        _ended = DateTimeOffset.UtcNow.ToUnixTimeSeconds() - 3600;
        var tool = Path.Combine(_folder, "pgbackrest");
        File.WriteAllText(
            tool,
            $$"""
            #!/bin/sh
            if [ -e {{_folder}}/broken ]; then echo "P00 ERROR: [049]: unable to connect"; exit 49; fi
            case $* in
            *" info") cat {{_folder}}/info ;;
            *repo-ls*) cat {{_folder}}/list ;;
            *"repo-get archive/pg/17-1/00000002.history")
                if [ -e {{_folder}}/added ]; then echo "P00 ERROR: [055]: unable to open missing file"; exit 55; fi
                printf '1\t0/5800000\tbefore 2026-11-28 00:15:00+00\n' ;;
            esac

            """
        );
        File.SetUnixFileMode(tool, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Info(_ended);
        Holds(5, 6, 7);
    }

    [TearDown]
    public void End() => Directory.Delete(_folder, recursive: true);

    [TestCase(null, "a", 0)]
    [TestCase("c", "c", 0)]
    [TestCase("b", "a", 0)]
    [TestCase("d", "a", 0)]
    public void The_first_replica_that_streams_proves_it_or_the_preferred_one(string? preferred, string member, int exit)
    {
        File.WriteAllText(
            Path.Combine(_folder, "members"),
            """
            {"members": [{"name": "c", "role": "sync_standby", "state": "streaming"}, {"name": "b", "role": "leader", "state": "running"},
             {"name": "a", "role": "replica", "state": "streaming"}, {"name": "d", "role": "replica", "state": "starting"}]}
            """
        );
        Assert.That(Run(preferred, "member"), Is.EqualTo((exit, member + "\n")));
    }

    [Test]
    public void Beside_a_primary_alone_nobody_does()
    {
        File.WriteAllText(Path.Combine(_folder, "members"), """{"members": [{"name": "b", "role": "leader", "state": "running"}]}""");
        Assert.That(Run(null, "member"), Is.EqualTo((3, "no replica streams\n")));
    }

    [Test]
    public void The_second_is_one_of_the_window()
    {
        foreach (var _ in Enumerable.Range(0, 5))
        {
            var (exit, output) = Run(null, "target", "0/7000028");
            Assert.That(exit, Is.Zero, output);
            Assert.That(output, Does.Match("^[0-9]+ 31272092\n$"), "and the largest database's size");
            Assert.That(
                long.Parse(output.Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture),
                Is.InRange(_ended + 2, _ended + 3600 - 175)
            );
        }
    }

    // No second is between the two.
    [Test]
    public void A_backup_that_the_second_is_not_restored_from_needs_no_room()
    {
        var info = Path.Combine(_folder, "info");
        const string first = "\"backup\": [";
        var larger = Backup(_ended - 1).Replace("31272092", "91272092", StringComparison.Ordinal);
        File.WriteAllText(info, File.ReadAllText(info).Replace(first, first + larger + ", ", StringComparison.Ordinal));
        var (exit, output) = Run(null, "target", "0/7000028");
        Assert.That(exit, Is.Zero, output);
        Assert.That(output, Does.EndWith(" 31272092\n"));
    }

    // The next backup has more, and the database may have grown before the second.
    [Test]
    public void The_room_is_that_of_the_next_backup_where_it_is_larger()
    {
        var info = Path.Combine(_folder, "info");
        var last = Backup(_ended + 3600).Replace("31272092", "91272092", StringComparison.Ordinal);
        File.WriteAllText(info, File.ReadAllText(info).Replace("],\n  \"db\"", $", {last}],\n  \"db\"", StringComparison.Ordinal));
        var (exit, output) = Run(null, "target", "0/7000028");
        Assert.That(exit, Is.Zero, output);
        Assert.That(output, Does.EndWith(" 91272092\n"));
    }

    // The second backup is of the database that a restore to a point before it has replaced.
    [Test]
    public void A_second_whose_backup_is_of_a_replaced_database_is_not_chosen()
    {
        var other = _ended + 600;
        Info(_ended, other);
        File.WriteAllLines(Path.Combine(_folder, "list"), [Stored(1, 5), Stored(2, 5), Stored(2, 6), Stored(2, 7)]);
        foreach (var _ in Enumerable.Range(0, 8))
        {
            var (exit, output) = Run(null, "target", "0/7000028");
            Assert.That(exit, Is.Zero, output);
            Assert.That(
                long.Parse(output.Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture),
                Is.InRange(_ended + 2, other),
                "the tool takes the last backup before a second"
            );
        }
    }

    // The repository was added after a failover, so that nobody pushed the history of the timeline into it.
    [Test]
    public void The_history_of_a_timeline_that_no_repository_has_is_the_member_s_own()
    {
        Info(_ended, _ended + 600);
        File.WriteAllText(Path.Combine(_folder, "added"), "");
        File.WriteAllLines(Path.Combine(_folder, "list"), [Stored(1, 5), Stored(2, 5), Stored(2, 6), Stored(2, 7)]);
        var (exit, output) = Run(null, "target", "0/7000028");
        Assert.That(exit, Is.EqualTo(3), output);
        Assert.That(output, Does.StartWith("the history of the present timeline is in no repository, and not here: "));

        var own = Directory.CreateDirectory(Path.Combine(_folder, "data/pg_wal")).FullName;
        File.WriteAllText(Path.Combine(own, "00000002.history"), "1\t0/5800000\tbefore 2026-11-28 00:15:00+00\n");
        (exit, output) = Run(null, "target", "0/7000028");
        Assert.That(exit, Is.Zero, output);
    }

    [Test]
    public void A_segment_that_is_missing_refutes()
    {
        Holds(5, 7);
        Assert.That(
            Run(null, "target", "0/7000028"),
            Is.EqualTo((2, "repository 1 lacks WAL that a restore needs: 1 segments from 000000010000000000000006\n"))
        );
    }

    // The second timeline begins in segment 5; the first one went on without it until the restore.
    [Test]
    public void A_segment_of_the_database_before_a_restore_stands_for_none()
    {
        Info(_ended, _ended + 600);
        File.WriteAllLines(Path.Combine(_folder, "list"), [Stored(1, 5), Stored(1, 6), Stored(1, 7), Stored(2, 5), Stored(2, 7)]);
        Assert.That(
            Run(null, "target", "0/7000028"),
            Is.EqualTo((2, "repository 1 lacks WAL that a restore needs: 1 segments from 000000020000000000000006\n"))
        );
    }

    [Test]
    public void A_repository_that_cannot_be_read_refutes_with_its_reason()
    {
        File.WriteAllText(Path.Combine(_folder, "broken"), "");
        Assert.That(Run(null, "target", "0/7000028"), Is.EqualTo((2, "[049]: unable to connect\n")));
    }

    [Test]
    public void A_backup_that_has_just_ended_is_too_early()
    {
        Info(_ended + 3600);
        Assert.That(Run(null, "target", "0/7000028"), Is.EqualTo((3, "the first backup has just ended\n")));
    }

    // The window of an hour has no second that is older than archiving takes.
    [TestCase(3600, "the first backup has just ended\n")]
    [TestCase(0, "archive_timeout is 0: nothing says by when WAL is archived\n")]
    public void How_old_a_second_must_be_follows_archive_timeout(int seconds, string said) =>
        Assert.That(Run(null, TimeSpan.FromSeconds(seconds), "target", "0/7000028"), Is.EqualTo((3, said)));

    // An archiver that stores nothing: it is waited for as long as archiving takes, here not at all.
    [Test]
    public void WAL_that_is_not_there_in_time_refutes()
    {
        var (exit, output) = Run(null, "target", "0/9000028");
        Assert.That(exit, Is.EqualTo(2));
        Assert.That(output, Does.StartWith("repository 1 lacks the WAL of "));
    }

    private void Holds(params int[] segments) =>
        File.WriteAllLines(
            Path.Combine(_folder, "list"),
            segments.Select(number => Stored(1, number)).Append($"{Segment}5.00000028.backup")
        );

    private static string Stored(int timeline, int segment) =>
        $"0000000{timeline}00000000/0000000{timeline}000000000000000{segment}-{new string('a', 40)}.zst";

    private static string Backup(long ended) =>
        $$"""
            {"archive": {"start": "{{Segment}}5", "stop": "{{Segment}}5"}, "database": {"id": 1, "repo-key": 1}, "error": false,
             "info": {"size": 31272092}, "label": "x", "lsn": {"start": "0/5000028", "stop": "0/5000100"},
             "timestamp": {"start": {{ended - 5}}, "stop": {{ended}} } }
            """;

    // With a backup of a replaced database the present one is on timeline 2.
    private void Info(long ended, long? replaced = null)
    {
        var max = replaced is null ? Segment : Segment.Replace("00000001", "00000002", StringComparison.Ordinal);
        var more = replaced is { } other
            ? $$"""
                , {"archive": {"start": "{{Segment}}6", "stop": "{{Segment}}6"}, "database": {"id": 1, "repo-key": 1}, "error": false,
                "info": {"size": 31272092}, "label": "y", "lsn": {"start": "0/6000028", "stop": "0/6000100"},
                "timestamp": {"start": {{other - 5}}, "stop": {{other}} } }
                """
            : "";
        File.WriteAllText(
            Path.Combine(_folder, "info"),
            $$"""
            [{"archive": [{"database": {"id": 1, "repo-key": 1}, "id": "17-1", "max": "{{max}}7", "min": "{{Segment}}1"}],
              "backup": [{{Backup(ended)}}{{more}}],
              "db": [{"id": 1, "repo-key": 1, "system-id": 7}], "repo": [{"key": 1, "status": {"code": 0, "message": "ok"} }] }]
            """
        );
    }

    private (int Exit, string Output) Run(string? preferred, params string[] words) => Run(preferred, null, words);

    private (int Exit, string Output) Run(string? preferred, TimeSpan? archiveTimeout, params string[] words)
    {
        var program = Path.Combine(_folder, "program.py");
        File.WriteAllText(
            program,
            BackupTools
                .Default.ProofProgram(
                    new BackupLocation("patroni", "/etc/patroni/pgbackrest.conf", "pg"),
                    1,
                    $"{_folder}/data",
                    $"file://{_folder}/members",
                    preferred,
                    archiveTimeout ?? TimeSpan.FromMinutes(1)
                )
                .Replace("time.time() - begun > ARCHIVED_AFTER", "time.time() - begun >= 0", StringComparison.Ordinal)
        );
        var start = new ProcessStartInfo("python3", [program, .. words]) { RedirectStandardOutput = true };
        start.Environment["PATH"] = _folder + ":" + Environment.GetEnvironmentVariable("PATH");
        using var run = Process.Start(start)!;
        var output = run.StandardOutput.ReadToEnd();
        run.WaitForExit();
        return (run.ExitCode, output);
    }
}
