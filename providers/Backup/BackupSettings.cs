using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>Where a cluster's WAL and backups go, and how.</summary>
/// <param name="Cluster">The cluster's name, under which it stands in each repository.</param>
/// <param name="Repositories">The repositories, in the order of the file.</param>
/// <param name="Compression">How files are compressed: zst, lz4, gz or none.</param>
/// <param name="Processes">How many processes compress and transfer at the same time.</param>
/// <param name="Server">The PostgreSQL server on the member itself.</param>
public sealed record BackupSettings(
    string Cluster,
    ImmutableArray<BackupRepository> Repositories,
    string Compression,
    long Processes,
    BackupServer Server
)
{
    /// <summary>Whether backups take only the time of processors and disks that nothing else wants.</summary>
    public bool IsIdle { get; init; }

    /// <summary>When backups are taken; null for none but by hand.</summary>
    public BackupSchedule? Schedule { get; init; }

    /// <summary>When the backups are proven; null for by hand.</summary>
    public ProofSchedule? Proof { get; init; }

    /// <summary>How old the last good backup may be; null for any age.</summary>
    public TimeSpan? MaxAge { get; init; }

    /// <summary>Whether replicas are made from a repository where that costs less than a copy of the primary.</summary>
    public bool ReplicasFromRepository { get; init; }

    /// <summary>The directories that the members' containers mount for the repositories.</summary>
    public IEnumerable<string> Mounts =>
        Repositories.Select(repository => (repository.Place as SharedDirectory)?.Mount).OfType<string>().Distinct(StringComparer.Ordinal);
}

/// <summary>When backups are taken.</summary>
/// <param name="Times">The calendar times of each kind that is taken, in the order of the kinds.</param>
/// <param name="Patience">For how long one is tried, and waited for on the replicas.</param>
public sealed record BackupSchedule(ImmutableArray<BackupTimes> Times, TimeSpan Patience);

/// <summary>When backups of a kind are taken.</summary>
/// <param name="Kind">The kind.</param>
/// <param name="Times">The calendar times.</param>
public sealed record BackupTimes(BackupKind Kind, ImmutableArray<string> Times);

/// <summary>When backups are proven by a restore.</summary>
/// <param name="Times">The calendar times.</param>
/// <param name="Member">The member that it is restored on where it is a replica; null for any replica.</param>
public sealed record ProofSchedule(ImmutableArray<string> Times, string? Member);

/// <summary>The PostgreSQL server that is backed up, as its own member sees it.</summary>
/// <param name="DataDirectory">Its data directory.</param>
/// <param name="SocketDirectory">The directory of its Unix socket.</param>
/// <param name="Port">Its port, which names the socket.</param>
/// <param name="User">The superuser.</param>
public sealed record BackupServer(string DataDirectory, string SocketDirectory, int Port, string User);

/// <summary>A repository of WAL and backups.</summary>
/// <param name="Place">Where it is.</param>
/// <param name="CipherKey">The key that it is encrypted with; null for a repository without encryption.</param>
/// <param name="Retention">How long backups stay.</param>
public sealed record BackupRepository(RepositoryPlace Place, SecretText? CipherKey, BackupRetention Retention)
{
    /// <summary>Its place in words.</summary>
    public string Label => Place.Label;
}

/// <summary>Where a repository is.</summary>
public abstract record RepositoryPlace
{
    /// <summary>In words, without secrets. The same place has the same label.</summary>
    public abstract string Label { get; }
}

/// <summary>A directory of a server that is reached by SFTP.</summary>
/// <param name="Host">The server's name or address.</param>
/// <param name="Port">The port of its SSH.</param>
/// <param name="User">The user who logs in.</param>
/// <param name="Path">The directory.</param>
/// <param name="KeyFile">The file, beside the tool's configuration, with the user's private key.</param>
/// <param name="KnownHostsFile">The file, beside it, with the server's keys.</param>
public sealed record SftpDirectory(string Host, int Port, string User, string Path, string KeyFile, string KnownHostsFile) : RepositoryPlace
{
    /// <inheritdoc />
    public override string Label => $"sftp://{User}@{Host}:{Port}{Path}";
}

/// <summary>A directory that all members share: of a network file system that is mounted on each of them.</summary>
/// <param name="Mount">The directory that the members' containers mount.</param>
/// <param name="Path">The repository in it.</param>
public sealed record SharedDirectory(string Mount, string Path) : RepositoryPlace
{
    /// <inheritdoc />
    public override string Label => Path;
}

/// <summary>A place in an S3-compatible object store.</summary>
/// <param name="Host">The server's name or address.</param>
/// <param name="Port">Its port; TLS always.</param>
/// <param name="Name">The bucket.</param>
/// <param name="Region">The region.</param>
/// <param name="Path">The path in the bucket.</param>
/// <param name="PathStyle">Whether the bucket stands in the path of a request instead of the name of the host.</param>
/// <param name="AuthorityFile">The file, beside the tool's configuration, of the authority that signed the server's certificate; null for
/// the image's own authorities.</param>
/// <param name="Key">The access key.</param>
/// <param name="Secret">Its secret.</param>
public sealed record S3Bucket(
    string Host,
    int Port,
    string Name,
    string Region,
    string Path,
    bool PathStyle,
    string? AuthorityFile,
    SecretText Key,
    SecretText Secret
) : RepositoryPlace
{
    /// <inheritdoc />
    public override string Label => $"s3://{Name}{Path} at {Host}:{Port}";
}

/// <summary>How long backups stay; the WAL that they need stays with them.</summary>
/// <param name="Full">How many full backups; null where <paramref name="Days"/> decides.</param>
/// <param name="Days">For how many days; null where <paramref name="Full"/> decides.</param>
/// <param name="Differential">How many differential backups; null for as many as their full backups last.</param>
public sealed record BackupRetention(long? Full, long? Days, long? Differential);
