#!/usr/bin/env python3
"""Sets parameters of PostgreSQL with kbr on the lab of KBR_LAB, where the cluster of lab/cluster-ha.yaml has to run.

    eng/parameter-sweep.py every            # every parameter that PostgreSQL lets a file set, each at another value
    eng/parameter-sweep.py sets [SOURCE]    # the sets of tests/unit/PostgresHa/public-parameter-sets.yaml, or those whose source has SOURCE in it

A set holds when `kbr apply` ends with 0 and the plan after it is empty. A parameter that kbr refuses by its name, before
anything is stored, is taken out of the set, and the set is tried again. In the end everything is taken out of the file
and the plan has to be empty once more. Prints a Markdown table; exit 1 when a set did not hold.
"""
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAB = os.environ.get("KBR_LAB", "")
FOLDER = os.path.join(ROOT, "lab", LAB)
SETS = os.path.join(ROOT, "tests/unit/PostgresHa/public-parameter-sets.yaml")
BATCH = 40

# What every machine and every build of PostgreSQL has another word for: a value by hand. None leaves the parameter out.
BY_HAND = {
    "jit_above_cost": None,                     # every query would be compiled: two cores are not enough for the rest
    "default_transaction_read_only": None,      # no application could write
    "bonjour": None,                            # not in the image's build
    "min_dynamic_shared_memory": "16MB", "recovery_min_apply_delay": "50ms",
    "restart_after_crash": "off",
    "archive_command": "test ! -f /tmp/%f", "archive_cleanup_command": None, "restore_command": None,
    "client_encoding": "LATIN1", "datestyle": "iso, dmy", "default_tablespace": "pg_default", "default_text_search_config": "pg_catalog.german",
    "intervalstyle": "iso_8601", "lc_messages": "C.UTF-8", "lc_monetary": "C.UTF-8", "lc_numeric": "C.UTF-8", "lc_time": "C.UTF-8",
    "local_preload_libraries": "", "log_line_prefix": "%m [%p] %q%u@%d ", "log_timezone": "utc", "timezone": "Europe/Paris", "search_path": "\"$user\", public, pg_temp",
    "session_preload_libraries": "auto_explain", "shared_preload_libraries": "pg_stat_statements, auto_explain", "temp_tablespaces": "",
    "timezone_abbreviations": "India", "createrole_self_grant": "set, inherit", "log_destination": "stderr", "max_stack_depth": "3MB",
    "default_table_access_method": "heap", "wal_consistency_checking": "heap, btree", "restrict_nonsystem_relation_kind": "view",
    "huge_page_size": None, "client_connection_check_interval": "10s", "application_name": "swept", "backtrace_functions": "", "event_source": "swept",
    "unix_socket_group": "", "unix_socket_permissions": "0770", "log_file_mode": "0640", "syslog_ident": "swept",
}


class Trial:
    """A set of parameters on its way into the cluster."""

    def __init__(self, name, parameters):
        self.name, self.parameters, self.refused, self.seconds, self.verdict = name, dict(parameters), {}, 0.0, ""

    def run(self):
        begun = time.monotonic()
        while not self.verdict:
            self.step()
        self.seconds = time.monotonic() - begun

    def step(self):
        lines = write(self.parameters)
        problems = diagnostics(kbr("validate", "--json"))
        named = {lines[one["line"]]: text(one) for one in problems if one["severity"] == "error" and one["line"] in lines}
        if named:
            return self.refuse(named, "validate")
        if any(one["severity"] == "error" for one in problems):
            self.verdict = "validate: " + "; ".join(map(text, problems))
            return None
        applied = kbr("apply", "--auto-approve", "--json")
        if applied.returncode:
            said = "\n".join([text(one) for one in diagnostics(applied)] + list(reasons(applied)))
            keys = {key for key in re.findall(r"postgresql\.parameters\.([a-z0-9_.]+)(?:, [a-z0-9_., ]+)?: PostgreSQL on", said)}
            # Of TLS without its files nothing is left.
            named = {name: "; ".join(reasons(applied)) for name in self.parameters
                     if name in keys or (name.startswith("ssl") and any(key.startswith("ssl") for key in keys))}
            if named and "nothing was stored" in said:
                return self.refuse(named, "apply")
            self.verdict = "apply ended with %d: %s" % (applied.returncode, "; ".join(reasons(applied)) or said[-500:])
            return None
        planned = kbr("plan", "--detailed-exitcode")
        self.verdict = "empty" if planned.returncode == 0 else "the second plan is not empty: " + planned.stdout[-1500:]
        return None

    def refuse(self, named, by):
        for name, why in named.items():
            self.refused[name] = "%s: %s" % (by, why.splitlines()[0])
            del self.parameters[name]


def text(diagnostic):
    return " ".join(filter(None, (diagnostic["summary"], diagnostic["detail"], diagnostic["remedy"])))


def kbr(*arguments):
    return subprocess.run([os.path.join(ROOT, "kbr"), *arguments, "-c", os.path.join(FOLDER, "cluster-sweep.yaml")], capture_output=True, text=True, cwd=ROOT, timeout=1800)


def diagnostics(outcome):
    documents = [json.loads(line) for line in outcome.stdout.splitlines() if line.startswith("{")]
    return [one for document in documents for one in document.get("diagnostics") or []]


def reasons(outcome):
    """Why changes failed, and which lines of the checklist do not hold."""
    documents = [json.loads(line) for line in outcome.stdout.splitlines() if line.startswith("{")]
    for one in documents:
        if one.get("event") == "failed":
            yield "%s: %s" % (one["address"], one["reason"])
        for item in one.get("items") or []:
            if item.get("verdict") != "ok":
                yield "%s: %s" % (item["name"], item["measured"])


def write(parameters):
    """Writes the cluster file with the parameters in place of its own, and returns which line has which."""
    lines, own, where = open(os.path.join(FOLDER, "cluster-ha.yaml"), encoding="utf-8").read().splitlines(), False, {}
    out = []
    for line in lines:
        if line == "  parameters:":
            own = True
            if parameters:
                out.append(line)
                for name, value in parameters.items():
                    out.append("    %s: %s" % (name, json.dumps(value) if isinstance(value, str) else plain(value)))
                    where[len(out)] = name
        elif own and line.startswith("    "):
            continue
        else:
            own = False
            out.append(line)
    with open(os.path.join(FOLDER, "cluster-sweep.yaml"), "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")
    return where


def plain(value):
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def every():
    """Batches of every parameter that a file can set, each at another value than the running server's. Without the developer options, which
    PostgreSQL's manual keeps from production: several make a server too slow for Patroni's checks."""
    rows = psql("SELECT name, vartype, coalesce(unit, ''), setting, coalesce(min_val, ''), coalesce(max_val, ''), array_to_string(enumvals, ',') "
                "FROM pg_settings WHERE name NOT LIKE '%.%' AND context <> 'internal' AND category <> 'Developer Options' "
                "ORDER BY context = 'postmaster', name")
    found = {}
    for name, kind, unit, setting, least, most, words in rows:
        value = BY_HAND[name.lower()] if name.lower() in BY_HAND else other(kind, unit, setting, least, most, words.split(","))
        if value is not None:
            found[name] = value
    names = list(found)
    for begin in range(0, len(names), BATCH):
        part = names[begin:begin + BATCH]
        values = {name: found[name] for name in part}
        if any(name.startswith("enable_") for name in part):
            values["jit"] = "off"  # a disabled node costs so much that every query would be compiled
        yield "%s … %s" % (part[0], part[-1]), values


# What takes the place of "off" or "as it comes", by the parameter's unit.
SWITCHED_ON = {"ms": 600_000, "s": 600, "min": 10, "B": 1024, "kB": 1_048_576, "8kB": 64, "MB": 1024, "": 1}


def other(kind, unit, setting, least, most, words):
    if kind == "bool":
        return "off" if setting == "on" else "on"
    if kind == "enum":
        return words[(words.index(setting) + 1) % len(words)] if setting in words else words[0]
    if kind == "integer":
        number = int(setting)
        grown = SWITCHED_ON[unit] if number <= 0 else number + max(1, number // 10)
        # A number without a unit is in the parameter's own: kB, ms, s.
        return min(int(most), max(int(least), grown))
    if kind == "real":
        return min(float(most), max(float(least), float(setting) * 1.25 if float(setting) > 0 else 0.5))
    return None


def psql(sql):
    command = "docker exec -i patroni psql -X -q -A -t -F '\t' -U kb_admin -d keybuzz"
    answer = subprocess.run([os.path.join(ROOT, "lab/ssh"), "db-master-01", command], input=sql, capture_output=True, text=True, check=True, cwd=ROOT)
    return [line.split("\t") for line in answer.stdout.splitlines()]


def sets(wanted):
    import yaml  # python3-yaml; only this mode reads YAML
    with open(SETS, encoding="utf-8") as file:
        for one in yaml.load(file, Loader=yaml.BaseLoader):  # every value as it is spelled
            if wanted in one["source"]:
                yield one["source"], one["parameters"]


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    if mode not in ("every", "sets"):
        sys.exit(__doc__)
    trials = every() if mode == "every" else sets(sys.argv[2] if len(sys.argv) > 2 else "")
    print("| set | set in force | second plan | refused, by whom | s |\n| --- | --- | --- | --- | --- |", flush=True)
    failed = 0
    for name, parameters in [*trials, ("everything taken out again", {})]:
        trial = Trial(name, parameters)
        trial.run()
        failed += trial.verdict != "empty"
        refused = "; ".join("`%s` %s" % pair for pair in trial.refused.items())
        cells = (name, str(len(trial.parameters)), trial.verdict, refused, "%.0f" % trial.seconds)
        print("| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in cells) + " |", flush=True)
    sys.exit(1 if failed else 0)


main()
