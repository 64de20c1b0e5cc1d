using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.PostgresHa.Restore;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniConfig;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>The lines about Patroni and replication.</summary>
internal sealed partial class StatusJudgement
{
    // PostgreSQL's archiver looks every minute, and is given another one.
    private static readonly TimeSpan s_archiveDelay = TimeSpan.FromMinutes(2);

    private PatroniHealth? _health;

    private PatroniHealth Health =>
        _health ??= PatroniHealth.Judge(
            _topology.Ports.Rest,
            _topology
                .Members.Where(host => Of(host) is not null)
                .ToDictionary(host => host.Name, host => Of(host)!, StringComparer.Ordinal),
            _topology.Members.Select(host => host.Name),
            _topology.Health.MaxLag
        );

    private string? Leader => Health.Leader;

    private Host? LeaderHost => _topology.Members.FirstOrDefault(host => host.Name == Leader);

    private IEnumerable<PatroniMember> Replicas => Health.Members.Where(member => member.Name != Leader);

    private IEnumerable<StatusItem> Members()
    {
        yield return Quorum();
        yield return Leadership();
        yield return Streaming();
        if (_topology.Synchronous != SynchronousMode.Off)
        {
            yield return Synchronous() with
            {
                Topic = StatusTopic.Configuration,
            };
        }

        yield return Timeline();
        yield return Lag();
        yield return Parameters() with
        {
            Topic = StatusTopic.Configuration,
        };
        if (_topology.Backup is not null)
        {
            yield return Archive() with
            {
                Topic = StatusTopic.Configuration,
            };
            yield return Backup(_topology.Backup) with
            {
                Topic = StatusTopic.Backups,
            };
            yield return Proof() with
            {
                Topic = StatusTopic.Backups,
            };
            if (Restore() is { } restore)
            {
                yield return restore with
                {
                    Topic = StatusTopic.Backups,
                };
            }
        }
    }

    private StoreHealth Store =>
        _reads.Store(
            Health
                .Members.Where(member => member.Answers)
                .ToDictionary(member => member.Name, member => _hosts[member.Name].Snapshot!, StringComparer.Ordinal),
            [.. _fenced.Select(one => one.Member)]
        );

    // Patroni reports that it reached the store even if it only read its own copy, so the store's leader is read as well.
    private StatusItem Quorum()
    {
        var bound = TimeSpan.FromSeconds(_topology.Times.LoopWait + _topology.Times.RetryTimeout + 1); // a second is lost in rounding
        var late = Health.Members.Where(member => member.DcsAge is null || member.DcsAge > bound).ToList();
        var ages = string.Join(
            ", ",
            Health.Members.Select(member => $"{member.Name} {(member.DcsAge is { } age ? $"{age.TotalSeconds:0} s ago" : "never")}")
        );
        var store = Store;
        var view = store.Leader is null
            ? ""
            : $"consensus leader {store.Leader}, connected to {store.Connected} of {store.Partners} partners; "
                + (store.Account.Length > 0 ? store.Account + "; " : "");
        var text =
            $"{view}{string.Concat(store.Problems.Select(problem => problem + "; "))}last reached: {ages} (bound "
            + $"{bound.TotalSeconds - 1:0} s)";
        return late.Count == 0 && store.Leader is not null && store.Problems.IsEmpty
            ? Item("quorum", _topology.Members, text)
            : new StatusItem("quorum", StatusVerdict.NotOk, text);
    }

    private StatusItem Leadership()
    {
        var identity = new ClusterIdentity(_topology.Scope, _topology.Namespace).Compare(
            Health
                .Members.Where(member => member.Answers)
                .Select(member => new MemberIdentity(member.Name)
                {
                    Scope = member.Scope,
                    Namespace = _reads.NamespaceOf(_hosts[member.Name].Snapshot!) is { } found ? ClusterIdentity.Normal(found) : null,
                    SystemIdentifier = member.SystemIdentifier,
                    TakesWrites = member.Leads,
                })
        );
        var text =
            $"{(identity is null ? "" : identity.Text + "; ")}{Health.SeveralPrimaries ?? (Leader is null ? "no PostgreSQL primary" : "PostgreSQL primary " + Leader)}; "
            + $""
            + string.Join(
                ", ",
                Replicas
                    .Where(member => !member.Leads)
                    .Select(member => $"{member.Name} {(member.Answers ? member.IsRunning ? "replica" : member.State : "no answer")}")
            )
            + (Health.IsPaused ? "; paused" : "");
        return identity is null && Leader is not null && !Health.IsPaused && Replicas.All(member => member.IsRunning)
            ? Item("leader", _topology.Members, text)
            : new StatusItem("leader", StatusVerdict.NotOk, text);
    }

    private StatusItem Streaming()
    {
        var streaming = Replicas.Count(member => member.Replication == "streaming");
        var wanted = _topology.Members.Length - 1;
        var seen =
            LeaderHost is { } leader && Of(leader) is { } snapshot
                ? JsonAnswer.Rows(snapshot.Get(_reads.Replication).Json)?.Count(row => row.Text("state") == "streaming")
                : null;
        var text =
            $"{streaming} of {wanted} replicas report streaming, the primary sees "
            + $"{(seen is { } count ? count.ToString(CultureInfo.InvariantCulture) : "none")}";
        return streaming == wanted && seen >= wanted
            ? Item("streaming", _topology.Members, text)
            : new StatusItem("streaming", StatusVerdict.NotOk, text);
    }

    // Without a failure, WAL may wait for as long as PostgreSQL takes to look again.
    private StatusItem Archive()
    {
        const string Name = "archive";
        if (LeaderHost is not { } leader || Of(leader) is not { } snapshot)
        {
            return new StatusItem(Name, StatusVerdict.Unknown, "there is no primary to ask");
        }

        var answer = snapshot.Get(_reads.Archiver);
        if (JsonAnswer.Rows(answer.Json) is not [var row, ..] || row.Number("waiting") is not { } waiting)
        {
            return new StatusItem(Name, StatusVerdict.Unknown, $"{leader.Name}: {LastLine(answer.Error)}");
        }

        var oldest = row.Number("oldest") ?? 0;
        var archived =
            row.Text("archived") is { } last && row.Number("archived_ago") is { } ago
                ? $"last archived {last}, {Plain(ago)} s ago"
                : "nothing archived since the primary's statistics began";
        var queue = $"{Plain(waiting)} waiting{(waiting > 0 ? $", the oldest for {Plain(oldest)} s" : "")}";
        if (row.Text("failing") is { } failing)
        {
            return Wrong(
                $"fails at {failing}, {Plain(row.Number("failed_count") ?? 0)} failures; {queue}; {archived}. WAL stays on {leader.Name}'s volume "
                    + "until it is archived. The reason: "
                    + (
                        ArchivedWal.Of(answer).Failure is { } said
                            ? BackupLook.Tool.FaultOf(said).WithRemedy(BackupLook.Tool.Reason(said))
                            : $"docker logs --tail 50 {PostgresTopology.PatroniContainer} there"
                    )
            );
        }

        return oldest > s_archiveDelay.TotalSeconds
            ? Wrong($"behind: {queue}; {archived}")
            : new StatusItem(Name, StatusVerdict.Ok, $"{archived}; {queue}");

        StatusItem Wrong(string text) =>
            new(Name, StatusVerdict.NotOk, text) { Places = [new StatusPlace(PostgresTopology.PatroniContainer, leader.Name)] };
    }

    private StatusItem Proof()
    {
        const string Name = "proof";
        var last = ProofRecord.Of(_topology.Scope, _topology.Members.Select(Of).OfType<Snapshot>());
        if (ProofTroubles(last) is { Count: > 0 } troubles)
        {
            return new StatusItem(Name, StatusVerdict.NotOk, string.Join("; ", troubles));
        }

        if (last is not { } proof)
        {
            return new StatusItem(Name, StatusVerdict.Ok, "no restore was proven yet: kbr backups prove");
        }

        var point = RestoreTarget.Parse(proof.Target)!.Label;
        var at = BackupWords.Time(proof.At);
        return proof.Failure is { } failure
            ? new StatusItem(Name, StatusVerdict.NotOk, $"at {at} the database could not be restored to {point}: {failure}")
            : new StatusItem(
                Name,
                StatusVerdict.Ok,
                $"at {at} the database was restored to {point} in {Plain((long)proof.Duration.TotalSeconds)} s, and was whole"
            );
    }

    // What came of one is in its record: here, those that left none.
    private List<string> ProofTroubles(ProofRecord? last)
    {
        if (_topology.Backup?.Proof is null)
        {
            return [];
        }

        var read = _topology.Members.Where(member => Of(member) is not null).ToList();
        return
        [
            .. read.Where(member =>
                    Of(member)!.Get(StatusReads.ProofTimer) is var timer
                    && (timer["ActiveState"] != "active" || timer["UnitFileState"] != "enabled")
                )
                .Select(member => $"{ProofProgram.Unit}.timer on {member.Name} is not running: run kbr plan"),
            .. read.Where(member => Of(member)!.Get(StatusReads.ProofService)["ActiveState"] == "failed")
                .Select(member =>
                    (
                        member.Name,
                        Said: LastLine(Of(member)!.Get(StatusReads.ProofLog)?.Text ?? ""),
                        At: Of(member)!.Get(StatusReads.ProofLogStat)?.ModifiedAt
                    )
                )
                .Select(one => (one.Name, one.Said, one.At, IsTried: one.Said.StartsWith("not proven", StringComparison.Ordinal)))
                .Where(one => !IsRecordedSince(last, one.At, one.IsTried))
                .Select(one => $"the scheduled proof on {one.Name} {(one.IsTried ? "left no record" : "was not made")}: {one.Said}"),
        ];
    }

    // A record has whole seconds. One of any member, by its timer or by hand, counts from then on.
    private static bool IsRecordedSince(ProofRecord? last, DateTimeOffset? said, bool isTried) =>
        said is { } at ? last is not null && last.At > at - TimeSpan.FromSeconds(1) : isTried && last is not null;

    // Until it is confirmed or undone.
    private StatusItem? Restore() =>
        RestoreJournal.Of(_topology.Scope, _topology.Members.Select(Of).OfType<Snapshot>()) is not { } journal
            ? null
            : new StatusItem(
                "restore",
                journal.Phase == RestorePhase.Kept || (journal.IsCopy && journal.Phase <= RestorePhase.Look)
                    ? StatusVerdict.Ok
                    : StatusVerdict.NotOk,
                journal.Text
                    + (
                        journal.Phase == RestorePhase.Kept
                            ? "; kbr restore confirm removes that, kbr restore undo goes back to it"
                            : "; kbr restore goes on, kbr restore undo goes back"
                    )
            );

    // Patroni reports the candidates for a failover, PostgreSQL the standbys that a commit waits for.
    private StatusItem Synchronous()
    {
        var standbys = Health.Members.Where(member => member.IsSynchronous).Select(member => member.Name).ToList();
        var waitedFor =
            LeaderHost is { } leader && Of(leader) is { } snapshot
                ? JsonAnswer
                    .Rows(snapshot.Get(_reads.Replication).Json)
                    ?.Where(row => row.Text("sync_state") is "sync" or "quorum")
                    .Select(row => row.Text("name"))
                    .ToList()
                : null;
        var strict = _topology.Synchronous == SynchronousMode.Strict;
        var trouble =
            !Health.IsSynchronous ? "declared, but off in Patroni's configuration: an acknowledged write can be lost"
            : standbys.Count == 0
                ? $"there is no synchronous standby: "
                    + $"{(strict ? "no write is committed" : "commits wait for no standby, and no replica can be elected")}"
            : waitedFor is null ? $"{string.Join(" and ", standbys)} according to Patroni; the primary's PostgreSQL does not report it"
            : standbys.Exists(name => !waitedFor.Contains(name))
                ? $"{string.Join(" and ", standbys)} according to Patroni, "
                    + $"{(waitedFor.Count == 0 ? "none" : string.Join(" and ", waitedFor))} according to PostgreSQL"
            : null;
        return trouble is null
            ? Item(
                "synchronous",
                _topology.Members,
                $"commits wait for {string.Join(" and ", standbys)}{(strict ? ", and without a standby no commit succeeds" : "")}"
            )
            : new StatusItem("synchronous", StatusVerdict.NotOk, trouble);
    }

    private StatusItem Timeline()
    {
        var timelines = Health.Members.Select(member => (member.Name, member.Timeline)).ToList();
        var common = timelines.Select(one => one.Timeline).Distinct().ToList();
        return common is [{ } one]
            ? Item("timeline", _topology.Members, $"{one} on all members")
            : new StatusItem(
                "timeline",
                StatusVerdict.NotOk,
                string.Join(
                    ", ",
                    timelines.Select(pair => $"{pair.Name} {pair.Timeline?.ToString(CultureInfo.InvariantCulture) ?? "unknown"}")
                )
            );
    }

    private StatusItem Lag()
    {
        var behind = Replicas.Select(member => (member.Name, Lag: ReplayLag(member.Name) ?? member.LagBytes)).ToList();
        var text =
            behind.Count == 0
                ? "no replica"
                : $"{string.Join(", ", behind.Select(pair => $"{pair.Name} {(pair.Lag is { } bytes ? $"{bytes} bytes" : "unknown")}"))} "
                    + $"behind (bound {_topology.Health.MaxLag} bytes)";
        return behind.TrueForAll(pair => pair.Lag <= _topology.Health.MaxLag) && (behind.Count > 0 || _topology.Members.Length < 2)
            ? Item("lag", _topology.Members, text)
            : new StatusItem("lag", StatusVerdict.NotOk, text);
    }

    // From the primary's pg_stat_replication: bytes not replayed yet, received or not.
    private long? ReplayLag(string member) =>
        LeaderHost is { } leader && Of(leader) is { } snapshot
            ? JsonAnswer
                .Rows(snapshot.Get(_reads.Replication).Json)
                ?.Where(row => row.Text("name") == member)
                .Select(row => row.Number("lag"))
                .FirstOrDefault()
            : null;

    // A value that is stored and not in force yet is observed as "VALUE, restart pending on MEMBER". The value itself may be a list.
    internal static string Deviation(string key, string? found, string declared) =>
        found?.StartsWith(declared + ", ", StringComparison.Ordinal) == true
        && PatroniConfigProvider.ReasonsNotInForce.Any(reason => found.AsSpan(declared.Length).Contains(reason, StringComparison.Ordinal))
            ? $"{key} is {declared} in the configuration; {found[(declared.Length + 2)..]}"
            : $"{key} is {found ?? "not set"} instead of {declared}";

    // The same comparison as plan and drift, pending restarts included.
    private StatusItem Parameters()
    {
        var members = _topology
            .Members.Where(host => Of(host) is not null)
            .ToDictionary(host => host.Name, host => Of(host)!, StringComparer.Ordinal);
        if (members.Count == 0)
        {
            return Item("parameters", _topology.Members, "");
        }

        var (declared, found) = _reads.Configuration(members);
        if (found is not Observation.Present present)
        {
            return new StatusItem(
                "parameters",
                StatusVerdict.NotOk,
                found is Observation.Unknown unknown ? unknown.Reason : "no member's Patroni reports the dynamic configuration"
            );
        }

        var troubles = declared
            .Where(pair => present.Attributes.GetValueOrDefault(pair.Key)?.Value != pair.Value.Value)
            .Select(pair => Deviation(pair.Key, present.Attributes.GetValueOrDefault(pair.Key)?.Value, pair.Value.Value))
            .Concat(present.Foreign.Where(setting => setting.IsTrouble).Select(setting => $"{setting.Shown}; not declared"))
            .ToList();
        var others = string.Join(
            ", ",
            present.Foreign.Where(setting => !setting.IsTrouble).Select(setting => $"{setting.Name} = {setting.Value}")
        );
        var kept = others.Length == 0 ? "" : $"; not declared in cluster.yaml: {others}";
        return troubles.Count == 0
            ? Item("parameters", _topology.Members, $"as declared, no restart pending{kept}")
            : new StatusItem("parameters", StatusVerdict.NotOk, string.Join("; ", troubles) + kept);
    }
}
