using System.Diagnostics.CodeAnalysis;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Preconditions;
using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Tests.Configuration;

[TestFixture]
[SuppressMessage("Performance", "CA1812", Justification = "NUnit makes it.")]
internal sealed class LoadingTests : LoaderFixture
{
    private const string Full = """
        version: 1
        cluster: keybuzz-lab
        ssh: { identity_file: .state/id_ed25519, known_hosts: .state/known_hosts, host_key_checking: accept-new, key_exchange: library-default, connect_timeout: 3s }
        hosts:
          db-1: { role: db, address: 10.77.0.120, ssh: { host: 127.0.77.120, port: 2222, user: deploy, sudo: true } }
          db-2: { role: db, address: "fd00::2" }
          lb-1: { role: lb, address: 10.77.0.130 }
        secrets: { file: credentials/secrets.env, required: [APP_PASS] }
        preconditions:
          swap: warn
          dns: warn
          disk: { level: error, path: /var/lib/, free: 2GiB, hosts: [db] }
          xfs: { level: error, path: /opt/data, hosts: [db-2] }
          ports: { level: error, from: [lb, db-1], to: [{ host: db-1, port: 5432 }] }
        resources:
          - type: volume
            name: data
            host: db
            device: /dev/sdb
            path: /opt/app/
          - type: directory
            name: app-data
            host: [db]
            path: /opt/app//data
            owner: 999
            mode: 0o640
            requires: [volume.data]
            after: [container.app@lb-1]
            lifecycle: { prevent_destroy: true }
          - type: container
            name: app
            host: lb-1
            image: registry:5000/app:1.2
            memory: 512MB
            privileged: true
            environment: { PEER: "${address.db-1}", ME: "${host.name} ${host.address} ${host.role} ${cluster}" }
            command: [sh, -c, "echo ${FOO} $${host.name} ${unclosed"]
            login: "user:${secret.APP_PASS}"
          - type: config_file
            name: app
            host: all
            path: /etc/app/app.conf
            content_file: files/app.conf

        """;

    [Test]
    public void A_whole_file_is_bound_with_defaults_and_one_resource_per_host()
    {
        Put("credentials/secrets.env", "APP_PASS=from-the-file\n");
        Put("files/app.conf", "host=${host.name}\npassword=${secret.APP_PASS}\n");

        var cluster = Load(Full);

        Assert.Multiple(() =>
        {
            Assert.That(cluster.Name, Is.EqualTo("keybuzz-lab"));
            Assert.That(
                cluster.Hosts[0],
                Is.EqualTo(new Host("db-1", "db", "10.77.0.120", new SshEndpoint("127.0.77.120", 2222, "deploy", true)))
            );
            Assert.That(cluster.Hosts[1].Endpoint, Is.EqualTo(new SshEndpoint("fd00::2", null, null, false) { Alias = "db-2" }));
            Assert.That(
                cluster.Connection,
                Is.EqualTo(
                    new SshSettings(
                        Path.Combine(Folder, ".state/id_ed25519"),
                        Path.Combine(Folder, ".state/known_hosts"),
                        HostKeyChecking.AcceptNew,
                        false,
                        TimeSpan.FromSeconds(3)
                    )
                    {
                        Config = SshConfigSource.Default,
                        Home = System.Environment.GetFolderPath(System.Environment.SpecialFolder.UserProfile),
                    }
                )
            );
            Assert.That(
                cluster.Resources.Select(resource => resource.Address.ToString()),
                Is.EqualTo(
                    new[]
                    {
                        "volume.data@db-1",
                        "volume.data@db-2",
                        "directory.app-data@db-1",
                        "directory.app-data@db-2",
                        "container.app@lb-1",
                        "config_file.app@db-1",
                        "config_file.app@db-2",
                        "config_file.app@lb-1",
                    }
                )
            );
            Assert.That(cluster.Warnings, Is.Empty);
        });
        var directory = cluster.Resources[3];
        var container = cluster.Resources[4];
        var file = cluster.Resources[6].Spec.Text("content")!;
        Assert.Multiple(() =>
        {
            Assert.That(directory.Spec.String("path"), Is.EqualTo("/opt/app/data"));
            Assert.That(directory.Spec.String("owner"), Is.EqualTo("999"));
            Assert.That(directory.Spec.String("mode"), Is.EqualTo("0640"));
            Assert.That(directory.Requires.Single().ToString(), Is.EqualTo("volume.data@db-2"));
            Assert.That(directory.After.Single().ToString(), Is.EqualTo("container.app@lb-1"));
            Assert.That(directory.PreventDestroy, Is.True);
            Assert.That(directory.Location!.Line, Is.EqualTo(21));
            Assert.That(container.Spec.Integer("memory"), Is.EqualTo(512_000_000));
            Assert.That(container.Spec.Integer("replicas"), Is.EqualTo(1));
            Assert.That(container.Spec.Boolean("privileged"), Is.True);
            Assert.That(container.Spec.String("restart"), Is.EqualTo("no"));
            Assert.That(container.Spec.Map("environment")["PEER"], Is.EqualTo("10.77.0.120"));
            Assert.That(container.Spec.Map("environment")["ME"], Is.EqualTo("lb-1 10.77.0.130 lb keybuzz-lab"));
            Assert.That(container.Spec.List("command")[2], Is.EqualTo("echo ${FOO} ${host.name} ${unclosed"));
            Assert.That(container.Spec.Text("login")!.ToString(), Is.EqualTo("user:(secret)"));
            Assert.That(file.Reveal(), Is.EqualTo("host=db-2\npassword=from-the-file\n"));
            Assert.That(file.ToString(), Is.EqualTo("host=db-2\npassword=(secret)\n"));
        });
    }

    [Test]
    public void Preconditions_are_one_per_host_and_ports_one_per_host_and_target_but_itself()
    {
        Put("credentials/secrets.env", "APP_PASS=from-the-file\n");
        Put("files/app.conf", "x\n");

        var found = Load(Full).Preconditions;

        string Of(string kind) => string.Join(' ', found.Where(one => one.Kind == kind).Select(one => $"{one.Level}@{one.Host}"));
        var disk = found.First(one => one.Kind == "disk").Settings;
        var port = found.Single(one => one.Kind == "ports");
        Assert.Multiple(() =>
        {
            Assert.That(Of("swap"), Is.EqualTo("Warn@db-1 Warn@db-2 Warn@lb-1"));
            Assert.That(Of("docker"), Is.EqualTo("Error@db-1 Error@db-2 Error@lb-1"));
            Assert.That(Of("clock"), Is.EqualTo("Warn@db-1 Warn@db-2 Warn@lb-1"));
            Assert.That(Of("disk"), Is.EqualTo("Error@db-1 Error@db-2"));
            Assert.That(Of("xfs"), Is.EqualTo("Error@db-2"));
            Assert.That(disk.String("path"), Is.EqualTo("/var/lib"));
            Assert.That(disk.Integer("free"), Is.EqualTo(2L << 30));
            Assert.That(port.Host, Is.EqualTo("lb-1"));
            Assert.That(port.Settings.String("address"), Is.EqualTo("10.77.0.120"));
            Assert.That(port.Settings.Integer("port"), Is.EqualTo(5432));
            Assert.That(port.Settings.String("peer"), Is.EqualTo("db-1"));
        });
    }

    [Test]
    public void Ports_take_several_rules_of_sources_targets_and_ports()
    {
        var found = Load(
            Header
                + """
                preconditions:
                  ports:
                    - { level: error, from: db, to: [{ host: db, port: [5432, 7000] }] }
                    - { level: warn, from: lb, to: [{ host: db-1, port: 22 }], must_answer: true }

                """
        )
            .Preconditions.Where(one => one.Kind == "ports");

        Assert.That(
            found.Select(one =>
                $"{one.Level} {one.Host} {one.Settings.String("peer")} {one.Settings.Integer("port")} {one.Settings.Boolean("must_answer")}"
            ),
            Is.EqualTo(
                new[]
                {
                    "Error db-2 db-1 5432 False",
                    "Error db-2 db-1 7000 False",
                    "Error db-1 db-2 5432 False",
                    "Error db-1 db-2 7000 False",
                    "Warn lb-1 db-1 22 True",
                }
            )
        );
    }

    [Test]
    public void Without_preconditions_swap_docker_and_tools_are_errors_and_the_clock_a_warning()
    {
        var found = Load(Header).Preconditions;

        Assert.That(
            found.Where(one => one.Host == "db-1").Select(one => $"{one.Kind} {one.Level}"),
            Is.EqualTo(new[] { "swap Error", "docker Error", "tools Error", "clock Warn" })
        );
    }

    [Test]
    public void The_environment_wins_over_the_credentials_file_unless_it_is_empty()
    {
        Put("credentials/secrets.env", "A=from-file\nB=from-file\n");
        Environment["A"] = "from-environment";
        Environment["B"] = "";

        var secrets = Load(Header).Secrets;

        Assert.That((secrets.Find("A"), secrets.Find("B")), Is.EqualTo(("from-environment", "from-file")));
    }

    [Test]
    public void A_secret_may_be_in_the_environment_alone_and_nothing_else_of_it_is_taken()
    {
        Environment["APP_PASS"] = "from-environment";
        Environment["PATH"] = "/bin";

        var cluster = Load(Header + "secrets: { required: [APP_PASS] }\n");

        Assert.That(cluster.Secrets.Names, Is.EqualTo(new[] { "APP_PASS", "KBR_KEY" }));
    }

    [Test]
    public void Names_for_init_are_known_while_the_secrets_are_missing()
    {
        Put("files/app.conf", "p=${secret.FROM_FILE} $${secret.NOT_THIS}\n");
        Put(
            "cluster.yaml",
            Header
                + """
                secrets: { file: my.env, required: [LISTED] }
                resources:
                  - { type: config_file, name: a, host: db-1, path: /etc/app/a, content: "${secret.USED}" }
                  - { type: config_file, name: b, host: db-1, path: /etc/app/b, content_file: files/app.conf }

                """
        );

        var needed = ClusterLoader.ReadCredentialsNeeded(File, FakeProvider.Syntax);

        Assert.That(needed.Path, Is.EqualTo(Path.Combine(Folder, "my.env")));
        Assert.That(needed.Names, Is.EqualTo(new[] { "FROM_FILE", "KBR_KEY", "LISTED", "USED" }));
    }

    [Test]
    public void Without_secrets_everything_else_is_loaded_and_the_placeholders_are_not_secrets()
    {
        Environment.Clear();
        Put(
            "cluster.yaml",
            Header
                + """
                secrets: { required: [LISTED] }
                resources:
                  - { type: config_file, name: a, host: db-1, path: /etc/app/a, content: "user = app, password = ${secret.USED}" }

                """
        );

        var cluster = ClusterLoader.Load(File, FakeProvider.Syntax, Environment, secretsOptional: true);

        Assert.That(cluster.Resources.Single().Spec.Text("content")!.ToString(), Is.EqualTo("user = app, password = (secret)"));
        Assert.That(cluster.Secrets.Names, Is.Empty);
        Assert.That(Errors(System.IO.File.ReadAllText(File)), Has.Count.EqualTo(3), "otherwise each is an error");
    }

    [Test]
    public void Ignored_drift_is_read_with_its_reason_and_its_place()
    {
        var rules = Load(
            Header
                + """
                drift:
                  ignore:
                    - { address: "config_file.*@db-1", attribute: mode, reason: a scanner sets it }
                    - address: directory.spare
                      reason: on its way out

                """
        ).IgnoredDrift;

        Assert.That(
            rules.Select(rule => $"{rule} {rule.Reason} {rule.Location!.Line}"),
            Is.EqualTo(new[] { "config_file.*@db-1:mode a scanner sets it 9", "directory.spare@* on its way out 10" })
        );
    }

    [TestCase(
        "drift: { ignore: [{ address: a.b }] }",
        "7:19: an entry of 'drift.ignore' has no 'reason' ['reason' is a sentence that tells readers of the report "
            + "why this drift is acceptable]"
    )]
    [TestCase(
        "drift: { ignore: [{ address: a.b, reason: }] }",
        "7:43: 'reason' must be a sentence that tells readers of the report why this drift is acceptable, not nothing"
    )]
    [TestCase(
        "drift: { ignore: [{ reason: x }] }",
        "7:19: an entry of 'drift.ignore' has no 'address' ['address' is an address such as config_file.app@db-1, or a glob]"
    )]
    [TestCase(
        "drift: { ignore: [{ address: 'a.b:c', reason: x }] }",
        "7:30: 'a.b:c' is not an address [write type.name@host; `*` matches anything; the attribute has its own key]"
    )]
    [TestCase(
        "drift: { ignore: a.b }",
        "7:18: 'ignore' must be a list, not 'a.b' [an entry has 'address', 'reason' and, for one attribute only, 'attribute']"
    )]
    [TestCase("drift: { ignroe: [] }", "7:10: unknown key 'ignroe' in 'drift' (did you mean 'ignore'?)")]
    public void An_ignore_rule_needs_all_its_keys(string line, string error) =>
        Assert.That(OnlyError(Header + line + "\n"), Is.EqualTo(error));

    [TestCase("", true, null)]
    [TestCase("ssh: { config: true }", true, null)]
    [TestCase("ssh: { config: false }", false, null)]
    [TestCase("ssh: { config: my.conf }", true, "my.conf")]
    public void OpenSSH_s_configuration_is_read_unless_it_is_turned_off(string line, bool read, string? file) =>
        Assert.That(
            ((SshSettings)Load(Header + line + "\n").Connection).Config,
            Is.EqualTo(new SshConfigSource(read, file is null ? null : Path.Combine(Folder, file)))
        );

    [Test]
    public void Jump_hosts_stand_under_ssh_of_the_file_and_of_a_host()
    {
        var hosts = Header.Replace("db-1: {", "db-1: { ssh: { proxy_jump: none },", StringComparison.Ordinal);
        var cluster = Load(hosts + "ssh: { proxy_jump: 'ops@a:22,b' }\n");

        Assert.That(((SshSettings)cluster.Connection).ProxyJump, Is.EqualTo("ops@a:22,b"));
        Assert.That(SshEndpoint.Of(cluster.Hosts[0]).ProxyJump, Is.EqualTo("none"));
        Assert.That(SshEndpoint.Of(cluster.Hosts[1]).ProxyJump, Is.Null);
    }

    [Test]
    public void Without_HOME_the_account_says_where_the_key_is()
    {
        Assert.That(Environment, Does.Not.ContainKey("HOME"));
        Assert.That(
            ((SshSettings)Load(Header).Connection).Home,
            Is.EqualTo(System.Environment.GetFolderPath(System.Environment.SpecialFolder.UserProfile))
        );
    }
}
