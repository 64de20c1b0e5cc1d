using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>The documented commands that <see cref="DocumentedCommandsTests"/> runs in a way of their own, and where those run that it
/// does not.</summary>
internal static partial class DocumentedCommands
{
    private const string Adopt = "tests/ha/FreshHosts/AdoptTests.cs";
    private const string AdoptFound = "tests/ha/FreshHosts/AdoptFoundTests.cs";
    private const string Archive = "tests/ha/ArchiveTests.cs";
    private const string BackupFault = "tests/ha/BackupFaultTests.cs";
    private const string Ci = "tests/unit/Cli/CiFilesTests.cs";
    private const string Drill = "tests/ha/DrillTests.cs";
    private const string DriftTimer = "tests/lab/DriftTimerTests.cs";
    private const string Images = "tests/unit/Cli/ImagesTests.cs";
    private const string Jump = "tests/lab/JumpHostTests.cs";
    private const string Package = "eng/package-test.sh";
    private const string Quickstart = "tests/ha/FreshHosts/QuickstartTests.cs";
    private const string Rebuild = "tests/ha/RebuildTests.cs";
    private const string Recover = "tests/ha/RecoverTests.cs";
    private const string Restore = "tests/ha/RestoreTests.cs";
    private const string State = "tests/unit/Cli/StateTests.cs";
    private const string Suites = "eng/test.sh";
    private const string Watch = "tests/unit/Cli/StatusCommandTests.cs";

    // The quickstart runs as it is written.
    private const string AsWritten = "(?m)^    (kbr .*)$";

    // So do the blocks that go back from kbr to what was there before.
    private const string Blocks = "DocumentedBlocks.Under(";

    /// <summary>What changes the cluster, needs hosts or programs of its own, or does not end: the command, the file that runs it, and
    /// what stands there.</summary>
    public static readonly (string Command, string File, string Text)[] Elsewhere =
    [
        ("kbr images build", Quickstart, AsWritten),
        ("kbr images build --on db-slave-01", Images, "\"--on\", \"db-1\""),
        ("kbr images build patroni --postgres 17", Images, "\"images\", \"build\", \"haproxy\""),
        ("kbr images build && kbr init --credentials && kbr validate && kbr check && kbr plan", Quickstart, AsWritten),
        ("kbr init --from servers.tsv --load-balancer 10.0.0.10 --postgres 17", Quickstart, AsWritten),
        ("kbr import", Adopt, "\"import\", \"--auto-approve\""),
        ("kbr apply --target 'role.*'", Adopt, "\"--target\", \"role.*\""),
        ("cd /opt/keybuzz/postgres/data", AdoptFound, Blocks),
        ("mkdir data.kbr", AdoptFound, Blocks),
        ("mv data raft archive data.kbr/", AdoptFound, Blocks),
        ("mv data.kbr/data/pgdata/* .", AdoptFound, Blocks),
        ("systemctl disable --now patroni.service", Adopt, Blocks),
        ("docker rm patroni", Adopt, Blocks),
        ("docker rename patroni.before-kbr patroni", Adopt, Blocks),
        ("docker update --restart unless-stopped patroni", Adopt, Blocks),
        ("docker start patroni", Adopt, Blocks),
        ("systemctl disable --now haproxy.service pgbouncer.service", Adopt, Blocks),
        ("docker rm haproxy pgbouncer", Adopt, Blocks),
        ("/etc/systemd/system/haproxy-docker.service.before-kbr/restore", Adopt, Blocks),
        ("/etc/systemd/system/pgbouncer-docker.service.before-kbr/restore", Adopt, Blocks),
        ("mv /opt/keybuzz/postgres/data /opt/keybuzz/postgres/data.kbr", Adopt, Blocks),
        ("mv /opt/keybuzz/postgres/data.kbr/pgdata /opt/keybuzz/postgres/data", Adopt, Blocks),
        ("/etc/systemd/system/patroni-docker.service.before-kbr/restore", Adopt, Blocks),
        ("ssh-keyscan backup-01.example.com > backup-01.known_hosts", Archive, "s_sftp"),
        ("echo \"BACKUP_SFTP_KEY=$(base64 -w0 backup-key)\" >> credentials/postgres.env", Archive, "s_sftp"),
        ("kbr backup --full", Archive, "\"backup\", \"--full\""),
        ("kbr backups", Archive, "Kbr(\"backups\")"),
        ("kbr backups check", Archive, "\"backups\", \"check\""),
        ("systemctl list-timers 'kbr-backup-*'", Archive, "s_timer"),
        ("systemctl start kbr-backup-full", Archive, "s_timer"),
        ("systemctl stop kbr-backup-full", Archive, "s_timer"),
        ("journalctl -u kbr-backup-full", Archive, "s_timer"),
        ("kbr backups prove", BackupFault, "\"backups\", \"prove\""),
        ("systemctl start kbr-proof", BackupFault, "systemctl start kbr-proof"),
        ("cat /run/kbr/kbr-proof.log", BackupFault, "cat /run/kbr/kbr-proof.log"),
        ("kbr restore --to '2026-11-28 21:10:00+01'", Restore, "\"restore\", \"--to\", s_time"),
        ("./kbr recover --lost db-slave-01 --lost db-slave-02", Recover, "Kbr([\"recover\", .. Lost(), \"--confirm\""),
        ("kbr restore look", Restore, "\"restore\", \"look\""),
        ("kbr restore look -- -c 'SELECT count(*) FROM orders'", Restore, "\"restore\", \"look\", \"--\""),
        ("kbr restore", Restore, "Done(\"restore\", \"--confirm\""),
        ("kbr restore --to latest --open", Restore, "\"--to\", \"latest\", \"--open\""),
        ("./kbr destroy -c lab/cluster-ha.yaml", Rebuild, "Kbr(\"destroy\", \"--auto-approve\")"),
        ("./kbr destroy -c lab/cluster-ha.yaml --delete-data --confirm keybuzz-pg", Rebuild, "\"--delete-data\", \"--confirm\""),
        ("./kbr switchover", Drill, "Kbr(\"switchover\", \"--auto-approve\""),
        ("./kbr switchover --to db-slave-01", Drill, "\"switchover\", \"--to\""),
        ("./kbr restart", "tests/ha/UsersAndSlotsTests.cs", "Kbr(\"restart\", \"--auto-approve\""),
        ("./kbr restart --all", Drill, "\"restart\", \"--all\""),
        ("./kbr fence db-slave-01 --reason 'disk errors'", "tests/ha/RebootTests.cs", "Kbr(\"fence\", member, \"--reason\""),
        ("./kbr unfence db-slave-01", "tests/ha/RebootTests.cs", "Kbr(\"unfence\", member"),
        ("./kbr drill", Drill, "Kbr(\"drill\", \"--auto-approve\")"),
        ("systemctl list-timers 'kbr-drill*'", Drill, "s_byHand"),
        ("systemctl start kbr-drill.service", Drill, "s_byHand"),
        ("systemctl stop kbr-drill.timer", Drill, "s_byHand"),
        ("./kbr drill --kind kill --json --svg drill.svg", Drill, "\"--json\", \"--svg\""),
        ("kbr relief db-master-01", "tests/ha/FullVolumeTests.cs", "Kbr(\"relief\", leader)"),
        ("kbr init", "tests/unit/Cli/InitTests.cs", "On_a_terminal_the_hosts_are_asked_for"),
        ("kbr status --watch", Watch, "\"status\", \"--watch\", \"1\""),
        ("kbr status --watch 10", Watch, "\"status\", \"--watch\", \"1\""),
        ("kbr logs patroni -f", "tests/unit/Cli/LogsTests.cs", "\"patroni@db-1\", \"-f\""),
        ("kbr check --ports --format nft --target '*@db-1' | ssh root@db-1 nft -f -", "tests/unit/PostgresHa/TrafficTests.cs", "\"nft\""),
        ("kbr state mv '*@db-old' '*@db-new'", State, "\"state\", \"mv\""),
        ("kbr state rm container.app@db-1", State, "\"state\", \"rm\""),
        ("kbr unlock --end db-slave-01", "tests/unit/Cli/UnlockTests.cs", "\"unlock\", \"--end\", \"db-1\""),
        ("kbr apply --replace 'certificate.patroni@db-1'", "tests/ha/TlsTests.cs", "\"--replace\""),
        ("kbr renew", "tests/ha/TlsTests.cs", "\"renew\""),
        ("kbr connect --ca > keybuzz-pg-ca.crt", "tests/unit/Cli/ConnectTests.cs", "\"connect\", \"--ca\""),
        ("kbr apply --replace container.haproxy@haproxy-01", "tests/unit/Cli/PlanWordsTests.cs", "\"--replace\""),
        ("apt install ./kbr_0.1.0_amd64.deb", Package, "dpkg --root="),
        ("apt install ./kbr_NEW_amd64.deb", Package, "dpkg --root="),
        ("apt remove kbr", Package, "-r kbr"),
        ("man kbr-plan", Package, "'completion bash' 'man plan'"),
        ("tar -xzf kbr_0.1.0_linux-x64.tar.gz", Package, "commands '## Program'"),
        ("install kbr-0.1.0-linux-x64/bin/kbr /usr/local/bin/kbr", Package, "commands '## Program'"),
        ("cp -r kbr-0.1.0-linux-x64/share/. /usr/local/share/", Package, "commands '## Program'"),
        ("docker load < kbr_0.1.0_image_linux-x64.tar.gz", Package, "commands '## Container image'"),
        (
            "docker run --rm --user \"$(id -u):$(id -g)\" -v \"$PWD:/work\" -v \"$HOME/.ssh:/work/.ssh:ro\" kbr:0.1.0 plan",
            Package,
            "commands '## Container image'"
        ),
        ("dotnet tool install --global kbr --add-source FOLDER_OF_THE_NUPKG --version 0.1.0", Package, "dotnet tool install kbr"),
        ("eng/package.sh && apt install ./artifacts/packages/kbr_0.1.0_amd64.deb", Suites, "eng/package.sh && eng/package-test.sh"),
        ("eng/package.sh", Suites, "eng/package.sh && eng/package-test.sh"),
        ("eng/package-test.sh", Suites, "eng/package.sh && eng/package-test.sh"),
        ("eng/publish.sh", Suites, "eng/publish.sh"),
        ("eng/stack-trace.sh kbr_0.1.0_linux-x64.dbg.gz < report.txt", Package, "eng/stack-trace.sh"),
        ("dotnet build KeyBuzz.Reconciler.sln -c Release", Suites, "dotnet build KeyBuzz.Reconciler.sln -c Release"),
        ("dotnet tool restore", Suites, "CONTRIBUTING.md"),
        ("dotnet csharpier format .", Suites, "CONTRIBUTING.md"),
        ("dotnet test tests/unit -c Release", Suites, "dotnet test"),
        ("lab/up", "tests/lab/Lab.cs", "Command(\"up\")"),
        ("KBR_LAB=b lab/up", Suites, "KBR_LAB=$lab"),
        ("lab/down", Suites, "lab/down"),
        ("lab/reset", "tests/lab/Lab.cs", "Command(\"reset\")"),
        ("lab/reset && lab/runbook --as-found --leader db-slave-01", "tests/ha/FreshHosts/AdoptFoundTests.cs", "lab/runbook"),
        ("lab/behind db-slave-01", Jump, "Lab.Command(\"behind\", "),
        ("ssh -F lab/.state/ssh_config 10.77.0.121", Jump, "\"ssh -F lab/.state/ssh_config 10.77.0.121\""),
        ("lab/heal db-slave-01", "tests/ha/StatusTests.cs", "Lab.Command(\"heal\", "),
        ("lab/ssh db-slave-01 systemctl stop patroni", "tests/ha/StatusTests.cs", "systemctl stop "),
        (
            "kbr status --format prometheus | ssh root@HOST 'cd /opt/keybuzz-monitoring-status && cat >kbr.new && mv kbr.new kbr.prom'",
            "tests/ha/AlertTests.cs",
            "mv kbr.new kbr.prom"
        ),
        ("lab/s3", Archive, "Lab.Command(\"s3\")"),
        ("lab/s3 stop", Archive, "Lab.Command(\"s3\", \"stop\")"),
        ("lab/s3 full", Archive, "\"lab/s3 full\""),
        ("adduser --system --group --home /opt/keybuzz kbr", DriftTimer, "s_commands"),
        ("install -m 644 kbr-drift.service kbr-drift.timer /etc/systemd/system/", DriftTimer, "s_commands"),
        ("systemctl daemon-reload", DriftTimer, "s_commands"),
        ("install -m 755 docs/ci/kbr-notify /usr/local/bin/", DriftTimer, "s_notify"),
        ("install -m 644 docs/ci/kbr-notify.service docs/ci/kbr-notify.timer /etc/systemd/system/", DriftTimer, "s_notify"),
        ("systemctl enable --now kbr-notify.timer", DriftTimer, "s_notify"),
        ("systemctl enable --now kbr-drift.timer", DriftTimer, "s_commands"),
        ("systemctl start kbr-drift.service; systemctl status kbr-drift.service", DriftTimer, "s_commands"),
    ];

    /// <summary>What cannot run on the lab, and why.</summary>
    public static readonly (string Command, string Reason)[] Nowhere =
    [
        ("eng/demo.sh", "takes three minutes and hosts made anew; each command that it shows runs here, or where this list says"),
        ("eng/test.sh", "is the run that this test is part of"),
        ("eng/test.sh --whole", "is the run that this test is part of"),
        ("KBR_SLICE=\"2 5\" eng/test.sh", "is the run that this test is part of"),
        ("eng/test.sh unit programs ha", "is the run that this test is part of"),
        ("KBR_LAB=f eng/soak.sh --minutes 20 --seed 1", "takes 20 minutes; SoakTests runs the same program for a shorter time"),
        ("KBR_STORE=etcd eng/test.sh ha", "is the run that this test is part of, with another store"),
        ("KBR_LAB=h eng/switchover-soak.sh 100 10", "takes many minutes; DrillTests and LiveChangeTests hand over under writers, too"),
        ("kbr restore --to '2026-11-28 21:10:00+01' --lost db-slave-02", "loses a host; eng/backup-faults.sh lost restores without one"),
        ("docker buildx imagetools inspect debian:trixie-slim --format '{{.Manifest.Digest}}'", "asks a public registry"),
        (
            "docker build --build-arg BASE=debian@sha256:… -t registry.example.com/kbr/patroni:17-4.0.7 images/patroni",
            "needs a base of a public registry; lab/up builds the same files"
        ),
        ("hcloud firewall replace-rules --rules-file rules.json NAME", "needs an account at a cloud provider"),
    ];

    /// <summary>A record that is damaged, for the command that looks for one.</summary>
    public const string Damaged = "/var/lib/kbr/keybuzz-pg/records/documented-damaged";

    /// <summary>What the pages have run on a member, and what it must say.</summary>
    public static readonly (string Command, string Said)[] OnHost =
    [
        ("du -xsh /opt/keybuzz/postgres/*/* | sort -h | tail", "(?m)^[0-9.]+[KMG]?\t/opt/keybuzz/postgres/data/pgdata$"),
        (
            "cd /var/lib/kbr/keybuzz-pg/records && for f in *; do case $(cat \"$f\") in '{'*'}') ;; *) echo \"$f\" ;; esac; done",
            "^documented-damaged\n$"
        ),
        (
            "apt-get install -y curl docker.io xfsprogs chrony",
            "(?s)^(?=.*curl is already)(?=.*docker.io is already)(?=.*xfsprogs is already).*chrony is already"
        ),
    ];

    /// <summary>What takes an image to a registry, and what names it then: here the lab's registry.</summary>
    public static readonly string[] WithRegistry =
    [
        "docker push registry.example.com/kbr/patroni:17-4.0.7",
        "docker image inspect -f '{{index .RepoDigests 0}}' registry.example.com/kbr/patroni:17-4.0.7",
    ];

    /// <summary>What opens a shell on a host.</summary>
    public static readonly string[] Shells = ["lab/ssh db-master-01", "KBR_LAB=b lab/ssh db-master-01"];

    /// <summary>What shows only what is wrong, and so nothing of this cluster: it is made wrong for them.</summary>
    public static readonly string[] Filters =
    [
        "kbr plan --json | jq -r '.changes[] | \"\\(.action) \\(.address)\"'",
        "kbr apply --json --auto-approve | jq -c 'select(.kind == \"apply_event\" and .event == \"failed\")'",
        "kbr check --json | jq '.hosts[] | select(.preconditions | any(.holds | not)) | .host'",
        "kbr logs pgbouncer --json | jq -r 'select(.text | test(\"login failed\")) | \"\\(.time) \\(.host)\"'",
    ];

    private static readonly string s_prefix = Regex
        .Match(File.ReadAllText(Path.Combine(Lab.Folder, "cluster-ha.yaml")), @"address: (\d+\.\d+\.\d+\.)\d+, ssh")
        .Groups[1]
        .Value;

    /// <summary>What says nothing: psql without a terminal ends where its input does.</summary>
    public static readonly string[] Quiet = ["kbr connect"];

    /// <summary>What a command must say, itself or in the file that it writes, where an empty answer would look as good.</summary>
    public static readonly (string Command, string Said)[] Says =
    [
        ("kbr check --ports --format hetzner | jq '.\"db-1\"' > rules.json", "(?s)^\\[.*\"direction\": \"in\".*\\]\n$"),
        ("kbr status --format html --out status.html", "(?s)^<!doctype html>.*<h2>Checks</h2>"),
        ("kbr plan --what-if --replace container.patroni@db-slave-01", "(?m)^ +(?:OK|GAP|DOWN|LOSS) .*\n *without this change$"),
    ];

    /// <summary>What does not run as it is written, from the operator's folder.</summary>
    public static IEnumerable<string> Listed() =>
        [
            .. Elsewhere.Select(each => each.Command),
            .. Nowhere.Select(each => each.Command),
            .. OnHost.Select(each => each.Command),
            .. WithRegistry,
            .. Shells,
            .. Filters,
        ];

    /// <summary>Whether a command of kbr reads only, or applies what is applied already.</summary>
    public static bool MayRun(string command) => Own().IsMatch(command) && !Changes().IsMatch(command);

    /// <summary>The command with the lab's names for the examples', with the answer that a terminal would be asked for.</summary>
    public static string OnLab(string command) =>
        Apply()
            .Replace(command, "kbr apply --auto-approve$1")
            .Replace("./kbr ", "kbr ", StringComparison.Ordinal)
            .Replace("cd /opt/keybuzz && ", "", StringComparison.Ordinal)
            .Replace("/var/lib/node_exporter/", "", StringComparison.Ordinal)
            .Replace("lab/cluster-ha.yaml", "cluster.yaml", StringComparison.Ordinal)
            .Replace("lab/b/cluster.yaml", "cluster.yaml", StringComparison.Ordinal)
            .Replace("db-1,db-2,db-3", "127.0.0.1,127.0.0.2,127.0.0.3", StringComparison.Ordinal)
            .Replace("lb-1,lb-2", "127.0.0.4,127.0.0.5", StringComparison.Ordinal)
            .Replace("*@db-1", "*@db-master-01", StringComparison.Ordinal)
            .Replace("\"db-1\"", "\"db-master-01\"", StringComparison.Ordinal)
            .Replace("10.0.0.", s_prefix, StringComparison.Ordinal);

    [GeneratedRegex(@"^(?:[A-Z_]+=\S+ )*(?:\./)?kbr ")]
    private static partial Regex Own();

    [GeneratedRegex(
        @"\bkbr (?:destroy|restore|recover|relief|switchover|restart|(?:un)?fence|drill|import|backup(?!s)|state (?:mv|rm)|unlock .*--end)|\brm "
    )]
    private static partial Regex Changes();

    [GeneratedRegex("^(?:\\./)?kbr apply(?! .*--auto-approve)( -c .*)?$")]
    private static partial Regex Apply();
}
