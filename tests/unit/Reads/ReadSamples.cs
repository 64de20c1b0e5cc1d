using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Backup.PgBackRest;
using KeyBuzz.Reconciler.Providers.Certificate;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Etcd;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Providers.Supervision;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Reads;

/// <summary>A sample of every read. A new read needs a row here (<c>ReadListTests</c>).</summary>
internal static class ReadSamples
{
    /// <summary>That of the probe whose answers these are.</summary>
    public const string Nonce = "0123456789abcdef0123456789abcdef";

    public static readonly ReadSample[] All =
    [
        new(
            new StatRead("/opt/a b"),
            "stat --printf '%F\\t%u\\t%g\\t%U\\t%G\\t%a\\t%.9Y\\t%b\\t%n\\n' -- '/opt/a b' ",
            "regular empty file\t999\t998\tpostgres\tUNKNOWN\t640\t1700000000.500000000\t8\t/opt/a b\n@stat 1",
            """{"Kind":"regular file","Uid":999,"Gid":998,"User":"postgres","Group":"UNKNOWN","Mode":"0640","ModifiedAt":"2023-11-14T22:13:20.5+00:00","AllocatedBytes":4096}"""
        )
        {
            Nothing = "null",
        },
        new(
            new FileRead("/etc/it's"),
            "files '/etc/it'\\''s'",
            $"@there ,0\na\nb\nn={Nonce}\0\n@files 0",
            """{"Bytes":"YQpiCg==","Text":"a\nb\n"}"""
        )
        {
            Nothing = "null",
        },
        new(
            new MountsRead(),
            "cat /proc/self/mountinfo",
            "36 35 98:0 / /mnt/a\\040b rw,noatime shared:1 - xfs /dev/sdb rw,attr2\n37 35 0:4 broken\n@mounts 0",
            """[{"MountPoint":"/mnt/a b","Source":"/dev/sdb","DeviceNumber":"98:0","Type":"xfs","Options":"rw,noatime,rw,attr2"}]"""
        )
        {
            Nothing = "[]",
        },
        new(
            new BlockDeviceRead("/dev/sdb"),
            "device 0 '/dev/sdb'",
            "8 10\n1024\ndata\nDEVNAME=/dev/sdb\nLABEL=my\\ data\nTYPE=xfs\n@b0 0",
            """{"Exists":true,"DeviceNumber":"8:16","Signatures":{"LABEL":"my data","TYPE":"xfs"},"FirstMebibyteIsZero":false,"SizeBytes":1024}"""
        )
        {
            Nothing = """{"Exists":false,"DeviceNumber":null,"Signatures":{},"FirstMebibyteIsZero":false,"SizeBytes":0}""",
        },
        new(
            new DisksRead(),
            "for f in /dev/disk/by-id/*",
            "name\t/dev/sda\t/dev/sda\nname\t/dev/sdb\t/dev/disk/by-id/scsi-1\nname\t/dev/sdb\t/dev/sdb\n"
                + "disk\t/dev/sda\t8 0\t2048\tdisk\tused\t0\tdata\ndisk\t/dev/sdb\t8 10\t1024\tdisk\tfree\t2\tzero\n@disks 0",
            """[{"Path":"/dev/sda","Names":[],"DeviceNumber":"8:0","SizeBytes":2048,"IsPartition":false,"IsEmpty":false}"""
                + ""","""
                + """{"Path":"/dev/sdb","Names":["/dev/disk/by-id/scsi-1"],"DeviceNumber":"8:16","SizeBytes":1024,"IsPartition":false,"IsEmpty":true}]"""
        )
        {
            Nothing = "[]",
        },
        new(
            new DiskSpaceRead("/var/lib"),
            "space 0 '/var/lib'",
            "     1B-blocks     Avail Type Inodes IFree\n 8589934592 6442450944 xfs 4194304 4194300\n@s0 0",
            """{"SizeBytes":8589934592,"AvailableBytes":6442450944,"FileSystem":"xfs","Inodes":4194304,"AvailableInodes":4194300}"""
        )
        {
            Nothing = "null",
        },
        new(
            new UnitRead("app.service"),
            "for u in 'app.service'; do for f in",
            "Names=app.service\n@units 0\n"
                + "/etc/systemd/system/multi-user.target.wants/app.service\n/etc/systemd/system/app.service.d/x.conf\n@unitfiles 0",
            """{"Properties":{"Names":"app.service"}"""
                + ""","DropIns":["/etc/systemd/system/app.service.d/x.conf"],"StartedWith":["multi-user.target"],"ActiveSince":null}"""
        )
        {
            Nothing = """{"Properties":{},"DropIns":[],"StartedWith":[],"ActiveSince":null}""",
        },
        new(
            new PortRead("10.0.0.1", 5432),
            "0 '10.0.0.1' 5432",
            "environment: line 1: /dev/tcp/10.0.0.1/5432: Connection refused\n0 failed\n@ports 0",
            "1"
        )
        {
            Nothing = "2",
        },
        new(
            new LockRead(),
            "cat /run/kbr/lock.json",
            """
            pid 17
            {"user":"ops","machine":"laptop","pid":4,"directory":"/srv","command":"apply","since":"2026-11-23T12:00:00Z"}
            @lock 0
            """,
            """{"ProcessIds":[17],"Holder":{"User":"ops","Machine":"laptop","ProcessId":4"""
                + ""","Directory":"/srv","Command":"apply","Since":"2026-11-23T12:00:00+00:00","InWords":"apply by ops on laptop (pid 4, in /srv) since 2026-11-23 12:00:00 UTC"}}"""
        )
        {
            Nothing = """{"ProcessIds":[],"Holder":null}""",
        },
        new(
            new ClockRead(),
            "timedatectl show -p NTPSynchronized",
            "now=1700000000.5\nkernel=yes\n@clock 0",
            """{"Synchronized":true,"Source":"the kernel, by timedated","Now":"2023-11-14T22:13:20.5+00:00"}"""
        )
        {
            Nothing =
                """{"Synchronized":null,"Source":"neither timedated nor chrony nor systemd-timesyncd answers","Now":"1970-01-01T00:00:00+00:00"}""",
        },
        new(new CommandsRead("curl mkfs.xfs"), "commands 0 'curl' 'mkfs.xfs'", "curl\n@k0 0", """{"Names":["curl"]}""")
        {
            Nothing = """{"Names":[]}""",
        },
        new(
            new RecordsRead("lab"),
            "set -- '/var/lib/kbr/lab/records'/*.json",
            "directory\t0\t700\t/var/lib/kbr\nregular file\t0\t600\t/var/lib/kbr/lab/records/a@b.json\n@r0 1\n"
                + "==> /var/lib/kbr/lab/records/a@b.json <==\n{}\n@rf0 0\n@rg0 0",
            """{"Directories":[{"Path":"/var/lib/kbr","Kind":"directory","Uid":0,"Mode":"0700"}]"""
                + ""","Files":[{"At":{"Path":"/var/lib/kbr/lab/records/a@b.json","Kind":"regular file","Uid":0,"Mode":"0600"},"Bytes":"e30=","Text":"{}"}]}"""
        )
        {
            Nothing = """{"Directories":[],"Files":[]}""",
        },
        new(
            new HistoryRead("lab"),
            "-- /var/log/kbr '/var/log/kbr/lab.jsonl'",
            "directory\t0\t700\t/var/log/kbr\nregular file\t0\t600\t/var/log/kbr/lab.jsonl\n@hi0 0\n{}\n@hf0 0",
            """{"Places":[{"Path":"/var/log/kbr","Kind":"directory","Uid":0,"Mode":"0700"}"""
                + ""","""
                + """{"Path":"/var/log/kbr/lab.jsonl","Kind":"regular file","Uid":0,"Mode":"0600"}],"Text":"{}\n","Refusal":null}"""
        )
        {
            Nothing = """{"Places":[],"Text":"","Refusal":null}""",
        },
        new(
            new ContainerRead("b c"),
            "--unix-socket /run/docker.sock",
            """
            {"Id":1}
            @d0 200
            @docker 0
            """,
            """{"Status":200,"Json":"{\u0022Id\u0022:1}\n"}"""
        )
        {
            Nothing = """{"Status":0,"Json":""}""",
        },
        new(
            new ImageRead("reg:5000/x:1@sha256:00"),
            "'http://localhost/images/reg:5000/x:1@sha256:00/json'",
            "{}\n@d0 404",
            """{"Status":404,"Json":"{}\n"}"""
        )
        {
            Nothing = """{"Status":0,"Json":""}""",
        },
        new(
            new ServicesRead(),
            "systemctl show --all --no-pager",
            "app.service /usr/bin/docker start -a app \n@clients 0\n"
                + "ExecStop={ path=/usr/bin/docker ; argv[]=/usr/bin/docker stop app ; ignore_errors=no ; pid=0 }\nId=app.service\n"
                + "LoadState=loaded\n@services 0",
            """[{"Name":"app.service","LoadState":"loaded","Commands":[{"Kind":"ExecStop","Line":"/usr/bin/docker stop app"}]"""
                + ""","Clients":["/usr/bin/docker start -a app"]}]"""
        )
        {
            Nothing = "[]",
        },
        new(
            new HttpRead(HttpRead.OwnAddress, 8008, "/patroni"),
            "'http://[fd00::1]:8008/patroni'",
            "{}\n@h0 503",
            """{"Status":503,"Body":"{}\n"}"""
        )
        {
            Nothing = """{"Status":0,"Body":""}""",
        },
        // A hello of TLS 1.2 by a server that chose ECDHE-ECDSA-AES128-GCM-SHA256, and a certificate of three bytes.
        new(
            new TlsRead("10.0.0.1", 5432),
            "' '10.0.0.1' 5432 2>/dev/null </dev/null; end t0 $?",
            "S\n" + "FgMDACoCAAAmAwMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADAKwAWAwMADQsAAAkAAAYAAAMwAQA=\n@t0 0",
            """{"Protocol":"TLSv1.2","Cipher":"ECDHE-ECDSA-AES128-GCM-SHA256","Certificate":"MAEA"}"""
        )
        {
            Nothing = """{"Protocol":"","Cipher":"","Certificate":""}""",
        },
        new(
            new TlsLoginRead(new TlsLogin("pgbouncer", "/ca.crt", "kb_app", SecretText.Plain("pass"), "app"), "10.0.0.11", 6432),
            "_pw'\npass\n",
            "false\toff\t10.0.0.1\t10.0.0.2\n@l0 0",
            """{"ExitCode":0,"Output":"false\toff\t10.0.0.1\t10.0.0.2\n"}"""
        )
        {
            Nothing = """{"ExitCode":-1,"Output":""}""",
        },
        new(
            new SqlRead("patroni", "kb_admin", "app", 5432, "SELECT 1 AS n"),
            "PGDATABASE='app' psql -X -q -A -t -U 'kb_admin' -p 5432 2>&1 <<",
            "[{\"n\":1}]\n@q0 false\n@p0 0\n@x0 0",
            """{"Json":"[{\u0022n\u0022:1}]","Error":""}"""
        )
        {
            Nothing = """{"Json":null,"Error":"no answer"}""",
        },
        new(
            new HaproxyCheckRead("haproxy", "/etc/haproxy.cfg"),
            "haproxy -c -q -f '/etc/haproxy.cfg'",
            "fatal errors\n@c0 1\n@x0 0",
            """{"ExitCode":1,"Output":"fatal errors\n"}"""
        )
        {
            Nothing = """{"ExitCode":-1,"Output":""}""",
        },
        new(
            new PoolerRead("pgbouncer", "/tmp", 6432, PoolerTable.Pools),
            "-h '/tmp' -p 6432 -U pgbouncer -d pgbouncer -c 'SHOW POOLS'",
            "database,user\napp,kb_app\n@o0 0\n@x0 0",
            """{"ExitCode":0,"Output":"database,user\napp,kb_app\n"}"""
        )
        {
            Nothing = """{"ExitCode":-1,"Output":""}""",
        },
        new(
            new PgBackRestRead("patroni", "/etc/patroni/pgbackrest.conf", "pg"),
            "timeout 10 pgbackrest --config='/etc/patroni/pgbackrest.conf' --stanza='pg' --io-timeout=5 --log-level-console=off "
                + "--log-level-stderr=error --output=json info 2>&1 </dev/null",
            "[]\n@g0 0\n@x0 0",
            """{"ExitCode":0,"Output":"[]\n"}"""
        )
        {
            Nothing = """{"ExitCode":-1,"Output":""}""",
        },
        new(
            new RepositoryDirectoryRead("patroni", "/mnt/it's/pg"),
            "timeout -k 1 4 sh -c ",
            "0f3e\n 1000 900\n@m0 0\n@x0 0",
            """{"ExitCode":0,"Output":"0f3e\n 1000 900\n"}"""
        )
        {
            Nothing = """{"ExitCode":-1,"Output":""}""",
        },
        new(
            new EtcdRead("etcd", true),
            "etcdctl --command-timeout=2s member list -w json",
            "quota 1\n@e0 0\n@x0 0",
            """{"ExitCode":0,"Output":"quota 1\n"}"""
        )
        {
            Nothing = """{"ExitCode":-1,"Output":""}""",
        },
        new(
            new RaftRead("patroni"),
            "python3 - <<",
            "{\"leader\":null}\n@a0 0\n@x0 0",
            """{"ExitCode":0,"Output":"{\u0022leader\u0022:null}\n"}"""
        )
        {
            Nothing = """{"ExitCode":-1,"Output":""}""",
        },
    ];
}
