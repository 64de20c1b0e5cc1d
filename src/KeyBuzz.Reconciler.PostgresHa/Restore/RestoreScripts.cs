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
    /// <summary>The container that a database runs apart in.</summary>
    public const string Container = "kbr-restore";

    /// <summary>The port that it listens on, on 127.0.0.1 of its host.</summary>
    public const int Port = 5439;

    private const string Label = "kbr.restore";
    private const string AutoConf = "postgresql.auto.conf";
    private const string ReadOnlySetting = "default_transaction_read_only";
    private const string Stopped = "docker inspect -f '{{.State.Running}}'";

    // PostgreSQL's parameters that a standby must have as much of as the primary, and pg_controldata's names of them.
    private static readonly (string Parameter, string Control)[] s_atLeastAsOnThePrimary =
    [
        ("max_connections", "max_connections"),
        ("max_worker_processes", "max_worker_processes"),
        ("max_wal_senders", "max_wal_senders"),
        ("max_prepared_transactions", "max_prepared_xacts"),
        ("max_locks_per_transaction", "max_locks_per_xact"),
    ];

    private readonly string _parent = topology.Directories.DataDirectory[..topology.Directories.DataDirectory.LastIndexOf('/')];

    private static BackupLocation LocationOf(PostgresTopology topology) =>
        new(PostgresTopology.PatroniContainer, BackupSection.File, topology.Scope);

    /// <summary>The restored data directory, until it takes the place of the present one.</summary>
    public string Restored => $"{_parent}/restored-{id}";

    /// <summary>The former data directory, once the restored one has its place.</summary>
    public string Former => $"{_parent}/former-{id}";

    private string Undone => $"{_parent}/undone-{id}";

    private string Tablespaces => $"{_parent}/tablespaces-{id}";

    private string Present => topology.Directories.DataDirectory;

    private string MakeParent =>
        $"[ -d {_parent} ] || install -d -o {Number(topology.Uid)} -g {Number(topology.Gid)} -m 0700 {topology.Directories.Data} {_parent}";

    private static string Unit => PostgresTopology.PatroniContainer + ".service";

    private string Owner => $"{Number(topology.Uid)}:{Number(topology.Gid)}";

    /// <summary>Refuses new writes on the primary; what runs is not ended.</summary>
    public Script RefuseWrites() => AsSuperuser($"ALTER SYSTEM SET {ReadOnlySetting} = on", "SELECT pg_reload_conf()");

    /// <summary>Allows them again.</summary>
    public Script AllowWrites() => AsSuperuser($"ALTER SYSTEM RESET {ReadOnlySetting}", "SELECT pg_reload_conf()");

    /// <summary>Ends the present segment of WAL, so that it is archived, and prints its name.</summary>
    public Script SwitchSegment() => AsSuperuser("SELECT pg_walfile_name(pg_switch_wal())");

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
        StartApart(
            Restored,
            $"""
            done={Restored}.complete
            if [ ! -e $done ]; then
                mkdir -p -m 0700 {Restored} {Tablespaces}
                {BackupSection.Tool.Restore(LocationOf(topology), target, Restored, Tablespaces)}
                touch $done
            fi
            """
        );

    /// <summary>Starts the former database apart, so that it ends on a timeline which the archive does not have yet: the restored one may
    /// have archived on what would be its next.</summary>
    public Script StartFormer() =>
        StartApart(
            Former,
            $"""
            if [ ! -e {Former}/standby.signal ] && [ ! -e {Former}.advanced ]; then touch {Former}/standby.signal; fi
            {BackupSection.Tool.Clean(Former)}
            sed -i '/^{ReadOnlySetting} *=/d' {Former}/{AutoConf}
            """,
            $"-c restore_command={Script.Quote(BackupSection.Tool.RestoreCommand(LocationOf(topology), Former))}",
            "-c recovery_target_timeline=current"
        );

    /// <summary>Says how far the database that runs apart is, a line each: the container's state and exit status, its server's answer, the
    /// log's last line, and whether the log says that recovery stopped at its target.</summary>
    public Script Look() =>
        new(
            $$$"""
            docker inspect -f '{{.State.Status}} {{.State.ExitCode}} {{index .Config.Labels "{{{Label}}}"}}' {{{Container}}} 2>/dev/null || echo none
            timeout 10 {{{Psql(
                "SELECT concat_ws(' ', pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() ELSE 'primary' END)"
            )}}} </dev/null 2>/dev/null || echo starting
            docker logs --tail 20 {{{Container}}} 2>&1 | grep -v '^$' | tail -n 1 || true
            docker logs {{{Container}}} 2>&1 | grep -c 'recovery stopping' || true
            """
        );

    /// <summary>Lets the database that runs apart take writes.</summary>
    public static Script Promote(PostgresTopology topology) =>
        new(new RestoreScripts(topology, "").Psql("SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote(true, 60) END") + " </dev/null\n");

    /// <summary>Stops the database that runs apart, and leaves it as Patroni expects a directory: shut down, without settings of the
    /// recovery, and with the history of its timeline to be archived.</summary>
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
            $"if [ ! -e {Former} ]; then if [ -d {Present} ]; then mv -T {Present} {Former}; else {MakeParent}; mkdir -m 0700 {Former}; fi; fi\n";
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
                    sed -i '/^{ReadOnlySetting} *=/d' {Present}/{AutoConf}

                    """
                    : $"if [ -e {Former} ] && [ -d {Present} ] && [ ! -e {Undone} ]; then mv -T {Present} {Undone}; fi\n"
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

    /// <summary>The command that opens psql on the database that runs apart.</summary>
    /// <param name="isTerminal">Whether a person types.</param>
    /// <param name="database">The database.</param>
    public static IEnumerable<string> PsqlApart(PostgresTopology topology, bool isTerminal, string database) =>
        [
            "docker",
            "exec",
            isTerminal ? "-it" : "-i",
            Container,
            "psql",
            "-h",
            PostgresTopology.PostgresSocketDirectory,
            "-p",
            Number(Port),
            "-U",
            topology.Superuser.Name,
            "-d",
            database,
        ];

    // The server's own settings are those of the backup's time, with paths of the present directory; and it must have at least what the
    // primary had of some. Nobody comes in but through the socket, and on the loopback with a password.
    private Script StartApart(string directory, string before, params ReadOnlySpan<string> settings)
    {
        var least = string.Concat(
            s_atLeastAsOnThePrimary.Select(one =>
                $" $(most {one.Parameter} {one.Control} {topology.Settings.GetValueOrDefault("postgresql.parameters." + one.Parameter, "0")})"
            )
        );
        var run = $$$"""
            set -eu
            {{{before}}}
            umask 077
            printf '%s\n' 'local all "{{{topology.Superuser.Name}}}" trust' 'host all all 127.0.0.1/32 scram-sha-256' > /tmp/hba
            : > /tmp/ident
            most() {
                had=$(pg_controldata -D {{{directory}}} | sed -n "s/^$2 setting: *//p")
                [ "${had:-0}" -ge "$3" ] || had=$3
                [ "$had" = 0 ] || echo "-c $1=$had"
            }
            config={{{directory}}}/postgresql.conf
            exec postgres -D {{{directory}}} -c config_file=$config -c hba_file=/tmp/hba -c ident_file=/tmp/ident \
                -c listen_addresses=127.0.0.1 -c port={{{Number(
                Port
            )}}} -c unix_socket_directories={{{PostgresTopology.PostgresSocketDirectory}}} \
                -c archive_mode=off -c hot_standby=on -c primary_conninfo= -c primary_slot_name= -c synchronous_standby_names= -c ssl=off \
                -c logging_collector=off -c log_destination=stderr -c shared_buffers=128MB -c cluster_name={{{Container}}} \
                -c {{{ReadOnlySetting}}}=off{{{least}}} {{{string.Join(' ', settings.ToArray())}}}
            """;
        return new Script(
            $$$"""
            case $(docker inspect -f '{{index .Config.Labels "{{{Label}}}"}} {{.State.Running}}' {{{Container}}} 2>/dev/null || true) in
            '{{{id}}} true') exit 0;;
            '') ;;
            '{{{id}}} '*) docker rm -f {{{Container}}} >/dev/null;;
            *) echo 'there is a container {{{Container}}} that this restore did not make: docker rm -f {{{Container}}} removes it' >&2; exit 1;;
            esac
            {{{MakeParent}}}
            docker run -d --name {{{Container}}} --label {{{Label}}}={{{id}}} --pull never --network host --user {{{Owner}}} {{{HostResources.Confined}}} \
                --stop-signal SIGINT --shm-size {{{Number(topology.SharedMemory)}}} --log-opt max-size=20m \
                --tmpfs /tmp:mode=1777,size=256m --tmpfs {{{PostgresTopology.PostgresSocketDirectory}}}:uid={{{Number(topology.Uid)}}},gid={{{Number(
                topology.Gid
            )}}},mode=0775 \
                -v {{{topology.Directories.Configuration}}}:{{{PatroniFile.Directory}}}:ro -v {{{topology.Directories.Data}}}:{{{topology.Directories.Data}}} \
                --entrypoint sh {{{topology.Image.Reference}}} -c {{{Script.Quote(run)}}} >/dev/null
            """
        );
    }

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

    private Script AsSuperuser(params ReadOnlySpan<string> statements)
    {
        var all = string.Join(' ', statements.ToArray().Select(statement => "-c " + Script.Quote(statement)));
        return new Script(
            $"docker exec {PostgresTopology.PatroniContainer} psql -X -q -A -t -v ON_ERROR_STOP=1 -h {PostgresTopology.PostgresSocketDirectory} "
                + $"-p {Number(topology.Ports.Postgres)} -U {Script.Quote(topology.Superuser.Name)} -d postgres {all} </dev/null\n"
        );
    }

    private string Psql(string statement) =>
        $"docker exec {Container} psql -X -q -A -t -v ON_ERROR_STOP=1 -h {PostgresTopology.PostgresSocketDirectory} -p {Number(Port)} "
        + $"-U {Script.Quote(topology.Superuser.Name)} -d postgres -c {Script.Quote(statement)}";

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);
}
