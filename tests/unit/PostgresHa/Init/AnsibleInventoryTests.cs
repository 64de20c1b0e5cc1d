using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.PostgresHa.Init;

namespace KeyBuzz.Reconciler.Tests.PostgresHa.Init;

/// <summary>Members and proxies out of an Ansible inventory, in INI and in YAML.</summary>
[TestFixture]
public sealed class AnsibleInventoryTests
{
    private const string Ini = """
        # a comment
        mail.example.com

        [etcd_cluster]
        10.0.0.[1:3]

        [master]
        10.0.0.1 hostname=pg-1 ansible_port=2222   # the first

        [replica]
        10.0.0.2 hostname="pg-2"
        10.0.0.3 hostname='pg-3' ansible_user=admin

        [postgres_cluster:children]
        master
        replica

        [balancers]
        lb[01:02].example.com ansible_host=10.0.1.9

        [replica:vars]
        ansible_port=2200
        [postgres_cluster:vars]
        ansible_port=2300
        ansible_user = 'dba'
        [all:vars]
        ansible_user=ubuntu
        ansible_ssh_pass='canary # of the login'
        ansible_ssh_private_key_file=~/.ssh/cluster

        """;

    private const string Yaml = """
        ---
        all:
          vars: { ansible_user: ubuntu, ansible_ssh_pass: canary, ansible_ssh_private_key_file: ~/.ssh/cluster }
          hosts:
            mail.example.com:
          children:
            etcd_cluster:
              hosts: { "10.0.0.[1:3]": }
            postgres_cluster:
              vars: { ansible_port: 2300, ansible_user: dba }
              children:
                master:
                  hosts:
                    10.0.0.1: { hostname: pg-1, ansible_port: 2222 }
                replica:
                  vars: { ansible_port: 2200 }
                  hosts:
                    10.0.0.2: { hostname: pg-2 }
                    10.0.0.3: { hostname: pg-3, ansible_user: admin }
            balancers:
              hosts:
                lb[01:02].example.com: { ansible_host: 10.0.1.9 }

        """;

    [TestCase(Ini, false)]
    [TestCase(Yaml, true)]
    public void Groups_ranges_and_variables_are_read_the_nearest_variable_counts_and_usual_groups_are_found(string text, bool isYaml)
    {
        var (taken, findings) = Select(text, isYaml, null, null);
        Assert.Multiple(() =>
        {
            Assert.That(findings, Is.Empty);
            Assert.That(AnsibleInventory.IsYaml(text, "hosts"), Is.EqualTo(isYaml));
            Assert.That(
                taken.All.Select(host => $"{host.Name} {host.Address} {host.User} {host.Port} {host.IdentityFile}"),
                Is.EqualTo(
                    new[]
                    {
                        "pg-1 10.0.0.1 dba 2222 ~/.ssh/cluster",
                        "pg-2 10.0.0.2 dba 2200 ~/.ssh/cluster",
                        "pg-3 10.0.0.3 admin 2200 ~/.ssh/cluster",
                        "lb01 10.0.1.9 ubuntu  ~/.ssh/cluster",
                        "lb02 10.0.1.9 ubuntu  ~/.ssh/cluster",
                    }
                )
            );
            Assert.That(
                taken.Notes,
                Is.EqualTo(
                    new[]
                    {
                        "Members: pg-1, pg-2, pg-3; the group postgres_cluster, by its name (--members GROUP names another).",
                        "Proxies: lb01, lb02; the group balancers, by its name (--proxies GROUP names another).",
                        "Left: 1 of other groups: mail.example.com.",
                    }
                )
            );
        });
    }

    [Test]
    public void Groups_that_are_named_are_taken()
    {
        var (taken, findings) = Select(Ini, false, "master", "replica, etcd_cluster");
        Assert.That(findings, Is.Empty);
        Assert.That(taken.Members.Select(host => host.Name), Is.EqualTo(new[] { "pg-1" }));
        Assert.That(taken.Proxies.Select(host => host.Name), Is.EqualTo(new[] { "pg-2", "pg-3", "pg-1" }));
        Assert.That(Select(Ini, false, "mastre", "balancers").Findings, Is.EqualTo(new[] { "0: the inventory has no group 'mastre'" }));
    }

    [Test]
    public void Groups_of_older_playbooks_are_found_and_none_is_an_error_with_those_there_are()
    {
        var (older, _) = Select("[master]\na\n[replica]\nb\n[haproxy]\nc\n", false, null, null);
        Assert.That(older.Members.Select(host => (host.Name, host.SshHost)), Is.EqualTo(new[] { ("a", "a"), ("b", "b") }));
        Assert.That(
            Select("[web]\na\n", false, null, null).Findings,
            Is.EqualTo(
                new[]
                {
                    "0: no group of the inventory has a usual name of members",
                    "0: no group of the inventory has a usual name of proxies",
                }
            )
        );
    }

    [TestCase("db[01:03]", "db01 db02 db03")]
    [TestCase("db[1:9:4].x", "db1.x db5.x db9.x")]
    [TestCase("db-[a:c]", "db-a db-b db-c")]
    [TestCase("r[1:2]h[1:2]", "r1h1 r1h2 r2h1 r2h2")]
    [TestCase("db", "db")]
    [TestCase("db[3:1]", "")]
    [TestCase("db[1-3]", null)]
    [TestCase("db[1:3", null)]
    [TestCase("db[1:99999]", null)]
    [TestCase("[1:500]x[1:500]", null)]
    public void A_range_of_hosts_stands_for_each(string pattern, string? names) =>
        Assert.That(
            HostNames.Expand(pattern),
            names is null ? Is.Null : Is.EqualTo(names.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        );

    [TestCase("[db\n", "1: this line is not the head of a group")]
    [TestCase("[db]\na[1-2]\n", "2: the range of hosts cannot be read")]
    [TestCase("[db]\na ansible_port = 22\n", "2: a word after the host a is no variable")]
    [TestCase("[db]\na ansible_user='x\n", "2: the quote ' is not closed")]
    [TestCase("[db]\na ansible_port=x\n[lb]\nb\n", "2: 'x' is no port of a")]
    [TestCase("[db]\na ansible_host=\"{{ x }}\"\n[lb]\nb\n", "2: '{{ x }}' is no name or address of a")]
    [TestCase("[db:children]\nnowhere\n[lb]\nb\n", "2: the group 'nowhere' is not in the inventory")]
    [TestCase("[db:vars]\nx\n", "2: this line is not a variable")]
    public void What_is_wrong_in_an_INI_file_is_an_error_with_its_line(string text, string expected) =>
        Assert.That(Select(text, false, null, null).Findings, Does.Contain(expected));

    [TestCase("db: [a]\n", "1: the group 'db' must be a map")]
    [TestCase("db:\n  host: { a: }\n", "2: the group 'db' has the key 'host'")]
    [TestCase("db:\n  hosts:\n    - a\n", "3: 'hosts' of 'db' must be a map")]
    [TestCase("_meta: { hostvars: {} }\n", "1: this is the output of a dynamic inventory")]
    [TestCase("db:\n  hosts: { \"a[1-2]\": }\n", "2: the range of hosts cannot be read")]
    public void What_is_wrong_in_a_YAML_file_is_an_error_with_its_line(string text, string expected) =>
        Assert.That(Select(text, true, null, null).Findings, Does.Contain(expected));

    [Test]
    public void No_line_of_an_inventory_is_shown() =>
        Assert.That(
            new[] { (Ini + "[broken\n", false), (Yaml + "x: [1]\n", true) }.SelectMany(file =>
            {
                var findings = new Findings();
                _ = file.Item2 ? AnsibleInventory.OfYaml(file.Item1, "i", findings) : AnsibleInventory.OfIni(file.Item1, "i", findings);
                return findings.All.Select(one => one.Location!.LineText);
            }),
            Is.EqualTo(new[] { "", "" })
        );

    [Test]
    public void Hosts_of_an_option_have_users_and_ports()
    {
        var findings = new Findings();
        var hosts = HostList.Parse("10.0.0.1, ops@db-2.example.com:2222 [fd00::1]:22 fd00::2", "db", findings);
        Assert.That(findings.All, Is.Empty);
        Assert.That(
            hosts.Select(host => $"{host.Name} {host.Address} {host.SshHost} {host.User} {host.Port}"),
            Is.EqualTo(new[] { "db-1 10.0.0.1   ", "db-2  db-2.example.com ops 2222", "db-3 fd00::1   ", "db-4 fd00::2   " })
        );
        HostList.Parse("@a b:x c:0 d/e", "db", findings);
        Assert.That(
            findings.All.Select(one => one.Summary),
            Is.EqualTo(new[] { "'@a'", "'b:x'", "'c:0'", "'d/e'" }.Select(word => word + " is not a host"))
        );
    }

    private static (InitSelection Taken, string[] Findings) Select(string text, bool isYaml, string? members, string? proxies)
    {
        var findings = new Findings();
        var inventory = isYaml ? AnsibleInventory.OfYaml(text, "hosts", findings) : AnsibleInventory.OfIni(text, "hosts", findings);
        var taken = inventory.Select(members, proxies, findings);
        return (taken, [.. findings.All.Select(one => $"{one.Location?.Line ?? 0}: {one.Summary}")]);
    }
}
