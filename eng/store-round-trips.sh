#!/usr/bin/env bash
# Moves a cluster from RAFT to etcd and back, again and again, under a writer. Proves each time that one apply moves it, that nothing is
# left to do afterwards, that the database is the same one, and that no acknowledged row is missing on any member.
#
#   eng/store-round-trips.sh [COUNT]    2 round trips by default; prints the longest pause of each move
#
# KILL=N kills kbr N tenths of a second after each move has begun to stop members, and applies again.
#
# On the lab that KBR_LAB names, which has to be up; takes down what it finds there. KBR_TOOL names another kbr than ./kbr.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
root=$PWD
lab=lab${KBR_LAB:+/$KBR_LAB}
kbr=${KBR_TOOL:-$root/kbr}
count=${1:-2}
here=$(mktemp -d)
from=db-slave-01
trap 'on $from "docker rm -f rows; rm -f /root/rows.pgpass" >/dev/null 2>&1; rm -rf "$here"' EXIT

members=(db-master-01 db-slave-01 db-slave-02)
on() { "$root/lab/ssh" "$@"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; tail -n 60 "$here/last" | sed 's/^/    /' >&2; exit 1; }
run() { (cd "$here" && timeout --kill-after=10 900 "$kbr" "$@" >last 2>&1); }
sql() { on "$1" "docker exec -i patroni psql -X -A -t -q -U kb_admin -d keybuzz" <<<"$2" 2>/dev/null; }
primary() {
  local member
  for member in "${members[@]}"; do
    if [[ $(sql "$member" 'SELECT pg_is_in_recovery()') == f ]]; then echo "$member"; fi
  done
}
identity() { sql "$1" 'SELECT system_identifier FROM pg_control_system()'; }
dynamic() { on "$1" 'curl -s http://$(hostname):8008/config' | python3 -c 'import json, sys
config = json.load(sys.stdin); config.pop("failsafe_mode", None); print(json.dumps(config, sort_keys=True))'; }

ln -s "$root/$lab/.state" "$here/.state"
cp "$root/$lab/cluster-ha.yaml" "$here/raft.yaml"
# shellcheck source=/dev/null
. "$root/$lab/.state/images.env"
image=$KBR_ETCD_TAG@${KBR_ETCD#*@}
sed "s|^  version: 17|  version: 17\n  store: { etcd: { image: '$image' } }|" "$here/raft.yaml" >"$here/etcd.yaml"
cmp -s "$here/raft.yaml" "$here/etcd.yaml" && fail "the store is not in the file"
network=$(sed -n 's/.*db-master-01: .*address: \(10\.[0-9]*\.0\.\)120.*/\1/p' "$here/raft.yaml")
cp "$here/etcd.yaml" "$here/cluster.yaml"
mkdir "$here/credentials"
(umask 077 && echo KBR_KEY=round-trips >"$here/credentials/ha.env")
run init --credentials || fail "the credentials of etcd"
cp "$here/raft.yaml" "$here/cluster.yaml"
run init --credentials || fail "the credentials"
password=$(sed -n 's/^POSTGRES_APP_PASS=//p' "$here/credentials/ha.env")
run destroy --auto-approve --delete-data --confirm keybuzz-pg || fail "the hosts could not be emptied"
run apply --auto-approve || fail "the cluster"
sql "$(primary)" 'CREATE TABLE rows (number bigint PRIMARY KEY); GRANT ALL ON rows TO kb_app' || fail "the table"
known=$(identity "$(primary)")
settings=$(dynamic db-master-01)

# A session for each row, through the load balancer, on a host that stays; each line of its log is an acknowledged row and its time.
on $from 'umask 077; cat >/root/rows.pgpass' <<<"*:*:*:kb_app:$password"
on $from "docker rm -f rows >/dev/null 2>&1; docker run -d --name rows --network host --user 0 -e PGCONNECT_TIMEOUT=3 \
  -e PGPASSFILE=/rows.pgpass -v /root/rows.pgpass:/rows.pgpass:ro --entrypoint bash \$(docker inspect -f '{{.Config.Image}}' patroni) \
  -c 'for ((n = 1; n < 100000; n++)); do psql -X -q -h ${network}10 -p 5432 -U kb_app -d keybuzz \
  -c \"INSERT INTO rows VALUES (\$n)\" >/dev/null 2>&1 && echo \$n \$(date +%s.%N); sleep 0.05; done'" >/dev/null || fail "the writer"

move() { # STORE
  local begun now
  begun=$(date +%s.%N)
  cp "$here/$1.yaml" "$here/cluster.yaml"
  run plan; [[ $? == 0 ]] || fail "the plan to $1"
  grep -E 'stop .* then start them together|without writes' "$here/last" | sed 's/^/    /'
  if [[ -n ${KILL-} ]]; then
    (cd "$here" && exec "$kbr" apply --auto-approve >last 2>&1) &
    local pid=$!
    for ((waited = 0; waited < 6000; waited++)); do
      grep -q 'restarting .* together' "$here/last" 2>/dev/null && break
      kill -0 $pid 2>/dev/null || break
      sleep 0.1
    done
    sleep "$(python3 -c "print($KILL / 10)")"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    local leads=0 member
    for member in "${members[@]}"; do
      [[ $(sql "$member" 'SELECT pg_is_in_recovery()') != f ]] || leads=$((leads + 1))
    done
    ((leads < 2)) || fail "$leads members lead"
    echo "    killed; $leads primary; containers:"
    for member in "${members[@]}"; do on "$member" "docker ps -a --filter name=^patroni$ --format '      {{.State}}: {{.Command}}'"; done
  fi
  run apply --auto-approve || fail "the move to $1"
  run plan --detailed-exitcode || fail "something is left to do after the move to $1"
  [[ $(primary | wc -l) == 1 ]] || fail "primaries: $(primary)"
  for member in "${members[@]}"; do [[ $(identity "$member") == "$known" ]] || fail "$member has another database"; done
  [[ $(dynamic db-master-01) == "$settings" ]] || fail "the dynamic configuration differs: $settings, $(dynamic db-master-01)"
  on $from docker logs rows >"$here/rows"
  for member in "${members[@]}"; do
    # A replica has the last row that was acknowledged, too, after a moment.
    for ((waited = 0; waited < 100; waited++)); do
      sql "$member" 'SELECT number FROM rows' >"$here/has"
      grep -qx "$(tail -n 1 "$here/rows" | cut -d' ' -f1)" "$here/has" && break
      sleep 0.2
    done
    now=$(python3 - "$here/rows" "$here/has" "$begun" <<'END'
import sys
rows = [line.split() for line in open(sys.argv[1]) if len(line.split()) == 2]
has = {int(line) for line in open(sys.argv[2])}
begun = float(sys.argv[3])
lost = [n for n, _ in rows if int(n) not in has]
times = [float(at) for _, at in rows if float(at) > begun]
gap = max((b - a for a, b in zip(times, times[1:])), default=0)
print("%d acknowledged, %d lost, longest pause %.1f s" % (len(rows), len(lost), gap))
END
)
    [[ $now == *", 0 lost, "* ]] || fail "$member: $now"
  done
  echo "to $1: primary $(primary), $now"
}

for ((round = 1; round <= count; round++)); do
  echo "round trip $round"
  move etcd
  move raft
done
echo "store round trips: $count, no acknowledged row lost"
