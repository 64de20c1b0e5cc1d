using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.PostgresHa.Backups;

/// <summary>The repositories of a cluster and its archive, as the members see them. Pure.</summary>
/// <param name="Leader">The primary; null where there is none.</param>
/// <param name="Asked">The member whose answer counts: the primary, or another one where it cannot say; null where none can.</param>
/// <param name="Reports">What each member that was read sees.</param>
/// <param name="Archived">What the primary archived.</param>
public sealed record BackupLook(
    string? Leader,
    string? Asked,
    ImmutableSortedDictionary<string, BackupReport> Reports,
    ArchivedWal Archived
)
{
    // The two are asked one after the other.
    private static readonly TimeSpan s_justArchived = TimeSpan.FromSeconds(15);

    /// <summary>The system identifier of the cluster; null where there is no primary.</summary>
    public string? SystemIdentifier { get; init; }

    /// <summary>The tool that archives and backs up.</summary>
    public static IBackupTool Tool => BackupSection.Tool;

    /// <summary>What the repositories hold; null where no member can say.</summary>
    public BackupReport? Report => Asked is null ? null : Reports[Asked];

    /// <summary>Where the tool finds its configuration.</summary>
    public static BackupLocation LocationOf(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        return new BackupLocation(PostgresTopology.PatroniContainer, BackupSection.File, topology.Scope);
    }

    /// <summary>What each member is asked.</summary>
    public static IReadOnlyCollection<Read> Reads(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        return [.. PatroniHealth.Reads(topology.Ports.Rest), Tool.Read(LocationOf(topology)), ArchivedWal.Read(topology)];
    }

    /// <summary>Judges the members' answers.</summary>
    /// <param name="topology">The cluster.</param>
    /// <param name="members">The members that were read.</param>
    public static BackupLook Of(PostgresTopology topology, IReadOnlyDictionary<string, Snapshot> members)
    {
        ArgumentNullException.ThrowIfNull(topology);
        ArgumentNullException.ThrowIfNull(members);
        var health = PatroniHealth.Judge(
            topology.Ports.Rest,
            members,
            topology.Members.Select(member => member.Name),
            topology.Health.MaxLag
        );
        var reports = members.ToImmutableSortedDictionary(
            pair => pair.Key,
            pair => Tool.Judge(pair.Value.Get(Tool.Read(LocationOf(topology)))),
            StringComparer.Ordinal
        );
        var leader = health.Leader is { } name && members.ContainsKey(name) ? name : null;
        return new BackupLook(
            leader,
            reports.Where(pair => pair.Value.Trouble is null).OrderBy(pair => pair.Key != leader).Select(pair => pair.Key).FirstOrDefault(),
            reports,
            leader is null ? ArchivedWal.Unknown : ArchivedWal.Of(members[leader].Get(ArchivedWal.Read(topology)))
        )
        {
            SystemIdentifier = health.Members.FirstOrDefault(member => member.Name == leader)?.SystemIdentifier,
        };
    }

    /// <summary>What is wrong with a repository as the members see it, without reading what it holds.</summary>
    public ImmutableArray<string> TroublesOf(long repository)
    {
        var identifier = SystemIdentifier ?? "";
        var archive = Report?.Repositories.GetValueOrDefault(repository) is { } held ? Unstored(held) : null;
        return
        [
            .. Reports
                .Select(pair => (pair.Key, Trouble: pair.Value.TroubleOf(repository, identifier, Tool.Name)))
                .Where(one => one.Trouble is not null)
                .GroupBy(one => one.Trouble!, one => one.Key, StringComparer.Ordinal)
                .Select(group => $"{string.Join(", ", group)}: {group.Key}"),
            .. archive is null ? [] : new[] { archive },
        ];
    }

    // PostgreSQL believes its archive_command.
    private string? Unstored(RepositoryReport repository) =>
        Archived.Ago > s_justArchived && WalSegments.IsBefore(repository.LastWal, Archived.Last)
            ? $"PostgreSQL archived {Archived.Last}, and the last segment there is {repository.LastWal}"
            : null;

    /// <summary>The times that a restore from a repository can go to; null where it has no backup.</summary>
    public RestorableWindow? WindowOf(long repository) =>
        Report?.Repositories.GetValueOrDefault(repository) is { } held ? RestorableWindow.Of(held, Archived) : null;
}
