using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Turns <see cref="Read"/>s into one read-only POSIX shell script and its answer into a <see cref="Snapshot"/>. Nothing else
/// makes shell out of reads, so a reader cannot write.</summary>
/// <remarks>Every part ends with a line <c>NONCE LABEL STATUS</c>. The nonce is fresh and random, so no file can forge one, and payloads
/// pass as they are, binary included. Reads of a kind share a process where a tool allows it: forks are what a probe costs.</remarks>
public static class ProbeScript
{
    internal const int LargestFile = 8 * 1024 * 1024;

    private const string UnitProperties =
        "Id,Names,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,MainPID,ActiveEnterTimestamp,InvocationID,FragmentPath,DropInPaths,Result,Type";

    private const string ServiceProperties =
        "Id,LoadState,ExecCondition,ExecStartPre,ExecStart,ExecStartPost,ExecReload,ExecStop,ExecStopPost";

    /// <summary>The script that answers the reads.</summary>
    /// <param name="reads">The reads.</param>
    /// <param name="nonce">A fresh random word of letters and digits.</param>
    /// <param name="ownAddress">What <see cref="HttpRead.OwnAddress"/> stands for on this host.</param>
    public static string Render(IReadOnlyCollection<Read> reads, string nonce, string ownAddress = "127.0.0.1")
    {
        var groups = new ReadGroups(reads);
        var script = new StringBuilder();
        script.Append("LC_ALL=C; export LC_ALL; PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH\n");
        script.Append(CultureInfo.InvariantCulture, $"n={nonce}\n");
        script.Append("end() { printf '\\n%s %s %s\\n' \"$n\" \"$1\" \"$2\"; }\n");

        // Ports may each take two seconds to stay silent: they are tried while the rest is read, and their lines wait in a pipe.
        var ports = groups.Of<PortRead>();
        if (ports.Count > 0)
        {
            script.Append(CultureInfo.InvariantCulture, $"timeout 2 bash -s <<'{nonce}_ports' 2>/dev/null | {{\n");
            script.Append(
                "port() { if m=$({ : >\"/dev/tcp/$2/$3\"; } 2>&1); then echo \"$1 answered\"; else case $m in "
                    + "*'onnection refused'*) echo \"$1 refused\";; esac; fi; }\n"
            );
            for (var i = 0; i < ports.Count; i++)
            {
                script.Append(CultureInfo.InvariantCulture, $"port {i} {Script.Quote(ports[i].Address)} {ports[i].Port} &\n");
            }

            script.Append(CultureInfo.InvariantCulture, $"wait\n{nonce}_ports\nexec 4<&0 </dev/null\n");
        }

        RenderPaths(script, groups);
        RenderDocker(script, groups, nonce);
        RenderUnits(script, groups);
        RenderServices(script, groups);
        RenderClockAndRecords(script, groups);
        RenderHttp(script, groups, nonce, ownAddress);
        RenderContainers(script, groups, nonce);
        RenderHaproxyChecks(script, groups);

        if (ports.Count > 0)
        {
            script.Append("cat <&4; end ports $?\n}\n");
        }

        script.Append("end end 0\n");
        return script.ToString();
    }

    /// <summary>The answers. Throws <see cref="InvalidDataException"/> when the output is not whole.</summary>
    /// <param name="reads">The reads as given to <see cref="Render"/>.</param>
    /// <param name="nonce">The nonce as given to <see cref="Render"/>.</param>
    /// <param name="output">What the script printed.</param>
    public static Snapshot Parse(IReadOnlyCollection<Read> reads, string nonce, ReadOnlyMemory<byte> output) =>
        ProbeAnswer.Parse(new ReadGroups(reads), nonce, output);

    private static void RenderPaths(StringBuilder script, ReadGroups groups)
    {
        var stats = groups.Of<StatRead>();
        if (stats.Count > 0)
        {
            script.Append("stat --printf '%F\\t%u\\t%g\\t%U\\t%G\\t%a\\t%.9Y\\t%n\\n' --");
            foreach (var stat in stats)
            {
                script.Append(' ').Append(Script.Quote(stat.Path));
            }

            script.Append(" 2>/dev/null; end stat $?\n");
        }

        var files = groups.Of<FileRead>();
        if (files.Count > 0)
        {
            script.Append(
                CultureInfo.InvariantCulture,
                $"file() {{ if [ -f \"$2\" ]; then head -c {LargestFile} -- \"$2\" 2>/dev/null; end \"f$1\" $?; else "
                    + $"end \"f$1\" 1; fi; }}\n"
            );
            for (var i = 0; i < files.Count; i++)
            {
                script.Append(CultureInfo.InvariantCulture, $"file {i} {Script.Quote(files[i].Path)}\n");
            }
        }

        if (groups.Of<MountsRead>().Count > 0)
        {
            script.Append("cat /proc/self/mountinfo; end mounts $?\n");
        }

        var devices = groups.Of<BlockDeviceRead>();
        if (devices.Count > 0)
        {
            script.Append(
                "device() { if [ -b \"$2\" ]; then p=$(readlink -f -- \"$2\"); stat -c '%t %T' -- \"$p\"; blockdev "
                    + "--getsize64 \"$p\" 2>/dev/null || echo 0\n"
            );
            script.Append(
                "if cmp -s -n 1048576 -- \"$p\" /dev/zero; then echo zero; else echo data; fi; blkid -p -o export -- "
                    + "\"$p\" 2>/dev/null; end \"b$1\" $?; else end \"b$1\" none; fi; }\n"
            );
            for (var i = 0; i < devices.Count; i++)
            {
                script.Append(CultureInfo.InvariantCulture, $"device {i} {Script.Quote(devices[i].Path)}\n");
            }
        }

        var spaces = groups.Of<DiskSpaceRead>();
        if (spaces.Count > 0)
        {
            script.Append(
                "space() { d=$2; while [ -n \"$d\" ] && [ ! -e \"$d\" ]; do d=${d%/*}; done; df -B1 "
                    + "--output=size,avail,fstype -- \"${d:-/}\" 2>/dev/null; end \"s$1\" $?; }\n"
            );
            for (var i = 0; i < spaces.Count; i++)
            {
                script.Append(CultureInfo.InvariantCulture, $"space {i} {Script.Quote(spaces[i].Path)}\n");
            }
        }
    }

    private static void RenderDocker(StringBuilder script, ReadGroups groups, string nonce)
    {
        var containers = groups.Of<ContainerRead>();
        var images = groups.Of<ImageRead>();
        if (containers.Count + images.Count == 0)
        {
            return;
        }

        // One curl keeps one connection; it numbers its URLs and goes on after one that fails.
        script.Append(
            CultureInfo.InvariantCulture,
            $"curl -q -s -m 20 --globoff --noproxy '*' --unix-socket /run/docker.sock -w '\\n{nonce} d%{{urlnum}} %{{http_code}}\\n'"
        );
        foreach (var container in containers)
        {
            script.Append(' ').Append(Script.Quote($"http://localhost/containers/{Escape(container.Name)}/json"));
        }

        foreach (var image in images)
        {
            script.Append(' ').Append(Script.Quote($"http://localhost/images/{Escape(image.Reference)}/json"));
        }

        script.Append(" 2>/dev/null; end docker $?\n");
    }

    // The engine's router takes an image reference with its slashes and colons as they are.
    private static string Escape(string name) =>
        Uri.EscapeDataString(name)
            .Replace("%2F", "/", StringComparison.Ordinal)
            .Replace("%3A", ":", StringComparison.Ordinal)
            .Replace("%40", "@", StringComparison.Ordinal);

    private static void RenderHttp(StringBuilder script, ReadGroups groups, string nonce, string ownAddress)
    {
        var gets = groups.Of<HttpRead>();
        if (gets.Count == 0)
        {
            return;
        }

        script.Append(
            CultureInfo.InvariantCulture,
            $"curl -q -s -m 5 --globoff --noproxy '*' -w '\n{nonce} h%{{urlnum}} %{{http_code}}\n'"
        );
        foreach (var get in gets)
        {
            var named = get.Address == HttpRead.OwnAddress ? ownAddress : get.Address;
            var address = named.Contains(':', StringComparison.Ordinal) ? $"[{named}]" : named;
            script.Append(' ').Append(Script.Quote(string.Create(CultureInfo.InvariantCulture, $"http://{address}:{get.Port}{get.Path}")));
        }

        script.Append(" 2>/dev/null; end http $?\n");
    }

    // One exec per container, one psql per database in it: an exec costs more than all its queries.
    private static void RenderContainers(StringBuilder script, ReadGroups groups, string nonce)
    {
        var (queries, rafts, tables) = (groups.Of<SqlRead>(), groups.Of<RaftRead>(), groups.Of<PoolerRead>());
        var containers = ContainersOf(groups);
        for (var i = 0; i < containers.Count; i++)
        {
            var container = containers[i];
            script.Append(CultureInfo.InvariantCulture, $"timeout 40 docker exec -i {Script.Quote(container)} sh -s <<'{nonce}_sh' 2>&1\n");
            script.Append(CultureInfo.InvariantCulture, $"end() {{ printf '\\n{nonce} %s %s\\n' \"$1\" \"$2\"; }}\n");
            script.Append(
                "PGOPTIONS='-c default_transaction_read_only=on -c statement_timeout=10s'; PGCONNECT_TIMEOUT=5; "
                    + "export PGOPTIONS PGCONNECT_TIMEOUT\n"
            );
            foreach (var (number, _) in rafts.Index().Where(raft => raft.Item.Container == container))
            {
                script.Append(
                    CultureInfo.InvariantCulture,
                    $"python3 - <<'{nonce}_py' 2>&1\n{RaftProgram.Text}\n{nonce}_py\nend a{number} $?\n"
                );
            }

            foreach (var (number, table) in tables.Index().Where(table => table.Item.Container == container))
            {
                // PgBouncer's console knows no options.
                script.Append(
                    CultureInfo.InvariantCulture,
                    $"PGOPTIONS= psql -X -q --csv -h {Script.Quote(table.SocketDirectory)} -p {table.Port} -U pgbouncer "
                        + $"-d pgbouncer -c 'SHOW {table.Table.ToString().ToUpperInvariant()}' 2>&1 </dev/null; end o{number} "
                        + $"$?\n"
                );
            }

            foreach (
                var database in queries
                    .Index()
                    .Where(query => query.Item.Container == container)
                    .GroupBy(query => (query.Item.User, query.Item.Database, query.Item.Port))
            )
            {
                // What -d is given may also be read as a connection string.
                script.Append(
                    CultureInfo.InvariantCulture,
                    $"PGDATABASE={Script.Quote(database.Key.Database)} psql -X -q -A -t -U "
                        + $"{Script.Quote(database.Key.User)} -p {database.Key.Port} 2>&1 <<'{nonce}_sql'\n"
                );
                foreach (var (number, query) in database)
                {
                    if (query.Query.Contains(';', StringComparison.Ordinal))
                    {
                        throw new ArgumentException($"a SqlRead is one SELECT without a semicolon: {query.Query}", nameof(groups));
                    }

                    // Inside a subquery nothing but a SELECT can stand.
                    script.Append(
                        CultureInfo.InvariantCulture,
                        $"SELECT coalesce(json_agg(kbr_row), '[]'::json) FROM (\n{query.Query}\n) kbr_row;\n\\echo {nonce} "
                            + $"q{number} :ERROR\n"
                    );
                }

                script.Append(CultureInfo.InvariantCulture, $"{nonce}_sql\nend p{database.First().Index} $?\n");
            }

            script.Append(CultureInfo.InvariantCulture, $"{nonce}_sh\nend x{i} $?\n");
        }
    }

    private static void RenderHaproxyChecks(StringBuilder script, ReadGroups groups)
    {
        var checks = groups.Of<HaproxyCheckRead>();
        for (var i = 0; i < checks.Count; i++)
        {
            script.Append(
                CultureInfo.InvariantCulture,
                $"timeout 20 docker exec {Script.Quote(checks[i].Container)} haproxy -c -q -f "
                    + $"{Script.Quote(checks[i].Path)} 2>&1; end k{i} $?\n"
            );
        }
    }

    internal static List<string> ContainersOf(ReadGroups groups) =>
        [
            .. groups
                .Of<RaftRead>()
                .Select(raft => raft.Container)
                .Concat(groups.Of<PoolerRead>().Select(table => table.Container))
                .Concat(groups.Of<SqlRead>().Select(query => query.Container))
                .Distinct(),
        ];

    private static void RenderUnits(StringBuilder script, ReadGroups groups)
    {
        var units = groups.Of<UnitRead>();
        if (units.Count == 0)
        {
            return;
        }

        script.Append("systemctl show --timestamp=us+utc --no-pager -p ").Append(UnitProperties).Append(" --");
        foreach (var unit in units)
        {
            script.Append(' ').Append(Script.Quote(unit.Name));
        }

        script.Append(" 2>/dev/null; end units $?\n");

        // From the disk: systemd lists a drop-in only once it has loaded it.
        script.Append("for u in");
        foreach (var unit in units)
        {
            script.Append(' ').Append(Script.Quote(unit.Name));
        }

        script.Append(
            """
            ; do for f in /etc/systemd/system/*.wants/"$u" /etc/systemd/system/*.requires/"$u" /etc/systemd/system/"$u".d/*.conf /etc/systemd/system.control/"$u".d/*.conf \
            /run/systemd/system/"$u".d/*.conf /run/systemd/system.control/"$u".d/*.conf /run/systemd/transient/"$u".d/*.conf
            do if [ -e "$f" ] || [ -L "$f" ]; then printf '%s\n' "$f"; fi; done; done; end unitfiles 0

            """
        );
    }

    // With --all, as a glob leaves out what does not run now. A unit may start its container by a script of its own: then only the client
    // that runs in the unit's cgroup tells.
    private static void RenderServices(StringBuilder script, ReadGroups groups)
    {
        if (groups.Of<ServicesRead>().Count == 0)
        {
            return;
        }

        script.Append(
            CultureInfo.InvariantCulture,
            $"systemctl show --all --no-pager -p {ServiceProperties} -- '*.service' 2>/dev/null; end services $?\n"
        );
        script.Append(
            """
            for p in /proc/[0-9]*; do c=; { read -r c <"$p/comm"; } 2>/dev/null; case $c in docker | podman | nerdctl)
            u=; while IFS= read -r l; do case $l in *.service) u=${l##*/}; break;; esac; done 2>/dev/null <"$p/cgroup"
            if [ -n "$u" ]; then printf '%s ' "$u"; tr '\0\n' '  ' 2>/dev/null <"$p/cmdline"; echo; fi;; esac; done; end clients 0

            """
        );
    }

    private static void RenderClockAndRecords(StringBuilder script, ReadGroups groups)
    {
        if (groups.Of<ClockRead>().Count > 0)
        {
            // timedated gives the kernel's flag; where the bus does not answer, whoever keeps the clock is asked.
            script.Append("date +'now=%s.%N'\n");
            script.Append("v=$(timeout 5 timedatectl show -p NTPSynchronized --value 2>/dev/null) && echo \"kernel=$v\"\n");
            script.Append("if [ \"${v:-no}\" != yes ]; then [ -e /run/systemd/timesync/synchronized ] && echo timesyncd=yes\n");
            script.Append(
                "command -v chronyc >/dev/null && timeout 5 chronyc -n tracking 2>/dev/null | while IFS=: read -r k "
                    + "v; do case $k in Leap*) echo \"chrony=${v# }\";; esac; done\n"
            );
            script.Append("systemd-detect-virt -q -c 2>/dev/null && echo container=yes; fi\n");
            script.Append("end clock 0\n");
        }

        if (groups.Of<LockRead>().Count > 0)
        {
            // Of those that have the file open, some may only wait: who holds it has a line of it in fdinfo. A container has a file of that
            // name of its own.
            script.Append(
                "k=$(stat -L -c %d:%i /run/kbr/lock 2>/dev/null); ls -l /proc/[0-9]*/fd 2>/dev/null | while read -r "
                    + "l; do case $l in /proc/*/fd:) p=${l#/proc/}; p=${p%/fd:};;\n"
            );
            script.Append(
                "*' -> /run/kbr/lock') f=${l% -> *}; f=${f##* }; case $(stat -L -c %d:%i \"/proc/$p/fd/$f\" "
                    + "2>/dev/null):$(cat \"/proc/$p/fdinfo/$f\" 2>/dev/null) in \"$k\":*FLOCK*) echo \"pid $p\";; esac;; "
                    + "esac; done\n"
            );
            script.Append("cat /run/kbr/lock.json 2>/dev/null; end lock 0\n");
        }

        var records = groups.Of<RecordsRead>();
        for (var i = 0; i < records.Count; i++)
        {
            // What is no regular file is named and not opened: a link leads elsewhere, a pipe never ends. head writes each file's name
            // above it.
            var (top, own, directory) = (
                "/var/lib/kbr",
                $"/var/lib/kbr/{records[i].Cluster}",
                $"/var/lib/kbr/{records[i].Cluster}/records"
            );
            script.Append(
                CultureInfo.InvariantCulture,
                $"set -- {Script.Quote(directory)}/*.json; [ -e \"$1\" ] || [ -L \"$1\" ] || shift\n"
            );
            script.Append(
                CultureInfo.InvariantCulture,
                $"stat --printf '%F\\t%u\\t%a\\t%n\\n' -- {top} {Script.Quote(own)} {Script.Quote(directory)} \"$@\" "
                    + $"2>/dev/null; end r{i} $?\n"
            );
            script.Append(
                CultureInfo.InvariantCulture,
                $"for f do shift; if [ -f \"$f\" ] && ! [ -L \"$f\" ]; then set -- \"$@\" \"$f\"; fi; done\n"
            );
            script.Append(
                CultureInfo.InvariantCulture,
                $"if [ $# -gt 0 ]; then head -v -c {LargestFile} -- \"$@\" 2>/dev/null; fi; end rf{i} $?\n"
            );
        }
    }
}

/// <summary>Distinct reads by kind, each kind in the order asked: rendering and parsing number them alike.</summary>
internal sealed class ReadGroups
{
    private readonly Dictionary<Type, List<Read>> _byType = [];

    public ReadGroups(IReadOnlyCollection<Read> reads)
    {
        foreach (var read in reads.Distinct())
        {
            if (!_byType.TryGetValue(read.GetType(), out var list))
            {
                _byType[read.GetType()] = list = [];
            }

            list.Add(read);
        }
    }

    public IReadOnlyList<T> Of<T>()
        where T : Read => _byType.TryGetValue(typeof(T), out var list) ? list.ConvertAll(read => (T)read) : [];
}
