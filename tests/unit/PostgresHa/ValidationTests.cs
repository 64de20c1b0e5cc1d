using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.PostgresHa;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>What the operator is told about a postgres section before anything is connected to.</summary>
internal sealed class ValidationTests : BlueprintFixture
{
    private const string Header =
        "version: 1\ncluster: keybuzz-pg\nhosts:\n  db-1: { role: db, address: 10.0.0.1 }\n  lb-1: { role: lb, address: 10.0.0.2 }\n";

    [Test]
    public void Everything_that_is_missing_is_said_at_once()
    {
        var errors = Errors(Header + "postgres:\n  version: 16\n");

        string[] missing =
        [
            "'postgres' has no 'members'",
            "'postgres' has no 'proxies'",
            "'postgres' has no 'image'",
            "'postgres' has no 'volume'",
            "'haproxy' has no 'image'",
            "'pgbouncer' has no 'image'",
        ];
        Assert.That(errors, Has.Length.EqualTo(missing.Length));
        foreach (var one in missing)
        {
            Assert.That(errors, Has.One.StartsWith($"version: 16: {one}"));
        }
    }

    [Test]
    public void All_missing_secrets_are_named_at_once_with_the_command_that_makes_them()
    {
        Environment.Clear();

        var errors = Errors(Minimal);

        Assert.That(errors, Has.Length.EqualTo(7));
        Assert.That(errors, Has.All.Contains("kbr init --credentials"));
        foreach (
            var name in new[]
            {
                "KBR_KEY",
                "POSTGRES_SUPERPASS",
                "POSTGRES_REPL_PASS",
                "POSTGRES_APP_PASS",
                "PATRONI_REST_PASS",
                "PATRONI_RAFT_PASS",
                "PGBOUNCER_STATS_PASS",
            }
        )
        {
            Assert.That(errors, Has.One.Contains($"secret {name} has no value"));
        }
    }

    [Test]
    public void A_key_with_a_typo_is_answered_with_the_near_one() =>
        Assert.That(
            OnlyError(With("extentions: [vector]")),
            Is.EqualTo("extentions: [vector]: unknown key 'extentions' in 'postgres' (did you mean 'extensions'?)")
        );

    [TestCase("haproxy: {", "haproxy: { intr: 1s,", "'haproxy'", "inter")]
    [TestCase("pgbouncer: {", "pgbouncer: { pool_moed: session,", "'pgbouncer'", "pool_mode")]
    [TestCase("{ address: 10.0.0.10 }", "{ address: 10.0.0.10, prot: 5432 }", "'load_balancer'", "port")]
    [TestCase("proxies: lb", "proxies: lb\n  dynamic: { tll: 30 }", "'dynamic'", "ttl")]
    [TestCase("proxies: lb", "proxies: lb\n  health: { maxlag: 1MiB }", "'health'", "max_lag")]
    public void A_typo_inside_is_too(string from, string to, string section, string near) =>
        Assert.That(OnlyError(Changed(from, to)), Does.Contain($"in {section}").And.Contain($"did you mean '{near}'"));

    [Test]
    public void An_even_number_of_members_is_a_warning_that_says_why()
    {
        var warning = Warnings(Changed("members: db", "members: [db-master-01, db-slave-01]")).Single();

        Assert.That(
            warning,
            Does.StartWith(
                "members: [db-master-01, db-slave-01]: 2 members: an even number [its majority is 2, so it "
                    + "survives no more lost members than 1 would]"
            )
        );
    }

    [Test]
    public void A_single_member_is_a_warning() =>
        Assert.That(Warnings(Changed("members: db", "members: db-master-01")).Single(), Does.Contain("no replica can take over"));

    [Test]
    public void Logs_in_a_read_only_container_are_refused_with_the_two_ways_out()
    {
        Assert.That(
            OnlyError(With("parameters: { log_directory: /var/log/postgresql }")),
            Does.Contain("log_directory /var/log/postgresql lies in the container, whose root is read-only").And.Contain("read_only: false")
        );
        Assert.That(() => Load(With("parameters: { log_directory: /opt/keybuzz/postgres/archive/log }")), Throws.Nothing);
        Assert.That(() => Load(With("parameters: { log_directory: log }")), Throws.Nothing);
        Assert.That(() => Load(With("read_only: false", "parameters: { log_directory: /var/log/postgresql }")), Throws.Nothing);
    }

    [Test]
    public void A_drop_in_of_another_unit_is_refused() =>
        Assert.That(
            OnlyError(With("drop_ins: [/etc/systemd/system/docker.service.d/x.conf]")),
            Does.Contain("is not a drop-in of patroni, haproxy, pgbouncer or keepalived")
        );

    [Test]
    public void A_member_named_twice_is_refused() =>
        Assert.That(
            OnlyError(Changed("members: db", "members: [db-master-01, db-slave-01, db-slave-02, db-slave-02]")),
            Does.Contain("'db-slave-02' is named twice in 'members' [a host runs one Patroni]")
        );

    [Test]
    public void A_second_Patroni_on_a_member_is_refused()
    {
        var error = OnlyError(
            Minimal
                + $$"""
                resources:
                  - { type: container, name: patroni2, host: db-slave-01, image: "registry.example.com/kbr/patroni:16{{Digest}}" }

                """
        );

        Assert.That(error, Does.Contain("container.patroni2@db-slave-01 would be a second Patroni on db-slave-01"));
    }

    [Test]
    public void Another_container_on_the_data_of_a_member_is_refused()
    {
        var error = OnlyError(
            Minimal
                + $$"""
                resources:
                  - { type: container, name: backup, host: db-slave-01, image: "registry.example.com/backup:1{{Digest}}", mounts: ["/opt/keybuzz/postgres:/data"] }

                """
        );

        Assert.That(error, Does.Contain("container.backup@db-slave-01 mounts /opt/keybuzz/postgres, the member's data"));
    }

    [TestCase("10.0.0.120", "db-master-01", "applications would always connect to one member")]
    [TestCase("10.0.0.11", "haproxy-01", "applications would lose access when that host fails")]
    public void The_address_of_a_host_is_not_the_load_balancers(string address, string host, string why) =>
        Assert.That(
            OnlyError(Changed("{ address: 10.0.0.10 }", $"{{ address: {address} }}")),
            Does.Contain($"the load balancer has the address of {host} [{why}")
        );

    [Test]
    public void PgBouncer_on_the_port_of_HAProxy_is_refused()
    {
        var error = OnlyError(Changed("max_db_connections: 40", "max_db_connections: 40, port: 6432"));

        Assert.That(
            error,
            Does.Contain("PgBouncer and HAProxy's pooled SQL would both listen on port 6432 [they share the host's network]")
                .And.Contain("6433")
        );
    }

    [Test]
    public void Reads_on_a_port_that_is_taken_are_refused()
    {
        Assert.That(
            OnlyError(Changed("haproxy: { image:", "haproxy: { read_port: 6433, image:")),
            Does.Contain("HAProxy's SQL for replicas and PgBouncer would both listen on port 6433")
        );
        Assert.That(
            OnlyError(Changed("haproxy: { image:", "haproxy: { read_port: 5432, image:")),
            Does.Contain("HAProxy's SQL for replicas and HAProxy's SQL would both listen on port 5432")
        );
    }

    [TestCase("ports: { rest: 5432 }", "Patroni's REST API and PostgreSQL would both listen on port 5432")]
    [TestCase("ports: { raft: 8008 }", "RAFT and Patroni's REST API would both listen on port 8008")]
    public void Two_of_a_members_listeners_on_one_port_are_refused(string line, string message) =>
        Assert.That(OnlyError(With(line)), Does.Contain(message));

    [Test]
    public void A_port_that_another_container_of_the_host_has_is_refused()
    {
        var error = OnlyError(
            Minimal
                + $$"""
                resources:
                  - { type: container, name: redis-proxy, host: haproxy-01, image: "registry.example.com/redis:1{{Digest}}", ports: [tcp/8404] }

                """
        );

        Assert.That(error, Does.Contain("port tcp/8404 is already taken by container.haproxy@haproxy-01"));
    }

    [Test]
    public void A_member_that_is_a_proxy_too_is_refused() =>
        Assert.That(
            Errors(Changed("proxies: lb", "proxies: [lb, db-slave-01]")),
            Has.One.Contains("db-slave-01 would be both member and proxy")
        );

    [Test]
    public void An_unknown_role_is_answered_with_those_there_are() =>
        Assert.That(
            Errors(Changed("members: db", "members: dbs")),
            Has.One.Contains("no host or role 'dbs'").And.One.Contains("did you mean 'db'?")
        );

    [TestCase("image: registry.example.com/kbr/patroni:16" + Digest, "image: registry.example.com/kbr/patroni:latest", "has no fixed tag")]
    [TestCase("image: registry.example.com/kbr/patroni:16" + Digest, "image: registry.example.com/kbr/patroni", "has no fixed tag")]
    [TestCase(
        "image: registry.example.com/kbr/patroni:16" + Digest,
        "image: registry.example.com/kbr/patroni:16",
        "is not pinned by digest"
    )]
    [TestCase("registry.example.com/kbr/haproxy:3" + Digest, "registry.example.com/kbr/haproxy:3", "is not pinned by digest")]
    public void An_image_that_could_be_another_tomorrow_is_refused(string from, string to, string message) =>
        Assert.That(OnlyError(Changed(from, to)), Does.Contain(message));

    private const string Id = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    [TestCase("{ archive: missing.tar }", "the archive 'missing.tar' cannot be read")]
    [TestCase("{ name: 'kbr/pg:17', id: '" + Id + "' }", "'image' has no 'archive'")]
    [TestCase("{ archive: a.tar, id: '" + Id + "' }", "an id without a name")]
    [TestCase("{ archive: a.tar, name: 'kbr/pg:17' }", "a name without an id")]
    [TestCase("{ archive: a.tar, name: 'kbr/pg:latest', id: '" + Id + "' }", "not an image's name with a fixed tag")]
    [TestCase("{ archive: a.tar, name: 'kbr/pg:17', id: 'sha256:12' }", "is not an image's id")]
    public void An_archive_says_which_image_it_holds(string image, string message) =>
        Assert.That(Errors(Changed("image: registry.example.com/kbr/patroni:16" + Digest, "image: " + image)), Has.One.Contains(message));

    [TestCase(
        "directories: { data: /srv/data }",
        "the directory 'data', /srv/data, does not lie under the mount point /opt/keybuzz/postgres"
    )]
    [TestCase(
        "directories: { raft: /opt/keybuzz/postgres }",
        "the directory 'raft', /opt/keybuzz/postgres, does not lie under the mount point"
    )]
    [TestCase(
        "directories: { data_directory: /opt/keybuzz/postgres/data }",
        "the data directory /opt/keybuzz/postgres/data is not a subdirectory of /opt/keybuzz/postgres/data"
    )]
    [TestCase(
        "directories: { raft: /opt/keybuzz/postgres/data/raft }",
        "the directories /opt/keybuzz/postgres/data and /opt/keybuzz/postgres/data/raft are nested"
    )]
    public void Data_beside_its_volume_is_refused(string line, string message) =>
        Assert.That(Errors(With(line)), Has.Some.Contains(message));

    [TestCase(19, 5, 5, "ttl is 19 s")]
    [TestCase(30, 0, 10, "loop_wait is 0 s")]
    [TestCase(30, 10, 2, "retry_timeout is 2 s")]
    [TestCase(30, 10, 11, "loop_wait + 2 × retry_timeout is 32 s, more than the ttl of 30 s")]
    public void Times_that_Patroni_would_silently_change_are_refused_with_the_fastest_safe_ones(
        int ttl,
        int loopWait,
        int retryTimeout,
        string message
    )
    {
        var error = OnlyError(With($"dynamic: {{ ttl: {ttl}, loop_wait: {loopWait}, retry_timeout: {retryTimeout} }}"));

        Assert.That(error, Does.Contain("Patroni would not use these times: " + message).And.Contain("a failover in at most 23 s"));
    }

    [TestCase("dynamic: { ttl: 20, loop_wait: 5, retry_timeout: 5 }", 23)]
    [TestCase("dynamic: {}", 33)]
    public void The_worst_case_of_a_failover_is_known(string line, int seconds) =>
        Assert.That(Topology(With(line)).Times.WorstCase, Is.EqualTo(TimeSpan.FromSeconds(seconds)));

    [Test]
    public void Pools_that_may_open_more_connections_than_PostgreSQL_has_are_a_warning_with_the_sum()
    {
        var warning = Warnings(Changed(", max_db_connections: 40", "")).Single();

        Assert.That(warning, Does.Contain("the pools may open 200 connections, but PostgreSQL allows 87"));
        Assert.That(
            warning,
            Does.Contain("[2 PgBouncers × 100; max_connections 100 less 3 reserved for superusers and 10 for Patroni, kbr and operators]")
        );
        Assert.That(warning, Does.Contain("lower pgbouncer.max_db_connections to 43, or raise parameters.max_connections to 213"));
    }

    [TestCase("max_db_connections: 43", "{}")]
    [TestCase("max_db_connections: 100", "{ max_connections: 213 }")]
    [TestCase("max_db_connections: 0, default_pool_size: 20, reserve_pool_size: 1", "{}")]
    public void Pools_that_fit_are_not_warned_of(string pooler, string parameters) =>
        Assert.That(Warnings(Changed("max_db_connections: 40", pooler) + $"  parameters: {parameters}\n"), Is.Empty);

    [TestCase("max_db_connections: 44", "{}")]
    [TestCase("max_db_connections: 100", "{ max_connections: 212 }")]
    [TestCase("max_db_connections: 0, default_pool_size: 21, reserve_pool_size: 1", "{}")]
    public void Pools_that_just_do_not_fit_are(string pooler, string parameters) =>
        Assert.That(
            Warnings(Changed("max_db_connections: 40", pooler) + $"  parameters: {parameters}\n"),
            Has.One.Contains("the pools may open")
        );

    [TestCase("listen_addresses: '*'")]
    [TestCase("port: 5433")]
    public void A_parameter_that_kbr_or_Patroni_sets_is_refused(string parameter) =>
        Assert.That(OnlyError(With($"parameters: {{ {parameter} }}")), Does.Contain("cannot be set here"));

    [Test]
    public void A_secret_in_a_parameter_is_refused() =>
        Assert.That(
            OnlyError(With("parameters: { primary_slot: \"${secret.POSTGRES_APP_PASS}\" }")),
            Does.Contain("may not hold a secret")
        );

    [Test]
    public void A_password_written_into_the_file_is_refused_without_showing_it()
    {
        var failure = Assert.Throws<KeyBuzz.Reconciler.Diagnostics.DiagnosticException>(() =>
            Load(With("users: [{ name: reporting, password: hunter22 }]"))
        )!;

        Assert.That(failure.Diagnostics.Single().Summary, Is.EqualTo("'password' must be ${secret.NAME}"));
        Assert.That(failure.Diagnostics.Single().ToString(), Does.Not.Contain("hunter22"));
    }

    [Test]
    public void A_password_with_a_line_break_is_refused()
    {
        Environment["POSTGRES_APP_PASS"] = "one\ntwo";

        Assert.That(OnlyError(Minimal), Does.Contain("secret POSTGRES_APP_PASS holds a control character"));
    }

    [TestCase("superuser: pg_boss", "'pg_boss' cannot be the name of a user [PostgreSQL reserves names that begin with 'pg_']")]
    [TestCase("superuser: public", "PostgreSQL reserves this word")]
    [TestCase("superuser: /boss", "pg_hba.conf reads it as a regular expression")]
    [TestCase("application: pgbouncer", "PgBouncer reserves this name for its console")]
    [TestCase("application: ööööööööööööööööööööööööööööööööö", "PostgreSQL allows at most 63 bytes")]
    [TestCase("database: template1", "every PostgreSQL cluster already has this database")]
    [TestCase(
        "database: \"my db\"",
        "PgBouncer cannot take a database called 'my db' [its file allows ASCII letters, digits, '_', '-' and '.' for a database]"
    )]
    [TestCase("databases: [größe]", "write pooled: false: it is then not available through PgBouncer")]
    public void A_name_that_PostgreSQL_or_PgBouncer_cannot_take_is_refused_and_it_says_which(string line, string message) =>
        Assert.That(OnlyError(With(line)), Does.Contain(message));

    [Test]
    public void One_user_in_two_parts_is_refused() =>
        Assert.That(OnlyError(With("application: kb_admin")), Does.Contain("the user 'kb_admin' is assigned to two roles"));

    [Test]
    public void An_owner_that_is_no_user_is_refused() =>
        Assert.That(
            OnlyError(With("databases: [{ name: stats, owner: nobody }]")),
            Does.Contain("the owner 'nobody' of the database 'stats' is not a declared user")
        );

    [Test]
    public void An_extension_in_an_unknown_database_is_refused() =>
        Assert.That(
            OnlyError(With("extensions: [{ name: vector, database: keybuz }]")),
            Does.Contain("there is no database 'keybuz'").And.Contain("did you mean 'keybuzz'?")
        );

    [TestCase(
        "users: [{ name: a, password: \"${secret.KBR_KEY}\" }, { name: a, password: \"${secret.KBR_KEY}\" }]",
        "the user 'a' is already declared"
    )]
    [TestCase("users: [{ name: kb_app, password: \"${secret.KBR_KEY}\" }]", "the user 'kb_app' is already declared")]
    [TestCase(
        "users: [{ name: a, password: \"${secret.KBR_KEY}\", rotate_with: { name: a, password: \"${secret.POSTGRES_APP_PASS}\" } }]",
        "the user 'a' is already declared"
    )]
    [TestCase(
        "users: [{ name: a, password: \"${secret.KBR_KEY}\", rotate_with: { name: b, password: \"${secret.KBR_KEY}\" } }]",
        "'b' and 'a' have the same password"
    )]
    [TestCase("superuser: { rotate_with: { name: b, password: \"${secret.KBR_KEY}\" } }", "unknown key 'rotate_with' in 'superuser'")]
    [TestCase("databases: [keybuzz]", "the database 'keybuzz' is already declared")]
    [TestCase("extensions: [vector, vector]", "the extension 'vector' is already declared in keybuzz")]
    public void Duplicates_are_refused(string line, string message) => Assert.That(OnlyError(With(line)), Does.Contain(message));

    [TestCase("scope: db", "hosts have this role")]
    [TestCase("scope: db-master-01", "a host has this name")]
    [TestCase("scope: all", "not 'all'")]
    public void A_scope_that_already_means_hosts_is_refused(string line, string why) =>
        Assert.That(OnlyError(With(line)), Does.Contain("cannot be the scope of the cluster").And.Contain(why));

    [TestCase("first_leader: haproxy-01")]
    [TestCase("preferred_leader: db-slave-03")]
    public void A_leader_that_is_no_member_is_refused(string line) =>
        Assert.That(OnlyError(With(line)), Does.Contain("which is not a member"));

    [Test]
    public void A_network_that_matches_every_address_is_refused() =>
        Assert.That(OnlyError(With("networks: [0.0.0.0/0]")), Does.Contain("the network 0.0.0.0/0 matches every address"));

    [TestCase("store: consul", "'store' cannot be 'consul' [choices are: etcd, raft]")]
    public void Unsupported_keys_are_refused_and_not_ignored(string line, string message) =>
        Assert.That(OnlyError(With(line)), Does.Contain(message));

    [TestCase(
        "dynamic: { synchronous_mode: true }",
        "'synchronous_mode' is not set here",
        "write synchronous: true, or synchronous: { strict: true }"
    )]
    [TestCase("dynamic: { synchronous_node_count: 2 }", "'synchronous_node_count' is not set here", "kbr uses one synchronous standby")]
    [TestCase("synchronous: yes", "'synchronous' must be true or false", "")]
    [TestCase("synchronous: { strict: maybe }", "'strict' must be true or false", "")]
    [TestCase("synchronous: { strct: true }", "strct", "strict")]
    [TestCase(
        "synchronous: true, parameters: { synchronous_commit: local }",
        "no commit waits for the synchronous standby",
        "acknowledged writes could still be lost"
    )]
    [TestCase(
        "synchronous: true, parameters: { synchronous_commit: off }",
        "no commit waits for the synchronous standby",
        "acknowledged writes could still be lost"
    )]
    public void Synchronous_replication_that_would_not_be_is_refused(string lines, string message, string more) =>
        Assert.That(OnlyError(With(string.Join("\n  ", lines.Split(", ")))), Does.Contain(message).And.Contain(more));

    [Test]
    public void A_synchronous_standby_needs_another_member()
    {
        Assert.That(
            OnlyError(Changed("members: db", "members: db-master-01\n  synchronous: true")),
            Does.Contain("'synchronous' with a single member").And.Contain("no other member can be the synchronous standby")
        );
        Assert.That(
            Warnings(Changed("members: db", "members: [db-master-01, db-slave-01]\n  synchronous: { strict: true }")),
            Has.Some.Contains("with two members").And.Some.Contains("while either is down, no write is committed")
        );
    }

    [Test]
    public void A_role_placed_on_a_host_is_refused_with_the_group_it_belongs_to()
    {
        var error = OnlyError(Minimal + "resources:\n  - { type: role, name: x, host: db-master-01 }\n");

        Assert.That(
            error,
            Does.Contain("a role belongs to a group of hosts, and there is no group 'db-master-01'").And.Contain("keybuzz-pg")
        );
    }

    [Test]
    public void A_resource_that_the_section_already_stands_for_is_refused() =>
        Assert.That(
            OnlyError(Minimal + "resources:\n  - { type: database, name: keybuzz, host: keybuzz-pg, owner: kb_app }\n"),
            Does.Contain("duplicate resource database.keybuzz@keybuzz-pg").And.Contain("first given at")
        );

    [Test]
    public void A_value_of_the_host_in_a_resource_of_the_cluster_is_refused() =>
        Assert.That(
            OnlyError(Minimal + "resources:\n  - { type: database, name: x, host: keybuzz-pg, owner: \"${host.address}\" }\n"),
            Does.Contain("'host.address' has no value here")
        );

    [Test]
    public void The_output_of_init_completes_the_file()
    {
        Environment.Clear();
        System.IO.File.WriteAllText(File, Minimal + "secrets: { file: new.env }\n");

        var added = CredentialsFile.Initialize(ClusterLoader.ReadCredentialsNeeded(File, RealSyntax));
        var values = CredentialsFile.Read(Path.Combine(Folder, "new.env"), "new.env").Values;
        var cluster = Load(Minimal + "secrets: { file: new.env }\n");

        Assert.Multiple(() =>
        {
            Assert.That(added, Has.Count.EqualTo(14));
            Assert.That(
                (values["POSTGRES_SUPERUSER"], values["POSTGRES_DB"], values["PATRONI_CLUSTER_NAME"]),
                Is.EqualTo(("kb_admin", "keybuzz", "keybuzz-pg"))
            );
            Assert.That(values["POSTGRES_SUPERPASS"], Has.Length.EqualTo(43));
            Assert.That(cluster.Warnings, Is.Empty);
        });
    }

    [Test]
    public void Init_makes_no_password_that_another_secret_takes_the_place_of()
    {
        System.IO.File.WriteAllText(File, With("application: { name: shop, password: \"${secret.SHOP_PASS}\" }"));

        var names = ClusterLoader.ReadCredentialsNeeded(File, RealSyntax).Names;

        Assert.That(names, Has.Member("SHOP_PASS").And.No.Member("POSTGRES_APP_PASS"));
    }

    [Test]
    public void Whatever_stands_in_the_section_only_diagnostics_come_out()
    {
        string[] values = ["null", "[]", "{}", "x", "-1", "99999999999999999999", "{ a: { b: [c] } }", "[null, {}]"];
        var keys = Minimal
            .Split('\n')
            .Where(line =>
                line.StartsWith("  ", StringComparison.Ordinal)
                && !line.StartsWith("   ", StringComparison.Ordinal)
                && !line.Contains("role:", StringComparison.Ordinal)
            )
            .Select(line => line.Trim().Split(':')[0])
            .Concat([
                "scope",
                "ports",
                "uid",
                "shm_size",
                "stop_timeout",
                "directory",
                "directories",
                "first_leader",
                "locale",
                "networks",
                "dynamic",
                "parameters",
                "superuser",
                "application",
                "database",
                "users",
                "databases",
                "extensions",
                "health",
                "drop_ins",
                "read_only",
            ]);
        var refused = 0;
        foreach (var key in keys)
        {
            foreach (var value in values)
            {
                var rest = Minimal.Split('\n').Where(line => !line.StartsWith($"  {key}:", StringComparison.Ordinal));
                try
                {
                    Load(string.Join('\n', rest) + $"  {key}: {value}\n");
                }
                catch (KeyBuzz.Reconciler.Diagnostics.DiagnosticException)
                {
                    refused++;
                }
            }
        }

        Assert.That(refused, Is.GreaterThan(150));
    }
}
