using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Text;
using KeyBuzz.Reconciler.Cli.Blueprints.Postgres;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.PostgresHa.Status;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Tests.Providers;
using KeyBuzz.Reconciler.Tests.Providers.Backup;
using KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>The <c>backup</c> part: what it becomes on the members, and what is refused in it.</summary>
internal sealed class BackupTests : BlueprintFixture
{
    private const string Member = "db-slave-01";
    private const string Certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    private const string One = "backup: { repositories: [{ s3: { endpoint: minio.example.com:9000, bucket: kbr-backups } }] }";

    private static readonly DateTimeOffset s_proven = new(2026, 11, 28, 22, 0, 0, TimeSpan.Zero);

    [SetUp]
    public void GiveSecrets()
    {
        Environment["BACKUP_S3_KEY"] = "canary-of-the-s3-key";
        Environment["BACKUP_S3_SECRET"] = "canary-of-the-s3-secret";
        Environment["BACKUP_CIPHER_KEY"] = "canary-of-the-cipher";
        Environment["BACKUP2_S3_KEY"] = "canary-of-the-second-key";
        Environment["BACKUP2_S3_SECRET"] = "canary-of-the-second-secret";
    }

    [Test]
    public void Without_it_nothing_is_archived()
    {
        var cluster = Load(Minimal);
        Assert.That(cluster.Resources.Select(resource => resource.Address.ToString()), Has.None.Contains("backup"));
        Assert.That(Settings(cluster).Keys, Has.None.Contains("archive"));
        Assert.That(() => Load(With("parameters: { archive_mode: 'on', archive_command: 'cp %p /x/%f' }")), Throws.Nothing);
    }

    [Test]
    public void Each_member_has_the_tools_configuration_for_PostgreSQLs_user_alone()
    {
        var file = Find(With(One), $"config_file.backup@{Member}");
        Assert.That(file.Spec.String("path"), Is.EqualTo("/opt/keybuzz/patroni/pgbackrest.conf"));
        Assert.That((file.Spec.String("owner"), file.Spec.String("group"), file.Spec.String("mode")), Is.EqualTo(("999", "999", "0600")));
        Assert.That(
            file.Spec.Text("content")!.Reveal(),
            Is.EqualTo(
                """
                # Written by kbr; a change by hand is drift.
                [global]
                lock-path=/tmp/pgbackrest
                log-level-file=off
                log-level-console=off
                log-level-stderr=warn
                compress-type=zst
                process-max=1
                start-fast=y
                # Repository: s3://kbr-backups/keybuzz-pg at minio.example.com:9000
                repo1-type=s3
                repo1-s3-endpoint=minio.example.com
                repo1-storage-port=9000
                repo1-s3-bucket=kbr-backups
                repo1-s3-region=us-east-1
                repo1-s3-uri-style=path
                repo1-path=/keybuzz-pg
                repo1-s3-key=canary-of-the-s3-key
                repo1-s3-key-secret=canary-of-the-s3-secret
                repo1-bundle=y
                repo1-cipher-type=aes-256-cbc
                repo1-cipher-pass=canary-of-the-cipher
                repo1-retention-full=2

                [keybuzz-pg]
                pg1-path=/opt/keybuzz/postgres/data/pgdata
                pg1-socket-path=/var/run/postgresql
                pg1-port=5432
                pg1-user=kb_admin

                """
            )
        );
        Assert.That(file.Spec.Text("content")!.ToString(), Does.Not.Contain("canary"), "its secrets are masked");
    }

    [Test]
    public void Two_repositories_have_a_bucket_keys_an_authority_and_a_retention_each()
    {
        System.IO.File.WriteAllText(Path.Combine(Folder, "ca.pem"), Certificate);
        var cluster = Load(
            With(
                "backup:",
                "  compression: lz4",
                "  process_max: 4",
                "  repositories:",
                "    - { s3: { endpoint: 10.0.0.7:9000, bucket: b, ca_file: ca.pem, path: /pg/a }, retention: { days: 14, differential: 3 } }",
                "    - { s3: { endpoint: s3.example.com, bucket: c, region: eu, uri_style: host }, cipher: none, retention: { full: 4 } }"
            )
        );
        var content = Content(cluster, $"config_file.backup@{Member}");
        Assert.Multiple(() =>
        {
            Assert.That(content, Does.Contain("\ncompress-type=lz4\nprocess-max=4\n"));
            Assert.That(
                content,
                Does.Contain("\nrepo1-path=/pg/a\n").And.Contain("\nrepo1-storage-ca-file=/etc/patroni/backup-ca-1.pem\n")
            );
            Assert.That(content, Does.Contain("\nrepo1-retention-full-type=time\nrepo1-retention-full=14\nrepo1-retention-diff=3\n"));
            Assert.That(content, Does.Contain("\nrepo2-s3-endpoint=s3.example.com\nrepo2-storage-port=443\n"));
            Assert.That(content, Does.Contain("\nrepo2-s3-region=eu\nrepo2-s3-uri-style=host\n").And.Contain("\nrepo2-retention-full=4\n"));
            Assert.That(content, Does.Contain("\nrepo2-s3-key=canary-of-the-second-key\n"));
            Assert.That(content, Does.Contain("\nrepo2-s3-key-secret=canary-of-the-second-secret\n"));
            Assert.That(content, Does.Not.Contain("repo2-cipher").And.Not.Contain("repo2-storage-ca-file"));
            Assert.That(Content(cluster, $"config_file.backup-ca-1@{Member}"), Is.EqualTo(Certificate));
            Assert.That(
                Find(cluster, "backup_repository.keybuzz-pg@keybuzz-pg").Spec.List("repositories"),
                Is.EqualTo(new[] { "s3://b/pg/a at 10.0.0.7:9000", "s3://c/keybuzz-pg at s3.example.com:443" })
            );
        });
    }

    [Test]
    public void A_directory_that_the_members_share_is_mounted_into_every_container_that_uses_it()
    {
        var cluster = Load(With("backup: { repositories: [{ directory: /mnt/backups/ }] }"));
        Assert.Multiple(() =>
        {
            Assert.That(
                Content(cluster, $"config_file.backup@{Member}"),
                Does.Contain(
                    "# Repository: /mnt/backups/keybuzz-pg\nrepo1-type=posix\nrepo1-path=/mnt/backups/keybuzz-pg\nrepo1-bundle=y\nrepo1-cipher-type="
                )
            );
            var container = Find(cluster, $"container.patroni@{Member}").Spec;
            Assert.That(container.List("mounts"), Does.Contain("/mnt/backups:/mnt/backups"));
            Assert.That(
                container.String("validate"),
                Does.StartWith("timeout -k 1 10 test -d /mnt/backups || { echo '/mnt/backups is not there")
            );
            Assert.That(
                Find(cluster, "backup_repository.keybuzz-pg@keybuzz-pg").Spec.List("directories"),
                Is.EqualTo(new[] { "/mnt/backups/keybuzz-pg" })
            );
            Assert.That(Find(Load(With(One)), $"container.patroni@{Member}").Spec.List("mounts"), Has.None.Contains("/mnt"));
        });
    }

    [Test]
    public void A_directory_without_its_mount_stops_no_container()
    {
        ProviderBench.OnlyAsRootWith("mount");
        var path = $"/mnt/kbr-test-{Guid.NewGuid():N}";
        var all = Find(Load(With($"backup: {{ repositories: [{{ directory: {path} }}] }}")), $"container.patroni@{Member}").Spec;
        var check = all.String("validate")!.Split("docker run")[0];
        try
        {
            Assert.That(ProviderBench.Shell(check).Error, Does.Contain($"{path} is not there"));
            Directory.CreateDirectory(path);
            var local = ProviderBench.Shell(check);
            Assert.That(
                (local.ExitCode, local.Error),
                Is.EqualTo((1, $"{path} is on the disk of the system: mount the file system of the backups on this member\n"))
            );
            ProviderBench.Output($"mount -t tmpfs tmpfs {path}");
            Assert.That(ProviderBench.Shell(check).ExitCode, Is.Zero);
        }
        finally
        {
            ProviderBench.Shell($"umount {path}; rmdir {path}");
        }
    }

    [Test]
    public void Replicas_are_made_from_a_repository_where_that_is_asked_for()
    {
        var cluster = Load(With(One.Replace(" }] }", " }], replicas_from_repository: true }", StringComparison.Ordinal)));
        Assert.That(
            Content(cluster, $"config_file.patroni@{Member}"),
            Does.Contain(
                "\npostgresql:\n  create_replica_methods:\n    - repository\n    - basebackup\n  repository:\n"
                    + "    command: 'python3 /etc/patroni/kbr-replica.py'\n  listen: "
            )
        );
        Assert.That(Content(cluster, $"config_file.replica-program@{Member}"), Does.StartWith("#!/usr/bin/env python3\n"));
        var without = Load(With(One));
        Assert.That(Content(without, $"config_file.patroni@{Member}"), Does.Contain("\npostgresql:\n  listen: "));
        Assert.That(without.Resources.Select(one => one.Address.Name), Has.None.EqualTo("replica-program"));
    }

    // PostgreSQL stops within its 60 s while no repository answers: 6 attempts of 8 s. Before the repositories are prepared, none is made.
    [Test]
    public void PostgreSQL_archives_with_a_time_limit_once_the_repositories_are_prepared()
    {
        var cluster = Load(With(One));
        Assert.That(
            Settings(cluster).Where(pair => pair.Key.Contains("archive", StringComparison.Ordinal)).Select(pair => pair.Value),
            Is.EquivalentTo(
                new[]
                {
                    "on",
                    "60s",
                    "timeout 8 pgbackrest --config=/etc/patroni/pgbackrest.conf --stanza=keybuzz-pg --io-timeout=6 archive-push %p "
                        + "2>/tmp/kbr-archive-said.new; s=$?; cat /tmp/kbr-archive-said.new >&2; "
                        + "mv /tmp/kbr-archive-said.new /tmp/kbr-archive-said; exit $s",
                }
            )
        );
        Assert.That(
            Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg").After.Select(address => address.ToString()),
            Does.Contain("backup_repository.keybuzz-pg@keybuzz-pg")
        );
        Assert.That(
            Find(cluster, "backup_repository.keybuzz-pg@keybuzz-pg").Requires.Select(address => address.ToString()),
            Is.EquivalentTo(new[] { "config_file.backup@db-master-01", "config_file.backup@db-slave-01", "config_file.backup@db-slave-02" })
        );
        Assert.That(
            Settings(Load(With(One, "stop_timeout: 132s")))["postgresql.parameters.archive_command"],
            Does.StartWith("timeout 20 ")
        );
        Assert.That(
            Settings(Load(With(One, "parameters: { archive_timeout: 30s }")))["postgresql.parameters.archive_timeout"],
            Is.EqualTo("30s"),
            "the operator's own counts"
        );
    }

    [TestCase("archive_mode: 'on'")]
    [TestCase("archive_command: 'true'")]
    [TestCase("archive_library: basic_archive")]
    public void Parameters_that_it_sets_are_refused(string parameter) =>
        Assert.That(
            OnlyError(With(One, $"parameters: {{ {parameter} }}")),
            Does.EndWith("cannot be set here [kbr sets it: 'backup' archives WAL to its repositories] (remove it, or remove 'backup')")
        );

    [TestCase("{}", "'backup' has no 'repositories'")]
    [TestCase("{ repositories: [] }", "must be a list of one or two maps")]
    [TestCase("{ repositories: [{ cipher: none }] }", "a repository has none of 's3', 'sftp' and 'directory'")]
    [TestCase("{ repositories: [{ s3: { endpoint: h, bucket: b }, directory: /mnt/b }] }", "a repository has 's3' and 'directory'")]
    [TestCase("{ repositories: [{ directory: backups }] }", "'directory' cannot be 'backups'")]
    [TestCase("{ repositories: [{ directory: / }] }", "'directory' cannot be '/'")]
    [TestCase("{ repositories: [{ directory: '/mnt/a b' }] }", "'directory' cannot be '/mnt/a b'")]
    [TestCase("{ repositories: [{ directory: /opt/keybuzz/postgres/b }] }", "is each member's own")]
    [TestCase("{ repositories: [{ directory: /opt }] }", "is each member's own")]
    [TestCase("{ repositories: [{ directory: /opt/keybuzz/postgres }] }", "'directory' cannot be '/opt/keybuzz/postgres'")]
    [TestCase("{ repositories: [{ directory: /tmp }] }", "/tmp belongs to the system")]
    [TestCase("{ repositories: [{ directory: /tmp/backups }] }", "/tmp and all in it belongs to the system")]
    [TestCase("{ repositories: [{ directory: /etc }] }", "/etc belongs to the system")]
    [TestCase("{ repositories: [{ directory: /etc/backups }] }", "/etc and all in it belongs to the system")]
    [TestCase("{ repositories: [{ directory: /usr/share }] }", "/usr and all in it belongs to the system")]
    [TestCase("{ repositories: [{ directory: /var/lib/docker }] }", "/var/lib/docker belongs to the system")]
    [TestCase("{ repositories: [{ s3: { endpoint: h } }] }", "'s3' has no 'bucket'")]
    [TestCase("{ repositories: [{ s3: { bucket: b } }] }", "'s3' has no 'endpoint'")]
    [TestCase("{ repositories: [{ s3: { endpoint: 'https://h', bucket: b } }] }", "[it has a scheme; TLS is always used]")]
    [TestCase("{ repositories: [{ s3: { endpoint: 'h:0', bucket: b } }] }", "'h:0' is not an endpoint (write HOST or HOST:PORT")]
    [TestCase("{ repositories: [{ s3: { endpoint: h, bucket: 'a b' } }] }", "'a b' cannot be the name of a bucket")]
    [TestCase("{ repositories: [{ s3: { endpoint: h, bucket: b, path: / } }] }", "a cluster needs a path of its own")]
    [TestCase("{ repositories: [{ s3: { endpoint: h, bucket: b, ca_file: nowhere.pem } }] }", "the file 'nowhere.pem' cannot be read")]
    [TestCase("{ repositories: [{ s3: { endpoint: h, bucket: b, ca_file: cluster.yaml } }] }", "'cluster.yaml' is not a certificate")]
    [TestCase("{ repositories: [{ s3: { endpoint: h, bucket: b }, retention: { full: 1, days: 1 } }] }", "has both 'full' and 'days'")]
    [TestCase("{ repositories: [{ s3: { endpoint: h, bucket: b }, cipher: rot13 }] }", "'cipher' cannot be 'rot13'")]
    [TestCase("{ repositories: [{ s3: { endpoint: h, bucket: b } }], compression: rar }", "'compression' cannot be 'rar'")]
    [TestCase("{ repositories: [{ s3: { endpoint: h, bucket: b } }], schedule: { } }", "'schedule' schedules nothing")]
    [TestCase("{ repositories: [{ s3: { endpoint: h, bucket: b } }], schedule: { full: nightly } }", "'nightly' is no day of the week")]
    [TestCase("{ repositories: [{ s3: { endpoint: h, bucket: b } }], schedule: { full: Sun, x: 1 } }", "unknown key 'x' in 'schedule'")]
    [TestCase("{ repositories: [{ s3: { endpoint: h, bucket: b } }], prove: { schedule: Wed } }", "'prove' needs a 'schedule'")]
    [TestCase(
        "{ repositories: [{ s3: { endpoint: h, bucket: b } }], schedule: { full: Sun }, prove: { schedule: Wed, on: x } }",
        "'x' is not a member"
    )]
    [TestCase("{ repositories: [{ s3: { endpoint: h, bucket: b } }], cron: daily }", "unknown key 'cron' in 'backup'")]
    public void What_cannot_be_meant_is_an_error(string backup, string expected) =>
        Assert.That(OnlyError(With("backup: " + backup)), Does.Contain(expected));

    [TestCase("", "True")]
    [TestCase("priority: idle, ", "True")]
    [TestCase("priority: low, ", "False")]
    public void A_schedule_is_a_timer_of_each_kind_on_every_member_with_a_program_that_finds_the_primary(string priority, string isIdle)
    {
        var cluster = Load(
            With(
                One.Replace(
                    " }] }",
                    $" }}], {priority}schedule: {{ full: Sun 01:00, incremental: [daily, '12:00'], try_for: 2h }} }}",
                    StringComparison.Ordinal
                )
            )
        );
        foreach (var member in cluster.Model<PostgresTopology>()!.Members)
        {
            Assert.That(
                cluster
                    .Resources.Where(resource => resource.Address.Type == "systemd_timer" && resource.Address.Host == member.Name)
                    .Select(resource => (resource.Address.Name, string.Join("; ", resource.Spec.List("schedule")))),
                Is.EqualTo(
                    new[] { ("kbr-backup-full", "Sun 01:00"), ("kbr-backup-incremental", "daily; 12:00"), ("kbr-ledger", "minutely") }
                )
            );
            var program = Content(cluster, $"config_file.backup-program@{member.Name}");
            Assert.That(
                program,
                Does.Contain($"PRIMARY = \"http://{member.Address}:8008/primary\"\nPATIENCE = 7200\n").And.Contain($"\nIDLE = {isIdle}\n")
            );
        }

        var timer = Find(cluster, $"systemd_timer.kbr-backup-full@{Member}");
        Assert.That(timer.Requires.Select(address => address.Name), Is.EqualTo(new[] { "backup-program" }));
        Assert.That(
            timer.Spec.Text("service")!.Reveal(),
            Does.Contain(
                    "exec /usr/bin/docker exec patroni python3 /etc/patroni/kbr-backup.py full $(cat /var/lib/kbr/kbr-backup-full.ended "
                        + "2>/dev/null | sort -n | tail -n 1) >/run/kbr/kbr-backup-full.log 2>&1'\n"
                )
                .And.Contain("in 0|3) umask 077; mkdir -p /var/lib/kbr; date +%%s >/var/lib/kbr/kbr-backup-full.ended;; esac'\n")
        );
        // A full backup serves as an incremental one.
        Assert.That(
            Find(cluster, $"systemd_timer.kbr-backup-incremental@{Member}").Spec.Text("service")!.Reveal(),
            Does.Contain(
                " $(cat /var/lib/kbr/kbr-backup-full.ended /var/lib/kbr/kbr-backup-differential.ended "
                    + "/var/lib/kbr/kbr-backup-incremental.ended 2>/dev/null | "
            )
        );
    }

    [Test]
    public void Scheduled_proofs_are_a_timer_on_every_member_with_a_program_of_plain_shell()
    {
        var cluster = Load(
            With(
                One.Replace(
                    " }] }",
                    " }], schedule: { full: Sun }, prove: { schedule: Wed 03:00, on: db-slave-02 } }",
                    StringComparison.Ordinal
                )
            )
        );
        var timer = Find(cluster, $"systemd_timer.kbr-proof@{Member}");
        Assert.That(timer.Spec.List("schedule"), Is.EqualTo(new[] { "Wed 03:00" }));
        Assert.That(timer.Requires.Select(address => address.Name), Is.EquivalentTo(new[] { "proof-helper", "proof-program" }));
        Assert.That(Content(cluster, $"config_file.proof-helper@{Member}"), Does.Contain("PREFERRED = \"db-slave-02\"\n"));
        var program = Content(cluster, $"config_file.proof-program@{Member}");
        Assert.That(program, Does.Contain($"if [ \"$turn\" != '{Member}' ]; then").And.Contain("pg_checksums").And.Not.Contain("canary"));
        var file = Path.Combine(Folder, "program.sh");
        System.IO.File.WriteAllText(file, program);
        using var checkedBy = System.Diagnostics.Process.Start("sh", ["-n", file]);
        checkedBy.WaitForExit();
        Assert.That(checkedBy.ExitCode, Is.Zero);
    }

    [TestCase(null, 180)]
    [TestCase("10min", 720)]
    [TestCase("90", 210)]
    [TestCase("0", 0)]
    public void A_scheduled_proof_waits_for_as_long_as_archiving_takes(string? timeout, int seconds) =>
        Assert.That(
            Content(
                Load(
                    With([
                        One.Replace(" }] }", " }], schedule: { full: Sun }, prove: { schedule: Wed } }", StringComparison.Ordinal),
                        .. timeout is null ? Array.Empty<string>() : [$"parameters: {{ archive_timeout: {timeout} }}"],
                    ])
                ),
                $"config_file.proof-helper@{Member}"
            ),
            Does.Contain($"\nARCHIVED_AFTER = {seconds}\n")
        );

    [TestCase("", null)]
    [TestCase(", schedule: { full: Sun 01:00 }", 14)]
    [TestCase(", schedule: { full: Sun 01:00, differential: Mon..Sat 01:00 }", 2)]
    [TestCase(", max_age: 24h", 1)]
    [TestCase(", schedule: { full: Sun 01:00 }, max_age: 192h", 8)]
    public void The_last_backup_may_be_twice_as_old_as_the_schedule_promises(string more, int? days) =>
        Assert.That(
            Load(With(One.Replace(" }] }", $" }}]{more} }}", StringComparison.Ordinal)))
                .Model<PostgresTopology>()!
                .Backup!.MaxAge?.TotalDays,
            Is.EqualTo(days)
        );

    [Test]
    public void Two_repositories_in_one_place_and_a_third_are_errors()
    {
        Environment["BACKUP2_CIPHER_KEY"] = "canary-of-the-second-cipher";
        const string Same = "{ s3: { endpoint: h, bucket: b } }";
        Assert.That(OnlyError(With($"backup: {{ repositories: [{Same}, {Same}] }}")), Does.Contain("both repositories are the same place"));
        Assert.That(
            Errors(With($"backup: {{ repositories: [{Same}, {Same}, {Same}] }}")),
            Has.Some.Contains("3 repositories: kbr fills at most 2")
        );
    }

    [TestCase("BACKUP_S3_KEY")]
    [TestCase("BACKUP_S3_SECRET")]
    [TestCase("BACKUP_CIPHER_KEY")]
    public void A_missing_secret_is_named(string name)
    {
        Environment.Remove(name);
        Assert.That(OnlyError(With(One)), Does.Contain($"secret {name} has no value"));
    }

    [Test]
    public void A_cipher_key_that_can_be_guessed_is_refused_without_being_shown()
    {
        Environment["BACKUP_CIPHER_KEY"] = "sesame";
        Assert.That(OnlyError(With(One)), Does.Contain("secret BACKUP_CIPHER_KEY is short").And.Not.Contain("sesame"));
    }

    [Test]
    public void A_directory_by_sftp_has_its_key_and_the_servers_beside_the_configuration_for_PostgreSQLs_user_alone()
    {
        const string PrivateKey =
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUcanary-of-the-key\n-----END OPENSSH PRIVATE KEY-----\n";
        Environment["BACKUP_SFTP_KEY"] = Convert.ToBase64String(System.Text.Encoding.ASCII.GetBytes(PrivateKey));
        System.IO.File.WriteAllText($"{Folder}/known", "backup-01 ssh-ed25519 AAAAC3Nza\n");

        var cluster = With(
            "backup: { repositories: [{ sftp: { host: 'backup-01:2222', user: kbr, path: /srv/pg, known_hosts: known } }] }"
        );

        var content = Find(cluster, $"config_file.backup@{Member}").Spec.Text("content")!;
        Assert.That(
            content.Reveal(),
            Does.Contain(
                """
                # Repository: sftp://kbr@backup-01:2222/srv/pg
                repo1-type=sftp
                repo1-sftp-host=backup-01
                repo1-sftp-host-port=2222
                repo1-sftp-host-user=kbr
                repo1-sftp-host-key-check-type=strict
                repo1-sftp-host-key-hash-type=sha256
                repo1-sftp-known-host=/etc/patroni/backup-known-hosts-1
                repo1-sftp-private-key-file=/etc/patroni/backup-key-1
                repo1-path=/srv/pg
                repo1-bundle=y
                repo1-cipher-type=aes-256-cbc

                """
            )
        );
        var key = Find(cluster, $"config_file.backup-key-1@{Member}");
        Assert.That((key.Spec.String("owner"), key.Spec.String("mode")), Is.EqualTo(("999", "0600")));
        Assert.That(key.Spec.Text("content")!.Reveal(), Is.EqualTo(PrivateKey));
        Assert.That(key.Spec.Text("content")!.ToString(), Does.Not.Contain("canary"));
        Assert.That(
            Find(cluster, $"config_file.backup-known-hosts-1@{Member}").Spec.Text("content")!.Reveal(),
            Is.EqualTo("backup-01 ssh-ed25519 AAAAC3Nza\n")
        );
    }

    // Of ssh-keygen -N secret: the cipher in its first bytes is aes256-ctr.
    private const string EncryptedKey =
        "LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZLS0tLS0KYjNCbGJuTnphQzFyWlhrdGRqRUFBQUFBQ21GbGN6STFOaTFqZEhJQUFBQUdZbU55ZVhCMAo=";

    [TestCase("not base64", "backup-01 ssh-ed25519 AAAA\n", "secret BACKUP_SFTP_KEY is not a private key in base64")]
    [TestCase(EncryptedKey, "backup-01 ssh-ed25519 AAAA\n", "secret BACKUP_SFTP_KEY is not a private key in base64")]
    [TestCase(null, "", "'known' is not a file of known hosts")]
    [TestCase(null, "-----BEGIN OPENSSH PRIVATE KEY-----\n", "'known' is not a file of known hosts")]
    public void What_an_sftp_server_cannot_be_reached_with_is_refused(string? key, string known, string problem)
    {
        Environment["BACKUP_SFTP_KEY"] = key ?? Convert.ToBase64String("-----BEGIN RSA PRIVATE KEY-----\n"u8);
        System.IO.File.WriteAllText($"{Folder}/known", known);

        var said = OnlyError(With("backup: { repositories: [{ sftp: { host: backup-01, user: kbr, known_hosts: known } }] }"));

        Assert.That(said, Does.Contain(problem).And.Not.Contain("BEGIN"));
    }

    [Test]
    public void What_needs_no_secrets_reads_a_file_with_backups_without_them()
    {
        Load(With(One));

        var without = ClusterLoader.Load(File, RealSyntax, new Dictionary<string, string>(), secretsOptional: true);

        Assert.That(without.Resources.Select(resource => resource.Address.Type), Does.Contain("backup_repository"));
    }

    // The keys of an S3 server are given by it.
    [TestCase("", new string[0])]
    [TestCase(", cipher: none", new string[0])]
    [TestCase("", new[] { "BACKUP_CIPHER_KEY" }, true)]
    public void Only_a_cipher_key_that_is_needed_is_generated(string cipher, string[] names, bool backup = false)
    {
        System.IO.File.WriteAllText(
            File,
            backup || cipher.Length > 0 ? With($"backup: {{ repositories: [{{ s3: {{ endpoint: h, bucket: b }}{cipher} }}] }}") : Minimal
        );
        Assert.That(
            ClusterLoader.ReadCredentialsNeeded(File, RealSyntax).Names.Where(name => name.StartsWith("BACKUP", StringComparison.Ordinal)),
            Is.EqualTo(names)
        );
    }

    [TestCase(
        """{"archived": "0A", "archived_ago": 3, "failing": null, "failed_count": 2, "waiting": 0, "oldest": null}""",
        StatusVerdict.Ok,
        "last archived 0A, 3 s ago; 0 waiting"
    )]
    [TestCase(
        """{"archived": "0A", "archived_ago": 3, "failing": null, "failed_count": 0, "waiting": 2, "oldest": 119}""",
        StatusVerdict.Ok,
        "last archived 0A, 3 s ago; 2 waiting, the oldest for 119 s"
    )]
    [TestCase(
        """{"archived": null, "archived_ago": null, "failing": null, "failed_count": 0, "waiting": 9, "oldest": 121}""",
        StatusVerdict.NotOk,
        "behind: 9 waiting, the oldest for 121 s; nothing archived since the primary's statistics began"
    )]
    [TestCase(
        """{"archived": "0A", "archived_ago": 90, "failing": "0B", "failed_count": 4, "waiting": 1, "oldest": 20}""",
        StatusVerdict.NotOk,
        "fails at 0B, 4 failures; 1 waiting, the oldest for 20 s; last archived 0A, 90 s ago. WAL stays on db-1's volume until it is archived. The reason: docker logs --tail 50 patroni there"
    )]
    [TestCase(
        """{"archived": "0A", "archived_ago": 90, "failing": "0B", "failed_count": 4, "waiting": 1, "oldest": 20, "said": "WARN: x\nERROR: [101]: HTTP request failed with 403 (Forbidden):\n*** Path ***:\n"}""",
        StatusVerdict.NotOk,
        "fails at 0B, 4 failures; 1 waiting, the oldest for 20 s; last archived 0A, 90 s ago. WAL stays on db-1's volume until it is archived. The reason: [101]: HTTP request failed with 403 (Forbidden): *** Path ***: (are its key and secret in the credentials file right, and may they read and write there?)"
    )]
    [TestCase(null, StatusVerdict.Unknown, "db-1: no answer")]
    public void Status_has_a_line_on_the_archive(string? row, StatusVerdict verdict, string measured)
    {
        var yaml = With(One);
        var cluster = Load(yaml.Replace("db-master-01", "db-1", StringComparison.Ordinal));
        var topology = cluster.Model<PostgresTopology>()!;
        var reads = new StatusReads(topology, Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg"));
        var asked = reads.For(topology.Members[0]);
        Assert.That(asked, Does.Contain(reads.Archiver));
        const string Nonce = "0123456789abcdef0123456789abcdef";
        var snapshot = ReadList
            .Probe.Parse([.. asked], Nonce, Encoding.UTF8.GetBytes($"\n{Nonce} end 0\n"))
            .With(PatroniAnswers.Snapshot(PatroniAnswers.Leader("db-1")))
            .With(ProviderBench.Snapshot((reads.Archiver, new SqlAnswer(row is null ? null : $"[{row}]", row is null ? "no answer" : ""))));
        var item = new StatusJudgement(topology, reads, new Dictionary<string, (Snapshot?, string?)> { ["db-1"] = (snapshot, null) }, [])
            .Judge()
            .Items.Single(one => one.Name == "archive");
        Assert.That((item.Verdict, item.Measured), Is.EqualTo((verdict, measured)));
    }

    private const long Ended = 1795901608;

    [TestCase(
        Ended + 7200,
        StatusVerdict.Ok,
        "last incremental, 2 h ago; restorable to any second from 2026-11-28 21:33:29 UTC to 40 s ago"
    )]
    [TestCase(Ended + 1209700, StatusVerdict.NotOk, "older than 14 d; last incremental, 14 d ago; restorable")]
    public void Status_has_a_line_on_the_age_of_the_last_backup(long now, StatusVerdict verdict, string measured) =>
        AssertBackup(now, PgBackRestTests.Info, verdict, measured);

    [Test]
    public void Without_a_backup_status_is_not_well() =>
        AssertBackup(
            Ended,
            PgBackRestTests.Info.Replace("\"backup\":[{", "\"other\":[{", StringComparison.Ordinal),
            StatusVerdict.NotOk,
            "no backup yet: run kbr backup"
        );

    [Test]
    public void A_scheduled_backup_that_failed_is_named_with_its_last_words_until_there_is_a_newer_one()
    {
        AssertBackup(
            Ended + 7200,
            PgBackRestTests.Info,
            StatusVerdict.NotOk,
            "the scheduled full backup failed on db-1: given up: repository 1: [049]: x; last incremental",
            failedAt: Ended + 60
        );
        AssertBackup(Ended + 7200, PgBackRestTests.Info, StatusVerdict.Ok, "last incremental", failedAt: Ended - 60);
    }

    // Repositories that hold all that PostgreSQL says it archived, and such that do not.
    [TestCase("000000010000000000000007", 40, StatusVerdict.Ok, "last incremental")]
    [TestCase("000000010000000000000008", 3, StatusVerdict.Ok, "last incremental")]
    [TestCase(
        "000000010000000000000008",
        40,
        StatusVerdict.NotOk,
        "PostgreSQL archived 000000010000000000000008, and the last segment there is 000000010000000000000007 (its archive_command"
    )]
    [TestCase("000000010000000000000009", 3, StatusVerdict.NotOk, "PostgreSQL archived 000000010000000000000009, and the last")]
    [TestCase("000000020000000000000008", 40, StatusVerdict.NotOk, "PostgreSQL archived 000000020000000000000008, and the last")]
    public void An_archiver_that_stores_nothing_is_named(string archived, int ago, StatusVerdict verdict, string measured) =>
        AssertBackup(Ended + 7200, PgBackRestTests.Info, verdict, measured, archived: archived, ago: ago);

    [TestCase("[ProtocolError] HTTP request failed with 403 (Forbidden):\\nx", "(are its key and secret in the credentials file right")]
    [TestCase("[ProtocolError] HTTP request failed with 404 (Not Found):\\n<Code>NoSuchBucket</Code>", "(make the bucket again")]
    [TestCase("[FormatError] y\\nFormatError: key/value found outside of section", "(the cipher key in the credentials file must be")]
    [TestCase("[HostConnectError] unable to connect to '10.0.0.7:9000'", "(is its server up, and does the network")]
    [TestCase(
        "[PathCreateError] unable to create path '/mnt/backups/pg': [13] Permission denied",
        "(the directory must belong to the user"
    )]
    [TestCase("[CryptoError] unable to verify certificate presented by 'x': self-signed", "('ca_file' must be the certificate")]
    public void A_repository_that_cannot_be_used_is_named_with_what_helps(string message, string remedy)
    {
        var info = PgBackRestTests.Info.Replace(
            "\"key\":1,\"status\":{\"code\":0,\"message\":\"ok\"}",
            $"\"key\":1,\"status\":{{\"code\":99,\"message\":\"{message}\"}}",
            StringComparison.Ordinal
        );
        Assert.That(Measured(Ended + 7200, info, StatusVerdict.NotOk), Does.StartWith("db-1: [").And.Contain(remedy));
    }

    [Test]
    public void Another_database_in_the_repository_is_named()
    {
        var info = PgBackRestTests.Info.Replace("\"system-id\":7711228701456285717", "\"system-id\":8", StringComparison.Ordinal);
        Assert.That(
            Measured(Ended + 7200, info, StatusVerdict.NotOk),
            Does.StartWith("db-1: prepared for another database (system identifier 8, ")
                .And.Contain("(another cluster's needs another 'path')")
        );
    }

    [Test]
    public void A_backup_of_the_future_tells_of_a_clock_that_jumped() =>
        AssertBackup(
            Ended - 7200,
            PgBackRestTests.Info,
            StatusVerdict.NotOk,
            "backup 20261128-213323F_20261128-213327I ended 2 h after the present time of db-1: a clock has jumped, or did then"
        );

    [Test]
    public void The_clock_of_a_member_that_jumped_is_named()
    {
        var look = new BackupLook("a", null, ImmutableSortedDictionary<string, BackupReport>.Empty, ArchivedWal.Unknown)
        {
            Clocks = SortedMap<DateTimeOffset>
                .Empty.Add("a", DateTimeOffset.UnixEpoch)
                .Add("b", DateTimeOffset.UnixEpoch.AddSeconds(59))
                .Add("c", DateTimeOffset.UnixEpoch.AddHours(-2)),
        };
        Assert.That(look.ClockTroubles(), Has.Length.EqualTo(1));
        Assert.That(look.ClockTroubles()[0], Does.StartWith("the clock of c is 2 h behind that of the primary, a ("));
        Assert.That((look with { Leader = "z" }).ClockTroubles(), Is.Empty, "nobody's clock is the measure");
    }

    [Test]
    public void What_the_last_reading_of_all_has_found_is_named_until_the_next_one()
    {
        AssertBackup(
            Ended + 7200,
            PgBackRestTests.Info,
            StatusVerdict.NotOk,
            "WAL is missing: 000000010000000000000006 (kbr backups check, 2026-11-28 22:00:00 UTC); last incremental",
            check: "WAL is missing: 000000010000000000000006"
        );
        Assert.That(
            Measured(Ended + 7200, PgBackRestTests.Info, StatusVerdict.Ok, check: ""),
            Does.EndWith("; all of it was read and whole at 2026-11-28 22:00:00 UTC")
        );
    }

    [TestCase("active", null, null, StatusVerdict.Ok, "no restore was proven yet: kbr backups prove")]
    [TestCase("active", "inactive", "db-2 proves it\n", StatusVerdict.Ok, "no restore was proven yet")]
    [TestCase(
        "active",
        "failed",
        "restoring x\nnot proven: its record is lost\n",
        StatusVerdict.NotOk,
        "the scheduled proof on db-1 left no record: not proven: its record is lost"
    )]
    [TestCase(
        "active",
        "failed",
        "not tried: 9 bytes are needed, and 8 are free\n",
        StatusVerdict.NotOk,
        "the scheduled proof on db-1 was not made: not tried: 9 bytes are needed, and 8 are free"
    )]
    [TestCase("inactive", null, null, StatusVerdict.NotOk, "kbr-proof.timer on db-1 is not running: run kbr plan")]
    public void A_scheduled_proof_that_was_not_made_is_named(
        string timer,
        string? state,
        string? said,
        StatusVerdict verdict,
        string measured
    ) =>
        Assert.That(
            Measured(Ended + 7200, PgBackRestTests.Info, verdict, timer: timer, line: "proof", proof: (state!, said!)),
            Does.StartWith(measured)
        );

    // By hand, or of another member. A record has whole seconds.
    [TestCase("not tried: there is no room\n", 0.4, null, StatusVerdict.Ok, "at 2026-11-28 22:00:00 UTC the database was restored to ")]
    [TestCase("not tried: there is no room\n", -3600, null, StatusVerdict.Ok, "at 2026-11-28 22:00:00 UTC the database was restored to ")]
    [TestCase("not tried: there is no room\n", 60, null, StatusVerdict.NotOk, "the scheduled proof on db-1 was not made: not tried: ")]
    [TestCase("not proven: x\n", 0.4, "x", StatusVerdict.NotOk, "at 2026-11-28 22:00:00 UTC the database could not be restored to ")]
    [TestCase("not proven: x\n", 60, null, StatusVerdict.NotOk, "the scheduled proof on db-1 left no record: not proven: x")]
    public void A_scheduled_proof_without_a_result_is_of_the_past_once_a_later_one_has_one(
        string said,
        double seconds,
        string? failure,
        StatusVerdict verdict,
        string measured
    ) =>
        Assert.That(
            Measured(
                Ended + 7200,
                PgBackRestTests.Info,
                verdict,
                line: "proof",
                proof: ("failed", said),
                proofSaid: s_proven.AddSeconds(seconds),
                record: new ProofRecord(s_proven, "2026-11-28 21:40:00.000000+00", failure, TimeSpan.FromSeconds(9))
            ),
            Does.StartWith(measured)
        );

    // A later cluster on the same hosts is not in a restore that nobody confirmed.
    [Test]
    public void With_the_data_goes_what_is_known_of_its_restores()
    {
        const string Attribute = "before_data_is_deleted";
        Assert.That(Find(Load(Minimal), $"directory.postgres-data@{Member}").Spec.OptionalString(Attribute), Is.Null);
        Assert.That(
            Find(With(One), $"directory.postgres-data@{Member}").Spec.OptionalString(Attribute),
            Does.StartWith("docker rm -f kbr-restore kbr-proof ")
                .And.EndWith(
                    "; rm -f /var/lib/kbr/restore-keybuzz-pg.json /var/log/kbr/proof-keybuzz-pg.json "
                        + "/var/log/kbr/backups-check-keybuzz-pg.json /var/lib/kbr/kbr-backup-full.ended "
                        + "/var/lib/kbr/kbr-backup-differential.ended /var/lib/kbr/kbr-backup-incremental.ended"
                )
        );
    }

    [TestCase("a", "a", 500, null, "500 B of 1000 B free")]
    [TestCase("a", "a", 99, null, "only 99 B of 1000 B free")]
    [TestCase("a", "b", 500, "db-2: /mnt/backups/pg is not the directory that db-1 has there", "500 B of 1000 B free")]
    [TestCase("a", null, 500, null, "500 B of 1000 B free")]
    public void Of_a_directory_the_room_is_known_and_a_member_that_has_another_one(
        string leaders,
        string? replicas,
        long free,
        string? trouble,
        string room
    )
    {
        Environment["BACKUP_CIPHER_KEY"] = "canary-of-the-cipher";
        var topology = Load(
                With("backup: { repositories: [{ directory: /mnt/backups }] }")
                    .Replace("scope: keybuzz-pg", "scope: pg", StringComparison.Ordinal)
                    .Replace("db-master-01", "db-1", StringComparison.Ordinal)
                    .Replace("db-slave-01", "db-2", StringComparison.Ordinal)
            )
            .Model<PostgresTopology>()!;
        var path = topology.Backup!.Repositories[0].Label;
        var look = BackupLook.Of(
            topology,
            new Dictionary<string, Snapshot>
            {
                ["db-1"] = Answers(PatroniAnswers.Leader("db-1"), leaders),
                ["db-2"] = Answers(PatroniAnswers.Replica("db-2"), replicas),
            }
        );

        var words = look.RoomOf(1)!.Value;
        Assert.That((words.IsLittle ? "only " : "") + words.Words, Is.EqualTo(room));
        Assert.That(
            look.TroublesOf(1).Where(one => one.Contains("is not the directory", StringComparison.Ordinal)),
            trouble is null ? Is.Empty : Has.One.StartsWith(trouble.Replace("/mnt/backups/pg", path, StringComparison.Ordinal))
        );

        Snapshot Answers(string patroni, string? mark) =>
            PatroniAnswers
                .Snapshot(patroni)
                .With(
                    ProviderBench.Snapshot(
                        (ArchivedWal.Read(topology), new SqlAnswer("[]", "")),
                        (BackupLook.Tool.Read(BackupLook.LocationOf(topology)), new ToolAnswer(0, PgBackRestTests.Info)),
                        (
                            new RepositoryDirectoryRead("patroni", path),
                            mark is null ? new ToolAnswer(124, "") : new ToolAnswer(0, $"{mark}\n 1000 {free}\n")
                        )
                    )
                );
    }

    [TestCase(false, "the destroy keeps all of it beside the data")]
    [TestCase(true, "the destroy deletes all of it")]
    public void A_destroy_says_that_a_restore_is_not_ended(bool deletesData, string says)
    {
        var journal = new RestoreJournal("20261128T211000Z", "latest", Member, Member, RestorePhase.Kept);
        Assert.That(PostgresHealth.UnendedRestore("keybuzz-pg", [Holding(null)], deletesData, []), Is.Null);

        var said = PostgresHealth.UnendedRestore("keybuzz-pg", [Holding(null), Holding(journal)], deletesData, [])!;
        var ofOne = PostgresHealth.UnendedRestore("keybuzz-pg", [Holding(journal)], deletesData, ["other-1"])!.Detail!;
        Assert.That(ofOne, Does.Contain("what other-1 has of it, and the other members keep theirs").And.Not.Contain("all of it"));
        Assert.That(ofOne, Does.StartWith(says.Split(" all")[0]).And.Not.Contain("no way back"));
        Assert.That(
            PostgresHealth.UnendedRestore("keybuzz-pg", [Holding(journal)], deletesData, [Member])!.Detail,
            Does.EndWith($"; {Member} has the former database, without which there is no way back")
        );

        Assert.That(said.Severity, Is.EqualTo(KeyBuzz.Reconciler.Diagnostics.Severity.Warning));
        Assert.That(said.Summary, Does.StartWith("a restore of keybuzz-pg is not ended: the cluster runs the database of the latest"));
        Assert.That(said.Detail, Does.StartWith(says));

        static Snapshot Holding(RestoreJournal? journal) =>
            ProviderBench.Snapshot(
                (
                    RestoreJournal.Read("keybuzz-pg"),
                    journal is null
                        ? null
                        : new FileContent(
                            Encoding.UTF8.GetBytes(journal.Write("keybuzz-pg").Text.Split('\'').First(part => part.StartsWith('{')))
                        )
                )
            );
    }

    [Test]
    public void A_timer_that_does_not_run_is_named() =>
        AssertBackup(
            Ended + 7200,
            PgBackRestTests.Info,
            StatusVerdict.NotOk,
            "kbr-backup-full.timer on db-1 is not running: run kbr plan",
            timer: "inactive"
        );

    // No apply takes a backup, so none waits for one.
    [Test]
    public void A_missing_backup_does_not_fail_the_apply_that_turns_backups_on()
    {
        var topology = Load(With(One)).Model<PostgresTopology>()!;
        var status = new ClusterStatus(
            [new StatusItem("backup", StatusVerdict.NotOk, "no backup yet") { Topic = StatusTopic.Backups }],
            new StatusConclusion(StatusVerdict.Ok, "", 3, 3, [], [])
        );
        Assert.That(
            new StatusScope(topology, [Find(Load(With(One)), "backup_repository.keybuzz-pg@keybuzz-pg").Address]).Of(status).Items,
            Is.Empty
        );
        var settling = StatusCommand.Settling(
            PostgresHealth.ReportOf(
                status with
                {
                    Conclusion = status.Conclusion with { Causes = [new("backup: no backup yet", "backup"), new("x: y", "x")] },
                }
            )
        );
        Assert.That(settling.Items, Is.Empty, "of a whole apply, too");
        Assert.That(settling.Causes.Select(cause => cause.Text), Is.EqualTo(new[] { "x: y" }));
    }

    private void AssertBackup(
        long now,
        string info,
        StatusVerdict verdict,
        string measured,
        long? failedAt = null,
        string timer = "active",
        string archived = "0A",
        int ago = 40,
        string? check = null
    ) => Assert.That(Measured(now, info, verdict, failedAt, timer, archived, ago, check), Does.StartWith(measured));

    private string Measured(
        long now,
        string info,
        StatusVerdict verdict,
        long? failedAt = null,
        string timer = "active",
        string archived = "0A",
        int ago = 40,
        string? check = null,
        string line = "backup",
        (string State, string Said) proof = default,
        DateTimeOffset? proofSaid = null,
        ProofRecord? record = null
    )
    {
        var yaml = With(One.Replace(" }] }", " }], schedule: { full: Sun 01:00 }, prove: { schedule: Wed } }", StringComparison.Ordinal));
        var cluster = Load(
            string.Join('\n', yaml.Split('\n').Where(line => !line.Contains("db-slave", StringComparison.Ordinal)))
                .Replace("db-master-01", "db-1", StringComparison.Ordinal)
        );
        var topology = cluster.Model<PostgresTopology>()!;
        var reads = new StatusReads(topology, Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg"));
        var one = reads.ScheduledBackups.Single();
        const string Nonce = "0123456789abcdef0123456789abcdef";
        var snapshot = ReadList
            .Probe.Parse([.. reads.For(topology.Members[0])], Nonce, Encoding.UTF8.GetBytes($"\n{Nonce} end 0\n"))
            .With(PatroniAnswers.Snapshot(PatroniAnswers.Leader("db-1")))
            .With(
                ProviderBench.Snapshot(
                    (
                        reads.Archiver,
                        new SqlAnswer($$"""[{"archived": "{{archived}}", "archived_ago": {{ago}}, "waiting": 0, "now": {{now}} }]""", "")
                    ),
                    (CheckRecord.Read("keybuzz-pg"), check is null ? null : Checked(check)),
                    (BackupLook.Tool.Read(BackupLook.LocationOf(topology)), new ToolAnswer(0, info)),
                    (one.Timer, Unit(("ActiveState", timer), ("UnitFileState", "enabled"))),
                    (StatusReads.ProofTimer, Unit(("ActiveState", timer), ("UnitFileState", "enabled"))),
                    (StatusReads.ProofService, Unit(("ActiveState", proof.State ?? "inactive"))),
                    (StatusReads.ProofLog, proof.Said is null ? null : new FileContent(Encoding.UTF8.GetBytes(proof.Said))),
                    (StatusReads.ProofLogStat, proofSaid is { } ended ? Stat(ended) : null),
                    (ProofRecord.Read("keybuzz-pg"), record is null ? null : Written(record.Write("keybuzz-pg"))),
                    (one.Service, Unit(("ActiveState", failedAt is null ? "inactive" : "failed"))),
                    (one.Log, new FileContent(Encoding.UTF8.GetBytes("repository 1: [049]: x\ngiven up: repository 1: [049]: x\n"))),
                    (one.LogStat, failedAt is { } at ? Stat(DateTimeOffset.FromUnixTimeSeconds(at)) : null)
                )
            );
        var item = new StatusJudgement(topology, reads, new Dictionary<string, (Snapshot?, string?)> { ["db-1"] = (snapshot, null) }, [])
            .Judge()
            .Items.Single(each => each.Name == line);
        Assert.That(item.Verdict, Is.EqualTo(verdict), item.Measured);
        return item.Measured;

        static FileContent Checked(string problem) =>
            Written(new CheckRecord(s_proven, problem.Length == 0 ? [] : [problem]).Write("keybuzz-pg"));

        static FileContent Written(Script script) =>
            new(Encoding.UTF8.GetBytes(script.Text.Split('\'').First(part => part.StartsWith('{'))));

        static FileStat Stat(DateTimeOffset at) => new("regular file", 0, 0, "root", "root", "0600", at);

        static UnitState Unit(params (string Name, string Value)[] properties) =>
            new(properties.ToDictionary(pair => pair.Name, pair => pair.Value, StringComparer.Ordinal));
    }

    // The list of tools names the class.
    [Test]
    public void No_source_outside_of_its_folder_says_pgBackRest()
    {
        string[] exempt = ["providers/Backup/PgBackRest/", "providers/Backup/BackupTools.cs"];
        var said = new[] { "src", "providers" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Root(), folder), "*.cs", SearchOption.AllDirectories))
            .Select(file => Path.GetRelativePath(Root(), file))
            .Where(file => !exempt.Any(start => file.StartsWith(start, StringComparison.Ordinal)))
            .Where(file =>
                System.IO.File.ReadAllText(Path.Combine(Root(), file)).Contains("pgbackrest", StringComparison.OrdinalIgnoreCase)
            );
        Assert.That(said, Is.Empty);
    }

    private static string Root([CallerFilePath] string path = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "../../.."));

    private static IReadOnlyDictionary<string, string> Settings(Cluster cluster) =>
        Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg").Spec.Map("settings");
}
