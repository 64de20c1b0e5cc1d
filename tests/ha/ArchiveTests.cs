using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>The archive of WAL: turned on and off while the cluster runs, and its repository lost meanwhile.</summary>
[TestFixture]
[Category(Ha.Live)]
[Category(Ha.Slice2)]
public sealed class ArchiveTests
{
    private const string Secret = "canary-cipher-Mx3kR8wT";
    private const string Tool = "docker exec patroni pgbackrest --config=/etc/patroni/pgbackrest.conf --stanza=keybuzz-pg";

    // On the network of the lab's hosts; the server keeps what an earlier run wrote with another key.
    private static string s_backup =
        "  backup:\n    repositories:\n      - s3: { endpoint: '"
        + Regex.Match(HaSetUp.Workspace.Yaml, @"address: (10\.\d+\.0\.)120").Groups[1].Value
        + $"7:9000', bucket: kbr-backups, path: /{Guid.NewGuid():N}, ca_file: s3-ca.pem }}\n"
        + "    schedule: { full: 'Sun 01:00', incremental: 'Mon..Sat 01:00' }\n";

    private const string SftpHost = "haproxy-02";
    private const string SftpUser = "kbr-backup";
    private const string SftpHome = "/home/kbr-backup";

    // What the page has typed: at the timers on the members, and in the operator's folder for a server by SFTP.
    private static readonly string[] s_timer = DocumentedBlocks.With("docs/backups.md", "systemctl start kbr-backup-full");
    private static readonly string[] s_sftp = DocumentedBlocks.With(
        "docs/backups.md",
        "ssh-keyscan backup-01.example.com > backup-01.known_hosts"
    );

    // archive_timeout, a failed attempt, and a status.
    private static readonly TimeSpan s_seen = TimeSpan.FromSeconds(90);

    [OneTimeTearDown]
    public void WithoutArchive()
    {
        Lab.Command("s3");
        Without();
        Lab.OnHost(SftpHost, $"userdel -r {SftpUser} 2>/dev/null || true");
    }

    [Test]
    public void Turned_on_while_it_runs_every_member_can_archive_and_a_restored_backup_has_the_rows_up_to_a_time()
    {
        Lab.Command("s3");
        File.Copy(Path.Combine(Lab.Folder, ".state", "s3-ca.pem"), Path.Combine(HaSetUp.Workspace.Directory, "s3-ca.pem"));
        Ha.Credentials += $"BACKUP_S3_KEY=S3RVER\nBACKUP_S3_SECRET=S3RVER\nBACKUP_CIPHER_KEY={Secret}\n";
        HaSetUp.Workspace.Yaml += s_backup;

        Assert.That(
            HaSetUp.Workspace.Made(),
            Does.Contain("backup_repository.keybuzz-pg@keybuzz-pg").And.Contain("patroni_config.keybuzz-pg@keybuzz-pg")
        );

        HaSetUp.Workspace.AssertNothingToDo();
        Assert.That(HaSetUp.Workspace.Kbr("status").Output, Does.Match("ok +archive +last archived "));
        foreach (var member in Ha.Members)
        {
            Assert.That(
                Lab.OnHost(member, "stat -c '%u %a' /opt/keybuzz/patroni/pgbackrest.conf; ps axww"),
                Does.StartWith("999 600").And.Not.Contain(Secret)
            );
        }

        var leader = Ha.Leader();
        Ha.Sql(leader, "CREATE TABLE archived (at timestamptz DEFAULT clock_timestamp())", "postgres");
        Assert.That(HaSetUp.Workspace.Kbr("backup", "--full").Output, Does.Match("(?m)^[0-9]{8}-[0-9]{6}F  full, "));
        Assert.That(HaSetUp.Workspace.Kbr("status").Output, Does.Match("ok +backup +last full, "));
        Ha.Sql(leader, "SELECT pg_sleep(2)", "postgres");
        Ha.Sql(leader, "INSERT INTO archived DEFAULT VALUES", "postgres");
        var target = Ha.Sql(leader, "SELECT clock_timestamp() FROM pg_sleep(1)", "postgres");
        Ha.Sql(leader, "INSERT INTO archived DEFAULT VALUES", "postgres");
        Ha.Sql(leader, "SELECT pg_switch_wal()", "postgres");

        // As docs/backups.md has it.
        const string Restored = "/opt/keybuzz/postgres/archive/restored";
        var psql = $"docker exec patroni psql -X -A -t -q -U {Ha.Superuser} -p 5499 -d postgres -c";
        Lab.OnHost(leader, $"docker exec patroni mkdir -m 700 {Restored}");
        Lab.OnHost(
            leader,
            $"{Tool} --pg1-path={Restored} --archive-mode=off --type=time --target='{target}' --target-action=promote restore 2>&1"
        );
        Lab.OnHost(
            leader,
            $"docker exec -d patroni postgres -D {Restored} -c config_file={Restored}/postgresql.conf -c port=5499 -c listen_addresses= "
                + "-c shared_buffers=64MB"
        );
        Lab.Until(
            () => Lab.OnHost(leader, $"{psql} 'SELECT pg_is_in_recovery()' 2>&1 || true").Trim() == "f",
            TimeSpan.FromSeconds(60),
            "the restored copy to take writes"
        );
        Assert.That(Lab.OnHost(leader, $"{psql} 'SELECT count(*) FROM archived'").Trim(), Is.EqualTo("1"));
        Lab.OnHost(leader, $"docker exec patroni pg_ctl -D {Restored} -m fast stop; docker exec patroni rm -r {Restored}");
    }

    [Test]
    [DependsOnTest(nameof(Turned_on_while_it_runs_every_member_can_archive_and_a_restored_backup_has_the_rows_up_to_a_time))]
    public void A_scheduled_backup_runs_on_every_member_and_is_taken_once()
    {
        var (timers, start, stop, journal) = (s_timer[0], s_timer[1], s_timer[2], s_timer[3]);
        Assert.That(s_timer, Has.Length.EqualTo(4));
        var before = Backups();
        Assert.That(before, Is.Not.Empty);
        Parallel.ForEach(Ha.Members, member => Lab.OnHost(member, start));
        Assert.That(Backups().Except(before).ToList(), Has.Count.EqualTo(1));
        foreach (var member in Ha.Members)
        {
            Assert.That(
                Lab.OnHost(member, timers),
                Does.Contain(" kbr-backup-full.timer ").And.Contain(" kbr-backup-incremental.timer ").And.Contain("2 timers listed")
            );
            Assert.That(Lab.OnHost(member, journal), Does.Match(@"(?m) systemd\[1\]: Finished kbr-backup-full\.service "), member);
            Assert.That(
                Lab.OnHost(member, "cat /run/kbr/kbr-backup-full.log"),
                Is.EqualTo(member == Ha.Leader() ? "taken on this member\n" : "taken on another member\n")
            );
        }

        // One that begins on a replica waits for that of the primary, until it is ended.
        var replica = Ha.Members.First(member => member != Ha.Leader());
        Lab.OnHost(replica, "systemctl start --no-block kbr-backup-full");
        Lab.Until(() => State(replica) == "activating", TimeSpan.FromSeconds(20), "the run to begin");
        Lab.OnHost(replica, stop);
        Assert.That(State(replica), Is.EqualTo("inactive").Or.EqualTo("failed"));
        Lab.OnHost(replica, "systemctl reset-failed kbr-backup-full 2>/dev/null || true");

        var check = HaSetUp.Workspace.Kbr("backups", "check");
        Assert.That(check.Output, Does.Match("ok +1  s3://kbr-backups/.*: [0-9]+ backups and [0-9]+ WAL segments, read on "), check.All);
        Assert.That(check.ExitCode, Is.Zero);

        static string State(string member) => Lab.RunOn(member, "systemctl is-active kbr-backup-full").Output.Trim();

        static List<string> Backups() =>
            [.. Regex.Matches(HaSetUp.Workspace.Kbr("backups").Output, "(?m)^[0-9]{8}-[0-9]{6}[^ ]+").Select(match => match.Value)];
    }

    [Test]
    [DependsOnTest(nameof(Turned_on_while_it_runs_every_member_can_archive_and_a_restored_backup_has_the_rows_up_to_a_time))]
    public void A_lost_repository_is_named_by_status_and_caught_up_with_once_it_is_back()
    {
        Lab.Command("s3", "stop");
        Ha.Sql(Ha.Leader(), "INSERT INTO archived DEFAULT VALUES", "postgres");
        Lab.Until(() => Archive().Contains("NOT OK   archive", StringComparison.Ordinal), s_seen, "status to name the archive");
        Assert.That(Archive(), Does.Match("NOT OK +archive +fails at [0-9A-F]{24}, "));
        var plan = HaSetUp.Workspace.Kbr("plan");
        Assert.That(plan.Error, Does.Contain("pgBackRest: the repositories did not answer within 10 s"), plan.All);

        Lab.Command("s3");
        Lab.Until(() => Archive().Contains("ok       archive", StringComparison.Ordinal), s_seen, "the archive to catch up");
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    [DependsOnTest(nameof(A_lost_repository_is_named_by_status_and_caught_up_with_once_it_is_back), AllowFailure = true)]
    public void The_labs_server_refuses_what_is_written_while_it_is_full()
    {
        const string Full = "lab/s3 full";
        Assert.That(DocumentedBlocks.With("lab/README.md", Full), Does.Contain("lab/s3 stop"));
        Assert.That(Written(), Is.Not.EqualTo("507"));
        Assert.That(Lab.Run(Lab.Root, "bash", "-c", Full).ExitCode, Is.Zero);
        Assert.That(Written(), Is.EqualTo("507"));
        Lab.Command("s3", "room");
        Assert.That(Written(), Is.Not.EqualTo("507"));

        static string Written()
        {
            var server = Regex.Match(HaSetUp.Workspace.Yaml, @"host: (127\.0\.\d+\.)120").Groups[1].Value + "7:9000";
            return Lab.Run(
                Lab.Root,
                "curl",
                "-sk",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "-T",
                "/etc/hostname",
                $"https://{server}/kbr-backups/x"
            ).Output;
        }
    }

    [Test]
    [DependsOnTest(nameof(The_labs_server_refuses_what_is_written_while_it_is_full), AllowFailure = true)]
    public void Moved_to_a_directory_by_SFTP_it_is_prepared_there_in_the_same_apply()
    {
        var moved = Regex.Replace(s_backup, @"- s3: \{.*\}", $"- sftp: {{ {SftpServer()}, path: {SftpHome}/pg }}");
        HaSetUp.Workspace.Yaml = HaSetUp.Workspace.Yaml.Replace(s_backup, moved, StringComparison.Ordinal);
        s_backup = moved;

        var made = HaSetUp.Workspace.Made();

        Assert.That(made, Does.Contain("backup_repository.keybuzz-pg@keybuzz-pg").And.Contain($"config_file.backup@{Ha.Leader()}"));
        HaSetUp.Workspace.AssertNothingToDo();
        foreach (var member in Ha.Members)
        {
            Assert.That(Lab.OnHost(member, "stat -c '%u %a' /opt/keybuzz/patroni/backup-key-1").Trim(), Is.EqualTo("999 600"));
        }

        Ha.Sql(Ha.Leader(), "INSERT INTO archived DEFAULT VALUES", "postgres");
        Ha.Sql(Ha.Leader(), "SELECT pg_switch_wal()", "postgres");
        Lab.Until(() => Archive().Contains("ok       archive", StringComparison.Ordinal), s_seen, "the archive at the new place");
        Assert.That(HaSetUp.Workspace.Kbr("backup", "--full").Output, Does.Match("(?m)^[0-9]{8}-[0-9]{6}F  full, "));
        Assert.That(HaSetUp.Workspace.Kbr("backups", "check").ExitCode, Is.Zero);
        Assert.That(Lab.OnHost(SftpHost, $"ls {SftpHome}/pg/backup/keybuzz-pg"), Does.Match("[0-9]{8}-[0-9]{6}F"));
    }

    // The real sshd of a proxy, with a user of its own.
    private static string SftpServer()
    {
        var folder = HaSetUp.Workspace.Directory;
        Lab.Run(folder, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", $"{folder}/backup-key");
        var address = Regex.Match(HaSetUp.Workspace.Yaml, @"address: (10\.\d+\.0\.)120").Groups[1].Value + "12";
        var published = Regex.Match(HaSetUp.Workspace.Yaml, @"host: (127\.0\.\d+\.)120").Groups[1].Value + "12";
        Lab.OnHost(
            SftpHost,
            $"useradd -m -d {SftpHome} {SftpUser} && install -d -m 700 -o {SftpUser} {SftpHome}/.ssh && "
                + $"echo '{File.ReadAllText($"{folder}/backup-key.pub").Trim()}' >{SftpHome}/.ssh/authorized_keys && "
                + $"chown {SftpUser} {SftpHome}/.ssh/authorized_keys"
        );
        // The operator asks the server where this machine reaches it.
        Assert.That(s_sftp, Has.Length.EqualTo(2));
        foreach (var command in s_sftp)
        {
            var here = command.Replace("backup-01.example.com", published).Replace("credentials/postgres.env", Ha.CredentialsFile);
            var outcome = Lab.Run(folder, "bash", "-c", here);
            Assert.That(outcome.ExitCode, Is.Zero, $"{here}: {outcome.All}");
        }

        var known = $"{folder}/backup-01.known_hosts";
        File.WriteAllText(known, File.ReadAllText(known).Replace(published, address));
        Assert.That(File.ReadAllText(known), Does.Match($"(?m)^{Regex.Escape(address)} ssh-ed25519 "));
        return $"host: {address}, user: {SftpUser}, known_hosts: backup-01.known_hosts";
    }

    [Test]
    [DependsOnTest(nameof(Moved_to_a_directory_by_SFTP_it_is_prepared_there_in_the_same_apply), AllowFailure = true)]
    public void Turned_off_nothing_is_archived_and_the_repository_keeps_its_backups()
    {
        Without();
        HaSetUp.Workspace.AssertNothingToDo();
        Assert.That(Ha.Sql(Ha.Leader(), "SHOW archive_mode", "postgres"), Is.EqualTo("off"));
        Assert.That(Lab.OnHost(Ha.Leader(), "ls /etc/systemd/system"), Does.Not.Contain("kbr-backup"));
        Ha.AssertHealthy(HaSetUp.Workspace);
    }

    private static string Archive() => HaSetUp.Workspace.Kbr("status").Output;

    private static void Without()
    {
        if (HaSetUp.Workspace.Yaml.Contains(s_backup, StringComparison.Ordinal))
        {
            HaSetUp.Workspace.Yaml = HaSetUp.Workspace.Yaml.Replace(s_backup, "", StringComparison.Ordinal);
            HaSetUp.Workspace.Apply();
        }
    }
}
