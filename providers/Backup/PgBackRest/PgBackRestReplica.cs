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
            """Restores the last backup of the present database beside --datadir, fetches the WAL after it, so that the replica streams from
            the primary only what is not archived, and gives it its name last: Patroni takes a directory of that name for a replica. Asks
            the primary, by --connstring, for its timelines. Ends with status 1 where that costs more than a copy of the primary, or is
            not possible: Patroni makes one then."""
            import json
            import os
            import shutil
            import signal
            import subprocess
            import sys

            TOOL = ["pgbackrest", "--config={{location.File}}", "--stanza={{location.Cluster}}", "--log-level-stderr=error"]
            REPOSITORIES = range(1, {{repositories + 1}})
            SEGMENT = 1 << 24
            # A small database is copied as fast, but there the WAL is little, too.
            LEAST = 1 << 30
            # Of a question, or of one segment; a restore takes as long as it takes.
            SECONDS = 120
            # What the primary writes meanwhile is fetched, too, unless it writes as fast as this fetches.
            ROUNDS = 20
            OPTIONS = dict(word[2:].split("=", 1) for word in sys.argv[1:] if word.startswith("--") and "=" in word)
            DATA = OPTIONS["datadir"].rstrip("/")
            NEW = DATA + ".kbr-replica"


            {{TimelineHistoryPython.Text}}


            def discard():
                """Removes what a run that was broken off has restored. In the place of a tablespace only PostgreSQL's directory of this
                version, which was not there before, or the tool would have refused to restore."""
                links = NEW + "/pg_tblspc"
                version = open(NEW + "/PG_VERSION").read().strip() if os.path.isfile(NEW + "/PG_VERSION") else ""
                for name in os.listdir(links) if version and os.path.isdir(links) else []:
                    place = os.path.realpath(links + "/" + name)
                    for one in os.listdir(place) if os.path.isdir(place) else []:
                        if one.startswith("PG_%s_" % version):
                            shutil.rmtree(place + "/" + one, ignore_errors=True)
                shutil.rmtree(NEW, ignore_errors=True)


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
                return ended([*TOOL, "--pg1-path=" + NEW, "archive-get", name, NEW + "/pg_wal/" + name], SECONDS).returncode == 0


            class Present:
                """The present database, as the primary has it now."""

                def __init__(self):
                    self.identifier, timeline, written = primary("IDENTIFY_SYSTEM").strip().split("|")[:3]
                    self.timeline, self.last = int(timeline), position(written) // SEGMENT
                    self.history = primary("TIMELINE_HISTORY %d" % self.timeline).split("|", 1)[1] if self.timeline > 1 else ""
                    self.ends = ends_of(self.history)

                def has(self, backup):
                    return is_of(backup, self.timeline, self.ends)

                def name(self, segment):
                    """A segment's file."""
                    return "%08X%08X%08X" % (timeline_at(segment, self.timeline, self.ends), segment // 256, segment % 256)


            def ask():
                return json.loads(run([*TOOL, "--io-timeout=10", "--output=json", "info"]), strict=False)[0]


            def choose(present):
                stanza = ask()
                for key in REPOSITORIES:
                    databases = [one for one in stanza["db"] if one["repo-key"] == key]
                    database = max(databases, key=lambda one: one["id"], default=None)
                    if database is None or str(database["system-id"]) != present.identifier:
                        continue
                    its = {"id": database["id"], "repo-key": key}
                    good = [one for one in stanza.get("backup", []) if one["database"] == its and not one.get("error")]
                    base = max(filter(present.has, good), key=lambda one: one["timestamp"]["stop"], default=None)
                    if base is not None:
                        return key, base
                give_up("none holds a backup of the present database")


            def is_archived_beyond(present, segment):
                """Whether a repository has that segment of this database or a later one: then it is missing, and not late."""
                stanza = ask()
                databases = [one for one in stanza["db"] if str(one["system-id"]) == present.identifier]
                own = [{"id": one["id"], "repo-key": one["repo-key"]} for one in databases]
                return any(one["max"] >= segment for one in stanza.get("archive", []) if one.get("max") and one["database"] in own)


            def fetch_histories(present, before):
                """The histories of the timelines after that one; PostgreSQL looks for them in turn, and stops where one is missing."""
                if present.history:
                    with open(NEW + "/pg_wal/%08X.history" % present.timeline, "w", encoding="utf-8") as file:
                        file.write(present.history)
                for between in range(before + 1, present.timeline):
                    if not os.path.exists(NEW + "/pg_wal/%08X.history" % between) and not fetch("%08X.history" % between):
                        give_up("the history of timeline %d is missing" % between)


            def take_writes():
                """A backup that was taken while a restore refused writes would refuse them again once the replica is promoted."""
                path = NEW + "/postgresql.auto.conf"
                lines = open(path, "rb").readlines() if os.path.isfile(path) else []
                kept = [line for line in lines if line.split(b"=")[0].strip() != b"default_transaction_read_only"]
                if kept != lines:
                    with open(path, "wb") as file:
                        file.writelines(kept)


            def keep():
                """On the disk before it has its name."""
                for directory in (NEW + "/pg_wal", NEW):
                    for path in [one.path for one in os.scandir(directory) if one.is_file()] + [directory]:
                        file = os.open(path, os.O_RDONLY)
                        os.fsync(file)
                        os.close(file)
                # Over an empty directory this is allowed, and over no other.
                os.rename(NEW, DATA)


            def main():
                present = Present()
                repository, backup = choose(present)
                at = number(backup["archive"]["start"])
                wal, size = (present.last - at + 1) * SEGMENT, backup["info"]["size"]
                if wal > max(size, LEAST):
                    give_up("%d bytes of WAL after the backup are more than its %d bytes" % (wal, size))
                os.makedirs(NEW, 0o700)
                if shutil.disk_usage(NEW).free < size + wal:
                    give_up("%d bytes are needed, and %d are free" % (size + wal, shutil.disk_usage(NEW).free))
                print("restoring %s from repository %d" % (backup["label"], repository), flush=True)
                run([*TOOL, "--repo=%d" % repository, "--set=" + backup["label"], "--type=none", "--pg1-path=" + NEW, "restore"], None)
                for _ in range(ROUNDS):
                    # The primary has gone on, perhaps as another server, and may keep only what is not archived.
                    before, present = present, Present()
                    if not present.has(backup):
                        give_up("the database was replaced meanwhile")
                    # Of a new timeline the segment in which it begins is another one.
                    at = min([at] + [end // SEGMENT for own, end in present.ends.items() if own >= before.timeline])
                    begun = at
                    fetch_histories(present, int(backup["archive"]["stop"][:8], 16))
                    while at < present.last and fetch(present.name(at)):
                        at += 1
                    if at < present.last and is_archived_beyond(present, present.name(at)):
                        # It may have been archived since.
                        if not fetch(present.name(at)):
                            give_up("segment " + present.name(at) + " is missing")
                        at += 1
                    elif at == begun or at < present.last:
                        break
                take_writes()
                keep()
                print("restored %s, with WAL up to segment %s" % (backup["label"], present.name(at)), flush=True)


            signal.signal(signal.SIGTERM, lambda *_: sys.exit("it was stopped"))
            discard()
            try:
                main()
            except SystemExit:
                discard()
                raise
            except Exception as error:
                discard()
                sys.exit("%s: %s" % (type(error).__name__, error))

            """"
        );
}
