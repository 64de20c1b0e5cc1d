#!/usr/bin/env bash
# Makes faults of the archive, of backups and of restores on the PostgreSQL cluster with an S3 repository, and proves that `kbr status`
# names each within its time, and that what was interrupted ends well: a server that is down, one that is full, a bucket that is gone, a
# failover while a backup runs, a network cut in the middle of a restore, a primary whose host is lost before a restore and comes back
# after it, a restore that is destroyed. `secrets` looks for the credentials in the output, the process lists, the files that others can
# read and the repository while all of it runs. BackupFaultTests has the other faults.
#
#   eng/backup-faults.sh [FAULT...]    down full bucket failover cut lost secrets destroy; all by default. ROWS=2000000 of data
#
# On the lab that KBR_LAB names, which has to be up; takes down what it finds there. KBR_TOOL names another kbr than ./kbr.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
root=$PWD
lab=lab${KBR_LAB:+/$KBR_LAB}
kbr=${KBR_TOOL:-$root/kbr}
members=(db-master-01 db-slave-01 db-slave-02)
directory=/opt/keybuzz/postgres/data
rows=${ROWS:-2000000}
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT

on() { "$root/lab/ssh" "$@"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; tail -n 40 "$here/last" | sed 's/^/    /' >&2; exit 1; }
run() { (cd "$here" && timeout --kill-after=10 900 "$kbr" "$@" >last 2>&1); }
sql() { on "$leader" "docker exec -i patroni psql -X -A -t -q -U kb_admin -d postgres" <<<"$1"; }
until_() { # SECONDS WHAT COMMAND...: runs it until it succeeds
    local limit=$1 what=$2 begun=$SECONDS
    shift 2
    until "$@"; do
        ((SECONDS - begun < limit)) || fail "not within $limit s: $what"
        sleep 0.2
    done
}
primary() {
    leader=$(cd "$here" && "$kbr" members --json | python3 -c '
import json, sys
print(next(m["host"] for m in json.load(sys.stdin)["members"] if m["role"] == "primary"))' 2>/dev/null)
    [[ $leader ]]
}
named() { # SECONDS PATTERN: a line of status that says it
    local begun=$SECONDS
    status_says() { run status; grep -Eq "$1" "$here/last"; }
    until_ "$1" "status says: $2" status_says "$2"
    echo "    status after $((SECONDS - begun)) s: $(grep -Eo -m 1 "$2" "$here/last" | tr -s ' ')"
}
whole() { named 180 '^ok +backup' && { run status || named 120 'Redundancy: 3 of 3'; } }
switch() { sql "SELECT pg_logical_emit_message(true, 'x', 'x')" >/dev/null && sql 'SELECT pg_switch_wal()' >/dev/null; }

down() {
    "$root/lab/s3" stop >/dev/null
    named 30 'NOT OK +backup +.*did not answer.*is its server up'
    switch
    named 90 'NOT OK +archive +fails at'
    run backups prove
    [[ $? == 2 ]] || fail "a proof without a repository is no failure"
    "$root/lab/s3" >/dev/null
    named 120 '^ok +archive'
}

full() {
    "$root/lab/s3" full >/dev/null
    switch
    named 90 'NOT OK +archive +fails at .*The reason: .*it is full'
    "$root/lab/s3" room >/dev/null
    named 120 '^ok +archive'
}

bucket() {
    local at=$root/$lab/.state/s3/data/kbr-backups
    mv "$at" "$at.away" || fail "there is no bucket"
    named 30 'NOT OK +backup +.*make the bucket again'
    switch
    named 90 'NOT OK +archive +fails at'
    [[ ! -e $at ]] || fail "the server has made the bucket again"
    mv "$at.away" "$at"
    named 120 '^ok +archive'
}

labels() { run backups --json && grep -o '"label":"[^"]*"' "$here/last" | sort; }
# One that began in the last minute serves a schedule, too, because clocks may differ by that.
last_is_old() {
    local label
    label=$(labels | tail -n 1 | grep -Eo '[0-9]{8}-[0-9]{6}[A-Z]' | tail -n 1)
    (($(date +%s) - $(date -ud "${label:0:4}-${label:4:2}-${label:6:2} ${label:9:2}:${label:11:2}:${label:13:2}" +%s) > 65))
}
backup_runs() { run backups && grep -q 'A backup is running' "$here/last"; }
taken_by_another() { # FORMER-PRIMARY LABELS
    primary && [[ $leader != "$1" && $(comm -13 <(echo "$2") <(labels)) ]]
}

# The members' own timer takes it; the next primary goes on.
failover() {
    local member before old=$leader
    until_ 90 "the last backup is older than a minute" last_is_old
    before=$(labels)
    for member in "${members[@]}"; do on "$member" systemctl start --no-block kbr-backup-full; done
    until_ 60 "a backup runs" backup_runs
    "$root/lab/kill" "$old" patroni >/dev/null
    on "$old" systemctl stop patroni
    [[ -z $(comm -13 <(echo "$before") <(labels)) ]] || fail "the backup had ended before the primary was stopped"
    echo "    $old is stopped while its backup runs"
    named 90 'NOT OK'
    until_ 240 "the next primary takes the backup" taken_by_another "$old" "$before"
    echo "    $leader took the backup: $(on "$leader" tail -n 1 /run/kbr/kbr-backup-full.log)"
    on "$old" systemctl start patroni
    whole
}

restored_bytes() { on "$1" "du -sb $directory/restored-* 2>/dev/null | cut -f1"; }
copies() {
    local bytes
    bytes=$(restored_bytes "$1")
    ((${bytes:-0} > 20000000))
}
# Nothing arrives any more: the same size five times in a row.
stands_still() {
    local was now look
    was=$(restored_bytes "$1")
    for ((look = 0; look < 5; look++)); do
        sleep 0.5
        now=$(restored_bytes "$1")
        [[ $now == "$was" ]] || return 1
    done
}

cut() {
    local member=db-slave-01
    [[ $leader != "$member" ]] || member=db-slave-02
    (cd "$here" && timeout 900 "$kbr" restore --to latest --copy --on "$member" >restore 2>&1; echo $? >restored) &
    until_ 120 "files are restored" copies "$member"
    "$root/lab/cut" "$member" >/dev/null
    on "$member" "! ls $directory/restored-*.complete 2>/dev/null" || fail "every file was restored before the cut: it needs more rows"
    named 60 'restore +.*is being restored on.*kbr restore goes on'
    until_ 30 "nothing is restored any more" stands_still "$member"
    on "$member" "! ls $directory/restored-*.complete 2>/dev/null" || fail "every file was restored in spite of the cut"
    echo "    cut off with $(restored_bytes "$member") bytes restored, which stand still"
    "$root/lab/heal" "$member" >/dev/null
    wait
    echo "    the restore that was cut ended with $(cat "$here/restored"); kbr restore goes on"
    run restore || fail "the restore does not go on"
    [[ $(cd "$here" && "$kbr" restore look -- -d postgres -Atc 'SELECT count(*) FROM load' </dev/null) == "$rows" ]] ||
        fail "rows are missing in the restored copy"
    run restore undo --confirm keybuzz-pg || fail "the undo"
    whole
}

primaries() {
    local member
    for member in "${members[@]}"; do
        on "$member" "docker exec -i patroni psql -X -A -t -q -U kb_admin -d postgres -c 'SELECT pg_is_in_recovery()'" 2>/dev/null
    done | grep -cx f
}
runs() { [[ $(on "$1" "docker inspect -f '{{.State.Running}}' patroni" 2>/dev/null) == true ]]; }

# The host of the primary is lost. The others are restored without it; it comes back with the former database, and must not serve it.
lost() {
    local old=$leader member begun look
    sql 'CREATE TABLE IF NOT EXISTS after (number int)' || fail "the table"
    switch
    "$root/lab/off" --crash "$old" >/dev/null
    until_ 90 "another member is the primary" primary_other_than "$old"
    run restore --to latest --open --confirm keybuzz-pg
    [[ $? == 1 ]] && grep -q -- "--lost $old" "$here/last" || fail "a restore without a member that nobody declared lost"
    begun=$SECONDS
    run restore --to latest --open --confirm keybuzz-pg --lost "$old" || fail "the restore without $old"
    cp "$here/last" "$here/without"
    grep -E '^Member:|new password' "$here/without" | sed 's/^/    /'
    echo "    restored without $old in $((SECONDS - begun)) s"
    primary || fail "no primary after the restore"
    [[ $(sql 'SELECT count(*) FROM load') == "$rows" ]] || fail "rows are missing"
    sql 'INSERT INTO after VALUES (1)' || fail "a row after the restore"
    "$root/lab/on" "$old" >/dev/null
    until_ 120 "the container of $old runs" runs "$old"
    # Time to join, to elect or to lead, if it could.
    for ((look = 0; look < 25; look++)); do
        [[ $(primaries) == 1 ]] || fail "$(primaries) primaries after the return of $old"
        sleep 1
    done
    [[ $(sql "SELECT count(*) FROM pg_stat_replication") == 1 ]] || fail "$old streams from the restored primary"
    echo "    $old is back for over 25 s, and does not take part"
    begun=$SECONDS
    run apply --auto-approve || fail "the apply that makes $old a replica"
    grep -q "$old was lost when" "$here/last" || fail "the apply does not say that $old was lost"
    whole
    echo "    $old is a replica $((SECONDS - begun)) s after kbr apply"
    [[ $(on "$old" "docker exec patroni psql -X -A -t -q -U kb_admin -d postgres -c 'SELECT number FROM after'") == 1 ]] ||
        fail "$old has not the row that was written after the restore"
    on "$old" "ls -d $directory/pgdata.lost-*/PG_VERSION" >/dev/null || fail "the former data of $old is not kept aside"
    run restore confirm --confirm keybuzz-pg || fail "the confirmation of the restore"
    run recover confirm --confirm keybuzz-pg || fail "the confirmation of what was kept aside"
    for member in "${members[@]}"; do
        look=$(on "$member" "ls /opt/keybuzz/postgres $directory /var/lib/kbr | grep -E 'lost|former|recover|restore'")
        [[ -z $look ]] || fail "left on $member: $look"
    done
    run plan --detailed-exitcode || fail "the plan is not empty"
    # The next faults have a backup of the present database.
    run backup --full || fail "the backup after the restore"
    whole
}
primary_other_than() { primary && [[ $leader != "$1" ]]; }

# The data of a restore that nobody confirmed is the cluster's, as its record.
destroy() {
    local left
    run restore --to latest --open --confirm keybuzz-pg || fail "the restore"
    run destroy --auto-approve --confirm keybuzz-pg || fail "destroy without --delete-data"
    # The former database is on the volume, which is not mounted now: the undo needs it.
    on "$leader" test -s /var/lib/kbr/restore-keybuzz-pg.json || fail "destroy lost the record of the restore"
    run apply --auto-approve || fail "the cluster on the data that was kept"
    run restore undo --confirm keybuzz-pg || fail "the undo after destroy and apply"
    primary || fail "no primary after the undo"
    [[ $(sql 'SELECT count(*) FROM load') == "$rows" ]] || fail "rows are missing"
    run restore --to latest --open --confirm keybuzz-pg || fail "the second restore"
    run destroy --auto-approve --delete-data --confirm keybuzz-pg || fail "destroy with --delete-data"
    left=$(for member in "${members[@]}"; do
        on "$member" "ls -d /var/lib/kbr/restore-* /var/log/kbr/proof-* $directory 2>/dev/null; docker ps -aq"
    done)
    [[ -z $left ]] || fail "left: $left"
    echo "    destroy kept the restore's former database with the data, and deleted it with --delete-data"
    # The repository holds the former cluster, and refuses another.
    sed -i "s,$path,$path-new," "$here/cluster.yaml"
    path=$path-new
    run apply --auto-approve || fail "a new cluster"
}

# What others see while each command of backups runs.
secrets() {
    local member pids=() words
    sed -n 's/^[A-Z0-9_]*\(PASS\|KEY\|SECRET\)=//p' "$here/credentials/ha.env" | sort -u >"$here/words"
    (($(wc -l <"$here/words") > 8)) || fail "too few secrets to look for"
    sql "CREATE TABLE IF NOT EXISTS canary (text text); INSERT INTO canary VALUES ('kbr-canary-row')" && switch
    watch='for i in $(seq 3000); do [ ! -e /run/watch.end ] || break; ps axww -o args; docker inspect $(docker ps -aq); sleep 0.2; done'
    for member in "${members[@]}"; do
        on "$member" rm -f /run/watch.end
        on "$member" "$watch 2>/dev/null" >"$here/seen.$member" &
        pids+=($!)
    done
    : >"$here/said"
    for words in 'backup --full' backups 'backups --json' 'backups check' 'backups prove' 'restore --to latest --confirm keybuzz-pg' \
        'restore look -- -d postgres -Atc TABLE/**/canary' status 'status --json' 'plan --json' 'drift --verbose' \
        'restore --confirm keybuzz-pg' 'restore undo --confirm keybuzz-pg --verbose' history 'validate --verbose'; do
        # shellcheck disable=SC2086
        run $words || [[ $words == status* || $words == drift* || $words == plan* ]] || fail "$words"
        cat "$here/last" >>"$here/said"
    done
    for member in "${members[@]}"; do on "$member" touch /run/watch.end; done
    wait "${pids[@]}"
    grep -q kbr-canary-row "$here/said" || fail "the output was not looked at"
    grep -hq 'pgbackrest .*restore' "$here"/seen.* || fail "the process lists were not looked at"
    ! grep -Ff "$here/words" "$here/said" || fail "a secret is in the output"
    ! cat "$here"/seen.* | grep -Ff "$here/words" || fail "a secret is in a process list or in a container's configuration"
    for member in "${members[@]}"; do
        on "$member" 'grep -lFf - /opt/keybuzz/patroni/pgbackrest.conf' <"$here/words" >/dev/null || fail "the files were not looked at"
        on "$member" '[ -z "$(runuser -u nobody -- grep -D skip -rslFf - /etc /opt /run /srv /tmp /home /var)" ]' <"$here/words" ||
            fail "$member: others can read a secret"
        # A journal that cannot be read, or lacks what was just written to it, shows nothing.
        on "$member" 'logger kbr-canary-row && journalctl --sync && journalctl --no-pager >/run/kbr-journal &&
            grep -q kbr-canary-row /run/kbr-journal' || fail "$member: the journal was not looked at"
        on "$member" 'grep -Ff - /run/kbr-journal; found=$?; rm -f /run/kbr-journal; [ $found = 1 ]' <"$here/words" ||
            fail "$member: a secret is in the journal"
    done
    find "$root/$lab/.state/s3/data/kbr-backups$path" -type f >"$here/listing"
    (($(wc -l <"$here/listing") > 20)) || fail "the repository was not looked at"
    { cat "$here/words"; echo kbr-canary-row; } >"$here/words.rows"
    ! grep -Ff "$here/words" "$here/listing" || fail "a secret is in the repository's listing"
    ! grep -rlFf "$here/words.rows" "$root/$lab/.state/s3/data/kbr-backups$path" || fail "a secret or a row is in the repository"
    echo "    $(wc -l <"$here/words") secrets, in none of $(wc -l <"$here/said") lines of output," \
        "$(cat "$here"/seen.* | wc -l) of process lists and containers, $(wc -l <"$here/listing") files of the repository," \
        "nor in a file that others can read"
    whole
}

ln -s "$root/$lab/.state" "$here/.state"
cp "$root/$lab/cluster-ha.yaml" "$here/cluster.yaml"
"$root/lab/s3" >/dev/null || fail "the S3 server"
cp "$root/$lab/.state/s3-ca.pem" "$here/"
network=$(sed -n 's/.*db-master-01: .*address: \(10\.[0-9]*\.0\.\)120.*/\1/p' "$here/cluster.yaml")
path=/faults-$(date +%s%N)
cat >>"$here/cluster.yaml" <<END
  backup:
    repositories: [{ s3: { endpoint: "${network}7:9000", bucket: kbr-backups, path: "$path", ca_file: s3-ca.pem } }]
    schedule: { full: yearly }
END
mkdir "$here/credentials"
(umask 077 && printf '%s\n' KBR_KEY=sweep-key-of-faults BACKUP_S3_KEY=S3RVER BACKUP_S3_SECRET=S3RVER >"$here/credentials/ha.env")
run init --credentials || fail "the credentials"
run destroy --auto-approve --delete-data --confirm keybuzz-pg || fail "the hosts could not be emptied"
run apply --auto-approve || fail "the cluster"
primary || fail "no primary"
# So much that a backup and a restore take seconds.
sql "CREATE TABLE load AS SELECT number, md5(random()::text) || md5(random()::text) AS text FROM generate_series(1, $rows) number" ||
    fail "the table"
run backup --full || fail "the backup"
named 60 '^ok +backup'
faults=("$@")
((${#faults[@]})) || faults=(down full bucket failover cut lost secrets destroy)
for fault in "${faults[@]}"; do
    begun=$SECONDS
    echo "$fault"
    primary || fail "no primary"
    "$fault"
    echo "    whole again after $((SECONDS - begun)) s"
done
echo "backup faults: ${#faults[@]} made, ${#faults[@]} named and mended"
