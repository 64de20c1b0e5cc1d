#!/usr/bin/env bash
# What backups cost: the p99 of a writer with and without a backup (limit: 1.2 times), and how long a restore takes beside `cp -r` of the
# same data on the same disk (limit: 2 times), by the tool alone and by kbr with all its steps. Exit 1 above a limit. All are judged by the
# median of pairs' ratios, because other work of the machine meets both of a pair:
#
# - One writer runs all the time, at a constant rate, and a latency begins when a transaction is due. Scheduled full backups run beside it
#   and are stopped and continued (SIGSTOP, SIGCONT) in slices of seconds.
# - The tool's restore and the copy take turns, each until its data is on the disk. The copy shares no blocks with the original.
# - `kbr restore --open` is timed from its start until the restored database takes the first write, with all that is in between: asking the
#   members, archiving, the restore, its WAL, the exchange, and the start of Patroni. The copy after it is of the same directory.
# - The tool also restores from a directory on the disk of the data, with kbr's settings: there both sides of a pair read from that disk,
#   write to it, and have the two processors to themselves. Neither has anything of it in memory before. From the S3 server it does not
#   compare the same: the server needs a third of the processors' time of such a restore, and is another machine elsewhere.
#
#   eng/bench-backup.sh [PAIRS]   20 pairs of slices by default, and a quarter as many rounds of restores. MEGABYTES=1100 of data,
#                                 SECONDS_EACH=5 a slice, RATE=100 transactions a second, PROCESSES of the backup tool (kbr's default
#                                 without it)
#
# On the lab that KBR_LAB names, which has to be up; takes down what it finds there. KBR_TOOL names another kbr than ./kbr.
# The repository is in memory, and beside the writer its server only runs on processors that are idle: elsewhere it would be another
# machine. (A least share among Docker's containers is not that: their common group has as much as the group of the lab's hosts.)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
root=$PWD
lab=lab${KBR_LAB:+/$KBR_LAB}
kbr=${KBR_TOOL:-$root/kbr}
pairs=${1:-20}
megabytes=${MEGABYTES:-1100}
each=${SECONDS_EACH:-5}
rate=${RATE:-100}
server=${KBR_LAB:+$KBR_LAB-}kbr-s3
here=$(mktemp -d)
stored=$(readlink -f "$lab/.state")/s3/data
in_memory() {
    "$root/lab/s3" >/dev/null && docker rm -f "$server" >/dev/null && mount -t tmpfs -o size=8g tmpfs "$stored" && "$root/lab/s3" >/dev/null
}
trap 'docker rm -f "$server" >/dev/null; umount "$stored"; "$root/lab/s3" >/dev/null; rm -rf "$here"; rmdir "$idle" 2>/dev/null' EXIT
# A group of the machine's own that yields to every other one; with version 1 of cgroups its controller has a hierarchy of its own.
groups=/sys/fs/cgroup
[[ ! -d $groups/cpu ]] || groups=$groups/cpu
idle=$groups/kbr-bench-$$
yield_to_all() {
    local id
    mkdir "$idle" && echo 1 >"$idle/cpu.idle" || return 1
    for id in $(docker top "$server" -eo pid | tail -n +2); do echo "$id" >"$idle/cgroup.procs" || return 1; done
}

on() { "$root/lab/ssh" "$@"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; tail -n 40 "$here/last" | sed 's/^/    /' >&2; exit 1; }
run() { (cd "$here" && timeout --kill-after=10 1800 "$kbr" "$@" >last 2>&1); }
sql() { on "$leader" "docker exec -i patroni psql -X -A -t -q -U kb_admin -d postgres" <<<"$1"; }

ln -s "$root/$lab/.state" "$here/.state"
cp "$root/$lab/cluster-ha.yaml" "$here/cluster.yaml"
in_memory || fail "the S3 server"
cp "$root/$lab/.state/s3-ca.pem" "$here/"
network=$(sed -n 's/.*db-master-01: .*address: \(10\.[0-9]*\.0\.\)120.*/\1/p' "$here/cluster.yaml")
cat >>"$here/cluster.yaml" <<END
  backup:
    ${PROCESSES:+process_max: $PROCESSES}
    repositories:
      - s3: { endpoint: "${network}7:9000", bucket: kbr-backups, path: "/bench-$(date +%s%N)", ca_file: s3-ca.pem }
        retention: { full: 2 }
    schedule: { full: yearly }
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

# On the primary. pgbench's own log has the microseconds of each transaction, from when it was due, and when it ended. The slices'
# beginnings are in the order a b b a.
cat >"$here/writer" <<'END'
pairs=$1 each=$2 rate=$3
end=/run/kbr-bench.end
rm -f $end
docker exec patroni sh -c 'rm -f /tmp/w.*'
(for ((n = 0; n < 500; n++)); do [[ ! -e $end ]] || break; systemctl start kbr-backup-full; tail -n 1 /run/kbr/kbr-backup-full.log; done) &
tell() { pgrep -f 'pgbackrest .*backup(:local)?$' | xargs -r kill "-$1" 2>/dev/null; }
for ((n = 0; n < 300; n++)); do pgrep -f 'pgbackrest .*backup$' >/dev/null && break; sleep 0.1; done
seconds=$((2 * pairs * each + 2))
docker exec patroni sh -c "cd /tmp && pgbench -n -N -c 4 -R $rate -T $seconds -l --log-prefix=/tmp/w -U kb_admin postgres" >/dev/null 2>&1 &
writer=$!
sleep 1
for ((n = 0; n < 2 * pairs; n++)); do
    slice=quiet signal=STOP
    if ((n % 4 == 1 || n % 4 == 2)); then slice=busy signal=CONT; fi
    echo "slice $slice $(date +%s%6N) $(cut -d' ' -f1 /proc/loadavg)"
    for ((over = $(date +%s%6N) + each * 1000000; $(date +%s%6N) < over; )); do tell $signal; sleep 0.2; done
done
echo "slice end $(date +%s%6N) 0"
tell CONT
touch $end
wait $writer
docker exec patroni sh -c 'cat /tmp/w.*; rm -f /tmp/w.*'
wait
END
yield_to_all || fail "the server's share of the processors"
on "$leader" bash -s "$pairs" "$each" "$rate" <"$here/writer" >"$here/written" || fail "the writer"
docker rm -f "$server" >/dev/null && "$root/lab/s3" >/dev/null || fail "the S3 server"

# The tool's restore, and a copy, each to the disk itself.
directory=/opt/keybuzz/postgres/data
tool='pgbackrest --config=/etc/patroni/pgbackrest.conf --stanza=keybuzz-pg'
took() {
    on "$leader" "rm -rf $directory/bench; sync -f $directory; s=\$(date +%s%N); $1 >/dev/null && sync -f $directory &&
        echo \$(( (\$(date +%s%N) - s) / 1000000 )); rm -rf $directory/bench"
}
# Without WAL, which no backup restores. The copy is of what the cluster runs on, and may be in memory; so may the repository.
copy="mkdir $directory/bench && find $directory/pgdata -mindepth 1 -maxdepth 1 ! -name pg_wal -exec cp -r --reflink=never -t $directory/bench {} +"
copied() { took "$copy" >"$here/copied.$1"; }
restored() {
    took "docker exec patroni sh -c 'mkdir -m 0700 $directory/bench && $tool --pg1-path=$directory/bench --process-max=\$((2 * \$(nproc))) \
        --archive-mode=off --type=none restore'" >"$here/restored.$1"
}

# From a directory on the same disk, where nothing of either side is in memory: neither of the files, nor of the disk under them.
beside=$directory/bench-repository
disk=$(readlink -f "$lab/.state")/../disks/$leader-sdb.img
[[ -e $disk ]] || fail "the primary's disk $disk"
on "$leader" "docker exec -i patroni sh -s" <<END >"$here/last" 2>&1 || fail "the backup into a directory"
set -e
umask 077
{
    grep -v -e '^repo1-' -e '^# Repo' -e '^\\[keybuzz' -e '^pg1-' /etc/patroni/pgbackrest.conf
    printf '%s\n' repo1-path=$beside repo1-bundle=y repo1-retention-full=2
    printf '%s\n' repo1-cipher-type=aes-256-cbc repo1-cipher-pass=of-the-benchmark-alone
    echo '[keybuzz-pg]'
    grep '^pg1-' /etc/patroni/pgbackrest.conf
} >/tmp/beside.conf
pgbackrest --config=/tmp/beside.conf --stanza=keybuzz-pg --no-online stanza-create
pgbackrest --config=/tmp/beside.conf --stanza=keybuzz-pg --type=full --no-archive-check --process-max=2 backup
END
cold() {
    on "$leader" "sync -f $directory
        find $directory -xdev -type f -exec sh -c 'for one; do dd if=\"\$one\" iflag=nocache count=0 status=none; done' sh {} +"
    sync -f "$disk"
    dd if="$disk" iflag=nocache count=0 status=none
}
copied_cold() { cold; took "$copy" >"$here/copied-cold.$1"; }
restored_cold() {
    cold
    took "docker exec patroni sh -c 'mkdir -m 0700 $directory/bench && pgbackrest --config=/tmp/beside.conf --stanza=keybuzz-pg \
        --pg1-path=$directory/bench --process-max=\$((2 * \$(nproc))) --archive-mode=off --type=none restore'" >"$here/restored-cold.$1"
}

opened() { # ROUND: as the operator sees it
    local begun job
    begun=$(date +%s%N)
    run restore --to latest --open --confirm keybuzz-pg &
    job=$!
    until grep -q 'has the restored database' "$here/last"; do
        kill -0 $job 2>/dev/null || fail "the restore"
        sleep 0.1
    done
    for ((n = 0; n < 600; n++)); do ! sql "CREATE TABLE opened_$1 ()" >/dev/null 2>&1 || break; done
    echo $((($(date +%s%N) - begun) / 1000000)) >"$here/opened.$1"
    wait $job || fail "the restore"
    took "$copy" >"$here/after.$1"
    run restore confirm --confirm keybuzz-pg || fail "the confirmation"
}

for ((round = 1; round <= (pairs + 3) / 4; round++)); do
    if ((round % 2)); then copied $round; restored $round; else restored $round; copied $round; fi
    if ((round % 2)); then copied_cold $round; restored_cold $round; else restored_cold $round; copied_cold $round; fi
done
on "$leader" "rm -rf $beside"
for ((round = 1; round <= (pairs + 3) / 4; round++)); do opened $round; done

python3 - "$here" $(((pairs + 3) / 4)) <<'EOF'
import statistics, sys
here, rounds = sys.argv[1], range(1, int(sys.argv[2]) + 1)
slices, transactions, backups = [], [], 0
for words in (line.split() for line in open(f"{here}/written")):
    if words[0] == "slice":
        slices.append((int(words[2]), words[1], float(words[3])))
    elif words[0].isdigit() and len(words) >= 6:
        ended, took = int(words[4]) * 1000000 + int(words[5]), int(words[2])
        transactions.append((ended - took, took / 1000))
    else:
        backups += words[0] == "taken"
percentile = lambda values, part: sorted(values)[int(len(values) * part)]
found = []
for (begin, kind, load), (end, _, _) in zip(slices, slices[1:]):
    found.append((kind, [took for due, took in transactions if begin <= due < end], load))
pairs = [dict((kind, took) for kind, took, _ in found[n : n + 2]) for n in range(0, len(found), 2)]
ratios = [percentile(pair["busy"], 0.99) / percentile(pair["quiet"], 0.99) for pair in pairs]
for kind in ("quiet", "busy"):
    every = [took for one, values, _ in found if one == kind for took in values]
    loads = [load for one, _, load in found if one == kind]
    print(
        f"writer, {kind}: {len(every)} transactions, p50 {percentile(every, 0.5):.1f} ms, p99 {percentile(every, 0.99):.1f} ms, "
        f"median load {statistics.median(loads):.1f}"
    )
tools, colds, restores = [], [], []
for n in rounds:
    names = ("copied", "restored", "copied-cold", "restored-cold", "opened", "after")
    copied, restored, copied_cold, restored_cold, opened, after = (float(open(f"{here}/{name}.{n}").read()) / 1000 for name in names)
    tools.append(restored / copied)
    colds.append(restored_cold / copied_cold)
    restores.append(opened / after)
    print(f"from a directory on the disk {n}: {restored_cold:.1f} s, cp -r {copied_cold:.1f} s: ratio {restored_cold / copied_cold:.2f}")
    print(f"the tool's restore {n}: {restored:.1f} s, cp -r {copied:.1f} s: ratio {restored / copied:.2f}")
    print(f"kbr restore {n}: open after {opened:.1f} s, cp -r {after:.1f} s: ratio {opened / after:.2f}")
writer, tool, cold, restore = (statistics.median(values) for values in (ratios, tools, colds, restores))
quartiles = statistics.quantiles(ratios, n=4)
print(
    f"writer: median ratio of {len(ratios)} pairs {writer:.2f} (quartiles {quartiles[0]:.2f}, {quartiles[2]:.2f}), limit 1.2; "
    f"{backups} full backups were completed beside it"
)
print(f"from a directory on the disk: median ratio of {len(colds)} rounds {cold:.2f}, limit 2")
print(f"the tool's restore: median ratio of {len(tools)} rounds {tool:.2f}")
print(f"kbr restore: median ratio of {len(restores)} rounds {restore:.2f}, limit 2")
sys.exit(writer > 1.2 or cold > 2 or restore > 2)
EOF
