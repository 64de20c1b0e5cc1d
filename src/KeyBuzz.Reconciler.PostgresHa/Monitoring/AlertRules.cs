using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Providers.ConsensusStore;

namespace KeyBuzz.Reconciler.PostgresHa.Monitoring;

/// <summary>An alert of Prometheus.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Expression">What it fires for, in PromQL.</param>
/// <param name="For">For how long that must hold, such as <c>5m</c>.</param>
/// <param name="IsCritical">Whether somebody must be woken: writes fail or soon will.</param>
/// <param name="Summary">What is wrong, with labels as <c>{{ $labels.host }}</c>.</param>
public sealed record AlertRule(string Name, string Expression, string For, bool IsCritical, string Summary);

/// <summary>The alerts of a cluster, by the metrics of Patroni, of HAProxy, and of <c>kbr status --format prometheus</c>. Pure.</summary>
public static class AlertRules
{
    /// <summary>The alerts in groups.</summary>
    public static ImmutableArray<(string Group, ImmutableArray<AlertRule> Rules)> Of(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        var scope = $"scope=\"{topology.Scope}\"";
        return
        [
            ("patroni", OfPatroni(topology, scope)),
            .. topology.Store.Service is { } service
                ? [(service.Name, OfStore(topology, service))]
                : Array.Empty<(string, ImmutableArray<AlertRule>)>(),
            .. topology.Haproxy.Metrics ? [("haproxy", OfHaproxy(topology))] : Array.Empty<(string, ImmutableArray<AlertRule>)>(),
            .. topology.Monitoring is { } monitoring ? OfExporters(topology, monitoring) : [],
            ("kbr-status", OfStatus(topology, scope)),
        ];
    }

    private static ImmutableArray<AlertRule> OfPatroni(PostgresTopology topology, string scope) =>
        [
            new(
                "PostgresNoPrimary",
                $"sum(patroni_primary{{{scope}}}) < 1 or absent(patroni_primary{{{scope}}})",
                "1m",
                true,
                $"{topology.Scope} has no primary: nothing can be written"
            ),
            new(
                "PostgresSeveralPrimaries",
                $"sum(patroni_primary{{{scope}}}) > 1",
                "30s",
                true,
                $"{{{{ $value }}}} members of {topology.Scope} take writes"
            ),
            new(
                "PatroniDown",
                $"up{{job=\"{PrometheusFiles.PatroniJob(topology)}\"}} == 0",
                "2m",
                false,
                "Patroni on {{ $labels.member }} does not answer"
            ),
            new(
                "PostgresReplicaNotStreaming",
                $"patroni_replica{{{scope}}} == 1 unless on (instance) patroni_postgres_streaming{{{scope}}} == 1",
                "2m",
                false,
                "{{ $labels.member }} does not stream from the primary"
            ),
            new(
                "PatroniPaused",
                $"max(patroni_is_paused{{{scope}}}) == 1",
                "15m",
                false,
                $"Patroni of {topology.Scope} is paused: it promotes nobody"
            ),
        ];

    private static ImmutableArray<AlertRule> OfStore(PostgresTopology topology, StoreService service)
    {
        var rules = ImmutableArray.CreateBuilder<AlertRule>();
        foreach (var alert in service.Alerts($"job=\"{PrometheusFiles.StoreJob(topology, service.Name)}\""))
        {
            rules.Add(new(alert.Name, alert.Expression, alert.For, alert.IsCritical, alert.Summary));
        }

        return rules.ToImmutable();
    }

    private static ImmutableArray<AlertRule> OfHaproxy(PostgresTopology topology)
    {
        var job = $"job=\"{PrometheusFiles.HaproxyJob(topology)}\"";
        return
        [
            new("HaproxyDown", $"up{{{job}}} == 0", "2m", false, "HAProxy on {{ $labels.proxy_host }} does not answer"),
            new(
                "HaproxyNoPrimary",
                $"haproxy_backend_active_servers{{{job},proxy=\"{PostgresTopology.HaproxyPrimaryBackend}\"}} < 1",
                "1m",
                true,
                "HAProxy on {{ $labels.proxy_host }} sees no primary"
            ),
        ];
    }

    private static IEnumerable<(string Group, ImmutableArray<AlertRule> Rules)> OfExporters(
        PostgresTopology topology,
        MonitoringSettings settings
    )
    {
        var postgres = $"job=\"{PrometheusFiles.PostgresJob(topology)}\"";
        var pooler = $"job=\"{PrometheusFiles.PgBouncerJob(topology)}\"";
        var host = $"job=\"{PrometheusFiles.HostJob(topology)}\"";
        ImmutableArray<AlertRule> down =
        [
            new(
                "ExporterDown",
                $"up{{job=~\"(postgres|pgbouncer|node)-{topology.Scope}\"}} == 0 or pg_up{{{postgres}}} == 0 "
                    + $"or pgbouncer_up{{{pooler}}} == 0 or pg_exporter_last_scrape_error{{{postgres}}} == 1",
                "5m",
                false,
                "the exporter at {{ $labels.instance }} does not answer, cannot log in, or has no answer to a query"
            ),
        ];
        yield return ("exporters", down);
        if (settings.ExportsPostgres)
        {
            yield return ("postgres", OfPostgres(settings, postgres, topology.Health.MaxLag));
        }

        if (settings.ExportsPgBouncer)
        {
            ImmutableArray<AlertRule> rules =
            [
                new(
                    "PoolerWaiting",
                    $"max by (proxy_host, database, user) (pgbouncer_pools_client_maxwait_seconds{{{pooler}}}) > 5",
                    "1m",
                    false,
                    "clients of {{ $labels.user }} wait for a connection to {{ $labels.database }} on {{ $labels.proxy_host }}"
                ),
            ];
            yield return ("pgbouncer", rules);
        }

        if (settings.ExportsHosts)
        {
            ImmutableArray<AlertRule> rules =
            [
                new(
                    "HostMemoryLow",
                    $"node_memory_MemAvailable_bytes{{{host}}} / node_memory_MemTotal_bytes{{{host}}} < 0.05",
                    "10m",
                    false,
                    "{{ $labels.node }} has less than a twentieth of its memory available"
                ),
            ];
            yield return ("hosts", rules);
        }
    }

    private static ImmutableArray<AlertRule> OfPostgres(MonitoringSettings settings, string job, long maxLag)
    {
        return
        [
            new(
                "PostgresLongTransaction",
                Above("transaction_seconds", settings.MaxTransaction),
                "1m",
                false,
                "a transaction on {{ $labels.member }} is open for {{ $value | humanizeDuration }}: it keeps dead rows from being removed"
            ),
            new(
                "PostgresIdleInTransaction",
                Above("idle_in_transaction_seconds", settings.MaxIdleInTransaction),
                "1m",
                false,
                "a transaction on {{ $labels.member }} is idle for {{ $value | humanizeDuration }}, with its locks"
            ),
            // The exporter keeps its session, where kbr status cannot log in any more.
            new(
                "PostgresConnectionsNearLimit",
                $"kbr_postgres_connections{{{job}}} >= 0.9 * kbr_postgres_connections_limit{{{job}}}",
                "5m",
                false,
                "{{ $labels.member }} has nine tenths of its connections"
            ),
            new(
                "PostgresDeadlocks",
                $"increase(kbr_postgres_database_deadlocks{{{job}}}[15m]) > 2",
                "0m",
                false,
                "deadlocks in {{ $labels.datname }} on {{ $labels.member }}"
            ),
            new(
                "PostgresChecksumFailure",
                $"kbr_postgres_database_checksum_failures{{{job}}} > 0",
                "0m",
                true,
                "{{ $labels.member }} has read damaged pages of {{ $labels.datname }}: keep its disk, and do not fail over to it"
            ),
            new(
                "PostgresReplicaLags",
                $"kbr_postgres_replica_lag_bytes{{{job}}} > {maxLag.ToString(CultureInfo.InvariantCulture)}",
                "10m",
                false,
                "{{ $labels.replica }} is {{ $value | humanize1024 }}B behind"
            ),
            new(
                "PostgresClockOff",
                $"abs(kbr_postgres_clock_seconds{{{job}}} - timestamp(kbr_postgres_clock_seconds{{{job}}})) > 5",
                "5m",
                false,
                "the clock of {{ $labels.member }} and that of Prometheus differ by {{ $value | humanizeDuration }}"
            ),
        ];

        string Above(string metric, TimeSpan bound) =>
            $"kbr_postgres_{metric}{{{job}}} > {((long)bound.TotalSeconds).ToString(CultureInfo.InvariantCulture)}";
    }

    private static ImmutableArray<AlertRule> OfStatus(PostgresTopology topology, string scope)
    {
        var used = $"1 - {Metric("volume_free_bytes")} / {Metric("volume_size_bytes")}";
        var bound = topology.Health.MaxVolumeUsed / 100m;
        return
        [
            new("KbrWritesFail", Metric("writes_ok") + " == 0", "1m", true, $"applications of {topology.Scope} cannot write"),
            new(
                "KbrStatusMissing",
                $"time() - kbr_status_last_run_timestamp_seconds{{cluster=\"{topology.Cluster}\"}} > 300 "
                    + $"or absent(kbr_status_last_run_timestamp_seconds{{cluster=\"{topology.Cluster}\"}})",
                "1m",
                false,
                "kbr status has not run for five minutes: what only it sees is not watched"
            ),
            new("KbrHostUnreachable", Metric("unreachable") + " == 1", "2m", false, "{{ $labels.host }} cannot be reached over SSH"),
            new(
                "KbrRedundancyLost",
                $"{Metric("members_serving")} < {Metric("members")}",
                "5m",
                false,
                $"only {{{{ $value }}}} of {topology.Members.Length} members of {topology.Scope} serve"
            ),
            new(
                "KbrCheckFails",
                $"kbr_status_check{{{scope},verdict=\"not_ok\",check!~\"{string.Join('|', s_own)}\"}} == 1",
                "5m",
                false,
                "kbr status: {{ $labels.check }} is not ok"
            ),
            // Not by patroni_dcs_last_seen: it goes on without a quorum where each member has a copy of the store, which Patroni reads.
            Check("KbrQuorumNotWhole", "quorum", "2m", "the consensus store has no leader, or lacks a member: kbr status"),
            new("KbrVolumeNearlyFull", $"{used} > {Number(bound)}", "10m", false, "the volume of {{ $labels.host }} is nearly full"),
            new("KbrVolumeFull", $"{used} > 0.95", "2m", true, "the volume of {{ $labels.host }} is full: kbr relief"),
            new(
                "KbrVolumeFillsUp",
                $"predict_linear({Metric("volume_free_bytes")}[6h], 3 * 86400) < 0 and {Metric("volume_free_bytes")} < "
                    + $"{Metric("volume_free_bytes")} offset 6h",
                "3h",
                false,
                "the volume of {{ $labels.host }} is full in less than three days"
            ),
            new(
                "KbrInodesNearlyUsed",
                $"1 - {Metric("volume_inodes_free")} / ({Metric("volume_inodes")} > 0) > {Number(bound)}",
                "10m",
                false,
                "the inodes of the volume of {{ $labels.host }} are nearly used up"
            ),
            Check("KbrSlotHoldsWal", "slots", "10m", "a replication slot holds WAL that nobody fetches, or has lost it"),
            new(
                "KbrConnectionsNearLimit",
                $"{Metric("connections")} / {Metric("connections_limit")} >= 0.9",
                "5m",
                false,
                "{{ $labels.host }} has nine tenths of its connections"
            ),
            Check("KbrWraparound", "wraparound", "30m", "autovacuum does not get on: PostgreSQL refuses writes in the end"),
            new(
                "KbrSettingsRefused",
                Metric("settings_refused") + " > 0",
                "5m",
                false,
                "PostgreSQL on {{ $labels.host }} would not start with its configuration files"
            ),
            new(
                "KbrPendingRestart",
                Metric("pending_restart") + " > 0",
                "1h",
                false,
                "{{ $labels.host }} waits for a restart for {{ $value }} parameters"
            ),
            new(
                "KbrUnitRestarts",
                $"changes({Metric("unit_restarts")}[15m]) > 2",
                "1m",
                false,
                "{{ $labels.unit }} on {{ $labels.host }} is restarted again and again"
            ),
            new(
                "KbrOutOfMemory",
                $"delta({Metric("oom_kills")}[15m]) > 0",
                "0m",
                false,
                "the kernel of {{ $labels.host }} killed a process for lack of memory"
            ),
            new(
                "KbrChangeFailed",
                Metric("last_change_failed") + " == 1",
                "15m",
                false,
                "a part of what kbr changed last failed: kbr history"
            ),
            // Only where a timer runs kbr drift, too. Not by its exit code: that of a host that cannot be read comes before that of drift.
            new(
                "KbrDriftFound",
                $"sum by (cluster) (kbr_drift_resources{{cluster=\"{topology.Cluster}\",state=~\"changed|deleted\"}}) > 0",
                "2h",
                false,
                $"hosts of {topology.Scope} were changed by hand: kbr drift"
            ),
            // A run that cannot read cluster.yaml does not know the cluster's name.
            new(
                "KbrDriftUnknown",
                $"kbr_drift_exit_code{{cluster=~\"{topology.Cluster}|\"}} == 1 "
                    + $"or time() - kbr_drift_last_run_timestamp_seconds{{cluster=~\"{topology.Cluster}|\"}} > 7200",
                "2h",
                false,
                $"kbr drift could not compare all hosts of {topology.Scope}, or has not run for two hours"
            ),
            // kbr apply has had half of the time in which it renews.
            .. topology.Tls is not { } tls
                ? Array.Empty<AlertRule>()
                :
                [
                    new(
                        "KbrCertificateExpires",
                        $"{CertificateEnd("!=")} - time() < {Number((long)tls.RenewBefore.TotalSeconds / 2)}",
                        "10m",
                        false,
                        "the certificate of {{ $labels.service }} on {{ $labels.host }} was not renewed: kbr apply"
                    ),
                    new(
                        "KbrAuthorityExpires",
                        $"{CertificateEnd("=")} - time() < {Number((long)tls.Validity.TotalSeconds)}",
                        "10m",
                        false,
                        $"the authority of {topology.Scope} ends before the certificates that it issues: replace it"
                    ),
                ],
            .. topology.Backup is null
                ? Array.Empty<AlertRule>()
                :
                [
                    Check("KbrArchiveBehind", "archive", "10m", "WAL is not archived, and fills the primary's volume"),
                    Check("KbrBackupOld", "backup", "15m", "the last good backup is too old, or there is none"),
                    Check("KbrProofFailed", "proof", "15m", "the last proof of a restore failed"),
                ],
        ];

        string Metric(string name) => $"kbr_status_{name}{{{scope}}}";

        string CertificateEnd(string operation) =>
            $"kbr_status_certificate_end_timestamp_seconds{{{scope},service{operation}\"{TlsSettings.AuthorityService}\"}}";

        AlertRule Check(string name, string check, string time, string summary) =>
            new(name, $"kbr_status_check{{{scope},check=\"{check}\",verdict=\"not_ok\"}} == 1", time, false, summary);
    }

    // The checks with a rule of their own.
    private static readonly ImmutableArray<string> s_own =
    [
        "hosts",
        "quorum",
        "volume",
        "slots",
        "connections",
        "wraparound",
        "archive",
        "backup",
        "proof",
    ];

    private static string Number(decimal value) => value.ToString(CultureInfo.InvariantCulture);
}
