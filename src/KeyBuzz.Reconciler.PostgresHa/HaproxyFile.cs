using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Monitoring;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>Renders a proxy's haproxy.cfg (https://docs.haproxy.org/3.0/configuration.html).</summary>
internal static class HaproxyFile
{
    /// <summary>Where sockets and server state are, in memory inside the container: a state that outlived the container would be
    /// old.</summary>
    public const string RunDirectory = "/run/haproxy";

    /// <summary>The path at which the process answers that it is alive, where something asks.</summary>
    public const string AlivePath = "/alive";

    private const string State = RunDirectory + "/server-state";
    private const string MasterSocket = RunDirectory + "/master.sock";

    /// <summary>The container's command: a master that replaces its worker on request, in the foreground.</summary>
    public static readonly IReadOnlyList<string> Command =
    [
        "haproxy",
        "-W",
        "-db",
        "-S",
        $"{MasterSocket},mode,600",
        "-f",
        PostgresTopology.HaproxyConfiguration,
    ];

    /// <summary>The reload, run on the host. A new worker takes every server for up until it has checked it, so the old one's view is
    /// handed over first. The master answers when the new worker has taken over, or keeps the old one.</summary>
    public static string Reload(string container) =>
        $"said=$(docker exec {container} sh -c '"
        + $"echo show servers state | socat -t 5 - UNIX-CONNECT:{PostgresTopology.HaproxyAdminSocket} > "
        + $"{State}.new && mv {State}.new {State} && "
        + $"echo reload | socat -t 30 - UNIX-CONNECT:{MasterSocket}') && "
        + "case $said in Success=1*) ;; *) printf \"%s\\n\" \"$said\" >&2; exit 1 ;; esac";

    /// <summary>The check of a new file, in a container of its own.</summary>
    public static string Check(HaproxySettings settings) =>
        $"docker run --rm --pull never --network none {HostResources.Confined} --user "
        + $"{settings.Uid}:{settings.Gid} --mount type=bind,source=\"$(dirname "
        + $"\"$file\")\",target=/check,readonly "
        + $"--entrypoint haproxy {settings.Image.Reference} -c -f \"/check/$(basename \"$file\")\"";

    public static SecretText Render(PostgresTopology topology, Host proxy) =>
        ConfigText.Join([SecretText.Plain(Text(topology, proxy)), StatisticsLogin(topology.Haproxy)]);

    // Behind the login: HAProxy takes these rules in their order.
    private static string Metrics(HaproxySettings settings) =>
        settings.Metrics ? $"    http-request use-service prometheus-exporter if {Brace($"path {PrometheusFiles.HaproxyPath}")}\n" : "";

    // The end of the front end of the statistics. On loopback, where kbr asks, none is wanted.
    private static SecretText StatisticsLogin(HaproxySettings settings) =>
        settings.StatisticsLogin is not { } login
            ? SecretText.Plain(Metrics(settings))
            : ConfigText.Of(
                $"""
                    http-request auth realm statistics unless {Brace("dst 127.0.0.1")} or {Brace("http_auth(statistics)")}
                {Metrics(settings)}
                userlist statistics
                    user {login.Name} insecure-password {Word(login.Password)}

                """
            );

    // A word of HAProxy's: nothing is special between single quotes, and a quote stands between two of them.
    private static SecretText Word(SecretText text) =>
        ConfigText.Of(
            $"'{new SecretText([.. text.Parts.Select(part => part with { Value = part.Value.Replace("'", "'\\''", StringComparison.Ordinal) })])}'"
        );

    private static string Text(PostgresTopology topology, Host proxy)
    {
        var settings = topology.Haproxy;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"""
            # Written by kbr for {proxy.Name}; a change by hand is drift.
            global
                log stdout format raw local0 info
                maxconn {settings.ProcessConnections}
                # With too few open files it serves fewer sessions; by default it would not start at all.
                no strict-limits
                stats socket {PostgresTopology.HaproxyAdminSocket} mode 600 level admin
                server-state-file {State}

            defaults
                mode tcp
                log global
                option tcplog
                option dontlognull
                # Sessions may be idle for long: keep-alives tell a silent peer from a dead one.
                option clitcpka
                clitcpka-idle 60s
                clitcpka-intvl 10s
                clitcpka-cnt 6
                option srvtcpka
                srvtcpka-idle 60s
                srvtcpka-intvl 10s
                srvtcpka-cnt 6
                timeout connect {Time(settings.ConnectTimeout)}
                timeout check {Time(settings.CheckTimeout)}
                timeout client {Time(settings.ClientTimeout ?? settings.IdleTimeout)}
                timeout server {Time(settings.ServerTimeout ?? settings.IdleTimeout)}
            {Timeouts(settings)}    retries {settings.Retries}
                load-server-state-from-file global
                default-server inter {Time(settings.Inter)} fastinter {Time(settings.FastInter)} downinter {Time(
                settings.DownInter
            )} fall {settings.Fall} rise {settings.Rise}

            frontend {ConnectionPools.DirectFrontend}
                bind {ConfigText.Endpoint(proxy.Address, settings.Port)}
            {Held(topology, settings.Port)}    # Just after a start every member counts as up until it was checked: until then nobody is sent to a replica.
                tcp-request connection reject if {Brace($"nbsrv({PostgresTopology.HaproxyPrimaryBackend}) gt 1")}
                default_backend {PostgresTopology.HaproxyPrimaryBackend}
                maxconn {settings.MaxConnections}

            # Patroni answers 200 on the primary only. {(settings.EndsSessions ? "Nobody stays on a server that is no longer it." : Kept)}
            backend {PostgresTopology.HaproxyPrimaryBackend}
                option httpchk
                http-check send meth OPTIONS uri /primary
                http-check expect status 200
            {MarkedDown(
                settings.EndsSessions
            )}    # There is nobody else to try. A session that waits to try again while its server is marked down is never ended by HAProxy 3.0.
                retries 0
            {Lines(
                topology.Members.Select(member =>
                    $"server {member.Name} {ConfigText.Endpoint(member.Address, topology.Ports.Postgres)} check port {topology.Ports.Rest}"
                )
            )}

            frontend pooled
                bind {ConfigText.Endpoint(proxy.Address, settings.PooledPort)}
            {Held(topology, settings.PooledPort)}    default_backend {PostgresTopology.HaproxyPooledBackend}
                maxconn {settings.MaxConnections}

            backend {PostgresTopology.HaproxyPooledBackend}
                balance roundrobin
                # One that has just gone is not up any more only after a check: the second attempt goes to another one.
                option redispatch
            {Lines(
                topology.Proxies.Select(other => $"server {other.Name} {ConfigText.Endpoint(other.Address, topology.PgBouncer.Port)} check")
            )}

            {Reads(topology, proxy)}frontend statistics
                # Beside those of the other ports: it answers also when they are full.
                maxconn {HaproxySettings.StatisticsConnections}
                # On loopback too, where kbr asks.
                bind {ConfigText.Endpoint(proxy.Address, settings.StatsPort)}
                bind 127.0.0.1:{settings.StatsPort}
                mode http
                option httplog
                option dontlog-normal
                timeout client 30s
                stats enable
                stats uri /stats
                stats refresh 10s
            {(topology.VirtualAddress is null ? "" : $"    monitor-uri {AlivePath}\n")}
            """
        );
    }

    private static string Reads(PostgresTopology topology, Host proxy) =>
        topology.Haproxy.ReadPort is not { } port
            ? ""
            : string.Create(
                CultureInfo.InvariantCulture,
                $"""
                frontend reads
                    bind {ConfigText.Endpoint(proxy.Address, port)}
                {Held(topology, port)}    default_backend {PostgresTopology.HaproxyReadBackend}
                    maxconn {topology.Haproxy.MaxConnections}

                # Patroni answers 200 on a replica that is no further behind. {(
                    topology.Haproxy.EndsReads ? "Nobody stays on one that falls behind, or that has begun to lead." : Kept
                )}
                backend {PostgresTopology.HaproxyReadBackend}
                    balance leastconn
                    option httpchk
                    http-check send meth OPTIONS uri /replica?lag={topology.Haproxy.ReadMaxLag}
                    http-check expect status 200
                {MarkedDown(topology.Haproxy.EndsReads)}    retries 0
                {Lines(
                    topology.Members.Select(member =>
                        $"server {member.Name} {ConfigText.Endpoint(member.Address, topology.Ports.Postgres)} check port {topology.Ports.Rest}"
                    )
                )}


                """
            );

    // Also while another proxy holds it: "transparent" is IP_FREEBIND for a process without capabilities.
    private static string Held(PostgresTopology topology, int port) =>
        topology.VirtualAddress is { } held
            ? $"    # The virtual address, held or not.\n    bind {ConfigText.Endpoint(held.Address, port)} transparent\n"
            : "";

    private const string Kept = "Sessions stay on a server that is marked down.";

    private static string MarkedDown(bool endsSessions) => endsSessions ? "    default-server on-marked-down shutdown-sessions\n" : "";

    private static string Timeouts(HaproxySettings settings) =>
        string.Concat(settings.Timeouts.Select(timeout => $"    timeout {timeout.Key} {Time(timeout.Value)}\n"));

    private static string Brace(string condition) => "{ " + condition + " }";

    private static string Lines(IEnumerable<string> lines) => string.Join('\n', lines.Select(line => "    " + line));

    private static string Time(TimeSpan time) =>
        time.Milliseconds == 0
            ? string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalSeconds}s")
            : string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalMilliseconds}ms");
}
