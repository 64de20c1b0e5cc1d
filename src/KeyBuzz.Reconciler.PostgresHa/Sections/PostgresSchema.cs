using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Providers.ConsensusStore;

namespace KeyBuzz.Reconciler.PostgresHa.Sections;

/// <summary>The description of the <c>postgres</c> section. The readers take the names of the keys from here.</summary>
internal static class PostgresSchema
{
    /// <summary>The key of the login to the registry.</summary>
    public const string RegistryKey = "registry_login";

    private const string OwnSecret = "\"${secret.NAME}\"";

    /// <summary>The keys of <c>load_balancer</c>.</summary>
    public static readonly SectionSchema LoadBalancer = new([
        Word("address", "The address of the applications' connections; no host's address.") with
        {
            Required = true,
            Example = "10.0.0.10",
        },
        Port("port", "The port that it forwards to the primary.", "5432"),
        Port("pooled_port", "The port that it forwards to PgBouncer.", "6432"),
    ]);

    /// <summary>The keys of <c>image</c> as a map.</summary>
    public static readonly SectionSchema ArchivedImage = new([
        Word("archive", "A file of docker save, as kbr images build makes it; kbr loads it on each host.") with
        {
            Required = true,
            Example = "images/patroni.tar",
        },
        Word("name", "The image's REPOSITORY:TAG; default: as the archive says, which is then read by every command.") with
        {
            Example = "kbr/patroni:17",
        },
        Word("id", "The image's id; given together with its name.") with
        {
            Example = $"sha256:{string.Concat(Enumerable.Repeat("0123456789abcdef", 4))}",
        },
    ]);

    /// <summary>The keys of <c>virtual_ip</c>.</summary>
    public static readonly SectionSchema VirtualAddress = new([
        Word("address", "The IPv4 address of the applications' connections; no host's own.") with
        {
            Required = true,
            Example = "10.0.0.100",
        },
        Word("interface", "The network interface of every proxy that it is on.") with
        {
            Required = true,
            Example = "eth1",
        },
        Image("keepalived", "keepalived:2.3.3"),
        Integer(
            "router_id",
            "Its number among the virtual addresses of the network, to 255; default: the address's last number.",
            least: 1
        ),
    ]);

    /// <summary>The keys of <c>ports</c> that every consensus store has.</summary>
    public static readonly SectionSchema Ports = new([
        Port("postgres", "PostgreSQL; it stays as it is once the cluster exists.", "5432"),
        Port("rest", "Patroni's REST API.", "8008"),
    ]);

    /// <summary>The keys of <c>volume</c>.</summary>
    public static readonly SectionSchema Volume = new([
        Word("device", "The empty block device, or a map from member to device.") with
        {
            Or = [ValueForm.Values],
            Required = true,
            Example = "/dev/sdb",
        },
        Word("mount_point", "Where it is mounted; the unit does not start while it is not.", "/opt/keybuzz/postgres"),
        Word("mount_options", "The options of the mount.", "noatime"),
        Boolean("prevent_destroy", "Whether a plan that would delete it, or a data directory on it, is an error.", "false"),
        Size("ballast", "The size of a file that takes room, for kbr relief to give back when the volume is full; 0 for none.", "0"),
    ]);

    /// <summary>The keys of <c>directories</c> that every consensus store has.</summary>
    public static readonly SectionSchema Directories = new([
        Word("data", "The directory that the container mounts.", "/opt/keybuzz/postgres/data"),
        Word("data_directory", "PostgreSQL's data directory, a subdirectory of data.", "/opt/keybuzz/postgres/data/pgdata"),
        Word("archive", "The directory of the archive.", "/opt/keybuzz/postgres/archive"),
    ]);

    /// <summary>The keys of <c>s3</c> of a repository.</summary>
    public static readonly SectionSchema S3 = new([
        Word("endpoint", "The server: a name or an address, with :PORT where it is not 443. kbr speaks TLS to it, always.") with
        {
            Required = true,
            Example = "minio.example.com:9000",
        },
        Word("bucket", "The bucket; it must exist.") with
        {
            Required = true,
            Example = "kbr-backups",
        },
        Word("region", "Its region; servers other than Amazon's take any.", "us-east-1"),
        Word("path", "The path in the bucket, which no other cluster uses; default: / and the scope.") with
        {
            Example = "/keybuzz-pg",
        },
        Word("uri_style", "Where the bucket stands in a request; servers other than Amazon's usually need path.", "path") with
        {
            Choices = ["path", "host"],
        },
        Word("ca_file", "A local file with the authority of the server's certificate; default: the authorities in the image.") with
        {
            Example = "minio-ca.pem",
        },
    ]);

    /// <summary>The keys of <c>sftp</c> of a repository.</summary>
    public static readonly SectionSchema Sftp = new([
        Word("host", "The server: a name or an address, with :PORT where it is not 22.") with
        {
            Required = true,
            Example = "backup-01.example.com",
        },
        Word("user", "The user who logs in, with the key of the secret BACKUP_SFTP_KEY.") with
        {
            Required = true,
            Example = "kbr",
        },
        Word("known_hosts", "A local file with all keys of the server, as ssh-keyscan writes it; compare them with the server's.") with
        {
            Required = true,
            Example = "backup-01.known_hosts",
        },
        Word("path", "The directory, which no other cluster uses; default: / and the scope.") with
        {
            Example = "/srv/backups/keybuzz-pg",
        },
    ]);

    /// <summary>The keys of <c>retention</c> of a repository; of <c>full</c> and <c>days</c> one.</summary>
    public static readonly SectionSchema Retention = new([
        Integer("full", "How many full backups stay; default: 2.", least: 1),
        Integer("days", "For how many days backups stay, in place of full.", least: 1),
        Integer("differential", "How many differential backups stay; default: as long as their full backups.", least: 1),
    ]);

    /// <summary>The keys of an item of <c>repositories</c>.</summary>
    public static readonly SectionSchema Repository = new([
        Section("s3", "A bucket of an S3-compatible server. Its keys are the secrets BACKUP_S3_KEY and BACKUP_S3_SECRET.", S3),
        Section("sftp", "A directory by SFTP, instead. Its key is the secret BACKUP_SFTP_KEY: the file of an SSH key, in base64.", Sftp),
        Word(
            "directory",
            "A directory of a file system that is mounted on every member, instead; the repository is in it, under the scope."
        ) with
        {
            Example = "/mnt/backups",
        },
        Word("cipher", "The encryption; its key is the secret BACKUP_CIPHER_KEY. It stays as it is.", "aes-256-cbc") with
        {
            Choices = ["aes-256-cbc", "none"],
        },
        Section("retention", "How long backups stay; the WAL that they need stays with them.", Retention),
    ]);

    /// <summary>The keys of <c>schedule</c> of backups.</summary>
    public static readonly SectionSchema BackupSchedule = new([
        Words("full", "When full backups are taken, as systemd.time(7) has it, in the members' local time.") with
        {
            Example = "Sun 01:00",
        },
        Words("differential", "When differential backups are taken.") with
        {
            Example = "Mon..Sat 01:00",
        },
        Words("incremental", "When incremental backups are taken.") with
        {
            Example = "\"*-*-* 07..22:00\"",
        },
        Duration("try_for", "For how long one is tried, and waited for on the replicas.", "6h"),
    ]);

    /// <summary>The keys of <c>prove</c>.</summary>
    public static readonly SectionSchema BackupProof = new([
        Words("schedule", "When a backup is restored to a random second, checked and removed, on one replica.") with
        {
            Required = true,
            Example = "Wed 03:00",
        },
        Word("on", "The member that it is restored on where it is a replica; default: the first replica by name."),
    ]);

    /// <summary>The keys of <c>backup</c>.</summary>
    public static readonly SectionSchema Backup = new([
        new("repositories", ValueForm.Sections, "Where WAL and backups go: one repository or two.")
        {
            Required = true,
            Section = Repository,
            Example = "[{ s3: { endpoint: minio.example.com:9000, bucket: kbr-backups } }]",
        },
        Word("compression", "How files are compressed.", "zst") with
        {
            Choices = ["zst", "lz4", "gz", "none"],
        },
        Integer("process_max", "How many processes compress and transfer at the same time.", "1", 1),
        Word("priority", "Which time of processors and disks backups take: what nothing else wants, or less than PostgreSQL.", "idle") with
        {
            Choices = ["idle", "low"],
        },
        Section("schedule", "When backups are taken: systemd timers on every member; default: by hand.", BackupSchedule),
        Section("prove", "When the backups are proven: a systemd timer on every member; default: by hand.", BackupProof),
        Boolean("replicas_from_repository", "Whether a new replica is restored from a repository, which spares the primary.", "false"),
        Duration("max_age", "How old the last good backup may be; default: twice the longest time between two scheduled days."),
    ]);

    /// <summary>The keys of <c>health</c>.</summary>
    public static readonly SectionSchema Health = new([
        Size("max_lag", "How far a replica may be behind.", "1MiB"),
        Duration("gate_timeout", "How long kbr waits for health after a step, and for the checklist after an apply.", "120s"),
        Integer("max_volume_used", "How full a member's volume may be, in per cent of its space and of its inodes.", "85", 1),
    ]);

    /// <summary>The keys of <c>switchover</c>.</summary>
    public static readonly SectionSchema Switchover = new([
        Duration("patience", "How long transactions are waited for, with PgBouncer paused; 0s: PgBouncer is not paused.", "5s"),
        Word("on_timeout", "What follows when they take longer: a switchover that ends them, or none.", "proceed") with
        {
            Choices = ["proceed", "postpone"],
        },
    ]);

    /// <summary>The keys of <c>synchronous</c> as a map.</summary>
    public static readonly SectionSchema Synchronous = new([
        Boolean("strict", "Whether no write is committed while no replica streams.", "false"),
    ]);

    /// <summary>The keys of <c>tls.authority</c>.</summary>
    public static readonly SectionSchema TlsAuthority = new([
        Word("certificate", "A local PEM file with the authority's certificate.") with
        {
            Required = true,
            Example = "credentials/ca.crt",
        },
        Word("key", "A local PEM file with its ECDSA key, mode 0600; it goes to no host.") with
        {
            Required = true,
            Example = "credentials/ca.key",
        },
    ]);

    /// <summary>The keys of <c>tls</c>.</summary>
    public static readonly SectionSchema Tls = new([
        Word("mode", "off; offered: clients that ask for TLS get it; required: others are refused.", TlsSection.OfferedMode) with
        {
            Choices = [TlsSection.OffMode, TlsSection.OfferedMode, TlsSection.RequiredMode],
        },
        Word("hops", "Whether the cluster's own parts use TLS where it is offered, or refuse and verify.", "preferred") with
        {
            Choices = ["preferred", "required"],
        },
        Duration("validity", "How long a certificate is valid.", "2160h"),
        Duration("renew_before", "How long before its end a certificate is renewed; default: a third of its validity."),
        Section(TlsSection.AuthorityKey, "An authority of your own; default: kbr's, in the credentials file.", TlsAuthority),
        Words(TlsSection.TrustKey, "Local PEM files with the certificates of other authorities to trust, while one replaces the other."),
    ]);

    /// <summary>The keys of <c>dynamic</c>.</summary>
    public static readonly SectionSchema Dynamic = new([
        Integer("ttl", "Seconds after which a silent primary is replaced; 20 at least.", "30"),
        Integer("loop_wait", "Seconds between two rounds of Patroni.", "10"),
        Integer("retry_timeout", "Seconds for which Patroni tries the store and PostgreSQL again; 3 at least.", "10"),
        Size("maximum_lag_on_failover", "How far a replica may be behind to take over.", "1MiB"),
        Integer("maximum_lag_on_syncnode", "How far a synchronous standby may be behind, in bytes."),
        Integer("max_timelines_history", "How many timelines Patroni keeps in its history."),
        Integer("member_slots_ttl", "Seconds for which the slot of a missing member is kept."),
        Integer("primary_start_timeout", "Seconds that a failed primary may take to recover before a failover."),
        Integer("primary_stop_timeout", "Seconds that a primary may take to stop."),
        Boolean("check_timeline", "Whether only a member on the latest timeline may take over."),
        Boolean("failsafe_mode", "Whether the primary goes on while the store is lost and every member answers it."),
        Boolean("remove_data_directory_on_diverged_timelines", "Whether Patroni removes a data directory that pg_rewind cannot mend."),
        Boolean("remove_data_directory_on_rewind_failure", "Whether Patroni removes a data directory after a failed pg_rewind."),
        Boolean("use_pg_rewind", "Whether a former primary is mended by pg_rewind.", "true"),
        Boolean("use_slots", "Whether members have replication slots.", "true"),
    ]);

    /// <summary>A user's name and password.</summary>
    public static readonly SectionSchema Login = new([
        Word("name", "The name.") with
        {
            Example = "kb_user",
        },
        Word("password", "The password, from the secrets.") with
        {
            Example = OwnSecret,
        },
    ]);

    /// <summary>The login to HAProxy's statistics, or a second login.</summary>
    public static readonly SectionSchema RequiredLogin = new([.. Login.Keys.Select(key => key with { Required = true })]);

    /// <summary>The login to a registry.</summary>
    public static readonly SectionSchema RegistryLogin = new([
        Word("server", "The registry, as the images name it: HOST or HOST:PORT.") with
        {
            Required = true,
        },
        .. RequiredLogin.Keys,
    ]);

    /// <summary>The keys of <c>application</c> as a map.</summary>
    public static readonly SectionSchema Application = new([.. Login.Keys, RotateWith]);

    /// <summary>The keys of a user who goes.</summary>
    public static readonly SectionSchema DroppedUser = new([
        Word("name", "The user's name.") with
        {
            Required = true,
        },
        Boolean("drop", "Whether the user is dropped.", "false"),
    ]);

    /// <summary>The keys of an item of <c>users</c>.</summary>
    public static readonly SectionSchema User = new([
        .. DroppedUser.Keys,
        Word("password", "The password, from the secrets; required unless the user is dropped.") with
        {
            Example = OwnSecret,
        },
        Boolean("pooled", "Whether PgBouncer lets the user in.", "true"),
        RotateWith,
    ]);

    /// <summary>The keys of an item of <c>databases</c>.</summary>
    public static readonly SectionSchema Database = new([
        Word("name", "The database's name.") with
        {
            Required = true,
        },
        Word("owner", "Its owner; default: the application's user.") with
        {
            Example = "kb_app",
        },
        Boolean("pooled", "Whether PgBouncer leads to it.", "true"),
    ]);

    /// <summary>The keys of an item of <c>extensions</c>.</summary>
    public static readonly SectionSchema Extension = new([
        Word("name", "The extension's name.") with
        {
            Required = true,
        },
        Word("database", "Its database; default: the application's.") with
        {
            Example = "keybuzz",
        },
        Word("version", "Its version; default: any.") with
        {
            Example = "0.8.0",
        },
    ]);

    /// <summary>The keys of an item of <c>slots</c>.</summary>
    public static readonly SectionSchema Slot = new([
        Word("name", "The slot's name.") with
        {
            Required = true,
        },
        Word("type", "The kind of replication.", "physical") with
        {
            Choices = ["physical", "logical"],
        },
        Word("database", "The database of a logical slot.") with
        {
            Example = "keybuzz",
        },
        Word("plugin", "The output plugin of a logical slot.") with
        {
            Example = "pgoutput",
        },
    ]);

    /// <summary>The keys of an item of <c>ignore_slots</c>; a slot that matches all of them is ignored.</summary>
    public static readonly SectionSchema IgnoredSlot = new([.. Slot.Keys.Select(key => key with { Required = false, Default = null })]);

    /// <summary>The keys of <c>haproxy</c>.</summary>
    public static readonly SectionSchema Haproxy = new([
        Image("HAProxy", "haproxy:3.0.11"),
        Integer("uid", "The user that HAProxy runs as in the image.", "99", 1),
        Integer("gid", "Its group.", "99", 1),
        Port("port", "The port that leads to the primary; default: the load balancer's.", "5432"),
        Port("pooled_port", "The port that leads to PgBouncer; default: the load balancer's.", "6432"),
        Port("stats_port", "The port of the statistics.", "8404"),
        Boolean("metrics", "Whether stats_port also has metrics for Prometheus, at /metrics.", "false"),
        Section("stats_login", "The login that the statistics ask for; default: none.", RequiredLogin),
        Port("read_port", "The port that leads to replicas that are near enough; default: none."),
        Size("read_max_lag", "How far a replica of read_port may be behind.", "1MiB"),
        Integer("max_connections", "The most connections to each port of a proxy.", "2000", 10),
        Duration("inter", "The time between two health checks.", "500ms"),
        Duration("fastinter", "The same while a server changes its state.", "250ms"),
        Duration("downinter", "The same while a server is down.", "500ms"),
        Integer("fall", "After how many failed checks a server is down.", "2", 1),
        Integer("rise", "After how many passed checks a server is up.", "1", 1),
        Duration("connect_timeout", "The time to connect to a server.", "1s"),
        Duration("check_timeout", "The time that a health check may take.", "2s"),
        Integer("retries", "How often a pooled session tries another PgBouncer.", "1", 0),
        Duration("idle_timeout", "How long a session may be silent.", "24h"),
        Duration("client_timeout", "How long the client may be silent; default: idle_timeout."),
        Duration("server_timeout", "How long the server may be silent; default: idle_timeout."),
        Duration("queue_timeout", "HAProxy's timeout queue."),
        Duration("tunnel_timeout", "Replaces both timeouts once a session is established."),
        Duration("client_fin_timeout", "HAProxy's timeout client-fin."),
        Duration("server_fin_timeout", "HAProxy's timeout server-fin."),
        Marked("on_marked_down", "Whether sessions to the primary end when its health checks fail."),
        Marked("read_on_marked_down", "The same for read_port."),
    ]);

    /// <summary>The keys of <c>pgbouncer</c>.</summary>
    public static readonly SectionSchema PgBouncer = new([
        Image("PgBouncer", "pgbouncer:1.24.1"),
        Integer("uid", "The user that PgBouncer runs as in the image.", "999", 1),
        Integer("gid", "Its group.", "999", 1),
        Port("port", "PgBouncer's port on the proxies.", "6433"),
        Word("pool_mode", "When a connection to the server is given back.", "transaction") with
        {
            Choices = ["session", "transaction", "statement"],
        },
        Integer("max_client_conn", "The most clients.", "500", 1),
        Integer("default_pool_size", "The most connections to the server for a user and a database.", "50", 1),
        Integer("min_pool_size", "The fewest that are kept open.", "10", 0),
        Integer("reserve_pool_size", "How many more may be opened when clients wait.", "5", 0),
        Integer("reserve_pool_timeout", "After how many seconds of waiting.", "3", 0),
        Integer("max_db_connections", "The most connections to a database.", "100", 0),
        Integer("max_user_connections", "The most connections of a user.", "50", 0),
        new("settings", ValueForm.Values, "Further settings of PgBouncer's file, by its own names.")
        {
            Example = "{ query_wait_timeout: 60 }",
        },
    ]);

    /// <summary>The keys of <c>ports</c> of monitoring.</summary>
    public static readonly SectionSchema MonitoringPorts = new([
        Port("postgres", "The exporter of PostgreSQL, on the members.", "9187"),
        Port("pgbouncer", "The exporter of PgBouncer, on the proxies.", "9127"),
        Port("node", "The exporter of the host.", "9100"),
        Port("prometheus", "Prometheus, on the server.", "9090"),
        Port("alertmanager", "Alertmanager, on the server.", "9093"),
    ]);

    /// <summary>The keys of <c>receivers</c>.</summary>
    public static readonly SectionSchema Receivers = new([
        Word("webhook", "The URL that gets each alert as JSON, from the secrets.") with
        {
            Example = OwnSecret,
        },
        Word("slack", "The URL of an incoming webhook of Slack or Mattermost, from the secrets.") with
        {
            Example = OwnSecret,
        },
    ]);

    /// <summary>The keys of <c>monitoring</c>.</summary>
    public static readonly SectionSchema Monitoring = new([
        Image("the exporters, Prometheus and Alertmanager", "monitoring:2.53.3"),
        Words("exporters", "Which run: postgres, pgbouncer, node; default: postgres on the members, pgbouncer on the proxies.") with
        {
            Example = "[postgres, pgbouncer, node]",
        },
        Word("server", "The host of the file that runs Prometheus and Alertmanager; default: none.") with
        {
            Example = "monitoring-01",
        },
        Duration("interval", "How often the server asks.", "15s"),
        Size("storage", "How much the server keeps; older figures make room.", "4GiB"),
        Duration("max_transaction", "How old a transaction may be before an alert.", "1h"),
        Duration("max_idle_in_transaction", "For how long a transaction may be idle before an alert.", "5m"),
        Section("login", "The login that exporters, Prometheus and Alertmanager ask for; default: none.", RequiredLogin),
        Section("receivers", "Where Alertmanager sends alerts; default: nowhere.", Receivers),
        Section("ports", "Where each listens, on its host's private address.", MonitoringPorts),
    ]);

    /// <summary>The keys of the section that every consensus store has.</summary>
    public static readonly SectionSchema Common = new([
        Integer("version", "PostgreSQL's major version.", "16", 13),
        Words("members", "The hosts with Patroni and PostgreSQL: a role, a host, or a list. Three or five.") with
        {
            Required = true,
            Example = "db",
        },
        Words("proxies", "The hosts with HAProxy and PgBouncer.") with
        {
            Required = true,
            Example = "lb",
        },
        Section("load_balancer", "The load balancer in front of the proxies, if there is one; kbr does not set it up.", LoadBalancer),
        Section("virtual_ip", "An address that one of the proxies holds, by keepalived; instead of a load balancer.", VirtualAddress),
        Image("the members", "patroni:16.14-4.0.7"),
        Section(RegistryKey, "The login to the registry of the images; default: none.", RegistryLogin),
        Section("volume", "The volume of each member, with XFS.", Volume) with
        {
            Required = true,
        },
        Section("haproxy", "HAProxy on the proxies.", Haproxy) with
        {
            Required = true,
        },
        Section("pgbouncer", "PgBouncer on the proxies.", PgBouncer) with
        {
            Required = true,
        },
        Word("scope", "Patroni's name of the cluster, and of its group; default: the cluster's name.") with
        {
            Example = "keybuzz-pg",
        },
        Word("namespace", "Patroni's namespace: the cluster's path in the consensus store.", "/service/"),
        Section("ports", "The ports of the members.", Ports),
        Integer("uid", "The user that PostgreSQL runs as in the image.", "999", 1),
        Integer("gid", "Its group.", "999", 1),
        Size("shm_size", "/dev/shm of PostgreSQL.", "1GiB"),
        Duration("stop_timeout", "How long PostgreSQL is given to stop; 60s at least.", "60s"),
        Word("directory", "The parent of the directories of Patroni, HAProxy and PgBouncer.", "/opt/keybuzz"),
        Section("directories", "The directories of the members; default: under the mount point.", Directories),
        Word("first_leader", "The member that makes the database when there is none; default: the first member.") with
        {
            Example = "db-1",
        },
        Word("preferred_leader", "The preferred primary of a healthy cluster; default: any.") with
        {
            Example = "db-1",
        },
        Word(PostgresSection.StoreKey, "The consensus store."),
        Boolean("synchronous", "Whether a commit waits until a replica has it too, so that no failover loses it.", "false") with
        {
            Or = [ValueForm.Section],
            Section = Synchronous,
        },
        Word("locale", "The locale of initdb; it counts at the first start only.", "C.UTF-8"),
        Words("networks", "Networks beside the proxies that may log in directly.") with
        {
            Example = "[10.0.0.0/16]",
        },
        Word(TlsSection.Key, "TLS of PostgreSQL and PgBouncer: off, offered, required, or a map.", TlsSection.OffMode) with
        {
            Or = [ValueForm.Section],
            Section = Tls,
        },
        Section("dynamic", "Patroni's dynamic configuration.", Dynamic),
        new("parameters", ValueForm.Values, "PostgreSQL's parameters, by their own names. A change that needs a restart restarts in turn.")
        {
            Example = "{ max_connections: 200 }",
        },
        List("slots", "Permanent replication slots: names, or maps.", Slot) with
        {
            Example = "[backup]",
        },
        List("ignore_slots", "Slots that Patroni leaves alone.", IgnoredSlot) with
        {
            Example = "[{ name: debezium, type: logical }]",
        },
        UserKey("superuser", "The superuser", "kb_admin", Login),
        Word("superuser_login", "The superuser's way in: like every user, or on the members only.", "proxies") with
        {
            Choices = ["proxies", "members"],
        },
        UserKey("replication", "The user of the replicas", "kb_repl", Login),
        UserKey("application", "The application's user", "kb_app", Application),
        Word("database", "The application's database, owned by its user; default: POSTGRES_DB of the secrets, or keybuzz.") with
        {
            Example = "keybuzz",
        },
        List("users", "Further users.", User) with
        {
            Example = "[{ name: reports, password: \"${secret.REPORTS}\" }]",
        },
        List("databases", "Further databases.", Database) with
        {
            Example = "[{ name: reports, owner: reports }]",
        },
        List("extensions", "Extensions: names, or maps.", Extension) with
        {
            Example = "[vector]",
        },
        Section("backup", "Archives WAL to one repository or two, by the backup tool in the members' image; default: none.", Backup),
        Section(MonitoringSection.Key, "Exporters, and Prometheus with Alertmanager; default: none.", Monitoring),
        Section("health", "The bounds of a healthy cluster.", Health),
        Section("switchover", "How the lead is handed over when that is planned.", Switchover),
        Words("drop_ins", "Drop-ins of the units that may be on the hosts, by path; any other is drift.") with
        {
            Example = "[/etc/systemd/system/patroni.service.d/limits.conf]",
        },
        Boolean(PostgresSection.ReadOnlyKey, "Whether the root file system of the members' containers is read-only.", "true"),
    ]);

    // A property, since other fields are made of it before its place in the order of the file.
    private static SectionKey RotateWith =>
        Section("rotate_with", "A second login for the same, to change a password without an interruption.", RequiredLogin);

    /// <summary>The section with the keys of all consensus stores.</summary>
    public static SectionSchema Of(ConsensusStores stores)
    {
        return With(
            "",
            [
                .. Common.Keys.Select(key =>
                    key.Name switch
                    {
                        PostgresSection.StoreKey => key with
                        {
                            Choices = [.. stores.All.Select(store => store.Key)],
                            Default = stores.Default.Key,
                            Or = stores.All.Any(store => store.Own is not null) ? [ValueForm.Section] : [],
                            Section = stores.All.Any(store => store.Own is not null)
                                ? new SectionSchema([
                                    .. stores
                                        .All.Where(store => store.Own is not null)
                                        .Select(store => Section(store.Key, $"{store.Name} as the store, with its settings.", store.Own!)),
                                ])
                                : null,
                        },
                        "ports" => key with { Section = With("ports", Ports.Keys, store => store.PortKeys) },
                        "directories" => key with { Section = With("directories", Directories.Keys, store => store.DirectoryKeys) },
                        _ => key,
                    }
                ),
            ],
            store => store.SectionKeys
        );

        SectionSchema With(string section, ImmutableArray<SectionKey> keys, Func<IConsensusStore, ImmutableArray<string>> more) =>
            new([.. keys, .. stores.All.SelectMany(store => more(store).Select(key => store.Describe(section, key)))]);
    }

    private static SectionKey Word(string name, string description, string? preset = null) =>
        new(name, ValueForm.Word, description) { Default = preset };

    private static SectionKey Words(string name, string description) => new(name, ValueForm.Words, description) { Or = [ValueForm.Word] };

    private static SectionKey Boolean(string name, string description, string? preset = null) =>
        new(name, ValueForm.Boolean, description) { Default = preset };

    private static SectionKey Integer(string name, string description, string? preset = null, long least = 0) =>
        new(name, ValueForm.Integer, description) { Default = preset, Minimum = least };

    private static SectionKey Size(string name, string description, string preset) =>
        new(name, ValueForm.Size, description) { Default = preset };

    private static SectionKey Duration(string name, string description, string? preset = null) =>
        new(name, ValueForm.Duration, description) { Default = preset };

    private static SectionKey Port(string name, string description, string? preset = null) =>
        new(name, ValueForm.Port, description) { Default = preset };

    private static SectionKey Section(string name, string description, SectionSchema keys) =>
        new(name, ValueForm.Section, description) { Section = keys };

    private static SectionKey List(string name, string description, SectionSchema keys) =>
        new(name, ValueForm.Sections, description) { Or = [ValueForm.Words], Section = keys };

    private static SectionKey UserKey(string name, string description, string preset, SectionSchema keys) =>
        Word(name, $"{description}: a name, or a map with name and password; default: the name in the secrets, or {preset}.") with
        {
            Or = [ValueForm.Section],
            Section = keys,
            Example = preset,
        };

    private static SectionKey Marked(string name, string description) =>
        Word(name, description, "shutdown-sessions") with
        {
            Choices = ["shutdown-sessions", "none"],
        };

    private static SectionKey Image(string of, string example) =>
        Word("image", $"The image of {of}: of a registry, with tag and digest; or a map with an archive.") with
        {
            Or = [ValueForm.Section],
            Section = ArchivedImage,
            Required = true,
            Example = $"registry.example.com/kbr/{example}@sha256:{string.Concat(Enumerable.Repeat("0123456789abcdef", 4))}",
        };
}
