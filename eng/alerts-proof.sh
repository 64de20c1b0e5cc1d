#!/usr/bin/env bash
# Makes faults on the PostgreSQL cluster, and measures how long a real Prometheus takes to send the alert of each to a real Alertmanager
# (postgres.monitoring with a server). Before the faults and between them nothing may fire. Prints a table for docs/monitoring.md.
#
#   eng/alerts-proof.sh [FAULT...]         all by default; HEALTHY=120 seconds without an alert first; FOR=5s in place of each alert's `for`
#   SOAK=7200 eng/alerts-proof.sh          only a soak, of so many seconds: the rules as they are rendered, an application that writes,
#                                          kbr status every minute and kbr drift every ten minutes; no alert may fire
#
# On the lab that KBR_LAB names, which has to be up; keeps the cluster that it finds there, or installs one. Archives WAL where lab/s3
# runs. The rules are the rendered ones but for their `for`, so what a real cluster waits is the measured time and the `for` of the table.
# KBR_STORE=etcd has the cluster use etcd, moves one that uses RAFT, and adds the faults of etcd.
# LASTING names alerts of an earlier run that may still fire. KBR_TOOL names another kbr than ./kbr, and a fault ends after LIMIT=180
# seconds.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
root=$PWD
lab=$root/lab${KBR_LAB:+/$KBR_LAB}
kbr=${KBR_TOOL:-$root/kbr}
healthy=${HEALTHY:-120} limit=${LIMIT:-180} for=${FOR:-5s} soak=${SOAK:-}
server=haproxy-01 files=/opt/keybuzz/monitoring status=/opt/keybuzz-monitoring-status data=/data/prometheus
pgdata=/opt/keybuzz/postgres/data/pgdata
file=$lab/cluster-watch.yaml
here=$(mktemp -d)
failed=0 lasting=${LASTING:-}

on() { "$root/lab/ssh" "$@"; }
say() { printf '%s\n' "$*" >&2; }
sql() { on "$1" "docker exec -i patroni psql -X -A -t -q -U kb_admin -d ${3:-keybuzz}" <<<"$2"; }
address() {
    python3 -c 'import json, sys
print(next(h["address"] for h in json.load(open(sys.argv[1])) if h["name"] == sys.argv[2]))' "$lab/.state/hosts.json" "$1"
}
primary() {
    local host found
    for host in db-master-01 db-slave-01 db-slave-02; do
        found=$(on "$host" "curl -s -m 3 http://\$(hostname):8008/cluster" 2>/dev/null | python3 -c '
import json, sys
print(next(m["name"] for m in json.load(sys.stdin)["members"] if m["role"] == "leader"))' 2>/dev/null)
        [[ $found ]] && echo "$found" && return
    done
    return 1
}
patroni() { # JSON: changes the dynamic configuration, as patronictl edit-config does
    on db-master-01 "docker exec -i patroni python3 -" <<P
import base64, urllib.request, yaml
rest = yaml.safe_load(open("/etc/patroni/patroni.yml"))["restapi"]
login = rest["authentication"]["username"] + ":" + rest["authentication"]["password"]
urllib.request.urlopen(urllib.request.Request("http://" + rest["connect_address"] + "/config", method="PATCH",
    data=b'''$1''', headers={"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}))
P
}

# ---- what Prometheus and Alertmanager say ---------------------------------------------------------------
ask() { curl -s -m 5 -K <(printf 'user = "watch:%s"\n' "$password") "http://$at:$1"; }
firing() { # the names of the alerts that Prometheus lets fire
    ask 9090/api/v1/alerts | python3 -c '
import json, sys
print(" ".join(sorted({a["labels"]["alertname"] for a in json.load(sys.stdin)["data"]["alerts"] if a["state"] == "firing"})))' 2>/dev/null
}
received() { # the names of the alerts that Alertmanager has, and that are not resolved
    ask 9093/api/v2/alerts | python3 -c '
import json, sys
print(" ".join(sorted({a["labels"]["alertname"] for a in json.load(sys.stdin) if a["status"]["state"] == "active"})))' 2>/dev/null
}
others() { local alert; for alert in $(firing) $(received); do [[ " $lasting " == *" $alert "* ]] || echo "$alert"; done; }
quiet() { # SECONDS: waits until nothing fires, but for what goes on for a while after its fault
    local end=$((SECONDS + $1))
    until [[ -z $(others) ]]; do
        ((SECONDS < end)) || return 1
        sleep 1
    done
}

# ---- faults: make_NAME, mend_NAME ------------------------------------------------------------------------
# Not one after the other: the first to go would not matter, and the first to come would have no quorum.
of_replicas() { local host pids=(); for host in $replicas; do on "$host" "systemctl $1 patroni" & pids+=($!); done; wait "${pids[@]}"; }
make_no_primary() { of_replicas stop; }
mend_no_primary() { of_replicas start; }
make_member_down() { on "$replica" 'systemctl stop patroni'; }
mend_member_down() { on "$replica" 'systemctl start patroni'; }
make_not_streaming() {
    on "$replica" "iptables -I OUTPUT -p tcp --dport 5432 -d $(address "$leader") -j REJECT --reject-with tcp-reset
        kill \$(docker top patroni -eo pid,args | awk '/walreceiver/ { print \$1 }')"
}
mend_not_streaming() { on "$replica" "iptables -D OUTPUT -p tcp --dport 5432 -d $(address "$leader") -j REJECT --reject-with tcp-reset"; }
make_cut() { "$root/lab/cut" "$replica" --peers; }
mend_cut() { "$root/lab/heal" "$replica"; }
make_paused() { patroni '{"pause": true}'; }
mend_paused() { patroni '{"pause": null}'; }
# A pause of the replay by SQL is ended by Patroni.
replay() { on "$replica" "kill -$1 \$(docker top patroni -eo pid,args | awk '/startup recovering/ { print \$1 }')"; }
make_lag() {
    replay STOP
    sql "$leader" "DROP TABLE IF EXISTS lag; CREATE TABLE lag AS SELECT repeat('x', 1000) FROM generate_series(1, 20000)"
}
mend_lag() { replay CONT; sql "$leader" 'DROP TABLE lag'; }
make_unreachable() { "$root/lab/off" "$replica" >/dev/null; }
mend_unreachable() { "$root/lab/on" "$replica" >/dev/null; }
make_haproxy() { on haproxy-02 'systemctl stop haproxy'; }
mend_haproxy() { on haproxy-02 'systemctl start haproxy'; }
make_slot() {
    patroni '{"slots": {"stuck": {"type": "physical"}}}'
    local n
    for n in {1..30}; do
        [[ $(sql "$leader" "SELECT count(restart_lsn) FROM pg_replication_slots WHERE slot_name = 'stuck'") == 1 ]] && break
        sleep 1
    done
    # A new segment each.
    for n in {1..28}; do printf "SELECT pg_logical_emit_message(false, 'x', 'x');\nSELECT pg_switch_wal();\n"; done >"$here/switches"
    sql "$leader" "$(<"$here/switches")" >/dev/null
}
mend_slot() { patroni '{"slots": {"stuck": null}}'; }
make_volume() {
    on "$leader" 'm=/opt/keybuzz/postgres; fallocate -l $(($(df -B1 --output=avail $m | tail -n 1) - 300000000)) $m/filler'
}
mend_volume() { on "$leader" 'rm -f /opt/keybuzz/postgres/filler'; }
make_connections() {
    local client='psql -X -q -U kb_admin -d keybuzz -c "SELECT pg_sleep(170)" >/dev/null 2>&1'
    on "$leader" "docker exec -i patroni sh" <<<"for n in \$(seq 85); do $client & done; wait" >/dev/null 2>&1 &
    holder=$!
}
mend_connections() {
    on "$leader" "docker top patroni -eo pid,args | awk '/postgres: .* kb_admin keybuzz/ { print \$1 }' | xargs -r kill"
    wait "$holder"
    true
}
terminate() { # CONDITION: ends these sessions, and waits for who made them
    sql "$leader" "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $1 AND pid <> pg_backend_pid()" >/dev/null
    wait "$holder"
    true
}
make_long_transaction() { sql "$leader" 'BEGIN; SELECT pg_sleep(175)' >/dev/null 2>&1 & holder=$!; }
mend_long_transaction() { terminate "query LIKE '%pg_sleep(175)%'"; }
make_idle_transaction() {
    local client='timeout 175 psql -X -q -U kb_admin -d keybuzz'
    on "$leader" "{ echo 'BEGIN; SELECT 17;'; sleep 175; } | docker exec -i patroni $client" >/dev/null 2>&1 &
    holder=$!
}
mend_idle_transaction() {
    kill "$holder" 2>/dev/null
    terminate "state = 'idle in transaction' AND query = 'SELECT 17;'"
}
make_deadlocks() {
    sql "$leader" 'DROP TABLE IF EXISTS locked; CREATE TABLE locked (id int PRIMARY KEY); INSERT INTO locked VALUES (1), (2)'
    local n first second
    for n in 1 2 3 4; do
        both 1 2 & first=$!
        both 2 1 & second=$!
        wait "$first" "$second"
    done
}
both() { # FIRST SECOND: locks both rows in this order
    sql "$leader" "BEGIN; UPDATE locked SET id = id WHERE id = $1; SELECT pg_sleep(1);
        UPDATE locked SET id = id WHERE id = $2; COMMIT" >/dev/null 2>&1
}
# The alert goes on for a quarter of an hour.
mend_deadlocks() { lasting+=" PostgresDeadlocks"; sql "$leader" 'DROP TABLE locked'; }
make_checksum() {
    # The middle of a page of a table that is written to disk, and that nobody reads or vacuums before a base backup checks it.
    sql "$leader" "DROP TABLE IF EXISTS damaged; CREATE TABLE damaged WITH (autovacuum_enabled = off)
        AS SELECT repeat('x', 500) FROM generate_series(1, 1000); CHECKPOINT"
    local path
    path=$(sql "$leader" "SELECT pg_relation_filepath('damaged')")
    on "$leader" "printf damaged | dd of=$pgdata/$path bs=1 seek=12000 conv=notrunc status=none; sync"
    sed -n 's/^POSTGRES_REPL_PASS=//p' "$lab/credentials/ha.env" | on "$leader" "docker exec -i patroni sh -c 'read -r PGPASSWORD
        export PGPASSWORD; pg_basebackup -h 127.0.0.1 -U kb_repl -D - -Ft -X none -c fast >/dev/null'" 2>"$here/basebackup"
    grep -q 'checksum' "$here/basebackup"
}
mend_checksum() {
    sql "$leader" 'DROP TABLE damaged'
    sql "$leader" 'SELECT pg_stat_reset()' >/dev/null
}
make_restart() { patroni '{"postgresql": {"parameters": {"max_worker_processes": 9}}}'; }
mend_restart() { patroni '{"postgresql": {"parameters": {"max_worker_processes": null}}}'; }
make_refused() { on "$replica" "echo \"work_mem = 'much'\" >>$pgdata/postgresql.auto.conf"; }
mend_refused() { on "$replica" "sed -i '/^work_mem = .much./d' $pgdata/postgresql.auto.conf"; }
console() { on haproxy-02 "docker exec pgbouncer psql -X -q -h /run/pgbouncer -p 6433 -U pgbouncer -d pgbouncer -c '$1'"; }
make_pooler() {
    console 'PAUSE keybuzz'
    local client="timeout 170 psql -X -q -h $(address haproxy-02) -p 6433 -U kb_app -d keybuzz -c 'SELECT 1'"
    sed -n 's/^POSTGRES_APP_PASS=//p' "$lab/credentials/ha.env" |
        on haproxy-02 "docker exec -i pgbouncer sh -c \"read -r PGPASSWORD; export PGPASSWORD; $client\"" >/dev/null 2>&1 &
    holder=$!
}
mend_pooler() {
    console 'RESUME keybuzz'
    wait "$holder"
    true
}
# Each restart has to be seen by kbr status, whose figure Prometheus has.
restarts() {
    ask '9090/api/v1/query?query=kbr_status_unit_restarts%7Bhost="haproxy-02",unit="pgbouncer"%7D' | python3 -c '
import json, sys
print(json.load(sys.stdin)["data"]["result"][0]["value"][1])' 2>/dev/null
}
make_restarts() {
    local n before end=$((SECONDS + limit))
    for n in 1 2 3 4; do
        before=$(restarts)
        on haproxy-02 'docker kill -s KILL pgbouncer >/dev/null'
        until [[ $(restarts) != "$before" ]]; do
            ((SECONDS < end)) || return 1
            sleep 1
        done
    done
}
# The alert goes on for a quarter of an hour.
mend_restarts() { lasting+=" KbrUnitRestarts"; }
# Nobody demotes anybody while Patroni is paused.
make_two_primaries() {
    patroni '{"pause": true}'
    local n
    for n in {1..30}; do
        on "$replica" 'curl -s -m 3 "http://$(hostname):8008/patroni"' | grep -q '"pause": true' && break
        sleep 1
    done
    sql "$replica" 'SELECT pg_promote()' >/dev/null
}
mend_two_primaries() { patroni '{"pause": null}'; }
make_balancer() { "$root/lab/balancer" targets "$replica" >/dev/null; }
mend_balancer() { "$root/lab/balancer" default >/dev/null; }
# XFS has as many inodes as there is room for, so the room goes first.
make_inodes() {
    on "$replica" 'm=/opt/keybuzz/postgres; fallocate -l $(($(df -B1 --output=avail $m | tail -n 1) - 120000000)) $m/filler
        mkdir $m/many && cd $m/many && seq $(($(df --output=itotal . | tail -n 1) * 88 / 100 - $(df --output=iused . | tail -n 1))) |
            xargs touch'
}
mend_inodes() { on "$replica" 'cd /opt/keybuzz/postgres && rm -rf many filler'; }
# Of a container that has 20 MB. The kernel counts on the whole machine, and so for every lab on it.
make_memory() {
    on "$replica" 'docker run --rm --pull never --network none --memory 20m --memory-swap 20m --entrypoint python3 \
        "$(docker inspect -f "{{.Config.Image}}" patroni)" -c "x = b\"x\" * (200 << 20)"; [ $? = 137 ]'
}
# The alert goes on for a quarter of an hour.
mend_memory() { lasting+=" KbrOutOfMemory"; }
make_exporter() { on "$replica" 'systemctl stop postgres-exporter'; }
mend_exporter() { on "$replica" 'systemctl start postgres-exporter'; }
make_archive() {
    "$root/lab/s3" stop >/dev/null
    sql "$leader" "SELECT pg_logical_emit_message(false, 'x', 'x')" >/dev/null
    sql "$leader" 'SELECT pg_switch_wal()' >/dev/null
}
mend_archive() { "$root/lab/s3" >/dev/null; }
# What kbr status and kbr drift go by from now on: the file as sed changes it.
watch() { sed "$1" "$file" >"$lab/cluster-watched.yaml"; echo cluster-watched.yaml >"$here/watched"; }
unwatch() { echo "$file" >"$here/watched"; rm -f "$lab/cluster-watched.yaml"; }
make_backup_old() { watch 's/^    schedule: /    max_age: 1m\n&/'; }
mend_backup_old() { unwatch; }
# The middle byte of the largest file of each backup gets another value; done twice, its own.
flip() {
    python3 - "$lab/.state/s3/data/kbr-backups/alerts/backup" <<'P'
import os, sys
largest = {}
for folder, _, names in os.walk(sys.argv[1]):
    if folder.split("/")[-1] == "bundle" or "/bundle/" in folder:
        for path in (os.path.join(folder, name) for name in names if name.endswith("._S3rver_object")):
            backup = folder.split("/bundle")[0]
            largest[backup] = max(largest.get(backup, path), path, key=os.path.getsize)
assert largest, "no backup in " + sys.argv[1]
for path in largest.values():
    with open(path, "r+b") as file:
        middle = os.path.getsize(path) // 2
        file.seek(middle)
        byte = file.read(1)[0]
        file.seek(middle)
        file.write(bytes([byte ^ 1]))
P
}
make_proof() { flip && ! "$kbr" backups prove -c "$file" >"$here/proof" 2>&1; }
mend_proof() { flip && "$kbr" backups prove -c "$file" >"$here/proof" 2>&1; }
# Nobody renews it: what is in the second half of its time to be renewed is reported.
make_certificate() {
    watch 's/^  tls: offered$/  tls: { validity: 3m, renew_before: 2m }/'
    "$kbr" apply -c cluster-watched.yaml --auto-approve >"$here/applied" 2>&1 || return 1
    "$kbr" monitoring render -c cluster-watched.yaml --out "$here/short" >/dev/null && shorten "$here/short"
}
mend_certificate() {
    unwatch
    "$kbr" apply -c "$file" --auto-approve >"$here/applied" 2>&1
    shorten
}
# The rule goes by what is issued from then on: nothing has to be issued.
make_authority() {
    sed 's/^  tls: offered$/  tls: { validity: 90000h }/' "$file" >"$lab/cluster-longer.yaml"
    "$kbr" monitoring render -c cluster-longer.yaml --out "$here/longer" >/dev/null && shorten "$here/longer"
}
mend_authority() { rm "$lab/cluster-longer.yaml"; shorten; }
# As many as kbr status itself leaves room for.
make_most_connections() {
    local count client='psql -X -q -U kb_admin -d keybuzz -c "SELECT pg_sleep(170)" >/dev/null 2>&1'
    count=$(sql "$leader" "SELECT ceil(0.92 * (current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int)) - count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    on "$leader" "docker exec -i patroni sh" <<<"for n in \$(seq $count); do $client & done; wait" >/dev/null 2>&1 &
    holder=$!
}
mend_most_connections() { mend_connections; }
# A database whose row says that it is old: hundreds of millions of transactions take too long. Autovacuum would look after it at once.
make_wraparound() {
    patroni '{"postgresql": {"parameters": {"autovacuum": "off"}}}'
    local n
    for n in {1..30}; do
        [[ $(sql "$leader" 'SHOW autovacuum') == off ]] && break
        sleep 1
    done
    sql "$leader" 'CREATE DATABASE worn'
    sql "$leader" "UPDATE pg_database SET datfrozenxid = ((txid_current() + (1::bigint << 32) - 500000000) % (1::bigint << 32))::text::xid
        WHERE datname = 'worn'"
}
mend_wraparound() {
    sql "$leader" 'DROP DATABASE worn'
    patroni '{"postgresql": {"parameters": {"autovacuum": null}}}'
}
# The hosts of the lab share a clock: every process that begins in the member's container has another one.
restart_postgres() {
    on "$replica" "docker exec -i patroni python3 -" <<'P'
import base64, urllib.request, yaml
rest = yaml.safe_load(open("/etc/patroni/patroni.yml"))["restapi"]
login = rest["authentication"]["username"] + ":" + rest["authentication"]["password"]
urllib.request.urlopen(urllib.request.Request("http://" + rest["connect_address"] + "/restart", method="POST", data=b"{}",
    headers={"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}))
P
}
# Root of the host in a member's container, whose own root may do less.
within() { on "$replica" "nsenter -m -p -t \$(docker inspect -f '{{.State.Pid}}' $1) sh -c '$2'"; }
make_clock() {
    [[ -d $here/faketime ]] ||
        (cd "$here" && apt-get download -qq libfaketime && dpkg -x libfaketime_*.deb faketime) >"$here/apt" 2>&1 || return 1
    within patroni 'mount -o remount,bind,rw / && cat >/usr/local/lib/faketime.so && chmod 755 /usr/local/lib/faketime.so &&
        echo +30s >/etc/faketimerc && echo /usr/local/lib/faketime.so >/etc/ld.so.preload && mount -o remount,bind,ro /' \
        <"$(find "$here/faketime" -name libfaketimeMT.so.1)" && restart_postgres
}
mend_clock() {
    within patroni 'mount -o remount,bind,rw / && rm -f /etc/ld.so.preload /etc/faketimerc && mount -o remount,bind,ro /' &&
        restart_postgres
}
# The hosts share their memory, too: the exporter of one reads another figure of the kernel.
make_memory_low() {
    within node-exporter 'mount -t tmpfs none /mnt && sed "s/^MemAvailable: .*/MemAvailable: 100000 kB/" /proc/meminfo >/mnt/meminfo &&
        mount --bind /mnt/meminfo /proc/meminfo'
}
mend_memory_low() { on "$replica" 'systemctl restart node-exporter'; }
# The six hours before are written into Prometheus' database: half a gigabyte an hour less of what is free now.
make_fills_up() {
    ask "9090/api/v1/query?query=kbr_status_volume_free_bytes%7Bhost=%22$leader%22%7D" | python3 -c '
import json, sys, time
[series] = json.load(sys.stdin)["data"]["result"]
labels = ",".join("%s=%s" % (name, json.dumps(value)) for name, value in series["metric"].items() if name != "__name__")
now, free = int(time.time()), float(series["value"][1])
print("# TYPE kbr_status_volume_free_bytes gauge")
for ago in range(7 * 3600, 0, -60):
    print("kbr_status_volume_free_bytes{%s} %d %d" % (labels, free + ago / 3600 * 5e8, now - ago))
print("# EOF")' >"$here/history" || return 1
    on "$server" "docker exec -i prometheus sh -c 'cat >/data/history && cd $data && ls >/data/before &&
        TMPDIR=/data promtool tsdb create-blocks-from openmetrics /data/history . >/dev/null'" <"$here/history"
}
mend_fills_up() { on "$server" "docker exec prometheus sh -c 'cd $data && ls | grep -vxFf /data/before | grep -E ^0 | xargs -r rm -r'"; }
# Of etcd, whose member on a replica is meant.
make_etcd_down() { on "$replica" 'systemctl stop etcd'; }
mend_etcd_down() { on "$replica" 'systemctl start etcd'; }
etcd_of_replicas() { local host pids=(); for host in $replicas; do on "$host" "systemctl $1 etcd" & pids+=($!); done; wait "${pids[@]}"; }
make_etcd_no_leader() { etcd_of_replicas stop; }
mend_etcd_no_leader() { etcd_of_replicas start; }
as_root_of_etcd() { # SCRIPT
    on "$replica" 'docker exec -i etcd sh -eu' <<<"ETCDCTL_USER=root ETCDCTL_PASSWORD=\$(cat /etc/etcd/root-password)
        export ETCDCTL_USER ETCDCTL_PASSWORD
        $1"
}
make_etcd_elections() {
    local n endpoint next
    for n in {1..6}; do
        read -r endpoint next < <(as_root_of_etcd 'etcdctl endpoint status --cluster -w json' | python3 -c '
import json, sys
members = json.load(sys.stdin)
leader = members[0]["Status"]["leader"]
ids = {one["Status"]["header"]["member_id"]: one["Endpoint"] for one in members}
print(ids[leader], "%x" % next(one for one in sorted(ids) if one != leader))')
        as_root_of_etcd "ETCDCTL_ENDPOINTS=$endpoint etcdctl move-leader $next" >/dev/null || return 1
        # Prometheus has to see more than one value.
        sleep 2
    done
}
# The alert goes on for a quarter of an hour.
mend_etcd_elections() { lasting+=" EtcdLeaderChanges"; }
make_etcd_full() {
    as_root_of_etcd 'for n in $(seq 42); do head -c 1000000 /dev/urandom | base64 -w 0 | etcdctl put filler/$n >/dev/null; done'
}
mend_etcd_full() {
    as_root_of_etcd 'etcdctl del --prefix filler/ >/dev/null
        etcdctl compact "$(etcdctl endpoint status -w json | grep -o "\"revision\":[0-9]*" | grep -o "[0-9]*$")" >/dev/null
        etcdctl defrag --cluster >/dev/null'
}
# A process of a host of the lab is one of this machine, too.
make_etcd_slow_disk() {
    command -v strace >/dev/null || apt-get install -y -qq strace >"$here/apt" 2>&1 || return 1
    local process
    process=$(pgrep -x etcd | while read -r one; do
        if grep -q "/kbr-lab${KBR_LAB:+-$KBR_LAB}/$replica/" "/proc/$one/cgroup"; then echo "$one"; fi
    done)
    strace -qq -f -o /dev/null -e trace=fdatasync -e inject=fdatasync:delay_enter=700000 -p "$process" 2>"$here/strace" &
    holder=$!
    for _ in {1..50}; do
        grep -q '^TracerPid:.[1-9]' "/proc/$process/status" && return
        sleep 0.1
    done
    return 1
}
# The alert goes on while the last five minutes have slow writes.
mend_etcd_slow_disk() {
    lasting+=" EtcdSlowDisk"
    kill "$holder"
    wait "$holder"
    true
}
make_drift() { on haproxy-02 "chmod 0640 $files/pgpass"; }
mend_drift() { on haproxy-02 "chmod 0600 $files/pgpass"; }
make_change() {
    {
        cat "$file"
        printf 'resources:\n  - { type: config_file, name: refused, host: haproxy-01, path: /etc/refused, content: x, validate: "false" }\n'
        printf '  - { type: config_file, name: taken, host: haproxy-01, path: /etc/taken, content: x }\n'
    } >"$lab/cluster-refused.yaml"
    (cd "$lab" && "$kbr" apply -c cluster-refused.yaml --auto-approve) >"$here/refused" 2>&1
    local exit=$?
    shorten
    ((exit == 1))
}
# An apply brings the declared rules, too.
mend_change() {
    (cd "$lab" && "$kbr" apply -c "$file" --auto-approve) >"$here/applied" 2>&1
    rm -f "$lab/cluster-refused.yaml"
    shorten
}

# Name, what is done, and the alerts that have to arrive.
faults=(
    "member_down|Patroni of a replica is stopped|PatroniDown KbrRedundancyLost KbrQuorumNotWhole KbrCheckFails"
    "no_primary|Patroni of two of three members is stopped|PostgresNoPrimary HaproxyNoPrimary KbrWritesFail KbrQuorumNotWhole"
    "not_streaming|a replica cannot connect to the primary|PostgresReplicaNotStreaming"
    "lag|replay stands still on a replica, and 20 MB are written|PostgresReplicaLags"
    "cut|a replica is cut off from the other members|KbrQuorumNotWhole PostgresReplicaNotStreaming"
    "paused|Patroni is paused|PatroniPaused"
    "unreachable|a host is switched off|KbrHostUnreachable ExporterDown KbrDriftUnknown"
    "haproxy|an HAProxy is stopped|HaproxyDown"
    "slot|a slot without a consumer holds 448 MB of WAL|KbrSlotHoldsWal"
    "volume|the primary's volume is filled up to 300 MB|KbrVolumeFull KbrVolumeNearlyFull"
    "connections|85 more clients connect, all there may be|PostgresConnectionsNearLimit"
    "long_transaction|a transaction is open (bound 30 s)|PostgresLongTransaction"
    "idle_transaction|a transaction is idle (bound 20 s)|PostgresIdleInTransaction"
    "deadlocks|four deadlocks|PostgresDeadlocks"
    "checksum|a page is damaged on disk, and read by a base backup|PostgresChecksumFailure"
    "restart|a parameter waits for a restart|KbrPendingRestart"
    "refused|a line of postgresql.auto.conf is no setting|KbrSettingsRefused"
    "pooler|PgBouncer is paused, and a client waits|PoolerWaiting"
    "restarts|PgBouncer is killed four times|KbrUnitRestarts"
    "two_primaries|a replica is promoted by hand while Patroni is paused|PostgresSeveralPrimaries"
    "balancer|the load balancer leads to a replica|KbrWritesFail"
    "inodes|88 of 100 inodes of a replica's volume are used|KbrInodesNearlyUsed"
    "memory|the kernel kills a process for lack of memory|KbrOutOfMemory"
    "exporter|an exporter is stopped|ExporterDown"
    "archive|the repository's server is stopped|KbrArchiveBehind"
    "backup_old|the last backup is older than it may be (bound 1 min)|KbrBackupOld"
    "proof|a byte of each backup is another, and a restore is tried|KbrProofFailed"
    "certificate|certificates of three minutes are renewed by nobody|KbrCertificateExpires"
    "authority|certificates are to be valid for longer than their authority|KbrAuthorityExpires"
    "most_connections|92 of 100 connections are used|KbrConnectionsNearLimit PostgresConnectionsNearLimit"
    "wraparound|a database says that its oldest transaction is 500 million old|KbrWraparound"
    "clock|PostgreSQL of a replica has a clock that is 30 s ahead|PostgresClockOff"
    "memory_low|the kernel of a replica says that 100 MB of memory are available|HostMemoryLow"
    "fills_up|a volume had 3.5 GB more room seven hours ago|KbrVolumeFillsUp"
    "etcd_down|etcd of a replica is stopped|EtcdDown"
    "etcd_no_leader|etcd of two of three members is stopped|EtcdNoLeader"
    "etcd_elections|the lead of etcd is handed over six times|EtcdLeaderChanges"
    "etcd_full|56 MB are written into a database of etcd that may have 64 MiB|EtcdDatabaseNearQuota"
    "etcd_slow_disk|each fdatasync of an etcd takes 0.7 s longer (strace)|EtcdSlowDisk"
    "drift|a file gets another mode by hand|KbrDriftFound"
    "change|an apply fails in part|KbrChangeFailed"
)

# ---- the cluster with monitoring --------------------------------------------------------------------------
(
    # shellcheck source=/dev/null
    . "$lab/.state/images.env"
    edits=(-e 's/^  haproxy:$/&\n    metrics: true/')
    [[ ${KBR_STORE-} != etcd ]] ||
        edits+=(-e "s|^  version: .*|&\n  store: { etcd: { image: '$KBR_ETCD_TAG@${KBR_ETCD#*@}', quota: 64MiB } }|")
    # The lab's fails over as fast as Patroni can; a soak has the times that are usual, here and below.
    [[ ! $soak ]] || edits+=(-e '/^  dynamic: /d')
    sed "${edits[@]}" "$lab/cluster-ha.yaml"
    cat <<YAML
  monitoring:
    image: $KBR_MONITORING_TAG@${KBR_MONITORING##*@}
    exporters: [postgres, pgbouncer, node]
    server: $server
    login: { name: watch, password: "\${secret.WATCH_PASS}" }
YAML
    [[ $soak ]] || printf '    %s\n' 'interval: 5s' 'max_transaction: 30s' 'max_idle_in_transaction: 20s'
    s3=$(docker inspect -f '{{.State.Running}}' "${KBR_LAB:+$KBR_LAB-}kbr-s3" 2>/dev/null)
    if [[ -f $lab/.state/s3-ca.pem && $s3 == true ]]; then
        printf '  backup:\n    repositories:\n      - s3:\n          endpoint: "%s:9000"\n' "$(address haproxy-01 | sed 's/\.11$/.7/')"
        printf '          %s\n' 'bucket: kbr-backups' 'path: /alerts' 'ca_file: .state/s3-ca.pem'
        printf '    schedule: { full: daily }\n    prove: { schedule: daily }\n'
    fi
    echo '  tls: offered'
    [[ $soak ]] || printf 'drift:\n  ignore:\n    - { address: config_file.prometheus-alerts@%s, reason: shorter here }\n' "$server"
) >"$file"
export BACKUP_S3_KEY=S3RVER BACKUP_S3_SECRET=S3RVER
cd "$lab" || exit
"$kbr" init --credentials -c "$file" >"$here/init" 2>&1 || { cat "$here/init" >&2; exit 1; }
grep -q '^WATCH_PASS=' credentials/ha.env || echo "WATCH_PASS=$(head -c 18 /dev/urandom | base64)" >>credentials/ha.env
password=$(sed -n 's/^WATCH_PASS=//p' credentials/ha.env)
# A new cluster's archive takes longer to settle than an apply waits.
for attempt in 1 2 3; do
    "$kbr" apply -c "$file" --auto-approve >"$here/apply" 2>&1 && break
    ((attempt < 3)) || { tail -n 40 "$here/apply" >&2; exit 1; }
done
archives=
grep -q '^  backup:' "$file" && archives=1
if [[ $archives ]]; then
    { "$kbr" backup -c "$file" && "$kbr" backups prove -c "$file"; } >"$here/backup" 2>&1 || { tail -n 20 "$here/backup" >&2; exit 1; }
fi
at=$(address "$server")

echo "$file" >"$here/watched"
# kbr status and kbr drift by a timer, as docs/monitoring.md has it in a soak, and without a pause for faults.
figures() { # COMMAND FILE
    "$kbr" "$1" -c "$(<"$here/watched")" --format prometheus >"$here/$2.prom" 2>/dev/null
    on "$server" "cat >$status/$2.new && mv $status/$2.new $status/$2.prom" <"$here/$2.prom"
}
(
    end=$((SECONDS + 10800)) pause=${soak:+60} every=${soak:+10} n=0
    while [[ -d $here ]] && ((SECONDS < end)); do
        figures status kbr
        ((n++ % ${every:-1})) || figures drift drift
        sleep "${pause:-1}"
    done
) >/dev/null 2>&1 &
timer=$!
finish() {
    kill "$timer" 2>/dev/null
    wait "$timer" 2>/dev/null
    # The rules as they are declared.
    "$kbr" apply -c "$file" --auto-approve >"$here/apply" 2>&1
    rm -rf "$here"
}
trap finish EXIT

# The real `for` of each alert is in the table.
"$kbr" monitoring render -c "$file" --out "$here/rendered" >/dev/null
declare -A waits
while read -r name time; do
    waits[$name]=$time
done < <(awk '/- alert:/ { name = $3 } /^ *for:/ { print name, $2 }' "$here/rendered/alerts.yml")
shorten() { # [FOLDER]
    sed -E "s/^( *for:) .*/\1 $for/" "${1:-$here/rendered}/alerts.yml" |
        on "$server" "cat >$files/alerts.yml; docker kill -s HUP prometheus >/dev/null"
}
[[ $soak ]] || shorten
for _ in {1..40}; do ask 9090/api/v1/rules | grep -q KbrWritesFail && break; sleep 0.5; done
ask 9090/api/v1/rules | grep -q KbrWritesFail || { say "Prometheus has no rules"; exit 1; }

quiet 240 || { say "before any fault: $(firing)"; exit 1; }

# ---- the soak ---------------------------------------------------------------------------------------------
write() { # SECONDS: a row a second by the application's user through a pooler, in one session
    local end=$((SECONDS + $1)) client
    client="psql -X -q -v ON_ERROR_STOP=1 -h $(address haproxy-02) -p 6432 -U kb_app -d keybuzz"
    {
        sed -n 's/^POSTGRES_APP_PASS=//p' "$lab/credentials/ha.env"
        echo 'CREATE TABLE IF NOT EXISTS soak (number bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());'
        while ((SECONDS < end)); do
            echo 'INSERT INTO soak DEFAULT VALUES;'
            sleep 1
        done
        echo 'SELECT count(*), max(at) - min(at) FROM soak;'
    } | on haproxy-02 "docker exec -i pgbouncer sh -c 'read -r PGPASSWORD; export PGPASSWORD; $client -A -t -F \" rows in \"'"
}
if [[ $soak ]]; then
    # It goes on for so long; a soak whose writer fails is over.
    if write "$soak" >"$here/written" 2>&1; then say "written: $(tail -n 1 "$here/written")"
    else say "the writer failed after $SECONDS s: $(<"$here/written")"; failed=1; fi
    # What fired at any time, by Prometheus itself, and what was only pending.
    states() {
        curl -s -m 30 -K <(printf 'user = "watch:%s"\n' "$password") -G "http://$at:9090/api/v1/query" \
            --data-urlencode "query=count by (alertname) (count_over_time(ALERTS{alertstate=\"$1\"}[${soak}s]))" | python3 -c '
import json, sys
print(" ".join(sorted(r["metric"]["alertname"] for r in json.load(sys.stdin)["data"]["result"])))'
    }
    fired=$(states firing) && pending=$(states pending) || { say "Prometheus does not say what fired"; exit 1; }
    say "soak of $soak s: false alarms: ${fired:-none}; pending for a while: ${pending:-none}"
    [[ -z $fired ]] || failed=1
    exit "$failed"
fi

# ---- the faults -------------------------------------------------------------------------------------------
end=$((SECONDS + healthy)) false=''
while ((SECONDS < end)); do
    found=$(others | xargs)
    [[ -z $found ]] || { false+=" $found"; say "in the healthy stretch: $found"; }
    sleep 2
done
say "healthy for $healthy s with for $for: false alarms:${false:- none}"
[[ -z $false ]] || failed=1

rows=()
for row in "${faults[@]}"; do
    IFS='|' read -r fault what wanted <<<"$row"
    (($# == 0)) || [[ " $* " == *" $fault "* ]] || continue
    [[ $archives || $fault != @(archive|backup_old|proof) ]] || continue
    [[ ${KBR_STORE-} == etcd || $fault != etcd_* ]] || continue
    leader=$(primary) || { say "no primary before $fault"; exit 1; }
    replicas=$(printf '%s\n' db-master-01 db-slave-01 db-slave-02 | grep -v "^$leader$")
    replica=${replicas%%$'\n'*}
    say "== $fault ($leader is the primary)"
    begun=${EPOCHREALTIME/./}
    # Faults that take their time to be made are measured from their beginning.
    "make_$fault" || say "  the fault could not be made"
    missing=$wanted
    end=$((SECONDS + limit))
    declare -A after=()
    while [[ $missing ]] && ((SECONDS < end)); do
        have=" $(received) "
        left=
        for alert in $missing; do
            if [[ $have == *" $alert "* ]]; then
                after[$alert]=$(((${EPOCHREALTIME/./} - begun) / 1000000))
                say "  $alert after ${after[$alert]} s"
            else
                left+="$alert "
            fi
        done
        missing=${left% }
        sleep 0.5
    done
    beside=$(firing)
    "mend_$fault" || say "  could not be mended"
    for alert in $wanted; do
        rows+=("| $what | \`$alert\` | ${after[$alert]:-**no**} | ${waits[$alert]} |")
    done
    if [[ $missing ]]; then say "  MISSING: $missing; firing: $beside"; failed=1; fi
    quiet 300 || { say "  after it was mended there fires: $(firing)"; failed=1; }
done

printf '| fault | alert | seconds, with `for` of %s | `for` |\n| --- | --- | --- | --- |\n' "$for"
printf '%s\n' "${rows[@]}"
exit "$failed"
