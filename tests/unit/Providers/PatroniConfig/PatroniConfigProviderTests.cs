using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniConfig;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniConfig;

[TestFixture]
internal sealed class PatroniConfigProviderTests
{
    // db-1 leads, and db-2 streams from it.
    private static readonly ClusterOutlook s_cluster = ClusterOutlook.Of(
        new PatroniHealth(
            [
                new PatroniMember("db-1")
                {
                    Answers = true,
                    State = "running",
                    Leads = true,
                },
                new PatroniMember("db-2")
                {
                    Answers = true,
                    State = "running",
                    Replication = "streaming",
                    LagBytes = 0,
                },
            ],
            []
        ),
        preferred: null
    );

    private readonly PatroniConfigProvider _provider = new();

    // The parameter as pg_settings shows it: name, setting, unit, vartype; what is wanted; whether it means the same.
    [TestCase("shared_buffers", "32768", "8kB", "integer", "256MB", true)]
    [TestCase("shared_buffers", "32768", "8kB", "integer", "262144kB", true)]
    [TestCase("shared_buffers", "32768", "8kB", "integer", "32768", true)]
    [TestCase("shared_buffers", "32768", "8kB", "integer", "0.25GB", true)]
    [TestCase("shared_buffers", "32768", "8kB", "integer", "255MB", false)]
    [TestCase("shared_buffers", "32768", "8kB", "integer", "256", false)]
    [TestCase("work_mem", "4096", "kB", "integer", "4MB", true)]
    [TestCase("wal_segment_size", "16777216", "B", "integer", "16MB", true)]
    [TestCase("min_wal_size", "80", "MB", "integer", "80MB", true)]
    [TestCase("checkpoint_timeout", "300", "s", "integer", "5min", true)]
    [TestCase("checkpoint_timeout", "300", "s", "integer", "5", false)]
    [TestCase("log_rotation_age", "1440", "min", "integer", "1d", true)]
    [TestCase("log_min_duration_statement", "1000", "ms", "integer", "1s", true)]
    [TestCase("log_min_duration_statement", "-1", "ms", "integer", "-1", true)]
    [TestCase("statement_timeout", "0", "ms", "integer", "0", true)]
    [TestCase("max_connections", "100", null, "integer", "100", true)]
    [TestCase("max_connections", "100", null, "integer", "1e2", true)]
    [TestCase("max_connections", "100", null, "integer", "0x64", true)]
    [TestCase("max_connections", "100", null, "integer", "100MB", false)]
    [TestCase("max_connections", "100", null, "integer", "many", false)]
    [TestCase("log_file_mode", "0600", null, "integer", "0600", true)]
    [TestCase("log_file_mode", "0600", null, "integer", "384", true)]
    [TestCase("random_page_cost", "1.1", null, "real", "1.10", true)]
    [TestCase("checkpoint_completion_target", "0.9", null, "real", ".9", true)]
    [TestCase("checkpoint_completion_target", "0.9", null, "real", "0.91", false)]
    [TestCase("vacuum_cost_delay", "2", "ms", "real", "2000us", true)]
    [TestCase("hot_standby", "on", null, "bool", "true", true)]
    [TestCase("hot_standby", "on", null, "bool", "ON", true)]
    [TestCase("hot_standby", "on", null, "bool", "y", true)]
    [TestCase("hot_standby", "on", null, "bool", "1", true)]
    [TestCase("hot_standby", "on", null, "bool", "off", false)]
    [TestCase("hot_standby", "on", null, "bool", "o", false)]
    [TestCase("wal_level", "replica", null, "enum", "Replica", true)]
    [TestCase("wal_level", "replica", null, "enum", "logical", false)]
    [TestCase("synchronous_commit", "on", null, "enum", "true", true)]
    [TestCase("wal_compression", "pglz", null, "enum", "on", true)]
    [TestCase("shared_preload_libraries", "a, b", null, "string", "a,b", true)]
    [TestCase("application_name", "A", null, "string", "a", false)]
    [TestCase("log_line_prefix", "%m,%p", null, "string", "%m, %p", false)]
    [TestCase("datestyle", "ISO, MDY", null, "string", "iso, mdy", true)]
    [TestCase("datestyle", "ISO, MDY", null, "string", "iso", true)]
    [TestCase("datestyle", "ISO, MDY", null, "string", "us", true)]
    [TestCase("datestyle", "German, DMY", null, "string", "german", true)]
    [TestCase("datestyle", "ISO, MDY", null, "string", "iso, dmy", false)]
    [TestCase("log_timezone", "UTC", null, "string", "utc", true)]
    [TestCase("log_timezone", "UTC", null, "string", "Europe/Paris", false)]
    [TestCase("client_encoding", "UTF8", null, "string", "utf-8", true)]
    [TestCase("log_destination", "stderr,csvlog", null, "string", "stderr, CSVLOG", true)]
    [TestCase("wal_level", "replica", null, "enum", "hot_standby", true)]
    [TestCase("log_min_messages", "debug2", null, "enum", "debug", true)]
    [TestCase("track_io_timing", "on", null, "bool", "t", true)]
    [TestCase("cpu_tuple_cost", "0.0123457", null, "real", "0.01234567", true)]
    public void A_parameter_is_as_wanted_when_postgresql_means_the_same(
        string name,
        string setting,
        string? unit,
        string kind,
        string wanted,
        bool same
    )
    {
        var key = "postgresql.parameters." + name;
        var config = Config((key, wanted));
        var observed = Observe(
            config,
            Store((key, wanted)),
            Member(config, false, [Row(name, setting, unit, kind)]),
            Member(config, true, [Row(name, setting, unit, kind)])
        );
        Assert.That(observed.Attributes[key].Value == wanted, Is.EqualTo(same));
    }

    // What a session is shown, what the server has loaded, what the file says, and the source; what is wanted; whether it is there.
    [TestCase("archive_command", "(disabled)", "cp %p /a/%f", "cp %p /a/%f", "configuration file", "cp %p /a/%f", true)]
    [TestCase("tcp_keepalives_idle", "0", "60", "60", "configuration file", "60", true)]
    [TestCase("tcp_keepalives_idle", "0", "0", "60", "configuration file", "60", false)]
    [TestCase("wal_buffers", "512", "512", "-1", "override", "-1", true)]
    [TestCase("wal_buffers", "256", "256", "-1", "default", "-1", true)]
    [TestCase("wal_buffers", "512", "512", "-1", "configuration file", "-1", false)]
    [TestCase("wal_buffers", "256", "256", "512", "default", "512", false)]
    [TestCase("transaction_buffers", "32", "32", "0", "override", "0", true)]
    [TestCase("archive_mode", "0", "0", "1", "default", "1", false)]
    [TestCase("work_mem", "1", "1", "32768", "user", "32768", true)]
    [TestCase("work_mem", "1", "1", "16384", "user", "32768", false)]
    public void The_servers_loaded_value_counts_and_not_a_sessions(
        string name,
        string shown,
        string loaded,
        string inFile,
        string source,
        string wanted,
        bool same
    )
    {
        var key = "postgresql.parameters." + name;
        var config = Config((key, wanted));
        var row =
            Row(name, shown, null, name == "archive_command" ? "string" : "integer", source).TrimEnd('}')
            + $$""", "reset_val": "{{loaded}}", "file_setting": "{{inFile}}"}""";
        Assert.That(Value(Observe(config, Store((key, wanted)), Member(config, false, [row])), key) == wanted, Is.EqualTo(same));
    }

    [Test]
    public void A_value_that_the_file_has_and_PostgreSQL_refuses_is_named_with_its_reason()
    {
        const string key = "postgresql.parameters.log_timezone";
        var config = Config((key, "Nowhere"));
        var row =
            Row("log_timezone", "UTC", null, "string").TrimEnd('}')
            + """, "reset_val": "UTC", "file_setting": "Nowhere", "file_error": "setting could not be applied"}""";
        Assert.That(
            Value(Observe(config, Store((key, "Nowhere")), Member(config, false, [row])), key),
            Is.EqualTo("UTC on db-1 (PostgreSQL refuses Nowhere: setting could not be applied)")
        );
    }

    [TestCase("true", "on", true)]
    [TestCase("20", "20", true)]
    [TestCase("20", "30", false)]
    [TestCase("quorum", "on", false)]
    public void A_key_of_patronis_own_is_compared_as_patroni_reads_it(string stored, string wanted, bool same)
    {
        var config = Config(("synchronous_mode", wanted));
        var observed = Observe(config, $$"""{"synchronous_mode": "{{stored}}"}""", Member(config, false, []));
        Assert.That(observed.Attributes["synchronous_mode"].Value, Is.EqualTo(same ? wanted : stored));
    }

    [Test]
    public void The_obstacle_is_named_with_its_member()
    {
        const string key = "postgresql.parameters.work_mem";
        var config = Config((key, "32MB"));
        var right = Row("work_mem", "32768", "kB", "integer");
        var altered = Member(config, true, [Row("work_mem", "65536", "kB", "integer")], altered: [("work_mem", "64MB")]);
        Assert.That(
            Value(Observe(config, Store((key, "32MB")), Member(config, false, [right]), altered), key),
            Is.EqualTo("64MB on db-2 (ALTER SYSTEM)")
        );
        var other = Member(config, true, [Row("work_mem", "4096", "kB", "integer", source: "command line")]);
        Assert.That(
            Value(Observe(config, Store((key, "32MB")), Member(config, false, [right]), other), key),
            Is.EqualTo("4MB on db-2 (command line)")
        );
        var harmless = Member(config, true, [right], altered: [("work_mem", "32768kB")]);
        Assert.That(
            Value(Observe(config, Store((key, "32MB")), Member(config, false, [right]), harmless), key),
            Is.EqualTo("32MB"),
            "set to what is wanted"
        );
        var own = Member(config, true, [Row("work_mem", "1", "kB", "integer", source: "client")]);
        Assert.That(
            Value(Observe(config, Store((key, "32MB")), Member(config, false, [right]), own), key),
            Is.EqualTo("32MB"),
            "the session's own says nothing about the server"
        );
        Assert.That(
            Value(Observe(config, Store((key, "16MB")), Member(config, false, [right]), altered), key),
            Is.EqualTo("16MB"),
            "the store comes first"
        );
        Assert.That(Observe(config, "{}", Member(config, false, [right])).Attributes, Does.Not.ContainKey(key));
        var misspelt = Config(("postgresql.parameters.wrok_mem", "1"));
        Assert.That(
            Value(
                Observe(misspelt, Store(("postgresql.parameters.wrok_mem", "1")), Member(misspelt, false, [])),
                "postgresql.parameters.wrok_mem"
            ),
            Is.EqualTo("unknown to PostgreSQL on db-1")
        );
        var library = Config(("postgresql.parameters.pg_stat_statements.max", "100"));
        Assert.That(
            Value(
                Observe(library, Store(("postgresql.parameters.pg_stat_statements.max", "100")), Member(library, false, [])),
                "postgresql.parameters.pg_stat_statements.max"
            ),
            Is.EqualTo("100")
        );
    }

    [Test]
    public void An_ALTER_SYSTEM_of_the_synchronous_standbys_overrides_the_mode_and_is_reset()
    {
        var config = Config(("synchronous_mode", "false"));
        var left = Observe(
            config,
            """{"synchronous_mode": false}""",
            Member(config, false, [], altered: [("synchronous_standby_names", "ANY 2 (*)")]),
            Member(config, true, [])
        );
        Assert.That(Value(left, "synchronous_mode"), Is.EqualTo("false, synchronous_standby_names on db-1 (ALTER SYSTEM)"));
        Assert.That(left.Note, Is.Null);
        Assert.That(
            Value(Observe(config, """{"synchronous_mode": false}""", Member(config, false, [])), "synchronous_mode"),
            Is.EqualTo("false")
        );
    }

    [TestCase("/data/postgresql.auto.conf", "false, synchronous_standby_names on db-1 (ALTER SYSTEM)")]
    [TestCase("/data/postgresql.conf", "false", Description = "Patroni's own, which it is about to take back")]
    public void An_ALTER_SYSTEM_that_only_the_running_server_still_has_is_found_and_reset(string file, string expected)
    {
        const string name = "synchronous_standby_names";
        var config = Config(("synchronous_mode", "false"));
        var row = Row(name, "ANY 2 (db-2)", null, "string", context: "sighup");
        row = row.Replace("\"source\":", $"\"sourcefile\": \"{file}\", \"source\":", StringComparison.Ordinal);
        var found = Observe(config, """{"synchronous_mode": false}""", Member(config, false, [row]), Member(config, true, []));

        Assert.That(Value(found, "synchronous_mode"), Is.EqualTo(expected));
        Assert.That(
            _provider.Reads(config).OfType<SqlRead>().Select(read => read.Query),
            Has.Some.Contains($"lower(s.name) IN ('{name}')"),
            "it is asked for"
        );
    }

    [Test]
    public void Members_that_wait_for_a_restart_are_named()
    {
        const string key = "postgresql.parameters.max_connections";
        var config = Config((key, "100"));
        var old = Row("max_connections", "50", null, "integer", source: "command line", context: "postmaster");
        var byPatroni = Member(
            config,
            true,
            [old],
            pending: """{"pending_restart": true, "pending_restart_reason": {"max_connections": {"old_value": "50", "new_value": "100"}}}"""
        );
        var byOldPatroni = Member(config, true, [old], pending: """{"pending_restart": true}""");
        var byPostgres = Member(
            config,
            false,
            [Row("max_connections", "50", null, "integer", context: "postmaster", pendingRestart: true)]
        );
        Assert.That(
            Value(Observe(config, Store((key, "100")), byPostgres, byPatroni, byOldPatroni), key),
            Is.EqualTo("100, restart pending on db-1, db-2, db-3")
        );
        var settled = Member(config, true, [Row("max_connections", "100", null, "integer", context: "postmaster")]);
        Assert.That(Value(Observe(config, Store((key, "100")), byPostgres, settled), key), Is.EqualTo("100, restart pending on db-1"));
        Assert.That(
            Observe(config, Store((key, "50")), byPostgres).Note,
            Is.EqualTo("members are restarted one at a time for postgresql.parameters.max_connections")
        );
    }

    // How each member is: it has the value, awaits a restart for it, has the former one, or does not answer.
    [TestCase("awaits former former", true)]
    [TestCase("awaits has former", true)]
    [TestCase("former former former", true)]
    [TestCase("awaits awaits awaits", false)]
    [TestCase("awaits has awaits", false)]
    [TestCase("awaits silent awaits", false)]
    [TestCase("has silent has", false)]
    public void No_member_is_restarted_until_all_that_answer_have_a_value_or_await_a_restart(string members, bool isOpen)
    {
        const string key = "postgresql.parameters.shared_buffers";
        var config = Config((key, "256MB"));
        string RowOf(string state) =>
            Row(
                "shared_buffers",
                state == "has" ? "32768" : "16384",
                "8kB",
                "integer",
                context: "postmaster",
                pendingRestart: state == "awaits"
            );

        var view = View(
            config,
            Store((key, "256MB")),
            [
                .. members
                    .Split(' ')
                    .Select(
                        (state, index) =>
                            state == "silent"
                                ? store => Snapshot(config, new HttpAnswer(0, ""), "", new SqlAnswer(null, "psql: no server"))
                                : Member(config, index > 0, [RowOf(state)])
                    ),
            ]
        );

        Assert.That(view.IsOpen(key, "256MB", isRestartAwaited: members.Contains("awaits", StringComparison.Ordinal)), Is.EqualTo(isOpen));
    }

    [Test]
    public void A_slot_is_made_after_the_restart_that_it_may_need_and_a_key_of_Patronis_own_at_once()
    {
        var config = Config(("slots.s.type", "physical"), ("ttl", "30"));
        var view = View(config, """{"ttl": 20, "slots": {"s": {"type": "physical"}}}""", Member(config, false, []));

        Assert.That(view.IsOpen("slots.s.type", "physical", isRestartAwaited: false), Is.True);
        Assert.That(view.IsOpen("slots.s.type", "physical", isRestartAwaited: true), Is.False);
        Assert.That(view.IsOpen("ttl", "30", isRestartAwaited: true), Is.True);
        Assert.That(view.IsOpen("ttl", "20", isRestartAwaited: true), Is.False);
    }

    // What is wanted, nothing for Patroni's own value (100 connections, 10 senders, 64 locks, 8 processes). The leader runs with 100, 20,
    // 32 and 8, or with as many processes as the last column says. Each round as its keys and where it begins.
    [TestCase("max_connections=110 work_mem=8MB", "max_connections work_mem: standbys first")]
    [TestCase("max_connections=90 work_mem=8MB", "max_connections work_mem: leader first")]
    [TestCase(
        "max_connections=110 max_worker_processes=4 shared_buffers=1GB",
        "max_connections shared_buffers: standbys first | max_worker_processes: leader first"
    )]
    [TestCase("max_connections=100 shared_buffers=1GB", "max_connections shared_buffers: standbys first")]
    [TestCase("max_connections=", "max_connections: standbys first")]
    [TestCase("max_wal_senders=", "max_wal_senders: leader first")]
    [TestCase("max_worker_processes=", "max_worker_processes: leader first", "16")]
    [TestCase("max_worker_processes=", "max_worker_processes: standbys first", "4")]
    [TestCase(
        "max_locks_per_transaction= max_wal_senders= max_connections=90",
        "max_locks_per_transaction: standbys first | max_connections max_wal_senders: leader first"
    )]
    [TestCase("wal_level=logical", "wal_level: standbys first")]
    public void An_increase_reaches_standbys_first_a_decrease_the_leader_and_all_that_can_goes_together(
        string wanted,
        string rounds,
        string processes = "8"
    )
    {
        var values = wanted
            .Split(' ')
            .Select(word => word.Split('='))
            .ToImmutableSortedDictionary(
                pair => "postgresql.parameters." + pair[0],
                pair => pair[1].Length == 0 ? null : pair[1],
                StringComparer.Ordinal
            );
        var running = new Dictionary<string, (string, string?)>
        {
            ["max_connections"] = ("100", null),
            ["max_wal_senders"] = ("20", null),
            ["max_locks_per_transaction"] = ("32", null),
            ["max_worker_processes"] = (processes, null),
        };

        var found = ConfigRound
            .Of(values, running)
            .Select(round =>
                string.Join(' ', round.Values.Keys.Select(key => key["postgresql.parameters.".Length..]))
                + (round.LeaderFirst ? ": leader first" : ": standbys first")
            );

        Assert.That(string.Join(" | ", found), Is.EqualTo(rounds));
    }

    // What db-1, the leader, and db-2 run with, in this order; nothing where it does not answer.
    [TestCase("100", "100", true)]
    [TestCase("", "100", true)]
    [TestCase("80", "100", false)]
    [TestCase("", "80", false)]
    public void A_leader_that_does_not_answer_is_taken_to_run_with_what_a_standby_has(string leader, string standby, bool isLeaderFirst)
    {
        const string key = "postgresql.parameters.max_connections";
        var config = Config((key, "90"));
        var view = View(config, Store((key, "200")), Of(false, leader), Of(true, standby));

        var rounds = ConfigRound.Of(
            ImmutableSortedDictionary.Create<string, string?>(StringComparer.Ordinal).Add(key, "90"),
            ConfigRound.Running(view)
        );

        Assert.That(rounds.Select(round => round.LeaderFirst), Is.EqualTo(new[] { isLeaderFirst }));

        Func<string, Snapshot> Of(bool inRecovery, string connections) =>
            connections.Length == 0
                ? stored => Snapshot(config, new HttpAnswer(200, stored), "{}", new SqlAnswer(null, "psql: no server"))
                : Member(config, inRecovery, [Row("max_connections", connections, null, "integer", context: "postmaster")]);
    }

    [Test]
    public void Keys_of_others_are_seen_and_noted_and_lists_stay_whole()
    {
        var config = Config(("ttl", "30"));
        var observed = Observe(
            config,
            """{"ttl": 30, "failsafe_mode": true, "ignore_slots": [{"name": "x"}], "postgresql": {"parameters": {"pg_stat_statements.track": "all"}, "pg_hba": ["local all all peer"]}, "slots": null}""",
            Member(config, false, [], altered: [("work_mem", "64MB")])
        );
        Assert.That(
            observed.Attributes.Select(pair => $"{pair.Key}={pair.Value.Value}"),
            Is.EqualTo(
                new[]
                {
                    "failsafe_mode=true",
                    """ignore_slots=[{"name": "x"}]""",
                    "postgresql.parameters.pg_stat_statements.track=all",
                    """postgresql.pg_hba=["local all all peer"]""",
                    "ttl=30",
                }
            )
        );
        Assert.That(observed.Note, Is.Null);
        Assert.That(
            observed.Foreign.Select(setting => setting.Shown),
            Is.EqualTo(
                new[]
                {
                    "failsafe_mode: true",
                    """ignore_slots: [{"name": "x"}]""",
                    "postgresql.parameters.pg_stat_statements.track: all",
                    """postgresql.pg_hba: ["local all all peer"]""",
                    "postgresql.auto.conf.work_mem: 64MB on db-1 (ALTER SYSTEM)",
                }
            )
        );
        Assert.That(observed.Foreign.Select(setting => setting.IsTrouble), Is.All.False);
    }

    [Test]
    public void Without_a_stored_configuration_it_is_absent_and_without_any_postgresql_unknown()
    {
        var config = Config(("ttl", "30"));
        var members = new Dictionary<string, Snapshot>
        {
            ["db-1"] = Snapshot(config, new HttpAnswer(502, "<html>"), "{}", new SqlAnswer(null, "psql: no server")),
        };
        Assert.That(_provider.Observe(config, members), Is.InstanceOf<Observation.Absent>());
        members["db-1"] = Snapshot(config, new HttpAnswer(200, """{"ttl": 30}"""), "{}", new SqlAnswer(null, "psql: no server\nmore"));
        Assert.That(
            _provider.Observe(config, members),
            Is.InstanceOf<Observation.Unknown>().With.Property("Reason").EqualTo("no member's PostgreSQL answers: db-1: psql: no server")
        );
        members["db-1"] = Snapshot(config, new HttpAnswer(200, """{"ttl": 20}"""), "{}", new SqlAnswer(null, "psql: no server\nmore"));
        Assert.That(
            ((Observation.Present)_provider.Observe(config, members)).Attributes["ttl"].Value,
            Is.EqualTo("20"),
            "what is stored may be what keeps PostgreSQL from starting"
        );
        foreach (
            var broken in new[]
            {
                "[{\"in_recovery\": fal",
                "[]",
                "{}",
                "[{\"in_recovery\": \"maybe\"}]",
                "[{\"in_recovery\": true, \"settings\": 5, \"altered\": [1, {\"name\": 2}]}]",
            }
        )
        {
            members["db-1"] = Snapshot(config, new HttpAnswer(200, "{\"ttl\": 3"), "nonsense", new SqlAnswer(broken, ""));
            Assert.That(_provider.Observe(config, members), Is.InstanceOf<Observation.Absent>());
            members["db-1"] = Snapshot(config, new HttpAnswer(200, "{\"ttl\": 30}"), "nonsense", new SqlAnswer(broken, ""));
            Assert.That(_provider.Observe(config, members), Is.Not.InstanceOf<Observation.Absent>());
        }
    }

    [Test]
    public void The_leaders_copy_of_the_configuration_counts()
    {
        var config = Config(("ttl", "30"));
        var members = new Dictionary<string, Snapshot>
        {
            ["db-1"] = Snapshot(config, new HttpAnswer(200, """{"ttl": 20}"""), "{}", Rows(true, [], [])),
            ["db-2"] = Snapshot(config, new HttpAnswer(200, """{"ttl": 30}"""), "{}", Rows(false, [], [])),
        };
        Assert.That(((Observation.Present)_provider.Observe(config, members)).Attributes["ttl"].Value, Is.EqualTo("30"));
    }

    [Test]
    public void A_key_that_is_a_value_and_holds_another_is_refused()
    {
        Assert.That(
            _provider.Validate(Config(("postgresql", "x"), ("postgresql.use_slots", "true"))).Select(finding => finding.Summary),
            Has.Some.Contains("'postgresql' cannot have a value and also hold")
        );
        Assert.That(_provider.Validate(Config(("a..b", "x"))).Select(finding => finding.Summary), Has.Some.Contains("empty"));
        Assert.That(
            _provider.Validate(
                Config(("postgresql.parameters.pg_stat_statements", "x"), ("postgresql.parameters.pg_stat_statements.max", "1"))
            ),
            Is.Empty
        );
    }

    [Test]
    public void The_plan_forecasts_the_members_that_a_value_restarts_and_their_order()
    {
        const string More = "postgresql.parameters.shared_buffers",
            Fewer = "postgresql.parameters.max_connections",
            Reloaded = "postgresql.parameters.work_mem";
        var config = Config((More, "256MB"), (Fewer, "50"), (Reloaded, "8MB"));
        string[] rows =
        [
            Row("shared_buffers", "16384", "8kB", "integer", context: "postmaster"),
            Row("max_connections", "100", null, "integer", context: "postmaster"),
            Row("work_mem", "4096", "kB", "integer"),
        ];
        var observed = Observe(
            config,
            Store((More, "128MB"), (Fewer, "100"), (Reloaded, "4MB")),
            Member(config, false, rows),
            Member(config, true, rows)
        );

        Assert.That(Foreseen(Reloaded), Is.Null);
        Assert.That(
            Foreseen(More, Reloaded),
            Is.EqualTo("2 rolling restarts, 1 switchover, about 3 s without writes: db-2, db-1 db-2, db-1")
        );
        Assert.That(Foreseen(Fewer), Is.EqualTo("2 rolling restarts, no writes while the primary restarts: db-1, db-2"));
        Assert.That(
            ForeseenAfter(["db-1", "db-2"], Fewer),
            Is.EqualTo("2 rolling restarts, no writes while the primary restarts: db-2, db-1"),
            "the roll-out of the members leaves another leader"
        );

        // Taken away: what PostgreSQL has then.
        config = Config((Reloaded, "4MB"));
        rows =
        [
            Row("shared_buffers", "32768", "8kB", "integer", context: "postmaster").TrimEnd('}') + """, "fallback": "128MB"}""",
            Row("max_connections", "200", null, "integer", context: "postmaster").TrimEnd('}') + """, "fallback": "50"}""",
            Row("wal_buffers", "512", "8kB", "integer", context: "postmaster").TrimEnd('}') + """, "fallback": "4MB"}""",
        ];
        const string Same = "postgresql.parameters.wal_buffers";
        observed = Observe(
            config,
            Store((More, "256MB"), (Fewer, "200"), (Same, "4MB"), (Reloaded, "4MB")),
            Member(config, false, rows),
            Member(config, true, rows)
        );
        Assert.That(Foreseen(Same), Is.Null, "it had the value that it has without one");
        Assert.That(Foreseen(More), Is.EqualTo("2 rolling restarts, 1 switchover, about 3 s without writes: db-2, db-1 db-2, db-1"));
        Assert.That(
            Foreseen(Fewer),
            Is.EqualTo("2 rolling restarts, no writes while the primary restarts: db-1, db-2"),
            "Patroni's 100 are fewer"
        );

        string? Foreseen(params string[] keys) => ForeseenAfter([], keys);

        string? ForeseenAfter(string[] disrupted, params string[] keys)
        {
            var change = new PlannedChange(
                config.Address,
                ResourceAction.Update,
                Cause.ConfigurationChanged,
                config,
                [.. keys.Select(key => new AttributeDifference(key, null, null, Cause.ConfigurationChanged, ChangeEffect.InPlace))],
                []
            );
            var forecast = _provider.Forecast(new RolloutQuestion(config, change, [.. disrupted], [], [observed.Outlook!, s_cluster]));
            return forecast is null
                ? null
                : $"{forecast.Summary}: {string.Join(", ", forecast.Steps.Select(step => string.Join(' ', step.Hosts)))}";
        }
    }

    [Test]
    public void Outside_of_a_window_only_parameters_that_a_reload_is_enough_for_are_changed()
    {
        const string Restarted = "postgresql.parameters.shared_buffers",
            Reloaded = "postgresql.parameters.work_mem",
            Removed = "postgresql.parameters.log_statement";
        var applied = Config((Restarted, "128MB"), (Reloaded, "4MB"), (Removed, "all"));
        var config = Config((Restarted, "256MB"), (Reloaded, "8MB"), ("ttl", "30"));
        string[] rows = [Row("shared_buffers", "16384", "8kB", "integer", context: "postmaster"), Row("work_mem", "4096", "kB", "integer")];
        var observed = Observe(
            config,
            Store((Restarted, "128MB"), (Reloaded, "4MB")),
            Member(config, false, rows),
            Member(config, true, rows)
        );
        ResourceChange? Part(params string[] keys) =>
            _provider.WithoutDisruption(new ResourceChange(ResourceOperation.Update, config, [.. keys]), applied.Spec, observed.Outlook);

        var part = Part(Restarted, Reloaded, Removed, "ttl")!;
        Assert.That(part.Changed, Is.EqualTo(new[] { Reloaded }));
        Assert.That(
            part.Resource.Spec.Map("settings"),
            Is.EquivalentTo(
                new Dictionary<string, string>
                {
                    [Restarted] = "128MB",
                    [Reloaded] = "8MB",
                    [Removed] = "all",
                }
            ),
            "the rest as it was applied"
        );
        Assert.That(Part(Restarted), Is.Null);
    }

    // A slot in the store; what the leader has; the databases there are; what is observed.
    [TestCase("logical", "app", """[{"name": "s", "type": "logical", "database": "app"}]""", "logical")]
    [TestCase("logical", "app", "null", "logical, not on db-1")]
    [TestCase("logical", "app", """[{"name": "s", "type": "physical"}]""", "logical, not on db-1")]
    [TestCase("logical", "to_come", "null", "logical")]
    [TestCase("physical", null, """[{"name": "s", "type": "physical"}]""", "physical")]
    [TestCase("physical", null, """[{"name": "other", "type": "physical"}]""", "physical, not on db-1")]
    public void A_slot_is_in_effect_once_the_store_the_leader_and_its_database_have_it(
        string type,
        string? database,
        string slots,
        string observed
    )
    {
        var config = Config([("slots.s.type", type), .. database is null ? [] : new[] { ("slots.s.database", database) }]);
        var leader =
            $$"""[{"in_recovery": false, "settings": null, "altered": null, "slots": {{slots}}, "databases": ["app", "postgres"]}]""";
        var replica = """[{"in_recovery": true, "settings": null, "altered": null, "slots": null, "databases": ["app"]}]""";
        var stored =
            "{\"slots\": {\"s\": {\"type\": \"" + type + "\"" + (database is null ? "" : ", \"database\": \"" + database + "\"") + "}}}";

        var found = Observe(
            config,
            stored,
            store => Snapshot(config, new HttpAnswer(200, store), "{}", new SqlAnswer(leader, "")),
            store => Snapshot(config, new HttpAnswer(200, store), "{}", new SqlAnswer(replica, ""))
        );

        Assert.That(Value(found, "slots.s.type"), Is.EqualTo(observed));
    }

    [Test]
    public void A_list_is_the_same_however_it_is_spaced_and_in_whatever_order_its_maps_are()
    {
        var config = Config(("ignore_slots", """[{"name":"x","type":"logical"}]"""));

        Assert.That(
            Value(Observe(config, """{"ignore_slots": [{"type": "logical", "name": "x"}]}""", Member(config, false, [])), "ignore_slots"),
            Is.EqualTo("""[{"name":"x","type":"logical"}]""")
        );
        Assert.That(
            Value(Observe(config, """{"ignore_slots": [{"name": "y"}]}""", Member(config, false, [])), "ignore_slots"),
            Is.EqualTo("""[{"name": "y"}]""")
        );
    }

    // What waits on which member, and what is stored: the leader (db-1) runs with 100 connections and 4 worker processes. Who comes next.
    [TestCase(
        "db-1,db-2,db-3: shared_buffers",
        "",
        "db-1 db-2 db-3: standbys first",
        "3 rolling restarts, 1 switchover, about 3 s without writes"
    )]
    [TestCase(
        "db-1,db-2,db-3: max_connections",
        "max_connections=110",
        "db-1 db-2 db-3: standbys first",
        "3 rolling restarts, 1 switchover, about 3 s without writes"
    )]
    [TestCase(
        "db-1,db-2,db-3: max_connections",
        "max_connections=90",
        "db-1 db-2 db-3: leader first",
        "3 rolling restarts, no writes while the primary restarts"
    )]
    [TestCase(
        "db-1,db-2,db-3: max_worker_processes",
        "",
        "db-1 db-2 db-3: standbys first",
        "3 rolling restarts, 1 switchover, about 3 s without writes"
    )]
    [TestCase("db-2,db-3: max_connections", "max_connections=100", "db-2 db-3: standbys first", "2 rolling restarts, writes continue")]
    [TestCase("db-2: (unknown)", "", "db-2: standbys first", "1 restart, writes continue")]
    [TestCase("", "", "", "")]
    public void Pending_restarts_follow_the_order_of_a_parameter_change(string pending, string stored, string next, string summary)
    {
        var plan = RestartOf(pending, stored);

        Assert.That(
            plan.Next.IsEmpty ? "" : string.Join(' ', plan.Next) + (plan.LeaderFirst ? ": leader first" : ": standbys first"),
            Is.EqualTo(next)
        );
        Assert.That(plan.Forecast?.Summary ?? "", Is.EqualTo(summary));
    }

    [Test]
    public void All_members_restart_on_request_and_a_lowered_value_still_reaches_the_leader_first()
    {
        Assert.That(
            RestartOf("", "", "db-1", "db-2", "db-3").Forecast!.Summary,
            Is.EqualTo("3 rolling restarts, 1 switchover, about 3 s without writes")
        );
        var lowered = RestartOf("db-1: max_connections", "max_connections=90", "db-1", "db-2", "db-3");
        Assert.That((lowered.LeaderFirst, lowered.Next.Count, lowered.Forecast!.Steps[0].Hosts[0]), Is.EqualTo((true, 3, "db-1")));
    }

    private RestartPlan RestartOf(string pending, string stored, params string[] others)
    {
        var waiting = pending.Length == 0 ? [] : pending.Split(": ")[0].Split(',');
        var name = pending.Split(": ")[^1];
        var config = Config(("ttl", "30"));
        var health = new PatroniHealth(
            [
                .. new[] { "db-1", "db-2", "db-3" }.Select(member => new PatroniMember(member)
                {
                    Answers = true,
                    State = "running",
                    Leads = member == "db-1",
                    Replication = member == "db-1" ? null : "streaming",
                    LagBytes = member == "db-1" ? null : 0,
                    PendingRestart = waiting.Contains(member) ? [name] : [],
                }),
            ],
            []
        );
        var settings = string.Join(
            ", ",
            Row("max_connections", "100", null, "integer", context: "postmaster"),
            Row("max_worker_processes", "4", null, "integer", context: "postmaster")
        );
        var row = $$"""[{"in_recovery": false, "settings": [{{settings}}], "altered": null}]""";
        var store = new HttpAnswer(
            200,
            stored.Length == 0 ? "{}" : Store(("postgresql.parameters." + stored.Split('=')[0], stored.Split('=')[1]))
        );
        var answers = new Dictionary<string, Snapshot>
        {
            ["db-1"] = ProviderBench.Snapshot([
                .. RestartPlan
                    .Reads(config)
                    .Where(read => read is SqlRead or HttpRead { Path: "/config" or "/patroni" } or ContainerRead)
                    .Distinct()
                    .Select(read =>
                        (
                            read,
                            (object?)(
                                read switch
                                {
                                    SqlRead => new SqlAnswer(row, ""),
                                    HttpRead { Path: "/config" } => store,
                                    HttpRead => new HttpAnswer(200, "{}"),
                                    _ => new DockerAnswer(200, """{"State": {"Running": true}}"""),
                                }
                            )
                        )
                    ),
            ]),
        };
        return RestartPlan.Of(config, health, answers, others);
    }

    private static string Value(Observation.Present present, string key) => present.Attributes[key].Value;

    private Observation.Present Observe(Resource config, string stored, params Func<string, Snapshot>[] members) =>
        (Observation.Present)
            _provider.Observe(config, members.Index().ToDictionary(pair => $"db-{pair.Index + 1}", pair => pair.Item(stored)));

    private static ConfigView View(Resource config, string stored, params Func<string, Snapshot>[] members)
    {
        var spec = PatroniConfigSpec.Of(config);
        return ConfigView.Of(
            spec.Connection,
            spec.Settings.Keys,
            members.Index().ToDictionary(pair => $"db-{pair.Index + 1}", pair => pair.Item(stored))
        )!;
    }

    private static string Store(params (string Key, string Value)[] values) =>
        "{\"postgresql\": {\"parameters\": {"
        + string.Join(", ", values.Select(pair => $"\"{pair.Key["postgresql.parameters.".Length..]}\": \"{pair.Value}\""))
        + "}}}";

    private Func<string, Snapshot> Member(
        Resource config,
        bool inRecovery,
        string[] rows,
        (string Name, string Setting)[]? altered = null,
        string pending = "{}"
    ) => stored => Snapshot(config, new HttpAnswer(200, stored), pending, Rows(inRecovery, rows, altered ?? []));

    private Snapshot Snapshot(Resource config, HttpAnswer stored, string patroni, SqlAnswer answer) =>
        ProviderBench.Snapshot([
            .. _provider
                .Reads(config)
                .Select(read =>
                    (
                        read,
                        (object?)(
                            read switch
                            {
                                SqlRead => answer,
                                HttpRead { Path: "/config" } => stored,
                                HttpRead => new HttpAnswer(200, patroni),
                                _ => new DockerAnswer(200, """{"State": {"Running": true}}"""),
                            }
                        )
                    )
                ),
        ]);

    private static SqlAnswer Rows(bool inRecovery, string[] rows, (string Name, string Setting)[] altered) =>
        new(
            $$"""
            [{"in_recovery": {{(inRecovery ? "true" : "false")}}, "settings": {{(
                rows.Length == 0 ? "null" : $"[{string.Join(",", rows)}]"
            )}},
              "altered": {{(
                altered.Length == 0
                    ? "null"
                    : $"[{string.Join(",", altered.Select(pair => $$"""{"seqno": 1, "name": "{{pair.Name}}", "setting": "{{pair.Setting}}"}"""))}]"
            )}}}]
            """,
            ""
        );

    private static string Row(
        string name,
        string setting,
        string? unit,
        string kind,
        string source = "configuration file",
        string context = "user",
        bool pendingRestart = false
    ) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $$"""{"name": "{{name}}", "setting": "{{setting}}", "unit": {{(unit is null ? "null" : $"\"{unit}\"")}}, "vartype": "{{kind}}", "context": "{{context}}", "source": "{{source}}", "pending_restart": {{(pendingRestart ? "true" : "false")}}}"""
        );

    private Resource Config(params (string Key, string Value)[] settings) =>
        ProviderBench.Resource(
            _provider,
            "pg",
            ("settings", settings.ToImmutableSortedDictionary(pair => pair.Key, pair => pair.Value, StringComparer.Ordinal))
        );
}
