#!/usr/bin/env python3
"""The table of eng/bench.sh --planner: CPU and memory of a no-op plan and of validate, beside their limits. Exit 1 above one of them."""

import json, math, os, statistics, subprocess, sys, tempfile

bench, kbr, rounds = sys.argv[1], sys.argv[2], int(os.environ.get("ROUNDS", 3))
SIZES = (1_000, 10_000, 100_000)
PLAN_SECONDS, PLAN_MEGABYTES, VALIDATE_SECONDS, LINEAR = 3.0, 512, 0.5, 1.15
SECRETS = {"KBR_KEY": "0123456789abcdef0123456789abcdef", "APP_PASSWORD": "bench-password"}
above = []


def run(*command):
    """Output, CPU seconds and peak memory in MB of a command."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **SECRETS})
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)}: status {status}")
    return output, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def beside(value, limit, form):
    """A figure with its limit, noted when it is above."""
    if value > limit:
        above.append(f"{value:{form}} is above {limit}")
    return f"{value:{form}} (at most {limit})"


with tempfile.TemporaryDirectory() as folder:
    file = os.path.join(folder, "cluster.yaml")
    print("| no-op plan of | start | load, with graph | graph | hosts' answers | records | planner | plan, CPU s | whole run, CPU s | MB | exponent |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    before = None
    for size in SIZES:
        run(bench, "write", file, str(size), "by-role")
        run(bench, "record", file)
        taken = [run(bench, "plan", file) for _ in range(rounds)]
        parts = [json.loads(output) for output, _, _ in taken]
        part = {name: statistics.median_low(one[name] for one in parts) for name in parts[0]}
        cpu, memory = (statistics.median(one[index] for one in taken) for index in (1, 2))
        # The limit is that of the plan: reading cluster.yaml has its own below, and a probe's answer is made here and not parsed.
        graph = statistics.median(float(run(bench, "graph", file)[0]) for _ in range(rounds))
        plan = graph + statistics.median(one["survey"] + one["plan"] for one in parts)
        exponent = None if before is None else math.log10(plan / before)
        before = plan
        last = size == SIZES[-1]
        print(
            f"| {size:,} | {part['start']:.2f} | {part['load']:.2f} | {graph:.2f} | {part['answers']:.2f} | {part['survey']:.2f} | {part['plan']:.2f} "
            f"| {beside(plan, PLAN_SECONDS, '.2f') if last else f'{plan:.2f}'} | {cpu:.2f} "
            f"| {beside(memory, PLAN_MEGABYTES, '.0f') if last else f'{memory:.0f}'} "
            f"| {'' if exponent is None else beside(exponent, LINEAR, '.2f')} |"
        )

    print("\n| kbr validate of | MiB | CPU s | MB |\n| --- | --- | --- | --- |")
    for size in SIZES:
        run(bench, "write", file, str(size), "one-by-one")
        taken = [run(kbr, "validate", "-c", file) for _ in range(rounds)]
        cpu, memory = (statistics.median(one[index] for one in taken) for index in (1, 2))
        shown = beside(cpu, VALIDATE_SECONDS, ".2f") if size == 10_000 else f"{cpu:.2f}"
        print(f"| {size:,} | {os.path.getsize(file) / 2**20:.1f} | {shown} | {memory:.0f} |")

for one in above:
    print(f"above its limit: {one}", file=sys.stderr)
sys.exit(1 if above else 0)
