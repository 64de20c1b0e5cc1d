#!/usr/bin/env bash
# Measures what monitoring costs each member: the processor time of the exporters and of their session in PostgreSQL over
# SECONDS_OF_IT=60, as a part of one core, by the cgroups of their containers and /proc; how long each query takes, as the role of the
# exporter; and what RUNS=10 of `kbr status` take on each member, beyond what it does anyway.
#
#   eng/exporter-cost.sh          on the lab that KBR_LAB names, with a cluster that has postgres.monitoring (eng/alerts-proof.sh)
#
# KBR_TOOL names another kbr than ./kbr.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
seconds=${SECONDS_OF_IT:-60} runs=${RUNS:-10}
kbr=$(readlink -f "${KBR_TOOL:-kbr}")
file=lab/${KBR_LAB:+$KBR_LAB/}cluster-watch.yaml
# Those of lab/s3.
export BACKUP_S3_KEY=S3RVER BACKUP_S3_SECRET=S3RVER

# Nanoseconds of each container, and hundredths of a second of the session.
read -r -d '' look <<'SH'
for name in postgres-exporter node-exporter; do
    id=$(docker inspect -f '{{.Id}}' $name) || continue
    file=$(find /sys/fs/cgroup -path "*$id/cpuacct.usage" | head -n 1)
    if [ -n "$file" ]; then echo "$name $(cat "$file")"
    else echo "$name $(awk '/^usage_usec/ { print $2 * 1000 }' "$(find /sys/fs/cgroup -path "*$id*/cpu.stat" | head -n 1)")"; fi
done
pid=$(docker top patroni -eo pid,args | awk '/kb_monitor/ { print $1; exit }')
echo "session $(awk '{ print ($14 + $15) * 10000000 }' /proc/$pid/stat)"
SH
hosts="db-master-01 db-slave-01 db-slave-02"
declare -A before
for host in $hosts; do before[$host]=$(lab/ssh "$host" "$look"); done
sleep "$seconds"
echo "| member | part | of a core |"
echo "| --- | --- | --- |"
for host in $hosts; do
    lab/ssh "$host" "$look" | awk -v host="$host" -v seconds="$seconds" -v before="${before[$host]}" '
        BEGIN { n = split(before, part, /[ \n]/); for (i = 1; i < n; i += 2) was[part[i]] = part[i + 1] }
        { used = ($2 - was[$1]) / 1e7 / seconds; sum += used; printf "| %s | %s | %.2f %% |\n", host, $1, used }
        END { printf "| %s | **together** | **%.2f %%** |\n", host, sum }'
done
# The slowest of twenty rounds.
lab/ssh db-master-01 'cat /opt/keybuzz/monitoring/queries.yaml' | /usr/bin/python3 -c '
import sys
name, query = None, []
def end():
    if name: print(name + "\t" + " ".join(query))
take = False
for line in sys.stdin:
    if line[0] not in " #\n":
        end(); name, query, take = line.strip().rstrip(":"), [], False
    elif line.startswith("  query:"): take = True
    elif line.startswith("  metrics:"): take = False
    elif take: query.append(line.strip())
end()' | while IFS=$'\t' read -r name query; do
    printf '\\timing on\nSET ROLE kb_monitor;\n%s' "$(for _ in {1..20}; do printf '%s;\n' "$query"; done)" |
        lab/ssh db-master-01 'docker exec -i patroni psql -X -q -U kb_admin -d postgres' 2>&1 |
        awk -v name="$name" '/^Time:/ { if ($2 > most) most = $2 } END { printf "%s: %.1f ms at most\n", name, most }'
done

# A host of the lab is a container here; those that its own Docker runs have their cgroups beside its own.
used() { # HOST: microseconds
    local id lab=kbr-lab${KBR_LAB:+-$KBR_LAB} file=cpu.stat
    id=$(docker inspect -f '{{.Id}}' "${KBR_LAB:+$KBR_LAB-}$1")
    [[ ! -d /sys/fs/cgroup/cpuacct ]] || file=cpuacct.usage
    for path in "*$id*" "*/$lab/$1"; do find /sys/fs/cgroup -maxdepth 6 -path "$path/$file" -print -quit; done |
        xargs awk '/^usage_usec/ { sum += $2 } NF == 1 { sum += $1 / 1000 } END { printf "%.0f\n", sum }'
}
declare -A first idle
for host in $hosts; do first[$host]=$(used "$host"); done
begun=${EPOCHREALTIME/./}
sleep "$seconds"
took=$((${EPOCHREALTIME/./} - begun))
for host in $hosts; do idle[$host]=$(($(used "$host") - first[$host])); first[$host]=$(used "$host"); done
begun=${EPOCHREALTIME/./}
for ((n = 0; n < runs; n++)); do "$kbr" status -c "$file" >/dev/null || { echo "kbr status: exit $?" >&2; exit 1; }; done
while_it=$((${EPOCHREALTIME/./} - begun))
for host in $hosts; do
    all=$(($(used "$host") - first[$host]))
    awk -v host="$host" -v runs="$runs" -v all="$all" -v rest="${idle[$host]}" -v took=$took -v it=$while_it 'BEGIN {
        one = (all - rest * it / took) / runs / 1e6
        printf "kbr status: %s: %.2f s of processor each, %.2f %% of a core once a minute\n", host, one, one / 0.6
    }'
done
