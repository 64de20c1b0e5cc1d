#!/usr/bin/env bash
# Hands the lead over, and rolls the members' containers out, under writers through the load balancer; counts errors, waits and lost rows.
#
#   eng/switchover-soak.sh [SWITCHOVERS [ROLLOUTS]]    100 switchovers and 10 roll-outs by default; the switchovers for MINUTES at most
#
# Through 6432 (PgBouncer) write: a new session each, a kept session, prepared statements, and transactions of two seconds. Through 5432
# writes a new session each. On the lab that KBR_LAB names, which has to be up; installs the cluster where it is missing. KBR_TOOL names
# another kbr than ./kbr. Needs pgbench and psql on this machine. Exit 1 after an error or a lost row through 6432.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
kbr=${KBR_TOOL:-$root/kbr}
here=$(mktemp -d)
trap 'touch "$here/end"; wait; rm -rf "$here"' EXIT
ln -s "$root/lab${KBR_LAB:+/$KBR_LAB}/.state" "$here/.state"
cp "$root/lab${KBR_LAB:+/$KBR_LAB}/cluster-ha.yaml" "$here/cluster.yaml"
mkdir "$here/credentials"
(umask 077 && printf '%s\n' KBR_KEY=soak >"$here/credentials/ha.env")
run() { (cd "$here" && timeout --kill-after=10 900 "$kbr" "$@" >"$here/last" 2>&1); }
must() { run "$@" || { tail -n 30 "$here/last" >&2; echo "FAILED: kbr $*" >&2; exit 1; }; }
must init --credentials
must apply --auto-approve
network=$(sed -n 's/.*db-master-01: .*ssh: { host: \(127\.0\.[0-9]*\.\).*/\1/p' "$here/cluster.yaml")
read -r PGDATABASE PGUSER < <(cd "$here" && "$kbr" connect --print | sed -n 's/.*dbname=\([^ ]*\) user=\([^ ]*\).*/\1 \2/p' | head -n 1)
PGPASSWORD=$(sed -n 's/^POSTGRES_APP_PASS=//p' "$here/credentials/ha.env")
export PGHOST=${network}10 PGDATABASE PGUSER PGPASSWORD PGCONNECT_TIMEOUT=10
sql() { PGPORT=5432 psql -X -A -t -q -c "$1"; }
sql 'DROP TABLE IF EXISTS soak; CREATE TABLE soak (writer text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())'

# A writer of pgbench, begun again after each error, until the end. Its log has a line for each acknowledged transaction.
writer() {
    local name=$1 port=$2 rate=$3 script=$4 round
    shift 4
    printf '%b' "$script" >"$here/$name.sql"
    for ((round = 0; round < 2000; round++)); do
        [[ ! -e $here/end ]] || return 0
        PGPORT=$port timeout --signal=INT 3600 pgbench -n -c 1 -R "$rate" -T 3000 -l --log-prefix="$here/$name.$round" -f "$here/$name.sql" "$@" \
            >"$here/$name.$round.out" 2>"$here/$name.$round.err" &
        local pid=$!
        while kill -0 $pid 2>/dev/null; do
            if [[ -e $here/end ]]; then kill -INT $pid 2>/dev/null || true; break; fi
            sleep 0.2
        done
        wait $pid || true
        if [[ ! -e $here/end ]]; then echo "$(date +%s.%N) $(tail -n 1 "$here/$name.$round.err")" >>"$here/$name.errors"; fi
    done
}

# Waits until each writer has acknowledged another row: the next event meets all of them at work.
working() {
    local since n
    since=$(sql 'SELECT clock_timestamp()')
    for ((n = 0; n < 120; n++)); do
        [[ $(sql "SELECT count(DISTINCT writer) FROM soak WHERE at > '$since'" || true) != 5 ]] || return 0
        sleep 0.5
    done
    echo "FAILED: not every writer wrote a row within 60 s" >&2
    exit 1
}
insert="INSERT INTO soak (writer) VALUES ('%s');\n"
# shellcheck disable=SC2059
{
    writer new 6432 20 "$(printf "$insert" new)" --connect &
    writer kept 6432 20 "$(printf "$insert" kept)" &
    writer prepared 6432 20 "$(printf "$insert" prepared)" --protocol=prepared &
    writer long 6432 0.4 "BEGIN;\n$(printf "$insert" long)\nSELECT pg_sleep(2);\nCOMMIT;\n" &
    writer direct 5432 20 "$(printf "$insert" direct)" --connect &
}
working
# On a machine that is overloaded the chosen member may answer the others too late, and another one becomes the primary: it is counted. Its
# writers are judged as ever.
elsewhere=0 switchovers=0 begun=$SECONDS
while ((switchovers < ${1:-100} && SECONDS - begun < ${MINUTES:-600} * 60)); do
    echo "switchover $(date +%s.%N)" >>"$here/events"
    if ! run switchover --auto-approve; then
        grep -q 'became the primary instead of' "$here/last" || { tail -n 30 "$here/last" >&2; echo "FAILED: kbr switchover" >&2; exit 1; }
        elsewhere=$((elsewhere + 1))
    fi
    switchovers=$((switchovers + 1))
    working
done
for ((n = 1; n <= ${2:-10}; n++)); do
    echo "roll-out $(date +%s.%N)" >>"$here/events"
    must apply --auto-approve --replace container.patroni@db-master-01 --replace container.patroni@db-slave-01 \
        --replace container.patroni@db-slave-02
    working
done
touch "$here/end"
wait
sql 'SELECT writer, count(*) FROM soak GROUP BY writer' >"$here/rows"
python3 - "$here" "$switchovers" "${2:-10}" "$elsewhere" <<'END'
import glob, os, sys
here = sys.argv[1]
events = [float(line.split()[1]) for line in open(here + "/events")] if os.path.exists(here + "/events") else []
rows = dict(line.split("|") for line in open(here + "/rows").read().split())
failed = 0
print(f"{sys.argv[2]} switchovers ({sys.argv[4]} to another member than the chosen one), {sys.argv[3]} roll-outs")
print("| writer | port | acknowledged | errors | lost rows | longest gap of each event p50, s | p99, s | usual gap, s |")
print("| --- | --- | --- | --- | --- | --- | --- | --- |")
for name, port in ("new", 6432), ("kept", 6432), ("prepared", 6432), ("long", 6432), ("direct", 5432):
    ends = []  # when each transaction was acknowledged
    for log in glob.glob(f"{here}/{name}.[0-9]*.[0-9]*"):
        if log.endswith((".out", ".err")):
            continue
        for line in open(log):
            words = line.split()
            if len(words) >= 6 and words[2].isdigit():
                ends.append(int(words[4]) + int(words[5]) / 1e6)
    ends.sort()
    errors = sum(1 for _ in open(f"{here}/{name}.errors")) if os.path.exists(f"{here}/{name}.errors") else 0
    lost = max(0, len(ends) - int(rows.get(name, 0)))
    waits = []
    for number, at in enumerate(events):
        until = events[number + 1] if number + 1 < len(events) else float("inf")
        times = [end for end in ends if at <= end < until]
        waits.append(max((after - before for before, after in zip(times, times[1:])), default=float("inf")))
    waits.sort()
    usual = sorted(after - before for before, after in zip(ends, ends[1:])) or [0]
    def part(share):
        return f"{waits[min(len(waits) - 1, int(len(waits) * share))]:.2f}" if waits else "-"
    print(f"| {name} | {port} | {len(ends)} | {errors} | {lost} | {part(0.5)} | {part(0.99)} | {usual[len(usual) // 2]:.2f} |")
    failed += (errors + lost) if port == 6432 else lost
for errors in glob.glob(here + "/*.errors"):
    for line in open(errors).read().splitlines()[:5]:
        print(os.path.basename(errors)[:-7] + ": " + line.split(" ", 1)[1])
sys.exit(1 if failed else 0)
END
