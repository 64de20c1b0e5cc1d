using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>Asks the members' own PostgreSQL whether it would start with some parameters, before anything is stored: <c>postgres -C
/// shared_memory_size</c> reads and checks all values and loads the libraries, and opens no socket, no shared memory and no data. It runs
/// in the member's container, on a directory in memory that has nothing but the member's control file.</summary>
internal static class StartCheck
{
    /// <summary>Where a member has its programs and its data.</summary>
    private static SqlRead Places(ClusterConnection connection) =>
        connection.Sql(
            "SELECT current_setting('data_directory') AS data, (SELECT setting FROM pg_catalog.pg_config() WHERE "
                + "name = 'BINDIR') AS programs"
        );

    /// <summary>Why members would not start with the stored and these values, a sentence for the operator that names the key; null when
    /// they would, or when unknown.</summary>
    /// <param name="group">The members.</param>
    /// <param name="connection">How they are reached.</param>
    /// <param name="wanted">The values by flat key; null takes one away.</param>
    /// <param name="also">Other parameters that count at a member's next start, by member: by name and value. Empty to check only the
    /// desired values.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<string?> RefusalAsync(
        IGroupAccess group,
        ClusterConnection connection,
        IReadOnlyDictionary<string, string?> wanted,
        IReadOnlyDictionary<string, ImmutableSortedDictionary<string, string>> also,
        CancellationToken cancellationToken
    )
    {
        var places = Places(connection);
        var answers = await PatroniGroup.ReadAllAsync(group, [places, connection.ContainerRead], cancellationToken).ConfigureAwait(false);
        var known = answers
            .Values.Select(answer =>
                JsonAnswer.Rows(answer.Get(places).Json) is [var row, ..] ? row : default(System.Text.Json.JsonElement?)
            )
            .FirstOrDefault(row => row?.Text("data") is not null);
        if (known is not { } at || at.Text("data") is not { } data || at.Text("programs") is not { } programs)
        {
            return null;
        }

        var running = group
            .Members.Select(member => member.Name)
            .Where(name => answers.TryGetValue(name, out var answer) && connection.Runs(answer) == true);
        var refusals = await Task.WhenAll(
                running.Select(async member =>
                {
                    var values = StartTrial.Values(wanted, also.GetValueOrDefault(member));
                    var files = StartTrial.Files(wanted, also.GetValueOrDefault(member), data);
                    var result = await group
                        .RunAsync(
                            member,
                            StartTrial.Render(connection.Container, data, programs, files, [StartTrial.Configuration(values), ""]),
                            cancellationToken
                        )
                        .ConfigureAwait(false);
                    return StartTrial.Trouble(result.Output) is { } trouble
                        ? $"{StartTrial.KeyOf(trouble, values, files.Keys)}: PostgreSQL on {member} would not start with it: {trouble}"
                        : null;
                })
            )
            .ConfigureAwait(false);
        return refusals.FirstOrDefault(refusal => refusal is not null);
    }
}
