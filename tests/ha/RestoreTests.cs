using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>A restore of the running cluster to an earlier second: looked at, taken over and undone; and onto hosts that
/// have lost everything.</summary>
[TestFixture]
[Category(Ha.Live)]
[Category(Ha.Slice6)]
public sealed class RestoreTests
{
    private const string Tool = "docker exec patroni pgbackrest --config=/etc/patroni/pgbackrest.conf --stanza=keybuzz-pg";
    private const string Count = "SELECT count(*), max(number) FROM restored";
    private const string Yes = "keybuzz-pg";

    private static string s_time = "";
    private static string s_dump = "";

    // On the network of the lab's hosts; the server keeps what an earlier run wrote with another key.
    private static readonly string s_backup =
        "  backup:\n    repositories:\n      - s3: { endpoint: '"
        + Regex.Match(HaSetUp.Workspace.Yaml, @"address: (10\.\d+\.0\.)120").Groups[1].Value
        + $"7:9000', bucket: kbr-backups, path: /{Guid.NewGuid():N}, ca_file: s3-ca.pem }}\n    schedule: {{ full: yearly }}\n";

    [OneTimeSetUp]
    public void Archive()
    {
        Lab.Command("s3");
        File.Copy(Path.Combine(Lab.Folder, ".state", "s3-ca.pem"), Path.Combine(HaSetUp.Workspace.Directory, "s3-ca.pem"), overwrite: true);
        if (!Ha.Credentials.Contains("BACKUP_S3_KEY", StringComparison.Ordinal))
        {
            Ha.Credentials += "BACKUP_S3_KEY=S3RVER\nBACKUP_S3_SECRET=S3RVER\nBACKUP_CIPHER_KEY=canary-cipher-Mx3kR8wT\n";
        }

        HaSetUp.Workspace.Yaml += s_backup;
        HaSetUp.Workspace.Apply();
        var leader = Ha.Leader();
        Lab.OnHost(leader, $"{Tool} --type=full backup 2>&1");
        Ha.Sql(leader, "CREATE TABLE restored (number int PRIMARY KEY)", "keybuzz");
        Ha.Sql(leader, "INSERT INTO restored SELECT generate_series(1, 10) FROM pg_sleep(2)", "keybuzz");
        s_time = Ha.Sql(leader, "SELECT clock_timestamp() FROM pg_sleep(1)", "keybuzz");
        Ha.Sql(leader, "INSERT INTO restored SELECT generate_series(11, 20) FROM pg_sleep(1)", "keybuzz");
        Lab.OnHost(leader, $"{Tool} --type=incr backup 2>&1");
        s_dump = Dump();
    }

    [OneTimeTearDown]
    public void WithoutArchive()
    {
        if (HaSetUp.Workspace.Kbr("restore", "undo", "--confirm", Yes).ExitCode == 0 || Ha.Sql(Ha.Leader(), "SELECT 1", "postgres") == "1")
        {
            Ha.Sql(Ha.Leader(), "DROP TABLE IF EXISTS restored", "keybuzz");
        }

        HaSetUp.Workspace.Yaml = HaSetUp.Workspace.Yaml.Replace(s_backup, "", StringComparison.Ordinal);
        HaSetUp.Workspace.Apply();
    }

    [Test]
    public void A_restore_runs_apart_until_it_is_let_take_over_and_holds_exactly_the_rows_of_its_second()
    {
        var refused = HaSetUp.Workspace.Kbr("restore", "--to", s_time);
        Assert.That(refused.ExitCode, Is.EqualTo(1), refused.All);
        Assert.That(refused.Output, Does.Contain("Lost:    every transaction of the last ").And.Contain("Kept:    the present database"));
        Assert.That(HaSetUp.Workspace.Kbr("restore").Error, Does.Contain("there is no restore of keybuzz-pg to go on with"));

        var away = Ha.Members.First(member => member != Ha.Leader());
        Lab.Command("off", away);
        try
        {
            var without = HaSetUp.Workspace.Kbr("restore", "--to", s_time, "--confirm", Yes);
            Assert.That(without.ExitCode, Is.EqualTo(1), without.All);
            Assert.That(
                without.Error,
                Does.Contain($"{away} cannot be reached, and may run or lead keybuzz-pg all the same: this run changed nothing")
                    .And.Contain($"--lost {away}")
            );
            Assert.That(Ha.Sql(Ha.Leader(), "SHOW default_transaction_read_only", "postgres"), Is.EqualTo("off"));
        }
        finally
        {
            Lab.Command("on", away);
        }

        HaSetUp.Workspace.Apply();

        Done("restore", "--to", s_time, "--confirm", Yes);
        Assert.That(Done("restore", "look", "--", "-Atc", Count), Is.EqualTo("10|10\n"));
        Assert.That(Ha.Sql(Ha.Leader(), Count, "keybuzz"), Is.EqualTo("20|20"), "the present database is still there");
        Assert.That(HaSetUp.Workspace.Kbr("status").Output, Does.Contain("NOT OK   restore ").And.Contain("runs apart on"));

        var secrets = string.Concat(
            Lab.OnHosts(Ha.Members.Select(member => (member, "ps axww; docker inspect kbr-restore 2>/dev/null || true")))
        );
        Assert.That(secrets, Does.Contain("kbr-restore").And.Not.Contain("canary-cipher").And.Not.Contain("S3RVER"));

        Assert.That(Done("restore", "--confirm", Yes), Does.Contain("keeps the former one"));
        Assert.That(Ha.Sql(Ha.Leader(), Count, "keybuzz"), Is.EqualTo("10|10"));
        Ha.AssertHealthy(HaSetUp.Workspace);
        HaSetUp.Workspace.AssertNothingToDo();
        Assert.That(HaSetUp.Workspace.Kbr("status").Output, Does.Match("ok +restore +the cluster runs the database of "));
        Assert.That(
            HaSetUp.Workspace.Kbr("plan", "--destroy").All,
            Does.Contain("Warning: a restore of keybuzz-pg is not ended: ").And.Contain("the destroy keeps all of it")
        );
    }

    [Test]
    [DependsOnTest(nameof(A_restore_runs_apart_until_it_is_let_take_over_and_holds_exactly_the_rows_of_its_second))]
    public void A_restore_to_a_random_second_is_proven_beside_the_cluster_and_a_ledger_that_was_changed_proves_nothing()
    {
        var leader = Ha.Leader();
        const string rows = "SELECT count(*) FROM kbr.ledger";
        foreach (var _ in Enumerable.Range(0, 2))
        {
            Lab.OnHosts(Ha.Members.Select(member => (member, "systemctl start kbr-ledger.service")));
        }

        Assert.That(Ha.Sql(leader, rows, "postgres"), Is.Not.EqualTo("0"), "the primary adds them, and only it can");
        // The backup before the replaced one has seconds once they are archived for sure, and the archive is of the present timeline.
        Ha.Sql(leader, "SELECT pg_switch_wal()", "postgres");
        var ready =
            $"SELECT clock_timestamp() > timestamptz '{s_time}' + interval '100 s' AND last_archived_wal NOT LIKE '%.%' "
            + "AND left(last_archived_wal, 8) = left(pg_walfile_name(pg_current_wal_lsn()), 8) FROM pg_stat_archiver";
        Lab.Until(() => Ha.Sql(leader, ready, "postgres") == "t", TimeSpan.FromSeconds(150), () => "a second to prove");
        var proven = Done("backups", "prove");
        Assert.That(proven, Does.Match(@"Proven: .*; the ledger has its \d+ rows up to then"));

        var time = Ha.Sql(leader, "SELECT clock_timestamp() FROM pg_sleep(4)", "postgres");
        Ha.Sql(leader, "UPDATE kbr.ledger SET mark = 'changed'", "postgres");
        var refuted = HaSetUp.Workspace.Kbr("backups", "prove", "--at", time);
        Assert.That(refuted.ExitCode, Is.EqualTo(2), refuted.All);
        Assert.That(refuted.Output, Does.Contain("NOT proven: ").And.Contain("its hash over all before it differs"));
        Assert.That(HaSetUp.Workspace.Kbr("status").Output, Does.Match("NOT OK +proof +at "));
        Ha.Sql(leader, "TRUNCATE kbr.ledger", "postgres");
        Done("backups", "prove", "--at", Ha.Sql(leader, "SELECT clock_timestamp() FROM pg_sleep(4)", "postgres"));
    }

    // The last backup before that moment is of the database that was replaced: none was taken since.
    [Test]
    [DependsOnTest(nameof(A_restore_runs_apart_until_it_is_let_take_over_and_holds_exactly_the_rows_of_its_second))]
    public void After_a_restore_and_before_a_new_backup_none_of_the_replaced_database_is_taken()
    {
        Assert.That(HaSetUp.Workspace.Kbr("backups").Output, Does.Match("(?m)^[0-9F-]+_[0-9-]+I +incremental"));
        var time = Ha.Sql(Ha.Leader(), "SELECT clock_timestamp() FROM pg_sleep(4)", "postgres");
        Assert.That(Done("backups", "prove", "--at", time), Does.Contain("Proven: "));
    }

    [Test]
    [DependsOnTest(nameof(A_restore_to_a_random_second_is_proven_beside_the_cluster_and_a_ledger_that_was_changed_proves_nothing))]
    public void Undone_the_database_is_the_one_from_before_and_can_be_archived()
    {
        Ha.Sql(Ha.Leader(), "INSERT INTO restored VALUES (99)", "keybuzz");
        Done("restore", "undo", "--confirm", Yes);
        Assert.That(Dump(), Is.EqualTo(s_dump));
        Ha.AssertHealthy(HaSetUp.Workspace);
        HaSetUp.Workspace.AssertNothingToDo();
        AssertNothingIsLeft();
        Assert.That(HaSetUp.Workspace.Kbr("status").Output, Does.Match("ok +proof +at .* was restored to "));

        // The restored database has archived on the timeline that would have been its next.
        var leader = Ha.Leader();
        var segment = Ha.Sql(leader, "SELECT pg_walfile_name(pg_switch_wal())", "postgres");
        Lab.Until(
            () => Ha.Sql(leader, $"SELECT last_archived_wal >= '{segment}' FROM pg_stat_archiver", "postgres") == "t",
            TimeSpan.FromSeconds(60),
            "the former database to be archived again"
        );
    }

    [Test]
    [DependsOnTest(nameof(Undone_the_database_is_the_one_from_before_and_can_be_archived))]
    public void After_every_member_has_lost_its_data_the_latest_archived_transaction_is_back()
    {
        var leader = Ha.Leader();
        Ha.Sql(leader, "INSERT INTO restored VALUES (21)", "keybuzz");
        var segment = Ha.Sql(leader, "SELECT pg_walfile_name(pg_switch_wal())", "postgres");
        Lab.Until(
            () => Ha.Sql(leader, $"SELECT last_archived_wal >= '{segment}' FROM pg_stat_archiver", "postgres") == "t",
            TimeSpan.FromSeconds(60),
            "the last transaction to be archived"
        );
        Done("destroy", "--auto-approve", "--delete-data", "--confirm", Yes);

        Done("restore", "--to", "latest", "--open", "--confirm", Yes);

        Assert.That(Ha.Sql(Ha.Leader(), Count, "keybuzz"), Is.EqualTo("21|21"));
        Ha.AssertHealthy(HaSetUp.Workspace);
        HaSetUp.Workspace.AssertNothingToDo();
        AssertNothingIsLeft();
    }

    private static void AssertNothingIsLeft() =>
        Assert.That(
            string.Concat(
                Lab.OnHosts(
                    Ha.Members.Select(member =>
                        (
                            member,
                            "ls /opt/keybuzz/postgres /opt/keybuzz/postgres/data /var/lib/kbr | grep -E 'restore|former|undone' || true; "
                                + "docker ps -a --format '{{.Names}}' | grep -v patroni || true"
                        )
                    )
                )
            ),
            Is.Empty
        );

    private static string Dump() =>
        Lab.OnHost(Ha.Leader(), $"docker exec patroni pg_dump -U {Ha.Superuser} -d keybuzz | grep -v '^.\\(un\\)\\?restrict'");

    private static string Done(params string[] words)
    {
        var outcome = HaSetUp.Workspace.Kbr(words);
        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
        return outcome.Output;
    }
}
