#!/usr/bin/env bash
# The no-op plan, and drift, of the lab's five hosts against the bare floor: five parallel `ssh HOST sh -s` that run the very probes kbr runs, with the same
# key exchange. Prints medians, the ratio of walls, and the CPU of both. Needs the lab up; applies lab/cluster.yaml first. ROUNDS=15 by default.
# KBR_LAB names another lab than the first (lab/README.md).
#   eng/bench.sh --cluster   the same for the PostgreSQL cluster of lab/cluster-ha.yaml, with `kbr status`, against a floor of its own probes, in place of the JIT build. Status also asks
#                            SQL through every way in, from both proxies; its floor does so with psql through ssh -L.
#   eng/bench.sh --planner   needs no lab: plans up to 100 000 resources, and prints CPU and memory beside their limits (docs/promises.md). Exit 1 above one. ROUNDS=3 by default.
# shellcheck source-path=SCRIPTDIR/../lab
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ ${1-} == --planner ]]; then
    eng/publish.sh
    dotnet publish eng/bench -c Release -r linux-x64 --nologo -v quiet
    exec eng/bench-planner.py artifacts/publish/KeyBuzz.Reconciler.Bench/release_linux-x64/KeyBuzz.Reconciler.Bench artifacts/publish/kbr/release_linux-x64/kbr
fi

. lab/lib.sh
rounds=${ROUNDS:-15}
file=$HERE/cluster.yaml
[[ ${1-} == --cluster ]] && file=$HERE/cluster-ha.yaml
aot=artifacts/publish/kbr/release_linux-x64/kbr
jit=artifacts/bin/kbr/release/kbr
[ -x $aot ] || eng/publish.sh
[ -x $jit ] || dotnet build src/kbr -c Release --nologo -v quiet
$jit init --credentials -c $file >/dev/null
$jit apply --auto-approve -c $file >/dev/null

probes=$(mktemp -d)
trap 'rm -rf "$probes"' EXIT
floor() { # COMMAND: the floor of a command, which runs its probes over bare ssh
    local host
    for host in "${HOSTS[@]}"; do $jit "$1" --print-probe "$host" -c $file >"$probes/$1-$host.sh"; done
    cat >"$probes/$1" <<EOF
#!/bin/bash
pids=()
for pair in $(for host in "${HOSTS[@]}"; do printf '%s:%s ' "$host" "${OCTET[$host]}"; done); do
    ssh -F none -i $STATE/id_ed25519 -o UserKnownHostsFile=$STATE/known_hosts -o KexAlgorithms=curve25519-sha256 -o BatchMode=yes \
        \$(cat "$probes/$1-\${pair%:*}.ways" 2>/dev/null) \
        root@$PUBLISHED.\${pair#*:} sh -s <"$probes/$1-\${pair%:*}.sh" >"$probes/$1-\${pair%:*}.out" & pids+=(\$!)
done
for pid in \${pids[@]}; do wait \$pid; done
EOF
    chmod +x "$probes/$1"
}
# The ways in of a proxy as status asks them: HAProxy, PgBouncer, and the load balancer twice. Once the connection stands, psql asks through each.
ways() { # PROXY FIRST-PORT
    local port=$2 way address=$PRIVATE.${OCTET[$1]} query
    query="SELECT pg_is_in_recovery(), current_setting('transaction_read_only'), inet_server_addr(), inet_client_addr()"
    : >"$probes/status-$1.ways"
    printf '#!/bin/bash\n' >"$probes/sql-$1"
    for way in "$address:5432" "$address:6432" "$PRIVATE.10:5432" "$PRIVATE.10:6432"; do
        printf -- '-L %s:%s ' "$port" "$way" >>"$probes/status-$1.ways"
        printf '%s\n' "psql -X -q -A -t 'host=127.0.0.1 port=$port user=kb_app dbname=keybuzz sslmode=disable' -c \"$query\" &" >>"$probes/sql-$1"
        port=$((port + 1))
    done
    chmod +x "$probes/sql-$1"
    printf -- '-o PermitLocalCommand=yes -o LocalCommand=%s' "$probes/sql-$1" >>"$probes/status-$1.ways"
}
floor plan
if [[ ${1-} == --cluster ]]; then
    command -v psql >/dev/null || die "psql is needed here for the floor of status: apt install postgresql-client"
    PGPASSWORD=$(sed -n 's/^POSTGRES_APP_PASS=//p' "$HERE/credentials/ha.env")
    export PGPASSWORD
    ways haproxy-01 23810
    ways haproxy-02 23820
    floor status
fi

# Rounds alternate, so that whatever else the machine does hits all of them alike.
python3 - "$rounds" "$probes" "$aot" "$jit" "$file" <<'EOF'
import os, statistics, subprocess, sys, time
rounds, probes, aot, jit, file = int(sys.argv[1]), *sys.argv[2:6]
def run(command):
    before, start = os.times(), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.monotonic() - start, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system
plan = ["plan", "--detailed-exitcode", "-c", file]
subjects = {"floor (ssh)": [probes + "/plan"], "kbr plan, Native AOT": [aot, *plan], "kbr drift, Native AOT": [aot, "drift", "-c", file], "kbr plan, JIT": [jit, *plan]}
if file.endswith("-ha.yaml"):
    del subjects["kbr plan, JIT"]
    subjects["floor of status (ssh)"] = [probes + "/status"]
    subjects["kbr status, Native AOT"] = [aot, "status", "-c", file]
taken = {name: [] for name in subjects}
for number in range(rounds + 1):
    for name, command in subjects.items():
        result = run(command)
        if number:  # the first round warms caches
            taken[name].append(result)
for name, results in taken.items():
    if "floor" in name:
        base = statistics.median(wall for wall, _ in results)
    walls, cpus = [w for w, _ in results], [c for _, c in results]
    print(f"{name:22} wall {statistics.median(walls):.3f} s ({min(walls):.3f}-{max(walls):.3f})  ratio {statistics.median(walls) / base:.2f}  CPU {statistics.median(cpus):.3f} s")
EOF
$aot plan --verbose -c $file 2>&1 >/dev/null | sort
