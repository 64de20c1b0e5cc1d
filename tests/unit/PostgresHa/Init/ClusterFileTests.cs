using CsCheck;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Init;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Tests.PostgresHa.Init;

/// <summary>Whatever init writes, validate reads.</summary>
[TestFixture]
internal sealed class ClusterFileTests : BlueprintFixture
{
    private const string Image = "registry.example.com:5000/kbr/patroni:16.14-4.0.7" + Digest;

    private static readonly Gen<string> s_label = Gen.String[Gen.Char["abcdefz012-"], 2, 8]
        .Where(text => ValueSyntax.IsLabel(text) && text != "all");

    private static readonly Gen<string> s_device = Gen.String[Gen.Char["ab19-_:.+@%é{}[]&*!|>',"], 1, 12]
        .Select(text => "/dev/disk/by-id/x" + text + "y");

    private static readonly Gen<(string Name, int Number, string? User, int? Port, string? Target, string? Device)> s_host =
        from name in s_label
        from number in Gen.Int[1, 60_000]
        from user in Any<string?>(null, "ops", "null", "01", "o.p-s_", "é#{}", "yes")
        from port in Any<int?>(null, 2222)
        from target in Any<string?>(null, $"db{number}.example.com", $"203.0.{number / 250}.{(number % 250) + 1}")
        from device in Gen.Null(s_device!)
        select (name, number, user, port, target, device);

    [Test]
    public void A_file_of_any_hosts_is_valid_but_for_what_is_marked_as_left_and_says_what_it_was_made_of() =>
        Gen.Select(s_host.Array[1, 5], s_host.Array[1, 3], Gen.Bool, Gen.Bool, Any("pg", "db", "lb", "keybuzz-pg"))
            .Where(all => IsPossible([.. all.Item1, .. all.Item2], all.Item5))
            .Slice(
                all =>
                {
                    var (members, proxies, hasImages, isBalanced, name) = all;
                    var made = new NewCluster(
                        name,
                        [.. members.Select(host => Host(host, isMember: true))],
                        [.. proxies.Select(host => Host(host, isMember: false))],
                        new InitChoices
                        {
                            LoadBalancer = isBalanced ? "10.255.0.1" : null,
                            KeepalivedImage = hasImages ? Image : null,
                            Image = hasImages ? Image : null,
                            HaproxyImage = hasImages ? Image : null,
                            PgBouncerImage = hasImages ? Image : null,
                        }
                    )
                    {
                        VirtualAddress = isBalanced ? null : new NewVirtualAddress("10.255.0.2", new NewValue("eth1")),
                    };
                    var text = ClusterFile.Render(made, "docs/schema/cluster.json", "~/.ssh/a key");
                    var missing =
                        members.Count(host => host.Device is null)
                        + (
                            hasImages ? 0
                            : isBalanced ? 3
                            : 4
                        );
                    if (missing > 0)
                    {
                        var errors = Errors(text);
                        Assert.That(errors, Has.Length.EqualTo(missing).And.All.Match("is still the placeholder|cannot be read"), text);
                        return;
                    }

                    var cluster = Load(text);

                    var topology = cluster.Model<PostgresTopology>()!;
                    Assert.That(cluster.Name, Is.EqualTo(name));
                    Assert.That(topology.Members.Select(Shown), Is.EqualTo(members.Select(Expected)), text);
                    Assert.That(topology.Proxies.Select(Shown), Is.EqualTo(proxies.Select(Expected)), text);
                    Assert.That(
                        topology.Volume.Devices,
                        Is.EquivalentTo(members.ToDictionary(host => host.Name, host => host.Device)),
                        text
                    );
                    Assert.That(topology.LoadBalancer?.Address, Is.EqualTo(isBalanced ? "10.255.0.1" : null));
                    Assert.That(((SshSettings)cluster.Connection).IdentityFile, Does.EndWith("/.ssh/a key"));
                    // Even numbers of members and such are warned of; what the file itself chose is not.
                    Assert.That(cluster.Warnings.Select(one => one.Summary), Has.None.Contains("pools"));
                },
                count: 300,
                threads: 1
            );

    [Test]
    public void Any_text_comes_back_as_it_was_written() =>
        Gen
            .String.Where(text => !text.Any(char.IsSurrogate))
            .Slice(
                text =>
                {
                    var findings = new Findings();
                    var map = (YamlMapping)
                        YamlDocument.Parse(
                            SourceText.Of($"a: {{ b: {YamlText.Scalar(text)}, c: 1 }} # {YamlText.Comment(text)}\n", "f"),
                            findings
                        );
                    var inner = (YamlMapping)map.Find("a")!;
                    Assert.That(inner.Find("b") is YamlScalar { IsNull: false } scalar ? scalar.Value : null, Is.EqualTo(text));
                    Assert.That(((YamlScalar)inner.Find("c")!).Value, Is.EqualTo("1"));
                },
                count: 2000
            );

    [Test]
    public void A_file_for_a_cluster_that_runs_is_valid_and_adopts_it()
    {
        var made = new NewCluster(
            "pg",
            [Host(("db-1", 1, null, null, null, "/dev/sdb"), isMember: true)],
            [Host(("lb-1", 2, null, null, null, null), isMember: false)],
            new InitChoices
            {
                Image = Image,
                HaproxyImage = Image,
                PgBouncerImage = Image,
            }
        )
        {
            Found = new FoundPatroni("old-pg", "/db/"),
            MountPoint = "/opt/keybuzz/postgres/data",
            Version = 17,
        };

        var topology = Topology(ClusterFile.Render(made, null, null));

        Assert.That((topology.Scope, topology.Namespace, topology.Version), Is.EqualTo(("old-pg", "/db/", 17)));
        Assert.That(topology.Volume.MountPoint, Is.EqualTo("/opt/keybuzz/postgres/data"));
    }

    [Test]
    public void Without_a_schema_no_line_names_one()
    {
        var made = new NewCluster("pg", [], [], new InitChoices());
        Assert.That(ClusterFile.Render(made, null, null), Does.Not.Contain("yaml-language-server"));
        Assert.That(
            ClusterFile.Render(made, "../docs/schema/cluster.json", null),
            Does.StartWith("# yaml-language-server: $schema=../docs/schema/cluster.json\n")
        );
    }

    private static Gen<T> Any<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(at => values[at]);

    private static NewHost Host((string Name, int Number, string? User, int? Port, string? Target, string? Device) host, bool isMember) =>
        new(
            new InventoryHost(host.Name, null)
            {
                Address = Address(host.Number),
                Port = host.Port,
                User = host.User,
                SshHost = host.Target,
            },
            new NewValue(Address(host.Number), "as\nfound\r\u2028there"),
            isMember ? new NewValue(host.Device, "a note: { # ") : null
        )
        {
            SshHost = host.Target,
        };

    private static string Address(int number) => $"10.1.{number / 250}.{(number % 250) + 1}";

    private static bool IsPossible(
        (string Name, int Number, string? User, int? Port, string? Target, string? Device)[] hosts,
        string name
    ) =>
        hosts.Select(host => host.Name).Append(name).Append(name + "-proxies").Distinct().Count() == hosts.Length + 2
        && hosts.Select(host => host.Number).Distinct().Count() == hosts.Length
        && hosts.Select(host => (host.Target ?? Address(host.Number), host.Port)).Distinct().Count() == hosts.Length
        && hosts.All(host => host.Device is null || HostPath.TryNormalize(host.Device, out var path, out _) && path == host.Device)
        && hosts.Select(host => host.Device).OfType<string>().All(device => Placeholders.PlaceholderOf(device) is null);

    private static string Shown(Host host)
    {
        var endpoint = SshEndpoint.Of(host);
        return $"{host.Name} {host.Address} {endpoint.User} {endpoint.Port} {endpoint.Hostname} {endpoint.Sudo}";
    }

    private static string Expected((string Name, int Number, string? User, int? Port, string? Target, string? Device) host) =>
        $"{host.Name} {Address(host.Number)} {host.User} {host.Port} {host.Target ?? Address(host.Number)} {host.User is not null}";
}
