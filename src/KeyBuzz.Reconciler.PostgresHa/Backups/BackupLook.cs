using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;

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

    // Members are asked at the same time, and one of them may answer late.
    private static readonly TimeSpan s_skew = TimeSpan.FromSeconds(60);

    /// <summary>Each member's clock, of those that said.</summary>
    public SortedMap<DateTimeOffset> Clocks { get; init; } = SortedMap<DateTimeOffset>.Empty;

    /// <summary>Each repository that is a directory, by its number: its path, and what each member sees there.</summary>
    public ImmutableSortedDictionary<long, SeenDirectory> Directories { get; init; } = ImmutableSortedDictionary<long, SeenDirectory>.Empty;

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
        return
        [
            .. PatroniHealth.Reads(topology.Ports.Rest),
            Tool.Read(LocationOf(topology)),
            ArchivedWal.Read(topology),
            .. DirectoriesOf(topology).Select(one => one.Read),
        ];
    }

    private static IEnumerable<(long Number, RepositoryDirectoryRead Read)> DirectoriesOf(PostgresTopology topology) =>
        (topology.Backup?.Repositories ?? [])
            .Index()
            .Where(one => one.Item.Place is SharedDirectory)
            .Select(one => (one.Index + 1L, new RepositoryDirectoryRead(PostgresTopology.PatroniContainer, one.Item.Label)));

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
            Clocks = ClocksOf(members, topology),
            Directories = DirectoriesOf(topology)
                .ToImmutableSortedDictionary(
                    one => one.Number,
                    one => new SeenDirectory(
                        one.Read.Path,
                        members.ToImmutableSortedDictionary(
                            pair => pair.Key,
                            pair => pair.Value.Has(one.Read) ? RepositoryDirectory.Of(pair.Value.Get(one.Read)) : null,
                            StringComparer.Ordinal
                        )
                    )
                ),
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
                .Select(pair =>
                    (
                        pair.Key,
                        Trouble: ElsewhereThan(pair.Key, repository)
                            ?? (
                                pair.Value.TroubleOf(repository, identifier, Tool.Name) is { } trouble
                                    ? pair.Value.FaultOf(repository).WithRemedy(trouble)
                                    : null
                            )
                    )
                )
                .Where(one => one.Trouble is not null)
                .GroupBy(one => one.Trouble!, one => one.Key, StringComparer.Ordinal)
                .Select(group => $"{string.Join(", ", group)}: {group.Key}"),
            .. archive is null ? [] : new[] { archive },
        ];
    }

    private static SortedMap<DateTimeOffset> ClocksOf(IReadOnlyDictionary<string, Snapshot> members, PostgresTopology topology)
    {
        var clocks = new SortedMap<DateTimeOffset>.Builder(members.Count);
        foreach (var (member, answers) in members)
        {
            if (ArchivedWal.Of(answers.Get(ArchivedWal.Read(topology))).Now is { } now)
            {
                clocks.Add(member, now);
            }
        }

        return clocks.ToMap();
    }

    /// <summary>What is wrong with the members' clocks, by which backups are chosen for a time and scheduled.</summary>
    public ImmutableArray<string> ClockTroubles()
    {
        if (Leader is null || !Clocks.TryGetValue(Leader, out var now))
        {
            return [];
        }

        var last = Report?.Repositories.Values.SelectMany(held => held.Good).MaxBy(backup => backup.Ended);
        return
        [
            .. Clocks
                .Where(pair => (pair.Value - now).Duration() > s_skew)
                .Select(pair =>
                    $"the clock of {pair.Key} is {BackupWords.Age((pair.Value - now).Duration())} {(pair.Value > now ? "ahead of" : "behind")} "
                    + $"that of the primary, {Leader} (restores to a time and schedules go by it: chronyc tracking there)"
                ),
            .. last is not null && last.Ended - now > s_skew
                ? new[]
                {
                    $"backup {last.Label} ended {BackupWords.Age(last.Ended - now)} after the present time of {Leader}: "
                        + "a clock has jumped, or did then (chronyc tracking on each member; then kbr backup --full)",
                }
                : [],
        ];
    }

    /// <summary>The room in a repository that is a directory, in words, and whether it is too little; null where it is not
    /// known.</summary>
    public (string Words, bool IsLittle)? RoomOf(long repository) =>
        Directories.TryGetValue(repository, out var directory)
        && Asked is not null
        && directory.Seen.GetValueOrDefault(Asked) is { FreeBytes: { } free, SizeBytes: { } size } seen
            ? ($"{BackupWords.Size(free)} of {BackupWords.Size(size)} free", seen.IsNearlyFull)
            : null;

    private string? ElsewhereThan(string member, long repository) =>
        Leader is not null && Directories.TryGetValue(repository, out var directory)
            ? RepositoryDirectory.Difference(
                directory.Path,
                directory.Seen.GetValueOrDefault(member),
                Leader,
                directory.Seen.GetValueOrDefault(Leader)
            )
            : null;

    // PostgreSQL believes its archive_command. One that drops everything has always just archived; a segment more is on its way.
    private string? Unstored(RepositoryReport repository) =>
        WalSegments.IsBefore(repository.LastWal, Archived.Last, Archived.Ago > s_justArchived ? 0 : 1)
            ? $"PostgreSQL archived {Archived.Last}, and the last segment there is {repository.LastWal} (its archive_command answers without "
                + "storing: kbr plan shows a change by hand; once it is mended, kbr backup --full begins a new window)"
            : null;

    /// <summary>The times that a restore from a repository can go to; null where it has no backup.</summary>
    public RestorableWindow? WindowOf(long repository) =>
        Report?.Repositories.GetValueOrDefault(repository) is { } held ? RestorableWindow.Of(held, Archived) : null;
}

/// <summary>A repository that is a directory.</summary>
/// <param name="Path">The directory.</param>
/// <param name="Seen">What each member sees there; null for one that did not say.</param>
public sealed record SeenDirectory(string Path, ImmutableSortedDictionary<string, RepositoryDirectory?> Seen);
