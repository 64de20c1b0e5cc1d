using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Backup.PgBackRest;

/// <summary>pgBackRest (https://pgbackrest.org), where a cluster is a stanza.</summary>
internal sealed class PgBackRestTool : IBackupTool
{
    // Exit statuses of pgBackRest (src/build/error/error.yaml) and of the shell.
    private const int FileMissing = 55;
    private const int TimedOut = 124;
    private const int ProgramMissing = 127;

    // The comment before a repository's settings.
    private const string Place = "# Repository: ";
    private const string Error = "ERROR: ";

    // [050]: LockAcquireError.
    private const string LockNotAcquired = "[050]";

    // Statuses of a repository in its info (src/command/info/info.c).
    private const long Ok = 0;
    private const long NoStanzaPath = 1;
    private const long NoBackups = 2;
    private const long NoStanzaData = 3;

    private static readonly ImmutableSortedDictionary<long, RepositoryReport> s_none = ImmutableSortedDictionary<
        long,
        RepositoryReport
    >.Empty;

    /// <inheritdoc />
    public string Key => "pgbackrest";

    /// <inheritdoc />
    public string Name => "pgBackRest";

    /// <inheritdoc />
    public string FileName => "pgbackrest.conf";

    /// <inheritdoc />
    public ContainerReadKind ReadKind => PgBackRestRead.Kind;

    /// <inheritdoc />
    public string Present =>
        "command -v pgbackrest >/dev/null || { echo 'the image has no pgbackrest: build it from images/patroni of this kbr' >&2; exit 1; }";

    // Its locks lie in /tmp and it logs to the container's output: a read-only root is enough. WAL is pushed by PostgreSQL's own archiver
    // without a spool, so that a segment counts as archived once it is in every repository.
    /// <inheritdoc />
    public SecretText Configuration(BackupSettings settings, string directory)
    {
        ArgumentNullException.ThrowIfNull(settings);
        var server = settings.Server;
        return ConfigText.Of(
            $"""
            # Written by kbr; a change by hand is drift.
            [global]
            lock-path=/tmp/pgbackrest
            log-level-file=off
            log-level-console=off
            log-level-stderr=warn
            compress-type={settings.Compression}
            process-max={settings.Processes}
            start-fast=y
            {ConfigText.Join(settings.Repositories.Select((repository, at) => Repository(repository, $"repo{Text(at + 1)}", directory)))}
            [{settings.Cluster}]
            pg1-path={server.DataDirectory}
            pg1-socket-path={server.SocketDirectory}
            pg1-port={server.Port}
            pg1-user={server.User}

            """
        );
    }

    /// <inheritdoc />
    public ImmutableArray<string> PlacesIn(string configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        return
        [
            .. configuration
                .Split('\n')
                .Where(line => line.StartsWith(Place, StringComparison.Ordinal))
                .Select(line => line[Place.Length..]),
        ];
    }

    /// <inheritdoc />
    public string ArchiveCommand(BackupLocation location, TimeSpan timeout) =>
        $"timeout {Text((long)timeout.TotalSeconds)} {Command(location)} "
        + $"--io-timeout={Text(Math.Max(1, (long)timeout.TotalSeconds * 3 / 4))} archive-push %p";

    /// <inheritdoc />
    public Read<ToolAnswer> Read(BackupLocation location)
    {
        ArgumentNullException.ThrowIfNull(location);
        return new PgBackRestRead(location.Container, location.File, location.Cluster);
    }

    /// <inheritdoc />
    public string Prepare(BackupLocation location) => $"{Command(location)} --io-timeout=5 stanza-create";

    /// <inheritdoc />
    public string Reason(string output)
    {
        ArgumentNullException.ThrowIfNull(output);
        var lines = output.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0).ToList();
        var at = lines.FindIndex(line => line.StartsWith(Error, StringComparison.Ordinal));
        var first = at < 0 ? lines.FirstOrDefault() ?? "no answer" : lines[at][Error.Length..];
        // An error that is made of others ends with a colon; the next line is the first of them.
        return first.EndsWith(':') && at + 1 < lines.Count ? $"{first} {lines[at + 1]}" : first;
    }

    /// <inheritdoc />
    public RepositoryFault FaultOf(string output) => PgBackRestFaults.Of(output);

    /// <inheritdoc />
    public BackupReport Judge(ToolAnswer answer)
    {
        ArgumentNullException.ThrowIfNull(answer);
        if (answer.ExitCode is FileMissing or ProgramMissing)
        {
            return new BackupReport(Reason(answer.Output), IsSetUp: false, s_none);
        }

        if (answer.ExitCode != 0)
        {
            return new BackupReport(
                answer.ExitCode == TimedOut ? $"the repositories did not answer within {PgBackRestRead.Deadline} s" : Reason(answer.Output),
                IsSetUp: true,
                s_none
            )
            {
                Fault = answer.ExitCode == TimedOut ? RepositoryFault.NoAnswer : FaultOf(answer.Output),
            };
        }

        // It writes control characters in its strings as they are: noise, for example.
        if (JsonAnswer.Rows(string.Concat(answer.Output.Select(letter => char.IsControl(letter) ? ' ' : letter))) is not [var stanza, ..])
        {
            return new BackupReport("its answer cannot be read", IsSetUp: true, s_none);
        }

        // The last database of a repository is the one that archives now.
        var databases = stanza
            .Items("db")
            .GroupBy(database => database.Number("repo-key") ?? 0)
            .ToDictionary(group => group.Key, group => group.MaxBy(database => database.Number("id") ?? 0).At("system-id")?.Plain());
        return new BackupReport(
            null,
            IsSetUp: true,
            stanza
                .Items("repo")
                .Where(repository => repository.Number("key") is not null)
                .DistinctBy(repository => repository.Number("key"))
                .ToImmutableSortedDictionary(
                    repository => repository.Number("key")!.Value,
                    repository =>
                        PgBackRestList.Of(
                            stanza,
                            repository,
                            Repository(repository, databases.GetValueOrDefault(repository.Number("key")!.Value))
                        )
                )
        )
        {
            Running = PgBackRestList.Running(stanza),
        };
    }

    /// <inheritdoc />
    public string Take(BackupLocation location, BackupKind kind, IEnumerable<long> repositories)
    {
        ArgumentNullException.ThrowIfNull(repositories);
        var word = PgBackRestList.TypeOf(kind);
        return string.Join(
            "; ",
            [
                "rc=0",
                .. repositories.Select(number => $"{Command(location)} --repo={Text(number)} --type={word} backup || rc=$?"),
                "exit $rc",
            ]
        );
    }

    // Nobody writes while a restore is waited for: it has the machine's processors, twice, because half of it waits for the repository, and
    // no more connections than eight.
    // --delta goes on with a directory that has its manifest, and is ignored for one that has none.
    /// <inheritdoc />
    public string Restore(BackupLocation location, RestoreTarget target, string directory, string tablespaces)
    {
        ArgumentNullException.ThrowIfNull(target);
        var kind = target.Kind switch
        {
            RestoreTargetKind.Time => "time",
            RestoreTargetKind.Lsn => "lsn",
            RestoreTargetKind.Name => "name",
            _ => null,
        };
        var choice = PgBackRestChoice.Shell("chosen", location, kind ?? "default", kind is null ? "-" : Script.Quote(target.Value));
        return $"{choice}\n{Command(location)} --pg1-path={directory} --tablespace-map-all={tablespaces} --archive-mode=off --delta "
            + "--process-max=$(n=$((2 * $(nproc))); [ $n -le 8 ] && echo $n || echo 8) $chosen "
            + (kind is null ? "--type=default" : $"--type={kind} --target={Script.Quote(target.Value)} --target-action=pause")
            + " restore";
    }

    /// <inheritdoc />
    public string RestoreCommand(BackupLocation location, string directory) =>
        $"{Command(location)} --pg1-path={directory} archive-get %f \"%p\"";

    /// <inheritdoc />
    public string Clean(string directory) =>
        "sed -i -e '/^# Recovery settings generated by pgBackRest/d' -e '/^restore_command *=/d' -e '/^recovery_target/d' "
        + $"-e '/^archive_mode *=/d' {Script.Quote(directory + "/postgresql.auto.conf")}";

    /// <inheritdoc />
    public bool IsBusy(string output)
    {
        ArgumentNullException.ThrowIfNull(output);
        return output.Contains(LockNotAcquired, StringComparison.Ordinal);
    }

    /// <inheritdoc />
    public string Verify(BackupLocation location, long repository, RepositoryReport report)
    {
        ArgumentNullException.ThrowIfNull(location);
        ArgumentNullException.ThrowIfNull(report);
        return $"{Command(location)} --repo={Text(repository)} verify --output=text --verbose && echo '{PgBackRestVerify.ListFollows}'"
            + (report.ArchiveId is null ? "" : $" && {Segments(location, repository, report)}")
            // The first timeline has no history. Where it cannot be read the rest counts.
            + (
                PgBackRestVerify.Newest(report) is > 1 and var newest
                    ? $" && echo '{PgBackRestVerify.HistoryFollows}' && {{ {History(location, repository, report, newest)} || true; }}"
                    : ""
            );
    }

    /// <inheritdoc />
    public string Segments(BackupLocation location, long repository, RepositoryReport report)
    {
        ArgumentNullException.ThrowIfNull(location);
        ArgumentNullException.ThrowIfNull(report);
        return $"list=$({Command(location)} --repo={Text(repository)} repo-ls --recurse archive/{location.Cluster}/{report.ArchiveId}) "
            + $"&& printf '%s\\n' \"$list\" | {PgBackRestVerify.SegmentNames}";
    }

    /// <inheritdoc />
    public string History(BackupLocation location, long repository, RepositoryReport report, long timeline)
    {
        ArgumentNullException.ThrowIfNull(location);
        ArgumentNullException.ThrowIfNull(report);
        return $"{Command(location)} --repo={Text(repository)} repo-get "
            + string.Create(CultureInfo.InvariantCulture, $"archive/{location.Cluster}/{report.ArchiveId}/{timeline:X8}.history");
    }

    /// <inheritdoc />
    public RepositoryCheck JudgeVerify(string output, RepositoryReport report) => PgBackRestVerify.Judge(output, report, Reason);

    /// <inheritdoc />
    public string ProgramName => "kbr-backup.py";

    /// <inheritdoc />
    public string Program(BackupLocation location, int repositories, string primaryCheck, TimeSpan patience, bool isIdle)
    {
        ArgumentNullException.ThrowIfNull(location);
        return PgBackRestProgram.Render(location, repositories, primaryCheck, patience, isIdle);
    }

    /// <inheritdoc />
    public string ProofProgramName => "kbr-proof.py";

    /// <inheritdoc />
    public string ProofProgram(
        BackupLocation location,
        int repositories,
        string dataDirectory,
        string members,
        string? preferred,
        TimeSpan archiveTimeout
    )
    {
        ArgumentNullException.ThrowIfNull(location);
        return PgBackRestProof.Render(location, repositories, dataDirectory, members, preferred ?? "", archiveTimeout);
    }

    /// <inheritdoc />
    public string ReplicaProgramName => "kbr-replica.py";

    /// <inheritdoc />
    public string ReplicaProgram(BackupLocation location, int repositories)
    {
        ArgumentNullException.ThrowIfNull(location);
        return PgBackRestReplica.Render(location, repositories);
    }

    /// <inheritdoc />
    public string RunProgram(string program, BackupKind kind) => $"python3 {program} {PgBackRestList.TypeOf(kind)}";

    /// <inheritdoc />
    public string EndProgram(string program, BackupKind kind) => $"python3 {program} {PgBackRestList.TypeOf(kind)} end";

    private static RepositoryReport Repository(JsonElement repository, string? systemIdentifier)
    {
        var status = repository.At("status");
        var state = status?.Number("code") switch
        {
            Ok or NoBackups => RepositoryState.Ready,
            NoStanzaPath or NoStanzaData => RepositoryState.Missing,
            _ => RepositoryState.Unreadable,
        };
        // The lines after the first are about its retries; of noise, after decryption with another key, they repeat it.
        var message = status?.Text("message") ?? "no status";
        var first = message.Split('\n')[0].Trim();
        var fault = PgBackRestFaults.Of(message);
        return new RepositoryReport(
            state,
            fault == RepositoryFault.OtherCipher ? $"{first} it was made with another cipher key" : first,
            systemIdentifier
        )
        {
            Fault = fault,
        };
    }

    // Small files are bundled: each would be a request of its own. Older backups without bundles stay as they are, and serve.
    private static SecretText Repository(BackupRepository repository, string name, string directory)
    {
        var cipher = repository.CipherKey is { } key
            ? ConfigText.Of($"{name}-cipher-type=aes-256-cbc\n{name}-cipher-pass={key}\n")
            : SecretText.Plain("");
        var retention = repository.Retention;
        var full = retention.Days is { } days
            ? $"{name}-retention-full-type=time\n{name}-retention-full={Text(days)}\n"
            : $"{name}-retention-full={Text(retention.Full ?? 0)}\n";
        var differential = retention.Differential is { } count ? $"{name}-retention-diff={Text(count)}\n" : "";
        return ConfigText.Of(
            $"""
            {Place}{repository.Label}
            {Where(repository.Place, name, directory)}{name}-bundle=y
            {cipher}{full}{differential}
            """
        );
    }

    private static SecretText Where(RepositoryPlace place, string name, string directory) =>
        place switch
        {
            S3Bucket bucket => ConfigText.Of(
                $"""
                {name}-type=s3
                {name}-s3-endpoint={bucket.Host}
                {name}-storage-port={bucket.Port}
                {name}-s3-bucket={bucket.Name}
                {name}-s3-region={bucket.Region}
                {name}-s3-uri-style={(bucket.PathStyle ? "path" : "host")}
                {name}-path={bucket.Path}
                {name}-s3-key={bucket.Key}
                {name}-s3-key-secret={bucket.Secret}
                {(bucket.AuthorityFile is { } file ? $"{name}-storage-ca-file={directory}/{file}\n" : "")}
                """
            ),
            SftpDirectory sftp => ConfigText.Of(
                $"""
                {name}-type=sftp
                {name}-sftp-host={sftp.Host}
                {name}-sftp-host-port={sftp.Port}
                {name}-sftp-host-user={sftp.User}
                {name}-sftp-host-key-check-type=strict
                {name}-sftp-host-key-hash-type=sha256
                {name}-sftp-known-host={directory}/{sftp.KnownHostsFile}
                {name}-sftp-private-key-file={directory}/{sftp.KeyFile}
                {name}-path={sftp.Path}

                """
            ),
            SharedDirectory shared => SecretText.Plain($"{name}-type=posix\n{name}-path={shared.Path}\n"),
            _ => throw new ArgumentException($"no repository is written for {place.GetType().Name}", nameof(place)),
        };

    private static string Command(BackupLocation location)
    {
        ArgumentNullException.ThrowIfNull(location);
        return $"pgbackrest --config={location.File} --stanza={location.Cluster}";
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
