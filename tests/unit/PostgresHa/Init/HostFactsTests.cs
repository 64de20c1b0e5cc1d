using System.Text;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Init;
using KeyBuzz.Reconciler.Providers;

namespace KeyBuzz.Reconciler.Tests.PostgresHa.Init;

/// <summary>What hosts say of themselves, and what a new file makes of it.</summary>
[TestFixture]
public sealed class HostFactsTests
{
    // Of a Hetzner machine: public on eth0, private on enp7s0 behind a gateway, and Docker's bridge.
    private const string Trie = """
        Main:
          +-- 0.0.0.0/0 3 0 5
             |-- 0.0.0.0
                /0 universe UNICAST
             +-- 10.0.0.0/16 2 0 2
                |-- 10.0.0.0
                   /16 universe UNICAST
                |-- 10.0.0.120
                   /32 host LOCAL
             +-- 127.0.0.0/8 2 0 2
                |-- 127.0.0.1
                   /32 host LOCAL
             +-- 172.17.0.0/16 2 0 2
                |-- 172.17.0.1
                   /32 host LOCAL
                |-- 172.17.255.255
                   /32 link BROADCAST
             |-- 49.13.46.190
                /32 host LOCAL

        """;

    private const string Routes =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        + "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        + "enp7s0\t0000000A\t0100000A\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
        + "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";

    private const string Disks =
        "name\t/dev/sda\t/dev/disk/by-id/scsi-boot\nname\t/dev/sdb\t/dev/disk/by-id/wwn-0x1\n"
        + "name\t/dev/sdb\t/dev/disk/by-id/scsi-0HC_Volume_17\n"
        + "disk\t/dev/sda\t8 0\t42949672960\tdisk\tused\t0\tdata\ndisk\t/dev/sdb\t8 10\t10737418240\tdisk\tfree\t2\tzero";

    [Test]
    public void The_private_address_and_the_empty_disk_are_found()
    {
        var facts = HostFacts.Of(Answers());
        Assert.Multiple(() =>
        {
            Assert.That(facts.PrivateAddresses, Is.EqualTo(new[] { "10.0.0.120" }));
            Assert.That(facts.EmptyDisks.Select(HostFacts.StableName), Is.EqualTo(new[] { "/dev/disk/by-id/scsi-0HC_Volume_17" }));
            Assert.That(facts.Volume, Is.Null);
            Assert.That(facts.Patroni, Is.Null);
        });
    }

    [TestCase("10.0.0.100", "enp7s0")]
    [TestCase("10.0.5.6", "enp7s0")]
    [TestCase("172.17.0.9", "docker0")]
    [TestCase("192.168.1.1", null)]
    [TestCase("fd00::1", null)]
    public void The_interface_of_a_network_that_the_host_is_on_is_found(string address, string? expected) =>
        Assert.That(HostFacts.Of(Answers()).InterfaceTo(address), Is.EqualTo(expected));

    [TestCase("10.0.0.100/eth9", "enp7s0", "enp7s0", "address: 10.0.0.100\n    interface: eth9\n")]
    [TestCase("10.0.0.100", "enp7s0", "enp7s0", "address: 10.0.0.100\n    interface: enp7s0\n")]
    [TestCase("10.0.0.100", "enp7s0", null, "address: 10.0.0.100\n    interface: enp7s0\n")]
    [TestCase("10.0.0.100", null, null, "    # TODO: write the proxies' interface of that network")]
    [TestCase("10.0.0.100", "", "", "    # TODO: no proxy has an interface on the network of 10.0.0.100")]
    [TestCase(
        "10.0.0.100",
        "enp7s0",
        "eth1",
        "    # TODO: the proxies reach 10.0.0.100 by different interfaces (enp7s0 on lb-1; eth1 on lb-2): it needs one of the same name\n"
            + "    interface: TODO\n"
    )]
    public void A_virtual_address_is_written_with_the_interface_that_the_proxies_know(
        string given,
        string? first,
        string? second,
        string expected
    )
    {
        var facts = new[] { ("lb-1", first), ("lb-2", second) }
            .Where(proxy => proxy.Item2 is not null)
            .ToDictionary(
                proxy => proxy.Item1,
                proxy => new HostFacts { Routes = proxy.Item2!.Length == 0 ? [] : [new NetworkRoute(proxy.Item2, 0x0000000A, 0x0000FFFF)] }
            );

        var (made, errors) = Draft(["10.0.0.1"], facts, null, new InitChoices { VirtualIp = given, KeepalivedImage = "k" });

        Assert.That(errors, Is.Empty);
        Assert.That(
            ClusterFile.Render(made, null, null),
            Does.Contain(expected).And.Contain("\n  virtual_ip:\n").And.Contain("\n    image: k\n").And.Not.Contain("load_balancer")
        );
    }

    [TestCase("10.0.0.1", "the virtual address is the own address of db-1")]
    [TestCase("fd00::1/eth1", "bad address 'fd00::1' of --virtual-ip")]
    [TestCase("10.0.0.9/24 dev eth1", "'24 dev eth1' of --virtual-ip is no interface")]
    public void A_virtual_address_that_cannot_be_is_refused(string given, string error) =>
        Assert.That(
            Draft(["10.0.0.1"], new Dictionary<string, HostFacts>(), null, new InitChoices { VirtualIp = given }).Errors,
            Is.EqualTo(new[] { error })
        );

    [Test]
    public void A_host_that_answers_nothing_has_no_facts()
    {
        var facts = HostFacts.Of(ReadListProbe([]));
        Assert.That(
            (facts.PrivateAddresses.Length, facts.EmptyDisks.Length, facts.Volume, facts.Patroni),
            Is.EqualTo((0, 0, (object?)null, (object?)null))
        );
    }

    [Test]
    public void A_running_Patroni_and_its_volume_are_found()
    {
        var facts = HostFacts.Of(Answers(patroni: true));
        Assert.Multiple(() =>
        {
            Assert.That(facts.Volume, Is.EqualTo(new MountedVolume("/dev/disk/by-id/scsi-boot", "/opt/keybuzz/postgres/data")));
            Assert.That(facts.Patroni, Is.EqualTo(new FoundPatroni("postgres-cluster", "/db/") { Version = 17, IsInContainer = true }));
        });
    }

    [Test]
    public void What_the_hosts_know_goes_into_the_file_and_what_they_do_not_is_left_with_the_reason()
    {
        var (made, errors) = Draft(
            ["db-1", "db2.example.com", "10.9.0.3", "203.0.113.4", "db5"],
            new Dictionary<string, HostFacts>
            {
                ["db-1"] = HostFacts.Of(Answers()),
                ["db2"] = HostFacts.Of(Answers()) with { PrivateAddresses = ["10.0.0.2", "10.1.0.2"], EmptyDisks = [] },
                ["db-4"] = HostFacts.Of(Answers()) with
                {
                    PrivateAddresses = ["10.0.0.4"],
                    EmptyDisks = [Disk("/dev/sdc", 5L << 30), Disk("/dev/sdd", 6L << 20)],
                },
            },
            new Dictionary<string, string> { ["db5"] = "it could not be read (no route)" }
        );
        Assert.That(errors, Is.Empty);
        Assert.That(
            made.Members.Select(host => $"{host.Name} {host.SshHost}: {Text(host.Address)}; {Text(host.Device!)}"),
            Is.EqualTo(
                new[]
                {
                    "db-1 db-1: 10.0.0.120 []; /dev/disk/by-id/scsi-0HC_Volume_17 [empty, 10 GiB]",
                    "db2 db2.example.com: ? [db2 has 10.0.0.2 and 10.1.0.2: write one of them]; "
                        + "? [no empty disk was found: attach one, and name it as ls -l /dev/disk/by-id shows it]",
                    "db-3 : 10.9.0.3 []; ? [name its empty volume, as ls -l /dev/disk/by-id there shows it]",
                    "db-4 203.0.113.4: 10.0.0.4 []; ? [several are empty, write one: /dev/sdc (5 GiB), /dev/sdd (6 MiB)]",
                    "db5 db5: ? [it could not be read (no route): write the private address of db5]; "
                        + "? [it could not be read (no route): name its empty volume, as ls -l /dev/disk/by-id there shows it]",
                }
            )
        );
    }

    [Test]
    public void A_cluster_that_runs_is_adopted_with_its_scope_namespace_version_and_mount_point()
    {
        var found = HostFacts.Of(Answers(patroni: true));
        var (made, errors) = Draft(
            ["10.0.0.1", "10.0.0.2"],
            new Dictionary<string, HostFacts> { ["db-1"] = found, ["db-2"] = found },
            new Dictionary<string, string>(),
            new InitChoices { Name = "mine" }
        );
        var text = ClusterFile.Render(made, null, null);
        Assert.That(errors, Is.Empty);
        Assert.That(
            text,
            Does.Contain("\ncluster: mine\n")
                .And.Contain("\n  version: 17\n")
                .And.Contain("\n  scope: postgres-cluster\n")
                .And.Contain("\n  namespace: /db/\n")
                .And.Contain("\n  raft_password: false\n")
                .And.Contain("\n    mount_point: /opt/keybuzz/postgres/data\n")
        );
        Assert.That(
            made.Notes.Single(),
            Does.StartWith("Patroni runs on db-1, db-2 already, with scope postgres-cluster and namespace /db/")
        );
        Assert.That(text + made.Notes.Single(), Does.Not.Contain("canary"));
    }

    [Test]
    public void Hosts_of_two_clusters_and_addresses_that_are_given_twice_are_errors()
    {
        var one = HostFacts.Of(Answers(patroni: true));
        var other = one with { Patroni = one.Patroni! with { Scope = "other" }, Volume = null };
        Assert.That(
            Draft(["10.0.0.1", "10.0.0.2"], new Dictionary<string, HostFacts> { ["db-1"] = one, ["db-2"] = other }, null).Errors,
            Is.EqualTo(new[] { "the members have different scopes: postgres-cluster on db-1; other on db-2" })
        );
        Assert.That(
            Draft(
                ["a", "b"],
                new Dictionary<string, HostFacts> { ["a"] = HostFacts.Of(Answers()), ["b"] = HostFacts.Of(Answers()) },
                null,
                new InitChoices { LoadBalancer = "10.0.9.1", Name = "a" }
            ).Errors,
            Is.EquivalentTo(
                new[]
                {
                    "'a' cannot be the name of the cluster: a host has it",
                    "a and b have the same private address 10.0.0.120",
                    "the load balancer has the address of lb-1",
                }
            )
        );
    }

    private static (NewCluster Draft, string[] Errors) Draft(
        string[] members,
        IReadOnlyDictionary<string, HostFacts> facts,
        Dictionary<string, string>? troubles,
        InitChoices? choices = null
    )
    {
        var findings = new Findings();
        var selection = new InitSelection(
            HostList.Parse(string.Join(',', members), "db", findings),
            HostList.Parse("10.0.9.1,10.0.9.2", "lb", findings),
            []
        );
        var made = NewCluster.Of(selection, facts, troubles ?? [], choices ?? new InitChoices(), findings);
        return (made, [.. findings.All.Select(one => one.Summary)]);
    }

    private static string Text(NewValue value) => $"{value.Text ?? "?"} [{value.Note}]";

    private static DiskState Disk(string path, long size) => new(path, [], null, size, false, true);

    private static Snapshot Answers(bool patroni = false)
    {
        var parts = new Dictionary<Read, (string Printed, string Status)>
        {
            [new FileRead("/proc/net/fib_trie")] = (Trie, "0"),
            [new FileRead("/proc/net/route")] = (Routes, "0"),
        };
        if (patroni)
        {
            parts[new FileRead("/etc/patroni/patroni.yml")] = (
                "scope: postgres-cluster\nnamespace: '/db/'  # as it was\nname: db-1\npostgresql:\n  authentication: { password: canary }\n",
                "0"
            );
        }

        return ReadListProbe(parts, Disks, patroni);
    }

    // As a host prints them.
    private static Snapshot ReadListProbe(Dictionary<Read, (string, string)> files, string disks = "", bool patroni = false)
    {
        const string Nonce = "0123456789abcdef0123456789abcdef";
        var output = new StringBuilder();
        var number = 0;
        foreach (var read in HostFacts.Reads.OfType<FileRead>())
        {
            var (printed, status) = files.GetValueOrDefault(read, ("", "none"));
            output.Append(printed).Append($"\n{Nonce} f{number++} {status}\n");
        }

        output.Append(patroni ? "36 35 8:0 / /opt/keybuzz/postgres/data rw - xfs /dev/sda rw\n" : "").Append($"\n{Nonce} mounts 0\n");
        output.Append(disks).Append($"\n{Nonce} disks 0\n");
        output.Append("{}").Append($"\n{Nonce} d0 {(patroni ? 200 : 404)}\n\n{Nonce} docker 0\n");
        output
            .Append(patroni ? """{"server_version":170012,"role":"primary","patroni":{"scope":"postgres-cluster"}}""" : "")
            .Append($"\n{Nonce} h0 {(patroni ? 200 : 0)}\n\n{Nonce} http 0\n\n{Nonce} end 0\n");
        return ReadList.Probe.Parse(HostFacts.Reads, Nonce, Encoding.UTF8.GetBytes(output.ToString()));
    }
}
