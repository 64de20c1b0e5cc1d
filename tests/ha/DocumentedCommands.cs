using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>A line of a block of commands, without its comment.</summary>
internal sealed record DocumentedCommand(string Page, string Text);

/// <summary>The commands in the blocks of all pages, and where those run that <see cref="DocumentedCommandsTests"/> does not.</summary>
internal static partial class DocumentedCommands
{
    private const string Adopt = "tests/ha/FreshHosts/AdoptTests.cs";
    private const string Archive = "tests/ha/ArchiveTests.cs";
    private const string BackupFault = "tests/ha/BackupFaultTests.cs";
    private const string Ci = "tests/unit/Cli/CiFilesTests.cs";
    private const string Drill = "tests/ha/DrillTests.cs";
    private const string Images = "tests/unit/Cli/ImagesTests.cs";
    private const string Package = "eng/package-test.sh";
    private const string Quickstart = "tests/ha/FreshHosts/QuickstartTests.cs";
    private const string Rebuild = "tests/ha/RebuildTests.cs";
    private const string Restore = "tests/ha/RestoreTests.cs";
    private const string State = "tests/unit/Cli/StateTests.cs";
    private const string Suites = "eng/test.sh";
    private const string Watch = "tests/unit/Cli/StatusCommandTests.cs";

    // The quickstart runs as it is written.
    private const string AsWritten = "(?m)^    (kbr .*)$";

    // So do the blocks that go back from kbr to what was there before.
    private const string Blocks = "```sh";

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
        ("echo \"BACKUP_SFTP_KEY=$(base64 -w0 backup-key)\" >> credentials/postgres.env", Archive, "BACKUP_SFTP_KEY="),
        ("kbr backup --full", Archive, "\"backup\", \"--full\""),
        ("kbr backups", Archive, "Kbr(\"backups\")"),
        ("kbr backups check", Archive, "\"backups\", \"check\""),
        ("systemctl start kbr-backup-full", Archive, "systemctl start kbr-backup-incremental"),
        ("kbr backups prove", BackupFault, "\"backups\", \"prove\""),
        ("systemctl start kbr-proof", BackupFault, "systemctl start kbr-proof"),
        ("cat /run/kbr/kbr-proof.log", BackupFault, "cat /run/kbr/kbr-proof.log"),
        ("kbr restore --to '2026-11-28 21:10:00+01'", Restore, "\"restore\", \"--to\", s_time"),
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
        ("./kbr drill", Drill, "Kbr(\"drill\", \"--auto-approve\")"),
        ("./kbr drill --kind kill --json --svg drill.svg", Drill, "\"--json\", \"--svg\""),
        ("kbr relief db-master-01", "tests/ha/FullVolumeTests.cs", "Kbr(\"relief\", leader)"),
        ("kbr status --watch", Watch, "\"status\", \"--watch\", \"1\""),
        ("kbr status --watch 10", Watch, "\"status\", \"--watch\", \"1\""),
        ("kbr logs patroni -f", "tests/unit/Cli/LogsTests.cs", "\"patroni@db-1\", \"-f\""),
        ("kbr check --ports --format nft --target '*@db-1' | ssh root@db-1 nft -f -", "tests/unit/PostgresHa/TrafficTests.cs", "\"nft\""),
        ("kbr state mv '*@db-old' '*@db-new'", State, "\"state\", \"mv\""),
        ("kbr state rm container.app@db-1", State, "\"state\", \"rm\""),
        ("kbr unlock --end db-slave-01", "tests/unit/Cli/UnlockTests.cs", "\"unlock\", \"--end\", \"db-1\""),
        ("kbr apply --replace container.haproxy@haproxy-01", "tests/unit/Cli/PlanWordsTests.cs", "\"--replace\""),
        ("apt install ./kbr_0.1.0_amd64.deb", Package, "dpkg --root="),
        ("apt install ./kbr_NEW_amd64.deb", Package, "dpkg --root="),
        ("apt remove kbr", Package, "-r kbr"),
        ("man kbr-plan", Package, "'completion bash' 'man plan'"),
        ("tar -xzf kbr_0.1.0_linux-x64.tar.gz", Package, "tar -xzf"),
        ("install kbr-0.1.0-linux-x64/bin/kbr /usr/local/bin/kbr", Package, "plain/bin/kbr"),
        ("dotnet tool install --global kbr --add-source FOLDER_OF_THE_NUPKG --version 0.1.0", Package, "dotnet tool install kbr"),
        ("eng/package.sh && apt install ./artifacts/packages/kbr_0.1.0_amd64.deb", Suites, "eng/package.sh && eng/package-test.sh"),
        ("eng/package.sh", Suites, "eng/package.sh && eng/package-test.sh"),
        ("eng/publish.sh", Suites, "eng/publish.sh"),
        ("dotnet test tests/unit -c Release", Suites, "dotnet test"),
        ("lab/up", "tests/ha/HaSetUp.cs", "Lab.Command(\"up\")"),
        ("KBR_LAB=b lab/up", Suites, "KBR_LAB=$lab"),
        ("lab/reset && lab/runbook --as-found --leader db-slave-01", "tests/ha/FreshHosts/AdoptFoundTests.cs", "lab/runbook"),
        ("lab/behind db-slave-01", "tests/lab/JumpHostTests.cs", "Lab.Command(\"behind\", "),
        ("lab/heal db-slave-01", "tests/ha/StatusTests.cs", "Lab.Command(\"heal\", "),
        ("lab/ssh db-slave-01 systemctl stop patroni", "tests/ha/StatusTests.cs", "systemctl stop "),
        (
            "kbr status --format prometheus | ssh root@HOST 'cd /opt/keybuzz/monitoring-status && cat >kbr.new && mv kbr.new kbr.prom'",
            "tests/ha/AlertTests.cs",
            "mv kbr.new kbr.prom"
        ),
        ("lab/s3", Archive, "Lab.Command(\"s3\")"),
        ("lab/s3 stop", Archive, "Lab.Command(\"s3\", \"stop\")"),
    ];

    /// <summary>What cannot run on the lab, and why.</summary>
    public static readonly (string Command, string Reason)[] Nowhere =
    [
        ("eng/demo.sh", "makes a lab of its own anew; its steps are those of InstallTests and HandMadeChangeTests"),
        ("eng/test.sh", "is the run that this test is part of"),
        ("KBR_LAB=f eng/soak.sh --minutes 20 --seed 1", "takes 20 minutes; SoakTests runs the same program for a shorter time"),
        ("lab/s3 full", "is for eng/backup-faults.sh, which takes an hour"),
        ("cd /opt/keybuzz/postgres/data", "no test goes back where the volume itself was the data directory"),
        ("mkdir data.kbr", "no test goes back where the volume itself was the data directory"),
        ("mv data raft archive data.kbr/", "no test goes back where the volume itself was the data directory"),
        ("mv data.kbr/data/pgdata/* .", "no test goes back where the volume itself was the data directory"),
        ("systemctl enable --now kbr-drift.timer", "concerns systemd of the operator's machine; CiFilesTests runs its command"),
        (
            "systemctl start kbr-drift.service; systemctl status kbr-drift.service",
            "concerns systemd of the operator's machine; CiFilesTests runs its command"
        ),
        ("docker load < kbr_0.1.0_image_linux-x64.tar.gz", "eng/package-test.sh runs what is in the image, without Docker"),
        ("kbr init", "asks on a terminal; InitTests runs it without one"),
        ("docker buildx imagetools inspect debian:trixie-slim --format '{{.Manifest.Digest}}'", "asks a public registry"),
        (
            "docker build --build-arg BASE=debian@sha256:… -t registry.example.com/kbr/patroni:17-4.0.7 images/patroni",
            "needs a base of a public registry; lab/up builds the same files"
        ),
        ("docker push registry.example.com/kbr/patroni:17-4.0.7", "the registry is an example"),
        ("docker image inspect -f '{{index .RepoDigests 0}}' registry.example.com/kbr/patroni:17-4.0.7", "the registry is an example"),
        ("lab/ssh db-master-01", "is a shell on a terminal"),
        ("KBR_LAB=b lab/ssh db-master-01", "is a shell on a terminal"),
        ("lab/down", "ends the lab that this test runs on"),
        ("ssh -F lab/.state/ssh_config 10.77.0.121", "is a shell on a terminal"),
        ("ssh-keyscan backup-01.example.com > backup-01.known_hosts", "the server is an example"),
        ("systemctl stop kbr-backup-full", "this cluster has no schedule, and so no such unit"),
        ("systemctl start kbr-drill.service", "the unit is there only while a drill holds a fault; its timer starts the same one"),
        ("adduser --system --group --home /opt/keybuzz kbr", "makes a user on the operator's machine"),
        (
            "install -m 644 kbr-drift.service kbr-drift.timer /etc/systemd/system/",
            "installs on the operator's machine; CiFilesTests checks it"
        ),
        ("systemctl daemon-reload", "concerns systemd of the operator's machine"),
        ("install -m 755 docs/ci/kbr-notify /usr/local/bin/", "installs on the operator's machine; NotifyTests runs it"),
        (
            "install -m 644 docs/ci/kbr-notify.service docs/ci/kbr-notify.timer /etc/systemd/system/",
            "installs on the operator's machine; NotifyTests runs the script"
        ),
        ("systemctl enable --now kbr-notify.timer", "concerns systemd of the operator's machine"),
        ("apt-get install -y curl docker.io xfsprogs chrony", "the lab's hosts have them: lab/images/host"),
        ("hcloud firewall replace-rules --rules-file rules.json NAME", "needs an account at a cloud provider"),
        ("cp -r kbr-0.1.0-linux-x64/share/. /usr/local/share/", "installs on the operator's machine"),
        (
            "docker run --rm --user \"$(id -u):$(id -g)\" -v \"$PWD:/work\" -v \"$HOME/.ssh:/work/.ssh:ro\" kbr:0.1.0 plan",
            "takes the login of whoever runs it; eng/package-test.sh runs what is in the image, without Docker"
        ),
    ];

    /// <summary>What the pages have run on a member.</summary>
    public static readonly string[] OnHost =
    [
        "systemctl list-timers 'kbr-backup-*'",
        "systemctl list-timers 'kbr-drill*'",
        "journalctl -u kbr-backup-full",
        "du -xsh /opt/keybuzz/postgres/*/* | sort -h | tail",
        "cd /var/lib/kbr/keybuzz-pg/records && for f in *; do case $(cat \"$f\") in '{'*'}') ;; *) echo \"$f\" ;; esac; done",
    ];

    private static readonly string s_prefix = Regex
        .Match(File.ReadAllText(Path.Combine(Lab.Folder, "cluster-ha.yaml")), @"address: (\d+\.\d+\.\d+\.)\d+, ssh")
        .Groups[1]
        .Value;

    public static IEnumerable<string> Listed() => Elsewhere.Select(each => each.Command).Concat(Nowhere.Select(each => each.Command));

    /// <summary>The commands of all pages, page by page.</summary>
    public static IEnumerable<DocumentedCommand> All() =>
        Directory
            .EnumerateFiles(Path.Combine(Lab.Root, "docs"), "*.md", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(Lab.Root, file))
            .Order(StringComparer.Ordinal)
            .Prepend("lab/README.md")
            .Prepend("images/README.md")
            .Prepend("README.md")
            .SelectMany(page => Of(page, File.ReadAllText(Path.Combine(Lab.Root, page))));

    /// <summary>A block is indented, or fenced without a language or as sh. It is one of commands if its first line begins with a
    /// program.</summary>
    public static IEnumerable<DocumentedCommand> Of(string page, string text) =>
        Block()
            .Matches(text)
            .Where(block => block.Groups["language"].Value is "" or "sh")
            .Select(block => block.Groups["lines"].Value.Split('\n').Select(line => Comment().Replace(line, "").Trim()))
            .Select(lines => lines.Where(line => line.Length > 0).ToList())
            .Where(lines => lines.Count > 0 && Command().IsMatch(lines[0]))
            .SelectMany(lines => lines.Select(line => new DocumentedCommand(page, line)));

    /// <summary>Whether a command of kbr reads only, or applies what is applied already.</summary>
    public static bool MayRun(string command) => Own().IsMatch(command) && !Changes().IsMatch(command);

    /// <summary>The command with the lab's names for the examples', with the answer that a terminal would be asked for.</summary>
    public static string OnLab(string command) =>
        Apply()
            .Replace(command, "kbr apply --auto-approve$1")
            .Replace("./kbr ", "kbr ", StringComparison.Ordinal)
            .Replace("lab/cluster-ha.yaml", "cluster.yaml", StringComparison.Ordinal)
            .Replace("lab/b/cluster.yaml", "cluster.yaml", StringComparison.Ordinal)
            .Replace("db-1,db-2,db-3", "127.0.0.1,127.0.0.2,127.0.0.3", StringComparison.Ordinal)
            .Replace("lb-1,lb-2", "127.0.0.4,127.0.0.5", StringComparison.Ordinal)
            .Replace("*@db-1", "*@db-master-01", StringComparison.Ordinal)
            .Replace("\"db-1\"", "\"db-master-01\"", StringComparison.Ordinal)
            .Replace("10.0.0.", s_prefix, StringComparison.Ordinal);

    [GeneratedRegex(@"(?m)^ *```(?<language>\S*)\n(?<lines>(?s:.*?))^ *```$|(?<=^\s*\n)(?<lines>(?: {4,}\S.*\n?)+)")]
    private static partial Regex Block();

    [GeneratedRegex(@"(?:^|\s+)#.*$")]
    private static partial Regex Comment();

    [GeneratedRegex(
        @"^(?:[A-Z_]+=\S+ )*(?:kbr|\./kbr|(?:lab|eng)/[\w.-]+|/etc/\S+|adduser|apt|apt-get|cat|cd|cp|curl|docker|dotnet|du|echo|for|git|"
            + @"hcloud|install|journalctl|ls|man|mkdir|mv|nft|psql|rm|ssh|ssh-\w+|sudo|systemctl|tar|ufw)(?: |$)"
    )]
    private static partial Regex Command();

    [GeneratedRegex(@"^(?:[A-Z_]+=\S+ )*(?:\./)?kbr ")]
    private static partial Regex Own();

    [GeneratedRegex(@"\bkbr (?:destroy|restore|relief|switchover|restart|drill|import|backup(?!s)|state (?:mv|rm)|unlock .*--end)|\brm ")]
    private static partial Regex Changes();

    [GeneratedRegex("^(?:\\./)?kbr apply(?! .*--auto-approve)( -c .*)?$")]
    private static partial Regex Apply();
}
