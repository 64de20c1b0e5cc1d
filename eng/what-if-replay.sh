#!/usr/bin/env bash
# Replays failures of `kbr plan --what-if` on the lab: makes the members of the cluster anew, throws one failure in at one step, and
# compares what the plan said with what happened.
#
#   eng/what-if-replay.sh [--seed N] [COUNT]    5 pairs of step and failure by default; prints each, and the sum
#
# On the lab that KBR_LAB names, which has to be up; installs the cluster where it is missing. KBR_TOOL names another kbr than ./kbr.
# Needs psql on this machine. A pair takes one to three minutes. Exit 1 when something happened that was worse than what was said.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
seed=$RANDOM
if [[ ${1-} == --seed ]]; then seed=$2; shift 2; fi
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
ln -s "$root/lab${KBR_LAB:+/$KBR_LAB}/.state" "$here/.state"
cp "$root/lab${KBR_LAB:+/$KBR_LAB}/cluster-ha.yaml" "$here/cluster.yaml"
if [[ ${SYNCHRONOUS-} ]]; then sed -i 's/^postgres:$/postgres:\n  synchronous: true/' "$here/cluster.yaml"; fi
mkdir "$here/credentials"
(umask 077 && printf '%s\n' KBR_KEY=replay >"$here/credentials/ha.env")
cat >"$here/replay.py" <<'END'
import json, os, random, re, subprocess, sys, threading, time

root, here, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
kbr = os.environ.get("KBR_TOOL") or root + "/kbr"
lab = root + "/lab/"
choice = random.Random(seed)
SLACK, QUIET = 6, 6  # what a slow machine adds; the gap of writes that go on


def run(*words, timeout=600, check=True):
    done = subprocess.run(words, cwd=here, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        sys.exit(f"FAILED (seed {seed}): {' '.join(words)}\n" + "\n".join((done.stdout + done.stderr).splitlines()[-30:]))
    return done


def converge():
    for _ in range(6):
        if run(kbr, "apply", "--auto-approve", timeout=900, check=False).returncode == 0:
            return
        time.sleep(5)
    run(kbr, "apply", "--auto-approve", timeout=900)


# A numbered row each tenth of a second through the load balancer, each in a session of its own. A number is never tried twice.
class Writer(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.acknowledged, self.ended = [], threading.Event()

    def run(self):
        number = int(sql("SELECT coalesce(max(number), 0) FROM replay"))
        while not self.ended.is_set():
            number += 1
            done = sql(f"INSERT INTO replay VALUES ({number}) RETURNING number", quiet=True)
            if done == str(number):
                self.acknowledged.append((time.monotonic(), number))
            self.ended.wait(0.1)


def sql(text, quiet=False):
    try:
        done = subprocess.run(
            ["timeout", "5", "psql", "-X", "-A", "-t", "-q", "-c", text], env=login, capture_output=True, text=True, timeout=8
        )
        if done.returncode == 0 or quiet:
            return done.stdout.strip()
    except subprocess.TimeoutExpired:
        if quiet:
            return ""
    sys.exit(f"FAILED (seed {seed}): {text}: {done.stderr}")


def make(failure, host, process):
    if failure in ("member", "proxy"):
        run(lab + "off", "--crash", host)
        return lambda: run(lab + "on", host, check=False)
    if failure == "network_cut":
        run(lab + "cut", host, "--peers")
        return lambda: run(lab + "heal", host)
    if failure == "store_member":
        port = ("-p", "tcp", "-m", "multiport", "--ports", "7000", "-j", "DROP")
        for chain in ("INPUT", "OUTPUT"):
            run(lab + "ssh", host, "iptables", "-w", "-I", chain, *port)
        return lambda: [run(lab + "ssh", host, "iptables", "-w", "-D", chain, *port, check=False) for chain in ("INPUT", "OUTPUT")]
    process.kill()
    return lambda: None


run(kbr, "init", "--credentials")
converge()
secrets = dict(line.split("=", 1) for line in open(here + "/credentials/ha.env").read().splitlines() if "=" in line and line[0] != "#")
network = re.search(r"db-master-01: .*ssh: \{ host: (127\.0\.\d+\.)", open(here + "/cluster.yaml").read()).group(1)
login = dict(
    os.environ, PGHOST=network + "10", PGPORT="5432", PGUSER="kb_app", PGDATABASE="keybuzz", PGCONNECT_TIMEOUT="3",
    PGPASSWORD=secrets["POSTGRES_APP_PASS"], PGSSLMODE="prefer",
)
shown = run(kbr, "connect", "--print", check=False).stdout
if found := re.search(r"dbname=(\S+) user=(\S+)", shown):
    login["PGDATABASE"], login["PGUSER"] = found.group(1), found.group(2)
sql("CREATE TABLE IF NOT EXISTS replay (number bigint PRIMARY KEY)")

replace = [word for name in ("db-master-01", "db-slave-01", "db-slave-02") for word in ("--replace", "container.patroni@" + name)]
good = worse = led = 0
for tried in range(1, count + 1):
    plan = json.loads(run(kbr, "plan", "--json", *replace).stdout.splitlines()[0])
    steps = next(group["rollout"] for group in plan["groups"] if group["rollout"])["steps"]
    pairs = [(number + 1, failure) for number, step in enumerate(steps) for failure in step["what_if"]]
    number, said = pairs[choice.randrange(len(pairs))]
    step, delay = steps[number - 1], choice.random() * 3
    name = f"step {number} ({step['kind']} {' '.join(step['hosts'])}), {said['failure']} {said['host']}".rstrip()
    writer = Writer()
    writer.start()
    process = subprocess.Popen(
        [kbr, "apply", "--auto-approve", "--json", *replace], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    begun = False
    for line in process.stdout:
        if line.startswith("{") and (event := json.loads(line)).get("event") == "step" and event.get("step") == number:
            begun = True
            break
    if not begun:
        sys.exit(f"FAILED (seed {seed}): the apply had no step {number}")
    drain = threading.Thread(target=process.stdout.read, daemon=True)
    drain.start()
    time.sleep(delay)
    failed = time.monotonic()
    heal = make(said["failure"], said["host"], process)
    # Longer than writes may stop by what was said. Where they stop until something is back, none comes back meanwhile.
    stop = said["without_writes_seconds"]
    time.sleep(30 if stop is None else max(stop, QUIET) + SLACK + 15)
    healed = time.monotonic()
    members = run(kbr, "members", "--json", check=False).stdout
    heal()
    leader = next((one["host"] for one in json.loads(members.splitlines()[0])["members"] if one["role"] == "primary"), None) if members else None
    try:
        process.wait(timeout=420)
    except subprocess.TimeoutExpired:
        process.kill()
    converge()
    time.sleep(2)
    writer.ended.set()
    writer.join(15)
    times = [at for at, _ in writer.acknowledged]
    during = [failed] + [at for at in times if failed <= at <= healed] + [healed]
    gap = max(after - before for before, after in zip(during, during[1:]))
    returned = any(healed - 5 <= at <= healed for at in times)
    there = set(sql("SELECT number FROM replay").split())
    lost = sum(1 for _, one in writer.acknowledged if str(one) not in there)
    faults = []
    if lost and said["cost"] != "loss":
        faults.append(f"{lost} rows lost")
    if stop is not None and gap > max(stop, QUIET) + SLACK:
        faults.append(f"{gap:.0f} s without writes")
    if said["cost"] in ("none", "gap") and not returned:
        faults.append("writes did not come back")
    good, worse, led = good + (not faults), worse + bool(faults), led + (leader in said["primaries"])
    print(
        f"{tried} of {count}: {name} after {delay:.1f} s: said {said['cost']}, "
        f"{'until something is back' if stop is None else f'{stop:.0f} s'}, primary {' or '.join(said['primaries']) or 'none'}; "
        f"happened {gap:.1f} s, {'back' if returned else 'not back'}, primary {leader}, {lost} of {len(times)} rows lost: "
        f"{'WORSE: ' + ', '.join(faults) if faults else 'as said, or better'}",
        flush=True,
    )
print(f"what-if replay: {good} of {count} as said or better, {worse} worse; {led} with a primary that was said (seed {seed})")
sys.exit(1 if worse else 0)
END
python3 "$here/replay.py" "$root" "$here" "$seed" "${1:-5}"
