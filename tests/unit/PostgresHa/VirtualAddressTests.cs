using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Status;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Tests.Providers;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary><c>virtual_ip</c>: an address that one of the proxies holds.</summary>
internal sealed class VirtualAddressTests : BlueprintFixture
{
    private const string Section =
        $"  virtual_ip: {{ address: 10.0.0.100, interface: eth1, image: \"registry.example.com/kbr/keepalived:2{Digest}\" }}\n";

    private static string Held => Changed("  load_balancer: { address: 10.0.0.10 }\n", Section);

    [Test]
    public void Applications_connect_to_the_address_at_the_ports_of_HAProxy()
    {
        var topology = Topology(
            Held.Replace("haproxy: { image", "haproxy: { port: 5000, read_port: 5001, image", StringComparison.Ordinal)
        );
        Assert.That(
            ConnectionString.Of(topology, topology.Application).Select(one => one.Text),
            Is.EqualTo(
                new[]
                {
                    "host=10.0.0.100 port=5000 dbname=keybuzz user=kb_app",
                    "host=10.0.0.100 port=6432 dbname=keybuzz user=kb_app",
                    "host=10.0.0.100 port=5001 dbname=keybuzz user=kb_app",
                }
            )
        );
    }

    [Test]
    public void The_proxies_agree_by_unicast_and_the_first_of_the_file_takes_it_first()
    {
        var cluster = Load(Held);
        var first = Content(cluster, "config_file.keepalived@haproxy-01");
        Assert.That(
            first,
            Does.Contain("unicast_src_ip 10.0.0.11\n    unicast_peer {\n        10.0.0.12\n    }\n")
                .And.Contain("10.0.0.100/32 dev eth1")
                .And.Contain("state BACKUP\n    nopreempt\n    interface eth1\n    virtual_router_id 100\n    priority 250\n")
                .And.Not.Contain("auth")
        );
        Assert.That(
            Content(cluster, "config_file.keepalived@haproxy-02"),
            Does.Contain("unicast_src_ip 10.0.0.12\n").And.Contain("        10.0.0.11\n").And.Contain("priority 249\n")
        );
        Assert.That(
            Content(cluster, "config_file.keepalived-check@haproxy-01"),
            Does.Contain("/dev/tcp/127.0.0.1/8404").And.Contain("GET /alive")
        );
        var container = Find(cluster, "container.keepalived@haproxy-01").Spec;
        Assert.That(container.List("cap_add"), Is.EqualTo(new[] { "NET_ADMIN", "NET_RAW", "SETGID" }));
        Assert.That(container.List("cap_drop"), Is.EqualTo(new[] { "ALL" }));
        Assert.That(
            Content(cluster, "systemd_unit.keepalived@haproxy-01"),
            Does.Contain("ExecStopPost=-/bin/sh -c 'ip address delete 10.0.0.100/32 dev eth1 2>/dev/null'\nRestart=always\n")
        );
        Assert.That(
            cluster
                .Preconditions.Where(one => one.Kind == "tools" && one.Settings.OptionalString("commands") == "ip")
                .Select(one => one.Host),
            Is.EqualTo(new[] { "haproxy-01", "haproxy-02" })
        );
    }

    [Test]
    public void HAProxy_listens_on_the_address_before_it_arrives()
    {
        var file = Content(
            Load(Held.Replace("haproxy: { image", "haproxy: { read_port: 5433, image", StringComparison.Ordinal)),
            "config_file.haproxy@haproxy-02"
        );
        foreach (var port in new[] { 5432, 6432, 5433 })
        {
            Assert.That(file, Does.Contain($"    bind 10.0.0.100:{port} transparent\n"));
        }

        Assert.That(file, Does.Contain("    monitor-uri /alive\n"));
        Assert.That(Content(Load(Minimal), "config_file.haproxy@haproxy-02"), Does.Not.Contain("transparent").And.Not.Contain("monitor"));
    }

    [Test]
    public void Firewalls_let_the_proxies_announcements_through_and_the_clients()
    {
        var rules = PostgresTraffic.Of(Topology(Held)).ToList();
        var vrrp = rules.Single(rule => rule.Protocol == "vrrp");
        Assert.That(
            (vrrp.From, vrrp.Port),
            Is.EqualTo((vrrp.To, 0))
                .Using<(System.Collections.Immutable.ImmutableArray<TrafficEnd>, int)>(
                    (one, other) => one.Item1.SequenceEqual(other.Item1) && one.Item2 == other.Item2
                )
        );
        Assert.That(vrrp.From.Select(end => end.Name), Is.EqualTo(new[] { "haproxy-01", "haproxy-02" }));
        Assert.That(rules.Where(rule => rule.Port == 5432).Any(rule => rule.From.Contains(PostgresTraffic.Clients)), Is.True);
    }

    [TestCase("address: 10.0.0.11,", "the virtual address is the own address of haproxy-01")]
    [TestCase("address: 10.0.0.120,", "the virtual address is the own address of db-master-01")]
    [TestCase("address: fd00::1,", "'fd00::1' cannot be the virtual address [write an IPv4 address, such as 10.0.0.100]")]
    [TestCase("address: 10.0.0.0/24,", "'10.0.0.0/24' cannot be the virtual address")]
    [TestCase("interface: \"eth1; rm\",", "'eth1; rm' is not the name of a network interface")]
    [TestCase("interface: lo,", "'lo' is not the name of a network interface")]
    [TestCase("router_id: 256,", "router_id")]
    public void A_value_that_cannot_be_is_an_error_with_its_line(string with, string error)
    {
        var key = with.Split(':')[0];
        var was = key switch
        {
            "address" => "address: 10.0.0.100,",
            "interface" => "interface: eth1,",
            _ => "address: 10.0.0.100,",
        };
        var yaml = Held.Replace(was, key == "router_id" ? $"{was} {with}" : with, StringComparison.Ordinal);
        Assert.That(OnlyError(yaml), Does.Contain(error).And.StartWith("virtual_ip:"));
    }

    [Test]
    public void It_stands_instead_of_a_load_balancer() =>
        Assert.That(OnlyError(Minimal + Section), Does.Contain("'virtual_ip' beside 'load_balancer'").And.Contain("remove the other one"));

    [TestCase("haproxy-01", "Ok", "10.0.0.100 held by haproxy-01")]
    [TestCase("", "NotOk", "10.0.0.100 held by no proxy")]
    [TestCase("haproxy-01 haproxy-02", "NotOk", "10.0.0.100 held by haproxy-01 and haproxy-02")]
    [TestCase("unread", "Unknown", "10.0.0.100 held by no proxy that was read; not read: haproxy-02")]
    public void Status_says_who_holds_it(string holders, string verdict, string measured)
    {
        var cluster = Load(Held);
        var topology = cluster.Model<PostgresTopology>()!;
        var reads = new StatusReads(topology, Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg"));
        var hosts = topology.Proxies.ToDictionary(
            proxy => proxy.Name,
            proxy =>
                holders == "unread" && proxy.Name == "haproxy-02"
                    ? ((Snapshot?)null, "silent")
                    : (
                        ProviderBench.Snapshot([
                            .. reads.For(proxy).Where(read => read is not FileRead).Select(read => (read, ProviderBench.Nothing(read))),
                            (LocalAddresses.Read, Trie(holders.Contains(proxy.Name, StringComparison.Ordinal))),
                        ]),
                        (string?)null
                    )
        );

        var item = new StatusJudgement(topology, reads, hosts!, []).Judge().Items.Single(one => one.Name == "virtual address");

        Assert.That((item.Verdict.ToString(), item.Measured), Is.EqualTo((verdict, measured)));
    }

    [Test]
    public void An_address_of_a_route_is_not_held()
    {
        Assert.That(LocalAddresses.Has(ProviderBench.Snapshot((LocalAddresses.Read, Trie(true))), "10.0.0.100"), Is.True);
        Assert.That(LocalAddresses.Has(ProviderBench.Snapshot((LocalAddresses.Read, Trie(true))), "10.0.0.10"), Is.False);
        Assert.That(LocalAddresses.Has(ProviderBench.Snapshot((LocalAddresses.Read, Trie(true))), "10.0.0.255"), Is.False);
        Assert.That(LocalAddresses.Has(ProviderBench.Snapshot((LocalAddresses.Read, null)), "10.0.0.100"), Is.False);
    }

    [Test]
    public void In_a_roll_out_the_holder_goes_last_and_those_before_it_must_be_able_to_hold()
    {
        ProxyState one = new("lb-1", true, true, []) { HoldsAddress = true };
        ProxyState two = new("lb-2", true, true, []);
        Assert.That(Turn([one, two], "lb-1", "lb-2"), Is.EqualTo("go lb-2"));
        Assert.That(Turn([one, two], "lb-1"), Is.EqualTo("go lb-1"));
        var unable = two with { AddressProblems = ["lb-2: keepalived does not run"] };
        Assert.That(Turn([one, unable], "lb-1"), Is.EqualTo("wait lb-2: keepalived does not run"));
        Assert.That(Turn([one, unable], "lb-1", "lb-2"), Is.EqualTo("go lb-2"), "it has not had its turn");
        var steps = new ProxiesOutlook(["lb-1", "lb-2"]) { Holder = "lb-1" }
            .Forecast(new Address("group", "x", "y"), new RolloutState(["lb-1", "lb-2"], []))!
            .Steps;
        Assert.That(steps.SelectMany(step => step.Hosts), Is.EqualTo(new[] { "lb-2", "lb-1" }));

        static string Turn(ProxyState[] proxies, params string[] toCome) =>
            ProxyState.Decide(proxies, new RolloutState([.. toCome], [])) switch
            {
                RolloutTurn.Go go => "go " + string.Join(' ', go.Hosts),
                RolloutTurn.Wait wait => "wait " + wait.Reason,
                var other => other.ToString(),
            };
    }

    private static FileContent Trie(bool isHeld) =>
        new(
            Encoding.UTF8.GetBytes(
                "Main:\n  +-- 0.0.0.0/0 3 0 5\n     +-- 10.0.0.0/24 2 0 2\n        |-- 10.0.0.11\n           /32 host LOCAL\n"
                    + (
                        isHeld
                            ? "        |-- 10.0.0.100\n           /32 host LOCAL\n"
                            : "        |-- 10.0.0.100\n           /32 link UNICAST\n"
                    )
                    + "        |-- 10.0.0.255\n           /32 link BROADCAST\n"
            )
        );
}
