using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Providers.Backup;

namespace KeyBuzz.Reconciler.PostgresHa.Restore;

/// <summary>The shell of a PostgreSQL server beside the cluster's own, on a member, in a container of its own: it archives nothing, streams
/// from nobody, and nobody but the superuser on its socket, and users with a password on the loopback, comes in.</summary>
/// <param name="topology">The cluster.</param>
/// <param name="container">The container.</param>
/// <param name="id">The name of the run that it belongs to.</param>
internal sealed class ApartServer(PostgresTopology topology, string container, string id)
{
    /// <summary>The container of a restore.</summary>
    public const string OfRestore = "kbr-restore";

    /// <summary>The container of a proof.</summary>
    public const string OfProof = "kbr-proof";

    /// <summary>The label with the name of the run.</summary>
    public const string Label = "kbr.restore";

    /// <summary>PostgreSQL's parameter that refuses writes.</summary>
    public const string ReadOnlySetting = "default_transaction_read_only";

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

    /// <summary>The container.</summary>
    public string Container => container;

    /// <summary>The port that it listens on, on 127.0.0.1 of its host.</summary>
    public int Port => container == OfRestore ? 5439 : 5438;

    /// <summary>Where the backup tool finds its configuration, in any container of the members' image.</summary>
    public BackupLocation Location { get; } = new(PostgresTopology.PatroniContainer, BackupSection.File, topology.Scope);

    /// <summary>Flags of <c>docker run</c> that bound it, with a space at the end; empty for none.</summary>
    public string Limits { get; init; } = "";

    /// <summary>Shell that makes the parent of the data directory where it is missing.</summary>
    public string MakeParent =>
        $"[ -d {_parent} ] || install -d -o {Number(topology.Uid)} -g {Number(topology.Gid)} -m 0700 {topology.Directories.Data} {_parent}";

    private string Mounts =>
        string.Concat((topology.Backup?.Mounts ?? []).Select(path => $"--mount type=bind,source={path},target={path} "));

    private string Owner => $"{Number(topology.Uid)}:{Number(topology.Gid)}";

    // The server's own settings are those of the backup's time, with paths of the present directory; and it must have at least what the
    // primary had of some. Nobody comes in but through the socket, and on the loopback with a password.
    /// <summary>Starts it; one that is there goes on.</summary>
    /// <param name="directory">The data directory.</param>
    /// <param name="before">Shell that is run in the container before the server.</param>
    /// <param name="settings">Settings of the server beside its own.</param>
    public Script Start(string directory, string before, params ReadOnlySpan<string> settings)
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
                -c logging_collector=off -c log_destination=stderr -c shared_buffers=128MB -c cluster_name={{{container}}} \
                -c {{{ReadOnlySetting}}}=off{{{least}}} {{{string.Join(' ', settings.ToArray())}}}
            """;
        return new Script(
            $$$"""
            case $(docker inspect -f '{{index .Config.Labels "{{{Label}}}"}} {{.State.Running}}' {{{container}}} 2>/dev/null || true) in
            '{{{id}}} true') exit 0;;
            '') ;;
            '{{{id}}} '*) docker rm -f {{{container}}} >/dev/null;;
            *) echo 'there is a container {{{container}}} that this command did not make: docker rm -f {{{container}}} removes it' >&2; exit 1;;
            esac
            {{{MakeParent}}}
            docker run -d --name {{{container}}} --label {{{Label}}}={{{id}}} --pull never --network host --user {{{Owner}}} {{{HostResources.Confined}}} \
                {{{Limits}}}--stop-signal SIGINT --shm-size {{{Number(topology.SharedMemory)}}} --log-driver local --log-opt max-size=20m \
                --tmpfs /tmp:mode=1777,size=256m --tmpfs {{{PostgresTopology.PostgresSocketDirectory}}}:uid={{{Number(topology.Uid)}}},gid={{{Number(
                topology.Gid
            )}}},mode=0775 \
                -v {{{topology.Directories.Configuration}}}:{{{PatroniFile.Directory}}}:ro -v {{{topology.Directories.Data}}}:{{{topology.Directories.Data}}} \
                {{{Mounts}}}--entrypoint sh {{{topology.Image.Reference}}} -c {{{Script.Quote(run)}}} >/dev/null
            """
        );
    }

    /// <summary>Says how far the database that runs apart is, a line each: the container's state and exit status, its server's answer, the
    /// log's last line, and whether the log says that recovery stopped at its target.</summary>
    public Script Look() =>
        new(
            $$$"""
            state=$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}} {{index .Config.Labels "{{{Label}}}"}}' {{{container}}} \
                2>/dev/null || echo none)
            said=$(docker logs --tail 50 {{{container}}} 2>&1 | grep -v '^$' || true)
            printf '%s\n' "$state"
            # While files are restored nothing is logged, and no server is there to be asked: looking costs the restore time of processors.
            [ -n "$said" ] && timeout 10 {{{Psql(
                "SELECT concat_ws(' ', pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() ELSE 'primary' END)"
            )}}} </dev/null 2>/dev/null || echo starting
            why=
            case $state in
            'running '*) ;;
            *) why=$(printf '%s\n' "$said" | grep -E 'FATAL|PANIC|ERROR' | grep -v 'starting up' | tail -n 1 || true) ;;
            esac
            [ -n "$why" ] && printf '%s\n' "$why" || printf '%s\n' "$said" | tail -n 1
            [ -z "$said" ] || docker logs {{{container}}} 2>&1 | grep -c 'recovery stopping' || true
            """
        );

    /// <summary>Lets it take writes.</summary>
    public Script Promote() => Query("SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote(true, 60) END");

    /// <summary>Asks it, as the superuser.</summary>
    public Script Query(string statement, string database = "postgres") => new(Psql(statement, database) + " </dev/null\n");

    /// <summary>The command that opens psql on it, as the superuser.</summary>
    /// <param name="isTerminal">Whether a person types.</param>
    /// <param name="database">The database.</param>
    public IEnumerable<string> PsqlCommand(bool isTerminal, string database) =>
        [
            "docker",
            "exec",
            isTerminal ? "-it" : "-i",
            container,
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

    private string Psql(string statement, string database = "postgres") =>
        $"docker exec {container} psql -X -q -A -t -v ON_ERROR_STOP=1 -h {PostgresTopology.PostgresSocketDirectory} -p {Number(Port)} "
        + $"-U {Script.Quote(topology.Superuser.Name)} -d {Script.Quote(database)} -c {Script.Quote(statement)}";

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);
}
