using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers.Preconditions;
using KeyBuzz.Reconciler.Providers.Role;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>What a postgres section becomes on the hosts.</summary>
internal sealed partial class RenderingTests : BlueprintFixture
{
    [Test]
    public void An_image_from_an_archive_has_a_name_of_its_own_on_its_hosts_and_in_its_containers()
    {
        const string Id = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        var cluster = Load(
            Changed(
                "image: registry.example.com/kbr/patroni:16" + Digest,
                $"image: {{ archive: images/patroni.tar, name: 'kbr/patroni:16', id: '{Id}' }}"
            )
        );

        var image = Find(cluster, "image.patroni@db-slave-01").Spec;
        Assert.That(
            (image.String("reference"), image.String("archive"), image.String("image_id")),
            Is.EqualTo(("kbr/patroni:16-0123456789ab", "images/patroni.tar", Id))
        );
        Assert.That(Find(cluster, "container.patroni@db-slave-01").Spec.String("image"), Is.EqualTo("kbr/patroni:16-0123456789ab"));
        Assert.That(
            cluster.Graph.WithRequirements([new Address("container", "patroni", "db-slave-01")]),
            Does.Contain(new Address("image", "patroni", "db-slave-01"))
        );
    }

    [Test]
    public void The_shortest_section_stands_for_everything_on_five_hosts_without_a_warning()
    {
        var cluster = Load(Minimal);

        Assert.Multiple(() =>
        {
            Assert.That(cluster.Warnings, Is.Empty);
            Assert.That(cluster.Groups.Select(group => group.Name), Is.EqualTo(new[] { "keybuzz-pg", "keybuzz-pg-proxies" }));
            Assert.That(cluster.Groups[0].Members, Is.EqualTo(new[] { "db-master-01", "db-slave-01", "db-slave-02" }));
            Assert.That(cluster.Groups[1].Members, Is.EqualTo(new[] { "haproxy-01", "haproxy-02" }));
            Assert.That(
                On("db-slave-01"),
                Is.EquivalentTo(
                    new[]
                    {
                        "directory.base",
                        "volume.postgres",
                        "directory.postgres-data",
                        "directory.postgres-raft",
                        "directory.postgres-archive",
                        "directory.patroni",
                        "image.patroni",
                        "config_file.patroni",
                        "config_file.patroni-raft-guard",
                        "container.patroni",
                        "systemd_unit.patroni",
                    }
                )
            );
            Assert.That(
                On("haproxy-02"),
                Is.EquivalentTo(
                    new[]
                    {
                        "directory.base",
                        "directory.haproxy",
                        "image.haproxy",
                        "config_file.haproxy",
                        "container.haproxy",
                        "systemd_unit.haproxy",
                        "directory.pgbouncer",
                        "image.pgbouncer",
                        "config_file.pgbouncer",
                        "config_file.pgbouncer-users",
                        "container.pgbouncer",
                        "systemd_unit.pgbouncer",
                    }
                )
            );
            Assert.That(
                On("keybuzz-pg"),
                Is.EquivalentTo(new[] { "patroni_config.keybuzz-pg", "role.kb_admin", "role.kb_repl", "role.kb_app", "database.keybuzz" })
            );
            Assert.That(On("keybuzz-pg-proxies"), Is.Empty, "its policy makes nothing");
            Assert.That(cluster.Policies.Select(policy => policy.Group), Is.EqualTo(new[] { "keybuzz-pg", "keybuzz-pg-proxies" }));
        });

        string[] On(string place) =>
            [
                .. cluster
                    .Resources.Where(resource => resource.Address.Host == place)
                    .Select(resource => $"{resource.Address.Type}.{resource.Address.Name}"),
            ];
    }

    [Test]
    public void A_secret_stands_only_in_files_for_the_container_alone_and_in_attributes_that_are_masked()
    {
        var cluster = Load(With("users: [{ name: reporting, password: \"${secret.POSTGRES_APP_PASS}\" }]"));
        foreach (var resource in cluster.Resources)
        {
            foreach (var name in resource.Spec.Names)
            {
                var value = resource.Spec[name]!;
                var shown = value is SecretText masked ? masked.ToString() : AttributeValue.Of(value).Value;
                Assert.That(shown, Does.Not.Contain("canary").And.Not.Contain("SCRAM-SHA-256$"), $"{name} of {resource.Address}");
            }

            if (resource.Spec.Text("content") is { HasSecret: true })
            {
                Assert.That(resource.Spec.String("mode"), Is.EqualTo("0600"), resource.Address.ToString());
                Assert.That(resource.Spec.String("owner"), Is.EqualTo("999"), resource.Address.ToString());
            }
        }
    }

    [Test]
    public void Only_the_first_leader_may_make_the_database()
    {
        var first = Load(Minimal);
        var other = Load(With("first_leader: db-slave-02"));

        Assert.Multiple(() =>
        {
            Assert.That(WithBootstrap(first), Is.EqualTo(new[] { "config_file.patroni@db-master-01" }));
            Assert.That(WithBootstrap(other), Is.EqualTo(new[] { "config_file.patroni@db-slave-02" }));
            Assert.That(FindPolicy(other, "keybuzz-pg").Spec.String("bootstrap_host"), Is.EqualTo("db-slave-02"));
        });

        static IEnumerable<string> WithBootstrap(Cluster cluster) =>
            cluster
                .Resources.Where(resource =>
                    resource.Spec.Text("content")?.Reveal().Contains("\nbootstrap:\n", StringComparison.Ordinal) == true
                )
                .Select(resource => resource.Address.ToString());
    }

    [Test]
    public void The_container_mounts_the_parent_of_the_data_directory()
    {
        var cluster = Load(Minimal);
        var mounts = Find(cluster, "container.patroni@db-slave-01").Spec.List("mounts");

        Assert.That(
            mounts,
            Is.EqualTo(
                new[]
                {
                    "/opt/keybuzz/patroni:/etc/patroni:ro",
                    "/opt/keybuzz/postgres/data:/opt/keybuzz/postgres/data",
                    "/opt/keybuzz/postgres/raft:/opt/keybuzz/postgres/raft",
                    "/opt/keybuzz/postgres/archive:/opt/keybuzz/postgres/archive",
                }
            )
        );
        Assert.That(Content(cluster, "config_file.patroni@db-slave-01"), Does.Contain("data_dir: '/opt/keybuzz/postgres/data/pgdata'"));
    }

    [Test]
    public void Only_PostgreSQLs_own_user_on_the_local_socket_logs_in_without_a_password()
    {
        var rules = Rule()
            .Matches(Content(Load(Minimal), "config_file.patroni@db-slave-01"))
            .Select(match => match.Groups[1].Value)
            .ToArray();

        Assert.Multiple(() =>
        {
            Assert.That(rules[0], Is.EqualTo("local all all peer map=kbr"));
            Assert.That(rules.Skip(1), Has.All.StartsWith("host ").And.All.EndsWith(" scram-sha-256"));
            Assert.That(rules, Has.None.Contains("0.0.0.0").And.None.Contains("10.0.0.10/"));
            Assert.That(rules, Has.Member("host replication kb_repl 127.0.0.1/32 scram-sha-256"));
            Assert.That(rules, Has.Member("host all all 10.0.0.11/32 scram-sha-256"));
        });
    }

    [Test]
    public void Patroni_and_RAFT_listen_on_the_members_own_address_only()
    {
        var patroni = Content(Load(Minimal), "config_file.patroni@db-slave-01");

        Assert.That(
            patroni,
            Does.Contain("  listen: '10.0.0.121:8008'\n").And.Contain("  bind_addr: '10.0.0.121:7000'\n").And.Not.Contain("0.0.0.0")
        );
    }

    [Test]
    public void The_superuser_can_be_kept_from_every_way_in_but_the_members_own()
    {
        var closed = Load(With("superuser_login: members", "networks: [10.9.0.0/24]"));
        var rules = Rule().Matches(Content(closed, "config_file.patroni@db-slave-01")).Select(match => match.Groups[1].Value).ToArray();

        Assert.Multiple(() =>
        {
            var reject = Array.IndexOf(rules, "host all kb_admin all reject");
            Assert.That(reject, Is.Positive);
            Assert.That(
                rules.Skip(reject + 1),
                Is.EqualTo(
                    new[]
                    {
                        "host all all 10.0.0.11/32 scram-sha-256",
                        "host all all 10.0.0.12/32 scram-sha-256",
                        "host all all 10.9.0.0/24 scram-sha-256",
                    }
                ),
                "the first line that fits decides"
            );
            Assert.That(
                rules.Take(reject),
                Has.Member("host all all 127.0.0.1/32 scram-sha-256").And.Member("host all kb_admin 10.0.0.120/32 scram-sha-256"),
                "kbr and pg_rewind"
            );
            Assert.That(Content(closed, "config_file.pgbouncer-users@haproxy-01"), Does.Contain("\"kb_app\"").And.Not.Contain("kb_admin"));
            Assert.That(
                Find(closed, "config_file.pgbouncer-users@haproxy-01").Spec.Text("confirm_input")!.Reveal(),
                Does.Not.Contain("kb_admin")
            );
            Assert.That(OnlyError(With("superuser_login: nobody")), Does.Contain("superuser_login"));
        });
    }

    [Test]
    public void The_statistics_can_have_a_login_which_loopback_does_not_need()
    {
        Environment["STATS_PASS"] = "canary's stats";
        var open = Find(Load(Minimal), "config_file.haproxy@haproxy-01");
        var closed = Find(
            Load(
                Minimal.Replace(
                    "haproxy: { ",
                    "haproxy: { stats_login: { name: ops, password: '${secret.STATS_PASS}' }, ",
                    StringComparison.Ordinal
                )
            ),
            "config_file.haproxy@haproxy-01"
        );

        Assert.Multiple(() =>
        {
            Assert.That(open.Spec.Text("content")!.Reveal(), Does.Not.Contain("userlist"));
            Assert.That(open.Spec.String("mode"), Is.EqualTo("0644"));
            Assert.That(
                closed.Spec.Text("content")!.Reveal(),
                Does.EndWith(
                    "    http-request auth realm statistics unless { dst 127.0.0.1 } or { http_auth(statistics) "
                        + "}\n\nuserlist statistics\n    user ops insecure-password 'canary'\\''s stats'\n"
                )
            );
            Assert.That(closed.Spec.Text("content")!.ToString(), Does.Not.Contain("canary"));
            Assert.That((closed.Spec.String("owner"), closed.Spec.String("mode")), Is.EqualTo(("99", "0600")));
            Assert.That(
                OnlyError(
                    Minimal.Replace("haproxy: { ", "haproxy: { stats_login: { name: ops, password: hunter2 }, ", StringComparison.Ordinal)
                ),
                Does.Contain("'password' must be ${secret.NAME}").And.Not.Contain("hunter2 [")
            );
        });
    }

    [Test]
    public void The_names_in_the_credentials_file_are_used_everywhere()
    {
        Environment["POSTGRES_SUPERUSER"] = "boss";
        Environment["POSTGRES_REPL_USER"] = "stream";
        Environment["POSTGRES_APP_USER"] = "shop";
        Environment["POSTGRES_DB"] = "orders";
        Environment["PATRONI_CLUSTER_NAME"] = "orders-pg";
        var cluster = Load(Minimal);
        var patroni = Content(cluster, "config_file.patroni@db-master-01");

        Assert.Multiple(() =>
        {
            Assert.That(
                patroni,
                Does.Contain("scope: orders-pg\n")
                    .And.Contain("username: 'boss'")
                    .And.Contain("username: 'stream'")
                    .And.Contain("host replication stream ")
                    .And.Contain("'kbr postgres boss'")
            );
            Assert.That(
                Content(cluster, "config_file.pgbouncer@haproxy-01"),
                Does.Contain("\norders = host=10.0.0.10 port=5432 dbname=orders\n")
            );
            Assert.That(Content(cluster, "config_file.pgbouncer-users@haproxy-01"), Does.Contain("\"boss\" ").And.Contain("\"shop\" "));
            Assert.That(Find(cluster, "database.orders@orders-pg").Spec.String("owner"), Is.EqualTo("shop"));
            Assert.That(
                cluster.Resources.Select(resource => resource.Address.ToString()),
                Has.None.Contains("kb_").And.None.Contains("keybuzz-pg")
            );
        });
    }

    [Test]
    public void Names_from_the_credentials_file_are_shown_and_passwords_are_masked()
    {
        var file = Path.Combine(Folder, "my.env");
        System.IO.File.WriteAllText(file, "POSTGRES_DB=keybuzz\nPOSTGRES_APP_PASS=canary-of-the-application\n");
        if (!OperatingSystem.IsWindows())
        {
            System.IO.File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        Environment.Remove("POSTGRES_APP_PASS");

        var secrets = Load(Minimal + "secrets: { file: my.env }\n").Secrets;

        Assert.That(secrets.Mask("/opt/keybuzz canary-of-the-application"), Is.EqualTo("/opt/keybuzz (secret)"));
    }

    [Test]
    public void PgBouncer_and_PostgreSQL_have_the_same_verifier_of_the_password()
    {
        var cluster = Load(Minimal);
        var users = Content(cluster, "config_file.pgbouncer-users@haproxy-02");
        var role = Find(cluster, "role.kb_app@keybuzz-pg").Spec;
        var verifier = role.Text("verifier")!.Reveal();

        Assert.Multiple(() =>
        {
            Assert.That(ScramVerifier.Proves(verifier, "canary-of-the-application"), Is.True);
            Assert.That(users, Does.Contain($"\"kb_app\" \"{verifier}\"\n"));
            Assert.That(role.Boolean("exact"), Is.True, "compared byte for byte");
            Assert.That(Find(cluster, "role.kb_repl@keybuzz-pg").Spec.Boolean("exact"), Is.False, "not pooled");
            Assert.That(users, Does.Not.Contain("kb_repl"));
        });
    }

    [Test]
    public void A_verifier_is_stable_across_plans_and_differs_between_roles_and_between_keys()
    {
        Environment["POSTGRES_SUPERPASS"] = Environment["POSTGRES_APP_PASS"];
        var first = Load(Minimal);
        var again = Load(Minimal);
        Environment[Secrets.KeyName] = "another key";
        var other = Load(Minimal);

        Assert.Multiple(() =>
        {
            Assert.That(Verifier(again, "kb_app"), Is.EqualTo(Verifier(first, "kb_app")));
            Assert.That(Verifier(first, "kb_admin"), Is.Not.EqualTo(Verifier(first, "kb_app")));
            Assert.That(Verifier(other, "kb_app"), Is.Not.EqualTo(Verifier(first, "kb_app")));
        });

        static string Verifier(Cluster cluster, string role) => Find(cluster, $"role.{role}@keybuzz-pg").Spec.Text("verifier")!.Reveal();
    }

    [Test]
    public void Another_RAFT_password_is_another_container_and_another_superuser_password_only_a_reload()
    {
        var before = Load(Minimal);
        Environment["POSTGRES_SUPERPASS"] = "canary-number-two";
        var superuser = Load(Minimal);
        Environment["PATRONI_RAFT_PASS"] = "canary-number-three";
        var raft = Load(Minimal);

        Assert.Multiple(() =>
        {
            Assert.That(Labels(superuser), Is.EqualTo(Labels(before)));
            Assert.That(Labels(raft), Is.Not.EqualTo(Labels(before)));
            Assert.That(
                Content(superuser, "config_file.patroni@db-slave-01"),
                Is.Not.EqualTo(Content(before, "config_file.patroni@db-slave-01"))
            );
        });

        static string Labels(Cluster cluster) => AttributeValue.Of(Find(cluster, "container.patroni@db-slave-01").Spec.Map("labels")).Value;
    }

    [Test]
    public void Labels_tell_RAFT_passwords_apart_without_revealing_them()
    {
        var before = Load(Minimal);
        Environment["PATRONI_RAFT_PASS"] = "canary-number-two";
        var after = Load(Minimal);

        Assert.Multiple(() =>
        {
            Assert.That(
                Label(before, "db-slave-01"),
                Is.EqualTo(Label(before, "db-master-01")).And.EqualTo(FindPolicy(before, "keybuzz-pg").Spec.String("raft_password"))
            );
            Assert.That(Label(after, "db-slave-01"), Is.Not.EqualTo(Label(before, "db-slave-01")).And.Not.Contains("canary"));
        });

        static string Label(Cluster cluster, string host) =>
            Find(cluster, $"container.patroni@{host}").Spec.Map("labels")["kbr.raft-password"];
    }

    [Test]
    public void Patroni_confirms_that_it_has_loaded_this_very_file_and_no_other()
    {
        var before = Load(Minimal);
        Environment["POSTGRES_REPL_PASS"] = "canary-number-two";
        var after = Load(Minimal);

        Assert.That(Tag(after), Is.Not.EqualTo(Tag(before)));
        foreach (var cluster in new[] { before, after })
        {
            var file = Find(cluster, "config_file.patroni@db-slave-01").Spec;
            Assert.That(
                file.String("reload_confirm"),
                Does.EndWith($" /etc/patroni/patroni.yml kbr_file {Tag(cluster)} ;; esac").And.Not.Contain("canary")
            );
            Assert.That(
                file.Integer("confirm_timeout"),
                Is.EqualTo(120),
                "60 s and three loops of 10 s that wait for the store for 10 s each"
            );
        }

        static string Tag(Cluster cluster) =>
            System
                .Text.RegularExpressions.Regex.Match(
                    Content(cluster, "config_file.patroni@db-slave-01"),
                    @"\n  nosync: false\n  kbr_file: '([0-9a-f]{32})'\n$"
                )
                .Groups[1]
                .Value;
    }

    [Test]
    public void A_pooled_password_reaches_PostgreSQL_before_the_userlists_and_is_then_logged_in_with()
    {
        var cluster = Load(With("users: [{ name: reporting, password: \"${secret.POSTGRES_REPL_PASS}\", pooled: false }]"));
        var users = Find(cluster, "config_file.pgbouncer-users@haproxy-02");

        Assert.Multiple(() =>
        {
            Assert.That(
                users.After.Where(address => address.Name != "patroni").Select(address => address.ToString()),
                Is.EquivalentTo(new[] { "config_file.pgbouncer-users@haproxy-01", "role.kb_admin@keybuzz-pg", "role.kb_app@keybuzz-pg" })
            );
            Assert.That(
                users.Spec.Text("confirm_input")!.Reveal(),
                Is.EqualTo(
                    "kb_admin\nkeybuzz\ncanary-of-the-superuser\nkb_app\nkeybuzz\ncanary-of-the-application\npgbouncer_stats\npgbouncer\ncanary-of-the-statistics\n"
                )
            );
            Assert.That(users.Spec.Text("confirm_input")!.ToString(), Does.Not.Contain("canary"));
            Assert.That(users.Spec.String("reload_confirm"), Does.EndWith(" 10.0.0.12 6433; }").And.Not.Contain("canary"));
        });
    }

    [Test]
    public void A_second_login_is_a_member_of_the_first_acts_as_it_and_is_pooled_as_it()
    {
        var cluster = Load(
            With(
                "application: { rotate_with: { name: kb_app_b, password: \"${secret.POSTGRES_REPL_PASS}\" } }",
                "users: [{ name: billing, password: \"${secret.PATRONI_REST_PASS}\", pooled: false, rotate_with: { "
                    + "name: billing_b, password: \"${secret.KBR_KEY}\" } }]"
            )
        );

        foreach (var (second, first) in new[] { ("kb_app_b", "kb_app"), ("billing_b", "billing") })
        {
            var role = Find(cluster, $"role.{second}@keybuzz-pg");
            Assert.That(
                (role.Spec.List("member_of").Single(), role.Spec.String("set_role"), role.Spec.Boolean("login")),
                Is.EqualTo((first, first, true))
            );
            Assert.That(role.Requires.Select(address => address.ToString()), Does.Contain($"role.{first}@keybuzz-pg"));
        }

        var users = Content(cluster, "config_file.pgbouncer-users@haproxy-01");
        Assert.That(users, Does.Contain("\"kb_app_b\" ").And.Not.Contain("billing"));
    }

    [Test]
    public void A_new_member_changes_the_others_files_and_restarts_no_member()
    {
        var three = Load(Minimal);
        var five = Load(
            Changed(
                "  haproxy-01:",
                "  db-slave-03: { role: db, address: 10.0.0.123 }\n  db-slave-04: { role: db, address: 10.0.0.124 }\n  haproxy-01:"
            )
        );

        Assert.That(Labels(five), Is.EqualTo(Labels(three)));
        Assert.That(Content(five, "config_file.patroni@db-slave-01"), Does.Contain("- '10.0.0.124:7000'"));

        static string Labels(Cluster cluster) => AttributeValue.Of(Find(cluster, "container.patroni@db-slave-01").Spec.Map("labels")).Value;
    }

    [Test]
    public void A_member_does_not_start_while_its_volume_is_missing_and_one_supervisor_starts_it_again()
    {
        var cluster = Load(Minimal);
        var unit = Content(cluster, "systemd_unit.patroni@db-slave-01");
        var container = Find(cluster, "container.patroni@db-slave-01").Spec;

        Assert.Multiple(() =>
        {
            Assert.That(unit, Does.Contain("RequiresMountsFor=/opt/keybuzz/postgres\nAssertPathIsMountPoint=/opt/keybuzz/postgres\n"));
            Assert.That(unit, Does.Contain("Restart=always").And.Contain("StartLimitIntervalSec=0").And.Contain("TimeoutStopSec=70"));
            Assert.That(
                (container.String("restart"), container.String("supervised_by"), container.Integer("stop_timeout")),
                Is.EqualTo(("no", "patroni.service", 60L))
            );
            Assert.That(container.Integer("shm_size"), Is.EqualTo(1L << 30));
            Assert.That(container.Map("log_options"), Does.ContainKey("max-size"));
        });
    }

    [Test]
    public void A_unit_is_ordered_after_the_engine_without_requiring_it_and_stops_only_its_own_container()
    {
        var cluster = Load(Minimal);
        foreach (var name in new[] { "patroni@db-slave-01", "haproxy@haproxy-01", "pgbouncer@haproxy-01" })
        {
            var unit = Content(cluster, "systemd_unit." + name);
            Assert.That(
                unit,
                Does.Not.Contain("Requires=").And.Not.Contain("Wants=docker").And.Not.Contain("BindsTo=").And.Not.Contain("PartOf="),
                name
            );
            Assert.That(
                unit,
                Does.Contain("After=docker.service").And.Contain("ExecStartPre=/bin/systemctl is-active --quiet docker.service"),
                name
            );
            Assert.That(unit, Does.Contain("ExecStop=/bin/sh -c 'test -z \"$$MAINPID\" || exec /usr/bin/docker stop "), name);
        }
    }

    [Test]
    public void Every_container_drops_all_capabilities_takes_no_new_privileges_and_has_a_read_only_root()
    {
        var containers = Load(Minimal)
            .Resources.Where(resource => resource.Address.Type == "container")
            .Select(resource => resource.Spec)
            .ToList();
        Assert.That(containers, Has.Count.EqualTo(7));
        Assert.That(containers.Select(spec => string.Join(',', spec.List("cap_drop"))), Is.All.EqualTo("ALL"));
        Assert.That(containers.Select(spec => string.Join(',', spec.List("security_opt"))), Is.All.EqualTo("no-new-privileges"));
        Assert.That(containers.Select(spec => spec.Boolean("read_only")), Is.All.True);
        Assert.That(Find(Load(With("read_only: false")), "container.patroni@db-slave-01").Spec.Boolean("read_only"), Is.False);
    }

    [Test]
    public void A_listed_drop_in_is_allowed_on_its_own_unit_alone()
    {
        const string dropIn = "/etc/systemd/system/haproxy.service.d/limits.conf";
        var cluster = Load(With($"drop_ins: [{dropIn}]"));
        Assert.That(Find(cluster, "systemd_unit.haproxy@haproxy-01").Spec.List("drop_ins"), Is.EqualTo(new[] { dropIn }));
        Assert.That(Find(cluster, "systemd_unit.pgbouncer@haproxy-01").Spec.List("drop_ins"), Is.Empty);
        Assert.That(Find(cluster, "systemd_unit.patroni@db-slave-01").Spec.List("drop_ins"), Is.Empty);
    }

    [Test]
    public void SQL_changes_come_after_parameters_that_may_restart_the_leader_except_the_superusers()
    {
        var resources = Load(Minimal).Resources;
        var config = new Address("patroni_config", "keybuzz-pg", "keybuzz-pg");
        var bySql = resources
            .Where(resource => resource.Address.Type is "role" or "database" or "extension")
            .ToLookup(resource => resource.Address.Name == "kb_repl");
        Assert.That(bySql[false].ToArray(), Has.Length.GreaterThan(2));
        Assert.That(bySql[false].Select(resource => resource.After), Has.All.Contains(config));
        Assert.That(bySql[true].Single().After, Is.Empty);
        Assert.That(resources.Single(resource => resource.Address == config).After, Is.EqualTo(new[] { bySql[true].Single().Address }));
    }

    [Test]
    public void A_change_that_stops_a_member_counts_against_its_group_and_a_change_of_its_file_does_not()
    {
        var groups = Load(Minimal).Resources.Where(resource => resource.Group is not null).ToArray();

        Assert.That(
            groups.Select(resource => resource.Address.Type).Distinct(),
            Is.EquivalentTo(new[] { "directory", "container", "systemd_unit" }),
            "the directory where its data is set aside"
        );
        Assert.That(groups.Count(resource => resource.Group == "keybuzz-pg"), Is.EqualTo(9));
        Assert.That(
            groups.Where(resource => resource.Group != "keybuzz-pg").Select(resource => $"{resource.Group} {resource.Address}"),
            Is.EquivalentTo(
                from host in new[] { "haproxy-01", "haproxy-02" }
                from what in new[] { "container.haproxy", "systemd_unit.haproxy", "container.pgbouncer", "systemd_unit.pgbouncer" }
                select $"keybuzz-pg-proxies {what}@{host}"
            )
        );
    }

    [Test]
    public void The_members_do_not_wait_for_each_other_and_the_cluster_waits_for_all_of_them()
    {
        var cluster = Load(Minimal);
        var graph = ResourceGraph.Build(cluster.Resources, new ProviderRegistry(RealProviders), cluster.Policies);
        var members = cluster.Groups[0].Members;

        foreach (var member in members)
        {
            var before = graph.WithRequirements([Find(cluster, $"systemd_unit.patroni@{member}").Address]);
            Assert.That(before.Select(address => address.Host), Has.All.EqualTo(member));
        }

        Assert.That(
            graph.Policies[0].After.Select(address => address.ToString()),
            Is.EquivalentTo(
                members.SelectMany(member =>
                    new[] { $"systemd_unit.patroni@{member}", $"container.patroni@{member}", $"directory.postgres-data@{member}" }
                )
            )
        );
        var database = Find(cluster, "database.keybuzz@keybuzz-pg").Address;
        Assert.That(graph.PolicyOver(database), Is.SameAs(FindPolicy(cluster, "keybuzz-pg")));
        Assert.That(
            graph.WithRequirements([database]).Select(address => address.ToString()),
            Is.EquivalentTo(new[] { "role.kb_app@keybuzz-pg", "database.keybuzz@keybuzz-pg" })
        );
    }

    [Test]
    public void A_possible_former_member_is_removed_before_the_others_and_the_proxies_change()
    {
        var cluster = Load(
            Minimal.Replace("  haproxy-01: {", "  spare-01: { role: spare, address: 10.0.0.99 }\n  haproxy-01: {", StringComparison.Ordinal)
        );
        var group = FindPolicy(cluster, "keybuzz-pg");

        Assert.That(group.Spec.List("raft_members"), Is.EqualTo(new[] { "10.0.0.120:7000", "10.0.0.121:7000", "10.0.0.122:7000" }));
        Assert.That(group.Spec.Map("other_hosts")["10.0.0.99:7000"], Is.EqualTo("spare-01"));
        foreach (
            var told in new[]
            {
                group.AfterRemovalOf,
                Find(cluster, "config_file.patroni@db-slave-01").AfterRemovalOf,
                Find(cluster, "config_file.haproxy@haproxy-02").AfterRemovalOf,
            }
        )
        {
            Assert.That(told.Select(address => address.ToString()), Does.Contain("container.patroni@spare-01").And.None.Contain("@db-"));
        }
    }

    [Test]
    public void The_proxies_follow_the_cluster_behind_them_and_a_file_reaches_one_proxy_at_a_time()
    {
        var cluster = Load(Minimal);
        var graph = ResourceGraph.Build(cluster.Resources, new ProviderRegistry(RealProviders), cluster.Policies);

        Assert.That(
            graph.Policies[1].After.Select(each => each.ToString()),
            Is.SupersetOf(
                new[]
                {
                    "group.keybuzz-pg@keybuzz-pg",
                    "patroni_config.keybuzz-pg@keybuzz-pg",
                    "role.kb_app@keybuzz-pg",
                    "database.keybuzz@keybuzz-pg",
                    "systemd_unit.haproxy@haproxy-02",
                }
            )
        );
        Assert.That(After("config_file.haproxy@haproxy-02"), Does.Contain("config_file.haproxy@haproxy-01"));
        Assert.That(After("config_file.pgbouncer-users@haproxy-02"), Does.Contain("config_file.pgbouncer-users@haproxy-01"));
        Assert.That(
            After("config_file.haproxy@haproxy-01"),
            Is.EquivalentTo(
                new[] { "db-master-01", "db-slave-01", "db-slave-02" }.SelectMany(member =>
                    new[] { $"container.patroni@{member}", $"systemd_unit.patroni@{member}" }
                )
            ),
            "where a change of these fails, the file stays as it is"
        );
        // What starts them waits for nothing on other hosts: a proxy is brought back whatever state the cluster is in.
        Assert.That(
            graph.WithRequirements([Find(cluster, "systemd_unit.haproxy@haproxy-02").Address]).Select(address => address.Host),
            Has.All.EqualTo("haproxy-02")
        );

        IEnumerable<string> After(string address) => graph.Find(Find(cluster, address).Address)!.After.Select(each => each.ToString());
    }

    [Test]
    public void Reads_have_a_front_end_of_their_own_only_where_it_is_asked_for()
    {
        Assert.That(Content(Load(Minimal), "config_file.haproxy@haproxy-01"), Does.Not.Contain("/replica"));

        var cluster = Load(Changed("haproxy: { image:", "haproxy: { read_port: 5433, read_max_lag: 2MiB, image:"));
        var proxy = Content(cluster, "config_file.haproxy@haproxy-02");

        Assert.Multiple(() =>
        {
            Assert.That(proxy, Does.Contain("\nfrontend reads\n    bind 10.0.0.12:5433\n    default_backend replicas\n"));
            Assert.That(
                proxy,
                Does.Contain(
                    "\nbackend replicas\n    balance leastconn\n    option httpchk\n    http-check send meth OPTIONS uri "
                        + "/replica?lag=2097152\n"
                )
            );
            Assert.That(
                proxy.Split("\nbackend replicas\n")[1],
                Does.Contain("    server db-master-01 10.0.0.120:5432 check port 8008\n").And.Contain("on-marked-down shutdown-sessions"),
                "who leads may be a replica tomorrow"
            );
            Assert.That(proxy, Does.Contain("\n\nfrontend statistics\n"));
            Assert.That(
                Find(cluster, "container.haproxy@haproxy-02").Spec.List("ports"),
                Is.EqualTo(new[] { "tcp/5432", "tcp/6432", "tcp/8404", "tcp/5433" })
            );
        });
    }

    [Test]
    public void HAProxy_checks_for_the_primary_quietly_and_PgBouncer_listens_beside_it()
    {
        var cluster = Load(Minimal);
        var proxy = Content(cluster, "config_file.haproxy@haproxy-02");

        Assert.Multiple(() =>
        {
            Assert.That(
                proxy,
                Does.Contain("http-check send meth OPTIONS uri /primary")
                    .And.Contain("default-server on-marked-down shutdown-sessions")
                    .And.Contain("retries 0")
            );
            Assert.That(
                proxy,
                Does.Contain("default-server inter 500ms fastinter 250ms downinter 500ms fall 2 rise 1\n")
                    .And.Contain("timeout connect 1s\n")
                    .And.Contain("timeout client 86400s\n")
            );
            Assert.That(proxy, Does.Contain("    server db-slave-02 10.0.0.122:5432 check port 8008\n"));
            Assert.That(
                proxy,
                Does.Contain("bind 10.0.0.12:6432\n")
                    .And.Contain("server haproxy-01 10.0.0.11:6433 check\n")
                    .And.Contain("server haproxy-02 10.0.0.12:6433 check\n")
            );
            Assert.That(proxy, Does.Not.Contain("daemon").And.Not.Contain("chroot").And.Not.Contain("/dev/log"));
            Assert.That(
                Content(cluster, "config_file.pgbouncer@haproxy-02"),
                Does.Contain("listen_addr = 10.0.0.12\nlisten_port = 6433\n")
            );
            Assert.That(Ports("haproxy"), Is.EqualTo(new[] { "tcp/5432", "tcp/6432", "tcp/8404" }));
            Assert.That(Ports("pgbouncer"), Is.EqualTo(new[] { "tcp/6433" }));
        });

        IReadOnlyList<string> Ports(string name) => Find(cluster, $"container.{name}@haproxy-02").Spec.List("ports");
    }

    [TestCase("", "false", "false")]
    [TestCase("synchronous: false", "false", "false")]
    [TestCase("synchronous: true", "true", "false")]
    [TestCase("synchronous: { strict: false }", "true", "false")]
    [TestCase("synchronous: { strict: true }", "true", "true")]
    public void Synchronous_replication_is_in_the_dynamic_configuration_and_the_bootstrap_section(string line, string mode, string strict)
    {
        var cluster = Load(line.Length == 0 ? Minimal : With(line));
        var settings = Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg").Spec.Map("settings");

        Assert.That((settings["synchronous_mode"], settings["synchronous_mode_strict"]), Is.EqualTo((mode, strict)));
        Assert.That(
            Content(cluster, "config_file.patroni@db-master-01"),
            Does.Contain($"    synchronous_mode: {mode}\n    synchronous_mode_strict: {strict}\n")
        );
    }

    [Test]
    public void The_operators_settings_reach_the_hosts()
    {
        var cluster = Load(
            With(
                "scope: orders",
                "directory: /srv/pg",
                "ports: { postgres: 5433, rest: 8009, raft: 7001 }",
                "uid: 101",
                "gid: 102",
                "networks: [10.1.0.0/16]",
                "dynamic: { ttl: 20, loop_wait: 5, retry_timeout: 5, failsafe_mode: true, maximum_lag_on_failover: 2MiB }",
                "parameters: { max_connections: 300, jit: off, auto_explain.log_min_duration: 1s }",
                "databases: [{ name: stats, owner: reporting }]",
                "users: [{ name: reporting, password: \"${secret.POSTGRES_APP_PASS}\", pooled: false }]",
                "extensions: [vector, { name: pg_trgm, database: stats }]",
                "health: { max_lag: 5MiB, gate_timeout: 3m }"
            )
        );
        var patroni = Content(cluster, "config_file.patroni@db-master-01");
        var settings = Find(cluster, "patroni_config.orders@orders").Spec.Map("settings");

        Assert.Multiple(() =>
        {
            Assert.That(
                patroni,
                Does.Contain("scope: orders\n")
                    .And.Contain("self_addr: '10.0.0.120:7001'")
                    .And.Contain("listen: '10.0.0.120:8009'")
                    .And.Contain("bind_addr: '10.0.0.120:7001'")
                    .And.Contain("'10.0.0.120,127.0.0.1:5433'")
            );
            Assert.That(
                patroni,
                Does.Contain("'host all all 10.1.0.0/16 scram-sha-256'")
                    .And.Contain("        auto_explain.log_min_duration: '1s'\n")
                    .And.Contain("    failsafe_mode: true\n")
            );
            Assert.That(
                (
                    settings["ttl"],
                    settings["maximum_lag_on_failover"],
                    settings["failsafe_mode"],
                    settings["postgresql.parameters.max_connections"],
                    settings["postgresql.parameters.jit"],
                    settings["postgresql.parameters.wal_level"]
                ),
                Is.EqualTo(("20", "2097152", "true", "300", "off", "replica"))
            );
            Assert.That(Find(cluster, "directory.postgres-data@db-slave-01").Spec.String("path"), Is.EqualTo("/srv/pg/postgres/data"));
            Assert.That(Find(cluster, "directory.postgres-data@db-slave-01").Spec.String("owner"), Is.EqualTo("101"));
            Assert.That(Find(cluster, "container.patroni@db-slave-01").Spec.String("user"), Is.EqualTo("101:102"));
            Assert.That(Find(cluster, "database.stats@orders").Spec.String("owner"), Is.EqualTo("reporting"));
            Assert.That(Find(cluster, "extension.vector@orders").Spec.String("database"), Is.EqualTo("keybuzz"));
            Assert.That(Find(cluster, "extension.pg_trgm.stats@orders").Spec.String("database"), Is.EqualTo("stats"));
            Assert.That(Content(cluster, "config_file.pgbouncer-users@haproxy-01"), Does.Not.Contain("reporting"));
            Assert.That(FindPolicy(cluster, "orders").Spec.Integer("gate_timeout"), Is.EqualTo(180));
        });
    }

    [Test]
    public void Each_member_may_have_a_device_of_its_own_name()
    {
        var yaml = Changed(
            "{ device: /dev/sdb }",
            "{ device: { db-master-01: /dev/disk/by-id/a, db-slave-01: /dev/disk/by-id/b, db-slave-02: "
                + "/dev/disk/by-id/c }, prevent_destroy: true }"
        );

        var volume = Find(yaml, "volume.postgres@db-slave-01");

        Assert.That(
            (volume.Spec.String("device"), volume.Spec.String("mount_point"), volume.PreventDestroy),
            Is.EqualTo(("/dev/disk/by-id/b", "/opt/keybuzz/postgres", true))
        );
    }

    [Test]
    public void Protecting_the_volume_protects_the_data_directories_on_it()
    {
        string[] directories = ["postgres-data", "postgres-raft", "postgres-archive"];
        var isProtected = Changed("{ device: /dev/sdb }", "{ device: /dev/sdb, prevent_destroy: true }");

        Assert.That(directories.Select(name => Find(isProtected, $"directory.{name}@db-slave-01").PreventDestroy), Has.All.True);
        Assert.That(directories.Select(name => Find(Load(Minimal), $"directory.{name}@db-slave-01").PreventDestroy), Has.All.False);
        Assert.That(Find(isProtected, "directory.patroni@db-slave-01").PreventDestroy, Is.False, "it holds no data");
    }

    [Test]
    public void A_password_with_quotes_and_colons_is_one_YAML_string()
    {
        Environment["POSTGRES_SUPERPASS"] = "it's: \"#1\" {x} \\";

        Assert.That(Content(Load(Minimal), "config_file.patroni@db-slave-01"), Does.Contain("      password: 'it''s: \"#1\" {x} \\'\n"));
    }

    [Test]
    public void Hosts_with_IPv6_addresses_are_written_with_brackets_where_a_port_follows()
    {
        var yaml = Minimal.Replace("10.0.0.1", "fd00::1", StringComparison.Ordinal);
        var cluster = Load(yaml);

        Assert.Multiple(() =>
        {
            Assert.That(
                Content(cluster, "config_file.patroni@db-master-01"),
                Does.Contain("self_addr: '[fd00::120]:7000'").And.Contain("'host all kb_admin fd00::121/128 scram-sha-256'")
            );
            Assert.That(
                Content(cluster, "config_file.haproxy@haproxy-01"),
                Does.Contain("server db-master-01 [fd00::120]:5432 check port 8008").And.Contain("bind [fd00::11]:5432\n")
            );
        });
    }

    [Test]
    public void The_clock_of_a_member_must_be_in_step_whatever_the_file_says()
    {
        var cluster = Load(Minimal + "preconditions: { clock: warn }\n");

        Assert.That(
            cluster.Preconditions.Where(one => one.Kind == "clock").Select(one => $"{one.Host} {one.Level}"),
            Is.EquivalentTo(new[] { "db-master-01 Error", "db-slave-01 Error", "db-slave-02 Error", "haproxy-01 Warn", "haproxy-02 Warn" })
        );
    }

    [Test]
    public void The_ports_between_the_hosts_are_looked_at_and_a_silent_one_does_not_stop_the_others()
    {
        var ports = Load(Minimal).Preconditions.Where(one => one.Kind == "ports").ToArray();

        Assert.That(ports.Select(one => one.Level), Has.All.EqualTo(PreconditionLevel.Warn));
        Assert.That(
            ports
                .Where(one => one.Host is "haproxy-01" or "db-slave-01")
                .Select(one => $"{one.Host} {one.Settings.String("peer")} {one.Settings.Integer("port")}"),
            Is.EquivalentTo(
                new[]
                {
                    "db-slave-01 db-master-01 5432",
                    "db-slave-01 db-master-01 8008",
                    "db-slave-01 db-master-01 7000",
                    "db-slave-01 db-slave-02 5432",
                    "db-slave-01 db-slave-02 8008",
                    "db-slave-01 db-slave-02 7000",
                    "haproxy-01 db-master-01 5432",
                    "haproxy-01 db-master-01 8008",
                    "haproxy-01 db-slave-01 5432",
                    "haproxy-01 db-slave-01 8008",
                    "haproxy-01 db-slave-02 5432",
                    "haproxy-01 db-slave-02 8008",
                    "haproxy-01 haproxy-02 6433",
                }
            )
        );
    }

    [Test]
    public void A_raw_resource_may_be_placed_on_the_cluster_as_a_whole_and_on_its_members()
    {
        var cluster = Load(
            Minimal
                + """
                resources:
                  - { type: directory, name: dumps, host: keybuzz-pg, path: /srv/dumps }
                  - { type: extension, name: pg_trgm, host: keybuzz-pg, database: keybuzz, connect_as: kb_admin, requires: [database.keybuzz] }

                """
        );

        Assert.That(
            cluster.Resources.Where(resource => resource.Address.Name == "dumps").Select(resource => resource.Address.Host),
            Is.EqualTo(new[] { "db-master-01", "db-slave-01", "db-slave-02" })
        );
        Assert.That(Find(cluster, "extension.pg_trgm@keybuzz-pg").Requires.Single().ToString(), Is.EqualTo("database.keybuzz@keybuzz-pg"));
    }

    [TestCase("cluster.yaml", 16)]
    [TestCase("lab/cluster-ha.yaml.in", 17)]
    public void The_cluster_files_of_the_repository_are_valid_and_warn_of_nothing(string file, int version)
    {
        var yaml = System.IO.File.ReadAllText(Path.Combine(Repository(), file));
        foreach (var image in new[] { "PATRONI", "HAPROXY", "PGBOUNCER" })
        {
            yaml = yaml.Replace(
                $"${{KBR_{image}_TAG}}@${{KBR_{image}_DIGEST}}",
                $"registry.example.com/{image.ToLowerInvariant()}:1{Digest}",
                StringComparison.Ordinal
            );
        }

        var cluster = Load(Filled(yaml));

        Assert.That(cluster.Warnings, Is.Empty);
        Assert.That(cluster.Model<PostgresTopology>()!.Version, Is.EqualTo(version));
        Assert.That(Find(cluster, "extension.vector@keybuzz-pg").Spec.String("database"), Is.EqualTo("keybuzz"));
    }

    [Test]
    public void The_cluster_file_of_the_repository_is_refused_with_each_of_its_placeholders_until_they_are_replaced()
    {
        const string Image = "build and push the image, and write REPOSITORY:TAG@sha256:DIGEST (images/README.md)";
        string[] members = ["db-master-01", "db-slave-01", "db-slave-02"];
        var errors = Errors(System.IO.File.ReadAllText(Path.Combine(Repository(), "cluster.yaml")));
        Assert.That(
            errors.Select(error => error[(error.LastIndexOf(": '", StringComparison.Ordinal) + 2)..]),
            Is.EqualTo([
                $"'postgres.image' is still the placeholder sha256:0000… of zeros ({Image})",
                .. members.Select(member =>
                    $"'postgres.volume.device.{member}' is still the placeholder REPLACE-ME "
                    + $"(on {member}, ls -l /dev/disk/by-id names the empty volume: write that path)"
                ),
                $"'postgres.haproxy.image' is still the placeholder sha256:0000… of zeros ({Image})",
                $"'postgres.pgbouncer.image' is still the placeholder sha256:0000… of zeros ({Image})",
            ])
        );
    }

    [TestCase("extensions: [vector]")]
    [TestCase(
        "application: { name: billing, password: '${secret.A}', rotate_with: { name: billing_b, password: '${secret.B}' } }",
        "users: [{ name: report, password: '${secret.C}', rotate_with: { name: report_b, password: '${secret.D}' } }]"
    )]
    public void Without_secrets_the_section_stands_for_the_same_resources(params string[] lines)
    {
        foreach (var name in new[] { "A", "B", "C", "D" })
        {
            Environment[name] = $"canary-{name}";
        }

        var whole = Load(With(lines));
        var without = ClusterLoader.Load(File, RealSyntax, new Dictionary<string, string>(), secretsOptional: true);

        Assert.That(
            without.Resources.Select(resource => resource.Address),
            Is.EqualTo(whole.Resources.Select(resource => resource.Address))
        );
        Assert.That(without.Warnings, Is.Empty);
    }

    [Test]
    public void The_policy_of_the_members_is_read_as_the_recorded_configuration_says()
    {
        var applied = Load(Minimal);
        var edited = FindPolicy(With("ports: { rest: 8009 }"), "keybuzz-pg");

        var policy = edited.Rules.AsApplied(edited, [Find(applied, "patroni_config.keybuzz-pg@keybuzz-pg")]);
        Assert.That((edited.Spec.Integer("rest_port"), policy.Spec.Integer("rest_port")), Is.EqualTo((8009L, 8008L)));
        Assert.That(policy.Rules.Reads(policy), Is.EquivalentTo(policy.Rules.Reads(FindPolicy(applied, "keybuzz-pg"))));
        Assert.That(policy.Spec.Text("rest_password"), Is.SameAs(edited.Spec.Text("rest_password")), "a record has no secret");
        Assert.That(edited.Rules.AsApplied(edited, []), Is.SameAs(edited));
    }

    // Drift goes by records alone: what they say has to be enough to read a resource and to tell what was applied.
    [Test]
    public void As_recorded_every_resource_is_read_and_compared_as_it_is_configured()
    {
        var cluster = Load(With("extensions: [vector]"));
        var providers = new ProviderRegistry(RealProviders);
        var fingerprint = new Fingerprint(cluster.Secrets.Find(Secrets.KeyName)!);
        Assert.Multiple(() =>
        {
            foreach (var resource in cluster.Resources)
            {
                var provider = providers.Get(resource.Address.Type);
                var desired = provider.Desired(resource);
                var prints = SortedMap.Of<string>(
                    desired.Select(pair =>
                        KeyValuePair.Create(pair.Key, fingerprint.Of(resource.Address, pair.Key, pair.Value, pair.Value.Secret is not null))
                    )
                );
                var json = RecordJson.Write(
                    new ResourceRecord(resource.Address, true, false, prints, resource.Spec, resource.Requires, false)
                    {
                        Group = resource.Group,
                    },
                    cluster.Name
                );
                var record = RecordJson.Read(json, cluster.Name, providers)!;
                var recorded = record.ToResource();
                Assert.That(provider.Reads(recorded), Is.EquivalentTo(provider.Reads(resource)), $"{resource.Address} is read alike");
                var applied = provider.Desired(recorded);
                Assert.That(
                    applied.Where(pair => !Fingerprint.IsSecret(prints[pair.Key])),
                    Is.EqualTo(desired.Where(pair => !Fingerprint.IsSecret(prints[pair.Key]))),
                    $"{resource.Address} is known but for its secrets"
                );
                var complete = new DriftFinder(
                    providers,
                    ResourceGraph.Build(cluster.Resources, providers),
                    cluster.Secrets.Find(Secrets.KeyName)
                ).Applied(record);
                Assert.That(
                    provider.Desired(complete).Select(pair => (pair.Key, pair.Value.Value)),
                    Is.EqualTo(desired.Select(pair => (pair.Key, pair.Value.Value))),
                    $"{resource.Address} is whole with the secrets"
                );
            }
        });
    }

    private static string Repository([CallerFilePath] string path = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "../../.."));

    [GeneratedRegex(@"^    - '((?:local|host) [^']*)'$", RegexOptions.Multiline)]
    private static partial Regex Rule();

    [Test]
    public void A_namespace_is_written_where_it_is_not_Patronis_own()
    {
        Assert.That(Text(Load(Minimal)), Does.Contain("scope: keybuzz-pg\nname: db-slave-01\n"));
        Assert.That(
            Text(Load(With("namespace: db"))),
            Does.Contain("scope: keybuzz-pg\nnamespace: '/db/'\nname: db-slave-01\n")
                .Or.Contain("scope: keybuzz-pg\nnamespace: \"/db/\"\nname: db-slave-01\n")
        );
        Assert.That(Label(Load(With("namespace: service"))), Is.EqualTo(Label(Load(Minimal))), "what runs is not started anew");
        Assert.That(Label(Load(With("namespace: db"))), Is.Not.EqualTo(Label(Load(Minimal))));
        Assert.That(FindPolicy(Load(With("namespace: //db")), "keybuzz-pg").Spec.String("namespace"), Is.EqualTo("/db/"));
        Assert.That(
            Find(Load(With("namespace: db")), "patroni_config.keybuzz-pg@keybuzz-pg").Spec.String("namespace"),
            Is.EqualTo("/db/"),
            "its gate judges by it, too"
        );
        Assert.That(
            Find(Load(Minimal), "directory.postgres-raft@db-slave-01").After.Single().ToString(),
            Is.EqualTo("directory.postgres-data@db-slave-01"),
            "never inside a data directory that runs"
        );
        Assert.That(OnlyError(With("namespace: 'a b'")), Does.Contain("'a b' cannot be the namespace of the cluster"));

        static string Text(Cluster cluster) => Find(cluster, "config_file.patroni@db-slave-01").Spec.Text("content")!.Reveal();

        static string Label(Cluster cluster) => Find(cluster, "container.patroni@db-slave-01").Spec.Map("labels")["kbr.start-settings"];
    }
}
