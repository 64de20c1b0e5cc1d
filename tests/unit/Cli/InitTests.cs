using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary><c>kbr init</c> as a user runs it: from inventories, options and answers, with a real sshd as the one host that
/// answers.</summary>
[TestFixture, NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed partial class InitTests : LocalCluster
{
    private const string Servers =
        "ENV\tIP_PUBLIQUE\tHOSTNAME\tIP_PRIVEE\tFQDN\tUSER_SSH\tPOOL\tROLE\tSUBROLE\tDOCKER_STACK\tCORE\tNOTES\n"
        + "prod\t\tdb-1\t10.0.0.1\t\troot\t\tdb\tpostgres\tpatroni-node\tyes\t\n"
        + "prod\t\ttemporal-db\t10.0.0.2\t\troot\t\tdb\tpostgres\ttemporal\tyes\t\n"
        + "prod\t\tlb-1\t10.0.0.3\t\troot\t\tlb\tinternal-haproxy\thaproxy\tyes\t\n";

    private const string Image = "registry.example.com/kbr/x:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    [Test]
    public void From_servers_tsv_a_file_is_written_that_names_what_is_left_and_is_valid_once_that_is_written()
    {
        Write("servers.tsv", Servers);
        string[] images = ["--image", Image, "--haproxy-image", Image, "--pgbouncer-image", Image];

        var said = Done(["init", "--from", "servers.tsv", "--offline", "-c", "new.yaml", "--load-balancer", "10.0.0.9", .. images]);

        Assert.That(
            said,
            Does.StartWith("Members: db-1; DOCKER_STACK is patroni-node.\n")
                .And.Contain("Left: temporal-db, a single PostgreSQL machine: DOCKER_STACK is temporal, not patroni-node.\n")
                .And.Contain("Wrote new.yaml.\n\nLeft to you:\n")
                .And.Contain("'postgres.volume.device.db-1' is still the placeholder TODO (on db-1, ls -l /dev/disk/by-id names")
                .And.EndWith(
                    "Next:\n  kbr init --credentials -c new.yaml\n  kbr validate -c new.yaml\n  kbr check -c new.yaml\n"
                        + "  kbr plan -c new.yaml\n  kbr apply -c new.yaml\n"
                )
        );
        Assert.That(Regex.Count(said, "placeholder"), Is.EqualTo(1));
        var text = File.ReadAllText($"{Folder}/new.yaml");
        Assert.That(
            text,
            Does.Not.Contain("10.0.0.2").And.Contain("load_balancer: { address: 10.0.0.9 }").And.Contain("cluster: keybuzz-pg")
        );

        Write("new.yaml", text.Replace("/dev/disk/by-id/TODO", "/dev/sdb", StringComparison.Ordinal));
        Done("init", "--credentials", "-c", "new.yaml");
        Assert.That(Done("validate", "-c", "new.yaml"), Does.Contain("new.yaml is valid: 2 hosts, "));
    }

    [Test]
    public void With_a_virtual_address_the_file_is_valid_and_keepalived_is_built_too()
    {
        string[] hosts = ["--members", "10.0.0.1", "--proxies", "10.0.0.8,10.0.0.9", "--offline"];

        var said = Done(["init", .. hosts, "--virtual-ip", "10.0.0.100/eth1", "-c", "new.yaml"]);

        Assert.That(said, Does.Contain("kbr images build patroni haproxy pgbouncer keepalived -c new.yaml"));
        Assert.That(said, Does.Not.Contain("virtual_ip.interface").And.Not.Contain("virtual_ip.address"));
        Assert.That(
            Refused(["init", .. hosts, "--virtual-ip", "10.0.0.100", "--load-balancer", "10.0.0.10", "-c", "other.yaml"]),
            Does.Contain("--virtual-ip beside --load-balancer")
        );
        Done(["init", .. hosts, "--virtual-ip", "10.0.0.100", "-c", "without.yaml"]);
        Assert.That(
            Refused("validate", "-c", "without.yaml"),
            Does.Contain("'postgres.virtual_ip.interface' is still the placeholder TODO")
        );
    }

    [Test]
    public void A_file_that_is_there_is_never_overwritten()
    {
        var before = File.ReadAllText($"{Folder}/cluster.yaml");
        Assert.That(
            Refused("init", "--members", "10.0.0.1", "--proxies", "10.0.0.2", "--offline"),
            Does.Contain("cluster.yaml exists already, and init overwrites nothing").And.Contain("kbr init --credentials")
        );
        Assert.That(File.ReadAllText($"{Folder}/cluster.yaml"), Is.EqualTo(before));
        Assert.That(
            Refused("init", "--members", "10.0.0.1", "--proxies", "10.0.0.2", "--offline", "-c", "none/new.yaml"),
            Does.Contain("none/new.yaml cannot be written")
        );
        Assert.That(Directory.GetFiles(Folder).Select(Path.GetFileName), Is.EqualTo(new[] { "cluster.yaml" }), "nothing is left beside");
    }

    [Test]
    public void A_host_that_answers_fills_in_what_it_knows_and_one_that_does_not_is_reported_and_left()
    {
        // Both by names, so that only the host can say its address; the key and known_hosts are the server's.
        Directory.CreateDirectory($"{Folder}/home/.ssh");
        File.WriteAllText(
            $"{Folder}/home/.ssh/known_hosts",
            File.ReadAllText(Server.KnownHostsFile).Replace("127.0.0.1", "localhost", StringComparison.Ordinal)
        );
        Write(
            "hosts.ini",
            $"""
            [patroni]
            here ansible_host=localhost ansible_port={Port}
            gone ansible_host=gone.invalid
            [haproxy]
            10.0.0.3 ansible_port=1
            [all:vars]
            ansible_ssh_private_key_file={Server.Settings.IdentityFile}
            ansible_ssh_pass=canary-of-the-login

            """
        );
        // ssh's configuration is looked for in the home of /etc/passwd, so this machine has no ssh here.
        var (home, path) = (Environment.GetEnvironmentVariable("HOME"), Environment.GetEnvironmentVariable("PATH"));
        Environment.SetEnvironmentVariable("HOME", $"{Folder}/home");
        Environment.SetEnvironmentVariable("PATH", Folder);
        string said;
        try
        {
            said = Done("init", "--from", "hosts.ini", "-c", "new.yaml");
        }
        finally
        {
            Environment.SetEnvironmentVariable("HOME", home);
            Environment.SetEnvironmentVariable("PATH", path);
        }

        var text = File.ReadAllText($"{Folder}/new.yaml");
        var own = System
            .Net.NetworkInformation.NetworkInterface.GetAllNetworkInterfaces()
            .SelectMany(one => one.GetIPProperties().UnicastAddresses)
            .Select(one => one.Address.ToString())
            .ToList();
        Assert.Multiple(() =>
        {
            Assert.That(said, Does.Contain("\ngone: it could not be read (").And.Contain("\nlb-1: it could not be read ("));
            Assert.That(said, Does.Not.Contain("\nhere: it could not be read"));
            Assert.That(
                text,
                Does.Match(
                    $@"# TODO: it could not be read \(.*\): write the private address of gone\n  gone: {{ role: db, address: TODO, ssh: {{ host: gone.invalid }} }}"
                )
            );
            Assert.That(text, Does.Contain($"identity_file: {Server.Settings.IdentityFile}\n"));
            // This machine has one private address, none, or several.
            var here = HereLine().Match(text);
            Assert.That(here.Success, text);
            Assert.That(here.Groups["address"].Value, Is.EqualTo("TODO").Or.AnyOf([.. own]));
            Assert.That(here.Groups["ssh"].Value, Is.EqualTo($"host: localhost, port: {Port}"));
            Assert.That(text, Does.Match(@"# (TODO: )?here: (empty, |mounted at|no empty disk was found|several are empty)"));
            Assert.That(text, Does.Contain("  lb-1: { role: lb, address: 10.0.0.3, ssh: { port: 1 } }\n"));
        });
    }

    [Test]
    public void Without_hosts_and_without_a_terminal_the_options_are_listed() =>
        Assert.That(
            Refused("init", "-c", "new.yaml"),
            Does.Contain("there is no terminal to ask on").And.Contain("--from servers.tsv").And.Contain("--members a,b,c --proxies d,e")
        );

    [Test]
    public void Wrong_inventories_are_refused_with_their_lines_and_nothing_is_written()
    {
        Write("servers.tsv", Servers.Replace("10.0.0.3", "10.0.0.1", StringComparison.Ordinal));
        Assert.That(
            Refused("init", "--from", "servers.tsv", "-c", "new.yaml"),
            Does.Contain("IP_PRIVEE 10.0.0.1 is in lines 2 and 4").And.Contain("at servers.tsv:4:1")
        );
        Write("hosts.ini", "[patroni]\na[1-3]\n[haproxy]\nb\n");
        Assert.That(Refused("init", "--from", "hosts.ini", "-c", "new.yaml"), Does.Contain("at hosts.ini:2:1"));
        Write("hosts.yml", "db: { hosts: { a: } }\nlb: { hosts: { a: } }\n");
        Assert.That(Refused("init", "--from", "hosts.yml", "-c", "new.yaml"), Does.Contain("the name a is given twice"));
        Assert.That(Refused("init", "--from", "absent.ini", "-c", "new.yaml"), Does.Contain("absent.ini"));
        Assert.That(Refused("init", "--members", "a", "-c", "new.yaml"), Does.Contain("no host is a proxy"));
        Assert.That(File.Exists($"{Folder}/new.yaml"), Is.False);
    }

    [Test]
    public void On_a_terminal_the_hosts_are_asked_for()
    {
        using var process = Process.Start(
            new ProcessStartInfo("script", ["-qec", $"exec {KbrProgram.Path} init --offline --no-color -c new.yaml", "/dev/null"])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                WorkingDirectory = Folder,
                Environment = { ["TERM"] = "dumb", ["SHELL"] = "/bin/sh" },
            }
        )!;
        process.StandardInput.Write("10.0.0.1, ops@db-2:2222\n10.0.0.8,10.0.0.9\n\nmine\n");
        process.StandardInput.Flush();
        var said = process.StandardOutput.ReadToEnd();

        Assert.That(process.WaitForExit(TimeSpan.FromSeconds(30)) && process.ExitCode == 0, said);
        Assert.That(said, Does.Contain("Hosts with PostgreSQL, best three").And.Contain("Wrote new.yaml."));
        Assert.That(
            File.ReadAllText($"{Folder}/new.yaml"),
            Does.Contain("cluster: mine\n")
                .And.Contain("db-2: { role: db, address: TODO, ssh: { host: db-2, port: 2222, user: ops, sudo: true } }")
                .And.Contain("# load_balancer:")
        );
    }

    [Test]
    public void Its_JSON_has_the_same_and_a_schema_for_editors_lies_beside()
    {
        Directory.CreateDirectory($"{Folder}/clusters");

        var document = Kbr("init", "--members", "10.0.0.1", "--proxies", "10.0.0.2", "--offline", "-c", "clusters/a.yaml", "--json").Output;

        Assert.That(JsonSchemas.Problems(document), Is.Empty, document);
        using var parsed = JsonDocument.Parse(document);
        Assert.That(parsed.RootElement.GetProperty("left").GetArrayLength(), Is.EqualTo(4), document);
        Assert.That(
            parsed.RootElement.GetProperty("next").EnumerateArray().Take(2).Select(one => one.GetString()),
            Is.EqualTo(new[] { "kbr images build -c clusters/a.yaml", "kbr init --credentials -c clusters/a.yaml" })
        );
        Assert.That(File.ReadAllText($"{Folder}/clusters/a.yaml"), Does.StartWith("# yaml-language-server: $schema=cluster.schema.json\n"));
        Assert.That(File.ReadAllText($"{Folder}/clusters/cluster.schema.json"), Is.EqualTo(Done("schema")));
    }

    [GeneratedRegex(@"\n  here: \{ role: db, address: (?<address>\S+), ssh: \{ (?<ssh>[^}]*) \} \}\n")]
    private static partial Regex HereLine();
}
