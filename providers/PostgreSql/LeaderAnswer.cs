using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PostgreSql;

/// <summary>The members' answers to a query of one row with the column <c>in_recovery</c> (<c>pg_is_in_recovery()</c>), and the primary
/// among them.</summary>
/// <param name="Leader">The member that takes writes, or null.</param>
/// <param name="Rows">The rows by member; members without an answer are missing.</param>
/// <param name="Instead">The observation without a leader: absent where no member runs the cluster, otherwise unknown with the reason. Null
/// with a leader.</param>
internal sealed record LeaderAnswer(string? Leader, IReadOnlyDictionary<string, JsonElement> Rows, Observation? Instead)
{
    /// <summary>The first column of every such query.</summary>
    public const string InRecovery = "pg_is_in_recovery() AS in_recovery";

    /// <summary>The leader's row.</summary>
    public JsonElement Row => Rows[Leader!];

    /// <summary>Judges the members' answers.</summary>
    public static LeaderAnswer Of(ClusterConnection connection, SqlRead read, IReadOnlyDictionary<string, Snapshot> members)
    {
        var rows = new SortedDictionary<string, JsonElement>(StringComparer.Ordinal);
        var silent = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (host, snapshot) in members)
        {
            var answer = snapshot.Get(read);
            if (JsonAnswer.Rows(answer.Json) is [var row, ..] && row.Boolean("in_recovery") is not null)
            {
                rows[host] = row;
            }
            else
            {
                silent[host] = answer.Error.Length > 0 ? FirstLine(answer.Error) : "its answer was cut off";
            }
        }

        var leaders = rows.Where(pair => pair.Value.Boolean("in_recovery") == false).Select(pair => pair.Key).ToList();
        return leaders switch
        {
            [var leader] => new LeaderAnswer(leader, rows, null),
            [] => new LeaderAnswer(null, rows, WithoutLeader(connection, members, rows.Keys, silent)),
            _ => new LeaderAnswer(
                null,
                rows,
                new Observation.Unknown($"{string.Join(" and ", leaders)} both accept writes; kbr queries neither until one is demoted")
            ),
        };
    }

    private static Observation WithoutLeader(
        ClusterConnection connection,
        IReadOnlyDictionary<string, Snapshot> members,
        IEnumerable<string> replicas,
        SortedDictionary<string, string> silent
    )
    {
        if (members.Values.All(member => connection.Runs(member) == false))
        {
            var made = members.Values.Any(member => member.Get(connection.ContainerRead).Status == 200);
            return new Observation.Absent(made ? $"{connection.Scope} does not run; checked again once it does" : null);
        }

        var reasons = silent
            .Select(pair =>
                $"{pair.Key}: "
                + $"{(connection.Runs(members[pair.Key]) == false ? $"its container {connection.Container} does not run" : pair.Value)}"
            )
            .Concat(replicas.Select(host => $"{host}: it is a replica"))
            .Order(StringComparer.Ordinal);
        return new Observation.Unknown($"no primary answers: {string.Join("; ", reasons)}");
    }

    private static string FirstLine(string text) => text.Split('\n')[0].Trim();
}
