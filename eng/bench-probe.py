#!/usr/bin/env python3
"""The probe of kbr as it stands against the one of another commit, on the hosts of the lab's PostgreSQL cluster: eng/bench-probe.py COMMIT [ROUNDS].

Needs a lab with lab/cluster-ha.yaml applied (KBR_LAB names it) and a quiet machine. Rounds alternate; `true` is a script that does nothing and is
subtracted. CPU is that of the host and of the containers on it, wall the time until the script has answered."""

import os, statistics, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOSTS = ("db-master-01", "db-slave-01", "haproxy-01")
SECONDS = 1.2  # of one measurement, so that each holds as much of what the host does anyway


def build(folder):
    command = ["dotnet", "build", "src/kbr", "-c", "Release", "--nologo", "-v", "quiet", "-p:RunAnalyzers=false"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return os.path.join(folder, "artifacts/bin/kbr/release/kbr")


def main(commit, rounds):
    lab = os.environ.get("KBR_LAB", "")
    file = os.path.join(ROOT, "lab", lab, "cluster-ha.yaml")
    prefix, group = (f"{lab}-", f"kbr-lab-{lab}") if lab else ("", "kbr-lab")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
        subprocess.run(["git", "-C", folder, "checkout", "-q", commit], check=True)
        programs = {commit: build(folder), "now": build(ROOT)}
        print("| host | probe | wall, ms | CPU, ms |\n| --- | --- | --- | --- |")
        for host in HOSTS:
            container = f"{prefix}{host}"
            scripts = {
                name: subprocess.run([program, "plan", "--print-probe", host, "-c", file], check=True, capture_output=True).stdout
                for name, program in programs.items()
            }
            scripts["true"] = b"true\n"
            identity = subprocess.check_output(["docker", "inspect", "-f", "{{.Id}}", container], text=True).strip()
            usage = [f"/sys/fs/cgroup/cpuacct/{place}/cpuacct.usage" for place in (f"docker/{identity}", f"{group}/{host}")]

            def cpu():
                return sum(int(open(path).read()) for path in usage) / 1e6

            def once(script):
                before, begun = cpu(), time.monotonic()
                subprocess.run(["docker", "exec", "-i", container, "sh", "-s"], input=script, check=True, capture_output=True)
                wall = time.monotonic() - begun
                time.sleep(max(0.0, SECONDS - wall))
                return wall * 1000, cpu() - before

            taken = {name: [] for name in scripts}
            for _ in range(rounds):
                for name, script in scripts.items():
                    taken[name].append(once(script))
            middle = {name: [statistics.median(one[part] for one in all_of) for part in (0, 1)] for name, all_of in taken.items()}
            wall, used = ({name: middle[name][part] - middle["true"][part] for name in programs} for part in (0, 1))
            print(f"| {host} | {commit} | {wall[commit]:.0f} | {used[commit]:.0f} |")
            print(f"| {host} | now | {wall['now']:.0f} ({wall['now'] / wall[commit] - 1:+.0%}) | {used['now']:.0f} ({used['now'] / used[commit] - 1:+.0%}) |")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 9)
