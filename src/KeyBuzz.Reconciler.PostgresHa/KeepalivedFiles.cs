using System.Globalization;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>Renders a proxy's keepalived.conf (https://www.keepalived.org/manpage.html) and its check of HAProxy.</summary>
internal static class KeepalivedFiles
{
    /// <summary>The directory of both in the container.</summary>
    public const string Directory = "/usr/local/etc/keepalived";

    /// <summary>The name of the check.</summary>
    public const string CheckName = "check-haproxy";

    private const string FileName = "keepalived.conf";

    // The one with the highest priority takes the address when nobody holds it.
    private const int HighestPriority = 250;

    /// <summary>The container's command: VRRP alone, in the foreground.</summary>
    public static readonly IReadOnlyList<string> Command =
    [
        "keepalived",
        "--dont-fork",
        "--log-console",
        "--vrrp",
        "-f",
        $"{Directory}/{FileName}",
    ];

    /// <summary>The capabilities: to set an address, to send VRRP, and to start its check with no further groups.</summary>
    public static readonly IReadOnlyList<string> Capabilities = ["NET_ADMIN", "NET_RAW", "SETGID"];

    /// <summary>The path of keepalived.conf on the host.</summary>
    public static string PathIn(string directory) => $"{directory}/{FileName}";

    /// <summary>The check of a new file, in a container of its own that sees the host's interfaces.</summary>
    public static string Check(VirtualAddress settings) =>
        $"docker run --rm --pull never --network host {HostResources.Confined} --tmpfs /run --tmpfs /tmp "
        + $"--mount type=bind,source=\"$(dirname \"$file\")\",target={Directory},readonly "
        + $"--entrypoint keepalived {settings.Image.Reference} -t -f \"{Directory}/$(basename \"$file\")\" >&2";

    /// <summary>The reload, run on the host: the address stays where it is.</summary>
    public static string Reload(string container) => $"docker kill -s HUP {container} >/dev/null";

    /// <summary>Removes the address from the host, where keepalived has ended without doing so.</summary>
    public static string Release(VirtualAddress settings) =>
        $"ip address delete {settings.Address}/32 dev {settings.Interface} 2>/dev/null";

    /// <summary>Succeeds while HAProxy's process answers. Whether there is a primary is the same for every proxy, so it does not
    /// count.</summary>
    public static string CheckScript(PostgresTopology topology) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"""
            #!/bin/bash
            # Written by kbr; a change by hand is drift.
            exec 3<>/dev/tcp/127.0.0.1/{topology.Haproxy.StatsPort} || exit 1
            printf 'GET {HaproxyFile.AlivePath} HTTP/1.0\r\n\r\n' >&3
            IFS= read -r -t 1 line <&3 && [[ $line == *' 200 '* ]]

            """
        );

    // Three missed announcements make the next one take over: 1.5 s. A backup that comes back does not take the address from its holder.
    /// <summary>The configuration of a proxy.</summary>
    public static string Render(PostgresTopology topology, VirtualAddress settings, Host proxy)
    {
        // Without a peer there is none to write to; an empty list would mean the multicast address.
        var others = topology.Proxies.Where(peer => peer.Name != proxy.Name).Select(peer => $"        {peer.Address}\n").ToList();
        var peers = others.Count == 0 ? "        127.0.0.1\n" : string.Concat(others);
        return string.Create(
            CultureInfo.InvariantCulture,
            $$"""
            # Written by kbr for {{proxy.Name}}; a change by hand is drift.
            global_defs {
                router_id {{proxy.Name}}
                enable_script_security
                script_user root
                vrrp_version 3
                # Only the peers below are heard.
                vrrp_check_unicast_src
            }

            vrrp_script haproxy {
                script "{{Directory}}/{{CheckName}}"
                interval 1
                timeout 1
                fall 2
                rise 1
            }

            vrrp_instance {{topology.ProxyGroup}} {
                state BACKUP
                nopreempt
                interface {{settings.Interface}}
                virtual_router_id {{settings.RouterId}}
                priority {{Math.Max(1, HighestPriority - topology.Proxies.IndexOf(proxy))}}
                advert_int 0.5
                unicast_src_ip {{proxy.Address}}
                unicast_peer {
            {{peers}}    }
                virtual_ipaddress {
                    {{settings.Address}}/32 dev {{settings.Interface}}
                }
                track_script {
                    haproxy
                }
            }

            """
        );
    }
}
