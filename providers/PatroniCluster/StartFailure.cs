using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>Why PostgreSQL does not start on a member, in its own words: the last FATAL line of the container's log.</summary>
internal static class StartFailure
{
    /// <summary>The members whose Patroni answers and whose PostgreSQL does not run.</summary>
    public static IEnumerable<string> Members(PatroniHealth health) =>
        health
            .Members.Where(member => member is { Answers: true, State: "start failed" or "crashed" or "stopped" or "starting" })
            .Select(member => member.Name);

    /// <summary>A sentence that quotes what PostgreSQL said on each of these members; empty where it said nothing.</summary>
    public static async Task<string> QuoteAsync(
        IGroupAccess group,
        ClusterConnection connection,
        IEnumerable<string> members,
        CancellationToken cancellationToken
    )
    {
        var quotes = await Task.WhenAll(
                members
                    .Where(name => group.Members.Any(member => member.Name == name))
                    .Select(async member =>
                    {
                        try
                        {
                            var result = await group
                                .RunAsync(member, Render(connection.Container), cancellationToken)
                                .ConfigureAwait(false);
                            return ServerLog.LastFatal(result.Output) is { } line ? $"PostgreSQL on {member} says: {line}" : null;
                        }
                        catch (HostException)
                        {
                            return null;
                        }
                    })
            )
            .ConfigureAwait(false);
        return string.Join("; ", quotes.OfType<string>());
    }

    /// <summary>The end of the log, bounded in lines and bytes; nothing but what begins or explains a failure.</summary>
    private static Script Render(string container) =>
        new(
            $"timeout 20 docker logs --tail 1000 {Script.Quote(container)} 2>&1 | tail -c 262144 | grep -aE "
                + $"'(LOG|FATAL|PANIC|HINT):  ' | tail -n 100 | cut -b 1-1000 || :\n"
        )
        {
            Deadline = TimeSpan.FromSeconds(30),
        };
}
