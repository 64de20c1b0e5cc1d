#!/usr/bin/env bash
# What backups cost: the p99 of a writer with and without a backup (limit: 1.2 times), and how long a restore takes beside `cp -r` of the
# same data on the same disk (limit: 2 times). Each is measured in pairs of rounds, in alternating order, and judged by the median of the
# pairs' ratios: other work of the machine meets both. Exit 1 above a limit.
#
#   eng/bench-backup.sh [ROUNDS]   5 by default. MEGABYTES=1200 of data, SECONDS_EACH=20 of writing a round, RATE=200 transactions a
#                                  second, PROCESSES of the backup tool (kbr's default without it)
#
# On the lab that KBR_LAB names, which has to be up; takes down what it finds there. KBR_TOOL names another kbr than ./kbr.
# The lab's S3 server, its hosts and the writer share this machine's processors.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
root=$PWD
lab=lab${KBR_LAB:+/$KBR_LAB}
kbr=${KBR_TOOL:-$root/kbr}
rounds=${1:-5}
megabytes=${MEGABYTES:-1200}
each=${SECONDS_EACH:-20}
rate=${RATE:-200}
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
cat >>"$here/cluster.yaml" <<END
  backup:
    ${PROCESSES:+process_max: $PROCESSES}
    repositories:
      - s3: { endpoint: "${network}7:9000", bucket: kbr-backups, path: "/bench-$(date +%s%N)", ca_file: s3-ca.pem }
        retention: { full: 2 }
END
mkdir "$here/credentials"
(umask 077 && printf '%s\n' KBR_KEY=sweep BACKUP_S3_KEY=S3RVER BACKUP_S3_SECRET=S3RVER >"$here/credentials/ha.env")
run init --credentials || fail "the credentials"
run destroy --auto-approve --delete-data --confirm keybuzz-pg || fail "the hosts could not be emptied"
run apply --auto-approve || fail "the cluster"
leader=$(cd "$here" && "$kbr" members --json | python3 -c '
import json, sys
print(next(m["host"] for m in json.load(sys.stdin)["members"] if m["role"] == "primary"))')
# Text of random digits: it compresses to about a half. 10 000 rows are about a megabyte.
sql "CREATE TABLE load AS SELECT number, md5(random()::text) || md5(random()::text) AS text
    FROM generate_series(1, $megabytes * 10000) number" || fail "the table"
on "$leader" 'docker exec patroni pgbench -i -q -s 10 -U kb_admin postgres' >/dev/null 2>&1 || fail "pgbench"
sql 'CHECKPOINT'
run backup --full || fail "the backup"
size=$(sql "SELECT pg_size_pretty(sum(pg_database_size(oid))) FROM pg_database")
echo "$size of data; $(tail -n 1 "$here/last")"

load() { cut -d' ' -f1 /proc/loadavg; }
# pgbench's own log has the microseconds of each transaction, from when it was due.
writer() {
    on "$leader" "docker exec patroni sh -c 'rm -f /tmp/w.*; cd /tmp && pgbench -n -N -c 4 -R $rate -T $each -l --log-prefix=/tmp/w \
        -U kb_admin postgres >/dev/null 2>&1; cut -d\" \" -f3 /tmp/w.*'"
}
quiet() {
    writer >"$here/quiet.$1"
    load >"$here/quiet.$1.load"
}
busy() {
    rm -f "$here/enough"
    (while [[ ! -e $here/enough ]]; do
        (cd "$here" && timeout 900 "$kbr" backup --full >backup 2>&1) || { touch "$here/unwell"; break; }
        echo . >>"$here/backups"
    done) &
    for ((second = 0; second < 300; second++)); do
        on "$leader" pgrep -f 'pgbackrest.*backup' >/dev/null && break
        sleep 0.1
    done
    writer >"$here/busy.$1"
    load >"$here/busy.$1.load"
    touch "$here/enough"
    wait
    [[ ! -e $here/unwell ]] || { cp "$here/backup" "$here/last"; fail "a backup beside the writer"; }
}

# The tool's restore, and a copy, each to the disk itself.
directory=/opt/keybuzz/postgres/data
tool='pgbackrest --config=/etc/patroni/pgbackrest.conf --stanza=keybuzz-pg'
took() {
    on "$leader" "rm -rf $directory/bench; sync -f $directory; s=\$(date +%s%N); $1 >/dev/null && sync -f $directory &&
        echo \$(( (\$(date +%s%N) - s) / 1000000 )); rm -rf $directory/bench"
}
copied() { took "cp -r $directory/pgdata $directory/bench" >"$here/copied.$1"; }
restored() {
    took "docker exec patroni sh -c 'mkdir -m 0700 $directory/bench && $tool --pg1-path=$directory/bench --process-max=\$(nproc) \
        --archive-mode=off --type=none restore'" >"$here/restored.$1"
}

for ((round = 1; round <= rounds; round++)); do
    if ((round % 2)); then quiet $round; busy $round; else busy $round; quiet $round; fi
done
for ((round = 1; round <= rounds; round++)); do
    if ((round % 2)); then copied $round; restored $round; else restored $round; copied $round; fi
done

python3 - "$here" "$rounds" "$(wc -l <"$here/backups")" <<'EOF'
import statistics, sys
here, rounds, backups = sys.argv[1], range(1, int(sys.argv[2]) + 1), sys.argv[3]
read = lambda name, number: sorted(float(line) for line in open(f"{here}/{name}.{number}") if line.strip())
p99 = lambda values: values[int(len(values) * 0.99)] / 1000
writers, restores = [], []
for n in rounds:
    quiet, busy = read("quiet", n), read("busy", n)
    loads = [open(f"{here}/{name}.{n}.load").read().strip() for name in ("quiet", "busy")]
    writers.append((p99(quiet), p99(busy)))
    print(
        f"writer {n}: p99 {p99(quiet):.1f} ms without a backup ({len(quiet)} transactions, load {loads[0]}), "
        f"{p99(busy):.1f} ms with one ({len(busy)}, load {loads[1]}): ratio {p99(busy) / p99(quiet):.2f}"
    )
for n in rounds:
    copied, restored = read("copied", n)[0] / 1000, read("restored", n)[0] / 1000
    restores.append((copied, restored))
    print(f"restore {n}: {restored:.1f} s, cp -r {copied:.1f} s: ratio {restored / copied:.2f}")
writer, restore = (statistics.median(b / a for a, b in pairs) for pairs in (writers, restores))
print(f"writer: median ratio {writer:.2f}, limit 1.2 ({backups} full backups beside it)")
print(f"restore: median ratio {restore:.2f}, limit 2")
sys.exit(writer > 1.2 or restore > 2)
EOF
