using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>A repository in a directory that the members share: one file system, mounted on each of them.</summary>
[TestFixture]
[Category(Ha.Membership)]
[Category(Ha.Slice8)]
public sealed class SharedDirectoryTests
{
    private const string Mounted = "/mnt/backups";
    private const string Repository = Mounted + "/keybuzz-pg";
    private const string Backup = "  backup:\n    repositories:\n      - directory: /mnt/backups\n    replicas_from_repository: true\n";

    [OneTimeTearDown]
    public void Unmount()
    {
        if (HaSetUp.Workspace.Yaml.Contains(Backup, StringComparison.Ordinal))
        {
            HaSetUp.Workspace.Yaml = HaSetUp.Workspace.Yaml.Replace(Backup, "", StringComparison.Ordinal);
            HaSetUp.Workspace.Apply();
        }

        foreach (var member in Ha.Members)
        {
            Lab.OnHost(member, $"umount {Mounted} 2>/dev/null; rm -rf {Mounted} /dev/kbr-shared; true");
        }
    }

    // The hosts of the lab have one kernel: a device that several mount is one file system.
    [Test]
    public void A_directory_of_each_members_own_is_refused_and_the_shared_one_holds_a_backup()
    {
        var first = Ha.Leader();
        var number = Lab.OnHost(
            first,
            "blkid -p /dev/sdc >/dev/null || mkfs.xfs -q /dev/sdc; printf '%d %d' 0x$(stat -c %t /dev/sdc) 0x$(stat -c %T /dev/sdc)"
        );
        var other = Ha.Members.First(member => member != first);
        foreach (var member in Ha.Members.Where(member => member != other))
        {
            Mount(member);
        }

        Lab.OnHost(other, $"install -d -o 999 -g 999 {Mounted}");
        if (!Ha.Credentials.Contains("BACKUP_CIPHER_KEY=", StringComparison.Ordinal))
        {
            Ha.Credentials += "BACKUP_CIPHER_KEY=canary-cipher-Dn5pS1qX\n";
        }

        HaSetUp.Workspace.Yaml += Backup;
        var unmounted = HaSetUp.Workspace.Kbr("apply", "--auto-approve");
        Assert.That(unmounted.ExitCode, Is.EqualTo(1), unmounted.All);
        Assert.That(unmounted.All, Does.Contain($"{Mounted} is on the disk of the system: mount the file system"));

        Lab.OnHost(other, $"mount -t tmpfs -o uid=999,gid=999 tmpfs {Mounted}");
        var refused = HaSetUp.Workspace.Kbr("apply", "--auto-approve");
        Assert.That(refused.ExitCode, Is.EqualTo(1), refused.All);
        Assert.That(
            refused.All,
            Does.Contain($"{Repository} is not the same directory on every member: ").And.Contain("Mount one file system")
        );
        Assert.That(Lab.OnHost(other, $"ls -R {Mounted}"), Does.Not.Contain("backup.info"), "nothing is prepared there");
        Assert.That(Ha.Sql(Ha.Leader(), "SHOW archive_mode", "postgres"), Is.EqualTo("off"));

        Lab.OnHost(other, $"umount {Mounted}");
        Mount(other);
        Lab.OnHost(other, "systemctl restart patroni");
        Lab.Until(
            () => HaSetUp.Workspace.Kbr("status").Output.Contains("3 of 3", StringComparison.Ordinal),
            TimeSpan.FromSeconds(60),
            "the restarted member to be back"
        );
        HaSetUp.Workspace.Apply();
        HaSetUp.Workspace.AssertNothingToDo();
        Assert.That(HaSetUp.Workspace.Kbr("backup", "--full").Output, Does.Match("(?m)^[0-9]{8}-[0-9]{6}F  full, "));
        Assert.That(HaSetUp.Workspace.Kbr("status").Output, Does.Match("ok +backup +.*MiB of .*MiB free; last full, "));
        foreach (var member in Ha.Members)
        {
            Assert.That(Lab.OnHost(member, $"ls {Repository}/backup/keybuzz-pg"), Does.Match("[0-9]{8}-[0-9]{6}F"), member);
        }

        void Mount(string member) =>
            Lab.OnHost(
                member,
                $"mkdir -p {Mounted}; [ -e /dev/kbr-shared ] || mknod /dev/kbr-shared b {number}; mount /dev/kbr-shared {Mounted}; "
                    + $"chown 999:999 {Mounted}"
            );
    }

    [Test]
    [DependsOnTest(nameof(A_directory_of_each_members_own_is_refused_and_the_shared_one_holds_a_backup))]
    public void A_backup_in_it_is_proven_by_a_restore()
    {
        Ha.Sql(Ha.Leader(), "SELECT pg_sleep(3)", "postgres");
        var proven = HaSetUp.Workspace.Kbr("backups", "prove");
        Assert.That(proven.ExitCode, Is.Zero, proven.All);
        Assert.That(proven.Output, Does.Contain("Proven: keybuzz-pg"));
    }

    [Test]
    [DependsOnTest(nameof(A_directory_of_each_members_own_is_refused_and_the_shared_one_holds_a_backup))]
    public void A_replica_that_lost_its_data_is_made_from_the_repository()
    {
        var leader = Ha.Leader();
        var replica = Ha.Members.First(member => member != leader);
        Ha.Sql(leader, "CREATE TABLE IF NOT EXISTS of_replicas AS SELECT 1; SELECT pg_switch_wal()", "postgres");
        var begun = Lab.OnHost(
            replica,
            "systemctl stop patroni; rm -rf /opt/keybuzz/postgres/data/pgdata; date -u +%FT%TZ; systemctl start patroni"
        );
        Lab.Until(
            () => HaSetUp.Workspace.Kbr("status").Output.Contains("3 of 3", StringComparison.Ordinal),
            TimeSpan.FromSeconds(120),
            "the replica to stream"
        );
        var log = Lab.OnHost(replica, $"docker logs --since {begun.Trim()} patroni 2>&1");
        Assert.That(log, Does.Contain("replica has been created using repository").And.Not.Contain("created using basebackup"));
        Assert.That(Ha.Sql(replica, "SELECT count(*) || ' ' || pg_is_in_recovery() FROM of_replicas", "postgres"), Is.EqualTo("1 true"));
        Ha.Sql(leader, "DROP TABLE of_replicas", "postgres");
        Ha.AssertHealthy(HaSetUp.Workspace);
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    [DependsOnTest(nameof(A_directory_of_each_members_own_is_refused_and_the_shared_one_holds_a_backup))]
    public void A_member_that_lost_its_mount_is_named()
    {
        var replica = Ha.Members.First(member => member != Ha.Leader());
        Lab.OnHost(replica, $"systemctl stop patroni && umount {Mounted} && systemctl start patroni");
        Lab.Until(
            () =>
                Regex.IsMatch(
                    HaSetUp.Workspace.Kbr("status").Output,
                    $"NOT OK +backup +{replica}: {Repository} is not the directory that "
                ),
            TimeSpan.FromSeconds(60),
            "status to name the member"
        );
        // Patroni may need a moment more than its directory.
        Lab.Until(
            () =>
                HaSetUp
                    .Workspace.Kbr("drift")
                    .All.Contains($"{replica}: {Repository} is not the directory that ", StringComparison.Ordinal),
            TimeSpan.FromSeconds(60),
            "drift to name the member"
        );
        Lab.OnHost(replica, $"systemctl stop patroni && mount /dev/kbr-shared {Mounted} && systemctl start patroni");
        Lab.Until(
            () => HaSetUp.Workspace.Kbr("status").Output.Contains("ok       backup", StringComparison.Ordinal),
            TimeSpan.FromSeconds(60),
            "the member to see the directory again"
        );
    }
}
