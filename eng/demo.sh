#!/usr/bin/env bash
# PostgreSQL HA from nothing, step by step, on five empty hosts on this machine: it sets up what it needs, says each step before it runs it, and checks what came of it.
# The first step that does not hold ends it with exit code 1. KBR_LAB names another lab than the first (lab/README.md).
# shellcheck source-path=SCRIPTDIR/../lab
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. lab/lib.sh
need_root
command -v dotnet >/dev/null || die "the .NET SDK of global.json is needed on PATH"

balancer=$PRIVATE.10
file=${HERE#"$PWD/"}/cluster-ha.yaml
said=$(mktemp)
number=0
begun=$SECONDS
# shellcheck disable=SC2154 # it is set when the trap runs
trap 'status=$?; rm -f "$said"; ((status == 0)) || printf "\ndemo: FAILED in step %d, after %d s\n" $number $((SECONDS - begun)) >&2' EXIT

step() { number=$((number + 1)); printf '\n=== %d. %s [%d s]\n' $number "$*" $((SECONDS - begun)); }
holds() { printf '  ok: %s\n' "$*"; }
fails() { printf '  NOT OK: %s\n' "$*" >&2; exit 1; }
expect() { # EXIT-CODE SECONDS COMMAND... : shows the command, runs it for at most so long, keeps what it said
  local wanted=$1 seconds=$2 status=0; shift 2
  printf '$ %s\n' "$*"
  timeout --foreground --kill-after=30 "$seconds" "$@" 2>&1 | tee "$said" | sed -u "$leave_out" || status=$?
  ((status == wanted)) || fails "exit code $status and not $wanted"
}
leave_out=
contains() { grep -qF -- "$1" "$said" || fails "it does not say: $1"; }
on() { timeout --foreground --kill-after=10 60 lab/ssh "$@"; }

step "The lab: five machines with systemd, sshd, Docker and empty disks. The first time it takes minutes: bases and images are made"
expect 0 1800 lab/up

used=()
for host in "${HOSTS[@]}"; do
  [[ -z $(on "$host" 'docker ps -aq; ls -A /opt; ls -d /var/lib/kbr 2>/dev/null; blkid -p /dev/sdb || true') ]] || used+=("$host")
done
if ((${#used[@]})); then
  step "${used[*]} already have data: all five are recreated, and their data is lost"
  expect 0 600 lab/reset
fi
holds "five empty hosts"

step "kbr is built, and makes the passwords that $file needs"
expect 0 900 ./kbr --version
expect 0 60 ./kbr init --credentials -c "$file"
credentials=$HERE/credentials/ha.env
[[ $(stat -c %a "$credentials") == 600 ]] || fails "others can read $credentials"
holds "they are in ${credentials#"$PWD/"}, for its owner alone"

# Every attribute of everything that is new would be a thousand lines.
leave_out='/^      /d'
step "The plan: what differs between $file and the hosts. It changes nothing. (Here without the attributes; the command shows them)"
expect 2 120 ./kbr plan --detailed-exitcode -c "$file"
contains "0 to update, 0 to replace, 0 to delete"
holds "exit code 2: there are changes"

step "The apply: all of it, in the order of what needs what. It ends with the status"
applied=$SECONDS
expect 0 600 ./kbr apply --auto-approve -c "$file"
applied=$((SECONDS - applied))
leave_out=
holds "the cluster was installed in $applied s"

step "The checklist by itself"
expect 0 120 ./kbr status -c "$file"
holds "exit code 0: healthy"

step "The plan again: there is nothing left to do"
expect 0 120 ./kbr plan --detailed-exitcode -c "$file"
holds "exit code 0: no changes"

# The password goes by standard input: a command line can be read by everybody on the host.
through_balancer() { # PORT SQL
  # shellcheck source=/dev/null
  { ( . "$credentials"; printf '%s\n' "$POSTGRES_APP_PASS" ); printf '%s\n' "$2"; } |
    on haproxy-01 "docker exec -i pgbouncer sh -c 'IFS= read -r PGPASSWORD; export PGPASSWORD; exec psql -X -q -A -t -v ON_ERROR_STOP=1 -h $balancer -p $1 -U kb_app -d keybuzz'"
}
step "SQL through the load balancer: written on 5432 (HAProxy), read on 6432 (HAProxy and PgBouncer)"
echo "$balancer:5432  CREATE TABLE demo (name text PRIMARY KEY, place vector(3)); INSERT …"
through_balancer 5432 "CREATE TABLE demo (name text PRIMARY KEY, place vector(3)); INSERT INTO demo VALUES ('near', '[1,2,3]'), ('far', '[7,8,9]');"
echo "$balancer:6432  SELECT name, inet_server_addr(), pg_is_in_recovery() FROM demo ORDER BY name"
through_balancer 6432 "SELECT name, inet_server_addr(), pg_is_in_recovery() FROM demo ORDER BY name;" | tee "$said"
[[ $(wc -l <"$said") == 2 && $(grep -cE "^(near|far)\|$PRIVATE\.12[0-2]\|f$" "$said") == 2 ]] || fails "two rows of the primary were expected"
holds "both rows, from the primary"

role_is() { on "$1" "curl -s -m 5 -o /dev/null -w '%{http_code}' http://\$(hostname):8008/$2" | grep -qx 200; }
replica=
for host in "${DB_HOSTS[@]}"; do
  if role_is "$host" replica; then replica=$host; break; fi
done
[[ -n $replica ]] || fails "no member says that it is a replica"
step "A vector query on a replica, $replica"
query="SELECT name, round((place <-> '[1,2,4]')::numeric, 3), pg_is_in_recovery() FROM demo ORDER BY place <-> '[1,2,4]'"
echo "$replica  $query"
for ((until = SECONDS + 30; ; )); do
  on "$replica" "docker exec -i patroni psql -X -q -A -t -v ON_ERROR_STOP=1 -U kb_admin -d keybuzz" <<<"$query;" >"$said" || true
  if [[ $(<"$said") == $'near|1.000|t\nfar|9.849|t' ]]; then break; fi
  ((SECONDS < until)) || { cat "$said"; fails "the rows are not there after 30 s"; }
  sleep 0.5
done
cat "$said"
holds "the replica has both rows and finds the nearest first"

step "Two changes by hand: haproxy.cfg on haproxy-01, and a parameter on $replica"
echo "haproxy-01  sed -i 's/ fall 2 / fall 20 /' /opt/keybuzz/haproxy/haproxy.cfg"
on haproxy-01 "sed -i 's/ fall 2 / fall 20 /' /opt/keybuzz/haproxy/haproxy.cfg; grep -q ' fall 20 ' /opt/keybuzz/haproxy/haproxy.cfg"
echo "$replica  ALTER SYSTEM SET work_mem = '1MB'"
on "$replica" "docker exec -i patroni psql -X -q -v ON_ERROR_STOP=1 -U kb_admin -d postgres -o /dev/null" <<<$'ALTER SYSTEM SET work_mem = \'1MB\';\nSELECT pg_reload_conf();'
expect 2 120 ./kbr plan --detailed-exitcode -c "$file"
contains "config_file.haproxy@haproxy-01"
contains "fall 20"
contains "postgresql.parameters.work_mem"
contains "Plan: 0 to create, 2 to update, 0 to replace, 0 to delete"
holds "the plan shows these two and nothing else"

step "The apply mends both"
expect 0 300 ./kbr apply --auto-approve -c "$file"
on haproxy-01 "! grep -q ' fall 20 ' /opt/keybuzz/haproxy/haproxy.cfg" || fails "haproxy.cfg is as it was"
expect 0 120 ./kbr plan --detailed-exitcode -c "$file"
holds "nothing is left to do"

printf '\ndemo: all %d steps hold. The cluster was installed in %d s, the whole took %d s. Take the lab down with: %slab/down\n' \
  $number $applied $((SECONDS - begun)) "${KBR_LAB:+KBR_LAB=$KBR_LAB }"
