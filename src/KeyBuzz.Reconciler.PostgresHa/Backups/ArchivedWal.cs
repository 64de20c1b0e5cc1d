using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.PostgresHa.Backups;

/// <summary>What the primary's archiver did.</summary>
/// <param name="Last">The last segment that it archived; null for none since its statistics began.</param>
/// <param name="Ago">How long ago; null for none.</param>
public sealed record ArchivedWal(string? Last, TimeSpan? Ago)
{
    /// <summary>The primary's clock; null where it did not say.</summary>
    public DateTimeOffset? Now { get; init; }

    /// <summary>Nothing is known of it.</summary>
    public static readonly ArchivedWal Unknown = new(null, null);

    /// <summary>What the failing <c>archive_command</c> said; null where it does not fail, or said nothing.</summary>
    public string? Failure { get; init; }

    /// <summary>The file, in the primary's container, with what <c>archive_command</c> said last.</summary>
    public const string SaidFile = "/tmp/kbr-archive-said";

    // Times count from the server's now: no clock of another machine is compared with it.
    private const string Query = $"""
        SELECT last_archived_wal AS archived, extract(epoch FROM now() - last_archived_time)::bigint AS archived_ago,
               CASE WHEN last_failed_time > coalesce(last_archived_time, '-infinity') THEN last_failed_wal END AS failing, failed_count,
               CASE WHEN last_failed_time > coalesce(last_archived_time, '-infinity')
                    THEN encode(pg_read_binary_file('{SaidFile}', 0, 4000, true), 'escape') END AS said,
               waiting, oldest, extract(epoch FROM now())::bigint AS now
        FROM pg_stat_archiver, (
          SELECT count(*) AS waiting, extract(epoch FROM now() - min(modification))::bigint AS oldest
          FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'
        ) segments
        """;

    /// <summary>The archiver of WAL, whose times count from now; a replica's archives nothing.</summary>
    public static SqlRead Read(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        return new SqlRead(PostgresTopology.PatroniContainer, topology.Superuser.Name, "postgres", topology.Ports.Postgres, Query);
    }

    /// <summary>What it answered.</summary>
    public static ArchivedWal Of(SqlAnswer answer)
    {
        ArgumentNullException.ThrowIfNull(answer);
        return JsonAnswer.Rows(answer.Json) is [var row, ..]
            ? new ArchivedWal(row.Text("archived"), row.Number("archived_ago") is { } seconds ? TimeSpan.FromSeconds(seconds) : null)
            {
                Failure = row.Text("said") is { } said && said.Trim().Length > 0 ? said : null,
                Now = row.Number("now") is { } now ? DateTimeOffset.FromUnixTimeSeconds(now) : null,
            }
            : Unknown;
    }
}
