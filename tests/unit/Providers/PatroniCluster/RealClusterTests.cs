using System.Collections.Immutable;
using System.Diagnostics;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;
using KeyBuzz.Reconciler.Providers.Database;
using KeyBuzz.Reconciler.Providers.Extension;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniConfig;
using KeyBuzz.Reconciler.Providers.Role;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

/// <summary>The group providers on a real cluster of three members, in the order of a first apply.</summary>
[TestFixture]
[NonParallelizable]
[Category(Suites.Programs)]
internal sealed class RealClusterTests
{
    private static readonly RolloutState s_nobody = new([], []);
    private readonly PatroniGroup _clusters = new();
    private readonly PatroniConfigProvider _configs = new();
    private readonly RoleProvider _roles = new();
    private readonly DatabaseProvider _databases = new();
    private readonly ExtensionProvider _extensions = new();
    private PatroniBench _bench = null!;

    [OneTimeSetUp]
    public async Task Start()
    {
        _bench = await PatroniBench.StartAsync();
        var cluster = ProviderBench.Policy(_clusters, PatroniBench.Rest) with { Group = "bench" };
        Assert.That(await _bench.ObserveAsync(cluster), Is.InstanceOf<Observation.Absent>().Or.InstanceOf<Observation.Present>());
        await _clusters.BringToHealthAsync(cluster, _bench, CancellationToken.None);
        var healthy = (Observation.Present)await _bench.ObserveAsync(cluster);
        foreach (var (name, wanted) in _clusters.Desired(cluster))
        {
            Assert.That(healthy.Attributes[name].Value, Is.EqualTo(wanted.Value), name);
        }
    }

    [OneTimeTearDown]
    public async Task Stop() => await _bench.DisposeAsync();

    [Test]
    public async Task A_healthy_cluster_has_one_leader_two_replicas_and_raft_with_all_partners_connected()
    {
        var health = await HealthAsync();
        Assert.That(health.Problems.Select(problem => problem.Text), Is.Empty);
        Assert.That(health.Leader, Is.Not.Null);
        Assert.That(
            health.Members.Where(member => !member.Leads).Select(member => member.Replication),
            Is.EqualTo(new[] { "streaming", "streaming" })
        );
        Assert.That(health.Members.Select(member => member.DcsAge), Has.All.LessThan(TimeSpan.FromSeconds(10)));

        var read = new RaftRead(PatroniBench.Container);
        var answer = (await _bench.ReadAsync("m1", [read], CancellationToken.None)).Get(read);
        var raft = RaftStatus.Parse(answer, out var trouble);
        Assert.That(trouble, Is.Null, answer.Output);
        Assert.That(raft!.HasQuorum);
        Assert.That(raft.Self, Is.EqualTo($"{_bench.MachineOf("m1")}:7000"));
        Assert.That(raft.Partners, Has.Count.EqualTo(2));
        Assert.That(_bench.Scripts, Has.None.Contains(PatroniBench.RaftPassword));
        Assert.That(answer.Output, Does.Not.Contain(PatroniBench.RaftPassword));
    }

    [Test]
    public async Task The_roles_patroni_made_are_known_as_ours_and_take_the_wanted_verifier()
    {
        var verifier = ScramVerifier.Make(PatroniBench.SuperuserPassword, [1, 2, 3, 4]);
        var role = Group(
            _roles,
            PatroniBench.Superuser,
            [
                .. PatroniBench.Connection,
                ("password", PatroniBench.Secret(PatroniBench.SuperuserPassword)),
                ("verifier", PatroniBench.Secret(verifier)),
                ("exact", true),
                ("superuser", true),
                ("bootstrap", true),
            ]
        );
        var before = await PresentAsync(_roles, role);
        Assert.That(before.IsManaged);
        Assert.That(Differing(_roles, role, before.Attributes), Is.EqualTo(new[] { "password" }));
        await ChangeAsync(_roles, role, ResourceOperation.Update, "password");
        await IsAsWantedAsync(_roles, role);

        var replication = Group(
            _roles,
            "kb_repl",
            [.. PatroniBench.Connection, ("password", PatroniBench.Secret("repl-secret")), ("replication", true), ("bootstrap", true)]
        );
        await IsAsWantedAsync(_roles, replication);
    }

    [Test]
    public async Task A_role_is_made_changed_mended_and_dropped_and_its_verifier_stays_out_of_the_log()
    {
        const string name = "app \"quoted\"; it's";
        var password = "pa;ss'\\word";
        var group = Group(_roles, "kb_readers", [.. PatroniBench.Connection, ("login", false)]);
        var role = Group(
            _roles,
            "app",
            [
                .. PatroniBench.Connection,
                ("role", name),
                ("password", PatroniBench.Secret(password)),
                ("connection_limit", 7L),
                ("createdb", true),
                ("member_of", (IReadOnlyList<string>)["kb_readers"]),
            ]
        );
        Assert.That(await _bench.ObserveAsync(_roles, role), Is.InstanceOf<Observation.Absent>());
        await ChangeAsync(_roles, group, ResourceOperation.Create);
        await ChangeAsync(_roles, role, ResourceOperation.Create);
        await ChangeAsync(_roles, role, ResourceOperation.Create);
        await IsAsWantedAsync(_roles, role);
        Assert.That(
            await LeaderSqlAsync($"SELECT rolpassword ~ '^SCRAM-SHA-256.4096:' FROM pg_authid WHERE rolname = $q${name}$q$"),
            Is.EqualTo("t")
        );

        await LeaderSqlAsync(
            $"ALTER ROLE \"{name.Replace("\"", "\"\"", StringComparison.Ordinal)}\" SUPERUSER NOLOGIN NOCREATEDB "
                + $"CONNECTION LIMIT 3 PASSWORD 'other'"
        );
        await LeaderSqlAsync($"CREATE ROLE kb_foreign; GRANT kb_foreign TO \"{name.Replace("\"", "\"\"", StringComparison.Ordinal)}\"");
        var drifted = await AttributesAsync(_roles, role);
        Assert.That(
            Differing(_roles, role, drifted),
            Is.EqualTo(new[] { "connection_limit", "createdb", "login", "member_of", "password", "superuser" })
        );
        Assert.That(drifted["password"].Secret?.HasSecret, Is.True);
        await ChangeAsync(_roles, role, ResourceOperation.Update, Differing(_roles, role, drifted));
        await IsAsWantedAsync(_roles, role);

        await LeaderSqlAsync($"DROP ROLE \"{name.Replace("\"", "\"\"", StringComparison.Ordinal)}\"");
        Assert.That(await _bench.ObserveAsync(_roles, role), Is.InstanceOf<Observation.Absent>());
        await ChangeAsync(_roles, role, ResourceOperation.Create);
        await ChangeAsync(_roles, role, ResourceOperation.Delete);
        await ChangeAsync(_roles, role, ResourceOperation.Delete);
        Assert.That(await _bench.ObserveAsync(_roles, role), Is.InstanceOf<Observation.Absent>());

        // The server logs every statement, and says so of the test's own; but none of kbr's with a verifier.
        var leader = await _bench.LeaderAsync();
        var log = ProviderBench.Shell($"docker logs {_bench.MachineOf(leader)} 2>&1").Output;
        Assert.That(log, Does.Contain("CREATE ROLE kb_foreign"));
        Assert.That(log, Does.Not.Contain("SCRAM-SHA-256$"));
        Assert.That(log, Does.Not.Contain("pa;ss"));
    }

    [Test]
    public async Task A_role_that_owns_something_is_not_dropped_and_the_error_says_why()
    {
        var role = Group(_roles, "kb_owner", PatroniBench.Connection);
        await ChangeAsync(_roles, role, ResourceOperation.Create);
        await LeaderSqlAsync("CREATE TABLE owned (i int); ALTER TABLE owned OWNER TO kb_owner");
        var failure = await Assert.ThrowsAsync<ChangeFailedException>(() => ChangeAsync(_roles, role, ResourceOperation.Delete));
        Assert.That(
            failure!.Message,
            Does.Contain("cannot be dropped because some objects depend on it").And.Contain("owner of table owned")
        );
        await LeaderSqlAsync("DROP TABLE owned");
        await ChangeAsync(_roles, role, ResourceOperation.Delete);
    }

    [Test]
    public async Task When_the_password_does_not_open_tcp_any_more_the_local_socket_does()
    {
        var locked = PatroniBench
            .Connection.Select(pair => pair.Name == "connect_password" ? (pair.Name, (object)PatroniBench.Secret("forgotten")) : pair)
            .ToArray();
        var role = Group(_roles, "kb_socket", [.. locked, ("password", PatroniBench.Secret("it's; a \\secret"))]);
        _bench.Scripts.Clear();
        await ChangeAsync(_roles, role, ResourceOperation.Create);
        Assert.That(_bench.Scripts, Has.Count.EqualTo(1), "by psql");
        await IsAsWantedAsync(_roles, role);

        await LeaderSqlAsync("CREATE TABLE owned2 (i int); ALTER TABLE owned2 OWNER TO kb_socket");
        var failure = await Assert.ThrowsAsync<ChangeFailedException>(() => ChangeAsync(_roles, role, ResourceOperation.Delete));
        Assert.That(
            failure!.Message,
            Does.Contain("cannot be dropped because some objects depend on it").And.Contain("2BP01").And.Contain("owner of table owned2")
        );
        await LeaderSqlAsync("DROP TABLE owned2");
        await ChangeAsync(_roles, role, ResourceOperation.Delete);
        Assert.That(await _bench.ObserveAsync(_roles, role), Is.InstanceOf<Observation.Absent>());
        var leader = await _bench.LeaderAsync();
        Assert.That(ProviderBench.Shell($"docker logs {_bench.MachineOf(leader)} 2>&1").Output, Does.Not.Contain("SCRAM-SHA-256$"));
    }

    [Test]
    public async Task A_new_password_is_proven_on_every_member()
    {
        var role = Group(_roles, "kb_proven", [.. PatroniBench.Connection, ("password", PatroniBench.Secret("first"))]);
        await ChangeAsync(_roles, role, ResourceOperation.Create);
        var leader = await _bench.LeaderAsync();
        var replica = _bench.Members.First(member => member.Name != leader).Name;
        Delay("SET recovery_min_apply_delay = '4s'");
        try
        {
            await ChangeAsync(
                _roles,
                role with
                {
                    Spec = role.Spec.With("password", PatroniBench.Secret("second")),
                },
                ResourceOperation.Update,
                "password"
            );
            foreach (var member in _bench.Members)
            {
                Assert.That(
                    ProviderBench
                        .Output(
                            $"docker exec -e PGPASSWORD=second {_bench.MachineOf(member.Name)} psql -X -A -t -w -h 127.0.0.1 -U "
                                + $"kb_proven -d postgres -c 'SELECT current_user'"
                        )
                        .Trim(),
                    Is.EqualTo("kb_proven"),
                    member.Name
                );
            }
        }
        finally
        {
            Delay("RESET recovery_min_apply_delay");
        }

        await ChangeAsync(_roles, role, ResourceOperation.Delete);

        // A replica that gets everything some seconds later.
        void Delay(string setting)
        {
            _bench.Sql(replica, "ALTER SYSTEM " + setting);
            _bench.Sql(replica, "SELECT pg_reload_conf()");
        }
    }

    [Test]
    public async Task Objects_of_two_logins_belong_to_the_first()
    {
        var first = Group(_roles, "billing", [.. PatroniBench.Connection, ("password", PatroniBench.Secret("one"))]);
        var second = Group(
            _roles,
            "billing_b",
            [
                .. PatroniBench.Connection,
                ("password", PatroniBench.Secret("two")),
                ("member_of", (IReadOnlyList<string>)["billing"]),
                ("set_role", "billing"),
            ]
        );
        await ChangeAsync(_roles, first, ResourceOperation.Create);
        await ChangeAsync(_roles, second, ResourceOperation.Create);
        await IsAsWantedAsync(_roles, second);
        await LeaderSqlAsync("CREATE SCHEMA billing AUTHORIZATION billing");

        var leader = await _bench.LeaderAsync();
        var made = ProviderBench.Output(
            $"docker exec -e PGPASSWORD=two {_bench.MachineOf(leader)} psql -X -q -A -t -v ON_ERROR_STOP=1 -h "
                + $"127.0.0.1 -U billing_b -d postgres -c 'CREATE TABLE billing.bills (i int)' -c 'SELECT session_user, "
                + $"current_user, tableowner FROM pg_tables WHERE tablename = $$bills$$'"
        );
        Assert.That(made.Trim(), Is.EqualTo("billing_b|billing|billing"));

        await LeaderSqlAsync("ALTER ROLE billing_b RESET role");
        var drifted = await AttributesAsync(_roles, second);
        Assert.That(Differing(_roles, second, drifted), Is.EqualTo(new[] { "set_role" }));
        await ChangeAsync(_roles, second, ResourceOperation.Update, "set_role");
        await IsAsWantedAsync(_roles, second);
        var apart = second with { Spec = Group(_roles, "billing_b", PatroniBench.Connection).Spec };
        await ChangeAsync(_roles, apart, ResourceOperation.Update, "set_role");
        Assert.That(await AttributesAsync(_roles, apart), Does.Not.ContainKey("set_role"));
        await LeaderSqlAsync("DROP SCHEMA billing CASCADE");
        await ChangeAsync(_roles, second, ResourceOperation.Delete);
        await ChangeAsync(_roles, first, ResourceOperation.Delete);
    }

    [Test]
    public async Task Passwords_are_hashed_as_postgresql_hashes_them_whatever_characters_they_have()
    {
        string[] passwords =
        [
            "plain",
            "µ² café",
            "cafe\u0301",
            "I\u00ADX",
            "a\u00A0b",
            "Ⅸ ﬁ ½",
            "ÅÅ",
            "한국어 \u1112\u1161\u11AB",
            "ｆｕｌｌ",
            "🙂 emoji²",
            "\u0627\u0628",
            "\u0627x²",
            "\u200E²",
            "q\u0323\u0307\u0301",
            "①②③",
            "ñandú ¿?",
        ];
        var roles = passwords.Index().Select(pair => $"CREATE ROLE kb_hash{pair.Index} PASSWORD $q${pair.Item}$q$;");
        var verifiers = (
            await LeaderSqlAsync(
                $"BEGIN; {string.Concat(roles)}\nSELECT rolpassword FROM pg_authid WHERE rolname LIKE 'kb\\_hash%' "
                    + $"ORDER BY substr(rolname, 8)::int;\nROLLBACK"
            )
        ).Split('\n');
        Assert.That(verifiers, Has.Length.EqualTo(passwords.Length));
        Assert.Multiple(() =>
        {
            foreach (var (password, verifier) in passwords.Zip(verifiers))
            {
                Assert.That(ScramVerifier.Proves(verifier, password), password);
            }
        });
    }

    [Test]
    public async Task A_database_and_its_extension_are_made_mended_and_dropped()
    {
        var role = Group(_roles, "kb_app", PatroniBench.Connection);
        await ChangeAsync(_roles, role, ResourceOperation.Create);
        var database = Group(_databases, "key buzz;", [.. PatroniBench.Connection, ("owner", "kb_app")]);
        var extension = Group(_extensions, "vector", [.. PatroniBench.Connection, ("database", "key buzz;")]);
        Assert.That(await _bench.ObserveAsync(_databases, database), Is.InstanceOf<Observation.Absent>());
        Assert.That(
            await _bench.ObserveAsync(_extensions, extension),
            Is.InstanceOf<Observation.Absent>(),
            "its database is not there either"
        );
        await ChangeAsync(_databases, database, ResourceOperation.Create);
        await ChangeAsync(_databases, database, ResourceOperation.Create);
        await IsAsWantedAsync(_databases, database);
        Assert.That(await _bench.ObserveAsync(_extensions, extension), Is.InstanceOf<Observation.Absent>());
        await ChangeAsync(_extensions, extension, ResourceOperation.Create);
        await IsAsWantedAsync(_extensions, extension);

        await LeaderSqlAsync($"ALTER DATABASE \"key buzz;\" OWNER TO {PatroniBench.Superuser}");
        Assert.That((await AttributesAsync(_databases, database))["owner"].Value, Is.EqualTo(PatroniBench.Superuser));
        await ChangeAsync(_databases, database, ResourceOperation.Update, "owner");
        await IsAsWantedAsync(_databases, database);
        var failure = await Assert.ThrowsAsync<ChangeFailedException>(() =>
            ChangeAsync(_databases, database, ResourceOperation.Update, "encoding")
        );
        Assert.That(failure!.Message, Does.Contain("fixed at its creation"));

        // Another schema, and columns of its type: what deleting data is asked for.
        var moved = extension with { Spec = extension.Spec.With("schema", "vectors") };
        Assert.That((await AttributesAsync(_extensions, moved))["schema"].Value, Is.EqualTo("public"));
        await ChangeAsync(_extensions, moved, ResourceOperation.Update, "schema");
        await IsAsWantedAsync(_extensions, moved);
        var leader = await _bench.LeaderAsync();
        _bench.Sql(leader, "CREATE TABLE embeddings (v vectors.vector(3))", "key buzz;");
        await ChangeAsync(_extensions, extension, ResourceOperation.Delete);
        Assert.That(await _bench.ObserveAsync(_extensions, extension), Is.InstanceOf<Observation.Absent>());
        await ChangeAsync(_databases, database, ResourceOperation.Delete);
        Assert.That(await _bench.ObserveAsync(_databases, database), Is.InstanceOf<Observation.Absent>());
        await ChangeAsync(_roles, role, ResourceOperation.Delete);
    }

    [Test]
    public async Task An_extension_that_is_older_than_the_files_of_all_members_is_updated_to_theirs()
    {
        // One of PostgreSQL's own that comes with the scripts of several versions, as pgvector does after a change of the image.
        var extension = Group(_extensions, "pg_trgm", [.. PatroniBench.Connection, ("database", "postgres"), ("image", "another")]);
        var leader = await _bench.LeaderAsync();
        _bench.Sql(leader, "CREATE EXTENSION pg_trgm VERSION '1.3'", "postgres");
        var running = (await AttributesAsync(_extensions, extension))["version"].Value;
        Assert.That(running, Does.StartWith("that of "), "the members have another image: it is still to come");
        extension = extension with { Spec = extension.Spec.With("image", running["that of ".Length..]) };
        Assert.That((await AttributesAsync(_extensions, extension))["version"].Value, Is.EqualTo("1.3"));

        await ChangeAsync(_extensions, extension, ResourceOperation.Update, "version");

        await IsAsWantedAsync(_extensions, extension);
        Assert.That(
            _bench
                .Sql(
                    leader,
                    "SELECT installed_version = default_version AND installed_version <> '1.3' FROM "
                        + "pg_available_extensions WHERE name = 'pg_trgm'",
                    "postgres"
                )
                .Trim(),
            Is.EqualTo("t")
        );
        await ChangeAsync(_extensions, extension, ResourceOperation.Delete);
    }

    [Test]
    public async Task An_extension_without_files_on_a_member_is_refused_and_names_the_member()
    {
        var extension = Group(_extensions, "vector", [.. PatroniBench.Connection, ("database", "postgres"), ("version", "0.0.1")]);
        Assert.That(
            ((Observation.Absent)await _bench.ObserveAsync(_extensions, extension)).Note,
            Does.Contain("vector 0.0.1 is not available on m1, m2, m3")
        );
        var failure = await Assert.ThrowsAsync<ChangeFailedException>(() => ChangeAsync(_extensions, extension, ResourceOperation.Create));
        Assert.That(failure!.Message, Does.Contain("not available on m1, m2, m3"));
    }

    [Test]
    public async Task A_member_that_cannot_be_reached_leaves_the_others_to_answer()
    {
        var role = Group(
            _roles,
            "kb_repl",
            [.. PatroniBench.Connection, ("password", PatroniBench.Secret("repl-secret")), ("replication", true)]
        );
        var leader = await _bench.LeaderAsync();
        var replica = _bench.Members.First(member => member.Name != leader).Name;
        try
        {
            _bench.Unreachable.Add(replica);
            await IsAsWantedAsync(_roles, role);
            await ChangeAsync(_roles, role, ResourceOperation.Update, "replication");
            _bench.Unreachable.Add(leader);
            _bench.Unreachable.Remove(replica);
            Assert.That(
                ((Observation.Unknown)await _bench.ObserveAsync(_roles, role)).Reason,
                Does.Contain("no primary answers").And.Contain($"{replica}: it is a replica")
            );
        }
        finally
        {
            _bench.Unreachable.Clear();
        }
    }

    [Test]
    public async Task The_dynamic_configuration_is_compared_changed_and_mended_key_by_key()
    {
        var config = Config(
            ("ttl", "20"),
            ("postgresql.use_pg_rewind", "true"),
            ("postgresql.parameters.work_mem", "4096kB"),
            ("postgresql.parameters.shared_buffers", "32MB")
        );
        var before = await PresentAsync(_configs, config);
        Assert.That(Differing(_configs, config, before.Attributes), Is.Empty, "4096kB is 4MB");
        Assert.That(before.Foreign.Select(setting => setting.Name), Does.Contain("loop_wait").And.Not.Contain("ttl"));

        // A key changed in the store, one set aside by ALTER SYSTEM on a replica.
        var leader = await _bench.LeaderAsync();
        var replica = _bench.Members.First(member => member.Name != leader).Name;
        ProviderBench.Output(
            $"docker exec {_bench.MachineOf(leader)} curl -sf -u kbr:{PatroniBench.RestPassword} -X PATCH -d "
                + $"'{{\"ttl\": 33, \"failsafe_mode\": true}}' http://127.0.0.1:8008/config"
        );
        _bench.Sql(replica, "ALTER SYSTEM SET work_mem = '64MB'");
        _bench.Sql(replica, "ALTER SYSTEM SET maintenance_work_mem = '65MB'");
        _bench.Sql(replica, "SELECT pg_reload_conf()");
        var drifted = await PresentAsync(_configs, config);
        Assert.That(Differing(_configs, config, drifted.Attributes), Is.EqualTo(new[] { "postgresql.parameters.work_mem", "ttl" }));
        Assert.That(drifted.Attributes["ttl"].Value, Is.EqualTo("33"));
        Assert.That(drifted.Attributes["postgresql.parameters.work_mem"].Value, Is.EqualTo($"64MB on {replica} (ALTER SYSTEM)"));
        Assert.That(drifted.Attributes["failsafe_mode"].Value, Is.EqualTo("true"));
        Assert.That(
            drifted.Foreign.Select(setting => setting.Shown),
            Does.Contain("failsafe_mode: true").And.Contain($"postgresql.auto.conf.maintenance_work_mem: 65MB on {replica} (ALTER SYSTEM)")
        );

        // Mended, and the foreign key that was recorded once is taken away.
        await ChangeAsync(_configs, config, ResourceOperation.Update, "ttl", "postgresql.parameters.work_mem", "failsafe_mode");
        var mended = await PresentAsync(_configs, config);
        Assert.That(Differing(_configs, config, mended.Attributes), Is.Empty);
        Assert.That(mended.Attributes, Does.Not.ContainKey("failsafe_mode"));
        _bench.Sql(replica, "ALTER SYSTEM RESET maintenance_work_mem");
    }

    // As one is that was stored, or removed, while Patroni started the member's PostgreSQL: Patroni takes it for done.
    [Test]
    public async Task A_stored_value_that_a_members_file_lacks_is_brought_there_and_a_removed_one_is_taken_out()
    {
        const string key = "postgresql.parameters.hash_mem_multiplier";
        var config = Config((key, "3.0"));
        await ChangeAsync(_configs, config, ResourceOperation.Update, key);
        var leader = await _bench.LeaderAsync();
        var replica = _bench.Members.First(member => member.Name != leader).Name;
        var file = _bench.Sql(replica, "SHOW config_file");
        ProviderBench.Output($"docker exec {_bench.MachineOf(replica)} sed -i /^hash_mem_multiplier/d {file}");
        _bench.Sql(replica, "SELECT pg_reload_conf()");
        var lacking = await PresentAsync(_configs, config);
        Assert.That(lacking.Attributes[key].Value, Is.EqualTo($"2 on {replica} (default)"));

        await ChangeAsync(_configs, config, ResourceOperation.Update, key);

        Assert.That(Differing(_configs, config, await AttributesAsync(_configs, config)), Is.Empty);
        await ChangeAsync(_configs, Config(), ResourceOperation.Update, key);
        ProviderBench.Output($"docker exec {_bench.MachineOf(replica)} sh -c \"echo hash_mem_multiplier = 4 >> {file}\"");
        _bench.Sql(replica, "SELECT pg_reload_conf()");
        var added = await Poll.UntilAsync(
            () => Task.FromResult(_bench.Sql(replica, "SHOW hash_mem_multiplier")),
            value => value == "4",
            new PollPace(TimeSpan.FromMilliseconds(200), TimeSpan.FromSeconds(10)),
            TimeProvider.System,
            CancellationToken.None
        );
        Assert.That(added, Is.EqualTo("4"));

        await ChangeAsync(_configs, Config(), ResourceOperation.Update, key);

        Assert.That(_bench.Sql(replica, "SHOW hash_mem_multiplier"), Is.EqualTo("2"));
    }

    [Test]
    public async Task A_value_that_needs_a_restart_restarts_the_members_in_turn()
    {
        var started = await StartTimesAsync();
        var raised = Config(("postgresql.parameters.max_connections", "70"));
        Assert.That(
            (await PresentAsync(_configs, raised)).Note,
            Does.Contain("restarted one at a time for postgresql.parameters.max_connections")
        );
        var watch = Stopwatch.StartNew();
        await ChangeAsync(_configs, raised, ResourceOperation.Update, "postgresql.parameters.max_connections");
        TestContext.Out.WriteLine($"raised in {watch.Elapsed.TotalSeconds:0.0} s");
        Assert.That(Differing(_configs, raised, await AttributesAsync(_configs, raised)), Is.Empty);
        Assert.That((await StartTimesAsync()).Zip(started).All(pair => pair.First != pair.Second), "every member was restarted");
        foreach (var member in _bench.Members)
        {
            Assert.That(_bench.Sql(member.Name, "SHOW max_connections"), Is.EqualTo("70"));
        }

        Assert.That((await HealthAsync()).Members.SelectMany(member => member.PendingRestart), Is.Empty);
    }

    [Test]
    public async Task A_roll_out_takes_the_replicas_first_and_hands_over_before_the_leader()
    {
        var cluster = ProviderBench.Policy(_clusters, PatroniBench.Rest) with { Group = "bench" };
        var leader = await _bench.LeaderAsync();
        var all = _bench.Members.Select(member => member.Name).ToImmutableSortedSet(StringComparer.Ordinal);
        Assert.That(
            await NextAsync(cluster, new RolloutState(all, [])),
            Is.InstanceOf<RolloutTurn.Go>().With.Property("Hosts").Length.EqualTo(1).And.Property("Hosts").None.EqualTo(leader)
        );
        var turn = await NextAsync(cluster, new RolloutState([leader], []));
        Assert.That(
            turn,
            Is.EqualTo(new RolloutTurn.Go([leader])).Using<RolloutTurn.Go>((left, right) => left.Hosts.SequenceEqual(right.Hosts))
        );
        Assert.That((await HealthAsync()).Leader, Is.Not.EqualTo(leader), "it handed over first");
        Assert.That(await NextAsync(cluster, s_nobody), Is.InstanceOf<RolloutTurn.Go>());
    }

    private async Task<RolloutTurn> NextAsync(GroupPolicy cluster, RolloutState state)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            var turn = await _clusters.NextAsync(cluster, state, _bench, CancellationToken.None);
            if (turn is not RolloutTurn.Wait || watch.Elapsed > TimeSpan.FromSeconds(60))
            {
                return turn;
            }

            await Task.Delay(200);
        }
    }

    private async Task<PatroniHealth> HealthAsync()
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            var snapshots = new Dictionary<string, Snapshot>();
            foreach (var member in _bench.Members)
            {
                snapshots[member.Name] = await _bench.ReadAsync(member.Name, [.. PatroniHealth.Reads(8008)], CancellationToken.None);
            }

            var health = PatroniHealth.Judge(8008, snapshots, snapshots.Keys, PatroniHealth.DefaultMaxLag);
            if (health.IsHealthy || watch.Elapsed > TimeSpan.FromSeconds(30))
            {
                return health;
            }

            await Task.Delay(200);
        }
    }

    private async Task<List<string>> StartTimesAsync() =>
        [
            .. await Task.WhenAll(
                _bench.Members.Select(member => Task.Run(() => _bench.Sql(member.Name, "SELECT pg_postmaster_start_time()")))
            ),
        ];

    private async Task<string> LeaderSqlAsync(string sql) => _bench.Sql(await _bench.LeaderAsync(), sql);

    private async Task<SortedMap<AttributeValue>> AttributesAsync(IGroupResourceProvider provider, Resource resource) =>
        (await PresentAsync(provider, resource)).Attributes;

    private async Task IsAsWantedAsync(IGroupResourceProvider provider, Resource resource) =>
        Assert.That(Differing(provider, resource, await AttributesAsync(provider, resource)), Is.Empty);

    private async Task<Observation.Present> PresentAsync(IGroupResourceProvider provider, Resource resource)
    {
        var observation = await _bench.ObserveAsync(provider, resource);
        Assert.That(observation, Is.InstanceOf<Observation.Present>(), (observation as Observation.Unknown)?.Reason);
        return (Observation.Present)observation;
    }

    private Task ChangeAsync(IGroupResourceProvider provider, Resource resource, ResourceOperation operation, params string[] changed) =>
        provider.ChangeAsync(
            new ResourceChange(operation, resource, changed.Length > 0 ? [.. changed] : [.. provider.Desired(resource).Keys])
            {
                DeleteData = operation == ResourceOperation.Delete,
            },
            _bench,
            CancellationToken.None
        );

    private static string[] Differing(IGroupResourceProvider provider, Resource resource, SortedMap<AttributeValue> actual) =>
        [
            .. provider
                .Desired(resource)
                .Where(pair => actual.GetValueOrDefault(pair.Key)?.Value != pair.Value.Value)
                .Select(pair => pair.Key),
        ];

    private Resource Config(params (string Key, string Value)[] settings) =>
        Group(
            _configs,
            "bench",
            [
                .. PatroniBench.Rest,
                ("settings", settings.ToImmutableSortedDictionary(pair => pair.Key, pair => pair.Value, StringComparer.Ordinal)),
            ]
        );

    private static Resource Group(IResourceProvider provider, string name, params (string Name, object Value)[] values)
    {
        var resource = ProviderBench.Resource(provider, name, values);
        return resource with { Address = resource.Address with { Host = "bench" } };
    }
}
