using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Backup.Restore;

namespace KeyBuzz.Reconciler.PostgresHa.Restore;

/// <summary>The shell of a proof.</summary>
/// <param name="topology">The cluster.</param>
/// <param name="id">The proof's name.</param>
/// <param name="limits">Flags of <c>docker run</c> that bound it.</param>
internal sealed class ProofScripts(PostgresTopology topology, string id, string limits)
{
    private readonly string _parent = topology.Directories.DataDirectory[..topology.Directories.DataDirectory.LastIndexOf('/')];

    /// <summary>The name of the proof of a member's timer.</summary>
    public const string ByTimer = "by-timer";

    /// <summary>The exit status of <see cref="Yield"/> and <see cref="Clear"/> where the other runs.</summary>
    public const int OtherRuns = 3;

    // The pages are read while the server is stopped.
    private const string OfPages = ApartServer.OfProof + "-pages";

    private const string Inspect = $"docker inspect -f '{{{{index .Config.Labels \"{ApartServer.Label}\"}}}} {{{{.State.Running}}}}'";

    /// <summary>Every container of a proof.</summary>
    public const string Containers = $"{ApartServer.OfProof} {OfPages}";

    /// <summary>The restored database.</summary>
    public ApartServer Server { get; } = new(topology, ApartServer.OfProof, id) { Limits = limits };

    private string Directory => $"{_parent}/proof-{id}";

    /// <summary>Restores it, and runs it up to the target.</summary>
    public Script Start(RestoreTarget target) =>
        Server.Start(
            Directory,
            $"""
            ionice -c 3 -p $$ || true
            renice -n 19 -p $$ >/dev/null 2>&1 || true
            mkdir -p -m 0700 {Directory} {Directory}.tablespaces
            {BackupSection.Tool.Restore(Server.Location, target, Directory, Directory + ".tablespaces")}
            """
        );

    /// <summary>Prints the names of the WAL segments in a repository.</summary>
    public Script Segments(long repository, RepositoryReport report) =>
        new(
            $"docker exec {PostgresTopology.PatroniContainer} sh -c "
                + $"{Script.Quote(BackupSection.Tool.Segments(Server.Location, repository, report))} </dev/null\n"
        );

    /// <summary>Prints the history of a timeline: of the first repository that has it, or of the member, to which replication has brought
    /// it. A repository that was added since the timeline began does not have it.</summary>
    public Script History(IEnumerable<KeyValuePair<long, RepositoryReport>> repositories, long timeline)
    {
        string[] places =
        [
            .. repositories.Select(pair => BackupSection.Tool.History(Server.Location, pair.Key, pair.Value, timeline)),
            string.Create(CultureInfo.InvariantCulture, $"cat {topology.Directories.DataDirectory}/pg_wal/{timeline:X8}.history"),
        ];
        return new($"docker exec {PostgresTopology.PatroniContainer} sh -c {Script.Quote(string.Join(" || ", places))} </dev/null\n");
    }

    /// <summary>Checks every table and index of every database, as pg_amcheck does.</summary>
    public Script CheckRelations() =>
        Checked(
            $"docker exec {Server.Container} pg_amcheck -h {PostgresTopology.PostgresSocketDirectory} -p {Server.Port} "
                + $"-U {Script.Quote(topology.Superuser.Name)} --all --install-missing"
        );

    // A database that kbr did not make may have none: that is no damage.
    /// <summary>Stops it, and checks the checksum of every page, where pages have one.</summary>
    public Script CheckPages()
    {
        var check =
            $"case $(pg_controldata -D {Directory} | sed -n 's/^Data page checksum version: *//p') in 0) ;; "
            + $"*) exec pg_checksums --check -D {Directory} ;; esac";
        return Checked(
            $"docker stop -t 120 {Server.Container} >/dev/null && docker run --rm --name {OfPages} --label {ApartServer.Label}={id} --pull never --network none {limits}--user {topology.Uid}:{topology.Gid} {HostResources.Confined} "
                + $"-v {topology.Directories.Data}:{topology.Directories.Data}:ro --entrypoint sh {topology.Image.Reference} -c "
                + Script.Quote(check)
        );
    }

    // Those by hand hold the lock of the member: one of another name is left over.
    /// <summary>Ends with <see cref="OtherRuns"/>, and says so, where a proof runs that this one must not touch: by hand for that of the
    /// timer, and of the timer for one by hand.</summary>
    public Script Yield() =>
        new(
            $"""
            other=$({Inspect} {Containers} 2>/dev/null | grep ' true$' | grep {(id == ByTimer ? "-v " : "")}'^{ByTimer} ' || true)
            if [ -n "$other" ]; then
                echo '{(id == ByTimer ? "one is running by hand" : "the scheduled one is running")}'
                exit {OtherRuns}
            fi

            """
        );

    /// <summary>Removes what a proof that was broken off left, as after <see cref="Yield"/>.</summary>
    public Script Clear() =>
        new($"{Yield().Text}docker rm -f {Containers} >/dev/null 2>&1 || true\nrm -rf -- {_parent}/proof-*\n")
        {
            Deadline = TimeSpan.FromMinutes(30),
        };

    /// <summary>Removes this one, and no other.</summary>
    public Script Remove() =>
        new(
            $"""
            for one in {Containers}; do
                case $({Inspect} $one 2>/dev/null || true) in '{id} '*) docker rm -f $one >/dev/null || true;; esac
            done
            rm -rf -- {Directory} {Directory}.tablespaces

            """
        )
        {
            Deadline = TimeSpan.FromMinutes(30),
        };

    /// <summary>Ends with 0 where its container, running or not, is there.</summary>
    public Script IsThere() => new($"case $({Inspect} {Server.Container} 2>/dev/null || true) in '{id} '*) ;; *) exit 1;; esac\n");

    // Of a long story the end.
    private static Script Checked(string command) =>
        new($"said=$( ({command}) </dev/null 2>&1) || {{ status=$?; printf '%s\\n' \"$said\" | tail -n 20; exit $status; }}\n");
}
