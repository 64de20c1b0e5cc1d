using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers.PostgreSql;

/// <summary>What members answer to the queries of a provider.</summary>
internal static class GroupAnswers
{
    public const string Running = """{"State": {"Running": true}}""";
    public const string Stopped = """{"State": {"Running": false}}""";

    /// <summary>A member whose PostgreSQL answers every query with one row; the leader's is not in recovery.</summary>
    /// <param name="leads">Whether it leads.</param>
    /// <param name="columns">The other columns, in JSON.</param>
    public static Func<Read, object> Member(bool leads, string columns) =>
        Answering(new SqlAnswer($$"""[{"in_recovery": {{(leads ? "false" : "true")}}, {{columns}}}]""", ""));

    public static Func<Read, object> Answering(SqlAnswer answer, string container = Running) =>
        read => read is SqlRead ? answer : new DockerAnswer(200, container);

    public static Func<Read, object> WithoutContainer { get; } =
        read =>
            read is SqlRead ? new SqlAnswer(null, "Error response from daemon: No such container: patroni") : new DockerAnswer(404, "{}");

    public static Observation Observe(this IGroupResourceProvider provider, Resource resource, params Func<Read, object>[] members) =>
        provider.Observe(
            resource,
            members
                .Index()
                .ToDictionary(
                    pair => $"db-{pair.Index + 1}",
                    pair => ProviderBench.Snapshot([.. provider.Reads(resource).Select(read => (read, (object?)pair.Item(read)))])
                )
        );
}
