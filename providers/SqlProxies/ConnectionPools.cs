using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>The connection pools in front of a cluster, as the cluster's own resources declare them: a planned hand-over pauses them, so
/// that sessions wait and do not fail (https://www.pgbouncer.org/usage.html, PAUSE).</summary>
/// <param name="Hosts">The hosts with a pool, of another group.</param>
/// <param name="Container">The container of PgBouncer on each of them.</param>
/// <param name="SocketDirectory">Its unix socket, inside the container.</param>
/// <param name="Port">Its port.</param>
/// <param name="Statistics">The statistics of the HAProxy beside it.</param>
/// <param name="Backend">HAProxy's backend of all members.</param>
/// <param name="Patience">How long transactions are waited for.</param>
/// <param name="IsRequired">Whether a hand-over is put off when a pool cannot be paused.</param>
public sealed record ConnectionPools(
    ImmutableArray<string> Hosts,
    string Container,
    string SocketDirectory,
    int Port,
    HttpRead Statistics,
    string Backend,
    TimeSpan Patience,
    bool IsRequired
)
{
    /// <summary>The unit on each of the hosts that resumes a pool nobody holds any longer.</summary>
    public const string Unit = "kbr-resume-pools";

    /// <summary>The exit code of <see cref="Pause"/> where transactions run for longer than the patience.</summary>
    public const int Busy = 75;

    /// <summary>The exit code of <see cref="Hold"/> where there is no pause any more.</summary>
    public const int Over = 76;

    /// <summary>How long a pool stays paused that nobody holds any longer. Longer than a slow machine needs to hold it again.</summary>
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(10);

    /// <summary>The attribute of the hosts; without it no pool is paused.</summary>
    public const string HostsKey = "pooler_hosts";

    /// <summary>The attribute of the container.</summary>
    public const string ContainerKey = "pooler_container";

    /// <summary>The attribute of the socket's directory.</summary>
    public const string SocketKey = "pooler_socket";

    /// <summary>The attribute of the port.</summary>
    public const string PortKey = "pooler_port";

    /// <summary>The attribute of the port of HAProxy's statistics.</summary>
    public const string StatisticsKey = "pooler_stats_port";

    /// <summary>The attribute of HAProxy's backend.</summary>
    public const string BackendKey = "pooler_backend";

    /// <summary>The attribute of the patience, in seconds.</summary>
    public const string PatienceKey = "switchover_patience";

    /// <summary>The attribute of whether a pause is required.</summary>
    public const string RequiredKey = "switchover_requires_pause";

    /// <summary>HAProxy's container beside each PgBouncer.</summary>
    public const string HaproxyContainer = "haproxy";

    /// <summary>Where it has its admin socket, inside its container.</summary>
    public const string HaproxyAdminSocket = HaproxyFolder + "/admin.sock";

    /// <summary>Its front end for direct sessions.</summary>
    public const string DirectFrontend = "postgres";

    private const string HaproxyFolder = "/run/haproxy";
    private const string Folder = "/run/kbr";
    private const string LeaseFile = Folder + "/pools-paused-until";
    private const string Program = Folder + "/pools-program";
    private const string Said = Folder + "/pools-pause-said";
    private const string Fifo = Folder + "/pools-hold";

    // Of a container where no lock can be taken: EX_UNAVAILABLE.
    private const int NeverHeld = 69;
    private const string IsPaused = "kbr-paused";
    private const string NotPaused = "not paused";

    /// <summary>The attributes, of every resource by which a cluster's lead is handed over.</summary>
    public static IReadOnlyList<AttributeDefinition> Attributes { get; } =
    [
        new(HostsKey, AttributeKind.StringList, "The hosts whose PgBouncer is paused for a planned hand-over of the lead."),
        new(ContainerKey, AttributeKind.String, "The container of PgBouncer on each of them."),
        new(SocketKey, AttributeKind.Path, "The directory of its unix socket, inside the container."),
        new(PortKey, AttributeKind.Integer, "PgBouncer's port.") { Minimum = 1 },
        new(StatisticsKey, AttributeKind.Integer, "HAProxy's statistics on each of these hosts, on loopback.") { Minimum = 1 },
        new(BackendKey, AttributeKind.String, "HAProxy's backend of all members."),
        new(PatienceKey, AttributeKind.Integer, "Seconds that transactions are waited for before the lead is handed over.") { Minimum = 1 },
        new(RequiredKey, AttributeKind.Boolean, "Whether a hand-over is put off when a pool cannot be paused."),
    ];

    /// <summary>Those of a resource; null when it declares none.</summary>
    public static ConnectionPools? Of(IDeclared declared)
    {
        var spec = declared.Spec;
        return
            spec.List(HostsKey) is { Count: > 0 } hosts
            && spec.OptionalString(ContainerKey) is { } container
            && spec.OptionalString(SocketKey) is { } socket
            && spec.Integer(PortKey) is { } port
            && spec.Integer(StatisticsKey) is { } statistics
            && spec.OptionalString(BackendKey) is { } backend
            && spec.Integer(PatienceKey) is { } patience
            ? new ConnectionPools(
                [.. hosts],
                container,
                socket,
                (int)port,
                new HttpRead("127.0.0.1", (int)statistics, "/stats;csv"),
                backend,
                TimeSpan.FromSeconds(patience),
                spec.Boolean(RequiredKey) == true
            )
            : null;
    }

    /// <summary>Pauses the pools of a host: keeps new transactions waiting, and waits until the others have ended. Exit code
    /// <see cref="Busy"/>: some of them run for longer than the patience; the pools are paused but for these. The host itself resumes them
    /// once nobody has held the pause for <see cref="Lease"/>.</summary>
    public Script Pause =>
        new(
            $$"""
            mkdir -p {{Folder}}
            # The pause of a run that was killed: it is given back before the next one begins.
            {{Direct}}
            if [ -e {{LeaseFile}} ]; then
                release_direct || true
                timeout 10 {{Console("RESUME")}} >/dev/null 2>&1 || true
            fi
            systemctl stop {{Unit}}.service 2>/dev/null || true
            systemctl reset-failed {{Unit}}.service 2>/dev/null || true
            rm -f {{Said}} {{Fifo}}
            {{InHaproxy(10, ReleaseIt + "\n: >kbr-may-hold")}} >/dev/null 2>&1 || true
            {{Until(Patience + Lease)}}
            cat >{{Program}} <<'kbr-program'
            {{Direct}}
            # PAUSE answers once the transactions have ended. Nobody answers it when it is given up: then it is ended, in the container.
            mkfifo -m 600 {{Fifo}}
            timeout 600 docker exec -i {{Script.Quote(
                Container
            )}} sh -c '{{Psql}} -v ON_ERROR_STOP=1 -c PAUSE -c "\echo {{IsPaused}}" </dev/null 2>&1 & \
                pause=$!; read -r given_up; kill $pause 2>/dev/null; wait $pause' <{{Fifo}} >{{Said}} 2>&1 &
            exec 9>{{Fifo}}
            while read -r until <{{LeaseFile}}; do
                read -r now rest </proc/uptime
                [ "$until" -gt "${now%.*}" ] || break
                sleep 0.2
            done 2>/dev/null
            # New direct sessions first: PgBouncer's own come that way, too.
            resume() {
                for attempt in 1 2 3 4 5; do release_direct && break; sleep 1; done
                for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
                    said=$(timeout 10 {{Console("RESUME")}} 2>&1 9>&-) && break
                    case $said in *'{{NotPaused}}'* | *'is not running'* | *'o such container'*) break ;; esac
                    sleep 1
                done
            }
            resume
            exec 9>&-
            wait
            # One that was only about to pause.
            resume
            rm -f {{LeaseFile}} {{Program}} {{Said}} {{Fifo}}
            # Nobody else will, and without it no new direct session is served: for an hour.
            for attempt in $(seq 720); do release_direct && break; sleep 5; done
            kbr-program
            systemd-run --quiet --collect --unit={{Unit}} --description="Holds the pools paused while kbr hands the lead over" \
                /bin/sh {{Program}} </dev/null
            tries={{Seconds((int)(Patience.TotalSeconds * 10))}}
            while ! [ -s {{Said}} ]; do
                [ $tries -gt 0 ] || exit {{Seconds(Busy)}}
                tries=$((tries - 1))
                sleep 0.1
            done
            grep -q {{IsPaused}} {{Said}} && exit 0
            sleep 0.3
            cat {{Said}} >&2
            rm -f {{LeaseFile}}
            exit 1

            """
        )
        {
            Deadline = Patience + Patience + TimeSpan.FromSeconds(30),
        };

    /// <summary>Holds the pause for <see cref="Lease"/> from now on. Exit code <see cref="Over"/>: the host has resumed its
    /// pools.</summary>
    public static Script Hold =>
        new(
            $"""
            [ -e {LeaseFile} ] || exit {Seconds(Over)}
            {Until(Lease)}

            """
        )
        {
            Deadline = TimeSpan.FromSeconds(10),
        };

    /// <summary>Lets new direct sessions wait while the pause of the pools is held: HAProxy accepts none, and the kernel keeps those that
    /// connect. Those that it has go on. Exit code <see cref="Over"/>: the host has resumed its pools.</summary>
    public static Script HoldDirect =>
        new(
            $$"""
            [ -e {{LeaseFile}} ] || exit {{Seconds(Over)}}
            rc=0
            {{InHaproxy(5, HoldIt)}} || rc=$?
            if [ $rc -eq {{Seconds(Over)}} ] && [ -e {{LeaseFile}} ]; then
                echo "HAProxy could not be asked when the pause began" >&2
                exit 1
            fi
            exit $rc

            """
        )
        {
            Deadline = TimeSpan.FromSeconds(10),
        };

    /// <summary>Resumes the pools of a host, new direct sessions first; fine where they are not paused.</summary>
    public Script Resume =>
        new(
            $"""
            {Direct}
            released=0
            release_direct || released=1
            said=$(timeout 10 {Console("RESUME")} 2>&1) || case $said in *'{NotPaused}'*) ;; *) printf '%s\n' "$said" >&2; exit 1 ;; esac
            if [ $released -ne 0 ]; then echo "new direct sessions are still held" >&2; exit 1; fi
            rm -f {LeaseFile}

            """
        )
        {
            Deadline = TimeSpan.FromSeconds(20),
        };

    /// <summary>Whether a HAProxy sends sessions to one member alone.</summary>
    /// <param name="member">To that one; null for any.</param>
    /// <param name="proxy">The answers of its host.</param>
    public bool Leads(string? member, Snapshot proxy)
    {
        ArgumentNullException.ThrowIfNull(proxy);
        return proxy.Get(Statistics) is { Status: 200 } answer
            && HaproxyServers.Of(answer)[Backend].Where(HaproxyServers.IsUp).Select(HaproxyServers.NameOf).ToList() is [var only]
            && (member is null || only == member);
    }

    // The limit of the front end is 0 meanwhile: docs/decisions/waiting-direct-sessions.md.
    private static string Direct =>
        $$"""
            release_direct() {
                said=$({{InHaproxy(10, ReleaseIt)}} 2>&1) || [ $? -eq {{Seconds(NeverHeld)}} ] && return 0
                case $said in *'is not running'* | *'o such container'*) return 0 ;; *) return 1 ;; esac
            }
            """;

    // A command that is given up on the host may still begin in the container, seconds later. So both the permission to hold and the
    // former limit are there, a lock is taken, and the end of a pause takes the permission away: a late command changes nothing. A
    // container that is started anew has none of them, and the limit of its file.
    private static string InHaproxy(int seconds, string script) =>
        $"timeout {Seconds(seconds)} docker exec {HaproxyContainer} sh -c "
        + Script.Quote(
            $$"""
            cd {{HaproxyFolder}} && touch kbr-lock && exec 9>kbr-lock && flock 9 || exit {{Seconds(NeverHeld)}}
            says() { echo "$1" | timeout 5 socat -t 4 - UNIX-CONNECT:{{HaproxyAdminSocket}}; }
            sets() {
                said=$(says "set maxconn frontend {{DirectFrontend}} $1") && [ -z "$(echo $said)" ] && return
                echo "HAProxy does not take $1 as the limit of its front end {{DirectFrontend}}: $said" >&2
                exit 1
            }
            {{script}}
            """
        );

    private const string ReleaseIt = """
        rm -f kbr-may-hold
        if [ -e kbr-limit ]; then sets "$(cat kbr-limit)" && rm -f kbr-limit; fi
        """;

    private static string HoldIt =>
        $$"""
            [ -e kbr-may-hold ] || exit {{Seconds(Over)}}
            if ! [ -e kbr-limit ]; then
                limit=$(says "show stat" | grep "^{{DirectFrontend}},FRONTEND," | cut -d, -f7)
                case $limit in "" | 0 | *[!0-9]*) echo "its limit is ${limit:-unknown}" >&2; exit 1 ;; esac
                echo "$limit" >kbr-limit.new && mv kbr-limit.new kbr-limit || exit 1
            fi
            sets 0
            """;

    // By the time since the host was started: a clock that is set does not shorten or lengthen it.
    private static string Until(TimeSpan from) =>
        $$"""
            read -r now rest </proc/uptime
            echo $((${now%.*} + 1 + {{Seconds(from)}})) >{{LeaseFile}}.new
            mv {{LeaseFile}}.new {{LeaseFile}}
            """;

    private string Psql => $"psql -X -q -h {SocketDirectory} -p {Seconds(Port)} -U pgbouncer -d pgbouncer";

    private string Console(string command) => $"docker exec {Script.Quote(Container)} {Psql} -c {command}";

    private static string Seconds(TimeSpan time) => Seconds((int)Math.Ceiling(time.TotalSeconds));

    private static string Seconds(int number) => number.ToString(CultureInfo.InvariantCulture);
}
