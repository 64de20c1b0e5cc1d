using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Status;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>The runbook's checklist of a PostgreSQL cluster (docs/runbook.md).</summary>
/// <param name="cluster">The file.</param>
/// <param name="topology">The PostgreSQL cluster of the file.</param>
internal sealed class PostgresHealth(Cluster cluster, PostgresTopology topology) : IHealthCheck
{
    /// <inheritdoc />
    public string Scope => topology.Scope;

    // A replica that has to be rewound streams again after some rounds of Patroni's.
    /// <inheritdoc />
    public TimeSpan GateTimeout => topology.Health.GateTimeout;

    // For about a second PgBouncer answers with an earlier failed login (server_login_retry).
    /// <inheritdoc />
    public TimeSpan SettleTime => TimeSpan.FromSeconds(5);

    private Resource Configuration =>
        cluster.Resources.First(resource => resource.Address.Type == "patroni_config" && resource.Address.Host == topology.Scope);

    /// <inheritdoc />
    public IReadOnlyCollection<Read> Reads(Host host) => StatusCheck.Reads(topology, Configuration, host);

    /// <inheritdoc />
    public async Task<HealthReport> MeasureAsync(Fleet fleet, IReadOnlyCollection<Address>? touched, CancellationToken cancellationToken)
    {
        var whole = await StatusCheck
            .RunAsync(topology, Configuration, fleet, VolumeHistoryFile.Of(cluster.Directory, cluster.Name).Keep, cancellationToken)
            .ConfigureAwait(false);
        return touched is null
            ? ReportOf(whole) with
            {
                Connections = ConnectCommand.Connections(cluster, topology, topology.Application),
            }
            : ReportOf(new StatusScope(topology, touched).Of(whole));
    }

    /// <inheritdoc />
    public async Task<ImmutableArray<Diagnostic>> BeforeDestroyAsync(
        Fleet fleet,
        IReadOnlySet<string> hosts,
        bool deletesData,
        CancellationToken cancellationToken
    )
    {
        var members = topology.Members.Where(member => hosts.Contains(member.Name)).ToArray();
        if (members.Length == 0)
        {
            return [];
        }

        var answers = await fleet.ReadAsync(members, _ => [RestoreJournal.Read(topology.Scope)], cancellationToken).ConfigureAwait(false);
        return
            UnendedRestore(
                topology.Scope,
                answers.Values.Select(answer => answer.Snapshot).OfType<Snapshot>(),
                deletesData,
                members.Length < topology.Members.Length ? [.. members.Select(member => member.Name)] : []
            )
                is { } notice
            ? [notice]
            : [];
    }

    /// <summary>What a destroy does to a restore that is neither confirmed nor undone; null where there is none.</summary>
    /// <param name="scope">The cluster.</param>
    /// <param name="members">What the members say that are destroyed.</param>
    /// <param name="deletesData">Whether it deletes their data.</param>
    /// <param name="only">Those members where others stay; empty where all are destroyed.</param>
    public static Diagnostic? UnendedRestore(string scope, IEnumerable<Snapshot> members, bool deletesData, ImmutableArray<string> only) =>
        RestoreJournal.Of(scope, members) is not { } journal ? null
        : !only.IsEmpty
            ? Diagnostic.Warning(
                $"a restore of {scope} is not ended: {journal.Text}",
                detail: $"the destroy {(deletesData ? "deletes" : "keeps")} what {string.Join(", ", only)} "
                    + $"{(only.Length == 1 ? "has" : "have")} of it, and the other members keep theirs"
                    + (
                        only.FirstOrDefault(name => name == (journal.Former ?? journal.Member)) is { } holder
                            ? $"; {holder} has the {(journal.Former is null ? "restored" : "former")} database, without which there is no way back"
                            : ""
                    ),
                remedy: "run kbr restore undo or kbr restore confirm first: neither works without every member of cluster.yaml"
            )
        : Diagnostic.Warning(
            $"a restore of {scope} is not ended: {journal.Text}",
            detail: deletesData
                ? "the destroy deletes all of it: the restored database, the former one, and the record of the restore"
                : "the destroy keeps all of it beside the data, and the members take up room for both",
            remedy: deletesData
                ? "run kbr restore undo or kbr restore confirm first if one of the databases is still needed"
                : "run kbr restore undo or kbr restore confirm first to keep one; after another apply kbr restore goes on with it"
        );

    /// <summary>The checklist as every command shows one.</summary>
    public static HealthReport ReportOf(ClusterStatus status)
    {
        var conclusion = status.Conclusion;
        var writes = conclusion.Writes switch
        {
            StatusVerdict.Ok => conclusion.WritesThrough.Length == 0 ? "OK" : $"OK through {conclusion.WritesThrough}",
            StatusVerdict.NotOk => "NOT OK",
            _ => "unknown",
        };
        var note = conclusion.WritesNote.Length == 0 ? "" : $" ({conclusion.WritesNote})";
        return new HealthReport([
            .. status.Items.Select(item => new HealthItem(item.Name, VerdictOf(item.Verdict), item.Measured)
            {
                UnknownBy = item.UnknownBy,
                Hosts = [.. item.Places.Select(place => place.Host).Distinct()],
                IsLasting = item.Topic is StatusTopic.Backups or StatusTopic.Outlook,
            }),
        ])
        {
            Summary = $"Writes: {writes}{note}. Redundancy: {conclusion.Serving} of {conclusion.Members}.",
            WriteSummary = json =>
            {
                json.WriteString("writes", Views.StatusView.Word(VerdictOf(conclusion.Writes)));
                json.WriteString("writes_note", conclusion.WritesNote);
                json.WriteString("writes_through", conclusion.WritesThrough);
                json.WriteNumber("serving", conclusion.Serving);
                json.WriteNumber("members", conclusion.Members);
            },
            Unreachable = conclusion.Unreachable,
            Causes = [.. conclusion.Causes.Select(cause => new HealthCause(cause.Text, cause.Item))],
            Measures =
            [
                .. conclusion.Writes == StatusVerdict.Unknown
                    ? Array.Empty<HealthMeasure>()
                    :
                    [
                        new HealthMeasure(
                            "writes_ok",
                            "1 when the application can write where it connects; missing while unknown.",
                            conclusion.Writes == StatusVerdict.Ok ? 1 : 0
                        ),
                    ],
                new HealthMeasure("members", "Members of the PostgreSQL cluster.", conclusion.Members),
                new HealthMeasure("members_serving", "The primary, and the replicas that stream.", conclusion.Serving),
                .. status.BackupAge is { } age
                    ?
                    [
                        new HealthMeasure(
                            "backup_age_seconds",
                            "The age of the last good backup; missing without one.",
                            (long)age.TotalSeconds
                        ),
                    ]
                    : Array.Empty<HealthMeasure>(),
                .. status.Measures.Select(measure => new HealthMeasure(measure.Name, measure.Meaning, measure.Value, measure.Labels)),
            ],
        };
    }

    private static HealthVerdict VerdictOf(StatusVerdict verdict) =>
        verdict switch
        {
            StatusVerdict.Ok => HealthVerdict.Ok,
            StatusVerdict.NotOk => HealthVerdict.NotOk,
            _ => HealthVerdict.Unknown,
        };
}
