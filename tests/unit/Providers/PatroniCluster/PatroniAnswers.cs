using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

/// <summary>What members of a healthy cluster answer (recorded from Patroni 4.0.7), and what is changed in it for a test.</summary>
internal static class PatroniAnswers
{
    public const int Port = 8008;

    private const long Now = 1795410425;

    public static readonly string[] Names = ["db-1", "db-2", "db-3"];

    public static string Leader(string name) =>
        $$"""
            {"state": "running", "postmaster_start_time": "2026-11-23 05:05:43.234259+00:00", "role": "primary", "server_version": 170011, "xlog": {"location": 67108960}, "timeline": 1,
             "replication": [], "dcs_last_seen": 1795410418, "database_system_identifier": "7711228701456285717", "patroni": {"version": "4.0.7", "scope": "pg", "name": "{{name}}"} }
            """;

    public static string Replica(string name) =>
        $$"""
            {"state": "running", "postmaster_start_time": "2026-11-23 05:05:46.031710+00:00", "role": "replica", "server_version": 170011,
             "xlog": {"received_location": 67108960, "replayed_location": 67108960, "replayed_timestamp": null, "paused": false}, "timeline": null, "replication_state": "streaming",
             "dcs_last_seen": 1795410419, "database_system_identifier": "7711228701456285717", "patroni": {"version": "4.0.7", "scope": "pg", "name": "{{name}}"} }
            """;

    /// <summary>RAFT as a member sees it that is connected to all it knows but the lost; db-1 leads it.</summary>
    public static ToolAnswer Raft(string name, params string[] lost) =>
        new(
            0,
            $$"""
        {"kbr_namespace": "/service/"}
        {"self": "{{Address(name)}}", "leader": "{{Address("db-1")}}", "has_quorum": true, "state": 2{{string.Concat(Names.Where(other => other != name)
            .Select(other => $", \"partner_node_status_server_{Address(other)}\": {(lost.Contains(other) ? 0 : 2)}"))}}}
        """
        );

    /// <summary>A member's address in RAFT.</summary>
    public static string Address(string name) => $"10.0.0.{name[^1]}:7000";

    /// <summary>db-1 leads, the others stream; a body given for a member takes the place of its own, an empty one means that nothing
    /// answers.</summary>
    public static Dictionary<string, Snapshot> Healthy(params (string Name, string Body)[] changed) =>
        Names.ToDictionary(
            name => name,
            name =>
                Snapshot(
                    changed.FirstOrDefault(pair => pair.Name == name).Body ?? (name == "db-1" ? Leader(name) : Replica(name)),
                    (new RaftRead("patroni"), Raft(name))
                )
        );

    /// <summary>The same under another value of Patroni's synchronous_mode.</summary>
    public static Dictionary<string, Snapshot> Synchronous(Dictionary<string, Snapshot> answers, string mode = "true") =>
        answers.ToDictionary(
            pair => pair.Key,
            pair =>
                pair.Value.With(
                    ProviderBench.Snapshot(
                        (
                            new HttpRead(HttpRead.OwnAddress, Port, "/config"),
                            new HttpAnswer(200, $$"""{"ttl": 20, "loop_wait": 5, "retry_timeout": 5, "synchronous_mode": {{mode}}}""")
                        )
                    )
                )
        );

    /// <summary>A replica that is the synchronous standby.</summary>
    public static string SyncStandby(string name) =>
        Replica(name).Replace("\"timeline\"", "\"sync_standby\": true, \"timeline\"", StringComparison.Ordinal);

    public static Snapshot Snapshot(string body, params (Read Read, object? Answer)[] more)
    {
        var list = string.Join(
            ',',
            Names.Select(name =>
                $$"""{"name": "{{name}}", "role": "{{(name == "db-1" ? "leader" : "replica")}}", "state": "streaming", "timeline": 1, "lag": 0}"""
            )
        );
        var cluster = $$"""{"members": [{{list}}], "scope": "pg"}""";
        var answers = new Dictionary<Read, object?>
        {
            [new HttpRead(HttpRead.OwnAddress, Port, "/patroni")] = new HttpAnswer(body.Length > 0 ? 200 : 0, body),
            [new HttpRead(HttpRead.OwnAddress, Port, "/cluster")] = new HttpAnswer(body.Length > 0 ? 200 : 0, cluster),
            [new HttpRead(HttpRead.OwnAddress, Port, "/config")] = new HttpAnswer(
                200,
                """{"ttl": 20, "loop_wait": 5, "retry_timeout": 5}"""
            ),
            [new ClockRead()] = new ClockState(true, "chrony", DateTimeOffset.FromUnixTimeSeconds(Now)),
        };
        foreach (var (read, answer) in more)
        {
            answers[read] = answer;
        }

        return new Snapshot(answers.ToImmutableDictionary());
    }

    public static PatroniHealth Judge(IReadOnlyDictionary<string, Snapshot> answers, long maxLag = 1 << 20) =>
        PatroniHealth.Judge(Port, answers, Names, maxLag);
}
