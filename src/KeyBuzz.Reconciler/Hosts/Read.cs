using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>A question to a host, from a closed set. None of them changes anything, by construction: only <see cref="ProbeScript"/> turns
/// them into shell.</summary>
public abstract record Read
{
    private protected Read() { }
}

/// <summary>A question with an answer of type <typeparamref name="T"/>.</summary>
public abstract record Read<T> : Read
{
    private protected Read() { }
}

/// <summary>stat(1) of a path, not following a final symbolic link. Answer: null when there is nothing.</summary>
public sealed record StatRead(string Path) : Read<FileStat?>;

/// <summary>The bytes of a regular file, at most 8 MiB. Answer: null when there is none.</summary>
public sealed record FileRead(string Path) : Read<FileContent?>;

/// <summary>Every mounted file system, as in /proc/self/mountinfo.</summary>
public sealed record MountsRead : Read<IReadOnlyList<MountEntry>>;

/// <summary>The content of a block device, by blkid's low-level probe, and whether its first MiB is all zero.</summary>
public sealed record BlockDeviceRead(string Path) : Read<BlockDeviceState>;

/// <summary>Size and free space of the file system that holds a path.</summary>
public sealed record DiskSpaceRead(string Path) : Read<DiskSpace?>;

/// <summary>A container by name, as Docker Engine's API describes it (<c>GET /containers/NAME/json</c>).</summary>
public sealed record ContainerRead(string Name) : Read<DockerAnswer>;

/// <summary>An image by reference, as Docker Engine's API describes it (<c>GET /images/REF/json</c>).</summary>
public sealed record ImageRead(string Reference) : Read<DockerAnswer>;

/// <summary>Properties of a systemd unit (<c>systemctl show</c>), and the files of this host that belong to it beside its own.</summary>
public sealed record UnitRead(string Name) : Read<UnitState>;

/// <summary>Every service that systemd has loaded, with its commands and the clients of a container engine that run in it. Commands may
/// hold passwords: they are judged and never shown.</summary>
public sealed record ServicesRead : Read<IReadOnlyList<ServiceState>>;

/// <summary>Whether a TCP port of another host answers, refuses or stays silent, tried from this host for at most two seconds.</summary>
public sealed record PortRead(string Address, int Port) : Read<PortState>;

/// <summary>The holder of the host's lock, with its description. Scans every process of the host, so only for kbr unlock.</summary>
public sealed record LockRead : Read<LockState>;

/// <summary>The lock of a host.</summary>
/// <param name="ProcessIds">The processes that hold it; none when it is free.</param>
/// <param name="Holder">What its description says; of a lock that is free it was left over. Null when there is none, or none that can be
/// read.</param>
public sealed record LockState(IReadOnlyList<int> ProcessIds, LockHolder? Holder);

/// <summary>Whether the clock is kept in step (kernel's and timedated's view).</summary>
public sealed record ClockRead : Read<ClockState>;

/// <summary>An HTTP GET on a loopback or own address of the host, for at most five seconds.</summary>
/// <param name="Address">The address the service listens on, as the host sees it.</param>
/// <param name="Port">Its port.</param>
/// <param name="Path">The path, with its query.</param>
public sealed record HttpRead(string Address, int Port, string Path) : Read<HttpAnswer>
{
    /// <summary>In place of an address: the host's own in the cluster's network, for a service that does not listen on loopback.</summary>
    public const string OwnAddress = "own";
}

/// <summary>One SELECT by psql on the local socket inside a container, in a read-only transaction, for at most ten seconds.</summary>
/// <param name="Container">The container.</param>
/// <param name="User">The PostgreSQL role, to which the local socket lets the container's user in without a password.</param>
/// <param name="Database">The database.</param>
/// <param name="Port">The server's port, which names the socket.</param>
/// <param name="Query">One SELECT without a semicolon; the answer is its rows as a JSON array of objects.</param>
public sealed record SqlRead(string Container, string User, string Database, int Port, string Query) : Read<SqlAnswer>;

/// <summary>HAProxy's own check of its configuration (<c>haproxy -c</c>), inside its container.</summary>
public sealed record HaproxyCheckRead(string Container, string Path) : Read<ToolAnswer>;

/// <summary>A table of PgBouncer's admin console as CSV with a header, by psql on the Unix socket inside the container, to which the
/// container's own user is let in without a password as <c>pgbouncer</c>.</summary>
/// <param name="Container">The container.</param>
/// <param name="SocketDirectory">Where PgBouncer's socket lies in it.</param>
/// <param name="Port">PgBouncer's port, which names the socket.</param>
/// <param name="Table">What is shown.</param>
public sealed record PoolerRead(string Container, string SocketDirectory, int Port, PoolerTable Table) : Read<ToolAnswer>;

/// <summary>RAFT as the Patroni in a container sees it: Patroni's namespace as JSON on the first line, and pysyncobj's <c>status</c> as
/// JSON on the last line, or <c>null</c> where Patroni uses another store. The password is read inside the container, from the file that
/// Patroni was started with.</summary>
/// <param name="Container">The container.</param>
public sealed record RaftRead(string Container) : Read<ToolAnswer>;

/// <summary>The tables of PgBouncer's admin console that are read.</summary>
public enum PoolerTable
{
    /// <summary><c>SHOW POOLS</c>.</summary>
    Pools,

    /// <summary><c>SHOW CONFIG</c>.</summary>
    Config,
}

/// <summary>kbr's records on the host, with their owners and modes.</summary>
public sealed record RecordsRead(string Cluster) : Read<RecordsFolder>;

/// <summary>Where records are kept on a host, as it was found. Links are not followed.</summary>
/// <param name="Directories">The directories that exist, from <c>/var/lib/kbr</c> down to that of the records.</param>
/// <param name="Files">The files in it, in the order of their names.</param>
public sealed record RecordsFolder(ImmutableArray<RecordPath> Directories, ImmutableArray<RecordFile> Files)
{
    /// <summary>No records.</summary>
    public static readonly RecordsFolder None = new([], []);
}

/// <summary>The answer of stat(1) for a directory or file of records.</summary>
/// <param name="Path">The path.</param>
/// <param name="Kind">As <c>stat -c %F</c>; an empty file is a regular one.</param>
/// <param name="Uid">Numeric owner.</param>
/// <param name="Mode">Four octal digits.</param>
public sealed record RecordPath(string Path, string Kind, int Uid, string Mode);

/// <summary>A file that holds a record.</summary>
/// <param name="At">Its path, owner and mode.</param>
/// <param name="Text">Its content; empty for other than a regular file.</param>
public sealed record RecordFile(RecordPath At, string Text);

/// <summary>The answer of stat(1).</summary>
/// <param name="Kind">As <c>stat -c %F</c>: <c>directory</c>, <c>regular file</c>, <c>symbolic link</c> …</param>
/// <param name="Uid">Numeric owner.</param>
/// <param name="Gid">Numeric group.</param>
/// <param name="User">Owner's name, or <c>UNKNOWN</c>.</param>
/// <param name="Group">Group's name, or <c>UNKNOWN</c>.</param>
/// <param name="Mode">Four octal digits.</param>
/// <param name="ModifiedAt">Time of the last change of content.</param>
public sealed record FileStat(string Kind, int Uid, int Gid, string User, string Group, string Mode, DateTimeOffset ModifiedAt);

/// <summary>Bytes of a file.</summary>
public sealed record FileContent(ReadOnlyMemory<byte> Bytes)
{
    /// <summary>The bytes as UTF-8.</summary>
    public string Text => System.Text.Encoding.UTF8.GetString(Bytes.Span);
}

/// <summary>A mounted file system.</summary>
/// <param name="MountPoint">Where.</param>
/// <param name="Source">From what, as the kernel names it.</param>
/// <param name="DeviceNumber">major:minor.</param>
/// <param name="Type">File system type.</param>
/// <param name="Options">Mount and superblock options, comma-separated.</param>
public sealed record MountEntry(string MountPoint, string Source, string DeviceNumber, string Type, string Options);

/// <summary>The content of a block device.</summary>
/// <param name="Exists">Whether it is a block device at all.</param>
/// <param name="DeviceNumber">major:minor in decimal, or null.</param>
/// <param name="Signatures">blkid's low-level tags (TYPE, UUID, LABEL, PTTYPE …); empty when it recognises nothing.</param>
/// <param name="FirstMebibyteIsZero">Whether the first MiB is all zero bytes.</param>
/// <param name="SizeBytes">Its size in bytes.</param>
public sealed record BlockDeviceState(
    bool Exists,
    string? DeviceNumber,
    IReadOnlyDictionary<string, string> Signatures,
    bool FirstMebibyteIsZero,
    long SizeBytes
);

/// <summary>Size and free space in bytes, and the type of the file system (as <c>df --output=fstype</c>).</summary>
public sealed record DiskSpace(long SizeBytes, long AvailableBytes, string FileSystem);

/// <summary>An answer of Docker Engine's API.</summary>
/// <param name="Status">HTTP status: 200, 404 …; 0 when the engine does not answer.</param>
/// <param name="Json">The body.</param>
public sealed record DockerAnswer(int Status, string Json);

/// <summary>An answer over HTTP.</summary>
/// <param name="Status">HTTP status; 0 when nothing answers.</param>
/// <param name="Body">The body.</param>
public sealed record HttpAnswer(int Status, string Body);

/// <summary>An answer of PostgreSQL.</summary>
/// <param name="Json">The rows as a JSON array of objects; null when there is no answer.</param>
/// <param name="Error">Why there is none, as psql or docker said it; empty otherwise.</param>
public sealed record SqlAnswer(string? Json, string Error);

/// <summary>How a tool inside a container ended.</summary>
/// <param name="ExitCode">Its exit status, or that of docker when the container could not be entered.</param>
/// <param name="Output">What it printed, both streams.</param>
public sealed record ToolAnswer(int ExitCode, string Output);

/// <summary>Properties of a unit, as <c>systemctl show --timestamp=us+utc</c> prints them.</summary>
public sealed record UnitState(IReadOnlyDictionary<string, string> Properties)
{
    /// <summary>A property's value; empty when absent.</summary>
    public string this[string name] => Properties.TryGetValue(name, out var value) ? value : "";

    /// <summary>The drop-ins of this host (<c>/etc/systemd/…/UNIT.d/*.conf</c>, <c>/run/systemd/…</c>), loaded or not, sorted. Not those
    /// that a package or a generator brought, nor those for many units, such as <c>service.d</c>.</summary>
    public ImmutableArray<string> DropIns { get; init; } = [];

    /// <summary>The units of whose start this one is a part, by a link in <c>/etc/systemd/system</c> (<c>TARGET.wants</c>,
    /// <c>TARGET.requires</c>), sorted.</summary>
    public ImmutableArray<string> StartedWith { get; init; } = [];

    /// <summary>When the unit last became active; null when it never did.</summary>
    public DateTimeOffset? ActiveSince => ParseTimestamp(this["ActiveEnterTimestamp"]);

    // systemd prints "Mon 2026-11-23 11:00:00.123456 UTC".
    private static DateTimeOffset? ParseTimestamp(string text)
    {
        var parts = text.Split(' ');
        return
            parts.Length == 4
            && DateTimeOffset.TryParse(
                $"{parts[1]}T{parts[2]}Z",
                System.Globalization.CultureInfo.InvariantCulture,
                System.Globalization.DateTimeStyles.AssumeUniversal,
                out var time
            )
            ? time
            : null;
    }
}

/// <summary>A service of systemd, as far as it concerns containers.</summary>
/// <param name="Name">Its name, with its suffix.</param>
/// <param name="LoadState">As <c>systemctl show</c> says it; <c>not-found</c> of one that runs and whose file is gone.</param>
/// <param name="Commands">What its file runs.</param>
/// <param name="Clients">The command lines of container clients that run in it, words separated by spaces.</param>
public sealed record ServiceState(string Name, string LoadState, ImmutableArray<ServiceCommand> Commands, ImmutableArray<string> Clients);

/// <summary>A command of a service.</summary>
/// <param name="Kind">The setting, such as <c>ExecStart</c>.</param>
/// <param name="Line">Its words, separated by spaces.</param>
public sealed record ServiceCommand(string Kind, string Line);

/// <summary>The answer of a port.</summary>
public enum PortState
{
    /// <summary>It accepted a connection.</summary>
    Answered,

    /// <summary>The host refused the connection: reachable, without a listener.</summary>
    Refused,

    /// <summary>No answer in time: filtered, or the host is down.</summary>
    Silent,
}

/// <summary>Whether the clock is in step.</summary>
/// <param name="Synchronized">True or false; null when no service on the host reports it.</param>
/// <param name="Source">The source, in words.</param>
/// <param name="Now">The host's clock when it was read.</param>
public sealed record ClockState(bool? Synchronized, string Source, DateTimeOffset Now);
