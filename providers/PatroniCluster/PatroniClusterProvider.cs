using System.Collections.Immutable;
using System.Net;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>The members of a PostgreSQL cluster under Patroni as a whole: that they run, that one of them leads, and in which turn they may
/// be disrupted. It makes nothing by itself: containers and units do.</summary>
/// <param name="stores">The consensus stores that clusters may use.</param>
public sealed class PatroniClusterProvider(ConsensusStores stores)
    : IGroupResourceProvider,
        IForgottenOnRemoval,
        IRollout,
        IForecastsRollout
{
    private const string Members = "members";
    private const string Leader = "leader";
    private const string AllRunning = "all running";
    private const string MountPoint = "mount_point";
    private const string FormerData = "former_data_directory";

    // Longer than an answer that is late, or a server too busy for Patroni's own question.
    private static readonly TimeSpan s_silence = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan s_joins = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(15);

    /// <summary>The type with the consensus stores that kbr knows.</summary>
    public PatroniClusterProvider()
        : this(ConsensusStores.Known) { }

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            "patroni_cluster",
            "The members of a PostgreSQL cluster under Patroni: all running, one primary, the others streaming from it.",
            [
                .. ClusterConnection.Attributes.Select(attribute =>
                    attribute with
                    {
                        FixedBecause = attribute.Name switch
                        {
                            "connect_as" =>
                                "the superuser was created with the data directory, and Patroni logs in as it: a member whose patroni.yml "
                                    + "names a missing role loses its database",
                            "postgres_port" =>
                                "PostgreSQL changes its port only at a start, and the proxies would use the wrong port until then",
                            _ => attribute.FixedBecause,
                        },
                    }
                ),
                .. ClusterConnection.RestCredentials,
                new("version", AttributeKind.Integer, "PostgreSQL's major version.")
                {
                    FixedBecause =
                        "a data directory belongs to one major version: another server refuses to start on it. kbr does no "
                        + "major upgrade yet; pg_upgrade or a dump into a new cluster does",
                },
                new(
                    "unit",
                    AttributeKind.String,
                    "The systemd unit that runs Patroni on each member. kbr restarts it on a member that the consensus store lost "
                        + "but that can reach the store's leader."
                ),
                ClusterIdentity.Definition with
                {
                    FixedBecause = "members in another namespace do not find the present ones, and would create a second, empty database",
                },
                .. stores.Attributes,
                .. stores.All.SelectMany(store => store.ClusterAttributes),
                new(
                    StoreMembership.OtherHostsAttribute,
                    AttributeKind.StringMap,
                    "Hosts outside the cluster, by the address they would have in the consensus store."
                ),
                new(
                    "bootstrap_host",
                    AttributeKind.String,
                    "The member whose patroni.yml has the bootstrap section: it alone may initialise the cluster."
                ),
                new(
                    "data_directory",
                    AttributeKind.Path,
                    "PostgreSQL's data directory on the hosts; checked before the bootstrap member is started."
                ),
                new(
                    MountPoint,
                    AttributeKind.Path,
                    "The mount point below that directory. While it is not mounted, it is unknown whether the host has data."
                ),
                .. ReplicationPassword.Attributes,
                new(
                    FormerData,
                    AttributeKind.Path,
                    $"Where a member may have its data that was installed by hand; at {MountPoint}, too. It is set aside "
                        + $"in that member's turn, and only while another member leads."
                ),
                new("max_lag", AttributeKind.Size, "The maximal lag in bytes of a replica in a healthy cluster.")
                {
                    Default = PatroniHealth.DefaultMaxLag,
                },
                new(
                    "preferred_leader",
                    AttributeKind.String,
                    "The primary after an apply that started or restarted members; any by default. With "
                        + "synchronous replication only if it is the synchronous standby then."
                ),
                ClusterDefaults.GateTimeoutAttribute("Seconds to wait for the cluster to become healthy."),
            ]
        );

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => false;

    /// <inheritdoc />
    public bool IsForgotten(Resource resource) => true;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource) => [];

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource) => new([ClusterConnection.Of(resource).Token], []);

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        var connection = ClusterConnection.Of(resource);
        return
        [
            .. PatroniHealth.Reads(connection.RestPort),
            .. stores.Of(resource).Reads(resource),
            connection.ContainerRead,
            connection.PostgresListener,
            .. DataDirectories(resource).Select(MemberIdentity.ControlFile),
        ];
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource) =>
        Comparable
            .None.Add(Members, new(AllRunning))
            .Add(Leader, new("one"))
            .Add(FormerSlots.Attribute, new(FormerSlots.Settled))
            .AddRange(stores.Of(resource).Desired(resource));

    /// <inheritdoc />
    public Observation Observe(Resource resource, IReadOnlyDictionary<string, Snapshot> members)
    {
        ArgumentNullException.ThrowIfNull(members);
        var store = stores.Of(resource);
        var health = Judge(resource, members, members.Keys);
        var connection = ClusterConnection.Of(resource);
        if (IdentityProblemOf(resource, members) is { } mistaken)
        {
            return new Observation.Unknown(mistaken.Problem) { Detail = mistaken.Detail, Remedy = mistaken.Remedy };
        }

        if (!health.Members.Any(member => member.Answers))
        {
            return new Observation.Absent();
        }

        var down = health
            .Members.Where(member => !member.IsRunning)
            .Select(member => $"{member.Name}: {member.State ?? "not answering"}")
            .ToList();
        var answering = health
            .Members.Where(member => member.Answers)
            .ToDictionary(member => member.Name, member => members[member.Name], StringComparer.Ordinal);
        var storeHealth = store.Judge(resource, answering, []);
        var other = members
            .Where(member => store.HasDesiredPassword(resource, member.Value) == false)
            .Select(member => member.Key)
            .Order(StringComparer.Ordinal)
            .ToList();
        List<string> notes = [];
        if (other.Count > 0)
        {
            notes.Add(
                $"members with different {store.Name} passwords cannot communicate, so all of them are stopped and "
                    + "started together: every session ends, and writes stop for about 15 s"
            );
        }

        var observed = Comparable
            .None.Add(FormerSlots.Attribute, new(FormerSlots.Observe(ClusterConnection.Of(resource), answering.Values)))
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
            .AddRange(store.Observe(resource, storeHealth, other));
        return new Observation.Present(observed)
        {
            Outsiders = [.. store.MembershipOf(resource)?.Outsiders(storeHealth) ?? []],
            Warnings = members
                .Where(pair => pair.Value.Has(connection.ContainerRead) && pair.Value.Get(connection.ContainerRead).Status == 404)
                .ToImmutableSortedDictionary(
                    pair => pair.Key,
                    pair =>
                        $"{pair.Key} runs no Patroni: it would become a new member of {connection.Scope}, with a copy of its "
                        + $"data; remove it from 'postgres.members' if it has another purpose",
                    StringComparer.Ordinal
                ),
            Note = notes.Count == 0 ? null : string.Join("; ", notes),
            Outlook = new ClusterOutlook(
                new ClusterView([.. health.Members.Select(member => member.Name)], health)
                {
                    Stopped =
                    [
                        .. members
                            .Where(pair => pair.Value.Has(connection.ContainerRead) && connection.Runs(pair.Value) == false)
                            .Select(pair => pair.Key),
                    ],
                    StoreWords = StoreWords.Of(store),
                    WithOtherStorePassword = [.. other],
                    WithStorePassword =
                    [
                        .. members.Where(pair => store.HasDesiredPassword(resource, pair.Value) == true).Select(pair => pair.Key),
                    ],
                }
            )
            {
                Preferred = resource.Spec.OptionalString("preferred_leader"),
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
            // It makes nothing by itself: whose the containers and units are is asked of these.
            IsManaged = true,
        };
    }

    /// <inheritdoc />
    public RolloutForecast? Forecast(RolloutQuestion question)
    {
        ArgumentNullException.ThrowIfNull(question);
        var now = question.Outlooks.OfType<ClusterOutlook>().FirstOrDefault();
        return now is null || now.Serving.All(question.Leaving.Contains)
            ? null
            : now.Forecast(question.Resource.Address, question.ToCome, question.Leaving);
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

        var store = stores.Of(change.Resource);
        await StrayedMembers
            .RejoinAsync(change.Resource, group, store, GateTimeout(change.Resource), cancellationToken)
            .ConfigureAwait(false);
        var (health, lost) = await WaitAsync(change.Resource, group, store, GateTimeout(change.Resource), giveUp: true, cancellationToken)
            .ConfigureAwait(false);
        if (lost is not null)
        {
            throw new ChangeFailedException(
                $"{change.Resource.Address.Host} cannot become healthy: {lost}. Bring that "
                    + $"host back, or remove it from the members, and apply again"
            );
        }

        if (!health.IsHealthy)
        {
            var said = await StartFailure
                .QuoteAsync(group, ClusterConnection.Of(change.Resource), StartFailure.Members(health), cancellationToken)
                .ConfigureAwait(false);
            throw new ChangeFailedException(
                $"{change.Resource.Address.Host} is not healthy after {GateTimeout(change.Resource).TotalSeconds:0} "
                    + $"s: {string.Join("; ", health.Problems)}. "
                    + (said.Length == 0 ? "" : said + ". ")
                    + (health.IsPaused ? "Patroni is paused: it starts nothing. " : "")
                    + $"Read Patroni's log on that host: docker logs {ClusterConnection.Of(change.Resource).Container}"
            );
        }

        // The plan does not compare the primary, which may change any day. Here the members were just started, and the switchover is part
        // of that.
        var nobody = new RolloutState([], []);
        var begun = group.Time.GetTimestamp();
        while (
            IntentOf(change.Resource, nobody).Preferred is { } preferred
            && preferred != health.Leader
            && group.Time.GetElapsedTime(begun) < GateTimeout(change.Resource)
            && await NextAsync(change.Resource, nobody, group, cancellationToken).ConfigureAwait(false) is RolloutTurn.Wait
        )
        {
            health = await WaitHealthyAsync(change.Resource, group, store, GateTimeout(change.Resource), cancellationToken)
                .ConfigureAwait(false);
        }

        await new FormerSlots(change.Resource, group).DropAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc />
    public TimeSpan GateTimeout(Resource group) => ClusterDefaults.GateTimeoutOf(group);

    /// <inheritdoc />
    public async Task<RolloutTurn> NextAsync(Resource group, RolloutState state, IGroupAccess access, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(group);
        ArgumentNullException.ThrowIfNull(state);
        ArgumentNullException.ThrowIfNull(access);
        var connection = ClusterConnection.Of(group);
        var store = stores.Of(group);
        List<Read> reads = [.. PatroniHealth.Reads(connection.RestPort), connection.ContainerRead];
        List<StatRead> marks = [.. new[] { DataMark(group) }.OfType<StatRead>(), .. FormerMarks(group)];
        reads.AddRange(marks);
        if (group.Spec.Has(MountPoint))
        {
            reads.Add(new MountsRead());
        }

        reads.AddRange(DataDirectories(group).Select(MemberIdentity.ControlFile));
        var snapshots = await ReadAllAsync(access, reads, cancellationToken).ConfigureAwait(false);
        if (snapshots.Values.Any(snapshot => store.MustTellPassword(group, snapshot)))
        {
            // A container that kbr did not create has no label of its store's password; the member reports it.
            snapshots = With(snapshots, await ReadAllAsync(access, store.Reads(group), cancellationToken).ConfigureAwait(false));
        }

        var names = access.Members.Select(member => member.Name).ToList();
        var view = new ClusterView([.. names], Judge(group, snapshots, names.Except(state.Left)))
        {
            Stopped = Those((_, snapshot) => connection.Runs(snapshot) == false),
            HoldsData = names.ToImmutableSortedDictionary(
                name => name,
                name => snapshots.TryGetValue(name, out var snapshot) ? HoldsData(group, snapshot, marks) : null,
                StringComparer.Ordinal
            ),
            BootstrapHost = group.Spec.OptionalString("bootstrap_host"),
            Mistaken = IdentityProblemOf(group, snapshots),
            Silence = TimeSpan.FromTicks(Math.Min(s_silence.Ticks, GateTimeout(group).Ticks / 2)),
            Waited = state.Waited,
            WithFormerData = Those((_, snapshot) => FormerMarks(group).Any(mark => snapshot.Get(mark) is not null)),
            StoreWords = StoreWords.Of(store),
            WithStorePassword = Those((_, snapshot) => store.HasDesiredPassword(group, snapshot) == true),
            WithOtherStorePassword = Those((_, snapshot) => store.HasDesiredPassword(group, snapshot) == false),
        };
        IReadOnlyDictionary<string, Snapshot>? told = null;
        return await new ClusterExecutor(group, access, store)
            .NextAsync(view, IntentOf(group, state), StoreAsync, cancellationToken)
            .ConfigureAwait(false);

        ImmutableSortedSet<string> Those(Func<string, Snapshot, bool> are) =>
            [.. names.Where(name => snapshots.TryGetValue(name, out var snapshot) && are(name, snapshot))];

        // It costs a program on each member, so it is read once, and only when the policy needs it.
        async Task<StoreView> StoreAsync(ImmutableSortedSet<string> without)
        {
            told ??= await ReadAllAsync(access, store.Reads(group), cancellationToken).ConfigureAwait(false);
            var all = With(snapshots, told);
            return new StoreView(without, new ClusterStore(group, access, store).Problems(told, without))
            {
                Mistaken = IdentityProblemOf(group, all),
                PrimaryTellsNamespace =
                    view.Health.Leader is not { } leader
                    || (all.TryGetValue(leader, out var answer) && store.NamespaceOf(group, answer) is not null),
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

    private static ClusterIntent IntentOf(Resource group, RolloutState state) =>
        new(state.ToCome, state.Leaving) { Preferred = group.Spec.OptionalString("preferred_leader") };

    /// <inheritdoc />
    public async Task LeftAsync(Resource group, string host, IGroupAccess access, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(group);
        ArgumentNullException.ThrowIfNull(access);
        var store = stores.Of(group);
        if (
            store.MembershipOf(group) is not { } membership
            || access.Members.FirstOrDefault(member => member.Name == host) is not { } left
            || membership.Wanted.Contains(store.AddressOf(group, left))
        )
        {
            // It comes back.
            return;
        }

        // It fails while the store elects another leader, if the stopped member was its leader. So it is retried.
        ImmutableArray<Host> staying = [.. access.Members.Where(member => member.Name != host)];
        var pace = new PollPace(s_poll, GateTimeout(group));
        if (
            await Poll.UntilAsync(
                    () => new ClusterStore(group, new Part(access, staying), store).ChangeAsync(staying, mayAdd: false, cancellationToken),
                    pending => pending is null,
                    pace,
                    access.Time,
                    cancellationToken
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
        Resource resource,
        IGroupAccess group,
        IConsensusStore store,
        TimeSpan patience,
        CancellationToken cancellationToken
    ) => (await WaitAsync(resource, group, store, patience, giveUp: false, cancellationToken).ConfigureAwait(false)).Health;

    // Answers too what it will never become healthy for, when it is to give up then.
    private static async Task<(PatroniHealth Health, string? Lost)> WaitAsync(
        Resource resource,
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
                look => look.HasAdvanced
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
        Resource resource,
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

        var unit = resource.Spec.OptionalString("unit");
        var answers = await ReadAllAsync(group, unit is null ? [] : [new UnitRead(unit)], cancellationToken).ConfigureAwait(false);
        return LostMembers.Verdict(health, LostMembers.Of(down, answers, unit));
    }

    /// <summary>Reads once. If Patroni reports no problems, the store's own status is read as well, and its problems are added.</summary>
    internal static async Task<PatroniHealth> LookAsync(
        Resource resource,
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
                Problems = await new ClusterStore(resource, group, store).ProblemsAsync(cancellationToken).ConfigureAwait(false),
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

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            whole.ReadAsync(host, reads, cancellationToken);

        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken) =>
            whole.RunAsync(host, script, cancellationToken);

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
            whole.OpenTunnelAsync(host, address, port, cancellationToken);
    }

    /// <summary>The health of the members, and whether they are the cluster that the resource stands for.</summary>
    internal static PatroniHealth Judge(Resource resource, IReadOnlyDictionary<string, Snapshot> snapshots, IEnumerable<string> expected)
    {
        var health = PatroniHealth.Judge(
            ClusterConnection.Of(resource).RestPort,
            snapshots,
            expected,
            resource.Spec.Integer("max_lag") ?? PatroniHealth.DefaultMaxLag
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
    private IdentityProblem? IdentityProblemOf(Resource resource, IReadOnlyDictionary<string, Snapshot> snapshots) =>
        ClusterIdentity
            .Of(resource)
            .Compare(
                snapshots.Select(pair =>
                    MemberIdentity.Of(
                        pair.Key,
                        ClusterConnection.Of(resource),
                        pair.Value,
                        DataDirectories(resource),
                        stores.Of(resource).NamespaceOf(resource, pair.Value)
                    )
                )
            );

    private static IEnumerable<string> DataDirectories(Resource resource) =>
        new[] { resource.Spec.OptionalString("data_directory") }.Concat(FormerDirectories(resource)).OfType<string>();

    // An installation by hand has its data at the root of the mounted directory, or of the volume.
    private static IEnumerable<string> FormerDirectories(Resource resource) =>
        resource.Spec.OptionalString(FormerData) is { } former
            ? new[] { former, resource.Spec.OptionalString(MountPoint) }.OfType<string>()
            : [];

    // Null when unknown: the volume of the data is not mounted.
    private static bool? HoldsData(Resource resource, Snapshot member, List<StatRead> marks) =>
        marks.Exists(mark => member.Get(mark) is not null) ? true
        : marks.Count == 0
        || (resource.Spec.OptionalString(MountPoint) is { } at && member.Get(new MountsRead()).All(mount => mount.MountPoint != at))
            ? null
        : false;

    // The file that every data directory of PostgreSQL has.
    private static IEnumerable<StatRead> FormerMarks(Resource resource) =>
        FormerDirectories(resource).Select(path => new StatRead(path + "/PG_VERSION"));

    private static StatRead? DataMark(Resource resource) =>
        resource.Spec.OptionalString("data_directory") is { } path ? new StatRead(path + "/PG_VERSION") : null;
}
