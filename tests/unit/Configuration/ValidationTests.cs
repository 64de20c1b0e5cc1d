using System.Diagnostics.CodeAnalysis;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Providers.Preconditions;

namespace KeyBuzz.Reconciler.Tests.Configuration;

[TestFixture]
[SuppressMessage("Performance", "CA1812", Justification = "NUnit makes it.")]
internal sealed class ValidationTests : LoaderFixture
{
    private const string Hosts = "version: 1\ncluster: lab\nhosts:\n";

    [Test]
    public void All_errors_come_at_once_in_the_order_of_the_file_with_the_line_shown()
    {
        var failure = Failure(
            Resource("type: directry", "name: a", "host: db-3", "path: /opt/a")
                + """
                  - type: directory
                    name: b
                    host: db-1
                    pth: /opt/b
                    mode: 999
                colour: red

                """
        );

        Assert.That(
            Shown(failure.Diagnostics),
            Is.EqualTo(
                new[]
                {
                    "8:11: unknown resource type 'directry' (did you mean 'directory'?)",
                    "10:11: no host or role 'db-3' (did you mean 'db-1'?)",
                    "12:5: directory 'b' has no 'path' [Where.]",
                    "15:5: unknown key 'pth' in directory 'b' (did you mean 'path'?)",
                    "16:11: 'mode' must be permissions in octal such as 0640, not '999'",
                    "17:1: unknown key 'colour' in the cluster [keys are: cluster, drift, hosts, moved, preconditions, "
                        + "resources, secrets, ssh, version]",
                }
            )
        );
        Assert.That(failure.Diagnostics[0].Location!.LineText, Is.EqualTo("  - type: directry"));
        Assert.That(failure.Diagnostics[0].Location!.File, Is.EqualTo(File));
    }

    // Whole files.
    [TestCase("", "1:1: FILE is empty (remove it, and kbr init writes a first one)")]
    [TestCase("# nothing\n", "1:1: FILE is empty (remove it, and kbr init writes a first one)")]
    [TestCase(
        "- a\n",
        "1:1: FILE must be a map with the keys version, cluster, ssh, hosts, secrets, preconditions, resources, drift, moved, not a list"
    )]
    [TestCase("version: 1\nhosts:\n\tdb-1: {}\n", "3:1: a tab is used for indentation (indent with spaces)")]
    [TestCase("version: 1\ncluster: [a\nhosts: {}\n", "not valid YAML")]
    [TestCase("version: 1\ncluster: &a lab\n", "2:10: anchors are not supported")]
    [TestCase("version: 1\ncluster: *a\n", "2:10: aliases are not supported")]
    [TestCase("version: 1\n<<: {}\n", "2:1: merge keys ('<<') are not supported (write the values out)")]
    [TestCase("version: !!int 1\n", "1:10: tags such as")]
    [TestCase("version: 1\n---\nversion: 1\n", "2:1: a second document starts here")]
    [TestCase("version: 1\n? [a]\n: b\n", "2:3: a key must be a word, not a list")]
    public void A_file_that_is_no_map_of_words_is_refused_with_its_place(string yaml, string expected) =>
        Assert.That(OnlyError(yaml).Replace(File, "FILE", StringComparison.Ordinal), Does.Contain(expected));

    [Test]
    public void A_missing_file_is_named()
    {
        var failure = Assert.Throws<DiagnosticException>(() => ClusterLoader.Load(File, FakeProvider.Syntax, Environment))!;

        Assert.That(failure.Diagnostics.Single().Summary, Is.EqualTo($"{File} does not exist"));
        Assert.That(failure.Diagnostics.Single().Remedy, Is.EqualTo("kbr init writes a first one; -c names another"));
    }

    [Test]
    public void A_directory_is_no_file() =>
        Assert.That(
            Assert
                .Throws<DiagnosticException>(() => ClusterLoader.Load(Folder, FakeProvider.Syntax, Environment))!
                .Diagnostics.Single()
                .Summary,
            Does.EndWith("is a directory, not a file")
        );

    [Test]
    public void Bytes_that_are_not_UTF_8_are_shown_with_their_place()
    {
        System.IO.File.WriteAllBytes(File, [.. "version: 1\ncluster: l"u8, 0xe4, .. "b\n"u8]);

        var finding = Assert
            .Throws<DiagnosticException>(() => ClusterLoader.Load(File, FakeProvider.Syntax, Environment))!
            .Diagnostics.Single();

        Assert.That(
            (finding.Summary, finding.Location!.Line, finding.Location.Column),
            Is.EqualTo(($"{File} is not UTF-8 text: byte 0xe4", 2, 11))
        );
    }

    [TestCase("cluster: lab\nhosts: { a: { role: a1, address: 10.0.0.1 } }\n", "1:1: the cluster has no 'version' ['version' is 1]")]
    [TestCase(
        "version: 2\ncluster: lab\nhosts: { a: { role: a1, address: 10.0.0.1 } }\n",
        "1:10: version '2' is unknown to this kbr [known is 1]"
    )]
    [TestCase(
        "version: 1\ncluster: My_Lab\nhosts: { a: { role: a1, address: 10.0.0.1 } }\n",
        "2:10: 'My_Lab' cannot be the name of a cluster [lower-case letters, digits and inner '-' only]"
    )]
    [TestCase("version: 1\ncluster: lab\n", "1:1: no hosts: key 'hosts' is missing")]
    [TestCase(
        "version: 1\ncluster: lab\ncluster: lab\nhosts: { a: { role: a1, address: 10.0.0.1 } }\n",
        "3:1: duplicate key 'cluster' [first given in line 2] (keep one of them)"
    )]
    [TestCase(Header + "ssh: { host_key_checking: stritc }\n", "7:27: 'host_key_checking' cannot be 'stritc' (did you mean 'strict'?)")]
    [TestCase(Header + "ssh: { connect_timeout: 10 }\n", "7:25: 'connect_timeout' must be a time such as 10s, from 100ms to 10m, not '10'")]
    [TestCase(
        Header + "ssh: { identity: x }\n",
        "7:8: unknown key 'identity' in 'ssh' [keys are: config, connect_timeout, host_key_checking, identity_file, key_exchange, known_hosts, proxy_jump]"
    )]
    [TestCase(Header + "resources: { a: b }\n", "7:12: 'resources' must be a list, not a map")]
    public void The_top_of_the_file_is_checked(string yaml, string expected) => Assert.That(OnlyError(yaml), Is.EqualTo(expected));

    [TestCase(
        "  DB_1: { role: db, address: 10.0.0.1 }\n",
        "4:3: 'DB_1' cannot be the name of a host [lower-case letters, digits and inner '-' only]"
    )]
    [TestCase("  all: { role: db, address: 10.0.0.1 }\n", "4:3: 'all' cannot be the name of a host ['all' means every host]")]
    [TestCase("  a: { address: 10.0.0.1 }\n", "4:6: host 'a' has no 'role' ['role' is a word such as db]")]
    [TestCase(
        "  a: { role: a, address: 10.0.0.1 }\n",
        "4:14: role 'a' has the name of a host ['host: ' could mean either] (rename one of them)"
    )]
    [TestCase(
        "  a: { role: db, address: 10.0.0.256 }\n",
        "4:27: bad address '10.0.0.256' of host 'a' [write an IPv4 or IPv6 address, such as 10.0.0.11]"
    )]
    [TestCase(
        "  a: { role: db, address: 10.1 }\n",
        "4:27: bad address '10.1' of host 'a' [write an IPv4 or IPv6 address, such as 10.0.0.11]"
    )]
    [TestCase(
        "  a: { role: db, address: 10.0.0.0/24 }\n",
        "4:27: bad address '10.0.0.0/24' of host 'a' [this is a network; write the address of one host, without the prefix length]"
    )]
    [TestCase(
        "  a: { role: db, address: 0.0.0.0 }\n",
        "4:27: bad address '0.0.0.0' of host 'a' [this is not the address of a single host]"
    )]
    [TestCase(
        "  a: { role: db, address: \"fd00::1\" }\n  b: { role: db, address: \"fd00:0::1\" }\n",
        "5:27: hosts 'a' and 'b' have the same address fd00:0::1"
    )]
    [TestCase(
        "  a: { role: db, address: 10.0.0.1, ssh: { host: 127.0.0.1 } }\n  b: { role: db, address: 10.0.0.2, "
            + "ssh: { host: 127.0.0.1, port: 22 } }\n",
        "5:42: hosts 'a' and 'b' are reached at the same place, 127.0.0.1 port 22"
    )]
    [TestCase(
        "  a: { role: db, address: 10.0.0.1, ssh: { host: 127.0.0.300 } }\n",
        "4:50: bad address '127.0.0.300' to reach host 'a' [write a host name or an IPv4 or IPv6 address]"
    )]
    [TestCase(
        "  a: { role: db, address: 10.0.0.1, ssh: { port: 70000 } }\n",
        "4:50: 'port' must be a port number from 1 to 65535, not '70000'"
    )]
    [TestCase("  a: { role: db, address: 10.0.0.1, ssh: { sudo: yes } }\n", "4:50: 'sudo' must be true or false, not 'yes'")]
    [TestCase(
        "  a: { role: db, adress: 10.0.0.1, address: 10.0.0.1 }\n",
        "4:18: unknown key 'adress' in host 'a' (did you mean 'address'?)"
    )]
    [TestCase("  a: 10.0.0.1\n", "4:6: host 'a' must be a map, not '10.0.0.1'")]
    public void Hosts_are_checked(string hosts, string expected) => Assert.That(OnlyError(Hosts + hosts), Is.EqualTo(expected));

    [TestCase("  swop: error\n", "8:3: unknown key 'swop' in 'preconditions' (did you mean 'swap'?)")]
    [TestCase("  swap: eror\n", "8:9: 'swap' cannot be 'eror' (did you mean 'error'?)")]
    [TestCase("  xfs: error\n", "8:8: precondition 'xfs' needs settings (write xfs: { level: error, path: /opt/data })")]
    [TestCase(
        "  disk: { level: error, path: var/lib }\n",
        "8:31: 'path' cannot be 'var/lib' [write an absolute path, such as /opt/app/data]"
    )]
    [TestCase("  disk: { level: error, free: plenty }\n", "8:31: 'free' must be a size such as 1GiB or 512MB, not 'plenty'")]
    [TestCase("  disk: { level: error, hosts: [dbb] }\n", "8:33: no host or role 'dbb' (did you mean 'db'?)")]
    [TestCase(
        "  ports: { level: error, from: [lb], to: [{ host: db-11, port: 5432 }] }\n",
        "8:51: no host or role 'db-11' (did you mean 'db-1'?)"
    )]
    [TestCase(
        "  ports: { level: error, from: [lb], to: [{ host: db-1, port: 0 }] }\n",
        "8:63: 'port' must be a port number from 1 to 65535, not '0'"
    )]
    [TestCase("  ports: { level: error, from: [lb] }\n", "8:10: 'to' must be a list such as [{ host: db-1, port: 5432 }]")]
    [TestCase(
        "  ports: [{ level: error, to: [{ host: db-1, port: 5432 }] }, 5432]\n",
        "8:63: a rule of precondition 'ports' must be a map, not '5432'"
    )]
    [TestCase(
        "  ports: [{ level: error, to: [{ host: db-1, port: [5432, 70000] }] }]\n",
        "8:59: 'port' must be a port number from 1 to 65535, not '70000'"
    )]
    [TestCase(
        "  ports: [{ level: error, to: [{ host: db-1, port: [] }] }]\n",
        "8:52: 'port' must be a port number or a list of them, not an empty list"
    )]
    [TestCase(
        "  ports: [{ level: error, to: [{ host: db-1, port: 5432 }], must_answer: maybe }]\n",
        "8:74: 'must_answer' must be true or false, not 'maybe'"
    )]
    [TestCase("  clock: { hosts: [db] }\n", "8:10: precondition 'clock' has no 'level' ['level' is error, warn or off]")]
    public void Preconditions_are_checked(string preconditions, string expected) =>
        Assert.That(OnlyError(Header + "preconditions:\n" + preconditions), Is.EqualTo(expected));

    [TestCase("image: app:1", "replicas: many", "12:15: 'replicas' must be a whole number, not 'many'")]
    [TestCase("image: app:1", "replicas: \"2\"", "12:15: 'replicas' must be a whole number, not '2' [quotes make it a string]")]
    [TestCase("image: app:1", "replicas: 0", "12:15: 'replicas' must be at least 1, not 0")]
    [TestCase("image: app:1", "privileged: yes", "12:17: 'privileged' must be true or false, not 'yes'")]
    [TestCase("image: app:1", "memory: 64 parsecs", "12:13: 'memory' must be a size such as 64MiB, 1GiB or 1024, not '64 parsecs'")]
    [TestCase("image: app:1", "restart: allways", "12:14: 'restart' cannot be 'allways' (did you mean 'always'?)")]
    [TestCase("image: app:1", "command: sh", "12:14: 'command' must be a list of strings, not 'sh'")]
    [TestCase("image: app:1", "command: [[sh]]", "12:15: 'command' may hold words only, not a list")]
    [TestCase("image: app:1", "environment: [A]", "12:18: 'environment' must be a map of strings, not a list")]
    [TestCase(
        "image: app:1",
        "environment: { A=B: C }",
        "12:20: 'A=B' cannot be a key in 'environment' [a key may not be empty and not hold '=' or a line break]"
    )]
    [TestCase("image: app:1", "restart:", "12:13: 'restart' must be a string, not nothing")]
    [TestCase("image: app:1", "restart: { a: b }", "12:14: 'restart' must be a string, not a map")]
    [TestCase("image: app:1", "login: \"a\\nb\"", "12:12: 'login' must be one line without control characters")]
    [TestCase(
        "image: app:1",
        "lifecycle: { prevent_destory: true }",
        "12:18: unknown key 'prevent_destory' in 'lifecycle' of container 'a' (did you mean 'prevent_destroy'?)"
    )]
    [TestCase(
        "image: app:1",
        "requires: [directory]",
        "12:16: 'directory' is not a reference [type.name for the same host, or type.name@host]"
    )]
    [TestCase("image: app:1", "requires: [container.b]", "12:16: there is no resource container.b on db-1 (did you mean 'container.a'?)")]
    [TestCase("image: app:1", "after: container.a@db-2", "12:12: there is no resource container.a@db-2 (did you mean 'container.a@db-1'?)")]
    [TestCase(
        "image: app:1",
        "requires: [container.a]",
        "12:16: resources depend on each other in a cycle: container.a@db-1 → container.a@db-1 (remove one of these references)"
    )]
    [TestCase(
        "image: app",
        "memory: 1GiB",
        "11:12: 'image': image 'app' has no tag, so it means 'latest', which changes over time; give a tag, best with @sha256:digest"
    )]
    [TestCase(
        "image: app:latest",
        "memory: 1GiB",
        "11:12: 'image': image 'app:latest' is 'latest', which changes over time; give a version's tag, best with @sha256:digest"
    )]
    [TestCase(
        "image: App:1",
        "memory: 1GiB",
        "11:12: 'image': 'App:1' is not an image reference; write repository:tag, best with @sha256:digest"
    )]
    public void Attributes_are_checked_by_their_schema(string image, string line, string expected) =>
        Assert.That(OnlyError(Resource("type: container", "name: a", "host: db-1", image, line)), Is.EqualTo(expected));

    [TestCase("opt/a", "write an absolute path")]
    [TestCase("/opt/../etc", "may not hold '.' or '..'")]
    [TestCase("/", "belongs to the system")]
    [TestCase("/etc", "belongs to the system")]
    [TestCase("/etc/passwd", "belongs to the system")]
    [TestCase("/etc/fstab/", "belongs to the system")]
    [TestCase("/etc/ssh/sshd_config", "/etc/ssh and all in it")]
    [TestCase("/usr/bin/env", "/usr and all in it")]
    [TestCase("//proc//sys", "/proc and all in it")]
    [TestCase("/dev/sdb", "/dev and all in it")]
    [TestCase("/run/kbr/x", "/run/kbr and all in it")]
    [TestCase("/var/lib/kbr", "belongs to the system")]
    public void A_path_that_kbr_may_not_change_is_refused(string path, string expected) =>
        Assert.That(
            OnlyError(Resource("type: directory", "name: a", "host: all", $"path: {path}")),
            Does.StartWith("11:11: 'path' cannot be").And.Contains(expected)
        );

    [TestCase("/etc/app/app.conf")]
    [TestCase("/etc/systemd/system/app.service")]
    [TestCase("/usr/local/bin/app")]
    [TestCase("/usrlocal")]
    [TestCase("/opt")]
    public void Other_paths_are_taken(string path) =>
        Assert.That(
            Load(Resource("type: directory", "name: a", "host: db-1", $"path: {path}")).Resources.Single().Spec.String("path"),
            Is.EqualTo(path)
        );

    [Test]
    public void A_device_must_be_under_dev() =>
        Assert.That(
            OnlyError(Resource("type: volume", "name: a", "host: db-1", "device: /opt/disk.img", "path: /opt/a")),
            Is.EqualTo("11:13: 'device' cannot be /opt/disk.img [write a block device under /dev]")
        );

    [Test]
    public void A_resource_given_twice_on_a_host_is_shown_once_per_host() =>
        Assert.That(
            OnlyError(
                    Resource("type: directory", "name: a", "host: db", "path: /opt/a")
                        + "  - { type: directory, name: a, host: [db-2, lb], path: /opt/b }\n"
                )
                .Replace(File, "FILE", StringComparison.Ordinal),
            Is.EqualTo("12:30: duplicate resource directory.a@db-2 [first given at FILE:9:11] (rename or remove one of them)")
        );

    [Test]
    public void A_cycle_is_shown_once_for_all_hosts_of_a_role() =>
        Assert.That(
            OnlyError(
                Header
                    + """
                    resources:
                      - { type: directory, name: a, host: db, path: /opt/a, requires: [directory.b] }
                      - { type: directory, name: b, host: db, path: /opt/b, after: [directory.c] }
                      - { type: directory, name: c, host: db, path: /opt/c, requires: [directory.a] }
                      - { type: directory, name: d, host: db, path: /opt/d, requires: [directory.a] }

                    """
            ),
            Is.EqualTo(
                "10:68: resources depend on each other in a cycle: directory.a@db-1 → directory.b@db-1 → directory.c@db-1 → "
                    + "directory.a@db-1 (remove one of these references)"
            )
        );

    [Test]
    public void A_long_chain_is_walked_without_recursion()
    {
        var lines = Enumerable
            .Range(0, 5000)
            .Select(i =>
                $"  - {{ type: directory, name: d{i}, host: db-1, path: /opt/d{i}{(i == 0 ? "" : $", requires: [directory.d{i - 1}]")} }}\n"
            );

        Assert.That(Load(Header + "resources:\n" + string.Concat(lines)).Resources, Has.Length.EqualTo(5000));
    }

    [Test]
    public void Two_resources_with_one_port_on_a_host_clash_and_on_two_hosts_do_not() =>
        Assert.That(
            OnlyError(
                Header
                    + """
                    resources:
                      - { type: container, name: a, host: db-1, image: app:1, port: 5432 }
                      - { type: container, name: b, host: all, image: app:1, port: 5432 }

                    """
            ),
            Is.EqualTo("9:64: port tcp/5432 is already taken by container.a@db-1")
        );

    [Test]
    public void Two_resources_that_manage_one_path_clash() =>
        Assert.That(
            OnlyError(
                Header
                    + """
                    resources:
                      - { type: directory, name: a, host: db-1, path: /opt/a }
                      - { type: config_file, name: b, host: db-1, path: /opt/a/, content: x }

                    """
            ),
            Is.EqualTo("9:53: /opt/a is already managed by directory.a@db-1")
        );

    [Test]
    public void A_container_that_mounts_a_single_config_file_is_refused() =>
        Assert.That(
            OnlyError(
                Header
                    + """
                    resources:
                      - { type: config_file, name: b, host: db-1, path: /etc/app/a.conf, content: x }
                      - { type: container, name: a, host: db-1, image: app:1, mounts: ["/etc/app/a.conf:/a.conf"] }

                    """
            ),
            Is.EqualTo(
                "9:68: container 'a' mounts the single file /etc/app/a.conf [config_file.b@db-1 is replaced atomically, "
                    + "and a container that mounts the file itself keeps the old one] (mount the directory /etc/app)"
            )
        );

    [Test]
    public void A_reference_to_a_resource_that_is_broken_otherwise_is_not_dangling() =>
        Assert.That(
            OnlyError(
                Header
                    + """
                    resources:
                      - { type: directory, name: a, host: db-1, path: opt }
                      - { type: directory, name: b, host: db-1, path: /opt/b, requires: [directory.a] }

                    """
            ),
            Does.StartWith("8:51: 'path' cannot be 'opt'")
        );

    [Test]
    public void Content_and_content_file_exclude_each_other() =>
        Assert.That(
            OnlyError(Resource("type: config_file", "name: a", "host: db-1", "path: /etc/a/a", "content: x", "content_file: a.conf")),
            Is.EqualTo("13:19: config_file 'a' has both 'content' and 'content_file' (keep one of them)")
        );

    [Test]
    public void A_missing_content_file_is_an_error_of_the_line_that_names_it() =>
        Assert.That(
            OnlyError(Resource("type: config_file", "name: a", "host: all", "path: /etc/a/a", "content_file: files/a.conf")),
            Is.EqualTo("12:19: files/a.conf does not exist")
        );

    [Test]
    public void An_error_inside_a_content_file_is_shown_in_that_file()
    {
        Put("a.conf", "one\n  ${host.nmae}\n");

        Assert.That(
            OnlyError(Resource("type: config_file", "name: a", "host: all", "path: /etc/a/a", "content_file: a.conf")),
            Is.EqualTo("a.conf:2:3: unknown value 'host.nmae' (did you mean 'host.name'?)")
        );
    }

    [TestCase("${secret.APP_PAS}", "12:26: secret APP_PAS has no value", "did you mean 'APP_PASS'?")]
    [TestCase("${secret.OTHER}", "12:26: secret OTHER has no value", "kbr init --credentials")]
    [TestCase("${secret.a-b}", "12:26: 'a-b' cannot be the name of a secret", "letters, digits")]
    [TestCase("${host.ip}", "12:26: unknown value 'host.ip'", "host.address")]
    [TestCase("${address.db-3}", "12:26: unknown host 'db-3'", "did you mean 'db-1'?")]
    public void An_unknown_expression_is_shown_where_it_stands(string expression, string expected, string help)
    {
        Put("credentials/secrets.env", "APP_PASS=secret\n");

        var error = OnlyError(
            Resource("type: config_file", "name: a", "host: all", "path: /etc/a/a", $"content: \"password = {expression}\"")
        );

        Assert.That(error, Does.StartWith(expected).And.Contains(help));
    }

    [Test]
    public void An_expression_in_a_block_of_text_is_shown_in_its_own_line() =>
        Assert.That(
            OnlyError(Resource("type: config_file", "name: a", "host: db-1", "path: /etc/a/a", "content: |", "  one", "  two ${host.x}")),
            Does.StartWith("14:11: unknown value 'host.x'")
        );

    [TestCase("environment: { P: \"${secret.APP_PASS}\" }", "12:24: 'environment' may not hold a secret")]
    [TestCase("command: [\"-p${secret.APP_PASS}\"]", "12:18: 'command' may not hold a secret")]
    public void A_secret_where_anyone_could_see_it_is_refused_without_showing_it(string line, string expected)
    {
        Put("credentials/secrets.env", "APP_PASS=canary-value\n");

        var error = OnlyError(Resource("type: container", "name: a", "host: db-1", "image: app:1", line));

        Assert.That(error, Does.StartWith(expected).And.Contains("is visible on the host").And.Not.Contains("canary"));
    }

    [Test]
    public void A_missing_key_for_fingerprints_is_an_error()
    {
        Environment.Clear();

        Assert.That(
            OnlyError(Header),
            Is.EqualTo(
                "1:1: secret KBR_KEY has no value; kbr fingerprints secrets with it "
                    + "[credentials/secrets.env does not exist, and the environment has no such variable] (kbr init "
                    + "--credentials)"
            )
        );
    }

    [Test]
    public void A_required_secret_that_is_missing_is_said_once_and_not_for_each_use() =>
        Assert.That(
            OnlyError(
                Header
                    + """
                    secrets: { required: [APP_PASS] }
                    resources:
                      - { type: config_file, name: a, host: all, path: /etc/a/a, content: "${secret.APP_PASS}" }

                    """
            ),
            Does.StartWith("7:23: secret APP_PASS has no value")
        );

    [Test]
    public void A_login_without_sudo_is_a_warning() =>
        Assert.That(
            Shown(Load(Hosts + "  a: { role: db, address: 10.0.0.1, ssh: { user: deploy } }\n").Warnings).Single(),
            Does.StartWith("4:50: kbr logs in to host 'a' as 'deploy' without sudo")
        );
}
