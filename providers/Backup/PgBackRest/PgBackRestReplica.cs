using System.Globalization;

namespace KeyBuzz.Reconciler.Providers.Backup.PgBackRest;

/// <summary>The program by which Patroni makes a replica from a repository, in the Python that its image has.</summary>
internal static class PgBackRestReplica
{
    /// <summary>The program of a member.</summary>
    public static string Render(BackupLocation location, int repositories) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $$""""
            #!/usr/bin/env python3
            # Written by kbr; a change by hand is drift.
            """Restores the last backup of the present database into --datadir, and fetches the WAL after it, so that the replica streams
            from the primary only what is not archived. Asks the primary, by --connstring, for its timelines. Ends with status 1 where that
            costs more than a copy of the primary, or is not possible: Patroni makes one then."""
            import json
            import os
            import re
            import shutil
            import subprocess
            import sys

            TOOL = ["pgbackrest", "--config={{location.File}}", "--stanza={{location.Cluster}}", "--log-level-stderr=error"]
            REPOSITORIES = range(1, {{repositories + 1}})
            SEGMENT = 1 << 24
            # A small database is copied as fast, but there the WAL is little, too.
            LEAST = 1 << 30
            # Of a question, or of one segment; a restore takes as long as it takes.
            SECONDS = 120
            OPTIONS = dict(word[2:].split("=", 1) for word in sys.argv[1:] if word.startswith("--") and "=" in word)
            DATA = OPTIONS["datadir"]


            def give_up(why):
                print("no replica from a repository: " + why, flush=True)
                sys.exit(1)


            def ended(command, seconds):
                # A file system whose server is gone holds a process until it is killed.
                try:
                    return subprocess.run(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                        text=True,
                        errors="replace",
                        timeout=seconds,
                    )
                except subprocess.TimeoutExpired:
                    give_up("%s did not end within %d s" % (command[0], seconds))


            def run(command, seconds=SECONDS):
                done = ended(command, seconds)
                if done.returncode != 0:
                    lines = [line for line in done.stdout.splitlines() if "ERROR: " in line] or done.stdout.splitlines() or ["no answer"]
                    give_up(lines[0].split("ERROR: ", 1)[-1])
                return done.stdout


            def primary(command):
                return run(["psql", "-X", "-A", "-t", "-w", "-c", command, OPTIONS["connstring"] + " replication=true"])


            def fetch(name):
                return ended([*TOOL, "archive-get", name, DATA + "/pg_wal/" + name], SECONDS).returncode


            def position(lsn):
                return (int(lsn.split("/")[0], 16) << 32) + int(lsn.split("/")[1], 16)


            def number(segment):
                return int(segment[8:16], 16) * 256 + int(segment[16:24], 16)


            identifier, timeline, written = primary("IDENTIFY_SYSTEM").strip().split("|")[:3]
            timeline = int(timeline)
            history = primary("TIMELINE_HISTORY %d" % timeline).split("|", 1)[1] if timeline > 1 else ""
            ends = {int(one): position(end) for one, end in re.findall(r"^\s*(\d+)\s+([0-9A-Fa-f]+/[0-9A-Fa-f]+)", history, re.MULTILINE)}
            chain = sorted(ends) + [timeline]


            def owner(segment):
                """The timeline that a segment's file is of."""
                fit = [own for before, own in zip(chain, chain[1:]) if ends[before] // SEGMENT <= segment]
                return fit[-1] if fit else chain[0]


            def is_ours(one):
                own = int(one["archive"]["stop"][:8], 16)
                return own == timeline or (own in ends and position(one["lsn"]["stop"]) <= ends[own])


            def choose():
                stanza = json.loads(run([*TOOL, "--io-timeout=10", "--output=json", "info"]), strict=False)[0]
                for key in REPOSITORIES:
                    databases = [one for one in stanza["db"] if one["repo-key"] == key]
                    database = max(databases, key=lambda one: one["id"], default=None)
                    if database is None or str(database["system-id"]) != identifier:
                        continue
                    good = [one for one in stanza.get("backup", []) if one["database"] == {"id": database["id"], "repo-key": key} and not one.get("error")]
                    base = max(filter(is_ours, good), key=lambda one: one["timestamp"]["stop"], default=None)
                    if base is not None:
                        return key, base
                give_up("none holds a backup of the present database")


            repository, backup = choose()
            first, last = number(backup["archive"]["start"]), position(written) // SEGMENT
            wal, size = (last - first + 1) * SEGMENT, backup["info"]["size"]
            if wal > max(size, LEAST):
                give_up("%d bytes of WAL after the backup are more than its %d bytes" % (wal, size))
            os.makedirs(DATA, 0o700, exist_ok=True)
            if shutil.disk_usage(DATA).free < size + wal:
                give_up("%d bytes are needed, and %d are free" % (size + wal, shutil.disk_usage(DATA).free))
            print("restoring %s from repository %d" % (backup["label"], repository), flush=True)
            run([*TOOL, "--repo=%d" % repository, "--set=" + backup["label"], "--type=none", "--pg1-path=" + DATA, "restore"], None)
            if history:
                with open(DATA + "/pg_wal/%08X.history" % timeline, "w", encoding="utf-8") as file:
                    file.write(history)
            # PostgreSQL looks for the newest timeline one by one, and stops where a history is missing.
            for between in range(int(backup["archive"]["stop"][:8], 16) + 1, timeline):
                if fetch("%08X.history" % between) != 0:
                    give_up("the history of timeline %d is missing" % between)
            # The last one may not be archived yet; the primary has it, and streams it.
            for segment in range(first, last):
                name = "%08X%08X%08X" % (owner(segment), segment // 256, segment % 256)
                if fetch(name) != 0:
                    # Of the last ones archiving may be on its way.
                    if segment < last - 2:
                        give_up("segment " + name + " is missing")
                    break
            print("restored %s, with WAL up to the primary's" % backup["label"], flush=True)

            """"
        );
}
