using System.Globalization;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Blueprints.Postgres;
using KeyBuzz.Reconciler.Cli.Firewall;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Status;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Tests.Providers;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>The firewall rules let through what the rendered configuration listens on and connects to.</summary>
internal sealed partial class TrafficTests : BlueprintFixture
{
    private const string OtherPorts = "  ports: { postgres: 5433, rest: 8009, raft: 7001 }\n  networks: [10.1.0.0/16]\n";

    private static string Elsewhere =>
        Minimal
            .Replace(
                "load_balancer: { address: 10.0.0.10 }",
                "load_balancer: { address: 10.0.0.10, port: 5000, pooled_port: 5001 }",
                StringComparison.Ordinal
            )
            .Replace(
                "haproxy: { image:",
                "haproxy: { port: 15432, pooled_port: 16432, read_port: 15433, stats_port: 18404, image:",
                StringComparison.Ordinal
            )
            .Replace("pgbouncer: { image:", "pgbouncer: { port: 16433, image:", StringComparison.Ordinal)
            .Replace(
                "db-slave-01: { role: db, address: 10.0.0.121 }",
                "db-slave-01: { role: db, address: 10.0.0.121, ssh: { port: 2222 } }",
                StringComparison.Ordinal
            ) + OtherPorts;

    private static string Direct => Changed("  load_balancer: { address: 10.0.0.10 }\n", "");

    private static IEnumerable<TestCaseData> Files() =>
        [
            new TestCaseData(Minimal).SetArgDisplayNames("minimal"),
            new TestCaseData(Elsewhere).SetArgDisplayNames("other ports"),
            new TestCaseData(Direct).SetArgDisplayNames("no load balancer"),
        ];

    [TestCaseSource(nameof(Files))]
    public void Every_port_of_the_rendered_configuration_is_let_through(string yaml)
    {
        var cluster = Load(yaml);
        var topology = cluster.Model<PostgresTopology>()!;
        var rules = PostgresTraffic.Of(topology).ToList();
        var (uses, listens) = (new List<(string From, string To, int Port)>(), new List<(string Host, int Port)>());
        foreach (var proxy in topology.Proxies)
        {
            var haproxy = Content(cluster, $"config_file.haproxy@{proxy.Name}");
            uses.AddRange(
                HaproxyServer().Matches(haproxy).Select(match => (proxy.Address, match.Groups[1].Value, Number(match.Groups[2])))
            );
            uses.AddRange(HaproxyCheck().Matches(haproxy).Select(match => (proxy.Address, match.Groups[1].Value, Number(match.Groups[2]))));
            listens.AddRange(HaproxyBind().Matches(haproxy).Select(match => (match.Groups[1].Value, Number(match.Groups[2]))));
            var pgbouncer = Content(cluster, $"config_file.pgbouncer@{proxy.Name}");
            uses.AddRange(
                PgBouncerTarget().Matches(pgbouncer).Select(match => (proxy.Address, match.Groups[1].Value, Number(match.Groups[2])))
            );
            listens.Add((proxy.Address, Number(PgBouncerPort().Match(pgbouncer).Groups[1])));
            var status = new StatusReads(topology, Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg"));
            uses.AddRange(status.For(proxy).OfType<PortRead>().Select(read => (proxy.Address, read.Address, read.Port)));
        }

        foreach (var member in topology.Members)
        {
            var patroni = Content(cluster, $"config_file.patroni@{member.Name}");
            listens.AddRange(
                Endpoint()
                    .Matches(patroni)
                    .Where(match => match.Groups[1].Value == member.Address)
                    .Select(match => (member.Address, Number(match.Groups[2])))
            );
            foreach (var peer in topology.Members.Where(peer => peer != member))
            {
                // Patroni tells the others where it is.
                uses.AddRange(
                    Endpoint()
                        .Matches(Content(cluster, $"config_file.patroni@{peer.Name}"))
                        .Select(match => (member.Address, match.Groups[1].Value, Number(match.Groups[2])))
                );
            }
        }

        var needed = uses.Where(one => one.From != one.To && !one.To.StartsWith("127.", StringComparison.Ordinal)).Distinct().ToList();
        Assert.Multiple(() =>
        {
            Assert.That(needed, Has.Count.GreaterThan(30));
            Assert.That(needed.Where(one => !rules.Any(rule => LetsThrough(rule, one.From, one.To, one.Port))), Is.Empty);
            Assert.That(listens.Distinct().ToList(), Has.Count.GreaterThan(12));
            Assert.That(
                listens.Where(one =>
                    !one.Host.StartsWith("127.", StringComparison.Ordinal)
                    && !rules.Any(rule => LetsThrough(rule, null, one.Host, one.Port))
                ),
                Is.Empty
            );
        });
    }

    [Test]
    public void Clients_come_from_the_load_balancer_where_there_is_one()
    {
        Assert.That(
            Rules(Load(Elsewhere))
                .ByHost()
                .Single(one => one.Host.Name == "haproxy-01")
                .Rules.Select(rule => $"{rule.Port} {string.Join(' ', rule.Sources)}"),
            Is.EqualTo(
                new[]
                {
                    "22 ",
                    "16433 10.0.0.12",
                    "15432 10.0.0.10",
                    "15432 10.0.0.12",
                    "16432 10.0.0.10",
                    "16432 10.0.0.12",
                    "15433 10.0.0.10",
                    "15433 10.0.0.12",
                    "18404 ",
                    "18404 10.0.0.12",
                }
            )
        );
        var direct = Rules(Load(Direct), ("clients", "10.2.0.0/16"), ("operator", "192.0.2.7"));
        Assert.That(
            direct
                .ByHost()
                .Single(one => one.Host.Name == "haproxy-01")
                .Rules.Select(rule => $"{rule.Port} {string.Join(' ', rule.Sources)}"),
            Does.Contain("22 192.0.2.7").And.Contain("5432 10.2.0.0/16").And.Contain("6432 10.2.0.0/16").And.Contain("8404 192.0.2.7")
        );
        Assert.That(
            Rules(Load(Elsewhere))
                .ByHost()
                .Single(one => one.Host.Name == "db-slave-01")
                .Rules.Select(rule => $"{rule.Port} {string.Join(' ', rule.Sources)}"),
            Does.Contain("2222 ").And.Contain("5433 10.0.0.120 10.0.0.122").And.Contain("5433 10.1.0.0/16").And.Not.Contain("22 ")
        );
        Assert.That(
            Rules(Load(Elsewhere)).Outgoing.Select(rule => $"{rule.Protocol} {rule.Port} {rule.To[0].Name} {rule.To[0].Network}"),
            Does.Contain("tcp 443 registry.example.com ")
                .And.Contain("tcp 5000 load balancer 10.0.0.10")
                .And.Contain("udp 123 the time servers ")
        );
    }

    [Test]
    public void SSH_comes_from_the_jump_host_where_that_is_a_host_of_the_file_and_from_every_operator_elsewhere()
    {
        var cluster = Load(Minimal);
        // One is named by its address and one by its name; the third is no host of the file.
        var entrance = new HostStop("lb", "10.0.0.11", 2222);
        var routes = new Dictionary<string, HostRoute>
        {
            ["haproxy-01"] = new(new HostStop("haproxy-01", "192.0.2.11", 2222), []),
            ["db-master-01"] = new(new HostStop("db-master-01", "10.0.0.120", 22), [entrance]),
            ["db-slave-01"] = new(new HostStop("db-slave-01", "10.0.0.121", 2022), [entrance, new("haproxy-02", "elsewhere", 22)]),
            ["db-slave-02"] = new(new HostStop("db-slave-02", "10.0.0.122", 22), [new("jump.example.com", "198.51.100.1", 22)]),
        };

        var rules = FirewallRules.Of(
            cluster,
            cluster.Hosts,
            new ProviderRegistry(RealProviders),
            [],
            routes,
            new[] { "192.0.2.7", "192.0.2.0/28" }.ToLookup(_ => FirewallRules.Operator)
        );

        Assert.That(
            rules
                .ByHost()
                .Select(one =>
                    $"{one.Host.Name}: "
                    + string.Join(", ", one.Rules.Select(rule => $"{rule.Port} from {string.Join(' ', rule.Sources)}").Order())
                ),
            Is.EqualTo(
                new[]
                {
                    "db-master-01: 22 from 10.0.0.11",
                    "db-slave-01: 2022 from 10.0.0.12",
                    "db-slave-02: 22 from 192.0.2.7 192.0.2.0/28",
                    "haproxy-01: 2222 from 192.0.2.7 192.0.2.0/28",
                    "haproxy-02: 22 from 10.0.0.11 192.0.2.7 192.0.2.0/28",
                }
            )
        );
    }

    [Test]
    public void The_rulesets_of_nftables_load_and_replace_themselves()
    {
        ProviderBench.OnlyAsRootWith("unshare", "nft");
        var cluster = Load(Elsewhere.Replace("10.0.0.122", "fd00::122", StringComparison.Ordinal));
        foreach (var host in cluster.Hosts)
        {
            var file = Path.Combine(Folder, host.Name + ".nft");
            System.IO.File.WriteAllText(file, FirewallFormats.Nft(cluster.Name, Rules(cluster, host)));
            var loaded = ProviderBench.Output($"unshare -n sh -ec 'nft -c -f {file}; nft -f {file}; nft -f {file}; nft list ruleset'");
            Assert.That(Occurrences(loaded, "chain input"), Is.EqualTo(1), loaded);
            Assert.That(loaded, Does.Contain("policy drop").And.Contain("dport"));
        }
    }

    [Test]
    public void Loaded_rules_let_the_cluster_through_and_drop_the_rest()
    {
        ProviderBench.OnlyAsRootWith("unshare", "nsenter", "ip", "nft");
        var cluster = Load(Minimal);
        var file = Path.Combine(Folder, "rules.nft");
        System.IO.File.WriteAllText(file, FirewallFormats.Nft(cluster.Name, Rules(cluster, cluster.Hosts[0])));
        // Nothing listens: a port that is let through refuses, a dropped one is silent. As PortRead tells them apart.
        var play = Path.Combine(Folder, "play");
        System.IO.File.WriteAllText(
            play,
            $$"""
            set -eu
            unshare -n sleep 60 & peer=$!
            trap 'kill $peer' EXIT
            while [ "$(readlink /proc/$peer/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do :; done
            ip link add here type veth peer name there netns $peer
            ip addr add 10.0.0.120/24 dev here; ip link set here up
            nsenter -n -t $peer sh -c 'for a in 121 11 99; do ip addr add 10.0.0.$a/24 dev there; done; ip link set there up'
            nft -f {{file}}
            reach() {
              nsenter -n -t $peer ip route replace 10.0.0.120 dev there src $1
              said=$(nsenter -n -t $peer timeout 2 bash -c ": >/dev/tcp/10.0.0.120/$2" 2>&1) || :
              case $said in *refused*) echo "$1 $2" ;; esac
            }
            for from in 10.0.0.121 10.0.0.11 10.0.0.99; do for port in 22 80 5432 7000 8008; do reach $from $port & done; wait; done | sort -V
            """
        );
        var result = ProviderBench.Shell($"unshare --net --pid --fork --mount-proc bash {play}");
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(
            result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries),
            Is.EquivalentTo(
                new[]
                {
                    "10.0.0.121 22",
                    "10.0.0.121 5432",
                    "10.0.0.121 7000",
                    "10.0.0.121 8008",
                    "10.0.0.11 22",
                    "10.0.0.11 5432",
                    "10.0.0.11 7000",
                    "10.0.0.11 8008",
                    "10.0.0.99 22",
                }
            )
        );
    }

    [Test]
    public void Ufw_and_Hetzner_get_the_same_rules()
    {
        var cluster = Load(Elsewhere);
        var rules = Rules(cluster, cluster.Hosts[1]);
        var expected = rules.ByHost().Single().Rules;
        var ufw = FirewallFormats
            .Ufw(cluster.Name, rules)
            .Split('\n')
            .Where(line => line.StartsWith("ufw ", StringComparison.Ordinal))
            .ToList();
        Assert.That(ufw, Does.Contain("ufw allow proto tcp from 10.0.0.120 to any port 5433 comment 'PostgreSQL: replication'"));
        Assert.That(
            ufw,
            Does.Contain("ufw allow proto tcp from any to any port 2222 comment 'SSH: kbr, from its machine or from the jump host'")
        );
        Assert.That(ufw, Has.Count.EqualTo(expected.Sum(rule => Math.Max(1, rule.Sources.Length))));
        using var document = System.Text.Json.JsonDocument.Parse(FirewallFormats.Hetzner(rules));
        var hetzner = document.RootElement.GetProperty("db-slave-01").EnumerateArray().ToList();
        Assert.That(hetzner, Has.Count.EqualTo(expected.Length));
        Assert.That(
            hetzner[0].GetRawText().Replace(" ", "", StringComparison.Ordinal).Replace("\n", "", StringComparison.Ordinal),
            Is.EqualTo(
                """{"direction":"in","protocol":"tcp","port":"2222","source_ips":["0.0.0.0/0","::/0"],"description":"SSH:kbr,fromitsmachineorfromthejumphost"}"""
            )
        );
        Assert.That(
            hetzner[1].GetProperty("source_ips").EnumerateArray().Select(item => item.GetString()),
            Is.EqualTo(new[] { "10.0.0.120/32", "10.0.0.122/32" })
        );
    }

    private static bool LetsThrough(Traffic rule, string? from, string to, int port) =>
        rule.Protocol == Traffic.Tcp
        && rule.Port == port
        && rule.To.Any(end => end.Network == to)
        && (from is null || rule.From.Any(end => end.Network.Length == 0 || end.Network == from));

    private static FirewallRules Rules(Cluster cluster, params (string Name, string Network)[] networks) =>
        FirewallRules.Of(
            cluster,
            cluster.Hosts,
            new ProviderRegistry(RealProviders),
            [new PostgresCommands()],
            new Dictionary<string, HostRoute>(),
            networks.ToLookup(one => one.Name, one => one.Network, StringComparer.Ordinal)
        );

    private static FirewallRules Rules(Cluster cluster, Host host) =>
        FirewallRules.Of(
            cluster,
            [host],
            new ProviderRegistry(RealProviders),
            [new PostgresCommands()],
            new Dictionary<string, HostRoute>(),
            Array.Empty<string>().ToLookup(name => name)
        );

    private static int Occurrences(string text, string part) => text.Split(part).Length - 1;

    private static int Number(Group group) => int.Parse(group.Value, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"server \S+ ([\d.]+):(\d+)")]
    private static partial Regex HaproxyServer();

    [GeneratedRegex(@"server \S+ ([\d.]+):\d+ check port (\d+)")]
    private static partial Regex HaproxyCheck();

    [GeneratedRegex(@"bind ([\d.]+):(\d+)")]
    private static partial Regex HaproxyBind();

    [GeneratedRegex(@"host=([\d.]+) port=(\d+)")]
    private static partial Regex PgBouncerTarget();

    [GeneratedRegex(@"listen_port = (\d+)")]
    private static partial Regex PgBouncerPort();

    [GeneratedRegex(@"([\d.]+)(?:,127\.0\.0\.1)?:(\d+)")]
    private static partial Regex Endpoint();
}
