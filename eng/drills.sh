#!/usr/bin/env bash
# Runs every kind of drill on the lab of KBR_LAB, ROUNDS times each (3), and prints the table of docs/failover.md. The cluster of lab/cluster-ha.yaml has to run there. CONFIG names
# another cluster file, KINDS fewer kinds. What each drill said is kept in artifacts/drills.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
config=${CONFIG:-lab/${KBR_LAB:+$KBR_LAB/}cluster-ha.yaml}
out=artifacts/drills
mkdir -p "$out"
echo '| drill | direct, s | pooled, s | healthy again after, s | acknowledged | of them lost |'
echo '| --- | --- | --- | --- | --- | --- |'
for kind in ${KINDS:-switchover stop kill cut-peers cut}; do
    rm -f "$out/$kind"-*.json
    for ((round = 1; round <= ${ROUNDS:-3}; round++)); do
        status=0
        ./kbr drill --kind "$kind" --auto-approve --json --svg "$out/$kind-$round.svg" -c "$config" >"$out/$kind-$round.json" 2>"$out/$kind-$round.log" || status=$?
        # 2 says that acknowledged writes were lost, which is what is counted here.
        ((status == 0 || status == 2)) || { cat "$out/$kind-$round.json" "$out/$kind-$round.log" >&2; exit 1; }
    done
    python3 - "$kind" "$out/$kind"-*.json <<'END'
import json, sys
drills = [json.load(open(name)) for name in sys.argv[2:]]
def each(get): return " / ".join(get(drill) for drill in drills)
def gap(way): return each(lambda drill: "%.1f" % drill["ways"][way]["longest_gap_seconds"])
def total(key): return each(lambda drill: str(sum(way[key] for way in drill["ways"])))
print("| `%s` | %s | %s | %s | %s | %s |" % (sys.argv[1], gap(0), gap(1), each(lambda drill: "%.1f" % drill["whole_seconds"]), total("acknowledged"), total("lost")))
END
done
