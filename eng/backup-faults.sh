#!/usr/bin/env bash
# Makes faults of the archive, of backups and of restores on the PostgreSQL cluster with an S3 repository, and proves that `kbr status` names each within its time, and that what was
# interrupted ends well: a server that is down, one that is full, a failover while a backup runs, a network cut in the middle of a restore, a restore that is destroyed.
# BackupFaultTests has the others.
#
#   eng/backup-faults.sh [FAULT...]    down full failover cut destroy; all by default
#
# On the lab that KBR_LAB names, which has to be up; takes down what it finds there. KBR_TOOL names another kbr than ./kbr.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
root=$PWD
lab=lab${KBR_LAB:+/$KBR_LAB}
kbr=${KBR_TOOL:-$root/kbr}
members=(db-master-01 db-slave-01 db-slave-02)
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT

on() { "$root/lab/ssh" "$@"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; tail -n 40 "$here/last" | sed 's/^/    /' >&2; exit 1; }
run() { (cd "$here" && timeout --kill-after=10 900 "$kbr" "$@" >last 2>&1); }
sql() { on "$leader" "docker exec -i patroni psql -X -A -t -q -U kb_admin -d postgres" <<<"$1"; }
primary() { leader=$(cd "$here" && "$kbr" members --json | python3 -c 'import json, sys; print(next(m["host"] for m in json.load(sys.stdin)["members"] if m["role"] == "primary"))'); }
named() { # SECONDS PATTERN: a line of status that says it
    local begun=$SECONDS
    until run status; grep -Eq "$2" "$here/last"; do ((SECONDS - begun < $1)) || fail "status does not say within $1 s: $2"; done
    echo "    status after $((SECONDS - begun)) s: $(grep -Eo -m 1 "$2" "$here/last")"
}
whole() { named 180 '^ok +backup' && { run status || named 120 'Redundancy: 3 of 3'; } }

down() {
    "$root/lab/s3" stop >/dev/null
    named 30 'NOT OK +backup +.*did not answer.*is its server up'
    sql "SELECT pg_logical_emit_message(true, 'x', 'x') FROM pg_switch_wal()" >/dev/null && sql 'SELECT pg_switch_wal()' >/dev/null
    named 90 'NOT OK +archive +fails at'
    run backups prove
    [[ $? == 2 ]] || fail "a proof without a repository is no failure"
    "$root/lab/s3" >/dev/null
    named 120 '^ok +archive'
}

full() {
    "$root/lab/s3" full >/dev/null
    sql "SELECT pg_logical_emit_message(true, 'x', 'x')" >/dev/null && sql 'SELECT pg_switch_wal()' >/dev/null
    named 90 'NOT OK +archive +fails at .*The reason: .*it is full'
    "$root/lab/s3" room >/dev/null
    named 120 '^ok +archive'
}

# The members' own timer takes it; the next primary goes on.
failover() {
    local member before after old=$leader second
    run backups --json || fail "the backups"
    # One that began in the last minute serves, too: clocks may differ by that.
    sleep 65
    before=$(grep -o '"label":"[^"]*"' "$here/last" | sort)
    for member in "${members[@]}"; do on "$member" systemctl start --no-block kbr-backup-full; done
    for ((second = 0; second < 60; second++)); do
        run backups && grep -q 'A backup is running' "$here/last" && break
    done
    ((second < 60)) || fail "no backup runs"
    "$root/lab/kill" "$old" patroni >/dev/null
    on "$old" systemctl stop patroni
    echo "    $old is stopped while its backup runs"
    named 90 'NOT OK'
    for ((second = 0; second < 180; second++)); do
        primary 2>/dev/null && [[ -n $leader && $leader != "$old" ]] && run backups --json && after=$(grep -o '"label":"[^"]*"' "$here/last" | sort) && [[ $(comm -13 <(echo "$before") <(echo "$after")) ]] && break
        sleep 1
    done
    ((second < 180)) || fail "no backup was taken after the failover"
    echo "    $leader took the backup: $(on "$leader" tail -n 1 /run/kbr/kbr-backup-full.log)"
    on "$old" systemctl start patroni
    whole
}

cut() {
    local member=db-slave-01 second
    [[ $leader != "$member" ]] || member=db-slave-02
    (cd "$here" && timeout 900 "$kbr" restore --to latest --copy --on "$member" >restore 2>&1; echo $? >restored) &
    for ((second = 0; second < 600; second++)); do
        on "$member" 'docker inspect kbr-restore >/dev/null 2>&1' && break
        sleep 0.1
    done
    "$root/lab/cut" "$member" >/dev/null
    named 60 'restore +.*is being restored on.*kbr restore goes on'
    sleep 15
    "$root/lab/heal" "$member" >/dev/null
    wait
    echo "    the restore ended with $(cat "$here/restored"), and goes on"
    run restore || fail "the restore does not go on"
    [[ $(cd "$here" && "$kbr" restore look -- -d postgres -Atc 'SELECT count(*) FROM load' </dev/null) == 500000 ]] || fail "rows are missing in the restored copy"
    run restore undo --confirm keybuzz-pg || fail "the undo"
    whole
}

# The data of a restore that nobody confirmed is the cluster's, as its record.
destroy() {
    local left
    run restore --to latest --open --confirm keybuzz-pg || fail "the restore"
    run destroy --auto-approve --confirm keybuzz-pg || fail "destroy without --delete-data"
    # The former database is on the volume, which is not mounted now: the undo needs it.
    on "$leader" test -s /var/lib/kbr/restore-keybuzz-pg.json || fail "destroy lost the record of the restore"
    run apply --auto-approve || fail "the cluster on the data that was kept"
    run restore undo --confirm keybuzz-pg || fail "the undo after destroy and apply"
    [[ $(primary; sql 'SELECT count(*) FROM load') == 500000 ]] || fail "rows are missing"
    run restore --to latest --open --confirm keybuzz-pg || fail "the second restore"
    run destroy --auto-approve --delete-data --confirm keybuzz-pg || fail "destroy with --delete-data"
    left=$(for member in "${members[@]}"; do on "$member" 'ls -d /var/lib/kbr/restore-* /var/log/kbr/proof-* /opt/keybuzz/postgres/data 2>/dev/null; docker ps -aq'; done)
    [[ -z $left ]] || fail "left: $left"
    run apply --auto-approve || fail "a new cluster"
}

ln -s "$root/$lab/.state" "$here/.state"
cp "$root/$lab/cluster-ha.yaml" "$here/cluster.yaml"
"$root/lab/s3" >/dev/null || fail "the S3 server"
cp "$root/$lab/.state/s3-ca.pem" "$here/"
network=$(sed -n 's/.*db-master-01: .*address: \(10\.[0-9]*\.0\.\)120.*/\1/p' "$here/cluster.yaml")
printf '  backup: { repositories: [{ s3: { endpoint: "%s7:9000", bucket: kbr-backups, path: "/faults-%s", ca_file: s3-ca.pem } }], schedule: { full: yearly } }\n' "$network" "$(date +%s%N)" \
    >>"$here/cluster.yaml"
mkdir "$here/credentials"
(umask 077 && printf '%s\n' KBR_KEY=sweep BACKUP_S3_KEY=S3RVER BACKUP_S3_SECRET=S3RVER >"$here/credentials/ha.env")
run init --credentials || fail "the credentials"
run destroy --auto-approve --delete-data --confirm keybuzz-pg || fail "the hosts could not be emptied"
run apply --auto-approve || fail "the cluster"
primary
# So much that a backup and a restore take seconds.
sql 'CREATE TABLE load AS SELECT number, md5(random()::text) || md5(random()::text) AS text FROM generate_series(1, 500000) number' || fail "the table"
run backup --full || fail "the backup"
named 60 '^ok +backup'
faults=("$@")
((${#faults[@]})) || faults=(down full failover cut destroy)
for fault in "${faults[@]}"; do
    begun=$SECONDS
    echo "$fault"
    primary
    "$fault"
    echo "    whole again after $((SECONDS - begun)) s"
done
echo "backup faults: ${#faults[@]} made, ${#faults[@]} named and mended"
