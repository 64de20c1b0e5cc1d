using System.Globalization;

namespace KeyBuzz.Reconciler.Providers.Backup.PgBackRest;

/// <summary>The program that takes scheduled backups, in the Python that Patroni's image has.</summary>
internal static class PgBackRestProgram
{
    /// <summary>The program of a member.</summary>
    public static string Render(BackupLocation location, int repositories, string primaryCheck, TimeSpan patience, bool isIdle) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $$""""
            #!/usr/bin/env python3
            # Written by kbr; a change by hand is drift.
            """Takes a scheduled backup where this member is the primary. On the others it waits until the primary has taken it, and takes it
            where they become the primary meanwhile. A number after the kind is the second, since 1970, in which the last such run ended
            here: just after a boot of a replica, the backup since then is the one that this run makes up for. Exit status 3: there is none,
            and it is not tried any longer."""
            import json
            import os
            import signal
            import subprocess
            import sys
            import time
            import urllib.error
            import urllib.request

            TOOL = ["pgbackrest", "--config={{location.File}}", "--stanza={{location.Cluster}}"]
            REPOSITORIES = range(1, {{repositories + 1}})
            PRIMARY = "{{primaryCheck}}"
            PATIENCE = {{(long)patience.TotalSeconds}}
            # Whether it takes only the time of processors and disks that nothing else wants.
            IDLE = {{(isIdle ? "True" : "False")}}
            PAUSE = 15
            RETRY = 60
            # Members' clocks differ, and their timers elapse at their own time.
            SKEW = 60
            # The timers make up for what they missed as soon as the host is up.
            AFTER_BOOT = 900
            # A more complete backup serves, too.
            SERVES = {"full": ["full"], "diff": ["full", "diff"], "incr": ["full", "diff", "incr"]}

            kind = sys.argv[1]
            pid_file = "/tmp/kbr-backup-" + kind + ".pid"
            child = None


            def say(text):
                print(text, flush=True)


            def end(*_):
                if child is not None:
                    child.terminate()
                say("it was stopped")
                sys.exit(1)


            def before():
                """The end of the last run, where this one may make up for one that was missed; None where it does not."""
                with open("/proc/uptime", encoding="ascii") as file:
                    up = float(file.read().split()[0])
                return int(sys.argv[2]) if up < AFTER_BOOT and sys.argv[2:] and sys.argv[2].isdigit() else None


            def is_primary():
                try:
                    with urllib.request.urlopen(PRIMARY, timeout=5) as answer:
                        return answer.status == 200
                except (urllib.error.URLError, OSError):
                    return False


            def streams():
                """Whether this member follows a primary, which takes its own backup where it has missed one."""
                try:
                    urllib.request.urlopen(PRIMARY, timeout=5).close()
                except urllib.error.HTTPError as error:
                    return b'"replication_state": "streaming"' in error.read()
                except OSError:
                    pass
                return False


            def run(*arguments):
                global child
                child = subprocess.Popen([*TOOL, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                output = child.communicate()[0]
                code, child = child.returncode, None
                return code, output


            def reason(output):
                lines = [line.strip() for line in output.splitlines() if line.strip()]
                errors = [line.split("ERROR: ", 1)[1] for line in lines if "ERROR: " in line]
                return (errors or lines or ["no answer"])[0]


            def missing(since):
                """The repositories without such a backup that began since then; None where they cannot be asked."""
                code, output = run("--output=json", "--log-level-stderr=error", "info")
                if code != 0:
                    return None
                try:
                    backups = json.loads(output)[0].get("backup", [])
                except (ValueError, IndexError):
                    return None
                there = {
                    backup["database"]["repo-key"]
                    for backup in backups
                    if backup["type"] in SERVES[kind] and backup["timestamp"]["start"] >= since and not backup.get("error")
                }
                return [number for number in REPOSITORIES if number not in there]


            def give_way():
                os.nice(10)
                if IDLE:
                    subprocess.call(["ionice", "-t", "-c", "3", "-p", str(os.getpid())])
                    try:
                        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
                    except OSError as error:
                        say("not at the lowest priority: " + str(error))


            def main():
                give_way()
                since = missed = begun = int(time.time())
                if not is_primary():
                    since = begun - SKEW
                    missed = before() or since
                trouble = "no member took it"
                while True:
                    pause = PAUSE
                    if is_primary():
                        pause = RETRY
                        failed = False
                        wanted = missing(since)
                        for number in REPOSITORIES if wanted is None else wanted:
                            code, output = run("--repo=" + str(number), "--type=" + kind, "backup")
                            if code != 0:
                                failed = True
                                trouble = "repository " + str(number) + ": " + reason(output)
                                say(trouble)
                        if not failed:
                            say("taken on this member" if wanted or wanted is None else "it is there already")
                            return 0
                    elif missing(missed if streams() else since) == []:
                        say("taken on another member")
                        return 0
                    if time.time() - begun + pause > PATIENCE:
                        say("given up: " + trouble)
                        return 3
                    time.sleep(pause)


            if sys.argv[2:] == ["end"]:
                try:
                    with open(pid_file, encoding="ascii") as file:
                        os.kill(int(file.read()), signal.SIGTERM)
                except (OSError, ValueError):
                    pass
                sys.exit(0)

            signal.signal(signal.SIGTERM, end)
            with open(pid_file, "w", encoding="ascii") as file:
                file.write(str(os.getpid()))
            try:
                sys.exit(main())
            finally:
                os.remove(pid_file)

            """"
        );
}
