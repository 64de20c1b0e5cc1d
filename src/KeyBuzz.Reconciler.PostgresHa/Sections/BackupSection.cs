using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.SystemdTimer;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Sections;

/// <summary>Reads the <c>backup</c> part.</summary>
internal sealed class BackupSection(SectionReader section, BlueprintContext context, SectionValues values)
{
    /// <summary>The key of the part.</summary>
    public const string Key = "backup";

    /// <summary>The name of the <c>config_file</c> with the tool's configuration.</summary>
    public const string FileResource = "backup";

    // Three of a round of the archiver (NUM_ARCHIVE_RETRIES), and three of its last one.
    private const int ArchiveAttempts = 6;
    private const int Most = 2;
    private const int Restarts = 20;
    private const int HttpsPort = 443;
    private const int SshPort = 22;
    private const long FullBackups = 2;

    // Of what kbr generates it has 32.
    private const int LeastCipherKey = 16;

    private static readonly TimeSpan s_patience = TimeSpan.FromHours(6);
    private static readonly TimeSpan s_stopReserve = TimeSpan.FromSeconds(12);
    private static readonly string[] s_places = ["s3", "sftp", "directory"];

    // Files may be put there, and of no file system that members share: settings, and what a reboot removes.
    private static readonly string[] s_systems = ["/etc", "/run", "/var/run", "/tmp", "/var/tmp", "/var/cache", "/var/log", "/var/spool"];
    private static readonly string[] s_compressions = ["zst", "lz4", "gz", "none"];

    private readonly ImmutableSortedDictionary<string, SecretText>.Builder _files = ImmutableSortedDictionary.CreateBuilder<
        string,
        SecretText
    >(StringComparer.Ordinal);

    private readonly Findings _findings = context.Findings;

    /// <summary>The tool that archives and backs up.</summary>
    public static IBackupTool Tool => BackupTools.Default;

    /// <summary>The tool's configuration file inside the container.</summary>
    public static string File => $"{PatroniFile.Directory}/{Tool.FileName}";

    /// <summary>The unit, without its suffix, of the scheduled backups of a kind.</summary>
    public static string Unit(BackupKind kind) => $"kbr-backup-{kind.Word()}";

    /// <summary>What the last scheduled backup of a kind printed, on each member.</summary>
    public static string Log(BackupKind kind) => $"/run/kbr/{Unit(kind)}.log";

    /// <summary>When the last run of a kind ended on a member, in seconds since 1970; a run that was stopped does not count.</summary>
    public static string Ended(BackupKind kind) => $"/var/lib/kbr/{Unit(kind)}.ended";

    /// <summary>The service of the scheduled backups of a kind, without its tool's program file.</summary>
    /// <param name="scope">The cluster.</param>
    /// <param name="kind">The kind.</param>
    /// <param name="patience">For how long the program tries.</param>
    public static string Service(string scope, BackupKind kind, TimeSpan patience)
    {
        var program = $"{PatroniFile.Directory}/{Tool.ProgramName}";
        var inside = $"/usr/bin/docker exec {PostgresTopology.PatroniContainer}";
        var last = $"$(cat {string.Join(' ', kind.Serving().Select(Ended))} 2>/dev/null | sort -n | tail -n 1)";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"""
            # Written by kbr; a change by hand is drift.
            [Unit]
            Description={kind.Word()} backup of {scope}, where this member is the primary
            After=docker.service {PostgresTopology.PatroniContainer}.service
            # A member whose container is restarted meanwhile begins again.
            StartLimitIntervalSec={(long)patience.TotalSeconds}
            StartLimitBurst={Restarts}

            [Service]
            Type=oneshot
            ExecStart=/bin/sh -c 'umask 077; mkdir -p /run/kbr; exec {inside} {Tool.RunProgram(program, kind)} {last} >{Log(kind)} 2>&1'
            ExecStopPost=-/bin/sh -c '{inside} {Tool.EndProgram(program, kind)}; cat {Log(kind)}'
            ExecStopPost=-/bin/sh -c 'case $EXIT_STATUS in 0|3) umask 077; mkdir -p /var/lib/kbr; date +%%s >{Ended(kind)};; esac'
            Restart=on-failure
            RestartSec=60
            RestartPreventExitStatus=3 TERM

            """
        );
    }

    /// <summary>What the configuration names beside it, by the name that each file has on the members: authorities, keys, known
    /// hosts.</summary>
    public ImmutableSortedDictionary<string, SecretText> Files => _files.ToImmutable();

    /// <summary>PostgreSQL's <c>archive_command</c>. While no repository answers, a stop of PostgreSQL waits for the attempts that the
    /// archiver is at, and for three more: all of them end within the stop timeout. What it says is PostgreSQL's log's, and kept for
    /// status.</summary>
    public static string ArchiveCommand(string scope, TimeSpan stopTimeout) =>
        Tool.ArchiveCommand(
            new BackupLocation(PostgresTopology.PatroniContainer, File, scope),
            (stopTimeout - s_stopReserve) / ArchiveAttempts
        )
        + $" 2>{ArchivedWal.SaidFile}.new; s=$?; cat {ArchivedWal.SaidFile}.new >&2; "
        + $"mv {ArchivedWal.SaidFile}.new {ArchivedWal.SaidFile}; exit $s";

    /// <summary>The names of the cipher keys that the section needs.</summary>
    public static IEnumerable<string> CipherKeysNeeded(SectionReader section)
    {
        if (section.Find(Key) is not YamlMapping map || map.Find("repositories") is not YamlSequence list)
        {
            return [];
        }

        return list
            .Items.Index()
            .Where(one => one.Item is not YamlMapping own || own.Find("cipher") is not YamlScalar { Value: "none" })
            .Select(one => PostgresCredentials.OfRepository(one.Index + 1).Cipher);
    }

    /// <summary>The settings; null where the section has none, or where they say nothing.</summary>
    /// <param name="scope">The cluster's name.</param>
    /// <param name="server">The server on each member.</param>
    /// <param name="members">The members' names.</param>
    /// <param name="ownPaths">The directories of each member's own, where no repository can be.</param>
    public BackupSettings? Read(string scope, BackupServer server, ImmutableArray<string> members, ImmutableArray<string> ownPaths)
    {
        if (section.Find(Key) is null)
        {
            return null;
        }

        var own = section.Section(Key).Allow(PostgresSchema.Backup);
        var repositories = Repositories(own, scope, ownPaths);
        var schedule = Schedule(own);
        var proof = Proof(own, members);
        if (proof is not null && schedule is null)
        {
            own.Error(
                "'prove' needs a 'schedule'",
                own.Place("prove"),
                "what is restored is compared with the ledger, to which scheduled backups add a row each minute",
                "write schedule: { full: Sun 01:00 } beside it"
            );
        }

        return repositories.IsEmpty
            ? null
            : new BackupSettings(
                scope,
                repositories,
                own.Choice("compression", s_compressions[0], [.. s_compressions.Select(word => (word, word))]),
                own.Integer("process_max", 1, 1, 64),
                server
            )
            {
                IsIdle = own.Choice("priority", true, ("idle", true), ("low", false)),
                ReplicasFromRepository = own.Boolean("replicas_from_repository") ?? false,
                Schedule = schedule,
                Proof = proof,
                MaxAge =
                    own.Find("max_age") is not null ? own.Duration("max_age", TimeSpan.FromDays(1), TimeSpan.FromMinutes(1))
                    : schedule is null ? null
                    : TimeSpan.FromDays(2 * CalendarTime.LongestGap(schedule.Times.SelectMany(kind => kind.Times))),
            };
    }

    private static BackupSchedule? Schedule(SectionReader own)
    {
        if (own.Find("schedule") is null)
        {
            return null;
        }

        var reader = own.Section("schedule").Allow(PostgresSchema.BackupSchedule);
        var times = ImmutableArray.CreateBuilder<BackupTimes>();
        foreach (var kind in BackupKinds.All)
        {
            if (Times(reader, kind.Word()) is { IsEmpty: false } words)
            {
                times.Add(new BackupTimes(kind, words));
            }
        }

        if (times.Count == 0)
        {
            reader.Error("'schedule' schedules nothing", reader.At, null, "write full: Sun 01:00, or remove 'schedule'");
        }

        return new BackupSchedule(times.ToImmutable(), reader.Duration("try_for", s_patience, TimeSpan.FromMinutes(1)));
    }

    private static ProofSchedule? Proof(SectionReader own, ImmutableArray<string> members)
    {
        if (own.Find("prove") is null)
        {
            return null;
        }

        var reader = own.Section("prove").Allow(PostgresSchema.BackupProof);
        var times = Times(reader, "schedule");
        if (times.IsEmpty)
        {
            reader.Error("'prove' has no 'schedule'", reader.At, null, "write schedule: Wed 03:00");
        }

        var on = reader.Word("on", "the name of a member");
        if (on is not null && !members.Contains(on.Value))
        {
            reader.Error($"'{on.Value}' is not a member", on.At, null, $"members are {string.Join(", ", members)}");
        }

        return new ProofSchedule(times, on?.Value);
    }

    private static ImmutableArray<string> Times(SectionReader reader, string key)
    {
        var words = reader.Words(key, "a calendar time of systemd, or a list of them");
        foreach (var word in words)
        {
            if (CalendarTime.Problem(word.Value) is { } problem)
            {
                reader.Error($"'{word.Value}' is no calendar time: {problem}", word.At, null, CalendarTime.Remedy);
            }
        }

        return [.. words.Select(word => word.Value)];
    }

    private ImmutableArray<BackupRepository> Repositories(SectionReader own, string scope, ImmutableArray<string> ownPaths)
    {
        if (own.Find("repositories") is not YamlSequence { Items: var items } || items.Count == 0)
        {
            own.Error(
                own.Find("repositories") is null ? "'backup' has no 'repositories'" : "'repositories' must be a list of one or two maps",
                own.Place("repositories"),
                "WAL and backups go to a bucket of an S3-compatible server, to a directory by SFTP, or to one that all members share",
                "write repositories: [{ s3: { endpoint: HOST:PORT, bucket: NAME } }]"
            );
            return [];
        }

        if (items.Count > Most)
        {
            own.Error($"{items.Count} repositories: kbr fills at most {Most}", items[Most].At, null, "remove the others");
        }

        var repositories = ImmutableArray.CreateBuilder<BackupRepository>();
        foreach (var (index, item) in items.Take(Most).Index())
        {
            if (
                SectionReader.Of(item, "a repository", _findings) is { } reader
                && Repository(reader.Allow(PostgresSchema.Repository), index + 1, scope, ownPaths) is { } repository
            )
            {
                if (repositories.Any(other => other.Label == repository.Label))
                {
                    own.Error("both repositories are the same place", item.At, repository.Label, "give the second another bucket or path");
                }

                repositories.Add(repository);
            }
        }

        return repositories.ToImmutable();
    }

    private BackupRepository? Repository(SectionReader own, int number, string scope, ImmutableArray<string> ownPaths)
    {
        var names = PostgresCredentials.OfRepository(number);
        var kinds = s_places.Where(key => own.Find(key) is not null).ToList();
        if (kinds.Count != 1)
        {
            own.Error(
                kinds.Count == 0
                    ? "a repository has none of 's3', 'sftp' and 'directory'"
                    : $"a repository has {string.Join(" and ", kinds.Select(key => $"'{key}'"))}",
                own.At,
                kinds.Count == 0 ? null : "each is a repository of its own",
                "write s3: { endpoint: HOST:PORT, bucket: NAME }, sftp: { host: HOST, user: NAME, known_hosts: FILE } or directory: /PATH"
            );
            return null;
        }

        RepositoryPlace? place = kinds[0] switch
        {
            "s3" => Bucket(own.Section("s3").Allow(PostgresSchema.S3), number, names, scope),
            "sftp" => Sftp(own.Section("sftp").Allow(PostgresSchema.Sftp), number, names.SftpKey, scope),
            _ => Directory(own, scope, ownPaths),
        };
        var isEncrypted = own.Choice("cipher", true, ("aes-256-cbc", true), ("none", false));
        var cipher = isEncrypted ? values.Password(names.Cipher, own.At) : null;
        if (cipher?.Reveal() is { Length: > 0 and < LeastCipherKey })
        {
            own.Error(
                $"secret {names.Cipher} is short",
                own.At,
                $"whoever reads the repository can try keys at leisure: {LeastCipherKey} characters at least",
                "kbr init --credentials generates it; a repository keeps the key that it was made with"
            );
        }

        return place is null ? null : new BackupRepository(place, cipher, Retention(own));
    }

    private SharedDirectory? Directory(SectionReader own, string scope, ImmutableArray<string> ownPaths)
    {
        if (own.Word("directory", "an absolute path on the members", required: true) is not { } word)
        {
            return null;
        }

        if (
            !HostPath.TryNormalize(word.Value, out var path, out var problem)
            || path == "/"
            || !path.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '.' or '_' or '/')
        )
        {
            _findings.Error(
                $"'directory' cannot be '{word.Value}'",
                word.At,
                problem is { Length: > 0 } ? problem : "an absolute path of ASCII letters, digits, '-', '.' and '_' only",
                "write where the shared file system is mounted on every member, as in /mnt/backups"
            );
            return null;
        }

        if ((HostPath.Refusal(path) ?? s_systems.Where(tree => HostPath.IsIn(path, tree)).Select(InSystem).FirstOrDefault()) is { } refusal)
        {
            _findings.Error(
                $"'directory' cannot be '{path}'",
                word.At,
                $"{refusal}, and is each member's own",
                "write where the shared file system is mounted on every member, as in /mnt/backups"
            );
            return null;
        }

        if (ownPaths.FirstOrDefault(one => HostPath.IsIn(path, one) || HostPath.IsIn(one, path)) is { } local)
        {
            _findings.Error(
                $"'directory' cannot be '{path}'",
                word.At,
                $"{local} is each member's own: what is lost with a member is no backup of it",
                "mount one file system on every member, at another path"
            );
            return null;
        }

        return new SharedDirectory(path, $"{path}/{scope}");

        static string InSystem(string tree) => $"{tree} and all in it belongs to the system";
    }

    private SftpDirectory? Sftp(SectionReader sftp, int number, string secret, string scope)
    {
        var server = sftp.Word("host", "a server, as HOST or HOST:PORT", required: true);
        var user = sftp.Word("user", "the name of a user", required: true);
        var known = sftp.Word("known_hosts", "a local file", required: true);
        var path = Path(sftp.Word("path", "an absolute path on the server"), scope);
        var (keyFile, knownFile) = ($"backup-key-{number}", $"backup-known-hosts-{number}");
        if (PrivateKey(secret, sftp.At) is { } key)
        {
            _files[keyFile] = key;
        }

        if (known is not null && LocalFile(known) is { } lines)
        {
            if (!KnownHosts(lines).Any() || lines.Contains("PRIVATE KEY", StringComparison.Ordinal))
            {
                _findings.Error(
                    $"'{known.Value}' is not a file of known hosts",
                    known.At,
                    "it goes to every member as it is: a line with the server's name and key for each of its kinds of key",
                    $"write it with ssh-keyscan -p PORT HOST, and compare the keys with those of the server"
                );
            }

            _files[knownFile] = SecretText.Plain(lines.TrimEnd('\n') + "\n");
        }

        if (server is null || user is null || known is null)
        {
            return null;
        }

        var (host, port) = Endpoint(server, SshPort);
        return new SftpDirectory(host, port, Plain(user, "a user"), path, keyFile, knownFile);
    }

    private static IEnumerable<string> KnownHosts(string text) =>
        text.Split('\n').Where(line => !line.StartsWith('#') && line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Length >= 3);

    // A key has lines, and a secret has one: in base64.
    private SecretText? PrivateKey(string secret, SourceLocation at)
    {
        var encoded = values.Password(secret, at);
        if (!context.Secrets.Has(secret))
        {
            return encoded;
        }

        var bytes = new byte[encoded.Reveal().Length];
        var text = Convert.TryFromBase64String(encoded.Reveal(), bytes, out var length)
            ? System.Text.Encoding.UTF8.GetString(bytes, 0, length)
            : "";
        if (IsOpenKey(text))
        {
            return new SecretText([new SecretText.Part(text.TrimEnd('\n') + "\n", true)]);
        }

        _findings.Error(
            $"secret {secret} is not a private key in base64",
            at,
            "it is the whole file of an SSH key without a passphrase, in one line",
            $"echo \"{secret}=$(base64 -w0 FILE)\" >> the credentials file"
        );
        return null;
    }

    // OpenSSH's own format names the cipher in its first bytes, "none" where there is none
    // (https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key).
    private static bool IsOpenKey(string text) =>
        text.Contains("-----BEGIN OPENSSH PRIVATE KEY-----", StringComparison.Ordinal)
            ? text.ReplaceLineEndings("").Contains("-----b3BlbnNzaC1rZXktdjEAAAAABG5vbmU", StringComparison.Ordinal)
            : text.Contains("PRIVATE KEY-----", StringComparison.Ordinal) && !text.Contains("ENCRYPTED", StringComparison.Ordinal);

    private S3Bucket? Bucket(SectionReader s3, int number, (string Key, string Secret, string Cipher, string SftpKey) names, string scope)
    {
        var endpoint = s3.Word("endpoint", "a server, as HOST or HOST:PORT", required: true);
        var bucket = s3.Word("bucket", "the name of a bucket", required: true);
        var (host, port) = endpoint is null ? ("", HttpsPort) : Endpoint(endpoint, HttpsPort);
        var place = new S3Bucket(
            host,
            port,
            bucket is null ? "" : Plain(bucket, "a bucket"),
            s3.Word("region", "a region") is { } region ? Plain(region, "a region") : "us-east-1",
            Path(s3.Word("path", "an absolute path in the bucket"), scope),
            s3.Choice("uri_style", true, ("path", true), ("host", false)),
            Authority(s3.Word("ca_file", "a local file"), number),
            values.Password(names.Key, s3.At),
            values.Password(names.Secret, s3.At)
        );
        return endpoint is null || bucket is null ? null : place;
    }

    private static BackupRetention Retention(SectionReader own)
    {
        var reader = own.Section("retention").Allow(PostgresSchema.Retention);
        if (reader.Find("full") is not null && reader.Find("days") is not null)
        {
            reader.Error("'retention' has both 'full' and 'days'", reader.Place("days"), "one of them decides", "remove one of them");
        }

        long? days = reader.Find("days") is null ? null : reader.Integer("days", 1, 1);
        return new BackupRetention(
            days is null ? reader.Integer("full", FullBackups, 1) : null,
            days,
            reader.Find("differential") is null ? null : reader.Integer("differential", 1, 1)
        );
    }

    private (string Host, int Port) Endpoint(YamlScalar word, int usual)
    {
        var text = word.Value;
        var colon = text.LastIndexOf(':');
        var (host, port) = colon < 0 ? (text, usual) : (text[..colon], PortOf(text[(colon + 1)..]));
        if (port == 0 || host.Length == 0 || !host.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '.'))
        {
            _findings.Error(
                $"'{text}' is not an endpoint",
                word.At,
                text.Contains("://", StringComparison.Ordinal)
                    ? $"it has a scheme; {(usual == SshPort ? "SFTP" : "TLS")} is always used"
                    : null,
                $"write HOST or HOST:PORT, as in {(usual == SshPort ? "backup-01:22" : "minio.example.com:9000")}"
            );
        }

        return (host, port);

        static int PortOf(string text) =>
            int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port is >= 1 and <= 65535 ? port : 0;
    }

    private string Path(YamlScalar? word, string scope)
    {
        if (word is null)
        {
            return "/" + scope;
        }

        if (!HostPath.TryNormalize(word.Value, out var path, out var problem) || path == "/")
        {
            _findings.Error(
                $"'path' cannot be '{word.Value}'",
                word.At,
                path == "/" ? "a cluster needs a path of its own" : problem,
                $"write /{scope}"
            );
            return "/" + scope;
        }

        return path;
    }

    private string Plain(YamlScalar word, string what)
    {
        if (!word.Value.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '.' or '_'))
        {
            _findings.Error($"'{word.Value}' cannot be the name of {what}", word.At, "ASCII letters, digits, '-', '.' and '_' only");
        }

        return word.Value;
    }

    private string? Authority(YamlScalar? word, int number)
    {
        if (word is null)
        {
            return null;
        }

        if (LocalFile(word) is not { } text)
        {
            return null;
        }

        if (
            text.Contains("-----BEGIN CERTIFICATE-----", StringComparison.Ordinal)
            && !text.Contains("PRIVATE KEY", StringComparison.Ordinal)
        )
        {
            var name = $"backup-ca-{number}.pem";
            _files[name] = SecretText.Plain(text);
            return name;
        }

        _findings.Error(
            $"'{word.Value}' is not a certificate",
            word.At,
            "it goes to every member as it is: a PEM file with certificates and no private key",
            "give the certificate of the authority that signed the server's"
        );
        return null;
    }

    private string? LocalFile(YamlScalar word)
    {
        try
        {
            return System.IO.File.ReadAllText(System.IO.Path.Combine(context.Directory, word.Value));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            _findings.Error($"the file '{word.Value}' cannot be read", word.At, exception.Message);
        }

        return null;
    }
}
