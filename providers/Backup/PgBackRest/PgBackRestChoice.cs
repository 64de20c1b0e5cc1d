using System.Globalization;

namespace KeyBuzz.Reconciler.Providers.Backup.PgBackRest;

/// <summary>Chooses the backup of a restore where the tool would take one of a database that a restore has replaced: it takes the last one
/// before the target, of whatever timeline, and PostgreSQL refuses to go on from there to the present one.</summary>
internal static class PgBackRestChoice
{
    private const string End = "KBR_PYTHON";

    /// <summary>Shell, for a container of the members' image, that puts the options of the chosen backup into a variable; none where the
    /// tool's own choice is right, or where the repositories do not say.</summary>
    /// <param name="variable">The variable.</param>
    /// <param name="location">The cluster.</param>
    /// <param name="kind">The kind of target, in the tool's words.</param>
    /// <param name="target">The target, quoted for the shell.</param>
    public static string Shell(string variable, BackupLocation location, string kind, string target) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $$""""
            {{variable}}=$(python3 - {{kind}} {{target}} <<'{{End}}'
            import datetime
            import json
            import subprocess
            import sys

            TOOL = ["pgbackrest", "--config={{location.File}}", "--stanza={{location.Cluster}}", "--log-level-console=off"]
            KIND, TARGET = sys.argv[1], sys.argv[2]


            {{TimelineHistoryPython.Text}}


            def run(*arguments):
                return subprocess.run([*TOOL, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout


            def is_before(backup):
                if KIND == "time":
                    return backup["timestamp"]["stop"] < datetime.datetime.fromisoformat(TARGET).timestamp()
                return KIND != "lsn" or position(backup["lsn"]["stop"]) <= position(TARGET)


            def choose():
                stanza = json.loads(run("--output=json", "info"), strict=False)[0]
                held, newest, history = [], 1, ""
                for key in sorted(one["key"] for one in stanza.get("repo", [])):
                    database = max((one["id"] for one in stanza["db"] if one["repo-key"] == key), default=0)
                    its = {"id": database, "repo-key": key}
                    good = [one for one in stanza.get("backup", []) if one["database"] == its and not one.get("error") and is_before(one)]
                    archive = next((one["id"] for one in stanza.get("archive", []) if one["database"] == its), None)
                    if archive is None:
                        continue
                    held.append((key, sorted(good, key=lambda one: (one["timestamp"]["stop"], one["label"]))))
                    folder = "archive/{{location.Cluster}}/" + archive
                    names = run("--repo=%d" % key, "repo-ls", folder, "--filter=^[0-9A-F]{8}[.]history$").split()
                    last = max((int(name[:8], 16) for name in names), default=1)
                    # One of them may have been out of reach since a restore.
                    if last > newest:
                        newest, history = last, run("--repo=%d" % key, "repo-get", folder + "/%08X.history" % last)
                ends = ends_of(history)
                first, discarded = True, None
                for key, good in held:
                    present = [one for one in good if is_of(one, newest, ends)]
                    # What it would take by itself. Without a history in any archive every backup is of the first timeline.
                    if not history or first and present and present[-1] is good[-1]:
                        return ""
                    if present:
                        return "--repo=%d --set=%s" % (key, present[-1]["label"])
                    if good:
                        first, discarded = False, discarded or good[-1]["label"]
                if discarded:
                    sys.exit("ERROR: every backup before that, " + discarded + " the last, is of a database that a restore has replaced")
                return ""


            try:
                print(choose())
            except (subprocess.CalledProcessError, ValueError, LookupError) as error:
                print("the backup is left to the tool to choose: " + str(error), file=sys.stderr)
            {{End}}
            )
            """"
        );
}
