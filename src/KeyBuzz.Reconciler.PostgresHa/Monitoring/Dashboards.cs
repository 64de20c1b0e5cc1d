using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.PostgresHa.Monitoring;

/// <summary>The dashboards of a cluster, by the metrics of Patroni, of HAProxy, of the exporters, and of <c>kbr status --format
/// prometheus</c>. Pure.</summary>
public static class Dashboards
{
    private static readonly ImmutableArray<(string, string, string)> s_verdicts = [("1", "ok", "green"), ("0", "NOT OK", "red")];
    private static readonly ImmutableArray<(string, string, string)> s_roles = [("1", "primary", "green"), ("0", "replica", "blue")];
    private static readonly ImmutableArray<(string, string, string)> s_faults = [("0", "no", "green"), ("1", "YES", "red")];

    /// <summary>The dashboards: one of the cluster, and one of its hosts where those have an exporter.</summary>
    public static ImmutableArray<Dashboard> Of(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        var selectors = Selectors(topology);
        var monitoring = topology.Monitoring;
        List<DashboardRow> rows = [State(topology), Replication(topology), Volumes(topology)];
        if (monitoring is { ExportsPostgres: true })
        {
            rows.Add(Sessions(monitoring));
        }

        if (topology.Backup is not null)
        {
            rows.Add(Backups(monitoring));
        }

        if (monitoring is { ExportsPgBouncer: true })
        {
            rows.Add(Pooler());
        }

        if (topology.Haproxy.Metrics)
        {
            rows.Add(Haproxy());
        }

        rows.Add(Changes());
        Dashboard cluster = new("cluster", $"PostgreSQL {topology.Scope}", [.. rows.Select(row => With(row, selectors))]);
        return monitoring is { ExportsHosts: true }
            ? [cluster, new("hosts", $"Hosts of {topology.Scope}", [.. HostRows().Select(row => With(row, selectors))])]
            : [cluster];
    }

    private static DashboardRow State(PostgresTopology topology) =>
        new(
            "State",
            new("Writes", DashboardLook.Stat, "none", ("kbr_status_writes_ok{S}", "")) { Words = s_verdicts },
            // Each primary has the number of them.
            new(
                "Primary",
                DashboardLook.Name,
                "none",
                ("(patroni_primary{S} == 1) * on () group_left () sum(patroni_primary{S})", "{{member}}")
            )
            {
                Bound = 2,
            },
            new("Members that serve", DashboardLook.Stat, "none", ("kbr_status_members_serving{S}", ""))
            {
                Floor = topology.Members.Length,
            },
            new("Patroni is paused", DashboardLook.Stat, "none", ("max(patroni_is_paused{S})", "")) { Words = s_faults },
            new("Last kbr status", DashboardLook.Stat, "s", ("time() - kbr_status_last_run_timestamp_seconds{C}", "")) { Bound = 300 },
            new("Alerts", DashboardLook.Stat, "none", ("count(ALERTS{C,alertstate=\"firing\"}) or vector(0)", "")) { Bound = 1 },
            new("Role", DashboardLook.States, "none", ("patroni_primary{S}", "{{member}}")) { Words = s_roles },
            new("Checks of kbr status", DashboardLook.States, "none", ("kbr_status_check{S,verdict=\"ok\"}", "{{check}}"))
            {
                Words = s_verdicts,
            }
        );

    private static DashboardRow Replication(PostgresTopology topology) =>
        new(
            "Replication",
            // A replica's Patroni says 0 for what a primary writes, and the other way round.
            new(
                "Lag of replay",
                DashboardLook.Graph,
                "bytes",
                ("clamp_min(scalar(max(patroni_xlog_location{S})) - (patroni_xlog_replayed_location{S} > 0), 0)", "{{member}}")
            )
            {
                Bound = topology.Health.MaxLag,
            },
            new("WAL that slots hold", DashboardLook.Graph, "bytes", ("kbr_status_slot_held_bytes{S}", "{{slot}} on {{host}}")),
            new("WAL that is written", DashboardLook.Graph, "Bps", ("rate(max(patroni_xlog_location{S})[5m:])", "primary")),
            new("Replicas that stream", DashboardLook.Graph, "none", ("sum(patroni_postgres_streaming{S})", "streaming"))
            {
                Floor = topology.Members.Length - 1,
            },
            new("Timeline", DashboardLook.Graph, "none", ("patroni_postgres_timeline{S}", "{{member}}")),
            new(
                "Members of the consensus store",
                DashboardLook.Graph,
                "none",
                ("kbr_status_store_members{S}", "members"),
                ("kbr_status_store_members_connected{S}", "connected")
            )
            {
                Floor = topology.Members.Length,
            }
        );

    private static DashboardRow Volumes(PostgresTopology topology) =>
        new(
            "Volumes",
            new("Used", DashboardLook.Graph, "percentunit", ("1 - kbr_status_volume_free_bytes{S} / kbr_status_volume_size_bytes{S}", Host))
            {
                Bound = topology.Health.MaxVolumeUsed / 100m,
            },
            new("Free", DashboardLook.Graph, "bytes", ("kbr_status_volume_free_bytes{S}", Host)),
            // A volume that gets no fuller has the most.
            new(
                "Days until it is full, by the trend of six hours",
                DashboardLook.Graph,
                "none",
                ("clamp_max(kbr_status_volume_free_bytes{S} / clamp_min(-deriv(kbr_status_volume_free_bytes{S}[6h]), 1) / 86400, 90)", Host)
            )
            {
                Floor = 3,
            },
            new(
                "Inodes used",
                DashboardLook.Graph,
                "percentunit",
                ("1 - kbr_status_volume_inodes_free{S} / (kbr_status_volume_inodes{S} > 0)", Host)
            )
            {
                Bound = topology.Health.MaxVolumeUsed / 100m,
            },
            new(
                "Connections",
                DashboardLook.Graph,
                "none",
                ("kbr_status_connections{S}", Host),
                ("min(kbr_status_connections_limit{S})", "limit")
            ),
            new(
                "Age of the oldest transaction number",
                DashboardLook.Graph,
                "short",
                ("kbr_status_transaction_age{S}", Host),
                ("kbr_status_multixact_age{S}", "multixacts of {{host}}")
            )
        );

    private static DashboardRow Sessions(MonitoringSettings settings) =>
        new(
            "Sessions",
            new(
                "Transactions",
                DashboardLook.Graph,
                "ops",
                ("sum by (member) (rate(kbr_postgres_database_commits{P}[5m]))", "{{member}} commits"),
                ("sum by (member) (rate(kbr_postgres_database_rollbacks{P}[5m]))", "{{member}} rolls back")
            ),
            new("Statements that run", DashboardLook.Graph, "none", ("kbr_postgres_active{P}", Member)),
            new("Sessions that wait for a lock", DashboardLook.Graph, "none", ("kbr_postgres_waiting_for_locks{P}", Member)),
            new("Oldest transaction", DashboardLook.Graph, "s", ("kbr_postgres_transaction_seconds{P}", Member))
            {
                Bound = (decimal)settings.MaxTransaction.TotalSeconds,
            },
            new("Idle in a transaction", DashboardLook.Graph, "s", ("kbr_postgres_idle_in_transaction_seconds{P}", Member))
            {
                Bound = (decimal)settings.MaxIdleInTransaction.TotalSeconds,
            },
            new(
                "Pages found in memory",
                DashboardLook.Graph,
                "percentunit",
                (
                    "sum by (member) (rate(kbr_postgres_database_blocks_hit{P}[5m])) / (sum by (member) "
                        + "(rate(kbr_postgres_database_blocks_hit{P}[5m])) + sum by (member) "
                        + "(rate(kbr_postgres_database_blocks_read{P}[5m])))",
                    Member
                )
            ),
            new("Temporary files", DashboardLook.Graph, "Bps", ("sum by (member) (rate(kbr_postgres_database_temp_bytes{P}[5m]))", Member)),
            new(
                "Deadlocks, in an hour",
                DashboardLook.Graph,
                "none",
                ("sum by (datname) (increase(kbr_postgres_database_deadlocks{P}[1h]))", "{{datname}}")
            ),
            new("Damaged pages", DashboardLook.Graph, "none", ("sum by (member) (kbr_postgres_database_checksum_failures{P})", Member))
            {
                Bound = 1,
            }
        );

    private static DashboardRow Backups(MonitoringSettings? settings) =>
        new(
            "Backups",
            [
                new("Age of the last backup", DashboardLook.Graph, "s", ("kbr_status_backup_age_seconds{S}", "age")),
                .. settings is { ExportsPostgres: true }
                    ?
                    [
                        new(
                            "WAL segments, in a minute",
                            DashboardLook.Graph,
                            "none",
                            ("sum(rate(kbr_postgres_archiver_archived{P}[5m])) * 60", "archived"),
                            ("sum(rate(kbr_postgres_archiver_failed{P}[5m])) * 60", "failed")
                        ),
                        new("Archiving fails", DashboardLook.States, "none", ("kbr_postgres_archiver_failing{P}", Member))
                        {
                            Words = s_faults,
                        },
                    ]
                    : Array.Empty<DashboardPanel>(),
            ]
        );

    private static DashboardRow Pooler() =>
        new(
            "PgBouncer",
            new(
                "Clients",
                DashboardLook.Graph,
                "none",
                ("sum by (proxy_host, database) (pgbouncer_pools_client_active_connections{B})", "{{database}} on {{proxy_host}}"),
                ("sum by (proxy_host) (pgbouncer_pools_client_waiting_connections{B})", "wait on {{proxy_host}}")
            ),
            new(
                "Longest wait",
                DashboardLook.Graph,
                "s",
                ("max by (proxy_host, database) (pgbouncer_pools_client_maxwait_seconds{B})", "{{database}} on {{proxy_host}}")
            )
            {
                Bound = 5,
            },
            new(
                "Connections to PostgreSQL",
                DashboardLook.Graph,
                "none",
                ("sum by (proxy_host) (pgbouncer_pools_server_active_connections{B})", "used by {{proxy_host}}"),
                ("sum by (proxy_host) (pgbouncer_pools_server_idle_connections{B})", "idle on {{proxy_host}}")
            )
        );

    private static DashboardRow Haproxy() =>
        new(
            "HAProxy",
            new("Servers that are up", DashboardLook.Graph, "none", ("haproxy_backend_active_servers{H}", "{{proxy}} of {{proxy_host}}"))
            {
                Floor = 1,
            },
            new("Sessions", DashboardLook.Graph, "none", ("haproxy_frontend_current_sessions{H}", "{{proxy}} of {{proxy_host}}")),
            new(
                "New sessions, and connections that fail",
                DashboardLook.Graph,
                "ops",
                ("sum by (proxy_host) (rate(haproxy_frontend_sessions_total{H}[5m]))", "new on {{proxy_host}}"),
                ("sum by (proxy_host) (rate(haproxy_backend_connection_errors_total{H}[5m]))", "fail on {{proxy_host}}")
            )
        );

    private static DashboardRow Changes() =>
        new(
            "Services and changes",
            new("Restarts by systemd", DashboardLook.Graph, "none", ("kbr_status_unit_restarts{S}", "{{unit}} on {{host}}")),
            new(
                "Settings",
                DashboardLook.Graph,
                "none",
                ("kbr_status_pending_restart{S}", "wait for a restart on {{host}}"),
                ("kbr_status_settings_refused{S}", "refused on {{host}}")
            )
            {
                Bound = 1,
            },
            new("Changed by hand", DashboardLook.Graph, "none", ("kbr_drift_resources{C,state=~\"changed|deleted\"}", "{{state}}"))
            {
                Bound = 1,
            },
            new("Since the last change by kbr", DashboardLook.Graph, "s", ("time() - kbr_status_last_change_timestamp_seconds{S}", "age"))
        );

    private static DashboardRow[] HostRows() =>
        [
            new(
                "Processor and memory",
                new(
                    "Processor",
                    DashboardLook.Graph,
                    "percentunit",
                    ("1 - avg by (node) (rate(node_cpu_seconds_total{N,mode=\"idle\"}[5m]))", Node)
                ),
                new("Load", DashboardLook.Graph, "none", ("node_load1{N}", Node)),
                new(
                    "Memory available",
                    DashboardLook.Graph,
                    "percentunit",
                    ("node_memory_MemAvailable_bytes{N} / node_memory_MemTotal_bytes{N}", Node)
                )
                {
                    Floor = 0.05m,
                },
                new("Swap used", DashboardLook.Graph, "bytes", ("node_memory_SwapTotal_bytes{N} - node_memory_SwapFree_bytes{N}", Node)),
                new("Pages swapped in", DashboardLook.Graph, "none", ("rate(node_vmstat_pswpin{N}[5m])", Node)),
                new(
                    "Processes killed for lack of memory, in an hour",
                    DashboardLook.Graph,
                    "none",
                    ("increase(node_vmstat_oom_kill{N}[1h])", Node)
                )
            ),
            new(
                "Disks and network",
                new(
                    "Busy disk",
                    DashboardLook.Graph,
                    "percentunit",
                    ("max by (node) (rate(node_disk_io_time_seconds_total{N}[5m]))", Node)
                ),
                new("Read", DashboardLook.Graph, "Bps", ("sum by (node) (rate(node_disk_read_bytes_total{N}[5m]))", Node)),
                new("Written", DashboardLook.Graph, "Bps", ("sum by (node) (rate(node_disk_written_bytes_total{N}[5m]))", Node)),
                new(
                    "Received",
                    DashboardLook.Graph,
                    "Bps",
                    ("sum by (node) (rate(node_network_receive_bytes_total{N,device!=\"lo\"}[5m]))", Node)
                ),
                new(
                    "Sent",
                    DashboardLook.Graph,
                    "Bps",
                    ("sum by (node) (rate(node_network_transmit_bytes_total{N,device!=\"lo\"}[5m]))", Node)
                ),
                new(
                    "Errors of the network",
                    DashboardLook.Graph,
                    "none",
                    ("sum by (node) (rate(node_network_receive_errs_total{N}[5m]))", Node)
                )
            ),
        ];

    private const string Host = "{{host}}";
    private const string Member = "{{member}}";
    private const string Node = "{{node}}";

    // What a letter after a brace stands for in the queries above.
    private static (string Short, string Selector)[] Selectors(PostgresTopology topology) =>
        [
            ("{S", $"{{scope=\"{topology.Scope}\""),
            ("{C", $"{{cluster=\"{topology.Cluster}\""),
            ("{P", $"{{job=\"{PrometheusFiles.PostgresJob(topology)}\""),
            ("{B", $"{{job=\"{PrometheusFiles.PgBouncerJob(topology)}\""),
            ("{H", $"{{job=\"{PrometheusFiles.HaproxyJob(topology)}\""),
            ("{N", $"{{job=\"{PrometheusFiles.HostJob(topology)}\""),
        ];

    private static DashboardRow With(DashboardRow row, (string Short, string Selector)[] selectors)
    {
        return row with
        {
            Panels =
            [
                .. row.Panels.Select(panel =>
                    panel with
                    {
                        Queries = [.. panel.Queries.Select(one => (Replaced(one.Expression), one.Legend))],
                    }
                ),
            ],
        };

        string Replaced(string expression)
        {
            foreach (var (letter, selector) in selectors)
            {
                expression = expression.Replace(letter, selector, StringComparison.Ordinal);
            }

            return expression;
        }
    }
}
