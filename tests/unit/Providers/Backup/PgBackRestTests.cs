using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Docker;

namespace KeyBuzz.Reconciler.Tests.Providers.Backup;

/// <summary>What pgBackRest 2.55.1 answered on the lab, as kbr understands it.</summary>
[TestFixture]
internal sealed class PgBackRestTests
{
    /// <summary>A full backup and an incremental one on it.</summary>
    public const string Info = """
        [{"archive":[{"database":{"id":1,"repo-key":1},"id":"17-1","max":"000000010000000000000007","min":"000000010000000000000001"}],
        "backup":[{"archive":{"start":"000000010000000000000005","stop":"000000010000000000000005"},
        "backrest":{"format":5,"version":"2.55.1"},"database":{"id":1,"repo-key":1},"error":false,
        "info":{"delta":31272092,"repository":{"delta":3778816,"size":3778816},"size":31272092},"label":"20261128-213323F",
        "lsn":{"start":"0/5000028","stop":"0/5000158"},"prior":null,"reference":null,
        "timestamp":{"start":1795901603,"stop":1795901607},"type":"full"},
        {"archive":{"start":"000000010000000000000006","stop":"000000010000000000000007"},
        "backrest":{"format":5,"version":"2.55.1"},"database":{"id":1,"repo-key":1},"error":false,
        "info":{"delta":8450,"repository":{"delta":400,"size":3778800},"size":31272092},"label":"20261128-213323F_20261128-213327I",
        "lsn":{"start":"0/6000028","stop":"0/7000050"},"prior":"20261128-213323F","reference":["20261128-213323F"],
        "timestamp":{"start":1795901607,"stop":1795901608},"type":"incr"}],"cipher":"aes-256-cbc",
        "db":[{"id":1,"repo-key":1,"system-id":7711228701456285717,"version":"17"}],"name":"keybuzz-pg",
        "repo":[{"cipher":"aes-256-cbc","key":1,"status":{"code":0,"message":"ok"}}],
        "status":{"code":0,"lock":{"backup":{"held":false}},"message":"ok"}}]
        """;

    private const string Verified = """
        stanza: keybuzz-pg
        status: ok
          archiveId: 17-1, total WAL checked: 3, total valid WAL: 3
            missing: 0, checksum invalid: 0, size invalid: 0, other: 0
          backup: 20261128-213323F, status: valid, total files checked: 1270, total valid files: 1270
            missing: 0, checksum invalid: 0, size invalid: 0, other: 0
          backup: 20261128-213323F_20261128-213327I, status: valid, total files checked: 1270, total valid files: 1270
            missing: 0, checksum invalid: 0, size invalid: 0, other: 0
        kbr: WAL segments
        000000010000000000000005
        000000010000000000000006
        000000010000000000000007

        """;

    private static readonly IBackupTool s_tool = BackupTools.Default;
    private static readonly BackupLocation s_location = new("patroni", "/etc/patroni/pgbackrest.conf", "pg");

    [Test]
    public void Backups_have_their_times_sizes_and_WAL()
    {
        var repository = s_tool.Judge(new ToolAnswer(0, Info)).Repositories[1];
        Assert.That((repository.ArchiveId, repository.FirstWal, repository.LastWal), Is.EqualTo(("17-1", Segment(1), Segment(7))));
        Assert.That(
            repository.Backups,
            Is.EqualTo(
                new[]
                {
                    new StoredBackup("20261128-213323F", BackupKind.Full, At("21:33:23"), At("21:33:27"), 31272092, 3778816)
                    {
                        StartLsn = "0/5000028",
                        StopLsn = "0/5000158",
                        FirstWal = Segment(5),
                        LastWal = Segment(5),
                    },
                    new StoredBackup(
                        "20261128-213323F_20261128-213327I",
                        BackupKind.Incremental,
                        At("21:33:27"),
                        At("21:33:28"),
                        31272092,
                        400
                    )
                    {
                        StartLsn = "0/6000028",
                        StopLsn = "0/7000050",
                        FirstWal = Segment(6),
                        LastWal = Segment(7),
                        Prior = "20261128-213323F",
                    },
                }
            )
        );
    }

    [Test]
    public void A_backup_with_damaged_pages_is_no_good_one()
    {
        var damaged = Info.Replace(
            "\"error\":false,\n\"info\":{\"delta\":31272092",
            "\"error\":true,\n\"info\":{\"delta\":31272092",
            StringComparison.Ordinal
        );
        Assert.That(
            s_tool.Judge(new ToolAnswer(0, damaged)).Repositories[1].Good.Select(backup => backup.Kind),
            Is.EqualTo(new[] { BackupKind.Incremental })
        );
    }

    // After an upgrade of PostgreSQL a repository holds the backups of two databases.
    [Test]
    public void Backups_of_a_former_database_are_not_among_them() =>
        Assert.That(
            s_tool
                .Judge(
                    new ToolAnswer(
                        0,
                        Info.Replace(
                            "\"db\":[",
                            "\"db\":[{\"id\":2,\"repo-key\":1,\"system-id\":8,\"version\":\"18\"},",
                            StringComparison.Ordinal
                        )
                    )
                )
                .Repositories[1],
            Has.Property("Backups").Empty.And.Property("LastWal").Null.And.Property("SystemIdentifier").EqualTo("8")
        );

    [TestCase("""{"held":true,"size":31271834,"size-cplt":24154876}""", 24154876L, 31271834L)]
    [TestCase("""{"held":true}""", null, null)]
    public void A_backup_that_runs_is_seen_with_how_far_it_is(string held, long? done, long? size) =>
        Assert.That(
            s_tool.Judge(new ToolAnswer(0, Info.Replace("""{"held":false}""", held, StringComparison.Ordinal))).Running,
            Is.EqualTo(new BackupProgress(done, size))
        );

    [Test]
    public void None_runs_otherwise() => Assert.That(s_tool.Judge(new ToolAnswer(0, Info)).Running, Is.Null);

    // Decrypted with a wrong key the file is noise, which pgBackRest repeats at length, or cannot be decrypted to its end.
    [TestCase("FormatError", "key/value found outside of section at line 1: \u0004x")]
    [TestCase("CryptoError", "unable to flush: error:1C800064:Provider routines::bad decrypt")]
    public void Another_cipher_key_is_named_without_the_noise(string error, string reason) =>
        Assert.That(
            s_tool
                .Judge(
                    new ToolAnswer(
                        0,
                        $$"""
                        [{"repo":[{"key":1,"status":{"code":99,
                            "message":"[{{error}}] unable to load info file '/a' or '/b':\n{{error}}: {{reason}}"} }]}]
                        """
                    )
                )
                .Repositories[1]
                .Message,
            Is.EqualTo($"[{error}] unable to load info file '/a' or '/b': it was made with another cipher key")
        );

    [Test]
    public void A_backup_goes_into_each_repository_and_fails_where_one_of_them_does() =>
        Assert.That(
            s_tool.Take(s_location, BackupKind.Differential, [1, 2]),
            Is.EqualTo(
                "rc=0; pgbackrest --config=/etc/patroni/pgbackrest.conf --stanza=pg --repo=1 --type=diff backup || rc=$?; "
                    + "pgbackrest --config=/etc/patroni/pgbackrest.conf --stanza=pg --repo=2 --type=diff backup || rc=$?; exit $rc"
            )
        );

    [Test]
    public void A_whole_repository_has_no_problem()
    {
        var check = Check(Verified);
        Assert.That((check.Backups, check.Segments, check.Trouble), Is.EqualTo((2, 3, (string?)null)));
        Assert.That(check.Problems, Is.Empty);
    }

    // pgBackRest's exit status is 0 all the same.
    [Test]
    public void A_damaged_backup_is_named_with_what_is_wrong_in_it() =>
        Assert.That(
            Check(
                Verified
                    .Replace("status: ok", "status: error", StringComparison.Ordinal)
                    .Replace(
                        "F, status: valid, total files checked: 1270, total valid files: 1270\n    missing: 0, checksum invalid: 0",
                        "F, status: invalid, total files checked: 1270, total valid files: 1268\n    missing: 1, checksum invalid: 1",
                        StringComparison.Ordinal
                    )
            ).Problems,
            Is.EqualTo(new[] { "backup 20261128-213323F: 1 missing, 1 with checksum invalid" })
        );

    [Test]
    public void A_damaged_segment_is_named() =>
        Assert.That(
            Check(
                Verified
                    .Replace("status: ok", "status: error", StringComparison.Ordinal)
                    .Replace(
                        "WAL: 3\n    missing: 0, checksum invalid: 0",
                        "WAL: 2\n    missing: 0, checksum invalid: 1",
                        StringComparison.Ordinal
                    )
            ).Problems,
            Is.EqualTo(new[] { "WAL of 17-1: 1 with checksum invalid" })
        );

    // A server that does not list directories hides the archive from verify, which then says ok.
    [Test]
    public void A_missing_segment_is_named_also_where_verify_says_ok() =>
        Assert.That(
            Check(Verified.Replace(Segment(6) + "\n", "", StringComparison.Ordinal)).Problems,
            Is.EqualTo(new[] { "WAL is missing: " + Segment(6) })
        );

    // The database of timeline 2 was given up for the former one, which goes on as timeline 3.
    [TestCase("1\t0/8000000\tbefore\n", 8, "")]
    [TestCase("1\t0/9000000\tbefore\n", 9, "WAL is missing: 000000010000000000000008")]
    [TestCase("ERROR: [055]: unable to open missing file\n", 9, "", Description = "without it only what is certain counts")]
    public void Segments_are_missed_along_the_timelines_of_the_present_database(string history, int newest, string problems)
    {
        var report = s_tool
            .Judge(new ToolAnswer(0, Info.Replace("\"max\":\"00000001", "\"max\":\"00000003", StringComparison.Ordinal)))
            .Repositories[1];
        var command = s_tool.Verify(s_location, 1, report);
        Assert.That(
            command,
            Does.EndWith(
                " && echo 'kbr: timeline history' && { pgbackrest --config=/etc/patroni/pgbackrest.conf --stanza=pg --repo=1 repo-get "
                    + "archive/pg/17-1/00000003.history || true; }"
            )
        );
        var segments = $"000000020000000000000006\n00000003000000000000000{newest}\n";
        var check = s_tool.JudgeVerify(Verified.TrimEnd() + "\n" + segments + "kbr: timeline history\n" + history, report);
        Assert.That(string.Join('\n', check.Problems), Is.EqualTo(problems));
        Assert.That((check.Segments, check.Trouble), Is.EqualTo((5, (string?)null)));
    }

    [Test]
    public void On_the_first_timeline_there_is_no_history_to_read() =>
        Assert.That(
            s_tool.Verify(s_location, 1, s_tool.Judge(new ToolAnswer(0, Info)).Repositories[1]),
            Does.Contain("kbr: WAL segments").And.Not.Contain("history")
        );

    [TestCase("stanza: pg\nstatus: error\n  No usable backup.info file\nkbr: WAL segments\n", "No usable backup.info file")]
    [TestCase("stanza: pg\nstatus: error\nkbr: WAL segments\n", "verify says error")]
    public void What_verify_cannot_read_is_a_problem(string output, string problem) =>
        Assert.That(Check(output).Problems, Does.Contain(problem));

    // What is denied to a repository is told from what is denied on the member itself.
    [TestCase(
        "[FileOpenError] unable to open file '/mnt/b/pg/archive/pg/archive.info' for read: [13] Permission denied",
        RepositoryFault.NotWritable
    )]
    [TestCase("[PathCreateError] unable to create path '/mnt/b/pg/backup': [13] Permission denied", RepositoryFault.NotWritable)]
    [TestCase(
        "[FileOpenError] unable to open file '/mnt/b/pg/archive/pg/17-1/x.zst' for write: [30] Read-only file system",
        RepositoryFault.NotWritable
    )]
    [TestCase("[PathCreateError] unable to create path '/mnt/b/pg': [13] Permission denied", RepositoryFault.NotWritable)]
    [TestCase("[041]: unable to list file info for path '/mnt/b/pg': [13] Permission denied", RepositoryFault.NotWritable)]
    [TestCase("[041]: unable to get info for path/file '/mnt/b/pg': [13] Permission denied", RepositoryFault.NotWritable)]
    [TestCase("[047]: unable to create path '/mnt/b': [30] Read-only file system", RepositoryFault.NotWritable)]
    [TestCase("[041]: unable to open path '/srv/b': libssh2 error [-31]: sftp error [3] permission denied", RepositoryFault.NotWritable)]
    [TestCase("[041]: unable to write '/srv/b/x': libssh2 error [-31]: sftp errno [14] no space on filesystem", RepositoryFault.Full)]
    [TestCase("[047]: unable to get info for path/file '/etc/patroni/backup-key-1': [13] Permission denied", RepositoryFault.Other)]
    [TestCase("[041]: unable to open file '/etc/patroni/backup-key-1' for read: [13] Permission denied", RepositoryFault.Other)]
    [TestCase("[047]: unable to create path '/tmp/pgbackrest': [13] Permission denied", RepositoryFault.Other)]
    [TestCase("[041]: unable to open file '/data/pgdata/pg_wal/archive_status/x' for write: [13] Permission denied", RepositoryFault.Other)]
    public void A_file_of_the_members_own_is_no_fault_of_the_repository(string output, RepositoryFault fault) =>
        Assert.That(BackupTools.Default.FaultOf(output), Is.EqualTo(fault));

    [Test]
    public void Where_it_was_not_run_the_reason_is_told() =>
        Assert.That(Check("WARN: x\nERROR: [049]: unable to connect\n").Trouble, Is.EqualTo("[049]: unable to connect"));

    private static RepositoryCheck Check(string output) =>
        s_tool.JudgeVerify(output, s_tool.Judge(new ToolAnswer(0, Info)).Repositories[1]);

    private static string Segment(int number) => $"0000000100000000000000{number:X2}";

    private static DateTimeOffset At(string time) =>
        DateTimeOffset.Parse($"2026-11-28T{time}Z", System.Globalization.CultureInfo.InvariantCulture);
}
