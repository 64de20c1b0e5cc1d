using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Drill;
using KeyBuzz.Reconciler.Tests.Providers;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>The scripts of a drill's faults, run in a network of their own between two namespaces: the leader, and one that has the
/// addresses of a peer and of a proxy. systemd is stood in for by programs that note how they are called.</summary>
[TestFixture]
internal sealed class DrillFaultTests : BlueprintFixture
{
    private const string Leader = "db-master-01";
    private const string All = "peer:22 peer:80 peer:5432 peer:7000 peer:8008 proxy:22 proxy:80 proxy:5432 proxy:7000 proxy:8008";
    private const string ButPeers = "peer:22 peer:80 proxy:22 proxy:80 proxy:5432 proxy:7000 proxy:8008";
    private const string SshAlone = "peer:22 proxy:22";

    [TestCase(DrillKind.CutPeers, "nft", ButPeers)]
    [TestCase(DrillKind.CutPeers, "iptables", ButPeers)]
    [TestCase(DrillKind.Cut, "nft", SshAlone)]
    [TestCase(DrillKind.Cut, "iptables", SshAlone)]
    public void A_cut_drops_the_declared_packets_until_kbr_or_the_timer_undoes_it(DrillKind kind, string filter, string left) =>
        Assert.That(
            Play(kind, filter, "reach", "make", "reach", "timer", "reach", "make", "reach", "undo", "undo", "reach", "rules"),
            Is.EqualTo(new[] { All, "made 0", left, "timer 0", All, "made 0", left, "undone 0", "undone 0", All, "no rules" })
        );

    [Test]
    public void The_timer_is_there_before_the_fault_and_without_it_there_is_no_fault() =>
        Assert.Multiple(() =>
        {
            Assert.That(
                Play(DrillKind.CutPeers, "iptables", "make", "log"),
                Is.EqualTo(
                    new[]
                    {
                        "made 0",
                        "systemctl stop kbr-drill.timer kbr-drill.service",
                        "systemctl reset-failed kbr-drill.service",
                        "systemd-run --quiet --collect --unit=kbr-drill --description=Undoes the fault of kbr drill "
                            + "--on-active=70 --timer-property=AccuracySec=1s --property=Restart=on-failure "
                            + "--property=RestartSec=3 /bin/sh -c, with no rules",
                    }
                )
            );
            Assert.That(Play(DrillKind.CutPeers, "iptables", "no timer", "make", "rules"), Is.EqualTo(new[] { "made 1", "no rules" }));
        });

    [Test]
    public void A_host_without_a_packet_filter_says_so_and_nothing_is_done() =>
        Assert.That(
            Play(DrillKind.Cut, "neither", "make", "said", "log"),
            Is.EqualTo(
                new[]
                {
                    "made 1",
                    "neither nft nor iptables works on this host, and one of them is needed to drop packets: install "
                        + "nftables or iptables, or choose another kind of drill",
                }
            )
        );

    [Test]
    public void Without_the_port_of_ssh_nothing_is_cut() =>
        Assert.That(
            Play(DrillKind.Cut, "iptables", "no ssh", "make", "said", "log", "rules"),
            Is.EqualTo(
                new[]
                {
                    "made 1",
                    "the port of sshd is unknown on this host, so the fault would cut off kbr, too: choose another kind of drill",
                    "no rules",
                }
            )
        );

    [TestCase(DrillKind.Stop, "systemctl stop patroni.service")]
    [TestCase(DrillKind.Kill, "docker kill --signal KILL patroni")]
    public void A_member_that_was_stopped_or_killed_is_started_by_kbr_or_by_the_timer(DrillKind kind, string deed)
    {
        var log = Play(kind, "neither", "make", "clear", "timer", "log");
        Assert.That(log, Is.EqualTo(new[] { "made 0", "timer 0", "systemctl start patroni.service" }));
        Assert.That(Play(kind, "neither", "make", "log"), Does.Contain(deed));
        Assert.That(
            Play(kind, "neither", "undo", "log"),
            Does.Contain("systemctl start patroni.service").And.Contain("systemctl stop kbr-drill.timer kbr-drill.service")
        );
    }

    [Test]
    public void A_switchover_is_no_fault() =>
        Assert.That(DrillFault.Of(DrillKind.Switchover, Topology(Minimal), Leader, TimeSpan.FromSeconds(70)), Is.Null);

    [Test]
    public void A_fault_that_kbr_cannot_undo_is_left_to_the_timer() =>
        Assert.That(
            Play(DrillKind.Stop, "neither", "make", "clear", "no start", "undo", "log"),
            Is.EqualTo(new[] { "made 0", "undone 1", "systemctl start patroni.service" })
        );

    // Plays the steps and answers what they print.
    private string[] Play(DrillKind kind, string filter, params string[] steps)
    {
        ProviderBench.OnlyAsRootWith("unshare", "nsenter", "ip", "python3", "iptables", "nft");
        var fault = DrillFault.Of(kind, Topology(Minimal), Leader, TimeSpan.FromSeconds(70))!;
        Program(
            "systemctl",
            "echo \"systemctl $*\" >>\"$work/log\"; case $* in *is-active*) exit 3;; start*) [ ! -e \"$work/no-start\" ];; esac"
        );
        Program("docker", "echo \"docker $*\" >>\"$work/log\"");
        Program(
            "systemd-run",
            """
            [ ! -e "$work/no-timer" ] || exit 1
            for last; do :; done
            printf '%s' "$last" >"$work/timer"
            echo "systemd-run ${*%"$last"}, with $(iptables -S | grep -q KBR_DRILL && echo rules || echo no rules)" | sed 's/ , /, /' >>"$work/log"
            """
        );
        foreach (
            var tool in new[] { "nft", "iptables", "ip6tables" }.Where(tool =>
                filter == "neither" || (filter == "iptables" && tool == "nft")
            )
        )
        {
            Program(tool, "exit 1");
        }

        Write("make", "set -eu\n" + fault.Make.Text);
        Write("undo", "set -eu\n" + fault.Undo.Text);
        Write(
            "answer.py",
            """
            import selectors, socket
            waiting = selectors.DefaultSelector()
            for port in (22, 80, 5432, 7000, 8008):
                server = socket.create_server(("", port))
                waiting.register(server, selectors.EVENT_READ)
            print("ready", flush=True)
            while True:
                for key, _ in waiting.select():
                    key.fileobj.accept()[0].close()
            """
        );
        Write(
            "reach.py",
            """
            import socket
            from concurrent.futures import ThreadPoolExecutor
            def reach(pair):
                try:
                    with socket.create_connection(("10.0.0.120", pair[1]), timeout=1, source_address=({"peer": "10.0.0.121", "proxy": "10.0.0.11"}[pair[0]], 0)):
                        return "%s:%d" % pair
                except OSError:
                    return None
            pairs = [(name, port) for name in ("peer", "proxy") for port in (22, 80, 5432, 7000, 8008)]
            with ThreadPoolExecutor(len(pairs)) as pool:
                print(" ".join(each for each in pool.map(reach, pairs) if each))
            """
        );
        Write(
            "play",
            """
            set -eu
            PATH=$work/bin:$PATH
            ip link set lo up
            unshare -n sleep 120 & peer=$!
            while [ "$(readlink /proc/$peer/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do :; done
            ip link add here type veth peer name there netns $peer
            ip addr add 10.0.0.120/24 dev here; ip link set here up
            nsenter -n -t $peer sh -c 'ip addr add 10.0.0.121/24 dev there; ip addr add 10.0.0.11/24 dev there; ip link set there up'
            mkfifo "$work/ready"; python3 "$work/answer.py" >"$work/ready" & server=$!
            trap 'kill $peer $server' EXIT
            read -r _ <"$work/ready"
            : >"$work/log"; : >"$work/said"
            for step; do
                code=0
                case $step in
                make) sh "$work/make" 2>"$work/said" || code=$?; echo "made $code" ;;
                undo) sh "$work/undo" || code=$?; echo "undone $code" ;;
                timer) sh -c "$(cat "$work/timer")" || code=$?; echo "timer $code" ;;
                reach) nsenter -n -t $peer python3 "$work/reach.py" ;;
                rules) { iptables -S; ip6tables -S; nft list ruleset; } 2>/dev/null | grep -i kbr_drill || echo "no rules" ;;
                said) cat "$work/said" ;;
                log) cat "$work/log" ;;
                clear) : >"$work/log" ;;
                "no start") : >"$work/no-start" ;;
                "no timer") : >"$work/no-timer" ;;
                "no ssh") ;;
                esac
            done
            """
        );
        var ssh = steps.Contains("no ssh") ? "env -u SSH_CONNECTION" : "env SSH_CONNECTION='192.0.2.1 40000 10.0.0.120 22'";
        var result = ProviderBench.Shell(
            $"work={Folder}; rm -f $work/ready $work/no-timer $work/no-start; export work; {ssh} unshare --net "
                + $"--pid --fork --mount-proc sh {Folder}/play {string.Join(' ', steps.Select(Script.Quote))}"
        );
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        return result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

        void Program(string name, string text)
        {
            Directory.CreateDirectory(Path.Combine(Folder, "bin"));
            Write("bin/" + name, "#!/bin/sh\n" + text + "\n");
#pragma warning disable CA1416 // These tests run on Linux.
            System.IO.File.SetUnixFileMode(
                Path.Combine(Folder, "bin", name),
                UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
            );
#pragma warning restore CA1416
        }

        void Write(string name, string text) => System.IO.File.WriteAllText(Path.Combine(Folder, name), text);
    }
}
