using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Recovery;

/// <summary>What a recovery reads, and what it does to the members; their files and their start are an apply's.</summary>
/// <param name="topology">The cluster.</param>
/// <param name="policy">The policy of its members.</param>
public sealed class RecoveryRun(PostgresTopology topology, GroupPolicy policy)
{
    private static readonly ContainerRead s_container = new(PostgresTopology.PatroniContainer);

    private IConsensusStore Store => topology.Store.Kind;

    private HttpRead Statistics => new("127.0.0.1", topology.Haproxy.StatsPort, "/stats;csv");

    /// <summary>The reads of each member.</summary>
    /// <param name="lost">The hosts that are named lost.</param>
    public ImmutableArray<Read> MemberReads(IReadOnlyCollection<string> lost) =>
        [
            .. PatroniHealth.Reads(topology.Ports.Rest),
            .. Store.Reads(policy),
            s_container,
            RecoveryJournal.Read(topology.Scope),
            .. Ports(lost).Select(one => one.Port),
        ];

    /// <summary>The reads of each proxy.</summary>
    /// <param name="lost">The hosts that are named lost.</param>
    public ImmutableArray<Read> ProxyReads(IReadOnlyCollection<string> lost) => [Statistics, .. Ports(lost).Select(one => one.Port)];

    /// <summary>The members as their answers show them; their data is still to be looked at.</summary>
    /// <param name="lost">The hosts that are named lost.</param>
    /// <param name="members">The members' answers.</param>
    /// <param name="proxies">The proxies' answers.</param>
    public ImmutableArray<RecoveryMember> Members(
        IReadOnlyCollection<string> lost,
        IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)> members,
        IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)> proxies
    )
    {
        var answers = Read(members);
        var health = PatroniHealth.Judge(topology.Ports.Rest, answers, topology.Members.Select(member => member.Name), long.MaxValue);
        return
        [
            .. topology
                .Members.Select(host => host.Name)
                .Order(StringComparer.Ordinal)
                .Select(name => health.Members.FirstOrDefault(member => member.Name == name) ?? new PatroniMember(name))
                .Select(member => new RecoveryMember(member.Name)
                {
                    Error = answers.ContainsKey(member.Name) ? null : members[member.Name].Error ?? "no answer",
                    IsPrimary = member.Leads,
                    WasSynchronous = member.IsSynchronous,
                    Runs = answers.TryGetValue(member.Name, out var snapshot) && Runs(snapshot),
                    HasDesiredPassword = snapshot is null ? null : Store.HasDesiredPassword(policy, snapshot),
                    HasOwnStore = snapshot is not null && HasOwnStore(member.Name, snapshot),
                    Reached =
                    [
                        .. Ports(lost)
                            .Where(one => one.Member == member.Name)
                            .SelectMany(one =>
                                answers
                                    .Concat(Read(proxies))
                                    .Where(other => other.Value.Get(one.Port) == PortState.Answered)
                                    .Select(other => $"port {one.Port.Port} of {one.Member} answers {other.Key}")
                            ),
                    ],
                }),
        ];
    }

    /// <summary>The proxies as their answers show them.</summary>
    public ImmutableArray<RecoveryProxy> Proxies(IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)> proxies)
    {
        ArgumentNullException.ThrowIfNull(proxies);
        return
        [
            .. topology.Proxies.Select(proxy =>
                proxies[proxy.Name] is { Snapshot: { } snapshot }
                    ? new RecoveryProxy(proxy.Name, null, PrimaryOf(snapshot))
                    : new RecoveryProxy(proxy.Name, proxies[proxy.Name].Error ?? "no answer", null)
            ),
        ];
    }

    /// <summary>A member that knows of a quorum of the consensus store; null for none.</summary>
    /// <param name="members">The members' answers.</param>
    /// <param name="without">A member that has a store of its own, and is not asked; null for none.</param>
    public string? StoreLeader(IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)> members, string? without = null)
    {
        var answers = Read(members);
        if (without is not null)
        {
            answers.Remove(without);
        }

        var health = Store.Judge(policy, answers, []);
        // A follower of a leader that is not reached from here still counts its members.
        return health.Leader ?? (health.Counted.IsEmpty ? null : answers.Keys.Order(StringComparer.Ordinal).First());
    }

    /// <summary>Whether every member that was read was started with another password of the store than the desired one, so that the
    /// desired one may be new. After a recovery nobody can tell: a lost member may have one from before it.</summary>
    public bool MayHaveNewPassword(IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)> members)
    {
        if (Journal(members) is { IsDone: true })
        {
            return false;
        }

        foreach (var snapshot in Read(members).Values)
        {
            if (Store.HasDesiredPassword(policy, snapshot) != false)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The newest recovery that a member knows of; null for none. Throws <see cref="DiagnosticException"/> where a record of one
    /// cannot be understood.</summary>
    public RecoveryJournal? Journal(IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)> members)
    {
        var answers = Read(members);
        foreach (var (name, snapshot) in answers)
        {
            if (RecoveryJournal.IsDamaged(topology.Scope, snapshot))
            {
                var refused = RecoveryVerdict.Damaged(topology.Scope, name);
                throw new DiagnosticException(Diagnostic.Error(refused.Reason, detail: refused.Detail, remedy: refused.Remedy, host: name));
            }
        }

        return RecoveryJournal.Newest(topology.Scope, answers.Values);
    }

    /// <summary>What a recovery means for a change of the cluster.</summary>
    public RecoveryVerdict Verdict(IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)> members)
    {
        var answers = Read(members);
        var names = topology.Members.Select(member => member.Name);
        return RecoveryVerdict.Of(
            topology.Scope,
            answers,
            PatroniHealth.Judge(topology.Ports.Rest, answers, names, long.MaxValue).Leaders,
            snapshot => Store.HasDesiredPassword(policy, snapshot),
            snapshot => snapshot.Get(s_container).Status != 404
        );
    }

    /// <summary>A recovery that was begun and did not end, by its survivor's own word; null for none.</summary>
    public RecoveryJournal? Unfinished(IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)> members) =>
        Journal(members) is { IsDone: false } journal
        && Read(members).TryGetValue(journal.Survivor, out var survivor)
        && RecoveryJournal.On(topology.Scope, survivor)?.Id == journal.Id
            ? journal
            : null;

    /// <summary>Looks at the data of each member that can be read. It writes nothing. A member whose data cannot be looked at is no
    /// survivor, and does not keep another from being one.</summary>
    public async Task<ImmutableArray<RecoveryMember>> LookAsync(
        IReadOnlyCollection<RecoveryMember> members,
        IGroupAccess group,
        CancellationToken cancellationToken
    ) => [.. await Task.WhenAll(members.Select(member => LookAsync(member, group, cancellationToken))).ConfigureAwait(false)];

    private async Task<RecoveryMember> LookAsync(RecoveryMember member, IGroupAccess group, CancellationToken cancellationToken)
    {
        if (member.Error is not null)
        {
            return member;
        }

        try
        {
            var result = await group.RunAsync(member.Name, Look(), cancellationToken).ConfigureAwait(false);
            return Looked(member, result);
        }
        catch (HostException exception)
        {
            return member with { Unreadable = exception.Message };
        }
    }

    /// <summary>The member as a look at its data shows it.</summary>
    public static RecoveryMember Looked(RecoveryMember member, ScriptResult result)
    {
        ArgumentNullException.ThrowIfNull(member);
        ArgumentNullException.ThrowIfNull(result);
        var lines = (result.Error.Trim().Length > 0 ? result.Error : result.Output).Trim().Split('\n');
        return result.ExitCode != 0 ? member with { Unreadable = lines[^1].Length > 0 ? lines[^1] : $"exit status {result.ExitCode}" }
            : SurvivorData.Parse(result.Output) is { } data ? member with { Data = data }
            : result.Output.Trim() == SurvivorData.None ? member
            : member with { Unreadable = "its control file was not understood" };
    }

    /// <summary>Stops every member that can be reached, and empties the consensus store of the survivor; what it held is kept aside. The
    /// journal is written first: whatever comes back is known by it.</summary>
    /// <param name="journal">The recovery.</param>
    /// <param name="members">The members to stop.</param>
    /// <param name="group">The members that can be reached.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task StopAsync(
        RecoveryJournal journal,
        ImmutableArray<Host> members,
        IGroupAccess group,
        CancellationToken cancellationToken
    )
    {
        ArgumentNullException.ThrowIfNull(journal);
        ArgumentNullException.ThrowIfNull(group);
        await RunAsync(group, journal.Survivor, new Script(journal.Write(topology.Scope)), cancellationToken).ConfigureAwait(false);
        await Task.WhenAll(
                members.Select(member =>
                    RunAsync(
                        group,
                        member.Name,
                        new Script(StopOf(journal, member.Name)) { Deadline = (2 * topology.StopTimeout) + TimeSpan.FromMinutes(1) },
                        cancellationToken
                    )
                )
            )
            .ConfigureAwait(false);
    }

    /// <summary>Notes on the survivor that the recovery is done. Throws <see cref="DiagnosticException"/> where it does not lead.</summary>
    public async Task EndAsync(RecoveryJournal journal, IGroupAccess group, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(journal);
        ArgumentNullException.ThrowIfNull(group);
        var answer = await group
            .ReadAsync(journal.Survivor, PatroniHealth.Reads(topology.Ports.Rest), cancellationToken)
            .ConfigureAwait(false);
        var answers = new Dictionary<string, Snapshot>(StringComparer.Ordinal) { [journal.Survivor] = answer };
        if (PatroniHealth.Judge(topology.Ports.Rest, answers, [journal.Survivor], long.MaxValue).Leader != journal.Survivor)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{journal.Survivor} is not the primary of {topology.Scope}",
                    remedy: "mend that, then run kbr recover again with the same options, which goes on",
                    host: journal.Survivor
                )
            );
        }

        var script = new Script((journal with { IsDone = true }).Write(topology.Scope));
        await RunAsync(group, journal.Survivor, script, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Gives up a recovery that was begun: removes what its survivor had of the consensus store, and its journal.</summary>
    public async Task GiveUpAsync(RecoveryJournal journal, IGroupAccess group, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(journal);
        ArgumentNullException.ThrowIfNull(group);
        var paths = string.Join(' ', topology.Store.Directories.Select(one => Script.Quote(journal.Aside(one.Path)) + "*"));
        var script = new Script($"rm -rf -- {paths}\nrm -f {RecoveryJournal.PathOf(topology.Scope)}\n");
        await RunAsync(group, journal.Survivor, script, cancellationToken).ConfigureAwait(false);
    }

    private string StopOf(RecoveryJournal journal, string member) =>
        RecoveryJournal.Stop(PostgresTopology.PatroniContainer, PostgresTopology.PatroniContainer + ".service")
        + (
            member != journal.Survivor
                ? ""
                : RecoveryJournal.NeedsMount(topology.Volume.MountPoint)
                    + journal.SetAside(data: null, topology.Store.Directories.Select(one => one.Path))
                    // A pause that was stored would keep it from leading.
                    + $"sed -i 's/\"pause\": *true/\"pause\":false/' {topology.Directories.DataDirectory}/patroni.dynamic.json "
                    + "2>/dev/null || true\n"
        );

    /// <summary>Removes what was kept aside on the members, and the journal.</summary>
    public async Task ConfirmAsync(IGroupAccess group, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(group);
        var paths = string.Join(
            ' ',
            topology.Store.Directories.Select(one => one.Path).Prepend(topology.Directories.DataDirectory).Select(path => path + ".lost-*")
        );
        foreach (var member in group.Members)
        {
            var script = new Script($"rm -rf -- {paths}\nrm -f {RecoveryJournal.PathOf(topology.Scope)}\n")
            {
                Deadline = TimeSpan.FromMinutes(30),
            };
            await RunAsync(group, member.Name, script, cancellationToken).ConfigureAwait(false);
        }
    }

    private bool HasOwnStore(string member, Snapshot snapshot)
    {
        var alone = new Dictionary<string, Snapshot>(StringComparer.Ordinal) { [member] = snapshot };
        return Store.Judge(policy, alone, []) is { Partners: 0, Leader: { } leader } && leader == member;
    }

    private static bool Runs(Snapshot member) => JsonAnswer.Parse(member.Get(s_container).Json)?.At("State")?.Boolean("Running") == true;

    private Script Look() =>
        new(
            // Nothing is looked at beside the volume, and nothing is made where there is none.
            RecoveryJournal.NeedsMount(topology.Volume.MountPoint)
                + "command -v docker >/dev/null || { echo 'Docker Engine is not installed' >&2; exit 1; }\n"
                + $"[ -e {topology.Directories.Data} ] || {{ echo {SurvivorData.None}; exit 0; }}\n"
                + "docker run --rm --pull never --network none "
                + $"--user {topology.Uid.ToString(CultureInfo.InvariantCulture)}:{topology.Gid.ToString(CultureInfo.InvariantCulture)} "
                + $"{HostResources.Confined} --tmpfs /tmp:mode=1777,size=16m "
                + $"-v {topology.Directories.Data}:{topology.Directories.Data}:ro --entrypoint sh {topology.Image.Reference} "
                + $"-c {Script.Quote(SurvivorData.Look(topology.Directories.DataDirectory))}\n"
        )
        {
            Deadline = TimeSpan.FromMinutes(10),
        };

    private IEnumerable<(string Member, PortRead Port)> Ports(IReadOnlyCollection<string> lost) =>
        topology
            .Members.Where(member => lost.Contains(member.Name))
            .SelectMany(member =>
                new[] { topology.Ports.Postgres, topology.Ports.Rest }
                    .Concat(topology.Store.Ports.Select(port => port.Number))
                    .Select(port => (member.Name, new PortRead(member.Address, port)))
            );

    private string? PrimaryOf(Snapshot proxy)
    {
        var up = HaproxyServers.Of(proxy.Get(Statistics))[PostgresTopology.HaproxyPrimaryBackend].FirstOrDefault(HaproxyServers.IsUp);
        return up is null ? null : HaproxyServers.NameOf(up);
    }

    private static Dictionary<string, Snapshot> Read(IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)> answers)
    {
        var read = new Dictionary<string, Snapshot>(StringComparer.Ordinal);
        foreach (var (name, answer) in answers)
        {
            if (answer.Snapshot is { } snapshot)
            {
                read[name] = snapshot;
            }
        }

        return read;
    }

    private static async Task<ScriptResult> RunAsync(IGroupAccess group, string member, Script script, CancellationToken cancellationToken)
    {
        var result = await group.RunAsync(member, script, cancellationToken).ConfigureAwait(false);
        return result.ExitCode == 0
            ? result
            : throw new DiagnosticException(
                Diagnostic.Error(
                    $"{member}: a step of the recovery failed with status {result.ExitCode}",
                    detail: (result.Error.Trim().Length > 0 ? result.Error : result.Output).Trim(),
                    remedy: "mend that, then run kbr recover again with the same options, which goes on",
                    host: member
                )
            );
    }
}
