using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>One member as its own Patroni describes it.</summary>
/// <param name="Name">Patroni's name of it, which is the host's.</param>
public sealed record PatroniMember(string Name)
{
    /// <summary>Whether its Patroni answers.</summary>
    public bool Answers { get; init; }

    /// <summary>PostgreSQL's state in Patroni's words: <c>running</c>, <c>starting</c>, <c>start failed</c>, <c>creating replica</c> …;
    /// null without an answer.</summary>
    public string? State { get; init; }

    /// <summary>The name of the cluster that it belongs to; null without an answer.</summary>
    public string? Scope { get; init; }

    /// <summary>The system identifier of its database; null while Patroni does not know it.</summary>
    public string? SystemIdentifier { get; init; }

    /// <summary>Whether it takes writes.</summary>
    public bool Leads { get; init; }

    /// <summary>How it follows: <c>streaming</c>, <c>in archive recovery</c>, or null.</summary>
    public string? Replication { get; init; }

    /// <summary>Its timeline; null while Patroni does not know it, as just after a start.</summary>
    public long? Timeline { get; init; }

    /// <summary>How many bytes of the write-ahead log it has not received yet; null for the leader, and where it cannot be told. The two
    /// ends are not read at the same moment, so that under load it is a little more or less.</summary>
    public long? LagBytes { get; init; }

    /// <summary>How long ago it reached a quorum of the consensus store; null if it does not report it.</summary>
    public TimeSpan? DcsAge { get; init; }

    /// <summary>Whether it is a synchronous standby: it has every commit that was acknowledged, and only such a one may take
    /// over.</summary>
    public bool IsSynchronous { get; init; }

    /// <summary>The parameters that wait for a restart; empty when none do.</summary>
    public ImmutableSortedSet<string> PendingRestart { get; init; } = [];

    /// <summary>The version of PostgreSQL there, such as <c>17.12</c>; null while Patroni does not know it.</summary>
    public string? ServerVersion { get; init; }

    /// <summary>Whether PostgreSQL runs on it.</summary>
    public bool IsRunning => State is "running" or "streaming";
}

/// <summary>The health of a cluster under Patroni, judged from each member's REST API. Pure.</summary>
/// <param name="Members">The members expected, in the order of their names.</param>
/// <param name="Problems">The problems; empty for a healthy cluster.</param>
public sealed record PatroniHealth(ImmutableArray<PatroniMember> Members, ImmutableArray<HealthProblem> Problems)
{
    /// <summary>How many bytes a replica may be behind where nothing else is said.</summary>
    public const long DefaultMaxLag = 1 << 20;

    /// <summary>The key of the dynamic configuration that says whether a commit waits for a standby.</summary>
    public const string SynchronousKey = "synchronous_mode";

    /// <summary>The key that says whether it does so also where no standby streams.</summary>
    public const string StrictKey = "synchronous_mode_strict";

    // Patroni's own defaults, for while its configuration cannot be read.
    private const long DefaultLoopWait = 10;
    private const long DefaultRetryTimeout = 10;

    /// <summary>Whether there is nothing to complain about.</summary>
    public bool IsHealthy => Problems.IsEmpty;

    /// <summary>The members that say that they take writes; one in a healthy cluster.</summary>
    public ImmutableArray<string> Leaders => [.. Members.Where(member => member.Leads).Select(member => member.Name)];

    /// <summary>The leader, when there is exactly one.</summary>
    public string? Leader => Leaders is [var leader] ? leader : null;

    /// <summary>The primaries and their databases when there are several; null for one, or none.</summary>
    public string? SeveralPrimaries =>
        Leaders.Length < 2
            ? null
            : $"{string.Join(" and ", Members.Where(member => member.Leads).Select(member => $"{member.Name} (system identifier {member.SystemIdentifier ?? "unknown"})"))} "
                + $"accept writes: {Leaders.Length} primaries";

    /// <summary>The members that are not primaries, in the order in which they are disrupted and in which they take over: the least lag
    /// first, then by name.</summary>
    public ImmutableArray<PatroniMember> Replicas =>
        [
            .. Members
                .Where(member => !member.Leads)
                .OrderBy(member => member.LagBytes ?? long.MaxValue)
                .ThenBy(member => member.Name, StringComparer.Ordinal),
        ];

    /// <summary>Whether Patroni has been told to leave everything as it is (maintenance mode).</summary>
    public bool IsPaused { get; init; }

    /// <summary>Whether Patroni's configuration has it that commits wait for a synchronous standby.</summary>
    public bool IsSynchronous { get; init; }

    /// <summary>How many bytes a replica may be behind.</summary>
    public long MaxLag { get; init; } = DefaultMaxLag;

    /// <summary>The members that an operator fenced. Those of them whose Patroni does not answer are not among <see cref="Members"/>:
    /// nobody expects them.</summary>
    public ImmutableSortedDictionary<string, FenceMark> Fenced { get; init; } = ImmutableSortedDictionary<string, FenceMark>.Empty;

    /// <summary>All members by name, those that are fenced among them.</summary>
    public ImmutableArray<string> Names =>
        [.. Members.Select(member => member.Name).Union(Fenced.Keys, StringComparer.Ordinal).Order(StringComparer.Ordinal)];

    /// <summary>How Patroni fails over.</summary>
    public FailoverSettings Failover { get; init; } = FailoverSettings.Defaults;

    /// <summary>The reads of each member.</summary>
    /// <param name="restPort">The port of Patroni's REST API.</param>
    public static ImmutableArray<Read> Reads(int restPort) =>
        [Own(restPort), Cluster(restPort), Configuration(restPort), new ClockRead(), FenceMark.Read];

    /// <summary>Judges the answers.</summary>
    /// <param name="restPort">The port that <see cref="Reads"/> was given.</param>
    /// <param name="answers">The answers by member; one that could not be read is missing.</param>
    /// <param name="expected">The members that there should be.</param>
    /// <param name="maxLag">How many bytes a replica may be behind.</param>
    public static PatroniHealth Judge(
        int restPort,
        IReadOnlyDictionary<string, Snapshot> answers,
        IEnumerable<string> expected,
        long maxLag
    )
    {
        ImmutableArray<string> all = [.. expected.Order(StringComparer.Ordinal)];
        var bodies = all.Where(answers.ContainsKey)
            .Select(name => (name, json: Body(answers[name], Own(restPort))))
            .Where(pair => pair.json is not null)
            .ToDictionary(pair => pair.name, pair => pair.json!.Value, StringComparer.Ordinal);
        var fenced = ImmutableSortedDictionary.CreateBuilder<string, FenceMark>(StringComparer.Ordinal);
        foreach (var name in all)
        {
            if (answers.TryGetValue(name, out var marked) && FenceMark.On(marked) is { } mark)
            {
                fenced[name] = mark;
            }
        }

        var names = all.RemoveAll(name => fenced.ContainsKey(name) && !bodies.ContainsKey(name));
        var leaders = bodies.Where(pair => IsLeader(pair.Value)).Select(pair => pair.Key).ToList();
        var leader = leaders is [var one] ? one : null;
        var position = leader is null ? null : bodies[leader].At("xlog")?.Number("location");
        var seenByLeader = leader is null ? [] : MembersOf(Body(answers[leader], Cluster(restPort)));
        var members = names
            .Select(name =>
                bodies.TryGetValue(name, out var body)
                    ? Member(name, body, answers[name], position, seenByLeader.GetValueOrDefault(name))
                    : new PatroniMember(name)
            )
            .ToImmutableArray();
        var problems = members
            .SelectMany(member =>
                ProblemsOf(member, restPort, answers.ContainsKey(member.Name), leader, members, DcsBound(answers, restPort), maxLag)
            )
            .ToList();
        var synchronous = IsSynchronousBy(answers, restPort, leader);
        if (
            synchronous
            && leader is not null
            && members.All(member => !member.IsSynchronous)
            && members.Any(member => !member.Leads && member is { IsRunning: true, Replication: "streaming" })
        )
        {
            problems.Add(new(HealthProblemKind.NoSynchronousStandby, null, $"{leader} has no synchronous standby"));
        }

        problems.AddRange(Differing(members));
        if (leaders.Count == 0 && members.Any(member => member.Answers))
        {
            problems.Add(new(HealthProblemKind.NoPrimary, null, "no member is the primary"));
        }

        if (new PatroniHealth(members, []).SeveralPrimaries is { } several)
        {
            problems.Add(new(HealthProblemKind.SeveralPrimaries, null, several));
        }

        return new PatroniHealth(members, [.. problems])
        {
            IsPaused = bodies.Values.Any(body => body.Boolean("pause") == true),
            IsSynchronous = synchronous,
            MaxLag = maxLag,
            Fenced = fenced.ToImmutable(),
            Failover = FailoverOf(answers, restPort),
        };
    }

    private static FailoverSettings FailoverOf(IReadOnlyDictionary<string, Snapshot> answers, int restPort)
    {
        var preset = FailoverSettings.Defaults;
        return ConfigurationOf(answers, restPort) is not { } body
            ? preset
            : new FailoverSettings(
                TimeSpan.FromSeconds(body.Number("ttl") ?? preset.Ttl.TotalSeconds),
                TimeSpan.FromSeconds(body.Number("loop_wait") ?? preset.LoopWait.TotalSeconds),
                body.Number("maximum_lag_on_failover") ?? preset.MaxLag
            );
    }

    private static JsonElement? ConfigurationOf(IReadOnlyDictionary<string, Snapshot> answers, int restPort) =>
        answers.Values.Select(snapshot => Body(snapshot, Configuration(restPort))).FirstOrDefault(body => body is not null);

    // Patroni elects one leader for each scope: two databases under one name are not one cluster, whatever each of them says of itself.
    private static IEnumerable<HealthProblem> Differing(ImmutableArray<PatroniMember> members)
    {
        foreach (
            var (what, of) in new (string, Func<PatroniMember, string?>)[]
            {
                ("scopes", member => member.Scope),
                ("databases", member => member.SystemIdentifier),
            }
        )
        {
            var told = members.Where(member => of(member) is not null).ToList();
            if (told.Select(of).Distinct().Count() > 1)
            {
                yield return new(
                    HealthProblemKind.Identity,
                    null,
                    $"the members have different {what}: {string.Join(", ", told.Select(member => $"{member.Name} {of(member)}"))}"
                );
            }
        }
    }

    private static HttpRead Own(int port) => new(HttpRead.OwnAddress, port, "/patroni");

    private static HttpRead Cluster(int port) => new(HttpRead.OwnAddress, port, "/cluster");

    private static HttpRead Configuration(int port) => new(HttpRead.OwnAddress, port, "/config");

    private static JsonElement? Body(Snapshot snapshot, HttpRead read)
    {
        var answer = snapshot.Get(read);
        return answer.Status is > 0 and < 500 && JsonAnswer.Parse(answer.Body) is { ValueKind: JsonValueKind.Object } body ? body : null;
    }

    // Older versions say "master" where newer say "primary"; a member that stops may still say it, and does not run.
    private static bool IsLeader(JsonElement body) =>
        body.Text("role") is "primary" or "master" or "standby_leader" && body.Text("state") == "running";

    private static Dictionary<string, JsonElement> MembersOf(JsonElement? cluster) =>
        cluster
            ?.Items("members")
            .Where(member => member.Text("name") is not null)
            .DistinctBy(member => member.Text("name"))
            .ToDictionary(member => member.Text("name")!, StringComparer.Ordinal)
        ?? [];

    private static PatroniMember Member(string name, JsonElement body, Snapshot snapshot, long? leaderPosition, JsonElement listed)
    {
        var leads = IsLeader(body);
        // Just after a start a replica says that it has received no more than the beginning of the segment, although it has replayed more.
        var received = body.At("xlog") is { } log ? new[] { log.Number("received_location"), log.Number("replayed_location") }.Max() : null;
        var seen = body.Number("dcs_last_seen");
        return new PatroniMember(name)
        {
            Answers = true,
            State = body.Text("state") ?? "unknown",
            Leads = leads,
            Scope = body.At("patroni")?.Text("scope"),
            SystemIdentifier = body.Text("database_system_identifier"),
            Replication = body.Text("replication_state"),
            Timeline = body.Number("timeline") ?? listed.Number("timeline"),
            LagBytes = leads || leaderPosition is null || received is null ? null : Math.Max(0, leaderPosition.Value - received.Value),
            DcsAge = seen is null
                ? null
                : Positive(
                    snapshot.Get(new ClockRead()).Now - DateTimeOffset.FromUnixTimeSeconds(Math.Clamp(seen.Value, 0, uint.MaxValue))
                ),
            IsSynchronous = !leads && (body.Boolean("sync_standby") == true || body.Boolean("quorum_standby") == true),
            PendingRestart = Pending(body),
            ServerVersion = body.Number("server_version") is > 100_000 and < 10_000_000 and var version
                ? string.Create(CultureInfo.InvariantCulture, $"{version / 10_000}.{version % 10_000}")
                : null,
        };
    }

    private static TimeSpan Positive(TimeSpan span) => span < TimeSpan.Zero ? TimeSpan.Zero : span;

    private static ImmutableSortedSet<string> Pending(JsonElement body) =>
        body.Boolean("pending_restart") != true ? []
        : body.At("pending_restart_reason") is { ValueKind: JsonValueKind.Object } reasons
            ? [.. reasons.EnumerateObject().Select(reason => reason.Name)]
        : ["(unknown)"];

    // The leader's copy is the newest. Patroni takes "on" and "quorum" for it, too.
    private static bool IsSynchronousBy(IReadOnlyDictionary<string, Snapshot> answers, int restPort, string? leader) =>
        answers
            .OrderBy(pair => pair.Key != leader)
            .Select(pair => Body(pair.Value, Configuration(restPort)))
            .FirstOrDefault(body => body is not null)
            ?.At(SynchronousKey)
            is { } mode
        && mode.Plain().ToLowerInvariant() is "true" or "on" or "yes" or "1" or "quorum";

    private static TimeSpan DcsBound(IReadOnlyDictionary<string, Snapshot> answers, int restPort)
    {
        var configuration = ConfigurationOf(answers, restPort);
        return TimeSpan.FromSeconds(
            (configuration?.Number("loop_wait") ?? DefaultLoopWait) + (configuration?.Number("retry_timeout") ?? DefaultRetryTimeout)
        );
    }

    private static IEnumerable<HealthProblem> ProblemsOf(
        PatroniMember member,
        int restPort,
        bool asked,
        string? leader,
        ImmutableArray<PatroniMember> members,
        TimeSpan dcsBound,
        long maxLag
    )
    {
        if (!member.Answers)
        {
            yield return asked
                ? Of(HealthProblemKind.PatroniSilent, $"Patroni does not answer on port {restPort}")
                : Of(HealthProblemKind.HostUnreadable, $"the host could not be read");
            yield break;
        }

        if (!member.IsRunning)
        {
            yield return Of(HealthProblemKind.NotRunning, $"PostgreSQL is not running ({member.State})");
        }
        else if (!member.Leads && member.Replication != "streaming")
        {
            yield return Of(
                HealthProblemKind.NotStreaming,
                $"it does not stream{(leader is null ? "" : $" from {leader}")} ({member.Replication ?? "no replication"})"
            );
        }

        if (
            leader is not null
            && !member.Leads
            && member.Timeline is { } own
            && members.First(other => other.Name == leader).Timeline is { } common
            && own != common
        )
        {
            yield return Of(HealthProblemKind.OtherTimeline, $"it is on timeline {own}, {leader} on {common}");
        }

        if (member.LagBytes > maxLag)
        {
            yield return Of(HealthProblemKind.Lagging, $"its lag is {member.LagBytes} bytes, more than {maxLag}");
        }

        // A second is lost in rounding.
        if (member.DcsAge is { } age && age > dcsBound + TimeSpan.FromSeconds(1))
        {
            yield return Of(
                HealthProblemKind.StoreNotReached,
                $"it has not reached a quorum for {age.TotalSeconds:0} s (bound {dcsBound.TotalSeconds:0} s)"
            );
        }

        HealthProblem Of(HealthProblemKind kind, FormattableString text) =>
            new(kind, member.Name, $"{member.Name}: {text.ToString(CultureInfo.InvariantCulture)}");
    }
}
