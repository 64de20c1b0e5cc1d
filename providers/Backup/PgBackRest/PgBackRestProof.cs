using System.Globalization;

namespace KeyBuzz.Reconciler.Providers.Backup.PgBackRest;

/// <summary>The program that says which member proves the backups and to which second, in the Python that Patroni's image has.</summary>
internal static class PgBackRestProof
{
    private static readonly TimeSpan s_more = TimeSpan.FromMinutes(2);

    /// <summary>The program of a member.</summary>
    public static string Render(
        BackupLocation location,
        int repositories,
        string dataDirectory,
        string members,
        string preferred,
        TimeSpan archiveTimeout
    ) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $$""""
            #!/usr/bin/env python3
            # Written by kbr; a change by hand is drift.
            """member: prints the replica whose turn it is. target LSN: prints the second to restore to, random in the window, as seconds
            since 1970, and the bytes of the largest database of a backup beside it, where every repository has all WAL from then up to the
            segment of that LSN. Exit status 2: nothing can be restored, 3: it is too early; the output is the reason."""
            import json
            import random
            import subprocess
            import sys
            import time
            import urllib.request

            TOOL = ["pgbackrest", "--config={{location.File}}", "--stanza={{location.Cluster}}", "--log-level-stderr=error"]
            REPOSITORIES = range(1, {{repositories + 1}})
            OWN_WAL = "{{dataDirectory}}/pg_wal/"
            MEMBERS = "{{members}}"
            PREFERRED = "{{preferred}}"
            # archive_timeout, a minute of the ledger, and an attempt; 0 where nothing says by when.
            ARCHIVED_AFTER = {{(archiveTimeout == TimeSpan.Zero ? 0 : (long)Math.Ceiling((archiveTimeout + s_more).TotalSeconds))}}
            PAUSE = 5


            def end(code, text):
                print(text)
                sys.exit(code)


            def member():
                with urllib.request.urlopen(MEMBERS, timeout=5) as answer:
                    members = json.load(answer)["members"]
                fit = sorted(one["name"] for one in members if one["role"] != "leader" and one["state"] == "streaming")
                end(0 if fit else 3, (PREFERRED if PREFERRED in fit else fit[0]) if fit else "no replica streams")


            def ask(*arguments):
                return subprocess.run(
                    [*TOOL, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                )


            def run(*arguments):
                done = ask(*arguments)
                if done.returncode != 0:
                    lines = [line for line in done.stdout.splitlines() if "ERROR: " in line] or done.stdout.splitlines() or ["no answer"]
                    end(2, lines[0].split("ERROR: ", 1)[-1])
                return done.stdout


            {{TimelineHistoryPython.Text}}


            def info():
                """The repositories' good backups and archive, by number."""
                stanza = json.loads(run("--io-timeout=10", "--output=json", "info"), strict=False)[0]
                found = {}
                for key in REPOSITORIES:
                    status = next((one["status"] for one in stanza.get("repo", []) if one["key"] == key), {"code": 99, "message": "not in the configuration"})
                    if status["code"] not in (0, 2):
                        end(2, "repository " + str(key) + ": " + status["message"].splitlines()[0])
                    database = max((one["id"] for one in stanza["db"] if one["repo-key"] == key), default=0)
                    its = [one for kind in ("backup", "archive") for one in stanza.get(kind, []) if one["database"] == {"id": database, "repo-key": key}]
                    found[key] = ([one for one in its if "label" in one and not one.get("error")], [one for one in its if "label" not in one and one.get("max")])
                return found


            def timelines(found):
                """The present timeline, and the ends of those before it. A repository that was added since it began does not have them, and
                replication has brought them to this member."""
                newest = max(int(its[0]["max"][:8], 16) for _, its in found.values())
                if newest == 1:
                    return newest, {}
                name = "%08X.history" % newest
                for key, (_, its) in found.items():
                    done = ask("--repo=" + str(key), "repo-get", "archive/{{location.Cluster}}/" + its[0]["id"] + "/" + name)
                    if done.returncode == 0:
                        return newest, ends_of(done.stdout)
                try:
                    with open(OWN_WAL + name) as file:
                        return newest, ends_of(file.read())
                except OSError as error:
                    end(3, "the history of the present timeline is in no repository, and not here: " + str(error))


            def spans(found, newest, ends, last):
                """The seconds up to the last one whose backup is of the present database: a restore may have left one of the database
                that it has replaced, and the tool takes the last backup before a second."""
                stops = sorted({one["timestamp"]["stop"] for good, _ in found.values() for one in good})
                for stop, after in zip(stops, stops[1:] + [last]):
                    bases = [max((one for one in good if one["timestamp"]["stop"] <= stop), key=lambda one: one["timestamp"]["stop"], default=None) for good, _ in found.values()]
                    if all(base is None or is_of(base, newest, ends) for base in bases) and min(after, last) >= stop + 2:
                        yield stop + 2, min(after, last)


            def target(lsn):
                if not ARCHIVED_AFTER:
                    end(3, "archive_timeout is 0: nothing says by when WAL is archived")
                wanted = position(lsn) >> 24
                begun = time.time()
                while True:
                    found = info()
                    late = [key for key, (_, archive) in found.items() if not archive or number(archive[0]["max"]) < wanted]
                    if not late:
                        break
                    if time.time() - begun > ARCHIVED_AFTER:
                        end(2, "repository " + str(late[0]) + " lacks the WAL of " + str(ARCHIVED_AFTER) + " s ago: archiving fails, or archive_command answers without storing")
                    time.sleep(PAUSE)
                backups = [one for good, _ in found.values() for one in good]
                if not backups:
                    end(3, "there is no backup")
                last = int(begun) - ARCHIVED_AFTER
                newest, ends = timelines(found)
                fit = list(spans(found, newest, ends, last))
                if not fit:
                    just = last < min(one["timestamp"]["stop"] for one in backups) + 2
                    end(3, "the first backup has just ended" if just else "every backup is of a database that a restore has replaced, or has just ended")
                at = random.randrange(sum(after - first + 1 for first, after in fit))
                for first, after in fit:
                    if at <= after - first:
                        break
                    at -= after - first + 1
                second = first + at
                size = 0
                for key, (good, archive) in found.items():
                    in_order = sorted(good, key=lambda one: one["timestamp"]["stop"])
                    base = next((one for one in reversed(in_order) if one["timestamp"]["stop"] < second), None)
                    if base is None:
                        continue
                    # By then it may have grown to what the next one has.
                    after = next((one for one in in_order if one["timestamp"]["stop"] >= second), base)
                    size = max(size, base["info"]["size"], after["info"]["size"])
                    names = run("--repo=" + str(key), "repo-ls", "--recurse", "archive/{{location.Cluster}}/" + archive[0]["id"]).split()
                    there = {name.split("/")[-1][:24] for name in names if name.split("/")[-1][24:25] == "-"}
                    needed = range(number(base["archive"]["start"]), number(archive[0]["max"]) + 1)
                    files = ["%08X%08X%08X" % (timeline_at(one, newest, ends), one // 256, one % 256) for one in needed]
                    missing = [file for file in files if file not in there]
                    if missing:
                        end(2, "repository %d lacks WAL that a restore needs: %d segments from %s" % (key, len(missing), missing[0]))
                end(0, str(second) + " " + str(size))


            member() if sys.argv[1] == "member" else target(sys.argv[2])

            """"
        );
}
