using System.Globalization;
using System.Net;
using System.Net.Sockets;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.PostgresHa.Drill;

/// <summary>A fault as two scripts for the leader's host. Before it is made, a timer of systemd is started there which undoes it, so that
/// it ends also when kbr does not come back.</summary>
/// <param name="Make">Starts the timer, then makes the fault. When it fails, the fault may be half made: <see cref="Undo"/> it.</param>
/// <param name="Undo">Ends the fault and the timer; does nothing where there is neither.</param>
public sealed record DrillFault(Script Make, Script Undo)
{
    /// <summary>The name of the timer, of its service, and of the rules in the packet filter.</summary>
    public const string Unit = "kbr-drill";

    private const string Table = "kbr_drill";
    private const string Chain = "KBR_DRILL";

    // The ends of a connection, and what iptables calls the sides of a packet: each packet between two hosts has one of ours at one of
    // them.
    private static readonly string[] s_ends = ["dport", "sport"];
    private static readonly string[] s_sides = ["-s", "-d"];
    private static readonly string[] s_hooks = ["INPUT", "OUTPUT", "FORWARD"];
    private static readonly string[] s_tools = ["iptables", "ip6tables"];

    /// <summary>The fault of a drill; null for a switchover, which is none.</summary>
    /// <param name="kind">The kind.</param>
    /// <param name="topology">The cluster.</param>
    /// <param name="leader">The member that leads.</param>
    /// <param name="undoAfter">When the timer undoes it, counted from its start.</param>
    public static DrillFault? Of(DrillKind kind, PostgresTopology topology, string leader, TimeSpan undoAfter)
    {
        ArgumentNullException.ThrowIfNull(topology);
        const string unit = PostgresTopology.PatroniContainer + ".service";
        var peers = topology.Members.Where(member => member.Name != leader).Select(member => member.Address).ToList();
        var ofStore = topology.Store.Ports.Select(port => port.Number);
        int[] ports = [.. ofStore.Concat([topology.Ports.Postgres, topology.Ports.Rest]).Distinct()];
        return kind switch
        {
            // Started is what a killed one is by its unit already; it does no harm.
            DrillKind.Stop => Fault(
                "",
                $"systemctl stop {unit}",
                $"systemctl start {unit}",
                undoAfter,
                topology.StopTimeout + TimeSpan.FromSeconds(30)
            ),
            DrillKind.Kill => Fault(
                "",
                $"docker kill --signal KILL {PostgresTopology.PatroniContainer} >/dev/null",
                $"systemctl start {unit}",
                undoAfter,
                TimeSpan.FromSeconds(30)
            ),
            DrillKind.CutPeers => Fault(
                ChooseFilter,
                Filter(NftPeers(peers, ports), IptablesPeers(peers, ports)),
                RemoveRules,
                undoAfter,
                TimeSpan.FromSeconds(30)
            ),
            DrillKind.Cut => Fault(
                ChooseFilter + FindSshPort,
                Filter(NftAll, IptablesAll),
                RemoveRules,
                undoAfter,
                TimeSpan.FromSeconds(30)
            ),
            _ => null,
        };
    }

    // Nothing is changed before all that can be known to fail has been looked at. The timer's command holds neither $ nor %, which systemd
    // would expand, nor a single quote.
    private static DrillFault Fault(string look, string make, string undo, TimeSpan undoAfter, TimeSpan deadline) =>
        new(
            new Script(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"""
                    {look}
                    # Left over by a drill whose kbr was killed: the cluster is healthy, so there is nothing left to undo.
                    systemctl stop {Unit}.timer {Unit}.service 2>/dev/null || true
                    systemctl reset-failed {Unit}.service 2>/dev/null || true
                    systemd-run --quiet --collect --unit={Unit} --description="Undoes the fault of kbr drill" --on-active={(long)
                        undoAfter.TotalSeconds} --timer-property=AccuracySec=1s \
                        --property=Restart=on-failure --property=RestartSec=3 /bin/sh -c '{undo}' </dev/null
                    {make}

                    """
                )
            )
            {
                Deadline = deadline,
            },
            new Script(
                $"""
                # The timer goes when there is nothing left for it to do: it may fire meanwhile, and do the same.
                ({undo})
                systemctl stop {Unit}.timer {Unit}.service 2>/dev/null || true
                systemctl reset-failed {Unit}.service 2>/dev/null || true
                if systemctl --quiet is-active {Unit}.timer {Unit}.service; then
                    echo "the timer {Unit} cannot be stopped" >&2
                    exit 1
                fi

                """
            )
            {
                Deadline = TimeSpan.FromSeconds(60),
            }
        );

    private const string ChooseFilter = """
        if nft list tables >/dev/null 2>&1; then filter=nft
        elif iptables -w 10 -n -L INPUT >/dev/null 2>&1 && command -v iptables-restore >/dev/null; then filter=iptables
        else
            echo "neither nft nor iptables works on this host, and one of them is needed to drop packets: install nftables or iptables, or choose another kind of drill" >&2
            exit 1
        fi

        """;

    // The port that sshd has on this side: what kbr connects to may be a forwarded one. sudo clears the environment, so its parents are
    // asked.
    private const string FindSshPort = """
        port=; pid=$$
        while [ "${pid:-0}" -gt 1 ]; do
            port=$(tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | sed -n 's/^SSH_CONNECTION=.* //p')
            [ -z "$port" ] || break
            pid=$(sed 's/^.*) . //; s/ .*//' "/proc/$pid/stat")
        done
        if [ -z "$port" ]; then
            echo "the port of sshd is unknown on this host, so the fault would cut off kbr, too: choose another kind of drill" >&2
            exit 1
        fi

        """;

    private static string Filter(string nft, IEnumerable<(string Command, string Rules)> iptables) =>
        $"""
            case $filter in
            nft)
            nft -f - <<kbr_end_of_rules
            table inet {Table} {"{"}
            {nft}{"}"}
            kbr_end_of_rules
            ;;
            iptables)
            {string.Concat(iptables.Select(part => $"{part.Command} <<kbr_end_of_rules\n{part.Rules}kbr_end_of_rules\n"))}:
            ;;
            esac
            """;

    private static string Restore(AddressFamily family) =>
        (family == AddressFamily.InterNetwork ? "iptables" : "ip6tables") + "-restore --noflush --wait 10";

    // Before conntrack and every other rule, so that connections that are open already are cut as well.
    private static string NftChain(string hook, string rules) =>
        $"  chain {hook} {{\n    type filter hook {hook} priority -300; policy accept;\n{rules}  }}\n";

    private static string NftPeers(IReadOnlyList<string> peers, IReadOnlyList<int> ports)
    {
        var among = string.Join(", ", ports.Select(port => port.ToString(CultureInfo.InvariantCulture)));
        return NftChain("input", Rules("saddr")) + NftChain("output", Rules("daddr"));

        string Rules(string side) =>
            string.Concat(
                peers
                    .GroupBy(Family)
                    .SelectMany(family =>
                        s_ends.Select(end =>
                            $"    {(family.Key == AddressFamily.InterNetwork ? "ip" : "ip6")} {side} {{ "
                            + $"{string.Join(", ", family)} }} tcp {end} {{ {among} }} drop\n"
                        )
                    )
            );
    }

    private static string NftAll =>
        NftChain("input", "    iifname \"lo\" accept\n    tcp dport $port accept\n    meta l4proto ipv6-icmp accept\n    drop\n")
        + NftChain("output", "    oifname \"lo\" accept\n    tcp sport $port accept\n    meta l4proto ipv6-icmp accept\n    drop\n")
        + NftChain("forward", "    drop\n");

    private static IEnumerable<(string Command, string Rules)> IptablesPeers(IReadOnlyList<string> peers, IReadOnlyList<int> ports) =>
        peers
            .GroupBy(Family)
            .Select(family =>
                (
                    Restore(family.Key),
                    Iptables(
                        string.Concat(
                            family.SelectMany(peer =>
                                s_sides.SelectMany(side =>
                                    ports.SelectMany(port =>
                                        s_ends.Select(end =>
                                            string.Create(
                                                CultureInfo.InvariantCulture,
                                                $"-A {Chain} {side} {peer} -p tcp --{end} {port} -j DROP\n"
                                            )
                                        )
                                    )
                                )
                            )
                        ),
                        s_hooks[..2]
                    )
                )
            );

    // Where there is no IPv6 there is nothing of it to drop; where there is, neighbours must go on finding each other.
    private static IEnumerable<(string Command, string Rules)> IptablesAll { get; } =
    [
        (Restore(AddressFamily.InterNetwork), IptablesButSsh("")),
        (
            "! ip6tables -w 10 -n -L INPUT >/dev/null 2>&1 || " + Restore(AddressFamily.InterNetworkV6),
            IptablesButSsh($"-A {Chain} -p ipv6-icmp -j RETURN\n")
        ),
    ];

    private static string IptablesButSsh(string more) =>
        Iptables(
            $"-A {Chain} -i lo -j RETURN\n-A {Chain} -o lo -j RETURN\n-A {Chain} -p tcp --dport $port -j "
                + $"RETURN\n-A {Chain} -p tcp --sport $port -j RETURN\n{more}-A {Chain} -j DROP\n",
            s_hooks
        );

    private static string Iptables(string rules, IEnumerable<string> hooks) =>
        $"*filter\n:{Chain} - [0:0]\n{rules}{string.Concat(hooks.Select(hook => $"-I {hook} 1 -j {Chain}\n"))}COMMIT\n";

    private static AddressFamily Family(string address) =>
        IPAddress.TryParse(address, out var parsed) ? parsed.AddressFamily : AddressFamily.InterNetwork;

    // Both tools, whichever made them.
    private static string RemoveRules { get; } =
        $"nft delete table inet {Table} 2>/dev/null || true\n"
        + string.Concat(
            s_tools.Select(tool =>
                string.Concat(s_hooks.Select(hook => $"while {tool} -w 10 -D {hook} -j {Chain} 2>/dev/null; do :; done\n"))
                + $"{tool} -w 10 -F {Chain} 2>/dev/null && {tool} -w 10 -X {Chain} 2>/dev/null || true\n"
            )
        )
        + $"if nft list table inet {Table} >/dev/null 2>&1 || iptables -w 10 -n -L {Chain} >/dev/null 2>&1 || "
        + $"ip6tables -w 10 -n -L {Chain} >/dev/null 2>&1; then\n"
        + "echo \"the rules of the drill are still in the packet filter\" >&2; exit 1; fi";
}
