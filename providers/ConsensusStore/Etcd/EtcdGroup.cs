using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Etcd;

/// <summary>The policy of etcd's members: that all of them count and follow one leader, that clients need a password and Patroni's user is
/// limited to its prefix, and in which turn the members may be disrupted.</summary>
public sealed class EtcdGroup : IGroupPolicy
{
    internal const string DirectoryKey = "data_directory";
    internal const string MountPointKey = "mount_point";
    internal const string MembersKey = "members";
    internal const string PrefixKey = "prefix";
    internal const string PortKey = "peer_port";
    internal const string RestPortKey = "rest_port";

    private const string Connections = "connections";
    private const string AllConnected = "all connected";
    private const string AccessName = "access";
    private const string AlarmsName = "alarms";
    private const string None = "none";
    private const string Full = "NOSPACE";

    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(500);
    private static readonly ContainerRead s_container = new(EtcdStore.ServiceName);
    private static readonly EtcdRead s_status = new(EtcdStore.ServiceName, false);
    private static readonly EtcdRead s_statusAndAccess = new(EtcdStore.ServiceName, true);

    /// <inheritdoc />
    public IReadOnlyList<AttributeDefinition> Settings { get; } =
    [
        new(DirectoryKey, AttributeKind.Path, "etcd's data directory on the hosts.") { Required = true },
        new(
            MountPointKey,
            AttributeKind.Path,
            "The mount point below it. While it is not mounted, it is unknown whether the host has data."
        ),
        new(MembersKey, AttributeKind.StringList, "The addresses of the members, such as 10.0.0.120:2380; others are removed.")
        {
            Required = true,
        },
        new(PrefixKey, AttributeKind.String, "The keys that Patroni's user may read and change, by their beginning.") { Required = true },
        new(PortKey, AttributeKind.Integer, "The port between the members.") { Default = (long)EtcdStore.DefaultPeerPort, Minimum = 1 },
        new(RestPortKey, AttributeKind.Integer, "The port of Patroni's REST API, which tells when it has reached etcd.")
        {
            Default = (long)ClusterDefaults.RestPort,
            Minimum = 1,
        },
        new(
            StoreService.FixedKey,
            AttributeKind.String,
            $"The fingerprint of passwords, ports and prefix in the label {StoreService.FixedLabel} of the containers."
        ),
        ClusterDefaults.GateTimeoutAttribute("Seconds to wait for etcd to become healthy."),
    ];

    /// <inheritdoc />
    public string Constraint =>
        "one member at a time while all of them are connected and Patroni has renewed its lease; the leader last, after its lead was moved";

    /// <inheritdoc />
    public IEnumerable<Read> Reads(GroupPolicy policy) => [s_container, s_statusAndAccess];

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(GroupPolicy policy) =>
        Comparable
            .None.Add(Connections, new(AllConnected))
            .Add(MembersKey, new(StoreMembership.Text(Wanted(policy))))
            .Add(AccessName, new(Limited(policy)))
            .Add(AlarmsName, new(None));

    /// <inheritdoc />
    public Observation Observe(GroupPolicy policy, IReadOnlyDictionary<string, Snapshot> members)
    {
        ArgumentNullException.ThrowIfNull(members);
        if (members.Values.All(member => member.Get(s_container).Status == 404))
        {
            return new Observation.Absent();
        }

        foreach (var (name, member) in members.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            if (
                policy?.Spec.OptionalString(StoreService.FixedKey) is { } mark
                && Labels(member)?.Text(StoreService.FixedLabel) is { } found
                && found != mark
            )
            {
                return new Observation.Unknown($"{name}: etcd was set up with other passwords, ports or another namespace")
                {
                    Detail = "kbr does not change them yet",
                    Remedy = $"give {EtcdStore.Credential}, {EtcdStore.RootCredential}, 'ports' and 'namespace' their former values",
                };
            }
        }

        var view = ViewOf(members, s_statusAndAccess);
        var health = EtcdHealth.Judge(view, []);
        return new Observation.Present(
            Comparable
                .None.Add(Connections, new(health.Problems.IsEmpty ? AllConnected : string.Join("; ", health.Problems)))
                // Unknown while there is no quorum; the first attribute reports that.
                .Add(MembersKey, new(StoreMembership.Text(health.Counted.IsEmpty ? Wanted(policy!) : health.Counted.Keys)))
                .Add(AccessName, new(view.Leader is null ? Limited(policy!) : AccessOf(policy!, view)))
                .Add(AlarmsName, new(view.Alarms.Any() ? string.Join(", ", view.Alarms) : None))
        )
        {
            Outlook = new EtcdOutlook([.. members.Where(member => Runs(member.Value)).Select(member => member.Key)], health.Leader),
        };
    }

    /// <inheritdoc />
    public RolloutForecast? Forecast(GroupPolicy policy, RolloutState state, IEnumerable<GroupOutlook> outlooks)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return outlooks.OfType<EtcdOutlook>().FirstOrDefault()?.Forecast(policy.Address, state);
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
        var port = (int)(policy.Spec.Integer(RestPortKey) ?? ClusterDefaults.RestPort);
        var (hosts, snapshots) = await LookAsync(policy, access, s_status, cancellationToken, [.. PatroniHealth.Reads(port)])
            .ConfigureAwait(false);
        var view = ViewOf(snapshots, s_status);
        if (await TendAsync(policy, view, state.ToCome, access, cancellationToken).ConfigureAwait(false) is { } pending)
        {
            return new RolloutTurn.Wait(pending);
        }

        var learners = view.Members.Where(member => member.IsLearner).Select(member => member.Address).ToHashSet();
        var learning = access.Members.Where(host => learners.Contains(AddressOf(policy, host))).Select(host => host.Name).ToHashSet();
        ImmutableArray<EtcdHost> staying =
        [
            .. hosts.Where(host => !state.Left.Contains(host.Name)).Select(host => host with { IsLearner = learning.Contains(host.Name) }),
        ];
        ImmutableArray<string> gone =
        [
            .. access.Members.Where(member => state.Left.Contains(member.Name)).Select(member => AddressOf(policy, member)),
        ];
        var patroni = PatroniHealth.Judge(
            port,
            snapshots,
            access.Members.Where(member => snapshots.ContainsKey(member.Name)).Select(member => member.Name),
            long.MaxValue
        );
        var turn = EtcdTurn.Decide(staying, EtcdHealth.Judge(view, gone, withAlarms: state.ToCome.IsEmpty), state, patroni);
        if (EtcdTurn.SuccessorOf(view, turn, state.ToCome) is { } successor)
        {
            var said = await RunAsync(view, EtcdProgram.Change($"move-leader {successor.HexId}"), access, cancellationToken)
                .ConfigureAwait(false);
            return new RolloutTurn.Wait(
                $"etcd's lead moves from {view.Leader!.Name} to {successor.Name}{(said.Length > 0 ? ": " + said : "")}"
            );
        }

        if (turn is RolloutTurn.Go { Hosts.IsEmpty: false } && EtcdTurn.IsNew(staying))
        {
            await MarkAsync(policy, true, access, cancellationToken).ConfigureAwait(false);
        }

        return turn;
    }

    /// <inheritdoc />
    public async Task LeftAsync(GroupPolicy policy, string host, IGroupAccess access, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(access);
        if (
            access.Members.FirstOrDefault(member => member.Name == host) is not { } left
            || Wanted(policy).Contains(AddressOf(policy, left))
        )
        {
            // It comes back.
            return;
        }

        // It fails while the members elect another leader, if the stopped one was theirs. So it is retried.
        var last = await Poll.UntilAsync(
                ForgetAsync,
                pending => pending is null,
                new PollPace(s_poll, GateTimeout(policy)) { SparesSlowHosts = true },
                access.Time,
                cancellationToken,
                beforePause: pending => access.Report.Awaits(pending!)
            )
            .ConfigureAwait(false);
        if (last is not null)
        {
            throw new ChangeFailedException($"{host} is stopped, but etcd still counts it: {last}. The next apply tries again");
        }

        async Task<string?> ForgetAsync()
        {
            var (_, snapshots) = await LookAsync(policy, access, s_status, cancellationToken).ConfigureAwait(false);
            var view = ViewOf(snapshots.Where(pair => pair.Key != host), s_status);
            return view.Leader is null ? "etcd has no leader with a quorum"
                : view.Members.FirstOrDefault(member => member.Address == AddressOf(policy, left)) is not { } counted ? null
                : await ChangeAsync(view, "member remove", counted, access, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc />
    public async Task BringToHealthAsync(GroupPolicy policy, IGroupAccess group, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(group);
        var trouble = await Poll.UntilAsync(
                TroubleAsync,
                found => found is null,
                new PollPace(s_poll, GateTimeout(policy)) { SparesSlowHosts = true },
                group.Time,
                cancellationToken,
                beforePause: found => group.Report.Awaits(found!)
            )
            .ConfigureAwait(false);
        if (trouble is not null)
        {
            throw new ChangeFailedException(
                $"{policy.Group} is not healthy after {GateTimeout(policy).TotalSeconds:0} s: {trouble}. "
                    + $"Read its log on that host: docker logs {EtcdStore.ServiceName}"
            );
        }

        await MarkAsync(policy, false, group, cancellationToken).ConfigureAwait(false);

        async Task<string?> TroubleAsync()
        {
            var (hosts, snapshots) = await LookAsync(policy, group, s_statusAndAccess, cancellationToken).ConfigureAwait(false);
            var view = ViewOf(snapshots, s_statusAndAccess);
            // An apply that was cut off between two starts of a new cluster.
            if (view.Leader is null && hosts.All(host => host.HoldsData == false))
            {
                await MarkAsync(policy, true, group, cancellationToken).ConfigureAwait(false);
            }

            if (await TendAsync(policy, view, [], group, cancellationToken).ConfigureAwait(false) is { } pending)
            {
                return pending;
            }

            var health = EtcdHealth.Judge(view, []);
            if (health.Leader is null)
            {
                return string.Join("; ", health.Problems);
            }

            if (AccessOf(policy, view) is var found && found != Limited(policy))
            {
                var said = await RunAsync(view, EtcdProgram.Limit, group, cancellationToken).ConfigureAwait(false);
                return $"{found}{(said.Length > 0 ? ": " + said : "")}";
            }

            return health.Problems.IsEmpty ? null
                : view.Alarms.Contains(Full) ? await DisarmAsync(view, group, cancellationToken).ConfigureAwait(false)
                : string.Join("; ", health.Problems);
        }
    }

    // An alarm stays until somebody ends it, also when there is space again.
    private static async Task<string> DisarmAsync(EtcdView view, IGroupAccess access, CancellationToken cancellationToken)
    {
        if (view.Quota > 0 && view.Size > view.Quota / 10 * 9)
        {
            return "etcd's database is full: raise the quota of store.etcd in cluster.yaml, or make space (docs/stores.md)";
        }

        var said = await RunAsync(view, EtcdProgram.Change("alarm disarm"), access, cancellationToken).ConfigureAwait(false);
        return "etcd: there is space again, its alarm is ended" + (said.Length > 0 ? ": " + said : "");
    }

    // One step towards the declared members: a learner is promoted, a stopped member that is none any more is removed. Answers what was
    // done; null for nothing.
    private static async Task<string?> TendAsync(
        GroupPolicy policy,
        EtcdView view,
        ImmutableSortedSet<string> toCome,
        IGroupAccess access,
        CancellationToken cancellationToken
    )
    {
        if (view.Leader is null)
        {
            return null;
        }

        if (view.Members.FirstOrDefault(member => member.IsLearner && view.IsConnected(member)) is { } learner)
        {
            return await ChangeAsync(view, "member promote", learner, access, cancellationToken).ConfigureAwait(false);
        }

        var wanted = Wanted(policy);
        return
            view.Members.FirstOrDefault(member =>
                !wanted.Contains(member.Address) && !view.IsConnected(member) && !toCome.Contains(member.Name)
            )
                is { } stray
            ? await ChangeAsync(view, "member remove", stray, access, cancellationToken).ConfigureAwait(false)
            : null;
    }

    private static async Task<string> ChangeAsync(
        EtcdView view,
        string verb,
        EtcdMember member,
        IGroupAccess access,
        CancellationToken cancellationToken
    )
    {
        var said = await RunAsync(view, EtcdProgram.Change($"{verb} {member.HexId}"), access, cancellationToken).ConfigureAwait(false);
        return $"etcd: {verb} {(member.Name.Length > 0 ? member.Name : member.Address)}{(said.Length > 0 ? ": " + said : "")}";
    }

    // On the leader's host where that is one of the group's; otherwise on another that follows it. Answers the last line of an error, or
    // nothing.
    private static async Task<string> RunAsync(EtcdView view, string program, IGroupAccess access, CancellationToken cancellationToken)
    {
        var connected = view.Voters.Where(view.IsConnected).OrderBy(member => member != view.Leader).Select(member => member.Name);
        if (connected.FirstOrDefault(name => access.Members.Any(host => host.Name == name)) is not { } host)
        {
            return "no host of the group follows etcd's leader";
        }

        var result = await access.RunAsync(host, EtcdProgram.OnHost(program), cancellationToken).ConfigureAwait(false);
        return result.ExitCode == 0 ? "" : result.Output.Trim().Split('\n')[^1];
    }

    // The mark lies in the data directory itself, so that it is lost with the data.
    private static async Task MarkAsync(GroupPolicy policy, bool isNew, IGroupAccess access, CancellationToken cancellationToken)
    {
        var directory = policy.Spec.String(DirectoryKey);
        var mark = Script.Quote($"{directory}/{EtcdProgram.Mark}");
        var script = new Script(
            isNew
                ? $"test -d {Script.Quote(directory)}\n"
                    + $"ls {Script.Quote(directory)}/{EtcdProgram.WalFiles} >/dev/null 2>&1 || : >{mark}\n"
                : $"rm -f {mark}\n"
        );
        foreach (var member in access.Members)
        {
            var result = await access.RunAsync(member.Name, script, cancellationToken).ConfigureAwait(false);
            if (result.ExitCode != 0)
            {
                throw new ChangeFailedException($"{member.Name}: {directory} cannot be written: {result.Error.Trim()}");
            }
        }
    }

    private static async Task<(ImmutableArray<EtcdHost> Hosts, IReadOnlyDictionary<string, Snapshot> Snapshots)> LookAsync(
        GroupPolicy policy,
        IGroupAccess access,
        EtcdRead status,
        CancellationToken cancellationToken,
        ImmutableArray<Read>? more = null
    )
    {
        var data = new StatRead($"{policy.Spec.String(DirectoryKey)}/{EtcdProgram.WalDirectory}");
        var mark = new StatRead($"{policy.Spec.String(DirectoryKey)}/{EtcdProgram.Mark}");
        var snapshots = await PatroniGroup
            .ReadAllAsync(access, [s_container, status, data, mark, new MountsRead(), new ClockRead(), .. more ?? []], cancellationToken)
            .ConfigureAwait(false);
        return (
            [
                .. access.Members.Select(member =>
                    snapshots.TryGetValue(member.Name, out var snapshot)
                        ? new EtcdHost(
                            member.Name,
                            Runs(snapshot),
                            snapshot.Get(data) is not null ? true
                                : IsMounted(policy, snapshot) ? false
                                : null
                        )
                        {
                            Uptime = UptimeOf(snapshot),
                            IsMarked = snapshot.Get(mark) is not null,
                        }
                        : new EtcdHost(member.Name, true, null)
                ),
            ],
            snapshots
        );
    }

    private static EtcdView ViewOf(IEnumerable<KeyValuePair<string, Snapshot>> members, EtcdRead status) =>
        new(members.Select(pair => KeyValuePair.Create(pair.Key, pair.Value.Get(status))));

    private static string Limited(GroupPolicy policy) => $"by password, Patroni's user limited to {policy.Spec.String(PrefixKey)}";

    private static string AccessOf(GroupPolicy policy, EtcdView view) =>
        view.Authentication == false ? "open to everybody"
        : view.Logins.Count == 0 ? "Patroni's user cannot log in"
        : Limited(policy);

    private static ImmutableArray<string> Wanted(GroupPolicy policy) => [.. policy.Spec.List(MembersKey)];

    private static string AddressOf(GroupPolicy policy, Host host) =>
        ConfigFile.ConfigText.Endpoint(host.Address, (int)(policy.Spec.Integer(PortKey) ?? EtcdStore.DefaultPeerPort));

    // An engine that does not answer says nothing.
    private static bool Runs(Snapshot member) =>
        member.Get(s_container) switch
        {
            { Status: 200, Json: var json } => JsonAnswer.Parse(json)?.At("State")?.Boolean("Running") == true,
            { Status: var status } => status != 404,
        };

    private static TimeSpan? UptimeOf(Snapshot member) =>
        Runs(member)
        && JsonAnswer.Parse(member.Get(s_container).Json)?.At("State", "StartedAt") is { ValueKind: JsonValueKind.String } at
        && at.TryGetDateTimeOffset(out var started)
            ? member.Get(new ClockRead()).Now - started
            : null;

    private static bool IsMounted(GroupPolicy policy, Snapshot member) =>
        policy.Spec.OptionalString(MountPointKey) is not { } at || member.Get(new MountsRead()).Any(mount => mount.MountPoint == at);

    private static JsonElement? Labels(Snapshot member) => JsonAnswer.Parse(member.Get(s_container).Json)?.At("Config", "Labels");
}
