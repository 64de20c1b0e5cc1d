#!/usr/bin/env bash
# What backups cost: the p99 of a writer with and without a backup, in turn (limit: 1.2 times), and how long a restore of the data takes beside `cp -r` of the same data on the same
# disk, in turn (limit: 2 times). Exit 1 above one.
#
#   eng/bench-backup.sh [ROUNDS]   3 by default. MEGABYTES=300 of data, SECONDS_EACH=15 of writing a turn, PROCESSES=2 of the backup tool
#
# On the lab that KBR_LAB names, which has to be up; takes down what it finds there. KBR_TOOL names another kbr than ./kbr.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
root=$PWD
lab=lab${KBR_LAB:+/$KBR_LAB}
kbr=${KBR_TOOL:-$root/kbr}
rounds=${1:-3}
megabytes=${MEGABYTES:-300}
each=${SECONDS_EACH:-15}
processes=${PROCESSES:-2}
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT

on() { "$root/lab/ssh" "$@"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; tail -n 40 "$here/last" | sed 's/^/    /' >&2; exit 1; }
run() { (cd "$here" && timeout --kill-after=10 1800 "$kbr" "$@" >last 2>&1); }
sql() { on "$leader" "docker exec -i patroni psql -X -A -t -q -U kb_admin -d postgres" <<<"$1"; }

ln -s "$root/$lab/.state" "$here/.state"
cp "$root/$lab/cluster-ha.yaml" "$here/cluster.yaml"
"$root/lab/s3" >/dev/null || fail "the S3 server"
cp "$root/$lab/.state/s3-ca.pem" "$here/"
network=$(sed -n 's/.*db-master-01: .*address: \(10\.[0-9]*\.0\.\)120.*/\1/p' "$here/cluster.yaml")
printf '  backup: { process_max: %s, repositories: [{ s3: { endpoint: "%s7:9000", bucket: kbr-backups, path: "/bench-%s", ca_file: s3-ca.pem }, retention: { full: 2 } }] }\n' \
    "$processes" "$network" "$(date +%s%N)" >>"$here/cluster.yaml"
mkdir "$here/credentials"
(umask 077 && printf '%s\n' KBR_KEY=sweep BACKUP_S3_KEY=S3RVER BACKUP_S3_SECRET=S3RVER >"$here/credentials/ha.env")
run init --credentials || fail "the credentials"
run destroy --auto-approve --delete-data --confirm keybuzz-pg || fail "the hosts could not be emptied"
run apply --auto-approve || fail "the cluster"
leader=$(cd "$here" && "$kbr" members --json | python3 -c 'import json, sys; print(next(m["host"] for m in json.load(sys.stdin)["members"] if m["role"] == "primary"))')
# Text of random digits: it compresses to about a half. 10 000 rows are about a megabyte.
sql "CREATE TABLE load AS SELECT number, md5(random()::text) || md5(random()::text) AS text FROM generate_series(1, $megabytes * 10000) number" || fail "the table"
on "$leader" 'docker exec patroni pgbench -i -q -U kb_admin postgres' >/dev/null 2>&1 || fail "pgbench"
run backup --full || fail "the backup"
size=$(sql "SELECT pg_size_pretty(sum(pg_database_size(oid))) FROM pg_database")

# pgbench's own log has the microseconds of each transaction.
writer() { on "$leader" "docker exec patroni sh -c 'rm -f /tmp/w.*; cd /tmp && pgbench -n -N -c 4 -T $each -l --log-prefix=/tmp/w -U kb_admin postgres >/dev/null 2>&1; cut -d\" \" -f3 /tmp/w.*'"; }
for ((round = 1; round <= rounds; round++)); do
    writer >>"$here/quiet"
    (while [[ ! -e $here/enough ]]; do (cd "$here" && timeout 900 "$kbr" backup --full >backup 2>&1) || { touch "$here/unwell"; break; }; echo . >>"$here/backups"; done) &
    sleep 2
    writer >>"$here/busy"
    touch "$here/enough"
    wait
    rm -f "$here/enough"
    [[ ! -e $here/unwell ]] || { cp "$here/backup" "$here/last"; fail "a backup beside the writer"; }
done

# The tool's restore, and a copy, each to the disk itself.
directory=/opt/keybuzz/postgres/data
tool='pgbackrest --config=/etc/patroni/pgbackrest.conf --stanza=keybuzz-pg'
took() { on "$leader" "rm -rf $directory/bench; sync; s=\$(date +%s%N); $1 >/dev/null && sync -f $directory && echo \$(( (\$(date +%s%N) - s) / 1000000 )); rm -rf $directory/bench"; }
for ((round = 1; round <= rounds; round++)); do
    took "cp -r $directory/pgdata $directory/bench" >>"$here/copied"
    took "docker exec patroni sh -c 'mkdir -m 0700 $directory/bench && $tool --pg1-path=$directory/bench --process-max=\$(nproc) --archive-mode=off --type=none restore'" >>"$here/restored"
done

python3 - "$here" "$size" "$(wc -l <"$here/backups")" <<'EOF'
import statistics, sys
here, size, backups = sys.argv[1:4]
read = lambda name: sorted(int(line) for line in open(f"{here}/{name}") if line.strip())
p99 = lambda values: values[int(len(values) * 0.99)] / 1000
quiet, busy = read("quiet"), read("busy")
copied, restored = (statistics.median(read(name)) / 1000 for name in ("copied", "restored"))
writer, restore = p99(busy) / p99(quiet), restored / copied
print(f"{size} of data")
print(f"writer: p99 {p99(quiet):.1f} ms without a backup ({len(quiet)} transactions), {p99(busy):.1f} ms with one ({len(busy)}; {backups} full backups): ratio {writer:.2f}, limit 1.2")
print(f"restore: {restored:.1f} s, cp -r {copied:.1f} s (medians): ratio {restore:.2f}, limit 2")
sys.exit(writer > 1.2 or restore > 2)
EOF
