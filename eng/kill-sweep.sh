#!/usr/bin/env bash
# Kills kbr (SIGKILL) before, during and after its remote steps (locks taken, scripts run, tunnels opened; `kbr --verbose` counts them),
# and proves each time that the next plan is true, that the next apply makes exactly what that plan says, that a third run changes
# nothing, and that nothing is left: no process, no held lock, no temporary file.
#
#   eng/kill-sweep.sh raw [POINTS]      create, update and destroy of every raw type (lab/cluster.yaml), on four hosts side by side.
#                                       All points, or so many on each host, by SEED
#   eng/kill-sweep.sh restore [POINTS]  a restore, its undo and its confirmation of the PostgreSQL cluster with an S3 repository (lab/s3):
#                                       each killed one step further again and again; then at single points and run again. All points,
#                                       or so many by SEED, for MINUTES at most. MOMENTS="after during" of the first part
#   eng/kill-sweep.sh ha                the whole PostgreSQL install, on empty hosts, killed after one step of progress again and again
#                                       until nothing is left to do
#
# On the lab that KBR_LAB names, which has to be up; takes down what it finds there. KBR_TOOL names another kbr than ./kbr. HOSTS names
# fewer hosts.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
root=$PWD
lab=lab${KBR_LAB:+/$KBR_LAB}
kbr=${KBR_TOOL:-$root/kbr}
seed=${SEED:-20261125}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

on() { "$root/lab/ssh" "$@"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; cat "$here/last" "$here/last.err" 2>/dev/null | tail -n 60 | sed 's/^/    /' >&2; exit 1; }

workspace() { # FILE CREDENTIALS
    here=$(mktemp -d "$out/workspace.XXXXXX")
    ln -s "$root/$lab/.state" "$here/.state"
    cp "$root/$lab/$1" "$here/cluster.yaml"
    mkdir "$here/credentials"
    (umask 077 && printf '%s\n' APP_PASS=sweep KBR_KEY=sweep >"$here/credentials/$2")
}

# The addresses that a plan would change, or that an apply has changed, sorted.
planned() { python3 -c '
import json, sys
document = json.loads(open(sys.argv[1]).readline())
changes = [c["address"] for c in document["changes"] if c["action"] in ("create", "update", "replace", "delete")]
groups = [g["address"] for g in document["groups"] if g["health"]]
print("\n".join(sorted(changes + groups)))' "$1"; }
made() { python3 -c '
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
actions = ("create", "update", "replace", "delete", "bring_to_health")
done = [e for e in lines if e["kind"] == "apply_event" and e["event"] == "done" and e["action"] in actions]
print("\n".join(sorted(e["address"] for e in done)))' "$1"; }

run() { # ARGUMENTS: answers its exit code; what it says is in $here/last
    (cd "$here" && timeout --kill-after=10 900 "$kbr" "$@" "${target[@]}" >last 2>last.err)
}

# Runs one apply or destroy that is killed at that point; true when it was. What it left working on the hosts has two minutes to end by
# itself.
killed() { # POINT COMMAND...
    local point=$1 status host
    shift
    (exec 2>/dev/null; cd "$here" && KBR_KILL=$point timeout --kill-after=10 900 "$kbr" "$@" "${target[@]}" >last 2>last.err)
    status=$?
    if ((status != 137)); then
        # A restore that was killed after its last step has nothing to go on with.
        ((status == 0)) || grep -q 'there is no restore of' "$here/last.err" || fail "$point: $* ended with $status"
        return 1
    fi
    for host in "${hosts[@]}"; do
        on "$host" 'mkdir -p /run/kbr && flock -w 120 /run/kbr/lock flock -w 120 /run/kbr/work true' ||
            fail "$point: $host: a process of the killed run is still there"
    done
}

# Whatever was interrupted: true plan, convergence, nothing left to do.
converges() { # POINT PLAN-OPTIONS COMMAND...
    local point=$1 options status
    read -ra options <<<"$2"
    shift 2
    run plan --json --detailed-exitcode "${options[@]}"
    status=$?
    ((status == 0 || status == 2)) || fail "$point: the plan after it ended with $status"
    planned "$here/last" >"$here/planned" || fail "$point: the plan after it is no JSON"
    run "$@" --json || fail "$point: the next $1 failed"
    made "$here/last" >"$here/made" 2>/dev/null || : >"$here/made"
    cmp -s "$here/planned" "$here/made" || fail "$point: planned $(tr '\n' ' ' <"$here/planned"), made $(tr '\n' ' ' <"$here/made")"
    run plan --detailed-exitcode "${options[@]}" || fail "$point: the third run still changes something"
}

clean() { # POINT
    local host left
    for host in "${hosts[@]}"; do
        left=$(on "$host" '
            find /opt /etc/systemd/system /var/lib/kbr /var/tmp /run/kbr \
                -name ".kbr*" -o -name "*.new" -o -name "kbr-upload*" -o -name lock.json 2>/dev/null
            docker ps -a --format "{{.Names}}" | grep "kbr-old"
            flock -n /run/kbr/lock true || echo a held lock
            flock -n /run/kbr/work true || echo a process')
        [[ -z $left ]] || fail "$1: left on $host: $left"
    done
}

# One point of a phase. Counts what was reached.
point() { # PHASE POINT PLAN-OPTIONS COMMAND...
    local phase=$1 at=$2 options=$3
    shift 3
    if killed "$at" "$@"; then
        converges "$phase $at" "$options" "$@"
        clean "$phase $at"
        echo "$phase $at" >>"$here/reached"
        echo "${hosts[*]}: $phase killed $at: converged"
    else
        echo "${hosts[*]}: $phase $at: there is no such step"
    fi
}

steps() { # COMMAND...: how many remote steps it takes; does it
    run "$@" --verbose || fail "$1"
    sed -n 's/^remote steps: //p' "$here/last.err"
}

raw_on() { # HOST POINTS-FILE-INDEX
    local host=$1 share=$2 shares=$3 change=0 create update destroy n phase at
    workspace cluster.yaml postgres.env
    hosts=("$host") target=(--target "*@$host" --parallelism 1) data=(--delete-data --confirm lab)
    : >"$here/reached"
    sed -i 's|^\( *\)mount_point: .*|&\n\1mount_options: noatime,nosuid|' "$here/cluster.yaml"
    run destroy --auto-approve "${data[@]}" || fail "the hosts could not be emptied"
    other() {
        change=$((change + 1))
        # Another file, another container, another unit, another mode, another mount option.
        sed -i -e "s/limit = [0-9]*/limit = $((100 + change))/" -e "s/APP_HOST: .*/APP_HOST: n$change }/" \
            -e "s/^\( *Description=\).*/\1change $change/" -e "/name: app-data/,/mode:/s/mode: .*/mode: \"07$((change % 2 * 5))0\"/" \
            -e "s/mount_options: .*/mount_options: noatime,$( ((change % 2)) && echo nodev || echo nosuid)/" "$here/cluster.yaml"
    }
    create=$(steps apply --auto-approve) || exit 1
    other
    update=$(steps apply --auto-approve) || exit 1
    destroy=$(steps destroy --auto-approve "${data[@]}") || exit 1
    echo "$host: create $create, update $update, destroy $destroy remote steps"
    # Every point, dealt to the hosts in turn; or some of them by the seed.
    for ((n = 1; n <= create || n <= update || n <= destroy; n++)); do
        for at in "before:$n" "during:$n:$(((n * 37 + seed) % 400))" "after:$n"; do echo "$at"; done
    done >"$here/points"
    if [[ -n $some ]]; then
        awk -v s="$((seed + share))" 'BEGIN { srand(s) } { print rand(), $0 }' "$here/points" | sort -n | head -n "$some" |
            cut -d' ' -f2 >"$here/mine"
    else
        awk -v s="$share" -v of="$shares" '(NR - 1) % of == s' "$here/points" >"$here/mine"
    fi
    while read -r at <&3; do
        n=${at#*:} n=${n%%:*}
        if ((n <= create)); then point create "$at" "" apply --auto-approve; else run apply --auto-approve || fail apply; fi
        if ((n <= update)); then other; point update "$at" "" apply --auto-approve; fi
        if ((n <= destroy)); then
            point destroy "$at" "--destroy --delete-data" destroy --auto-approve "${data[@]}"
        else
            run destroy --auto-approve "${data[@]}" || fail destroy
        fi
        [[ -z $(on "$host" 'ls -d /opt/keybuzz /var/lib/kbr 2>/dev/null; docker ps -aq; grep keybuzz /etc/fstab /proc/mounts') ]] ||
            fail "$at: something is left after destroy"
    done 3<"$here/mine"
    cp "$here/reached" "$out/reached.$host"
}

raw() {
    local some=${1-} all pids=() status=0 i pid
    read -ra all <<<"${HOSTS:-db-slave-01 db-slave-02 haproxy-01 haproxy-02}"
    for i in "${!all[@]}"; do
        (raw_on "${all[i]}" "$i" "${#all[@]}") &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || status=1; done
    cat "$out"/reached.* >"$out/all" 2>/dev/null
    ((status == 0)) || { echo "kill sweep: FAILED (seed $seed)"; return 1; }
    echo "kill sweep: $(wc -l <"$out/all") kill points tried, $(wc -l <"$out/all") converged" \
        "($(cut -d' ' -f1 "$out/all" | sort | uniq -c | awk '{ printf "%s%s %s", sep, $2, $1; sep = ", " }'); seed $seed)"
}

ha() {
    local locks=5 ahead=1 kills=0 before after
    workspace cluster-ha.yaml ha.env
    hosts=(db-master-01 db-slave-01 db-slave-02 haproxy-01 haproxy-02) target=() data=()
    run init --credentials || fail "the credentials"
    target=(--parallelism 1)
    run plan --json --detailed-exitcode || (($? == 2)) || fail "the first plan"
    before=$(planned "$here/last" | wc -l)
    while ((before > 0)); do
        # Every apply gets a step further than the last one that was killed, and where that step brought nothing about, one more.
        killed "after:$((locks + ahead))" apply --auto-approve || break
        kills=$((kills + 1))
        run plan --json --detailed-exitcode || (($? == 2)) || fail "kill $kills: the plan after it"
        after=$(planned "$here/last" | wc -l)
        echo "kill $kills, after step $((locks + ahead)): $after changes are left"
        if ((after < before)); then ahead=1; else ahead=$((ahead + 1)); fi
        before=$after
    done
    converges "the last kill" "" apply --auto-approve
    run status || fail "the cluster is not healthy"
    clean "the last kill"
    echo "kill sweep: $kills kill points tried, $kills converged (the whole PostgreSQL install)"
}

# The PostgreSQL cluster with a backup, ten rows, a time, and ten more rows.
with_backup() {
    local network
    workspace cluster-ha.yaml ha.env
    hosts=(db-master-01 db-slave-01 db-slave-02 haproxy-01 haproxy-02) target=()
    "$root/lab/s3" >/dev/null || fail "the S3 server"
    cp "$root/$lab/.state/s3-ca.pem" "$here/"
    network=$(sed -n 's/.*db-master-01: .*address: \(10\.[0-9]*\.0\.\)120.*/\1/p' "$here/cluster.yaml")
    cat >>"$here/cluster.yaml" <<END
  backup:
    repositories: [{ s3: { endpoint: "${network}7:9000", bucket: kbr-backups, path: "/sweep-$(date +%s%N)", ca_file: s3-ca.pem } }]
END
    printf 'BACKUP_S3_KEY=S3RVER\nBACKUP_S3_SECRET=S3RVER\n' >>"$here/credentials/ha.env"
    run init --credentials || fail "the credentials"
    run destroy --auto-approve --delete-data --confirm keybuzz-pg || fail "the hosts could not be emptied"
    run apply --auto-approve || fail "the cluster"
    run backup --full || fail "the backup"
    sql 'CREATE TABLE sweep (number int PRIMARY KEY)' && sql 'INSERT INTO sweep SELECT generate_series(1, 10) FROM pg_sleep(2)' ||
        fail "the rows"
    time=$(sql 'SELECT clock_timestamp() FROM pg_sleep(1)')
    sql 'INSERT INTO sweep SELECT generate_series(11, 20) FROM pg_sleep(1)' || fail "the rows"
}

sql() { # STATEMENT: on the primary
    run members --json || fail "the members"
    local leader
    leader=$(python3 -c '
import json, sys
print(next(m["host"] for m in json.load(open(sys.argv[1]))["members"] if m["role"] == "primary"))' "$here/last")
    on "$leader" "docker exec -i patroni psql -X -A -t -q -U kb_admin -d postgres" <<<"$1"
}

is() { # POINT ROWS
    [[ $(sql 'SELECT count(*) FROM sweep') == "$2" ]] || fail "$1: not $2 rows"
    run plan --detailed-exitcode || fail "$1: the plan is not empty"
}

# Run again until it is done.
again() { # POINT COMMAND...
    local at=$1 tries
    shift
    for tries in 1 2 3; do
        run "$@" && return
        grep -q 'there is no restore of' "$here/last.err" && return   # it was killed after its last step
    done
    fail "$at: $* fails again and again"
}

# How far the members are: what tells that a killed run got further than the one before.
journals() { for host in "${hosts[@]}"; do on "$host" 'cat /var/lib/kbr/restore-* 2>/dev/null'; done; }
progress() {
    local host
    for host in "${hosts[@]}"; do
        on "$host" 'ls -A /opt/keybuzz /opt/keybuzz/postgres/data 2>/dev/null; docker ps -a --format "{{.Names}} {{.State}}" | sort
            find /var/lib/kbr -type f -path "*records*" -exec cksum {} + | sort'
    done
}

# Kills a command again and again until it ends by itself: each time at the same remote step as long as that brings something about, else
# one step further; and from the first step after the locks when a phase begins.
chain() { # NAME MOMENT COMMAND...
    local name=$1 moment=$2 ahead=1 kills=0 phase= last= now at
    shift 2
    while ((kills < 300)); do
        at=$moment:$((3 + ahead))
        [[ $moment != during ]] || at=$at:$(((kills * 37 + seed) % 400))
        killed "$at" "$@" || break
        kills=$((kills + 1))
        sed -n "s/^killed /$name: killed /p" "$here/last.err"
        now=$(journals)
        if [[ $now != "$phase" ]]; then
            phase=$now ahead=1
            continue
        fi
        now=$(progress)
        [[ $now != "$last" ]] || ahead=$((ahead + 1))
        last=$now
    done
    ((kills < 300)) || fail "$name $moment: there is no end"
    total=$((total + kills))
    count[$name]=$((${count[$name]:-0} + kills))
    echo "$name: killed $kills times $moment a step, then complete"
}

restore() {
    local some=${1-} n at phase moment total=0 forward back away minutes=${MINUTES:-600} begun=$SECONDS
    local -A count=()
    with_backup
    local to=(restore --to "$time" --open --confirm keybuzz-pg) undo=(restore undo --confirm keybuzz-pg)
    local confirm=(restore confirm --confirm keybuzz-pg)
    forward=$(steps "${to[@]}" | tail -n 1) || exit 1
    is "the restore" 10
    back=$(steps "${undo[@]}" | tail -n 1) || exit 1
    is "the undo" 20
    run "${to[@]}" || fail "the restore"
    # Its rows are those of the database that is restored, so the next restore is the same.
    sql 'INSERT INTO sweep SELECT generate_series(11, 20)' || fail "the rows"
    away=$(steps "${confirm[@]}" | tail -n 1) || exit 1
    is "the confirmation" 20
    echo "restore $forward, undo $back, confirm $away remote steps"

    # Every step of each command, killed after and in the middle of each in turn.
    for moment in ${MOMENTS:-after during}; do
        chain restore $moment "${to[@]}"
        is "restore, killed $moment each step" 10
        chain undo $moment "${undo[@]}"
        is "undo, killed $moment each step" 20
        clean "undo, killed $moment each step"
        run "${to[@]}" || fail "the restore"
        sql 'INSERT INTO sweep SELECT generate_series(11, 20)' || fail "the rows"
        chain confirm $moment "${confirm[@]}"
        is "confirm, killed $moment each step" 20
        clean "confirm, killed $moment each step"
    done

    # One kill, and one run that goes on.
    for phase in "restore $forward" "undo $back"; do
        for ((n = 1; n <= ${phase#* }; n++)); do
            for at in "before:$n" "during:$n:$(((n * 37 + seed) % 400))" "after:$n"; do echo "$at ${phase% *}"; done
        done
    done | awk -v s="$seed" 'BEGIN { srand(s) } { print rand(), $0 }' | sort -n | cut -d' ' -f2- |
        if [[ -n $some ]]; then head -n "$some"; else cat; fi >"$here/mine"
    while read -r at phase <&3; do
        ((SECONDS - begun < minutes * 60)) || { echo "the time is over"; break; }
        if [[ $phase == restore ]]; then
            killed "$at" "${to[@]}" || echo "restore $at: there is no such step"
            again "$at" "${to[@]}"
            is "restore $at" 10
            again "$at" "${undo[@]}"
        else
            run "${to[@]}" || fail "the restore"
            killed "$at" "${undo[@]}" || echo "undo $at: there is no such step"
            again "$at" "${undo[@]}"
        fi
        is "$phase $at" 20
        clean "$phase $at"
        total=$((total + 1))
        count[$phase]=$((${count[$phase]:-0} + 1))
        echo "$phase killed $at: converged"
    done 3<"$here/mine"
    echo "kill sweep: $total kill points tried, $total converged" \
        "($(for phase in "${!count[@]}"; do echo "$phase ${count[$phase]}"; done | paste -sd, | sed 's/,/, /g'); seed $seed)"
}

case ${1-} in
restore) restore "${2-}" ;;
raw) raw "${2-}" ;;
ha) ha ;;
*) sed -n '2,16p' "$0"; exit 1 ;;
esac
