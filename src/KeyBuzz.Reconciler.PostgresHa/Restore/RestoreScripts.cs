using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Backup.Restore;

namespace KeyBuzz.Reconciler.PostgresHa.Restore;

/// <summary>The shell of a restore. Each script may be run again at any time in its phase: what it did before it finds done.</summary>
/// <param name="topology">The cluster.</param>
/// <param name="id">The restore's name.</param>
internal sealed class RestoreScripts(PostgresTopology topology, string id)
{
    private const string AutoConf = "postgresql.auto.conf";
    private const string ReadOnlySetting = ApartServer.ReadOnlySetting;
    private const string Container = ApartServer.OfRestore;
    private const string Label = ApartServer.Label;
    private const string Stopped = "docker inspect -f '{{.State.Running}}'";

    private readonly ApartServer _apart = new(topology, Container, id);
    private readonly string _parent = topology.Directories.DataDirectory[..topology.Directories.DataDirectory.LastIndexOf('/')];

    /// <summary>The database that runs apart.</summary>
    public ApartServer Apart => _apart;

    /// <summary>The restored data directory, until it takes the place of the present one.</summary>
    public string Restored => $"{_parent}/restored-{id}";

    /// <summary>The former data directory, once the restored one has its place.</summary>
    public string Former => $"{_parent}/former-{id}";

    private string Undone => $"{_parent}/undone-{id}";

    private string Tablespaces => $"{_parent}/tablespaces-{id}";

    private string Present => topology.Directories.DataDirectory;

    private static string Unit => PostgresTopology.PatroniContainer + ".service";

    private string Owner => $"{Number(topology.Uid)}:{Number(topology.Gid)}";

    /// <summary>Lets a member's server refuse new writes; what runs is not ended.</summary>
    public Script RefuseWrites() => AsSuperuser($"ALTER SYSTEM SET {ReadOnlySetting} = on", "SELECT pg_reload_conf()");

    /// <summary>Allows them again.</summary>
    public Script AllowWrites() => AsSuperuser($"ALTER SYSTEM RESET {ReadOnlySetting}", "SELECT pg_reload_conf()");

    /// <summary>Removes the refusal from a member's own file where it was left, because its server did not answer. A server that runs reads
    /// the file again.</summary>
    public Script ForgetRefusal() =>
        new(
            $"""
            if grep -qs '^{ReadOnlySetting} *=' {Present}/{AutoConf}; then
                {WithoutRefusal(Present)}
                docker exec {PostgresTopology.PatroniContainer} pg_ctl reload -D {Present} >/dev/null 2>&1 || true
            fi

            """
        );

    /// <summary>Commits a transaction of nothing, ends the present segment of WAL, so that it is archived, and prints its name
    /// last.</summary>
    public Script SwitchSegment() =>
        AsSuperuser(
            $"SET {ReadOnlySetting} = off",
            "SELECT pg_logical_emit_message(true, 'kbr', '')",
            "SELECT pg_walfile_name(pg_switch_wal())"
        );

    /// <summary>Prints <c>t</c> once a segment is archived.</summary>
    public Script IsArchived(string segment) =>
        AsSuperuser(
            $"SELECT coalesce(last_archived_wal ~ '^[0-9A-F]{{24}}' AND substr(last_archived_wal, 9, 16) >= substr('{segment}', 9), false) "
                + "FROM pg_stat_archiver"
        );

    /// <summary>Starts the container that restores the database beside the present one and then runs it up to the target; one that is there
    /// goes on.</summary>
    /// <param name="target">The point to recover to.</param>
    public Script StartRestored(RestoreTarget target) =>
        _apart.Start(
            Restored,
            $"""
            done={Restored}.complete
            if [ ! -e $done ]; then
                mkdir -p -m 0700 {Restored} {Tablespaces}
                {BackupSection.Tool.Restore(_apart.Location, target, Restored, Tablespaces)}
                touch $done
            fi
            """
        );

    /// <summary>Starts the former database apart, so that it ends on a timeline which the archive does not have yet: the restored one may
    /// have archived on what would be its next.</summary>
    public Script StartFormer() =>
        _apart.Start(
            Former,
            $"""
            if [ ! -e {Former}/standby.signal ] && [ ! -e {Former}.advanced ]; then touch {Former}/standby.signal; fi
            {BackupSection.Tool.Clean(Former)}
            {WithoutRefusal(Former)}
            """,
            $"-c restore_command={Script.Quote(BackupSection.Tool.RestoreCommand(_apart.Location, Former))}",
            "-c recovery_target_timeline=current"
        );

    // A backup that was taken while a restore refused writes has that setting, which nothing else would remove.
    /// <summary>Stops the database that runs apart, and leaves it as Patroni expects a directory: shut down, without settings of the
    /// recovery, taking writes, and with the history of its timeline to be archived.</summary>
    /// <param name="directory">Its data directory.</param>
    /// <param name="mark">A file that says that this was done.</param>
    public Script Finish(string directory, string mark) =>
        new(
            $"""
            docker stop -t {Number((long)topology.StopTimeout.TotalSeconds)} {Container} >/dev/null 2>&1 || true
            state=$({InImage(
                $"pg_controldata -D {directory} | sed -n 's/^Database cluster state: *//p; s/^Latest checkpoint.s TimeLineID: *//p'"
            )})
            case $state in 'shut down'*) ;; *) echo "the database in {directory} was not shut down: $state" >&2; exit 1;; esac
            timeline=$(printf '%08X' "$(printf '%s\n' "$state" | sed -n 2p)")
            if [ -e {directory}/pg_wal/$timeline.history ] && [ ! -e {directory}/pg_wal/archive_status/$timeline.history.done ]; then
                touch {directory}/pg_wal/archive_status/$timeline.history.ready
                chown {Owner} {directory}/pg_wal/archive_status/$timeline.history.ready
            fi
            {BackupSection.Tool.Clean(directory)}
            {WithoutRefusal(directory)}
            rm -f {directory}/standby.signal {directory}/recovery.signal
            touch {mark}
            docker rm -f {Container} >/dev/null 2>&1 || true
            sync -f {directory}
            """
        )
        {
            Deadline = topology.StopTimeout + TimeSpan.FromMinutes(2),
        };

    /// <summary>A script that ends with 0 where a file or directory is there.</summary>
    public static Script Exists(string path) => new($"test -e {Script.Quote(path)}\n");

    /// <summary>The mark of a restored database that is ready to take the cluster's place.</summary>
    public string RestoredMark => Restored + ".ready";

    /// <summary>The mark of a former database that is on a timeline of its own.</summary>
    public string FormerMark => Former + ".advanced";

    /// <summary>Stops a member, PostgreSQL in it cleanly, and keeps it stopped.</summary>
    public Script StopMember() =>
        new(
            $"""
            systemctl stop {Unit} 2>/dev/null || true
            # Without an answer of Docker Engine's it is not known what runs.
            docker version >/dev/null
            if docker inspect {PostgresTopology.PatroniContainer} >/dev/null 2>&1; then
                docker stop -t {Number((long)topology.StopTimeout.TotalSeconds)} {PostgresTopology.PatroniContainer} >/dev/null
                [ "$({Stopped} {PostgresTopology.PatroniContainer})" = false ]
            fi
            """
        )
        {
            Deadline = (2 * topology.StopTimeout) + TimeSpan.FromMinutes(1),
        };

    /// <summary>Puts the present data of a member aside, and where it was restored the restored database in its place; empties the
    /// consensus store, which would not let an older database lead.</summary>
    /// <param name="isRestored">Whether it was restored there.</param>
    public Script Exchange(bool isRestored)
    {
        // Where there was no data, an empty directory says that the exchange was made.
        var aside =
            $"if [ ! -e {Former} ]; then if [ -d {Present} ]; then mv -T {Present} {Former}; else {_apart.MakeParent}; mkdir -m 0700 {Former}; fi; fi\n";
        return new Script(
            (isRestored ? $"if [ -d {Restored} ]; then\n{aside}mv -T {Restored} {Present}\nfi\n" : aside) + EmptyStore("former")
        );
    }

    /// <summary>Puts the former data back, on the member whose data it is; the others copy from it.</summary>
    /// <param name="isFormer">Whether it is that member.</param>
    public Script Return(bool isFormer) =>
        new(
            (
                isFormer
                    ? $"""
                    if [ -d {Former} ]; then
                        if [ -d {Present} ]; then mv -T {Present} {Undone}; fi
                        mv -T {Former} {Present}
                    fi
                    {WithoutRefusal(Present)}

                    """
                    : $"if [ -d {Present} ] && [ ! -e {Undone} ]; then mv -T {Present} {Undone}; fi\n"
            ) + EmptyStore("undone")
        );

    /// <summary>Removes everything that the restore made or kept beside the data directory of a member, its journal last.</summary>
    public Script Remove() =>
        new(
            $$$"""
            case $(docker inspect -f '{{index .Config.Labels "{{{Label}}}"}}' {{{Container}}} 2>/dev/null) in {{{id}}}) docker rm -f {{{Container}}} >/dev/null;; esac
            rm -rf -- {{{Restored}}} {{{Former}}} {{{Undone}}} {{{_parent}}}/*-{{{id}}}.*
            # Tablespaces of a database that is in use stay.
            find {{{Present}}}/pg_tblspc -mindepth 1 -lname '{{{Tablespaces}}}/*' 2>/dev/null | grep -q . || rm -rf -- {{{Tablespaces}}}
            {{{string.Concat(topology.Store.Directories.Select(one => $"rm -rf -- {one.Path}.former-{id} {one.Path}.undone-{id}\n"))}}}
            rm -f {{{RestoreJournal.PathOf(topology.Scope)}}}
            """
        )
        {
            Deadline = TimeSpan.FromMinutes(30),
        };

    /// <summary>The command that ends what a restore or a proof runs apart, and removes the records of both, of the last check, and of the
    /// scheduled backups: of a cluster whose data is deleted.</summary>
    /// <param name="scope">The cluster.</param>
    public static string Forget(string scope) =>
        $"docker rm -f {ApartServer.OfRestore} {ProofScripts.Containers} >/dev/null 2>&1 || true; "
        + $"rm -f {RestoreJournal.PathOf(scope)} {ProofRecord.PathOf(scope)} {CheckRecord.PathOf(scope)} "
        + string.Join(' ', BackupKinds.All.Select(BackupSection.Ended));

    /// <summary>The bytes of a member's database and of what is free beside it, in one line; 0 where there is none.</summary>
    public Script Sizes() =>
        new(
            $"""
            used=$(du -sB1 {Present} 2>/dev/null | cut -f1)
            at={_parent}; while [ ! -e "$at" ]; do at=$(dirname "$at"); done
            echo "${"{"}used:-0{"}"} $(df -B1 --output=avail "$at" | tail -n 1)"
            """
        )
        {
            Deadline = TimeSpan.FromMinutes(10),
        };

    // The server of the directory must be stopped, or must not answer: it writes this file itself.
    private static string WithoutRefusal(string directory) => $"sed -i '/^{ReadOnlySetting} *=/d' {directory}/{AutoConf}";

    private string InImage(string command) =>
        $"docker run --rm --pull never --network none --user {Owner} {HostResources.Confined} "
        + $"-v {topology.Directories.Data}:{topology.Directories.Data}:ro --entrypoint sh {topology.Image.Reference} -c {Script.Quote(command)}";

    private string EmptyStore(string word) =>
        string.Concat(
            topology.Store.Directories.Select(one =>
                $"if [ -d {one.Path} ] && [ ! -e {one.Path}.{word}-{id} ]; then mv -T {one.Path} {one.Path}.{word}-{id}; "
                + $"install -d -o {Number(topology.Uid)} -g {Number(topology.Gid)} -m {one.Mode} {one.Path}; fi\n"
            )
        );

    /// <summary>Asks the cluster's own database on a member, as the superuser.</summary>
    public Script Ask(string database, string query) => AsSuperuser(database, [query]);

    private Script AsSuperuser(params ReadOnlySpan<string> statements) => AsSuperuser("postgres", statements.ToArray());

    private Script AsSuperuser(string database, string[] statements)
    {
        var all = string.Join(' ', statements.Select(statement => "-c " + Script.Quote(statement)));
        return new Script(
            $"docker exec {PostgresTopology.PatroniContainer} psql -X -q -A -t -v ON_ERROR_STOP=1 -h {PostgresTopology.PostgresSocketDirectory} "
                + $"-p {Number(topology.Ports.Postgres)} -U {Script.Quote(topology.Superuser.Name)} -d {Script.Quote(database)} {all} </dev/null\n"
        );
    }

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);
}
