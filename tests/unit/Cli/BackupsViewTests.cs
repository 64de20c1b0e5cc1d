using System.Collections.Immutable;
using KeyBuzz.Reconciler.Cli.Blueprints.Postgres;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Tests.PostgresHa;
using KeyBuzz.Reconciler.Tests.Providers;
using KeyBuzz.Reconciler.Tests.Providers.Backup;
using KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>Backups as <c>kbr backups</c> shows them, from what the members answered.</summary>
internal sealed class BackupsViewTests : BlueprintFixture
{
    private const string Archiver = """[{"archived": "000000010000000000000007", "archived_ago": 40, "waiting": 0}]""";
    private static readonly DateTimeOffset s_now = new(2026, 11, 28, 23, 40, 0, TimeSpan.Zero);

    [Test]
    public void Each_backup_is_a_row_and_the_window_is_in_words()
    {
        var (topology, look) = Look(Archiver);
        using var output = new StringWriter();
        BackupsView.Show(new Terminal(output, TextWriter.Null, color: false), topology, look, s_now);
        Assert.That(
            output.ToString(),
            Is.EqualTo(
                """
                LABEL                              TYPE         ENDED                    AGE  SIZE      IN REPOSITORY  LSN                    REPOSITORY
                20261128-213323F                   full         2026-11-28 21:33:27 UTC  2 h  29.8 MiB  3.6 MiB        0/5000028 - 0/5000158  1
                20261128-213323F_20261128-213327I  incremental  2026-11-28 21:33:28 UTC  2 h  29.8 MiB  400 B          0/6000028 - 0/7000050  1

                1  s3://b/pg at h:443: restorable to any second from 2026-11-28 21:33:29 UTC to 40 s ago

                """
            )
        );
    }

    [TestCase("""[{"archived": null, "archived_ago": null}]""", "to the end of segment 000000010000000000000007")]
    [TestCase("""[{"archived": "000000010000000000000007", "archived_ago": 7200}]""", "to 2 h ago")]
    public void The_window_ends_with_the_archive(string archiver, string end) =>
        Assert.That(Look(archiver).Look.WindowOf(1)!.InWords, Does.EndWith(end));

    [Test]
    public void Without_a_backup_there_is_no_window()
    {
        var (topology, look) = Look(Archiver, PgBackRestTests.Info.Replace("\"backup\":[{", "\"other\":[{", StringComparison.Ordinal));
        using var output = new StringWriter();
        BackupsView.Show(new Terminal(output, TextWriter.Null, color: false), topology, look, s_now);
        Assert.That(output.ToString(), Is.EqualTo("1  s3://b/pg at h:443: no backup yet: run kbr backup\n"));
    }

    [Test]
    public void An_archiver_that_answers_and_stores_nothing_is_seen() =>
        Assert.That(
            Look("""[{"archived": "000000010000000000000009", "archived_ago": 40}]""").Look.TroublesOf(1),
            Has.One.StartsWith("PostgreSQL archived 000000010000000000000009, and the last segment there is 000000010000000000000007 (its ")
        );

    [Test]
    public void A_member_that_does_not_reach_a_repository_is_named_and_another_one_is_asked()
    {
        var look = Look(Archiver, leader: new ToolAnswer(124, "")).Look;
        Assert.That(look.Asked, Is.EqualTo("db-2"));
        Assert.That(look.TroublesOf(1), Has.One.StartsWith("db-1: the repositories did not answer within 10 s (is its server up"));
    }

    [Test]
    public void Its_documents_are_valid()
    {
        var (topology, look) = Look(Archiver);
        Assert.That(JsonSchemas.Problems(BackupsView.Document(topology, look)), Is.Empty);
        var repository = new CheckedRepository(1, "s3://b/pg at h:443", ["WAL is missing: x"], null, new RepositoryCheck(2, 3, [], null));
        Assert.That(JsonSchemas.Problems(BackupsView.CheckDocument("pg", "db-2", [repository])), Is.Empty);
        Assert.That(
            JsonSchemas.Problems(BackupsView.CheckDocument("pg", "db-2", [repository with { Trouble = "x", Content = null }])),
            Is.Empty
        );
        using var output = new StringWriter();
        BackupsView.ShowTaken(
            new Terminal(output, TextWriter.Null, color: false),
            json: true,
            topology,
            "db-1",
            BackupKind.Full,
            [new TakenBackup(1, look.Report!.Repositories[1].Backups[0])],
            TimeSpan.FromSeconds(4)
        );
        Assert.That(JsonSchemas.Problems(output.ToString().Trim()), Is.Empty);
    }

    [Test]
    public void A_check_tells_what_is_wrong_in_each_repository()
    {
        using var output = new StringWriter();
        BackupsView.ShowCheck(
            new Terminal(output, TextWriter.Null, color: false),
            "db-2",
            [
                new CheckedRepository(1, "a", [], null, new RepositoryCheck(2, 3, [], null)),
                new CheckedRepository(2, "b", ["WAL is missing: x"], "db-3 could not be asked", null),
            ]
        );
        Assert.That(
            output.ToString(),
            Is.EqualTo(
                """
                ok       1  a: 2 backups and 3 WAL segments, read on db-2
                unknown  2  b
                            WAL is missing: x
                            not checked: db-3 could not be asked

                """
            )
        );
    }

    private (PostgresTopology Topology, BackupLook Look) Look(
        string archiver,
        string info = PgBackRestTests.Info,
        ToolAnswer? leader = null
    )
    {
        Environment["BACKUP_S3_KEY"] = Environment["BACKUP_S3_SECRET"] = Environment["BACKUP_CIPHER_KEY"] = "canary-of-a-secret";
        var topology = Load(
                With("backup: { repositories: [{ s3: { endpoint: h, bucket: b, path: /pg } }] }")
                    .Replace("db-master-01", "db-1", StringComparison.Ordinal)
                    .Replace("db-slave-01", "db-2", StringComparison.Ordinal)
            )
            .Model<PostgresTopology>()!;
        return (
            topology,
            BackupLook.Of(
                topology,
                new Dictionary<string, Snapshot>
                {
                    ["db-1"] = Answers(PatroniAnswers.Leader("db-1"), leader ?? new ToolAnswer(0, info)),
                    ["db-2"] = Answers(PatroniAnswers.Replica("db-2"), new ToolAnswer(0, info)),
                }
            )
        );

        Snapshot Answers(string patroni, ToolAnswer tool) =>
            PatroniAnswers.Snapshot(
                patroni,
                (BackupLook.Tool.Read(BackupLook.LocationOf(topology)), tool),
                (ArchivedWal.Read(topology), new SqlAnswer(archiver, ""))
            );
    }
}
