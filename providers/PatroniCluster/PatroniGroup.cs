using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;
using KeyBuzz.Reconciler.Providers.PatroniConfig;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>The policy of the members of a PostgreSQL cluster under Patroni: that they run, that one of them leads, and in which turn they
/// may be disrupted.</summary>
/// <param name="stores">The consensus stores that clusters may use.</param>
public sealed class PatroniGroup(ConsensusStores stores) : IGroupPolicy
{
    private const string Members = "members";
    private const string Leader = "leader";
    private const string AllRunning = "all running";
    private const string VersionFile = "/PG_VERSION";

    // Longer than an answer that is late, or a server too busy for Patroni's own question.
    private static readonly TimeSpan s_silence = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan s_joins = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(15);

    /// <summary>The policy with the consensus stores that kbr knows.</summary>
    public PatroniGroup()
        : this(ConsensusStores.Known) { }

    /// <inheritdoc />
    public IReadOnlyList<AttributeDefinition> Settings { get; } =
    [
        .. ClusterConnection.Attributes,
        .. ClusterConnection.RestCredentials,
        new(PatroniGroupSpec.VersionKey, AttributeKind.Integer, "PostgreSQL's major version, which a member's data must have."),
        new(
            PatroniGroupSpec.UnitKey,
            AttributeKind.String,
            "The systemd unit that runs Patroni on each member. kbr restarts it on a member that the consensus store lost "
                + "but that can reach the store's leader."
        ),
        ClusterIdentity.Definition,
        .. stores.Attributes,
        .. stores.All.SelectMany(store => store.ClusterAttributes),
        new(
            StoreMembership.OtherHostsAttribute,
            AttributeKind.StringMap,
            "Hosts outside the cluster, by the address they would have in the consensus store."
        ),
        new(
            PatroniGroupSpec.RecoversKey,
            AttributeKind.String,
            "The member whose database kbr recover, or kbr restore --lost, goes on with; unset otherwise."
        ),
        new(
            PatroniGroupSpec.BootstrapHostKey,
            AttributeKind.String,
            "The member whose patroni.yml has the bootstrap section: it alone may initialise the cluster."
        ),
        new(
            PatroniGroupSpec.DataDirectoryKey,
            AttributeKind.Path,
            "PostgreSQL's data directory on the hosts; checked before the bootstrap member is started."
        ),
        new(
            PatroniGroupSpec.MountPointKey,
            AttributeKind.Path,
            "The mount point below that directory. While it is not mounted, it is unknown whether the host has data."
        ),
        .. ReplicationPassword.Attributes,
        .. ConnectionPools.Attributes,
        new(
            PatroniGroupSpec.FileKey,
            AttributeKind.Path,
            "patroni.yml on the hosts: a cluster whose members use another consensus store is not changed."
        ),
        new(
            PatroniGroupSpec.ImageKey,
            AttributeKind.String,
            "The image of the members: it does not change while they move to another store."
        ),
        new(
            PatroniGroupSpec.FormerDataKey,
            AttributeKind.Path,
            $"Where a member may have its data that was installed by hand; at {PatroniGroupSpec.MountPointKey}, too. It is set aside "
                + $"in that member's turn, and only while another member is the primary."
        ),
        new(PatroniGroupSpec.MaxLagKey, AttributeKind.Size, "The maximal lag in bytes of a replica in a healthy cluster.")
        {
            Default = PatroniHealth.DefaultMaxLag,
        },
        new(
            PatroniGroupSpec.PreferredLeaderKey,
            AttributeKind.String,
            "The primary after an apply that started or restarted members; any by default. With "
                + "synchronous replication only if it is the synchronous standby then."
        ),
        ClusterDefaults.GateTimeoutAttribute("Seconds to wait for the cluster to become healthy."),
    ];

    /// <inheritdoc />
    public string Constraint => "one member at a time, replicas first, the primary last after a switchover";

    /// <inheritdoc />
    public IEnumerable<Read> Reads(GroupPolicy policy)
    {
        var connection = ClusterConnection.Of(policy);
        return
        [
            .. PatroniHealth.Reads(connection.RestPort),
            .. stores.Of(policy).Reads(policy),
            connection.ContainerRead,
            connection.PostgresListener,
            .. PatroniGroupSpec.Of(policy).DataDirectories.Select(MemberIdentity.ControlFile),
            .. PatroniGroupSpec.Of(policy).DataDirectories.Select(VersionRead),
            .. StoreMove.Files(policy, stores),
            .. StoreMove.Image(policy),
            RestoreJournal.Read(connection.Scope),
            RecoveryJournal.Read(connection.Scope),
        ];
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(GroupPolicy policy) =>
        Comparable
            .None.Add(Members, new(AllRunning))
            .Add(Leader, new("one"))
            .Add(FormerSlots.Attribute, new(FormerSlots.Settled))
            .AddRange(stores.Of(policy).Desired(policy));

    /// <inheritdoc />
    public Observation Observe(GroupPolicy policy, IReadOnlyDictionary<string, Snapshot> members)
    {
        ArgumentNullException.ThrowIfNull(members);
        var health = Judge(policy, members, members.Keys);
        return Observe(policy, members, health) with
        {
            // The mark of a fenced member is the reason why the member is not there.
            Held = health.Fenced.ToImmutableSortedDictionary(
                pair => pair.Key,
                pair => new HeldMember($"{pair.Key} is {pair.Value.Text}", $"kbr unfence {pair.Key} brings it back"),
                StringComparer.Ordinal
            ),
        };
    }

    private Observation Observe(GroupPolicy policy, IReadOnlyDictionary<string, Snapshot> members, PatroniHealth health)
    {
        var store = stores.Of(policy);
        var connection = ClusterConnection.Of(policy);
        if (IdentityProblemOf(policy, members) is { } mistaken)
        {
            return new Observation.Unknown(mistaken.Problem) { Detail = mistaken.Detail, Remedy = mistaken.Remedy };
        }

        var restore = RestoreJournal.Of(connection.Scope, members.Values);
        if (restore is { IsExchanging: true })
        {
            return new Observation.Unknown($"a restore of {connection.Scope} is exchanging the members' data directories")
            {
                Detail = $"it began at {restore.Begun:yyyy-MM-dd HH:mm:ss} UTC, and was interrupted",
                Remedy = "run kbr restore, which goes on with it; or kbr restore undo, which goes back",
            };
        }

        if (restore is { IsOpeningWithout: true } && PatroniGroupSpec.Of(policy).Recovers is null)
        {
            return new Observation.Unknown($"a restore of {connection.Scope} without {string.Join(" and ", restore.Lost)} is not complete")
            {
                Detail = $"it began at {restore.Begun:yyyy-MM-dd HH:mm:ss} UTC, and starts the other members apart from a lost one",
                Remedy = "run kbr restore, which goes on with it; or kbr restore undo, which goes back",
            };
        }

        if ((OtherStore(policy, members) ?? OtherVersion(policy, members)) is { } other)
        {
            return other;
        }

        var recovery = RecoveryOf(policy, members, health);
        if (recovery is RecoveryVerdict.Refused refused)
        {
            return new Observation.Unknown(refused.Reason) { Detail = refused.Detail, Remedy = refused.Remedy };
        }

        var returned = (recovery as RecoveryVerdict.Known)?.Returned ?? [];
        if (!health.Members.Any(member => member.Answers))
        {
            return new Observation.Absent { Ahead = returned };
        }

        var down = health
            .Members.Where(member => !member.IsRunning)
            .Select(member => $"{member.Name}: {member.State ?? "not answering"}")
            .ToList();
        var answering = health
            .Members.Where(member => member.Answers)
            .ToDictionary(member => member.Name, member => members[member.Name], StringComparer.Ordinal);
        var storeHealth = store.Judge(policy, answering, []);
        var others = members
            .Where(member => store.HasDesiredPassword(policy, member.Value) == false)
            .Select(member => member.Key)
            .Order(StringComparer.Ordinal)
            .ToList();
        List<string> notes = [];
        if (others.Count > 0)
        {
            notes.Add(
                $"members with different {store.Name} passwords cannot communicate, so all of them are stopped and "
                    + "started together: every session ends, and writes stop for about 15 s"
            );
        }

        var observed = Comparable
            .None.Add(
                FormerSlots.Attribute,
                new(
                    PatroniGroupSpec.Of(policy).Recovers is null
                        ? FormerSlots.Observe(ClusterConnection.Of(policy), answering.Values)
                        : FormerSlots.Settled
                )
            )
            .Add(Members, new(down.Count == 0 ? AllRunning : string.Join(", ", down)))
            .Add(
                Leader,
                new(
                    health.Leaders.Length switch
                    {
                        0 => "none",
                        1 => "one",
                        2 => "two",
                        _ => "more than two",
                    }
                )
            )
            .AddRange(store.Observe(policy, storeHealth, others));
        return new Observation.Present(observed)
        {
            Ahead = returned,
            Outsiders = [.. store.MembershipOf(policy)?.Outsiders(storeHealth) ?? []],
            Warnings = ReturnedWarnings(policy, recovery)
                ?? members
                    .Where(pair =>
                        pair.Value.Has(connection.ContainerRead)
                        && pair.Value.Get(connection.ContainerRead).Status == 404
                        && StoreMove.PlaceOf(policy, stores, pair.Value, out _) != StorePlace.Between
                    )
                    .ToImmutableSortedDictionary(
                        pair => pair.Key,
                        pair =>
                            $"{pair.Key} runs no Patroni: it would become a new member of {connection.Scope}, with a copy of its "
                            + $"data; remove it from 'postgres.members' if it has another purpose",
                        StringComparer.Ordinal
                    ),
            Note = notes.Count == 0 ? null : string.Join("; ", notes),
            Outlook = new ClusterOutlook(
                WithStorePlaces(
                    policy,
                    members,
                    members.Keys,
                    new ClusterView([.. members.Keys.Order(StringComparer.Ordinal)], health)
                ) with
                {
                    Fenced = [.. health.Fenced.Keys],
                    Joining = Joining(policy, members, storeHealth),
                    Stopped =
                    [
                        .. members
                            .Where(pair => pair.Value.Has(connection.ContainerRead) && connection.Runs(pair.Value) == false)
                            .Select(pair => pair.Key),
                    ],
                    StoreWords = StoreWords.Of(store),
                    StoreMembers = storeHealth.OwnMembers,
                    WithOtherStorePassword = [.. others],
                    WithStorePassword =
                    [
                        .. members.Where(pair => store.HasDesiredPassword(policy, pair.Value) == true).Select(pair => pair.Key),
                    ],
                }
            )
            {
                Preferred = PatroniGroupSpec.Of(policy).PreferredLeader,
            },
            Foreign = health.IsPaused
                ?
                [
                    new ForeignSetting(
                        "pause",
                        "Patroni restarts no member and promotes no replica",
                        "end it with patronictl resume",
                        IsTrouble: true
                    ),
                ]
                : [],
        };
    }

    // A store that nobody leaves has no places.
    private ClusterView WithStorePlaces(
        GroupPolicy policy,
        IReadOnlyDictionary<string, Snapshot> members,
        IEnumerable<string> names,
        ClusterView view
    )
    {
        HashSet<string>[] places =
        [
            [],
            [],
            [],
            [],
        ];
        var former = "";
        foreach (var (name, member) in members)
        {
            places[(int)StoreMove.PlaceOf(policy, stores, member, out var other)].Add(name);
            former = other?.Name ?? former;
        }

        return former.Length == 0
            ? view
            : view with
            {
                FormerStore = former,
                InDeclaredStore = [.. places[(int)StorePlace.Declared]],
                InFormerStore = [.. places[(int)StorePlace.Former]],
                BetweenStores = [.. places[(int)StorePlace.Between]],
                InUnknownStore = [.. names.Except(members.Keys)],
                WithOtherImage = [.. places[(int)StorePlace.Former].Where(name => StoreMove.HasOtherImage(policy, members[name]))],
                LastPrimary = StoreMove.LastPrimary(PatroniGroupSpec.Of(policy).DataDirectory, members),
            };
    }

    // A recovery brings its survivor up by the same policy, alone.
    private RecoveryVerdict RecoveryOf(GroupPolicy policy, IReadOnlyDictionary<string, Snapshot> members, PatroniHealth health)
    {
        if (PatroniGroupSpec.Of(policy).Recovers is not null)
        {
            return new RecoveryVerdict.None();
        }

        var store = stores.Of(policy);
        var connection = ClusterConnection.Of(policy);
        return RecoveryVerdict.Of(
            connection.Scope,
            members,
            health.Leaders,
            snapshot => store.HasDesiredPassword(policy, snapshot),
            snapshot => snapshot.Get(connection.ContainerRead).Status != 404
        );
    }

    // Null for none.
    private static ImmutableSortedDictionary<string, string>? ReturnedWarnings(GroupPolicy policy, RecoveryVerdict recovery) =>
        recovery is RecoveryVerdict.Known { Journal: var journal, Returned: { IsEmpty: false } returned }
            ? returned.ToImmutableSortedDictionary(
                name => name,
                name =>
                    $"{name} was lost when {policy.Group} was recovered from {journal.Survivor} at "
                    + $"{journal.Begun:yyyy-MM-dd HH:mm:ss} UTC: it is stopped, any data of it is kept aside (.lost-{journal.Id}), and it copies from the primary",
                StringComparer.Ordinal
            )
            : null;

    /// <inheritdoc />
    public async Task PrepareAsync(GroupPolicy policy, IGroupAccess access, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(access);
        var store = stores.Of(policy);
        var snapshots = await ReadAllAsync(access, [.. Reads(policy)], cancellationToken).ConfigureAwait(false);
        switch (RecoveryOf(policy, snapshots, Judge(policy, snapshots, snapshots.Keys)))
        {
            case RecoveryVerdict.Refused refused:
                throw new ChangeFailedException($"{refused.Reason} ({refused.Detail}); {refused.Remedy}");
            case RecoveryVerdict.Known { Journal: var journal, Returned: { IsEmpty: false } returned }:
                if (
                    await new ReturnedMembers(policy, access, store)
                        .SetAsideAsync(journal, [.. returned], needsData: false, cancellationToken)
                        .ConfigureAwait(false) is
                    { } trouble
                )
                {
                    throw new ChangeFailedException(trouble);
                }

                break;
        }
    }

    // Members with different stores would elect a primary each.
    private Observation.Unknown? OtherStore(GroupPolicy policy, IReadOnlyDictionary<string, Snapshot> members)
    {
        var declared = stores.Of(policy);
        var all = StoreMove.Files(policy, stores).ToList();
        foreach (var (name, member) in members.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            // A member whose container kbr made tells by it, and moves.
            IEnumerable<FileRead> files = StoreMove.PlaceOf(policy, stores, member, out _) switch
            {
                StorePlace.None => all,
                StorePlace.Declared => all.Where(one => one.Path == policy.Spec.OptionalString(PatroniGroupSpec.FileKey)),
                _ => [],
            };
            foreach (var file in files)
            {
                if (member.Has(file) && member.Get(file)?.Text is { } text && stores.OtherIn(text, declared) is { } found)
                {
                    return new Observation.Unknown(
                        $"{name} uses the consensus store {found.Name}, and cluster.yaml asks for {declared.Name}"
                    )
                    {
                        Detail = $"{file.Path} on {name} says so; members with different stores would elect a primary each",
                        Remedy =
                            $"write the former 'store' ({found.Key}) again: kbr moves only members whose containers it made (docs/stores.md)",
                        Setting = ConsensusStores.Attribute,
                    };
                }
            }
        }

        return null;
    }

    // A server of another major version refuses to start on the data, and a member made anew with it could not stream from the others.
    private static Observation.Unknown? OtherVersion(GroupPolicy policy, IReadOnlyDictionary<string, Snapshot> members)
    {
        if (PatroniGroupSpec.Of(policy).Version is not { } wanted)
        {
            return null;
        }

        var reads = PatroniGroupSpec.Of(policy).DataDirectories.Select(VersionRead).ToList();
        var found = members
            .OrderBy(member => member.Key, StringComparer.Ordinal)
            .Select(member =>
                reads
                    .Where(member.Value.Has)
                    .Select(read => (Member: member.Key, Version: member.Value.Get(read)?.Text.Trim(), Directory: DirectoryOf(read)))
                    .FirstOrDefault(one => one.Version is not null)
            )
            .FirstOrDefault(one => long.TryParse(one.Version, CultureInfo.InvariantCulture, out var version) && version != wanted);
        return found.Version is null
            ? null
            : new Observation.Unknown($"{found.Member} holds data of PostgreSQL {found.Version}, not {wanted}")
            {
                Detail =
                    $"it is in {found.Directory}. A data directory belongs to one major version: another server refuses to start on it",
                Remedy =
                    $"set postgres.version: {found.Version} with an image of that version. kbr does no major upgrade yet; pg_upgrade or a "
                    + "dump into a new cluster does",
            };
    }

    private static FileRead VersionRead(string dataDirectory) => new(dataDirectory + VersionFile);

    private static string DirectoryOf(FileRead version) => version.Path[..^VersionFile.Length];

    /// <summary>Patroni's configuration is recorded with what the members were last reached by.</summary>
    public GroupPolicy AsApplied(GroupPolicy policy, IEnumerable<Resource> applied)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return applied.FirstOrDefault(resource => resource.Address.Type == PatroniConfigProvider.Type) is { } config
            ? policy with
            {
                Spec = config
                    .Spec.Names.Where(name => policy.Spec.Has(name) && config.Spec[name] is not SecretText)
                    .Aggregate(policy.Spec, (spec, name) => spec.With(name, config.Spec[name]!)),
            }
            : policy;
    }

    /// <inheritdoc />
    public RolloutForecast? Forecast(GroupPolicy policy, RolloutState state, IEnumerable<GroupOutlook> outlooks)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(state);
        var now = ClusterOutlook.Of(outlooks);
        return now is null || now.Serving.All(state.Leaving.Contains) ? null : now.Forecast(policy.Address, state);
    }

    /// <inheritdoc />
    public async Task BringToHealthAsync(GroupPolicy policy, IGroupAccess group, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(group);
        var store = stores.Of(policy);
        await StrayedMembers.RejoinAsync(policy, group, store, GateTimeout(policy), cancellationToken).ConfigureAwait(false);
        var (health, lost) = await WaitAsync(policy, group, store, GateTimeout(policy), giveUp: true, cancellationToken)
            .ConfigureAwait(false);
        if (lost is not null)
        {
            throw new ChangeFailedException(
                $"{policy.Group} cannot become healthy: {lost}. Bring that " + $"host back, or remove it from the members, and apply again"
            );
        }

        if (!health.IsHealthy)
        {
            var said = await StartFailure
                .QuoteAsync(group, ClusterConnection.Of(policy), StartFailure.Members(health), cancellationToken)
                .ConfigureAwait(false);
            throw new ChangeFailedException(
                $"{policy.Group} is not healthy after {GateTimeout(policy).TotalSeconds:0} "
                    + $"s: {string.Join("; ", health.Problems)}. "
                    + (said.Length == 0 ? "" : said + ". ")
                    + (health.IsPaused ? "Patroni is paused: it starts nothing. " : "")
                    + $"Read Patroni's log on that host: docker logs {ClusterConnection.Of(policy).Container}"
            );
        }

        // The plan does not compare the primary, which may change any day. Here the members were just started, and the switchover is part
        // of that.
        var nobody = new RolloutState([], []);
        var begun = group.Time.GetTimestamp();
        while (
            IntentOf(policy, nobody, group).Preferred is { } preferred
            && preferred != health.Leader
            && group.Time.GetElapsedTime(begun) < GateTimeout(policy)
            && await NextAsync(policy, nobody, group, cancellationToken).ConfigureAwait(false) is RolloutTurn.Wait
        )
        {
            health = await WaitHealthyAsync(policy, group, store, GateTimeout(policy), cancellationToken).ConfigureAwait(false);
        }

        // A recovery's members are not former ones: an apply brings them back.
        if (PatroniGroupSpec.Of(policy).Recovers is null)
        {
            await new FormerSlots(policy, group).DropAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc />
    public TimeSpan GateTimeout(GroupPolicy policy) => ClusterDefaults.GateTimeoutOf(policy);

    /// <inheritdoc />
    public async Task<RolloutTurn> NextAsync(
        GroupPolicy policy,
        RolloutState state,
        IGroupAccess access,
        CancellationToken cancellationToken
    )
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(state);
        ArgumentNullException.ThrowIfNull(access);
        var spec = PatroniGroupSpec.Of(policy);
        var connection = ClusterConnection.Of(policy);
        var store = stores.Of(policy);
        List<Read> reads = [.. PatroniHealth.Reads(connection.RestPort), connection.ContainerRead, RecoveryJournal.Read(connection.Scope)];
        List<StatRead> marks = [.. new[] { spec.DataMark }.OfType<StatRead>(), .. spec.FormerMarks];
        reads.AddRange(marks);
        if (spec.MountPoint is not null)
        {
            reads.Add(new MountsRead());
        }

        reads.AddRange(spec.DataDirectories.Select(MemberIdentity.ControlFile));
        reads.AddRange(StoreMove.Files(policy, stores));
        reads.AddRange(StoreMove.Image(policy));
        var snapshots = await ReadAllAsync(access, reads, cancellationToken).ConfigureAwait(false);
        if (snapshots.Values.Any(snapshot => store.MustTellPassword(policy, snapshot)))
        {
            // A container that kbr did not create has no label of its store's password; the member reports it.
            snapshots = With(snapshots, await ReadAllAsync(access, store.Reads(policy), cancellationToken).ConfigureAwait(false));
        }

        if (!state.Later.IsEmpty)
        {
            access = await WithoutJoiningAsync(policy, snapshots, state, access, cancellationToken).ConfigureAwait(false);
        }

        var names = access.Members.Select(member => member.Name).ToList();
        var health = Judge(policy, snapshots, names.Except(state.Left));
        var recovery = RecoveryOf(policy, snapshots, health);
        if (recovery is RecoveryVerdict.Refused refused)
        {
            return new RolloutTurn.Wait($"{refused.Reason}; {refused.Remedy}");
        }

        var view = WithStorePlaces(policy, snapshots, names, new ClusterView([.. names], health)) with
        {
            Fenced = [.. health.Fenced.Keys],
            Stopped = Those((_, snapshot) => connection.Runs(snapshot) == false),
            HoldsData = names.ToImmutableSortedDictionary(
                name => name,
                name => snapshots.TryGetValue(name, out var snapshot) ? HoldsData(policy, snapshot, marks) : null,
                StringComparer.Ordinal
            ),
            Recovery = recovery as RecoveryVerdict.Known,
            BootstrapHost = spec.BootstrapHost,
            Mistaken = IdentityProblemOf(policy, snapshots),
            Silence = TimeSpan.FromTicks(Math.Min(s_silence.Ticks, GateTimeout(policy).Ticks / 2)),
            Waited = state.Waited,
            WithFormerData = Those((_, snapshot) => spec.FormerMarks.Any(mark => snapshot.Get(mark) is not null)),
            StoreWords = StoreWords.Of(store),
            WithStorePassword = Those((_, snapshot) => store.HasDesiredPassword(policy, snapshot) == true),
            WithOtherStorePassword = Those((_, snapshot) => store.HasDesiredPassword(policy, snapshot) == false),
        };
        IReadOnlyDictionary<string, Snapshot>? told = null;
        return await new ClusterExecutor(policy, access, store)
            .NextAsync(view, IntentOf(policy, state, access), StoreAsync, cancellationToken)
            .ConfigureAwait(false);

        ImmutableSortedSet<string> Those(Func<string, Snapshot, bool> are) =>
            [.. names.Where(name => snapshots.TryGetValue(name, out var snapshot) && are(name, snapshot))];

        // It costs a program on each member, so it is read once, and only when the policy needs it.
        async Task<StoreView> StoreAsync(ImmutableSortedSet<string> without)
        {
            told ??= await ReadAllAsync(access, store.Reads(policy), cancellationToken).ConfigureAwait(false);
            var all = With(snapshots, told);
            return new StoreView(without, new ClusterStore(policy, access, store).Problems(told, without.Union(view.Fenced)))
            {
                Mistaken = IdentityProblemOf(policy, all),
                PrimaryTellsNamespace =
                    view.Health.Leader is not { } leader
                    || (all.TryGetValue(leader, out var answer) && store.NamespaceOf(policy, answer) is not null),
            };
        }
    }

    private static Dictionary<string, Snapshot> With(
        IReadOnlyDictionary<string, Snapshot> snapshots,
        IReadOnlyDictionary<string, Snapshot> more
    ) =>
        snapshots.ToDictionary(
            pair => pair.Key,
            pair => more.TryGetValue(pair.Key, out var other) ? pair.Value.With(other) : pair.Value,
            StringComparer.Ordinal
        );

    // The members without those that join after others have left.
    private async Task<IGroupAccess> WithoutJoiningAsync(
        GroupPolicy policy,
        IReadOnlyDictionary<string, Snapshot> snapshots,
        RolloutState state,
        IGroupAccess access,
        CancellationToken cancellationToken
    )
    {
        var store = stores.Of(policy);
        var asked = await ReadAllAsync(access, store.Reads(policy), cancellationToken).ConfigureAwait(false);
        var told = With(snapshots, asked);
        var answering = Judge(policy, told, told.Keys)
            .Members.Where(member => member.Answers && asked.ContainsKey(member.Name))
            .ToDictionary(member => member.Name, member => told[member.Name], StringComparer.Ordinal);
        var staying = told.Where(pair => !state.Leaving.Contains(pair.Key)).ToDictionary(StringComparer.Ordinal);
        var joining = Joining(policy, staying, store.Judge(policy, answering, [])).Intersect(state.Later);
        return new Part(access, [.. access.Members.Where(member => !joining.Contains(member.Name))]);
    }

    // It answers the members without a container that the store does not count. Who is counted is known by addresses alone: one of them
    // may be the former self of a member without a container, and then none of them is new.
    private ImmutableSortedSet<string> Joining(GroupPolicy policy, IReadOnlyDictionary<string, Snapshot> members, StoreHealth health)
    {
        var container = ClusterConnection.Of(policy).ContainerRead;
        ImmutableSortedSet<string> absent =
        [
            .. members.Where(pair => pair.Value.Has(container) && pair.Value.Get(container).Status == 404).Select(pair => pair.Key),
        ];
        return
            stores.Of(policy).MembershipOf(policy) is not { } membership
            || (!health.Counted.IsEmpty && membership.Wanted.Count(address => !health.Counted.ContainsKey(address)) >= absent.Count)
            ? absent
            : [];
    }

    // The preferred leader gets the lead only where a service may be disrupted now.
    private static ClusterIntent IntentOf(GroupPolicy group, RolloutState state, IGroupAccess access) =>
        new(state.ToCome, state.Leaving)
        {
            Later = state.Later,
            Preferred = access.ClosedBecause is null ? PatroniGroupSpec.Of(group).PreferredLeader : null,
        };

    /// <inheritdoc />
    public async Task<string?> WithdrawAsync(GroupPolicy policy, IGroupAccess access)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(access);
        var connection = ClusterConnection.Of(policy);
        var snapshots = await ReadAllAsync(access, PatroniHealth.Reads(connection.RestPort), CancellationToken.None).ConfigureAwait(false);
        string? left = null;
        foreach (var primary in Judge(policy, snapshots, snapshots.Keys).Leaders)
        {
            left = await CommitFence.LowerAsync(connection, primary, access).ConfigureAwait(false) ?? left;
        }

        return left;
    }

    /// <inheritdoc />
    public async Task LeftAsync(GroupPolicy policy, string host, IGroupAccess access, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(access);
        var store = stores.Of(policy);
        if (
            store.MembershipOf(policy) is not { } membership
            || access.Members.FirstOrDefault(member => member.Name == host) is not { } left
            || membership.Wanted.Contains(store.AddressOf(policy, left))
        )
        {
            // It comes back.
            return;
        }

        // It fails while the store elects another leader, if the stopped member was its leader. So it is retried.
        ImmutableArray<Host> staying = [.. access.Members.Where(member => member.Name != host)];
        var pace = new PollPace(s_poll, GateTimeout(policy)) { SparesSlowHosts = true };
        if (
            await Poll.UntilAsync(
                    () => new ClusterStore(policy, new Part(access, staying), store).ChangeAsync(staying, mayAdd: false, cancellationToken),
                    pending => pending is null,
                    pace,
                    access.Time,
                    cancellationToken,
                    beforePause: pending => access.Report.Awaits(pending!)
                )
                .ConfigureAwait(false) is
            { } last
        )
        {
            throw new ChangeFailedException(
                $"{host} is stopped, but {store.Name} still counts it after {pace.Deadline.TotalSeconds:0} s: {last}. "
                    + $"The next apply tries again"
            );
        }
    }

    /// <summary>Waits until the cluster is healthy and its store whole, or that time has passed in which no member got on with copying its
    /// data; answers what it was last.</summary>
    internal static async Task<PatroniHealth> WaitHealthyAsync(
        IDeclared resource,
        IGroupAccess group,
        IConsensusStore store,
        TimeSpan patience,
        CancellationToken cancellationToken
    ) => (await WaitAsync(resource, group, store, patience, giveUp: false, cancellationToken).ConfigureAwait(false)).Health;

    // Answers too what it will never become healthy for, when it is to give up then.
    private static async Task<(PatroniHealth Health, string? Lost)> WaitAsync(
        IDeclared resource,
        IGroupAccess group,
        IConsensusStore store,
        TimeSpan patience,
        bool giveUp,
        CancellationToken cancellationToken
    )
    {
        var begun = group.Time.GetTimestamp();
        var copy = new ProgressTracker();
        var last = await Poll.UntilAsync(
                JudgeAsync,
                look => look.Health.IsHealthy || look.Lost is not null,
                // Reading the store may start a program on every member.
                new PollPace(s_poll, patience) { SparesSlowHosts = true },
                group.Time,
                cancellationToken,
                look => look.HasAdvanced,
                look => group.Report.Awaits(string.Join("; ", look.Health.Problems))
            )
            .ConfigureAwait(false);
        return (last.Health, last.Lost);

        async Task<(PatroniHealth Health, string? Lost, bool HasAdvanced)> JudgeAsync()
        {
            var health = await LookAsync(resource, group, store, cancellationToken).ConfigureAwait(false);
            var hasAdvanced = copy.HasAdvanced(
                await CopiedAsync(ClusterConnection.Of(resource), health, group, cancellationToken).ConfigureAwait(false)
            );
            var lost =
                giveUp && !health.IsHealthy ? await LostAsync(resource, health, group, [], cancellationToken).ConfigureAwait(false) : null;
            // A member makes itself counted when it starts; it is helped where that failed. Until it is counted it sees no leader, and has
            // no database to run.
            var mayAdd = group.Time.GetElapsedTime(begun) > s_joins;
            if (giveUp && !health.IsHealthy && (lost is not null || mayAdd || health.Members.All(member => member.IsRunning)))
            {
                var change = await new ClusterStore(resource, group, store)
                    .ChangeAsync([], mayAdd, cancellationToken)
                    .ConfigureAwait(false);
                lost = change is null ? lost : null;
            }

            return (health, lost, hasAdvanced);
        }
    }

    // How many bytes the members that copy their data from the leader have been sent; 0 where none does. A copy of a large database takes
    // longer than any gate should.
    internal static async Task<long> CopiedAsync(
        ClusterConnection connection,
        PatroniHealth health,
        IGroupAccess group,
        CancellationToken cancellationToken
    )
    {
        var copying = group
            .Members.Where(host =>
                health.Members.Any(member => member.Name == host.Name && !member.IsRunning) && IPAddress.TryParse(host.Address, out _)
            )
            .ToList();
        if (health.Leader is not { } leader || copying.Count == 0)
        {
            return 0;
        }

        // Base backups started by other clients do not count.
        var read = connection.Sql(
            "SELECT coalesce(sum(p.backup_streamed), 0)::bigint AS streamed FROM pg_stat_progress_basebackup p "
                + "JOIN pg_stat_replication r USING (pid) "
                + $"WHERE r.client_addr IN ({string.Join(", ", copying.Select(host => SqlText.Literal(host.Address) + "::inet"))})"
        );
        try
        {
            var answer = (await group.ReadAsync(leader, [read], cancellationToken).ConfigureAwait(false)).Get(read);
            return JsonAnswer.Rows(answer.Json) is [var row, ..] ? row.Number("streamed") ?? 0 : 0;
        }
        catch (HostException)
        {
            return 0;
        }
    }

    // The permanent obstacle: members that are down and that this run does not start. Null when waiting may help.
    internal static async Task<string?> LostAsync(
        IDeclared resource,
        PatroniHealth health,
        IGroupAccess group,
        ImmutableSortedSet<string> coming,
        CancellationToken cancellationToken
    )
    {
        var down = health.Members.Where(member => !member.Answers && !coming.Contains(member.Name)).Select(member => member.Name).ToList();
        if (down.Count == 0)
        {
            return null;
        }

        var unit = PatroniGroupSpec.Of(resource).Unit;
        var answers = await ReadAllAsync(group, unit is null ? [] : [new UnitRead(unit)], cancellationToken).ConfigureAwait(false);
        return LostMembers.Verdict(health, LostMembers.Of(down, answers, unit));
    }

    /// <summary>Reads once. If Patroni reports no problems, the store's own status is read as well, and its problems are added.</summary>
    internal static async Task<PatroniHealth> LookAsync(
        IDeclared resource,
        IGroupAccess group,
        IConsensusStore store,
        CancellationToken cancellationToken
    )
    {
        var snapshots = await ReadAllAsync(group, PatroniHealth.Reads(ClusterConnection.Of(resource).RestPort), cancellationToken)
            .ConfigureAwait(false);
        var health = Judge(resource, snapshots, group.Members.Select(member => member.Name));
        return !health.IsHealthy
            ? health
            : health with
            {
                Problems = await new ClusterStore(resource, group, store)
                    .ProblemsAsync([.. health.Fenced.Keys], cancellationToken)
                    .ConfigureAwait(false),
            };
    }

    /// <summary>Reads from every member that can be reached.</summary>
    internal static async Task<IReadOnlyDictionary<string, Snapshot>> ReadAllAsync(
        IGroupAccess group,
        IReadOnlyCollection<Read> reads,
        CancellationToken cancellationToken
    )
    {
        var answers = await Task.WhenAll(
                group.Members.Select(async member =>
                {
                    try
                    {
                        return (
                            member.Name,
                            Snapshot: (Snapshot?)await group.ReadAsync(member.Name, reads, cancellationToken).ConfigureAwait(false)
                        );
                    }
                    catch (HostException)
                    {
                        // It is judged as one that does not answer.
                        return (member.Name, null);
                    }
                })
            )
            .ConfigureAwait(false);
        return answers
            .Where(answer => answer.Snapshot is not null)
            .ToDictionary(answer => answer.Name, answer => answer.Snapshot!, StringComparer.Ordinal);
    }

    // Some of a group's members.
    private sealed class Part(IGroupAccess whole, ImmutableArray<Host> members) : IGroupAccess
    {
        public ImmutableArray<Host> Members => members;

        public TimeProvider Time => whole.Time;

        public IStepReport Report => whole.Report;

        public string? ClosedBecause => whole.ClosedBecause;

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            whole.ReadAsync(host, reads, cancellationToken);

        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken) =>
            whole.RunAsync(host, script, cancellationToken);

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
            whole.OpenTunnelAsync(host, address, port, cancellationToken);
    }

    /// <summary>The health of the members, and whether they are the declared cluster.</summary>
    internal static PatroniHealth Judge(IDeclared resource, IReadOnlyDictionary<string, Snapshot> snapshots, IEnumerable<string> expected)
    {
        var health = PatroniHealth.Judge(
            ClusterConnection.Of(resource).RestPort,
            snapshots,
            expected,
            PatroniGroupSpec.Of(resource).MaxLag
        );
        return
            ClusterIdentity.Of(resource).Compare(health.Members.Select(member => new MemberIdentity(member.Name) { Scope = member.Scope }))
                is { } mistaken
            ? health with
            {
                Problems = [new HealthProblem(HealthProblemKind.Identity, null, mistaken.Text), .. health.Problems],
            }
            : health;
    }

    // The identity of the members, from their answers and their data directories.
    private IdentityProblem? IdentityProblemOf(GroupPolicy resource, IReadOnlyDictionary<string, Snapshot> snapshots) =>
        ClusterIdentity
            .Of(resource)
            .Compare(
                snapshots.Select(pair =>
                    MemberIdentity.Of(
                        pair.Key,
                        ClusterConnection.Of(resource),
                        pair.Value,
                        PatroniGroupSpec.Of(resource).DataDirectories,
                        stores.Of(resource).NamespaceOf(resource, pair.Value)
                    )
                )
            );

    // Null when unknown: the volume of the data is not mounted.
    private static bool? HoldsData(GroupPolicy resource, Snapshot member, List<StatRead> marks) =>
        marks.Exists(mark => member.Get(mark) is not null) ? true
        : marks.Count == 0
        || (PatroniGroupSpec.Of(resource).MountPoint is { } at && member.Get(new MountsRead()).All(mount => mount.MountPoint != at))
            ? null
        : false;
}
