#!/usr/bin/env bash
# Restores copies of the PostgreSQL cluster to random moments under writers, and proves each time that the copy holds exactly the rows that
# were committed until then.
#
#   eng/restore-sweep.sh [--seed N] [COUNT]    50 restores by default; prints each, and the times
#
# On the lab that KBR_LAB names, which has to be up; takes down what it finds there. KBR_TOOL names another kbr than ./kbr.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
root=$PWD
lab=lab${KBR_LAB:+/$KBR_LAB}
kbr=${KBR_TOOL:-$root/kbr}
seed=$((RANDOM * 32768 + RANDOM))
if [[ ${1-} == --seed ]]; then seed=$2; shift 2; fi
count=${1:-50}
here=$(mktemp -d)
trap 'touch "$here/end"; wait; rm -rf "$here"' EXIT

on() { "$root/lab/ssh" "$@"; }
fail() { printf 'FAILED (seed %s): %s\n' "$seed" "$*" >&2; tail -n 40 "$here/last" | sed 's/^/    /' >&2; exit 1; }
run() { (cd "$here" && timeout --kill-after=10 900 "$kbr" "$@" >last 2>&1); }
sql() { on "$leader" "docker exec -i patroni psql -X -A -t -q -U kb_admin -d postgres" <<<"$1"; }

ln -s "$root/$lab/.state" "$here/.state"
cp "$root/$lab/cluster-ha.yaml" "$here/cluster.yaml"
"$root/lab/s3" >/dev/null || fail "the S3 server"
cp "$root/$lab/.state/s3-ca.pem" "$here/"
network=$(sed -n 's/.*db-master-01: .*address: \(10\.[0-9]*\.0\.\)120.*/\1/p' "$here/cluster.yaml")
cat >>"$here/cluster.yaml" <<END
  backup:
    repositories: [{ s3: { endpoint: "${network}7:9000", bucket: kbr-backups, path: "/sweep-$(date +%s%N)", ca_file: s3-ca.pem } }]
END
mkdir "$here/credentials"
(umask 077 && printf '%s\n' KBR_KEY=sweep BACKUP_S3_KEY=S3RVER BACKUP_S3_SECRET=S3RVER >"$here/credentials/ha.env")
run init --credentials || fail "the credentials"
run destroy --auto-approve --delete-data --confirm keybuzz-pg || fail "the hosts could not be emptied"
run apply --auto-approve || fail "the cluster"
run backup --full || fail "the backup"
leader=$(cd "$here" && "$kbr" members --json | python3 -c '
import json, sys
print(next(m["host"] for m in json.load(sys.stdin)["members"] if m["role"] == "primary"))')
member=db-slave-01
[[ $leader != "$member" ]] || member=db-slave-02
sql 'CREATE TABLE rows (number bigint PRIMARY KEY, at timestamptz NOT NULL)' || fail "the table"

# A row each tenth of a second, each in a transaction of its own, until the end or an hour has passed.
(for ((hour = 0; hour < 360; hour++)); do
    [[ ! -e $here/end ]] || exit 0
    for ((n = 1; n <= 100; n++)); do
        echo 'INSERT INTO rows SELECT coalesce(max(number), 0) + 1, clock_timestamp() FROM rows; SELECT FROM pg_sleep(0.1);'
    done |
        on "$leader" "docker exec -i patroni psql -X -A -t -q -U kb_admin -d postgres" >/dev/null
done) &
for ((second = 0; second < 60; second++)); do
    (($(sql 'SELECT count(*) FROM rows') < 100)) || break
    sleep 1
done

RANDOM=$((seed % 32768))
for ((tried = 1; tried <= count; tried++)); do
    # Between two rows: a moment with a clear answer.
    part=$RANDOM
    IFS='|' read -r expected time < <(sql "WITH gaps AS (
            SELECT number, at + (lead(at) OVER (ORDER BY number) - at) / 2 AS middle,
                row_number() OVER (ORDER BY number) AS place, count(*) OVER () AS rows
            FROM rows
        ) SELECT number, middle FROM gaps
        WHERE middle IS NOT NULL AND place > 30 + ($part / 32768.0 * (rows - 60)) ORDER BY place LIMIT 1")
    begun=$SECONDS
    run restore --to "$time" --copy --on "$member" || fail "the restore to $time"
    found=$(cd "$here" && "$kbr" restore look -- -d postgres -Atc 'SELECT count(*), max(number) FROM rows' </dev/null)
    [[ $found == "$expected|$expected" ]] || fail "restored to $time: $found rows and last number, $expected were committed until then"
    run restore undo --confirm keybuzz-pg || fail "the undo"
    echo "$tried of $count: $time: exactly $expected rows, $((SECONDS - begun)) s"
done
echo "restore sweep: $count restores, $count with exactly the rows of their moment (seed $seed)"
