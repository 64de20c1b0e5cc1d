#!/usr/bin/env bash
# Loses two of the three members again and again, recovers the cluster from the third, and lets the two return: which two, in which order,
# and how each returns is drawn by the seed. Proves each time that one kbr recover opens writes, that one kbr apply makes the two replicas
# again, and that no row is missing that the survivor had, or that was acknowledged since.
#
#   eng/quorum-sweep.sh [--seed N] [COUNT]    6 rounds by default; prints each
#
# A lost member returns with its data, without any (a new host under its name), or with old data (it was lost before the last rows); or it
# was alive all the time, cut off from every other host.
#
# On the lab that KBR_LAB names, which has to be up; takes down what it finds there. KBR_TOOL names another kbr than ./kbr.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
root=$PWD
lab=lab${KBR_LAB:+/$KBR_LAB}
kbr=${KBR_TOOL:-$root/kbr}
seed=$((RANDOM * 32768 + RANDOM))
if [[ ${1-} == --seed ]]; then seed=$2; shift 2; fi
count=${1:-6}
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT

members=(db-master-01 db-slave-01 db-slave-02)
kinds=(data fresh old cut)
on() { "$root/lab/ssh" "$@"; }
fail() { printf 'FAILED (seed %s): %s\n' "$seed" "$*" >&2; tail -n 40 "$here/last" | sed 's/^/    /' >&2; exit 1; }
run() { (cd "$here" && timeout --kill-after=10 900 "$kbr" "$@" >last 2>&1); }
sql() { on "$1" "docker exec -i patroni psql -X -A -t -q -U kb_admin -d keybuzz" <<<"$2" 2>/dev/null; }
until_true() { # SECONDS COMMAND...
  local end=$((SECONDS + $1)); shift
  until "$@"; do ((SECONDS < end)) || return 1; sleep 1; done
}
primary() {
  local member
  for member in "${members[@]}"; do
    if [[ $(sql "$member" 'SELECT pg_is_in_recovery()') == f ]]; then echo "$member"; return; fi
  done
  return 1
}
# Through the load balancer, as an application: one transaction for each row. Says how many were acknowledged.
write() { # FROM NUMBER
  local acknowledged=0 n psql="psql -X -q -h ${network}10 -p 5432 -U kb_app -d keybuzz"
  for ((n = 1; n <= $2; n++)); do
    if on "$1" "docker exec -i -e PGPASSWORD='$password' -e PGCONNECT_TIMEOUT=5 patroni $psql" \
      <<<"INSERT INTO rows VALUES ($((last + 1)))" >/dev/null 2>&1; then
      acknowledged=$((acknowledged + 1))
    fi
    last=$((last + 1))
  done
  echo "$acknowledged $last"
}
lose() { # MEMBER KIND
  case $2 in
    cut)
      "$root/lab/cut" "$1" || fail "lab/cut $1"
      # Not even this machine reaches it.
      docker exec "${KBR_LAB:+$KBR_LAB-}$1" iptables -w -I KBR_CUT 1 -s "${network}1" -p tcp --dport 22 -j DROP || fail "the cut of $1"
      ;;
    *) "$root/lab/off" --crash "$1" >/dev/null || fail "lab/off $1" ;;
  esac
}
bring_back() { # MEMBER KIND
  case $2 in
    cut) "$root/lab/heal" "$1" || fail "lab/heal $1" ;;
    fresh) "$root/lab/reset" "$1" >/dev/null 2>&1 || fail "lab/reset $1" ;;
    *) "$root/lab/on" "$1" >/dev/null || fail "lab/on $1" ;;
  esac
}
# A survivor that led goes on leading until its lease ends, and a proxy sends sessions to whom it saw last.
recovers() {
  run recover --lost "$first" --lost "$second" --confirm keybuzz-pg --json && return
  ! grep -q 'still sends sessions to\|is the primary of keybuzz-pg: there is nothing to recover' "$here/last"
}
all_have() { # NUMBER
  local member
  for member in "${members[@]}"; do [[ $(sql "$member" 'SELECT count(*) FROM rows') == "$1" ]] || return 1; done
}

ln -s "$root/$lab/.state" "$here/.state"
cp "$root/$lab/cluster-ha.yaml" "$here/cluster.yaml"
network=$(sed -n 's/.*db-master-01: .*address: \(10\.[0-9]*\.0\.\)120.*/\1/p' "$here/cluster.yaml")
mkdir "$here/credentials"
(umask 077 && echo KBR_KEY=sweep >"$here/credentials/ha.env")
run init --credentials || fail "the credentials"
password=$(sed -n 's/^POSTGRES_APP_PASS=//p' "$here/credentials/ha.env")
run destroy --auto-approve --delete-data --confirm keybuzz-pg || fail "the hosts could not be emptied"
run apply --auto-approve || fail "the cluster"
last=0 worst=0 total=0

RANDOM=$((seed % 32768))
for ((tried = 1; tried <= count; tried++)); do
  survivor=${members[RANDOM % 3]}
  lost=()
  for member in "${members[@]}"; do [[ $member == "$survivor" ]] || lost+=("$member"); done
  if ((RANDOM % 2)); then lost=("${lost[1]}" "${lost[0]}"); fi
  first=${lost[0]} second=${lost[1]}
  first_kind=${kinds[RANDOM % 4]} second_kind=${kinds[RANDOM % 4]}
  what="$survivor survives; $first returns first ($first_kind), then $second ($second_kind)"

  until_true 60 primary >/dev/null || fail "$what: no primary to begin with"
  sql "$(primary)" 'DROP TABLE IF EXISTS rows; CREATE TABLE rows (number bigint PRIMARY KEY); GRANT ALL ON rows TO kb_app' ||
    fail "the table"
  read -r before last < <(write "$survivor" 10)
  if [[ $first_kind == old ]]; then
    lose "$first" old
    until_true 60 primary >/dev/null || fail "$what: no primary without $first"
  elif [[ $second_kind == old ]]; then
    lose "$second" old
    until_true 60 primary >/dev/null || fail "$what: no primary without $second"
  fi
  read -r more last < <(write "$survivor" 10)
  before=$((before + more))
  lose "$first" "$first_kind"
  lose "$second" "$second_kind"
  has=$(sql "$survivor" 'SELECT count(*) FROM rows') || fail "$what: what $survivor has"

  begun=$SECONDS
  until_true 180 recovers || fail "$what: the recovery"
  grep -q '"survivor": *"'"$survivor"'"' "$here/last" || fail "$what: it did not recover, or from another member"
  open=$((SECONDS - begun))
  found=$(sql "$survivor" 'SELECT count(*) FROM rows')
  ((found >= has)) || fail "$what: $found rows, $has before"
  grep -q "unknown: what only $first and $second had\|unknown: what only $second and $first had" "$here/last" || ((found >= before)) ||
    fail "$what: $((before - found)) rows are lost, and nothing says so"
  ((before - found <= worst)) || worst=$((before - found))

  read -r since last < <(write "$survivor" 5)
  bring_back "$first" "$first_kind"
  read -r more last < <(write "$survivor" 10); since=$((since + more))
  bring_back "$second" "$second_kind"
  read -r more last < <(write "$survivor" 10); since=$((since + more))
  ((since == 25)) || fail "$what: $since of 25 rows were acknowledged while the members returned"

  begun=$SECONDS
  run apply --auto-approve || fail "$what: the apply"
  rebuilt=$((SECONDS - begun))
  until_true 60 all_have $((found + since)) || fail "$what: not every member has $found rows and the $since since"
  run recover confirm --confirm keybuzz-pg || fail "$what: the confirmation"
  run apply --auto-approve || fail "$what: the second apply"
  total=$((total + 1))
  echo "$tried of $count: $what: writes after $open s, whole after $rebuilt s;" \
    "$((before - found)) of $before acknowledged rows lost, 0 of $since since"
done
echo "quorum sweep: $total recoveries, at most $worst acknowledged rows lost, none of what the survivor had (seed $seed)"
