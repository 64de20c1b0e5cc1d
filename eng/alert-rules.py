#!/usr/bin/env python3
"""Renders the alert rules of a cluster and lets promtool test every one: it fires for its fault, not before, and not on a healthy cluster.
The queries of the dashboards are checked, too.

eng/alert-rules.py            # KBR_TOOL names another kbr than ./kbr; promtool is Debian's package prometheus
"""

import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCOPE = 'cluster="keybuzz-pg",scope="keybuzz-pg"'
MEMBERS = ["db-1", "db-2", "db-3"]
PROXIES = ["lb-1", "lb-2"]
CHECKS = ["hosts", "quorum", "streaming", "volume", "slots", "connections", "wraparound", "parameters", "archive", "backup", "proof"]
DIGEST = "@sha256:" + "0123456789abcdef" * 4

CLUSTER = f"""
version: 1
cluster: keybuzz-pg
hosts:
  db-1: {{ role: db, address: 10.0.0.120 }}
  db-2: {{ role: db, address: 10.0.0.121 }}
  db-3: {{ role: db, address: 10.0.0.122 }}
  lb-1: {{ role: lb, address: 10.0.0.11 }}
  lb-2: {{ role: lb, address: 10.0.0.12 }}
postgres:
  members: db
  store: {{ etcd: {{ image: "registry.example.com/kbr/etcd:3{DIGEST}" }} }}
  proxies: lb
  image: registry.example.com/kbr/patroni:16{DIGEST}
  volume: {{ device: /dev/sdb }}
  haproxy: {{ metrics: true, image: "registry.example.com/kbr/haproxy:3{DIGEST}" }}
  pgbouncer: {{ image: "registry.example.com/kbr/pgbouncer:1{DIGEST}", max_db_connections: 40 }}
  monitoring: {{ image: "registry.example.com/kbr/monitoring:2{DIGEST}", exporters: [postgres, pgbouncer, node] }}
  tls: offered
  backup:
    repositories:
      - {{ s3: {{ endpoint: "s3.example.com:443", bucket: kbr }} }}
"""


def patroni(name, member):
    address = f"10.0.0.12{MEMBERS.index(member)}:8008"
    return f'{name}{{job="patroni-keybuzz-pg",cluster="keybuzz-pg",scope="keybuzz-pg",instance="{address}",member="{member}"}}'


def etcd(name, member, more=""):
    return f'{name}{{job="etcd-keybuzz-pg",cluster="keybuzz-pg",instance="{member}:2379",member="{member}"{more}}}'


def haproxy(name, proxy, more=""):
    return f'{name}{{job="haproxy-keybuzz-pg",cluster="keybuzz-pg",instance="{proxy}",proxy_host="{proxy}"{more}}}'


def postgres(name, member, more=""):
    return f'{name}{{job="postgres-keybuzz-pg",cluster="keybuzz-pg",instance="{member}:9187",member="{member}"{more}}}'


def pooler(name, proxy, more=""):
    return f'{name}{{job="pgbouncer-keybuzz-pg",cluster="keybuzz-pg",instance="{proxy}:9127",proxy_host="{proxy}"{more}}}'


def node(name, host):
    return f'{name}{{job="node-keybuzz-pg",cluster="keybuzz-pg",instance="{host}:9100",node="{host}"}}'


def status(name, more=""):
    return f"kbr_status_{name}{{{SCOPE}{more}}}"


def of_host(name, host="db-1", more=""):
    return status(name, f',host="{host}"{more}')


def check(name):
    return status("check", f',check="{name}",verdict="not_ok"')


DRIFT = 'kbr_drift_exit_code{cluster="keybuzz-pg"}'
DRIFT_RUN = 'kbr_drift_last_run_timestamp_seconds{cluster="keybuzz-pg"}'
LAST_RUN = 'kbr_status_last_run_timestamp_seconds{cluster="keybuzz-pg"}'


def drifted(state):
    return f'kbr_drift_resources{{cluster="keybuzz-pg",state="{state}"}}'


def healthy(minutes):
    """The series of a healthy cluster. promtool's clock begins at 0."""
    constant, clock = (lambda value: f"{value}x{minutes}"), f"0+60x{minutes}"
    series = {LAST_RUN: clock, status("writes_ok"): constant(1), status("members"): constant(3), status("members_serving"): constant(3)}
    for member in MEMBERS:
        leads = member == MEMBERS[0]
        series |= {
            patroni("up", member): constant(1),
            patroni("patroni_primary", member): constant(int(leads)),
            patroni("patroni_replica", member): constant(int(not leads)),
            patroni("patroni_postgres_streaming", member): constant(int(not leads)),
            patroni("patroni_is_paused", member): constant(0),
            of_host("volume_size_bytes", member): constant(100_000_000_000),
            of_host("volume_free_bytes", member): constant(80_000_000_000),
            of_host("volume_inodes", member): constant(1000),
            of_host("volume_inodes_free", member): constant(900),
            of_host("connections", member): constant(20),
            of_host("connections_limit", member): constant(97),
            of_host("settings_refused", member): constant(0),
            of_host("pending_restart", member): constant(0),
            of_host("oom_kills", member): constant(5),
            of_host("certificate_end_timestamp_seconds", member, ',service="patroni"'): constant(10_000_000),
            of_host("unit_restarts", member, ',unit="patroni"'): constant(0),
        }
        series |= {
            etcd("up", member): constant(1),
            etcd("etcd_server_has_leader", member): constant(1),
            # A roll-out moves the lead once.
            etcd("etcd_server_leader_changes_seen_total", member): f"1x200 2x{minutes}",
            etcd("etcd_mvcc_db_total_size_in_bytes", member): constant(20_480),
            etcd("etcd_server_quota_backend_bytes", member): constant(536_870_912),
            etcd("etcd_disk_wal_fsync_duration_seconds_bucket", member, ',le="0.016"'): f"0+60x{minutes}",
            etcd("etcd_disk_wal_fsync_duration_seconds_bucket", member, ',le="1.024"'): f"0+60x{minutes}",
            etcd("etcd_disk_wal_fsync_duration_seconds_bucket", member, ',le="+Inf"'): f"0+60x{minutes}",
        }
        series |= {
            postgres("up", member): constant(1),
            postgres("pg_up", member): constant(1),
            postgres("kbr_postgres_clock_seconds", member): clock,
            postgres("kbr_postgres_transaction_seconds", member): f"0+60x50 0x{minutes}",
            postgres("kbr_postgres_idle_in_transaction_seconds", member): constant(1),
            postgres("kbr_postgres_connections", member): constant(20),
            postgres("kbr_postgres_connections_limit", member): constant(97),
            postgres("kbr_postgres_database_deadlocks", member, ',datname="keybuzz"'): f"7x300 8x{minutes}",
            postgres("kbr_postgres_database_checksum_failures", member, ',datname="keybuzz"'): constant(0),
            node("up", member): constant(1),
            node("node_memory_MemTotal_bytes", member): constant(100),
            node("node_memory_MemAvailable_bytes", member): constant(50),
        }
        if not leads:
            series[postgres("kbr_postgres_replica_lag_bytes", MEMBERS[0], f',replica="{member}"')] = f"0x20 99999999x5 0x{minutes}"
    for proxy in PROXIES:
        series[pooler("up", proxy)] = constant(1)
        series[pooler("pgbouncer_up", proxy)] = constant(1)
        series[pooler("pgbouncer_pools_client_maxwait_seconds", proxy, ',database="keybuzz",user="kb_app"')] = constant(1)
        series[haproxy("up", proxy)] = constant(1)
        series[haproxy("haproxy_backend_active_servers", proxy, ',proxy="primary"')] = constant(1)
    # A restore that is proven takes room, and gives it back.
    series[of_host("volume_free_bytes", MEMBERS[1])] = f"{80_000_000_000}x120 {55_000_000_000}x100 {80_000_000_000}x{max(1, minutes - 220)}"
    series |= {check(name): constant(0) for name in CHECKS}
    series[status("last_change_failed")] = constant(0)
    series[status("certificate_end_timestamp_seconds", ',service="authority"')] = constant(10_000_000)
    series |= {DRIFT: constant(0), drifted("changed"): constant(0), drifted("deleted"): constant(0)}
    # It runs every hour.
    series[DRIFT_RUN] = " ".join(f"{3600 * hour}x59" for hour in range(minutes // 60 + 1))
    return series


# Lines whose alerts are of the figures behind them.
BY_FIGURES = {"hosts", "volume", "connections"}

MINUTES = 600
BEGIN = 10


def then(before, after):
    return f"{before}x{BEGIN - 1} {after}x{MINUTES - BEGIN}"


# By alert: the series of its fault, which begins in minute 10; when it has to fire; how many times.
FAULTS = {
    "PostgresNoPrimary": ({patroni("patroni_primary", "db-1"): then(1, 0)}, 12, 1),
    "PostgresSeveralPrimaries": ({patroni("patroni_primary", "db-2"): then(0, 1)}, 11, 1),
    "PatroniDown": ({patroni("up", "db-2"): then(1, 0)}, 13, 1),
    "PostgresReplicaNotStreaming": ({patroni("patroni_postgres_streaming", "db-2"): then(1, 0)}, 13, 1),
    "PatroniPaused": ({patroni("patroni_is_paused", "db-1"): then(0, 1)}, 26, 1),
    "EtcdDown": ({etcd("up", "db-2"): then(1, 0)}, 13, 1),
    "EtcdNoLeader": ({etcd("etcd_server_has_leader", "db-2"): then(1, 0)}, 12, 1),
    "EtcdLeaderChanges": ({etcd("etcd_server_leader_changes_seen_total", "db-2"): f"1x9 2 3 4 5 6 7x{MINUTES}"}, 22, 1),
    "EtcdDatabaseNearQuota": ({etcd("etcd_mvcc_db_total_size_in_bytes", "db-2"): then(20_480, 460_000_000)}, 21, 1),
    "EtcdSlowDisk": (
        {etcd("etcd_disk_wal_fsync_duration_seconds_bucket", "db-2", ',le="0.016"'): f"0+60x9 540x{MINUTES - 10}"},
        26,
        1,
    ),
    "HaproxyDown": ({haproxy("up", "lb-1"): then(1, 0)}, 13, 1),
    "HaproxyNoPrimary": ({haproxy("haproxy_backend_active_servers", "lb-1", ',proxy="primary"'): then(1, 0)}, 12, 1),
    "ExporterDown": ({pooler("pgbouncer_up", "lb-1"): then(1, 0), postgres("up", "db-1"): then(1, 0)}, 16, 2),
    "PostgresLongTransaction": ({postgres("kbr_postgres_transaction_seconds", "db-1"): then(0, 3700)}, 12, 1),
    "PostgresIdleInTransaction": ({postgres("kbr_postgres_idle_in_transaction_seconds", "db-1"): then(0, 310)}, 12, 1),
    "PostgresConnectionsNearLimit": ({postgres("kbr_postgres_connections", "db-1"): then(20, 99)}, 16, 1),
    "PostgresDeadlocks": ({postgres("kbr_postgres_database_deadlocks", "db-1", ',datname="keybuzz"'): then(7, 12)}, 11, 1),
    "PostgresChecksumFailure": ({postgres("kbr_postgres_database_checksum_failures", "db-2", ',datname="keybuzz"'): then(0, 1)}, 11, 1),
    "PostgresReplicaLags": ({postgres("kbr_postgres_replica_lag_bytes", "db-1", ',replica="db-2"'): then(0, 2_000_000)}, 21, 1),
    "PostgresClockOff": ({postgres("kbr_postgres_clock_seconds", "db-3"): f"0+60x9 610+60x{MINUTES - 10}"}, 16, 1),
    "PoolerWaiting": ({pooler("pgbouncer_pools_client_maxwait_seconds", "lb-2", ',database="keybuzz",user="kb_app"'): then(0, 7)}, 12, 1),
    "HostMemoryLow": ({node("node_memory_MemAvailable_bytes", "db-2"): then(50, 4)}, 21, 1),
    "KbrWritesFail": ({status("writes_ok"): then(1, 0)}, 12, 1),
    "KbrStatusMissing": ({LAST_RUN: f"0+60x9 540x{MINUTES - 10}"}, 17, 1),
    "KbrHostUnreachable": ({of_host("unreachable", "lb-1"): f"_x9 1x{MINUTES - 10}"}, 13, 1),
    "KbrRedundancyLost": ({status("members_serving"): then(3, 2)}, 16, 1),
    "KbrQuorumNotWhole": ({check("quorum"): then(0, 1)}, 13, 1),
    "KbrCheckFails": ({check("streaming"): then(0, 1)}, 16, 1),
    "KbrVolumeNearlyFull": ({of_host("volume_free_bytes"): then(80_000_000_000, 14_000_000_000)}, 21, 1),
    "KbrVolumeFull": ({of_host("volume_free_bytes"): then(80_000_000_000, 4_000_000_000)}, 13, 1),
    "KbrVolumeFillsUp": ({of_host("volume_free_bytes"): f"80000000000-24000000x{MINUTES}"}, 560, 1),
    "KbrInodesNearlyUsed": ({of_host("volume_inodes_free"): then(900, 100)}, 21, 1),
    "KbrSlotHoldsWal": ({check("slots"): then(0, 1)}, 21, 1),
    "KbrConnectionsNearLimit": ({of_host("connections"): then(20, 90)}, 16, 1),
    "KbrWraparound": ({check("wraparound"): then(0, 1)}, 41, 1),
    "KbrSettingsRefused": ({of_host("settings_refused"): then(0, 1)}, 16, 1),
    "KbrPendingRestart": ({of_host("pending_restart"): then(0, 2)}, 71, 1),
    "KbrUnitRestarts": ({of_host("unit_restarts", "db-1", ',unit="patroni"'): f"0x9 1 2 3x{MINUTES - 12}"}, 14, 1),
    "KbrOutOfMemory": ({of_host("oom_kills"): then(5, 6)}, 11, 1),
    "KbrChangeFailed": ({status("last_change_failed"): then(0, 1)}, 26, 1),
    # Also while a host cannot be read.
    "KbrDriftFound": ({DRIFT: then(0, 1), drifted("changed"): then(0, 2), drifted("deleted"): then(0, 1)}, 131, 1),
    "KbrDriftUnknown": ({DRIFT: then(0, 1)}, 131, 1),
    "KbrCertificateExpires": ({of_host("certificate_end_timestamp_seconds", "db-1", ',service="patroni"'): then(10_000_000, 600)}, 21, 1),
    "KbrAuthorityExpires": ({status("certificate_end_timestamp_seconds", ',service="authority"'): then(10_000_000, 5_000_000)}, 21, 1),
    "KbrArchiveBehind": ({check("archive"): then(0, 1)}, 21, 1),
    "KbrBackupOld": ({check("backup"): then(0, 1)}, 26, 1),
    "KbrProofFailed": ({check("proof"): then(0, 1)}, 26, 1),
}


# Other faults of the same alerts.
MORE_FAULTS = [
    # The timer stopped.
    ("KbrDriftUnknown", {DRIFT_RUN: f"0x{MINUTES}"}, 242, 1),
    # cluster.yaml cannot be read: the series of the cluster end, and those of no cluster begin.
    (
        "KbrDriftUnknown",
        {
            series: f"0x{BEGIN - 1} stale"
            for series in (DRIFT, DRIFT_RUN, drifted("changed"), drifted("deleted"))
        }
        | {"kbr_drift_exit_code": f"_x{BEGIN - 1} 1x{MINUTES - BEGIN}"},
        131,
        1,
    ),
]


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def test(series, expectations):
    lines = ["  - interval: 1m", "    input_series:"]
    lines += [f"      - {{ series: {quoted(name)}, values: {quoted(values)} }}" for name, values in series.items()]
    lines.append("    promql_expr_test:")
    for minute, expression, count in expectations:
        samples = f"[{{ labels: '{{}}', value: {count} }}]" if count else "[]"
        lines.append(f"      - {{ expr: {quoted(expression)}, eval_time: {minute}m, exp_samples: {samples} }}")
    return lines


def queries_of(folder):
    """The queries of the dashboards."""
    queries = []
    for name in sorted(os.listdir(folder)):
        if name.startswith("dashboard-"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                panels = json.load(file)["panels"]
            queries += [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return queries


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)  # noqa: E731
        with open(path("cluster.yaml"), "w", encoding="utf-8") as file:
            file.write(CLUSTER)
        tool = os.environ.get("KBR_TOOL", os.path.join(ROOT, "kbr"))
        subprocess.run([tool, "monitoring", "render", "-c", path("cluster.yaml"), "--out", folder], check=True)
        with open(path("scrape.yml"), encoding="utf-8") as scrape, open(path("prometheus.yml"), "w", encoding="utf-8") as file:
            file.write("rule_files: [alerts.yml]\n" + scrape.read())
        with open(path("alerts.yml"), encoding="utf-8") as file:
            alerts = re.findall(r"- alert: (\w+)", file.read())
        if set(alerts) != set(FAULTS):
            sys.exit(f"alerts without a fault, or faults without an alert: {sorted(set(alerts) ^ set(FAULTS))}")
        firing = 'count(ALERTS{alertstate="firing"})'
        lines = ["rule_files: [alerts.yml]", "evaluation_interval: 1m", "tests:"]
        lines += test(healthy(MINUTES), [(minute, firing, 0) for minute in range(0, MINUTES, 20)])
        for name, fault, minute, count in [*((name, *fault) for name, fault in FAULTS.items()), *MORE_FAULTS]:
            own = f'count(ALERTS{{alertname="{name}",alertstate="firing"}})'
            before = [(BEGIN - 1, firing, 0)] if name != "KbrVolumeFillsUp" else []
            lines += test(healthy(MINUTES) | fault, [*before, (minute, own, count)])
        for name in CHECKS:
            if name not in BY_FIGURES:
                lines += test(healthy(MINUTES) | {check(name): then(0, 1)}, [(50, f"{firing} >= bool 1", 1)])
        with open(path("test.yml"), "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        queries = queries_of(folder)
        # A recording rule has any query, and a name of its own.
        with open(path("queries.yml"), "w", encoding="utf-8") as file:
            file.write("groups:\n  - name: dashboards\n    rules:\n")
            file.writelines(f"      - {{ record: 'q{at}', expr: {quoted(query)} }}\n" for at, query in enumerate(queries))
        subprocess.run(["promtool", "check", "rules", path("queries.yml")], check=True)
        subprocess.run(["promtool", "check", "config", path("prometheus.yml")], check=True)
        subprocess.run(["promtool", "test", "rules", path("test.yml")], check=True)
        print(f"{len(queries)} queries of the dashboards are PromQL")
        print(f"{len(alerts)} alerts fire for their fault, and none in {MINUTES // 60} hours without one")


main()
