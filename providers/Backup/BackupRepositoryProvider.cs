using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>The repositories of a PostgreSQL cluster's WAL and backups, prepared for this cluster and reached by every member. Backups in
/// them are never removed by it.</summary>
/// <param name="tool">The tool that fills them.</param>
public sealed class BackupRepositoryProvider(IBackupTool tool) : IGroupResourceProvider, IForgottenOnRemoval
{
    private const string Ready = "ready on every member";
    private const string OtherPlace = "not in the configuration yet";
    private const string FirstBackup = "take a full backup after the apply (kbr backup --full): a new place holds none";
    private static readonly PollPace s_pace = new(TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(60)) { SparesSlowHosts = true };

    /// <summary>The type with the default tool.</summary>
    public BackupRepositoryProvider()
        : this(BackupTools.Default) { }

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            "backup_repository",
            "The repositories of a PostgreSQL cluster's WAL and backups, prepared for it.",
            [
                new("repositories", AttributeKind.StringList, "Their places in words, in the order of the tool's configuration.")
                {
                    Required = true,
                },
                new(
                    BackupRepositorySpec.DirectoriesKey,
                    AttributeKind.StringList,
                    "Those of them that are directories which all members share; each is marked, and every member must see the mark."
                ),
                new("file", AttributeKind.String, "The tool's configuration file inside the container.") { Required = true },
                new(
                    BackupRepositorySpec.ConfigurationKey,
                    AttributeKind.Path,
                    "That file on each member's host: where it names other places, the tool's answer is of those."
                ),
                .. ClusterConnection.Attributes,
            ]
        );

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => false;

    /// <inheritdoc />
    public bool IsForgotten(Resource resource) => true;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource)
    {
        if (BackupRepositorySpec.Of(resource).Repositories.IsEmpty)
        {
            yield return Diagnostic.Error("'repositories' is empty", resource.Location, address: resource.Address.ToString());
        }
    }

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource) => new(["backup-repository:" + resource.Address.Host], []);

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        var spec = BackupRepositorySpec.Of(resource);
        yield return spec.Connection.ContainerRead;
        yield return Identity(spec);
        yield return tool.Read(spec.Location);
        foreach (var path in spec.Directories)
        {
            yield return spec.DirectoryRead(path);
        }

        if (spec.Configuration is { } file)
        {
            yield return file;
        }
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource) =>
        SortedMap.Of<AttributeValue>(
            BackupRepositorySpec.Of(resource).Repositories.Select(label => KeyValuePair.Create(label, new AttributeValue(Ready)))
        );

    /// <inheritdoc />
    public Observation Observe(Resource resource, IReadOnlyDictionary<string, Snapshot> members)
    {
        var spec = BackupRepositorySpec.Of(resource);
        var answer = LeaderAnswer.Of(spec.Connection, Identity(spec), members);
        if (answer.Instead is { } instead)
        {
            return instead;
        }

        var reports = members
            .Where(pair => answer.Rows.ContainsKey(pair.Key))
            .OrderBy(pair => pair.Key != answer.Leader)
            .ThenBy(pair => pair.Key, StringComparer.Ordinal)
            .Select(pair => (Member: pair.Key, Report: tool.Judge(pair.Value.Get(tool.Read(spec.Location)))))
            .ToList();
        var leaders = reports[0].Report;
        if (!leaders.IsSetUp)
        {
            return new Observation.Absent();
        }

        // The tool answers for the places that its configuration names, and not for those that it is about to name.
        var moved = spec.Repositories.Where((label, at) => reports.Exists(one => IsElsewhere(one.Member, label, at))).ToHashSet();
        if (leaders.Trouble is { } trouble && moved.Count == 0)
        {
            return new Observation.Unknown($"{answer.Leader}: {tool.Name}: {trouble}");
        }

        var identifier = answer.Row.Text("system_identifier") ?? "";
        var states = spec
            .Repositories.Select(
                (label, at) =>
                    (
                        Label: label,
                        Of: reports
                            .Select(one =>
                                (
                                    one.Member,
                                    State: moved.Contains(label)
                                        ? IsElsewhere(one.Member, label, at)
                                            ? OtherPlace
                                            : null
                                        : ElsewhereThan(answer.Leader!, one.Member, label)
                                            ?? one.Report.TroubleOf(at + 1, identifier, tool.Name)
                                )
                            )
                            .ToList()
                    )
            )
            .ToList();
        if (
            moved.Count == 0
            && spec.Repositories.Index().All(one => leaders.Repositories.GetValueOrDefault(one.Index + 1)?.State == RepositoryState.Missing)
        )
        {
            return new Observation.Absent();
        }

        var present = new Observation.Present(
            SortedMap.Of<AttributeValue>(
                states.Select(one =>
                    KeyValuePair.Create(
                        one.Label,
                        new AttributeValue(
                            one.Of.All(member => member.State is null)
                                ? Ready
                                : string.Join(
                                    "; ",
                                    one.Of.Where(member => member.State is not null)
                                        .GroupBy(member => member.State!, member => member.Member, StringComparer.Ordinal)
                                        .Select(group => $"{string.Join(", ", group)}: {group.Key}")
                                )
                        )
                    )
                )
            )
        );
        return moved.Count == 0 ? present : present with { Note = FirstBackup };

        string? ElsewhereThan(string leader, string member, string label) =>
            !spec.Directories.Contains(label) ? null
            : member == leader && SeenBy(leader, label) is { Mark: null } ? "kbr has not marked it"
            : RepositoryDirectory.Difference(label, SeenBy(member, label), leader, SeenBy(leader, label));

        RepositoryDirectory? SeenBy(string member, string path) => RepositoryDirectory.Of(members[member].Get(spec.DirectoryRead(path)));

        bool IsElsewhere(string member, string label, int at) =>
            spec.Configuration is { } file
            && members[member].Get(file)?.Text is { } text
            && tool.PlacesIn(text) is { IsEmpty: false } places
            && (at >= places.Length || places[at] != label);
    }

    /// <inheritdoc />
    public async Task ChangeAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(change);
        ArgumentNullException.ThrowIfNull(group);
        if (change.Operation == ResourceOperation.Delete)
        {
            return;
        }

        var spec = BackupRepositorySpec.Of(change.Resource);
        var found = await Poll.UntilAsync(LookAsync, look => look.Leader is not null, s_pace, group.Time, cancellationToken)
            .ConfigureAwait(false);
        if (found.Leader is not { } leader)
        {
            throw new ChangeFailedException(
                $"no primary for {s_pace.Deadline.TotalSeconds:0} s: {(found.Instead as Observation.Unknown)?.Reason ?? "the cluster does not run"}"
            );
        }

        foreach (var path in spec.Directories)
        {
            await ShareAsync(spec, path, leader, group, cancellationToken).ConfigureAwait(false);
        }

        var result = await group
            .RunAsync(
                leader,
                new Script($"docker exec {Script.Quote(spec.Location.Container)} {tool.Prepare(spec.Location)} 2>&1 </dev/null"),
                cancellationToken
            )
            .ConfigureAwait(false);
        if (result.ExitCode != 0)
        {
            var (fault, reason) = (tool.FaultOf(result.Output), tool.Reason(result.Output));
            throw new ChangeFailedException(
                $"{leader}: {tool.Name} could not prepare {string.Join(" and ", spec.Repositories)}: "
                    + (
                        fault.Remedy() is null
                            ? $"{reason}. Check address, bucket, credentials and cipher key; a repository that holds another cluster needs "
                                + "another 'path'"
                            : fault.WithRemedy(reason)
                    )
            );
        }

        async Task<LeaderAnswer> LookAsync() =>
            LeaderAnswer.Of(
                spec.Connection,
                Identity(spec),
                await PatroniGroup
                    .ReadAllAsync(group, [Identity(spec), spec.Connection.ContainerRead], cancellationToken)
                    .ConfigureAwait(false)
            );
    }

    // A mark that another member has is not made a second time: the primary's may be the directory that is none of theirs.
    private static async Task ShareAsync(
        BackupRepositorySpec spec,
        string path,
        string leader,
        IGroupAccess group,
        CancellationToken cancellationToken
    )
    {
        var seen = await SeenAsync().ConfigureAwait(false);
        if (seen.GetValueOrDefault(leader) is not { Mark: not null } && seen.Values.All(one => one?.Mark is null))
        {
            var marked = await group
                .RunAsync(
                    leader,
                    new Script($"docker exec {Script.Quote(spec.Location.Container)} {RepositoryDirectory.Marking(path)} 2>&1 </dev/null"),
                    cancellationToken
                )
                .ConfigureAwait(false);
            if (marked.ExitCode != 0)
            {
                throw new ChangeFailedException(
                    $"{leader}: {path} cannot be written to: {marked.Output.Trim()}. Its file system must be mounted, and belong to the "
                        + "user of PostgreSQL in the container ('uid' and 'gid')"
                );
            }

            seen = await SeenAsync().ConfigureAwait(false);
        }

        if (seen.Where(one => one.Value is null).Select(one => one.Key).Order(StringComparer.Ordinal).ToList() is { Count: > 0 } silent)
        {
            throw new ChangeFailedException($"{string.Join(", ", silent)}: {path} does not answer; is the server of its file system up?");
        }

        var leaders = seen[leader];

        // The primary itself may be the one without the file system.
        if (seen.Values.Any(one => RepositoryDirectory.Difference(path, one, leader, leaders) is not null))
        {
            var together = seen.Where(one => one.Value is not null)
                .GroupBy(one => one.Value!.Mark ?? "", one => one.Key, StringComparer.Ordinal)
                .Select(group => string.Join(", ", group.Order(StringComparer.Ordinal)))
                .Order(StringComparer.Ordinal);
            throw new ChangeFailedException(
                $"{path} is not the same directory on every member: {string.Join(" see one, ", together)} another. Mount one file system "
                    + "on every member, then restart the container of a member that was started before"
            );
        }

        async Task<Dictionary<string, RepositoryDirectory?>> SeenAsync() =>
            (await PatroniGroup.ReadAllAsync(group, [spec.DirectoryRead(path)], cancellationToken).ConfigureAwait(false)).ToDictionary(
                pair => pair.Key,
                pair => RepositoryDirectory.Of(pair.Value.Get(spec.DirectoryRead(path))),
                StringComparer.Ordinal
            );
    }

    // The identifier has more digits than JSON's numbers keep.
    private static SqlRead Identity(BackupRepositorySpec spec) =>
        spec.Connection.Sql($"SELECT {LeaderAnswer.InRecovery}, system_identifier::text AS system_identifier FROM pg_control_system()");
}
