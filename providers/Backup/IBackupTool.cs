using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>A program that archives WAL, takes backups and restores them: what kbr must know of it. It runs in the members' containers.
/// Implementations hold no state.</summary>
public interface IBackupTool
{
    /// <summary>The word that chooses it.</summary>
    string Key { get; }

    /// <summary>Its name in sentences.</summary>
    string Name { get; }

    /// <summary>The name of its configuration file.</summary>
    string FileName { get; }

    /// <summary>The kind of its read.</summary>
    ContainerReadKind ReadKind { get; }

    /// <summary>A shell command in the members' image that fails, with a message, where the tool is missing.</summary>
    string Present { get; }

    /// <summary>Its configuration file on a member.</summary>
    /// <param name="settings">The repositories.</param>
    /// <param name="directory">The directory of the configuration file inside the container.</param>
    SecretText Configuration(BackupSettings settings, string directory);

    /// <summary>The places of the repositories, as <see cref="BackupRepository.Label"/> has them, that a configuration file names, in the
    /// order of their numbers; none in a file that kbr did not write.</summary>
    ImmutableArray<string> PlacesIn(string configuration);

    /// <summary>PostgreSQL's <c>archive_command</c>, which fails after the timeout: a stop of PostgreSQL waits for it.</summary>
    string ArchiveCommand(BackupLocation location, TimeSpan timeout);

    /// <summary>Asks the repositories for this cluster.</summary>
    Read<ToolAnswer> Read(BackupLocation location);

    /// <summary>Judges the answer to <see cref="Read"/>.</summary>
    BackupReport Judge(ToolAnswer answer);

    /// <summary>The command, inside the primary's container, that prepares every repository for this cluster. It changes nothing where they
    /// are prepared, and is refused where a repository holds another database of that name.</summary>
    string Prepare(BackupLocation location);

    /// <summary>The reason in a command's output, in one line.</summary>
    string Reason(string output);

    /// <summary>The kind of fault in a command's output.</summary>
    RepositoryFault FaultOf(string output);

    /// <summary>The command, inside a member's container, that restores a backup into a directory and prepares it for recovery up to a
    /// target, where it pauses. It can be run again where it was broken off. The restored server archives nothing.</summary>
    /// <param name="location">Where the tool finds its configuration.</param>
    /// <param name="target">The point to recover to.</param>
    /// <param name="directory">The data directory to be.</param>
    /// <param name="tablespaces">The directory that tablespaces come to lie in.</param>
    string Restore(BackupLocation location, RestoreTarget target, string directory, string tablespaces);

    /// <summary>PostgreSQL's <c>restore_command</c> for a data directory.</summary>
    string RestoreCommand(BackupLocation location, string directory);

    /// <summary>A shell command that removes from a directory's <c>postgresql.auto.conf</c> what <see cref="Restore"/> wrote.</summary>
    string Clean(string directory);

    /// <summary>The command, inside the primary's container, that takes a backup into each of these repositories. It fails where one of
    /// them failed.</summary>
    /// <param name="location">The cluster.</param>
    /// <param name="kind">How much it copies; all where there is nothing to build on.</param>
    /// <param name="repositories">The repositories' numbers.</param>
    string Take(BackupLocation location, BackupKind kind, IEnumerable<long> repositories);

    /// <summary>Whether the output of <see cref="Take"/> says that another backup of the cluster runs.</summary>
    bool IsBusy(string output);

    /// <summary>The command, inside a member's container, that reads all of a repository's backups and WAL.</summary>
    /// <param name="location">The cluster.</param>
    /// <param name="repository">The repository's number.</param>
    /// <param name="report">What the repository holds.</param>
    string Verify(BackupLocation location, long repository, RepositoryReport report);

    /// <summary>The command, inside a member's container, that prints the names of a repository's WAL segments, one a line.</summary>
    /// <param name="location">The cluster.</param>
    /// <param name="repository">The repository's number.</param>
    /// <param name="report">What the repository holds.</param>
    string Segments(BackupLocation location, long repository, RepositoryReport report);

    /// <summary>The command, inside a member's container, that prints PostgreSQL's history file of a timeline from a repository.</summary>
    /// <param name="location">The cluster.</param>
    /// <param name="repository">The repository's number.</param>
    /// <param name="report">What the repository holds.</param>
    /// <param name="timeline">The timeline.</param>
    string History(BackupLocation location, long repository, RepositoryReport report, long timeline);

    /// <summary>Judges the output of <see cref="Verify"/>.</summary>
    RepositoryCheck JudgeVerify(string output, RepositoryReport report);

    /// <summary>The name of its program for scheduled backups.</summary>
    string ProgramName { get; }

    /// <summary>The program for scheduled backups, which runs in every member's container: whoever is the primary takes the backup, and
    /// the others wait for it, and take it where they become the primary meanwhile. Its last line is what came of it.</summary>
    /// <param name="location">The cluster.</param>
    /// <param name="repositories">How many repositories there are.</param>
    /// <param name="primaryCheck">A URL that answers with status 200 on the primary alone, and elsewhere with the
    /// <c>replication_state</c>.</param>
    /// <param name="patience">For how long it tries and waits.</param>
    /// <param name="isIdle">Whether it takes only the time of processors and disks that nothing else wants.</param>
    string Program(BackupLocation location, int repositories, string primaryCheck, TimeSpan patience, bool isIdle);

    /// <summary>The name of its program for scheduled proofs.</summary>
    string ProofProgramName { get; }

    /// <summary>The program for scheduled proofs, which runs in a member's container. Called with <c>member</c> it prints the replica
    /// whose turn it is; with <c>target LSN</c> the second to restore to, since 1970, and the bytes of the largest database of the backups
    /// before and after it, once all WAL up to there is archived. It ends with status 2 and the reason where nothing can be restored, and
    /// with 3 where it is too early.</summary>
    /// <param name="location">The cluster.</param>
    /// <param name="repositories">How many repositories there are.</param>
    /// <param name="dataDirectory">The member's data directory.</param>
    /// <param name="members">A URL that answers with the members.</param>
    /// <param name="preferred">The member that is preferred where it is a replica; null for none.</param>
    /// <param name="archiveTimeout">PostgreSQL's <c>archive_timeout</c>.</param>
    string ProofProgram(
        BackupLocation location,
        int repositories,
        string dataDirectory,
        string members,
        string? preferred,
        TimeSpan archiveTimeout
    );

    /// <summary>The name of its program that makes a replica.</summary>
    string ReplicaProgramName { get; }

    /// <summary>The program that makes a replica from a repository, with the options by which Patroni calls one
    /// (<c>create_replica_methods</c>). It fails where a copy of the primary costs less.</summary>
    /// <param name="location">The cluster.</param>
    /// <param name="repositories">How many repositories there are.</param>
    string ReplicaProgram(BackupLocation location, int repositories);

    /// <summary>The command, inside a container, that runs that program. A number after it is the second, since 1970, in which the last run
    /// of a kind that <see cref="BackupKinds.Serving"/> names ended on the member.</summary>
    /// <param name="program">The program's file in the container.</param>
    /// <param name="kind">What it is to take.</param>
    string RunProgram(string program, BackupKind kind);

    /// <summary>The command, inside a container, that ends that program where it runs.</summary>
    /// <param name="program">The program's file in the container.</param>
    /// <param name="kind">What it takes.</param>
    string EndProgram(string program, BackupKind kind);
}

/// <summary>Where the tool finds its configuration, and the cluster's name in it.</summary>
/// <param name="Container">The members' container.</param>
/// <param name="File">The configuration file in it.</param>
/// <param name="Cluster">The cluster's name.</param>
public sealed record BackupLocation(string Container, string File, string Cluster);
