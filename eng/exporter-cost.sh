#!/usr/bin/env bash
# Measures what monitoring costs each member, as a part of one core, by the cgroups of the host and of the containers that it runs:
# what it takes with its exporters beyond what it takes without, ROUNDS=3 times SECONDS_OF_IT=60 each; and what RUNS=10 of
# `kbr status` take beyond what it does anyway. Then how long each query takes, as the role of the exporter.
#
#   eng/exporter-cost.sh          on the lab that KBR_LAB names, with a cluster that has postgres.monitoring (eng/alerts-proof.sh)
#
# Nothing else may run on the machine. KBR_TOOL names another kbr than ./kbr.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
seconds=${SECONDS_OF_IT:-60} rounds=${ROUNDS:-3} runs=${RUNS:-10}
kbr=$(readlink -f "${KBR_TOOL:-kbr}")
file=lab/${KBR_LAB:+$KBR_LAB/}cluster-watch.yaml
hosts="db-master-01 db-slave-01 db-slave-02"
# Those of lab/s3.
export BACKUP_S3_KEY=S3RVER BACKUP_S3_SECRET=S3RVER

# A host of the lab is a container here; those that its own Docker runs have their cgroups beside its own.
declare -A files
for host in $hosts; do
    id=$(docker inspect -f '{{.Id}}' "${KBR_LAB:+$KBR_LAB-}$host") lab=kbr-lab${KBR_LAB:+-$KBR_LAB} name=cpu.stat
    [[ ! -d /sys/fs/cgroup/cpuacct ]] || name=cpuacct.usage
    files[$host]=$(for path in "*$id*" "*/$lab/$host"; do find /sys/fs/cgroup -maxdepth 6 -path "$path/$name" -print -quit; done)
done
used() { # HOST: microseconds
    xargs awk '/^usage_usec/ { sum += $2 } NF == 1 { sum += $1 / 1000 } END { printf "%.0f\n", sum }' <<<"${files[$1]}"
}
declare -A first=() with=() without=() idle=()
watch_for() { # NAME OF THE SUMS: adds what each host uses in the time
    local -n sums=$1
    for host in $hosts; do first[$host]=$(used "$host"); done
    sleep "$seconds"
    for host in $hosts; do ((sums[$host] += $(used "$host") - first[$host])); done
}
exporters() { # start, stop: ends when the exporters of all hosts have begun, or ended
    local host pid pids=()
    for host in $hosts; do lab/ssh "$host" "systemctl $1 postgres-exporter node-exporter" & pids+=($!); done
    for pid in "${pids[@]}"; do wait "$pid" || { echo "the exporters do not $1" >&2; exit 1; }; done
    [[ $1 == start ]] || return 0
    # The session of PostgreSQL's comes with its first scrape.
    for host in $hosts; do
        lab/ssh "$host" 'for n in $(seq 60); do docker top patroni -eo pid,args | grep -q kb_monitor && exit; sleep 1; done; exit 1' ||
            { echo "$host: nobody asked the exporter in a minute" >&2; exit 1; }
    done
}
for ((n = 0; n < rounds; n++)); do
    watch_for with
    exporters stop
    watch_for without
    exporters start
done
for host in $hosts; do
    awk -v host="$host" -v with="${with[$host]}" -v without="${without[$host]}" -v time="$((rounds * seconds))" 'BEGIN {
        with /= time * 1e4
        without /= time * 1e4
        printf "exporters: %s: %.2f %% of a core (%.2f %% with them, %.2f %% without)\n", host, with - without, with, without
    }'
done

watch_for idle
for host in $hosts; do first[$host]=$(used "$host"); done
begun=${EPOCHREALTIME/./}
for ((n = 0; n < runs; n++)); do "$kbr" status -c "$file" >/dev/null || { echo "kbr status: exit $?" >&2; exit 1; }; done
took=$((${EPOCHREALTIME/./} - begun))
for host in $hosts; do
    all=$(($(used "$host") - first[$host]))
    awk -v host="$host" -v runs="$runs" -v all="$all" -v rest="${idle[$host]}" -v time="$seconds" -v took=$took 'BEGIN {
        one = (all - rest * took / time / 1e6) / runs / 1e6
        printf "kbr status: %s: %.2f s of processor each, %.2f %% of a core every minute, %.2f %% every three\n",
            host, one, one / 0.6, one / 1.8
    }'
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
